/* SPDX-License-Identifier: MIT */
/*
 * Settling: one script for a whole batch, in which each settlement is done if its tag is still in
 * `unacked` and not at all else. What it does is worked out here, as steps of a letter and words;
 * the script only follows them.
 *
 * When results are kept elsewhere, there is no one transaction:
 *
 *   the leases are ours? ──► joins opened, results stored ──► the script: follow-ups, end
 *                                                         ──► joins closed
 *
 * Who holds a lease no more says nothing. Whoever dies in between leaves a delivery that is done
 * again, and none of these does harm when done twice: a result that is SUCCESS stays, and a join is
 * closed only when what it waited for was sent with the end of the delivery.
 */
#include "queue/redis/broker_redis.h"

#include "queue/result.h"

#include <stdlib.h>

typedef struct settling {
        redis_lane *lane;
        sj_arena *arena;
        broker_settlement *settlements;
        size_t n;
        sj_time deadline;
        sj_wall now;
} settling;

/* ── Results ─────────────────────────────────────────────────────────────────────────────── */

static bool state_is_final(sj_str state)
{
        return sj_str_equal(state, SJ_STR("SUCCESS")) || sj_str_equal(state, SJ_STR("FAILURE")) ||
               sj_str_equal(state, SJ_STR("REVOKED"));
}

sj_str redis_queue_result_key(const redis_queue *q, sj_arena *arena, sj_str id)
{
        size_t n = q->result_prefix.n + id.n;
        char *key = sj_arena_alloc(arena, n + 1);
        if (!key)
                return (sj_str){NULL, 0};
        memcpy(key, q->result_prefix.data, q->result_prefix.n);
        memcpy(key + q->result_prefix.n, id.data, id.n);
        return (sj_str){key, n};
}

int64_t redis_queue_expires(const redis_queue *q)
{
        sj_time expires = q->base.result_expires;
        return expires == SJ_NEVER ? 0 : (expires + SJ_SEC - 1) / SJ_SEC;
}

void redis_queue_add_result(const redis_queue *q, redis_words *w, const broker_result *r)
{
        sj_str key = redis_queue_result_key(q, w->arena, r->id);
        w->bad |= !key.data;
        redis_words_add(w, key);
        redis_words_add_int(w, redis_queue_expires(q));
        redis_words_add(w, r->content);
        redis_words_add(w, state_is_final(r->state) ? SJ_STR("1") : SJ_STR("0"));
}

/* ── Steps ───────────────────────────────────────────────────────────────────────────────── */

/* The steps of one settlement, whose number stands before them. */
typedef struct steps {
        redis_words *w;
        size_t count_at;
        int n;
} steps;

static void step(steps *s, const char *letter)
{
        redis_words_add(s->w, sj_str_of(letter));
        s->n++;
}

/* A last word on the task itself, if this settlement says one. */
static sj_str told_state(const broker_settlement *x)
{
        for (size_t i = 0; i < x->n_results; i++)
                if (sj_str_equal(x->results[i].id, x->lease->message.id))
                        return x->results[i].state;
        return (sj_str){NULL, 0};
}

static void step_key(settling *c, steps *s, const broker_settlement *x)
{
        const broker_message *m = &x->lease->message;
        const redis_queue *q = c->lane->q;
        sj_str state = told_state(x);
        if (!m->key.n || x->verdict == BROKER_RETRY || x->verdict == BROKER_REQUEUE ||
            x->verdict == BROKER_RETURN)
                return;
        bool keep = sj_str_equal(state, SJ_STR("SUCCESS"));
        /* Acknowledged before it runs: its end is still to come. */
        if (x->verdict == BROKER_DONE && state.n && !state_is_final(state))
                return;
        step(s, keep ? "K" : "F");
        redis_words_add(s->w, redis_queue_name(q, c->arena, "sanjab.key.%.*s", SJ_STR_ARG(m->key)));
        redis_words_add(s->w, m->id);
        if (keep)
                redis_words_add_int(s->w, (m->key_for ? m->key_for : BROKER_KEY_EXPIRES) / SJ_MS);
}

static void step_forget_count(settling *c, steps *s, const broker_settlement *x)
{
        if (x->lease->deliveries <= 1 && x->lease->fate == BROKER_RUN)
                return;
        step(s, "X");
        redis_words_add(s->w, redis_queue_task_key(c->lane->q, c->arena, x->lease->message.id));
}

/* Back to the front of its list, or among the delayed. */
static int step_back(settling *c, steps *s, const broker_settlement *x)
{
        redis_queue *q = c->lane->q;
        const broker_message *m = &x->lease->message;
        sj_str envelope = m->envelope;
        bool counted = x->lease->deliveries > 1;
        int r = x->verdict == BROKER_REQUEUE ? redis_envelope_mark(c->arena, envelope, &envelope)
                                             : 0;
        if (r < 0)
                return r;
        if (x->verdict == BROKER_RETURN && counted) {
                step(s, "U");
                redis_words_add(s->w, redis_queue_task_key(q, c->arena, m->id));
        }
        if (x->next && x->next->eta.us > c->now.us) {
                step(s, "P");
                redis_queue_add_due(q, s->w, m->queue, m->priority, envelope, x->next->eta);
                for (int i = 0; i < 3; i++)
                        redis_words_add(s->w, SJ_STR(""));
                return 0;
        }
        step(s, "B");
        redis_words_add(s->w, redis_queue_list(q, c->arena, m->queue, m->priority));
        redis_words_add(s->w, envelope);
        return 0;
}

static int step_dead(settling *c, steps *s, const broker_settlement *x)
{
        const broker_dead dead = {.message = x->lease->message,
                                  .reason = x->reason,
                                  .died = c->now,
                                  .deliveries = x->lease->deliveries};
        sj_str letter;
        int r = redis_queue_letter(c->arena, &dead, &letter);
        if (r < 0)
                return r;
        step(s, "D");
        redis_words_add(s->w, x->lease->message.id);
        redis_words_add_int(s->w, c->now.us);
        redis_words_add(s->w, letter);
        return 0;
}

static int step_verdict(settling *c, steps *s, const broker_settlement *x)
{
        int r = 0;
        switch (x->verdict) {
        case BROKER_DONE:
                step_forget_count(c, s, x);
                break;
        case BROKER_RETRY:
                step_forget_count(c, s, x);
                step(s, "P");
                r = redis_queue_add_message(c->lane->q, s->w, x->next, c->now);
                break;
        case BROKER_REQUEUE:
        case BROKER_RETURN:
                r = step_back(c, s, x);
                break;
        case BROKER_DEAD:
                step_forget_count(c, s, x);
                r = step_dead(c, s, x);
                break;
        }
        step_key(c, s, x);
        return r;
}

static int add_steps(settling *c, redis_words *w, const broker_settlement *x)
{
        redis_queue *q = c->lane->q;
        steps s = {.w = w, .count_at = w->n};
        int r = 0;
        redis_words_add(w, SJ_STR("0"));
        for (size_t i = 0; !q->results_apart && i < x->n_results; i++) {
                step(&s, "R");
                redis_queue_add_result(q, w, &x->results[i]);
        }
        for (size_t i = 0; r == 0 && i < x->n_follow_ups; i++) {
                step(&s, "P");
                r = redis_queue_add_message(q, w, &x->follow_ups[i], c->now);
        }
        for (size_t i = 0; !q->results_apart && i < x->n_joins; i++) {
                step(&s, x->joins[i].size > 0 ? "J" : "L");
                redis_queue_add_join(q, w, &x->joins[i]);
        }
        if (r == 0)
                r = step_verdict(c, &s, x);
        if (s.n == 0 || w->bad)
                return r;
        redis_words count = redis_words_new(c->arena, 1);
        redis_words_add_int(&count, s.n);
        w->bad |= count.bad;
        if (!w->bad)
                w->at[s.count_at] = count.at[0];
        return r;
}

enum { OVER_MOST = 64 };

/* ── The call ────────────────────────────────────────────────────────────────────────────── */

static void add_record(const redis_queue *q, redis_words *w, const redis_fetch *f, unsigned from,
                       unsigned count)
{
        redis_words_format(w, "%s.%llx.%x.%x", q->handle, (unsigned long long)f->number, from,
                           count);
}

/* How many leases of each fetch this call ends; with q->lock held. */
static void count_mine(settling *c)
{
        for (size_t i = 0; i < c->n; i++) {
                redis_fetch *f = redis_fetch_find(c->lane->q, c->settlements[i].lease->token);
                if (!f)
                        continue;
                f->settling++;
                f->mine++;
        }
}

/* Those of fetches that ended by several calls; the server forgets one that gets lost by itself. */
static void add_over(redis_queue *q, redis_words *w)
{
        list *node;
        for (int i = 0; i < OVER_MOST && (node = list_pop(&q->over)); i++) {
                redis_fetch *f = container_of(node, redis_fetch, node);
                add_record(q, w, f, 0, f->count);
                free(f);
        }
}

/*
 * The records of fetches whose last leases these are; to be called once for each call. A lease
 * without a record would not come back if its worker died. So while another call ends leases of
 * the same fetch, which may fail, the record stays, and goes when both have ended (`over`).
 */
static void add_records(settling *c, redis_words *w)
{
        redis_queue *q = c->lane->q;
        size_t count_at = w->n;
        redis_words_add(w, SJ_STR("0"));
        mutex_lock(&q->lock);
        count_mine(c);
        for (size_t i = 0; i < c->n; i++) {
                broker_token token = c->settlements[i].lease->token;
                redis_fetch *f = redis_fetch_find(q, token);
                if (!f)
                        continue;
                if (f->split) {
                        add_record(q, w, f, redis_token_index(token), 1);
                } else if (f->mine == f->left && f->settling == f->mine) {
                        add_record(q, w, f, 0, f->count);
                        f->told = true;
                }
                f->mine = 0;
        }
        add_over(q, w);
        mutex_unlock(&q->lock);
        redis_words count = redis_words_new(c->arena, 1);
        redis_words_add_int(&count, (int64_t)(w->n - count_at - 1));
        w->bad |= count.bad;
        if (!w->bad)
                w->at[count_at] = count.at[0];
}

static void note_settled(settling *c, bool done)
{
        redis_queue *q = c->lane->q;
        mutex_lock(&q->lock);
        for (size_t i = 0; i < c->n; i++) {
                redis_fetch *f = redis_fetch_find(q, c->settlements[i].lease->token);
                if (f && f->settling)
                        f->settling--;
                if (f && done)
                        redis_fetch_end(q, c->settlements[i].lease->token);
                else if (f)
                        f->told = false;
        }
        mutex_unlock(&q->lock);
}

static int read_status(const broker_settlement *s, const redis_reply *said)
{
        if (redis_reply_int(said, 0) == 1)
                return 0;
        if (said->type != REDIS_STRING)
                return -ESTALE;
        sj_log(SJ_LOG_ERROR, "the end of %.*s could not be told, and its message comes again: %.*s",
               SJ_STR_ARG(s->lease->message.id), SJ_STR_ARG(said->text));
        return -EIO;
}

static int settle_call(settling *c)
{
        redis_queue *q = c->lane->q;
        const redis_reply *reply;
        redis_words w = redis_words_new(c->arena, KEY_MAX + 8 + 8 * c->n);
        redis_words_keys(&w, q);
        redis_words_add(&w, q->result_prefix);
        redis_words_add_int(&w, (int64_t)c->n);
        for (size_t i = 0; i < c->n; i++)
                redis_words_add(&w, redis_queue_tag(c->arena, c->settlements[i].lease->token));
        add_records(c, &w);
        int r = 0;
        for (size_t i = 0; r == 0 && i < c->n; i++)
                r = add_steps(c, &w, &c->settlements[i]);
        if (r == 0)
                r = redis_lane_script(c->lane, SCRIPT_SETTLE, &w, &reply, c->deadline);
        if (r == 0)
                r = redis_answer_each(c->lane->client, reply, c->n, ANSWER_INTEGER | ANSWER_TEXT);
        note_settled(c, r == 0);
        for (size_t i = 0; r == 0 && i < c->n; i++)
                c->settlements[i].status = read_status(&c->settlements[i], &reply->elements[i]);
        return r;
}

/* ── Results elsewhere ───────────────────────────────────────────────────────────────────── */

/* A lease that has less time left is renewed before anything is said elsewhere. */
#define APART_LEAST (15 * SJ_SEC)

static int fence_renew(settling *c, bool held[])
{
        broker_lease *copies = sj_arena_alloc(c->arena, c->n * sizeof(*copies));
        broker_lease **leases = sj_arena_alloc(c->arena, c->n * sizeof(broker_lease *));
        broker_hold *holds = sj_arena_alloc(c->arena, c->n * sizeof(*holds));
        if (!copies || !leases || !holds)
                return -ENOMEM;
        for (size_t i = 0; i < c->n; i++) {
                copies[i] = *c->settlements[i].lease;
                leases[i] = &copies[i];
        }
        int r = redis_queue_renew_in(c->lane, leases, c->n, BROKER_LEASE_DEFAULT, holds,
                                     c->deadline);
        for (size_t i = 0; r == 0 && i < c->n; i++)
                held[i] = holds[i] != BROKER_LOST;
        return r;
}

static int fence_look(settling *c, bool held[])
{
        const redis_reply *reply;
        redis_words w = redis_words_new(c->arena, c->n + 2);
        redis_words_add(&w, SJ_STR("ZMSCORE"));
        redis_words_add(&w, c->lane->q->keys[KEY_INDEX]);
        for (size_t i = 0; i < c->n; i++)
                redis_words_add(&w, redis_queue_tag(c->arena, c->settlements[i].lease->token));
        int r = redis_lane_command(c->lane, &w, &reply, c->deadline);
        if (r == 0)
                r = redis_answer_each(c->lane->client, reply, c->n, ANSWER_TEXT | ANSWER_NIL);
        for (size_t i = 0; r == 0 && i < c->n; i++)
                held[i] = reply->elements[i].type == REDIS_STRING;
        return r;
}

/* Which leases are ours, and stay so while the results go out. */
static int fence(settling *c, bool held[])
{
        int64_t least = c->now.us + APART_LEAST / SJ_US;
        for (size_t i = 0; i < c->n; i++)
                if (c->settlements[i].lease->until.us < least)
                        return fence_renew(c, held);
        return fence_look(c, held);
}

static int put_joins(settling *c, const broker_settlement *x, bool opens)
{
        broker_join *joins = sj_arena_alloc(c->arena, (x->n_joins + 1) * sizeof(*joins));
        size_t n = 0;
        if (!joins)
                return -ENOMEM;
        for (size_t i = 0; i < x->n_joins; i++)
                if ((x->joins[i].size > 0) == opens)
                        joins[n++] = x->joins[i];
        return n ? redis_queue_put_joins(c->lane, joins, n, c->deadline) : 0;
}

/* What is said elsewhere before the end: joins that are opened, results. */
static int say_apart(settling *c)
{
        bool *held = sj_arena_alloc(c->arena, (c->n + 1) * sizeof(*held));
        int r = held ? fence(c, held) : -ENOMEM;
        for (size_t i = 0; r == 0 && i < c->n; i++) {
                const broker_settlement *x = &c->settlements[i];
                if (!held[i])
                        continue;
                r = put_joins(c, x, true);
                if (r == 0)
                        r = redis_queue_store_results(c->lane, x->results, x->n_results,
                                                      c->deadline);
        }
        return r;
}

/* A join is closed when what it waited for was sent; one that stays open expires. */
static void close_apart(settling *c)
{
        for (size_t i = 0; i < c->n; i++) {
                const broker_settlement *x = &c->settlements[i];
                int r = x->status == 0 ? put_joins(c, x, false) : 0;
                if (r < 0)
                        sj_log(SJ_LOG_WARNING, "a join stays open: %s", sj_strerror(r));
        }
}

static int bind_all(settling *c)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < c->n; i++) {
                const broker_settlement *x = &c->settlements[i];
                if (x->verdict == BROKER_RETRY)
                        r = redis_queue_bind(c->lane, c->arena, x->next->queue, false, c->deadline);
                for (size_t k = 0; r == 0 && k < x->n_follow_ups; k++)
                        r = redis_queue_bind(c->lane, c->arena, x->follow_ups[k].queue, false,
                                             c->deadline);
        }
        return r;
}

/* A lease whose time is over is nobody's, even if nobody has noticed yet. */
static int notice_late(settling *c)
{
        for (size_t i = 0; i < c->n; i++)
                if (c->settlements[i].lease->until.us &&
                    c->settlements[i].lease->until.us < c->now.us)
                        return redis_queue_sweep(c->lane, c->deadline);
        return 0;
}

static bool is_routed(const broker_settlement *s)
{
        for (size_t i = 0; i < s->n_follow_ups; i++)
                if (s->follow_ups[i].exchange.n)
                        return true;
        return false;
}

/* What follows by an exchange goes to the queues that are bound to it: in copies of ours. */
static int route_all(settling *c)
{
        broker_settlement *copies = NULL;
        for (size_t i = 0; i < c->n; i++) {
                broker_message *routed;
                if (!is_routed(&c->settlements[i]))
                        continue;
                if (!copies) {
                        copies = sj_arena_alloc(c->arena, c->n * sizeof(*copies));
                        if (!copies)
                                return -ENOMEM;
                        memcpy(copies, c->settlements, c->n * sizeof(*copies));
                        c->settlements = copies;
                }
                int r = redis_queue_route(c->lane, c->arena, copies[i].follow_ups,
                                          copies[i].n_follow_ups, &routed, &copies[i].n_follow_ups,
                                          c->deadline);
                if (r < 0)
                        return r;
                copies[i].follow_ups = routed;
        }
        return 0;
}

int redis_queue_settle_in(redis_lane *lane, broker_settlement settlements[], size_t n,
                          sj_time deadline)
{
        REDIS_SCRATCH(arena, lane);
        settling c = {lane, arena, settlements, n, deadline, sj_wall_now()};
        int r = notice_late(&c);
        if (r >= 0)
                r = route_all(&c);
        if (r >= 0)
                r = bind_all(&c);
        if (r == 0 && lane->q->results_apart)
                r = say_apart(&c);
        if (r >= 0)
                r = settle_call(&c);
        if (r == 0 && lane->q->results_apart)
                close_apart(&c);
        for (size_t i = 0; r == 0 && c.settlements != settlements && i < n; i++)
                settlements[i].status = c.settlements[i].status;
        return r;
}

typedef struct settle_args {
        broker_settlement *settlements;
        size_t n;
        sj_time deadline;
} settle_args;

static int settle_in(redis_lane *lane, void *arg)
{
        const settle_args *a = arg;
        return redis_queue_settle_in(lane, a->settlements, a->n, a->deadline);
}

int redis_queue_settle(broker *b, broker_settlement settlements[], size_t n, sj_time deadline)
{
        settle_args a = {settlements, n, deadline};
        return redis_lane_call(b, settle_in, &a);
}
