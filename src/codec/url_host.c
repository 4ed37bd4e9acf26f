/* SPDX-License-Identifier: MIT */
/*
 * host[:port]. Only hosts that mean the same to every reader pass: names as a name service holds
 * them, IPv4 addresses as four plain decimals, IPv6 addresses in brackets (RFC 4291 §2.2).
 */
#include "codec/url.h"

enum { LABEL_MAX = 63 };

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
        return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* 0 to 255 without a leading zero. */
static bool is_ipv4_part(sj_str s)
{
        unsigned value = 0;
        if (s.n == 0 || s.n > 3 || (s.n > 1 && s.data[0] == '0'))
                return false;
        for (size_t i = 0; i < s.n; i++) {
                if (!is_digit(s.data[i]))
                        return false;
                value = value * 10 + (unsigned)(s.data[i] - '0');
        }
        return value <= 255;
}

/* Cuts off what is before the next c, or all when there is none. */
static sj_str cut(sj_str *rest, char c)
{
        const char *at = rest->n ? memchr(rest->data, c, rest->n) : NULL;
        sj_str head = {rest->data, at ? (size_t)(at - rest->data) : rest->n};
        size_t skip = at ? head.n + 1 : head.n;
        rest->data += skip;
        rest->n -= skip;
        return head;
}

static bool is_ipv4(sj_str s)
{
        if (s.n && s.data[s.n - 1] == '.')
                return false;
        for (int i = 0; i < 4; i++)
                if (!is_ipv4_part(cut(&s, '.')))
                        return false;
        return s.n == 0;
}

static bool is_ipv6(sj_str s)
{
        unsigned groups = 0;
        bool gap = false;
        if (s.n >= 2 && s.data[0] == ':' && s.data[1] == ':') {
                gap = true;
                s = (sj_str){s.data + 2, s.n - 2};
        }
        while (s.n) {
                size_t n = 0;
                while (n < s.n && n < 5 && is_hex(s.data[n]))
                        n++;
                if (n < s.n && s.data[n] == '.')
                        return is_ipv4(s) && (gap ? groups + 2 < 8 : groups + 2 == 8);
                if (n == 0 || n == 5 || ++groups > 8)
                        return false;
                s = (sj_str){s.data + n, s.n - n};
                if (s.n == 0)
                        break;
                if (s.data[0] != ':' || s.n == 1)
                        return false;
                bool two = s.data[1] == ':';
                if (two && gap)
                        return false;
                gap |= two;
                s = (sj_str){s.data + 1 + two, s.n - 1 - two};
        }
        return gap ? groups < 8 : groups == 8;
}

static bool is_label(sj_str s)
{
        for (size_t i = 0; i < s.n; i++) {
                char c = s.data[i];
                if (!is_digit(c) && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && c != '-' &&
                    c != '_')
                        return false;
        }
        return s.n > 0 && s.n <= LABEL_MAX;
}

/* What some readers take for a number: digits, or hexadecimal ones after 0x. */
static bool is_numeric(sj_str s)
{
        size_t i = s.n > 1 && s.data[0] == '0' && (s.data[1] | 0x20) == 'x' ? 2 : 0;
        bool (*is)(char c) = i ? is_hex : is_digit;
        while (i < s.n && is(s.data[i]))
                i++;
        return i == s.n;
}

static bool is_name(sj_str host)
{
        sj_str rest = host, label = {0};
        if (rest.n && rest.data[rest.n - 1] == '.')
                rest.n--;
        if (rest.n == 0 || rest.n > URL_HOST_MAX || rest.data[rest.n - 1] == '.')
                return false;
        while (rest.n) {
                label = cut(&rest, '.');
                if (!is_label(label))
                        return false;
        }
        return !is_numeric(label) || is_ipv4(host);
}

/* 1 to 65535; nothing at all is no port. */
static url_error parse_port(sj_str s, url_authority *a)
{
        unsigned port = 0;
        if (s.n > 5)
                return URL_BAD_PORT;
        for (size_t i = 0; i < s.n; i++) {
                if (!is_digit(s.data[i]))
                        return URL_BAD_PORT;
                port = port * 10 + (unsigned)(s.data[i] - '0');
        }
        if (s.n && (port == 0 || port > 65535))
                return URL_BAD_PORT;
        a->has_port = s.n > 0;
        a->port = (uint16_t)port;
        return URL_OK;
}

url_error url_authority_parse(sj_str text, url_authority *ret)
{
        url_authority a = {0};
        if (text.n == 0 || text.data[0] == ':')
                return URL_NO_HOST;
        sj_str rest = text;
        if (text.data[0] == '[') {
                a.ipv6 = true;
                rest = (sj_str){text.data + 1, text.n - 1};
                if (!memchr(rest.data, ']', rest.n))
                        return URL_BAD_HOST;
                a.host = cut(&rest, ']');
                if (!is_ipv6(a.host) || (rest.n && rest.data[0] != ':'))
                        return URL_BAD_HOST;
                cut(&rest, ':');
        } else {
                a.host = cut(&rest, ':');
                if (!is_name(a.host))
                        return URL_BAD_HOST;
        }
        url_error error = parse_port(rest, &a);
        if (error == URL_OK)
                *ret = a;
        return error;
}
