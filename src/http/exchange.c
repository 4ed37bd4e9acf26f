/* SPDX-License-Identifier: MIT */
/*
 * One request and its answer. The answer's states are none, begun, ended; what has gone wrong with
 * the connection is remembered, so that the server knows that it is of no more use.
 */
#include "http/exchange.h"

#include "http/date.h"

#include <stdio.h>

enum { READ_STEP = 4096, JOIN_MOST = 16 * 1024 };

int http_exchange_begin(sj_http_exchange *x, bool may_keep)
{
        buf_clear(&x->head_bytes);
        buf_clear(&x->whole);
        int r = buf_append(&x->head_bytes, x->head.base, x->head.size);
        if (r < 0)
                return r;
        x->head.base = buf_data(&x->head_bytes);
        buf_consume(&x->wire->in, x->head.size);
        http_inflow_init(&x->body, x->wire, &x->head, NULL, 0);
        x->received = 0;
        x->continued = !x->head.expect_continue || x->head.minor == 0;
        x->body_error = x->send_error = 0;
        x->answer = HTTP_ANSWER_NONE;
        x->keep_alive = may_keep && x->head.keep_alive;
        return 0;
}

/* ── The request ─────────────────────────────────────────────────────────────────────────── */

sj_str sj_http_exchange_method(const sj_http_exchange *x)
{
        return http1_view(x->head.base, x->head.method);
}

sj_str sj_http_exchange_target(const sj_http_exchange *x)
{
        return http1_view(x->head.base, x->head.target);
}

/* The target from its path on. */
static sj_str from_path(const sj_http_exchange *x)
{
        sj_str s = sj_http_exchange_target(x);
        if (x->head.form == HTTP1_ORIGIN_FORM)
                return s;
        if (x->head.form != HTTP1_ABSOLUTE_FORM)
                return (sj_str){s.data, 0};
        const char *host = (const char *)memchr(s.data, ':', s.n) + sizeof("://") - 1;
        size_t n = (size_t)(s.data + s.n - host), i = 0;
        while (i < n && host[i] != '/' && host[i] != '?')
                i++;
        return (sj_str){host + i, n - i};
}

sj_str sj_http_exchange_path(const sj_http_exchange *x)
{
        sj_str s = from_path(x);
        const char *mark = s.n ? memchr(s.data, '?', s.n) : NULL;
        sj_str path = {s.data, mark ? (size_t)(mark - s.data) : s.n};
        return path.n == 0 && x->head.form == HTTP1_ABSOLUTE_FORM ? SJ_STR("/") : path;
}

sj_str sj_http_exchange_query(const sj_http_exchange *x)
{
        sj_str s = from_path(x);
        const char *mark = s.n ? memchr(s.data, '?', s.n) : NULL;
        if (!mark)
                return SJ_STR("");
        return (sj_str){mark + 1, (size_t)(s.data + s.n - mark) - 1};
}

bool sj_http_exchange_header(const sj_http_exchange *x, const char *name, sj_str *ret)
{
        return http1_head_find(&x->head, sj_str_of(name), 0, ret);
}

bool sj_http_exchange_header_at(const sj_http_exchange *x, size_t i, sj_str *ret_name,
                                sj_str *ret_value)
{
        if (i >= x->head.n_fields)
                return false;
        *ret_name = http1_view(x->head.base, x->fields[i].name);
        *ret_value = http1_view(x->head.base, x->fields[i].value);
        return true;
}

static http_time time_of(const sj_http_exchange *x, sj_time deadline)
{
        return (http_time){deadline, SJ_NEVER, x->options->idle_limit};
}

/* Tells the client that its body is wanted, when it waits for that. */
static int send_continue(sj_http_exchange *x, const http_time *t)
{
        if (x->continued || x->body.ended || x->answer != HTTP_ANSWER_NONE)
                return 0;
        x->continued = true;
        if (buf_size(&x->wire->in))
                return 0;
        return http_wire_write(x->wire, SJ_STR("HTTP/1.1 100 Continue\r\n\r\n"), t);
}

/* An error that stays, unless it is the caller's own time. */
static int fail_read(sj_http_exchange *x, int r)
{
        bool passing = r == -ECANCELED || (r == -ETIMEDOUT && x->wire->late == HTTP_LATE_CALL);
        if (!passing) {
                x->body_error = r;
                x->keep_alive = false;
        }
        return r;
}

ssize_t sj_http_exchange_read(sj_http_exchange *x, void *ret, size_t n, sj_time deadline)
{
        if (n == 0)
                return -EINVAL;
        if (sj_cancelled())
                return -ECANCELED;
        if (x->body_error)
                return x->body_error;
        if (http_inflow_done(&x->body))
                return 0;
        const http_time t = time_of(x, deadline);
        int r = send_continue(x, &t);
        if (r < 0)
                return fail_read(x, r);
        ssize_t got = http_inflow_read(&x->body, ret, n, &t);
        if (got < 0)
                return fail_read(x, (int)got);
        x->received += (uint64_t)got;
        if (x->received > x->options->body_max)
                return fail_read(x, -EMSGSIZE);
        return got;
}

int sj_http_exchange_read_all(sj_http_exchange *x, sj_str *ret, sj_time deadline)
{
        for (;;) {
                int r = buf_reserve(&x->whole, READ_STEP);
                if (r < 0)
                        return r;
                ssize_t n = sj_http_exchange_read(x, buf_tail(&x->whole), buf_room(&x->whole) - 1,
                                                  deadline);
                if (n < 0)
                        return (int)n;
                if (n == 0)
                        break;
                buf_advance(&x->whole, (size_t)n);
        }
        *buf_tail(&x->whole) = '\0';
        *ret = buf_str(&x->whole);
        return 0;
}

/* ── The answer ──────────────────────────────────────────────────────────────────────────── */

static bool is_ours(sj_str name)
{
        static const sj_str ours[] = {
                {"content-length", 14}, {"transfer-encoding", 17},
                {"connection", 10},     {"date", 4},
                {"keep-alive", 10},     {"trailer", 7},
                {"upgrade", 7},
        };
        for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
                if (http1_equal(name, ours[i]))
                        return true;
        return false;
}

static int put_headers(buf *out, const sj_http_header headers[], size_t n)
{
        int r = 0;
        for (size_t i = 0; i < n && r == 0; i++) {
                sj_str name = sj_str_of(headers[i].name);
                r = is_ours(name) ? -EINVAL
                                  : http1_put_field(out, name, sj_str_of(headers[i].value));
        }
        return r;
}

static int put_date(buf *out)
{
        char date[HTTP_DATE_LENGTH + 1];
        if (http_date_format(sj_wall_now(), date) < 0)
                return 0; /* a clock that is out of this world: better none */
        return http1_put_field(out, SJ_STR("Date"), (sj_str){date, HTTP_DATE_LENGTH});
}

/* How the answer's body is framed (RFC 9112 §6), which also says whether the connection stays. */
static int put_framing(sj_http_exchange *x, int status, uint64_t size)
{
        bool none = status == 204 || status == 304;
        x->bare = none || sj_str_equal(sj_http_exchange_method(x), SJ_STR("HEAD"));
        x->left = size;
        x->chunked = size == SJ_HTTP_UNKNOWN_SIZE && x->head.minor > 0 && !none;
        x->until_close = size == SJ_HTTP_UNKNOWN_SIZE && !x->chunked && !x->bare;
        if (x->until_close)
                x->keep_alive = false;
        if (none)
                return 0;
        if (x->chunked)
                return http1_put_field(&x->out, SJ_STR("Transfer-Encoding"), SJ_STR("chunked"));
        if (size == SJ_HTTP_UNKNOWN_SIZE)
                return 0;
        return http1_put_field_number(&x->out, SJ_STR("Content-Length"), size);
}

static int put_connection(sj_http_exchange *x)
{
        if (!x->keep_alive)
                return http1_put_field(&x->out, SJ_STR("Connection"), SJ_STR("close"));
        if (x->head.minor == 0)
                return http1_put_field(&x->out, SJ_STR("Connection"), SJ_STR("keep-alive"));
        return 0;
}

static int put_head(sj_http_exchange *x, int status, const sj_http_header headers[], size_t n,
                    uint64_t size)
{
        buf_clear(&x->out);
        int r = http1_put_status(&x->out, status, SJ_STR(""));
        if (r == 0)
                r = put_date(&x->out);
        if (r == 0 && x->options->server)
                r = http1_put_field(&x->out, SJ_STR("Server"), sj_str_of(x->options->server));
        if (r == 0)
                r = put_headers(&x->out, headers, n);
        if (r == 0)
                r = put_framing(x, status, size);
        if (r == 0)
                r = put_connection(x);
        return r == 0 ? http1_put_end(&x->out) : r;
}

static int push(sj_http_exchange *x, sj_str first, sj_str second, sj_time deadline)
{
        const http_time t = time_of(x, deadline);
        if (x->send_error)
                return x->send_error;
        int r = http_wire_write_two(x->wire, first, second, &t);
        if (r < 0) {
                x->send_error = r;
                x->keep_alive = false;
        }
        return r;
}

static int begin(sj_http_exchange *x, int status, const sj_http_header headers[], size_t n_headers,
                 uint64_t size)
{
        if (x->answer != HTTP_ANSWER_NONE || status < 200 || status > 999)
                return -EINVAL;
        bool keep_alive = x->keep_alive;
        int r = put_head(x, status, headers, n_headers, size);
        if (r < 0) {
                x->keep_alive = keep_alive;
                return r;
        }
        x->answer = HTTP_ANSWER_BEGUN;
        return 0;
}

int sj_http_respond(sj_http_exchange *x, int status, const sj_http_header headers[],
                    size_t n_headers, sj_str body, sj_time deadline)
{
        if (sj_cancelled())
                return -ECANCELED;
        /* What was not read of the request and is not here yet would come before the next one. */
        if (x->answer == HTTP_ANSWER_NONE && !x->body_error && !http_inflow_skip(&x->body))
                x->keep_alive = false;
        int r = begin(x, status, headers, n_headers, body.n);
        if (r < 0)
                return r;
        x->answer = HTTP_ANSWER_ENDED;
        return push(x, buf_str(&x->out), x->bare ? SJ_STR("") : body, deadline);
}

int sj_http_respond_begin(sj_http_exchange *x, int status, const sj_http_header headers[],
                          size_t n_headers, uint64_t size, sj_time deadline)
{
        if (sj_cancelled())
                return -ECANCELED;
        int r = begin(x, status, headers, n_headers, size);
        return r < 0 ? r : push(x, buf_str(&x->out), SJ_STR(""), deadline);
}

/* A small chunk goes out in one piece with what is around it. */
static int push_chunk(sj_http_exchange *x, sj_str data, sj_time deadline)
{
        int r = http1_put_chunk(&x->out, data.n);
        if (r == 0 && data.n <= JOIN_MOST) {
                r = buf_append_str(&x->out, data);
                data.n = 0;
                if (r == 0)
                        r = http1_put_chunk_end(&x->out);
                return r == 0 ? push(x, buf_str(&x->out), data, deadline) : r;
        }
        if (r == 0)
                r = push(x, buf_str(&x->out), data, deadline);
        return r == 0 ? push(x, SJ_STR("\r\n"), SJ_STR(""), deadline) : r;
}

int sj_http_respond_write(sj_http_exchange *x, const void *data, size_t n, sj_time deadline)
{
        bool counted = !x->chunked && !x->until_close && !x->bare;
        if (sj_cancelled())
                return -ECANCELED;
        if (x->answer != HTTP_ANSWER_BEGUN || (counted && n > x->left))
                return -EINVAL;
        if (n == 0 || x->bare)
                return x->send_error;
        buf_clear(&x->out);
        if (counted)
                x->left -= n;
        if (!x->chunked)
                return push(x, (sj_str){data, n}, SJ_STR(""), deadline);
        return push_chunk(x, (sj_str){data, n}, deadline);
}

int sj_http_respond_end(sj_http_exchange *x, sj_time deadline)
{
        bool counted = !x->chunked && !x->until_close && !x->bare;
        if (sj_cancelled())
                return -ECANCELED;
        if (x->answer != HTTP_ANSWER_BEGUN || (counted && x->left))
                return -EINVAL;
        int r = x->send_error;
        if (r == 0 && x->chunked && !x->bare)
                r = push(x, SJ_STR("0\r\n\r\n"), SJ_STR(""), deadline);
        if (r == 0)
                x->answer = HTTP_ANSWER_ENDED;
        return r;
}

int http_exchange_refuse(sj_http_exchange *x, int status, const char *text)
{
        char line[256];
        static const sj_http_header type = {"Content-Type", "text/plain; charset=utf-8"};
        int n = snprintf(line, sizeof(line), "%d %s: %s\n", status, http1_status_phrase(status),
                         text);
        size_t size = n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1;
        return sj_http_respond(x, status, &type, 1, (sj_str){line, size}, SJ_NEVER);
}
