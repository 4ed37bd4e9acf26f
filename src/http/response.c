/* SPDX-License-Identifier: MIT */
/*
 * A response holds its connection until the last byte of the body was taken off it, and not
 * longer: a HEAD gives it back at once.
 */
#include "http/response.h"

#include <stdlib.h>

#define READ_ALL_MAX ((size_t)64 << 20)

enum { READ_STEP = 16 * 1024 };

int http_response_new(sj_http_session *session, sj_arena *arena, sj_http_response **ret)
{
        sj_http_response *p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        p->session = session;
        p->arena = arena;
        p->whole = BUF_INIT(0);
        *ret = p;
        return 0;
}

void http_response_release(sj_http_response *p)
{
        http_conn *c = p->conn;
        if (!c)
                return;
        p->conn = NULL;
        /* What comes after the end of the message was not asked for: it is no answer of ours. */
        if (p->head.keep_alive && http_inflow_skip(&p->body) && buf_size(&c->wire.in) == 0)
                http_pool_keep(&p->session->pool, c);
        else
                http_pool_drop(&p->session->pool, c);
}

int http_response_begin(sj_http_response *p, http_conn *c)
{
        char *head = sj_arena_strndup(p->arena, buf_data(&c->wire.in), p->head.size);
        if (!head)
                return -ENOMEM;
        p->head.base = head;
        buf_consume(&c->wire.in, p->head.size);
        p->conn = c;
        http_inflow_init(&p->body, &c->wire, &p->head, p->trailers, HTTP1_TRAILER_FIELDS_MAX);
        if (http_inflow_done(&p->body))
                http_response_release(p);
        return 0;
}

void sj_http_response_free(sj_http_response *p)
{
        if (!p)
                return;
        http_response_release(p);
        http_decode_free(p->decoder);
        buf_fini(&p->whole);
        sj_arena_free(p->arena);
        free(p);
}

int sj_http_response_status(const sj_http_response *p)
{
        return p->head.status;
}

sj_str sj_http_response_phrase(const sj_http_response *p)
{
        return http1_view(p->head.base, p->head.phrase);
}

const char *sj_http_response_url(const sj_http_response *p)
{
        return p->url.text.data;
}

unsigned sj_http_response_redirects(const sj_http_response *p)
{
        return p->redirects;
}

bool sj_http_response_header(const sj_http_response *p, const char *name, sj_str *ret)
{
        return http1_head_find(&p->head, sj_str_of(name), 0, ret);
}

bool sj_http_response_header_at(const sj_http_response *p, size_t i, sj_str *ret_name,
                                sj_str *ret_value)
{
        if (i >= p->head.n_fields)
                return false;
        *ret_name = http1_view(p->head.base, p->fields[i].name);
        *ret_value = http1_view(p->head.base, p->fields[i].value);
        return true;
}

bool sj_http_response_trailer(const sj_http_response *p, const char *name, sj_str *ret)
{
        if (!p->trailer_text)
                return false;
        for (uint32_t i = 0; i < p->body.body.n_trailers; i++)
                if (http1_equal(http1_view(p->trailer_text, p->trailers[i].name),
                                sj_str_of(name))) {
                        *ret = http1_view(p->trailer_text, p->trailers[i].value);
                        return true;
                }
        return false;
}

const sj_http_error *sj_http_response_error(const sj_http_response *p)
{
        return &p->error;
}

/* An error that stays: the connection is of no more use. */
static int fail(sj_http_response *p, sj_http_step step, int code, const char *text)
{
        p->failed = true;
        p->head.keep_alive = false;
        http_response_release(p);
        return http_error_set(&p->error, step, code, "%.*s: %s", SJ_STR_ARG(p->url.authority),
                              text);
}

static int fail_wire(sj_http_response *p, int r)
{
        char limit[HTTP_LIMIT_TEXT];
        http1_reason reason = p->body.body.reason;
        if (r == -ECANCELED)
                return http_error_set(&p->error, SJ_HTTP_STEP_CANCEL, r, "cancelled");
        if (r == -ETIMEDOUT) {
                http_late late = p->conn->wire.late;
                http_error_set(&p->error, SJ_HTTP_STEP_TIME, r,
                               "%.*s: timed out while reading the body (%s)",
                               SJ_STR_ARG(p->url.authority),
                               http_limit_text(&p->limits, late, limit));
                if (late != HTTP_LATE_CALL) {
                        p->failed = true;
                        p->head.keep_alive = false;
                        http_response_release(p);
                }
                return r;
        }
        if (r == -EPROTO && reason == HTTP1_TRUNCATED)
                return fail(p, SJ_HTTP_STEP_RECEIVE, -EPIPE,
                            "the connection was closed in the middle of the body");
        if (r == -EPROTO && reason == HTTP1_TRAILER_TOO_LARGE)
                return fail(p, SJ_HTTP_STEP_LIMIT, -EMSGSIZE, http1_reason_text(reason));
        if (r == -EPROTO && reason != HTTP1_OK)
                return fail(p, SJ_HTTP_STEP_PROTOCOL, r, http1_reason_text(reason));
        return fail(p, SJ_HTTP_STEP_RECEIVE, r, sj_strerror(r));
}

static int fail_decode(sj_http_response *p, int r)
{
        switch (r) {
        case -EMSGSIZE:
                return fail(p, SJ_HTTP_STEP_LIMIT, -EMSGSIZE,
                            "the decoded body is larger than the limit");
        case -E2BIG:
                return fail(p, SJ_HTTP_STEP_LIMIT, -EMSGSIZE,
                            "the body grows more by decoding than the limit allows");
        case -EOPNOTSUPP:
                return fail(p, SJ_HTTP_STEP_DECODE, r,
                            "the body has an encoding that was not asked for");
        case -ENOMEM:
                return fail(p, SJ_HTTP_STEP_DECODE, r, sj_strerror(r));
        default:
                return fail(p, SJ_HTTP_STEP_DECODE, -EBADMSG, "the encoded body is malformed");
        }
}

/* All Content-Encoding fields as one list: more than one coding is refused anyway. */
static int choose_decoder(sj_http_response *p)
{
        sj_str encoding, second;
        p->begun = true;
        if (p->keep_encoding ||
            !http1_head_find(&p->head, SJ_STR("Content-Encoding"), 0, &encoding))
                return 0;
        int r = http_decode_new(encoding, p->session->decoded_max, p->session->ratio_max,
                                &p->decoder);
        if (r == 0 && http1_head_find(&p->head, SJ_STR("Content-Encoding"), 1, &second))
                r = -EOPNOTSUPP;
        return r;
}

/* The end of the body was taken: keeps the trailers, and gives the connection back. */
static int finish(sj_http_response *p)
{
        http1_body *body = &p->body.body;
        if (!p->conn)
                return 0;
        if (body->n_trailers) {
                p->trailer_text = sj_arena_strndup(p->arena, body->trailer_base, body->lines.line);
                if (!p->trailer_text)
                        return fail(p, SJ_HTTP_STEP_RECEIVE, -ENOMEM, sj_strerror(-ENOMEM));
        }
        http_response_release(p);
        return 0;
}

static ssize_t read_decoded(sj_http_response *p, void *ret, size_t n)
{
        for (;;) {
                ssize_t made = http_decode(p->decoder, &p->body.piece, ret, n);
                if (made < 0)
                        return fail_decode(p, (int)made);
                if (made > 0)
                        return made;
                if (http_inflow_done(&p->body)) {
                        int r = http_decode_end(p->decoder);
                        return r < 0 ? fail_decode(p, r) : 0;
                }
                http_inflow_take(&p->body, 0);
                int r = http_inflow_next(&p->body, &p->time);
                if (r < 0)
                        return fail_wire(p, r);
        }
}

static ssize_t read_plain(sj_http_response *p, void *ret, size_t n)
{
        if (http_inflow_done(&p->body))
                return 0;
        ssize_t got = http_inflow_read(&p->body, ret, n, &p->time);
        return got < 0 ? fail_wire(p, (int)got) : got;
}

ssize_t sj_http_response_read(sj_http_response *p, void *ret, size_t n, sj_time deadline)
{
        if (n == 0)
                return -EINVAL;
        if (p->failed)
                return p->error.code;
        if (sj_cancelled())
                return fail_wire(p, -ECANCELED);
        if (!p->begun) {
                int r = choose_decoder(p);
                if (r < 0)
                        return fail_decode(p, r);
        }
        p->time.call = deadline;
        ssize_t got = p->decoder ? read_decoded(p, ret, n) : read_plain(p, ret, n);
        if (got >= 0 && http_inflow_done(&p->body)) {
                int r = finish(p);
                if (r < 0)
                        return r;
        }
        return got;
}

int sj_http_response_read_all(sj_http_response *p, size_t max, sj_str *ret, sj_time deadline)
{
        if (max == 0)
                max = READ_ALL_MAX;
        for (;;) {
                int r = buf_reserve(&p->whole, READ_STEP);
                if (r < 0)
                        return fail(p, SJ_HTTP_STEP_RECEIVE, r, sj_strerror(r));
                ssize_t n = sj_http_response_read(p, buf_tail(&p->whole), buf_room(&p->whole) - 1,
                                                  deadline);
                if (n < 0)
                        return (int)n;
                if (n == 0)
                        break;
                buf_advance(&p->whole, (size_t)n);
                if (buf_size(&p->whole) > max)
                        return fail(p, SJ_HTTP_STEP_LIMIT, -EMSGSIZE,
                                    "the body is larger than was allowed");
        }
        *buf_tail(&p->whole) = '\0';
        *ret = buf_str(&p->whole);
        return 0;
}
