/* SPDX-License-Identifier: MIT */
/*
 * What begins a canvas, held against what Celery itself has sent: every id is replaced by the place
 * where it is first seen, and then body, group, place, root and parent are the same to the byte.
 */
#include "queue/canvas/canvas_unit.h"

#include "base/base64.h"

#include <ctype.h>

static bool is_id(const char *at)
{
        for (int i = 0; i < 36; i++) {
                bool dash = i == 8 || i == 13 || i == 18 || i == 23;
                if (dash ? at[i] != '-' : !isxdigit((unsigned char)at[i]))
                        return false;
        }
        return true;
}

/* The ids of a set of messages, each under the number of when it was first seen. */
typedef struct ids {
        char seen[64][37];
        int n;
} ids;

static sj_str without_ids(ids *known, sj_str text)
{
        char *out = sj_arena_alloc(arena, text.n + 1);
        size_t n = 0;
        for (size_t i = 0; i < text.n;) {
                if (text.n - i < 36 || !is_id(text.data + i)) {
                        out[n++] = text.data[i++];
                        continue;
                }
                int k = 0;
                while (k < known->n && memcmp(known->seen[k], text.data + i, 36) != 0)
                        k++;
                assert_true(k < 64);
                if (k == known->n)
                        memcpy(known->seen[known->n++], text.data + i, 36);
                n += (size_t)snprintf(out + n, 36, "<%d>", k);
                i += 36;
        }
        out[n] = 0;
        return (sj_str){out, n};
}

/* What a message says, but for who sent it. */
static sj_str told(ids *known, sj_str envelope)
{
        static const char *const headers[] = {
                "task",      "id",          "shadow",     "eta",          "expires",
                "group",     "group_index", "retries",    "timelimit",    "root_id",
                "parent_id", "argsrepr",    "kwargsrepr", "ignore_result"};
        const sj_json *e = parse(envelope), *h = sj_json_member(e, "headers");
        sj_str body;
        assert_int_equal(sj_json_string(sj_json_member(e, "body"), &body), 0);
        char *bytes = sj_arena_alloc(arena, body.n + 1);
        size_t n;
        assert_int_equal(base64_decode(body, bytes, &n), 0);
        sj_str all = format("%.*s", (int)n, bytes);
        for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
                all = format("%.*s\n%s: %.*s", SJ_STR_ARG(all), headers[i],
                             SJ_STR_ARG(text_of(sj_json_member(h, headers[i]))));
        sj_str reply = text_of(sj_json_member(sj_json_member(e, "properties"), "reply_to"));
        all = format("%.*s\nreply_to: %.*s", SJ_STR_ARG(all), SJ_STR_ARG(reply));
        return without_ids(known, all);
}

static void assert_as_golden(const canvas_start *s, const char *const names[], size_t n)
{
        ids ours = {.n = 0}, theirs = {.n = 0};
        assert_int_equal(s->n_messages, n);
        for (size_t i = 0; i < n; i++) {
                sj_str a = told(&ours, s->messages[i].envelope);
                sj_str b = told(&theirs, read_capture(names[i]));
                if (!sj_str_equal(a, b))
                        fail_msg("%s\nours:   %.*s\ntheirs: %.*s", names[i], SJ_STR_ARG(a),
                                 SJ_STR_ARG(b));
        }
}
#define AS_GOLDEN(s, ...)                                       \
        assert_as_golden(s, (const char *const[]){__VA_ARGS__}, \
                         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void a_chain_is_sent_as_celery_sends_it(void **state)
{
        (void)state;
        canvas_start s = start_of(chain(LIST(add("[2, 2]"), add("[4]"), task("mul", "[8]", ""))));
        AS_GOLDEN(&s, "chain3");
        assert_int_equal(s.n_joins, 0);
}

static void nested_chains_are_one(void **state)
{
        (void)state;
        canvas_start s = start_of(
                chain(LIST(chain(LIST(add("[2, 2]"), chain(add("[4]")))), task("mul", "[8]", ""))));
        AS_GOLDEN(&s, "chain3");
}

static void an_errback_of_a_chain_is_each_links(void **state)
{
        (void)state;
        const char *boom = "{\"task\": \"capapp.boom\", \"args\": [], \"kwargs\": {}, \"options\": "
                           "{}, \"subtask_type\": null, \"immutable\": true}";
        const char *tasks = LIST(add("[2, 2]"), boom, task("mul", "[8]", ""));
        canvas_start s =
                start_of(composite("chain", format("\"tasks\": [%s]", tasks).data,
                                   format("\"link_error\": [%s]", task("onerr1", "[]", "")).data));
        AS_GOLDEN(&s, "chain3-linkerr");
}

static void the_next_link_is_sent_as_celery_sends_it(void **state)
{
        (void)state;
        message first = decode(read_capture("chain3-step0"));
        context.root = context.parent = first.id;
        context.reply_to = (sj_str){NULL, 0};
        const sj_json *rest[] = {sj_json_at(first.chain, 0)};
        sj_str behind = text_of(sj_json_new_array(arena, rest, 1));
        canvas_start s = next_of(sj_json_at(first.chain, 1), "4", behind.data);
        AS_GOLDEN(&s, "chain3-step1");
        message second = sent(&s, 0);
        context.parent = second.id;
        s = next_of(sj_json_at(second.chain, 0), "8", "[]");
        AS_GOLDEN(&s, "chain3-step2");
        assert_true(sj_str_equal(s.id, SJ_STR("959a03b3-a54b-40ad-8b6d-e2753160f206")));
}

static void a_group_is_sent_as_celery_sends_it(void **state)
{
        (void)state;
        canvas_start s = start_of(group(LIST(add("[1, 1]"), add("[2, 2]"), add("[3, 3]"))));
        AS_GOLDEN(&s, "group3-0", "group3-1", "group3-2");
        message m = sent(&s, 0);
        assert_true(sj_str_equal(s.id, m.group));
        assert_int_equal(s.n_joins, 0);
}

static void a_chord_is_sent_as_celery_sends_it(void **state)
{
        (void)state;
        canvas_start s = start_of(chord(LIST(add("[1, 1]"), add("[2, 2]"), add("[3, 3]")), TSUM));
        AS_GOLDEN(&s, "chord3-0", "chord3-1", "chord3-2");
        message m = sent(&s, 2);
        assert_int_equal(s.n_joins, 1);
        assert_int_equal(s.joins[0].size, 3);
        assert_true(sj_str_equal(s.joins[0].group, m.group));
        assert_int_equal(s.joins[0].body.n, 0);
}

static void the_body_of_a_chord_is_sent_as_celery_sends_it(void **state)
{
        (void)state;
        message member = decode(read_capture("chain-group-chord-step2"));
        canvas_start s;
        message_error error;
        context.root = context.parent = SJ_STR("somebody else");
        assert_int_equal(canvas_begin_body(arena, &context, member.chord, parse(SJ_STR("[4, 5]")),
                                           &s, &error),
                         0);
        AS_GOLDEN(&s, "chain-group-chord-step3");
}

static void of_chains_in_a_header_the_last_links_arrive(void **state)
{
        (void)state;
        canvas_start s =
                start_of(chord(LIST(chain(LIST(add("[1, 1]"), add("[1]"))), add("[2, 2]")), TSUM));
        AS_GOLDEN(&s, "chord-of-chains-0", "chord-of-chains-1");
        assert_int_equal(s.joins[0].size, 2);
}

static void of_a_chord_in_a_header_the_body_arrives(void **state)
{
        (void)state;
        canvas_start s = start_of(
                chord(LIST(chord(LIST(add("[1, 1]"), add("[2, 2]")), TSUM), add("[3, 3]")), TSUM));
        AS_GOLDEN(&s, "chord-nested-chord-0", "chord-nested-chord-1", "chord-nested-chord-2");
        assert_int_equal(s.n_joins, 2);
        assert_int_equal(s.joins[0].size, 2);
        assert_int_equal(s.joins[1].size, 2);
}

static void a_group_in_a_header_is_flattened_from_its_end(void **state)
{
        (void)state;
        canvas_start s = start_of(
                chord(LIST(group(LIST(add("[1, 1]"), add("[2, 2]"))), add("[3, 3]")), TSUM));
        AS_GOLDEN(&s, "chord-nested-group-0", "chord-nested-group-1", "chord-nested-group-2");
        assert_int_equal(s.joins[0].size, 3);
}

static void a_group_in_a_chain_is_sent_as_celery_sends_it(void **state)
{
        (void)state;
        canvas_start s =
                start_of(chain(LIST(add("[1, 1]"), group(LIST(add("[2]"), add("[3]"))), TSUM)));
        AS_GOLDEN(&s, "chain-of-group");
}

static void a_chord_in_a_chain_begins_as_celery_begins_it(void **state)
{
        (void)state;
        message first = decode(read_capture("chain-group-chord-step0"));
        context.root = context.parent = first.id;
        canvas_start s = next_of(sj_json_at(first.chain, 0), "2", "[]");
        AS_GOLDEN(&s, "chain-group-chord-step1", "chain-group-chord-step2");
        assert_int_equal(s.joins[0].size, 2);
        /* The group that the client knows; Celery before 5.3 made up another one. */
        message m = sent(&s, 1);
        assert_true(sj_str_equal(m.group, SJ_STR("9683f10e-6de8-4afc-ae77-e13f97cff76a")));
}

static void chunks_are_a_group_of_starmaps(void **state)
{
        (void)state;
        canvas_start s = start_of(
                format("{\"task\": \"celery.chunks\", \"args\": [], \"kwargs\": {\"task\": %s, "
                       "\"it\": [[0, 0], [1, 1], [2, 2], [3, 3]], \"n\": 2}, \"options\": {}, "
                       "\"subtask_type\": null, \"immutable\": true}",
                       add("[]"))
                        .data);
        assert_int_equal(s.n_messages, 2);
        message a = sent(&s, 0), b = decode(read_capture("chunks-0"));
        assert_true(sj_str_equal(text_of(a.kwargs), text_of(b.kwargs)));
        assert_true(sj_str_equal(a.task, b.task));
        assert_true(sj_str_equal(a.group, s.id));
        a = sent(&s, 1), b = decode(read_capture("chunks-1"));
        assert_true(sj_str_equal(text_of(a.kwargs), text_of(b.kwargs)));
}

static void a_group_of_one_in_a_chain_is_that_one(void **state)
{
        (void)state;
        canvas_start s =
                start_of(chain(LIST(add("[2, 2]"), group(add("[4]")), task("mul", "[8]", ""))));
        AS_GOLDEN(&s, "chain3");
}

static void tuples_are_celerys(void **state)
{
        (void)state;
        ids known = {.n = 0};
        canvas_start s =
                start_of(chain(LIST(add("[1, 1]"), group(LIST(add("[2]"), add("[3]"))), TSUM)));
        assert_text(without_ids(&known, text_of(s.child)), "[[\"<0>\",null],null]");
        assert_text(without_ids(&known, text_of(s.tuple)),
                    "[[\"<1>\",[[\"<2>\",[[\"<0>\",null],null]],[[[\"<3>\",null],null],[[\"<4>\","
                    "null],null]]]],null]");
        message m = sent(&s, 0);
        canvas_start t = next_of(sj_json_at(m.chain, 0), "2", "[]");
        assert_text(without_ids(&known, text_of(t.child)),
                    "[[\"<2>\",null],[[[\"<3>\",null],null],[[\"<4>\",null],null]]]");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                CANVAS_TEST(a_chain_is_sent_as_celery_sends_it),
                CANVAS_TEST(nested_chains_are_one),
                CANVAS_TEST(an_errback_of_a_chain_is_each_links),
                CANVAS_TEST(the_next_link_is_sent_as_celery_sends_it),
                CANVAS_TEST(a_group_is_sent_as_celery_sends_it),
                CANVAS_TEST(a_chord_is_sent_as_celery_sends_it),
                CANVAS_TEST(the_body_of_a_chord_is_sent_as_celery_sends_it),
                CANVAS_TEST(of_chains_in_a_header_the_last_links_arrive),
                CANVAS_TEST(of_a_chord_in_a_header_the_body_arrives),
                CANVAS_TEST(a_group_in_a_header_is_flattened_from_its_end),
                CANVAS_TEST(a_group_in_a_chain_is_sent_as_celery_sends_it),
                CANVAS_TEST(a_chord_in_a_chain_begins_as_celery_begins_it),
                CANVAS_TEST(chunks_are_a_group_of_starmaps),
                CANVAS_TEST(a_group_of_one_in_a_chain_is_that_one),
                CANVAS_TEST(tuples_are_celerys),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
