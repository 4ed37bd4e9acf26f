/* SPDX-License-Identifier: MIT */
/* cmocka with what it needs before it; the first include of every test. */
#ifndef SANJAB_BASE_UNIT_H
#define SANJAB_BASE_UNIT_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#endif
