/* SPDX-License-Identifier: MIT */
/* For tests of what is the Redis broker's own: on a real server, whose data go before each case. */
#ifndef SANJAB_QUEUE_BROKER_REDIS_UNIT_H
#define SANJAB_QUEUE_BROKER_REDIS_UNIT_H

#include "base/unit.h"
#include "queue/redis/broker_redis.h"
#include "store/redis_server.h"

#include <stdio.h>

static redis_server *server;

static inline int start_server(void **state)
{
        (void)state;
        server = redis_server_start(NULL);
        return server ? 0 : -1;
}

static inline int stop_server(void **state)
{
        (void)state;
        redis_server_stop(server);
        return 0;
}

static inline int flush(void **state)
{
        (void)state;
        redis_server_ask(server, "FLUSHALL");
        return 0;
}

static inline int open_it(void *arg, const broker_options *options, broker **ret)
{
        (void)arg;
        char error[256];
        int r = broker_open(redis_server_url(server), options, ret, error, sizeof(error),
                            sj_after(60 * SJ_SEC));
        if (r < 0)
                fprintf(stderr, "%s\n", error);
        return r;
}

static inline sj_time soon(void)
{
        return sj_after(60 * SJ_SEC);
}

static inline sj_str envelope_of(sj_arena *arena, const char *id)
{
        sj_str text = {NULL, 0};
        message m = {.id = sj_str_of(id), .task = SJ_STR("t"), .routing_key = SJ_STR("q")};
        assert_int_equal(message_encode(arena, &m, &text), 0);
        return text;
}

/* Publishes one, takes it and settles it, by whatever thread calls. */
static inline void once_through(broker *b, const char *id)
{
        sj_arena *arena;
        sj_str q = SJ_STR("q");
        broker_lease *lease;
        broker_result stored, r = {sj_str_of(id), SJ_STR("SUCCESS"),
                                   SJ_STR("{\"status\": \"SUCCESS\", \"result\": 1}")};
        assert_int_equal(sj_arena_new(&arena), 0);
        broker_message m = {.id = sj_str_of(id), .queue = q, .envelope = envelope_of(arena, id)};
        assert_int_equal(broker_publish(b, &m, 1, NULL, soon()), 0);
        assert_int_equal(broker_wait(b, &q, 1, soon()), 0);
        broker_claim claim = {.queues = &q, .n_queues = 1};
        assert_int_equal(broker_lease_next(b, &claim, &lease, 1, soon()), 1);
        broker_settlement s = {.lease = lease, .results = &r, .n_results = 1};
        assert_int_equal(broker_settle(b, &s, 1, soon()), 0);
        assert_int_equal(s.status, 0);
        assert_int_equal(broker_result_wait(b, r.id, arena, &stored, soon()), 0);
        assert_true(sj_str_equal(stored.content, r.content));
        broker_lease_free(lease);
        sj_arena_free(arena);
}

static inline broker_message message_of(sj_arena *arena, const char *id, const char *queue)
{
        return (broker_message){
                .id = sj_str_of(id), .queue = sj_str_of(queue), .envelope = envelope_of(arena, id)};
}

/* Where the results are not in the script that sees whose lease it is. */
static inline size_t lease_two(broker *b, sj_arena *arena, broker_lease *leases[2])
{
        sj_str q = SJ_STR("q");
        broker_claim claim = {.queues = &q, .n_queues = 1};
        broker_message m[2];
        const char *ids[] = {"a", "b"};
        for (int i = 0; i < 2; i++)
                m[i] = (broker_message){.id = sj_str_of(ids[i]),
                                        .queue = q,
                                        .envelope = envelope_of(arena, ids[i])};
        assert_int_equal(broker_publish(b, m, 2, NULL, soon()), 0);
        return (size_t)broker_lease_next(b, &claim, leases, 2, soon());
}

/* A case in main's list. */
#define OWN(body)                              \
        {                                      \
#body, body, flush, NULL, NULL \
        }

#endif
