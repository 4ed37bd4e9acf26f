/* SPDX-License-Identifier: MIT */
/*
 *         http                name ──► connect
 *         https               name ──► connect ──► TLS to the target
 *         http by proxy       name and connect of the proxy (──► TLS to it)
 *         https by proxy      name and connect of the proxy (──► TLS to it) ──► CONNECT ──► TLS
 *
 * Each step that fails says so in one sentence, with the host and the port and nothing secret.
 */
#include "http/dial.h"

#include "base/base64.h"
#include "http/wire.h"

#include <stdio.h>

enum { ADDRESSES_MAX = 16, CREDENTIALS_MAX = 1024 };

/* A host, or a host and a port, with its NUL. */
typedef struct host_text {
        char text[URL_HOST_MAX + 16];
} host_text;

static host_text host_of(const struct url *u)
{
        host_text h;
        snprintf(h.text, sizeof(h.text), "%.*s", SJ_STR_ARG(u->host));
        return h;
}

/* host:port, always with the port. */
static host_text place_of(const struct url *u)
{
        host_text h;
        snprintf(h.text, sizeof(h.text), u->ipv6 ? "[%.*s]:%u" : "%.*s:%u", SJ_STR_ARG(u->host),
                 (unsigned)u->port);
        return h;
}

/* The deadline of the dial has passed during that step, or the step has failed with code. */
static int fail(const http_dial *d, sj_http_error *why, sj_http_step step, int code,
                const char *doing, const struct url *whom, const char *reason)
{
        host_text place = place_of(whom);
        if (code == -ETIMEDOUT)
                return http_error_set(why, SJ_HTTP_STEP_TIME, code, "timed out while %s %s (%s)",
                                      doing, place.text, d->limit);
        return http_error_set(why, step, code, "%s %s failed: %s", doing, place.text, reason);
}

static int connect_to(const http_dial *d, const struct url *whom, sj_stream **ret,
                      sj_http_error *why)
{
        sj_address addresses[ADDRESSES_MAX];
        host_text host = host_of(whom);
        int n = sj_resolve(host.text, whom->port, addresses, ADDRESSES_MAX, d->deadline);
        if (n == -ETIMEDOUT || n == -ECANCELED)
                return fail(d, why, SJ_HTTP_STEP_NAME, n, "looking up", whom, "");
        if (n < 0)
                return http_error_set(why, SJ_HTTP_STEP_NAME, n, "%s: %s", host.text,
                                      sj_resolve_strerror(n));
        int r = sj_tcp_connect_any(addresses, (size_t)n, ret, d->deadline);
        if (r < 0)
                return fail(d, why, SJ_HTTP_STEP_CONNECT, r, "connecting to", whom, sj_strerror(r));
        return 0;
}

/* Puts TLS over *stream, or closes it. */
static int secure(const http_dial *d, const struct url *whom, sj_stream **stream,
                  sj_http_error *why)
{
        char reason[SJ_TLS_WHY_MAX] = "";
        host_text host = host_of(whom);
        sj_stream *above;
        int r = sj_tls_connect(d->tls, *stream, host.text, &above, reason, d->deadline);
        if (r < 0) {
                sj_stream_close(*stream);
                *stream = NULL;
                return fail(d, why, SJ_HTTP_STEP_TLS, r, "setting up TLS with", whom,
                            reason[0] ? reason : sj_strerror(r));
        }
        *stream = above;
        return 0;
}

/* A userinfo without a colon is a name with an empty password (RFC 7617 §2). */
int http_dial_put_credentials(buf *out, sj_str userinfo)
{
        char decoded[CREDENTIALS_MAX + 1];
        size_t n;
        if (userinfo.n > CREDENTIALS_MAX)
                return -EINVAL;
        int r = url_percent_decode(userinfo, decoded, &n);
        if (r < 0)
                return r;
        if (!memchr(userinfo.data, ':', userinfo.n))
                decoded[n++] = ':';
        r = buf_reserve(out, sizeof("Basic ") + base64_encoded_size(n));
        if (r < 0)
                return r;
        (void)buf_append_str(out, SJ_STR("Basic "));
        return base64_append_encoded(out, decoded, n);
}

/* host:port, always with the port (RFC 9112 §3.2.3). */
static int put_connect(buf *out, const http_dial *d)
{
        host_text target = place_of(d->target);
        int r = http1_put_request(out, SJ_STR("CONNECT"), sj_str_of(target.text));
        if (r == 0)
                r = http1_put_field(out, SJ_STR("Host"), sj_str_of(target.text));
        if (r == 0 && d->proxy->userinfo.n) {
                buf credentials = BUF_INIT(0);
                r = http_dial_put_credentials(&credentials, d->proxy->userinfo);
                if (r == 0)
                        r = http1_put_field(out, SJ_STR("Proxy-Authorization"),
                                            buf_str(&credentials));
                buf_fini(&credentials);
        }
        return r == 0 ? http1_put_end(out) : r;
}

/* Reads the answers to CONNECT up to the final one. */
static int read_answer(http_wire *w, http1_head *h, http1_field *fields, const http_time *t)
{
        enum { INTERIM_MAX = 8 };
        for (int i = 0; i < INTERIM_MAX; i++) {
                http1_head_init_response(h, fields, HTTP1_FIELDS_MAX, SJ_STR("CONNECT"));
                int r = http_wire_read_head(w, h, t);
                if (r < 0)
                        return r;
                buf_consume(&w->in, h->size);
                if (h->status >= 200)
                        return 0;
        }
        return -EPROTO;
}

static int check_answer(const http_dial *d, const http_wire *w, const http1_head *h,
                        sj_http_error *why)
{
        host_text place = place_of(d->proxy);
        if (h->status / 100 != 2)
                return http_error_set(why, SJ_HTTP_STEP_PROXY, -EACCES,
                                      "the proxy %s refused the connection with status %d",
                                      place.text, h->status);
        /* The target speaks only when it was spoken to: these are somebody else's bytes. */
        if (buf_size(&w->in))
                return http_error_set(why, SJ_HTTP_STEP_PROXY, -EPROTO,
                                      "the proxy %s sent bytes of its own into the tunnel",
                                      place.text);
        return 0;
}

/* Asks the proxy for a tunnel through *stream, or closes it. */
static int tunnel(const http_dial *d, sj_stream **stream, sj_http_error *why)
{
        const http_time t = {d->deadline, SJ_NEVER, SJ_NEVER};
        http1_head h = {0};
        http1_field fields[HTTP1_FIELDS_MAX];
        http_wire w;
        buf out = BUF_INIT(0);
        http_wire_init(&w, *stream);
        int r = put_connect(&out, d);
        if (r == 0)
                r = http_wire_write(&w, buf_str(&out), &t);
        if (r == 0)
                r = read_answer(&w, &h, fields, &t);
        buf_fini(&out);
        if (r < 0)
                r = fail(d, why, SJ_HTTP_STEP_PROXY, r, "asking for a tunnel from the proxy",
                         d->proxy,
                         h.reason != HTTP1_OK ? http1_reason_text(h.reason) : sj_strerror(r));
        else
                r = check_answer(d, &w, &h, why);
        if (r == 0)
                w.stream = NULL;
        else
                *stream = NULL;
        http_wire_fini(&w);
        return r;
}

int http_dial_open(const http_dial *d, sj_stream **ret, sj_http_error *why)
{
        const struct url *whom = d->proxy ? d->proxy : d->target;
        sj_stream *stream = NULL;
        int r = connect_to(d, whom, &stream, why);
        if (r == 0 && d->proxy && d->proxy->https)
                r = secure(d, d->proxy, &stream, why);
        if (r == 0 && d->proxy && d->target->https)
                r = tunnel(d, &stream, why);
        if (r == 0 && d->target->https)
                r = secure(d, d->target, &stream, why);
        if (r == 0)
                *ret = stream;
        return r;
}
