/* SPDX-License-Identifier: MIT */
/*
 * What the tests of this room share. A behaviour is a fiber, run in each world: under the
 * simulator with many seeds, a quiet network and a slow one that cuts and delays everything; on
 * the real system once, over loopback.
 *
 * cmocka's assertions leave by a jump, which must not cross a fiber's stack: inside of fibers it
 * is CHECK, which says where and with which seed, and aborts.
 */
#ifndef SANJAB_NET_NET_TEST_H
#define SANJAB_NET_NET_TEST_H

#include <sanjab/net.h>

#include <stdio.h>
#include <stdlib.h>

extern unsigned long long world_seed;
/* Of the usual number of seeds, take one in so many: for what is slow in itself. */
extern unsigned world_seeds_share;

#define CHECK(condition)                                                                           \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s: %s (seed %llu)\n", SJ_WHERE, #condition, world_seed); \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

/* What is expected of a call that returns an int or a ssize_t. */
#define CHECK_INT(call, expected)                                                                  \
        do {                                                                                       \
                long long got_ = (long long)(call);                                                \
                if (got_ != (long long)(expected)) {                                               \
                        fprintf(stderr, "%s: %s is %lld, not %lld (seed %llu)\n", SJ_WHERE, #call, \
                                got_, (long long)(expected), world_seed);                          \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

/* Runs the behaviour in each world, where every connection holds; nothing may be left open. */
void each_world(sj_fn *behaviour);

/* The same with one seed, for what no other order of things changes. */
void once_in_each_world(sj_fn *behaviour);

/* The same in quiet worlds alone, for what slow ones may rightly do otherwise. */
void each_quiet_world(sj_fn *behaviour);

/* The same in worlds where connections break; nothing at all on the real system. */
void each_rough_world(sj_fn *behaviour);

/* From now on, no more than n further descriptors can be made; SIZE_MAX: as many as wanted. */
void world_limit_descriptors(size_t n);

/* Sets the wall clock; false: it is everybody's, and stays. */
bool world_set_wall(sj_wall when);

/* An abstract address of Unix sockets that no other test which runs meanwhile has. */
const char *abstract_name(void);

/* A draw below n, of the seed. */
size_t world_draw(size_t n);

/* The i-th byte of a stream that no shift of itself resembles. */
static inline unsigned char pattern(size_t i)
{
        uint64_t x = (uint64_t)i * 0x9e3779b97f4a7c15u;
        return (unsigned char)(x >> 56);
}

static inline void pattern_fill(char *ret, size_t at, size_t n)
{
        for (size_t i = 0; i < n; i++)
                ret[i] = (char)pattern(at + i);
}

static inline bool pattern_is(const char *data, size_t at, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if ((unsigned char)data[i] != pattern(at + i))
                        return false;
        return true;
}

/* Two ends of a connection: a pair, or over a listener of 127.0.0.1, or of a Unix socket. */
typedef enum link_kind { LINK_PAIR, LINK_TCP, LINK_UNIX, LINK_KINDS } link_kind;
void connect_both(link_kind kind, sj_stream *ret[2]);

/* n bytes of pattern over a stream, in pieces of any size. */
struct flow {
        sj_stream *s;
        size_t n;
};

/* Sends n bytes of pattern each way at once, up to the end, and checks what comes. */
void exchange(sj_stream *ends[2], size_t n);

#endif
