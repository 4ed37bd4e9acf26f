/* SPDX-License-Identifier: MIT */
/* Addresses, beside what <sanjab/net.h> has. */
#ifndef SANJAB_NET_ADDRESS_H
#define SANJAB_NET_ADDRESS_H

#include <sanjab/net.h>

static inline const struct sockaddr *address_any(const sj_address *a)
{
        return (const struct sockaddr *)(const void *)&a->storage;
}

static inline int address_family(const sj_address *a)
{
        return a->n ? a->storage.ss_family : AF_UNSPEC;
}

/* bytes: 4 of AF_INET or 16 of AF_INET6, in network order. */
sj_address address_of_bytes(int family, const void *bytes, uint16_t port);

#endif
