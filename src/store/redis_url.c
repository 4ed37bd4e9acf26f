/* SPDX-License-Identifier: MIT */
/*
 *         scheme://user:password@host:port/db?name=value&...
 *         scheme:///path?...                                     of a Unix socket
 *         sentinel://user:password@host:port/db;sentinel://host:port;...
 *
 * A password often holds what should have been percent-encoded: as kombu does, the userinfo ends
 * at the last '@' before the path, and the user at the first ':'. Parameters that are not known
 * are passed over, since kombu's urls carry those of its own transport.
 */
#include "store/redis_url.h"

#include "codec/url.h"

#include <stdio.h>

typedef struct reading {
        sj_arena *arena;
        redis_url *url;
        const char *why;
} reading;

static int wrong(reading *r, const char *why)
{
        r->why = why;
        return -EINVAL;
}

static bool skip(sj_str *s, const char *prefix)
{
        size_t n = strlen(prefix);
        if (s->n < n || memcmp(s->data, prefix, n) != 0)
                return false;
        s->data += n;
        s->n -= n;
        return true;
}

/* What is before the first c, taken off with it; all when there is none. */
static sj_str cut(sj_str *s, char c)
{
        const char *at = s->n ? memchr(s->data, c, s->n) : NULL;
        sj_str head = {s->data, at ? (size_t)(at - s->data) : s->n};
        size_t taken = head.n + (at ? 1 : 0);
        s->data += taken;
        s->n -= taken;
        return head;
}

/* Without its percent-encoding; NULL when it is empty. */
static int decode(reading *r, sj_str text, const char **ret)
{
        if (text.n == 0) {
                *ret = NULL;
                return 0;
        }
        char *decoded = sj_arena_alloc(r->arena, text.n + 1);
        size_t n;
        if (!decoded)
                return -ENOMEM;
        if (url_percent_decode(text, decoded, &n) < 0)
                return wrong(r, "a percent sign is not followed by two hexadecimal digits");
        decoded[n] = '\0';
        if (strlen(decoded) != n)
                return wrong(r, "there is a NUL in it");
        *ret = decoded;
        return 0;
}

static int number(sj_str text, unsigned most, unsigned *ret)
{
        unsigned value = 0;
        if (text.n == 0 || text.n > 9)
                return -EINVAL;
        for (size_t i = 0; i < text.n; i++) {
                if (text.data[i] < '0' || text.data[i] > '9')
                        return -EINVAL;
                value = value * 10 + (unsigned)(text.data[i] - '0');
        }
        if (value > most)
                return -EINVAL;
        *ret = value;
        return 0;
}

/* ── Parameters ──────────────────────────────────────────────────────────────────────────── */

static int set_db(reading *r, sj_str text)
{
        return number(text, REDIS_DB_MAX, &r->url->db) < 0
                       ? wrong(r, "the database is not a number")
                       : 0;
}

static int set_virtual_host(reading *r, sj_str text)
{
        skip(&text, "/");
        return text.n ? set_db(r, text) : 0;
}

static int set_user(reading *r, sj_str text)
{
        return decode(r, text, &r->url->user);
}

static int set_password(reading *r, sj_str text)
{
        return decode(r, text, &r->url->password);
}

static int set_ca_file(reading *r, sj_str text)
{
        return decode(r, text, &r->url->ca_file);
}

static int set_certificate(reading *r, sj_str text)
{
        return decode(r, text, &r->url->certificate_file);
}

static int set_key(reading *r, sj_str text)
{
        return decode(r, text, &r->url->key_file);
}

/* Python's names of the constants are taken too. "optional" is, for a client, "required". */
static int set_verification(reading *r, sj_str text)
{
        static const char *const verified[] = {"required", "optional", "CERT_REQUIRED",
                                               "CERT_OPTIONAL"};
        for (size_t i = 0; i < sizeof(verified) / sizeof(verified[0]); i++)
                if (sj_str_equal(text, sj_str_of(verified[i])))
                        return 0;
        r->url->insecure =
                sj_str_equal(text, SJ_STR("none")) || sj_str_equal(text, SJ_STR("CERT_NONE"));
        return r->url->insecure ? 0 : wrong(r, "ssl_cert_reqs is neither required nor none");
}

static int read_parameters(reading *r, sj_str query)
{
        static const struct {
                const char *name;
                int (*set)(reading *r, sj_str text);
        } known[] = {
                {"db", set_db},
                {"virtual_host", set_virtual_host},
                {"username", set_user},
                {"password", set_password},
                {"ssl_ca_certs", set_ca_file},
                {"ssl_certfile", set_certificate},
                {"ssl_keyfile", set_key},
                {"ssl_cert_reqs", set_verification},
        };
        while (query.n) {
                sj_str value = cut(&query, '&');
                sj_str name = cut(&value, '=');
                for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
                        int k = 0;
                        if (sj_str_equal(name, sj_str_of(known[i].name)))
                                k = known[i].set(r, value);
                        if (k < 0)
                                return k;
                }
        }
        return 0;
}

/* ── Parts ───────────────────────────────────────────────────────────────────────────────── */

static int read_userinfo(reading *r, sj_str info)
{
        bool named = memchr(info.data, ':', info.n) != NULL;
        sj_str user = cut(&info, ':');
        int k = decode(r, user, &r->url->user);
        return k == 0 && named ? decode(r, info, &r->url->password) : k;
}

static int read_node(reading *r, sj_str text, uint16_t port)
{
        redis_url *u = r->url;
        url_authority a = {.host = SJ_STR("localhost")};
        if (u->n == REDIS_NODES_MAX)
                return wrong(r, "there are too many Sentinels");
        if (text.n && text.data[0] == ':') {
                unsigned given;
                text.data++;
                text.n--;
                if (number(text, UINT16_MAX, &given) < 0)
                        return wrong(r, "the port is not a number from 1 to 65535");
                a.port = (uint16_t)given;
                a.has_port = true;
        } else if (text.n) {
                url_error e = url_authority_parse(text, &a);
                if (e != URL_OK)
                        return wrong(r, url_error_text(e));
        }
        redis_node *node = &u->nodes[u->n++];
        snprintf(node->host, sizeof(node->host), "%.*s", SJ_STR_ARG(a.host));
        node->port = a.has_port ? a.port : port;
        return node->port ? 0 : wrong(r, "the port is not a number from 1 to 65535");
}

/* [userinfo@]host[:port][/db] */
static int read_place(reading *r, sj_str text, uint16_t port)
{
        const char *slash = NULL;
        const char *at = text.data ? memrchr(text.data, '@', text.n) : NULL;
        size_t from = at ? (size_t)(at - text.data) + 1 : 0;
        if (text.n > from)
                slash = memchr(text.data + from, '/', text.n - from);
        sj_str path = {slash, slash ? (size_t)(text.data + text.n - slash) : 0};
        text.n -= path.n;
        int k = 0;
        if (at)
                k = read_userinfo(r, (sj_str){text.data, from - 1});
        if (k == 0)
                k = read_node(r, (sj_str){text.data + from, text.n - from}, port);
        skip(&path, "/");
        skip(&path, "/"); /* kombu's virtual host may begin with one */
        return k == 0 && path.n ? set_db(r, path) : k;
}

static int read_socket(reading *r, sj_str text)
{
        const char *at = text.n ? memchr(text.data, '@', text.n) : NULL;
        if (at) {
                sj_str info = cut(&text, '@');
                int k = read_userinfo(r, info);
                if (k < 0)
                        return k;
        }
        if (text.n == 0)
                return wrong(r, "it has no path");
        return decode(r, text, &r->url->path);
}

/* The first has the user, the password and the database for all. */
static int read_sentinels(reading *r, sj_str text)
{
        r->url->sentinel = true;
        while (text.n) {
                sj_str one = cut(&text, ';');
                skip(&one, "sentinel://");
                int k = one.n ? read_place(r, one, REDIS_SENTINEL_PORT) : 0;
                if (k < 0)
                        return k;
        }
        return r->url->n ? 0 : wrong(r, "it names no Sentinel");
}

static int read_any(reading *r, sj_str text)
{
        sj_str place = cut(&text, '?');
        int k;
        if (skip(&place, "redis+socket://") || skip(&place, "unix://") ||
            skip(&place, "socket://")) {
                k = read_socket(r, place);
        } else if (skip(&place, "sentinel://")) {
                k = read_sentinels(r, place);
        } else {
                r->url->tls = skip(&place, "rediss://");
                if (!r->url->tls && !skip(&place, "redis://"))
                        return wrong(r, "it does not begin with redis://, rediss://, "
                                        "redis+socket:// or sentinel://");
                if (place.data && (memmem(place.data, place.n, ";redis://", 9) ||
                                   memmem(place.data, place.n, ";rediss://", 10)))
                        return wrong(r, "it is a list: name one server, or the Sentinels "
                                        "(sentinel://a;sentinel://b)");
                k = read_place(r, place, REDIS_PORT);
        }
        return k == 0 ? read_parameters(r, text) : k;
}

int redis_url_parse(sj_arena *arena, const char *text, redis_url *ret, const char **ret_why)
{
        redis_url url = {0};
        reading r = {.arena = arena, .url = &url, .why = "out of memory"};
        sj_str all = sj_str_of(text);
        int k = all.n > REDIS_URL_MAX ? wrong(&r, "it is too long") : read_any(&r, all);
        if (k == 0)
                *ret = url;
        else
                *ret_why = r.why;
        return k;
}

const char *redis_node_text(const redis_node *node, char *ret, size_t size)
{
        bool ipv6 = strchr(node->host, ':') != NULL;
        snprintf(ret, size, ipv6 ? "[%s]:%u" : "%s:%u", node->host, (unsigned)node->port);
        return ret;
}
