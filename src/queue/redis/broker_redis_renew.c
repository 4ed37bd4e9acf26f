/* SPDX-License-Identifier: MIT */
/*
 * Renewal. A fetch all of whose outstanding leases are renewed at once, which is how a worker does
 * it, stays one record. One of which only some are renewed is split into records of one lease
 * each, so that the others run out in their own time.
 */
#include "queue/redis/broker_redis.h"

typedef struct renewal {
        broker_lease *const *leases;
        size_t n;
        sj_time duration;
        broker_hold *ret;
        sj_time deadline;
        redis_lane *lane;
        sj_arena *arena;
        int64_t end;
} renewal;

static void add_count(redis_words *w, size_t at, int n)
{
        redis_words count = redis_words_new(w->arena, 1);
        redis_words_add_int(&count, n);
        w->bad |= count.bad;
        if (!w->bad)
                w->at[at] = count.at[0];
}

static void add_record(redis_queue *q, redis_words *w, const redis_fetch *f, unsigned from,
                       unsigned count)
{
        redis_words_format(w, "%s.%llx.%x.%x", q->handle, (unsigned long long)f->number, from,
                           count);
}

/* How many of its leases this call renews, in each fetch. */
static void count_renewed(renewal *a)
{
        redis_queue *q = a->lane->q;
        for (size_t i = 0; i < a->n; i++) {
                redis_fetch *f = redis_fetch_find(q, a->leases[i]->token);
                if (f)
                        f->renewing = 0;
        }
        for (size_t i = 0; i < a->n; i++) {
                redis_fetch *f = redis_fetch_find(q, a->leases[i]->token);
                if (f)
                        f->renewing++;
        }
}

static bool renews(const renewal *a, const redis_fetch *f, unsigned index)
{
        for (size_t i = 0; i < a->n; i++)
                if (redis_token_fetch(a->leases[i]->token) == f->number &&
                    redis_token_index(a->leases[i]->token) == index)
                        return true;
        return false;
}

/* Each fetch is met as often as it has leases here: `renewing` is 0 when it was dealt with. */
static void add_whole(renewal *a, redis_words *w)
{
        redis_queue *q = a->lane->q;
        size_t at = w->n;
        int n = 0;
        redis_words_add(w, SJ_STR("0"));
        for (size_t i = 0; i < a->n; i++) {
                redis_fetch *f = redis_fetch_find(q, a->leases[i]->token);
                if (!f || f->split || f->renewing != f->left)
                        continue;
                f->renewing = 0;
                f->end = a->end;
                add_record(q, w, f, 0, f->count);
                n++;
        }
        add_count(w, at, n);
}

static void add_dropped(renewal *a, redis_words *w, redis_words *parts)
{
        redis_queue *q = a->lane->q;
        size_t at = w->n;
        int n = 0;
        redis_words_add(w, SJ_STR("0"));
        for (size_t i = 0; i < a->n; i++) {
                redis_fetch *f = redis_fetch_find(q, a->leases[i]->token);
                if (!f || f->renewing == 0)
                        continue;
                f->renewing = 0;
                bool was_split = f->split;
                if (!was_split) {
                        add_record(q, w, f, 0, f->count);
                        n++;
                }
                f->split = true;
                for (unsigned k = 0; k < f->count; k++) {
                        bool out = f->out[k / 8] >> k % 8 & 1, fresh = out && renews(a, f, k);
                        if (!out || (was_split && !fresh))
                                continue;
                        add_record(q, parts, f, k, 1);
                        if (fresh)
                                redis_words_add(parts, SJ_STR(""));
                        else
                                redis_words_add_int(parts, f->end);
                }
        }
        add_count(w, at, n);
}

static int renew_in(redis_lane *lane, void *arg)
{
        renewal *a = arg;
        redis_queue *q = lane->q;
        const redis_reply *reply;
        REDIS_SCRATCH(arena, lane);
        a->lane = lane;
        a->arena = arena;
        sj_wall now = sj_wall_now();
        a->end = now.us + a->duration / SJ_US;
        for (size_t i = 0; i < a->n; i++) {
                if (a->leases[i]->until.us >= now.us)
                        continue;
                int r = redis_queue_sweep(lane, a->deadline);
                if (r < 0)
                        return r;
                break;
        }
        redis_words w = redis_words_new(arena, KEY_MAX + 8 + 2 * a->n);
        redis_words parts = redis_words_new(arena, 8);
        redis_words_keys(&w, q);
        redis_words_add_int(&w, a->duration / SJ_US);
        redis_words_add_int(&w, redis_queue_offset(q, a->duration));
        redis_words_add_int(&w, (int64_t)a->n);
        for (size_t i = 0; i < a->n; i++)
                redis_words_add(&w, redis_queue_tag(arena, a->leases[i]->token));
        mutex_lock(&q->lock);
        count_renewed(a);
        add_whole(a, &w);
        add_dropped(a, &w, &parts);
        mutex_unlock(&q->lock);
        w.bad |= parts.bad;
        for (size_t i = 0; i < parts.n; i++)
                redis_words_add(&w, parts.at[i]);
        int r = redis_lane_script(lane, SCRIPT_RENEW, &w, &reply, a->deadline);
        if (r == 0)
                r = redis_answer_each(lane->client, reply, a->n, ANSWER_INTEGER);
        for (size_t i = 0; r == 0 && i < a->n; i++) {
                bool held = reply->elements[i].integer == 1;
                if (held)
                        a->leases[i]->until = (sj_wall){a->end};
                if (a->ret)
                        a->ret[i] = held ? BROKER_HELD : BROKER_LOST;
        }
        return r;
}

int redis_queue_renew_in(redis_lane *lane, broker_lease *const leases[], size_t n, sj_time duration,
                         broker_hold ret[], sj_time deadline)
{
        renewal a = {
                .leases = leases, .n = n, .duration = duration, .ret = ret, .deadline = deadline};
        return renew_in(lane, &a);
}

int redis_queue_renew(broker *b, broker_lease *const leases[], size_t n, sj_time duration,
                      broker_hold ret[], sj_time deadline)
{
        renewal a = {
                .leases = leases, .n = n, .duration = duration, .ret = ret, .deadline = deadline};
        return redis_lane_call(b, renew_in, &a);
}
