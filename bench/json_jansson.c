/* SPDX-License-Identifier: MIT */
/*
 * json_jansson [decode|encode]: the work of json_bench with jansson, by the calls of it that are
 * fastest: lengths instead of NULs, names unchecked, writing into memory that is there.
 */
#include "json_message.h"
#include "measure.h"

#include <jansson.h>
#include <string.h>

static bool is_text(const json_t *object, const char *name)
{
        return json_string_value(json_object_get(object, name));
}

static int decode_body(message_bench *m, const json_t *envelope)
{
        const json_t *coded = json_object_get(envelope, "body");
        if (!json_is_string(coded))
                return -EBADMSG;
        sj_str text = {json_string_value(coded), json_string_length(coded)};
        char bytes[MESSAGE_ROOM];
        size_t n;
        if (text.n > sizeof(bytes) || base64_decode(text, bytes, &n) < 0)
                return -EBADMSG;
        json_t *body = json_loadb(bytes, n, 0, NULL);
        const json_t *args = json_array_get(body, 0);
        for (size_t i = 0; i < json_array_size(args); i++)
                m->sum += json_integer_value(json_array_get(args, i));
        bool good = json_object_size(json_array_get(body, 2)) == 4;
        json_decref(body);
        return good ? 0 : -EBADMSG;
}

static int decode_one(message_bench *m)
{
        json_t *v = json_loadb(m->text, m->n, 0, NULL);
        if (!v)
                return -EBADMSG;
        const json_t *headers = json_object_get(v, "headers");
        const json_t *properties = json_object_get(v, "properties");
        bool good = is_text(v, "content-type") && is_text(v, "content-encoding") &&
                    is_text(headers, "task") && is_text(headers, "id") &&
                    is_text(headers, "root_id") && is_text(headers, "origin") &&
                    json_is_integer(json_object_get(headers, "retries")) &&
                    json_is_null(json_object_get(headers, "eta")) &&
                    json_is_null(json_object_get(headers, "expires")) &&
                    json_array_size(json_object_get(headers, "timelimit")) == 2 &&
                    is_text(properties, "reply_to") && is_text(properties, "correlation_id") &&
                    is_text(properties, "delivery_tag") && is_text(properties, "body_encoding");
        int r = good ? decode_body(m, v) : -EBADMSG;
        json_decref(v);
        return r;
}

static void put(json_t *object, const char *name, json_t *value)
{
        json_object_set_new_nocheck(object, name, value);
}

static void put_text(json_t *object, const char *name, const char *text)
{
        put(object, name, json_stringn(text, strlen(text)));
}

static json_t *make_headers(void)
{
        json_t *h = json_object();
        put_text(h, "lang", "py");
        put_text(h, "task", "capapp.add");
        put_text(h, "id", MESSAGE_ID);
        put(h, "shadow", json_null());
        put(h, "eta", json_null());
        put(h, "expires", json_null());
        put(h, "group", json_null());
        put(h, "group_index", json_null());
        put(h, "retries", json_integer(0));
        json_t *limits = json_array();
        json_array_append_new(limits, json_null());
        json_array_append_new(limits, json_null());
        put(h, "timelimit", limits);
        put_text(h, "root_id", MESSAGE_ID);
        put(h, "parent_id", json_null());
        put_text(h, "argsrepr", "(2, 3)");
        put_text(h, "kwargsrepr", "{}");
        put_text(h, "origin", "gen19544@vm");
        put(h, "ignore_result", json_false());
        return h;
}

static json_t *make_properties(void)
{
        json_t *p = json_object(), *info = json_object();
        put_text(p, "correlation_id", MESSAGE_ID);
        put_text(p, "reply_to", MESSAGE_REPLY);
        put(p, "delivery_mode", json_integer(2));
        put_text(info, "exchange", "");
        put_text(info, "routing_key", "celery");
        put(p, "delivery_info", info);
        put(p, "priority", json_integer(0));
        put_text(p, "body_encoding", "base64");
        put_text(p, "delivery_tag", MESSAGE_TAG);
        return p;
}

static json_t *make_body(void)
{
        json_t *args = json_array(), *embed = json_object(), *body = json_array();
        json_array_append_new(args, json_integer(2));
        json_array_append_new(args, json_integer(3));
        put(embed, "callbacks", json_null());
        put(embed, "errbacks", json_null());
        put(embed, "chain", json_null());
        put(embed, "chord", json_null());
        json_array_append_new(body, args);
        json_array_append_new(body, json_object());
        json_array_append_new(body, embed);
        return body;
}

static int encode_one(message_bench *m)
{
        char text[MESSAGE_ROOM], coded[MESSAGE_ROOM];
        json_t *body = make_body();
        size_t n = json_dumpb(body, text, sizeof(text) / 2, JSON_COMPACT);
        json_decref(body);
        if (n == 0 || n > sizeof(text) / 2)
                return -EMSGSIZE;
        base64_encode(text, n, coded);
        json_t *envelope = json_object();
        put(envelope, "body", json_stringn(coded, base64_encoded_size(n)));
        put_text(envelope, "content-encoding", "utf-8");
        put_text(envelope, "content-type", "application/json");
        put(envelope, "headers", make_headers());
        put(envelope, "properties", make_properties());
        m->written = json_dumpb(envelope, text, sizeof(text), JSON_COMPACT);
        json_decref(envelope);
        return m->written && m->written <= sizeof(text) ? 0 : -EMSGSIZE;
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
        static message_bench m;
        int r = message_load(&m);
        if (r == 0)
                r = measure(strcmp(part, "decode") == 0   ? decode
                            : strcmp(part, "encode") == 0 ? encode
                                                          : both,
                            &m);
        if (r < 0)
                fprintf(stderr, "json_jansson: %s\n", sj_strerror(r));
        return r < 0;
}
