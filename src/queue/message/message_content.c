/* SPDX-License-Identifier: MIT */
/*
 * What is written in msgpack is read into JSON text and parsed: so whatever comes after knows one
 * form, and what is passed on has bytes to be passed on. It costs a msgpack body a second pass, and
 * JSON, which nearly all are, nothing.
 */
#include "queue/message/message_content.h"

#include "base/base64.h"
#include "codec/json_kept.h"
#include "codec/msgpack.h"
#include "queue/message/message_compress.h"
#include "queue/message/message_fields.h"

#define MESSAGE_PYTHON_JSON (SJ_JSON_PYTHON | SJ_JSON_ASCII | SJ_JSON_SPACED)

int message_parse(sj_arena *arena, sj_str text, bool kept, const char *what, message_defect defect,
                  const sj_json **ret, message_error *error)
{
        sj_json_error why;
        *ret = NULL;
        if (text.n > MESSAGE_SIZE_MAX) {
                message_fail(error, MESSAGE_TOO_LARGE, "%s has %zu bytes, more than %zu", what,
                             text.n, MESSAGE_SIZE_MAX);
                return 0;
        }
        int r = (kept ? json_parse_kept : sj_json_parse_limited)(
                arena, text, SJ_JSON_PYTHON, MESSAGE_SIZE_MAX, MESSAGE_DEPTH_MAX, ret, &why);
        if (r == -EBADMSG)
                message_fail(error, defect, "%s is not JSON: %s at byte %zu", what, why.reason,
                             why.offset);
        else if (r == -EMSGSIZE)
                message_fail(error, MESSAGE_TOO_DEEP, "%s is nested deeper than %d", what,
                             (int)MESSAGE_DEPTH_MAX);
        else if (r < 0)
                return r;
        return 0;
}

/* ── Kinds of content ────────────────────────────────────────────────────────────────────── */

static int read_json(sj_arena *arena, sj_str bytes, const sj_json **ret, message_error *error)
{
        return message_parse(arena, bytes, false, "the body", MESSAGE_BODY, ret, error);
}

static int write_json(sj_arena *arena, sj_str json, sj_str *ret)
{
        (void)arena;
        *ret = json;
        return 0;
}

static int read_msgpack_text(sj_arena *arena, sj_json_writer *w, sj_str bytes, const sj_json **ret,
                             message_error *error)
{
        const msgpack_limits limits = {.depth = MESSAGE_DEPTH_MAX, .size = MESSAGE_SIZE_MAX};
        const char *why;
        sj_str text;
        int r = msgpack_to_json(bytes, &limits, w, &why);
        if (r == 0)
                r = sj_json_writer_end(w, &text);
        if (r == 0)
                return message_parse(arena, text, false, "the body", MESSAGE_BODY, ret, error);
        if (r == -EBADMSG)
                message_fail(error, MESSAGE_BODY, "the body is not msgpack that we decode: %s",
                             why);
        else if (r == -EMSGSIZE)
                message_fail(error, MESSAGE_TOO_LARGE, "the body is too large or nested too deep");
        return r == -ENOMEM ? r : 0;
}

static int read_msgpack(sj_arena *arena, sj_str bytes, const sj_json **ret, message_error *error)
{
        sj_json_writer *w;
        int r = sj_json_writer_new(MESSAGE_PYTHON_JSON, &w);
        if (r < 0)
                return r;
        r = read_msgpack_text(arena, w, bytes, ret, error);
        sj_json_writer_free(w);
        return r;
}

static int write_msgpack(sj_arena *arena, sj_str json, sj_str *ret)
{
        const sj_json *v;
        buf b = BUF_INIT(MESSAGE_SIZE_MAX);
        int r = sj_json_parse(arena, json, SJ_JSON_PYTHON, &v, NULL);
        if (r == 0)
                r = msgpack_from_json(&b, v);
        const char *kept = r == 0 ? sj_arena_strndup(arena, buf_data(&b), buf_size(&b)) : NULL;
        if (r == 0 && !kept)
                r = -ENOMEM;
        if (r == 0)
                *ret = (sj_str){kept, buf_size(&b)};
        buf_fini(&b);
        return r == -EBADMSG ? -EINVAL : r;
}

static const struct content_kind {
        message_accept flag;
        const char *name;
        const char *type;
        const char *encoding;
        int (*read)(sj_arena *arena, sj_str bytes, const sj_json **ret, message_error *error);
        int (*write)(sj_arena *arena, sj_str json, sj_str *ret);
} content_kinds[] = {
        {MESSAGE_ACCEPT_JSON, "json", "application/json", "utf-8", read_json, write_json},
        {MESSAGE_ACCEPT_MSGPACK, "msgpack", "application/x-msgpack", "binary", read_msgpack,
         write_msgpack},
};
enum { CONTENT_KINDS = sizeof(content_kinds) / sizeof(*content_kinds) };

/* By its type, or its name. */
static const struct content_kind *content_find(sj_str name)
{
        for (size_t i = 0; i < CONTENT_KINDS; i++)
                if (sj_str_equal(name, sj_str_of(content_kinds[i].type)) ||
                    sj_str_equal(name, sj_str_of(content_kinds[i].name)))
                        return &content_kinds[i];
        return NULL;
}

sj_str message_content_type(const char *name)
{
        const struct content_kind *kind = content_find(sj_str_of(name));
        return sj_str_of(kind ? kind->type : NULL);
}

sj_str message_content_compression(const char *name)
{
        const sj_str text = sj_str_of(name);
        const message_compression *c = message_compression_named(text);
        if (!c)
                c = message_compression_of(text);
        return c ? message_compression_type(c) : sj_str_of(NULL);
}

int message_accept_read(const char *names, unsigned *ret)
{
        unsigned accept = 0;
        for (const char *at = names;; at++) {
                size_t n = strcspn(at, ",");
                const struct content_kind *kind = content_find((sj_str){at, n});
                if (!kind)
                        return -EINVAL;
                accept |= kind->flag;
                at += n;
                if (!*at)
                        break;
        }
        *ret = accept;
        return 0;
}

/* ── Reading ─────────────────────────────────────────────────────────────────────────────── */

static bool content_one_of(sj_str text, const char *const names[], size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (sj_str_equal(text, sj_str_of(names[i])))
                        return true;
        return false;
}

/* What it is written in, or NULL if that is never decoded, or not here. */
static const struct content_kind *content_accepted(const message *m, unsigned accept,
                                                   message_error *error)
{
        static const char *const encodings[] = {"utf-8", "utf8", "UTF-8", "us-ascii", "ascii"};
        const struct content_kind *kind = content_find(m->content_type);
        char shown[64];
        if (!kind || !strchr(m->content_type.data, '/')) {
                message_fail(error, MESSAGE_REFUSED, "content of the type '%s' is never decoded",
                             message_show(m->content_type, shown));
                return NULL;
        }
        if (!(kind->flag & accept)) {
                message_fail(error, MESSAGE_REFUSED,
                             "content of the type '%s' is not accepted (accept_content)",
                             message_show(m->content_type, shown));
                return NULL;
        }
        if (kind->flag == MESSAGE_ACCEPT_JSON && m->content_encoding.data &&
            !content_one_of(m->content_encoding, encodings, sizeof(encodings) / sizeof(char *))) {
                message_fail(error, MESSAGE_REFUSED, "content encoding '%s' is not known",
                             message_show(m->content_encoding, shown));
                return NULL;
        }
        return kind;
}

/* The body's bytes, out of base64. */
static int content_unwrap(sj_arena *arena, const message *m, sj_str *ret, message_error *error)
{
        sj_str text = {NULL, 0};
        char shown[64];
        sj_json_string(m->body, &text);
        if (!m->body_encoding.data || sj_str_equal(m->body_encoding, SJ_STR("utf-8"))) {
                *ret = text;
                return 0;
        }
        if (!sj_str_equal(m->body_encoding, SJ_STR("base64"))) {
                message_fail(error, MESSAGE_ENVELOPE, "body_encoding '%s' is not known",
                             message_show(m->body_encoding, shown));
                return 0;
        }
        char *bytes = sj_arena_alloc(arena, base64_decoded_room(text.n));
        if (!bytes)
                return -ENOMEM;
        *ret = (sj_str){bytes, 0};
        if (base64_decode(text, bytes, &ret->n) < 0)
                message_fail(error, MESSAGE_BODY, "the body is not base64");
        return 0;
}

static int content_expand(sj_arena *arena, const message *m, sj_str *body, message_error *error)
{
        char shown[64];
        if (!m->compression.data || error->defect != MESSAGE_SOUND)
                return 0;
        const message_compression *c = message_compression_of(m->compression);
        if (!c) {
                message_fail(error, MESSAGE_COMPRESSION, "compression '%s' is not known",
                             message_show(m->compression, shown));
                return 0;
        }
        int r = message_expand(c, arena, *body, body);
        if (r == -EBADMSG)
                message_fail(error, MESSAGE_COMPRESSION, "the compressed body is damaged");
        else if (r == -EMSGSIZE)
                message_fail(error, MESSAGE_TOO_LARGE, "the body grows too large when inflated");
        else if (r == -ENOSYS)
                message_fail(error, MESSAGE_COMPRESSION, "this build cannot read compression '%s'",
                             message_show(m->compression, shown));
        else if (r < 0)
                return r;
        return 0;
}

int message_content_read(sj_arena *arena, const message *m, unsigned accept, const sj_json **ret,
                         message_error *error)
{
        *ret = NULL;
        if (error->defect != MESSAGE_SOUND)
                return 0;
        const struct content_kind *kind = content_accepted(m, accept, error);
        if (!kind)
                return 0;
        sj_str bytes = {NULL, 0};
        int r = content_unwrap(arena, m, &bytes, error);
        if (r == 0)
                r = content_expand(arena, m, &bytes, error);
        if (r == 0 && error->defect == MESSAGE_SOUND)
                r = kind->read(arena, bytes, ret, error);
        return r;
}

/* ── Writing ─────────────────────────────────────────────────────────────────────────────── */

int message_content_write(sj_arena *arena, message *m, sj_str json, sj_str *ret)
{
        const struct content_kind *kind =
                m->content_type.n ? content_find(m->content_type) : &content_kinds[0];
        const message_compression *c =
                m->compression.n ? message_compression_of(m->compression) : NULL;
        if (!kind || (m->compression.n && (!c || !message_compression_works(c))))
                return -EOPNOTSUPP;
        sj_str bytes;
        int r = kind->write(arena, json, &bytes);
        if (r == 0 && c)
                r = message_compress(c, arena, bytes, &bytes);
        if (r < 0)
                return r;
        if (bytes.n > MESSAGE_SIZE_MAX / 4 * 3)
                return -EMSGSIZE;
        size_t n = base64_encoded_size(bytes.n);
        char *encoded = sj_arena_alloc(arena, n);
        if (!encoded)
                return -ENOMEM;
        base64_encode(bytes.data, bytes.n, encoded);
        m->content_type = sj_str_of(kind->type);
        m->content_encoding = sj_str_of(kind->encoding);
        m->body_encoding = SJ_STR("base64");
        *ret = (sj_str){encoded, n};
        return 0;
}
