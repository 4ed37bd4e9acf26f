/* SPDX-License-Identifier: MIT */
/*
 * sanjab/debug.h: looking inside a loop that runs.
 *
 * From outside gdb does it, in a program that runs and in a core file: `source` the file
 * share/sanjab/sanjab-gdb.py of the installation; then `info fibers` lists all fibers of all loops,
 * and `fiber N bt`, or another command, runs as if fiber N ran. The core file must be the
 * kernel's: gcore leaves out stacks with guards. The library needs its debugging information.
 */
#ifndef SANJAB_DEBUG_H
#define SANJAB_DEBUG_H

#include <sanjab/fiber.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Writes a line for every fiber of this thread's loop: name, where it was spawned, what it waits
 * for and since when, and the addresses of its calls; with `write` called for each piece of text.
 */
SJ_PUBLIC void sj_dump(void (*write)(void *arg, const char *text, size_t n), void *arg);

/*
 * For sj_fiber_each: one fiber; how deep it is owned, 0 by the loop itself. It must not wait, nor
 * spawn into a scope; to cancel is allowed. Anything but 0 ends the walk.
 */
typedef int sj_fiber_visit(sj_fiber *f, unsigned depth, void *arg);

/*
 * Calls visit for each fiber of this thread's loop that has not ended, the calling one too, each
 * before those that it owns. A fiber that was spawned without a handle is known only during the
 * call. Returns 0, or what visit returned; -EPERM: no loop runs on this thread.
 */
SJ_PUBLIC int sj_fiber_each(sj_fiber_visit *visit, void *arg);

/*
 * What a loop has done since it began, and what it has now. "Most" is the highest that there was:
 * of fibers exactly; of what is ready, timers and descriptors as seen at the end of each turn.
 */
typedef struct sj_counters {
        uint64_t switches;        /* how often a fiber, or the loop itself, gave way to the next */
        uint64_t turns;           /* looks at the world: descriptors, posts, timers */
        uint64_t spawned;         /* fibers that were started */
        uint64_t posts;           /* calls and news from other threads that were run */
        uint64_t stacks_made;     /* fibers that got a stack that had never been used */
        uint64_t stacks_recycled; /* fibers that got one that another had left */
        size_t fibers;            /* that have not ended */
        size_t fibers_most;
        size_t ready; /* fibers that could run; the one that runs is not among them */
        size_t ready_most;
        size_t timers; /* set: of waits with a deadline, of scopes, of the loop's own */
        size_t timers_most;
        size_t descriptors; /* that the loop watches */
        size_t descriptors_most;
        size_t stacks;      /* that memory is reserved for: in use, kept for reuse, not yet used */
        size_t stacks_most; /* each SJ_STACK_SIZE of addresses, not of memory */
} sj_counters;

/*
 * The counters of this thread's loop; they are kept always, and reading them costs as much as
 * copying them. Does not block. For those of another thread's loop, sj_post a function that reads
 * them there. -EPERM: no loop runs on this thread, and *ret is as before.
 */
SJ_PUBLIC int sj_counters_read(sj_counters *ret);

/*
 * Traces this thread's loop: from now on each fiber's start, runs, waits (for what) and end go to
 * write, as text in Chrome's trace format (one JSON array), which chrome://tracing and Perfetto
 * show. Each fiber is a thread there, from its start, or the trace's, to its end; the loop itself
 * is thread 0. Times are those of sj_now, in microseconds. Of a name the first 128 bytes are shown.
 *
 * The text comes in pieces of at most 64 KiB, which is also what the trace holds in memory. `write`
 * is called in the middle of a switch: it must not wait for anything, nor call what is in this
 * header or uses fibers. A viewer takes a text too that was cut off by the end of the program.
 * While nobody traces, a switch costs what it cost without it; a traced one costs about a
 * microsecond.
 * -EPERM no loop runs on this thread; -EBUSY it is traced already; -EINVAL; -ENOMEM.
 */
SJ_PUBLIC int sj_trace_start(void (*write)(void *arg, const char *text, size_t n), void *arg);

/*
 * Ends the trace: the ends of what is still alive, and of the array, are written before it
 * returns. No effect when there is none. The end of the loop does it too.
 */
SJ_PUBLIC void sj_trace_stop(void);

/*
 * Reports (as a warning in the log) each fiber that holds the loop longer than the limit, with its
 * name and where it was spawned. 0 turns it off. On from the start with 100 ms in debug builds.
 */
SJ_PUBLIC void sj_watchdog(sj_time limit);

#ifdef __cplusplus
}
#endif

#endif
