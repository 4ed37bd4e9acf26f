/* SPDX-License-Identifier: MIT */
/*
 * The model's keys. A key's value is a row of texts: one of a string, all of a list, name and value
 * by turns of a hash. That is slow, and so simple that it is right.
 */
#include "store/redis_model_internal.h"

#include <sanjab/sync.h>

typedef enum type { STRING, LIST, HASH } type;

typedef struct value {
        type kind;
        text *key;
        text **items;
        size_t n, capacity;
} value;

/* ── Keys ────────────────────────────────────────────────────────────────────────────────── */

static const char wrong_type[] =
        "WRONGTYPE Operation against a key holding the wrong kind of value";
static const char not_integer[] = "ERR value is not an integer or out of range";

/* Each database has its own keys: the number stands before the name. */
static text *key_of(const guest *g, sj_str name)
{
        char number[16];
        text *t = must(malloc(sizeof(*t) + sizeof(number) + name.n));
        int n = snprintf(number, sizeof(number), "%u:", g->db);
        memcpy(t->data, number, (size_t)n);
        if (name.n)
                memcpy(t->data + n, name.data, name.n);
        t->n = (size_t)n + name.n;
        return t;
}

static value *find(const guest *g, sj_str name)
{
        text *key = key_of(g, name);
        value *v = map_get(&g->m->keys, str_of(key));
        free(key);
        return v;
}

static value *make(const guest *g, sj_str name, type kind)
{
        value *v = must(calloc(1, sizeof(*v)));
        v->kind = kind;
        v->key = key_of(g, name);
        expect_equal(map_add(&g->m->keys, str_of(v->key), v), 0);
        return v;
}

static void value_free(redis_model *m, value *v)
{
        (void)map_remove(&m->keys, str_of(v->key));
        for (size_t i = 0; i < v->n; i++)
                free(v->items[i]);
        free(v->items);
        free(v->key);
        free(v);
}

static void insert(value *v, size_t at, sj_str s)
{
        if (v->n == v->capacity) {
                v->capacity = v->capacity ? 2 * v->capacity : 4;
                v->items = must(realloc(v->items, v->capacity * sizeof(text *)));
        }
        memmove(v->items + at + 1, v->items + at, (v->n - at) * sizeof(text *));
        v->items[at] = text_new(s);
        v->n++;
}

static void erase(value *v, size_t at, size_t n)
{
        for (size_t i = 0; i < n; i++)
                free(v->items[at + i]);
        memmove(v->items + at, v->items + at + n, (v->n - at - n) * sizeof(text *));
        v->n -= n;
}

/* Removes it when it is empty, as Redis does. */
static void tidy(guest *g, value *v)
{
        if (v->n == 0)
                value_free(g->m, v);
}

/* The value, made if need be; NULL, and said so, when it is of another kind. */
static value *want(guest *g, buf *out, sj_str name, type kind, bool create)
{
        value *v = find(g, name);
        if (v && v->kind != kind) {
                redis_model_put_error(out, wrong_type);
                return NULL;
        }
        if (!v && create)
                v = make(g, name, kind);
        return v;
}

static bool is_wrong(const guest *g, sj_str name, type kind)
{
        const value *v = find(g, name);
        return v && v->kind != kind;
}

/* ── Commands ────────────────────────────────────────────────────────────────────────────── */

static void do_set(guest *g, buf *out, const sj_str w[], size_t n)
{
        (void)n;
        value *v = find(g, w[1]);
        if (v)
                value_free(g->m, v);
        insert(make(g, w[1], STRING), 0, w[2]);
        redis_model_put_status(out, "OK");
}

static void do_get(guest *g, buf *out, const sj_str w[], size_t n)
{
        (void)n;
        const value *v = want(g, out, w[1], STRING, false);
        if (v)
                redis_model_put_string(out, str_of(v->items[0]));
        else if (!is_wrong(g, w[1], STRING))
                redis_model_put_nil(out);
}

static void do_del(guest *g, buf *out, const sj_str w[], size_t n)
{
        int64_t removed = 0;
        for (size_t i = 1; i < n; i++) {
                value *v = find(g, w[i]);
                if (!v)
                        continue;
                value_free(g->m, v);
                removed++;
        }
        redis_model_put_integer(out, removed);
}

static void do_exists(guest *g, buf *out, const sj_str w[], size_t n)
{
        int64_t found = 0;
        for (size_t i = 1; i < n; i++)
                found += find(g, w[i]) != NULL;
        redis_model_put_integer(out, found);
}

static void do_incr(guest *g, buf *out, const sj_str w[], size_t n)
{
        (void)n;
        int64_t number = 0;
        char digits[24];
        value *v = want(g, out, w[1], STRING, false);
        if (!v && is_wrong(g, w[1], STRING))
                return;
        if (v && !to_integer(str_of(v->items[0]), &number)) {
                redis_model_put_error(out, not_integer);
                return;
        }
        if (number == INT64_MAX) {
                redis_model_put_error(out, "ERR increment or decrement would overflow");
                return;
        }
        if (!v)
                v = make(g, w[1], STRING);
        else
                erase(v, 0, 1);
        snprintf(digits, sizeof(digits), "%lld", (long long)number + 1);
        insert(v, 0, sj_str_of(digits));
        redis_model_put_integer(out, number + 1);
}

static void push(guest *g, buf *out, const sj_str w[], size_t n, bool left)
{
        value *v = want(g, out, w[1], LIST, true);
        if (!v)
                return;
        for (size_t i = 2; i < n; i++)
                insert(v, left ? 0 : v->n, w[i]);
        redis_model_put_integer(out, (int64_t)v->n);
        sj_event_set(&g->m->pushed);
        sj_event_clear(&g->m->pushed);
}

static void do_lpush(guest *g, buf *out, const sj_str w[], size_t n)
{
        push(g, out, w, n, true);
}

static void do_rpush(guest *g, buf *out, const sj_str w[], size_t n)
{
        push(g, out, w, n, false);
}

static void pop(guest *g, buf *out, const sj_str w[], size_t n, bool left)
{
        int64_t count = 1;
        if (n > 2 && (!to_integer(w[2], &count) || count < 0)) {
                redis_model_put_error(out, "ERR value is out of range, must be positive");
                return;
        }
        value *v = want(g, out, w[1], LIST, false);
        if (!v) {
                if (is_wrong(g, w[1], LIST))
                        return;
                if (n > 2)
                        expect_equal(buf_append_str(out, SJ_STR("*-1\r\n")), 0);
                else
                        redis_model_put_nil(out);
                return;
        }
        size_t most = (size_t)count < v->n ? (size_t)count : v->n;
        if (n > 2)
                redis_model_put_array(out, most);
        for (size_t i = 0; i < most; i++) {
                size_t at = left ? 0 : v->n - 1;
                redis_model_put_string(out, str_of(v->items[at]));
                erase(v, at, 1);
        }
        tidy(g, v);
}

static void do_lpop(guest *g, buf *out, const sj_str w[], size_t n)
{
        pop(g, out, w, n, true);
}

static void do_rpop(guest *g, buf *out, const sj_str w[], size_t n)
{
        pop(g, out, w, n, false);
}

static void do_llen(guest *g, buf *out, const sj_str w[], size_t n)
{
        (void)n;
        const value *v = want(g, out, w[1], LIST, false);
        if (v || !is_wrong(g, w[1], LIST))
                redis_model_put_integer(out, v ? (int64_t)v->n : 0);
}

static void do_lrange(guest *g, buf *out, const sj_str w[], size_t n)
{
        (void)n;
        int64_t from, to;
        if (!to_integer(w[2], &from) || !to_integer(w[3], &to)) {
                redis_model_put_error(out, not_integer);
                return;
        }
        const value *v = want(g, out, w[1], LIST, false);
        if (!v && is_wrong(g, w[1], LIST))
                return;
        int64_t length = v ? (int64_t)v->n : 0;
        from = from < 0 ? from + length : from;
        to = to < 0 ? to + length : to;
        from = from < 0 ? 0 : from;
        to = to >= length ? length - 1 : to;
        redis_model_put_array(out, from <= to ? (size_t)(to - from + 1) : 0);
        for (int64_t i = from; i <= to; i++)
                redis_model_put_string(out, str_of(v->items[i]));
}

/* Blocks; n is the last word. Of one list only. */
static void do_brpop(guest *g, buf *out, const sj_str w[], size_t n)
{
        char number[32];
        snprintf(number, sizeof(number), "%.*s", SJ_STR_ARG(w[n - 1]));
        double seconds = strtod(number, NULL);
        sj_time until = seconds > 0 ? sj_after((sj_time)(seconds * 1e9)) : SJ_NEVER;
        value *v;
        while (!(v = find(g, w[1])) || v->kind != LIST)
                if (sj_event_wait(&g->m->pushed, until) < 0)
                        break;
        if (!v || v->kind != LIST) {
                expect_equal(buf_append_str(out, SJ_STR("*-1\r\n")), 0);
                return;
        }
        redis_model_put_array(out, 2);
        redis_model_put_string(out, w[1]);
        redis_model_put_string(out, str_of(v->items[v->n - 1]));
        erase(v, v->n - 1, 1);
        tidy(g, v);
}

/* The place of a field, or v->n. */
static size_t field_of(const value *v, sj_str name)
{
        size_t i = 0;
        while (i < v->n && !sj_str_equal(str_of(v->items[i]), name))
                i += 2;
        return i;
}

static void do_hset(guest *g, buf *out, const sj_str w[], size_t n)
{
        int64_t added = 0;
        if (n % 2) {
                redis_model_put_too_few(out, "HSET");
                return;
        }
        value *v = want(g, out, w[1], HASH, true);
        if (!v)
                return;
        for (size_t i = 2; i < n; i += 2) {
                size_t at = field_of(v, w[i]);
                if (at < v->n)
                        erase(v, at, 2);
                else
                        added++;
                insert(v, v->n, w[i]);
                insert(v, v->n, w[i + 1]);
        }
        redis_model_put_integer(out, added);
}

static void do_hget(guest *g, buf *out, const sj_str w[], size_t n)
{
        (void)n;
        const value *v = want(g, out, w[1], HASH, false);
        if (!v && is_wrong(g, w[1], HASH))
                return;
        size_t at = v ? field_of(v, w[2]) : 0;
        if (v && at < v->n)
                redis_model_put_string(out, str_of(v->items[at + 1]));
        else
                redis_model_put_nil(out);
}

static void do_hdel(guest *g, buf *out, const sj_str w[], size_t n)
{
        int64_t removed = 0;
        value *v = want(g, out, w[1], HASH, false);
        if (!v && is_wrong(g, w[1], HASH))
                return;
        for (size_t i = 2; v && i < n; i++) {
                size_t at = field_of(v, w[i]);
                if (at < v->n) {
                        erase(v, at, 2);
                        removed++;
                }
        }
        if (v)
                tidy(g, v);
        redis_model_put_integer(out, removed);
}

static void do_hlen(guest *g, buf *out, const sj_str w[], size_t n)
{
        (void)n;
        const value *v = want(g, out, w[1], HASH, false);
        if (v || !is_wrong(g, w[1], HASH))
                redis_model_put_integer(out, v ? (int64_t)v->n / 2 : 0);
}

void redis_model_data_flush(redis_model *m)
{
        size_t place = 0;
        for (value *v; (v = map_next(&m->keys, &place)); place = 0)
                value_free(m, v);
}

static void do_flushall(guest *g, buf *out, const sj_str w[], size_t n)
{
        (void)w;
        (void)n;
        redis_model_data_flush(g->m);
        redis_model_put_status(out, "OK");
}

const redis_model_verb redis_model_data_verbs[] = {
        {"SET", do_set, 3},       {"GET", do_get, 2},           {"DEL", do_del, 2},
        {"EXISTS", do_exists, 2}, {"INCR", do_incr, 2},         {"LPUSH", do_lpush, 3},
        {"RPUSH", do_rpush, 3},   {"LPOP", do_lpop, 2},         {"RPOP", do_rpop, 2},
        {"LLEN", do_llen, 2},     {"LRANGE", do_lrange, 4},     {"BRPOP", do_brpop, 3},
        {"HSET", do_hset, 4},     {"HGET", do_hget, 3},         {"HDEL", do_hdel, 3},
        {"HLEN", do_hlen, 2},     {"FLUSHALL", do_flushall, 1}, {NULL, NULL, 0},
};
