/* SPDX-License-Identifier: MIT */
/*
 * A URL is first cut into its parts, each of which is checked, then written once, in its normal
 * form, into one block of the arena; all views point there. A relative reference is made absolute
 * as text (RFC 3986 §5.2.2 and §5.3), then parsed as any other.
 */
#include "codec/url.h"

typedef struct parts {
        bool https;
        sj_str userinfo;
        sj_str authority;
        sj_str path;
        sj_str query;
        bool has_query;
} parts;

const char *url_error_text(url_error error)
{
        static const char *const texts[] = {
                [URL_OK] = "well-formed",
                [URL_NO_MEMORY] = "out of memory",
                [URL_TOO_LONG] = "the URL is longer than the limit",
                [URL_BAD_BYTE] = "the URL holds a byte that may not stand there",
                [URL_BAD_PERCENT] = "a percent sign is not followed by two hexadecimal digits",
                [URL_BAD_SCHEME] = "the URL does not begin with http:// or https://",
                [URL_NO_HOST] = "the URL has no host",
                [URL_BAD_HOST] = "the host is neither a name nor an address",
                [URL_BAD_PORT] = "the port is not a number from 1 to 65535",
                [URL_BAD_USERINFO] = "the user information is malformed",
        };
        return (size_t)error < sizeof(texts) / sizeof(texts[0]) ? texts[error] : "unknown error";
}

static char lower(char c)
{
        return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static int hex_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c = (char)(c | 0x20);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_percent_encoded(sj_str s, size_t at)
{
        return s.n - at >= 3 && hex_value(s.data[at + 1]) >= 0 && hex_value(s.data[at + 2]) >= 0;
}

int url_percent_decode(sj_str text, char *ret, size_t *ret_n)
{
        size_t n = 0;
        for (size_t i = 0; i < text.n; i++) {
                char c = text.data[i];
                if (c == '%') {
                        if (!is_percent_encoded(text, i))
                                return -EINVAL;
                        c = (char)(hex_value(text.data[i + 1]) << 4 | hex_value(text.data[i + 2]));
                        i += 2;
                }
                ret[n++] = c;
        }
        *ret_n = n;
        return 0;
}

/* No controls, spaces, or delimiters that are in no URL; '%' only before two digits. */
static url_error check_bytes(sj_str s)
{
        for (size_t i = 0; i < s.n; i++) {
                unsigned char c = (unsigned char)s.data[i];
                if (c <= 0x20 || c == 0x7f || c == '"' || c == '<' || c == '>' || c == '\\')
                        return URL_BAD_BYTE;
                if (c == '%' && !is_percent_encoded(s, i))
                        return URL_BAD_PERCENT;
        }
        return URL_OK;
}

/* Cuts off what is before the first of these, which stays in rest. */
static sj_str cut_before(sj_str *rest, const char *any)
{
        size_t n = 0;
        while (n < rest->n && !strchr(any, rest->data[n]))
                n++;
        sj_str head = {rest->data, n};
        rest->data += n;
        rest->n -= n;
        return head;
}

static bool skip_prefix(sj_str *s, const char *prefix)
{
        size_t n = strlen(prefix);
        if (s->n < n)
                return false;
        for (size_t i = 0; i < n; i++)
                if (lower(s->data[i]) != prefix[i])
                        return false;
        s->data += n;
        s->n -= n;
        return true;
}

/* unreserved, sub-delims, ':' and percent-encoding (RFC 3986 §3.2.1). */
static bool is_userinfo(sj_str s)
{
        for (size_t i = 0; i < s.n; i++) {
                char c = s.data[i];
                bool letter = lower(c) >= 'a' && lower(c) <= 'z';
                bool digit = c >= '0' && c <= '9';
                if (!letter && !digit && !strchr("-._~!$&'()*+,;=:%", c))
                        return false;
        }
        return true;
}

static url_error split(sj_str s, parts *p)
{
        if (skip_prefix(&s, "https://"))
                p->https = true;
        else if (!skip_prefix(&s, "http://"))
                return URL_BAD_SCHEME;
        p->authority = cut_before(&s, "/?#");
        sj_str after_at = p->authority;
        sj_str userinfo = cut_before(&after_at, "@");
        if (after_at.n) {
                p->userinfo = userinfo;
                p->authority = (sj_str){after_at.data + 1, after_at.n - 1};
                if (!is_userinfo(userinfo))
                        return URL_BAD_USERINFO;
        }
        p->path = cut_before(&s, "?#");
        if (s.n && s.data[0] == '?') {
                p->has_query = true;
                s = (sj_str){s.data + 1, s.n - 1};
                p->query = cut_before(&s, "#");
        }
        return URL_OK;
}

/* A pen that writes into memory known to suffice. */
typedef struct pen {
        char *at;
} pen;

static sj_str pen_put(pen *p, sj_str s)
{
        sj_str written = {p->at, s.n};
        if (s.n)
                memcpy(p->at, s.data, s.n);
        p->at += s.n;
        return written;
}

static sj_str pen_put_lower(pen *p, sj_str s)
{
        sj_str written = {p->at, s.n};
        for (size_t i = 0; i < s.n; i++)
                *p->at++ = lower(s.data[i]);
        return written;
}

/* What is not ASCII is percent-encoded. */
static sj_str pen_put_encoded(pen *p, sj_str s)
{
        const char *begin = p->at;
        for (size_t i = 0; i < s.n; i++) {
                unsigned char c = (unsigned char)s.data[i];
                if (c < 0x80) {
                        *p->at++ = (char)c;
                        continue;
                }
                *p->at++ = '%';
                *p->at++ = "0123456789ABCDEF"[c >> 4];
                *p->at++ = "0123456789ABCDEF"[c & 15];
        }
        return (sj_str){begin, (size_t)(p->at - begin)};
}

static sj_str pen_put_port(pen *p, uint16_t port)
{
        char digits[5];
        size_t n = sizeof(digits);
        for (unsigned rest = port; rest; rest /= 10)
                digits[--n] = (char)('0' + rest % 10);
        return pen_put(p, (sj_str){digits + n, sizeof(digits) - n});
}

/*
 * Removes "." and ".." segments from a path that begins with '/' (RFC 3986 §5.2.4), in place;
 * returns the new length. out never passes in, and always stands behind a '/'.
 */
static size_t remove_dot_segments(char *path, size_t n)
{
        size_t out = 1, in = 1;
        while (in <= n) {
                const char *slash = in < n ? memchr(path + in, '/', n - in) : NULL;
                size_t end = slash ? (size_t)(slash - path) : n;
                size_t size = end - in;
                bool one = size == 1 && path[in] == '.';
                bool two = size == 2 && path[in] == '.' && path[in + 1] == '.';
                if (two && out > 1)
                        for (out--; path[out - 1] != '/';)
                                out--;
                if (!one && !two) {
                        memmove(path + out, path + in, size);
                        out += size;
                        if (slash)
                                path[out++] = '/';
                }
                in = end + 1;
        }
        return out;
}

static void write_authority(pen *p, const url_authority *a, struct url *u)
{
        char *begin = p->at;
        if (a->ipv6)
                pen_put(p, SJ_STR("["));
        u->host = pen_put_lower(p, a->host);
        if (a->ipv6)
                pen_put(p, SJ_STR("]"));
        uint16_t usual = u->https ? 443 : 80;
        u->ipv6 = a->ipv6;
        u->port = a->has_port ? a->port : usual;
        if (u->port != usual) {
                pen_put(p, SJ_STR(":"));
                pen_put_port(p, u->port);
        }
        u->authority = (sj_str){begin, (size_t)(p->at - begin)};
}

static void write_target(pen *p, const parts *from, struct url *u)
{
        char *begin = p->at;
        if (from->path.n == 0)
                pen_put(p, SJ_STR("/"));
        pen_put_encoded(p, from->path);
        u->path = (sj_str){begin, remove_dot_segments(begin, (size_t)(p->at - begin))};
        p->at = begin + u->path.n;
        u->query = (sj_str){p->at, 0};
        if (from->has_query) {
                pen_put(p, SJ_STR("?"));
                u->query = pen_put_encoded(p, from->query);
        }
        u->target = (sj_str){begin, (size_t)(p->at - begin)};
}

url_error url_parse(sj_arena *arena, sj_str text, struct url *ret)
{
        parts from = {0};
        url_authority authority;
        if (text.n > URL_MAX)
                return URL_TOO_LONG;
        url_error error = check_bytes(text);
        if (error == URL_OK)
                error = split(text, &from);
        if (error == URL_OK)
                error = url_authority_parse(from.authority, &authority);
        if (error != URL_OK)
                return error;
        /* A byte of path or query becomes three at most; "/" and a NUL may be added. */
        char *memory = sj_arena_alloc(arena, 3 * text.n + 2);
        if (!memory)
                return URL_NO_MEMORY;
        struct url u = {.https = from.https};
        pen p = {memory};
        u.userinfo = pen_put(&p, from.userinfo);
        char *begin = p.at;
        pen_put(&p, from.https ? SJ_STR("https://") : SJ_STR("http://"));
        write_authority(&p, &authority, &u);
        write_target(&p, &from, &u);
        u.text = (sj_str){begin, (size_t)(p.at - begin)};
        *p.at = '\0';
        if (u.text.n > URL_MAX)
                return URL_TOO_LONG;
        *ret = u;
        return URL_OK;
}

/* Whether it begins with a scheme and a colon (RFC 3986 §3.1). */
static bool has_scheme(sj_str s)
{
        size_t i = 0;
        while (i < s.n && ((lower(s.data[i]) >= 'a' && lower(s.data[i]) <= 'z') ||
                           (i && strchr("0123456789+-.", s.data[i]))))
                i++;
        return i > 0 && i < s.n && s.data[i] == ':';
}

/* How much of the base's text the reference leaves standing. */
static size_t kept_of_base(const struct url *base, sj_str reference)
{
        size_t before_path = (size_t)(base->path.data - base->text.data);
        if (reference.n == 0 || reference.data[0] == '#')
                return base->text.n;
        if (reference.n > 1 && reference.data[0] == '/' && reference.data[1] == '/')
                return base->https ? sizeof("https:") - 1 : sizeof("http:") - 1;
        if (reference.data[0] == '/')
                return before_path;
        if (reference.data[0] == '?')
                return before_path + base->path.n;
        size_t n = base->path.n;
        while (base->path.data[n - 1] != '/')
                n--;
        return before_path + n;
}

url_error url_resolve(sj_arena *arena, const struct url *base, sj_str reference, struct url *ret)
{
        if (reference.n > URL_MAX)
                return URL_TOO_LONG;
        if (has_scheme(reference))
                return url_parse(arena, reference, ret);
        size_t kept = kept_of_base(base, reference);
        char *text = sj_arena_alloc(arena, kept + reference.n + 1);
        if (!text)
                return URL_NO_MEMORY;
        pen p = {text};
        pen_put(&p, (sj_str){base->text.data, kept});
        pen_put(&p, reference);
        return url_parse(arena, (sj_str){text, kept + reference.n}, ret);
}

bool url_same_origin(const struct url *a, const struct url *b)
{
        return a->https == b->https && a->port == b->port && sj_str_equal(a->host, b->host);
}
