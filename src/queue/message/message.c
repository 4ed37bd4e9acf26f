/* SPDX-License-Identifier: MIT */
/*
 * Reading a message. Two steps: the envelope with its headers, then the body. A defect is noted
 * and reading goes on with what is left, so that even a bad message tells its id; the first
 * defect is the one that is reported.
 *
 * Headers of the right name and a wrong type are refused where they decide something (id, eta,
 * timelimit); those that are for people only (argsrepr, origin) are taken as absent.
 */
#include "queue/message/message.h"

#include "os/os.h"
#include "queue/message/message_content.h"
#include "queue/message/message_fields.h"

#include <sanjab/queue.h>

#include <stdio.h>

const char *message_defect_name(message_defect defect)
{
        static const char *const names[] = {
                [MESSAGE_SOUND] = "sound",
                [MESSAGE_TOO_LARGE] = "too large",
                [MESSAGE_TOO_DEEP] = "nested too deep",
                [MESSAGE_NOT_JSON] = "not JSON",
                [MESSAGE_ENVELOPE] = "bad envelope",
                [MESSAGE_HEADER] = "bad header",
                [MESSAGE_REFUSED] = "refused",
                [MESSAGE_COMPRESSION] = "bad compression",
                [MESSAGE_BODY] = "bad body",
        };
        return names[defect];
}

static int message_result(const message_error *error)
{
        return error->defect == MESSAGE_SOUND ? 0 : -EBADMSG;
}

static void message_read_fields(const field fields[], size_t n, const sj_json *object,
                                message_defect defect, const char *what, message *m,
                                message_error *error)
{
        const sj_json *values[FIELDS_MAX];
        message_fields_find(fields, n, object, values);
        for (size_t i = 0; i < n; i++) {
                char text[120];
                if (!message_field_read(&fields[i], values[i], m, text, sizeof(text)))
                        message_fail(error, defect, "%s %s", what, text);
        }
}

static void message_check_id(message *m, message_error *error)
{
        if (m->id.n <= SJ_TASK_ID_MAX)
                return;
        message_fail(error, MESSAGE_HEADER, "header 'id' is longer than %d bytes", SJ_TASK_ID_MAX);
        m->id = (sj_str){NULL, 0};
}

static void message_read_envelope(const sj_json *envelope, message *m, message_error *error)
{
        if (sj_json_type_of(envelope) != SJ_JSON_OBJECT) {
                message_fail(error, MESSAGE_NOT_JSON, "the message is not an object");
                return;
        }
        m->headers = sj_json_member(envelope, "headers");
        m->properties = sj_json_member(envelope, "properties");
        m->body = sj_json_member(envelope, "body");
        sj_json_string(sj_json_member(envelope, "content-type"), &m->content_type);
        sj_json_string(sj_json_member(envelope, "content-encoding"), &m->content_encoding);

        m->version = sj_json_member(m->headers, "task") ? 2 : 1;
        if (m->version == 2) {
                message_read_fields(message_headers, message_n_headers, m->headers, MESSAGE_HEADER,
                                    "header", m, error);
                message_check_id(m, error);
        } else {
                sj_json_string(sj_json_member(m->headers, "compression"), &m->compression);
        }
        if (sj_json_type_of(m->headers) != SJ_JSON_OBJECT)
                message_fail(error, MESSAGE_ENVELOPE, "'headers' is missing or not an object");
        if (sj_json_type_of(m->properties) != SJ_JSON_OBJECT)
                message_fail(error, MESSAGE_ENVELOPE, "'properties' is missing or not an object");
        message_read_fields(message_properties, message_n_properties, m->properties,
                            MESSAGE_ENVELOPE, "property", m, error);
        if (m->priority > 255)
                m->priority = 255;
        if (sj_json_type_of(m->body) != SJ_JSON_STRING)
                message_fail(error, MESSAGE_ENVELOPE, "'body' is missing or not a string");
        if (!m->content_type.data)
                message_fail(error, MESSAGE_ENVELOPE, "'content-type' is missing");
}

/* ── The body ────────────────────────────────────────────────────────────────────────────── */

/* A member of embed that is of that type, or null. */
static const sj_json *message_embedded(const sj_json *embed, const char *name, sj_json_type type,
                                       message_error *error)
{
        const sj_json *value = sj_json_member(embed, name);
        if (sj_json_is_null(value))
                return NULL;
        if (sj_json_type_of(value) == type)
                return value;
        message_fail(error, MESSAGE_BODY, "'%s' of the body is not %s", name,
                     type == SJ_JSON_ARRAY ? "an array" : "an object");
        return NULL;
}

static void message_read_embed(message *m, const sj_json *embed, message_error *error)
{
        m->embed = embed;
        m->callbacks = message_embedded(embed, "callbacks", SJ_JSON_ARRAY, error);
        m->errbacks = message_embedded(embed, "errbacks", SJ_JSON_ARRAY, error);
        m->chain = message_embedded(embed, "chain", SJ_JSON_ARRAY, error);
        m->chord = message_embedded(embed, "chord", SJ_JSON_OBJECT, error);
        if (sj_json_count(m->chain) > MESSAGE_CHAIN_MAX)
                message_fail(error, MESSAGE_BODY, "the chain has more than %d links",
                             MESSAGE_CHAIN_MAX);
        if (sj_json_count(m->callbacks) > MESSAGE_LINKS_MAX ||
            sj_json_count(m->errbacks) > MESSAGE_LINKS_MAX)
                message_fail(error, MESSAGE_BODY, "there are more than %d callbacks or errbacks",
                             MESSAGE_LINKS_MAX);
}

static void message_read_arguments(message *m, const sj_json *args, const sj_json *kwargs,
                                   message_error *error)
{
        if (sj_json_type_of(args) == SJ_JSON_ARRAY)
                m->args = args;
        else
                message_fail(error, MESSAGE_BODY, "the arguments are not an array");
        if (sj_json_type_of(kwargs) == SJ_JSON_OBJECT)
                m->kwargs = kwargs;
        else
                message_fail(error, MESSAGE_BODY, "the keyword arguments are not an object");
}

/* [args, kwargs, embed] */
static void message_read_parts(message *m, const sj_json *body, message_error *error)
{
        if (sj_json_count(body) != 3) {
                message_fail(error, MESSAGE_BODY, "the body has %zu parts, not 3",
                             sj_json_count(body));
                return;
        }
        message_read_arguments(m, sj_json_at(body, 0), sj_json_at(body, 1), error);
        const sj_json *embed = sj_json_at(body, 2);
        if (sj_json_is_null(embed))
                return;
        if (sj_json_type_of(embed) == SJ_JSON_OBJECT)
                message_read_embed(m, embed, error);
        else
                message_fail(error, MESSAGE_BODY, "the third part of the body is not an object");
}

/* Protocol 1, or arguments in an object beside the headers of version 2. */
static void message_read_object(message *m, const sj_json *body, message_error *error)
{
        message_read_arguments(m, sj_json_member(body, "args"), sj_json_member(body, "kwargs"),
                               error);
        message_read_embed(m, body, error);
        if (m->version == 2)
                return;
        message_read_fields(message_headers, message_n_headers, body, MESSAGE_HEADER, "field", m,
                            error);
        message_check_id(m, error);
        sj_json_string(sj_json_member(body, "taskset"), &m->group);
}

static int message_read_body(sj_arena *arena, message *m, unsigned accept, message_error *error)
{
        const sj_json *body;
        int r = message_content_read(arena, m, accept, &body, error);
        if (r < 0 || error->defect != MESSAGE_SOUND)
                return r;
        if (sj_json_type_of(body) == SJ_JSON_ARRAY && m->version == 2)
                message_read_parts(m, body, error);
        else if (sj_json_type_of(body) == SJ_JSON_OBJECT)
                message_read_object(m, body, error);
        else
                message_fail(error, m->version == 2 ? MESSAGE_BODY : MESSAGE_HEADER,
                             m->version == 2 ? "the body is neither an array nor an object"
                                             : "header 'task' is missing");
        return 0;
}

/* ── The whole ───────────────────────────────────────────────────────────────────────────── */

static int message_read(sj_arena *arena, sj_str envelope, bool kept, unsigned accept, message *ret,
                        message_error *ret_error)
{
        const sj_json *object;
        message m = {0};
        *ret_error = (message_error){.defect = MESSAGE_SOUND};
        int r = message_parse(arena, envelope, kept, "the message", MESSAGE_NOT_JSON, &object,
                              ret_error);
        if (r == 0 && ret_error->defect == MESSAGE_SOUND) {
                message_read_envelope(object, &m, ret_error);
                r = message_read_body(arena, &m, accept, ret_error);
        }
        if (r < 0)
                return r;
        message *original = kept ? ret : sj_arena_alloc(arena, sizeof(*original));
        if (!original)
                return -ENOMEM;
        *original = m;
        m.original = original;
        *ret = m;
        return message_result(ret_error);
}

int message_decode(sj_arena *arena, sj_str envelope, message *ret, message_error *ret_error)
{
        return message_read(arena, envelope, false, MESSAGE_ACCEPT_JSON, ret, ret_error);
}

int message_decode_accepting(sj_arena *arena, sj_str envelope, unsigned accept, message *ret,
                             message_error *ret_error)
{
        return message_read(arena, envelope, false, accept, ret, ret_error);
}

int message_decode_kept(sj_arena *arena, sj_str envelope, unsigned accept, message *ret,
                        message_error *ret_error)
{
        return message_read(arena, envelope, true, accept, ret, ret_error);
}
