/* SPDX-License-Identifier: MIT */
/*
 * Who is where in the simulated network, and who cannot reach whom.
 *
 * The world is one host that has every address, so a node is nothing but an address: a cut is a
 * pair of them, in one direction, and a link that is made knows the two that it joins.
 */
#include "os/sim_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

typedef struct cut {
        list node;
        struct sockaddr_storage from; /* ss_family 0: any */
        struct sockaddr_storage to;
} cut;

static struct sockaddr_storage read_address(const char *text)
{
        struct sockaddr_storage a = {0};
        if (!text)
                return a;
        if (inet_pton(AF_INET, text, &((struct sockaddr_in *)&a)->sin_addr) == 1) {
                a.ss_family = AF_INET;
        } else if (inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&a)->sin6_addr) == 1) {
                a.ss_family = AF_INET6;
        } else {
                fprintf(stderr, "simulator: %s is not an address\n", text);
                abort();
        }
        return a;
}

/* The same but for the port. */
static bool same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
        if (a->ss_family != b->ss_family)
                return false;
        if (a->ss_family == AF_INET)
                return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
                       ((const struct sockaddr_in *)b)->sin_addr.s_addr;
        const struct sockaddr_in6 *x = (const void *)a, *y = (const void *)b;
        return memcmp(&x->sin6_addr, &y->sin6_addr, sizeof(x->sin6_addr)) == 0;
}

static bool covers(const struct sockaddr_storage *side, const struct sockaddr_storage *a)
{
        return side->ss_family == 0 || same_host(side, a);
}

bool sim_is_cut(const sim_world *w, const struct sockaddr_storage *from,
                const struct sockaddr_storage *to)
{
        list_for_each (node, &w->cuts) {
                const cut *c = container_of(node, cut, node);
                if (covers(&c->from, from) && covers(&c->to, to))
                        return true;
        }
        return false;
}

void sim_cut(const char *from, const char *to)
{
        cut *c = sim_alloc(sizeof(*c));
        *c = (cut){.from = read_address(from), .to = read_address(to)};
        list_append(&sim_world_get()->cuts, &c->node);
}

static bool same_side(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
        return a->ss_family == 0 ? b->ss_family == 0 : same_host(a, b);
}

void sim_mend(const char *from, const char *to)
{
        sim_world *w = sim_world_get();
        struct sockaddr_storage a = read_address(from), b = read_address(to);
        list_for_each_safe (node, &w->cuts) {
                cut *c = container_of(node, cut, node);
                if ((from || to) && !(same_side(&c->from, &a) && same_side(&c->to, &b)))
                        continue;
                list_remove(&c->node);
                free(c);
        }
}

void sim_cuts_end(sim_world *w)
{
        list *node;
        while ((node = list_pop(&w->cuts)))
                free(container_of(node, cut, node));
}

void sim_host(const char *address)
{
        sim_world *w = sim_world_get();
        struct sockaddr_storage a = read_address(address);
        if (!address)
                memset(w->hosts, 0, sizeof(w->hosts));
        else
                w->hosts[a.ss_family == AF_INET6] = a;
}

const struct sockaddr_storage *sim_host_of(const sim_world *w, int family)
{
        const struct sockaddr_storage *host = &w->hosts[family == AF_INET6];
        return host->ss_family ? host : NULL;
}

static sim_link *link_of(int fd)
{
        const sim_socket *s = sim_socket_of(sim_world_get(), fd);
        if (!s || !s->link) {
                fprintf(stderr, "simulator: descriptor %d is no connection\n", fd);
                abort();
        }
        return s->link;
}

void sim_reset(int fd)
{
        sim_link_break(link_of(fd));
}

void sim_silence(int fd)
{
        sim_link_silence(link_of(fd));
}

void sim_reset_after_bytes(uint64_t n)
{
        sim_world_get()->bytes_left = n;
}
