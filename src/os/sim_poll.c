/* SPDX-License-Identifier: MIT */
/*
 * Readiness in the simulated world, by the kernel's own rules.
 *
 * A watch joins a descriptor and a poller. A change of the descriptor puts its watches on their
 * pollers' ready lists; a wait takes watches from there and reports what the descriptor is ready
 * for at that moment, if anything. An edge-triggered watch then leaves the list until the next
 * change, so that a program that stops reading before -EAGAIN hangs here as it does in life. A
 * one-shot watch looks at the level when it is armed, and is spent by its report.
 *
 * With nothing to report, the wait lets the clock jump to the next event or its deadline. With
 * neither, nothing can ever happen again, and the world says so.
 */
#include "os/sim_world.h"

#include <stdlib.h>

/* What a poll that finds nothing costs when it follows another: a program that spins moves on. */
#define SPIN_COST SJ_US

typedef struct watch {
        list of_fd;
        list of_poller;
        list ready; /* in its poller's ready list, or alone */
        os_poller *poller;
        sim_fd *fd;
        void *token;
        unsigned asked; /* 0: spent */
        bool one_shot;
} watch;

struct os_poller {
        list watches;
        list ready;
        size_t watch_count;
        bool woken;
};

int os_poller_new(os_poller **ret)
{
        sim_world *w = sim_enter();
        /* Two descriptors in the real world: it can fail for want of them here too. */
        if (!sim_fd_room(w))
                return (int)sim_trace(w, "poller_new", -1, -EMFILE);
        os_poller *p = sim_alloc(sizeof(*p));
        list_init(&p->watches);
        list_init(&p->ready);
        *ret = p;
        return (int)sim_trace(w, "poller_new", -1, 0);
}

static void watch_free(watch *x)
{
        list_remove(&x->of_fd);
        list_remove(&x->of_poller);
        list_remove(&x->ready);
        x->poller->watch_count--;
        free(x);
}

void os_poller_free(os_poller *p)
{
        if (!p)
                return;
        list_for_each_safe (node, &p->watches)
                watch_free(container_of(node, watch, of_poller));
        free(p);
}

void os_poller_abandon(os_poller *p)
{
        (void)p;
}

static void make_ready(watch *x)
{
        list_remove(&x->ready);
        list_append(&x->poller->ready, &x->ready);
}

void sim_fd_changed(sim_fd *f)
{
        if (!f)
                return;
        list_for_each (node, &f->watches) {
                watch *x = container_of(node, watch, of_fd);
                if (x->asked && list_empty(&x->ready))
                        make_ready(x);
        }
}

typedef struct change {
        sim_event event;
        int fd;
} change;

static void change_now(sim_event *event, bool happens)
{
        change *c = container_of(event, change, event);
        /* The number may be somebody else's by now, who gets an edge for nothing: allowed. */
        if (happens)
                sim_fd_changed(sim_fd_get(sim_world_get(), c->fd, NULL));
        free(c);
}

void sim_fd_changes_soon(sim_world *w, sim_fd *f)
{
        change *c = sim_alloc(sizeof(*c));
        *c = (change){.event.fire = change_now, .fd = f->number};
        sim_post(w, &c->event, w->now + 1 + (sj_time)sim_draw_from(w, SIM_WIRE, SJ_MS));
}

size_t sim_fd_unwatch(sim_fd *f)
{
        size_t n = 0;
        list_for_each_safe (node, &f->watches) {
                watch *x = container_of(node, watch, of_fd);
                n += x->asked != 0;
                watch_free(x);
        }
        return n;
}

static watch *find(const os_poller *p, const sim_fd *f)
{
        list_for_each (node, &f->watches) {
                watch *x = container_of(node, watch, of_fd);
                if (x->poller == p)
                        return x;
        }
        return NULL;
}

static int add(os_poller *p, int fd, unsigned asked, bool one_shot, void *token)
{
        sim_world *w = sim_world_get();
        sim_fd *f = sim_fd_get(w, fd, NULL);
        if (!f)
                return -EBADF;
        if (!f->class->level)
                return -EPERM;
        watch *x = find(p, f);
        if (!x) {
                x = sim_alloc(sizeof(*x));
                x->poller = p;
                x->fd = f;
                list_append(&f->watches, &x->of_fd);
                list_append(&p->watches, &x->of_poller);
                list_init(&x->ready);
                p->watch_count++;
        }
        x->token = token;
        x->asked = asked;
        x->one_shot = one_shot;
        make_ready(x);
        return 0;
}

int os_poller_watch(os_poller *p, int fd, void *token)
{
        sim_world *w = sim_enter();
        int error = add(p, fd, OS_READABLE | OS_WRITABLE | OS_HANGUP, false, token);
        return (int)sim_trace(w, "watch", fd, error);
}

int os_poller_arm(os_poller *p, int fd, unsigned ready, void *token)
{
        sim_world *w = sim_enter();
        int error = add(p, fd, ready & (OS_READABLE | OS_WRITABLE), true, token);
        return (int)sim_trace(w, "arm", fd, error);
}

void os_poller_forget(os_poller *p, int fd)
{
        sim_world *w = sim_enter();
        sim_fd *f = sim_fd_get(w, fd, NULL);
        watch *x = f ? find(p, f) : NULL;
        sim_trace(w, "forget", fd, x ? 0 : -ENOENT);
        if (x)
                watch_free(x);
}

static watch *nth(list *head, size_t of_member, size_t i)
{
        list *node = head->next;
        while (i--)
                node = node->next;
        return (watch *)(void *)((char *)node - of_member);
}

static size_t length(const list *head)
{
        size_t n = 0;
        list_for_each (node, head)
                n++;
        return n;
}

/* Reports the watch, if its descriptor is ready for what it asks. */
static size_t report(sim_world *w, watch *x, os_event *ret)
{
        list_remove(&x->ready);
        unsigned ready = x->fd->class->level(x->fd) & x->asked;
        if (!ready)
                return 0;
        if (x->one_shot)
                x->asked = 0;
        *ret = (os_event){.token = x->token, .ready = ready};
        sim_trace(w, "report", x->fd->number, (ssize_t)ready);
        return 1;
}

/* As epoll, whose answer has a descriptor once: who hears of it may let go of it at once. */
static bool is_reported(const os_event events[], size_t n, const watch *x)
{
        for (size_t i = 0; i < n; i++)
                if (events[i].token == x->token)
                        return true;
        return false;
}

static size_t report_for_nothing(sim_world *w, os_poller *p, os_event events[], size_t n)
{
        if (p->watch_count == 0 || !sim_one_in(w, FAULT_SPURIOUS, w->options.spurious))
                return 0;
        watch *x = nth(&p->watches, offsetof(watch, of_poller),
                       (size_t)sim_draw_from(w, SIM_MISCHIEF, p->watch_count));
        if (x->one_shot || !list_empty(&x->ready) || is_reported(events, n, x))
                return 0;
        events[n] = (os_event){.token = x->token, .ready = OS_READABLE | OS_WRITABLE};
        sim_trace(w, "report_spurious", x->fd->number, (ssize_t)events[n].ready);
        return 1;
}

static size_t collect(sim_world *w, os_poller *p, os_event events[], size_t n)
{
        size_t left = length(&p->ready), count = 0;
        for (; left > 0 && count < n; left--) {
                size_t i = w->options.in_order ? 0 : (size_t)sim_draw_from(w, SIM_SCHEDULE, left);
                count += report(w, nth(&p->ready, offsetof(watch, ready), i), &events[count]);
        }
        if (count < n)
                count += report_for_nothing(w, p, events, count);
        w->counters.reports += count;
        return count;
}

/* Lets time pass until something may be ready; false when the deadline has come. */
static bool pass_time(sim_world *w, sj_time deadline)
{
        const heap_node *next = heap_top(&w->events);
        if (!next && deadline == SJ_NEVER)
                sim_stuck(w, "deadlock: nothing is ready, nothing is on its way, no deadline");
        if (w->now >= deadline)
                return false;
        sim_advance(w, next && next->key < deadline ? next->key : deadline);
        return true;
}

static int found_nothing(sim_world *w, bool slept)
{
        if (!slept && w->idle_before)
                sim_advance(w, w->now + SPIN_COST);
        w->idle_before = !slept;
        return (int)sim_trace(w, "wait", -1, 0);
}

int os_poller_wait(os_poller *p, os_event events[], size_t n, sj_time deadline)
{
        sim_world *w = sim_enter();
        if (n == 0)
                return (int)sim_trace(w, "wait", -1, -EINVAL);
        bool slept = false;
        size_t count;
        for (;;) {
                count = collect(w, p, events, n);
                if (count > 0 || p->woken)
                        break;
                if (!pass_time(w, deadline))
                        return found_nothing(w, slept);
                slept = true;
        }
        w->idle_before = false;
        p->woken = false;
        return (int)sim_trace(w, "wait", -1, (ssize_t)count);
}

void os_poller_wake(os_poller *p)
{
        sim_trace(sim_enter(), "wake", -1, 0);
        p->woken = true;
}
