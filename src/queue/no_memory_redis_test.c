/* SPDX-License-Identifier: MIT */
/*
 * The queue on Redis without memory: the same day's work over and over, and each time another one
 * of its allocations fails, in whatever fiber or thread it is. A call that failed for it says so,
 * or that its connection broke, and works when it is tried again; nothing that was published is
 * lost.
 */
#include "fiber/real_unit.h"
#include "queue/app.h"
#include "queue/broker/broker.h"
#include "queue/control/control.h"
#include "queue/control/events.h"
#include "queue/message/message.h"
#include "queue/no_memory_unit.h"
#include "store/redis_server.h"

#include <sanjab/canvas.h>
#include <sanjab/fiber.h>

#include <stdio.h>

enum { TRIES = 10 };

static redis_server *server;
static broker *b;
static sj_arena *arena;

static sj_time soon(void)
{
        return sj_after(10 * SJ_SEC);
}

/* What a call may say whose connection broke for want of memory. */
static bool is_of_memory(int error)
{
        return error == -ENOMEM || error == -EPIPE || error == -EAGAIN || error == -ECONNRESET;
}

static void end_of_test(const char *what, int error)
{
        fprintf(stderr, "%s: %s, with %ld\n", what, sj_strerror(error), number);
        abort();
}

/* Until it works; the value that it had then. */
#define SURELY(call)                                                   \
        __extension__({                                                \
                int surely = 0, tries_ = 0;                            \
                do {                                                   \
                        atomic_store(&counting, true);                 \
                        surely = (call);                               \
                        atomic_store(&counting, false);                \
                        if (surely < 0 && !is_of_memory(surely))       \
                                end_of_test(#call, surely);            \
                } while (surely < 0 && ++tries_ < TRIES);              \
                if (surely < 0)                                        \
                        end_of_test(#call " again and again", surely); \
                surely;                                                \
        })

/* ── A day's work ────────────────────────────────────────────────────────────────────────── */

static const sj_str queue = {"q", 1};

static broker_message message_for(const char *id)
{
        message m = {.task = SJ_STR("t"), .id = sj_str_of(id), .routing_key = queue};
        broker_message sent = {.id = m.id, .queue = queue};
        SURELY(message_encode(arena, &m, &sent.envelope));
        return sent;
}

static const char *const ids[] = {"a", "b", "c"};
enum { MESSAGES = 3 };

static void publish(void)
{
        broker_message m[] = {message_for(ids[0]), message_for(ids[1]), message_for(ids[2])};
        m[1].eta = (sj_wall){sj_wall_now().us + 1000};
        m[2].key = SJ_STR("one of its kind");
        SURELY(broker_publish(b, m, MESSAGES, NULL, soon()));
}

/* One of each: done with a result and something that follows, dead, and tried again. */
static void settle(broker_lease *lease, bool *ret_done)
{
        sj_str id = lease->message.id;
        broker_result result = {id, SJ_STR("SUCCESS"), SJ_STR("{\"status\": \"SUCCESS\"}")};
        broker_message next = message_for("follow");
        broker_settlement s = {.lease = lease,
                               .verdict = BROKER_DONE,
                               .results = &result,
                               .n_results = 1,
                               .follow_ups = &next,
                               .n_follow_ups = id.data[0] == 'a'};
        if (id.data[0] == 'b' && lease->deliveries == 1)
                s = (broker_settlement){.lease = lease, .verdict = BROKER_REQUEUE};
        if (id.data[0] == 'f')
                s = (broker_settlement){
                        .lease = lease, .verdict = BROKER_DEAD, .reason = SJ_STR("why not")};
        SURELY(broker_settle(b, &s, 1, soon()));
        *ret_done = s.verdict == BROKER_DONE;
}

static bool has_result(const char *id)
{
        sj_str name = sj_str_of(id);
        broker_result got;
        SURELY(broker_result_get(b, &name, 1, arena, &got, soon()));
        return sj_str_equal(got.state, SJ_STR("SUCCESS"));
}

static int lease_some(broker_lease *leases[], size_t n)
{
        broker_claim claim = {.queues = &queue, .n_queues = 1, .duration = 200 * SJ_MS};
        return broker_lease_next(b, &claim, leases, n, soon());
}

/* A wait that fails, or ends early, is asked again by who comes back for messages. */
static void wait_for_more(void)
{
        atomic_store(&counting, true);
        int r = broker_wait(b, &queue, 1, sj_after(50 * SJ_MS));
        atomic_store(&counting, false);
        expect(r >= 0 || r == -ETIMEDOUT || is_of_memory(r));
}

static void work_off(void)
{
        sj_time limit = soon();
        for (bool all = false; !all;) {
                broker_lease *leases[2] = {NULL};
                bool done;
                int n = SURELY(lease_some(leases, 2));
                for (int i = 0; i < n; i++) {
                        broker_hold hold;
                        SURELY(broker_renew(b, &leases[i], 1, SJ_SEC, &hold, soon()));
                        settle(leases[i], &done);
                        broker_lease_free(leases[i]);
                }
                if (n == 0)
                        wait_for_more();
                all = has_result("a") && has_result("b") && has_result("c");
                if (sj_now() > limit)
                        end_of_test("something is lost", 0);
        }
}

static void look_around(void)
{
        const broker_depth *depths;
        const broker_dead *dead;
        const broker_node *nodes;
        const broker_revoked *revoked;
        const sj_str names[] = {SJ_STR("x"), SJ_STR("y")};
        broker_node node = {.name = SJ_STR("n@h"), .info = SJ_STR("{}")};
        const broker_token token = {1, 2};
        broker_rate rate = {SJ_STR("r"), 1000};
        broker_turn turn = {.rates = &rate, .n = 1};
        const broker_delayed *delayed;
        uint64_t more;
        SURELY(broker_queues(b, arena, &depths, soon()));
        SURELY(broker_delayed_list(b, queue, 9, arena, &delayed, &more, soon()));
        SURELY(broker_dead_list(b, queue, SJ_STR(""), 9, arena, &dead, soon()));
        SURELY(broker_node_join(b, &node, token, SJ_MIN, soon()));
        expect_equal(SURELY(broker_nodes(b, arena, &nodes, soon())), 1);
        SURELY(broker_node_leave(b, node.name, token, soon()));
        SURELY(broker_revoke(b, names, 2, soon()));
        expect_equal(SURELY(broker_revoked_list(b, (sj_wall){0}, arena, &revoked, soon())), 2);
        SURELY(broker_rate_take(b, &turn, 1, SJ_SEC, soon()));
}

static void join_all(void)
{
        broker_join join = {SJ_STR("g"), 2, SJ_STR("{}")};
        broker_arrival both[] = {
                {.group = join.group, .id = SJ_STR("1"), .index = 0, .text = SJ_STR("[1]")},
                {.group = join.group, .id = SJ_STR("2"), .index = 1, .text = SJ_STR("[2]")}};
        sj_str saved;
        SURELY(broker_join_open(b, &join, 1, soon()));
        for (size_t i = 0; i < 2; i++)
                SURELY(broker_join_arrive(b, &both[i], 1, arena, soon()));
        expect(both[1].complete);
        expect_equal(both[1].n_members, 2);
        SURELY(broker_group_save(b, join.group, SJ_STR("{}"), soon()));
        SURELY(broker_group_get(b, join.group, arena, &saved, soon()));
}

/* ── What others hear ────────────────────────────────────────────────────────────────────── */

static void hear(void)
{
        broker_subscription *s = NULL, *mailbox = NULL;
        const sj_str channel = SJ_STR("news"), exchange = SJ_STR("x"), address = SJ_STR("me");
        sj_str from, text;
        SURELY(broker_subscribe(b, &channel, 1, &s, soon()));
        SURELY(broker_mailbox(b, exchange, address, &mailbox, soon()));
        SURELY(broker_emit(b, channel, SJ_STR("hello"), soon()));
        SURELY(broker_post(b, exchange, address, SJ_STR("dear"), soon()));
        SURELY(broker_next(mailbox, arena, &from, &text, soon()));
        atomic_store(&counting, true);
        broker_unsubscribe(s);
        broker_unsubscribe(mailbox);
        atomic_store(&counting, false);
}

static int send_heartbeat(events *e)
{
        events_begin(e);
        return events_send(e, "worker-heartbeat", soon());
}

/* There is no worker to wait for. */
static int ping_nobody(queue_clock *clock)
{
        const control_reply *replies;
        const control_call ping = {.method = "ping"};
        int r = control_broadcast(b, clock, &ping, arena, &replies, sj_after(5 * SJ_MS));
        return r == -ETIMEDOUT ? 0 : r;
}

static void tell_and_ask(void)
{
        queue_clock clock = {0};
        events *e = NULL;
        SURELY(events_new(b, &clock, SJ_STR("n@h"), &e));
        atomic_store(&counting, true);
        for (int i = 0; i < 3; i++) {
                sj_json_writer *w = events_begin(e);
                sj_json_write_name(w, "uuid");
                sj_json_write_string(w, SJ_STR("a"));
                events_gather(e, "task-started", (sj_wall){0});
        }
        atomic_store(&counting, false);
        SURELY(events_flush(e, soon()));
        SURELY(send_heartbeat(e));
        events_free(e);
        SURELY(ping_nobody(&clock));
}

/* ── Canvas ──────────────────────────────────────────────────────────────────────────────── */

/* Parts that are NULL for want of memory make a whole that says so when it is sent. */
static int send_canvas(sj_app *app)
{
        sj_result result;
        sj_signature *s =
                SJ_CHAIN(sj_chord(SJ_GROUP(sj_signature_new("t", "[1]", NULL, NULL),
                                           sj_signature_new("t", "[2]", "{\"a\": 1}", NULL)),
                                  sj_signature_link(sj_signature_new("t", NULL, NULL, NULL),
                                                    sj_signature_new("u", NULL, NULL, NULL))),
                         sj_chunks(sj_signature_new("t", NULL, NULL, NULL), "[[1], [2], [3]]", 2));
        s = sj_signature_stamp(s, "{\"who\": \"me\"}");
        const char *text;
        int r = s ? sj_signature_json(s, arena, &text) : -ENOMEM;
        sj_signature *again = r < 0 ? NULL : sj_signature_parse(text);
        if (r >= 0)
                r = again ? sj_signature_send(app, again, &result) : -ENOMEM;
        sj_signature_free(again);
        sj_signature_free(s);
        return r == -EINVAL ? -ENOMEM : r; /* a callback that is NULL is a mistake, as a rule */
}

static void call(void)
{
        sj_app *app = NULL;
        sj_result result;
        SURELY(app_new_over(b, &(sj_app_options){.default_queue = "calls"}, &app));
        SURELY(sj_send_task(app, "t", "[1, 2]", "{\"k\": \"v\"}", NULL, &result));
        SURELY(send_canvas(app));
        atomic_store(&counting, true);
        sj_app_free(app);
        atomic_store(&counting, false);
}

static int day(void *arg)
{
        char error[256];
        (void)arg;
        SURELY(sj_arena_new(&arena));
        SURELY(broker_open(redis_server_url(server), NULL, &b, error, sizeof(error), soon()));
        publish();
        work_off();
        look_around();
        join_all();
        hear();
        tell_and_ask();
        call();
        atomic_store(&counting, true);
        broker_close(b);
        atomic_store(&counting, false);
        sj_arena_free(arena);
        return 0;
}

static void a_day(void)
{
        redis_server_ask(server, "FLUSHALL");
        assert_int_equal(sj_run(day, NULL), 0);
}

static void whichever_allocation_fails_nothing_is_lost(void **state)
{
        (void)state;
        fail_each(a_day, 200);
}

int main(void)
{
        REDIS_SERVER_OR_SKIP();
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(whichever_allocation_fails_nothing_is_lost),
        };
        server = redis_server_start(NULL);
        int failed = cmocka_run_group_tests(tests, NULL, NULL);
        redis_server_stop(server);
        return failed;
}
