/* SPDX-License-Identifier: MIT */
/*
 * Scopes: who owns whom, how cancellation goes down and failure goes up.
 *
 * Each scope knows whether it is cancelled, so that a blocking call looks at one flag, that of its
 * fiber's innermost scope. The flag is set for the whole tree below at the moment of cancelling,
 * down to the shields. That walk keeps its list of fibers still to do in the fibers themselves,
 * not on the stack: a tree may be deeper than a fiber's stack is.
 */
#include "fiber/debug.h"
#include "fiber/fiber.h"

/* ── Down: cancellation ──────────────────────────────────────────────────────────────────── */

static void push_fiber(sj_fiber *f, int reason, sj_fiber **work)
{
        if (f->cancelled || f->has_ended)
                return;
        f->cancelled = reason;
        f->next_cancelled = *work;
        *work = f;
}

static void mark(scope *s, int reason, sj_fiber **work)
{
        if (s->cancelled)
                return;
        s->cancelled = reason;
        list_for_each (node, &s->fibers)
                push_fiber(container_of(node, sj_fiber, sibling), reason, work);
}

static void interrupt(sj_fiber *f)
{
        if (!f)
                return;
        f->stop = fiber_is_cancelled(f);
        if (f->stop && f->wait)
                wait_cancel(f->wait);
}

/* The scope and those inside it in the same fiber, down to a shield. */
static void mark_body(scope *s, int reason, sj_fiber **work)
{
        mark(s, reason, work);
        for (scope *i = s->inner; i && !(i->flags & SJ_SHIELD); i = i->inner) {
                i->from_above = true;
                mark(i, reason, work);
        }
        interrupt(s->opener);
}

static scope *outermost(sj_fiber *f)
{
        scope *s = f->inner;
        while (s && s->outer)
                s = s->outer;
        return s;
}

static void run_work(sj_fiber *work)
{
        while (work) {
                sj_fiber *f = work;
                work = f->next_cancelled;
                scope *s = outermost(f);
                if (!s) {
                        interrupt(f);
                } else if (!(s->flags & SJ_SHIELD)) {
                        s->from_above = true;
                        mark_body(s, f->cancelled, &work);
                }
        }
}

void scope_cancel_fiber(sj_fiber *f, int reason)
{
        sj_fiber *work = NULL;
        push_fiber(f, reason, &work);
        run_work(work);
}

static void cancel(scope *s, int reason)
{
        sj_fiber *work = NULL;
        mark_body(s, reason, &work);
        run_work(work);
}

void sj_scope_cancel(sj_scope *s)
{
        cancel(scope_of(s), SJ_BY_CALL);
}

int sj_scope_cancel_for(sj_scope *s, int reason)
{
        if (reason < 1)
                return -EINVAL;
        cancel(scope_of(s), reason);
        return 0;
}

/* ── Up: failure ─────────────────────────────────────────────────────────────────────────── */

static void fail(scope *s, int error)
{
        if (!s->error)
                s->error = error;
        if (!(s->flags & SJ_COLLECT))
                cancel(s, SJ_BY_FAILURE);
}

void scope_fail(scope *s, int error)
{
        if (!s->unseen_error)
                s->unseen_error = error;
        s->failed_unseen++;
        fail(s, error);
}

/* One that waits for several hears of each end, but is woken by the last that it needs. */
static void tell_tally(clause *c, bool failed)
{
        list_remove(&c->link);
        if (tally_seen(c->data, failed))
                clause_fire(c, 0);
}

static bool tell_joiners(sj_fiber *f, bool failed)
{
        bool told = false;
        clause *c;
        while ((c = clause_first(&f->joiners))) {
                if (c->data && c->data != f) {
                        tell_tally(c, failed);
                        continue;
                }
                bool tells = c->data != NULL;
                told |= clause_fire(c, f->result) && tells;
        }
        return told;
}

/* Gives the end to one who asks for the next: true; or keeps it for them. */
static bool offer_next(scope *s, sj_fiber *f)
{
        clause *taker = clause_first(&s->next_takers);
        if (taker) {
                taker->data = f;
                clause_fire(taker, 0);
        } else {
                f->next_ended = NULL;
                *s->last_ended = f;
                s->last_ended = &f->next_ended;
        }
        if (s->handles_alive == 0)
                clause_fire_all(&s->next_takers, -ENOENT);
        return taker != NULL;
}

FIBER_RARE static void child_failed(scope *s, sj_fiber *f, bool told)
{
        if (told) {
                fail(s, f->result);
        } else if (f->has_handle) {
                f->failed_unseen = true;
                s->failed_unseen++;
                fail(s, f->result);
        } else {
                scope_fail(s, f->result);
        }
}

static void everything_seen(scope *s)
{
        if (s->failed_unseen == 0)
                return;
        s->failed_unseen = 0;
        s->unseen_error = 0;
        list_for_each (node, &s->fibers)
                container_of(node, sj_fiber, sibling)->failed_unseen = false;
}

static int unseen_error(const scope *s)
{
        if (s->unseen_error)
                return s->unseen_error;
        const list *node = s->fibers.next;
        while (!container_of(node, sj_fiber, sibling)->failed_unseen)
                node = node->next;
        return container_of(node, sj_fiber, sibling)->result;
}

static int outcome(const scope *s)
{
        if (s->error)
                return s->error;
        if (s->timed_out)
                return -ETIMEDOUT;
        return s->from_above ? -ECANCELED : 0;
}

FIBER_RARE static void tell_scope_joiners(scope *s)
{
        clause *c;
        while ((c = clause_first(&s->joiners))) {
                if (c->data)
                        everything_seen(s);
                clause_fire(c, outcome(s));
        }
}

void scope_child_ended(scope *s, sj_fiber *f)
{
        bool failed = fiber_failed(f);
        /* Who is told of a failure hears of it before it cancels them. */
        bool told = tell_joiners(f, failed);
        s->alive--;
        if (f->has_handle) {
                s->handles_alive--;
                told |= offer_next(s, f);
        } else {
                list_remove(&f->sibling);
        }
        if (failed)
                child_failed(s, f, told);
        if (s->alive == 0)
                tell_scope_joiners(s);
}

/* ── Entering and leaving ────────────────────────────────────────────────────────────────── */

static void deadline_passed(loop_timer *timer)
{
        scope *s = container_of(timer, scope, timer);
        s->timed_out = true;
        cancel(s, SJ_BY_DEADLINE);
}

static void set_deadline(scope *s, sj_time deadline)
{
        struct sj_loop *loop = &s->loop->loop;
        s->deadline = deadline;
        loop_timer_cancel(loop, &s->timer);
        s->timer.fire = deadline_passed;
        if (deadline == SJ_NEVER)
                return;
        if (deadline <= os_now())
                deadline_passed(&s->timer);
        else
                loop_timer_set(loop, &s->timer, deadline);
}

void scope_init(scope *s, sj_fiber *opener, sj_time deadline, unsigned flags)
{
        int cancelled = opener && !(flags & SJ_SHIELD) ? fiber_is_cancelled(opener) : SJ_BY_NONE;
        /* One by one, which is a third of what zeroing the whole takes. */
        s->opener = opener;
        s->loop = fiber_loop_of_thread;
        s->outer = opener ? opener->inner : NULL;
        s->inner = NULL;
        list_init(&s->fibers);
        s->ended = NULL;
        s->last_ended = &s->ended;
        s->joiners.next = s->next_takers.next = NULL;
        s->timer.node.previous = NULL;
        s->deadline = deadline;
        s->flags = flags;
        s->alive = s->handles_alive = s->failed_unseen = 0;
        s->error = s->unseen_error = 0;
        s->cancelled = cancelled;
        s->from_above = cancelled != SJ_BY_NONE;
        s->timed_out = false;
        if (opener) {
                if (s->outer)
                        s->outer->inner = s;
                opener->inner = s;
                opener->stop = cancelled != SJ_BY_NONE;
        }
        if (deadline != SJ_NEVER)
                set_deadline(s, deadline);
}

static const char endless_shield[] = "a shielded scope must have a finite deadline";

sj_scope *sj_scope_enter(sj_scope *storage, sj_time deadline, unsigned flags)
{
        sj_fiber *f = fiber_current();
        if (!f)
                debug_abort(NULL, "a scope was entered outside of any fiber");
        if ((flags & SJ_SHIELD) && deadline == SJ_NEVER)
                debug_abort(f, endless_shield);
        scope_init(scope_of(storage), f, deadline, flags);
        return storage;
}

/*
 * Waits until all have ended; what a join returns. Only the opener may touch the scope after a
 * wait: another joiner may find it left.
 */
static int wait_for_all(scope *s, bool is_join)
{
        bool is_opener = s->opener == fiber_current();
        while (s->alive > 0) {
                clause c = {.data = is_join ? s : NULL};
                clause_add(&s->joiners, &c);
                int r = fiber_wait_shielded(&c, 1, "scope");
                if (!is_opener)
                        return r;
        }
        if (is_join)
                everything_seen(s);
        return outcome(s);
}

static void close_scope(scope *s, int error)
{
        fiber_loop *fl = s->loop;
        loop_timer_cancel(&fl->loop, &s->timer);
        fiber_free_all(fl, &s->fibers);
        s->opener->inner = s->outer;
        if (s->outer)
                s->outer->inner = NULL;
        s->opener->stop = fiber_is_cancelled(s->opener);
        if (error)
                scope_fail(s->outer ? s->outer : s->opener->owner, error);
}

void sj_scope_leave(sj_scope *storage)
{
        scope *s = scope_of(storage);
        if (!fiber_loop_of_thread)
                debug_abort(s->opener, debug_forked);
        if (s->opener != fiber_current() || s->opener->inner != s)
                debug_abort(fiber_current(), "scopes must be left innermost first, by the fiber "
                                             "that entered them");
        if (s->alive > 0)
                cancel(s, SJ_BY_LEAVING);
        wait_for_all(s, false);
        close_scope(s, s->failed_unseen > 0 ? unseen_error(s) : 0);
}

/* Whether the calling fiber is, at any depth, owned by the scope: it would wait for itself. */
static bool owns_caller(const scope *s)
{
        for (const sj_fiber *f = fiber_current(); f; f = f->owner->opener)
                if (f->owner == s)
                        return true;
        return false;
}

int sj_scope_join(sj_scope *storage)
{
        scope *s = scope_of(storage);
        if (!fiber_current())
                return -EPERM;
        if (s->opener != fiber_current() && owns_caller(s))
                return -EDEADLK;
        return wait_for_all(s, true);
}

int sj_scope_next(sj_scope *storage, sj_fiber **ret, sj_time deadline)
{
        scope *s = scope_of(storage);
        int r = fiber_check();
        if (r < 0)
                return r;
        if (s->ended) {
                *ret = s->ended;
                s->ended = s->ended->next_ended;
                if (!s->ended)
                        s->last_ended = &s->ended;
                fiber_seen(*ret);
                return 0;
        }
        if (s->handles_alive == 0)
                return -ENOENT;
        clause c;
        clause_add(&s->next_takers, &c);
        r = fiber_wait(&c, 1, deadline, "next of a scope", NULL);
        if (r == 0)
                *ret = c.data;
        return r;
}

void sj_scope_set_deadline(sj_scope *storage, sj_time deadline)
{
        scope *s = scope_of(storage);
        if ((s->flags & SJ_SHIELD) && deadline == SJ_NEVER)
                debug_abort(fiber_current(), endless_shield);
        /* One that has passed may not have fired yet. */
        if (s->deadline == SJ_NEVER || s->deadline > os_now())
                set_deadline(s, deadline);
}

sj_time sj_scope_deadline(void)
{
        sj_time earliest = SJ_NEVER;
        const sj_fiber *f = fiber_current();
        const scope *s = f ? f->inner : NULL;
        while (f) {
                for (; s; s = s->outer) {
                        if (s->deadline < earliest)
                                earliest = s->deadline;
                        if (s->flags & SJ_SHIELD)
                                return earliest;
                }
                s = f->owner;
                f = s->opener;
        }
        return earliest;
}
