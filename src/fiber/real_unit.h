/* SPDX-License-Identifier: MIT */
/*
 * For tests of fibers on the real system: what must hold is said with expect(), which works on
 * any stack and thread, where cmocka's own assertions could not jump away.
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

#endif
