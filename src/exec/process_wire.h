/* SPDX-License-Identifier: MIT */
/*
 * What a process pool and its workers share. Requests and replies are messages of a duplex; the
 * state of each request that is on its way is a word of shared memory, its claim:
 *
 *     FREE ──pool──► QUEUED ──worker──► RUNNING ──reply──► FREE
 *                      └─────pool────► TAKEN ──reply "skipped"──► FREE
 *
 * A worker claims a request before it calls the function, so when it dies the claims say which
 * one call it was in; and the pool can take back what a busy worker has not begun.
 */
#ifndef SANJAB_EXEC_PROCESS_WIRE_H
#define SANJAB_EXEC_PROCESS_WIRE_H

#include "exec/duplex.h"

#include <sanjab/exec.h>

#include <stdatomic.h>

/*
 * The name of the workers' entry. It is a symbol of process_worker.c, so that whoever asks for a
 * worker has it linked.
 */
extern const char process_worker_entry[];

enum { PROCESS_DEPTH = 64 }; /* requests on their way to one worker */

enum {
        CLAIM_FREE,
        CLAIM_QUEUED,
        CLAIM_RUNNING,
        CLAIM_TAKEN,
};

typedef struct process_shared {
        _Atomic uint32_t claims[PROCESS_DEPTH];
} process_shared;

enum {
        PROCESS_CALL,
        PROCESS_QUIT,    /* to the worker: end; the rest of the request is unused */
        PROCESS_RESULT,  /* from the worker */
        PROCESS_SKIPPED, /* from the worker: it was taken back before it began */
};

/* Followed by the input, which lies aligned since this is a multiple of 16. */
typedef struct process_request {
        uint32_t kind;
        uint32_t slot;
        uint64_t function; /* os_code_offset */
        uint64_t capacity;
        uint64_t padding;
} process_request;

/* Followed by the output. */
typedef struct process_reply {
        uint32_t kind;
        uint32_t slot;
        int32_t result;
        uint32_t padding;
} process_reply;

static inline duplex_shape process_shape(size_t capacity)
{
        return (duplex_shape){
                .capacity = capacity,
                .limit = SJ_PROCESS_BYTES_MAX + sizeof(process_request),
                .extra = sizeof(process_shared),
        };
}

#endif
