/* SPDX-License-Identifier: MIT */
/* Waiting for the end of fibers: one, all of several, the first of several. */
#include "fiber/fiber.h"

#include <stdlib.h>

enum { CLAUSES_ON_STACK = 64 };

int sj_join(sj_fiber *f, sj_time deadline)
{
        int r = fiber_check_of(fiber_current());
        if (r < 0)
                return r;
        if (f->has_ended) {
                fiber_seen(f);
                return f->result;
        }
        if (f == fiber_current())
                return -EDEADLK;
        clause c = {.data = f};
        clause_add(&f->joiners, &c);
        /* Not f->result: its scope may be left before this fiber runs. */
        return fiber_wait(&c, 1, deadline, "join", NULL);
}

/* Waits for the end, and is told nothing: 0, or why it was not waited for. */
static int wait_for_end(sj_fiber *f, sj_time deadline)
{
        if (f->has_ended)
                return 0;
        if (f == fiber_current())
                return -EDEADLK;
        clause c = {.data = NULL};
        size_t fired = 1;
        clause_add(&f->joiners, &c);
        int r = fiber_wait(&c, 1, deadline, "gather", &fired);
        return fired == 0 ? 0 : r;
}

int sj_gather(sj_fiber *const f[], size_t n, int ret[], sj_time deadline)
{
        int r = fiber_check();
        for (size_t i = 0; r >= 0 && i < n; i++) {
                r = wait_for_end(f[i], deadline);
                if (r >= 0 && i + 1 < n)
                        r = fiber_check();
        }
        if (r < 0)
                return r;
        /* Only now: who gives up has been told of no failure. */
        for (size_t i = 0; ret && i < n; i++) {
                ret[i] = f[i]->result;
                fiber_seen(f[i]);
        }
        return 0;
}

/* The least index of those that have ended, or n. */
static size_t first_ended(sj_fiber *const f[], size_t n)
{
        size_t i = 0;
        while (i < n && !f[i]->has_ended)
                i++;
        return i;
}

static int wait_for_any(sj_fiber *const f[], size_t n, clause clauses[], sj_time deadline)
{
        for (size_t i = 0; i < n; i++) {
                clauses[i].data = NULL;
                clause_add(&f[i]->joiners, &clauses[i]);
        }
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
                clause *clauses = n <= CLAUSES_ON_STACK ? few : malloc(n * sizeof(*clauses));
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
