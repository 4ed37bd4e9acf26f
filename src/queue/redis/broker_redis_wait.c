/* SPDX-License-Identifier: MIT */
/*
 * Waiting. Producers only push, whoever they are, so the lists themselves must wake us, and Redis
 * wakes by nothing but a command that blocks on them. BLMOVE of a list's right end onto itself
 * changes nothing, loses nothing when its client dies, and returns as soon as there is something.
 * It takes one list and a connection; a list that is waited for has a fiber of the lane, which
 * stays for as long as somebody comes back:
 *
 *         idle ── asked for ──► blocked in BLMOVE ── something there ──► idle, and `fired` counts
 *
 * What comes due by its time is known in advance (look.lua tells the next moment); what becomes
 * due earlier than anything else is announced on a channel. Beyond that, who waits looks again
 * every REDIS_QUEUE_PATIENCE, so that a lease that was taken later and ran out is found as well,
 * and so that nothing depends on a connection that is silent.
 */
#include "queue/redis/broker_redis.h"

#include <sanjab/sync.h>

#include <stdio.h>
#include <stdlib.h>

typedef struct redis_watcher {
        list node;
        redis_lane *lane;
        sj_str key;
        sj_event asked;
        bool blocked;
        uint64_t fired;
        sj_fiber *fiber;
        char name[];
} redis_watcher;

typedef struct redis_arm {
        list node;
        sj_scope *scope;
} redis_arm;

/* Without anybody asking for so long, a watcher ends. */
#define WATCHER_IDLE SJ_MIN

/* A call that takes is not worth it for less; and how often a list must be right after a wrong one.
 */
#define ARM_LEAST (200 * SJ_MS)
enum { STREAK_AFTER_MISS = 8, STREAK_NEVER = 1000 };

/* ── News ────────────────────────────────────────────────────────────────────────────────── */

static void tell(redis_lane *lane)
{
        sj_event_set(&lane->news);
        list_for_each (node, &lane->armed)
                sj_scope_cancel(container_of(node, redis_arm, node)->scope);
}

static void learn(redis_watcher *w)
{
        redis_lane *lane = w->lane;
        if (lane->hot == w) {
                lane->streak++;
                return;
        }
        lane->needed = lane->hot ? STREAK_AFTER_MISS : 1;
        lane->hot = w;
        lane->streak = 1;
}

/* ── Watchers ────────────────────────────────────────────────────────────────────────────── */

/* 1 something is there, 0 not in this time; an error. */
static int watch_once(redis_watcher *w)
{
        redis_lane *lane = w->lane;
        const redis_reply *reply;
        REDIS_SCRATCH(arena, lane);
        const sj_str words[] = {SJ_STR("BLMOVE"), w->key,          w->key,
                                SJ_STR("RIGHT"),  SJ_STR("RIGHT"), SJ_STR("5")};
        int r = redis_block(lane->client, arena, words, 6, &reply, sj_after(8 * SJ_SEC));
        if (r == 0)
                r = redis_answer_command(lane->client, words[0], reply);
        return r < 0 ? r : reply->type == REDIS_STRING;
}

static void watch(redis_watcher *w)
{
        redis_lane *lane = w->lane;
        int r = 0;
        w->blocked = true;
        while (!lane->closing) {
                r = watch_once(w);
                if (r < 0 && r != -ETIMEDOUT && !lane->closing)
                        sj_sleep(50 * SJ_MS);
                if (r > 0) {
                        w->fired++;
                        learn(w);
                }
                if (r != 0 || lane->waiting == 0)
                        break;
        }
        w->blocked = false;
        /* Who waits asks again; it looks again if the connection broke. */
        if (r <= 0)
                lane->alarms++;
        tell(lane);
}

static int watcher_fiber(void *arg)
{
        redis_watcher *w = arg;
        redis_lane *lane = w->lane;
        w->fiber = sj_fiber_self();
        while (!lane->closing && !sj_cancelled()) {
                int r = sj_event_wait(&w->asked, sj_after(WATCHER_IDLE));
                /* Who asks between the end of that time and this counts on it. */
                if (r == -ETIMEDOUT && !w->asked.is_set)
                        break;
                sj_event_clear(&w->asked);
                if (r != -ECANCELED && !lane->closing)
                        watch(w);
        }
        list_remove(&w->node);
        if (lane->hot == w)
                lane->hot = NULL;
        lane->background--;
        free(w);
        return 0;
}

static redis_watcher *watcher_new(redis_lane *lane, sj_str key)
{
        redis_watcher *w = calloc(1, sizeof(*w) + key.n + 1);
        if (!w)
                return NULL;
        *w = (redis_watcher){.lane = lane, .asked = SJ_EVENT_INIT};
        memcpy(w->name, key.data, key.n);
        w->key = (sj_str){w->name, key.n};
        if (redis_lane_spawn(watcher_fiber, w) < 0) {
                free(w);
                return NULL;
        }
        lane->background++;
        list_append(&lane->watchers, &w->node);
        return w;
}

static redis_watcher *watcher_of(redis_lane *lane, sj_str key)
{
        list_for_each (node, &lane->watchers) {
                redis_watcher *w = container_of(node, redis_watcher, node);
                if (sj_str_equal(w->key, key))
                        return w;
        }
        return watcher_new(lane, key);
}

/* ── The alarm: something is due earlier than what was known ─────────────────────────────── */

static int alarm_fiber(void *arg)
{
        redis_lane *lane = arg;
        redis_subscription *s = NULL;
        lane->alarm = sj_fiber_self();
        if (redis_subscribe(lane->client, &lane->q->keys[KEY_ALARM], 1, false, 16, &s) == 0) {
                while (!lane->closing && !sj_cancelled()) {
                        redis_news news;
                        sj_str channel, text;
                        REDIS_SCRATCH(arena, lane);
                        int r = redis_next(s, arena, &news, &channel, &text, SJ_NEVER);
                        if (r < 0 && r != -ENOBUFS)
                                sj_sleep(50 * SJ_MS);
                        lane->alarms++;
                        tell(lane);
                }
                redis_unsubscribe(s);
        }
        lane->background--;
        lane->alarm = NULL;
        lane->alarm_started = false;
        return 0;
}

static int alarm_start(redis_lane *lane)
{
        if (lane->alarm_started)
                return 0;
        int r = redis_lane_spawn(alarm_fiber, lane);
        if (r < 0)
                return r;
        lane->background++;
        lane->alarm_started = true;
        return 0;
}

void redis_queue_wake_all(redis_lane *lane)
{
        list_for_each (node, &lane->watchers) {
                redis_watcher *w = container_of(node, redis_watcher, node);
                sj_event_set(&w->asked);
                if (w->blocked && w->fiber)
                        sj_cancel(w->fiber);
        }
        if (lane->alarm)
                sj_cancel(lane->alarm);
        if (lane->beater)
                sj_cancel(lane->beater);
}

/* ── Waiting ─────────────────────────────────────────────────────────────────────────────── */

typedef struct waiting {
        const sj_str *queues;
        size_t n_queues;
        sj_time deadline;
        redis_lane *lane;
        sj_arena *arena;
        sj_str *lists;
        size_t n_lists;
        redis_watcher **watchers; /* NULL: of the list that the claim itself waits for */
        redis_claim *claim;       /* or NULL: nothing is to be taken */
        int given;
} waiting;

static int waiting_lists(waiting *a)
{
        const redis_queue *q = a->lane->q;
        size_t n = a->n_queues * q->settings.n_steps;
        if (n > REDIS_QUEUE_LISTS_MAX)
                return -E2BIG;
        a->lists = sj_arena_alloc(a->arena, (n + 1) * sizeof(*a->lists));
        a->watchers = sj_arena_alloc(a->arena, (n + 1) * sizeof(redis_watcher *));
        if (!a->lists || !a->watchers)
                return -ENOMEM;
        for (size_t i = 0; i < a->n_queues; i++) {
                for (size_t step = 0; step < q->settings.n_steps; step++) {
                        sj_str key = redis_queue_step_list(q, a->arena, a->queues[i], step);
                        if (!key.data)
                                return -ENOMEM;
                        a->lists[a->n_lists++] = key;
                }
        }
        return 0;
}

/* The list that the claim can wait for, in *ret; whether there is one. */
static bool choose(const waiting *a, sj_time limit, size_t *ret)
{
        const redis_lane *lane = a->lane;
        if (!a->claim || !lane->hot || lane->streak < lane->needed || limit < sj_after(ARM_LEAST) ||
            redis_claim_in_doubt(lane))
                return false;
        for (size_t i = 0; i < a->n_lists; i++) {
                *ret = i;
                if (sj_str_equal(a->lists[i], lane->hot->key))
                        return true;
        }
        return false;
}

/*
 * Has all lists watched but for that one. A watcher that was asked lives for longer than anybody
 * waits at a time.
 */
static int ask_all(waiting *a, size_t but)
{
        int r = alarm_start(a->lane);
        for (size_t i = 0; r == 0 && i < a->n_lists; i++) {
                a->watchers[i] = NULL;
                if (i == but)
                        continue;
                redis_watcher *w = watcher_of(a->lane, a->lists[i]);
                if (!w)
                        return -ENOMEM;
                a->watchers[i] = w;
                if (!w->blocked)
                        sj_event_set(&w->asked);
        }
        return r;
}

/* How often they have fired, together. */
static uint64_t fired_of(const waiting *a)
{
        uint64_t n = 0;
        for (size_t i = 0; i < a->n_lists; i++)
                n += a->watchers[i] ? a->watchers[i]->fired : 0;
        return n;
}

/* 1 there may be something; 0 not yet, and *ret_next is when to look again. */
static int look(waiting *a, sj_time *ret_next)
{
        const redis_reply *reply;
        for (int round = 0;; round++) {
                REDIS_SCRATCH(arena, a->lane);
                redis_words w = redis_words_new(arena, KEY_MAX + a->n_lists);
                redis_words_keys(&w, a->lane->q);
                for (size_t i = 0; i < a->n_lists; i++)
                        redis_words_add(&w, a->lists[i]);
                redis_words_arguments(&w);
                int r = redis_lane_script(a->lane, SCRIPT_LOOK, &w, &reply, a->deadline);
                if (r == 0)
                        r = redis_answer_each(a->lane->client, reply, 3, ANSWER_INTEGER);
                if (r < 0)
                        return r;
                if (reply->elements[0].integer > 0)
                        return 1;
                int64_t next = reply->elements[2].integer;
                *ret_next = next < 0 ? SJ_NEVER : sj_after(next * SJ_US + SJ_MS);
                if (round > 0 || !reply->elements[1].integer) {
                        r = redis_queue_reclaim(a->lane, a->deadline);
                        return r < 0 ? r : 0;
                }
                r = redis_queue_sweep(a->lane, a->deadline);
                if (r < 0)
                        return r;
        }
}

/* What was seen a moment ago still holds, as far as BLMOVE would not tell: the next due moment. */
static bool knows(const waiting *a)
{
        const redis_lane *lane = a->lane;
        sj_time now = sj_now();
        return a->deadline > now && lane->alarms_seen == lane->alarms && lane->next_look > now;
}

static int look_again(waiting *a)
{
        redis_lane *lane = a->lane;
        uint64_t alarms = lane->alarms;
        sj_time next, latest = sj_after(REDIS_QUEUE_PATIENCE);
        int r = look(a, &next);
        if (r != 0)
                return r;
        lane->alarms_seen = alarms;
        lane->next_look = next < latest ? next : latest;
        return a->deadline <= sj_now() ? -ETIMEDOUT : 0;
}

static bool has_news(const waiting *a, uint64_t fired)
{
        /* Also those that came while this one looked. */
        return fired_of(a) != fired || a->lane->alarms != a->lane->alarms_seen;
}

/* The replies of what blocks on the list and of what takes then; NULL those that have not come. */
static int block(waiting *a, sj_arena *arena, sj_str key, sj_time limit, redis_command take,
                 const redis_reply *replies[2])
{
        char seconds[32];
        sj_time most = limit - sj_now();
        int length = snprintf(seconds, sizeof(seconds), "%.3f",
                              (double)(most < REDIS_BLOCK_MAX ? most : REDIS_BLOCK_MAX) / SJ_SEC);
        const sj_str words[] = {
                SJ_STR("BLMOVE"),         key, key, SJ_STR("RIGHT"), SJ_STR("RIGHT"),
                {seconds, (size_t)length}};
        const redis_command commands[2] = {{words, 6}, take};
        redis_arm arm;
        SJ_SCOPE(s, SJ_NEVER, 0);
        arm.scope = s;
        list_append(&a->lane->armed, &arm.node);
        int r = redis_block_all(a->lane->client, arena, commands, 2, replies,
                                sj_after(REDIS_BLOCK_MAX + 3 * SJ_SEC));
        list_remove(&arm.node);
        return r;
}

/* As wait_once; -ENOENT it cannot be done so. */
static int wait_armed(waiting *a, size_t place, sj_time limit, uint64_t fired)
{
        redis_lane *lane = a->lane;
        const redis_reply *replies[2] = {NULL, NULL};
        redis_command take;
        REDIS_SCRATCH_LARGE(arena, lane);
        int r = redis_claim_command(a->claim, lane, arena, &take);
        if (r < 0)
                return r;
        if (has_news(a, fired))
                return 1;
        r = block(a, arena, a->lists[place], limit, take, replies);
        if (r == 0 && replies[0]->type == REDIS_ERROR)
                lane->needed = STREAK_NEVER;
        a->given = redis_claim_answer(a->claim, r == 0 ? replies[1] : NULL);
        if (a->given == -EAGAIN)
                return sj_cancelled() ? -ECANCELED : 1;
        return a->given < 0 ? a->given : a->given > 0;
}

static int wait_once(waiting *a)
{
        redis_lane *lane = a->lane;
        size_t place = SIZE_MAX;
        int r = knows(a) ? 0 : look_again(a);
        if (r != 0)
                return r;
        sj_time limit = a->deadline < lane->next_look ? a->deadline : lane->next_look;
        bool armed = choose(a, limit, &place);
        r = ask_all(a, armed ? place : SIZE_MAX);
        if (r != 0)
                return r;
        uint64_t fired = fired_of(a);
        if (armed && !has_news(a, fired)) {
                r = wait_armed(a, place, limit, fired);
                if (r != -ENOENT)
                        return r;
                lane->needed = lane->streak + 1;
                return 1;
        }
        while (r == 0) {
                if (fired_of(a) != fired)
                        return 1;
                if (has_news(a, fired))
                        return 0;
                sj_event_clear(&lane->news);
                r = sj_event_wait(&lane->news, limit);
        }
        return r == -ETIMEDOUT ? 0 : r;
}

void redis_queue_foresee(redis_lane *lane, sj_time moment)
{
        if (moment < lane->next_look)
                lane->next_look = moment;
}

static int wait_in(redis_lane *lane, void *arg)
{
        waiting *a = arg;
        REDIS_SCRATCH(arena, lane);
        a->lane = lane;
        a->arena = arena;
        int r = waiting_lists(a);
        lane->waiting++;
        while (r == 0)
                r = wait_once(a);
        lane->waiting--;
        return r > 0 ? a->given > 0 ? a->given : 0 : r;
}

int redis_claim_wait(redis_lane *lane, redis_claim *c, const broker_claim *claim, sj_time deadline)
{
        waiting a = {.queues = claim->queues,
                     .n_queues = claim->n_queues,
                     .deadline = deadline,
                     .claim = c};
        return wait_in(lane, &a);
}

int redis_queue_wait(broker *b, const sj_str queues[], size_t n_queues, sj_time deadline)
{
        waiting a = {.queues = queues, .n_queues = n_queues, .deadline = deadline};
        return redis_lane_call(b, wait_in, &a);
}
