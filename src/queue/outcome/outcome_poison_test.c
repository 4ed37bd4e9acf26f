/* SPDX-License-Identifier: MIT */
/*
 * Messages that kill a worker of Celery's, or vanish in one (protocol §1.1): ours decides what
 * becomes of each, and keeps those that cannot be run with a reason.
 */
#include "queue/outcome/outcome_unit.h"
#include "queue/queue_testdata.h"

#include <dirent.h>
#include <stdio.h>

enum { MUTATIONS = 10000 };

/* What becomes of an envelope: 0 it is run, 1 *ret is its end. */
static int judge(sj_str envelope, broker_settlement *ret, outcome_arrivals *arrivals)
{
        message m;
        message_error error;
        const task_info info = {.name = SJ_STR("t"), .max_deliveries = 5};
        const outcome_context context = {.now = {NOW}, .worker = SJ_STR("w@h")};
        const broker_lease lease = {.message = {.id = SJ_STR("the-id"),
                                                .queue = SJ_STR("q"),
                                                .task = SJ_STR("t"),
                                                .envelope = envelope},
                                    .deliveries = 1};
        int r = message_decode(arena, envelope, &m, &error);
        assert_true(r == 0 || r == -EBADMSG);
        const outcome_delivery d = {.lease = &lease,
                                    .m = &m,
                                    .error = r < 0 ? &error : NULL,
                                    .info = r < 0 ? NULL : &info,
                                    .arrivals = arrivals};
        int before = outcome_before(&context, &d, arena, ret);
        if (before == 1) {
                assert_true(ret->verdict != BROKER_DEAD || ret->reason.n > 0);
                assert_true(ret->n_results > 0);
                return 1;
        }
        assert_int_equal(before, 0);
        assert_int_equal(r, 0);
        /* And what follows from it, whatever came with it. */
        const task_return done = {.end = TASK_SUCCEEDED, .value = SJ_STR("1")};
        const task_return failed = task_failed("builtins", "ValueError", SJ_STR("[]"));
        broker_settlement after;
        assert_int_equal(outcome_after(&context, &d, &done, arena, &after), 0);
        assert_int_equal(outcome_after(&context, &d, &failed, arena, &after), 0);
        return 0;
}

static void expect_dead(const char *text)
{
        broker_settlement s;
        outcome_arrivals a = {0};
        if (judge(sj_str_of(text), &s, &a) != 1)
                fail_msg("it would be run: %s", text);
        assert_int_equal(s.verdict, BROKER_DEAD);
}

static void expect_run(const char *text)
{
        broker_settlement s;
        outcome_arrivals a = {0};
        if (judge(sj_str_of(text), &s, &a) != 0)
                fail_msg("%.*s: %s", SJ_STR_ARG(s.reason), text);
}

/* W1sxXSwge30sIHt9XQ== is [[1], {}, {}]. */
#define BODY_SOUND "\"W1sxXSwge30sIHt9XQ==\""
#define INFO       "\"delivery_info\": {\"exchange\": \"\", \"routing_key\": \"q\"}"
#define PROPS      "{\"delivery_tag\": \"t\", " INFO ", \"body_encoding\": \"base64\"}"
#define TYPE       "\"content-type\": \"application/json\", \"content-encoding\": \"utf-8\""
#define HEADERS    "{\"task\": \"t\", \"id\": \"i\"}"
#define WITH(body, headers, props, type) \
        "{\"body\": " body ", \"headers\": " headers ", \"properties\": " props ", " type "}"
/* With that for where it was sent. */
#define UNSENT(info) \
        "{\"delivery_tag\": \"t\", \"delivery_info\": " info ", \"body_encoding\": \"base64\"}"
/* A body that is not encoded. */
#define PLAIN "{\"delivery_tag\": \"t\", " INFO "}"

static void the_least_that_celery_accepts_is_run(void **state)
{
        (void)state;
        expect_run(WITH(BODY_SOUND, HEADERS, PROPS, TYPE));
        expect_run(WITH("\"[[1], {}, null]\"", HEADERS, PLAIN, TYPE));
        expect_run(WITH(BODY_SOUND, "{\"task\": \"t\", \"id\": \"i\", \"timelimit\": null}", PROPS,
                        TYPE));
}

static void an_envelope_that_ends_a_worker_of_celerys_is_dead(void **state)
{
        (void)state;
        expect_dead("{");
        expect_dead("[]");
        expect_dead("null");
        expect_dead("");
        expect_dead("{\"body\": " BODY_SOUND ", \"headers\": " HEADERS ", " TYPE "}");
        expect_dead(WITH(BODY_SOUND, HEADERS, "5", TYPE));
        expect_dead(WITH(BODY_SOUND, HEADERS, "{" INFO ", \"body_encoding\": \"base64\"}", TYPE));
        expect_dead(WITH(BODY_SOUND, HEADERS, UNSENT("null"), TYPE));
        expect_dead(WITH(BODY_SOUND, HEADERS, UNSENT("{}"), TYPE));
        expect_dead(WITH(BODY_SOUND, HEADERS, UNSENT("{\"exchange\": \"\"}"), TYPE));
        expect_dead(WITH(BODY_SOUND, HEADERS, UNSENT("{\"routing_key\": \"q\"}"), TYPE));
        expect_dead(WITH(BODY_SOUND, HEADERS, UNSENT("[\"\", \"q\"]"), TYPE));
        expect_dead(WITH(BODY_SOUND, HEADERS,
                         "{\"delivery_tag\": \"t\", \"body_encoding\": \"base64\"}", TYPE));
}

static void headers_that_end_a_worker_of_celerys_are_dead_or_harmless(void **state)
{
        (void)state;
        expect_dead(WITH(BODY_SOUND, "{\"task\": \"t\"}", PROPS, TYPE));
        expect_dead(WITH(BODY_SOUND, "{\"task\": \"t\", \"id\": \"i\", \"timelimit\": [1]}", PROPS,
                         TYPE));
        expect_dead(WITH(BODY_SOUND, "{\"task\": \"t\", \"id\": \"i\", \"eta\": 5}", PROPS, TYPE));
        expect_dead(WITH(BODY_SOUND, "{\"task\": \"t\", \"id\": \"i\", \"eta\": \"soon\"}", PROPS,
                         TYPE));
        expect_dead(
                WITH(BODY_SOUND, "{\"task\": \"t\", \"id\": \"i\", \"expires\": 5}", PROPS, TYPE));
        expect_run(WITH(BODY_SOUND,
                        "{\"task\": \"t\", \"id\": \"i\", "
                        "\"eta\": \"2020-01-01T00:00:00.1234567+00:00\"}",
                        PROPS, TYPE));
}

static void bodies_that_end_a_worker_of_celerys_are_dead(void **state)
{
        (void)state;
        expect_dead(WITH("\"[[1], {}]\"", HEADERS, PLAIN, TYPE));
        expect_dead(WITH("\"[[1], {}, {}, 5]\"", HEADERS, PLAIN, TYPE));
        expect_dead(WITH("\"[[1], {}\"", HEADERS, PLAIN, TYPE));
        expect_dead(WITH("\"[[1], null, {}]\"", HEADERS, PLAIN, TYPE));
        expect_dead(WITH("\"[[1], [], {}]\"", HEADERS, PLAIN, TYPE));
        expect_dead(WITH("\"[null, {}, {}]\"", HEADERS, PLAIN, TYPE));
        expect_dead(WITH("\"%\"", HEADERS, PROPS, TYPE));
}

static void contents_that_are_not_accepted_are_dead(void **state)
{
        (void)state;
        expect_dead(WITH(BODY_SOUND, HEADERS, PROPS,
                         "\"content-type\": \"application/x-python-serialize\", "
                         "\"content-encoding\": \"binary\""));
        expect_dead(WITH(BODY_SOUND, HEADERS, PROPS,
                         "\"content-type\": \"application/x-yaml\", \"content-encoding\": "
                         "\"utf-8\""));
        expect_dead(WITH(BODY_SOUND, HEADERS, PROPS,
                         "\"content-type\": \"text/odd\", \"content-encoding\": \"utf-8\""));
        expect_dead("{\"body\": " BODY_SOUND ", \"headers\": " HEADERS ", \"properties\": " PROPS
                    "}");
}

/* ── Mutations of what real ones send ────────────────────────────────────────────────────── */

static uint64_t random_state = 20261120;

/* xorshift64*: the same on every machine. */
static uint64_t draw(uint64_t n)
{
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return (random_state * 2685821657736338717u >> 16) % n;
}

static const char *const pieces[] = {
        "null", "[]",         "{}",      "-1",        "1e999",       "\"\"", "99999999999999999999",
        "true", "[[[[[[[[[[", "\\ud800", "\"chord\"", "\"options\"", ",",    ":",
        "NaN",  "\\u0000"};

static size_t mutate(char *text, size_t n, size_t room)
{
        for (uint64_t times = 1 + draw(4); times > 0; times--) {
                size_t at = (size_t)draw(n), some = (size_t)draw(40);
                const char *piece = pieces[draw(sizeof(pieces) / sizeof(pieces[0]))];
                switch (draw(4)) {
                case 0:
                        text[at] = (char)draw(256);
                        break;
                case 1:
                        some = some < n - at ? some : n - at;
                        memmove(text + at, text + at + some, n - at - some);
                        n -= some < n ? some : 0;
                        break;
                case 2:
                        some = strlen(piece);
                        if (n + some >= room)
                                break;
                        memmove(text + at + some, text + at, n - at);
                        memcpy(text + at, piece, some);
                        n += some;
                        break;
                default:
                        some = strlen(piece) < n - at ? strlen(piece) : n - at;
                        memcpy(text + at, piece, some);
                        break;
                }
                if (n == 0)
                        return 0;
        }
        return n;
}

enum { FILES_MAX = 200, ROOM = 65536 };

/* Messages of tasks; the body as plain text now and then, so that it is mutated, too. */
static size_t load(sj_str files[])
{
        size_t n = 0;
        DIR *dir = opendir(QUEUE_TESTDATA);
        assert_non_null(dir);
        for (struct dirent *entry; (entry = readdir(dir)) && n < FILES_MAX;) {
                char path[512];
                size_t length = strlen(entry->d_name);
                if (length < 5 || strcmp(entry->d_name + length - 5, ".json") != 0 ||
                    strncmp(entry->d_name, "result-", 7) == 0)
                        continue;
                snprintf(path, sizeof(path), "%s/%s", QUEUE_TESTDATA, entry->d_name);
                FILE *f = fopen(path, "rb");
                char *text = malloc(ROOM);
                assert_true(f && text);
                files[n++] = (sj_str){text, fread(text, 1, ROOM / 2, f)};
                fclose(f);
        }
        closedir(dir);
        return n;
}

/* The same message with its body as the text that it is. */
static sj_str unfold(sj_str envelope)
{
        message m;
        message_error error;
        sj_str body, text = envelope;
        if (message_decode(arena, envelope, &m, &error) < 0 || !m.embed || !m.args)
                return envelope;
        const sj_json *parts[] = {m.args, m.kwargs, m.embed};
        const sj_json *list = sj_json_new_array(arena, parts, 3);
        if (sj_json_text(arena, list, SJ_JSON_PYTHON, &body) < 0)
                return envelope;
        const sj_str names[] = {SJ_STR("body"), SJ_STR("headers"), SJ_STR("properties"),
                                SJ_STR("content-type"), SJ_STR("content-encoding")};
        const sj_json *values[] = {sj_json_new_string(arena, body), m.headers, parse(SJ_STR(PLAIN)),
                                   sj_json_new_string(arena, SJ_STR("application/json")),
                                   sj_json_new_string(arena, SJ_STR("utf-8"))};
        const sj_json *whole = sj_json_new_object(arena, names, values, 5);
        if (whole)
                sj_json_text(arena, whole, SJ_JSON_PYTHON, &text);
        return text;
}

static void ten_thousand_mutations_each_end_in_a_settlement(void **state)
{
        (void)state;
        static sj_str files[FILES_MAX];
        size_t n = load(files), run = 0, dead = 0;
        char *text = malloc(ROOM);
        assert_true(n > 40 && text);
        for (unsigned i = 0; i < MUTATIONS; i++) {
                broker_settlement s;
                outcome_arrivals a = {0};
                sj_arena_reset(arena);
                sj_str from = files[draw(n)];
                if (draw(2))
                        from = unfold(from);
                assert_true(from.n < ROOM);
                memcpy(text, from.data, from.n);
                size_t length = mutate(text, from.n, ROOM);
                /* A copy of its exact size, so that a sanitizer sees a byte too far. */
                char *exact = malloc(length + 1);
                memcpy(exact, text, length);
                if (judge((sj_str){exact, length}, &s, &a) == 0)
                        run++;
                else
                        dead++;
                free(exact);
        }
        free(text);
        for (size_t i = 0; i < n; i++)
                free((void *)(uintptr_t)files[i].data);
        /* Else they would show nothing. */
        assert_true(run > MUTATIONS / 20 && dead > MUTATIONS / 20);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_least_that_celery_accepts_is_run),
                cmocka_unit_test(an_envelope_that_ends_a_worker_of_celerys_is_dead),
                cmocka_unit_test(headers_that_end_a_worker_of_celerys_are_dead_or_harmless),
                cmocka_unit_test(bodies_that_end_a_worker_of_celerys_are_dead),
                cmocka_unit_test(contents_that_are_not_accepted_are_dead),
                cmocka_unit_test(ten_thousand_mutations_each_end_in_a_settlement),
        };
        return cmocka_run_group_tests(tests, begin, end);
}
