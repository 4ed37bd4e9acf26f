/* SPDX-License-Identifier: MIT */
#include <sanjab/base.h>

#include "base/unit.h"

#include <stdalign.h>

typedef struct piece {
        unsigned char *bytes;
        size_t n;
} piece;

static void every_piece_is_aligned_and_its_own(void **state)
{
        (void)state;
        enum { PIECES = 600 };
        static piece pieces[PIECES];
        sj_arena *arena = NULL;
        assert_int_equal(sj_arena_new(&arena), 0);
        for (int round = 0; round < 3; round++) {
                for (size_t i = 0; i < PIECES; i++) {
                        size_t n = i % 97 == 96 ? 40000 : i % 61;
                        pieces[i] = (piece){sj_arena_alloc(arena, n), n};
                        assert_non_null(pieces[i].bytes);
                        assert_int_equal((uintptr_t)pieces[i].bytes % alignof(max_align_t), 0);
                        memset(pieces[i].bytes, (int)(i & 0xff), n);
                }
                for (size_t i = 0; i < PIECES; i++)
                        for (size_t k = 0; k < pieces[i].n; k++)
                                assert_int_equal(pieces[i].bytes[k], i & 0xff);
                sj_arena_reset(arena);
        }
        sj_arena_free(arena);
}

static void a_reset_keeps_one_block_for_the_next_use(void **state)
{
        (void)state;
        sj_arena *arena = NULL;
        assert_int_equal(sj_arena_new(&arena), 0);
        sj_arena_reset(arena);
        void *first = sj_arena_alloc(arena, 100);
        sj_arena_reset(arena);
        assert_ptr_equal(sj_arena_alloc(arena, 100), first);
        sj_arena_free(arena);
        sj_arena_free(NULL);
}

static void a_copy_has_an_end_and_may_be_empty(void **state)
{
        (void)state;
        sj_arena *arena = NULL;
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_string_equal(sj_arena_strndup(arena, "squirrel", 4), "squi");
        assert_string_equal(sj_arena_strndup(arena, NULL, 0), "");
        sj_arena_free(arena);
}

static void more_than_there_is_gives_null_and_leaves_the_arena_usable(void **state)
{
        (void)state;
        sj_arena *arena = NULL;
        assert_int_equal(sj_arena_new(&arena), 0);
        size_t huge[] = {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX / 2 + 1};
        for (size_t i = 0; i < sizeof(huge) / sizeof(huge[0]); i++)
                assert_null(sj_arena_alloc(arena, huge[i]));
        assert_string_equal(sj_arena_strndup(arena, "still", 5), "still");
        sj_arena_free(arena);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_piece_is_aligned_and_its_own),
                cmocka_unit_test(a_reset_keeps_one_block_for_the_next_use),
                cmocka_unit_test(a_copy_has_an_end_and_may_be_empty),
                cmocka_unit_test(more_than_there_is_gives_null_and_leaves_the_arena_usable),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
