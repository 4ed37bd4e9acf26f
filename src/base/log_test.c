/* SPDX-License-Identifier: MIT */
#include <sanjab/base.h>

#include "base/unit.h"

#include <stdio.h>

typedef struct heard {
        unsigned n;
        sj_log_level level;
        char text[8192];
} heard;

static void hear(void *arg, sj_log_level level, const char *text)
{
        heard *h = arg;
        h->n++;
        h->level = level;
        snprintf(h->text, sizeof(h->text), "%s", text);
}

static void what_is_loud_enough_reaches_the_sink(void **state)
{
        (void)state;
        static heard h;
        sj_log_set(hear, &h, SJ_LOG_WARNING);
        sj_log(SJ_LOG_INFO, "too low");
        assert_int_equal(h.n, 0);
        sj_log(SJ_LOG_WARNING, "%d of %s", 3, "four");
        assert_int_equal(h.n, 1);
        assert_int_equal(h.level, SJ_LOG_WARNING);
        assert_string_equal(h.text, "3 of four");
        sj_log(SJ_LOG_OFF, "no level at all");
        assert_int_equal(h.n, 1);
        sj_log_set(NULL, NULL, SJ_LOG_DEBUG);
}

static void without_a_sink_nothing_happens(void **state)
{
        (void)state;
        sj_log_set(NULL, NULL, SJ_LOG_DEBUG);
        sj_log(SJ_LOG_CRITICAL, "nobody hears this");
}

static void a_line_that_is_too_long_is_cut(void **state)
{
        (void)state;
        static heard h;
        sj_log_set(hear, &h, SJ_LOG_DEBUG);
        sj_log(SJ_LOG_DEBUG, "%06000d", 7);
        assert_int_equal(h.n, 1);
        assert_in_range(strlen(h.text), 1000, 5999);
        sj_log_set(NULL, NULL, SJ_LOG_DEBUG);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_loud_enough_reaches_the_sink),
                cmocka_unit_test(without_a_sink_nothing_happens),
                cmocka_unit_test(a_line_that_is_too_long_is_cut),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
