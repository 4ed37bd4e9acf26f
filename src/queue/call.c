/* SPDX-License-Identifier: MIT */
/* See call.h. */
#include "queue/call.h"

#include "base/iso8601.h"
#include "base/sha256.h"
#include "base/utf8.h"

#include <stdio.h>

#define CALL_SECONDS_MAX 1e10 /* some 300 years */

int call_parse(sj_arena *arena, const char *text, sj_json_type type, const sj_json **ret)
{
        const sj_json *v;
        int r = sj_json_parse(arena,
                              sj_str_of(text                    ? text
                                        : type == SJ_JSON_ARRAY ? "[]"
                                                                : "{}"),
                              SJ_JSON_PYTHON, &v, NULL);
        if (r < 0)
                return r == -EBADMSG ? -EINVAL : r;
        if (sj_json_type_of(v) != type)
                return -EINVAL;
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

int call_args(sj_arena *arena, const sj_task *task, const sj_value *values, const sj_json **ret)
{
        const sj_json *args[SJ_TASK_PARAM_MAX];
        for (size_t i = 0; i < task->n_params; i++) {
                const sj_value *v = &values[i];
                if (v->kind == SJ_KIND_STRING &&
                    (!v->string || !utf8_valid(sj_str_of(v->string), UTF8_WTF)))
                        return -EINVAL;
                args[i] = call_value(arena, v);
                if (!args[i])
                        return -ENOMEM;
        }
        *ret = sj_json_new_array(arena, args, task->n_params);
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

static int call_check(const call_request *q)
{
        const sj_call *c = q->call;
        const double seconds[] = {c->countdown, c->expires, c->time_limit, c->soft_time_limit,
                                  c->key_for};
        const struct {
                sj_str text;
                size_t most;
        } texts[] = {{q->task, SJ_TASK_NAME_MAX},
                     {sj_str_of(c->queue), SJ_TASK_NAME_MAX},
                     {sj_str_of(c->task_id), SJ_TASK_ID_MAX},
                     {sj_str_of(c->key), SJ_TASK_NAME_MAX}};
        if (!q->task.n || (c->task_id && !*c->task_id) || (c->queue && !*c->queue))
                return -EINVAL;
        for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++)
                if (!(seconds[i] >= 0 && seconds[i] <= CALL_SECONDS_MAX))
                        return -EINVAL;
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                int r = call_check_text(texts[i].text, texts[i].most);
                if (r < 0)
                        return r;
        }
        if (c->priority < 0 || c->priority > BROKER_PRIORITY_MAX || c->eta.us < 0 ||
            c->expires_at.us < 0 || (c->headers && sj_json_type_of(c->headers) != SJ_JSON_OBJECT))
                return -EINVAL;
        return 0;
}

static sj_wall call_moment(sj_wall at, double seconds, sj_wall now)
{
        if (at.us || !(seconds > 0))
                return at;
        return (sj_wall){now.us + (int64_t)(seconds * 1e6)};
}

/* ── The message ─────────────────────────────────────────────────────────────────────────── */

static int call_id(sj_arena *arena, const sj_call *c, sj_str *ret)
{
        char uuid[MESSAGE_UUID_SIZE];
        if (!c->task_id)
                message_uuid(uuid);
        sj_str id = sj_str_of(c->task_id ? c->task_id : uuid);
        const char *kept = sj_arena_strndup(arena, id.data, id.n);
        if (!kept)
                return -ENOMEM;
        *ret = (sj_str){kept, id.n};
        return 0;
}

static int call_link(sj_arena *arena, const sj_signature *link, const sj_json **ret)
{
        if (!link)
                return 0;
        const sj_json *signature = signature_json(link, arena);
        *ret = signature ? sj_json_new_array(arena, &signature, 1) : NULL;
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

static void call_parent(const sj_task_request *parent, message *m)
{
        if (!parent)
                return;
        m->root_id = sj_str_of(parent->root_id ? parent->root_id : parent->id);
        m->parent_id = sj_str_of(parent->id);
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
        };
        call_parent(c->parent, &m);
        r = call_id(arena, c, &m.id);
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
        sj_json_write_name(w, name);
        sj_json_write_string(w, sj_str_of(text));
}

static void option_seconds(sj_json_writer *w, const char *name, double seconds)
{
        if (!(seconds > 0))
                return;
        sj_json_write_name(w, name);
        sj_json_write_double(w, seconds);
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
        sj_json_write_name(w, name);
        sj_json_write_value(w, link);
}

static void call_write_options(sj_json_writer *w, const call_request *q, const sj_json *link,
                               const sj_json *link_error)
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
                sj_json_write_name(w, "priority");
                sj_json_write_int(w, priority);
        }
        if (c->ignore_result || q->options->ignore_result) {
                sj_json_write_name(w, "ignore_result");
                sj_json_write_bool(w, true);
        }
        option_link(w, "headers", c->headers);
        option_link(w, "link", link);
        option_link(w, "link_error", link_error);
        sj_json_write_object_end(w);
}

int call_options(sj_arena *arena, const call_request *q, const sj_json **ret)
{
        const sj_json *link = NULL, *link_error = NULL;
        sj_json_writer *w;
        sj_str text;
        int r = call_check(q);
        if (r == 0)
                r = call_link(arena, q->call->link, &link);
        if (r == 0)
                r = call_link(arena, q->call->link_error, &link_error);
        if (r == 0)
                r = sj_json_writer_new(SJ_JSON_PYTHON, &w);
        if (r < 0)
                return r;
        call_write_options(w, q, link, link_error);
        r = sj_json_writer_end(w, &text);
        if (r == 0) {
                *ret = sj_json_new_raw(arena, text, SJ_JSON_PYTHON);
                r = *ret ? 0 : -ENOMEM;
        }
        sj_json_writer_free(w);
        return r;
}
