/* SPDX-License-Identifier: MIT */
/*
 * Publish and subscribe, as kombu's fanout exchanges (protocol §4.6): the channel "celery.pidbox"
 * is PUBLISHed as PREFIX /DB. celery.pidbox, and "celeryev/worker.heartbeat" likewise. Letters
 * are lists that are bound to a direct exchange (§5.2).
 *
 * A mailbox whose owner dies would leave its binding behind; `sanjab.mailboxes` remembers each for
 * a day, and whoever opens the next one clears away those that are over.
 */
#include "queue/redis/broker_redis.h"

#include <stdio.h>
#include <stdlib.h>

#define MAILBOX_KEPT (24 * SJ_HOUR)
#define LETTERS_KEPT (5 * SJ_MIN) /* after the last one */

typedef struct redis_queue_subscription {
        broker_subscription base;
        redis_lane *lane;
        redis_subscription *redis; /* or a mailbox: */
        sj_str binding;
        sj_str member;
        sj_str address; /* the list's name, and the list */
        sj_str list;
        sj_arena *arena;
} redis_queue_subscription;

typedef struct fanout_args {
        const sj_str *channels;
        size_t n;
        sj_str exchange;
        sj_str text;
        redis_queue_subscription *s;
        broker_subscription **ret;
        sj_arena *arena;
        sj_str *ret_channel;
        sj_str *ret_text;
        sj_time deadline;
} fanout_args;

/* ── Emitting ────────────────────────────────────────────────────────────────────────────── */

/* Without patterns, kombu's channel is the exchange alone. */
static sj_str channel_cut(const redis_queue *q, sj_str channel)
{
        const char *slash =
                q->settings.fanout_patterns ? NULL : memchr(channel.data, '/', channel.n);
        return slash ? (sj_str){channel.data, (size_t)(slash - channel.data)} : channel;
}

int redis_queue_emit_in(redis_lane *lane, sj_str channel, sj_str text, bool once, sj_time deadline)
{
        const redis_reply *reply;
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, 3);
        redis_words_add(&w, SJ_STR("PUBLISH"));
        redis_words_add(&w, redis_queue_name(lane->q, arena, "%.*s%.*s",
                                             SJ_STR_ARG(lane->q->settings.fanout_prefix),
                                             SJ_STR_ARG(channel_cut(lane->q, channel))));
        redis_words_add(&w, text);
        w.once = once;
        int r = redis_lane_command(lane, &w, &reply, deadline);
        return r < 0 ? r : redis_reply_int(reply, 0) > 0;
}

static int emit_in(redis_lane *lane, void *arg)
{
        const fanout_args *a = arg;
        int r = redis_queue_emit_in(lane, a->channels[0], a->text, false, a->deadline);
        return r < 0 ? r : 0;
}

int redis_queue_emit(broker *b, sj_str channel, sj_str text, sj_time deadline)
{
        fanout_args a = {.channels = &channel, .n = 1, .text = text, .deadline = deadline};
        return redis_lane_call(b, emit_in, &a);
}

/* ── Subscribing ─────────────────────────────────────────────────────────────────────────── */

/* The pattern for a channel: its name, and nothing in it is special but a last '*'. */
static sj_str pattern_of(const redis_queue *q, sj_arena *arena, sj_str channel)
{
        sj_str name = redis_queue_name(q, arena, "%.*s%.*s", SJ_STR_ARG(q->settings.fanout_prefix),
                                       SJ_STR_ARG(channel_cut(q, channel)));
        char *pattern = name.data ? sj_arena_alloc(arena, 2 * name.n + 1) : NULL;
        size_t n = 0;
        if (!pattern)
                return (sj_str){NULL, 0};
        for (size_t i = 0; i < name.n; i++) {
                bool last = i + 1 == name.n;
                if (strchr("*?[]\\", name.data[i]) && !(name.data[i] == '*' && last))
                        pattern[n++] = '\\';
                pattern[n++] = name.data[i];
        }
        return (sj_str){pattern, n};
}

static int await_subscribed(redis_lane *lane, redis_subscription *s, sj_time deadline)
{
        for (;;) {
                redis_news news;
                sj_str channel, text;
                REDIS_SCRATCH(arena, lane);
                int r = redis_next(s, arena, &news, &channel, &text, deadline);
                if (r < 0 || news == REDIS_SUBSCRIBED)
                        return r;
        }
}

static int subscribe_in(redis_lane *lane, void *arg)
{
        const fanout_args *a = arg;
        redis_queue_subscription *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        *s = (redis_queue_subscription){.base.owner = &lane->q->base, .lane = lane};
        REDIS_SCRATCH(arena, lane);
        sj_str *patterns = sj_arena_alloc(arena, (a->n + 1) * sizeof(*patterns));
        int r = patterns ? 0 : -ENOMEM;
        for (size_t i = 0; r == 0 && i < a->n; i++) {
                patterns[i] = pattern_of(lane->q, arena, a->channels[i]);
                r = patterns[i].data ? 0 : -ENOMEM;
        }
        if (r == 0)
                r = redis_subscribe(lane->client, patterns, a->n, true, BROKER_BACKLOG_MAX,
                                    &s->redis);
        if (r == 0)
                r = await_subscribed(lane, s->redis, a->deadline);
        if (r < 0) {
                if (s->redis)
                        redis_unsubscribe(s->redis);
                free(s);
                return r;
        }
        *a->ret = &s->base;
        return 0;
}

int redis_queue_subscribe(broker *b, const sj_str channels[], size_t n, broker_subscription **ret,
                          sj_time deadline)
{
        fanout_args a = {.channels = channels, .n = n, .ret = ret, .deadline = deadline};
        return redis_lane_call(b, subscribe_in, &a);
}

static int next_message(redis_lane *lane, const fanout_args *a)
{
        const redis_queue *q = lane->q;
        size_t cut = q->settings.prefix.n + q->settings.fanout_prefix.n;
        for (;;) {
                redis_news news;
                sj_str channel, text;
                int r = redis_next(a->s->redis, a->arena, &news, &channel, &text, a->deadline);
                if (r < 0)
                        return r;
                if (news != REDIS_MESSAGE || channel.n < cut)
                        continue;
                *a->ret_channel = (sj_str){channel.data + cut, channel.n - cut};
                *a->ret_text = text;
                return 0;
        }
}

/* ── Letters ─────────────────────────────────────────────────────────────────────────────── */

static sj_str binding_key(const redis_queue *q, sj_arena *arena, sj_str exchange)
{
        return redis_queue_name(q, arena, "_kombu.binding.%.*s", SJ_STR_ARG(exchange));
}

static int mailbox_open(redis_queue_subscription *s, const fanout_args *a)
{
        redis_lane *lane = s->lane;
        const redis_queue *q = lane->q;
        const redis_reply *unused;
        sj_str sep = q->settings.sep;
        redis_words w = redis_words_new(s->arena, 8);
        s->binding = binding_key(q, s->arena, a->exchange);
        redis_words_format(&w, "%.*s.%.*s", SJ_STR_ARG(a->channels[0]), SJ_STR_ARG(a->exchange));
        redis_words_format(&w, "%.*s%.*s%.*s%.*s.%.*s", SJ_STR_ARG(a->channels[0]), SJ_STR_ARG(sep),
                           SJ_STR_ARG(sep), SJ_STR_ARG(a->channels[0]), SJ_STR_ARG(a->exchange));
        if (w.bad)
                return -ENOMEM;
        s->address = w.at[0];
        s->member = w.at[1];
        s->list = redis_queue_name(q, s->arena, "%.*s", SJ_STR_ARG(s->address));
        w = redis_words_new(s->arena, 8);
        redis_words_add(&w, s->binding);
        redis_words_add(&w, s->list);
        redis_words_add(&w, redis_queue_name(q, s->arena, "sanjab.mailboxes"));
        redis_words_arguments(&w);
        redis_words_add(&w, s->member);
        redis_words_add_int(&w, sj_wall_now().us / 1000000);
        redis_words_add_int(&w, MAILBOX_KEPT / SJ_SEC);
        return redis_lane_script(lane, SCRIPT_MAILBOX, &w, &unused, a->deadline);
}

static int mailbox_in(redis_lane *lane, void *arg)
{
        const fanout_args *a = arg;
        redis_queue_subscription *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        *s = (redis_queue_subscription){.base.owner = &lane->q->base, .lane = lane};
        int r = sj_arena_new(&s->arena);
        if (r == 0)
                r = mailbox_open(s, a);
        if (r < 0) {
                sj_arena_free(s->arena);
                free(s);
                return r;
        }
        *a->ret = &s->base;
        return 0;
}

int redis_queue_mailbox(broker *b, sj_str exchange, sj_str address, broker_subscription **ret,
                        sj_time deadline)
{
        fanout_args a = {.channels = &address,
                         .n = 1,
                         .exchange = exchange,
                         .ret = ret,
                         .deadline = deadline};
        return redis_lane_call(b, mailbox_in, &a);
}

/* 1 a letter, 0 none in this time. */
static int mailbox_take(redis_lane *lane, const fanout_args *a, sj_time left)
{
        const redis_reply *reply;
        char seconds[24];
        REDIS_SCRATCH(arena, lane);
        snprintf(seconds, sizeof(seconds), "%.3f", (double)left / 1e9);
        const sj_str blocking[] = {SJ_STR("BRPOP"), a->s->list, sj_str_of(seconds)};
        const sj_str polling[] = {SJ_STR("RPOP"), a->s->list};
        int r = left < SJ_MS ? redis_call(lane->client, arena, polling, 2, &reply,
                                          redis_queue_deadline(SJ_POLL))
                             : redis_block(lane->client, arena, blocking, 3, &reply,
                                           sj_after(left + SJ_SEC));
        if (r == 0 && reply->type == REDIS_ARRAY)
                r = redis_answer_each(lane->client, reply, 2, ANSWER_TEXT);
        else if (r == 0)
                r = redis_answer_command(lane->client, SJ_STR("RPOP"), reply);
        if (r < 0)
                return r == -EREMOTEIO ? -EIO : r;
        if (reply->type == REDIS_NIL)
                return 0;
        sj_str text = reply->type == REDIS_STRING ? reply->text : reply->elements[1].text;
        const char *kept = sj_arena_strndup(a->arena, text.data, text.n);
        if (!kept)
                return -ENOMEM;
        *a->ret_text = (sj_str){kept, text.n};
        *a->ret_channel = a->s->address;
        return 1;
}

static int next_letter(redis_lane *lane, const fanout_args *a)
{
        for (;;) {
                sj_time now = sj_now();
                sj_time left = a->deadline <= now               ? 0
                               : a->deadline - now > 5 * SJ_SEC ? 5 * SJ_SEC
                                                                : a->deadline - now;
                int r = mailbox_take(lane, a, left);
                if (r == -ETIMEDOUT && sj_now() < a->deadline)
                        continue;
                if (r != 0)
                        return r < 0 ? r : 0;
                if (a->deadline <= sj_now())
                        return -ETIMEDOUT;
        }
}

static int next_in(redis_lane *lane, void *arg)
{
        const fanout_args *a = arg;
        return a->s->redis ? next_message(lane, a) : next_letter(lane, a);
}

int redis_queue_next(broker_subscription *base, sj_arena *arena, sj_str *ret_channel,
                     sj_str *ret_text, sj_time deadline)
{
        redis_queue_subscription *s = container_of(base, redis_queue_subscription, base);
        fanout_args a = {.s = s,
                         .arena = arena,
                         .ret_channel = ret_channel,
                         .ret_text = ret_text,
                         .deadline = deadline};
        return redis_lane_call_in(s->lane, next_in, &a);
}

static void mailbox_close(redis_lane *lane, redis_queue_subscription *s)
{
        const redis_reply *unused[3];
        const sj_str remove[] = {SJ_STR("SREM"), s->binding, s->member};
        const sj_str drop[] = {SJ_STR("DEL"), s->list};
        const sj_str forget[] = {
                SJ_STR("ZREM"), redis_queue_name(lane->q, s->arena, "sanjab.mailboxes"), s->member};
        const redis_command commands[] = {{remove, 3}, {drop, 2}, {forget, 3}};
        SJ_SCOPE(shield, sj_after(2 * SJ_SEC), SJ_SHIELD);
        redis_call_all(lane->client, s->arena, commands, 3, unused, sj_after(2 * SJ_SEC));
}

static int unsubscribe_in(redis_lane *lane, void *arg)
{
        redis_queue_subscription *s = arg;
        if (s->redis)
                redis_unsubscribe(s->redis);
        else
                mailbox_close(lane, s);
        sj_arena_free(s->arena);
        free(s);
        return 0;
}

void redis_queue_unsubscribe(broker_subscription *base)
{
        redis_queue_subscription *s = container_of(base, redis_queue_subscription, base);
        redis_lane_call_in(s->lane, unsubscribe_in, s);
}

/* ── Bindings ────────────────────────────────────────────────────────────────────────────── */

/* Takes the first word off; data is NULL behind the last. */
static bool word_next(sj_str *rest, sj_str *ret)
{
        if (!rest->data)
                return false;
        const char *dot = memchr(rest->data, '.', rest->n);
        *ret = (sj_str){rest->data, dot ? (size_t)(dot - rest->data) : rest->n};
        *rest = dot ? (sj_str){dot + 1, rest->n - ret->n - 1} : (sj_str){NULL, 0};
        return true;
}

static sj_str words_of(sj_str text)
{
        return text.n ? text : (sj_str){NULL, 0};
}

/*
 * Whether a topic's pattern, "a.*.#", fits the key: * one word, # any number of them. Only the last
 * # is come back to, to give it a word more: so a stranger's pattern takes no more than the product
 * of both lengths.
 */
static bool topic_fits(sj_str pattern, sj_str key)
{
        sj_str p = words_of(pattern), k = words_of(key), behind = {NULL, 0}, from = {NULL, 0};
        bool open = false;
        for (;;) {
                sj_str p_rest = p, k_rest = k, expected = {NULL, 0}, word;
                bool wants = word_next(&p_rest, &expected), has = word_next(&k_rest, &word);
                if (wants && sj_str_equal(expected, SJ_STR("#"))) {
                        behind = p = p_rest;
                        from = k;
                        open = true;
                } else if (!wants && !has) {
                        return true;
                } else if (wants && has &&
                           (sj_str_equal(expected, SJ_STR("*")) || sj_str_equal(expected, word))) {
                        p = p_rest;
                        k = k_rest;
                } else if (open && word_next(&from, &word)) {
                        p = behind;
                        k = from;
                } else {
                        return false;
                }
        }
}

/* Splits "key SEP pattern SEP queue"; false: it is none. */
static bool binding_split(sj_str member, sj_str sep, sj_str ret[3])
{
        size_t from = 0, k = 0;
        for (size_t i = 0; sep.n && k < 2 && i + sep.n <= member.n; i++) {
                if (memcmp(member.data + i, sep.data, sep.n) != 0)
                        continue;
                ret[k++] = (sj_str){member.data + from, i - from};
                from = i + sep.n;
                i = from - 1;
        }
        ret[2] = (sj_str){member.data + from, member.n - from};
        return k == 2;
}

int redis_queue_lookup(redis_lane *lane, sj_arena *arena, sj_str exchange, sj_str key, sj_str **ret,
                       bool once, sj_time deadline)
{
        const redis_reply *reply;
        redis_words w = redis_words_new(arena, 2);
        redis_words_add(&w, SJ_STR("SMEMBERS"));
        redis_words_add(&w, binding_key(lane->q, arena, exchange));
        w.once = once;
        int r = redis_lane_command(lane, &w, &reply, deadline);
        if (r < 0)
                return r;
        sj_str *queues = sj_arena_alloc(arena, (reply->n + 1) * sizeof(*queues));
        int n = 0;
        if (!queues)
                return -ENOMEM;
        for (size_t i = 0; i < reply->n; i++) {
                sj_str part[3];
                if (!binding_split(redis_reply_text(&reply->elements[i]), lane->q->settings.sep,
                                   part))
                        continue;
                if (sj_str_equal(part[0], key) || (part[1].n && topic_fits(part[0], key)))
                        queues[n++] = part[2];
        }
        *ret = queues;
        return n;
}

/* Who asked may have died, Celery's clients leave their mailboxes as well: nobody empties it. */
static int expire_letters(redis_lane *lane, sj_arena *arena, sj_str key, sj_time deadline)
{
        const redis_reply *unused;
        redis_words w = redis_words_new(arena, 3);
        redis_words_add(&w, SJ_STR("PEXPIRE"));
        redis_words_add(&w, key);
        redis_words_add_int(&w, LETTERS_KEPT / SJ_MS);
        return redis_lane_command(lane, &w, &unused, deadline);
}

static int post_in(redis_lane *lane, void *arg)
{
        const fanout_args *a = arg;
        const redis_reply *unused;
        sj_str *queues;
        REDIS_SCRATCH(arena, lane);
        int n = redis_queue_lookup(lane, arena, a->exchange, a->channels[0], &queues, false,
                                   a->deadline);
        if (n <= 0)
                return n < 0 ? n : -ENOENT;
        for (int i = 0; i < n; i++) {
                redis_words w = redis_words_new(arena, 3);
                redis_words_add(&w, SJ_STR("LPUSH"));
                redis_words_add(&w,
                                redis_queue_name(lane->q, arena, "%.*s", SJ_STR_ARG(queues[i])));
                redis_words_add(&w, a->text);
                int r = redis_lane_command(lane, &w, &unused, a->deadline);
                if (r == 0)
                        r = expire_letters(lane, arena, w.at[1], a->deadline);
                if (r < 0)
                        return r;
        }
        return 0;
}

int redis_queue_post(broker *b, sj_str exchange, sj_str address, sj_str text, sj_time deadline)
{
        fanout_args a = {.channels = &address,
                         .n = 1,
                         .exchange = exchange,
                         .text = text,
                         .deadline = deadline};
        return redis_lane_call(b, post_in, &a);
}
