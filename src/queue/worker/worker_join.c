/* SPDX-License-Identifier: MIT */
/*
 * Before deliveries are settled: what their ends bring to joins.
 *
 * All arrivals of a group are told in one call. What follows from one that completes its join goes
 * into the settlement of its delivery, and may be further arrivals (a body that has failed is a
 * member of the join around it), so it is done in rounds. An arrival counts as told when all that
 * follows from it is worked out: before that it is told again, which changes nothing.
 */
#include "queue/worker/worker_internal.h"

typedef struct round {
        broker_arrival *list;
        delivery **of; /* whose each is */
        size_t *at;    /* and where in that one's list */
        size_t n;
        sj_arena *arena;
} round;

static size_t untold(const delivery *d)
{
        return d->lost ? 0 : d->arrivals.n - d->arrivals.told;
}

/* The next arrivals of these deliveries. -ENOMEM. */
static int gather(delivery *const deliveries[], size_t n, round *ret)
{
        size_t room = 0;
        for (size_t i = 0; i < n; i++)
                room += untold(deliveries[i]);
        if (room > BROKER_BATCH_MAX)
                room = BROKER_BATCH_MAX;
        ret->n = 0;
        if (room == 0)
                return 0;
        ret->list = sj_arena_alloc(ret->arena, room * sizeof(*ret->list));
        ret->of = sj_arena_alloc(ret->arena, room * sizeof(*ret->of));
        ret->at = sj_arena_alloc(ret->arena, room * sizeof(*ret->at));
        if (!ret->list || !ret->of || !ret->at)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                delivery *d = deliveries[i];
                for (size_t k = 0; k < untold(d) && ret->n < room; k++) {
                        ret->of[ret->n] = d;
                        ret->at[ret->n] = d->arrivals.told + k;
                        ret->list[ret->n++] = d->arrivals.list[d->arrivals.told + k];
                }
        }
        return 0;
}

/* What follows from one that is complete. */
static int follow(worker *w, delivery *d, size_t i, sj_arena *arena)
{
        const sj_str *ids = NULL;
        outcome_context context = worker_context(w);
        int n = outcome_join_lacks(&d->arrivals.list[i], arena, &ids);
        if (n < 0)
                return n;
        broker_result *found = sj_arena_alloc(arena, ((size_t)n + 1) * sizeof(*found));
        if (!found)
                return -ENOMEM;
        int r = broker_result_get(w->options.broker, ids, (size_t)n, arena, found, SJ_NEVER);
        return r < 0 ? r
                     : outcome_joined(&context, &d->view, i, found, (size_t)n, d->arena,
                                      &d->settlement);
}

static int tell(worker *w, const round *now)
{
        int r = broker_join_arrive(w->options.broker, now->list, now->n, now->arena, SJ_NEVER);
        if (r == -EOPNOTSUPP)
                sj_log(SJ_LOG_ERROR, "the broker keeps no joins: a chord waits in vain");
        if (r < 0 && r != -EOPNOTSUPP)
                return r;
        for (size_t i = 0; i < now->n; i++) {
                delivery *d = now->of[i];
                d->arrivals.list[now->at[i]] = now->list[i];
                if (r >= 0 && now->list[i].complete) {
                        int error = follow(w, d, now->at[i], now->arena);
                        if (error < 0)
                                return error;
                }
                d->arrivals.told++;
        }
        return 0;
}

sj_str worker_chord_text(const delivery *d)
{
        const message *m = &d->m;
        sj_str text = {NULL, 0};
        const sj_json *pair[] = {NULL, m->chord};
        if (!m->chord || !m->group.n)
                return text;
        pair[0] = m->has_group_index ? sj_json_new_int(d->arena, m->group_index)
                                     : sj_json_new_null(d->arena);
        const sj_json *both = pair[0] ? sj_json_new_array(d->arena, pair, 2) : NULL;
        if (both)
                sj_json_text(d->arena, both, SJ_JSON_PYTHON, &text);
        return text;
}

int worker_tell_joins(worker *w, delivery *const deliveries[], size_t n)
{
        round now = {0};
        bool any = false;
        for (size_t i = 0; i < n && !any; i++)
                any = untold(deliveries[i]) > 0;
        if (!any)
                return 0;
        int r = sj_arena_new(&now.arena);
        while (r >= 0 && (r = gather(deliveries, n, &now)) >= 0 && now.n > 0)
                r = tell(w, &now);
        sj_arena_free(now.arena);
        return r;
}
