/* SPDX-License-Identifier: MIT */
/*
 * For tests on the real system, of fibers and of threads: what must hold is said with expect(),
 * which works on any stack and thread, where cmocka's own assertions could not jump away.
 */
#ifndef SANJAB_FIBER_REAL_UNIT_H
#define SANJAB_FIBER_REAL_UNIT_H

#include "base/unit.h"

#include <stdio.h>
#include <stdlib.h>

#define expect(condition)                                                          \
        do {                                                                       \
                if (!(condition)) {                                                \
                        fprintf(stderr, "%s: not so: %s\n", SJ_WHERE, #condition); \
                        abort();                                                   \
                }                                                                  \
        } while (0)

#define expect_equal(a, b)                                                                    \
        do {                                                                                  \
                long long expect_a = (long long)(a), expect_b = (long long)(b);               \
                if (expect_a != expect_b) {                                                   \
                        fprintf(stderr, "%s: %s is %lld, not %lld\n", SJ_WHERE, #a, expect_a, \
                                expect_b);                                                    \
                        abort();                                                              \
                }                                                                             \
        } while (0)

#endif
