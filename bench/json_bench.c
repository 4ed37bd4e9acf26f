/* SPDX-License-Identifier: MIT */
/* json_bench [decode|encode]: see json_message.h. */
#include <sanjab/json.h>

#include "json_message.h"
#include "measure.h"

#include <string.h>

typedef struct bench {
        message_bench m;
        sj_arena *arena;
        sj_json_writer *body, *envelope;
} bench;

static int text_of(const sj_json *object, const char *name)
{
        sj_str text;
        return sj_json_string(sj_json_member(object, name), &text);
}

static int decode_body(bench *b, const sj_json *envelope)
{
        sj_str coded;
        int r = sj_json_string(sj_json_member(envelope, "body"), &coded);
        if (r < 0)
                return r;
        char *bytes = sj_arena_alloc(b->arena, base64_decoded_room(coded.n));
        size_t n;
        if (!bytes)
                return -ENOMEM;
        r = base64_decode(coded, bytes, &n);
        if (r < 0)
                return r;
        const sj_json *body;
        r = sj_json_parse(b->arena, (sj_str){bytes, n}, SJ_JSON_PYTHON, &body, NULL);
        if (r < 0)
                return r;
        const sj_json *args = sj_json_at(body, 0);
        for (size_t i = 0; i < sj_json_count(args); i++) {
                int64_t value;
                r = sj_json_int(sj_json_at(args, i), &value);
                if (r < 0)
                        return r;
                b->m.sum += value;
        }
        return sj_json_count(sj_json_at(body, 2)) == 4 ? 0 : -EBADMSG;
}

static int decode_one(bench *b)
{
        sj_arena_reset(b->arena);
        const sj_json *v;
        int r = sj_json_parse(b->arena, (sj_str){b->m.text, b->m.n}, SJ_JSON_PYTHON, &v, NULL);
        if (r < 0)
                return r;
        const sj_json *headers = sj_json_member(v, "headers");
        const sj_json *properties = sj_json_member(v, "properties");
        int64_t retries;
        if (text_of(v, "content-type") < 0 || text_of(v, "content-encoding") < 0 ||
            text_of(headers, "task") < 0 || text_of(headers, "id") < 0 ||
            text_of(headers, "root_id") < 0 || text_of(headers, "origin") < 0 ||
            sj_json_int(sj_json_member(headers, "retries"), &retries) < 0 ||
            !sj_json_is_null(sj_json_member(headers, "eta")) ||
            !sj_json_is_null(sj_json_member(headers, "expires")) ||
            sj_json_count(sj_json_member(headers, "timelimit")) != 2 ||
            text_of(properties, "reply_to") < 0 || text_of(properties, "correlation_id") < 0 ||
            text_of(properties, "delivery_tag") < 0 || text_of(properties, "body_encoding") < 0)
                return -EBADMSG;
        return decode_body(b, v);
}

static void put_text(sj_json_writer *w, const char *name, const char *text)
{
        sj_json_write_name(w, name);
        sj_json_write_string(w, sj_str_of(text));
}

static void put_null(sj_json_writer *w, const char *name)
{
        sj_json_write_name(w, name);
        sj_json_write_null(w);
}

static void put_int(sj_json_writer *w, const char *name, int64_t value)
{
        sj_json_write_name(w, name);
        sj_json_write_int(w, value);
}

static void put_headers(sj_json_writer *w)
{
        sj_json_write_object_begin(w);
        put_text(w, "lang", "py");
        put_text(w, "task", "capapp.add");
        put_text(w, "id", MESSAGE_ID);
        put_null(w, "shadow");
        put_null(w, "eta");
        put_null(w, "expires");
        put_null(w, "group");
        put_null(w, "group_index");
        put_int(w, "retries", 0);
        sj_json_write_name(w, "timelimit");
        sj_json_write_array_begin(w);
        sj_json_write_null(w);
        sj_json_write_null(w);
        sj_json_write_array_end(w);
        put_text(w, "root_id", MESSAGE_ID);
        put_null(w, "parent_id");
        put_text(w, "argsrepr", "(2, 3)");
        put_text(w, "kwargsrepr", "{}");
        put_text(w, "origin", "gen19544@vm");
        sj_json_write_name(w, "ignore_result");
        sj_json_write_bool(w, false);
        sj_json_write_object_end(w);
}

static void put_properties(sj_json_writer *w)
{
        sj_json_write_object_begin(w);
        put_text(w, "correlation_id", MESSAGE_ID);
        put_text(w, "reply_to", MESSAGE_REPLY);
        put_int(w, "delivery_mode", 2);
        sj_json_write_name(w, "delivery_info");
        sj_json_write_object_begin(w);
        put_text(w, "exchange", "");
        put_text(w, "routing_key", "celery");
        sj_json_write_object_end(w);
        put_int(w, "priority", 0);
        put_text(w, "body_encoding", "base64");
        put_text(w, "delivery_tag", MESSAGE_TAG);
        sj_json_write_object_end(w);
}

static int put_body(sj_json_writer *w, sj_str *ret)
{
        sj_json_writer_reset(w);
        sj_json_write_array_begin(w);
        sj_json_write_array_begin(w);
        sj_json_write_int(w, 2);
        sj_json_write_int(w, 3);
        sj_json_write_array_end(w);
        sj_json_write_object_begin(w);
        sj_json_write_object_end(w);
        sj_json_write_object_begin(w);
        put_null(w, "callbacks");
        put_null(w, "errbacks");
        put_null(w, "chain");
        put_null(w, "chord");
        sj_json_write_object_end(w);
        sj_json_write_array_end(w);
        return sj_json_writer_end(w, ret);
}

static int encode_one(bench *b)
{
        sj_str body, text;
        int r = put_body(b->body, &body);
        if (r < 0)
                return r;
        char coded[512];
        base64_encode(body.data, body.n, coded);
        sj_json_writer *w = b->envelope;
        sj_json_writer_reset(w);
        sj_json_write_object_begin(w);
        sj_json_write_name(w, "body");
        sj_json_write_string(w, (sj_str){coded, base64_encoded_size(body.n)});
        put_text(w, "content-encoding", "utf-8");
        put_text(w, "content-type", "application/json");
        sj_json_write_name(w, "headers");
        put_headers(w);
        sj_json_write_name(w, "properties");
        put_properties(w);
        sj_json_write_object_end(w);
        r = sj_json_writer_end(w, &text);
        if (r == 0)
                b->m.written = text.n;
        return r;
}

static int decode(void *arg, int64_t n)
{
        int r = 0;
        while (n-- > 0 && r == 0)
                r = decode_one(arg);
        return r;
}

static int encode(void *arg, int64_t n)
{
        int r = 0;
        while (n-- > 0 && r == 0)
                r = encode_one(arg);
        return r;
}

static int both(void *arg, int64_t n)
{
        int r = 0;
        while (n-- > 0 && r == 0) {
                r = decode_one(arg);
                if (r == 0)
                        r = encode_one(arg);
        }
        return r;
}

int main(int argc, char **argv)
{
        const char *part = argc > 1 ? argv[1] : "both";
        static bench b;
        int r = message_load(&b.m);
        if (r == 0)
                r = sj_arena_new(&b.arena);
        if (r == 0)
                r = sj_json_writer_new(0, &b.body);
        if (r == 0)
                r = sj_json_writer_new(0, &b.envelope);
        if (r == 0)
                r = measure(strcmp(part, "decode") == 0   ? decode
                            : strcmp(part, "encode") == 0 ? encode
                                                          : both,
                            &b);
        if (r < 0)
                fprintf(stderr, "json_bench: %s\n", sj_strerror(r));
        sj_json_writer_free(b.envelope);
        sj_json_writer_free(b.body);
        sj_arena_free(b.arena);
        return r < 0;
}
