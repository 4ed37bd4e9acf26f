/* SPDX-License-Identifier: MIT */
/*
 * Posts are a stack that any thread pushes to and the loop takes whole and reverses: one atomic
 * operation for each post and one for each turn, and the order of posting is kept.
 *
 * Nobody is woken who is awake. The loop says that it is about to sleep, then looks at the posts
 * once more; a poster pushes, then looks whether the loop sleeps. Both in sequentially consistent
 * order, so that at least one of the two sees the other.
 */
#include "loop/loop.h"

#include <stdatomic.h>

enum { EVENTS_A_TURN = 128 };

int loop_init(struct sj_loop *loop)
{
        *loop = (struct sj_loop){0};
        loop->last = &loop->first;
        loop->now = os_now();
        return os_poller_new(&loop->poller);
}

static void run_posts(struct sj_loop *loop)
{
        if (!atomic_load_explicit(&loop->posts, memory_order_relaxed))
                return;
        loop_post *newest = atomic_exchange(&loop->posts, NULL), *oldest = NULL;
        while (newest) {
                loop_post *next = newest->next;
                newest->next = oldest;
                oldest = newest;
                newest = next;
        }
        while (oldest) {
                loop_post *next = oldest->next;
                loop->posts_run++;
                oldest->run(oldest);
                oldest = next;
        }
}

static void await_senders(struct sj_loop *loop)
{
        for (;;) {
                uint32_t n = atomic_load_explicit(&loop->senders, memory_order_acquire);
                if (n == 0)
                        return;
                /* Nobody wakes: it is a matter of some instructions, unless one was preempted. */
                os_futex_wait(&loop->senders, n, os_now() + 50 * SJ_US, false);
        }
}

void loop_drain(struct sj_loop *loop)
{
        await_senders(loop);
        run_posts(loop);
}

void loop_fini(struct sj_loop *loop)
{
        if (!loop)
                return;
        await_senders(loop);
        while (loop->annexes) {
                loop_annex *annex = loop->annexes;
                loop->annexes = annex->next;
                annex->free(annex);
        }
        os_poller_free(loop->poller);
        loop->poller = NULL;
}

void loop_choose(struct sj_loop *loop)
{
        size_t n = 0;
        for (const loop_task *t = loop->first; t; t = t->next)
                n++;
        loop_task **at = &loop->first;
        for (size_t skip = os_choose(n); skip > 0; skip--)
                at = &(*at)->next;
        loop_task *chosen = *at;
        *at = chosen->next;
        if (!chosen->next)
                loop->last = at;
        chosen->next = loop->first;
        loop->first = chosen;
        if (!chosen->next)
                loop->last = &chosen->next;
}

void loop_timer_set(struct sj_loop *loop, loop_timer *timer, sj_time moment)
{
        heap_remove(&loop->timers, &timer->node);
        heap_add(&loop->timers, &timer->node, moment);
}

void loop_timer_cancel(struct sj_loop *loop, loop_timer *timer)
{
        heap_remove(&loop->timers, &timer->node);
}

int loop_fd_add(struct sj_loop *loop, loop_fd *lfd, int fd)
{
        lfd->fd = fd;
        lfd->ready = 0;
        lfd->waiting[0] = lfd->waiting[1] = NULL;
        int r = os_poller_watch(loop->poller, fd, lfd);
        if (r >= 0) {
                lfd->registered = true;
                loop->fds++;
        }
        return r;
}

int loop_fd_arm(struct sj_loop *loop, loop_fd *lfd, unsigned ready)
{
        int r = os_poller_arm(loop->poller, lfd->fd, ready, lfd);
        if (r >= 0 && !lfd->registered) {
                lfd->registered = true;
                loop->fds++;
        }
        return r;
}

void loop_fd_remove(struct sj_loop *loop, loop_fd *lfd)
{
        if (!lfd->registered)
                return;
        os_poller_forget(loop->poller, lfd->fd);
        lfd->registered = false;
        loop->fds--;
}

loop_annex *loop_annex_find(const struct sj_loop *loop, const void *key)
{
        loop_annex *annex = loop->annexes;
        while (annex && annex->key != key)
                annex = annex->next;
        return annex;
}

void loop_annex_add(struct sj_loop *loop, const void *key, loop_annex *annex)
{
        annex->key = key;
        annex->next = loop->annexes;
        loop->annexes = annex;
}

void loop_post_send(struct sj_loop *loop, loop_post *post)
{
        /* What the post does may end the loop before this thread is done with it. */
        atomic_fetch_add_explicit(&loop->senders, 1, memory_order_relaxed);
        loop_post *head = atomic_load_explicit(&loop->posts, memory_order_relaxed);
        do
                post->next = head;
        while (!atomic_compare_exchange_weak(&loop->posts, &head, post));
        if (atomic_load(&loop->sleeping))
                os_poller_wake(loop->poller);
        atomic_fetch_sub_explicit(&loop->senders, 1, memory_order_release);
}

static void fire_timers(struct sj_loop *loop)
{
        heap_node *top = heap_top(&loop->timers);
        while (top && top->key <= loop->now) {
                heap_remove(&loop->timers, top);
                loop_timer *timer = container_of(top, loop_timer, node);
                timer->fire(timer);
                top = heap_top(&loop->timers);
        }
}

static int poll_fds(struct sj_loop *loop, bool block)
{
        os_event events[EVENTS_A_TURN];
        sj_time deadline = SJ_POLL;
        if (block) {
                heap_node *top = heap_top(&loop->timers);
                deadline = top ? top->key : SJ_NEVER;
                atomic_store(&loop->sleeping, true);
                if (atomic_load(&loop->posts))
                        deadline = SJ_POLL;
        }
        int n = os_poller_wait(loop->poller, events, EVENTS_A_TURN, deadline);
        atomic_store_explicit(&loop->sleeping, false, memory_order_relaxed);
        for (int i = 0; i < n; i++) {
                loop_fd *lfd = events[i].token;
                lfd->ready |= events[i].ready;
                lfd->notify(lfd, events[i].ready);
        }
        return n < 0 ? n : 0;
}

int loop_poll(struct sj_loop *loop, bool block)
{
        int r = 0;
        block = block && !loop->first;
        if (block || loop->fds > 0 || os_simulated)
                r = poll_fds(loop, block);
        loop->now = os_now();
        run_posts(loop);
        fire_timers(loop);
        return r;
}
