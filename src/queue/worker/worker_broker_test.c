/* SPDX-License-Identifier: MIT */
/*
 * A worker whose broker fails, is slow, or does what it then says it has not done. Under the
 * simulator, with the solo pool: each test in as many worlds as there are seeds.
 */
#include "fiber/sim_unit.h"
#include "queue/app.h"
#include "queue/broker/broker_faulty.h"
#include "queue/worker/worker_internal.h"

#include <sanjab/queue.h>

/* ── Tasks ───────────────────────────────────────────────────────────────────────────────── */

enum { TASKS = 30 };

/* What has run: the tasks are in this process, and there is one world at a time. */
static unsigned runs[TASKS];
static sj_time times[TASKS];
static unsigned n_times;

SJ_TASK(note, void, (int64_t, number))
{
        (void)self;
        int r = sj_sleep((sj_time)sim_draw(300) * SJ_MS);
        if (r >= 0)
                runs[number]++;
        return r;
}
SJ_TASK_OPTIONS(note, .max_deliveries = 1000);

SJ_TASK(early, void, (int64_t, number))
{
        (void)self;
        runs[number]++;
        return 0;
}
SJ_TASK_OPTIONS(early, .acks_early = true);

SJ_TASK(limited, void)
{
        (void)self;
        times[n_times++] = sj_now();
        return 0;
}
SJ_TASK_OPTIONS(limited, .rate_limit = "10/s");

SJ_TASK(slow_limited, void)
{
        (void)self;
        times[n_times++] = sj_now();
        return 0;
}
SJ_TASK_OPTIONS(slow_limited, .rate_limit = "6/m");

SJ_TASK(free_task, void)
{
        (void)self;
        return 0;
}

SJ_TASK(never_run, void)
{
        (void)self;
        runs[0]++;
        return 0;
}

/* ── A world ─────────────────────────────────────────────────────────────────────────────── */

typedef struct world {
        broker *inner;
        broker_faulty faulty;
        sj_app *app; /* over the inner one: producers have no trouble */
        worker *worker;
        sj_fiber *running;
} world;

static int run_worker(void *arg)
{
        return worker_run(arg);
}

static void start_worker(world *w, sj_scope *s)
{
        static const sj_str queue = {"celery", 6};
        const worker_options options = {.broker = &w->faulty.base,
                                        .name = "w@sim",
                                        .queues = &queue,
                                        .n_queues = 1,
                                        .pool = WORKER_SOLO,
                                        .lease = 5 * SJ_SEC};
        expect_equal(worker_new(&options, &w->worker), 0);
        expect_equal(sj_spawn(s, run_worker, w->worker, &w->running), 0);
}

/* Stops it and expects that it ends so. */
static void stop_worker(world *w, worker_stop_kind kind, int result)
{
        worker_stop(w->worker, kind);
        expect_equal(sj_join(w->running, SJ_NEVER), result);
        worker_free(w->worker);
}

static void no_faults(world *w)
{
        w->faulty.one_in = 0;
        memset(w->faulty.plans, 0, sizeof(w->faulty.plans));
}

/* Runs test in a world with a worker that is started. */
static int with_world(int (*test)(world *w, sj_scope *s))
{
        world w = {0};
        char error[100];
        memset(runs, 0, sizeof(runs));
        n_times = 0;
        expect_equal(broker_open("memory:", NULL, &w.inner, error, sizeof(error), SJ_NEVER), 0);
        broker_faulty_init(&w.faulty, w.inner);
        w.faulty.draw = sim_draw;
        w.faulty.delay_max = 10 * SJ_SEC;
        expect_equal(app_new_over(w.inner, NULL, &w.app), 0);
        {
                SJ_SCOPE(s, sj_after(24 * SJ_HOUR), 0);
                expect_equal(test(&w, s), 0);
        }
        sj_app_free(w.app);
        broker_close(w.inner);
        return 0;
}

#define IN_ALL_WORLDS(name, of)                         \
        static int name##_in_world(void *arg)           \
        {                                               \
                (void)arg;                              \
                return with_world(of);                  \
        }                                               \
        static void name(void **state)                  \
        {                                               \
                (void)state;                            \
                sim_unit_run(name##_in_world, NULL, 0); \
        }

/* ── Any verb fails at any time ──────────────────────────────────────────────────────────── */

static bool all_ran(void)
{
        for (unsigned i = 0; i < TASKS; i++)
                if (runs[i] == 0)
                        return false;
        return true;
}

static int chaos(world *w, sj_scope *s)
{
        w->faulty.one_in = 2 + (unsigned)sim_draw(8);
        w->faulty.plans[FAULTY_NODE_JOIN].times = 1;
        unsigned one_in = w->faulty.one_in;
        w->faulty.one_in = 0;
        start_worker(w, s);
        expect_equal(sj_sleep(SJ_MS), 0);
        w->faulty.one_in = one_in;
        sj_result results[TASKS];
        for (int64_t i = 0; i < TASKS; i++) {
                expect_equal(note_delay(w->app, i, &results[i]), 0);
                sj_sleep((sj_time)sim_draw(500) * SJ_MS);
        }
        for (unsigned i = 0; !all_ran(); i++) {
                expect_equal(i < 3600, true);
                expect_equal(sj_sleep(SJ_SEC), 0);
        }
        if (sim_draw(2)) {
                stop_worker(w, sim_draw(2) ? WORKER_STOP_WARM : WORKER_STOP_COLD, 0);
                no_faults(w);
                start_worker(w, s);
        }
        no_faults(w);
        sj_arena *arena;
        sj_outcome outcome;
        expect_equal(sj_arena_new(&arena), 0);
        for (unsigned i = 0; i < TASKS; i++) {
                expect_equal(sj_result_get(&results[i], arena, &outcome, SJ_NEVER), 0);
                expect_equal(outcome.state, SJ_SUCCESS);
        }
        sj_arena_free(arena);
        stop_worker(w, WORKER_STOP_WARM, 0);
        return 0;
}
IN_ALL_WORLDS(all_tasks_end_whatever_the_broker_does, chaos)

/* ── Settling ────────────────────────────────────────────────────────────────────────────── */

static void expect_state(const sj_result *result, const char *state)
{
        sj_arena *arena;
        sj_outcome outcome;
        expect_equal(sj_arena_new(&arena), 0);
        expect_equal(sj_result_get(result, arena, &outcome, sj_after(SJ_HOUR)), 0);
        if (strcmp(outcome.state_name, state) != 0)
                print_message("%s, not %s\n", outcome.state_name, state);
        expect_equal(strcmp(outcome.state_name, state) == 0, true);
        sj_arena_free(arena);
}

static int settles_late(world *w, sj_scope *s)
{
        sj_result result;
        w->faulty.plans[FAULTY_SETTLE] = (faulty_plan){
                .error = -ETIMEDOUT, .done = true, .times = 1 + (unsigned)sim_draw(2)};
        start_worker(w, s);
        expect_equal(note_delay(w->app, 0, &result), 0);
        expect_state(&result, "SUCCESS");
        expect_equal(sj_sleep(SJ_MIN), 0);
        expect_equal(runs[0], 1);
        expect_equal(worker_count(w->worker).held, 0);
        stop_worker(w, WORKER_STOP_WARM, 0);
        return 0;
}
IN_ALL_WORLDS(what_was_settled_by_a_call_that_failed_is_not_run_again, settles_late)

static int settles_early_late(world *w, sj_scope *s)
{
        sj_result result;
        w->faulty.plans[FAULTY_SETTLE] = (faulty_plan){
                .error = -ETIMEDOUT, .done = sim_draw(2), .times = 1 + (unsigned)sim_draw(3)};
        start_worker(w, s);
        expect_equal(early_delay(w->app, 0, &result), 0);
        expect_state(&result, "SUCCESS");
        expect_equal(sj_sleep(SJ_MIN), 0);
        expect_equal(runs[0], 1);
        stop_worker(w, WORKER_STOP_WARM, 0);
        return 0;
}
IN_ALL_WORLDS(an_early_acknowledgement_that_only_seemed_to_fail_loses_nothing, settles_early_late)

static int keeps_again(world *w, sj_scope *s)
{
        const sj_str id = SJ_STR("not-to-be-run");
        const broker_revoked *kept;
        sj_arena *arena;
        w->faulty.plans[FAULTY_REVOKE] = (faulty_plan){.error = -EIO, .times = 1};
        start_worker(w, s);
        expect_equal(sj_sleep(SJ_SEC), 0);
        expect_equal(worker_revoked_keep(w->worker, &id, 1), -EIO);
        expect_equal(sj_sleep(2 * SJ_MIN), 0);
        expect_equal(sj_arena_new(&arena), 0);
        expect_equal(broker_revoked_list(w->inner, (sj_wall){0}, arena, &kept, SJ_NEVER), 1);
        expect(sj_str_equal(kept[0].id, id));
        sj_arena_free(arena);
        stop_worker(w, WORKER_STOP_WARM, 0);
        return 0;
}
IN_ALL_WORLDS(a_revoke_that_the_broker_did_not_keep_is_kept_later, keeps_again)

static void until_it_has_run(int number)
{
        while (!runs[number])
                expect_equal(sj_sleep(10 * SJ_MS), 0);
}

/* The end of an early one is told together with that of another, which has to be told again. */
static int settles_early_beside(world *w, sj_scope *s)
{
        sj_result result;
        w->faulty.plans[FAULTY_SETTLE] = (faulty_plan){.delay = SJ_SEC, .times = 1};
        start_worker(w, s);
        expect_equal(note_delay(w->app, 0, &result), 0);
        until_it_has_run(0);
        sj_signature *link = note_si(3);
        const sj_call call = {.link = link};
        expect_equal(early_apply_async(w->app, &call, &result, 1), 0);
        until_it_has_run(1);
        expect_equal(note_delay(w->app, 2, &result), 0);
        until_it_has_run(2);
        w->faulty.plans[FAULTY_SETTLE] = (faulty_plan){.error = -EIO, .times = 1};
        expect_state(&result, "SUCCESS");
        expect_equal(sj_sleep(SJ_MIN), 0);
        expect_equal(runs[3], 1);
        expect_equal(w->faulty.plans[FAULTY_PUBLISH].calls, 1);
        sj_signature_free(link);
        stop_worker(w, WORKER_STOP_WARM, 0);
        return 0;
}
IN_ALL_WORLDS(what_follows_from_an_early_end_is_sent_once_though_others_fail, settles_early_beside)

/* Such as a result that is too large for this broker. */
static int refuses(world *w, sj_scope *s)
{
        sj_result results[6];
        for (int i = 0; i < 6; i++)
                expect_equal(free_task_delay(w->app, &results[i]), 0);
        w->faulty.refused = results[3].id;
        start_worker(w, s);
        for (int i = 0; i < 6; i++)
                expect_state(&results[i], i == 3 ? "FAILURE" : "SUCCESS");
        sj_arena *arena;
        const broker_dead *dead;
        expect_equal(sj_arena_new(&arena), 0);
        expect_equal(
                broker_dead_list(w->inner, (sj_str){0}, (sj_str){0}, 10, arena, &dead, SJ_NEVER),
                1);
        sj_arena_free(arena);
        stop_worker(w, WORKER_STOP_WARM, 0);
        return 0;
}
IN_ALL_WORLDS(an_end_that_the_broker_refuses_does_not_hold_up_others, refuses)

/* ── Stopping ────────────────────────────────────────────────────────────────────────────── */

static int stops_while_leasing(world *w, sj_scope *s)
{
        w->faulty.plans[FAULTY_LEASE] = (faulty_plan){.delay = SJ_SEC};
        start_worker(w, s);
        for (int64_t i = 0; i < 5; i++)
                expect_equal(note_delay(w->app, i, NULL), 0);
        expect_equal(sj_sleep((sj_time)sim_draw(3000) * SJ_MS), 0);
        stop_worker(w, sim_draw(2) ? WORKER_STOP_WARM : WORKER_STOP_COLD, 0);
        sj_arena *arena;
        const broker_depth *depths;
        expect_equal(sj_arena_new(&arena), 0);
        int n = broker_queues(w->inner, arena, &depths, SJ_NEVER);
        for (int i = 0; i < n; i++)
                expect_equal(depths[i].leased, 0);
        sj_arena_free(arena);
        return 0;
}
IN_ALL_WORLDS(what_is_being_leased_at_a_stop_is_given_back, stops_while_leasing)

static int stops_without_broker(world *w, sj_scope *s)
{
        start_worker(w, s);
        for (int64_t i = 0; i < 5; i++)
                expect_equal(note_delay(w->app, i, NULL), 0);
        expect_equal(sj_sleep((sj_time)sim_draw(500) * SJ_MS), 0);
        for (unsigned v = 0; v < FAULTY_VERBS; v++)
                w->faulty.plans[v] =
                        (faulty_plan){.error = -EIO, .delay = sim_draw(2) ? SJ_HOUR : 0};
        expect_equal(sj_sleep((sj_time)sim_draw(500) * SJ_MS), 0);
        sj_time begin = sj_now();
        stop_worker(w, sim_draw(2) ? WORKER_STOP_WARM : WORKER_STOP_COLD, 0);
        expect_equal(sj_now() - begin < 5 * SJ_MIN, true);
        return 0;
}
IN_ALL_WORLDS(a_stop_ends_also_when_the_broker_is_gone, stops_without_broker)

static int stops_idle_without_broker(world *w, sj_scope *s)
{
        start_worker(w, s);
        expect_equal(sj_sleep(SJ_SEC), 0);
        for (unsigned v = 0; v < FAULTY_VERBS; v++)
                w->faulty.plans[v] = (faulty_plan){.delay = SJ_HOUR};
        sj_time begin = sj_now();
        stop_worker(w, WORKER_STOP_WARM, 0);
        expect_equal(sj_now() - begin < 10 * SJ_SEC, true);
        return 0;
}
IN_ALL_WORLDS(who_has_nothing_to_give_back_does_not_wait_for_a_broker, stops_idle_without_broker)

/* ── Its name ────────────────────────────────────────────────────────────────────────────── */

static int takes_over(world *w, sj_scope *s)
{
        const broker_node node = {.name = SJ_STR("w@sim"), .info = SJ_STR("{}")};
        const broker_token token = {1, 2};
        sj_result result;
        expect_equal(broker_node_join(w->inner, &node, token, 15 * SJ_SEC, SJ_NEVER), 0);
        start_worker(w, s);
        expect_equal(free_task_delay(w->app, &result), 0);
        expect_state(&result, "SUCCESS");
        stop_worker(w, WORKER_STOP_WARM, 0);
        return 0;
}
IN_ALL_WORLDS(the_name_of_a_worker_that_was_killed_is_taken_over, takes_over)

static int is_refused(world *w, sj_scope *s)
{
        start_worker(w, s);
        expect_equal(sj_sleep((sj_time)(1 + sim_draw(20000)) * SJ_MS), 0);
        world other = *w;
        start_worker(&other, s);
        expect_equal(sj_join(other.running, SJ_NEVER), -EEXIST);
        worker_free(other.worker);
        stop_worker(w, WORKER_STOP_WARM, 0);
        return 0;
}

static int is_refused_quietly(world *w, sj_scope *s)
{
        (void)s;
        /* Its failure is this test's, not the scope's. */
        SJ_SCOPE(own, SJ_NEVER, SJ_COLLECT);
        return is_refused(w, own);
}
IN_ALL_WORLDS(a_second_worker_of_a_name_is_refused, is_refused_quietly)

static int stops_while_waiting_for_the_name(world *w, sj_scope *s)
{
        const broker_node node = {.name = SJ_STR("w@sim"), .info = SJ_STR("{}")};
        const broker_token token = {1, 2};
        expect_equal(broker_node_join(w->inner, &node, token, 15 * SJ_SEC, SJ_NEVER), 0);
        start_worker(w, s);
        expect_equal(sj_sleep((sj_time)sim_draw(10) * SJ_SEC), 0);
        stop_worker(w, WORKER_STOP_WARM, 0);
        return 0;
}
IN_ALL_WORLDS(a_worker_that_waits_for_its_name_can_be_stopped, stops_while_waiting_for_the_name)

static int loses_its_name(world *w, sj_scope *s)
{
        sj_result result;
        start_worker(w, s);
        expect_equal(sj_sleep(SJ_SEC), 0);
        w->faulty.plans[FAULTY_NODE_BEAT] = (faulty_plan){.error = -EIO};
        expect_equal(sj_sleep(SJ_MIN), 0);
        no_faults(w);
        expect_equal(sj_sleep(SJ_MIN), 0);
        sj_arena *arena;
        const broker_node *nodes;
        expect_equal(sj_arena_new(&arena), 0);
        expect_equal(broker_nodes(w->inner, arena, &nodes, SJ_NEVER), 1);
        sj_arena_free(arena);
        expect_equal(free_task_delay(w->app, &result), 0);
        expect_state(&result, "SUCCESS");
        stop_worker(w, WORKER_STOP_WARM, 0);
        return 0;
}
IN_ALL_WORLDS(a_name_that_was_lost_is_taken_again, loses_its_name)

/* ── Rate limits ─────────────────────────────────────────────────────────────────────────── */

static int limits(world *w, sj_scope *s)
{
        sj_result result;
        for (int i = 0; i < TASKS; i++)
                expect_equal(limited_delay(w->app, NULL), 0);
        expect_equal(free_task_delay(w->app, &result), 0);
        sj_time begin = sj_now();
        start_worker(w, s);
        expect_state(&result, "SUCCESS");
        expect_equal(sj_now() - begin < SJ_SEC, true);
        while (n_times < TASKS)
                expect_equal(sj_sleep(100 * SJ_MS), 0);
        for (unsigned i = 1; i < TASKS; i++) {
                expect_equal(times[i] - times[i - 1] >= 99 * SJ_MS, true);
                expect_equal(times[i] - times[i - 1] < 2 * SJ_SEC, true);
        }
        expect_equal(times[TASKS - 1] - begin < 6 * SJ_SEC, true);
        stop_worker(w, WORKER_STOP_WARM, 0);
        return 0;
}
IN_ALL_WORLDS(a_rate_limit_holds_up_its_own_tasks_alone, limits)

static int limits_slowly(world *w, sj_scope *s)
{
        for (int i = 0; i < 10; i++)
                expect_equal(slow_limited_delay(w->app, NULL), 0);
        start_worker(w, s);
        expect_equal(sj_sleep(5 * SJ_SEC), 0);
        expect_equal(n_times, 1);
        /* The others wait in the broker. */
        expect_equal(worker_count(w->worker).held, 0);
        expect_equal(sj_sleep(2 * SJ_MIN), 0);
        expect_equal(n_times, 10);
        for (unsigned i = 1; i < n_times; i++)
                expect_equal(times[i] - times[i - 1] >= 99 * SJ_SEC / 10, true);
        expect_equal(w->faulty.plans[FAULTY_SETTLE].calls < 60, true);
        stop_worker(w, WORKER_STOP_WARM, 0);
        return 0;
}
IN_ALL_WORLDS(what_a_rate_limit_holds_up_for_long_waits_in_the_broker, limits_slowly)

static int stops_limited(world *w, sj_scope *s)
{
        for (int i = 0; i < 10; i++)
                expect_equal(limited_delay(w->app, NULL), 0);
        start_worker(w, s);
        expect_equal(sj_sleep((sj_time)sim_draw(700) * SJ_MS), 0);
        stop_worker(w, sim_draw(2) ? WORKER_STOP_WARM : WORKER_STOP_COLD, 0);
        uint64_t left = 0;
        sj_arena *arena;
        const broker_depth *depths;
        expect_equal(sj_arena_new(&arena), 0);
        int n = broker_queues(w->inner, arena, &depths, SJ_NEVER);
        for (int i = 0; i < n; i++) {
                expect_equal(depths[i].leased, 0);
                left += depths[i].ready + depths[i].delayed;
        }
        expect_equal(left + n_times, 10);
        sj_arena_free(arena);
        return 0;
}
IN_ALL_WORLDS(what_waits_for_its_turn_is_given_back_at_a_stop, stops_limited)

static int revokes_limited(world *w, sj_scope *s)
{
        sj_result first, second;
        start_worker(w, s);
        expect_equal(slow_limited_delay(w->app, &first), 0);
        expect_state(&first, "SUCCESS");
        expect_equal(sj_sleep(17 * SJ_SEC / 2), 0);
        expect_equal(slow_limited_apply_async(w->app, &(sj_call){.expires = 1}, &second), 0);
        expect_state(&second, "REVOKED");
        stop_worker(w, WORKER_STOP_WARM, 0);
        return 0;
}
IN_ALL_WORLDS(what_expires_while_it_waits_for_its_turn_is_revoked, revokes_limited)

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(all_tasks_end_whatever_the_broker_does),
                cmocka_unit_test(what_was_settled_by_a_call_that_failed_is_not_run_again),
                cmocka_unit_test(an_early_acknowledgement_that_only_seemed_to_fail_loses_nothing),
                cmocka_unit_test(who_has_nothing_to_give_back_does_not_wait_for_a_broker),
                cmocka_unit_test(a_revoke_that_the_broker_did_not_keep_is_kept_later),
                cmocka_unit_test(what_follows_from_an_early_end_is_sent_once_though_others_fail),
                cmocka_unit_test(an_end_that_the_broker_refuses_does_not_hold_up_others),
                cmocka_unit_test(what_is_being_leased_at_a_stop_is_given_back),
                cmocka_unit_test(a_stop_ends_also_when_the_broker_is_gone),
                cmocka_unit_test(the_name_of_a_worker_that_was_killed_is_taken_over),
                cmocka_unit_test(a_second_worker_of_a_name_is_refused),
                cmocka_unit_test(a_worker_that_waits_for_its_name_can_be_stopped),
                cmocka_unit_test(a_name_that_was_lost_is_taken_again),
                cmocka_unit_test(a_rate_limit_holds_up_its_own_tasks_alone),
                cmocka_unit_test(what_a_rate_limit_holds_up_for_long_waits_in_the_broker),
                cmocka_unit_test(what_waits_for_its_turn_is_given_back_at_a_stop),
                cmocka_unit_test(what_expires_while_it_waits_for_its_turn_is_revoked),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
