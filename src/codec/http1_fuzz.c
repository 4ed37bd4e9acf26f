/* SPDX-License-Identifier: MIT */
/*
 * Bytes cut differently have the same outcome; what is accepted is, when written and read again,
 * the same message. The first byte says which kind of message it is, the second seeds the cuts.
 */
#include "codec/http1.h"

#include <stdlib.h>

typedef struct outcome {
        http1_outcome head_outcome, body_outcome;
        http1_head head;
        http1_field fields[HTTP1_FIELDS_MAX];
        http1_body body;
        http1_field trailers[8];
        buf data;
        size_t used;
} outcome;

typedef struct cuts {
        uint32_t state; /* 0: never cut */
} cuts;

static size_t next_cut(cuts *c, size_t n, size_t all)
{
        if (c->state == 0)
                return all;
        c->state = c->state * 1103515245 + 12345;
        size_t step = c->state >> 16 & 15;
        return all - n < step ? all : n + step;
}

static void check(bool holds)
{
        if (!holds)
                abort();
}

static const sj_str methods[] = {{"", 0}, {"GET", 3}, {"HEAD", 4}, {"CONNECT", 7}};

static void init_head(http1_head *h, http1_field *fields, unsigned kind)
{
        if (kind == 0)
                http1_head_init_request(h, fields, HTTP1_FIELDS_MAX);
        else
                http1_head_init_response(h, fields, HTTP1_FIELDS_MAX, methods[kind]);
}

/* An exact copy, so that reading over its end is seen. */
static char *copy_of(const char *data, size_t n)
{
        char *copy = malloc(n ? n : 1);
        check(copy != NULL);
        if (n)
                memcpy(copy, data, n);
        return copy;
}

static void read_body(outcome *o, sj_str text, cuts *c)
{
        size_t n = o->used;
        for (;;) {
                size_t used;
                sj_str data;
                char *copy = copy_of(text.data + o->used, n - o->used);
                o->body_outcome =
                        http1_body_feed(&o->body, (sj_str){copy, n - o->used}, &used, &data);
                check(used <= n - o->used && data.n <= used);
                check(buf_append_str(&o->data, data) == 0);
                free(copy);
                o->used += used;
                if (o->body_outcome != HTTP1_PARTIAL || (used == 0 && n == text.n))
                        return;
                if (used == 0)
                        n = next_cut(c, n, text.n);
        }
}

static void read_message(outcome *o, unsigned kind, sj_str text, cuts c)
{
        init_head(&o->head, o->fields, kind);
        o->data = BUF_INIT(0);
        o->used = 0;
        size_t n = 0;
        do {
                n = next_cut(&c, n, text.n);
                char *copy = copy_of(text.data, n);
                o->head_outcome = http1_head_parse(&o->head, copy, n);
                free(copy);
        } while (o->head_outcome == HTTP1_PARTIAL && n < text.n);
        o->head.base = text.data;
        o->body_outcome = HTTP1_PARTIAL;
        if (o->head_outcome != HTTP1_DONE)
                return;
        check(o->head.size <= text.n && o->head.size <= HTTP1_HEAD_MAX);
        o->used = o->head.size;
        http1_body_init(&o->body, &o->head, o->trailers, 8);
        read_body(o, text, &c);
}

static void check_same(const outcome *a, const outcome *b)
{
        check(a->head_outcome == b->head_outcome && a->head.reason == b->head.reason);
        if (a->head_outcome != HTTP1_DONE)
                return;
        check(a->head.size == b->head.size && a->head.n_fields == b->head.n_fields);
        check(a->head.framing == b->head.framing && a->head.length == b->head.length);
        check(memcmp(a->fields, b->fields, a->head.n_fields * sizeof(http1_field)) == 0);
        check(a->body_outcome == b->body_outcome && a->body.reason == b->body.reason);
        check(sj_str_equal(buf_str(&a->data), buf_str(&b->data)));
        check(a->body_outcome != HTTP1_DONE || a->used == b->used);
}

static void check_span(const http1_head *a, http1_span x, const http1_head *b, http1_span y)
{
        check(sj_str_equal(http1_view(a->base, x), http1_view(b->base, y)));
}

/* Writes the head, reads it, and compares. */
static void check_round_trip(const http1_head *h, unsigned kind)
{
        static http1_field fields[HTTP1_FIELDS_MAX];
        buf out = BUF_INIT(0);
        int r = kind ? http1_put_status(&out, h->status, http1_view(h->base, h->phrase))
                     : http1_put_request(&out, http1_view(h->base, h->method),
                                         http1_view(h->base, h->target));
        /* What was read with the longest of lines may be written as HTTP/1.1 but not in its limit.
         */
        if (r == -EINVAL && (h->phrase.n > 4000 || h->target.n > 4000 || h->method.n > 4000)) {
                buf_fini(&out);
                return;
        }
        check(r == 0);
        for (uint32_t i = 0; i < h->n_fields; i++)
                check(http1_put_field(&out, http1_view(h->base, h->fields[i].name),
                                      http1_view(h->base, h->fields[i].value)) == 0);
        check(http1_put_end(&out) == 0);
        http1_head again;
        init_head(&again, fields, kind);
        http1_outcome outcome = http1_head_parse(&again, buf_data(&out), buf_size(&out));
        /* The writer says HTTP/1.1, which needs a Host, and may add a space before each value. */
        bool no_host = kind == 0 && h->minor == 0 && h->n_host == 0;
        bool grown = buf_size(&out) > HTTP1_HEAD_MAX;
        check(outcome == HTTP1_DONE || no_host || grown);
        if (outcome == HTTP1_DONE) {
                check(again.n_fields == h->n_fields && again.framing == h->framing);
                check(again.length == h->length && again.status == h->status);
                check_span(h, h->method, &again, again.method);
                check_span(h, h->target, &again, again.target);
                for (uint32_t i = 0; i < h->n_fields; i++) {
                        check_span(h, h->fields[i].name, &again, again.fields[i].name);
                        check_span(h, h->fields[i].value, &again, again.fields[i].value);
                }
        }
        buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static outcome whole, cut;
        if (size < 2)
                return 0;
        unsigned kind = data[0] & 3;
        sj_str text = {(const char *)data + 2, size - 2};
        read_message(&whole, kind, text, (cuts){0});
        read_message(&cut, kind, text, (cuts){data[1] + 1U});
        check_same(&whole, &cut);
        if (whole.head_outcome == HTTP1_DONE)
                check_round_trip(&whole.head, kind);
        buf_fini(&whole.data);
        buf_fini(&cut.data);
        return 0;
}
