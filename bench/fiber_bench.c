/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: what one fiber costs to yield, to spawn and join, and to hand a value over.
 * The peers in bench/peers do the same, in the same numbers, on one processor.
 */
#include <sanjab/fiber.h>

#include "measure.h"

#include <string.h>

enum {
        YIELDERS = 100, /* fibers that yield in turn */
        BATCH = 100,    /* fibers that are spawned, then joined */
};

static int yield_often(void *arg)
{
        int64_t n = *(int64_t *)arg;
        for (int64_t i = 0; i < n; i++) {
                int r = sj_yield();
                if (r < 0)
                        return r;
        }
        return 0;
}

static int yields(void *arg, int64_t n)
{
        (void)arg;
        int64_t each = n / YIELDERS;
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < YIELDERS; i++) {
                int r = sj_spawn(s, yield_often, &each, NULL);
                if (r < 0)
                        return r;
        }
        return sj_scope_join(s);
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

static const struct {
        const char *name;
        int (*work)(void *arg, int64_t n);
} cases[] = {
        {"yield", yields},
        {"spawn_join", spawns},
        {"chan", chans},
};

static int main_fiber(void *arg)
{
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                if (!strcmp(cases[i].name, arg))
                        return measure(cases[i].work, NULL);
        fprintf(stderr, "fiber_bench: there is no case '%s'\n", (char *)arg);
        return -ENOENT;
}

int main(int argc, char **argv)
{
        if (argc != 2) {
                fprintf(stderr, "usage: fiber_bench yield|spawn_join|chan\n");
                return 2;
        }
        int r = sj_run(main_fiber, argv[1]);
        if (r < 0)
                fprintf(stderr, "fiber_bench: %s\n", sj_strerror(r));
        return r < 0;
}
