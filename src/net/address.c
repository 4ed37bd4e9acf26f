/* SPDX-License-Identifier: MIT */
/*
 * Addresses as the system has them, and as text. The zone of a link-local IPv6 address is a number
 * here: its name would have to be asked from the system.
 */
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

sj_address address_of_bytes(int family, const void *bytes, uint16_t port)
{
        sj_address ret = {0};
        if (family == AF_INET) {
                struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
                memcpy(&a.sin_addr, bytes, sizeof(a.sin_addr));
                memcpy(&ret.storage, &a, ret.n = sizeof(a));
        } else {
                struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
                memcpy(&a.sin6_addr, bytes, sizeof(a.sin6_addr));
                memcpy(&ret.storage, &a, ret.n = sizeof(a));
        }
        return ret;
}

int sj_address_unix(const char *path, sj_address *ret)
{
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        size_t n = path ? strlen(path) : 0;
        if (n == 0)
                return -EINVAL;
        /* A path needs its NUL, an abstract name has none. */
        if (n > sizeof(a.sun_path) - (path[0] != '@'))
                return -ENAMETOOLONG;
        memcpy(a.sun_path, path, n);
        if (path[0] == '@')
                a.sun_path[0] = '\0';
        else
                n++;
        *ret = (sj_address){.n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)};
        memcpy(&ret->storage, &a, sizeof(a));
        return 0;
}

/* The digits after the '%', up to the end. */
static int parse_zone(const char *text, uint32_t *ret)
{
        char *end;
        if (*text < '0' || *text > '9')
                return -EINVAL;
        errno = 0;
        unsigned long zone = strtoul(text, &end, 10);
        if (*end || errno || zone > UINT32_MAX)
                return -EINVAL;
        *ret = (uint32_t)zone;
        return 0;
}

static int parse_ipv6(const char *text, uint16_t port, sj_address *ret)
{
        char digits[INET6_ADDRSTRLEN];
        const char *percent = strchr(text, '%');
        size_t n = percent ? (size_t)(percent - text) : strlen(text);
        struct in6_addr bytes;
        uint32_t zone = 0;
        if (n >= sizeof(digits))
                return -EINVAL;
        memcpy(digits, text, n);
        digits[n] = '\0';
        if (inet_pton(AF_INET6, digits, &bytes) != 1)
                return -EINVAL;
        if (percent && parse_zone(percent + 1, &zone) < 0)
                return -EINVAL;
        *ret = address_of_bytes(AF_INET6, &bytes, port);
        ((struct sockaddr_in6 *)(void *)&ret->storage)->sin6_scope_id = zone;
        return 0;
}

int sj_address_parse(const char *host, uint16_t port, sj_address *ret)
{
        struct in_addr bytes;
        char inner[INET6_ADDRSTRLEN + 16];
        if (!host)
                return -EINVAL;
        if (inet_pton(AF_INET, host, &bytes) == 1) {
                *ret = address_of_bytes(AF_INET, &bytes, port);
                return 0;
        }
        size_t n = strlen(host);
        if (host[0] != '[')
                return parse_ipv6(host, port, ret);
        if (n < 2 || host[n - 1] != ']' || n - 2 >= sizeof(inner))
                return -EINVAL;
        memcpy(inner, host + 1, n - 2);
        inner[n - 2] = '\0';
        return parse_ipv6(inner, port, ret);
}

static const char *unix_text(const sj_address *address, char *ret, size_t size)
{
        const struct sockaddr_un *a = (const void *)&address->storage;
        size_t n = address->n - offsetof(struct sockaddr_un, sun_path);
        if (address->n <= offsetof(struct sockaddr_un, sun_path))
                snprintf(ret, size, "unix:");
        else if (a->sun_path[0] == '\0')
                snprintf(ret, size, "unix:@%.*s", (int)n - 1, a->sun_path + 1);
        else
                snprintf(ret, size, "unix:%.*s", (int)n, a->sun_path);
        return ret;
}

const char *sj_address_text(const sj_address *address, char *ret, size_t size)
{
        char digits[INET6_ADDRSTRLEN];
        if (size == 0)
                return ret;
        ret[0] = '\0';
        switch (address_family(address)) {
        case AF_INET: {
                const struct sockaddr_in *a = (const void *)&address->storage;
                inet_ntop(AF_INET, &a->sin_addr, digits, sizeof(digits));
                snprintf(ret, size, "%s:%u", digits, ntohs(a->sin_port));
                break;
        }
        case AF_INET6: {
                const struct sockaddr_in6 *a = (const void *)&address->storage;
                char zone[16] = "";
                inet_ntop(AF_INET6, &a->sin6_addr, digits, sizeof(digits));
                if (a->sin6_scope_id)
                        snprintf(zone, sizeof(zone), "%%%u", a->sin6_scope_id);
                snprintf(ret, size, "[%s%s]:%u", digits, zone, ntohs(a->sin6_port));
                break;
        }
        case AF_UNIX:
                return unix_text(address, ret, size);
        default:
                break;
        }
        return ret;
}

uint16_t sj_address_port(const sj_address *address)
{
        switch (address_family(address)) {
        case AF_INET:
                return ntohs(
                        ((const struct sockaddr_in *)(const void *)&address->storage)->sin_port);
        case AF_INET6:
                return ntohs(
                        ((const struct sockaddr_in6 *)(const void *)&address->storage)->sin6_port);
        default:
                return 0;
        }
}
