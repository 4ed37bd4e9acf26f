/* SPDX-License-Identifier: MIT */
/*
 * The broker in Redis: "redis://HOST/DB" and its kin. What lies where is told in broker_redis.h;
 * what changes more than one key is a script (the folder lua), so that it is done whole or not
 * at all, whoever dies meanwhile.
 *
 * A message of Celery's is its envelope and nothing else, so a Redis broker knows of a message
 * what stands in it: of ids that are in no list it cannot say whether they ever were
 * (BROKER_KNOWS_IDS), nor whether one is there already (BROKER_UNIQUE_IDS), and to take a waiting
 * one out by its id would mean to search (BROKER_CANCELS): a worker that meets it ends it.
 */
#include "queue/redis/broker_redis.h"

#include "store/redis_url.h"

#include <stdio.h>
#include <stdlib.h>

static int keys_make(redis_queue *q)
{
        const redis_queue_settings *s = &q->settings;
        const struct {
                redis_queue_key key;
                sj_str name;
        } names[] = {
                {KEY_UNACKED, s->unacked},
                {KEY_INDEX, s->unacked_index},
                {KEY_LEASES, SJ_STR("sanjab.leases")},
                {KEY_DELAYED, SJ_STR("sanjab.delayed")},
                {KEY_COUNTS, SJ_STR("sanjab.delayed.count")},
                {KEY_DEAD, SJ_STR("sanjab.dead")},
                {KEY_DIED, SJ_STR("sanjab.died")},
                {KEY_ALARM, SJ_STR("sanjab.alarm")},
        };
        bool bad = false;
        for (size_t i = 0; i < KEY_MAX; i++) {
                sj_str *key = &q->keys[names[i].key];
                *key = redis_queue_name(q, q->arena, "%.*s", SJ_STR_ARG(names[i].name));
                bad |= !key->data;
        }
        q->mutex_key = redis_queue_name(q, q->arena, "%.*s", SJ_STR_ARG(s->unacked_mutex));
        return bad || !q->mutex_key.data ? -ENOMEM : 0;
}

static const char *keep(redis_queue *q, sj_str text)
{
        return text.n ? sj_arena_strndup(q->arena, text.data, text.n) : NULL;
}

/* "kind:", and what kind of store it is: one that speaks Redis' protocol. */
static bool is_redis(const char *url)
{
        static const char *const schemes[] = {
                "redis:", "rediss:", "redis+socket:", "redis+sentinel:", "unix:", "sentinel:"};
        for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
                if (strncmp(url, schemes[i], strlen(schemes[i])) == 0)
                        return true;
        return false;
}

/* What is not said of the results' place is as of the broker's. */
static void results_where_make(redis_queue *q, const char *url, const redis_queue_settings *s)
{
        redis_options *w = &q->results_where;
        *w = q->where;
        w->url = keep(q, sj_str_of(url));
        w->prefix = keep(q, s->prefix);
        if (s->master.n)
                w->master = keep(q, s->master);
        if (s->sentinel_username.n || s->sentinel_password.n) {
                w->sentinel_username = keep(q, s->sentinel_username);
                w->sentinel_password = keep(q, s->sentinel_password);
        }
        if (s->client_name.n)
                w->client_name = keep(q, s->client_name);
        if (s->silence)
                w->silence = s->silence;
}

static int where_make(redis_queue *q, const char *url, const broker_options *options,
                      const redis_queue_settings *of_results, char *error, size_t size)
{
        const redis_queue_settings *s = &q->settings;
        q->where = (redis_options){
                .url = keep(q, sj_str_of(url)),
                .master = keep(q, s->master),
                .sentinel_username = keep(q, s->sentinel_username),
                .sentinel_password = keep(q, s->sentinel_password),
                .client_name = keep(q, s->client_name.n ? s->client_name : SJ_STR("sanjab")),
                .prefix = keep(q, s->prefix),
                .silence = s->silence,
        };
        if (!options->result_backend)
                return 0;
        if (!is_redis(options->result_backend)) {
                snprintf(error, size, "results of a broker in Redis can be kept in Redis only");
                return -EPROTONOSUPPORT;
        }
        results_where_make(q, options->result_backend, of_results);
        return 0;
}

static sj_str result_name(redis_queue *q, sj_str prefix, const char *name)
{
        size_t room = prefix.n + strlen(name) + 1;
        char *text = sj_arena_alloc(q->arena, room);
        if (!text)
                return (sj_str){NULL, 0};
        return (sj_str){text, (size_t)snprintf(text, room, "%.*s%s", SJ_STR_ARG(prefix), name)};
}

static int prepare(redis_queue *q, const char *url, const broker_options *options, char *error,
                   size_t size)
{
        redis_queue_settings of_results;
        int r = redis_queue_read_settings(q->arena, options->transport, &q->settings, error, size);
        if (r == 0)
                r = redis_queue_read_result_settings(q->arena, options->result_transport,
                                                     &of_results, error, size);
        if (r == 0)
                r = keys_make(q);
        if (r == 0)
                r = where_make(q, url, options, &of_results, error, size);
        if (r < 0)
                return r;
        q->unordered = !of_results.chord_ordered;
        q->result_prefix = result_name(q, of_results.prefix, "celery-task-meta-");
        q->group_prefix = result_name(q, of_results.prefix, "celery-taskset-meta-");
        return q->result_prefix.data && q->group_prefix.data ? 0 : -ENOMEM;
}

static void redis_queue_free(redis_queue *q)
{
        size_t place = 0;
        for (redis_fetch *f; (f = map_next(&q->fetched, &place));)
                free(f);
        for (list *node; (node = list_pop(&q->over));)
                free(container_of(node, redis_fetch, node));
        place = 0;
        for (char *name; (name = map_next(&q->bound, &place));)
                free(name);
        map_fini(&q->fetched);
        map_fini(&q->bound);
        sj_arena_free(q->arena);
        free(q);
}

static redis_queue *redis_queue_new(void)
{
        redis_queue *q = calloc(1, sizeof(*q));
        if (!q || sj_arena_new(&q->arena) < 0) {
                free(q);
                return NULL;
        }
        uint64_t seeds[2];
        os_random(seeds, sizeof(seeds));
        os_random(&q->handle_number, sizeof(q->handle_number));
        snprintf(q->handle, sizeof(q->handle), "%016llx", (unsigned long long)q->handle_number);
        q->fetched = MAP_INIT(seeds[0]);
        list_init(&q->over);
        q->bound = MAP_INIT(seeds[1]);
        turnstile_init(&q->start);
        return q;
}

static int redis_queue_check(const char *url, const broker_options *options, char *error,
                             size_t size)
{
        redis_queue *q = redis_queue_new();
        if (!q)
                return -ENOMEM;
        int r = prepare(q, url, options, error, size);
        const char *urls[] = {q->where.url, q->results_where.url};
        for (size_t i = 0; i < 2 && r == 0; i++) {
                redis_url parsed;
                const char *why = NULL;
                r = urls[i] ? redis_url_parse(q->arena, urls[i], &parsed, &why) : 0;
                if (r < 0 && why)
                        snprintf(error, size, "the url of Redis is malformed: %s", why);
        }
        redis_queue_free(q);
        return r;
}

static int redis_queue_open(const char *url, const broker_options *options, broker **ret,
                            char *error, size_t size, sj_time deadline)
{
        redis_queue *q = redis_queue_new();
        if (!q)
                return -ENOMEM;
        int r = prepare(q, url, options, error, size);
        if (r == 0)
                r = redis_lanes_open(q, error, size, deadline);
        if (r < 0) {
                redis_queue_free(q);
                return r;
        }
        redis_lane *lane = redis_lanes_first(q);
        q->results_apart = lane->results != lane->client;
        r = redis_queue_settle_fanout(q->arena, &q->settings, redis_db(lane->client));
        q->base.class = &broker_redis_class;
        q->base.capabilities = BROKER_DELAYED | BROKER_KEYS | BROKER_RESULTS | BROKER_PUBSUB |
                               BROKER_PROCESSES | BROKER_LOW_FIRST | BROKER_EXCHANGES |
                               (q->results_apart ? 0 : BROKER_ATOMIC);
        q->base.result_expires =
                options->result_expires ? options->result_expires : BROKER_RESULT_EXPIRES;
        *ret = &q->base;
        if (r < 0)
                broker_close(&q->base);
        return r;
}

static void redis_queue_close(broker *b)
{
        redis_queue *q = redis_queue_of(b);
        redis_lanes_close(q);
        redis_queue_free(q);
}

static int reach_in(redis_lane *lane, void *arg)
{
        return redis_reach(lane->client, *(sj_time *)arg);
}

static int redis_queue_reach(broker *b, sj_time deadline)
{
        return redis_lane_call(b, reach_in, &deadline);
}

/* ── What a server does with keys when its memory is full ────────────────────────────────── */

typedef struct notice_args {
        bool evicts;
        sj_time deadline;
} notice_args;

static bool says(sj_str info, const char *line)
{
        return memmem(info.data, info.n, line, strlen(line)) != NULL;
}

/* Who may not ask is told nothing. */
static int notice_in(redis_lane *lane, void *arg)
{
        notice_args *a = arg;
        const redis_reply *reply;
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, 2);
        redis_words_add(&w, SJ_STR("INFO"));
        redis_words_add(&w, SJ_STR("memory"));
        int r = w.bad ? -ENOMEM
                      : redis_call(lane->client, arena, w.at, w.n, &reply,
                                   redis_queue_deadline(a->deadline));
        if (r < 0 || reply->type != REDIS_STRING)
                return r;
        a->evicts = says(reply->text, "\nmaxmemory_policy:") &&
                    !says(reply->text, "\nmaxmemory_policy:noeviction") &&
                    !says(reply->text, "\nmaxmemory:0\r");
        return 0;
}

static const char *redis_queue_notice(broker *b, sj_log_level *ret_level, sj_time deadline)
{
        notice_args a = {.deadline = deadline};
        *ret_level = SJ_LOG_WARNING;
        redis_lane_call(b, notice_in, &a);
        return a.evicts ? "this Redis removes keys when its memory is full, and with them tasks: "
                          "set "
                          "its maxmemory-policy to noeviction"
                        : NULL;
}

static broker_health redis_queue_health(broker *b)
{
        redis_health h = redis_health_of(redis_lanes_first(redis_queue_of(b))->client);
        return (broker_health){.failures = h.failures, .breaks = h.breaks};
}

const broker_class broker_redis_class = {
        .scheme = "redis",
        .open = redis_queue_open,
        .check = redis_queue_check,
        .close = redis_queue_close,
        .notice = redis_queue_notice,
        .health = redis_queue_health,
        .reach = redis_queue_reach,
        .publish = redis_queue_publish,
        .publish_once = redis_queue_publish_once,
        .lease_next = redis_queue_lease_next,
        .lease_wait = redis_queue_lease_wait,
        .wait = redis_queue_wait,
        .renew = redis_queue_renew,
        .settle = redis_queue_settle,
        .cancel = redis_queue_cancel,
        .join_open = redis_queue_join_open,
        .join_grow = redis_queue_join_grow,
        .join_arrive = redis_queue_join_arrive,
        .group_save = redis_queue_group_save,
        .group_get = redis_queue_group_get,
        .group_drop = redis_queue_group_drop,
        .result_put = redis_queue_result_put,
        .result_get = redis_queue_result_get,
        .result_expect = redis_queue_result_expect,
        .result_wait = redis_queue_result_wait,
        .result_drop = redis_queue_result_drop,
        .queues = redis_queue_queues,
        .purge = redis_queue_purge,
        .delayed_list = redis_queue_delayed_list,
        .dead_list = redis_queue_dead_list,
        .dead_retry = redis_queue_dead_retry,
        .dead_drop = redis_queue_dead_drop,
        .node_join = redis_queue_node_join,
        .node_beat = redis_queue_node_beat,
        .node_leave = redis_queue_node_leave,
        .nodes = redis_queue_nodes,
        .emit = redis_queue_emit,
        .subscribe = redis_queue_subscribe,
        .next = redis_queue_next,
        .unsubscribe = redis_queue_unsubscribe,
        .mailbox = redis_queue_mailbox,
        .post = redis_queue_post,
        .revoke = redis_queue_revoke,
        .revoked_list = redis_queue_revoked_list,
        .rate_take = redis_queue_rate_take,
};
