/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: what it costs to yield, to spawn and join, to hand a value
 * over, to take one from a generator, and to call on another thread.
 * The peers in bench/peers do the same, in the same numbers, on one processor.
 *
 *   fiber_bench yield|spawn_join|chan|generator|offload [FIBERS that yield in turn]
 */
#include <sanjab/chan.h>
#include <sanjab/exec.h>
#include <sanjab/fiber.h>
#include <sanjab/generator.h>

#include "measure.h"

#include <stdlib.h>
#include <string.h>

enum {
        YIELDERS = 100, /* fibers that yield in turn, unless told otherwise */
        BATCH = 100,    /* fibers that are spawned, then joined */
};

/* Those who yield: they live for the whole run, so that their start is not in what is measured. */
typedef struct crowd {
        int fibers;
        int64_t yielded;
        bool ending;
} crowd;

static int yield_on(void *arg)
{
        crowd *c = arg;
        while (!c->ending) {
                c->yielded++;
                int r = sj_yield();
                if (r < 0)
                        return r;
        }
        return 0;
}

static int yields(void *arg, int64_t n)
{
        crowd *c = arg;
        c->yielded = 0;
        while (c->yielded < n) {
                int r = sj_yield();
                if (r < 0)
                        return r;
        }
        return 0;
}

static int measure_yields(int fibers)
{
        crowd c = {.fibers = fibers};
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < c.fibers; i++) {
                int r = sj_spawn(s, yield_on, &c, NULL);
                if (r < 0)
                        return r;
        }
        /* Whole turns, so that n is what was done. */
        int r = measure_from(10 * (int64_t)c.fibers, yields, &c);
        c.ending = true;
        return r;
}

static int nothing(void *arg)
{
        (void)arg;
        return 0;
}

static int spawns(void *arg, int64_t n)
{
        (void)arg;
        for (int64_t done = 0; done < n; done += BATCH) {
                SJ_SCOPE(s, SJ_NEVER, 0);
                sj_fiber *fibers[BATCH];
                for (int i = 0; i < BATCH; i++) {
                        int r = sj_spawn(s, nothing, NULL, &fibers[i]);
                        if (r < 0)
                                return r;
                }
                for (int i = 0; i < BATCH; i++) {
                        int r = sj_join(fibers[i], SJ_NEVER);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

typedef struct line {
        sj_chan *chan;
        int64_t n;
} line;

static int sender(void *arg)
{
        const line *l = arg;
        for (int64_t i = 0; i < l->n; i++) {
                int r = sj_chan_send(l->chan, &i, SJ_NEVER);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int hand_over(line *l)
{
        SJ_SCOPE(s, SJ_NEVER, 0);
        int r = sj_spawn(s, sender, l, NULL);
        int64_t sum = 0;
        for (int64_t i = 0; r >= 0 && i < l->n; i++) {
                int64_t item;
                r = sj_chan_recv(l->chan, &item, SJ_NEVER);
                sum += item;
        }
        if (r < 0)
                return r;
        return sum == l->n * (l->n - 1) / 2 ? sj_scope_join(s) : -EPROTO;
}

/* Unbuffered: each value waits for its receiver. */
static int chans(void *arg, int64_t n)
{
        (void)arg;
        line l = {.n = n};
        int r = sj_chan_new(sizeof(int64_t), 0, &l.chan);
        if (r < 0)
                return r;
        r = hand_over(&l);
        sj_chan_free(l.chan);
        return r;
}

static int count(sj_generator *g, void *arg)
{
        int r = 0;
        for (int64_t i = 0; r >= 0 && i < *(int64_t *)arg; i++)
                r = sj_generator_yield(g, &i);
        return r;
}

static int generates(void *arg, int64_t n)
{
        (void)arg;
        int64_t sum = 0;
        SJ_GENERATOR(numbers, count, &n);
        SJ_EACH (int64_t, i, numbers)
                sum += *i;
        return sum == n * (n - 1) / 2 ? sj_generator_error(numbers) : -EPROTO;
}

/* A call on another thread and back. */
static int offloads(void *arg, int64_t n)
{
        for (int64_t i = 0; i < n; i++) {
                int r = sj_offload(nothing, arg, SJ_NEVER);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int main_fiber(void *arg)
{
        char **argv = arg;
        if (!strcmp(argv[1], "yield"))
                return measure_yields(argv[2] ? atoi(argv[2]) : YIELDERS);
        if (!strcmp(argv[1], "spawn_join"))
                return measure(spawns, NULL);
        if (!strcmp(argv[1], "chan"))
                return measure(chans, NULL);
        if (!strcmp(argv[1], "generator"))
                return measure(generates, NULL);
        if (!strcmp(argv[1], "offload"))
                return measure(offloads, NULL);
        fprintf(stderr, "fiber_bench: there is no case '%s'\n", argv[1]);
        return -ENOENT;
}

int main(int argc, char **argv)
{
        if (argc < 2) {
                fprintf(stderr,
                        "usage: fiber_bench yield|spawn_join|chan|generator|offload [FIBERS]\n");
                return 2;
        }
        int r = sj_run(main_fiber, argv);
        if (r < 0)
                fprintf(stderr, "fiber_bench: %s\n", sj_strerror(r));
        return r < 0;
}
