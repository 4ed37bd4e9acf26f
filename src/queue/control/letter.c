/* SPDX-License-Identifier: MIT */
/*
 * The envelope is written in the order of members in which Python's kombu writes it, so that a
 * capture can be compared as it is. The body travels as base64, and is read also as plain text,
 * which is what "body_encoding" absent means.
 */
#include "queue/control/letter.h"

#include "base/base64.h"
#include "codec/json_named.h"
#include "codec/msgpack.h"
#include "queue/message/message.h"

#define MSGPACK_TYPE "application/x-msgpack"

static void write_head(sj_json_writer *w, const letter *to)
{
        char tag[MESSAGE_UUID_SIZE];
        message_uuid(tag);
        json_named_object(w, "properties");
        json_named_int(w, "delivery_mode", to->lasting ? 2 : 1);
        json_named_object(w, "delivery_info");
        json_named_text(w, "exchange", to->exchange);
        json_named_text(w, "routing_key", to->routing_key);
        sj_json_write_object_end(w);
        json_named_int(w, "priority", 0);
        json_named_text(w, "body_encoding", SJ_STR("base64"));
        json_named_text(w, "delivery_tag", sj_str_of(tag));
        sj_json_write_object_end(w);
}

/* In the arena. */
static int write_msgpack(sj_arena *arena, sj_str json, sj_str *ret)
{
        const sj_json *v;
        buf b = BUF_INIT(LETTER_SIZE_MAX / 2);
        int r = sj_json_parse_limited(arena, json, SJ_JSON_PYTHON, LETTER_SIZE_MAX,
                                      LETTER_DEPTH_MAX, &v, NULL);
        if (r >= 0)
                r = msgpack_from_json(&b, v);
        const char *kept = r >= 0 ? sj_arena_strndup(arena, buf_data(&b), buf_size(&b)) : NULL;
        if (r >= 0 && !kept)
                r = -ENOMEM;
        if (r >= 0)
                *ret = (sj_str){kept, buf_size(&b)};
        buf_fini(&b);
        return r == -EBADMSG ? -EINVAL : r;
}

int letter_encode(sj_arena *arena, const letter *to, sj_str headers, sj_str body, sj_str *ret)
{
        int r = to->packed ? write_msgpack(arena, body, &body) : 0;
        if (r < 0)
                return r;
        if (body.n > LETTER_SIZE_MAX / 2)
                return -EMSGSIZE;
        sj_json_writer *w;
        size_t n = base64_encoded_size(body.n);
        char *encoded = sj_arena_alloc(arena, n);
        r = encoded ? sj_json_writer_new(SJ_JSON_SPACED | SJ_JSON_ASCII | SJ_JSON_PYTHON, &w)
                    : -ENOMEM;
        if (r < 0)
                return r;
        base64_encode(body.data, body.n, encoded);
        sj_json_write_object_begin(w);
        json_named_text(w, "body", (sj_str){encoded, n});
        json_named_text(w, "content-encoding", to->packed ? SJ_STR("binary") : SJ_STR("utf-8"));
        json_named_text(w, "content-type",
                        to->packed ? SJ_STR(MSGPACK_TYPE) : SJ_STR("application/json"));
        sj_json_write_name(w, "headers");
        sj_json_write_raw(w, headers);
        write_head(w, to);
        sj_json_write_object_end(w);
        sj_str text;
        r = sj_json_writer_end(w, &text);
        if (r >= 0) {
                ret->data = sj_arena_strndup(arena, text.data, text.n);
                ret->n = text.n;
                r = ret->data ? 0 : -ENOMEM;
        }
        sj_json_writer_free(w);
        return r;
}

/* ── Reading ─────────────────────────────────────────────────────────────────────────────── */

sj_str letter_text(const sj_json *object, const char *name)
{
        sj_str text = {"", 0};
        sj_json_string(sj_json_member(object, name), &text);
        return text;
}

int64_t letter_int(const sj_json *object, const char *name, int64_t otherwise)
{
        sj_json_int(sj_json_member(object, name), &otherwise);
        return otherwise;
}

static int refuse(const char **ret_why, int error, const char *why)
{
        *ret_why = why;
        return error;
}

static int parse(sj_arena *arena, sj_str text, const sj_json **ret, const char **ret_why)
{
        sj_json_error error = {.reason = "it is not JSON"};
        int r = sj_json_parse_limited(arena, text, SJ_JSON_PYTHON, LETTER_SIZE_MAX,
                                      LETTER_DEPTH_MAX, ret, &error);
        return r < 0 ? refuse(ret_why, r, error.reason) : 0;
}

/* As JSON text in the arena. */
static int read_msgpack(sj_arena *arena, sj_str bytes, sj_str *ret, const char **ret_why)
{
        const msgpack_limits limits = {.depth = LETTER_DEPTH_MAX, .size = LETTER_SIZE_MAX};
        sj_json_writer *w;
        sj_str text;
        *ret_why = "it is too large";
        int r = sj_json_writer_new(SJ_JSON_PYTHON, &w);
        if (r < 0)
                return refuse(ret_why, r, "there is no memory");
        r = msgpack_to_json(bytes, &limits, w, ret_why);
        if (r >= 0)
                r = sj_json_writer_end(w, &text);
        const char *kept = r < 0 ? NULL : sj_arena_strndup(arena, text.data, text.n);
        if (r >= 0)
                *ret = (sj_str){kept, text.n};
        sj_json_writer_free(w);
        return r < 0 || kept ? r : refuse(ret_why, -ENOMEM, "there is no memory");
}

static int read_body(sj_arena *arena, const sj_json *envelope, const sj_json *properties,
                     letter *ret, const char **ret_why)
{
        sj_str text, encoding = letter_text(properties, "body_encoding");
        if (sj_json_string(sj_json_member(envelope, "body"), &text) < 0)
                return refuse(ret_why, -EBADMSG, "it has no body");
        sj_str type = letter_text(envelope, "content-type");
        bool packed = ret->packed = sj_str_equal(type, SJ_STR(MSGPACK_TYPE));
        if (!packed && !sj_str_equal(type, SJ_STR("application/json")))
                return refuse(ret_why, -EBADMSG, "its content is neither JSON nor msgpack");
        if (sj_str_equal(encoding, SJ_STR("base64"))) {
                char *bytes = sj_arena_alloc(arena, base64_decoded_room(text.n));
                size_t n;
                if (!bytes)
                        return refuse(ret_why, -ENOMEM, "there is no memory");
                if (base64_decode(text, bytes, &n) < 0)
                        return refuse(ret_why, -EBADMSG, "its body is not base64");
                text = (sj_str){bytes, n};
        } else if (encoding.n > 0 && !sj_str_equal(encoding, SJ_STR("utf-8"))) {
                return refuse(ret_why, -EBADMSG, "its body is of an encoding that is not known");
        }
        if (packed) {
                int r = read_msgpack(arena, text, &text, ret_why);
                if (r < 0)
                        return r;
        }
        return parse(arena, text, &ret->body, ret_why);
}

int letter_decode(sj_arena *arena, sj_str text, letter *ret, const char **ret_why)
{
        const sj_json *envelope;
        int r = parse(arena, text, &envelope, ret_why);
        if (r < 0)
                return r;
        if (sj_json_type_of(envelope) != SJ_JSON_OBJECT)
                return refuse(ret_why, -EBADMSG, "it is not an object");
        const sj_json *properties = sj_json_member(envelope, "properties");
        const sj_json *info = sj_json_member(properties, "delivery_info");
        letter l = {.headers = sj_json_member(envelope, "headers"),
                    .exchange = letter_text(info, "exchange"),
                    .routing_key = letter_text(info, "routing_key"),
                    .lasting = letter_int(properties, "delivery_mode", 1) == 2};
        if (sj_json_type_of(l.headers) != SJ_JSON_OBJECT)
                l.headers = NULL;
        r = read_body(arena, envelope, properties, &l, ret_why);
        if (r >= 0)
                *ret = l;
        return r;
}
