#!/bin/sh
# SPDX-License-Identifier: MIT
#
# example_test.sh PROGRAM EXPECTED: the program ends with 0 and prints just that.
out=$("$1" 2>&1)
status=$?
if [ $status -ne 0 ] || [ "$out" != "$(cat "$2")" ]; then
        printf 'status %s, and it printed:\n%s\n' $status "$out"
        exit 1
fi
