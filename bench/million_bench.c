/* SPDX-License-Identifier: MIT */
/*
 * A million fibers that wait:
 *   memory   KiB that each has taken when all wait
 *   start    ns for each from the first spawn until all wait
 *   wake     ns for each from the call that wakes them until all have run
 *   end      ns for each until all have ended and are joined
 */
#include <sanjab/fiber.h>
#include <sanjab/sync.h>

#include "measure.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIBERS = 1000000 };

typedef struct crowd {
        sj_event woken, ended;
        int asleep, awake;
} crowd;

static int wait_twice(void *arg)
{
        crowd *c = arg;
        c->asleep++;
        int r = sj_event_wait(&c->woken, SJ_NEVER);
        c->awake++;
        return r < 0 ? r : sj_event_wait(&c->ended, SJ_NEVER);
}

static double resident(void)
{
        long pages = 0;
        FILE *f = fopen("/proc/self/statm", "r");
        if (!f || fscanf(f, "%*d %ld", &pages) != 1)
                abort();
        fclose(f);
        return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

static double per_fiber(int64_t start)
{
        return (double)(measure_now() - start) / FIBERS;
}

static int live(crowd *c, double *memory, double took[3])
{
        double before = resident();
        int64_t start = measure_now();
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < FIBERS; i++) {
                int r = sj_spawn(s, wait_twice, c, NULL);
                if (r < 0)
                        return r;
        }
        while (c->asleep < FIBERS)
                sj_yield();
        took[0] = per_fiber(start);
        *memory = (resident() - before) / FIBERS;
        start = measure_now();
        sj_event_set(&c->woken);
        while (c->awake < FIBERS)
                sj_yield();
        took[1] = per_fiber(start);
        start = measure_now();
        sj_event_set(&c->ended);
        int r = sj_scope_join(s);
        took[2] = per_fiber(start);
        return r;
}

static int main_fiber(void *arg)
{
        static const char *const names[] = {"start", "wake", "end"};
        crowd c = {.woken = SJ_EVENT_INIT, .ended = SJ_EVENT_INIT};
        double memory, took[3];
        int r = live(&c, &memory, took);
        if (r < 0)
                return r;
        if (!strcmp(arg, "memory"))
                printf("%.4f\n", memory);
        for (int i = 0; i < 3; i++)
                if (!strcmp(arg, names[i]))
                        printf("%.2f\n", took[i]);
        return 0;
}

int main(int argc, char **argv)
{
        if (argc != 2) {
                fprintf(stderr, "usage: million_bench memory|start|wake|end\n");
                return 2;
        }
        int r = sj_run(main_fiber, argv[1]);
        if (r < 0)
                fprintf(stderr, "million_bench: %s\n", sj_strerror(r));
        return r < 0;
}
