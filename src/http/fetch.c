/* SPDX-License-Identifier: MIT */
/*
 * One fetch: a row of requests, each the redirect of the one before.
 *
 *         check ──► parse the URL ──► ┌─► attempt ──► redirect? ──no──► the response
 *                                     └───── follow ◄─────┘yes
 *
 * An attempt takes a connection from the pool, makes it if it is yet to be made, sends, and reads
 * the head of the answer. It is repeated once, on a new connection, when a kept one turned out to
 * be dead. Whatever fails, the connection is dropped there and then.
 */
#include "http/dial.h"
#include "http/redirect.h"
#include "http/request.h"
#include "http/response.h"

#include <stdio.h>

enum { INTERIM_MAX = 16 };

static sj_time least(sj_time a, sj_time b)
{
        return a < b ? a : b;
}

/* The call, the total or the idle limit has passed. */
static int fail_late(const http_job *job, http_late late, const char *doing)
{
        char limit[HTTP_LIMIT_TEXT];
        return http_error_set(job->why, SJ_HTTP_STEP_TIME, -ETIMEDOUT,
                              "timed out while %s %.*s (%s)", doing, SJ_STR_ARG(job->url.authority),
                              http_limit_text(&job->limits, late, limit));
}

/* ── Taking and making a connection ──────────────────────────────────────────────────────── */

/* What makes connections the same: scheme, host, port and the way there. */
static int put_key(buf *out, const http_job *job)
{
        int r = buf_append_str(out, job->url.https ? SJ_STR("https://") : SJ_STR("http://"));
        if (r == 0)
                r = buf_append_str(out, job->url.authority);
        if (r == 0 && job->proxy)
                r = buf_append_str(out, SJ_STR(" "));
        return r == 0 && job->proxy ? buf_append_str(out, job->proxy->text) : r;
}

static int dial(const http_job *job, sj_stream **ret)
{
        char limit[HTTP_LIMIT_TEXT];
        http_dial d = {.target = &job->url, .proxy = job->proxy};
        if (job->url.https || (job->proxy && job->proxy->https)) {
                int r = http_session_tls(job->session, &d.tls, job->why);
                if (r < 0)
                        return r;
        }
        sj_time connect =
                job->limits.connect == SJ_NEVER ? SJ_NEVER : sj_after(job->limits.connect);
        d.deadline = least(connect, least(job->time.call, job->time.total));
        if (d.deadline == connect) {
                snprintf(limit, sizeof(limit), "the connect limit of %g s",
                         (double)job->limits.connect / (double)SJ_SEC);
                d.limit = limit;
        } else {
                http_late late =
                        job->time.call <= job->time.total ? HTTP_LATE_CALL : HTTP_LATE_TOTAL;
                d.limit = http_limit_text(&job->limits, late, limit);
        }
        return http_dial_open(&d, ret, job->why);
}

static int connect_slot(const http_job *job, http_conn *c)
{
        sj_stream *stream;
        int r = dial(job, &stream);
        if (r == 0)
                http_wire_init(&c->wire, stream);
        return r;
}

static int take(const http_job *job, bool fresh, http_conn **ret)
{
        http_conn *c;
        buf key = BUF_INIT(0);
        sj_time deadline = least(job->time.call, job->time.total);
        int r = put_key(&key, job);
        if (r == 0)
                r = http_pool_take(&job->session->pool, buf_str(&key), fresh, &c, deadline);
        buf_fini(&key);
        if (r == -ETIMEDOUT)
                return fail_late(job, deadline == job->time.call ? HTTP_LATE_CALL : HTTP_LATE_TOTAL,
                                 "waiting for a connection to");
        if (r < 0)
                return http_error_set(job->why, SJ_HTTP_STEP_CONNECT, r, "%s", sj_strerror(r));
        if (!c->wire.stream) {
                r = connect_slot(job, c);
                if (r < 0) {
                        http_pool_drop(&job->session->pool, c);
                        return r;
                }
        }
        *ret = c;
        return 0;
}

/* ── Sending, and reading the head ───────────────────────────────────────────────────────── */

static int fail_send(const http_job *job, const http_wire *w, int r, bool source_failed)
{
        if (source_failed)
                return http_error_set(job->why, SJ_HTTP_STEP_SEND, r,
                                      "the source of the body failed: %s", sj_strerror(r));
        if (r == -ETIMEDOUT)
                return fail_late(job, w->late, "sending to");
        return http_error_set(job->why, SJ_HTTP_STEP_SEND, r, "sending to %.*s failed: %s",
                              SJ_STR_ARG(job->url.authority), sj_strerror(r));
}

static int fail_head(const http_job *job, const http_wire *w, const http1_head *h, int r)
{
        sj_str whom = job->url.authority;
        bool limit = h->reason == HTTP1_HEAD_TOO_LARGE || h->reason == HTTP1_TOO_MANY_FIELDS ||
                     h->reason == HTTP1_LINE_TOO_LONG;
        if (r == -ETIMEDOUT)
                return fail_late(job, w->late, "waiting for the answer of");
        if (h->reason != HTTP1_OK)
                return http_error_set(job->why, limit ? SJ_HTTP_STEP_LIMIT : SJ_HTTP_STEP_PROTOCOL,
                                      limit ? -EMSGSIZE : -EPROTO,
                                      "the answer of %.*s is not acceptable: %s", SJ_STR_ARG(whom),
                                      http1_reason_text(h->reason));
        if (r == -EPIPE || r == -ECONNABORTED)
                return http_error_set(job->why, SJ_HTTP_STEP_RECEIVE, -EPIPE,
                                      "%.*s closed the connection %s", SJ_STR_ARG(whom),
                                      r == -EPIPE ? "without an answer"
                                                  : "in the middle of its answer");
        return http_error_set(job->why, SJ_HTTP_STEP_RECEIVE, r, "receiving from %.*s failed: %s",
                              SJ_STR_ARG(whom), sj_strerror(r));
}

/* Reads the final head; interim ones (RFC 9110 §15.2) are passed over. */
static int read_head(const http_job *job, http_wire *w, sj_http_response *p)
{
        for (int i = 0; i < INTERIM_MAX; i++) {
                http1_head_init_response(&p->head, p->fields, HTTP1_FIELDS_MAX, job->method);
                int r = http_wire_read_head(w, &p->head, &job->time);
                if (r < 0)
                        return r;
                if (p->head.status >= 200)
                        return 0;
                if (p->head.status == 101)
                        break;
                buf_consume(&w->in, p->head.size);
        }
        p->head.reason = HTTP1_BAD_STATUS_LINE;
        return -EPROTO;
}

/* Whether a failure means that a kept connection had died before it was used. */
static bool is_stale(const http_job *job, const http_conn *c, const sj_http_response *p, int r)
{
        bool gone = r == -EPIPE || r == -ECONNRESET || (r == -EPROTO && p->head.reason == HTTP1_OK);
        return gone && c->kept && buf_size(&c->wire.in) == 0 && http_request_repeatable(job);
}

static bool is_gone(int r)
{
        return r == -EPIPE || r == -ECONNRESET;
}

/*
 * Sends and reads the head. A server may answer before it has read all, and close: what it said
 * then tells more than that it went away.
 */
static int converse(http_job *job, http_conn *c, sj_str head, sj_http_response *p, bool *ret_stale)
{
        bool source_failed;
        p->head.reason = HTTP1_OK;
        int sent = http_request_send(&c->wire, head, job, &source_failed);
        *ret_stale = false;
        if (sent < 0 && (source_failed || !is_gone(sent)))
                return fail_send(job, &c->wire, sent, source_failed);
        int r = read_head(job, &c->wire, p);
        if (r == 0) {
                p->head.keep_alive &= sent == 0;
                return 0;
        }
        *ret_stale = is_stale(job, c, p, sent < 0 ? sent : r);
        if (sent < 0 && buf_size(&c->wire.in) == 0)
                return fail_send(job, &c->wire, sent, false);
        return fail_head(job, &c->wire, &p->head, r);
}

static int attempt(http_job *job, sj_str head, sj_http_response *p, bool fresh, bool *ret_stale)
{
        http_conn *c = NULL;
        *ret_stale = false;
        int r = take(job, fresh, &c);
        if (r < 0)
                return r;
        r = converse(job, c, head, p, ret_stale);
        if (r == 0) {
                r = http_response_begin(p, c);
                if (r < 0)
                        http_error_set(job->why, SJ_HTTP_STEP_RECEIVE, r, "%s", sj_strerror(r));
        }
        if (r < 0)
                http_pool_drop(&job->session->pool, c);
        return r;
}

static int request_once(http_job *job, sj_http_response *p)
{
        bool stale;
        buf head = BUF_INIT(0);
        job->proxy = http_proxy_pick(&job->session->proxies, &job->url);
        int r = http_request_put(&head, job);
        if (r < 0) {
                http_error_set(job->why, SJ_HTTP_STEP_REQUEST, r, "the request is not usable: %s",
                               sj_strerror(r));
        } else {
                r = attempt(job, buf_str(&head), p, false, &stale);
                if (r < 0 && stale)
                        r = attempt(job, buf_str(&head), p, true, &stale);
        }
        buf_fini(&head);
        return r;
}

/* ── Redirects ───────────────────────────────────────────────────────────────────────────── */

static int refuse_redirect(const http_job *job, int code, const char *text)
{
        return http_error_set(job->why, SJ_HTTP_STEP_REDIRECT, code, "%.*s: %s",
                              SJ_STR_ARG(job->url.authority), text);
}

/* Makes of the job the request that the response points to. */
static int follow(http_job *job, sj_http_response *p, sj_str location)
{
        struct url next;
        sj_str second;
        if (http1_head_find(&p->head, SJ_STR("Location"), 1, &second))
                return refuse_redirect(job, -EPROTO, "a redirect to two places at once");
        if (job->redirects >= job->session->redirects)
                return refuse_redirect(job, -ELOOP, "more redirects than the limit");
        url_error error = url_resolve(job->arena, &job->url, location, &next);
        if (error != URL_OK)
                return refuse_redirect(job, error == URL_NO_MEMORY ? -ENOMEM : -EPROTO,
                                       url_error_text(error));
        if (job->url.https && !next.https && !job->session->allow_downgrade)
                return refuse_redirect(job, -EACCES, "a redirect from https to http");
        sj_str method = http_redirect_method(p->head.status, job->method);
        if (!sj_str_equal(method, job->method))
                job->with_body = false;
        if (job->with_body && job->body_begun)
                return refuse_redirect(job, -EACCES,
                                       "a redirect of a body that cannot be sent again");
        if (!url_same_origin(&job->url, &next))
                job->elsewhere = true;
        job->method = method;
        job->url = next;
        job->redirects++;
        return 0;
}

/* Ends what came of the last response, so that p can take the next one. */
static void reset(sj_http_response *p)
{
        http_response_release(p);
        p->body = (http_inflow){0};
}

static int run(http_job *job, sj_http_response *p)
{
        for (;;) {
                sj_str location;
                int r = request_once(job, p);
                if (r < 0)
                        return r;
                if (job->request->keep_redirects || !http_redirect_is(p->head.status) ||
                    !http1_head_find(&p->head, SJ_STR("Location"), 0, &location))
                        return 0;
                r = follow(job, p, location);
                reset(p);
                if (r < 0)
                        return r;
        }
}

/* ── The call ────────────────────────────────────────────────────────────────────────────── */

static sj_time or_usual(sj_time given, sj_time usual)
{
        return given ? given : usual;
}

static int begin(http_job *job, sj_time deadline)
{
        const sj_http_request *q = job->request;
        const http_limits *usual = &job->session->limits;
        url_error error = url_parse(job->arena, sj_str_of(q->url), &job->url);
        if (error != URL_OK)
                return http_error_set(job->why, SJ_HTTP_STEP_REQUEST,
                                      error == URL_NO_MEMORY ? -ENOMEM : -EINVAL, "%s",
                                      url_error_text(error));
        job->userinfo = job->url.userinfo;
        job->method = sj_str_of(q->method ? q->method : "GET");
        job->with_body = q->source || q->body.n;
        job->limits = (http_limits){or_usual(q->total_limit, usual->total),
                                    or_usual(q->connect_limit, usual->connect),
                                    or_usual(q->idle_limit, usual->idle)};
        sj_time total = job->limits.total == SJ_NEVER ? SJ_NEVER : sj_after(job->limits.total);
        job->time = (http_time){deadline, total, job->limits.idle};
        return 0;
}

static void hand_over(const http_job *job, sj_http_response *p)
{
        p->url = job->url;
        p->redirects = job->redirects;
        p->limits = job->limits;
        p->time = job->time;
        p->keep_encoding = job->request->keep_encoding;
}

int sj_http_fetch(sj_http_session *session, const sj_http_request *request, sj_http_response **ret,
                  sj_http_error *why, sj_time deadline)
{
        http_job job = {.session = session, .request = request, .why = why};
        sj_http_response *p;
        int r = http_request_check(request, why);
        if (r < 0)
                return r;
        if (sj_cancelled())
                return http_error_set(why, SJ_HTTP_STEP_CANCEL, -ECANCELED, "cancelled");
        r = sj_arena_new(&job.arena);
        if (r == 0)
                r = http_response_new(session, job.arena, &p);
        if (r < 0) {
                sj_arena_free(job.arena);
                return http_error_set(why, SJ_HTTP_STEP_REQUEST, r, "%s", sj_strerror(r));
        }
        r = begin(&job, deadline);
        if (r == 0)
                r = run(&job, p);
        if (r < 0) {
                sj_http_response_free(p);
                return r;
        }
        hand_over(&job, p);
        *ret = p;
        return 0;
}

int sj_http_get(sj_http_session *session, const char *url, sj_http_response **ret,
                sj_http_error *why, sj_time deadline)
{
        const sj_http_request request = {.method = "GET", .url = url};
        return sj_http_fetch(session, &request, ret, why, deadline);
}

int sj_http_head(sj_http_session *session, const char *url, sj_http_response **ret,
                 sj_http_error *why, sj_time deadline)
{
        const sj_http_request request = {.method = "HEAD", .url = url};
        return sj_http_fetch(session, &request, ret, why, deadline);
}

int sj_http_post(sj_http_session *session, const char *url, const char *content_type, sj_str body,
                 sj_http_response **ret, sj_http_error *why, sj_time deadline)
{
        const sj_http_header type = {"Content-Type", content_type};
        const sj_http_request request = {
                .method = "POST", .url = url, .headers = &type, .n_headers = 1, .body = body};
        return sj_http_fetch(session, &request, ret, why, deadline);
}
