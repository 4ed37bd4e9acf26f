/* SPDX-License-Identifier: MIT */
/* For tests that make what they look at in one arena, which each test, or each group, has new. */
#ifndef SANJAB_BASE_ARENA_UNIT_H
#define SANJAB_BASE_ARENA_UNIT_H

#include "base/unit.h"

#include <sanjab/base.h>

static sj_arena *arena;

static inline int arena_unit_begin(void **state)
{
        (void)state;
        return sj_arena_new(&arena);
}

static inline int arena_unit_end(void **state)
{
        (void)state;
        sj_arena_free(arena);
        return 0;
}

/* A row of cmocka's table: the test, in an arena of its own. */
#define ARENA_TEST(f) cmocka_unit_test_setup_teardown(f, arena_unit_begin, arena_unit_end)

#endif
