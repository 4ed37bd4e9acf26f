/* SPDX-License-Identifier: MIT */
/*
 * A client, and who keeps it connected.
 *
 *                      redis_call_all                        keeper, a fiber
 *                     ┌──────┴───────┐                 ┌──────────────────────────┐
 *              there is a wire   there is none         ▼                          │
 *                     ▼              ▼           somebody wants it? ─► dial ──► run the wire
 *         pipe: requests, sent    pending                               │         │ broken
 *                     ▲              │                             failed, pause  │
 *                     └──────────────┘◄──── connected ◄─────────────────┴─────────┘
 *
 * A request is in the pipe, in pending, or done. The keeper moves those that wait to the pipe when
 * there is a connection, and back those that had not left when it breaks. All this is done by the
 * fibers of one loop without waiting in between, so that there is nothing to lock.
 *
 * The fibers of a client live in the loop's own scope: it is opened by one fiber and closed by
 * another, and a scope of the opener's could end, or be cancelled, under everybody else.
 */
#include "store/redis_client.h"

#include "os/os.h"

#include <stdio.h>
#include <stdlib.h>

/* ── Waiting ─────────────────────────────────────────────────────────────────────────────── */

static sj_time redis_pause(unsigned failures)
{
        uint32_t random;
        sj_time pause = REDIS_PAUSE_MIN;
        for (unsigned i = 1; i < failures && pause < REDIS_PAUSE_MAX; i++)
                pause *= 2;
        if (pause > REDIS_PAUSE_MAX)
                pause = REDIS_PAUSE_MAX;
        os_random(&random, sizeof(random));
        return pause / 2 + (sj_time)(random % (uint32_t)(pause / 2 / SJ_US)) * SJ_US;
}

int redis_pause_until(unsigned failures, sj_time deadline)
{
        sj_time until = sj_after(redis_pause(failures));
        return until < deadline ? sj_sleep_until(until) : -EAGAIN;
}

int redis_late(const redis *r, int error)
{
        return error == -ETIMEDOUT && r->down < 0 ? r->down : error;
}

int redis_await(redis *r, sj_time deadline)
{
        if (r->closing)
                return -ESHUTDOWN;
        int k = fiber_check();
        if (k < 0 || (r->pipe.up && !r->pipe.wire.retiring))
                return k;
        clause c = {0};
        clause_add(&r->watchers, &c);
        clause_fire_first(&r->idle, 0);
        return redis_late(r, fiber_wait(&c, 1, deadline, "redis, a connection", NULL));
}

/* An attempt is wanted now. */
static void hurry(redis *r)
{
        clause_fire_first(&r->idle, 0);
        clause_fire_first(&r->pausing, 0);
}

int redis_reach(redis *r, sj_time deadline)
{
        if (r->closing)
                return -ESHUTDOWN;
        int k = fiber_check();
        if (k < 0 || (r->pipe.up && !r->pipe.wire.retiring))
                return k;
        clause c = {0};
        clause_add(&r->attempts, &c);
        hurry(r);
        return redis_late(r, fiber_wait(&c, 1, deadline, "redis, an attempt to connect", NULL));
}

void redis_retire(redis *r, const redis_node *to)
{
        /* Else the keeper is on its way already, and reads the route. */
        if (!r->pipe.up || r->pipe.wire.retiring)
                return;
        r->route.node = *to;
        redis_wire_retire(&r->pipe.wire);
}

void redis_distrust(redis *r)
{
        if (r->pipe.up)
                redis_wire_distrust(&r->pipe.wire);
}

/* ── The keeper ──────────────────────────────────────────────────────────────────────────── */

/*
 * Another attempt would end as this one did: those who wait are told at once. That Sentinels do
 * not know the master is a mistake in the settings only when they never did.
 */
static bool is_final(const redis *r, int error)
{
        if (error == -ENXIO)
                return r->era == 0;
        return error == -EACCES || error == -EXDEV || error == -EINVAL || error == -EKEYREJECTED;
}

static void went_down(redis *r, int error)
{
        /* -EPIPE says that a command may have been done. */
        r->down = error == -EPIPE ? -ECONNRESET : error;
        clause_fire_all(&r->attempts, r->down);
        bool final = is_final(r, error);
        list_for_each_safe (node, &r->pending) {
                redis_request *q = container_of(node, redis_request, node);
                if (final || q->once)
                        redis_request_finish(q, final ? error : r->down);
        }
        if (final)
                clause_fire_all(&r->watchers, error);
}

static void went_up(redis *r)
{
        r->down = 0;
        r->why[0] = '\0';
        r->era++;
        r->pipe.up = true;
        r->pipe.wire.retiring = false;
        while (!list_empty(&r->pending)) {
                redis_request *q = container_of(r->pending.next, redis_request, node);
                list_remove(&q->node);
                int k = redis_pipe_put(&r->pipe, q);
                if (k < 0)
                        redis_request_finish(q, k);
        }
        clause_fire_all(&r->watchers, 0);
        clause_fire_all(&r->attempts, 0);
}

static int await_wanted(redis *r)
{
        int k = fiber_check();
        if (k < 0 || !list_empty(&r->pending) || clause_first(&r->watchers) ||
            clause_first(&r->attempts))
                return k;
        clause c = {0};
        clause_add(&r->idle, &c);
        return fiber_wait(&c, 1, SJ_NEVER, "redis, somebody who wants it", NULL);
}

static bool is_hurried(redis *r)
{
        list_for_each (node, &r->pending)
                if (container_of(node, redis_request, node)->once)
                        return true;
        return clause_first(&r->attempts);
}

/* Who asks for an attempt has his own pauses: he is held up for the shortest only. */
static int keeper_pause(redis *r, unsigned failures)
{
        sj_time pause = redis_pause(failures), until = sj_after(pause);
        int k = sj_sleep(pause < REDIS_PAUSE_MIN ? pause : REDIS_PAUSE_MIN);
        if (k < 0 || is_hurried(r))
                return k;
        clause c = {0};
        clause_add(&r->pausing, &c);
        k = fiber_wait(&c, 1, until, "redis, its next attempt to connect", NULL);
        return k == -ETIMEDOUT ? 0 : k;
}

static void drop_stock(redis *r)
{
        for (list *node; (node = list_pop(&r->stock));)
                redis_link_free(container_of(node, redis_link, node));
        r->stocked = 0;
}

/* Until it breaks. Whether it was of any use. */
static bool serve(redis *r, redis_link *link)
{
        went_up(r);
        int k = redis_wire_run(&r->pipe.wire, link);
        redis_pipe_broken(&r->pipe, k == -EPROTO || k == -ENOBUFS || k == -ENOMEM ? k : -EPIPE,
                          &r->pending);
        drop_stock(r);
        if (r->dial.url.sentinel && k != -ESTALE)
                r->route.node.host[0] = '\0';
        r->health.breaks += !r->closing && k != -ESTALE;
        if (!r->closing && k != -ESTALE)
                sj_log(SJ_LOG_WARNING, "redis %s: the connection has broken: %s", r->route.place,
                       sj_strerror(k));
        return r->pipe.wire.replies > 0;
}

static int keep(void *arg)
{
        redis *r = arg;
        unsigned failures = 0;
        r->keeper = sj_fiber_self();
        while (!r->closing && await_wanted(r) == 0) {
                redis_link *link;
                int k = redis_dial_open(&r->dial, &r->route, &link, r->why,
                                        sj_after(REDIS_CONNECT_TIME));
                if (k == -ECANCELED)
                        break;
                if (k < 0)
                        went_down(r, k);
                r->health.failures = k < 0 ? r->health.failures + 1 : 0;
                failures = k == 0 && serve(r, link) ? 0 : failures + 1;
                if (failures && keeper_pause(r, failures) < 0)
                        break;
        }
        redis_leave(r);
        return 0;
}

int redis_spawn(redis *r, sj_fn *fn, const char *name)
{
        int k = sj_spawn_named(fiber_root_scope(), fn, r, name, SJ_WHERE, NULL);
        if (k == 0)
                r->fibers++;
        return k;
}

void redis_leave(redis *r)
{
        r->fibers--;
        clause_fire_first(&r->ended, 0);
}

/* ── Calls ───────────────────────────────────────────────────────────────────────────────── */

int redis_exchange(redis *r, redis_request *q, sj_time deadline)
{
        int k = fiber_check();
        if (k < 0 || q->n == 0)
                return k;
        if (r->closing)
                return -ESHUTDOWN;
        if (deadline != SJ_NEVER && deadline <= sj_now())
                return -ETIMEDOUT;
        list_init(&q->node);
        if (r->pipe.up && !r->pipe.wire.retiring) {
                k = redis_pipe_put(&r->pipe, q);
                if (k < 0)
                        return k;
        } else {
                list_append(&r->pending, &q->node);
                clause_fire_first(&r->idle, 0);
                if (q->once)
                        clause_fire_first(&r->pausing, 0);
        }
        clause c = {0};
        clause_add(&q->waiter, &c);
        k = fiber_wait(&c, 1, deadline, "redis, a reply", NULL);
        if (q->done)
                return q->result;
        bool sent = q->batch != 0;
        if (sent)
                redis_pipe_abandon(&r->pipe, q);
        else
                list_remove(&q->node);
        return sent ? k : redis_late(r, k);
}

void redis_note(redis *r, sj_str text)
{
        size_t n = text.n < sizeof(r->error) - 1 ? text.n : sizeof(r->error) - 1;
        if (n)
                memcpy(r->error, text.data, n);
        r->error[n] = '\0';
}

static redis_verdict follow(redis *r, const redis_reply *reply, int *ret)
{
        redis_node node;
        *ret = -EXDEV;
        if (!r->dial.tag || !redis_cluster_moved(reply->text, &node))
                return REDIS_REFUSED;
        if (!node.host[0])
                memcpy(node.host, r->route.node.host, sizeof(node.host));
        redis_retire(r, &node);
        return REDIS_ELSEWHERE;
}

redis_verdict redis_judge(redis *r, const redis_reply *reply, int *ret)
{
        static const struct {
                const char *word;
                int error;
        } known[] = {
                {"LOADING", -EAGAIN},     {"MASTERDOWN", -EAGAIN}, {"TRYAGAIN", -EAGAIN},
                {"CLUSTERDOWN", -EAGAIN}, {"READONLY", -EROFS},    {"UNBLOCKED", -EROFS},
                {"OOM", -ENOSPC},         {"NOAUTH", -EACCES},     {"NOPERM", -EACCES},
                {"MOVED", -EXDEV},        {"ASK", -EXDEV},
        };
        if (reply->type != REDIS_ERROR)
                return REDIS_FINE;
        redis_note(r, reply->text);
        size_t i = 0, n = sizeof(known) / sizeof(known[0]);
        while (i < n && !redis_reply_is_error(reply, known[i].word))
                i++;
        if (i == n)
                return REDIS_FINE;
        *ret = known[i].error;
        switch (known[i].error) {
        case -EAGAIN:
                return REDIS_AGAIN;
        case -EROFS:
                redis_retire(r, &(redis_node){0});
                return REDIS_ELSEWHERE;
        case -EXDEV:
                if (known[i].word[0] == 'M')
                        return follow(r, reply, ret);
                return r->dial.tag ? REDIS_AGAIN : REDIS_REFUSED;
        default:
                return REDIS_REFUSED;
        }
}

/* The requests whose replies say so are sent again; this is one round of it. */
typedef struct round {
        redis_command *commands;
        const redis_reply **replies;
        size_t *places; /* of each, in the caller's ret */
        size_t n;
} round_of;

static int round_make(sj_arena *arena, size_t n, round_of *ret)
{
        ret->commands = sj_arena_alloc(arena, n * sizeof(*ret->commands));
        ret->replies = sj_arena_alloc(arena, n * sizeof(const redis_reply *));
        ret->places = sj_arena_alloc(arena, n * sizeof(size_t));
        ret->n = 0;
        return ret->commands && ret->replies && ret->places ? 0 : -ENOMEM;
}

/* Looks at the replies of `last`; what must be sent again stays in it. 1: there is something. */
static int sift(redis *r, round_of *last, const redis_reply *ret[])
{
        size_t left = 0;
        for (size_t i = 0; i < last->n; i++) {
                int error = 0;
                redis_verdict v = redis_judge(r, last->replies[i], &error);
                if (v == REDIS_REFUSED)
                        return error;
                ret[last->places[i]] = last->replies[i];
                if (v == REDIS_FINE)
                        continue;
                last->commands[left] = last->commands[i];
                last->places[left++] = last->places[i];
        }
        last->n = left;
        return left > 0;
}

static int repeat(redis *r, sj_arena *arena, round_of *again, const redis_reply *ret[], bool once,
                  sj_time deadline)
{
        for (unsigned failures = 1;; failures++) {
                int k = redis_pause_until(failures, deadline);
                if (k < 0)
                        return k;
                redis_request q = {.commands = again->commands,
                                   .n = again->n,
                                   .arena = arena,
                                   .ret = again->replies,
                                   .once = once};
                k = redis_exchange(r, &q, deadline);
                if (k == 0)
                        k = sift(r, again, ret);
                if (k <= 0 || once)
                        return k <= 0 ? k : -EAGAIN;
        }
}

int redis_send(redis *r, sj_arena *arena, const redis_command commands[], size_t n,
               const redis_reply *ret[], bool once, sj_time deadline)
{
        const redis_reply *few[8];
        const redis_reply **replies = few;
        if (n > sizeof(few) / sizeof(few[0])) {
                replies = sj_arena_alloc(arena, n * sizeof(const redis_reply *));
                if (!replies)
                        return -ENOMEM;
        }
        redis_request q = {
                .commands = commands, .n = n, .arena = arena, .ret = replies, .once = once};
        int k = redis_exchange(r, &q, deadline);
        bool failed = false;
        for (size_t i = 0; k == 0 && i < n; i++)
                failed |= replies[i]->type == REDIS_ERROR;
        if (k == 0 && failed) {
                round_of all;
                k = round_make(arena, n, &all);
                for (size_t i = 0; k == 0 && i < n; i++) {
                        all.commands[i] = commands[i];
                        all.replies[i] = replies[i];
                        all.places[i] = i;
                        all.n++;
                }
                if (k == 0)
                        k = sift(r, &all, replies);
                if (k > 0)
                        k = repeat(r, arena, &all, replies, once, deadline);
        }
        if (k == 0 && n)
                memcpy(ret, replies, n * sizeof(const redis_reply *));
        return k;
}

int redis_call_all(redis *r, sj_arena *arena, const redis_command commands[], size_t n,
                   const redis_reply *ret[], sj_time deadline)
{
        return redis_send(r, arena, commands, n, ret, false, deadline);
}

static int call(redis *r, sj_arena *arena, const sj_str words[], size_t n, const redis_reply **ret,
                bool once, sj_time deadline)
{
        const redis_command command = {words, n};
        const redis_reply *reply;
        int k = redis_send(r, arena, &command, 1, &reply, once, deadline);
        if (k < 0)
                return k;
        if (reply->type == REDIS_ERROR) {
                redis_note(r, reply->text);
                return -EREMOTEIO;
        }
        *ret = reply;
        return 0;
}

int redis_call(redis *r, sj_arena *arena, const sj_str words[], size_t n, const redis_reply **ret,
               sj_time deadline)
{
        return call(r, arena, words, n, ret, false, deadline);
}

int redis_call_once(redis *r, sj_arena *arena, const sj_str words[], size_t n,
                    const redis_reply **ret, sj_time deadline)
{
        return call(r, arena, words, n, ret, true, deadline);
}

const char *redis_error(const redis *r)
{
        return r->error;
}

/* ── Opening and closing ─────────────────────────────────────────────────────────────────── */

static int copy_text(sj_arena *arena, const char *text, const char **ret)
{
        if (!text)
                return 0;
        *ret = sj_arena_strndup(arena, text, strlen(text));
        return *ret ? 0 : -ENOMEM;
}

static int copy_options(redis *r, const redis_options *o)
{
        redis_dial *d = &r->dial;
        d->silence = o->silence ? o->silence : REDIS_SILENCE;
        int k = copy_text(r->arena, o->master ? o->master : "mymaster", &d->master);
        if (k == 0)
                k = copy_text(r->arena, o->sentinel_username, &d->sentinel_username);
        if (k == 0)
                k = copy_text(r->arena, o->sentinel_password, &d->sentinel_password);
        if (k == 0)
                k = copy_text(r->arena, o->client_name, &d->client_name);
        if (k == 0 && redis_cluster_tagged(o->prefix))
                k = copy_text(r->arena, o->prefix, &d->tag);
        return k;
}

static int read_url(redis *r, const redis_options *o)
{
        const char *why;
        int k = redis_url_parse(r->arena, o->url, &r->dial.url, &why);
        if (k < 0)
                return redis_dial_fail(r->why, k, "the url of Redis is malformed: %s", why);
        const redis_url *u = &r->dial.url;
        if (u->n)
                redis_node_text(&u->nodes[0], r->route.place, sizeof(r->route.place));
        if (!u->tls)
                return 0;
        char reason[SJ_TLS_WHY_MAX] = "";
        const sj_tls_options options = {.ca_file = u->ca_file,
                                        .certificate_file = u->certificate_file,
                                        .key_file = u->key_file,
                                        .insecure = u->insecure};
        k = sj_tls_new(&options, &r->tls, reason);
        if (k < 0)
                return redis_dial_fail(r->why, k, "TLS: %s", reason);
        if (u->insecure)
                sj_log(SJ_LOG_WARNING, "redis %s: the server's certificate is not verified",
                       r->route.place);
        r->dial.tls = r->tls;
        return 0;
}

static int redis_new(redis **ret)
{
        redis *r = calloc(1, sizeof(*r));
        if (!r)
                return -ENOMEM;
        int k = sj_arena_new(&r->arena);
        if (k < 0) {
                free(r);
                return k;
        }
        list_init(&r->pending);
        list_init(&r->stock);
        *ret = r;
        return 0;
}

/* The sentence; of an attempt that has not ended nothing was said yet. */
static void open_failed(const redis *r, int error, char *ret, size_t size)
{
        if (r->why[0] || error != -ETIMEDOUT)
                snprintf(ret, size, "%s", r->why[0] ? r->why : sj_strerror(error));
        else
                snprintf(ret, size, "%s does not answer%s", r->route.place,
                         r->dial.tls ? ", at least not to TLS (rediss:)" : "");
}

int redis_open(const redis_options *options, redis **ret, char *error, size_t size,
               sj_time deadline)
{
        redis *r = NULL;
        int k = fiber_check();
        if (k == 0)
                k = redis_new(&r);
        if (k < 0)
                return k;
        k = copy_options(r, options);
        redis_pipe_init(&r->pipe, r->dial.silence);
        if (k == 0)
                k = read_url(r, options);
        if (k == 0)
                k = redis_spawn(r, keep, "redis keeper");
        if (k == 0)
                k = redis_await(r, deadline);
        if (k == 0) {
                *ret = r;
                return 0;
        }
        if (error && size)
                open_failed(r, k, error, size);
        redis_close(r);
        return k;
}

void redis_close(redis *r)
{
        if (!r)
                return;
        r->closing = true;
        if (r->keeper)
                sj_cancel(r->keeper);
        if (r->feeder)
                sj_cancel(r->feeder);
        while (r->fibers) {
                clause c = {0};
                clause_add(&r->ended, &c);
                (void)fiber_wait_shielded(&c, 1, "redis, its end");
        }
        drop_stock(r);
        redis_feed_free(r->feed);
        redis_pipe_fini(&r->pipe);
        sj_tls_free(r->tls);
        sj_arena_free(r->arena);
        free(r);
}

const char *redis_place(const redis *r)
{
        return r->route.place;
}

redis_health redis_health_of(const redis *r)
{
        return r->health;
}

bool redis_keeps_together(const redis *r, sj_str prefix)
{
        return !r->route.cluster ||
               sj_str_equal(redis_cluster_tag(prefix), redis_cluster_tag(sj_str_of(r->dial.tag)));
}

int redis_db(const redis *r)
{
        return (int)r->dial.url.db;
}
