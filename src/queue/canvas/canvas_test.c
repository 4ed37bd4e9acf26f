/* SPDX-License-Identifier: MIT */
/* What begins a canvas, where no capture shows it; and what is behind one that has failed. */
#include "queue/canvas/canvas_unit.h"

static void a_group_at_the_end_of_a_chain_begins_when_its_turn_comes(void **state)
{
        (void)state;
        canvas_start s = start_of(chain(LIST(add("[1, 1]"), group(LIST(add("[2]"), add("[3]"))))));
        assert_int_equal(s.n_messages, 1);
        message m = sent(&s, 0);
        canvas_start t = next_of(sj_json_at(m.chain, 0), "2", "[]");
        assert_int_equal(t.n_messages, 2);
        assert_true(sj_str_equal(t.id, s.id));
        m = sent(&t, 1);
        assert_text(text_of(m.args), "[2, 3]");
        assert_true(sj_str_equal(m.group, s.id));
        assert_int_equal(t.n_joins, 0);
}

static void a_group_before_a_group_is_a_chord_with_it_as_its_body(void **state)
{
        (void)state;
        canvas_start s =
                start_of(chain(LIST(group(LIST(add("[1, 1]"), add("[2, 2]"))),
                                    group(LIST(task("f", "[]", ""), task("g", "[]", ""))), TSUM)));
        assert_int_equal(s.n_messages, 2);
        assert_int_equal(s.n_joins, 1);
        message m = sent(&s, 0);
        canvas_start t;
        message_error error;
        assert_int_equal(
                canvas_begin_body(arena, &context, m.chord, parse(SJ_STR("[2, 4]")), &t, &error),
                0);
        assert_int_equal(t.n_messages, 2);
        assert_int_equal(t.n_joins, 1);
        m = sent(&t, 1);
        assert_text(m.task, "capapp.g");
        assert_text(text_of(m.args), "[[2, 4]]");
        assert_true(sj_str_equal(message_signature_id(m.chord), s.id));
}

static void without_a_header_the_body_begins_at_once(void **state)
{
        (void)state;
        canvas_start s = start_of(chord("", TSUM));
        assert_int_equal(s.n_messages, 1);
        assert_int_equal(s.n_joins, 0);
        message m = sent(&s, 0);
        assert_text(m.task, "capapp.tsum");
        assert_text(text_of(m.args), "[[]]");
        s = start_of(chain(LIST(group(""), TSUM, add("[1]"))));
        m = sent(&s, 0);
        assert_text(m.task, "capapp.tsum");
        assert_int_equal(sj_json_count(m.chain), 1);
}

static void what_is_behind_a_chord_is_behind_its_body(void **state)
{
        (void)state;
        canvas_start s = start_of(
                chain(LIST(chord(LIST(add("[1, 1]"), add("[2, 2]")), chain(LIST(TSUM, add("[1]")))),
                           task("mul", "[8]", ""))));
        assert_int_equal(s.n_messages, 2);
        message m = sent(&s, 0);
        canvas_start t;
        message_error error;
        assert_int_equal(
                canvas_begin_body(arena, &context, m.chord, parse(SJ_STR("[2, 4]")), &t, &error),
                0);
        m = sent(&t, 0);
        assert_text(m.task, "capapp.tsum");
        assert_int_equal(sj_json_count(m.chain), 2);
        assert_true(sj_str_equal(message_signature_id(sj_json_at(m.chain, 0)), s.id));
}

static void a_group_that_ends_a_chain_in_a_header_counts_all_its_members(void **state)
{
        (void)state;
        canvas_start s =
                start_of(chord(LIST(chain(LIST(add("[1, 1]"), group(LIST(add("[2]"), add("[3]"))))),
                                    add("[3, 3]")),
                               TSUM));
        assert_int_equal(s.joins[0].size, 3);
        message m = sent(&s, 1), first = sent(&s, 0);
        assert_int_equal(m.group_index, 2);
        canvas_start t = next_of(sj_json_at(first.chain, 0), "2", "[]");
        assert_int_equal(t.n_joins, 0);
        canvas_part part;
        for (size_t i = 0; i < 2; i++) {
                m = sent(&t, i);
                assert_true(canvas_arrival(&m, &part));
                assert_true(sj_str_equal(part.group, s.joins[0].group));
                assert_int_equal(part.index, i);
        }
}

static void links_of_a_chord_are_its_bodys(void **state)
{
        (void)state;
        const char *kwargs = format("\"header\": [%s], \"body\": %s", add("[1, 1]"), TSUM).data;
        canvas_start s =
                start_of(composite("chord", kwargs,
                                   format("\"link\": %s, \"link_error\": [%s], \"queue\": \"far\"",
                                          add("[1]"), task("onerr1", "[]", ""))
                                           .data));
        message m = sent(&s, 0);
        assert_null(m.callbacks);
        assert_null(m.errbacks);
        assert_text(m.routing_key, "far");
        const sj_json *options = sj_json_member(m.chord, "options");
        assert_int_equal(sj_json_count(sj_json_member(options, "link")), 1);
        assert_int_equal(sj_json_count(sj_json_member(options, "link_error")), 1);
        assert_text(text_of(sj_json_member(options, "queue")), "\"far\"");
}

static void the_link_of_a_chain_is_its_last_ones(void **state)
{
        (void)state;
        canvas_start s = start_of(
                composite("chain", format("\"tasks\": [%s, %s]", add("[1, 1]"), add("[2]")).data,
                          format("\"link\": [%s], \"task_id\": \"the-end\", \"countdown\": 5",
                                 task("f", "[]", ""))
                                  .data));
        message m = sent(&s, 0);
        assert_text(s.id, "the-end");
        assert_null(m.callbacks);
        assert_int_equal(m.eta.us, 6000000);
        const sj_json *options = sj_json_member(sj_json_at(m.chain, 0), "options");
        assert_int_equal(sj_json_count(sj_json_member(options, "link")), 1);
        assert_null(sj_json_member(options, "countdown"));
}

static void an_immutable_one_gets_no_result(void **state)
{
        (void)state;
        const char *si = "{\"task\": \"f\", \"args\": [7], \"kwargs\": {}, \"options\": {}, "
                         "\"subtask_type\": null, \"immutable\": true}";
        canvas_start s = next_of(parse(sj_str_of(group(LIST(si, add("[1]"))))), "5", NULL);
        message m = sent(&s, 0);
        assert_text(text_of(m.args), "[7]");
        m = sent(&s, 1);
        assert_text(text_of(m.args), "[5, 1]");
}

static sj_str route_by_name(void *arg, sj_str name)
{
        (void)arg;
        return sj_str_equal(name, SJ_STR("capapp.add")) ? SJ_STR("adders") : (sj_str){NULL, 0};
}

static void each_goes_to_its_own_queue(void **state)
{
        (void)state;
        context.route = route_by_name;
        canvas_start s = start_of(group(
                LIST(add("[1]"), task("f", "[]", ""), task("g", "[]", "\"queue\": \"q\""),
                     format("{\"task\": \"celery.starmap\", \"args\": [], \"kwargs\": {\"task\": "
                            "%s, \"it\": []}, \"options\": {}, \"subtask_type\": null, "
                            "\"immutable\": true}",
                            add("[]"))
                             .data)));
        assert_text(s.messages[0].queue, "adders");
        assert_text(s.messages[1].queue, "celery");
        assert_text(s.messages[2].queue, "q");
        assert_text(s.messages[3].queue, "adders");
}

static void a_link_that_is_there_is_not_added_again(void **state)
{
        (void)state;
        const char *f = task("f", "[]", ""), *g = task("g", "[]", "");
        const char *first = task("add", "[1, 1]", format("\"link_error\": %s", f).data);
        canvas_start s = start_of(composite("chain", format("\"tasks\": [%s]", first).data,
                                            format("\"link_error\": [%s, %s]", f, g).data));
        message m = sent(&s, 0);
        assert_int_equal(sj_json_count(m.errbacks), 2);
}

static void an_empty_group_at_the_end_of_a_chain_is_nothing(void **state)
{
        (void)state;
        canvas_start s =
                start_of(chord(LIST(chain(LIST(add("[1, 1]"), group(""))), add("[2, 2]")), TSUM));
        assert_int_equal(s.joins[0].size, 2);
        message m = sent(&s, 0);
        assert_int_equal(m.group_index, 0);
        assert_int_equal(sj_json_count(m.chain), 0);
}

static void a_chain_in_the_options_of_a_link_is_spliced_in(void **state)
{
        (void)state;
        const char *with = task("f", "[]", format("\"chain\": [%s]", add("[3]")).data);
        canvas_start s = start_of(chain(LIST(add("[1, 1]"), with, add("[4]"))));
        message m = sent(&s, 0);
        assert_int_equal(sj_json_count(m.chain), 3);
        for (size_t i = 0; i < 3; i++)
                assert_null(
                        sj_json_member(sj_json_member(sj_json_at(m.chain, i), "options"), "chain"));
}

static void the_id_of_a_header_is_the_groups(void **state)
{
        (void)state;
        const char *header = composite("group", format("\"tasks\": [%s]", add("[1, 1]")).data,
                                       "\"task_id\": \"the-group\", \"queue\": \"q\"");
        canvas_start s = start_of(
                composite("chord", format("\"header\": %s, \"body\": %s", header, TSUM).data,
                          "\"task_id\": \"the-body\""));
        assert_text(s.joins[0].group, "the-group");
        assert_text(s.messages[0].queue, "q");
        assert_text(s.id, "the-body");
}

static void an_immutable_composite_gets_no_result(void **state)
{
        (void)state;
        static const char *const kinds[] = {"group", "chain"};
        for (size_t i = 0; i < 2; i++) {
                canvas_start s = next_of(
                        parse(format("{\"task\": \"celery.%s\", \"args\": [6], \"kwargs\": "
                                     "{\"tasks\": [%s]}, \"options\": {}, \"subtask_type\": "
                                     "\"%s\", \"immutable\": true}",
                                     kinds[i], add("[1]"), kinds[i])),
                        "5", NULL);
                message m = sent(&s, 0);
                assert_text(text_of(m.args), "[6, 1]");
        }
}

static void a_group_of_former_times_does_not_keep_a_member_from_its_join(void **state)
{
        (void)state;
        const char *stale = task("add", "[1, 1]", "\"group_id\": \"old\"");
        canvas_start s = start_of(chord(stale, TSUM));
        message m = sent(&s, 0);
        assert_true(sj_str_equal(m.group, s.joins[0].group));
}

static void what_python_alone_can_say_is_kept(void **state)
{
        (void)state;
        context.compact = true;
        canvas_start s =
                start_of(chord(add("[1, 1]"), task("f", "[NaN, 12345678901234567890]", "")));
        const sj_json *body = parse(s.joins[0].body);
        assert_text(text_of(sj_json_member(body, "args")), "[NaN, 12345678901234567890]");
}

/* ── Failing ─────────────────────────────────────────────────────────────────────────────── */

static void all_behind_a_failure_is_named(void **state)
{
        (void)state;
        for (int compact = 0; compact < 2; compact++) {
                context.compact = compact;
                canvas_start s = start_of(chain(LIST(
                        add("[1, 1]"), chord(LIST(add("[1]"), add("[2]")), TSUM), add("[3]"))));
                message m = sent(&s, 0);
                const canvas_part *parts;
                size_t n = 0, all = 0, arrivals = 0;
                message_error error;
                for (size_t i = 0; i < sj_json_count(m.chain); i++) {
                        assert_int_equal(
                                canvas_abandoned(arena, sj_json_at(m.chain, i), &parts, &n, &error),
                                0);
                        all += n;
                        for (size_t k = 0; k < n; k++)
                                arrivals += parts[k].chord != NULL;
                }
                /* The members of the header; then body and rest, or their arrivals in the join. */
                assert_int_equal(all, compact ? 2 : 4);
                assert_int_equal(arrivals, compact ? 2 : 0);
                if (!compact)
                        continue;
                assert_true(sj_str_equal(parts[0].group, s.joins[0].group));
                assert_int_equal(parts[1].index, 1);
                const sj_json *body = kept(&s, 1, parts[1].group);
                assert_int_equal(canvas_abandoned(arena, body, &parts, &n, &error), 0);
                assert_int_equal(n, 2);
                assert_true(sj_str_equal(parts[1].id, s.id));
        }
}

static void what_is_no_signature_is_refused(void **state)
{
        (void)state;
        static const char *const bad[] = {
                "null",
                "[]",
                "{}",
                "{\"task\": 5}",
                "{\"task\": \"a\", \"args\": {}}",
                "{\"task\": \"a\", \"options\": []}",
                "{\"task\": \"a\", \"options\": {\"task_id\": 5}}",
                "{\"task\": \"a\", \"options\": {\"chain\": {\"a\": 1}}}",
                "{\"task\": \"celery.chain\", \"subtask_type\": \"chain\", \"kwargs\": {}}",
                "{\"task\": \"celery.chain\", \"subtask_type\": \"chain\", \"kwargs\": "
                "{\"tasks\": []}}",
                "{\"task\": \"celery.chain\", \"subtask_type\": \"chain\", \"kwargs\": "
                "{\"tasks\": [1]}}",
                "{\"task\": \"celery.group\", \"subtask_type\": \"group\", \"kwargs\": "
                "{\"tasks\": [{}]}}",
                "{\"task\": \"celery.chord\", \"subtask_type\": \"chord\", \"kwargs\": "
                "{\"header\": []}}",
                "{\"task\": \"celery.chunks\", \"kwargs\": {\"task\": {\"task\": \"a\"}, \"it\": "
                "[1], \"n\": 0}}",
        };
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                canvas_start s;
                message_error error;
                int r = canvas_begin(arena, &context, parse(sj_str_of(bad[i])), NULL, 0, NULL, &s,
                                     &error);
                if (r != -EBADMSG || error.defect == MESSAGE_SOUND || !*error.text)
                        fail_msg("%s: %d", bad[i], r);
        }
}

static void what_is_nested_without_end_is_refused(void **state)
{
        (void)state;
        const char *s = add("[]");
        for (int i = 0; i < CANVAS_DEPTH_MAX + 1; i++)
                s = chain(s);
        canvas_start start;
        message_error error;
        assert_int_equal(
                canvas_begin(arena, &context, parse(sj_str_of(s)), NULL, 0, NULL, &start, &error),
                -EBADMSG);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                CANVAS_TEST(a_group_at_the_end_of_a_chain_begins_when_its_turn_comes),
                CANVAS_TEST(a_group_before_a_group_is_a_chord_with_it_as_its_body),
                CANVAS_TEST(without_a_header_the_body_begins_at_once),
                CANVAS_TEST(what_is_behind_a_chord_is_behind_its_body),
                CANVAS_TEST(a_group_that_ends_a_chain_in_a_header_counts_all_its_members),
                CANVAS_TEST(links_of_a_chord_are_its_bodys),
                CANVAS_TEST(the_link_of_a_chain_is_its_last_ones),
                CANVAS_TEST(an_immutable_one_gets_no_result),
                CANVAS_TEST(each_goes_to_its_own_queue),
                CANVAS_TEST(a_link_that_is_there_is_not_added_again),
                CANVAS_TEST(an_empty_group_at_the_end_of_a_chain_is_nothing),
                CANVAS_TEST(a_chain_in_the_options_of_a_link_is_spliced_in),
                CANVAS_TEST(the_id_of_a_header_is_the_groups),
                CANVAS_TEST(an_immutable_composite_gets_no_result),
                CANVAS_TEST(a_group_of_former_times_does_not_keep_a_member_from_its_join),
                CANVAS_TEST(what_python_alone_can_say_is_kept),
                CANVAS_TEST(all_behind_a_failure_is_named),
                CANVAS_TEST(what_is_no_signature_is_refused),
                CANVAS_TEST(what_is_nested_without_end_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
