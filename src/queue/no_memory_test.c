/* SPDX-License-Identifier: MIT */
/*
 * The queue without memory: a day's work is done over and over, and each time another one of its
 * allocations fails. What failed must have said so and left nothing behind: tried again, it works.
 */
#include "queue/broker/broker.h"
#include "queue/message/message.h"
#include "queue/no_memory_unit.h"
#include "queue/outcome/outcome.h"
#include "queue/task/task.h"

/* A call that may fail once for want of memory, and then must do what it should. */
#define TWICE(ret, call)                                \
        do {                                            \
                counting = true;                        \
                (ret) = (call);                         \
                counting = false;                       \
                if ((ret) < 0) {                        \
                        assert_int_equal(ret, -ENOMEM); \
                        (ret) = (call);                 \
                }                                       \
        } while (0)

/* ── A day's work ────────────────────────────────────────────────────────────────────────── */

SJ_TASK(greet, const char *, (const char *, name))
{
        *ret = name;
        return 0;
}

static const sj_str queue = {"q", 1};
static sj_arena *arena;
static broker *b;

static broker_message message_for(const char *id)
{
        message m = {.task = SJ_STR("greet"), .id = sj_str_of(id), .routing_key = queue};
        broker_message sent = {.id = m.id, .queue = queue, .key = m.id};
        int r;
        sj_json_error why;
        TWICE(r, sj_json_parse(arena, SJ_STR("[\"Ada\"]"), 0, &m.args, &why));
        TWICE(r, message_encode(arena, &m, &sent.envelope));
        assert_int_equal(r, 0);
        return sent;
}

static uint64_t alive(void)
{
        const broker_depth *d;
        int n, total = 0;
        TWICE(n, broker_queues(b, arena, &d, SJ_NEVER));
        for (int i = 0; i < n; i++)
                total += (int)(d[i].ready + d[i].leased + d[i].delayed);
        return (uint64_t)total;
}

static void run_and_settle(broker_lease *lease)
{
        message m;
        message_error error;
        int r;
        TWICE(r, message_decode(arena, lease->message.envelope, &m, &error));
        task_info info = {.name = m.task, .max_deliveries = 5, .max_retries = 3};
        outcome_delivery d = {.lease = lease, .m = &m, .error = &error, .info = &info};
        outcome_context context = {.now = {1}, .worker = SJ_STR("w")};
        sj_task_request request = {.id = m.id.data, .deadline = SJ_NEVER};
        task_return result;
        broker_settlement s;
        TWICE(r, outcome_before(&context, &d, arena, &s));
        assert_int_equal(r, 0);
        TWICE(r, task_run(&greet_task_, &request, NULL, m.args, m.kwargs, arena, &result));
        assert_int_equal(result.end, TASK_SUCCEEDED);
        TWICE(r, outcome_after(&context, &d, &result, arena, &s));
        broker_message follow[] = {message_for("f"), message_for("g")};
        broker_result results[] = {s.results[0],
                                   {SJ_STR("other"), SJ_STR("FAILURE"), SJ_STR("{}")},
                                   {SJ_STR("other"), SJ_STR("FAILURE"), SJ_STR("{}")}};
        s.results = results;
        s.n_results = 3;
        s.follow_ups = follow;
        s.n_follow_ups = 2;
        TWICE(r, broker_settle(b, &s, 1, SJ_NEVER));
        assert_int_equal(r, 0);
        assert_int_equal(s.status, 0);
}

static void bury_and_retry(broker_lease *dead, broker_lease *again)
{
        int r;
        broker_message next = message_for(again->message.id.data);
        next.queue = SJ_STR("another queue");
        broker_settlement s[] = {{.lease = dead, .verdict = BROKER_DEAD, .reason = SJ_STR("why")},
                                 {.lease = again, .verdict = BROKER_RETRY, .next = &next}};
        TWICE(r, broker_settle(b, s, 2, SJ_NEVER));
        assert_int_equal(r, 0);
        const broker_dead *list;
        TWICE(r, broker_dead_list(b, SJ_STR(""), SJ_STR(""), 9, arena, &list, SJ_NEVER));
        assert_int_equal(r, 1);
        const broker_delayed *delayed;
        uint64_t more;
        TWICE(r, broker_delayed_list(b, queue, 9, arena, &delayed, &more, SJ_NEVER));
        assert_true(r >= 0);
}

static void lease_three(broker_lease *leases[3])
{
        broker_claim claim = {.queues = &queue, .n_queues = 1};
        for (int n = 0, r; n < 3; n += r) {
                TWICE(r, broker_lease_next(b, &claim, leases + n, (size_t)(3 - n), SJ_NEVER));
                assert_true(r > 0);
        }
}

static void day(void)
{
        broker_lease *leases[3];
        int r;
        TWICE(r, sj_arena_new(&arena));
        TWICE(r, broker_open("memory:", NULL, &b, NULL, 0, SJ_NEVER));
        broker_message m[] = {message_for("a"), message_for("b"), message_for("c")};
        counting = true;
        r = broker_publish(b, m, 3, NULL, SJ_NEVER);
        counting = false;
        if (r < 0) {
                assert_int_equal(r, -ENOMEM);
                assert_int_equal(alive(), 0);
                assert_int_equal(broker_publish(b, m, 3, NULL, SJ_NEVER), 0);
        }
        lease_three(leases);
        run_and_settle(leases[0]);
        assert_int_equal(alive(), 4);
        bury_and_retry(leases[1], leases[2]);
        TWICE(r, broker_purge(b, queue, NULL, SJ_NEVER));
        assert_int_equal(alive(), 1);
        const sj_str ids[] = {SJ_STR("a"), SJ_STR("other"), SJ_STR("f")};
        broker_result got[3];
        TWICE(r, broker_result_get(b, ids, 3, arena, got, SJ_NEVER));
        assert_true(sj_str_equal(got[0].state, SJ_STR("SUCCESS")));
        assert_true(sj_str_equal(got[1].state, SJ_STR("FAILURE")));
        assert_true(sj_str_equal(got[2].state, SJ_STR("REVOKED")));
        for (int i = 0; i < 3; i++)
                broker_lease_free(leases[i]);
        broker_close(b);
        sj_arena_free(arena);
}

static void whichever_allocation_fails_nothing_is_lost_or_left(void **state)
{
        (void)state;
        fail_each(day, 40);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(whichever_allocation_fails_nothing_is_lost_or_left),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
