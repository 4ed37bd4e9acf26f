/* SPDX-License-Identifier: MIT */
#include "queue/control/control.h"

#include "queue/control/letter.h"
#include "queue/message/message_unit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static sj_str capture(const char *name)
{
        char path[300];
        snprintf(path, sizeof(path), "remote/%s", name);
        return read_file(path);
}

static sj_str text_of(const sj_json *v)
{
        sj_str text;
        assert_int_equal(
                sj_json_text(arena, v, SJ_JSON_PYTHON | SJ_JSON_ASCII | SJ_JSON_SPACED, &text), 0);
        return text;
}

/* The two say the same, byte for byte, but for the fresh delivery tag. */
static void assert_same_letter(sj_str a, sj_str b)
{
        letter x, y;
        const char *why;
        assert_int_equal(letter_decode(arena, a, &x, &why), 0);
        assert_int_equal(letter_decode(arena, b, &y, &why), 0);
        assert_string_equal(text_of(x.body).data, text_of(y.body).data);
        assert_string_equal(text_of(x.headers).data, text_of(y.headers).data);
        assert_true(sj_str_equal(x.exchange, y.exchange));
        assert_true(sj_str_equal(x.routing_key, y.routing_key));
        assert_int_equal(x.lasting, y.lasting);
        /* All up to the tag, which is the last member. */
        const char *tag = strstr(a.data, "\"delivery_tag\"");
        assert_non_null(tag);
        assert_memory_equal(a.data, b.data, (size_t)(tag - a.data));
}

static bool ends(const char *name, const char *with)
{
        size_t n = strlen(name), k = strlen(with);
        return n > k && strcmp(name + n - k, with) == 0;
}

/* Each capture of that kind; how many. */
static int each_capture(const char *end, void (*check)(const char *name))
{
        DIR *d = opendir(QUEUE_TESTDATA "/remote");
        int n = 0;
        assert_non_null(d);
        for (const struct dirent *e; (e = readdir(d));)
                if (strncmp(e->d_name, "control-", 8) == 0 && ends(e->d_name, end)) {
                        check(e->d_name);
                        sj_arena_reset(arena);
                        n++;
                }
        closedir(d);
        return n;
}

static void write_again(const char *name)
{
        sj_str text = capture(name), again;
        control_request request;
        const char *why;
        assert_int_equal(control_request_decode(arena, text, &request, &why), 0);
        assert_true(request.clock > 0 && request.expires > 1e9);
        assert_int_equal(control_request_encode(arena, &request, &again), 0);
        assert_same_letter(text, again);
}

static void requests_are_read_and_written_as_captured(void **state)
{
        (void)state;
        assert_int_equal(each_capture("-request.json", write_again), 34);
}

static void reply_again(const char *name)
{
        sj_str text = capture(name), again;
        letter l;
        control_reply reply;
        int64_t clock;
        const char *why;
        assert_int_equal(letter_decode(arena, text, &l, &why), 0);
        sj_str ticket = letter_text(l.headers, "ticket");
        assert_int_equal(control_reply_decode(arena, text, ticket, &reply, &clock, &why), 0);
        assert_true(sj_str_equal(reply.node, SJ_STR("w1@capture")));
        const control_request to = {
                .ticket = ticket, .reply_exchange = l.exchange, .reply_key = l.routing_key};
        assert_int_equal(
                control_reply_encode(arena, &to, reply.node, text_of(reply.value), clock, &again),
                0);
        assert_same_letter(text, again);
        assert_int_equal(control_reply_decode(arena, text, SJ_STR("other"), &reply, &clock, &why),
                         -ESTALE);
}

static void replies_are_read_and_written_as_captured(void **state)
{
        (void)state;
        assert_int_equal(each_capture("-reply.json", reply_again), 31);
}

static int is_for(const char *body, const char *node)
{
        const letter to = {.exchange = SJ_STR(CONTROL_CHANNEL)};
        sj_str text;
        control_request request;
        const char *why;
        assert_int_equal(letter_encode(arena, &to, SJ_STR("{}"), sj_str_of(body), &text), 0);
        assert_int_equal(control_request_decode(arena, text, &request, &why), 0);
        return control_is_for(&request, sj_str_of(node));
}

static void requests_are_for_whom_they_say(void **state)
{
        (void)state;
        assert_int_equal(is_for("{\"method\": \"m\"}", "a@b"), 1);
        assert_int_equal(is_for("{\"method\": \"m\", \"destination\": []}", "a@b"), 1);
        assert_int_equal(is_for("{\"method\": \"m\", \"destination\": [3, \"a@b\"]}", "a@b"), 1);
        assert_int_equal(is_for("{\"method\": \"m\", \"destination\": [\"a@c\"]}", "a@b"), 0);
        assert_int_equal(
                is_for("{\"method\": \"m\", \"pattern\": \"a*\", \"matcher\": \"glob\"}", "a@b"),
                1);
        assert_int_equal(
                is_for("{\"method\": \"m\", \"pattern\": \"b*\", \"matcher\": \"glob\"}", "a@b"),
                0);
        assert_int_equal(is_for("{\"method\": \"m\", \"pattern\": \"b*\"}", "a@b"), 1);
        assert_int_equal(
                is_for("{\"method\": \"m\", \"pattern\": \"(a+)+$\", \"matcher\": \"pcre\"}",
                       "a@b"),
                -EOPNOTSUPP);
}

static void globs_match_as_in_python(void **state)
{
        (void)state;
        static const struct {
                const char *pattern;
                const char *text;
                bool fits;
        } rows[] = {
                {"", "", true},
                {"*", "", true},
                {"*", "anything/at.all", true},
                {"w?@*", "w1@host", true},
                {"w?@*", "w12@host", false},
                {"[a-c]x", "bx", true},
                {"[!a-c]x", "bx", false},
                {"[!a-c]x", "dx", true},
                {"[]]", "]", true},
                {"[!]]", "]", false},
                {"[", "[", true},
                {"[ab", "[ab", true},
                {"a[", "a[", true},
                {"\\*", "\\x", true},
                {"a*b*c", "aXbYbZc", true},
                {"a*b*c", "aXbYbZ", false},
                {"[a-]", "-", true},
                {"?", "", false},
                {"*a", "ba", true},
                {"*a", "ab", false},
                {"[!]a-]x", "bx", true},
        };
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                if (control_glob(sj_str_of(rows[i].pattern), sj_str_of(rows[i].text)) !=
                    rows[i].fits) {
                        print_message("%s and %s\n", rows[i].pattern, rows[i].text);
                        fail();
                }
}

static void a_glob_of_many_stars_ends_soon(void **state)
{
        (void)state;
        char pattern[CONTROL_PATTERN_MAX + 1], text[SJ_TASK_NAME_MAX + 1];
        for (size_t i = 0; i + 1 < sizeof(pattern); i++)
                pattern[i] = i % 2 ? 'a' : '*';
        memset(text, 'a', sizeof(text) - 1);
        pattern[sizeof(pattern) - 1] = text[sizeof(text) - 1] = '\0';
        pattern[sizeof(pattern) - 2] = 'b';
        assert_false(control_glob(sj_str_of(pattern), sj_str_of(text)));
}

static void what_is_no_request_is_refused_with_a_reason(void **state)
{
        (void)state;
        static const struct {
                const char *body;
                const char *why;
        } rows[] = {
                {"{}", "it has no method"},
                {"[]", "it has no method"},
                {"{\"method\": 3}", "it has no method"},
                {"{\"method\": \"m\", \"arguments\": []}", "its arguments are not an object"},
                {"{\"method\": \"m\", \"destination\": \"a\"}", "its destination is not a list"},
                {"{\"method\": \"m\", \"reply_to\": \"a\"}", "its reply_to is not an object"},
        };
        const letter to = {.exchange = SJ_STR(CONTROL_CHANNEL)};
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                sj_str text;
                control_request request;
                const char *why = NULL;
                assert_int_equal(
                        letter_encode(arena, &to, SJ_STR("{}"), sj_str_of(rows[i].body), &text), 0);
                assert_int_equal(control_request_decode(arena, text, &request, &why), -EBADMSG);
                assert_string_equal(why, rows[i].why);
        }
}

#define PACKED(body)                                                                             \
        "{\"body\": \"" body "\", \"content-type\": \"application/x-msgpack\", "                 \
        "\"content-encoding\": \"binary\", \"headers\": {}, \"properties\": {\"delivery_tag\": " \
        "\"d\", \"body_encoding\": \"base64\", \"delivery_info\": {\"exchange\": "               \
        "\"celery.pidbox\", \"routing_key\": \"\"}}}"

/* Who accepts nothing but msgpack is answered in it. */
static void a_reply_is_written_as_its_request_was(void **state)
{
        (void)state;
        for (int packed = 0; packed < 2; packed++) {
                const char *why;
                letter l;
                control_reply reply;
                int64_t clock;
                sj_str text;
                const control_request sent = {.method = SJ_STR("ping"),
                                              .ticket = SJ_STR("t"),
                                              .reply_key = SJ_STR("k"),
                                              .packed = packed};
                control_request got = {.packed = !packed};
                assert_int_equal(control_request_encode(arena, &sent, &text), 0);
                assert_int_equal(control_request_decode(arena, text, &got, &why), 0);
                assert_string_equal(got.method.data, "ping");
                assert_int_equal(control_reply_encode(arena, &got, SJ_STR("w@here"),
                                                      SJ_STR("{\"ok\": \"pong\"}"), 1, &text),
                                 0);
                assert_int_equal(letter_decode(arena, text, &l, &why), 0);
                assert_int_equal(l.packed, packed);
                assert_int_equal(memmem(text.data, text.n, "x-msgpack", 9) != NULL, packed);
                assert_int_equal(
                        control_reply_decode(arena, text, SJ_STR("t"), &reply, &clock, &why), 0);
                assert_string_equal(letter_text(reply.value, "ok").data, "pong");
        }
}

/* As a Celery with task_serializer = "msgpack" sends a ping. */
static void requests_may_be_in_msgpack(void **state)
{
        (void)state;
        control_request request;
        const char *why = NULL;
        const char *ping = PACKED("h6ZtZXRob2SkcGluZ6lhcmd1bWVudHOAq2Rlc3RpbmF0aW9uwKdwYXR0ZXJu"
                                  "wKdtYXRjaGVywKZ0aWNrZXShdKhyZXBseV90b4KoZXhjaGFuZ2WzcmVwbHku"
                                  "Y2VsZXJ5LnBpZGJveKtyb3V0aW5nX2tleaFr");
        assert_int_equal(control_request_decode(arena, sj_str_of(ping), &request, &why), 0);
        assert_true(sj_str_equal(request.method, SJ_STR("ping")));
        /* An array of four thousand million, and a map that ends too soon. */
        static const char *const odd[] = {PACKED("3f////8="), PACKED("gg=="), PACKED("wQ==")};
        for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
                why = NULL;
                assert_true(control_request_decode(arena, sj_str_of(odd[i]), &request, &why) < 0);
                assert_non_null(why);
        }
}

static void a_clock_goes_beyond_what_it_hears(void **state)
{
        (void)state;
        queue_clock c = {0};
        assert_int_equal(queue_clock_forward(&c), 1);
        assert_int_equal(queue_clock_adjust(&c, 40), 41);
        assert_int_equal(queue_clock_adjust(&c, 3), 42);
        assert_int_equal(queue_clock_adjust(&c, -7), 43);
        assert_int_equal(queue_clock_adjust(&c, INT64_MAX), 44);
        assert_int_equal(queue_clock_value(&c), 44);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(requests_are_read_and_written_as_captured),
                cmocka_unit_test(replies_are_read_and_written_as_captured),
                cmocka_unit_test(requests_are_for_whom_they_say),
                cmocka_unit_test(globs_match_as_in_python),
                cmocka_unit_test(a_glob_of_many_stars_ends_soon),
                cmocka_unit_test(what_is_no_request_is_refused_with_a_reason),
                cmocka_unit_test(requests_may_be_in_msgpack),
                cmocka_unit_test(a_reply_is_written_as_its_request_was),
                cmocka_unit_test(a_clock_goes_beyond_what_it_hears),
        };
        return cmocka_run_group_tests(tests, arena_unit_begin, arena_unit_end);
}
