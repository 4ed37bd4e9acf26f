/* SPDX-License-Identifier: MIT */
/*
 * What the cases of broker_conformance are written with: for conformance_*.c alone. Each file says
 * in its table, conformance_NAME, what it has; broker_conformance.c lists the tables.
 */
#ifndef SANJAB_QUEUE_CONFORMANCE_UNIT_H
#define SANJAB_QUEUE_CONFORMANCE_UNIT_H

#include "fiber/real_unit.h"
#include "queue/broker/broker_conformance.h"
#include "queue/message/message.h"

#include <stdlib.h>

#define expect_text(a, b) expect(sj_str_equal((a), sj_str_of(b)))

#define CASE(body)          \
        {                   \
#body, body \
        }

/* The tables; each ends with a name of NULL. */
extern const conformance_case conformance_publish[];
extern const conformance_case conformance_lease[];
extern const conformance_case conformance_wait[];
extern const conformance_case conformance_settle[];
extern const conformance_case conformance_result[];
extern const conformance_case conformance_revoke[];
extern const conformance_case conformance_dead[];
extern const conformance_case conformance_node[];
extern const conformance_case conformance_pubsub[];
extern const conformance_case conformance_join[];
extern const conformance_case conformance_rate[];
extern const conformance_case conformance_soak[];

static const sj_str the_queue = {"q", 1};

typedef struct fixture {
        const conformance *c;
        broker *b;
        sj_arena *arena;
} fixture;

static inline void fixture_open(fixture *f, void *arg)
{
        f->c = arg;
        expect_equal(f->c->open(f->c->arg, &(broker_options){0}, &f->b), 0);
        expect_equal(sj_arena_new(&f->arena), 0);
}

static inline void fixture_close(fixture *f)
{
        broker_close(f->b);
        sj_arena_free(f->arena);
}

/* A case's beginning: f is the fixture, closed at the end of the block. */
#define FIXTURE(f, arg)                                             \
        __attribute__((cleanup(fixture_close))) fixture f##_ = {0}; \
        fixture *f = &f##_;                                         \
        fixture_open(f, arg)

#define NEEDS(f, capability)                           \
        do {                                           \
                if (!broker_can((f)->b, (capability))) \
                        return 0;                      \
        } while (0)

static inline sj_time soon(void)
{
        return sj_after(60 * SJ_SEC);
}

/* The wall clock n ticks from now. */
static inline sj_wall ticks_from_now(const fixture *f, int n)
{
        return (sj_wall){sj_wall_now().us + n * (f->c->tick / SJ_US)};
}

static inline void pass(const fixture *f, int ticks)
{
        expect_equal(sj_sleep(ticks * f->c->tick), 0);
}

/* What a message says beside its envelope; `seal` makes that, which on Redis is all there is. */
static inline broker_message message_of(const char *id)
{
        return (broker_message){.id = sj_str_of(id), .queue = the_queue, .task = SJ_STR("t")};
}

static inline broker_message seal(fixture *f, broker_message m)
{
        message whole = {.id = m.id,
                         .task = m.task,
                         .eta = m.eta,
                         .expires = m.expires,
                         .priority = m.priority,
                         .routing_key = m.queue};
        expect_equal(message_encode(f->arena, &whole, &m.envelope), 0);
        return m;
}

static inline void publish(fixture *f, broker_message m)
{
        if (!m.envelope.data)
                m = seal(f, m);
        expect_equal(broker_publish(f->b, &m, 1, NULL, soon()), 0);
}

static inline void publish_ids(fixture *f, int n)
{
        for (int i = 0; i < n; i++) {
                char id[16];
                snprintf(id, sizeof(id), "id%d", i);
                publish(f, message_of(id));
        }
}

static inline int lease_many(fixture *f, broker_lease *ret[], size_t n, int ticks)
{
        broker_claim claim = {.queues = &the_queue,
                              .n_queues = 1,
                              .worker = SJ_STR("w"),
                              .duration = ticks ? ticks * f->c->tick : 0};
        int r = broker_lease_next(f->b, &claim, ret, n, soon());
        expect(r >= 0);
        return r;
}

/* The next message, which must be there, leased for that many ticks. */
static inline broker_lease *lease_for(fixture *f, int ticks)
{
        broker_lease *lease = NULL;
        expect_equal(lease_many(f, &lease, 1, ticks), 1);
        return lease;
}

static inline broker_lease *lease(fixture *f)
{
        return lease_for(f, 0);
}

static inline void expect_none(fixture *f)
{
        broker_lease *none = NULL;
        expect_equal(lease_many(f, &none, 1, 0), 0);
}

static inline int settle(fixture *f, broker_settlement s)
{
        s.status = -1;
        expect_equal(broker_settle(f->b, &s, 1, soon()), 0);
        return s.status;
}

static inline void settle_and_free(fixture *f, broker_lease *l, broker_settlement s)
{
        s.lease = l;
        expect_equal(settle(f, s), 0);
        broker_lease_free(l);
}

/* What is stored says its state too, as Celery has it. */
static inline const char *content_of(const char *state)
{
#define CONTENT(state)                                                    \
        {                                                                 \
                state, "{\"status\": \"" state "\", \"the\": \"result\"}" \
        }
        static const char *const contents[][2] = {CONTENT("STARTED"), CONTENT("PROGRESS"),
                                                  CONTENT("RETRY"),   CONTENT("FAILURE"),
                                                  CONTENT("REVOKED"), CONTENT("SUCCESS")};
        for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++)
                if (strcmp(contents[i][0], state) == 0)
                        return contents[i][1];
        abort();
}

static inline broker_result result_of(const char *id, const char *state)
{
        return (broker_result){sj_str_of(id), sj_str_of(state), sj_str_of(content_of(state))};
}

/*
 * Whether the lease has that envelope: to the byte, or, where all that a message says stands in
 * it, with something added at its end.
 */
static inline bool has_envelope(const broker_lease *l, sj_str envelope)
{
        sj_str had = l->message.envelope;
        if (broker_can(l->owner, BROKER_OURS))
                return sj_str_equal(had, envelope);
        return had.n >= envelope.n && memcmp(had.data, envelope.data, envelope.n - 1) == 0;
}

/* Settles as done, with a result of that state. */
static inline void finish(fixture *f, broker_lease *l, const char *state)
{
        broker_result r = {l->message.id, sj_str_of(state), sj_str_of(content_of(state))};
        settle_and_free(f, l, (broker_settlement){.results = &r, .n_results = 1});
}

static inline sj_str state_of(fixture *f, const char *id)
{
        broker_result r;
        sj_str text = sj_str_of(id);
        expect_equal(broker_result_get(f->b, &text, 1, f->arena, &r, soon()), 0);
        return r.state;
}

static inline broker_depth depth_of(fixture *f)
{
        const broker_depth *all = NULL;
        int n = broker_queues(f->b, f->arena, &all, soon());
        expect(n >= 0);
        for (int i = 0; i < n; i++)
                if (sj_str_equal(all[i].queue, the_queue))
                        return all[i];
        return (broker_depth){0};
}

#endif
