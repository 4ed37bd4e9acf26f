/* SPDX-License-Identifier: MIT */
/* Waiting for the end of fibers: one, all of several, the first of several. */
#include "fiber/fiber.h"

#include <stdlib.h>

enum { CLAUSES_ON_STACK = 64 };

/* Waits for the end: 0, or why it was not waited for. */
static int wait_for_end(sj_fiber *f, sj_time deadline)
{
        int r = fiber_check();
        if (r < 0)
                return r;
        if (f == fiber_current())
                return -EDEADLK;
        if (f->state != FIBER_ENDED) {
                clause c;
                size_t fired = 1;
                list_append(&f->joiners, &c.link);
                r = fiber_wait(&c, 1, deadline, "join", &fired);
                if (fired != 0)
                        return r;
        }
        fiber_seen(f);
        return 0;
}

int sj_join(sj_fiber *f, sj_time deadline)
{
        int r = wait_for_end(f, deadline);
        return r < 0 ? r : f->result;
}

int sj_gather(sj_fiber *const f[], size_t n, int ret[], sj_time deadline)
{
        for (size_t i = 0; i < n; i++) {
                int r = wait_for_end(f[i], deadline);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; ret && i < n; i++)
                ret[i] = f[i]->result;
        return 0;
}

/* The least index of those that have ended, or n. */
static size_t first_ended(sj_fiber *const f[], size_t n)
{
        size_t i = 0;
        while (i < n && f[i]->state != FIBER_ENDED)
                i++;
        return i;
}

static int wait_for_any(sj_fiber *const f[], size_t n, clause clauses[], sj_time deadline)
{
        for (size_t i = 0; i < n; i++)
                list_append(&f[i]->joiners, &clauses[i].link);
        size_t fired = n;
        int r = fiber_wait(clauses, n, deadline, "first of several", &fired);
        return fired < n ? 0 : r;
}

int sj_wait_first(sj_fiber *const f[], size_t n, size_t *ret, sj_time deadline)
{
        int r = fiber_check();
        if (r < 0)
                return r;
        if (n == 0)
                return -EINVAL;
        for (size_t i = 0; i < n; i++)
                if (f[i] == fiber_current())
                        return -EDEADLK;
        if (first_ended(f, n) == n) {
                clause few[CLAUSES_ON_STACK];
                clause *clauses = n <= CLAUSES_ON_STACK ? few : calloc(n, sizeof(*clauses));
                if (!clauses)
                        return -ENOMEM;
                r = wait_for_any(f, n, clauses, deadline);
                if (clauses != few)
                        free(clauses);
                if (r < 0)
                        return r;
        }
        *ret = first_ended(f, n);
        fiber_seen(f[*ret]);
        return 0;
}
