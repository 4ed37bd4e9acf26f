/* SPDX-License-Identifier: MIT */
/* Signatures as a program builds them, and as Celery writes them. */
#include "queue/call.h"

#include "base/arena_unit.h"

#include <sanjab/canvas.h>

#include <stdio.h>

SJ_TASK(nothing, void)
{
        return 0;
}

SJ_TASK(echo, int64_t, (int64_t, x))
{
        *ret = x;
        return 0;
}

SJ_TASK(add, int64_t, (int64_t, x), (int64_t, y))
{
        *ret = x + y;
        return 0;
}
SJ_TASK_OPTIONS(add, .name = "capapp.add");

SJ_TASK(tsum, int64_t, (const sj_json *, all))
{
        (void)all;
        *ret = 0;
        return 0;
}
SJ_TASK_OPTIONS(tsum, .name = "capapp.tsum", .queue = "sums");

SJ_TASK(many, void, (int64_t, a), (double, b), (bool, c), (const char *, d), (const sj_json *, e),
        (int64_t, f), (int64_t, g), (int64_t, h))
{
        (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
        return 0;
}

/* Frees s. */
static const char *json_of(sj_signature *s)
{
        const char *text = NULL;
        int r = sj_signature_json(s, arena, &text);
        sj_signature_free(s);
        return r < 0 ? sj_strerror(r) : text;
}

#define ADD(args, options, immutable)                                                           \
        "{\"task\": \"capapp.add\", \"args\": " args ", \"kwargs\": {}, \"options\": {" options \
        "}, \"subtask_type\": null, \"immutable\": " immutable "}"
#define TSUM                                                                                  \
        "{\"task\": \"capapp.tsum\", \"args\": [], \"kwargs\": {}, \"options\": {\"queue\": " \
        "\"sums\"}, \"subtask_type\": null, \"immutable\": false}"
#define COMPOSITE(type, kwargs)                                              \
        "{\"task\": \"celery." type "\", \"args\": [], \"kwargs\": {" kwargs \
        "}, \"options\": {}, \"subtask_type\": \"" type "\", \"immutable\": false}"

static void a_task_s_signatures_have_all_or_all_but_the_first_argument(void **state)
{
        (void)state;
        assert_string_equal(json_of(add_s(2, 3)), ADD("[2, 3]", "", "false"));
        assert_string_equal(json_of(add_si(2, 3)), ADD("[2, 3]", "", "true"));
        assert_string_equal(json_of(add_p(3)), ADD("[3]", "", "false"));
        assert_string_equal(json_of(tsum_p()), TSUM);
        sj_signature_free(nothing_si());
        sj_signature_free(echo_p());
        const sj_json *e = sj_json_new_null(arena);
        assert_non_null(strstr(json_of(many_p(0.5, true, "d", e, 6, 7, 8)),
                               "[0.5, true, \"d\", null, 6, 7, 8]"));
}

static void composites_are_what_python_writes(void **state)
{
        (void)state;
        assert_string_equal(json_of(SJ_CHAIN(add_s(2, 2), add_p(4))),
                            COMPOSITE("chain", "\"tasks\": [" ADD("[2, 2]", "", "false") ", " ADD(
                                                       "[4]", "", "false") "]"));
        assert_string_equal(json_of(SJ_GROUP(add_s(1, 1))),
                            COMPOSITE("group", "\"tasks\": [" ADD("[1, 1]", "", "false") "]"));
        assert_string_equal(
                json_of(sj_chord(SJ_GROUP(add_s(1, 1), add_s(2, 2)), tsum_p())),
                COMPOSITE("chord",
                          "\"kwargs\": {}, \"header\": [" ADD("[1, 1]", "", "false") ", " ADD(
                                  "[2, 2]", "", "false") "], \"body\": " TSUM));
        assert_string_equal(
                json_of(sj_starmap(sj_signature_new("capapp.add", NULL, NULL, NULL), "[[1, 2]]")),
                "{\"task\": \"celery.starmap\", \"args\": [], \"kwargs\": {\"task\": " ADD(
                        "[]", "",
                        "false") ", \"it\": [[1, 2]]}, \"options\": {}, \"subtask_type\": null, "
                                 "\"immutable\": true}");
        assert_string_equal(
                json_of(sj_chunks(sj_signature_new("capapp.add", NULL, NULL, NULL),
                                  "[[1, 2], [3, 4]]", 1)),
                "{\"task\": \"celery.chunks\", \"args\": [], \"kwargs\": {\"task\": " ADD(
                        "[]", "",
                        "false") ", \"it\": [[1, 2], [3, 4]], \"n\": 1}, \"options\": {}, "
                                 "\"subtask_type\": null, \"immutable\": true}");
        assert_non_null(strstr(json_of(sj_map(echo_p(), "[1]")), "celery.map"));
}

static void one_header_task_needs_no_group(void **state)
{
        (void)state;
        assert_string_equal(
                json_of(sj_chord(add_s(1, 1), tsum_p())),
                COMPOSITE("chord", "\"kwargs\": {}, \"header\": [" ADD(
                                           "[1, 1]", "", "false") "], \"body\": " TSUM));
}

static void a_null_anywhere_makes_the_whole_null(void **state)
{
        (void)state;
        assert_null(SJ_CHAIN(add_s(1, 1), NULL));
        assert_null(SJ_GROUP(NULL, add_s(1, 1)));
        assert_null(sj_chord(SJ_GROUP(add_s(1, 1)), NULL));
        assert_null(sj_chord(NULL, tsum_p()));
        assert_null(sj_map(NULL, "[]"));
        assert_null(sj_map(echo_p(), "{}"));
        assert_null(sj_map(echo_p(), "["));
        assert_null(sj_chunks(add_p(1), "[]", 0));
        assert_null(sj_chain(NULL, 0));
        assert_null(sj_signature_new(NULL, NULL, NULL, NULL));
        assert_null(sj_signature_new("", NULL, NULL, NULL));
        assert_null(sj_signature_new("a", "{}", NULL, NULL));
        assert_null(sj_signature_clone(NULL));
        assert_null(sj_signature_immutable(NULL));
        assert_null(sj_signature_set(NULL, NULL));
        assert_null(sj_signature_link(NULL, add_s(1, 1)));
        const char *text;
        assert_int_equal(sj_signature_json(NULL, arena, &text), -EINVAL);
}

static void what_went_wrong_is_told_at_the_end(void **state)
{
        (void)state;
        const char *text;
        sj_signature *bad[] = {
                sj_signature_set(add_s(1, 1), &(sj_call){.priority = 77}),
                sj_signature_link(add_s(1, 1), NULL),
                sj_signature_link(add_s(1, 1),
                                  sj_signature_set(add_p(1), &(sj_call){.countdown = -1})),
                sj_signature_partial(add_s(1, 1), "5", NULL),
                sj_signature_partial(SJ_GROUP(add_s(1, 1)), NULL, "{\"a\": 1}"),
                sj_signature_stamp(add_s(1, 1), "[]"),
                sj_signature_stamp(add_s(1, 1), NULL),
        };
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                bad[i] = sj_signature_immutable(bad[i]);
                assert_int_equal(sj_signature_json(bad[i], arena, &text), -EINVAL);
        }
        sj_signature *copy = sj_signature_clone(bad[0]);
        assert_int_equal(sj_signature_json(copy, arena, &text), -EINVAL);
        sj_signature_free(copy);
        sj_signature *whole = SJ_CHAIN(bad[0], bad[1], bad[2], bad[3], bad[4], bad[5], bad[6]);
        assert_int_equal(sj_signature_json(whole, arena, &text), -EINVAL);
        sj_signature_free(whole);
}

static void immutable_is_said_of_a_groups_members(void **state)
{
        (void)state;
        assert_string_equal(json_of(sj_signature_immutable(SJ_GROUP(add_s(1, 1)))),
                            COMPOSITE("group", "\"tasks\": [" ADD("[1, 1]", "", "true") "]"));
        assert_string_equal(json_of(sj_signature_immutable(sj_chord(add_s(1, 1), tsum_p()))),
                            COMPOSITE("chord", "\"kwargs\": {}, \"header\": [" ADD(
                                                       "[1, 1]", "", "true") "], \"body\": " TSUM));
}

static void options_go_before_those_that_were_there(void **state)
{
        (void)state;
        sj_signature *s = sj_signature_set(add_s(1, 1), &(sj_call){.queue = "a", .countdown = 5});
        s = sj_signature_set(s, &(sj_call){.queue = "b", .priority = 3});
        assert_string_equal(json_of(s), ADD("[1, 1]",
                                            "\"queue\": \"b\", \"countdown\": 5.0, "
                                            "\"priority\": 3",
                                            "false"));
}

static void a_partial_goes_in_front(void **state)
{
        (void)state;
        assert_string_equal(json_of(sj_signature_partial(add_p(4), "[3]", NULL)),
                            ADD("[3, 4]", "", "false"));
        assert_non_null(strstr(json_of(sj_signature_partial(add_p(4), NULL, "{\"k\": [1]}")),
                               "\"kwargs\": {\"k\": [1]}"));
}

static void links_go_where_celery_puts_them(void **state)
{
        (void)state;
        const char *link = "\"link\": [" ADD("[9]", "", "false") "]";
        const char *alone = "\"link\": [" ADD("[9]", "", "true") "]";
        const char *error = "\"link_error\": [" ADD("[9]", "", "false") "]";
        const char *text = json_of(sj_signature_link(add_s(1, 1), add_p(9)));
        assert_non_null(strstr(text, link));
        text = json_of(sj_signature_link(SJ_CHAIN(add_s(1, 1), add_p(2)), add_p(9)));
        assert_null(strstr(strstr(text, link), "capapp.add\", \"args\": [2]"));
        text = json_of(sj_signature_link(sj_chord(add_s(1, 1), tsum_p()), add_p(9)));
        assert_true(strstr(text, link) > strstr(text, "tsum"));
        text = json_of(sj_signature_link(SJ_GROUP(add_s(1, 1), add_s(2, 2)), add_p(9)));
        assert_non_null(strstr(text, alone));
        assert_true(strstr(text, alone) < strstr(text, "[2, 2]"));
        assert_null(strstr(strstr(text, "[2, 2]"), alone));
        text = json_of(sj_signature_link_error(SJ_GROUP(add_s(1, 1), add_s(2, 2)), add_p(9)));
        assert_non_null(strstr(strstr(text, error) + 1, error));
        text = json_of(sj_signature_link_error(sj_chord(add_s(1, 1), tsum_p()), add_p(9)));
        assert_true(strstr(text, error) > strstr(text, "tsum"));
        /* A second one comes after the first. */
        sj_signature *s = sj_signature_link(add_s(1, 1), add_p(9));
        text = json_of(sj_signature_link(s, tsum_p()));
        assert_non_null(strstr(text, "\"link\": [" ADD("[9]", "", "false") ", " TSUM "]"));
}

static void stamps_reach_all_that_it_is_made_of(void **state)
{
        (void)state;
        sj_signature *s = sj_chord(SJ_GROUP(add_s(1, 1), SJ_CHAIN(add_s(2, 2), add_p(3))),
                                   sj_signature_link(tsum_p(), add_p(4)));
        s = sj_signature_stamp(sj_signature_stamp(s, "{\"who\": \"me\"}"), "{\"n\": 1}");
        const char *text = json_of(s), *at = text;
        int n = 0;
        while ((at = strstr(at, "\"stamped_headers\": [\"who\", \"n\"]")))
                n++, at++;
        assert_int_equal(n, 5);
        assert_non_null(strstr(text, "\"who\": \"me\""));
}

static void as_json_it_comes_back(void **state)
{
        (void)state;
        sj_signature *s =
                sj_chord(SJ_GROUP(add_s(1, 1), SJ_CHAIN(add_s(2, 2), add_p(3))), tsum_p());
        sj_signature *copy = sj_signature_clone(s);
        const char *text = json_of(s);
        assert_string_equal(json_of(copy), text);
        assert_string_equal(json_of(sj_signature_parse(text)), text);
        assert_null(sj_signature_parse("[]"));
        assert_null(sj_signature_parse("{"));
        assert_null(sj_signature_parse("{}"));
        assert_null(sj_signature_parse(NULL));
        assert_null(sj_signature_parse(COMPOSITE("chain", "\"tasks\": [1]")));
}

/* json.dumps of chain(add.s(1, 1), group(add.s(1), add.s(2)), tsum.s()), by Celery 5.2.6. */
static void pythons_signatures_are_read(void **state)
{
        (void)state;
        const char *text = COMPOSITE(
                "chain",
                "\"tasks\": [" ADD("[1, 1]", "", "false") ", " COMPOSITE(
                        "chord", "\"kwargs\": {}, \"header\": [" ADD("[1]", "", "false") ", " ADD(
                                         "[2]", "", "false") "], \"body\": " TSUM) "]");
        assert_string_equal(json_of(sj_signature_parse(text)), text);
}

static void every_option_of_a_call_is_in_its_signature(void **state)
{
        (void)state;
        const sj_json *headers = NULL, *stamps = NULL;
        assert_int_equal(sj_json_parse(arena, SJ_STR("{\"h\": 1}"), 0, &headers, NULL), 0);
        assert_int_equal(sj_json_parse(arena, SJ_STR("{\"s\": 2}"), 0, &stamps, NULL), 0);
        const sj_call call = {.expires = 9,
                              .task_id = "the-id",
                              .queue = "q",
                              .shadow = "sh",
                              .time_limit = 3,
                              .soft_time_limit = 2,
                              .ignore_result = true,
                              .headers = headers,
                              .transient = true,
                              .exchange = "ex",
                              .routing_key = "rk",
                              .serializer = "json",
                              .compression = "zlib",
                              .stamps = stamps,
                              .reply_to = "rt",
                              .group_id = "g",
                              .root_id = "r",
                              .parent_id = "p",
                              .argsrepr = "a",
                              .kwargsrepr = "k"};
        assert_string_equal(
                json_of(sj_signature_new("capapp.add", NULL, NULL, &call)),
                ADD("[]",
                    "\"task_id\": \"the-id\", \"queue\": \"q\", \"shadow\": \"sh\", \"expires\": "
                    "9.0, \"time_limit\": 3.0, \"soft_time_limit\": 2.0, \"ignore_result\": true, "
                    "\"delivery_mode\": 1, \"exchange\": \"ex\", \"routing_key\": \"rk\", "
                    "\"serializer\": \"json\", \"compression\": \"zlib\", \"reply_to\": \"rt\", "
                    "\"group_id\": \"g\", \"root_id\": \"r\", \"parent_id\": \"p\", "
                    "\"argsrepr\": \"a\", \"kwargsrepr\": \"k\", \"headers\": {\"h\": 1}, "
                    "\"stamped_headers\": [\"s\"], \"s\": 2",
                    "false"));
        static const sj_call bad[] = {{.serializer = "pickle"}, {.compression = "rar"},
                                      {.exchange = "\n"},       {.routing_key = "\x7f"},
                                      {.root_id = "\1"},        {.shadow = "\xff"},
                                      {.argsrepr = "\xff"},     {.reply_to = "\t"}};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_null(sj_signature_new("capapp.add", NULL, NULL, &bad[i]));
        assert_null(
                sj_signature_new("a", NULL, NULL, &(sj_call){.stamps = sj_json_new_int(arena, 1)}));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                ARENA_TEST(a_task_s_signatures_have_all_or_all_but_the_first_argument),
                ARENA_TEST(composites_are_what_python_writes),
                ARENA_TEST(one_header_task_needs_no_group),
                ARENA_TEST(a_null_anywhere_makes_the_whole_null),
                ARENA_TEST(what_went_wrong_is_told_at_the_end),
                ARENA_TEST(immutable_is_said_of_a_groups_members),
                ARENA_TEST(options_go_before_those_that_were_there),
                ARENA_TEST(a_partial_goes_in_front),
                ARENA_TEST(links_go_where_celery_puts_them),
                ARENA_TEST(stamps_reach_all_that_it_is_made_of),
                ARENA_TEST(as_json_it_comes_back),
                ARENA_TEST(pythons_signatures_are_read),
                ARENA_TEST(every_option_of_a_call_is_in_its_signature),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
