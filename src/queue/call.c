/* SPDX-License-Identifier: MIT */
/* See call.h. */
#include "queue/call.h"

#include "base/iso8601.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "codec/json_named.h"

#include <stdio.h>

#define CALL_SECONDS_MAX 1e10 /* some 300 years */

int call_parse(sj_arena *arena, const char *text, sj_json_type type, const sj_json **ret)
{
        const sj_json *v;
        sj_json_error where;
        const char *kind = type == SJ_JSON_ARRAY ? "array" : "object";
        int r = sj_json_parse(arena,
                              sj_str_of(text                    ? text
                                        : type == SJ_JSON_ARRAY ? "[]"
                                                                : "{}"),
                              SJ_JSON_PYTHON, &v, &where);
        if (r == -EBADMSG || r == -EMSGSIZE)
                sj_log(SJ_LOG_ERROR, "a call has a text that is no JSON %s: line %u, column %u: %s",
                       kind, where.line, where.column, where.reason);
        if (r < 0)
                return r == -EBADMSG ? -EINVAL : r;
        if (sj_json_type_of(v) != type) {
                sj_log(SJ_LOG_ERROR, "a call has a text that is JSON, but no %s", kind);
                return -EINVAL;
        }
        *ret = v;
        return 0;
}

static const sj_json *call_value(sj_arena *arena, const sj_value *v)
{
        switch (v->kind) {
        case SJ_KIND_INT:
                return sj_json_new_int(arena, v->integer);
        case SJ_KIND_DOUBLE:
                return sj_json_new_double(arena, v->number);
        case SJ_KIND_BOOL:
                return sj_json_new_bool(arena, v->boolean);
        case SJ_KIND_STRING:
                return sj_json_new_string(arena, sj_str_of(v->string));
        case SJ_KIND_JSON:
                return v->json ? v->json : sj_json_new_null(arena);
        case SJ_KIND_VOID:
                break;
        }
        return NULL;
}

int call_args(sj_arena *arena, const sj_task *task, const sj_value *values, unsigned skip,
              const sj_json **ret)
{
        const sj_json *args[SJ_TASK_PARAM_MAX];
        for (size_t i = skip; i < task->n_params; i++) {
                const sj_value *v = &values[i];
                if (v->kind == SJ_KIND_STRING &&
                    (!v->string || !utf8_valid(sj_str_of(v->string), UTF8_WTF))) {
                        sj_log(SJ_LOG_ERROR, "a call of %s: the argument %s is NULL or no UTF-8",
                               task->c_name, task->params[i].name);
                        return -EINVAL;
                }
                args[i] = call_value(arena, v);
                if (!args[i])
                        return -ENOMEM;
        }
        *ret = sj_json_new_array(arena, args + skip, task->n_params - skip);
        return *ret ? 0 : -ENOMEM;
}

/* ── Checks ──────────────────────────────────────────────────────────────────────────────── */

static int call_check_text(sj_str text, size_t most)
{
        if (text.n > most)
                return -ENAMETOOLONG;
        for (size_t i = 0; i < text.n; i++)
                if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
                        return -EINVAL;
        return utf8_valid(text, UTF8_STRICT) ? 0 : -EINVAL;
}

int call_serializer(const char *name, sj_str *ret)
{
        sj_str type = message_content_type(name);
        if (name && !type.n)
                return -EINVAL;
        if (name)
                *ret = type;
        return 0;
}

int call_compression(const char *name, sj_str *ret)
{
        sj_str type = message_content_compression(name);
        bool none = name && strcmp(name, "none") == 0;
        if (name && !type.n && !none)
                return -EINVAL;
        if (name)
                *ret = none ? SJ_STR("") : type;
        return 0;
}

static int call_check_content(const sj_call *c)
{
        sj_str type;
        int r = call_serializer(c->serializer, &type);
        return r < 0 ? r : call_compression(c->compression, &type);
}

static bool call_text_ok(const char *text)
{
        return !text || utf8_valid(sj_str_of(text), UTF8_WTF);
}

static bool call_object_ok(const sj_json *v)
{
        return !v || sj_json_type_of(v) == SJ_JSON_OBJECT;
}

/* Says in the log what is wrong; returns r. */
static int call_wrong(const call_request *q, int r, const char *what)
{
        bool named = q->task.n && call_check_text(q->task, SJ_TASK_NAME_MAX) == 0;
        sj_str name = named ? q->task : SJ_STR("a task");
        sj_log(SJ_LOG_ERROR, "a call of %.*s: %s", SJ_STR_ARG(name), what);
        return r;
}

static int call_check_texts(const call_request *q)
{
        const sj_call *c = q->call;
        const struct {
                const char *what;
                sj_str text;
                size_t most;
                bool needed; /* not empty, if it is said at all */
        } texts[] = {{"name", {q->task.n ? q->task.data : "", q->task.n}, SJ_TASK_NAME_MAX, true},
                     {"queue", sj_str_of(c->queue), SJ_TASK_NAME_MAX, true},
                     {"task_id", sj_str_of(c->task_id), SJ_TASK_ID_MAX, true},
                     {"key", sj_str_of(c->key), SJ_TASK_NAME_MAX, false},
                     {"exchange", sj_str_of(c->exchange), SJ_TASK_NAME_MAX, false},
                     {"routing_key", sj_str_of(c->routing_key), SJ_TASK_NAME_MAX, false},
                     {"reply_to", sj_str_of(c->reply_to), SJ_TASK_NAME_MAX, false},
                     {"group_id", sj_str_of(c->group_id), SJ_TASK_ID_MAX, false},
                     {"root_id", sj_str_of(c->root_id), SJ_TASK_ID_MAX, false},
                     {"parent_id", sj_str_of(c->parent_id), SJ_TASK_ID_MAX, false}};
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                char what[80];
                int r = call_check_text(texts[i].text, texts[i].most);
                const char *why = r == -ENAMETOOLONG ? "is too long"
                                  : r < 0            ? "has control characters, or is no UTF-8"
                                                     : "is empty";
                if (r == 0 && !(texts[i].needed && texts[i].text.data && !texts[i].text.n))
                        continue;
                snprintf(what, sizeof(what), "its %s %s", texts[i].what, why);
                return call_wrong(q, r < 0 ? r : -EINVAL, what);
        }
        return 0;
}

static int call_check(const call_request *q)
{
        const sj_call *c = q->call;
        const double seconds[] = {c->countdown, c->expires, c->time_limit, c->soft_time_limit,
                                  c->key_for};
        int r = call_check_texts(q);
        if (r < 0)
                return r;
        for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++)
                if (!(seconds[i] >= 0 && seconds[i] <= CALL_SECONDS_MAX))
                        return call_wrong(q, -EINVAL,
                                          "a duration is negative, or longer than 300 years");
        if (!call_text_ok(c->shadow) || !call_text_ok(c->argsrepr) || !call_text_ok(c->kwargsrepr))
                return call_wrong(q, -EINVAL, "a text for people is no UTF-8");
        if (c->priority < 0 || c->priority > BROKER_PRIORITY_MAX)
                return call_wrong(q, -EINVAL, "its priority is not from 1 to 9");
        if (c->eta.us < 0 || c->expires_at.us < 0)
                return call_wrong(q, -EINVAL, "a moment is before 1970");
        if (!call_object_ok(c->headers) || !call_object_ok(c->stamps))
                return call_wrong(q, -EINVAL, "its headers or stamps are no JSON object");
        r = call_check_content(c);
        return r < 0 ? call_wrong(q, r, "there is no such serializer or compression") : 0;
}

static sj_wall call_moment(sj_wall at, double seconds, sj_wall now)
{
        if (at.us || !(seconds > 0))
                return at;
        return (sj_wall){now.us + (int64_t)(seconds * 1e6)};
}

/* ── The message ─────────────────────────────────────────────────────────────────────────── */

/* The id, and the delivery tag: the system is asked once for the randomness of both. */
static int call_id(sj_arena *arena, const sj_call *c, message *m)
{
        char(*uuids)[MESSAGE_UUID_SIZE] = sj_arena_alloc(arena, 2 * sizeof(*uuids));
        if (!uuids)
                return -ENOMEM;
        message_uuids(uuids, c->task_id ? 1 : 2);
        m->delivery_tag = (sj_str){uuids[0], MESSAGE_UUID_SIZE - 1};
        m->id = (sj_str){uuids[1], MESSAGE_UUID_SIZE - 1};
        if (!c->task_id)
                return 0;
        const sj_str given = sj_str_of(c->task_id);
        m->id = (sj_str){sj_arena_strndup(arena, given.data, given.n), given.n};
        return m->id.data ? 0 : -ENOMEM;
}

static int call_link(sj_arena *arena, const sj_signature *link, const sj_json **ret)
{
        if (!link)
                return 0;
        const sj_json *signature;
        int r = signature_json(link, &signature);
        if (r < 0)
                return r;
        *ret = sj_json_new_array(arena, &signature, 1);
        return *ret ? 0 : -ENOMEM;
}

/*
 * The same name with the same arguments is the same work. Its key is a digest, since arguments
 * may be long; and one of cryptographic strength, since a collision would lose a task.
 */
static int call_key(sj_arena *arena, const call_request *q, sj_str *ret)
{
        if (q->call->key) {
                *ret = sj_str_of(q->call->key);
                return 0;
        }
        if (!q->options->idempotent)
                return 0;
        sj_str args, kwargs;
        int r = sj_json_text(arena, q->args, SJ_JSON_PYTHON, &args);
        if (r == 0)
                r = sj_json_text(arena, q->kwargs, SJ_JSON_PYTHON, &kwargs);
        char *key = sj_arena_alloc(arena, 2 * SHA256_BYTES + 1);
        if (r < 0 || !key)
                return r < 0 ? r : -ENOMEM;
        unsigned char digest[SHA256_BYTES];
        sha256 h;
        sha256_init(&h);
        sha256_add(&h, q->task.data, q->task.n);
        sha256_add(&h, "\n", 1);
        sha256_add(&h, args.data, args.n);
        sha256_add(&h, "\n", 1);
        sha256_add(&h, kwargs.data, kwargs.n);
        sha256_end(&h, digest);
        sha256_hex(digest, sizeof(digest), key);
        *ret = sj_str_of(key);
        return 0;
}

static int call_expiration(sj_arena *arena, sj_wall expires, sj_wall now, sj_str *ret)
{
        char text[32];
        if (!expires.us)
                return 0;
        int64_t ms = expires.us > now.us ? (expires.us - now.us) / 1000 : 0;
        int n = snprintf(text, sizeof(text), "%lld", (long long)ms);
        const char *kept = sj_arena_strndup(arena, text, (size_t)n);
        if (!kept)
                return -ENOMEM;
        *ret = (sj_str){kept, (size_t)n};
        return 0;
}

/* What the caller says goes before what follows from the task that calls. */
static void call_parent(const sj_call *c, message *m)
{
        const sj_task_request *parent = c->parent;
        m->root_id = sj_str_of(c->root_id);
        m->parent_id = sj_str_of(c->parent_id);
        if (parent && !c->root_id)
                m->root_id = sj_str_of(parent->root_id ? parent->root_id : parent->id);
        if (parent && !c->parent_id)
                m->parent_id = sj_str_of(parent->id);
}

/* The names of stamps are a header of their own. */
static int call_stamps(sj_arena *arena, const sj_json *stamps, const sj_json **ret)
{
        size_t n = sj_json_count(stamps);
        const sj_json **names = sj_arena_alloc(arena, (n + 1) * sizeof(*names));
        if (!stamps)
                return 0;
        if (!names)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                names[i] = sj_json_new_string(arena, sj_json_name_at(stamps, i));
        *ret = sj_json_new_array(arena, names, n);
        return *ret ? 0 : -ENOMEM;
}

int call_message(sj_arena *arena, const call_request *q, sj_wall now, message *ret, sj_str *ret_key)
{
        const sj_call *c = q->call;
        sj_str key = {NULL, 0};
        int r = call_check(q);
        if (r < 0)
                return r;
        message m = {
                .task = q->task,
                .args = q->args,
                .kwargs = q->kwargs,
                .shadow = sj_str_of(c->shadow),
                .eta = call_moment(c->eta, c->countdown, now),
                .expires = call_moment(c->expires_at, c->expires, now),
                .time_limit = c->time_limit,
                .soft_time_limit = c->soft_time_limit,
                .ignore_result = c->ignore_result || q->options->ignore_result,
                .priority = c->priority ? c->priority : q->options->priority,
                .extra_headers = c->headers,
                .exchange = sj_str_of(c->exchange),
                .routing_key = sj_str_of(c->routing_key),
                .delivery_mode = c->transient ? 1 : 0,
                .stamps = c->stamps,
                .reply_to = sj_str_of(c->reply_to),
                .group = sj_str_of(c->group_id),
                .argsrepr = sj_str_of(c->argsrepr),
                .kwargsrepr = sj_str_of(c->kwargsrepr),
        };
        call_parent(c, &m);
        call_serializer(c->serializer, &m.content_type);
        call_compression(c->compression, &m.compression);
        r = call_id(arena, c, &m);
        if (r == 0)
                r = call_stamps(arena, c->stamps, &m.stamped_headers);
        if (r == 0)
                r = call_link(arena, c->link, &m.callbacks);
        if (r == 0)
                r = call_link(arena, c->link_error, &m.errbacks);
        if (r == 0)
                r = call_expiration(arena, m.expires, now, &m.expiration);
        if (r == 0)
                r = call_key(arena, q, &key);
        if (r < 0)
                return r;
        *ret = m;
        *ret_key = key;
        return 0;
}

/* ── A signature's options ───────────────────────────────────────────────────────────────── */

static void option_text(sj_json_writer *w, const char *name, const char *text)
{
        if (!text)
                return;
        json_named_text(w, name, sj_str_of(text));
}

static void option_seconds(sj_json_writer *w, const char *name, double seconds)
{
        if (!(seconds > 0))
                return;
        json_named_double(w, name, seconds);
}

static void option_moment(sj_json_writer *w, const char *name, sj_wall at)
{
        char text[ISO8601_LENGTH + 1];
        if (at.us && iso8601_format(at, text) == 0)
                option_text(w, name, text);
}

static void option_link(sj_json_writer *w, const char *name, const sj_json *link)
{
        if (!link)
                return;
        json_named_value(w, name, link);
}

static void call_write_options(sj_json_writer *w, const call_request *q, const sj_json *link,
                               const sj_json *link_error, const sj_json *stamped)
{
        const sj_call *c = q->call;
        int priority = c->priority ? c->priority : q->options->priority;
        sj_json_write_object_begin(w);
        option_text(w, "task_id", c->task_id);
        option_text(w, "queue", c->queue ? c->queue : q->options->queue);
        option_text(w, "shadow", c->shadow);
        option_seconds(w, "countdown", c->countdown);
        option_moment(w, "eta", c->eta);
        if (c->expires_at.us)
                option_moment(w, "expires", c->expires_at);
        else
                option_seconds(w, "expires", c->expires);
        option_seconds(w, "time_limit", c->time_limit);
        option_seconds(w, "soft_time_limit", c->soft_time_limit);
        if (priority) {
                json_named_int(w, SIGNATURE_PRIORITY, priority);
        }
        if (c->ignore_result || q->options->ignore_result) {
                json_named_bool(w, "ignore_result", true);
        }
        if (c->transient) {
                json_named_int(w, "delivery_mode", 1);
        }
        option_text(w, "exchange", c->exchange);
        option_text(w, "routing_key", c->routing_key);
        option_text(w, "serializer", c->serializer);
        option_text(w, "compression", c->compression);
        option_text(w, "reply_to", c->reply_to);
        option_text(w, "group_id", c->group_id);
        option_text(w, "root_id", c->root_id);
        option_text(w, "parent_id", c->parent_id);
        option_text(w, "argsrepr", c->argsrepr);
        option_text(w, "kwargsrepr", c->kwargsrepr);
        option_link(w, "headers", c->headers);
        option_link(w, "link", link);
        option_link(w, "link_error", link_error);
        if (stamped) {
                option_link(w, "stamped_headers", stamped);
                for (size_t i = 0; i < sj_json_count(c->stamps); i++) {
                        sj_json_write_key(w, sj_json_name_at(c->stamps, i));
                        sj_json_write_value(w, sj_json_at(c->stamps, i));
                }
        }
        sj_json_write_object_end(w);
}

int call_options(sj_arena *arena, const call_request *q, const sj_json **ret)
{
        const sj_json *link = NULL, *link_error = NULL, *stamped = NULL;
        sj_json_writer *w;
        sj_str text;
        int r = call_check(q);
        if (r == 0)
                r = call_link(arena, q->call->link, &link);
        if (r == 0)
                r = call_link(arena, q->call->link_error, &link_error);
        if (r == 0)
                r = call_stamps(arena, q->call->stamps, &stamped);
        if (r == 0)
                r = sj_json_writer_new(SJ_JSON_PYTHON | SJ_JSON_SPACED, &w);
        if (r < 0)
                return r;
        call_write_options(w, q, link, link_error, stamped);
        r = sj_json_writer_end(w, &text);
        if (r == 0) {
                *ret = sj_json_new_raw(arena, text, SJ_JSON_PYTHON);
                r = *ret ? 0 : -ENOMEM;
        }
        sj_json_writer_free(w);
        return r;
}
