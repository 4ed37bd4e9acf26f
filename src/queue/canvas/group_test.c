/* SPDX-License-Identifier: MIT */
/* Canvases as a program sends them and waits for them, with a worker beside. */
#include "queue/app_unit.h"
#include "queue/worker/worker_internal.h"

/* ── Chains and groups ───────────────────────────────────────────────────────────────────── */

static void chain_body(world *w)
{
        sj_result result;
        sj_outcome o;
        sj_arena *arena = w->arena;
        submit(w, SJ_CHAIN(add_s(2, 2), add_p(4), add_p(8)), &result);
        /* The last link is not published yet, and is known all the same. */
        expect_equal(sj_result_state(&result, arena, &o, SJ_NEVER), 0);
        expect_equal(o.state, SJ_PENDING);
        o = outcome_of(w, &result);
        expect_text(value_of(w, &o), "16");
}

static int the_result_of_a_chain_is_that_of_its_last_link(void *arg)
{
        (void)arg;
        WORLD(w);
        with_worker(w, chain_body);
        return 0;
}

static void failing_body(world *w)
{
        sj_result result;
        submit(w, SJ_CHAIN(add_s(2, 2), boom_p(), add_p(8)), &result);
        sj_outcome o = outcome_of(w, &result);
        expect_equal(o.state, SJ_FAILURE);
        expect_text(o.error.type, "ValueError");
        submit(w, SJ_GROUP(add_s(2, 2), boom_s(1), add_s(1, 1)), &result);
        o = outcome_of(w, &result);
        expect_equal(o.state, SJ_FAILURE);
        expect_text(o.error.message, "bang");
}

static int the_failure_of_a_part_is_that_of_the_whole(void *arg)
{
        (void)arg;
        WORLD(w);
        with_worker(w, failing_body);
        return 0;
}

static void group_body(world *w)
{
        sj_result result;
        submit(w, SJ_GROUP(add_s(1, 1), SJ_CHAIN(add_s(2, 2), add_p(2)), add_s(3, 3)), &result);
        expect(result.is_group);
        sj_outcome o = outcome_of(w, &result);
        expect_text(value_of(w, &o), "[2,6,6]");
        submit(w, SJ_CHAIN(add_s(1, 1), SJ_GROUP(add_p(10), add_p(20))), &result);
        o = outcome_of(w, &result);
        expect_text(value_of(w, &o), "[12,22]");
        submit(w, sj_group(NULL, 0), &result);
        o = outcome_of(w, &result);
        expect_text(value_of(w, &o), "[]");
}

static int the_result_of_a_group_is_an_array(void *arg)
{
        (void)arg;
        WORLD(w);
        with_worker(w, group_body);
        return 0;
}

SJ_TASK(total, int64_t, (const sj_json *, numbers))
{
        int64_t number;
        (void)self;
        *ret = 0;
        SJ_JSON_EACH (numbers, i, each)
                if (sj_json_int(each, &number) == 0)
                        *ret += number;
        return 0;
}

static void chord_body(world *w)
{
        sj_result result;
        sj_signature *long_chain[60];
        submit(w, SJ_CHAIN(add_s(1, 1), SJ_GROUP(add_p(10), add_p(20)), total_p(), add_p(100)),
               &result);
        sj_outcome o = outcome_of(w, &result);
        expect_text(value_of(w, &o), "134");
        submit(w, sj_chord(SJ_GROUP(sj_chord(add_s(1, 1), total_p()), add_s(3, 3)), total_p()),
               &result);
        o = outcome_of(w, &result);
        expect_text(value_of(w, &o), "8");
        for (int i = 0; i < 60; i++)
                long_chain[i] = i ? add_p(1) : add_s(0, 1);
        submit(w, sj_chain(long_chain, 60), &result);
        o = outcome_of(w, &result);
        expect_text(value_of(w, &o), "60");
        submit(w, SJ_CHAIN(boom_s(1), SJ_GROUP(add_p(10), add_p(20)), total_p()), &result);
        o = outcome_of(w, &result);
        expect_equal(o.state, SJ_FAILURE);
}

static int a_chord_goes_on_when_all_have_come_in_either_form(void *arg)
{
        (void)arg;
        for (int form = SJ_CANVAS_CELERY; form <= SJ_CANVAS_COMPACT; form++) {
                __attribute__((cleanup(world_close))) world w = {0};
                world_open(&w, &(sj_app_options){.canvas = (sj_canvas_form)form});
                with_worker(&w, chord_body);
        }
        return 0;
}

static void map_body(world *w)
{
        sj_result result;
        submit(w, sj_map(total_p(), "[[1, 2], [3]]"), &result);
        sj_outcome o = outcome_of(w, &result);
        expect_text(value_of(w, &o), "[3,3]");
        submit(w,
               sj_chunks(sj_signature_new("add", NULL, NULL, NULL), "[[1, 2], [3, 4], [5, 6]]", 2),
               &result);
        o = outcome_of(w, &result);
        expect_text(value_of(w, &o), "[[3,7],[11]]");
        /* They are no tasks of the worker's, and counted all the same. */
        expect_equal(worker_processed(w->worker), 3);
}

static int a_task_is_run_over_a_list(void *arg)
{
        (void)arg;
        WORLD(w);
        with_worker(w, map_body);
        return 0;
}

static void members_body(world *w)
{
        sj_group_result *g, *again;
        sj_signature *s = SJ_GROUP(add_s(1, 1), boom_s(0), add_s(3, 3));
        sj_outcome all[3];
        sj_group_count count;
        expect_equal(sj_group_send(w->app, s, &g), 0);
        expect_equal(sj_group_members(g), 3);
        expect_equal(sj_group_get(g, w->arena, all, sj_after(SJ_MIN)), 0);
        expect_text(value_of(w, &all[0]), "2");
        expect_equal(all[1].state, SJ_FAILURE);
        expect_text(value_of(w, &all[2]), "6");
        expect_equal(sj_group_progress(g, &count, SJ_NEVER), 0);
        expect_equal(count.completed, 2);
        expect_equal(count.failed, 1);
        expect_equal(count.waiting, 0);
        sj_outcome o = outcome_of(w, sj_group_member(g, 2));
        expect_text(value_of(w, &o), "6");
        expect(sj_group_member(g, 3) == NULL);
        /* Kept under its id, for who has only that. */
        expect_equal(sj_group_restore(w->app, sj_group_id(g), &again, SJ_NEVER), -ENOENT);
        expect_equal(sj_group_save(g, SJ_NEVER), 0);
        expect_equal(sj_group_restore(w->app, sj_group_id(g), &again, SJ_NEVER), 0);
        expect_equal(sj_group_members(again), 3);
        expect_text(sj_group_member(again, 2)->id, sj_group_member(g, 2)->id);
        expect_equal(sj_group_drop(again, SJ_NEVER), 0);
        expect_equal(sj_group_drop(again, SJ_NEVER), 0);
        sj_group_free(again);
        expect_equal(sj_group_restore(w->app, sj_group_id(g), &again, SJ_NEVER), -ENOENT);
        sj_group_free(g);
        sj_signature_free(s);
}

static int the_members_of_a_group_are_asked_one_by_one(void *arg)
{
        (void)arg;
        WORLD(w);
        with_worker(w, members_body);
        return 0;
}

static int a_group_that_waits_is_counted_and_revoked(void *arg)
{
        (void)arg;
        WORLD(w);
        sj_group_result *g;
        sj_group_count count;
        sj_outcome all[2];
        sj_signature *s = SJ_GROUP(add_s(1, 1), add_s(2, 2));
        expect_equal(sj_group_send(w->app, s, &g), 0);
        expect_equal(sj_group_progress(g, &count, SJ_NEVER), 0);
        expect_equal(count.waiting, 2);
        expect_equal(sj_group_get(g, w->arena, all, sj_after(SJ_SEC)), -ETIMEDOUT);
        expect_equal(sj_group_revoke(g, SJ_NEVER), 0);
        expect_equal(sj_group_get(g, w->arena, all, SJ_NEVER), 0);
        expect_equal(all[1].state, SJ_REVOKED);
        expect_equal(sj_group_revoke(g, SJ_NEVER), 0);
        sj_group_free(g);
        sj_signature_free(s);
        return 0;
}

/* As on Redis: the revoke is kept, for whichever worker meets the message. */
static int a_group_is_revoked_where_no_message_can_be_taken_out(void *arg)
{
        (void)arg;
        WORLD(w);
        sj_group_result *g;
        const broker_revoked *kept;
        sj_signature *s = SJ_GROUP(add_s(1, 1), add_s(2, 2));
        expect_equal(sj_group_send(w->app, s, &g), 0);
        w->broker->capabilities &= ~(unsigned)(BROKER_CANCELS | BROKER_OURS);
        expect_equal(sj_group_revoke(g, SJ_NEVER), 0);
        expect_equal(broker_revoked_list(w->broker, (sj_wall){0}, w->arena, &kept, SJ_NEVER), 2);
        sj_group_free(g);
        sj_signature_free(s);
        return 0;
}

static int a_saved_group_has_celerys_form(void *arg)
{
        (void)arg;
        WORLD(w);
        /* As GroupResult.save() wrote it, a chord's body among its members. */
        static const char text[] =
                "{\"result\": [[\"g\", null], [[[\"a\", null], null], [[\"b\", [[\"h\", null], "
                "[[[\"c\", null], null]]]], null], [[\"inner\", null], [[[\"d\", null], null]]]]]}";
        sj_group_result *g;
        expect_equal(broker_group_save(w->broker, SJ_STR("g"), sj_str_of(text), SJ_NEVER), 0);
        expect_equal(sj_group_restore(w->app, "g", &g, SJ_NEVER), 0);
        expect_equal(sj_group_members(g), 3);
        expect_text(sj_group_member(g, 1)->id, "b");
        expect(!sj_group_member(g, 1)->is_group);
        expect(sj_group_member(g, 2)->is_group);
        expect_equal(sj_group_drop(g, SJ_NEVER), 0);
        expect_equal(sj_group_save(g, SJ_NEVER), 0);
        sj_str kept;
        expect_equal(broker_group_get(w->broker, SJ_STR("g"), w->arena, &kept, SJ_NEVER), 0);
        expect(sj_str_equal(kept, sj_str_of(text)));
        sj_group_free(g);
        static const char *const bad[] = {"",
                                          "[]",
                                          "{\"result\": 1}",
                                          "{\"result\": [[\"g\", null], null]}",
                                          "{\"result\": [[\"g\", null], [1]]}",
                                          "{\"result\": [[5, null], []]}"};
        for (size_t i = 1; i < sizeof(bad) / sizeof(bad[0]); i++) {
                expect_equal(broker_group_save(w->broker, SJ_STR("g"), sj_str_of(bad[i]), SJ_NEVER),
                             0);
                expect_equal(sj_group_restore(w->app, "g", &g, SJ_NEVER), -EBADMSG);
        }
        return 0;
}

static int what_is_no_group_or_no_signature_is_not_sent(void *arg)
{
        (void)arg;
        WORLD(w);
        sj_group_result *g;
        sj_result result;
        sj_signature *s = add_s(1, 1);
        expect_equal(sj_group_send(w->app, s, &g), -EINVAL);
        expect_equal(sj_group_send(w->app, NULL, &g), -EINVAL);
        expect_equal(sj_signature_send(w->app, NULL, &result), -EINVAL);
        sj_signature_free(s);
        s = sj_signature_set(add_s(1, 1), &(sj_call){.priority = -1});
        expect_equal(sj_signature_send(w->app, s, &result), -EINVAL);
        sj_signature_free(s);
        const broker_depth *queues;
        expect_equal(broker_queues(w->broker, w->arena, &queues, SJ_NEVER), 0);
        return 0;
}

static int a_chord_opens_its_join_in_either_form(void *arg)
{
        (void)arg;
        for (int form = SJ_CANVAS_DEFAULT; form <= SJ_CANVAS_COMPACT; form++) {
                __attribute__((cleanup(world_close))) world w_ = {0};
                world *w = &w_;
                sj_result result;
                world_open(w, &(sj_app_options){.canvas = (sj_canvas_form)form});
                submit(w, sj_chord(SJ_GROUP(add_s(1, 1), add_s(2, 2)), add_p(1)), &result);
                message m = taken(w);
                sj_str type = {NULL, 0}, id = {NULL, 0};
                sj_json_string(sj_json_member(m.chord, "subtask_type"), &type);
                sj_json_string(sj_json_member(sj_json_member(m.chord, "options"), "task_id"), &id);
                expect_equal(sj_str_equal(type, SJ_STR("sanjab.reference")),
                             form != SJ_CANVAS_CELERY);
                expect(sj_str_equal(id, sj_str_of(result.id)));
                broker_arrival a[] = {{.group = m.group, .id = SJ_STR("x"), .text = SJ_STR("1")},
                                      {.group = m.group, .id = SJ_STR("y"), .text = SJ_STR("2")}};
                expect_equal(broker_join_arrive(w->broker, a, 2, w->arena, SJ_NEVER), 0);
                expect(!a[0].complete);
                expect(a[1].complete);
                expect_equal(a[1].body.n > 0, form != SJ_CANVAS_CELERY);
        }
        return 0;
}

/* ── What the settings say ───────────────────────────────────────────────────────────────── */

static int64_t priority_of(const sj_json *signature)
{
        int64_t n = -1;
        sj_json_int(sj_json_member(sj_json_member(signature, "options"), "priority"), &n);
        return n;
}

static sj_signature *urgent(sj_signature *s, int priority)
{
        return sj_signature_set(s, &(sj_call){.priority = priority});
}

/* As kombu has it on Redis: 0 goes first. */
static int priorities_of_a_canvas_are_the_brokers(void *arg)
{
        (void)arg;
        __attribute__((cleanup(world_close))) world w_ = {0};
        world *w = &w_;
        const sj_route routes[] = {{.pattern = "boom", .priority = 4}};
        sj_signature *first = urgent(add_s(1, 1), 9), *last = urgent(add_p(1), 2);
        world_open(w, &(sj_app_options){.canvas = SJ_CANVAS_CELERY,
                                        .default_priority = 3,
                                        .routes = routes,
                                        .n_routes = 1});
        w->broker->capabilities |= BROKER_LOW_FIRST;
        sj_signature_link(first, urgent(add_p(3), 8));
        sj_signature_link_error(last, boom_p());
        submit(w, SJ_CHAIN(first, last), NULL);
        message m = taken(w);
        expect_equal(m.priority, 1);
        expect_equal(priority_of(sj_json_at(m.chain, 0)), 8);
        expect_equal(priority_of(sj_json_at(m.callbacks, 0)), 2);
        submit(w, add_s(1, 1), NULL);
        expect_equal(taken(w).priority, 7);
        submit(w, boom_s(1), NULL);
        expect_equal(taken(w).priority, 6);
        first = urgent(boom_s(1), 9);
        const sj_call call = {.link = first};
        expect_equal(add_apply_async(w->app, &call, NULL, 1, 1), 0);
        expect_equal(priority_of(sj_json_at(taken(w).callbacks, 0)), 1);
        sj_signature_free(first);
        /* What comes as JSON is as the wire has it. */
        sj_signature *foreign = sj_signature_parse(
                "{\"task\": \"add\", \"args\": [1, 1], \"kwargs\": {}, \"options\": "
                "{\"priority\": 2}, \"subtask_type\": null, \"immutable\": false}");
        submit(w, foreign, NULL);
        expect_equal(taken(w).priority, 2);
        return 0;
}

static void msgpack_body(world *w)
{
        sj_result result;
        submit(w, SJ_CHAIN(add_s(1, 1), SJ_GROUP(add_p(2), add_p(3)), add_si(4, 4)), &result);
        sj_outcome o = outcome_of(w, &result);
        expect_text(value_of(w, &o), "8");
}

/* What follows is refused where it is not in the serializer of the settings. */
static int what_a_worker_sends_is_serialized_as_the_settings_say(void *arg)
{
        (void)arg;
        static const sj_app_options msgpack = {.serializer = "msgpack", .compression = "zlib"};
        __attribute__((cleanup(world_close))) world w_ = {0};
        world_open(&w_, &msgpack);
        with_worker_of(&w_, msgpack_body, &msgpack, MESSAGE_ACCEPT_MSGPACK);
        return 0;
}

#define CASES(X)                                                \
        X(the_result_of_a_chain_is_that_of_its_last_link)       \
        X(the_failure_of_a_part_is_that_of_the_whole)           \
        X(the_result_of_a_group_is_an_array)                    \
        X(a_chord_goes_on_when_all_have_come_in_either_form)    \
        X(a_task_is_run_over_a_list)                            \
        X(the_members_of_a_group_are_asked_one_by_one)          \
        X(a_group_that_waits_is_counted_and_revoked)            \
        X(a_group_is_revoked_where_no_message_can_be_taken_out) \
        X(a_saved_group_has_celerys_form)                       \
        X(what_is_no_group_or_no_signature_is_not_sent)         \
        X(a_chord_opens_its_join_in_either_form)                \
        X(priorities_of_a_canvas_are_the_brokers)               \
        X(what_a_worker_sends_is_serialized_as_the_settings_say)

CASES(SIM_UNIT_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {CASES(SIM_UNIT_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
