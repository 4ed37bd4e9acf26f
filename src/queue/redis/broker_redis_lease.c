/* SPDX-License-Identifier: MIT */
/*
 * Leasing. One script takes messages and notes their leases; then, here, each envelope is looked
 * at. Most are handed on as they are. The others:
 *
 *   not due yet              goes among the delayed: whoever sent it, no worker holds it
 *   delivered before         its deliveries are counted (count.lua)
 *   expired, or too often    the same; at the end of its last rites the broker ends it
 *   no id to be told by      is buried at once
 *
 * so that a call may have to ask again before it has something to give.
 *
 * When a call ends and it is not known what it has taken (the connection broke before the answer
 * came, or the time was up), its messages would lie there until the lease runs out. So its fetch
 * is kept among the unanswered ones of the lane, and the next call asks for it by its number
 * (again.lua) before it takes anything: it gets what that fetch has taken, or makes sure that it
 * never will take anything. The take itself pays for this with one look for a key.
 *
 * A fetch, the leases of one call, has one record in the server. What of it is still out is known
 * here, so that the record can go with its last lease, and be renewed as one.
 */
#include "queue/redis/broker_redis.h"

#include "queue/result.h"

#include <stdio.h>
#include <stdlib.h>

/* ── Fetches ─────────────────────────────────────────────────────────────────────────────── */

static sj_str fetch_key(const uint64_t *number)
{
        return (sj_str){(const char *)number, sizeof(*number)};
}

redis_fetch *redis_fetch_find(redis_queue *q, broker_token token)
{
        uint64_t number = redis_token_fetch(token);
        unsigned i = redis_token_index(token);
        redis_fetch *f =
                token.high == q->handle_number ? map_get(&q->fetched, fetch_key(&number)) : NULL;
        return f && i < f->count && f->out[i / 8] >> i % 8 & 1 ? f : NULL;
}

static int fetch_add(redis_queue *q, uint64_t number, uint32_t count, int64_t end)
{
        redis_fetch *f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;
        *f = (redis_fetch){.number = number, .count = count, .left = count, .end = end};
        memset(f->out, 0xff, sizeof(f->out));
        mutex_lock(&q->lock);
        int r = map_add(&q->fetched, fetch_key(&f->number), f);
        mutex_unlock(&q->lock);
        if (r < 0)
                free(f);
        return r;
}

void redis_fetch_end(redis_queue *q, broker_token token)
{
        redis_fetch *f = redis_fetch_find(q, token);
        unsigned i = redis_token_index(token);
        if (!f)
                return;
        f->out[i / 8] &= (unsigned char)~(1u << i % 8);
        if (--f->left > 0)
                return;
        map_remove(&q->fetched, fetch_key(&f->number));
        if (f->told || f->split)
                free(f);
        else
                list_append(&q->over, &f->node);
}

/* Nothing of it was handed on, nor will be as what is known here. */
static void fetch_forget(redis_queue *q, uint64_t number)
{
        mutex_lock(&q->lock);
        redis_fetch *f = map_get(&q->fetched, fetch_key(&number));
        if (f)
                map_remove(&q->fetched, fetch_key(&f->number));
        mutex_unlock(&q->lock);
        free(f);
}

/* At least so many hexadecimal digits; where they end. printf would cost more than all else. */
static char *put_hex(char *at, uint64_t value, unsigned least)
{
        unsigned n = value ? (67 - (unsigned)__builtin_clzll(value)) / 4 : 1;
        n = n < least ? least : n;
        for (unsigned i = n; i > 0; i--, value >>= 4)
                at[i - 1] = "0123456789abcdef"[value & 15];
        return at + n;
}

/* The first one of a fetch is longer: part_tag.lua says why. */
enum { TAG_FIRST = 48, TAG_MAX = 2 * 17 + TAG_FIRST };

sj_str redis_queue_tag(sj_arena *arena, broker_token token)
{
        char *text = sj_arena_alloc(arena, TAG_MAX), *at = text;
        if (!text)
                return (sj_str){NULL, 0};
        at = put_hex(at, token.high, 16);
        *at++ = '.';
        at = put_hex(at, redis_token_fetch(token), 1);
        *at++ = '.';
        at = put_hex(at, redis_token_index(token), redis_token_index(token) ? 1 : TAG_FIRST);
        return (sj_str){text, (size_t)(at - text)};
}

/* ── A call ──────────────────────────────────────────────────────────────────────────────── */

enum { CUTS_MAX = 3 };

typedef struct candidate {
        broker_lease lease;
        redis_envelope facts;
        sj_str queue;
        sj_str list; /* that it came from */
        bool delayed;
        bool counted;
        int64_t rites;
} candidate;

struct redis_claim {
        const broker_claim *claim;
        broker_lease **ret;
        size_t n;
        sj_time deadline;
        size_t given;
        bool swept; /* what had run out was given back already */
        /* of one fetch */
        redis_lane *lane;
        sj_arena *arena;
        sj_str lists[REDIS_QUEUE_LISTS_MAX];
        sj_str queues[REDIS_QUEUE_LISTS_MAX];
        size_t n_lists;
        uint64_t fetch;
        size_t asked;   /* most that it may have taken */
        size_t taken;   /* what it has, or 0: not known */
        unsigned tries; /* after the connection broke */
        sj_wall now;
        candidate *candidates;
        size_t n_candidates;
};

static int by_name(const void *a, const void *b)
{
        const sj_str *x = a, *y = b;
        int d = memcmp(x->data, y->data, x->n < y->n ? x->n : y->n);
        return d ? d : (x->n > y->n) - (x->n < y->n);
}

/*
 * The lists in kombu's order: by steps, and within a step by queues, which take turns unless the
 * settings say otherwise.
 */
static int claim_lists(redis_claim *c)
{
        redis_queue *q = c->lane->q;
        const broker_claim *claim = c->claim;
        size_t n = claim->n_queues;
        redis_queue_order order = q->settings.order;
        size_t turn = order == ORDER_ROUND_ROBIN ? atomic_fetch_add(&q->turn, 1) : 0;
        c->n_lists = n * q->settings.n_steps;
        if (c->n_lists > REDIS_QUEUE_LISTS_MAX)
                return -E2BIG;
        for (size_t i = 0; i < n; i++)
                c->queues[i] = claim->queues[(turn + i) % n];
        if (order == ORDER_SORTED)
                qsort(c->queues, n, sizeof(c->queues[0]), by_name);
        for (size_t i = 0; i < c->n_lists; i++) {
                c->queues[i] = c->queues[i % n];
                c->lists[i] = redis_queue_step_list(q, c->arena, c->queues[i], i / n);
        }
        return 0;
}

/* Seconds to add to an entry's score, so that kombu's sweep leaves it alone while it is leased. */
int64_t redis_queue_offset(const redis_queue *q, sj_time duration)
{
        int64_t seconds = duration / SJ_SEC + 1 - q->settings.visibility_timeout;
        return seconds > 0 ? seconds : 0;
}

static void add_given_up(redis_claim *c, redis_words *w)
{
        redis_words_add(w, redis_queue_name(c->lane->q, c->arena, "sanjab.lost.%s.%llx",
                                            c->lane->q->handle, (unsigned long long)c->fetch));
}

/* A new fetch, and the words that its script gets. */
static int claim_words(redis_claim *c, size_t n, redis_words *ret)
{
        redis_queue *q = c->lane->q;
        c->asked = 0;
        int r = claim_lists(c);
        if (r < 0)
                return r;
        redis_words w = redis_words_new(c->arena, KEY_MAX + 2 * c->n_lists + 8);
        c->fetch = atomic_fetch_add(&q->fetches, 1);
        c->asked = n;
        c->taken = 0;
        redis_words_keys(&w, q);
        add_given_up(c, &w);
        for (size_t i = 0; i < c->n_lists; i++)
                redis_words_add(&w, c->lists[i]);
        redis_words_arguments(&w);
        redis_words_add_int(&w, (int64_t)n);
        redis_words_add_int(&w, c->claim->duration / SJ_US);
        redis_words_format(&w, "%s.%llx.", q->handle, (unsigned long long)c->fetch);
        redis_words_add_int(&w, redis_queue_offset(q, c->claim->duration));
        redis_words_add_int(&w, c->swept);
        for (size_t i = 0; i < c->n_lists; i++) {
                sj_str suffix = redis_queue_suffix(c->arena, c->queues[i]);
                w.bad |= !suffix.data;
                redis_words_add(&w, suffix);
        }
        *ret = w;
        return 0;
}

static int claim_fetch(redis_claim *c, size_t n, const redis_reply **ret)
{
        redis_words w;
        int r = claim_words(c, n, &w);
        return r < 0 ? r : redis_lane_script(c->lane, SCRIPT_LEASE, &w, ret, c->deadline);
}

/* ── Unanswered fetches ──────────────────────────────────────────────────────────────────── */

/* Longer than any call of it can be on the way. */
#define LOST_KEPT (10 * SJ_MIN)

typedef struct redis_unanswered {
        list node;
        uint64_t fetch;
        size_t asked;
        size_t taken;
} redis_unanswered;

/* Without memory for it, what it has taken comes back when the lease runs out. */
static void note_unanswered(redis_claim *c)
{
        redis_unanswered *u = c->asked ? malloc(sizeof(*u)) : NULL;
        if (!u)
                return;
        *u = (redis_unanswered){.fetch = c->fetch, .asked = c->asked, .taken = c->taken};
        list_append(&c->lane->unanswered, &u->node);
}

static bool take_unanswered(redis_claim *c)
{
        list *node = list_pop(&c->lane->unanswered);
        if (!node)
                return false;
        redis_unanswered *u = container_of(node, redis_unanswered, node);
        c->fetch = u->fetch;
        c->asked = u->asked;
        c->taken = u->taken;
        free(u);
        return true;
}

void redis_queue_forget_unanswered(redis_lane *lane)
{
        for (list *node; (node = list_pop(&lane->unanswered));)
                free(container_of(node, redis_unanswered, node));
}

static int claim_fetch_again(redis_claim *c, const redis_reply **ret)
{
        const redis_queue *q = c->lane->q;
        redis_words w = redis_words_new(c->arena, KEY_MAX + 8);
        redis_words_keys(&w, q);
        add_given_up(c, &w);
        redis_words_arguments(&w);
        redis_words_add_int(&w, (int64_t)c->asked);
        redis_words_add_int(&w, (int64_t)c->taken);
        redis_words_add_int(&w, c->claim->duration / SJ_US);
        redis_words_format(&w, "%s.%llx.", q->handle, (unsigned long long)c->fetch);
        redis_words_add_int(&w, redis_queue_offset(q, c->claim->duration));
        redis_words_add_int(&w, LOST_KEPT / SJ_MS);
        return redis_lane_script(c->lane, SCRIPT_AGAIN, &w, ret, c->deadline);
}

/*
 * Whether a message is due, or has expired, is judged by our clock, as Celery does; the server's
 * makes ready what is delayed. If that one is ahead, what comes too early goes back, and would come
 * again at once: so what waits has its score on the server's clock.
 */
int64_t redis_queue_ahead(sj_wall before, int64_t server, sj_wall after)
{
        return server < before.us ? server - before.us : server > after.us ? server - after.us : 0;
}

int64_t redis_queue_due_score(const redis_queue *q, sj_wall due)
{
        int64_t score;
        return __builtin_add_overflow(due.us, atomic_load(&q->ahead), &score) ? due.us : score;
}

/* ── Looking at what was taken ───────────────────────────────────────────────────────────── */

sj_wall redis_queue_published_at(sj_str id, sj_wall otherwise)
{
        uint64_t ms = 0;
        if (id.n != 36 || id.data[8] != '-' || id.data[14] != '7')
                return otherwise;
        for (int i = 0; i < 13; i++) {
                char c = id.data[i];
                int digit = c >= '0' && c <= '9'   ? c - '0'
                            : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                                   : -1;
                if (i == 8)
                        continue;
                if (digit < 0)
                        return otherwise;
                ms = ms << 4 | (uint64_t)digit;
        }
        int64_t us = (int64_t)(ms * 1000);
        return us > 0 && us <= sj_wall_now().us ? (sj_wall){us} : otherwise;
}

static void candidate_fill(redis_claim *c, candidate *x, sj_str text)
{
        const redis_envelope *e = &x->facts;
        x->lease.message = (broker_message){
                .id = e->id,
                .queue = x->queue,
                .task = e->task,
                .envelope = text,
                .priority = e->priority,
                .eta = e->eta,
                .expires = e->expires,
                .max_deliveries = e->max_deliveries,
                .key = e->key,
                .key_for = e->key_for,
        };
        x->lease.deliveries = 1;
        x->lease.published = redis_queue_published_at(e->id, c->now);
        x->lease.until = (sj_wall){c->now.us + c->claim->duration / SJ_US};
        x->lease.owner = &c->lane->q->base;
        bool expired = e->expires.us && e->expires.us <= c->now.us;
        x->lease.fate = expired ? BROKER_EXPIRED : BROKER_RUN;
        x->delayed = e->eta.us > c->now.us && !expired;
        x->counted = !x->delayed && (e->redelivered || expired);
}

/* One that nobody could be told of: the broker buries it, under an id that it makes. */
static int bury_unreadable(redis_claim *c, candidate *x, sj_str text, const char *reason)
{
        char id[MESSAGE_UUID_SIZE];
        message_uuid(id);
        x->lease.message =
                (broker_message){.id = sj_str_of(id), .queue = x->queue, .envelope = text};
        x->lease.deliveries = 1;
        broker_settlement s = {
                .lease = &x->lease, .verdict = BROKER_DEAD, .reason = sj_str_of(reason)};
        sj_log(SJ_LOG_WARNING, "a message of the queue %.*s is dead: %s", SJ_STR_ARG(x->queue),
               reason);
        return redis_queue_settle_in(c->lane, &s, 1, c->deadline);
}

static int candidates_make(redis_claim *c, size_t total, uint32_t count)
{
        redis_queue *q = c->lane->q;
        c->candidates = sj_arena_alloc(c->arena, (total + 1) * sizeof(*c->candidates));
        if (!c->candidates)
                return -ENOMEM;
        c->taken = count;
        redis_queue_foresee(c->lane, sj_after(c->claim->duration + SJ_MS));
        return fetch_add(q, c->fetch, count, c->now.us + c->claim->duration / SJ_US);
}

/* What came out of a queue's list becomes the next candidate, if somebody could be told of it. */
static int candidate_add(redis_claim *c, uint64_t index, sj_str queue, sj_str key, sj_str text)
{
        candidate *x = &c->candidates[c->n_candidates];
        char reason[200];
        *x = (candidate){.queue = queue, .list = key};
        x->lease.token = (broker_token){c->lane->q->handle_number, c->fetch << 16 | index};
        int r = redis_envelope_read(c->arena, text, &x->facts, reason, sizeof(reason));
        if (r == -EBADMSG)
                return bury_unreadable(c, x, text, reason);
        if (r == 0) {
                candidate_fill(c, x, text);
                c->n_candidates++;
        }
        return r;
}

/* {now, messages that are over, {list, text, text, ...}, ...} */
static int claim_check(redis_claim *c, const redis_reply *reply)
{
        bool well = reply->n >= 2 && reply->elements[0].type == REDIS_INTEGER &&
                    reply->elements[1].type == REDIS_INTEGER;
        for (size_t k = 2; well && k < reply->n; k++) {
                const redis_reply *taken = &reply->elements[k];
                well = taken->n > 1 && taken->elements[0].type == REDIS_INTEGER;
                for (size_t i = 1; well && i < taken->n; i++)
                        well = taken->elements[i].type == REDIS_STRING;
        }
        return well ? 0 : redis_answer_wrong(c->lane->client);
}

static int claim_read(redis_claim *c, const redis_reply *reply)
{
        size_t total = 0, index = 0;
        for (size_t k = 2; k < reply->n; k++)
                total += reply->elements[k].n - 1;
        if (total == 0 || total > c->asked)
                return total ? -EPROTO : 0;
        int r = candidates_make(c, total, (uint32_t)total);
        for (size_t k = 2; r == 0 && k < reply->n; k++) {
                const redis_reply *taken = &reply->elements[k];
                size_t place = (size_t)taken->elements[0].integer;
                if (place >= c->n_lists)
                        return -EPROTO;
                for (size_t i = 1; r >= 0 && i < taken->n; i++)
                        r = candidate_add(c, index++, c->queues[place], c->lists[place],
                                          taken->elements[i].text);
        }
        return r < 0 ? r : 0;
}

/* {number of the tag, value}...: what there is of a fetch whose answer was lost. */
static int claim_read_again(redis_claim *c, const redis_reply *reply)
{
        redis_queue *q = c->lane->q;
        size_t n = reply->n / 2;
        int64_t last = -1;
        bool well = reply->n % 2 == 0;
        for (size_t i = 0; well && i < n; i++) {
                int64_t index = redis_reply_int(&reply->elements[2 * i], -1);
                well = index > last && (size_t)index < c->asked &&
                       reply->elements[2 * i + 1].type == REDIS_STRING;
                last = index;
        }
        if (!well)
                return redis_answer_wrong(c->lane->client);
        if (n == 0)
                return 0;
        uint32_t count = (uint32_t)(c->taken ? c->taken : (size_t)last + 1), next = 0;
        int r = candidates_make(c, n, count);
        mutex_lock(&q->lock);
        for (size_t i = 0; r == 0 && i <= n; i++) {
                uint32_t index =
                        i < n ? (uint32_t)redis_reply_int(redis_reply_at(reply, 2 * i), 0) : count;
                while (next < index)
                        redis_fetch_end(q,
                                        (broker_token){q->handle_number, c->fetch << 16 | next++});
                next = index + 1;
        }
        mutex_unlock(&q->lock);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                sj_str text, exchange, queue, key;
                r = redis_envelope_unpack(c->arena,
                                          redis_reply_text(redis_reply_at(reply, 2 * i + 1)), &text,
                                          &exchange, &queue);
                if (r < 0)
                        return r;
                key = redis_queue_envelope_list(q, c->arena, queue, text);
                r = key.data
                            ? candidate_add(
                                      c, (uint64_t)redis_reply_int(redis_reply_at(reply, 2 * i), 0),
                                      queue, key, text)
                            : -ENOMEM;
        }
        return r < 0 ? r : 0;
}

/* Those that are not due go among the delayed. */
static int claim_delay(redis_claim *c)
{
        redis_queue *q = c->lane->q;
        const redis_reply *unused;
        redis_words w = redis_words_new(c->arena, 16);
        redis_words_keys(&w, q);
        for (size_t i = 0; i < c->n_candidates; i++) {
                candidate *x = &c->candidates[i];
                if (!x->delayed)
                        continue;
                sj_wall due = x->facts.eta;
                if (x->facts.expires.us && x->facts.expires.us < due.us)
                        due = x->facts.expires;
                int64_t second = (due.us + 999999) / 1000000 - q->settings.visibility_timeout;
                redis_words_add(&w, redis_queue_tag(c->arena, x->lease.token));
                redis_words_add(&w, x->list);
                redis_words_add_int(&w, redis_queue_due_score(q, due));
                redis_words_add_int(&w, second > 0 ? second : 0);
                redis_words_format(&w, "%s.%llx.e.%.*s", q->handle,
                                   (unsigned long long)atomic_fetch_add(&q->fetches, 1),
                                   SJ_STR_ARG(x->list));
        }
        if (w.n == w.n_keys)
                return 0;
        int r = redis_lane_script(c->lane, SCRIPT_DELAY, &w, &unused, c->deadline);
        mutex_lock(&q->lock);
        for (size_t i = 0; r == 0 && i < c->n_candidates; i++)
                if (c->candidates[i].delayed)
                        redis_fetch_end(q, c->candidates[i].lease.token);
        mutex_unlock(&q->lock);
        return r;
}

static uint32_t most_deliveries(const candidate *x)
{
        return x->facts.max_deliveries ? x->facts.max_deliveries : SJ_MAX_DELIVERIES;
}

static int claim_count(redis_claim *c)
{
        redis_queue *q = c->lane->q;
        const redis_reply *reply;
        size_t n = 0;
        for (size_t i = 0; i < c->n_candidates; i++)
                n += c->candidates[i].counted;
        if (n == 0)
                return 0;
        redis_words w = redis_words_new(c->arena, 4 * n);
        for (size_t i = 0; i < c->n_candidates; i++)
                if (c->candidates[i].counted)
                        redis_words_add(
                                &w, redis_queue_task_key(q, c->arena, c->candidates[i].facts.id));
        redis_words_arguments(&w);
        for (size_t i = 0; i < c->n_candidates; i++) {
                const candidate *x = &c->candidates[i];
                if (!x->counted)
                        continue;
                redis_words_add_int(&w, x->facts.redelivered);
                redis_words_add_int(&w, x->lease.fate == BROKER_EXPIRED);
                redis_words_add_int(&w, most_deliveries(x));
        }
        int r = redis_lane_script(c->lane, SCRIPT_COUNT, &w, &reply, c->deadline);
        if (r == 0)
                r = redis_answer_each(c->lane->client, reply, n, ANSWER_ARRAY);
        for (size_t i = 0, k = 0; r == 0 && i < c->n_candidates; i++) {
                candidate *x = &c->candidates[i];
                if (!x->counted)
                        continue;
                const redis_reply *one = &reply->elements[k++];
                r = redis_answer_each(c->lane->client, one, 2, ANSWER_INTEGER);
                if (r < 0)
                        return r;
                x->lease.deliveries = (uint32_t)one->elements[0].integer;
                x->rites = one->elements[1].integer;
                if (x->lease.fate == BROKER_RUN && x->lease.deliveries > most_deliveries(x))
                        x->lease.fate = BROKER_EXHAUSTED;
        }
        return r;
}

/* The broker's own end of a message that no worker managed to settle. */
static int last_rites(redis_claim *c, candidate *x)
{
        bool expired = x->lease.fate == BROKER_EXPIRED;
        const char *reason = expired ? "expired" : "delivered too often";
        broker_result result = {.id = x->facts.id,
                                .state = expired ? SJ_STR("REVOKED") : SJ_STR("FAILURE")};
        int r = (expired ? result_revoked : result_dead)(c->arena, x->facts.id, reason, c->now,
                                                         &result.content);
        broker_settlement s = {.lease = &x->lease,
                               .verdict = expired ? BROKER_DONE : BROKER_DEAD,
                               .reason = sj_str_of(reason),
                               .results = &result,
                               .n_results = 1};
        return r < 0 ? r : redis_queue_settle_in(c->lane, &s, 1, c->deadline);
}

/* One more than the caller has asked for: a fetch that is asked for again may have been larger. */
static int give_back(redis_claim *c, candidate *x)
{
        broker_settlement s = {.lease = &x->lease, .verdict = BROKER_RETURN};
        return redis_queue_settle_in(c->lane, &s, 1, c->deadline);
}

static int claim_give(redis_claim *c)
{
        int r = 0;
        for (size_t i = c->n_candidates; r >= 0 && i > c->n; i--)
                if (!c->candidates[i - 1].delayed)
                        r = give_back(c, &c->candidates[i - 1]);
        for (size_t i = 0; r >= 0 && i < c->n_candidates && i < c->n; i++) {
                candidate *x = &c->candidates[i];
                if (x->delayed)
                        continue;
                if (x->rites > BROKER_LAST_RITES) {
                        r = last_rites(c, x);
                        continue;
                }
                broker_lease *copy = broker_lease_new(&x->lease);
                if (copy)
                        c->ret[c->given++] = copy;
                r = copy ? 0 : -ENOMEM;
        }
        return r < 0 ? r : 0;
}

static int claim_judge(redis_claim *c, int r)
{
        if (r == 0)
                r = claim_delay(c);
        if (r == 0)
                r = claim_count(c);
        if (r == 0)
                r = claim_give(c);
        if (r < 0 && c->given == 0) {
                fetch_forget(c->lane->q, c->fetch);
                note_unanswered(c);
        }
        return r;
}

static int claim_again(redis_claim *c)
{
        const redis_reply *reply;
        c->now = sj_wall_now();
        int r = claim_fetch_again(c, &reply);
        if (r < 0) {
                note_unanswered(c);
                return r;
        }
        return claim_judge(c, claim_read_again(c, reply));
}

static int claim_once(redis_claim *c, bool *ret_again)
{
        const redis_reply *reply;
        *ret_again = true;
        c->n_candidates = 0;
        if (take_unanswered(c))
                return claim_again(c);
        c->now = sj_wall_now();
        int r = claim_fetch(c, c->n, &reply);
        if (r == 0)
                r = claim_check(c, reply);
        if (r < 0) {
                note_unanswered(c);
                return r;
        }
        atomic_store(&c->lane->q->ahead,
                     redis_queue_ahead(c->now, reply->elements[0].integer, sj_wall_now()));
        if (reply->elements[1].integer != 0 && !c->swept) {
                r = redis_queue_sweep(c->lane, c->deadline);
                c->swept = true;
                return r < 0 ? r : 0;
        }
        *ret_again = reply->n > 2;
        return claim_judge(c, claim_read(c, reply));
}

/* So that Celery's producers, who publish by exchange and key, find who takes from its queues. */
static int claim_bind(redis_claim *c)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < c->claim->n_queues; i++)
                r = redis_queue_bind(c->lane, c->arena, c->claim->queues[i], false, c->deadline);
        return r;
}

/* The connection broke: at once again, but a server that breaks every one is the caller's matter.
 */
static bool claim_is_cut(redis_claim *c, int r)
{
        return r == -EPIPE && c->tries++ < CUTS_MAX && sj_now() < c->deadline;
}

int redis_claim_take(redis_claim *c, redis_lane *lane)
{
        bool again = true;
        int r = redis_queue_beat(lane->q);
        while (((r == 0 && again) || claim_is_cut(c, r)) && c->given == 0) {
                REDIS_SCRATCH_LARGE(arena, lane);
                c->lane = lane;
                c->arena = arena;
                r = claim_bind(c);
                r = r < 0 ? r : claim_once(c, &again);
        }
        return c->given ? (int)c->given : r;
}

static int lease_in(redis_lane *lane, void *arg)
{
        return redis_claim_take(arg, lane);
}

int redis_queue_lease_next(broker *b, const broker_claim *claim, broker_lease *ret[], size_t n,
                           sj_time deadline)
{
        redis_claim c = {.claim = claim, .ret = ret, .n = n, .deadline = deadline};
        return redis_lane_call(b, lease_in, &c);
}

/* ── Taking while waiting ────────────────────────────────────────────────────────────────── */

/* Who goes does not wait longer for a server that is silent, or lost. */
#define RECOVER_LIMIT (2 * SJ_SEC)

int redis_claim_recover(redis_claim *c, redis_lane *lane)
{
        int r = 0;
        SJ_SCOPE(shield, sj_after(RECOVER_LIMIT), SJ_SHIELD);
        while (r == 0 && c->given == 0) {
                REDIS_SCRATCH_LARGE(arena, lane);
                c->lane = lane;
                c->arena = arena;
                c->n_candidates = 0;
                if (!take_unanswered(c))
                        break;
                r = claim_again(c);
        }
        return c->given ? (int)c->given : r;
}

int redis_claim_command(redis_claim *c, redis_lane *lane, sj_arena *arena, redis_command *ret)
{
        redis_words w;
        c->lane = lane;
        c->arena = arena;
        c->n_candidates = 0;
        int r = redis_queue_beat(lane->q);
        if (r == 0)
                r = claim_bind(c);
        if (r == 0)
                r = claim_words(c, c->n, &w);
        if (r < 0 || w.bad)
                return r < 0 ? r : -ENOMEM;
        return redis_script_command(arena, &lane->scripts[SCRIPT_LEASE], w.at, w.n_keys, w.n, ret);
}

int redis_claim_answer(redis_claim *c, const redis_reply *reply)
{
        int r = 0;
        c->now = sj_wall_now();
        if (reply && reply->type != REDIS_ERROR) {
                r = redis_answer_script(c->lane->client, SCRIPT_LEASE, reply);
                r = r < 0 ? r : claim_check(c, reply);
        }
        /* It may have been done, whatever is said of it. */
        if (!reply || r < 0 || reply->type == REDIS_ERROR)
                note_unanswered(c);
        if (r < 0)
                return r;
        if (!reply || reply->type == REDIS_ERROR)
                return -EAGAIN;
        /* Leases that have run out go first: then it has taken nothing. */
        if (reply->n == 2)
                return reply->elements[1].integer ? -EAGAIN : 0;
        r = claim_judge(c, claim_read(c, reply));
        return c->given ? (int)c->given : r < 0 ? r : -EAGAIN;
}

static int lease_wait_in(redis_lane *lane, void *arg)
{
        redis_claim *c = arg;
        int r = redis_claim_in_doubt(lane) ? 0 : redis_claim_wait(lane, c, c->claim, c->deadline);
        if (r == 0)
                r = redis_claim_take(c, lane);
        if (r == -ECANCELED && redis_claim_recover(c, lane) > 0)
                r = (int)c->given;
        return r;
}

int redis_queue_lease_wait(broker *b, const broker_claim *claim, broker_lease *ret[], size_t n,
                           sj_time deadline)
{
        redis_claim c = {.claim = claim, .ret = ret, .n = n, .deadline = deadline};
        return redis_lane_call(b, lease_wait_in, &c);
}
