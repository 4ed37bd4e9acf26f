/* SPDX-License-Identifier: MIT */
/*
 * Several loops, each on a thread. They share nothing but a future, which is set when they are to
 * stop: each has a call in it while it runs, which posts to its loop. So no list of loops needs a
 * lock, nor can a stop come to a loop that is no more.
 */
#include "fiber/fiber.h"

#include <sanjab/future.h>

#include <stdlib.h>

enum { THREADS_MAX = 1024 };

typedef struct fleet {
        sj_future stop;
        _Atomic int error; /* the first failure */
        sj_fn *main;
        void *arg;
        const char *name, *where;
} fleet;

static void fail(fleet *f, int error)
{
        int none = 0;
        atomic_compare_exchange_strong(&f->error, &none, error);
        sj_future_cancel(&f->stop);
}

static void *run_one(void *arg)
{
        fleet *f = arg;
        int r = fiber_run(&f->stop, f->main, f->arg, f->name, f->where);
        if (r < 0 && !(r == -ECANCELED && sj_future_done(&f->stop)))
                fail(f, r);
        return NULL;
}

static int run_all(fleet *f, unsigned n)
{
        os_thread **threads = calloc(n, sizeof(os_thread *));
        if (!threads)
                return -ENOMEM;
        unsigned started = 1; /* this thread is the first */
        int r = 0;
        while (r >= 0 && started < n) {
                r = os_thread_start(run_one, f, "sanjab-loop", &threads[started]);
                started += r >= 0;
        }
        if (r >= 0)
                run_one(f);
        else
                fail(f, r);
        while (--started > 0)
                os_thread_join(threads[started]);
        free(threads);
        return atomic_load(&f->error);
}

int sj_run_threads_named(unsigned n, sj_fn *main, void *arg, const char *name, const char *where)
{
        if (fiber_loop_of_thread)
                return -EBUSY;
        if (n == 0)
                n = os_simulated ? 1 : os_processors();
        if (n > THREADS_MAX)
                return -EINVAL;
        if (os_simulated && n > 1)
                return -ENOTSUP;
        fleet f = {.main = main, .arg = arg, .name = name, .where = where};
        return run_all(&f, n);
}
