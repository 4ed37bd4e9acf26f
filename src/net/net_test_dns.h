/* SPDX-License-Identifier: MIT */
/*
 * A name server for tests, with a zone of its own. It answers over TCP in both worlds, and over
 * UDP on the real system (the simulator's datagrams travel between sockets that know each other).
 */
#ifndef SANJAB_NET_NET_TEST_DNS_H
#define SANJAB_NET_NET_TEST_DNS_H

#include "net/net_test.h"

struct dns {
        uint16_t port;    /* written by dns_serve */
        size_t questions; /* that came */
        unsigned ttl;     /* of all answers; 0: as it says */
        bool refuse;      /* everything */
        bool silent;      /* to everything */
        sj_listener *listener;
        int datagrams; /* a socket, on the real system */
};

/* Starts it in the scope, on a free port of 127.0.0.1. */
void dns_serve(struct dns *d, sj_scope *s);
void dns_stop(struct dns *d);

/* Writes the reply to the question of n bytes; its size, or 0 for none. udp: may be cut. */
size_t dns_reply(struct dns *d, const unsigned char *question, size_t n, unsigned char ret[512],
                 bool udp);

/* The world's: UDP on the same port as the listener. */
void world_serve_datagrams(struct dns *d, sj_scope *s);
void world_stop_datagrams(struct dns *d);
/* An option for resolv.conf that the world needs. */
extern const char world_dns_options[];
/* Writes a file of that name where the test may; returns its path, in static memory. */
const char *world_write_file(const char *name, const char *text);

#endif
