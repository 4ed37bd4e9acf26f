/* SPDX-License-Identifier: MIT */
/*
 * Publishing. What is ready at once and of one list is one LPUSH, however many they are; anything
 * else is a script. Either is done whole or not at all.
 *
 * One with an exchange goes to each queue whose binding fits its key, as kombu would have it; if
 * there is none, it is for who listens to a fanout exchange. If nobody does, that is an error:
 * kombu loses it in silence.
 *
 * A queue is bound (SADD _kombu.binding.QUEUE) once by each handle that publishes to it or takes
 * from it, as kombu does, so that Python sees it; a publish to a queue needs no binding, since it
 * goes by the anonymous exchange.
 */
#include "queue/redis/broker_redis.h"

#include <stdio.h>
#include <stdlib.h>

/* What a key is kept for while its task has not ended: if it never does, as when somebody else
 * took the message away, the key is free again some day. */
#define PENDING_KEY (7 * 24 * SJ_HOUR)

/* ── Names ───────────────────────────────────────────────────────────────────────────────── */

sj_str redis_queue_step_list(const redis_queue *q, sj_arena *arena, sj_str queue, size_t step)
{
        const redis_queue_settings *s = &q->settings;
        if (s->steps[step] == 0)
                return redis_queue_name(q, arena, "%.*s", SJ_STR_ARG(queue));
        return redis_queue_name(q, arena, "%.*s%.*s%d", SJ_STR_ARG(queue), SJ_STR_ARG(s->sep),
                                s->steps[step]);
}

sj_str redis_queue_list(const redis_queue *q, sj_arena *arena, sj_str queue, int priority)
{
        const redis_queue_settings *s = &q->settings;
        size_t step = 0;
        while (step + 1 < s->n_steps && s->steps[step + 1] <= priority)
                step++;
        return redis_queue_step_list(q, arena, queue, step);
}

sj_str redis_queue_envelope_list(const redis_queue *q, sj_arena *arena, sj_str queue,
                                 sj_str envelope)
{
        redis_envelope facts;
        char reason[200];
        int r = redis_envelope_read(arena, envelope, &facts, reason, sizeof(reason));
        if (r < 0 && r != -EBADMSG)
                return (sj_str){NULL, 0};
        return redis_queue_list(q, arena, queue, facts.priority);
}

sj_str redis_queue_suffix(sj_arena *arena, sj_str queue)
{
        sj_str text;
        const sj_json *name = sj_json_new_string(arena, queue);
        if (!name || sj_json_text(arena, name, SJ_JSON_PYTHON | SJ_JSON_ASCII, &text) < 0)
                return (sj_str){NULL, 0};
        size_t room = text.n + 16;
        char *suffix = sj_arena_alloc(arena, room);
        if (!suffix)
                return (sj_str){NULL, 0};
        return (sj_str){suffix, (size_t)snprintf(suffix, room, ", \"\", %.*s]", SJ_STR_ARG(text))};
}

sj_str redis_queue_task_key(const redis_queue *q, sj_arena *arena, sj_str id)
{
        return redis_queue_name(q, arena, "sanjab.task.%.*s", SJ_STR_ARG(id));
}

/* ── Binding ─────────────────────────────────────────────────────────────────────────────── */

static bool is_bound(redis_queue *q, sj_str queue)
{
        mutex_lock(&q->lock);
        bool bound = map_get(&q->bound, queue) != NULL;
        mutex_unlock(&q->lock);
        return bound;
}

static void note_bound(redis_queue *q, sj_str queue)
{
        char *name = strndup(queue.data, queue.n);
        mutex_lock(&q->lock);
        int r = name ? map_add(&q->bound, (sj_str){name, queue.n}, name) : -ENOMEM;
        mutex_unlock(&q->lock);
        if (r < 0)
                free(name);
}

int redis_queue_bind(redis_lane *lane, sj_arena *arena, sj_str queue, bool once, sj_time deadline)
{
        redis_queue *q = lane->q;
        const redis_reply *unused;
        sj_str sep = q->settings.sep;
        if (is_bound(q, queue))
                return 0;
        redis_words w = redis_words_new(arena, 3);
        redis_words_add(&w, SJ_STR("SADD"));
        redis_words_add(&w, redis_queue_name(q, arena, "_kombu.binding.%.*s", SJ_STR_ARG(queue)));
        redis_words_format(&w, "%.*s%.*s%.*s%.*s", SJ_STR_ARG(queue), SJ_STR_ARG(sep),
                           SJ_STR_ARG(sep), SJ_STR_ARG(queue));
        w.once = once;
        int r = redis_lane_command(lane, &w, &unused, deadline);
        if (r == 0)
                note_bound(q, queue);
        return r;
}

/* ── A message's words ───────────────────────────────────────────────────────────────────── */

/* When it is ready if not at once: an expired one need not wait for its eta. */
static sj_wall due_of(const broker_message *m, sj_wall now)
{
        sj_wall due = m->eta;
        if (m->expires.us && m->expires.us < due.us)
                due = m->expires;
        return due.us > now.us ? due : (sj_wall){0};
}

static void add_place(redis_queue *q, redis_words *w, sj_wall due, sj_str key)
{
        if (!due.us) {
                redis_words_add(w, SJ_STR(""));
                redis_words_add(w, SJ_STR(""));
                redis_words_add(w, SJ_STR(""));
                return;
        }
        int64_t second = (due.us + 999999) / 1000000 - q->settings.visibility_timeout;
        redis_words_add_int(w, redis_queue_due_score(q, due));
        redis_words_add_int(w, second > 0 ? second : 0);
        redis_words_format(w, "%s.%llx.e.%.*s", q->handle,
                           (unsigned long long)atomic_fetch_add(&q->fetches, 1), SJ_STR_ARG(key));
}

void redis_queue_add_due(redis_queue *q, redis_words *w, sj_str queue, int priority,
                         sj_str envelope, sj_wall due)
{
        sj_str key = redis_queue_list(q, w->arena, queue, priority);
        sj_str suffix = due.us ? redis_queue_suffix(w->arena, queue) : SJ_STR("");
        if (!key.data || !suffix.data)
                w->bad = true;
        redis_words_add(w, key);
        redis_words_add(w, suffix);
        redis_words_add(w, envelope);
        add_place(q, w, due, key);
}

int redis_queue_add_message(redis_queue *q, redis_words *w, const broker_message *m, sj_wall now)
{
        sj_str envelope;
        int r = redis_envelope_sign(w->arena, m, &envelope);
        if (r < 0)
                return r;
        redis_queue_add_due(q, w, m->queue, m->priority, envelope, due_of(m, now));
        if (!m->key.n) {
                for (int i = 0; i < 3; i++)
                        redis_words_add(w, SJ_STR(""));
                return 0;
        }
        sj_time kept = m->key_for ? m->key_for : BROKER_KEY_EXPIRES;
        int64_t wait = m->eta.us > now.us ? (m->eta.us - now.us) / 1000 : 0;
        redis_words_add(w, redis_queue_name(q, w->arena, "sanjab.key.%.*s", SJ_STR_ARG(m->key)));
        redis_words_add(w, m->id);
        redis_words_add_int(w, (kept < PENDING_KEY ? PENDING_KEY : kept) / SJ_MS + wait);
        return 0;
}

/* ── Publishing ──────────────────────────────────────────────────────────────────────────── */

typedef struct publication {
        const broker_message *messages;
        size_t n;
        const size_t *of; /* which of the caller's each one is, or NULL: it is the same */
        broker_published *ret;
        bool once; /* broker_publish_once */
        sj_time deadline;
} publication;

/* Whether all can be pushed onto one list. */
static bool is_plain(const publication *p, sj_wall now)
{
        for (size_t i = 0; i < p->n; i++) {
                const broker_message *m = &p->messages[i];
                if (m->key.n || due_of(m, now).us || m->priority != p->messages[0].priority ||
                    !sj_str_equal(m->queue, p->messages[0].queue))
                        return false;
        }
        return true;
}

static void say(broker_published *ret, sj_str id, bool duplicate)
{
        size_t n = id.n < SJ_TASK_ID_MAX ? id.n : SJ_TASK_ID_MAX;
        memcpy(ret->id, id.data, n);
        ret->id[n] = 0;
        ret->duplicate = duplicate;
}

static int push(redis_lane *lane, sj_arena *arena, const publication *p)
{
        const broker_message *first = &p->messages[0];
        const redis_reply *unused;
        redis_words w = redis_words_new(arena, p->n + 2);
        redis_words_add(&w, SJ_STR("LPUSH"));
        redis_words_add(&w, redis_queue_list(lane->q, arena, first->queue, first->priority));
        for (size_t i = 0; i < p->n; i++) {
                sj_str envelope;
                int r = redis_envelope_sign(arena, &p->messages[i], &envelope);
                if (r < 0)
                        return r;
                redis_words_add(&w, envelope);
        }
        w.once = p->once;
        int r = redis_lane_command(lane, &w, &unused, p->deadline);
        for (size_t i = 0; r == 0 && p->ret && i < p->n; i++)
                say(&p->ret[p->of ? p->of[i] : i], p->messages[i].id, false);
        return r;
}

static int put(redis_lane *lane, sj_arena *arena, const publication *p, sj_wall now)
{
        const redis_reply *reply;
        redis_words w = redis_words_new(arena, KEY_MAX + 1 + 9 * p->n);
        redis_words_keys(&w, lane->q);
        redis_words_add(&w, lane->q->result_prefix);
        for (size_t i = 0; i < p->n; i++) {
                int r = redis_queue_add_message(lane->q, &w, &p->messages[i], now);
                if (r < 0)
                        return r;
        }
        w.once = p->once;
        int r = redis_lane_script(lane, SCRIPT_PUBLISH, &w, &reply, p->deadline);
        if (r == 0)
                r = redis_answer_each(lane->client, reply, p->n, ANSWER_TEXT);
        for (size_t i = 0; r == 0 && p->ret && i < p->n; i++) {
                sj_str had = reply->elements[i].text;
                say(&p->ret[p->of ? p->of[i] : i], had.n ? had : p->messages[i].id, had.n > 0);
        }
        return r;
}

static int publish_plain(redis_lane *lane, sj_arena *arena, const publication *p)
{
        sj_wall now = sj_wall_now();
        for (size_t i = 0; i < p->n; i++) {
                int r = redis_queue_bind(lane, arena, p->messages[i].queue, p->once, p->deadline);
                if (r < 0)
                        return r;
        }
        return is_plain(p, now) ? push(lane, arena, p) : put(lane, arena, p, now);
}

/* ── By an exchange ──────────────────────────────────────────────────────────────────────── */

static sj_str key_of(const broker_message *m)
{
        return m->routing_key.n ? m->routing_key : m->queue;
}

/* Those that a fanout exchange has, which kombu listens for with the key or without. */
static int publish_fanout(redis_lane *lane, sj_arena *arena, const broker_message *m, bool once,
                          sj_time deadline)
{
        char channel[2 * SJ_TASK_NAME_MAX + 2];
        sj_str exchange = m->exchange, key = key_of(m), envelope;
        int r = redis_envelope_sign(arena, m, &envelope);
        for (int i = 0; r == 0 && i < 2; i++) {
                int n = snprintf(channel, sizeof(channel), i ? "%.*s" : "%.*s/%.*s",
                                 SJ_STR_ARG(exchange), SJ_STR_ARG(key));
                if (n < 0 || (size_t)n >= sizeof(channel))
                        return -EINVAL;
                r = redis_queue_emit_in(lane, (sj_str){channel, (size_t)n}, envelope, once,
                                        deadline);
        }
        if (r == 0) {
                sj_log(SJ_LOG_ERROR,
                       "task %.*s: no queue is bound to the exchange %.*s for the key %.*s",
                       SJ_STR_ARG(m->id), SJ_STR_ARG(exchange), SJ_STR_ARG(key));
                return -ENOENT;
        }
        return r < 0 ? r : 0;
}

/* One message for each queue that it goes to; what goes to channels is sent when all are known. */
typedef struct routing {
        broker_message *messages;
        size_t *of;
        size_t n;
        size_t room;
        bool bad;
} routing;

static void route_to(routing *x, sj_arena *arena, const broker_message *m, size_t of, sj_str queue)
{
        if (x->n == x->room) {
                size_t room = 2 * x->room + 8;
                broker_message *messages = sj_arena_alloc(arena, room * sizeof(*messages));
                size_t *all_of = sj_arena_alloc(arena, room * sizeof(*all_of));
                x->bad |= !messages || !all_of;
                if (x->bad)
                        return;
                if (x->n) {
                        memcpy(messages, x->messages, x->n * sizeof(*messages));
                        memcpy(all_of, x->of, x->n * sizeof(*all_of));
                }
                *x = (routing){messages, all_of, x->n, room, false};
        }
        x->messages[x->n] = *m;
        x->messages[x->n].queue = queue;
        x->of[x->n++] = of;
}

int redis_queue_route(redis_lane *lane, sj_arena *arena, const broker_message messages[], size_t n,
                      broker_message **ret, size_t *ret_n, sj_time deadline)
{
        routing x = {0};
        for (size_t i = 0; i < n; i++) {
                const broker_message *m = &messages[i];
                sj_str *queues = NULL;
                int found = 1;
                if (m->exchange.n)
                        found = redis_queue_lookup(lane, arena, m->exchange, key_of(m), &queues,
                                                   false, deadline);
                if (found == 0) {
                        int r = publish_fanout(lane, arena, m, false, deadline);
                        if (r < 0 && r != -ENOENT)
                                return r;
                        found = r == -ENOENT;
                        queues = NULL;
                }
                if (found < 0)
                        return found;
                for (int k = 0; k < found; k++)
                        route_to(&x, arena, m, i, queues ? queues[k] : m->queue);
        }
        *ret = x.messages;
        *ret_n = x.n;
        return x.bad ? -ENOMEM : 0;
}

static int publish_routed(redis_lane *lane, sj_arena *arena, const publication *p)
{
        routing x = {0};
        bool *fanned = sj_arena_alloc(arena, p->n * sizeof(*fanned));
        if (!fanned)
                return -ENOMEM;
        for (size_t i = 0; i < p->n; i++) {
                const broker_message *m = &p->messages[i];
                sj_str *queues = NULL;
                int n = 1;
                if (m->exchange.n)
                        n = redis_queue_lookup(lane, arena, m->exchange, key_of(m), &queues,
                                               p->once, p->deadline);
                if (n < 0)
                        return n;
                fanned[i] = n == 0;
                for (int k = 0; k < n; k++)
                        route_to(&x, arena, m, i, queues ? queues[k] : m->queue);
        }
        for (size_t i = 0; i < p->n; i++) {
                int r = fanned[i]
                                ? publish_fanout(lane, arena, &p->messages[i], p->once, p->deadline)
                                : 0;
                if (r < 0)
                        return r;
                if (fanned[i] && p->ret)
                        say(&p->ret[i], p->messages[i].id, false);
        }
        const publication routed = {.messages = x.messages,
                                    .n = x.n,
                                    .of = x.of,
                                    .ret = p->ret,
                                    .once = p->once,
                                    .deadline = p->deadline};
        return x.bad ? -ENOMEM : x.n ? publish_plain(lane, arena, &routed) : 0;
}

static int publish_in(redis_lane *lane, void *arg)
{
        const publication *p = arg;
        REDIS_SCRATCH(arena, lane);
        for (size_t i = 0; i < p->n; i++)
                if (p->messages[i].exchange.n)
                        return publish_routed(lane, arena, p);
        return publish_plain(lane, arena, p);
}

int redis_queue_publish(broker *b, const broker_message messages[], size_t n,
                        broker_published ret[], sj_time deadline)
{
        publication p = {.messages = messages, .n = n, .ret = ret, .deadline = deadline};
        return redis_lane_call(b, publish_in, &p);
}

int redis_queue_publish_once(broker *b, const broker_message messages[], size_t n,
                             broker_published ret[], sj_time deadline)
{
        publication p = {
                .messages = messages, .n = n, .ret = ret, .once = true, .deadline = deadline};
        return redis_lane_call(b, publish_in, &p);
}
