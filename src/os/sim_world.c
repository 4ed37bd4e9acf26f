/* SPDX-License-Identifier: MIT */
/*
 * The simulated world: one clock, one queue of what will happen, one seed.
 *
 * A program under it is a pure function of the seed, for three reasons. The clock moves only when
 * the program waits (or where options say so), to the next event or deadline. All that happens is
 * an event in one heap, where events of one time keep the order in which they were posted. And
 * every choice is a draw from a stream of its subsystem, each seeded from the one seed, so that a
 * change in how often the wire draws does not reshuffle the scheduling.
 *
 * The streams are splitmix64: one word of state, any seed good. Nothing here needs more; what
 * os_random gives out is a stream too, and as predictable as the rest.
 *
 * A world belongs to a thread, so that several seeds can run at once in one process. That is the
 * one piece of state outside of arguments: the seam's functions have no parameter for it.
 */
#include "os/sim_world.h"

#include <inttypes.h>
#include <stdlib.h>

const bool os_simulated = true;

const sim_options sim_gentle = {.delay_least = 20 * SJ_US, .delay_most = 200 * SJ_US};

#define ROUGH                                                                              \
        .spurious = 20, .mischief = 1, .delay_least = 1 * SJ_US, .delay_most = 50 * SJ_MS, \
        .tight = 8, .split = 3, .shorten = 5, .again = 10, .loss = 10
const sim_options sim_slow = {ROUGH};
const sim_options sim_rough = {ROUGH, .reset = 200, .silence = 1000, .refuse = 10};

static _Thread_local sim_world *this_world;

volatile bool sim_takes_memory; /* the compiler takes realloc for one that reads nothing */

void *sim_alloc(size_t size)
{
        return memset(sim_grow(NULL, size), 0, size);
}

void *sim_grow(void *p, size_t size)
{
        sim_takes_memory = true;
        p = realloc(p, size);
        sim_takes_memory = false;
        if (!p)
                abort();
        return p;
}

void sim_append(buf *b, const void *data, size_t n)
{
        sim_takes_memory = true;
        if (buf_append(b, data, n) < 0)
                abort();
        sim_takes_memory = false;
}

sim_world *sim_world_get(void)
{
        if (!this_world) {
                fputs("simulator: an os_ call on a thread that has not called sim_begin\n", stderr);
                abort();
        }
        return this_world;
}

/* ── Choice ──────────────────────────────────────────────────────────────────────────────── */

static uint64_t splitmix(uint64_t *state)
{
        uint64_t x = *state += 0x9e3779b97f4a7c15;
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
        x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
        return x ^ (x >> 31);
}

uint64_t sim_draw_from(sim_world *w, sim_stream s, uint64_t n)
{
        /* The high half of a product: no division, and a bias that no test can see. */
        __extension__ typedef unsigned __int128 wide;
        return (uint64_t)((wide)splitmix(&w->random[s]) * n >> 64);
}

uint64_t sim_draw(uint64_t n)
{
        return sim_draw_from(sim_world_get(), SIM_TEST, n);
}

size_t os_choose(size_t n)
{
        sim_world *w = sim_world_get();
        return n < 2 || w->options.in_order ? 0 : (size_t)sim_draw_from(w, SIM_SCHEDULE, n);
}

bool os_mischief(unsigned one_in)
{
        sim_world *w = sim_world_get();
        unsigned scaled;
        if (__builtin_mul_overflow(one_in, w->options.mischief, &scaled))
                return false;
        return sim_one_in(w, FAULT_MISCHIEF, scaled);
}

void os_random(void *bytes, size_t n)
{
        sim_world *w = sim_world_get();
        unsigned char *at = bytes;
        while (n > 0) {
                uint64_t word = splitmix(&w->random[SIM_BYTES]);
                size_t part = n < sizeof(word) ? n : sizeof(word);
                memcpy(at, &word, part);
                at += part;
                n -= part;
        }
}

/* ── The trace ───────────────────────────────────────────────────────────────────────────── */

static uint64_t fnv1a(uint64_t hash, const void *data, size_t n)
{
        const unsigned char *at = data;
        for (size_t i = 0; i < n; i++)
                hash = (hash ^ at[i]) * 0x100000001b3;
        return hash;
}

ssize_t sim_trace(sim_world *w, const char *call, int fd, ssize_t result)
{
        int64_t facts[3] = {w->now, fd, result};
        w->hash = fnv1a(fnv1a(w->hash, facts, sizeof(facts)), call, strlen(call));
        if (w->trace)
                fprintf(w->trace, "%" PRId64 ".%09" PRId64 " %s fd=%d %zd\n", w->now / SJ_SEC,
                        w->now % SJ_SEC, call, fd, result);
        return result;
}

uint64_t sim_trace_hash(void)
{
        return sim_world_get()->hash;
}

void sim_trace_enable(FILE *to)
{
        sim_world_get()->trace = to;
}

sim_counters sim_count(void)
{
        sim_world *w = sim_world_get();
        sim_counters c = w->counters;
        c.open = w->fd_open;
        return c;
}

/* ── Getting stuck ───────────────────────────────────────────────────────────────────────── */

_Noreturn void sim_stuck(sim_world *w, const char *why)
{
        if (w->options.stuck)
                w->options.stuck(w->options.stuck_arg, why);
        fprintf(stderr,
                "simulator: %s\n  seed %" PRIu64 ", virtual time %" PRId64 ".%09" PRId64
                " s, %" PRIu64 " calls, %" PRIu64 " events, %zu descriptors open, hash %016" PRIx64
                "\n",
                why, w->seed, w->now / SJ_SEC, w->now % SJ_SEC, w->counters.calls,
                w->counters.events, w->fd_open, w->hash);
        for (size_t i = 0; i < w->fd_capacity; i++) {
                const sim_fd *f = w->fds[i];
                if (f)
                        fprintf(stderr, "  descriptor %d: %s, %s, ready %u\n", f->number,
                                f->class->name, list_empty(&f->watches) ? "not watched" : "watched",
                                f->class->level ? f->class->level(f) : 0);
        }
        abort();
}

/* ── The clock and what happens ──────────────────────────────────────────────────────────── */

void sim_post(sim_world *w, sim_event *event, sj_time when)
{
        heap_add(&w->events, &event->node, when < w->now ? w->now : when);
}

void sim_unpost(sim_world *w, sim_event *event)
{
        heap_remove(&w->events, &event->node);
}

static void fire_next(sim_world *w)
{
        heap_node *node = heap_pop(&w->events);
        sim_event *event = container_of(node, sim_event, node);
        w->counters.events++;
        if (node->key > w->now)
                w->now = node->key;
        event->fire(event, true);
}

void sim_advance(sim_world *w, sj_time when)
{
        for (;;) {
                const heap_node *next = heap_top(&w->events);
                if (!next || next->key > when)
                        break;
                fire_next(w);
        }
        if (when > w->now)
                w->now = when;
        if (w->now > w->options.most_time)
                sim_stuck(w, "livelock: the virtual time has reached its limit");
}

sim_world *sim_enter(void)
{
        sim_world *w = sim_world_get();
        if (++w->counters.calls > w->options.most_calls)
                sim_stuck(w, "livelock: the number of calls has reached its limit");
        const heap_node *next = heap_top(&w->events);
        if (next && next->key <= w->now)
                sim_advance(w, w->now);
        if (w->call_fn && w->counters.calls >= w->call_at) {
                void (*fn)(void *) = w->call_fn;
                w->call_fn = NULL;
                fn(w->call_arg);
        }
        return w;
}

sj_time os_now(void)
{
        sim_world *w = sim_world_get();
        w->now += w->options.creep;
        return w->now;
}

sj_wall os_wall(void)
{
        const sim_world *w = sim_world_get();
        return (sj_wall){w->options.started.us + w->now / 1000};
}

void sim_set_wall(sj_wall when)
{
        sim_world *w = sim_world_get();
        w->options.started.us = when.us - w->now / 1000;
}

void sim_skip(sj_time duration)
{
        sim_world *w = sim_world_get();
        sim_advance(w, w->now + duration);
}

void sim_at_call(uint64_t n, void (*fn)(void *arg), void *arg)
{
        sim_world *w = sim_world_get();
        w->call_at = w->counters.calls + n;
        w->call_fn = fn;
        w->call_arg = arg;
}

typedef struct call_later {
        sim_event event;
        void (*fn)(void *arg);
        void *arg;
} call_later;

static void call_now(sim_event *event, bool happens)
{
        call_later later = *container_of(event, call_later, event);
        free(event);
        if (happens)
                later.fn(later.arg);
}

void sim_at(sj_time when, void (*fn)(void *arg), void *arg)
{
        call_later *later = sim_alloc(sizeof(*later));
        *later = (call_later){.event.fire = call_now, .fn = fn, .arg = arg};
        sim_post(sim_world_get(), &later->event, when);
}

void sim_drop_events(sim_world *w, bool keep_calls)
{
        heap dropped = w->events;
        w->events = (heap){0};
        heap_node *node;
        while ((node = heap_pop(&dropped))) {
                sim_event *event = container_of(node, sim_event, node);
                if (keep_calls && event->fire == call_now)
                        sim_post(w, event, node->key);
                else
                        event->fire(event, false);
        }
}

/* ── Beginning and end ───────────────────────────────────────────────────────────────────── */

#define OR_ELSE(option, value) \
        if (!(option))         \
        (option) = (value)

static void complete(sim_options *o)
{
        OR_ELSE(o->processors, 2);
        OR_ELSE(o->buffer, SIM_BUFFER);
        OR_ELSE(o->descriptors, 100000);
        OR_ELSE(o->disk, (uint64_t)1 << 30);
        OR_ELSE(o->most_calls, 50000000);
        OR_ELSE(o->most_time, 400 * 24 * SJ_HOUR);
        OR_ELSE(o->started.us, 1893456000000000);
        if (o->delay_most < o->delay_least)
                o->delay_most = o->delay_least;
}

void sim_change(const sim_options *options)
{
        sim_world *w = sim_world_get();
        sj_wall started = w->options.started;
        w->options = options ? *options : sim_gentle;
        w->options.started = started;
        complete(&w->options);
}

void sim_begin(uint64_t seed, const sim_options *options)
{
        if (this_world) {
                fputs("simulator: sim_begin twice without sim_end\n", stderr);
                abort();
        }
        sim_world *w = sim_alloc(sizeof(*w));
        w->seed = seed;
        w->options = options ? *options : sim_gentle;
        complete(&w->options);
        uint64_t seeds = seed;
        for (int i = 0; i < SIM_STREAMS; i++)
                w->random[i] = splitmix(&seeds);
        /* Some moment that is neither 0 nor round: a deadline of 0 has passed. */
        w->now = 1000 * SJ_SEC + 1;
        w->fds_left = w->maps_left = w->disk_left = SIZE_MAX;
        w->hash = 0xcbf29ce484222325;
        w->bytes_left = UINT64_MAX;
        list_init(&w->names);
        list_init(&w->cuts);
        list_init(&w->signals);
        list_init(&w->journal);
        this_world = w;
        sim_disk_begin(w);
}

size_t sim_end(void)
{
        sim_world *w = sim_world_get();
        size_t left = w->fd_open;
        sim_fd_close_all(w);
        sim_drop_events(w, false);
        sim_disk_end(w);
        sim_cuts_end(w);
        sim_faults_end(w);
        free(w->fds);
        free(w);
        this_world = NULL;
        return left;
}
