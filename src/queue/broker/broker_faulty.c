/* SPDX-License-Identifier: MIT */
#include "queue/broker/broker_faulty.h"

#include "base/list.h"

#include <sanjab/fiber.h>

static broker_faulty *faulty_of(broker *b)
{
        return container_of(b, broker_faulty, base);
}

/* By chance: slow, an error before it is done, or one after it. */
static faulty_plan chance(const broker_faulty *f)
{
        faulty_plan p = {0};
        if (!f->one_in || f->draw(f->one_in) != 0)
                return p;
        p.delay = (sj_time)f->draw(1000) * (f->delay_max / 1000);
        p.error = f->draw(3) == 0 ? 0 : f->draw(2) ? -EIO : -ETIMEDOUT;
        p.done = f->draw(2);
        return p;
}

static faulty_plan plan_of(broker_faulty *f, faulty_verb verb)
{
        faulty_plan *p = &f->plans[verb];
        unsigned call = p->calls++;
        bool now = call >= p->after && (!p->times || call < p->after + p->times);
        return now && (p->error || p->delay) ? *p : chance(f);
}

static int before(const faulty_plan *p, sj_time deadline)
{
        if (p->delay) {
                sj_time end = sj_after(p->delay);
                int r = sj_sleep((end < deadline ? end : deadline) - sj_now());
                if (r < 0)
                        return r;
                if (end > deadline)
                        return -ETIMEDOUT;
        }
        return p->done ? 0 : p->error;
}

/* The verb as it would be, between what the plan says. */
#define FAULTY(verb, call)                      \
        broker_faulty *f = faulty_of(b);        \
        const faulty_plan p = plan_of(f, verb); \
        int r = before(&p, deadline);           \
        if (r >= 0)                             \
                r = (call);                     \
        return p.done && p.error ? p.error : r

static int publish(broker *b, const broker_message messages[], size_t n, broker_published ret[],
                   sj_time deadline)
{
        FAULTY(FAULTY_PUBLISH, broker_publish(f->inner, messages, n, ret, deadline));
}

static int publish_once(broker *b, const broker_message messages[], size_t n,
                        broker_published ret[], sj_time deadline)
{
        FAULTY(FAULTY_PUBLISH_ONCE, broker_publish_once(f->inner, messages, n, ret, deadline));
}

static int lease_next(broker *b, const broker_claim *claim, broker_lease *ret[], size_t n,
                      sj_time deadline)
{
        broker_faulty *f = faulty_of(b);
        const faulty_plan p = plan_of(f, FAULTY_LEASE);
        int r = before(&p, deadline);
        if (r < 0)
                return r;
        r = broker_lease_next(f->inner, claim, ret, n, deadline);
        if (!p.done || !p.error)
                return r;
        for (int i = 0; i < r; i++)
                broker_lease_free(ret[i]);
        return p.error;
}

static int wait_for(broker *b, const sj_str queues[], size_t n_queues, sj_time deadline)
{
        FAULTY(FAULTY_WAIT, broker_wait(f->inner, queues, n_queues, deadline));
}

static int renew(broker *b, broker_lease *const leases[], size_t n, sj_time duration,
                 broker_hold ret[], sj_time deadline)
{
        FAULTY(FAULTY_RENEW, broker_renew(f->inner, leases, n, duration, ret, deadline));
}

static bool is_refused(const broker_faulty *f, const broker_settlement *s)
{
        return f->refused && s->n_results > 0 &&
               sj_str_equal(s->results[0].id, sj_str_of(f->refused)) &&
               sj_str_equal(s->results[0].state, SJ_STR("SUCCESS"));
}

static int settle(broker *b, broker_settlement settlements[], size_t n, sj_time deadline)
{
        for (size_t i = 0; i < n; i++)
                if (is_refused(faulty_of(b), &settlements[i]))
                        return -EMSGSIZE;
        FAULTY(FAULTY_SETTLE, broker_settle(f->inner, settlements, n, deadline));
}

static int result_put(broker *b, const broker_result results[], size_t n, sj_time deadline)
{
        FAULTY(FAULTY_RESULT_PUT, broker_result_put(f->inner, results, n, deadline));
}

static int join_open(broker *b, const broker_join joins[], size_t n, sj_time deadline)
{
        FAULTY(FAULTY_JOIN, broker_join_open(f->inner, joins, n, deadline));
}

static int join_grow(broker *b, sj_str group, int64_t by, sj_time deadline)
{
        FAULTY(FAULTY_JOIN, broker_join_grow(f->inner, group, by, deadline));
}

static int join_arrive(broker *b, broker_arrival arrivals[], size_t n, sj_arena *arena,
                       sj_time deadline)
{
        FAULTY(FAULTY_JOIN, broker_join_arrive(f->inner, arrivals, n, arena, deadline));
}

static int result_get(broker *b, const sj_str ids[], size_t n, sj_arena *arena, broker_result ret[],
                      sj_time deadline)
{
        return broker_result_get(faulty_of(b)->inner, ids, n, arena, ret, deadline);
}

/* What is heard of others is not in the way of any message: it does not fail. */
static int subscribe(broker *b, const sj_str channels[], size_t n, broker_subscription **ret,
                     sj_time deadline)
{
        return broker_subscribe(faulty_of(b)->inner, channels, n, ret, deadline);
}

static int emit(broker *b, sj_str channel, sj_str text, sj_time deadline)
{
        return broker_emit(faulty_of(b)->inner, channel, text, deadline);
}

static int rate_take(broker *b, broker_turn turns[], size_t n, sj_time horizon, sj_time deadline)
{
        return broker_rate_take(faulty_of(b)->inner, turns, n, horizon, deadline);
}

static int revoke(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        FAULTY(FAULTY_REVOKE, broker_revoke(f->inner, ids, n, deadline));
}

static int revoked_list(broker *b, sj_wall after, sj_arena *arena, const broker_revoked **ret,
                        sj_time deadline)
{
        return broker_revoked_list(faulty_of(b)->inner, after, arena, ret, deadline);
}

static int node_join(broker *b, const broker_node *node, broker_token token, sj_time ttl,
                     sj_time deadline)
{
        FAULTY(FAULTY_NODE_JOIN, broker_node_join(f->inner, node, token, ttl, deadline));
}

static int node_beat(broker *b, sj_str name, broker_token token, sj_str info, sj_time ttl,
                     sj_time deadline)
{
        FAULTY(FAULTY_NODE_BEAT, broker_node_beat(f->inner, name, token, info, ttl, deadline));
}

static int node_leave(broker *b, sj_str name, broker_token token, sj_time deadline)
{
        FAULTY(FAULTY_NODE_LEAVE, broker_node_leave(f->inner, name, token, deadline));
}

static int nodes(broker *b, sj_arena *arena, const broker_node **ret, sj_time deadline)
{
        return broker_nodes(faulty_of(b)->inner, arena, ret, deadline);
}

static const broker_class class = {
        .scheme = "faulty",
        .publish = publish,
        .publish_once = publish_once,
        .lease_next = lease_next,
        .wait = wait_for,
        .renew = renew,
        .settle = settle,
        .result_put = result_put,
        .subscribe = subscribe,
        .emit = emit,
        .revoke = revoke,
        .revoked_list = revoked_list,
        .rate_take = rate_take,
        .result_get = result_get,
        .join_open = join_open,
        .join_grow = join_grow,
        .join_arrive = join_arrive,
        .node_join = node_join,
        .node_beat = node_beat,
        .node_leave = node_leave,
        .nodes = nodes,
};

void broker_faulty_init(broker_faulty *ret, broker *inner)
{
        *ret = (broker_faulty){.base = *inner, .inner = inner};
        ret->base.class = &class;
}
