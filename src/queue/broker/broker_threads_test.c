/* SPDX-License-Identifier: MIT */
/* The broker in memory between threads: some with a loop, some without. */
#include "fiber/real_unit.h"
#include "os/os.h"
#include "queue/app.h"
#include "queue/broker/broker.h"

#include <sanjab/fiber.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { PRODUCERS = 3, CONSUMERS = 3, EACH = 400 };

static const sj_str the_queue = {"q", 1};

typedef struct crowd {
        broker *b;
        atomic_int settled;
        atomic_int seen[PRODUCERS * EACH];
        atomic_int failures;
} crowd;

typedef struct member {
        crowd *c;
        int number;
} member;

/* A plain thread: each verb blocks it. */
static void *produce(void *arg)
{
        const member *m = arg;
        for (int i = 0; i < EACH; i++) {
                char id[16];
                snprintf(id, sizeof(id), "%d", m->number * EACH + i);
                broker_message message = {.id = sj_str_of(id),
                                          .queue = the_queue,
                                          .envelope = SJ_STR("e"),
                                          .priority = i % 10};
                expect(broker_publish(m->c->b, &message, 1, NULL, SJ_NEVER) == 0);
        }
        return NULL;
}

static int consume_fiber(void *arg)
{
        crowd *c = arg;
        broker_claim claim = {.queues = &the_queue, .n_queues = 1, .worker = SJ_STR("w")};
        while (c->settled < PRODUCERS * EACH) {
                int r = broker_wait(c->b, &the_queue, 1, sj_after(50 * SJ_MS));
                expect(r == 0 || r == -ETIMEDOUT);
                broker_lease *leases[7];
                int n = broker_lease_next(c->b, &claim, leases, 7, SJ_NEVER);
                expect(n >= 0);
                for (int i = 0; i < n; i++) {
                        broker_result result = {leases[i]->message.id, SJ_STR("SUCCESS"),
                                                SJ_STR("{}")};
                        broker_settlement s = {
                                .lease = leases[i], .results = &result, .n_results = 1};
                        c->seen[atoi(leases[i]->message.id.data)]++;
                        expect(broker_settle(c->b, &s, 1, SJ_NEVER) == 0 && s.status == 0);
                        c->settled++;
                        broker_lease_free(leases[i]);
                }
        }
        return 0;
}

/* Of the consumers the even ones run on a loop of their own. */
static void *consume(void *arg)
{
        const member *m = arg;
        int r = m->number % 2 ? consume_fiber(m->c) : sj_run(consume_fiber, m->c);
        expect(r == 0);
        return NULL;
}

static void each_message_is_leased_once_by_whatever_thread(void **state)
{
        (void)state;
        crowd *c = calloc(1, sizeof(*c));
        os_thread *threads[PRODUCERS + CONSUMERS];
        member members[PRODUCERS + CONSUMERS];
        assert_int_equal(broker_open("memory:", NULL, &c->b, NULL, 0, SJ_NEVER), 0);
        for (int i = 0; i < PRODUCERS + CONSUMERS; i++) {
                bool producer = i < PRODUCERS;
                members[i] = (member){c, producer ? i : i - PRODUCERS};
                assert_int_equal(os_thread_start(producer ? produce : consume, &members[i], "crowd",
                                                 &threads[i]),
                                 0);
        }
        for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
                os_thread_join(threads[i]);
        for (int i = 0; i < PRODUCERS * EACH; i++)
                assert_int_equal(c->seen[i], 1);
        broker_close(c->b);
        free(c);
}

static void *answer(void *arg)
{
        broker *b = arg;
        broker_claim claim = {.queues = &(sj_str){"celery", 6}, .n_queues = 1};
        broker_lease *lease;
        expect(broker_wait(b, claim.queues, 1, SJ_NEVER) == 0);
        expect(broker_lease_next(b, &claim, &lease, 1, SJ_NEVER) == 1);
        broker_result result = {lease->message.id, SJ_STR("SUCCESS"), SJ_STR("{\"result\": 42}")};
        broker_settlement s = {.lease = lease, .results = &result, .n_results = 1};
        expect(broker_settle(b, &s, 1, SJ_NEVER) == 0);
        broker_lease_free(lease);
        return NULL;
}

static void a_program_without_a_loop_can_call_and_wait(void **state)
{
        (void)state;
        sj_app *app;
        sj_result result;
        sj_outcome outcome;
        sj_arena *arena;
        os_thread *thread;
        int64_t value = 0;
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(sj_app_new(&(sj_app_options){.broker = "memory:"}, &app), 0);
        assert_int_equal(os_thread_start(answer, app_broker(app), "answer", &thread), 0);
        assert_int_equal(sj_send_task(app, "t", NULL, NULL, NULL, &result), 0);
        assert_int_equal(sj_result_get(&result, arena, &outcome, SJ_NEVER), 0);
        assert_int_equal(sj_json_int(outcome.value, &value), 0);
        assert_int_equal(value, 42);
        os_thread_join(thread);
        sj_app_free(app);
        sj_arena_free(arena);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_message_is_leased_once_by_whatever_thread),
                cmocka_unit_test(a_program_without_a_loop_can_call_and_wait),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
