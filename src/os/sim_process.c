/* SPDX-License-Identifier: MIT */
/*
 * Processes, signals and threads of the simulated world, which is one process with one thread.
 *
 * os_spawn and os_thread_start say -ENOSYS: what they start would run outside of the seed's reach.
 * Offloaded work runs as a fiber instead, and worker processes are modelled as fibers, too. A
 * futex with nobody else to change its word is a wait for the deadline, or for ever.
 */
#include "os/sim_world.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIM_PID = 4242, SIGNALS = 65 };

/* ── Signals ─────────────────────────────────────────────────────────────────────────────── */

typedef struct signals {
        sim_fd base;
        list node; /* in the world's signals */
        bool wanted[SIGNALS];
        bool pending[SIGNALS]; /* as the system: a signal that is pending twice comes once */
} signals;

static void signals_close(sim_fd *f)
{
        list_remove(&((signals *)f)->node);
        free(f);
}

static int next_pending(const signals *s)
{
        for (int i = 1; i < SIGNALS; i++)
                if (s->pending[i])
                        return i;
        return -EAGAIN;
}

static unsigned signals_level(const sim_fd *f)
{
        return next_pending((const signals *)f) > 0 ? OS_READABLE : 0;
}

static const sim_class signals_class = {
        .name = "signals", .close = signals_close, .level = signals_level};

int os_signal_open(const int numbers[], size_t n)
{
        sim_world *w = sim_enter();
        for (size_t i = 0; i < n; i++)
                if (numbers[i] < 1 || numbers[i] >= SIGNALS)
                        return -EINVAL;
        signals *s = sim_alloc(sizeof(*s));
        s->base.class = &signals_class;
        for (size_t i = 0; i < n; i++)
                s->wanted[numbers[i]] = true;
        int fd = sim_fd_add(w, &s->base);
        if (fd < 0)
                free(s);
        else
                list_append(&w->signals, &s->node);
        return (int)sim_trace(w, "signal_open", fd, fd);
}

void os_signal_close(int fd, const int numbers[], size_t n)
{
        (void)numbers;
        (void)n;
        os_close(fd);
}

int os_signal_next(int fd)
{
        sim_world *w = sim_enter();
        signals *s = (signals *)sim_fd_get(w, fd, &signals_class);
        int signo = s ? next_pending(s) : -EBADF;
        if (signo > 0)
                s->pending[signo] = false;
        return (int)sim_trace(w, "signal_next", fd, signo);
}

bool sim_raise(int signo)
{
        sim_world *w = sim_world_get();
        list_for_each (node, &w->signals) {
                signals *s = container_of(node, signals, node);
                if (signo < 1 || signo >= SIGNALS || !s->wanted[signo])
                        continue;
                s->pending[signo] = true;
                sim_fd_changed(&s->base);
                return true;
        }
        return false;
}

/* ── Processes ───────────────────────────────────────────────────────────────────────────── */

int os_spawn(const char *path, char *const argv[], char *const environment[],
             const os_spawn_fd fds[], size_t n, bool die_with_parent, int *ret_pid, int *ret_pidfd)
{
        (void)path, (void)argv, (void)environment, (void)fds, (void)n, (void)die_with_parent;
        (void)ret_pid, (void)ret_pidfd;
        return (int)sim_trace(sim_enter(), "spawn", -1, -ENOSYS);
}

int os_wait_child(int pidfd, int *ret_status)
{
        (void)ret_status;
        return (int)sim_trace(sim_enter(), "wait_child", pidfd, -ECHILD);
}

void os_reap_child(int pidfd)
{
        sim_trace(sim_enter(), "reap_child", pidfd, 0);
}

int os_kill(int pidfd, int signo)
{
        (void)signo;
        return (int)sim_trace(sim_enter(), "kill", pidfd, -ESRCH);
}

int os_pid(void)
{
        return SIM_PID;
}

uint32_t os_user(void)
{
        return SIM_USER;
}

static int put_text(const char *text, char *ret, size_t size)
{
        if (strlen(text) >= size)
                return -ENAMETOOLONG;
        memcpy(ret, text, strlen(text) + 1);
        return 0;
}

int os_self_path(char *ret, size_t size)
{
        return put_text("/bin/simulated", ret, size);
}

int os_host_name(char *ret, size_t size)
{
        return put_text("simulated", ret, size);
}

unsigned os_processors(void)
{
        return sim_world_get()->options.processors;
}

/* ── Threads ─────────────────────────────────────────────────────────────────────────────── */

int os_thread_start(void *(*body)(void *), void *arg, const char *name, os_thread **ret)
{
        (void)body, (void)arg, (void)name, (void)ret;
        return (int)sim_trace(sim_enter(), "thread_start", -1, -ENOSYS);
}

int os_at_thread_end(void (*fn)(void))
{
        (void)fn;
        return 0;
}

void os_thread_join(os_thread *thread)
{
        (void)thread;
}

int os_futex_wait(_Atomic uint32_t *word, uint32_t expected, sj_time deadline, bool shared)
{
        (void)shared;
        sim_world *w = sim_enter();
        while (atomic_load(word) == expected) {
                if (w->now >= deadline)
                        return (int)sim_trace(w, "futex_wait", -1, -ETIMEDOUT);
                const heap_node *next = heap_top(&w->events);
                if (!next && deadline == SJ_NEVER)
                        sim_stuck(w, "deadlock: a futex that nobody is left to wake");
                sim_advance(w, next && next->key < deadline ? next->key : deadline);
        }
        return (int)sim_trace(w, "futex_wait", -1, -EAGAIN);
}

void os_futex_wake(_Atomic uint32_t *word, unsigned most, bool shared)
{
        (void)word, (void)most, (void)shared;
        sim_trace(sim_enter(), "futex_wake", -1, 0);
}
