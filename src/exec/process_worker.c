/* SPDX-License-Identifier: MIT */
/*
 * A worker of a process pool: reads a request, claims it, calls the function, writes the reply.
 *
 * A reply is shown to the pool before the next request is claimed, so that a crash in the next
 * call cannot take this one's result with it: at any moment at most one claim is without a reply.
 */
#include "exec/process_wire.h"
#include "exec/zygote.h"
#include "os/os.h"

#include <stdlib.h>

typedef struct worker {
        duplex link;
        process_shared *shared;
        void *output;
        size_t output_size;
        uint64_t function; /* the last one, and where it is here */
        uintptr_t address;
} worker;

static int send_reply(worker *w, const process_reply *reply, const void *output, size_t n)
{
        struct iovec parts[] = {
                {(void *)(uintptr_t)reply, sizeof(*reply)},
                {(void *)(uintptr_t)output, n},
        };
        int error;
        while ((error = ring_put(&w->link.out, parts, 2)) == -EAGAIN)
                ring_block(&w->link.out, SJ_NEVER);
        ring_flush(&w->link.out);
        return error;
}

/* Makes the output at least that large; what was in it is not kept. */
static int make_room(worker *w, size_t capacity)
{
        if (capacity <= w->output_size)
                return 0;
        free(w->output);
        w->output = malloc(capacity);
        w->output_size = w->output ? capacity : 0;
        return w->output ? 0 : -ENOMEM;
}

static int call(worker *w, const process_request *r, const void *input, size_t n)
{
        if (r->function != w->function || !w->address) {
                int error = os_code_address(r->function, &w->address);
                if (error < 0)
                        return error;
                w->function = r->function;
        }
        if (r->capacity > SJ_PROCESS_BYTES_MAX)
                return -EMSGSIZE;
        int error = make_room(w, (size_t)r->capacity);
        if (error < 0)
                return error;
        sj_process_fn *fn = (sj_process_fn *)w->address;
        int result = fn(input, n, w->output, (size_t)r->capacity);
        return result > 0 && (uint64_t)result > r->capacity ? -EMSGSIZE : result;
}

/* 1: go on; 0: told to end; or what is wrong with the request. */
static int serve(worker *w, sj_str message)
{
        process_request r;
        if (message.n < sizeof(r))
                return -EPROTO;
        memcpy(&r, message.data, sizeof(r));
        if (r.kind == PROCESS_QUIT)
                return 0;
        if (r.kind != PROCESS_CALL || r.slot >= PROCESS_DEPTH)
                return -EPROTO;
        uint32_t expected = CLAIM_QUEUED;
        process_reply reply = {.kind = PROCESS_SKIPPED, .slot = r.slot};
        if (atomic_compare_exchange_strong(&w->shared->claims[r.slot], &expected, CLAIM_RUNNING)) {
                reply.kind = PROCESS_RESULT;
                reply.result = call(w, &r, message.data + sizeof(r), message.n - sizeof(r));
        }
        int error = send_reply(w, &reply, w->output, reply.result > 0 ? (size_t)reply.result : 0);
        return error < 0 ? error : 1;
}

static int serve_all(worker *w)
{
        for (;;) {
                sj_str message = {0};
                int error = ring_get(&w->link.in, &message);
                if (error == -EAGAIN) {
                        ring_block(&w->link.in, SJ_NEVER);
                        continue;
                }
                int more = error < 0 ? error : serve(w, message);
                if (more <= 0)
                        return more;
        }
}

/* The exit statuses are of sysexits.h: a worker that cannot work says why to whoever looks. */
enum { EXIT_USAGE_ = 64, EXIT_SOFTWARE_ = 70, EXIT_OSERR_ = 71 };

static int worker_body(const zygote_start *start)
{
        static const int fds[DUPLEX_FDS] = {ZYGOTE_FD_FIRST, ZYGOTE_FD_FIRST + 1,
                                            ZYGOTE_FD_FIRST + 2};
        uint64_t capacity;
        if (start->n_fds != DUPLEX_FDS || start->argument.n != sizeof(capacity))
                return EXIT_USAGE_;
        memcpy(&capacity, start->argument.data, sizeof(capacity));
        duplex_shape shape = process_shape((size_t)capacity);
        worker w = {.link = DUPLEX_INIT};
        if (duplex_open(fds, &shape, &w.link) < 0)
                return EXIT_OSERR_;
        w.shared = w.link.extra;
        int error = serve_all(&w);
        free(w.output);
        duplex_fini(&w.link);
        return error < 0 ? EXIT_SOFTWARE_ : 0;
}

const char process_worker_entry[] = "process-pool";

ZYGOTE_ENTRY(process_pool, process_worker_entry, worker_body);
