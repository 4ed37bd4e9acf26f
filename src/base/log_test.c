/* SPDX-License-Identifier: MIT */
#include "base/log.h"

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

typedef struct heard_about {
        unsigned n;
        char task[64], id[64], text[64];
} heard_about;

static void hear_about(void *arg, sj_log_level level, const log_subject *subject, const char *text)
{
        heard_about *h = arg;
        h->n++;
        assert_int_equal(level, SJ_LOG_INFO);
        const log_subject none = {SJ_STR(""), SJ_STR("")};
        const log_subject *about = subject ? subject : &none;
        snprintf(h->task, sizeof(h->task), "%.*s", SJ_STR_ARG(about->task));
        snprintf(h->id, sizeof(h->id), "%.*s", SJ_STR_ARG(about->id));
        snprintf(h->text, sizeof(h->text), "%s", text);
}

static void a_line_about_a_task_says_which(void **state)
{
        (void)state;
        static heard_about h;
        static heard plain;
        log_set(hear_about, &h, SJ_LOG_INFO);
        log_about(SJ_LOG_INFO, SJ_STR("shop.pay"), SJ_STR("17"), "is %s", "done");
        assert_string_equal(h.task, "shop.pay");
        assert_string_equal(h.id, "17");
        assert_string_equal(h.text, "task shop.pay[17] is done");
        log_about(SJ_LOG_DEBUG, SJ_STR("shop.pay"), SJ_STR("17"), "too low");
        sj_log(SJ_LOG_INFO, "about nothing");
        assert_int_equal(h.n, 2);
        assert_string_equal(h.task, "");
        assert_string_equal(h.text, "about nothing");
        sj_log_set(hear, &plain, SJ_LOG_INFO);
        log_about(SJ_LOG_INFO, SJ_STR("a"), SJ_STR("1"), "goes to others, too");
        assert_string_equal(plain.text, "task a[1] goes to others, too");
        sj_log_set(NULL, NULL, SJ_LOG_DEBUG);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_loud_enough_reaches_the_sink),
                cmocka_unit_test(a_line_about_a_task_says_which),
                cmocka_unit_test(without_a_sink_nothing_happens),
                cmocka_unit_test(a_line_that_is_too_long_is_cut),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
