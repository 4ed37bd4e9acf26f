/* SPDX-License-Identifier: MIT */
/*
 * Beats: a handle that leases says every second that it lives, and hears which others have not
 * said so. What such a one has leased would come back when the leases run out; if it is dead, it
 * comes back now.
 *
 *   PREFIX sanjab.beats      zset: handle -> when it said so last, in microseconds of the server
 *
 * Whether a handle is dead is not judged by the age of its last beat: a server that stood still for
 * ten seconds finds all of them old. It is dead when somebody whose own beats were answered has
 * seen the same last beat, too old, BEAT_LOOKS times in a row, a second apart: after a
 * standstill the living have that long to come back, which is more than the client's longest pause
 * between two attempts to connect.
 *
 *   killed ── up to 1 s ──► next beat due ── late after 2.5 s ──► seen 4 times ──► its leases end
 *
 * The beats come from the thread of broker_redis_lane.c, so that they mean that the process lives:
 * in the solo pool a task may hold the loop for minutes. Whoever is declared dead by mistake,
 * having stood still for more than five seconds, finds its tags gone, as after any lease that ran
 * out.
 */
#include "queue/redis/broker_redis.h"

#include <stdio.h>

enum { BEAT_LOOKS = 4, BEAT_SEEN_MAX = 16 };

#define BEAT_EVERY SJ_SEC
#define BEAT_LATE  (2500 * SJ_MS)
#define BEAT_LIMIT (4 * SJ_SEC)

/* A handle that was late at the last look. */
typedef struct beat_late {
        char handle[17];
        char last[32];
        unsigned looks;
} beat_late;

typedef struct beating {
        redis_lane *lane;
        beat_late late[BEAT_SEEN_MAX];
        size_t n_late;
        sj_time looked;
} beating;

static void add_beats_key(redis_lane *lane, redis_words *w)
{
        redis_words_keys(w, lane->q);
        redis_words_add(w, redis_queue_name(lane->q, w->arena, "sanjab.beats"));
        redis_words_arguments(w);
}

/* ── The dead ────────────────────────────────────────────────────────────────────────────── */

static int end_leases(redis_lane *lane, const beat_late *dead)
{
        char cursor[24] = "0";
        int total = 0;
        do {
                const redis_reply *reply;
                REDIS_SCRATCH(arena, lane);
                redis_words w = redis_words_new(arena, KEY_MAX + 4);
                add_beats_key(lane, &w);
                redis_words_add(&w, sj_str_of(dead->handle));
                redis_words_add(&w, sj_str_of(dead->last));
                redis_words_add(&w, sj_str_of(cursor));
                int r = redis_lane_script(lane, SCRIPT_GONE, &w, &reply, sj_after(BEAT_LIMIT));
                if (r < 0)
                        return r;
                sj_str next = redis_reply_text(redis_reply_at(reply, 0));
                total += (int)redis_reply_int(redis_reply_at(reply, 1), 0);
                snprintf(cursor, sizeof(cursor), "%.*s", SJ_STR_ARG(next));
        } while (strcmp(cursor, "0") != 0 && cursor[0]);
        return total;
}

static void bury(redis_lane *lane, const beat_late *dead)
{
        int r = end_leases(lane, dead);
        if (r > 0)
                sj_log(SJ_LOG_WARNING, "a worker (%s) is gone: what it had leased is ready again",
                       dead->handle);
        while (r > 0)
                r = redis_queue_sweep(lane, sj_after(BEAT_LIMIT));
}

/* ── Beating ─────────────────────────────────────────────────────────────────────────────── */

static unsigned looks_before(const beating *b, const beat_late *one)
{
        for (size_t i = 0; i < b->n_late; i++)
                if (strcmp(b->late[i].handle, one->handle) == 0 &&
                    strcmp(b->late[i].last, one->last) == 0)
                        return b->late[i].looks;
        return 0;
}

/* {handle, its last beat}...: who has been so for long enough is dead. */
static void look(beating *b, const redis_reply *reply)
{
        beat_late late[BEAT_SEEN_MAX];
        size_t n = 0;
        sj_time now = sj_now();
        /* Who stood still knows nothing of the time in between. */
        if (now - b->looked > 3 * BEAT_EVERY)
                b->n_late = 0;
        b->looked = now;
        for (size_t i = 0; i + 1 < reply->n && n < BEAT_SEEN_MAX; i += 2) {
                sj_str handle = redis_reply_text(&reply->elements[i]);
                sj_str last = redis_reply_text(&reply->elements[i + 1]);
                beat_late *one = &late[n];
                if (handle.n >= sizeof(one->handle) || last.n >= sizeof(one->last))
                        continue;
                snprintf(one->handle, sizeof(one->handle), "%.*s", SJ_STR_ARG(handle));
                snprintf(one->last, sizeof(one->last), "%.*s", SJ_STR_ARG(last));
                one->looks = looks_before(b, one) + 1;
                n++;
        }
        memcpy(b->late, late, n * sizeof(*late));
        b->n_late = n;
}

static int beat_once(beating *b)
{
        redis_lane *lane = b->lane;
        const redis_reply *reply;
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, KEY_MAX + 4);
        add_beats_key(lane, &w);
        redis_words_add(&w, sj_str_of(lane->q->handle));
        redis_words_add_int(&w, BEAT_LATE / SJ_US);
        int r = redis_lane_script(lane, SCRIPT_BEAT, &w, &reply, sj_after(BEAT_LIMIT));
        if (r < 0 || reply->type != REDIS_ARRAY)
                return r;
        look(b, reply);
        for (size_t i = 0; i < b->n_late; i++)
                if (b->late[i].looks >= BEAT_LOOKS)
                        bury(lane, &b->late[i]);
        return 0;
}

/* Who has nothing any more need not be missed. */
static void say_farewell(redis_lane *lane)
{
        redis_queue *q = lane->q;
        const redis_reply *unused;
        mutex_lock(&q->lock);
        size_t place = 0;
        bool holds = map_next(&q->fetched, &place) != NULL;
        mutex_unlock(&q->lock);
        sj_arena *arena =
                holds || !list_empty(&lane->unanswered) ? NULL : redis_lane_arena(&lane->arenas);
        if (!arena)
                return;
        SJ_SCOPE(shield, sj_after(SJ_SEC), SJ_SHIELD);
        redis_words w = redis_words_new(arena, 3);
        redis_words_add(&w, SJ_STR("ZREM"));
        redis_words_add(&w, redis_queue_name(q, arena, "sanjab.beats"));
        redis_words_add(&w, sj_str_of(q->handle));
        redis_lane_command(lane, &w, &unused, sj_after(SJ_SEC));
        redis_lane_give_back(&lane->arenas, arena);
}

static int beat_fiber(void *arg)
{
        redis_lane *lane = arg;
        beating b = {.lane = lane, .looked = sj_now()};
        lane->beater = sj_fiber_self();
        while (!lane->closing && sj_sleep(BEAT_EVERY) == 0)
                beat_once(&b);
        lane->beater = NULL;
        say_farewell(lane);
        lane->background--;
        return 0;
}

static int begin_in(redis_lane *lane, void *arg)
{
        beating b = {.lane = lane, .looked = sj_now()};
        (void)arg;
        int r = beat_once(&b);
        if (r == 0)
                r = redis_lane_spawn(beat_fiber, lane);
        if (r == 0)
                lane->background++;
        return r;
}

int redis_queue_beat(redis_queue *q)
{
        if (atomic_load(&q->beats) || atomic_exchange(&q->beats, true))
                return 0;
        int r = redis_lane_call_apart(q, begin_in, NULL);
        if (r < 0)
                atomic_store(&q->beats, false);
        return r;
}
