/* SPDX-License-Identifier: MIT */
/*
 * sim: what a test says to the simulated world (os_sim). See docs/simulator.md.
 *
 *         sim_begin(seed, &sim_rough);
 *         ... sj_run(...), or os_ calls ...
 *         uint64_t hash = sim_trace_hash();
 *         size_t leaked = sim_end();
 *
 * A world belongs to the thread that began it, and every os_ call of that thread goes to it. One
 * seed and the same program give the same world, call for call; the hash says whether they did.
 * When nothing can ever happen again, or too much does, the world says why, prints its seed and
 * aborts: a test under it needs no time limit of its own.
 *
 * "one in n" options: about once in n occasions; 0: never.
 */
#ifndef SANJAB_OS_SIM_H
#define SANJAB_OS_SIM_H

#include <sanjab/time.h>

#include <stdio.h>

typedef struct sim_options {
        /* Scheduling. */
        bool in_order;       /* os_choose takes 0, and reports come in the order of their cause */
        unsigned spurious;   /* one in n waits reports an edge that did not happen */
        unsigned mischief;   /* os_mischief(k) is true once in k * mischief calls */
        unsigned processors; /* os_processors; 0: 2 */

        /* The wire, for AF_INET and AF_INET6. A pair, a pipe and AF_UNIX are local: no delay, and
         * of the faults only short and again. */
        sj_time delay_least; /* how long a segment travels */
        sj_time delay_most;
        size_t buffer;    /* bytes that travel or wait unread, each way; 0: 64 KiB */
        unsigned tight;   /* one connection in n has a buffer of 1 to 64 bytes instead */
        unsigned split;   /* one segment in n is cut in two, which may be cut again */
        unsigned shorten; /* one read or write in n takes fewer bytes than it could */
        unsigned again;   /* one read or write in n says -EAGAIN, and is ready a little later */
        unsigned reset;   /* one segment in n breaks its connection, and both ends hear of it */
        unsigned silence; /* one segment in n breaks its connection, and nobody hears of it */
        unsigned refuse;  /* one connect in n is refused */
        unsigned loss;    /* one datagram in n is lost */

        /* Limits. */
        size_t descriptors;  /* open at once, then -EMFILE; 0: 100,000 */
        uint64_t disk;       /* bytes in files, then -ENOSPC; 0: 1 GiB */
        uint64_t most_calls; /* os_ calls before it counts as a livelock; 0: 50 million */
        sj_time most_time;   /* virtual time, likewise; 0: 400 days */

        /* The clock. */
        sj_time creep;   /* how much each os_now moves it; 0: it stands while the program runs */
        sj_wall started; /* the wall clock at the beginning; 0: 2030-01-01 */

        /* Called when the world is stuck. When it returns, the world says so, too, and aborts. */
        void (*stuck)(void *arg, const char *why);
        void *stuck_arg;
} sim_options;

/* A quiet network with small delays, no fault. The same as NULL. */
extern const sim_options sim_gentle;
/* Everything goes wrong, often; connections break, too. */
extern const sim_options sim_rough;
/* As rough, but no connection breaks: what was sent arrives, cut and late. */
extern const sim_options sim_slow;

/* Makes this thread's world. options NULL: sim_gentle; they are copied. Aborts without memory. */
void sim_begin(uint64_t seed, const sim_options *options);
/* Ends it and frees all; the number of descriptors that were left open. */
size_t sim_end(void);
/* From now on these options hold, where they still can (not the clock's start). */
void sim_change(const sim_options *options);

/* A hash of every os_ call so far: its virtual time, name, descriptor and size. */
uint64_t sim_trace_hash(void);
/* Writes each call as a line, too; NULL: no more. */
void sim_trace_enable(FILE *to);

typedef struct sim_counters {
        uint64_t calls;
        uint64_t events;         /* that the world made happen */
        uint64_t reports;        /* that pollers gave out */
        uint64_t bytes;          /* that arrived over connections */
        uint64_t broken;         /* connections that a fault broke */
        uint64_t closed_watched; /* descriptors closed without os_poller_forget */
        size_t open;             /* descriptors now */
} sim_counters;
sim_counters sim_count(void);

/* Runs fn(arg) at that virtual time, from within a wait or another os_ call. */
void sim_at(sj_time when, void (*fn)(void *arg), void *arg);
/* While the world takes memory for itself: who refuses memory to a program lets it have this. */
extern volatile bool sim_takes_memory;
/* A draw below n > 0 from a stream of the test's own, which disturbs no other. */
uint64_t sim_draw(uint64_t n);

/* Calls fn(arg) once, as the nth os_ call from now begins (os_now and os_wall do not count): a
 * program can so be cancelled, cut off or robbed of its power at each of its calls in turn. */
void sim_at_call(uint64_t n, void (*fn)(void *arg), void *arg);

/* ── The list of faults ──────────────────────────────────────────────────────────────────── */
/*
 * Each chance for a fault has a name, its kind and how many of that kind came before it: "reset:3"
 * is the fourth chance for a reset. A list of names, with commas between, is what went wrong.
 */

/* From now on only the faults of the list happen, and none is left to chance; NULL: all that the
 * seed draws. With the whole list of a run, the run is the same. */
void sim_keep_faults(const char *names);
/* Writes the name of each fault that happens, and a comma; NULL: no more. */
void sim_log_faults(FILE *to);
/* A fault of the test's own, "test:N": whether to do it now, which is so unless the list leaves it
 * out. Whatever it draws it should draw before it asks, so that what follows stays as it was. */
bool sim_strikes(void);
/*
 * Reduces the list of a run that fails while it still fails in the same place, and prints what is
 * left, and `replay` before it, as one line: run(arg, names, log) begins a world, calls
 * sim_keep_faults and sim_log_faults with these, and aborts or exits otherwise than with 0 if it
 * fails. Each try is a process of its own. The place is the beginning of what a try says on its
 * standard error, up to the second colon. False: the run does not fail. It stops after `tries`,
 * with what it has.
 */
bool sim_shrink(void (*run)(void *arg, const char *names, FILE *log), void *arg, unsigned tries,
                const char *replay, FILE *print);

/* ── The clock ───────────────────────────────────────────────────────────────────────────── */

/* Sets the wall clock, forward or back; the monotonic one does not hear of it. */
void sim_set_wall(sj_wall when);
/* The program stands still that long (stopped, or starved): both clocks move on, and what falls
 * due meanwhile has happened when it goes on. */
void sim_skip(sj_time duration);

/* ── The network between nodes ───────────────────────────────────────────────────────────── */
/*
 * A node is an address. Several parts of one program stand for several machines when each listens
 * at an address of its own, and says sim_host before it connects. Addresses are texts without a
 * port, "10.0.0.1" or "fd00::1".
 */

/* Sockets of its family that connect from now on without a name are at this address. NULL: at the
 * one that they connect to, as in the beginning. */
void sim_host(const char *address);
/*
 * Nothing arrives any more that goes from one to the other; NULL: any. Both ways are two cuts.
 * Streams try again each second, so that after sim_mend all goes on, in order; after 15 minutes
 * the sender hears -ETIMEDOUT. Connecting needs both ways. Datagrams are lost.
 */
void sim_cut(const char *from, const char *to);
/* Ends the cut that was made with the same arguments; both NULL: every cut. */
void sim_mend(const char *from, const char *to);
/* Breaks the connection of a descriptor: both ends hear -ECONNRESET. */
void sim_reset(int fd);
/* Leaves it half open: nothing that its ends send or close is ever heard of. */
void sim_silence(int fd);
/* After n more bytes have left over the network, of all connections together, the one that would
 * carry the next is reset, and the byte is lost. Once; UINT64_MAX: never. */
void sim_reset_after_bytes(uint64_t n);

/* Sends a signal to this process: false when nobody has opened it (it would have its default). */
bool sim_raise(int signo);

/* After n more descriptors were made, each further one fails with -EMFILE. SIZE_MAX: never. Returns
 * how many could have been made until now; 0: some may have failed. */
size_t sim_fail_descriptors_after(size_t n);
/* After n more os_map calls, each further one returns NULL. SIZE_MAX: never. Returns likewise. */
size_t sim_fail_maps_after(size_t n);
/* After n more calls that write to a file or sync it, each further one fails. SIZE_MAX: never. */
void sim_fail_disk_after(size_t n, int error);

/*
 * The power goes: every descriptor is closed, every connection gone, and each file holds what was
 * synced, and of what was not, sector by sector, what the seed says; names that were made,
 * renamed or removed since their folder was last synced may be as they were before.
 */
void sim_power_loss(void);

#endif
