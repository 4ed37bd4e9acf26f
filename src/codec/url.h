/* SPDX-License-Identifier: MIT */
/*
 * URLs of the schemes http and https (RFC 3986), strictly: what is refused here never reaches a
 * resolver, a peer or a log.
 *
 * A url is a set of views of one normal form, which lies in an arena of the caller:
 *
 *         https://user:secret@Example.COM:8443/a/./b?q=%20#top
 *         scheme  userinfo    host        port path  query
 *
 *         text    "https://example.com:8443/a/b?q=%20"   (what identifies the resource)
 *         target  "/a/b?q=%20"                           (what a request line carries)
 *
 * In the normal form the scheme and the host are in lower case, the default port is left out, dot
 * segments are removed (§5.2.4), an empty path is "/", the fragment is gone, and the userinfo is
 * kept apart, so that text may be shown to anybody. Percent-encoding is kept as it came; bytes
 * over 0x7f in the path and the query become percent-encoded, as in RFC 3987 §3.1.
 *
 * Refused beyond the grammar of RFC 3986: hosts that no name service could hold (other bytes than
 * letters, digits, '-', '_' and '.', empty or over-long labels; non-ASCII names must be given in
 * their xn-- form), hosts that end in a number without being an IPv4 address in its one usual form
 * ("127.1", "0x7f.0.0.1": readers differ over them), zone identifiers, and port 0.
 */
#ifndef SANJAB_CODEC_URL_H
#define SANJAB_CODEC_URL_H

#include <sanjab/base.h>

/* URL_MAX is such that a request line always holds the target. */
enum { URL_MAX = 8000, URL_HOST_MAX = 253 };

typedef enum url_error {
        URL_OK,
        URL_NO_MEMORY,
        URL_TOO_LONG,
        URL_BAD_BYTE,    /* a control, a space, or another byte that no URL holds */
        URL_BAD_PERCENT, /* '%' without two hexadecimal digits */
        URL_BAD_SCHEME,  /* neither http nor https, or no scheme at all */
        URL_NO_HOST,
        URL_BAD_HOST,
        URL_BAD_PORT,
        URL_BAD_USERINFO,
} url_error;

/* An English text for people. Static storage. */
const char *url_error_text(url_error error);

/* host[:port] without userinfo, as in a Host field or in the target of CONNECT. */
typedef struct url_authority {
        sj_str host;   /* as it came, without brackets */
        bool ipv6;     /* it was an IPv6 address in brackets */
        bool has_port; /* with at least one digit */
        uint16_t port; /* 0 when there is none */
} url_authority;

/* Reads host[:port]; the view is into text. */
url_error url_authority_parse(sj_str text, url_authority *ret);

struct url {
        sj_str text; /* the whole normal form without userinfo */
        bool https;
        sj_str userinfo;  /* as it came, percent-encoded; empty when there is none */
        sj_str host;      /* in lower case, without brackets: what is resolved */
        bool ipv6;        /* host is an IPv6 address */
        uint16_t port;    /* never 0: the default of the scheme when none was given */
        sj_str authority; /* host[:port] as a Host field has it: brackets, no default port */
        sj_str target;    /* path and query, begins with '/' */
        sj_str path;
        sj_str query; /* without the '?'; empty when there is none */
};

/* Parses an absolute URL. *ret points into the arena only. */
url_error url_parse(sj_arena *arena, sj_str text, struct url *ret);

/*
 * Resolves a reference, absolute or relative, against a base (RFC 3986 §5.2). The userinfo of the
 * base is not inherited. *ret points into the arena only, which may be the one of the base.
 */
url_error url_resolve(sj_arena *arena, const struct url *base, sj_str reference, struct url *ret);

/* Whether both have the same scheme, host and port (RFC 6454 §4). */
bool url_same_origin(const struct url *a, const struct url *b);

/*
 * Undoes percent-encoding: writes at most text.n bytes to ret and their number to *ret_n.
 * -EINVAL when a '%' has no two digits after it.
 */
int url_percent_decode(sj_str text, char *ret, size_t *ret_n);

#endif
