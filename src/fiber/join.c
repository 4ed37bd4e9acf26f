/* SPDX-License-Identifier: MIT */
/* Waiting for the end of fibers: one, or several. */
#include "fiber/fiber.h"

#include <limits.h>
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

/* What sj_wait returns if there is nothing to wait for, else -EAGAIN. */
static int settled(sj_fiber *const f[], size_t n, sj_until until)
{
        size_t ended = 0;
        for (size_t i = 0; i < n; i++) {
                if (!f[i]->has_ended)
                        continue;
                ended++;
                if (until == SJ_FIRST || (until == SJ_FIRST_FAILURE && fiber_failed(f[i])))
                        return (int)i;
        }
        return ended == n ? (int)n : -EAGAIN;
}

static int wait_for_several(sj_fiber *const f[], size_t n, clause clauses[], tally *t,
                            sj_time deadline)
{
        for (size_t i = 0; i < n; i++) {
                clauses[i].data = t;
                if (f[i]->has_ended) {
                        list_init(&clauses[i].link);
                        tally_seen(t, false); /* a failure would have been found before */
                } else {
                        clause_add(&f[i]->joiners, &clauses[i]);
                }
        }
        int r = fiber_wait(clauses, n, deadline, "several fibers", NULL);
        return t->pending == 0 ? 0 : r;
}

static int check_several(sj_fiber *const f[], size_t n, sj_until until)
{
        int r = fiber_check();
        if (r < 0)
                return r;
        if ((n == 0 && until == SJ_FIRST) || n > INT_MAX)
                return -EINVAL;
        for (size_t i = 0; i < n; i++)
                if (f[i] == fiber_current())
                        return -EDEADLK;
        return 0;
}

int sj_wait(sj_fiber *const f[], size_t n, sj_until until, sj_time deadline)
{
        int r = check_several(f, n, until);
        if (r < 0)
                return r;
        r = settled(f, n, until);
        if (r == -EAGAIN) {
                tally t = tally_of(n, until);
                clause few[CLAUSES_ON_STACK];
                clause *clauses = n <= CLAUSES_ON_STACK ? few : malloc(n * sizeof(*clauses));
                if (!clauses)
                        return -ENOMEM;
                r = wait_for_several(f, n, clauses, &t, deadline);
                if (clauses != few)
                        free(clauses);
                if (r < 0)
                        return r;
                r = settled(f, n, until);
        }
        if (r < (int)n)
                fiber_seen(f[r]);
        return r;
}
