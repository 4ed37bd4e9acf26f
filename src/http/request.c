/* SPDX-License-Identifier: MIT */
#include "http/request.h"

#include "http/decode.h"
#include "http/dial.h"
#include "http/redirect.h"

enum {
        SOURCE_MOST = 16 * 1024,
        ALONE_MOST = 16 * 1024, /* a body that the network takes whether anybody reads it or not */
};

static bool is_ours(sj_str name)
{
        static const sj_str ours[] = {
                {"host", 4},    {"connection", 10},        {"content-length", 14},
                {"upgrade", 7}, {"transfer-encoding", 17}, {"te", 2},
                {"trailer", 7}, {"keep-alive", 10},        {"proxy-connection", 16},
        };
        for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
                if (http1_equal(name, ours[i]))
                        return true;
        return false;
}

int http_request_check(const sj_http_request *request, sj_http_error *why)
{
        sj_str method = sj_str_of(request->method ? request->method : "GET");
        if (!http1_is_token(method) || sj_str_equal(method, SJ_STR("CONNECT")))
                return http_error_set(why, SJ_HTTP_STEP_REQUEST, -EINVAL,
                                      "the method is not usable");
        if (!request->url)
                return http_error_set(why, SJ_HTTP_STEP_REQUEST, -EINVAL, "there is no URL");
        if (request->total_limit < 0 || request->connect_limit < 0 || request->idle_limit < 0)
                return http_error_set(why, SJ_HTTP_STEP_REQUEST, -EINVAL,
                                      "a time limit is negative");
        for (size_t i = 0; i < request->n_headers; i++) {
                sj_str name = sj_str_of(request->headers[i].name);
                if (!http1_is_token(name) || is_ours(name))
                        return http_error_set(why, SJ_HTTP_STEP_REQUEST, -EINVAL,
                                              "header %zu has a name that is not usable", i + 1);
                if (!http1_is_value(sj_str_of(request->headers[i].value)))
                        return http_error_set(why, SJ_HTTP_STEP_REQUEST, -EINVAL,
                                              "the value of header %.*s is malformed",
                                              SJ_STR_ARG(name));
        }
        return 0;
}

static bool has_header(const sj_http_header headers[], size_t n, sj_str name)
{
        for (size_t i = 0; i < n; i++)
                if (http1_equal(sj_str_of(headers[i].name), name))
                        return true;
        return false;
}

static bool is_given(const http_job *job, sj_str name)
{
        const sj_http_session *s = job->session;
        return has_header(job->request->headers, job->request->n_headers, name) ||
               has_header(s->headers, s->n_headers, name);
}

static bool stays_behind(const http_job *job, sj_str name)
{
        bool lost_body = !job->with_body && job->redirects > 0 &&
                         (job->request->body.n || job->request->source);
        return (job->elsewhere && http_redirect_drops_elsewhere(name)) ||
               (lost_body && http_redirect_drops_with_body(name));
}

/* Those of the session that the request does not have, and those of the request. */
static int put_given(buf *out, const http_job *job)
{
        const sj_http_session *s = job->session;
        const sj_http_request *q = job->request;
        int r = 0;
        for (size_t i = 0; i < s->n_headers && r == 0; i++) {
                sj_str name = sj_str_of(s->headers[i].name);
                if (!has_header(q->headers, q->n_headers, name) && !stays_behind(job, name))
                        r = http1_put_field(out, name, sj_str_of(s->headers[i].value));
        }
        for (size_t i = 0; i < q->n_headers && r == 0; i++) {
                sj_str name = sj_str_of(q->headers[i].name);
                if (!stays_behind(job, name))
                        r = http1_put_field(out, name, sj_str_of(q->headers[i].value));
        }
        return r;
}

static int put_unless_given(buf *out, const http_job *job, sj_str name, sj_str value)
{
        if (value.n == 0 || is_given(job, name))
                return 0;
        return http1_put_field(out, name, value);
}

static int put_credentials(buf *out, sj_str name, sj_str userinfo)
{
        buf value = BUF_INIT(0);
        int r = http_dial_put_credentials(&value, userinfo);
        if (r == 0)
                r = http1_put_field(out, name, buf_str(&value));
        buf_fini(&value);
        return r;
}

/* How the body is framed; nothing for a request that usually has none. */
static int put_framing(buf *out, const http_job *job)
{
        const sj_http_request *q = job->request;
        if (job->with_body && q->source && q->source_size == 0)
                return http1_put_field(out, SJ_STR("Transfer-Encoding"), SJ_STR("chunked"));
        uint64_t n = 0;
        if (job->with_body)
                n = q->source ? q->source_size : q->body.n;
        bool expected = sj_str_equal(job->method, SJ_STR("POST")) ||
                        sj_str_equal(job->method, SJ_STR("PUT")) ||
                        sj_str_equal(job->method, SJ_STR("PATCH"));
        return n || expected ? http1_put_field_number(out, SJ_STR("Content-Length"), n) : 0;
}

int http_request_put(buf *out, const http_job *job)
{
        bool by_proxy = job->proxy && !job->url.https;
        sj_str encodings = sj_str_of(job->request->keep_encoding ? "" : http_decode_accepted());
        int r = http1_put_request(out, job->method, by_proxy ? job->url.text : job->url.target);
        if (r == 0)
                r = http1_put_field(out, SJ_STR("Host"), job->url.authority);
        if (r == 0)
                r = put_unless_given(out, job, SJ_STR("User-Agent"),
                                     sj_str_of(job->session->user_agent));
        if (r == 0)
                r = put_unless_given(out, job, SJ_STR("Accept"), SJ_STR("*/*"));
        if (r == 0)
                r = put_unless_given(out, job, SJ_STR("Accept-Encoding"), encodings);
        if (r == 0)
                r = put_given(out, job);
        if (r == 0 && job->userinfo.n && !job->elsewhere && !is_given(job, SJ_STR("Authorization")))
                r = put_credentials(out, SJ_STR("Authorization"), job->userinfo);
        if (r == 0 && by_proxy && job->proxy->userinfo.n)
                r = put_credentials(out, SJ_STR("Proxy-Authorization"), job->proxy->userinfo);
        if (r == 0)
                r = put_framing(out, job);
        return r == 0 ? http1_put_end(out) : r;
}

bool http_request_repeatable(const http_job *job)
{
        static const sj_str idempotent[] = {{"GET", 3},    {"HEAD", 4},    {"PUT", 3},
                                            {"DELETE", 6}, {"OPTIONS", 7}, {"TRACE", 5}};
        if (job->body_begun)
                return false;
        for (size_t i = 0; i < sizeof(idempotent) / sizeof(idempotent[0]); i++)
                if (sj_str_equal(job->method, idempotent[i]))
                        return true;
        return false;
}

/* One piece of the source, framed, in out; 0 at its end, after which out holds what closes it. */
static ssize_t next_piece(const http_job *job, buf *out, uint64_t left)
{
        const sj_http_request *q = job->request;
        bool chunked = q->source_size == 0;
        char data[SOURCE_MOST];
        size_t most = chunked || left > sizeof(data) ? sizeof(data) : (size_t)left;
        ssize_t n = 0;
        if (most)
                n = q->source(q->source_arg, data, most, job->time.call);
        if (n < 0)
                return n;
        if ((size_t)n > most || (n == 0 && !chunked && left))
                return -EINVAL;
        buf_clear(out);
        int r = 0;
        if (chunked && n)
                r = http1_put_chunk(out, (uint64_t)n);
        else if (chunked)
                r = http1_put_last_chunk(out);
        if (r == 0)
                r = buf_append(out, data, (size_t)n);
        if (r == 0 && chunked)
                r = http1_put_chunk_end(out);
        return r < 0 ? r : n;
}

static int send_source(http_wire *w, http_job *job, bool *ret_source_failed)
{
        buf out = BUF_INIT(0);
        uint64_t left = job->request->source_size;
        ssize_t n;
        int r;
        job->body_begun = true;
        do {
                n = next_piece(job, &out, left);
                *ret_source_failed = n < 0;
                r = n < 0 ? (int)n : http_wire_write(w, buf_str(&out), &job->time);
                left -= n > 0 && left ? (uint64_t)n : 0;
        } while (r == 0 && n > 0);
        buf_fini(&out);
        return r;
}

/* ── Watching for an answer meanwhile ────────────────────────────────────────────────────── */

/*
 * A server may answer before it has read all of a body: to refuse it, or because it answers as it
 * reads. So while a body that may not fit into the network is sent, a fiber reads; a refusal ends
 * the sending. It reads as much as the wire may hold, which is what a server can say at most
 * before it has read all.
 */
typedef struct watch {
        http_wire *wire;
        const http_job *job;
        sj_scope *sending; /* NULL when that has ended */
        bool refused;
} watch;

/* Whether what came begins with a final answer that is no success (RFC 9112 §9.5). */
static bool is_refusal(const watch *t)
{
        http1_head h;
        http1_field fields[HTTP1_FIELDS_MAX];
        sj_str in = buf_str(&t->wire->in);
        do {
                http1_head_init_response(&h, fields, HTTP1_FIELDS_MAX, t->job->method);
                if (in.n == 0 || http1_head_parse(&h, in.data, in.n) != HTTP1_DONE)
                        return false;
                in = (sj_str){in.data + h.size, in.n - h.size};
        } while (h.status < 200);
        return h.status >= 300;
}

static int watch_answer(void *arg)
{
        const http_time any = {SJ_NEVER, SJ_NEVER, SJ_NEVER};
        watch *t = arg;
        while (http_wire_fill(t->wire, &any) > 0)
                if (is_refusal(t)) {
                        t->refused = true;
                        if (t->sending)
                                sj_scope_cancel(t->sending);
                        break;
                }
        return 0; /* an end or an error comes out where the answer is read */
}

static int send_watched(http_wire *w, sj_str head, sj_str body, http_job *job,
                        bool *ret_source_failed)
{
        watch t = {.wire = w, .job = job};
        SJ_SCOPE(watching, SJ_NEVER, SJ_COLLECT);
        int r = sj_spawn(watching, watch_answer, &t, NULL);
        if (r < 0)
                return r;
        {
                SJ_SCOPE(sending, SJ_NEVER, 0);
                t.sending = sending;
                r = http_wire_write_two(w, head, body, &job->time);
                if (r == 0 && job->request->source)
                        r = send_source(w, job, ret_source_failed);
                t.sending = NULL;
        }
        if (!t.refused)
                return r;
        *ret_source_failed = false;
        return -EPIPE;
}

int http_request_send(http_wire *w, sj_str head, http_job *job, bool *ret_source_failed)
{
        const sj_http_request *q = job->request;
        *ret_source_failed = false;
        sj_str body = job->with_body && !q->source ? q->body : (sj_str){NULL, 0};
        if (body.n > ALONE_MOST || (job->with_body && q->source))
                return send_watched(w, head, body, job, ret_source_failed);
        return http_wire_write_two(w, head, body, &job->time);
}
