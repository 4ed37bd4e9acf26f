/* SPDX-License-Identifier: MIT */
#include "base/unit.h"

#include "cli/table.h"
#include "cli/terminal.h"

static const char *const heads[] = {"NAME", "+N", "LAST", NULL};

static void columns_line_up_and_numbers_stand_to_the_right(void **state)
{
        (void)state;
        sj_arena *arena;
        assert_int_equal(sj_arena_new(&arena), 0);
        table t;
        table_init(&t, heads, arena);
        table_text(&t, SJ_STR("a"));
        table_printf(&t, "%d", 1000);
        table_text(&t, SJ_STR("x"));
        table_text(&t, SJ_STR("سنجاب"));
        table_printf(&t, "%d", 1);
        table_text(&t, SJ_STR("a long one"));
        buf b = BUF_INIT(0);
        assert_int_equal(table_write(&t, &b, false), 0);
        assert_int_equal(buf_terminate(&b), 0);
        assert_string_equal(buf_data(&b), "NAME      N  LAST\n"
                                          "a      1000  x\n"
                                          "سنجاب     1  a long one\n");
        buf_fini(&b);
        table_fini(&t);
        sj_arena_free(arena);
}

static void a_cell_cannot_steer_the_terminal(void **state)
{
        (void)state;
        sj_arena *arena;
        assert_int_equal(sj_arena_new(&arena), 0);
        static const char *const one[] = {"A", NULL};
        table t;
        table_init(&t, one, arena);
        table_text(&t, SJ_STR("\033[31mred\nand\tmore\302\233"));
        buf b = BUF_INIT(0);
        assert_int_equal(table_write(&t, &b, false), 0);
        assert_int_equal(buf_terminate(&b), 0);
        assert_string_equal(buf_data(&b), "A\n\\x1b[31mred\\x0aand\\x09more\\xc2\\x9b\n");
        buf_fini(&b);
        table_fini(&t);
        sj_arena_free(arena);
}

static void safe_text_keeps_characters_and_shows_broken_bytes(void **state)
{
        (void)state;
        buf b = BUF_INIT(0);
        assert_int_equal(terminal_append_safe(&b, SJ_STR("é\xff\nb\t\r"), true), 0);
        assert_int_equal(buf_terminate(&b), 0);
        assert_string_equal(buf_data(&b), "é\\xff\nb\t\\x0d");
        buf_fini(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(columns_line_up_and_numbers_stand_to_the_right),
                cmocka_unit_test(a_cell_cannot_steer_the_terminal),
                cmocka_unit_test(safe_text_keeps_characters_and_shows_broken_bytes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
