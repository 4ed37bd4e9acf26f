/* SPDX-License-Identifier: MIT */
#include "net/net_test_dns.h"
#include "base/unit.h"

#include <arpa/inet.h>

enum { A = 1, CNAME = 5, AAAA = 28, NOERROR = 0, SERVFAIL = 2, NXDOMAIN = 3, REFUSED = 5 };

static const struct record {
        const char *name;
        int type; /* 0: the name exists; negative: never answered */
        const char *data;
        int code;
        unsigned ttl;
} zone[] = {
        {"both.test", A, "10.0.0.1", 0, 60},
        {"both.test", A, "10.0.0.2", 0, 60},
        {"both.test", AAAA, "2001:db8::1", 0, 60},
        {"four.test", A, "10.0.0.4", 0, 60},
        {"empty.test", 0, NULL, 0, 0},
        {"broken.test", 0, NULL, SERVFAIL, 0},
        {"silent.test", -A, NULL, 0, 0},
        {"silent.test", -AAAA, NULL, 0, 0},
        {"half.test", A, "10.0.0.5", 0, 60},
        {"half.test", -AAAA, NULL, 0, 0},
        {"alias.test", CNAME, "four.test", 0, 60},
        {"brief.test", A, "10.0.0.6", 0, 0},
        {"big.test", A, "10.0.0.7", 0, 60},
        {"short.search.test", A, "10.0.0.8", 0, 60},
};
enum { RECORDS = sizeof(zone) / sizeof(zone[0]) };

/* The name at offset 12 as text; the offset behind it, or 0. */
static size_t read_name(const unsigned char *q, size_t n, char ret[256])
{
        size_t at = 12, to = 0;
        while (at < n && q[at]) {
                size_t k = q[at++];
                if (k > 63 || at + k > n || to + k + 1 > 255)
                        return 0;
                memcpy(ret + to, q + at, k);
                to += k;
                at += k;
                ret[to++] = '.';
        }
        ret[to ? to - 1 : 0] = '\0';
        return at + 1;
}

static size_t put_name(unsigned char *to, const char *name)
{
        size_t at = 0;
        while (*name) {
                size_t k = strcspn(name, ".");
                to[at++] = (unsigned char)k;
                memcpy(to + at, name, k);
                at += k;
                name += k + (name[k] == '.');
        }
        to[at++] = 0;
        return at;
}

static void put16(unsigned char *to, unsigned value)
{
        to[0] = (unsigned char)(value >> 8);
        to[1] = (unsigned char)value;
}

/* Appends a record whose owner is the name of the question (a pointer to offset 12). */
static size_t put_record(unsigned char *r, size_t at, const struct record *record, unsigned ttl)
{
        unsigned char data[256];
        size_t n = 0;
        if (record->type == CNAME)
                n = put_name(data, record->data);
        else if (inet_pton(record->type == A ? AF_INET : AF_INET6, record->data, data) == 1)
                n = record->type == A ? 4 : 16;
        put16(r + at, 0xc00c);
        put16(r + at + 2, (unsigned)record->type);
        put16(r + at + 4, 1);
        put16(r + at + 6, 0);
        put16(r + at + 8, ttl);
        put16(r + at + 10, (unsigned)n);
        memcpy(r + at + 12, data, n);
        return at + 12 + n;
}

static size_t put_answers(struct dns *d, unsigned char *r, size_t at, const char *name, int type,
                          int *code)
{
        unsigned count = 0;
        *code = NXDOMAIN;
        for (size_t i = 0; i < RECORDS; i++) {
                if (strcmp(zone[i].name, name) != 0)
                        continue;
                *code = zone[i].code;
                if (zone[i].type == -type)
                        return 0;
                if (zone[i].type == CNAME && type == A) {
                        /* The target's own records would follow; one with its name does. */
                        at = put_record(r, at, &zone[i], zone[i].ttl);
                        size_t before = at;
                        at += put_name(r + at, zone[i].data);
                        unsigned char four[64];
                        size_t n = put_record(four, 0, &zone[3], zone[3].ttl);
                        memcpy(r + at, four + 2, n - 2);
                        at += n - 2;
                        (void)before;
                        count += 2;
                }
                if (zone[i].type != type)
                        continue;
                at = put_record(r, at, &zone[i], d->ttl ? d->ttl : zone[i].ttl);
                count++;
        }
        put16(r + 6, count);
        return at;
}

size_t dns_reply(struct dns *d, const unsigned char *q, size_t n, unsigned char ret[512], bool udp)
{
        char name[256];
        d->questions++;
        size_t end = n > 12 ? read_name(q, n, name) : 0;
        if (end == 0 || end + 4 > n || d->silent)
                return 0;
        int type = q[end] << 8 | q[end + 1], code;
        size_t at = end + 4;
        memset(ret, 0, 512);
        memcpy(ret, q, at);
        put16(ret + 2, 0x8180);
        memset(ret + 6, 0, 6);
        /* Names made of a number: any quantity of them, to fill a cache. */
        if (strncmp(name, "many-", 5) == 0) {
                at = put_answers(d, ret, at, "four.test", type, &code);
        } else if (udp && strcmp(name, "big.test") == 0) {
                ret[2] |= 2; /* cut: ask by TCP */
                return at;
        } else {
                at = put_answers(d, ret, at, name, type, &code);
        }
        if (at == 0)
                return 0;
        if (d->refuse)
                code = REFUSED;
        ret[3] = (unsigned char)(0x80 | code);
        return at;
}

/* ── TCP: two bytes of length before each message (RFC 1035 §4.2.2) ──────────────────────── */

struct connection {
        struct dns *d;
        sj_stream *s;
};

static int serve_connection(void *arg)
{
        struct connection *c = arg;
        unsigned char question[512], reply[2 + 512];
        while (sj_read_exactly(c->s, question, 2, SJ_NEVER) >= 0) {
                size_t n = (size_t)question[0] << 8 | question[1];
                if (n > sizeof(question) || sj_read_exactly(c->s, question, n, SJ_NEVER) < 0)
                        break;
                size_t k = dns_reply(c->d, question, n, reply + 2, false);
                put16(reply, (unsigned)k);
                if (k && sj_write(c->s, reply, k + 2, SJ_NEVER) < 0)
                        break;
        }
        sj_stream_close(c->s);
        free(c);
        return 0;
}

static int serve_tcp(void *arg)
{
        struct dns *d = arg;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        for (;;) {
                sj_stream *stream;
                int r = sj_accept(d->listener, &stream, SJ_NEVER);
                if (r < 0)
                        return r;
                struct connection *c = malloc(sizeof(*c));
                CHECK(c);
                *c = (struct connection){d, stream};
                CHECK_INT(sj_spawn(s, serve_connection, c, NULL), 0);
        }
}

void dns_serve(struct dns *d, sj_scope *s)
{
        CHECK_INT(sj_tcp_listen("127.0.0.1", 0, 0, &d->listener), 0);
        d->port = sj_listener_port(d->listener);
        CHECK_INT(sj_spawn(s, serve_tcp, d, NULL), 0);
        world_serve_datagrams(d, s);
}

void dns_stop(struct dns *d)
{
        sj_listener_close(d->listener);
        world_stop_datagrams(d);
}
