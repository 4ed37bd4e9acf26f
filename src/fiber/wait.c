/* SPDX-License-Identifier: MIT */
/*
 * A wait ends exactly once: by a clause, by its timer or by cancellation, whichever comes first,
 * and at that moment everything else of it is withdrawn. The fiber finds out when it runs again.
 */
#include "fiber/debug.h"
#include "fiber/fiber.h"
#include "fiber/grant.h"

int fiber_check(void)
{
        return fiber_check_of(fiber_current());
}

struct sj_loop *fiber_loop_current(void)
{
        fiber_loop *fl = fiber_loop_of_thread;
        return fl ? &fl->loop : NULL;
}

sj_scope *fiber_root_scope(void)
{
        fiber_loop *fl = fiber_loop_of_thread;
        return fl ? (sj_scope *)&fl->root : NULL;
}

/* Ends the wait; the fiber will run with the result. */
static void wait_end(wait *w, clause *fired, int result)
{
        if (__builtin_expect(!fiber_loop_of_thread, 0))
                debug_abort(w->fiber,
                            "woken by a thread without a loop, or by the child of a fork");
        w->over = true;
        w->fired = fired;
        w->result = result;
        for (size_t i = 0; i < w->n; i++)
                list_remove(&w->clauses[i].link);
        if (heap_holds(&w->timer.node))
                loop_timer_cancel(&fiber_loop_of_thread->loop, &w->timer);
        fiber_make_ready(w->fiber);
}

/* Ends it for no clause, unless another thread is ending it. */
static void give_up(wait *w, int result)
{
        if (w->kind != WAIT_GRANTED || grant_take(w->grant))
                wait_end(w, NULL, result);
}

void wait_cancel(wait *w)
{
        if (!w->over && w->kind != WAIT_SHIELDED)
                give_up(w, -ECANCELED);
}

static void timed_out(loop_timer *timer)
{
        give_up(container_of(timer, wait, timer), -ETIMEDOUT);
}

void clause_end(clause *c, int result)
{
        wait_end(c->wait, c, result);
}

bool clause_fire(clause *c, int result)
{
        if (c->wait->over || !clause_claim(c))
                return false;
        wait_end(c->wait, c, result);
        return true;
}

bool clause_fire_first(list *queue, int result)
{
        clause *c = clause_first(queue);
        return c && clause_fire(c, result);
}

void clause_fire_all(list *queue, int result)
{
        while (clause_first(queue))
                clause_fire_first(queue, result);
}

/* Not all of a wait is set before it is needed: this is what each switch of a chan pays. */
FIBER_HOT static int run_wait(wait *w, clause clauses[], size_t n, sj_time deadline,
                              const char *what, size_t *ret)
{
        sj_fiber *f = fiber_current();
        w->fiber = f;
        w->clauses = clauses;
        w->n = n;
        w->fired = NULL;
        w->over = false;
        w->what = what;
        w->since = fiber_loop_of_thread->loop.now;
        for (size_t i = 0; i < w->n; i++)
                w->clauses[i].wait = w;
        w->timer.node.previous = NULL;
        if (deadline != SJ_NEVER) {
                w->timer.fire = timed_out;
                loop_timer_set(&fiber_loop_of_thread->loop, &w->timer, deadline);
        }
        f->wait = w;
        fiber_switch_away(f);
        f->wait = NULL;
        if (ret && w->fired)
                *ret = (size_t)(w->fired - w->clauses);
        return w->result;
}

FIBER_HOT int fiber_wait(clause clauses[], size_t n, sj_time deadline, const char *what,
                         size_t *ret)
{
        if (deadline == SJ_POLL) {
                for (size_t i = 0; i < n; i++)
                        list_remove(&clauses[i].link);
                return -ETIMEDOUT;
        }
        wait w;
        w.kind = WAIT_OPEN;
        return run_wait(&w, clauses, n, deadline, what, ret);
}

int fiber_wait_granted(grant *g, clause clauses[], size_t n, sj_time deadline, const char *what,
                       size_t *ret)
{
        wait w;
        w.kind = WAIT_GRANTED;
        w.grant = g;
        return run_wait(&w, clauses, n, deadline, what, ret);
}

FIBER_HOT int fiber_wait_shielded(clause clauses[], size_t n, const char *what)
{
        wait w;
        w.kind = WAIT_SHIELDED;
        return run_wait(&w, clauses, n, SJ_NEVER, what, NULL);
}

unsigned fiber_fd_wanted(const loop_fd *lfd)
{
        unsigned wanted = 0;
        for (unsigned i = 0; i < 2; i++) {
                /* Without a wait yet: another case of a select that is being entered. */
                const clause *c = lfd->waiting[i];
                if (c && !(c->wait && c->wait->over))
                        wanted |= 1u << i;
        }
        return wanted;
}

void fiber_fd_leave(loop_fd *lfd, const clause *c)
{
        for (unsigned i = 0; i < 2; i++)
                if (lfd->waiting[i] == c)
                        lfd->waiting[i] = NULL;
}

/* Its fiber will not touch lfd any more. */
static void detach(loop_fd *lfd, clause *c)
{
        fiber_fd_leave(lfd, c);
        c->data = NULL;
}

int fiber_fd_enter(loop_fd *lfd, unsigned ready, clause *c)
{
        unsigned seen = lfd->ready & ready;
        if (seen) {
                lfd->ready &= ~ready;
                return (int)seen;
        }
        if (fiber_fd_wanted(lfd) & ready)
                return -EBUSY;
        *c = (clause){.data = (void *)(uintptr_t)ready};
        list_init(&c->link);
        for (unsigned i = 0; i < 2; i++) {
                if (!(ready & (1u << i)))
                        continue;
                if (lfd->waiting[i])
                        detach(lfd, lfd->waiting[i]);
                lfd->waiting[i] = c;
        }
        return 0;
}

int fiber_wait_fd(loop_fd *lfd, unsigned ready, sj_time deadline)
{
        int r = fiber_check();
        if (r < 0)
                return r;
        clause c;
        r = fiber_fd_enter(lfd, ready, &c);
        if (r != 0)
                return r;
        r = fiber_wait(&c, 1, deadline, "descriptor", NULL);
        if (!c.data)
                return r;
        fiber_fd_leave(lfd, &c);
        if (r > 0)
                lfd->ready &= ~(unsigned)r;
        return r;
}

void fiber_fd_notify(loop_fd *lfd, unsigned ready)
{
        for (unsigned i = 0; i < 2; i++) {
                clause *c = lfd->waiting[i];
                if (c && (ready & (1u << i)))
                        clause_fire(c, (int)(ready & (unsigned)(uintptr_t)c->data));
        }
}

void fiber_fd_abort(loop_fd *lfd, int result)
{
        for (unsigned i = 0; i < 2; i++) {
                clause *c = lfd->waiting[i];
                if (!c)
                        continue;
                clause_fire(c, result);
                detach(lfd, c);
        }
}
