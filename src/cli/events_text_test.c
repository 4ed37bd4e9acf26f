/* SPDX-License-Identifier: MIT */
#include "cli/events_text.h"

#include "base/arena_unit.h"

#include <stdio.h>

static const sj_json *parse(const char *text)
{
        const sj_json *v;
        assert_int_equal(sj_json_parse(arena, sj_str_of(text), SJ_JSON_PYTHON, &v, NULL), 0);
        return v;
}

static void assert_line(const char *event, const char *line)
{
        buf b = BUF_INIT(0);
        assert_int_equal(events_text_line(&b, arena, parse(event)), 0);
        assert_int_equal(buf_terminate(&b), 0);
        assert_string_equal(buf_data(&b), line);
        buf_fini(&b);
}

static void an_event_is_a_line(void **state)
{
        (void)state;
        assert_line(
                "{\"hostname\": \"w1@capture\", \"utcoffset\": 0, \"pid\": 20157, \"clock\": 38, "
                "\"uuid\": \"863f\", \"result\": \"5\", \"runtime\": 0.0024, \"parent_id\": null, "
                "\"timestamp\": 1795156176.109, \"type\": \"task-succeeded\"}",
                "2026-11-20T06:29:36.109 w1@capture task-succeeded 863f result=\"5\" "
                "runtime=0.0024\n");
        assert_line("{\"type\": \"worker-online\"}", "-  worker-online\n");
        /* Nobody steers the terminal of who watches. */
        assert_line("{\"type\": \"x\", \"hostname\": \"\\u001b[2J\", \"timestamp\": 1e300}",
                    "- \\x1b[2J x\n");
}

static void hear(cluster *c, const char *text)
{
        const char *why;
        assert_int_equal(cluster_take(c, parse(text), 10 * SJ_SEC, &why), 0);
}

static size_t count_lines(const char *text)
{
        size_t n = 0;
        for (; *text; text++)
                n += *text == '\n';
        return n;
}

static void the_picture_fits_its_lines(void **state)
{
        (void)state;
        cluster *c;
        char text[300];
        assert_int_equal(cluster_new(&c), 0);
        for (int i = 0; i < 30; i++) {
                snprintf(text, sizeof(text),
                         "{\"type\": \"worker-heartbeat\", \"hostname\": \"w%d@h\", \"freq\": 2.0}",
                         i);
                hear(c, text);
                snprintf(
                        text, sizeof(text),
                        "{\"type\": \"task-succeeded\", \"hostname\": \"w0@h\", \"uuid\": \"t%d\", "
                        "\"clock\": %d, \"runtime\": 1.25, \"result\": \"'\\u001b'\", "
                        "\"timestamp\": "
                        "1795156176.1}",
                        i, i);
                hear(c, text);
        }
        for (size_t rows = 10; rows < 50; rows += 7) {
                buf b = BUF_INIT(0);
                assert_int_equal(events_text_picture(&b, arena, c, "redis://h", rows, 11 * SJ_SEC),
                                 0);
                assert_int_equal(buf_terminate(&b), 0);
                assert_true(count_lines(buf_data(&b)) <= rows);
                assert_null(strchr(buf_data(&b), '\033'));
                assert_non_null(strstr(buf_data(&b), "30 of 30 workers alive, 30 tasks"));
                assert_non_null(strstr(buf_data(&b), "06:29:36  -     SUCCESS  1.250 s  w0@h"));
                buf_fini(&b);
        }
        buf b = BUF_INIT(0);
        assert_int_equal(events_text_picture(&b, arena, c, "redis://h", 24, 14 * SJ_SEC), 0);
        assert_int_equal(buf_terminate(&b), 0);
        assert_non_null(strstr(buf_data(&b), "0 of 30 workers alive"));
        assert_non_null(strstr(buf_data(&b), "offline"));
        buf_fini(&b);
        cluster_free(c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_event_is_a_line),
                cmocka_unit_test(the_picture_fits_its_lines),
        };
        return cmocka_run_group_tests(tests, arena_unit_begin, arena_unit_end);
}
