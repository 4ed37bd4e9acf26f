/* SPDX-License-Identifier: MIT */
/*
 * From a signature to a message (protocol §2.3, §2.4). A signature's options are many, and each
 * may be null, which means absent; they are read by the same rules as headers.
 */
#include "queue/message/message.h"

#include "base/iso8601.h"
#include "queue/message/message_fields.h"

#include <sanjab/queue.h>

#include <stdio.h>

static sj_str option_text(const sj_json *options, const char *name)
{
        sj_str text = {NULL, 0};
        sj_json_string(sj_json_member(options, name), &text);
        return text;
}

sj_str message_signature_id(const sj_json *signature)
{
        sj_str id = option_text(sj_json_member(signature, "options"), "task_id");
        return message_name_ok(id, SJ_TASK_ID_MAX) ? id : (sj_str){NULL, 0};
}

/* A moment: ISO text, that text in Celery's typed form, or seconds from now. */
static bool option_moment(const sj_json *options, const char *name, sj_wall now, sj_wall *ret)
{
        const sj_json *value = sj_json_member(options, name);
        double seconds;
        sj_str text;
        if (sj_json_is_null(value))
                return true;
        const sj_json *typed = sj_json_member(value, "__value__");
        if (typed)
                value = typed;
        if (sj_json_string(value, &text) == 0) {
                if (iso8601_parse(text, ret) < 0)
                        return false;
        } else {
                if (sj_json_double(value, &seconds) < 0 || !(seconds > -1e12 && seconds < 1e12))
                        return false;
                ret->us = now.us + (int64_t)(seconds * 1e6);
        }
        /* Long past is as good as the first moment that is not "none". */
        if (ret->us <= 0)
                ret->us = 1;
        return true;
}

static bool option_seconds(const sj_json *options, const char *name, double *ret)
{
        const sj_json *value = sj_json_member(options, name);
        if (sj_json_is_null(value))
                return true;
        return sj_json_double(value, ret) == 0 && *ret >= 0 && *ret < 1e12;
}

/* A list of signatures, from a list or a single one. */
static int option_signatures(sj_arena *arena, const sj_json *options, const char *name,
                             const sj_json **ret)
{
        const sj_json *value = sj_json_member(options, name);
        if (sj_json_type_of(value) == SJ_JSON_OBJECT) {
                *ret = sj_json_new_array(arena, &value, 1);
                return *ret ? 0 : -ENOMEM;
        }
        *ret = sj_json_count(value) ? value : NULL;
        return 0;
}

/* partial ++ args, unless the signature is immutable. */
static int signature_args(sj_arena *arena, const sj_json *signature, const sj_json *const partial[],
                          size_t n_partial, const sj_json **ret)
{
        const sj_json *args = sj_json_member(signature, "args");
        bool immutable = false;
        sj_json_bool(sj_json_member(signature, "immutable"), &immutable);
        if (immutable || n_partial == 0) {
                *ret = sj_json_is_null(args) ? sj_json_new_array(arena, NULL, 0) : args;
                return *ret ? 0 : -ENOMEM;
        }
        size_t n = sj_json_count(args);
        const sj_json **all = sj_arena_alloc(arena, (n_partial + n) * sizeof(*all));
        if (!all)
                return -ENOMEM;
        memcpy(all, partial, n_partial * sizeof(*all));
        for (size_t i = 0; i < n; i++)
                all[n_partial + i] = sj_json_at(args, i);
        *ret = sj_json_new_array(arena, all, n_partial + n);
        return *ret ? 0 : -ENOMEM;
}

static bool signature_is_composite(const sj_json *signature)
{
        static const char *const composite[] = {"chain", "group", "chord"};
        sj_str type = option_text(signature, "subtask_type");
        for (size_t i = 0; i < 3; i++)
                if (sj_str_equal(type, sj_str_of(composite[i])))
                        return true;
        return false;
}

/* The numbers and moments of the options. False: one is wrong. */
static bool signature_limits(const sj_json *options, sj_wall now, message *m)
{
        const sj_json *priority = sj_json_member(options, "priority");
        double countdown = 0;
        if (!option_moment(options, "eta", now, &m->eta) ||
            !option_moment(options, "expires", now, &m->expires) ||
            !option_seconds(options, "countdown", &countdown) ||
            !option_seconds(options, "time_limit", &m->time_limit) ||
            !option_seconds(options, "soft_time_limit", &m->soft_time_limit))
                return false;
        if (countdown > 0 && m->eta.us == 0)
                m->eta.us = now.us + (int64_t)(countdown * 1e6);
        return sj_json_is_null(priority) ||
               (sj_json_int(priority, &m->priority) == 0 && m->priority >= 0 && m->priority <= 255);
}

/* Each stamp of stamped_headers is an option of its own. */
static int signature_stamps(sj_arena *arena, const sj_json *options, message *m)
{
        const sj_json *names = sj_json_member(options, "stamped_headers");
        size_t n = sj_json_type_of(names) == SJ_JSON_ARRAY ? sj_json_count(names) : 0, found = 0;
        if (n == 0)
                return 0;
        sj_str *keys = sj_arena_alloc(arena, n * sizeof(*keys));
        const sj_json **values = sj_arena_alloc(arena, n * sizeof(*values));
        if (!keys || !values)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                sj_str name;
                if (sj_json_string(sj_json_at(names, i), &name) < 0)
                        continue;
                const sj_json *value = sj_json_member(options, name.data);
                if (!value)
                        continue;
                keys[found] = name;
                values[found++] = value;
        }
        m->stamped_headers = names;
        m->stamps = sj_json_new_object(arena, keys, values, found);
        return m->stamps ? 0 : -ENOMEM;
}

/* By an exchange and its key, or to a queue. */
static void signature_route(const sj_json *options, message *m)
{
        sj_str queue = option_text(options, "queue"), key = option_text(options, "routing_key");
        sj_str exchange = option_text(options, "exchange");
        if (exchange.n && message_name_ok(exchange, SJ_TASK_NAME_MAX))
                m->exchange = exchange;
        m->routing_key = key.n && (m->exchange.n || !queue.n) ? key : queue;
        if (!message_name_ok(m->routing_key, SJ_TASK_NAME_MAX))
                m->routing_key = (sj_str){NULL, 0};
}

static void signature_headers(const sj_json *options, message *m)
{
        m->shadow = option_text(options, "shadow");
        m->group = option_text(options, "group_id");
        m->reply_to = option_text(options, "reply_to");
        m->content_type = message_content_type(option_text(options, "serializer").data);
        m->compression = message_content_compression(option_text(options, "compression").data);
        m->argsrepr = option_text(options, "argsrepr");
        m->kwargsrepr = option_text(options, "kwargsrepr");
        sj_json_int(sj_json_member(options, "delivery_mode"), &m->delivery_mode);
        m->has_group_index =
                sj_json_int(sj_json_member(options, "group_index"), &m->group_index) == 0;
        sj_json_bool(sj_json_member(options, "ignore_result"), &m->ignore_result);
        sj_json_int(sj_json_member(options, "replaced_task_nesting"), &m->replaced_task_nesting);
        const sj_json *headers = sj_json_member(options, "headers");
        if (sj_json_type_of(headers) == SJ_JSON_OBJECT)
                m->extra_headers = headers;
        signature_route(options, m);
}

static int signature_embed(sj_arena *arena, const sj_json *options, message *m)
{
        const sj_json *chain = sj_json_member(options, "chain");
        const sj_json *chord = sj_json_member(options, "chord");
        m->chain = sj_json_type_of(chain) == SJ_JSON_ARRAY ? chain : NULL;
        m->chord = sj_json_type_of(chord) == SJ_JSON_OBJECT ? chord : NULL;
        int r = option_signatures(arena, options, "link", &m->callbacks);
        return r < 0 ? r : option_signatures(arena, options, "link_error", &m->errbacks);
}

/* Brokers that know of expiry are told in milliseconds. */
static int signature_expiration(sj_arena *arena, sj_wall now, message *m)
{
        char text[32];
        if (!m->expires.us)
                return 0;
        int64_t ms = m->expires.us > now.us ? (m->expires.us - now.us) / 1000 : 0;
        int n = snprintf(text, sizeof(text), "%lld", (long long)ms);
        const char *kept = sj_arena_strndup(arena, text, (size_t)n);
        if (!kept)
                return -ENOMEM;
        m->expiration = (sj_str){kept, (size_t)n};
        return 0;
}

static int signature_id(sj_arena *arena, const sj_json *signature, message *m)
{
        m->id = message_signature_id(signature);
        if (m->id.n)
                return 0;
        char *id = sj_arena_alloc(arena, MESSAGE_UUID_SIZE);
        if (!id)
                return -ENOMEM;
        message_uuid(id);
        m->id = sj_str_of(id);
        return 0;
}

static bool signature_is_sound(const sj_json *signature, const message *m)
{
        const sj_json *args = sj_json_member(signature, "args");
        const sj_json *kwargs = sj_json_member(signature, "kwargs");
        const sj_json *options = sj_json_member(signature, "options");
        sj_str id = option_text(options, "task_id"), queue = option_text(options, "queue");
        return sj_json_type_of(signature) == SJ_JSON_OBJECT &&
               message_name_ok(m->task, SJ_TASK_NAME_MAX) &&
               (!id.n || message_name_ok(id, SJ_TASK_ID_MAX)) &&
               (!queue.n || message_name_ok(queue, SJ_TASK_NAME_MAX)) &&
               (sj_json_is_null(args) || sj_json_type_of(args) == SJ_JSON_ARRAY) &&
               (sj_json_is_null(kwargs) || sj_json_type_of(kwargs) == SJ_JSON_OBJECT);
}

int message_from_signature(sj_arena *arena, const sj_json *signature,
                           const sj_json *const partial[], size_t n_partial, sj_str root,
                           sj_str parent, sj_wall now, message *ret, message_error *ret_error)
{
        const sj_json *options = sj_json_member(signature, "options");
        message m = {.task = option_text(signature, "task")};
        *ret_error = (message_error){.defect = MESSAGE_SOUND};
        if (!signature_is_sound(signature, &m) || !signature_limits(options, now, &m)) {
                message_fail(ret_error, MESSAGE_BODY, "a signature of the message is malformed");
                return -EBADMSG;
        }
        if (signature_is_composite(signature))
                return -EOPNOTSUPP;
        signature_headers(options, &m);
        m.root_id = root.n ? root : option_text(options, "root_id");
        m.parent_id = parent.n ? parent : option_text(options, "parent_id");
        const sj_json *kwargs = sj_json_member(signature, "kwargs");
        m.kwargs = sj_json_is_null(kwargs) ? NULL : kwargs;
        int r = signature_args(arena, signature, partial, n_partial, &m.args);
        if (r == 0)
                r = signature_embed(arena, options, &m);
        if (r == 0)
                r = signature_stamps(arena, options, &m);
        if (r == 0)
                r = signature_expiration(arena, now, &m);
        if (r == 0)
                r = signature_id(arena, signature, &m);
        if (r == 0)
                *ret = m;
        return r;
}
