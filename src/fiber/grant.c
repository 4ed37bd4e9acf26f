/* SPDX-License-Identifier: MIT */
#include "fiber/grant.h"

#include "fiber/fiber.h"

#include <stdatomic.h>

static void arrive(loop_post *post)
{
        grant *g = container_of(post, grant, post);
        clause_end(&g->clauses[g->which], g->result);
}

void grant_init(grant *g, clause clauses[])
{
        *g = (grant){.clauses = clauses,
                     .loop = fiber_current() ? fiber_loop_current() : NULL,
                     .post.run = arrive};
}

static void grant_give(grant *g, size_t which, int result)
{
        g->result = result;
        g->which = which;
        if (!g->loop) {
                /* The last touch: to wake an address that is no more wakes nobody. */
                atomic_store(&g->state, GRANT_GIVEN);
                os_futex_wake(&g->state, 1, false);
        } else if (g->loop == fiber_loop_current()) {
                arrive(&g->post);
        } else {
                loop_post_send(g->loop, &g->post);
        }
}

bool clause_claim_granted(clause *c)
{
        if (grant_take(c->wait->grant))
                return true;
        list_remove(&c->link);
        return false;
}

static int wait_in_thread(grant *g, sj_time deadline, size_t *ret)
{
        for (;;) {
                uint32_t state = atomic_load(&g->state);
                if (state == GRANT_GIVEN) {
                        if (ret)
                                *ret = g->which;
                        return g->result;
                }
                sj_time until = state == GRANT_OPEN ? deadline : SJ_NEVER;
                int r = os_futex_wait(&g->state, state, until, false);
                if (r == -ETIMEDOUT && grant_take(g))
                        return -ETIMEDOUT;
        }
}

int grant_wait(grant *g, size_t n, sj_time deadline, const char *what, size_t *ret)
{
        if (!g->loop)
                return wait_in_thread(g, deadline, ret);
        return fiber_wait_granted(g, g->clauses, n, deadline, what, ret);
}

void shared_enter(list *queue, shared_waiter *w)
{
        if (!queue->next)
                list_init(queue);
        list_append(queue, &w->link);
}

shared_waiter *shared_first(list *queue)
{
        while (queue->next && !list_empty(queue)) {
                shared_waiter *w = container_of(list_pop(queue), shared_waiter, link);
                if (grant_take(w->grant))
                        return w;
        }
        return NULL;
}

void shared_give(shared_waiter *w, int result)
{
        grant_give(w->grant, w->which, result);
}

void shared_take_all(list *queue, list *given)
{
        shared_waiter *w;
        while ((w = shared_first(queue)))
                list_append(given, &w->link);
}

void shared_give_all(list *given, int result)
{
        list *node;
        while ((node = list_pop(given)))
                shared_give(container_of(node, shared_waiter, link), result);
}

int shared_wait(mutex *m, list *queue, void *data, sj_time deadline, const char *what)
{
        if (deadline == SJ_POLL) {
                mutex_unlock(m);
                return -ETIMEDOUT;
        }
        grant g;
        clause c;
        list_init(&c.link);
        grant_init(&g, &c);
        shared_waiter w = {.grant = &g, .data = data};
        shared_enter(queue, &w);
        mutex_unlock(m);
        size_t fired = 1;
        int r = grant_wait(&g, 1, deadline, what, &fired);
        if (fired == 1) {
                mutex_lock(m);
                list_remove(&w.link);
                mutex_unlock(m);
        }
        return r;
}

int shared_check(void)
{
        const sj_fiber *f = fiber_current();
        return f ? fiber_check_of(f) : 0;
}
