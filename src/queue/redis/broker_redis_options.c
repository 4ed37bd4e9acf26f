/* SPDX-License-Identifier: MIT */
/*
 * Celery's broker_transport_options and result_backend_transport_options, as far as they concern a
 * broker in Redis. Each option of either is known here: those that mean something in that place
 * are read; those that tune Python's own client, or belong to the other place (people share one
 * dict for both), are accepted and left; any other is a mistake, and the nearest right one is told.
 */
#include "queue/redis/broker_redis.h"

#include <stdio.h>

typedef enum option_kind {
        OPTION_LEFT, /* kombu's or redis-py's own matter */
        OPTION_TEXT,
        OPTION_SECONDS,
        OPTION_FLAG,
        OPTION_STEPS,
        OPTION_FANOUT,
        OPTION_ORDER,
        OPTION_SENTINEL,
        OPTION_SILENCE,
} option_kind;

/* Where an option means something. */
typedef enum option_place { NOWHERE = 0, OF_BROKER = 1, OF_RESULTS = 2, OF_BOTH = 3 } option_place;

typedef struct option {
        const char *name;
        option_kind kind;
        size_t offset;
        option_place place;
} option;

#define OPTION(name, kind, member, place)                                 \
        {                                                                 \
                name, kind, offsetof(redis_queue_settings, member), place \
        }
#define LEFT(name)                            \
        {                                     \
                name, OPTION_LEFT, 0, NOWHERE \
        }

static const option options[] = {
        OPTION("global_keyprefix", OPTION_TEXT, prefix, OF_BOTH),
        OPTION("sep", OPTION_TEXT, sep, OF_BROKER),
        OPTION("unacked_key", OPTION_TEXT, unacked, OF_BROKER),
        OPTION("unacked_index_key", OPTION_TEXT, unacked_index, OF_BROKER),
        OPTION("unacked_mutex_key", OPTION_TEXT, unacked_mutex, OF_BROKER),
        OPTION("unacked_mutex_expire", OPTION_SECONDS, unacked_mutex_expire, OF_BROKER),
        OPTION("visibility_timeout", OPTION_SECONDS, visibility_timeout, OF_BROKER),
        OPTION("priority_steps", OPTION_STEPS, steps, OF_BROKER),
        OPTION("fanout_prefix", OPTION_FANOUT, fanout_prefix, OF_BROKER),
        OPTION("fanout_patterns", OPTION_FLAG, fanout_patterns, OF_BROKER),
        OPTION("queue_order_strategy", OPTION_ORDER, order, OF_BROKER),
        OPTION("master_name", OPTION_TEXT, master, OF_BOTH),
        OPTION("sentinel_kwargs", OPTION_SENTINEL, sentinel_password, OF_BOTH),
        OPTION("client_name", OPTION_TEXT, client_name, OF_BOTH),
        OPTION("socket_timeout", OPTION_SILENCE, silence, OF_BOTH),
        OPTION("result_chord_ordered", OPTION_FLAG, chord_ordered, OF_RESULTS),
        LEFT("ack_emulation"),
        LEFT("body_encoding"),
        LEFT("confirm_publish"),
        LEFT("connect_retries_timeout"),
        LEFT("credential_provider"),
        LEFT("deadletter_queue"),
        LEFT("health_check_interval"),
        LEFT("interval_max"),
        LEFT("interval_start"),
        LEFT("interval_step"),
        LEFT("max_connections"),
        LEFT("max_retries"),
        LEFT("min_other_sentinels"),
        LEFT("min_priority"),
        LEFT("max_priority"),
        LEFT("polling_interval"),
        LEFT("predefined_queues"),
        LEFT("queue_name_prefix"),
        LEFT("retry_on_timeout"),
        LEFT("retry_policy"),
        LEFT("sentinels"),
        LEFT("socket_connect_timeout"),
        LEFT("socket_keepalive"),
        LEFT("socket_keepalive_options"),
        LEFT("unacked_restore_interval"),
        LEFT("unacked_restore_limit"),
        LEFT("unacked_restore_throttle"),
};
enum { N_OPTIONS = sizeof(options) / sizeof(options[0]) };

/* ── The nearest name ────────────────────────────────────────────────────────────────────── */

enum { NAME_MAX_HERE = 40 };

/* Changes of single letters that make b of a. */
static size_t distance(sj_str a, const char *b)
{
        size_t row[NAME_MAX_HERE + 1], n = strlen(b);
        for (size_t k = 0; k <= n; k++)
                row[k] = k;
        for (size_t i = 0; i < a.n; i++) {
                size_t diagonal = row[0];
                row[0] = i + 1;
                for (size_t k = 0; k < n; k++) {
                        size_t above = row[k + 1], best = diagonal + (a.data[i] != b[k]);
                        if (above + 1 < best)
                                best = above + 1;
                        if (row[k] + 1 < best)
                                best = row[k] + 1;
                        diagonal = above;
                        row[k + 1] = best;
                }
        }
        return row[n];
}

static const char *nearest(sj_str name)
{
        const char *best = NULL;
        size_t least = SIZE_MAX;
        for (size_t i = 0; name.n <= NAME_MAX_HERE && i < N_OPTIONS; i++) {
                size_t d = distance(name, options[i].name);
                if (d < least) {
                        least = d;
                        best = options[i].name;
                }
        }
        return least <= name.n / 2 ? best : NULL;
}

static const option *find(sj_str name, const char *section, char *error, size_t size)
{
        for (size_t i = 0; i < N_OPTIONS; i++)
                if (sj_str_equal(name, sj_str_of(options[i].name)))
                        return &options[i];
        const char *guess = nearest(name);
        snprintf(error, size, "%s: there is no option '%.*s'%s%s%s", section,
                 (int)(name.n < 64 ? name.n : 64), name.data, guess ? "; did you mean '" : "",
                 guess ? guess : "", guess ? "'?" : "");
        return NULL;
}

/* ── Reading ─────────────────────────────────────────────────────────────────────────────── */

static bool read_steps(const sj_json *value, redis_queue_settings *s)
{
        s->n_steps = sj_json_count(value);
        if (sj_json_type_of(value) != SJ_JSON_ARRAY || s->n_steps == 0 ||
            s->n_steps > REDIS_QUEUE_STEPS_MAX)
                return false;
        for (size_t i = 0; i < s->n_steps; i++) {
                int64_t step;
                if (sj_json_int(sj_json_at(value, i), &step) < 0 || step < 0 ||
                    step > BROKER_PRIORITY_MAX || (i > 0 && step <= s->steps[i - 1]))
                        return false;
                s->steps[i] = (int)step;
        }
        return true;
}

/* true: /{db}. as newer ones have it; false: what kombu calls none; or a text. */
static bool read_fanout(const sj_json *value, redis_queue_settings *s)
{
        bool flag;
        if (sj_json_bool(value, &flag) == 0) {
                s->fanout_prefix = flag ? SJ_STR("/{db}.") : SJ_STR("");
                return true;
        }
        return sj_json_string(value, &s->fanout_prefix) == 0;
}

static bool read_order(const sj_json *value, redis_queue_settings *s)
{
        static const char *const names[] = {[ORDER_ROUND_ROBIN] = "round_robin",
                                            [ORDER_SORTED] = "sorted",
                                            [ORDER_PRIORITY] = "priority"};
        sj_str text = {NULL, 0};
        sj_json_string(value, &text);
        for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                if (!sj_str_equal(text, sj_str_of(names[i])))
                        continue;
                s->order = (redis_queue_order)i;
                return true;
        }
        return false;
}

static bool read_sentinel(const sj_json *value, redis_queue_settings *s)
{
        sj_json_string(sj_json_member(value, "username"), &s->sentinel_username);
        sj_json_string(sj_json_member(value, "password"), &s->sentinel_password);
        return sj_json_type_of(value) == SJ_JSON_OBJECT;
}

static bool read_seconds(const sj_json *value, double least, double *ret)
{
        return sj_json_double(value, ret) == 0 && *ret >= least && *ret < 1e9;
}

static bool read_option(const option *o, const sj_json *value, redis_queue_settings *s)
{
        void *at = (char *)s + o->offset;
        double seconds;
        switch (o->kind) {
        case OPTION_LEFT:
                return true;
        case OPTION_TEXT:
                return sj_json_string(value, at) == 0;
        case OPTION_SECONDS:
                if (!read_seconds(value, 1, &seconds))
                        return false;
                *(int64_t *)at = (int64_t)seconds;
                return true;
        case OPTION_SILENCE:
                if (!read_seconds(value, 0.001, &seconds))
                        return false;
                s->silence = (sj_time)(seconds * 1e9);
                return true;
        case OPTION_FLAG:
                return sj_json_bool(value, at) == 0;
        case OPTION_STEPS:
                return read_steps(value, s);
        case OPTION_FANOUT:
                return read_fanout(value, s);
        case OPTION_ORDER:
                return read_order(value, s);
        case OPTION_SENTINEL:
                return read_sentinel(value, s);
        }
        return false;
}

/* What an option of that kind can be, for a sentence. */
static const char *expected(option_kind kind)
{
        static const char *const texts[] = {
                [OPTION_TEXT] = "a text",
                [OPTION_SECONDS] = "a number of seconds, from 1",
                [OPTION_FLAG] = "true or false",
                [OPTION_STEPS] = "a list of numbers from 0 to 9 that grow, as [0, 3, 6, 9]",
                [OPTION_FANOUT] = "true, false or a text",
                [OPTION_ORDER] = "round_robin, sorted or priority",
                [OPTION_SENTINEL] = "an object with username and password of the Sentinels",
                [OPTION_SILENCE] = "a number of seconds",
        };
        return texts[kind];
}

static int parse_object(sj_arena *arena, const char *text, const char *section, const sj_json **ret,
                        char *error, size_t size)
{
        int r = sj_json_parse(arena, sj_str_of(text), SJ_JSON_PYTHON, ret, NULL);
        if (r == -ENOMEM)
                return r;
        if (r == 0 && sj_json_type_of(*ret) == SJ_JSON_OBJECT)
                return 0;
        snprintf(error, size, "%s: this is no JSON object", section);
        return -EINVAL;
}

static int read_options(sj_arena *arena, const char *text, option_place place,
                        redis_queue_settings *ret, char *error, size_t size)
{
        const char *section = place == OF_BROKER ? "broker_transport_options"
                                                 : "result_backend_transport_options";
        const sj_json *object = NULL;
        int r = text && *text ? parse_object(arena, text, section, &object, error, size) : 0;
        for (size_t i = 0; r == 0 && i < sj_json_count(object); i++) {
                const option *o = find(sj_json_name_at(object, i), section, error, size);
                const sj_json *value = sj_json_at(object, i);
                if (!o)
                        return -EINVAL;
                if ((o->place & place) && !sj_json_is_null(value) && !read_option(o, value, ret)) {
                        snprintf(error, size, "%s: %s is %s", section, o->name, expected(o->kind));
                        return -EINVAL;
                }
        }
        return r;
}

int redis_queue_read_settings(sj_arena *arena, const char *text, redis_queue_settings *ret,
                              char *error, size_t size)
{
        *ret = (redis_queue_settings){
                .prefix = SJ_STR(""),
                .sep = SJ_STR("\x06\x16"),
                .unacked = SJ_STR("unacked"),
                .unacked_index = SJ_STR("unacked_index"),
                .unacked_mutex = SJ_STR("unacked_mutex"),
                .unacked_mutex_expire = 300,
                .visibility_timeout = 3600,
                .steps = {0, 3, 6, 9},
                .n_steps = 4,
                .fanout_prefix = SJ_STR("/{db}."),
                .fanout_patterns = true,
        };
        return read_options(arena, text, OF_BROKER, ret, error, size);
}

/* As Python's format: {db} is the number, {{ and }} are single braces. */
int redis_queue_settle_fanout(sj_arena *arena, redis_queue_settings *s, int db)
{
        char number[16];
        snprintf(number, sizeof(number), "%d", db);
        const struct {
                const char *from, *to;
        } marks[] = {{"{db}", number}, {"{{", "{"}, {"}}", "}"}};
        sj_str from = s->fanout_prefix;
        size_t size = from.n * 4 + 1, n = 0;
        char *text = sj_arena_alloc(arena, size);
        if (!text)
                return -ENOMEM;
        for (size_t i = 0; i < from.n;) {
                size_t k = 0, n_marks = sizeof(marks) / sizeof(marks[0]);
                while (k < n_marks && strncmp(from.data + i, marks[k].from, strlen(marks[k].from)))
                        k++;
                if (k == n_marks) {
                        text[n++] = from.data[i++];
                        continue;
                }
                n += (size_t)snprintf(text + n, size - n, "%s", marks[k].to);
                i += strlen(marks[k].from);
        }
        text[n] = 0;
        s->fanout_prefix = (sj_str){text, n};
        return 0;
}

/* As Celery since 5.3: a prefix that does not end in a separator gets one. */
static int separate_prefix(sj_arena *arena, sj_str *prefix)
{
        if (prefix->n == 0 || strchr(":_-.", prefix->data[prefix->n - 1]))
                return 0;
        char *made = sj_arena_alloc(arena, prefix->n + 2);
        if (!made)
                return -ENOMEM;
        int n = snprintf(made, prefix->n + 2, "%.*s_", SJ_STR_ARG(*prefix));
        *prefix = (sj_str){made, (size_t)n};
        return 0;
}

int redis_queue_read_result_settings(sj_arena *arena, const char *text, redis_queue_settings *ret,
                                     char *error, size_t size)
{
        *ret = (redis_queue_settings){.prefix = SJ_STR(""), .chord_ordered = true};
        int r = read_options(arena, text, OF_RESULTS, ret, error, size);
        return r < 0 ? r : separate_prefix(arena, &ret->prefix);
}
