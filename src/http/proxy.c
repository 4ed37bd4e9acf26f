/* SPDX-License-Identifier: MIT */
/*
 * The environment's variables have no standard. What is done here is what the careful ones do:
 * http_proxy counts in lower case only (HTTP_PROXY can be set by anybody who sends a CGI program a
 * "Proxy:" header); the others in both, lower case first. A member of no_proxy is "*", a name
 * (which stands for all below it too, with or without a dot before it), an address, or a network
 * "10.0.0.0/8"; each but "*" may have a port.
 */
#include "http/proxy.h"

#include <sanjab/net.h>

#include <netinet/in.h>
#include <stdlib.h>

static url_error parse_proxy(sj_arena *arena, const char *text, struct url *ret)
{
        static const char usual[] = "http://";
        if (strstr(text, "://"))
                return url_parse(arena, sj_str_of(text), ret);
        size_t n = strlen(text);
        char *whole = sj_arena_alloc(arena, sizeof(usual) + n);
        if (!whole)
                return URL_NO_MEMORY;
        memcpy(whole, usual, sizeof(usual) - 1);
        memcpy(whole + sizeof(usual) - 1, text, n);
        return url_parse(arena, (sj_str){whole, sizeof(usual) - 1 + n}, ret);
}

static int set_proxy(sj_arena *arena, const char *name, const char *text, bool *ret_has,
                     struct url *ret)
{
        *ret_has = false;
        if (!text || text[0] == '\0')
                return 0;
        url_error error = parse_proxy(arena, text, ret);
        if (error == URL_NO_MEMORY)
                return -ENOMEM;
        if (error != URL_OK) {
                sj_log(SJ_LOG_WARNING, "http: %s is not usable as a proxy: %s", name,
                       url_error_text(error));
                return -EINVAL;
        }
        *ret_has = true;
        return 0;
}

/* The value of the first of the names that is set to something. */
static const char *first_set(http_proxy_environment *environment, const char *const names[],
                             const char **ret_name)
{
        for (size_t i = 0; names[i]; i++) {
                const char *value = environment(names[i]);
                if (value && value[0]) {
                        *ret_name = names[i];
                        return value;
                }
        }
        return NULL;
}

int http_proxy_init(http_proxies *p, sj_arena *arena, const char *option,
                    http_proxy_environment *environment)
{
        static const char *const for_http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
        static const char *const for_https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy",
                                                "ALL_PROXY", NULL};
        static const char *const for_none[] = {"no_proxy", "NO_PROXY", NULL};
        *p = (http_proxies){.environment = !option};
        const char *name = "the proxy option", *https = option, *direct = NULL;
        if (!option)
                option = first_set(environment, for_http, &name);
        int r = set_proxy(arena, name, option, &p->has_http, &p->http);
        if (r < 0)
                return r;
        if (p->environment) {
                https = first_set(environment, for_https, &name);
                direct = first_set(environment, for_none, &name);
        }
        r = set_proxy(arena, name, https, &p->has_https, &p->https);
        if (r < 0 || !direct)
                return r;
        p->direct.n = strlen(direct);
        p->direct.data = sj_arena_strndup(arena, direct, p->direct.n);
        return p->direct.data ? 0 : -ENOMEM;
}

/* The bytes of an address, most significant first; how many. */
static size_t address_bytes(const sj_address *a, const uint8_t **ret)
{
        if (a->storage.ss_family == AF_INET) {
                *ret = (const uint8_t *)&((const struct sockaddr_in *)&a->storage)->sin_addr;
                return 4;
        }
        *ret = (const uint8_t *)&((const struct sockaddr_in6 *)&a->storage)->sin6_addr;
        return 16;
}

/* Reads an address of digits from a view. */
static bool parse_address(sj_str text, sj_address *ret)
{
        char host[64];
        if (text.n == 0 || text.n >= sizeof(host))
                return false;
        memcpy(host, text.data, text.n);
        host[text.n] = '\0';
        return sj_address_parse(host, 0, ret) == 0;
}

static bool is_loopback(const struct url *u)
{
        sj_str name = u->host;
        sj_address address;
        const uint8_t *bytes;
        if (parse_address(name, &address)) {
                static const uint8_t one[16] = {[15] = 1};
                return address_bytes(&address, &bytes) == 4 ? bytes[0] == 127
                                                            : memcmp(bytes, one, 16) == 0;
        }
        if (name.n && name.data[name.n - 1] == '.')
                name.n--;
        return sj_str_equal(name, SJ_STR("localhost")) ||
               (name.n > 10 && memcmp(name.data + name.n - 10, ".localhost", 10) == 0);
}

/* Whether the host, an address, lies in "network/bits". */
static bool is_in_network(sj_str host, sj_str network, sj_str bits_text)
{
        sj_address a, b;
        const uint8_t *x, *y;
        unsigned bits = 0;
        if (bits_text.n == 0 || bits_text.n > 3 || !parse_address(host, &a) ||
            !parse_address(network, &b))
                return false;
        for (size_t i = 0; i < bits_text.n; i++) {
                if (bits_text.data[i] < '0' || bits_text.data[i] > '9')
                        return false;
                bits = bits * 10 + (unsigned)(bits_text.data[i] - '0');
        }
        size_t n = address_bytes(&a, &x);
        if (address_bytes(&b, &y) != n || bits > n * 8)
                return false;
        unsigned whole = bits / 8, rest = bits % 8;
        if (memcmp(x, y, whole) != 0)
                return false;
        return rest == 0 || (x[whole] ^ y[whole]) >> (8 - rest) == 0;
}

static char lower(char c)
{
        return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Whether host is that name or lies below it; host is in lower case. */
static bool is_below(sj_str host, sj_str name)
{
        if (name.n && name.data[0] == '.')
                name = (sj_str){name.data + 1, name.n - 1};
        if (name.n == 0 || host.n < name.n)
                return false;
        const char *tail = host.data + host.n - name.n;
        for (size_t i = 0; i < name.n; i++)
                if (tail[i] != lower(name.data[i]))
                        return false;
        return host.n == name.n || tail[-1] == '.';
}

/* Cuts ":port" off a member that has one; 0 when it has none. An IPv6 address needs brackets. */
static uint16_t cut_port(sj_str *member)
{
        url_authority authority;
        if (url_authority_parse(*member, &authority) != URL_OK)
                return 0;
        *member = authority.host;
        return authority.port;
}

static bool member_matches(sj_str member, const struct url *target)
{
        if (sj_str_equal(member, SJ_STR("*")))
                return true;
        const char *slash = memchr(member.data, '/', member.n);
        if (slash) {
                size_t n = (size_t)(slash - member.data);
                return is_in_network(target->host, (sj_str){member.data, n},
                                     (sj_str){slash + 1, member.n - n - 1});
        }
        if (member.data[0] == '.')
                member = (sj_str){member.data + 1, member.n - 1};
        uint16_t port = cut_port(&member);
        if (port && port != target->port)
                return false;
        return is_below(target->host, member);
}

static bool is_direct(const http_proxies *p, const struct url *target)
{
        sj_str rest = p->direct;
        while (rest.n) {
                size_t n = 0;
                while (n < rest.n && !strchr(", \t", rest.data[n]))
                        n++;
                if (n && member_matches((sj_str){rest.data, n}, target))
                        return true;
                size_t skip = n < rest.n ? n + 1 : n;
                rest = (sj_str){rest.data + skip, rest.n - skip};
        }
        return p->environment && is_loopback(target);
}

const struct url *http_proxy_pick(const http_proxies *p, const struct url *target)
{
        if (!(target->https ? p->has_https : p->has_http) || is_direct(p, target))
                return NULL;
        return target->https ? &p->https : &p->http;
}
