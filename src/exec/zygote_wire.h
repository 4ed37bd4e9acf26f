/* SPDX-License-Identifier: MIT */
/*
 * What a program and its zygote say to each other, each a message of a socket that keeps them
 * whole. Both ends are the same executable, so there is one layout, and the version is the check
 * that it really is the same.
 */
#ifndef SANJAB_EXEC_ZYGOTE_WIRE_H
#define SANJAB_EXEC_ZYGOTE_WIRE_H

#include "exec/zygote.h"

#define WIRE_MARK "sanjab:zygote"

enum {
        WIRE_SOCKET = 3, /* where the zygote finds its end */
        WIRE_MAGIC = 0x5a79676f,
};

/* The first message to the zygote. */
typedef struct wire_hello {
        uint32_t magic;
        int32_t parent; /* pid */
        char name[ZYGOTE_NAME_MAX + 1];
} wire_hello;

/* Followed by the argument's bytes, with the descriptors beside them. */
typedef struct wire_request {
        uint64_t id;
        char entry[ZYGOTE_ENTRY_MAX + 1];
        char name[ZYGOTE_NAME_MAX + 1];
} wire_request;

/* Back; STARTED has the pidfd beside it. */
typedef struct wire_event {
        uint64_t id;
        uint32_t what;
        int32_t pid;
        int32_t status;
        int32_t padding;
} wire_event;

#endif
