/* SPDX-License-Identifier: MIT */
/*
 * Giving back what nobody holds any more.
 *
 *   Ours        When a fetch's time is over, or its handle is dead (broker_redis_beat.c), what of
 * it is still in `unacked` goes back to the front of its lists. Any broker handle that leases or
 * waits does this for all. Python's    What a worker of Celery's took and never acknowledged is
 * restored after the visibility timeout, under kombu's lock, as kombu itself does.
 *
 * Each is looked at here, since an envelope that comes back says so (redelivered), and moved by a
 * script that does nothing for an entry that is gone or was renewed meanwhile.
 */
#include "queue/redis/broker_redis.h"

enum { SWEEP_ENOUGH = 256 };

#define STALE_EVERY (30 * SJ_SEC)

/*
 * Where an entry of `unacked` goes back to, how many lists (0: nobody knows), and as what. As with
 * kombu, what came by an exchange goes to all queues that are bound for its key: which of them it
 * was taken from is not noted.
 */
static int restored(redis_lane *lane, sj_arena *arena, sj_str value, sj_str **ret_lists,
                    sj_str *ret_envelope, sj_time deadline)
{
        redis_queue *q = lane->q;
        sj_str exchange, key, envelope, *queues = NULL;
        redis_envelope facts;
        char reason[200];
        int n = 0, lists = 0;
        int r = redis_envelope_unpack(arena, value, &envelope, &exchange, &key);
        if (r == -EBADMSG)
                return 0;
        if (r < 0)
                return r;
        r = redis_envelope_read(arena, envelope, &facts, reason, sizeof(reason));
        if (r < 0 && r != -EBADMSG)
                return r;
        if (exchange.n)
                n = redis_queue_lookup(lane, arena, exchange, key, &queues, false, deadline);
        if (n < 0)
                return n;
        if (n == 0) {
                queues = &key;
                n = 1;
        }
        *ret_lists = sj_arena_alloc(arena, (size_t)n * sizeof(**ret_lists));
        if (!*ret_lists)
                return -ENOMEM;
        for (int i = 0; i < n; i++) {
                if (queues[i].n == 0 || queues[i].n > SJ_TASK_NAME_MAX)
                        continue;
                (*ret_lists)[lists] = redis_queue_list(q, arena, queues[i], facts.priority);
                if (!(*ret_lists)[lists++].data)
                        return -ENOMEM;
        }
        r = redis_envelope_mark(arena, envelope, ret_envelope);
        return r < 0 ? r : lists;
}

/* ── Ours ────────────────────────────────────────────────────────────────────────────────── */

static int restore_fetch(redis_lane *lane, sj_arena *arena, const redis_reply *one,
                         sj_time deadline)
{
        const redis_reply *reply;
        redis_words w = redis_words_new(arena, KEY_MAX + 1 + 2 * one->n);
        redis_words_keys(&w, lane->q);
        redis_words_add(&w, redis_reply_text(redis_reply_at(one, 0)));
        for (size_t i = 1; i + 1 < one->n; i += 2) {
                sj_str *lists, envelope;
                int r = restored(lane, arena, redis_reply_text(&one->elements[i + 1]), &lists,
                                 &envelope, deadline);
                if (r < 0)
                        return r;
                if (r == 0)
                        continue;
                redis_words_add(&w, redis_reply_text(&one->elements[i]));
                redis_words_add(&w, lists[0]); /* ours are of one queue */
                redis_words_add(&w, envelope);
        }
        int r = redis_lane_script(lane, SCRIPT_RESTORE, &w, &reply, deadline);
        return r < 0 ? r : (int)redis_reply_int(reply, 0);
}

int redis_queue_sweep(redis_lane *lane, sj_time deadline)
{
        const redis_reply *reply;
        int total = 0;
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, KEY_MAX + 1);
        redis_words_keys(&w, lane->q);
        redis_words_add_int(&w, SWEEP_ENOUGH);
        int r = redis_lane_script(lane, SCRIPT_EXPIRED, &w, &reply, deadline);
        for (size_t i = r == 0 ? reply->n : 0; r >= 0 && i > 0; i--) {
                r = restore_fetch(lane, arena, &reply->elements[i - 1], deadline);
                total += r > 0 ? r : 0;
        }
        if (total > 0)
                sj_log(SJ_LOG_WARNING, "%d messages whose leases ran out are ready again", total);
        return r < 0 ? r : total;
}

/* ── Python's ────────────────────────────────────────────────────────────────────────────── */

static int reclaim(redis_lane *lane, sj_arena *arena, sj_str mark, const redis_reply *stale,
                   sj_time deadline)
{
        redis_queue *q = lane->q;
        const redis_reply *reply;
        redis_words w = redis_words_new(arena, KEY_MAX + 4 + 2 * stale->n);
        redis_words_keys(&w, q);
        redis_words_add(&w, q->mutex_key);
        redis_words_arguments(&w);
        redis_words_add(&w, mark);
        redis_words_add_int(&w, q->settings.visibility_timeout);
        for (size_t i = 0; i + 1 < stale->n; i += 2) {
                sj_str *lists, envelope, tag = redis_reply_text(&stale->elements[i]);
                sj_str value = redis_reply_text(&stale->elements[i + 1]);
                int n = value.n ? restored(lane, arena, value, &lists, &envelope, deadline) : 0;
                if (n < 0)
                        return n;
                /* It is somebody's message: not ours to throw away. */
                if (n == 0 && value.n)
                        sj_log(SJ_LOG_WARNING, "an entry of %.*s is not understood, and left: %.*s",
                               SJ_STR_ARG(q->settings.unacked), SJ_STR_ARG(tag));
                for (int k = 0; k < n; k++) {
                        redis_words_add(&w, tag);
                        redis_words_add(&w, lists[k]);
                        redis_words_add(&w, envelope);
                }
                for (int k = 0; !value.n && k < 3; k++)
                        redis_words_add(&w, k ? SJ_STR("") : tag);
        }
        int r = redis_lane_script(lane, SCRIPT_RECLAIM, &w, &reply, deadline);
        return r < 0 ? r : (int)redis_reply_int(reply, 0);
}

int redis_queue_reclaim(redis_lane *lane, sj_time deadline)
{
        redis_queue *q = lane->q;
        const redis_reply *stale;
        char mark[MESSAGE_UUID_SIZE];
        if (sj_now() < lane->stale_at)
                return 0;
        sj_time every = q->settings.visibility_timeout * SJ_SEC / 2;
        lane->stale_at = sj_after(every < STALE_EVERY ? every : STALE_EVERY);
        REDIS_SCRATCH(arena, lane);
        message_uuid(mark);
        redis_words w = redis_words_new(arena, KEY_MAX + 4);
        redis_words_keys(&w, q);
        redis_words_add(&w, q->mutex_key);
        redis_words_arguments(&w);
        redis_words_add(&w, sj_str_of(mark));
        redis_words_add_int(&w, q->settings.unacked_mutex_expire * 1000);
        redis_words_add_int(&w, q->settings.visibility_timeout);
        int r = redis_lane_script(lane, SCRIPT_STALE, &w, &stale, deadline);
        if (r < 0 || stale->n == 0)
                return r;
        return reclaim(lane, arena, sj_str_of(mark), stale, deadline);
}
