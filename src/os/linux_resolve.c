/* SPDX-License-Identifier: MIT */
/* Names, by the system's resolver: what is used where there is no better one. */
#include "os/os.h"

#include <netdb.h>

static int error_of(int failure)
{
        int system = errno;
        switch (failure) {
        case EAI_NONAME:
                return -ENOENT;
        case EAI_NODATA:
        case EAI_ADDRFAMILY:
                return -ENODATA;
        case EAI_MEMORY:
                return -ENOMEM;
        case EAI_SYSTEM:
                return system == EMFILE || system == ENFILE ? -system : -EAGAIN;
        default:
                return -EAGAIN;
        }
}

int os_resolve(const char *name, struct sockaddr_storage ret[], size_t max)
{
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
        int failure = getaddrinfo(name, NULL, &hints, &list);
        if (failure)
                return error_of(failure);
        size_t n = 0;
        for (const struct addrinfo *a = list; a && n < max; a = a->ai_next)
                if ((a->ai_family == AF_INET || a->ai_family == AF_INET6) &&
                    a->ai_addrlen <= sizeof(ret[0])) {
                        ret[n] = (struct sockaddr_storage){0};
                        memcpy(&ret[n++], a->ai_addr, a->ai_addrlen);
                }
        freeaddrinfo(list);
        return (int)n;
}
