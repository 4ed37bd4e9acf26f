/* SPDX-License-Identifier: MIT */
/*
 * Writing a message. One that came from elsewhere keeps its members in their order: each is
 * written as it came unless we know it and it has been changed; what was changed and had not been
 * there follows. One that is made here has all members of the protocol.
 */
#include "queue/message/message.h"

#include "base/uuid.h"
#include "codec/json_named.h"
#include "os/os.h"
#include "queue/message/message_content.h"
#include "queue/message/message_fields.h"

#include <stdio.h>

#define MESSAGE_JSON (SJ_JSON_PYTHON | SJ_JSON_ASCII | SJ_JSON_SPACED)

void message_uuids(char ret[][MESSAGE_UUID_SIZE], size_t n)
{
        unsigned char random[MESSAGE_UUIDS_MAX][UUID_BYTES];
        int64_t ms = sj_wall_now().us / 1000;
        os_random(random, n * UUID_BYTES);
        for (size_t i = 0; i < n; i++)
                uuid_format_ordered(ms, random[i], ret[i]);
}

void message_uuid(char ret[MESSAGE_UUID_SIZE])
{
        message_uuids((char(*)[MESSAGE_UUID_SIZE])ret, 1);
}

int message_origin(sj_arena *arena, sj_str *ret)
{
        char host[256] = "localhost", text[300];
        os_host_name(host, sizeof(host));
        int n = snprintf(text, sizeof(text), "gen%d@%s", os_pid(), host);
        const char *kept = sj_arena_strndup(arena, text, (size_t)n);
        if (!kept)
                return -ENOMEM;
        *ret = (sj_str){kept, (size_t)n};
        return 0;
}

/* ── Members ─────────────────────────────────────────────────────────────────────────────── */

/* Members of an object that came: each as it came, unless it is a field that was changed. */
static void message_write_came(sj_json_writer *w, const field fields[], size_t n,
                               const sj_json *came, const message *m)
{
        for (size_t i = 0; i < sj_json_count(came); i++) {
                sj_str name = sj_json_name_at(came, i);
                const field *f = message_field_find(fields, n, name);
                sj_json_write_key(w, name);
                if (!f || message_field_equal(f, m, m->original))
                        sj_json_write_value(w, sj_json_at(came, i));
                else
                        message_field_write(f, m, w);
        }
        for (size_t i = 0; i < n; i++) {
                if (sj_json_member(came, fields[i].name) ||
                    message_field_equal(&fields[i], m, m->original))
                        continue;
                sj_json_write_name(w, fields[i].name);
                message_field_write(&fields[i], m, w);
        }
}

static void message_write_made(sj_json_writer *w, const field fields[], size_t n, const message *m)
{
        for (size_t i = 0; i < n; i++) {
                if ((fields[i].flags & FIELD_SPARE) && !message_field_is_set(&fields[i], m))
                        continue;
                sj_json_write_name(w, fields[i].name);
                message_field_write(&fields[i], m, w);
        }
}

static void message_write_extra(sj_json_writer *w, const sj_json *extra)
{
        for (size_t i = 0; i < sj_json_count(extra); i++) {
                sj_str name = sj_json_name_at(extra, i);
                if (message_field_find(message_headers, message_n_headers, name))
                        continue;
                sj_json_write_key(w, name);
                sj_json_write_value(w, sj_json_at(extra, i));
        }
}

static void message_write_object(sj_json_writer *w, const field fields[], size_t n,
                                 const sj_json *came, const message *m, const sj_json *extra)
{
        sj_json_write_object_begin(w);
        if (came)
                message_write_came(w, fields, n, came, m);
        else
                message_write_made(w, fields, n, m);
        message_write_extra(w, extra);
        sj_json_write_object_end(w);
}

/* ── The body ────────────────────────────────────────────────────────────────────────────── */

static bool message_body_unchanged(const message *m)
{
        const message *o = m->original;
        return o && m->body && m->args == o->args && m->kwargs == o->kwargs &&
               m->callbacks == o->callbacks && m->errbacks == o->errbacks && m->chain == o->chain &&
               m->chord == o->chord;
}

static void message_write_embed(sj_json_writer *w, const message *m)
{
        static const char *const known[] = {"callbacks", "errbacks", "chain", "chord"};
        const sj_json *const values[] = {m->callbacks, m->errbacks, m->chain, m->chord};
        sj_json_write_object_begin(w);
        for (size_t i = 0; i < 4; i++) {
                sj_json_write_name(w, known[i]);
                sj_json_write_value(w, values[i]);
        }
        for (size_t i = 0; m->version != 1 && i < sj_json_count(m->embed); i++) {
                sj_str name = sj_json_name_at(m->embed, i);
                bool done = false;
                for (size_t k = 0; k < 4; k++)
                        done |= sj_str_equal(name, sj_str_of(known[k]));
                if (done)
                        continue;
                sj_json_write_key(w, name);
                sj_json_write_value(w, sj_json_at(m->embed, i));
        }
        sj_json_write_object_end(w);
}

/* [args, kwargs, embed] as text of the envelope, in the arena. */
static int message_make_body(sj_arena *arena, sj_json_writer *w, message *m, sj_str *ret)
{
        sj_str text;
        sj_json_writer_reset(w);
        sj_json_write_array_begin(w);
        if (m->args)
                sj_json_write_value(w, m->args);
        else
                sj_json_write_raw(w, SJ_STR("[]"));
        if (m->kwargs)
                sj_json_write_value(w, m->kwargs);
        else
                sj_json_write_raw(w, SJ_STR("{}"));
        message_write_embed(w, m);
        sj_json_write_array_end(w);
        int r = sj_json_writer_end(w, &text);
        if (r < 0)
                return r;
        return message_content_write(arena, m, text, ret);
}

/* ── The envelope ────────────────────────────────────────────────────────────────────────── */

static void message_default(sj_str *text, sj_str value)
{
        if (!text->data)
                *text = value;
}

/* What a message that is made here has where nothing else was said. */
static void message_fill(message *m, const char *tag, sj_str none)
{
        message_default(&m->lang, SJ_STR("c"));
        message_default(&m->root_id, m->id);
        message_default(&m->correlation_id, m->id);
        message_default(&m->argsrepr, none);
        message_default(&m->kwargsrepr, SJ_STR("{}"));
        message_default(&m->delivery_tag, sj_str_of(tag));
        message_default(&m->exchange, SJ_STR(""));
        message_default(&m->routing_key, SJ_STR(""));
        if (!m->delivery_mode)
                m->delivery_mode = 2;
}

static int message_write(sj_json_writer *w, const message *m, sj_str body, sj_str *ret)
{
        sj_json_writer_reset(w);
        sj_json_write_object_begin(w);
        sj_json_write_name(w, "body");
        if (body.data)
                sj_json_write_string(w, body);
        else
                sj_json_write_value(w, m->body);
        json_named_maybe(w, "content-encoding", m->content_encoding);
        json_named_maybe(w, "content-type", m->content_type);
        sj_json_write_name(w, "headers");
        /* Version 1 has its fields in its body; written anew, it is version 2. */
        bool as_came = m->original && !(m->version == 1 && body.data);
        message_write_object(w, message_headers, message_n_headers, as_came ? m->headers : NULL, m,
                             m->extra_headers);
        sj_json_write_name(w, "properties");
        message_write_object(w, message_properties, message_n_properties,
                             m->original ? m->properties : NULL, m, NULL);
        sj_json_write_object_end(w);
        return sj_json_writer_end(w, ret);
}

static bool message_v1_unchanged(const message *m)
{
        for (size_t i = 0; i < message_n_headers; i++)
                if (!message_field_equal(&message_headers[i], m, m->original))
                        return false;
        return true;
}

static int message_encode_with(sj_arena *arena, sj_json_writer *w, const message *given,
                               sj_str *ret)
{
        message m = *given;
        sj_str body = {NULL, 0}, none = {NULL, 0}, text;
        char tag[MESSAGE_UUID_SIZE];
        bool as_came = message_body_unchanged(&m) && (m.version != 1 || message_v1_unchanged(&m));
        if (!m.original) {
                int r = m.argsrepr.data ? 0 : message_args_repr(arena, m.args, &none);
                if (r == 0 && !m.kwargsrepr.data)
                        r = message_kwargs_repr(arena, m.kwargs, &m.kwargsrepr);
                if (r < 0)
                        return r;
                message_uuid(tag);
                message_fill(&m, tag, none);
        }
        if (!as_came) {
                int r = message_make_body(arena, w, &m, &body);
                if (r < 0)
                        return r;
        }
        int r = message_write(w, &m, body, &text);
        if (r < 0)
                return r;
        if (text.n > MESSAGE_SIZE_MAX)
                return -EMSGSIZE;
        const char *kept = sj_arena_strndup(arena, text.data, text.n);
        if (!kept)
                return -ENOMEM;
        *ret = (sj_str){kept, text.n};
        return 0;
}

int message_encode(sj_arena *arena, const message *m, sj_str *ret)
{
        if (!m->task.n || !m->id.n)
                return -EINVAL;
        sj_json_writer *w;
        int r = sj_json_writer_new(MESSAGE_JSON, &w);
        if (r < 0)
                return r;
        r = message_encode_with(arena, w, m, ret);
        sj_json_writer_free(w);
        return r;
}
