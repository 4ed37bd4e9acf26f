/* SPDX-License-Identifier: MIT */
/*
 * Fibers: how they begin, change places and end.
 *
 * A fiber that gives up the processor goes straight to the next that is ready; only when none is,
 * or when SWITCHES_A_POLL have passed without a look at the world, does it go to the thread's
 * own stack, where the loop is polled:
 *
 *         thread's stack: poll ─► fiber ─► fiber ─► fiber ─► ... ─► poll
 *
 * An ended fiber gives up the stack under its own feet, and switches away for the last time. That
 * is safe, because nobody runs in between who could take it, and the pool unmaps no slab of a stack
 * that was freed just now. Instrumented builds, where a stack's end must be told from another one,
 * leave it to whoever runs next, who does it first thing.
 */
#include "fiber/fiber.h"

#include "fiber/debug.h"
#include "fiber/remote.h"
#include "fiber/trace.h"

#include <sanjab/debug.h>
#include <sanjab/future.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { SWITCHES_A_POLL = 128, FIBERS_A_SLAB = 64 };

_Thread_local fiber_loop *fiber_loop_of_thread __attribute__((tls_model("initial-exec")));

typedef struct fiber_slab {
        struct fiber_slab *next;
        sj_fiber fibers[FIBERS_A_SLAB];
} fiber_slab;

/* ── Structs of fibers: recycled, so that spawning asks malloc for nothing ───────────────── */

FIBER_RARE static int slab_new(fiber_loop *fl)
{
        fiber_slab *slab = aligned_alloc(_Alignof(fiber_slab), sizeof(*slab));
        if (!slab)
                return -ENOMEM;
        slab->next = fl->slabs;
        fl->slabs = slab;
        for (size_t i = FIBERS_A_SLAB; i-- > 0;)
                fiber_free(fl, &slab->fibers[i]);
        return 0;
}

static inline sj_fiber *fiber_new(fiber_loop *fl)
{
        /* Its own piece of memory there, so that the use of a handle after its scope is seen. */
        if (SANITIZE_ADDRESS)
                return aligned_alloc(_Alignof(sj_fiber), sizeof(sj_fiber));
        if (!fl->free_fibers && slab_new(fl) < 0)
                return NULL;
        list *node = fl->free_fibers;
        fl->free_fibers = node->next;
        return container_of(node, sj_fiber, sibling);
}

void fiber_free(fiber_loop *fl, sj_fiber *f)
{
        if (SANITIZE_ADDRESS) {
                free(f);
                return;
        }
        f->sibling.next = fl->free_fibers;
        fl->free_fibers = &f->sibling;
}

void fiber_free_all(fiber_loop *fl, list *siblings)
{
        if (list_empty(siblings))
                return;
        if (SANITIZE_ADDRESS) {
                list_for_each_safe (node, siblings)
                        free(container_of(node, sj_fiber, sibling));
                return;
        }
        siblings->prev->next = fl->free_fibers;
        fl->free_fibers = siblings->next;
}

/* ── Switching ───────────────────────────────────────────────────────────────────────────── */

void fiber_bury(fiber_loop *fl, sj_fiber *f)
{
        fl->leaving = NULL;
        context_fini(&f->context);
        stack_free(&fl->stacks, f->stack);
        if (!f->has_handle)
                fiber_free(fl, f);
}

/* ── A fiber's life ──────────────────────────────────────────────────────────────────────── */

void fiber_seen(sj_fiber *f)
{
        if (!f->failed_unseen)
                return;
        f->failed_unseen = false;
        f->owner->failed_unseen--;
}

static void fiber_end(sj_fiber *f, int result)
{
        if (!fiber_loop_of_thread)
                debug_abort(f, debug_forked);
        if (f->inner)
                debug_abort(f, "returned without leaving a scope that it had entered");
        if (__builtin_expect(f->locals != NULL, 0))
                local_end(f);
        f->result = result;
        f->has_ended = true;
        scope_child_ended(f->owner, f);
}

/* f has ended, and next, which has not begun, takes over the stack that both are called on. */
static void hand_down_stack(fiber_loop *fl, sj_fiber *f, sj_fiber *next)
{
        stack *spare = next->stack;
        next->stack = f->stack;
        next->context.pc = f->context.pc;
        stack_free_unused(&fl->stacks, spare);
        if (!f->has_handle)
                fiber_free(fl, f);
}

/*
 * When the next in turn has not begun yet, it needs no switch: it is called here, on the stack that
 * is hot, and its own goes back unused. A burst of short fibers then runs on a single stack.
 */
void fiber_body(void *arg)
{
        sj_fiber *f = arg, *next;
        fiber_loop *fl = fiber_loop_of_thread;
        fiber_after_switch(fl);
        for (;;) {
                fiber_end(f, f->fn(f->arg));
                next = fiber_next(fl);
                if (SANITIZE_ANY || !next || next->context.pc)
                        break;
                hand_down_stack(fl, f, next);
                f = next;
        }
        if (SANITIZE_ANY)
                fl->leaving = f;
        else
                fiber_bury(fl, f);
        context_switch_last(&f->context, fiber_context(fl, next));
}

/* What each fiber needs before it can be, or NULL, unless all of it is at hand. */
static inline sj_fiber *acquire_hot(fiber_loop *fl)
{
        const sj_fiber *parent = atomic_load_explicit(&fl->current, memory_order_relaxed);
        if (SANITIZE_ADDRESS || !fl->free_fibers || fl->stacks.n_hot == 0 || fl->trace ||
            (parent && parent->locals))
                return NULL;
        sj_fiber *f = fiber_new(fl);
        f->locals = NULL;
        (void)stack_alloc(&fl->stacks, &f->stack);
        return f;
}

/* The same from wherever it must be got. Nothing is left of it on failure. */
static int acquire(fiber_loop *fl, sj_fiber **ret)
{
        const sj_fiber *parent = atomic_load_explicit(&fl->current, memory_order_relaxed);
        sj_fiber *f = fiber_new(fl);
        if (!f)
                return -ENOMEM;
        f->locals = NULL;
        int r = parent ? local_inherit(parent->locals, &f->locals) : 0;
        if (r >= 0 && (r = stack_alloc(&fl->stacks, &f->stack)) < 0)
                local_end(f);
        if (r < 0)
                fiber_free(fl, f);
        else
                *ret = f;
        return r;
}

/* With what it needs: from here on it is the scope's. The parameters are sj_spawn_named's. */
static inline __attribute__((always_inline)) void begin(sj_fiber *f, scope *s, sj_fn *fn, void *arg,
                                                        const char *name, const char *where,
                                                        sj_fiber **ret)
{
        fiber_loop *fl = s->loop;
        f->inner = NULL;
        f->owner = s;
        f->wait = NULL;
        f->cancelled = s->cancelled;
        f->stop = s->cancelled != SJ_BY_NONE;
        f->has_ended = false;
        f->has_handle = ret != NULL;
        f->failed_unseen = false;
        f->fn = fn;
        f->arg = arg;
        atomic_store_explicit(&f->name, name, memory_order_relaxed);
        atomic_store_explicit(&f->where, where, memory_order_relaxed);
        f->joiners.next = NULL;
        list_append(&s->fibers, &f->sibling);
        s->alive++;
        s->handles_alive += f->has_handle;
        f->context.pc = NULL;
        fiber_make_ready_in(fl, f);
        if (ret)
                *ret = f;
}

FIBER_RARE static int spawn_cold(sj_scope *ss, sj_fn *fn, void *arg, const char *name,
                                 const char *where, sj_fiber **ret)
{
        fiber_loop *fl = fiber_loop_of_thread;
        sj_fiber *f;
        int r = acquire(fl, &f);
        if (r < 0)
                return r;
        begin(f, scope_of(ss), fn, arg, name, where, ret);
        if (fl->trace)
                trace_spawned(fl, f);
        return 0;
}

/* The common way calls nothing, so that it saves no registers: a fifth of what a spawn takes. */
int sj_spawn_named(sj_scope *ss, sj_fn *fn, void *arg, const char *name, const char *where,
                   sj_fiber **ret)
{
        fiber_loop *fl = fiber_loop_of_thread;
        if (scope_of(ss)->loop != fl)
                return -EXDEV;
        sj_fiber *f = acquire_hot(fl);
        if (__builtin_expect(!f, 0))
                return spawn_cold(ss, fn, arg, name, where, ret);
        begin(f, scope_of(ss), fn, arg, name, where, ret);
        return 0;
}

int sj_yield(void)
{
        sj_fiber *f = fiber_current();
        int r = fiber_check_of(f);
        if (r < 0)
                return r;
        fiber_make_ready(f);
        fiber_switch_away(f);
        return 0;
}

int sj_sleep_until(sj_time moment)
{
        int r = fiber_check();
        if (r < 0)
                return r;
        if (moment <= SJ_POLL)
                return sj_yield();
        r = fiber_wait(NULL, 0, moment, "sleep", NULL);
        return r == -ETIMEDOUT ? 0 : r;
}

sj_fiber *sj_fiber_self(void)
{
        return fiber_current();
}

const char *sj_fiber_name(const sj_fiber *f)
{
        return atomic_load_explicit(&f->name, memory_order_relaxed);
}

const char *sj_fiber_where(const sj_fiber *f)
{
        return atomic_load_explicit(&f->where, memory_order_relaxed);
}

bool sj_fiber_done(const sj_fiber *f, int *ret_result)
{
        if (!f->has_ended)
                return false;
        if (ret_result)
                *ret_result = f->result;
        return true;
}

int sj_cancel_for(sj_fiber *f, int reason)
{
        if (reason < 1)
                return -EINVAL;
        scope_cancel_fiber(f, reason);
        return 0;
}

bool sj_cancelled(void)
{
        return fiber_check() == -ECANCELED;
}

int sj_cancel_reason(void)
{
        const sj_fiber *f = fiber_current();
        return f ? fiber_is_cancelled(f) : SJ_BY_NONE;
}

void sj_cancel(sj_fiber *f)
{
        scope_cancel_fiber(f, SJ_BY_CALL);
}

/* ── The loop's life ─────────────────────────────────────────────────────────────────────── */

sj_loop *sj_loop_current(void)
{
        return fiber_loop_current();
}

typedef struct posted_call {
        loop_post post;
        sj_fn *fn;
        void *arg;
} posted_call;

static void run_posted_call(loop_post *post)
{
        posted_call *call = container_of(post, posted_call, post);
        call->fn(call->arg);
        free(call);
}

int sj_post(sj_loop *loop, sj_fn *fn, void *arg)
{
        posted_call *call = malloc(sizeof(*call));
        if (!call)
                return -ENOMEM;
        *call = (posted_call){.post = {.run = run_posted_call}, .fn = fn, .arg = arg};
        loop_post_send(loop, &call->post);
        return 0;
}

static void tidy_stacks(loop_timer *timer)
{
        stack_pool_tidy(&container_of(timer, fiber_loop, tidy)->stacks);
}

/* Bursts that follow each other at once find their stacks again; what is left gives way. */
static void tidy_later(fiber_loop *fl)
{
        if (heap_holds(&fl->tidy.node) || !stack_pool_untidy(&fl->stacks))
                return;
        fl->tidy.fire = tidy_stacks;
        loop_timer_set(&fl->loop, &fl->tidy, sj_after(SJ_SEC));
}

static void poll_once(fiber_loop *fl)
{
        if (loop_poll(&fl->loop, true) < 0)
                debug_abort(NULL, "the system does not tell any more what is ready");
}

static bool is_empty(const fiber_loop *fl)
{
        return fl->root.alive == 0 && list_empty(&fl->remotes);
}

/* The thread's own stack: lets fibers run and polls in turn, until none is left. */
static void run_until_empty(fiber_loop *fl)
{
        while (!is_empty(fl)) {
                uint64_t switches = atomic_load_explicit(&fl->switches, memory_order_relaxed);
                /* To the first fiber, from it to so many others, and back. */
                trace_poll_at(fl, switches + 2 + (os_simulated ? os_choose(8) : SWITCHES_A_POLL));
                sj_fiber *next = fiber_next(fl);
                if (next) {
                        context_switch(&fl->root_context, fiber_context(fl, next));
                        fiber_after_switch(fl);
                }
                fl->turns++;
                tidy_later(fl);
                if (!is_empty(fl))
                        poll_once(fl);
                counters_turn(fl);
        }
}

/* In the child of a fork, on the thread that forked: its loop goes on in the parent alone. */
static void leave_loop_to_parent(void)
{
        if (!fiber_loop_of_thread)
                return;
        os_poller_abandon(fiber_loop_of_thread->loop.poller);
        fiber_loop_of_thread = NULL;
        (void)os_at_thread_end(NULL);
}

static void thread_ended(void)
{
        debug_abort(NULL, "a thread ended (pthread_exit, pthread_cancel) while fibers of its loop "
                          "were alive");
}

static int watch_forks(void)
{
        static atomic_bool watched;
        if (atomic_exchange(&watched, true))
                return 0;
        int r = os_after_fork(leave_loop_to_parent);
        if (r < 0)
                atomic_store(&watched, false);
        return r;
}

static int fiber_loop_init(fiber_loop *fl)
{
        *fl = (fiber_loop){0};
        int r = watch_forks();
        if (r >= 0)
                r = os_at_thread_end(thread_ended);
        if (r >= 0)
                r = loop_init(&fl->loop);
        if (r < 0) {
                (void)os_at_thread_end(NULL);
                return r;
        }
        context_thread(&fl->root_context);
        stack_pool_init(&fl->stacks, 0);
        fiber_loop_of_thread = fl;
        scope_init(&fl->root, NULL, SJ_NEVER, 0);
        list_init(&fl->remotes);
        debug_begin(fl);
        return 0;
}

static void fiber_loop_fini(fiber_loop *fl)
{
        loop_drain(&fl->loop);
        debug_end(fl);
        fd_table_free(fl);
        fiber_loop_of_thread = NULL;
        (void)os_at_thread_end(NULL);
        stack_pool_fini(&fl->stacks);
        while (fl->slabs) {
                fiber_slab *next = fl->slabs->next;
                free(fl->slabs);
                fl->slabs = next;
        }
        loop_fini(&fl->loop);
}

static void stop_main(loop_post *post)
{
        fiber_loop *fl = container_of(post, fiber_loop, stop_post);
        fl->stopped = true;
        scope_cancel_fiber(fl->main, SJ_BY_STOP);
        remotes_cancel(fl, SJ_BY_STOP);
}

static void send_stop(sj_then *then, int result, void *value)
{
        (void)result;
        (void)value;
        fiber_loop *fl = container_of(then, fiber_loop, stop_call);
        loop_post_send(&fl->loop, &fl->stop_post);
}

void sj_loop_stop(sj_loop *loop)
{
        sj_future_cancel(((fiber_loop *)loop)->stop);
}

/* All fibers until the last has ended; f is the first. */
static int run_main(fiber_loop *fl, sj_fiber *f, sj_future *stop)
{
        fl->main = f;
        fl->stop = stop;
        fl->stop_call.call = send_stop;
        fl->stop_post.run = stop_main;
        sj_future_then(stop, &fl->stop_call);
        /* What was posted before the last fiber ended may start another. */
        do {
                run_until_empty(fl);
                loop_drain(&fl->loop);
        } while (!is_empty(fl));
        sj_trace_stop();
        /* What was not taken back is on its way. */
        if (!sj_future_forget(stop, &fl->stop_call))
                while (!fl->stopped)
                        poll_once(fl);
        int r = f->result < 0 || !fl->root.error ? f->result : fl->root.error;
        fiber_free(fl, f);
        return r;
}

int fiber_run(sj_future *stop, sj_fn *main, void *arg, const char *name, const char *where)
{
        if (fiber_loop_of_thread)
                return -EBUSY;
        fiber_loop fl;
        int r = fiber_loop_init(&fl);
        if (r < 0)
                return r;
        sj_fiber *f;
        r = sj_spawn_named((sj_scope *)&fl.root, main, arg, name, where, &f);
        if (r >= 0)
                r = run_main(&fl, f, stop);
        fiber_loop_fini(&fl);
        return r;
}

int sj_run_named(sj_fn *main, void *arg, const char *name, const char *where)
{
        sj_future stop = SJ_FUTURE_INIT;
        return fiber_run(&stop, main, arg, name, where);
}
