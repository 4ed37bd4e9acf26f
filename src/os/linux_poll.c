/* SPDX-License-Identifier: MIT */
/*
 * Readiness by epoll, and the bells.
 *
 * Tokens live in a table by descriptor, not in epoll itself. epoll carries the descriptor and the
 * generation of its entry, so that a report of an earlier life of the number (a duplicate of the
 * description that somebody else still holds open) finds another generation and is dropped:
 *
 *         epoll's data  [ generation : 32 | descriptor : 32 ] ──► entries[descriptor]
 *
 * A watched descriptor is registered once, edge-triggered, in both directions: the loop reads and
 * writes first and waits only after -EAGAIN, so that a connection costs one epoll_ctl in its whole
 * life. An armed one is level-triggered and one-shot, because its owner may have left bytes there.
 * The owner may also close it behind our back, which takes it out of epoll without a word: so MOD
 * and ADD each fall back on the other.
 *
 * Wake: `state` says what a waker must do. Only the change from SLEEPING to WOKEN pays a system
 * call; between two wakes of a running loop there is one exchange. The eventfd is edge-triggered
 * too, and so need never be read: each write is an edge of its own, and its counter would need
 * 2^64 wakes to be full. A late write (the waker is preempted after its exchange) at worst ends
 * one sleep for nothing, which wait hides by sleeping again.
 *
 *         AWAKE ──wait──► SLEEPING ──wake──► WOKEN + write ──wait ends──► AWAKE
 *           └─────────────wake──► WOKEN ──next wait does not sleep──► AWAKE
 */
#include "os/os.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 256, ENTRIES_FIRST = 64 };
enum { AWAKE, SLEEPING, WOKEN };

#define WAKE_DATA UINT64_MAX

typedef struct entry {
        void *token;
        uint32_t generation;
        uint8_t asked; /* as os_event's ready; 0: nothing is reported */
        bool one_shot;
        bool known; /* epoll has it, as far as we were told */
} entry;

struct os_poller {
        int epoll;
        int bell;
        _Atomic int state;
        bool coarse; /* no epoll_pwait2 here: whole milliseconds */
        entry *entries;
        size_t capacity;
};

static int add_bell(os_poller *p)
{
        struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u64 = WAKE_DATA};
        return epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->bell, &e) < 0 ? -errno : 0;
}

int os_poller_new(os_poller **ret)
{
        os_poller *p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        p->epoll = p->bell = -1;
        p->epoll = epoll_create1(EPOLL_CLOEXEC);
        int error = p->epoll < 0 ? -errno : 0;
        if (!error) {
                p->bell = os_bell_new();
                error = p->bell < 0 ? p->bell : add_bell(p);
        }
        if (error) {
                os_poller_free(p);
                return error;
        }
        *ret = p;
        return 0;
}

void os_poller_free(os_poller *p)
{
        if (!p)
                return;
        os_close(p->bell);
        os_close(p->epoll);
        free(p->entries);
        free(p);
}

void os_poller_abandon(os_poller *p)
{
        os_close(p->bell);
        os_close(p->epoll);
        p->bell = p->epoll = -1;
}

static int entry_of(os_poller *p, int fd, entry **ret)
{
        if (fd < 0)
                return -EBADF;
        size_t i = (size_t)fd;
        if (i >= p->capacity) {
                size_t capacity = p->capacity ? p->capacity : ENTRIES_FIRST;
                while (capacity <= i)
                        capacity *= 2;
                entry *grown = realloc(p->entries, capacity * sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                memset(grown + p->capacity, 0, (capacity - p->capacity) * sizeof(*grown));
                p->entries = grown;
                p->capacity = capacity;
        }
        *ret = &p->entries[i];
        return 0;
}

static int tell_epoll(const os_poller *p, int fd, bool known, struct epoll_event *e)
{
        if (epoll_ctl(p->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, e) == 0)
                return 0;
        if (errno != (known ? ENOENT : EEXIST))
                return -errno;
        return epoll_ctl(p->epoll, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, e) < 0 ? -errno : 0;
}

static int registered(os_poller *p, int fd, uint32_t events, unsigned asked, void *token)
{
        entry *x;
        int error = entry_of(p, fd, &x);
        if (error)
                return error;
        uint32_t generation = x->generation + 1;
        struct epoll_event e = {.events = events,
                                .data.u64 = (uint64_t)generation << 32 | (uint32_t)fd};
        error = tell_epoll(p, fd, x->known, &e);
        if (error)
                return error;
        *x = (entry){.token = token,
                     .generation = generation,
                     .asked = (uint8_t)asked,
                     .one_shot = events & EPOLLONESHOT,
                     .known = true};
        return 0;
}

int os_poller_watch(os_poller *p, int fd, void *token)
{
        return registered(p, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                          OS_READABLE | OS_WRITABLE | OS_HANGUP, token);
}

int os_poller_arm(os_poller *p, int fd, unsigned ready, void *token)
{
        uint32_t events = EPOLLONESHOT;
        if (ready & OS_READABLE)
                events |= EPOLLIN | EPOLLRDHUP;
        if (ready & OS_WRITABLE)
                events |= EPOLLOUT;
        return registered(p, fd, events, ready & (OS_READABLE | OS_WRITABLE), token);
}

void os_poller_forget(os_poller *p, int fd)
{
        if (fd < 0 || (size_t)fd >= p->capacity || !p->entries[fd].known)
                return;
        struct epoll_event unused = {0};
        epoll_ctl(p->epoll, EPOLL_CTL_DEL, fd, &unused);
        p->entries[fd] = (entry){.generation = p->entries[fd].generation + 1};
}

static unsigned ready_of(uint32_t events)
{
        unsigned ready = 0;
        if (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP))
                ready |= OS_READABLE;
        if (events & EPOLLOUT)
                ready |= OS_WRITABLE;
        if (events & (EPOLLERR | EPOLLHUP))
                ready |= OS_READABLE | OS_WRITABLE | OS_HANGUP;
        if (events & EPOLLRDHUP)
                ready |= OS_HANGUP;
        return ready;
}

static bool translate(os_poller *p, const struct epoll_event *e, os_event *ret)
{
        uint64_t data = e->data.u64;
        uint32_t fd = (uint32_t)data;
        if (data == WAKE_DATA || fd >= p->capacity)
                return false;
        entry *x = &p->entries[fd];
        if (x->generation != data >> 32 || !x->asked)
                return false;
        unsigned ready = ready_of(e->events) & x->asked;
        if (!ready)
                return false;
        if (x->one_shot)
                x->asked = 0;
        *ret = (os_event){.token = x->token, .ready = ready};
        return true;
}

/* Rounds up, so that a timer is never early. */
static int milliseconds(sj_time duration)
{
        sj_time ms = duration / SJ_MS + (duration % SJ_MS != 0);
        return ms > INT_MAX ? INT_MAX : (int)ms;
}

static int ask_epoll(os_poller *p, struct epoll_event *events, int n, sj_time deadline)
{
        if (deadline == SJ_NEVER)
                return epoll_wait(p->epoll, events, n, -1);
        sj_time left = deadline == SJ_POLL ? 0 : deadline - os_now();
        if (left <= 0)
                return epoll_wait(p->epoll, events, n, 0);
        if (!p->coarse) {
                struct timespec t = {.tv_sec = left / SJ_SEC, .tv_nsec = left % SJ_SEC};
                int got = epoll_pwait2(p->epoll, events, n, &t, NULL);
                if (got >= 0 || (errno != ENOSYS && errno != EPERM))
                        return got;
                p->coarse = true;
        }
        return epoll_wait(p->epoll, events, n, milliseconds(left));
}

/* Says that this thread is about to sleep; false when it was woken already. */
static bool fall_asleep(os_poller *p)
{
        int expected = AWAKE;
        return atomic_compare_exchange_strong(&p->state, &expected, SLEEPING);
}

static bool take_wake(os_poller *p)
{
        return atomic_load_explicit(&p->state, memory_order_relaxed) != AWAKE &&
               atomic_exchange(&p->state, AWAKE) == WOKEN;
}

/* One question to the system: the events that count, -EAGAIN when none did though some came. */
static int wait_once(os_poller *p, os_event events[], int n, sj_time deadline)
{
        struct epoll_event raw[BATCH];
        bool woken = false;
        if (deadline != SJ_POLL && !fall_asleep(p))
                woken = true;
        int got = ask_epoll(p, raw, n, woken ? SJ_POLL : deadline);
        int error = got < 0 ? -errno : 0;
        if (take_wake(p))
                woken = true;
        int count = 0;
        for (int i = 0; i < got; i++)
                count += translate(p, &raw[i], &events[count]);
        if (count > 0 || woken || got == 0)
                return count;
        return error ? error : -EAGAIN;
}

int os_poller_wait(os_poller *p, os_event events[], size_t n, sj_time deadline)
{
        if (n == 0)
                return -EINVAL;
        int most = n < BATCH ? (int)n : BATCH;
        int got;
        do
                got = wait_once(p, events, most, deadline);
        while (got == -EAGAIN || got == -EINTR);
        return got;
}

void os_poller_wake(os_poller *p)
{
        if (atomic_exchange(&p->state, WOKEN) == SLEEPING)
                os_bell_ring(p->bell);
}

int os_bell_new(void)
{
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        return fd < 0 ? -errno : fd;
}

void os_bell_ring(int fd)
{
        /* May run in a signal handler. A full counter has rung already. */
        int saved = errno;
        uint64_t one = 1;
        while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
                continue;
        errno = saved;
}

uint64_t os_bell_clear(int fd)
{
        uint64_t rings = 0;
        ssize_t got;
        do
                got = read(fd, &rings, sizeof(rings));
        while (got < 0 && errno == EINTR);
        return got == (ssize_t)sizeof(rings) ? rings : 0;
}
