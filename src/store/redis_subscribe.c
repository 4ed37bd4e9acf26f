/* SPDX-License-Identifier: MIT */
/*
 * All subscriptions share one connection, the feed, which subscribes to a channel once however
 * many want it.
 *
 *         channel "a" ─┬─ seat ─── subscription 1      a seat: one subscription's place in one
 *                      └─ seat ─┐                      channel
 *         channel "b" ─── seat ─┴─ subscription 2
 *
 * A channel is confirmed when every SUBSCRIBE and UNSUBSCRIBE that was sent for it has been
 * answered: counted, since a channel may be left and entered again faster than the server answers,
 * and the first answer must not be taken for the second. A subscription's SUBSCRIBED is told when
 * all its channels are confirmed, and nothing before; after a break all are sent again.
 *
 * An error says not what it is about; so the channels that were asked for stand in a queue, in the
 * order of the answers, and who may not see one is told, and nobody else.
 *
 * News that nobody waits for are kept, each in a block of its own; if somebody waits in redis_next
 * the text goes straight into the arena of that call.
 */
#include "base/map.h"
#include "os/os.h"
#include "store/redis_client.h"

#include <stdlib.h>

typedef struct channel {
        list seats;
        size_t due;  /* answers to SUBSCRIBE and UNSUBSCRIBE that are to come */
        bool denied; /* the last answer was that we may not see it */
        bool pattern;
        sj_str name;
        char text[];
} channel;

typedef struct seat {
        list node; /* in channel->seats */
        channel *channel;
        redis_subscription *owner;
} seat;

typedef struct news {
        list node; /* in the subscription's backlog */
        redis_news kind;
        sj_str channel, text;
        char data[];
} news;

/* Who waits in redis_next, and where it wants to have it. */
typedef struct taker {
        clause clause;
        sj_arena *arena;
        redis_news kind;
        sj_str channel, text;
} taker;

typedef struct redis_feed {
        redis *client;
        redis_wire wire;
        map channels, patterns;
        list subscriptions;
        sj_arena *arena; /* of what comes, until it is handed on */
        channel **asked; /* what the answers that are to come are about; NULL: a PING */
        size_t first;    /* the oldest of them, in a ring of `capacity`, a power of two */
        size_t due;      /* how many */
        size_t capacity;
        list idle; /* the feeder's clause, while there is no subscription */
        bool up;
} redis_feed;

struct redis_subscription {
        list node; /* in feed->subscriptions */
        redis_feed *feed;
        size_t unconfirmed; /* of its channels */
        list backlog;
        size_t waiting; /* texts in it */
        size_t bytes;   /* of them and their channels */
        size_t most;
        bool dropped; /* texts were, since the last call */
        bool denied;  /* one of its channels, and that was not told yet */
        list taker;   /* its clause */
        size_t n;
        seat seats[];
};

static redis_feed *feed_of(const redis_wire *w)
{
        return container_of((uintptr_t)w, redis_feed, wire);
}

static map *map_of(redis_feed *f, bool pattern)
{
        return pattern ? &f->patterns : &f->channels;
}

/* ── News for a subscription ─────────────────────────────────────────────────────────────── */

static bool copy_into(sj_arena *arena, sj_str text, sj_str *ret)
{
        char *copy = sj_arena_strndup(arena, text.data, text.n);
        *ret = (sj_str){copy, text.n};
        return copy != NULL;
}

/* Straight to who waits for it, if somebody does. */
static bool hand_over(redis_subscription *s, redis_news kind, sj_str name, sj_str text)
{
        clause *c = clause_first(&s->taker);
        taker *t = c ? container_of(c, taker, clause) : NULL;
        if (!t || !copy_into(t->arena, name, &t->channel) || !copy_into(t->arena, text, &t->text))
                return false;
        t->kind = kind;
        clause_fire(c, 0);
        return true;
}

static void forget_text(redis_subscription *s, news *n)
{
        s->waiting--;
        s->bytes -= n->channel.n + n->text.n;
        list_remove(&n->node);
        free(n);
}

static void drop_oldest(redis_subscription *s)
{
        list_for_each (node, &s->backlog) {
                news *n = container_of(node, news, node);
                if (n->kind == REDIS_MESSAGE) {
                        forget_text(s, n);
                        break;
                }
        }
        s->dropped = true;
}

static void tell(redis_subscription *s, redis_news kind, sj_str name, sj_str text)
{
        if (hand_over(s, kind, name, text))
                return;
        news *n = malloc(sizeof(*n) + name.n + text.n);
        if (!n) {
                s->dropped = true;
                clause_fire_first(&s->taker, -ENOBUFS);
                return;
        }
        if (name.n)
                memcpy(n->data, name.data, name.n);
        if (text.n)
                memcpy(n->data + name.n, text.data, text.n);
        n->kind = kind;
        n->channel = (sj_str){n->data, name.n};
        n->text = (sj_str){n->data + name.n, text.n};
        if (kind == REDIS_MESSAGE) {
                size_t bytes = name.n + text.n;
                while (s->waiting > 0 &&
                       (s->waiting >= s->most || s->bytes + bytes > REDIS_BACKLOG_BYTES))
                        drop_oldest(s);
                s->waiting++;
                s->bytes += bytes;
        }
        list_append(&s->backlog, &n->node);
}

/* ── Channels ────────────────────────────────────────────────────────────────────────────── */

static int make_room(redis_feed *f)
{
        if (f->due < f->capacity)
                return 0;
        size_t capacity = f->capacity ? 2 * f->capacity : 16;
        channel **asked = malloc(capacity * sizeof(channel *));
        if (!asked)
                return -ENOMEM;
        for (size_t i = 0; i < f->due; i++)
                asked[i] = f->asked[(f->first + i) & (f->capacity - 1)];
        free(f->asked);
        f->asked = asked;
        f->first = 0;
        f->capacity = capacity;
        return 0;
}

/* c: what the answer will be about. */
static int say(redis_feed *f, channel *c, sj_str verb, sj_str name)
{
        const sj_str words[] = {verb, name};
        const redis_command command = {words, c ? 2 : 1};
        int r = make_room(f);
        if (r == 0)
                r = redis_encode(&f->wire.queued, &command);
        if (r < 0)
                return r;
        f->asked[(f->first + f->due) & (f->capacity - 1)] = c;
        redis_wire_queued(&f->wire, f->due++ > 0);
        return 0;
}

/* What the answer that has come is about. False: there was none to come. */
static bool take_asked(redis_feed *f, channel **ret)
{
        if (f->due == 0)
                return false;
        *ret = f->asked[f->first];
        f->first = (f->first + 1) & (f->capacity - 1);
        f->due--;
        return true;
}

static int say_of(redis_feed *f, channel *c, bool enter)
{
        static const sj_str verbs[2][2] = {
                {{"UNSUBSCRIBE", 11}, {"SUBSCRIBE", 9}},
                {{"PUNSUBSCRIBE", 12}, {"PSUBSCRIBE", 10}},
        };
        int r = say(f, c, verbs[c->pattern][enter], c->name);
        if (r < 0)
                return r;
        c->due++;
        c->denied = false;
        return 0;
}

static channel *channel_new(redis_feed *f, sj_str name, bool pattern)
{
        channel *c = malloc(sizeof(*c) + name.n + 1);
        if (!c)
                return NULL;
        c->due = 0;
        c->denied = false;
        c->pattern = pattern;
        c->name = (sj_str){c->text, name.n};
        if (name.n)
                memcpy(c->text, name.data, name.n);
        list_init(&c->seats);
        if (map_add(map_of(f, pattern), c->name, c) == 0)
                return c;
        free(c);
        return NULL;
}

/* Of one that nobody sits in, and nobody has answers to come for. */
static void channel_free(redis_feed *f, channel *c)
{
        (void)map_remove(map_of(f, c->pattern), c->name);
        free(c);
}

/* All that was sent for it has been answered. */
static void channel_confirmed(redis_feed *f, channel *c)
{
        if (list_empty(&c->seats)) {
                channel_free(f, c);
                return;
        }
        list_for_each (node, &c->seats) {
                redis_subscription *s = container_of(node, seat, node)->owner;
                if (--s->unconfirmed == 0)
                        tell(s, REDIS_SUBSCRIBED, (sj_str){0}, (sj_str){0});
        }
}

/* ── What comes ──────────────────────────────────────────────────────────────────────────── */

static int take_answer(redis_feed *f, sj_str name, bool pattern)
{
        channel *c;
        if (!take_asked(f, &c) || !c || c->pattern != pattern || !sj_str_equal(c->name, name))
                return -EPROTO;
        if (--c->due == 0)
                channel_confirmed(f, c);
        return 0;
}

static int take_message(redis_feed *f, sj_str key, sj_str name, sj_str text, bool pattern)
{
        channel *c = map_get(map_of(f, pattern), key);
        if (!c)
                return -EPROTO;
        list_for_each (node, &c->seats) {
                redis_subscription *s = container_of(node, seat, node)->owner;
                if (s->unconfirmed == 0)
                        tell(s, REDIS_MESSAGE, name, text);
        }
        return 0;
}

static bool says(const redis_reply *reply, const char *what, size_t n)
{
        return reply->n == n && sj_str_equal(reply->elements[0].text, sj_str_of(what));
}

/* To all who sit in it; a channel that nobody wants any more is forgotten. */
static void tell_denied(redis_feed *f, channel *c)
{
        c->denied = true;
        if (list_empty(&c->seats)) {
                channel_free(f, c);
                return;
        }
        list_for_each (node, &c->seats) {
                redis_subscription *s = container_of(node, seat, node)->owner;
                if (!clause_fire_first(&s->taker, -EACCES))
                        s->denied = true;
        }
}

/* An error, or the answer to a PING. */
static int take_other(redis_feed *f, const redis_reply *reply)
{
        channel *c;
        if (!take_asked(f, &c))
                return -EPROTO;
        if (reply->type != REDIS_ERROR)
                return c ? -EPROTO : 0;
        redis_note(f->client, reply->text);
        if (!c || !redis_reply_is_error(reply, "NOPERM"))
                return -EPROTO;
        if (--c->due == 0)
                tell_denied(f, c);
        return 0;
}

static int take_reply(redis_wire *w, const redis_reply *reply)
{
        redis_feed *f = feed_of(w);
        const redis_reply *e = reply->elements;
        if (reply->type != REDIS_ARRAY || reply->n < 2)
                return take_other(f, reply);
        if (says(reply, "message", 3))
                return take_message(f, e[1].text, e[1].text, e[2].text, false);
        if (says(reply, "pmessage", 4))
                return take_message(f, e[1].text, e[2].text, e[3].text, true);
        if (says(reply, "subscribe", 3) || says(reply, "unsubscribe", 3))
                return take_answer(f, e[1].text, false);
        if (says(reply, "psubscribe", 3) || says(reply, "punsubscribe", 3))
                return take_answer(f, e[1].text, true);
        return says(reply, "pong", 2) ? take_other(f, reply) : -EPROTO;
}

static sj_arena *arena_of(redis_wire *w)
{
        return feed_of(w)->arena;
}

static void drained(redis_wire *w)
{
        /* A reply of which a part has come lies in it, too: only an empty reader is a clean cut. */
        redis_feed *f = feed_of(w);
        if (redis_decoder_is_empty(&w->link->decoder))
                sj_arena_reset(f->arena);
}

static bool is_due(const redis_wire *w)
{
        return feed_of(w)->due > 0;
}

static int ping(redis_wire *w)
{
        return say(feed_of(w), NULL, SJ_STR("PING"), (sj_str){0});
}

static const redis_wire_user user = {
        .arena = arena_of,
        .take = take_reply,
        .drained = drained,
        .due = is_due,
        .ping = ping,
};

/* ── The feeder ──────────────────────────────────────────────────────────────────────────── */

static void forget(redis_feed *f, bool pattern)
{
        size_t place = 0;
        for (channel *c; (c = map_next(map_of(f, pattern), &place));) {
                c->due = 0;
                c->denied = false;
                list_for_each (node, &c->seats)
                        container_of(node, seat, node)->owner->unconfirmed++;
        }
}

/* What was confirmed is so no more. */
static void feed_down(redis_feed *f)
{
        f->up = false;
        f->due = 0;
        list_for_each (node, &f->subscriptions)
                container_of(node, redis_subscription, node)->unconfirmed = 0;
        forget(f, false);
        forget(f, true);
}

/* Those that nobody wants any more were kept for their answers only. */
static int enter_all(redis_feed *f, bool pattern)
{
        size_t place = 0;
        int r = 0;
        for (channel *c; r == 0 && (c = map_next(map_of(f, pattern), &place));)
                if (!list_empty(&c->seats))
                        r = say_of(f, c, true);
        return r;
}

static void sweep(redis_feed *f, bool pattern)
{
        size_t place = 0;
        for (channel *c; (c = map_next(map_of(f, pattern), &place));) {
                if (list_empty(&c->seats)) {
                        channel_free(f, c);
                        place = 0;
                }
        }
}

static int await_subscription(redis_feed *f)
{
        int k = fiber_check();
        if (k < 0)
                return k;
        if (!list_empty(&f->subscriptions))
                return redis_await(f->client, SJ_NEVER);
        clause c = {0};
        clause_add(&f->idle, &c);
        return fiber_wait(&c, 1, SJ_NEVER, "redis, a subscription", NULL);
}

/* Until it breaks. Whether it was of any use. */
static bool feed_serve(redis_feed *f, redis_link *link)
{
        sj_arena_reset(f->arena);
        sweep(f, false);
        sweep(f, true);
        f->up = true;
        int r = enter_all(f, false);
        if (r == 0)
                r = enter_all(f, true);
        if (r == 0)
                r = redis_wire_run(&f->wire, link);
        else
                redis_link_free(link);
        buf_clear(&f->wire.queued);
        feed_down(f);
        if (!f->client->closing)
                sj_log(SJ_LOG_WARNING, "redis %s: the connection of subscriptions has broken: %s",
                       f->client->route.place, sj_strerror(r));
        return f->wire.replies > 0;
}

static int feed_life(void *arg)
{
        redis *r = arg;
        redis_feed *f = r->feed;
        unsigned failures = 0;
        r->feeder = sj_fiber_self();
        while (!r->closing) {
                char why[REDIS_WHY_MAX];
                redis_link *link;
                int k = await_subscription(f);
                if (k == -ECANCELED)
                        break;
                if (k == 0 && list_empty(&f->subscriptions))
                        continue;
                if (k == 0) {
                        redis_route route = r->route;
                        k = redis_dial_open(&r->dial, &route, &link, why,
                                            sj_after(REDIS_CONNECT_TIME));
                }
                failures = k == 0 && feed_serve(f, link) ? 0 : failures + 1;
                if (failures && redis_pause_until(failures, SJ_NEVER) < 0)
                        break;
        }
        redis_leave(r);
        return 0;
}

static int feed_new(redis *r)
{
        redis_feed *f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;
        int k = sj_arena_new(&f->arena);
        if (k < 0) {
                free(f);
                return k;
        }
        uint64_t seed;
        os_random(&seed, sizeof(seed));
        f->client = r;
        f->channels = MAP_INIT(seed);
        f->patterns = MAP_INIT(seed);
        list_init(&f->subscriptions);
        redis_wire_init(&f->wire, &user, r->dial.silence);
        r->feed = f;
        k = redis_spawn(r, feed_life, "redis feeder");
        if (k < 0) {
                redis_feed_free(f);
                r->feed = NULL;
        }
        return k;
}

void redis_feed_free(redis_feed *f)
{
        if (!f)
                return;
        while (!list_empty(&f->subscriptions))
                redis_unsubscribe(container_of(f->subscriptions.next, redis_subscription, node));
        sweep(f, false);
        sweep(f, true);
        map_fini(&f->channels);
        map_fini(&f->patterns);
        redis_wire_fini(&f->wire);
        sj_arena_free(f->arena);
        free(f->asked);
        free(f);
}

/* ── Subscriptions ───────────────────────────────────────────────────────────────────────── */

static int sit_down(redis_subscription *s, seat *place, sj_str name, bool pattern)
{
        redis_feed *f = s->feed;
        channel *c = map_get(map_of(f, pattern), name);
        bool enter = !c || list_empty(&c->seats) || c->denied;
        if (!c)
                c = channel_new(f, name, pattern);
        if (!c)
                return -ENOMEM;
        int r = enter && f->up ? say_of(f, c, true) : 0;
        if (r < 0) {
                if (c->due == 0 && list_empty(&c->seats))
                        channel_free(f, c);
                return r;
        }
        *place = (seat){.channel = c, .owner = s};
        list_append(&c->seats, &place->node);
        s->n++;
        s->unconfirmed += !f->up || c->due > 0;
        return 0;
}

int redis_subscribe(redis *r, const sj_str channels[], size_t n, bool pattern, size_t backlog,
                    redis_subscription **ret)
{
        int k = r->closing ? -ESHUTDOWN : fiber_check();
        if (k == 0 && n == 0)
                k = -EINVAL;
        if (k == 0 && !r->feed)
                k = feed_new(r);
        if (k < 0)
                return k;
        redis_feed *f = r->feed;
        redis_subscription *s = calloc(1, sizeof(*s) + n * sizeof(seat));
        if (!s)
                return -ENOMEM;
        s->feed = f;
        s->most = backlog ? backlog : 1;
        list_init(&s->backlog);
        list_append(&f->subscriptions, &s->node);
        for (size_t i = 0; k == 0 && i < n; i++)
                k = sit_down(s, &s->seats[s->n], channels[i], pattern);
        if (k < 0) {
                redis_unsubscribe(s);
                return k;
        }
        if (s->unconfirmed == 0)
                tell(s, REDIS_SUBSCRIBED, (sj_str){0}, (sj_str){0});
        clause_fire_first(&f->idle, 0);
        *ret = s;
        return 0;
}

/* The last one leaves the channel; if that cannot be said, the connection is not as it should be.
 */
static void stand_up(redis_feed *f, seat *place)
{
        channel *c = place->channel;
        list_remove(&place->node);
        if (!list_empty(&c->seats))
                return;
        if (!f->up)
                channel_free(f, c);
        else if (say_of(f, c, false) < 0)
                redis_wire_retire(&f->wire);
}

void redis_unsubscribe(redis_subscription *s)
{
        if (!s)
                return;
        for (size_t i = 0; i < s->n; i++)
                stand_up(s->feed, &s->seats[i]);
        for (list *node; (node = list_pop(&s->backlog));)
                free(container_of(node, news, node));
        list_remove(&s->node);
        free(s);
}

/* The oldest that waits, into the arena. */
static int take_waiting(redis_subscription *s, sj_arena *arena, taker *ret)
{
        news *n = container_of(s->backlog.next, news, node);
        if (!copy_into(arena, n->channel, &ret->channel) || !copy_into(arena, n->text, &ret->text))
                return -ENOMEM;
        ret->kind = n->kind;
        if (n->kind == REDIS_MESSAGE) {
                forget_text(s, n);
        } else {
                list_remove(&n->node);
                free(n);
        }
        return 0;
}

int redis_next(redis_subscription *s, sj_arena *arena, redis_news *ret_news, sj_str *ret_channel,
               sj_str *ret_text, sj_time deadline)
{
        taker t = {.arena = arena};
        int k = fiber_check();
        if (k < 0)
                return k;
        if (s->denied) {
                s->denied = false;
                return -EACCES;
        }
        if (s->dropped) {
                s->dropped = false;
                return -ENOBUFS;
        }
        if (!list_empty(&s->backlog)) {
                k = take_waiting(s, arena, &t);
        } else {
                clause_add(&s->taker, &t.clause);
                k = fiber_wait(&t.clause, 1, deadline, "redis, news of a subscription", NULL);
        }
        if (k < 0)
                return k;
        *ret_news = t.kind;
        *ret_channel = t.channel;
        *ret_text = t.text;
        return 0;
}
