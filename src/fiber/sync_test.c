/* SPDX-License-Identifier: MIT */
/* Chans, select, locks, events and futures, over many seeds. */
#include "fiber/sim_unit.h"
#include "os/os.h"

#include <sanjab/chan.h>
#include <sanjab/future.h>
#include <sanjab/select.h>
#include <sanjab/sync.h>

enum { ITEMS = 200 };

/* ── Chans ───────────────────────────────────────────────────────────────────────────────── */

static int send_items(void *arg)
{
        for (int64_t i = 0; i < ITEMS; i++) {
                if (sim_draw(3) == 0)
                        expect_equal(sj_yield(), 0);
                expect_equal(sj_chan_send(arg, &i, SJ_NEVER), 0);
        }
        sj_chan_close(arg);
        return 0;
}

static int a_chan_keeps_order_and_drains_after_close(void *arg)
{
        (void)arg;
        sj_chan *c;
        expect_equal(sj_chan_new(sizeof(int64_t), sim_draw(5), &c), 0);
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                sj_spawn(s, send_items, c, NULL);
                int64_t item;
                for (int64_t i = 0; i < ITEMS; i++) {
                        if (sim_draw(3) == 0)
                                sj_yield();
                        expect_equal(sj_chan_recv(c, &item, SJ_NEVER), 0);
                        expect_equal(item, i);
                }
                expect_equal(sj_chan_recv(c, &item, SJ_NEVER), -EPIPE);
                expect_equal(sj_chan_send(c, &item, SJ_NEVER), -EPIPE);
                sj_scope_join(s);
        }
        sj_chan_free(c);
        return 0;
}

static int trying_a_chan_never_waits(void *arg)
{
        (void)arg;
        sj_chan *c;
        int item = 1;
        sj_chan_new(sizeof(int), 1, &c);
        expect_equal(sj_chan_recv(c, &item, SJ_POLL), -ETIMEDOUT);
        expect_equal(sj_chan_send(c, &item, SJ_POLL), 0);
        expect_equal(sj_chan_send(c, &item, SJ_POLL), -ETIMEDOUT);
        expect_equal(sj_chan_count(c), 1);
        sj_chan_free(c);
        return 0;
}

typedef struct tally {
        sj_chan *chan;
        unsigned sent;
        unsigned received;
} tally;

static int send_with_deadlines(void *arg)
{
        tally *t = arg;
        for (int i = 0; i < 20; i++) {
                int r = sj_chan_send(t->chan, &i, sj_after((sj_time)sim_draw(3) * SJ_MS));
                if (r == 0)
                        t->sent++;
                if (r == -ECANCELED)
                        return r;
                if (sj_sleep((sj_time)sim_draw(3) * SJ_MS) < 0)
                        return -ECANCELED;
        }
        return 0;
}

static int receive_with_deadlines(void *arg)
{
        tally *t = arg;
        for (int i = 0; i < 20; i++) {
                int item, r = sj_chan_recv(t->chan, &item, sj_after((sj_time)sim_draw(3) * SJ_MS));
                if (r == 0)
                        t->received++;
                if (r == -ECANCELED)
                        return r;
                if (sj_sleep((sj_time)sim_draw(3) * SJ_MS) < 0)
                        return -ECANCELED;
        }
        return 0;
}

static int who_gives_up_on_a_chan_took_and_gave_nothing(void *arg)
{
        (void)arg;
        tally t = {0};
        sj_chan_new(sizeof(int), sim_draw(3), &t.chan);
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                sj_fiber *f[8];
                for (int i = 0; i < 8; i++)
                        sj_spawn(s, i % 2 ? send_with_deadlines : receive_with_deadlines, &t,
                                 &f[i]);
                sj_sleep(5 * SJ_MS);
                sj_cancel(f[sim_draw(8)]);
                sj_scope_join(s);
        }
        expect_equal(t.sent, t.received + sj_chan_count(t.chan));
        sj_chan_free(t.chan);
        return 0;
}

/* ── Select ──────────────────────────────────────────────────────────────────────────────── */

static int set_later(void *arg)
{
        sj_sleep(2 * SJ_SEC);
        return sj_future_set(arg, 42, NULL);
}

static int return_later(void *arg)
{
        (void)arg;
        sj_sleep(3 * SJ_SEC);
        return 9;
}

static int send_later(void *arg)
{
        int item = 5;
        sj_sleep(SJ_SEC);
        return sj_chan_send(arg, &item, SJ_NEVER);
}

static int ring_later(void *arg)
{
        sj_sleep(4 * SJ_SEC);
        os_bell_ring(*(int *)arg);
        return 0;
}

static int select_takes_each_kind_in_its_time(void *arg)
{
        (void)arg;
        sj_chan *c;
        sj_chan_new(sizeof(int), 0, &c);
        sj_future future = SJ_FUTURE_INIT;
        int bell = os_bell_new();
        expect(bell >= 0);
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                sj_fiber *f;
                int item = 0;
                sj_spawn(s, set_later, &future, NULL);
                sj_spawn(s, return_later, NULL, &f);
                sj_spawn(s, send_later, c, NULL);
                sj_spawn(s, ring_later, &bell, NULL);
                sj_case cases[] = {
                        {.kind = SJ_CASE_RECV, .chan = c, .item = &item},
                        {.kind = SJ_CASE_FUTURE, .future = &future},
                        {.kind = SJ_CASE_FIBER, .fiber = f},
                        {.kind = SJ_CASE_FD, .fd = bell, .ready = SJ_READABLE},
                };
                expect_equal(sj_select(cases, 4, SJ_POLL), -ETIMEDOUT);
                expect_equal(sj_select(cases, 4, sj_after(SJ_MS)), -ETIMEDOUT);
                const int results[] = {0, 42, 9, SJ_READABLE};
                for (int i = 0; i < 4; i++) {
                        expect_equal(sj_select(cases, 4, SJ_NEVER), i);
                        expect_equal(cases[i].result, results[i]);
                        cases[i].kind = SJ_CASE_NONE;
                }
                expect_equal(item, 5);
                sj_scope_join(s);
        }
        sj_fd_forget(bell);
        os_close(bell);
        sj_chan_free(c);
        return 0;
}

static int select_on_both(void *arg)
{
        sj_chan **c = arg;
        int r = 0;
        for (int i = 0; i < ITEMS; i++) {
                int item;
                sj_case cases[] = {{.kind = SJ_CASE_RECV, .chan = c[0], .item = &item},
                                   {.kind = SJ_CASE_SEND, .chan = c[1], .item = &i}};
                r = sj_select(cases, 2, SJ_NEVER);
                expect(r == 0 || r == 1);
                expect_equal(cases[r].result, 0);
        }
        return 0;
}

static int two_that_select_on_each_other_come_through(void *arg)
{
        (void)arg;
        sj_chan *c[2];
        sj_chan_new(sizeof(int), 0, &c[0]);
        sj_chan_new(sizeof(int), 0, &c[1]);
        sj_chan *swapped[2] = {c[1], c[0]};
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                sj_spawn(s, select_on_both, c, NULL);
                sj_spawn(s, select_on_both, swapped, NULL);
                sj_scope_join(s);
        }
        sj_chan_free(c[0]);
        sj_chan_free(c[1]);
        return 0;
}

/* ── Locks and events ────────────────────────────────────────────────────────────────────── */

typedef struct room {
        sj_lock lock;
        int inside;
        int next; /* whose turn it is, in the order of asking */
        int asked;
} room;

static int visit(void *arg)
{
        room *r = arg;
        int number = r->asked++;
        expect_equal(sj_lock_acquire(&r->lock, SJ_NEVER), 0);
        expect_equal(r->next++, number);
        expect_equal(r->inside++, 0);
        expect_equal(sj_lock_acquire(&r->lock, SJ_NEVER), -EDEADLK);
        sj_sleep((sj_time)sim_draw(5) * SJ_MS);
        expect_equal(--r->inside, 0);
        return sj_lock_release(&r->lock);
}

static int a_lock_serves_in_the_order_of_asking(void *arg)
{
        (void)arg;
        room r = {0};
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < 20; i++)
                sj_spawn(s, visit, &r, NULL);
        expect_equal(sj_scope_join(s), 0);
        expect_equal(sj_lock_release(&r.lock), -EPERM);
        expect_equal(r.next, 20);
        return 0;
}

static int give_up_on_a_lock(void *arg)
{
        return sj_lock_acquire(arg, sj_after((sj_time)sim_draw(3) * SJ_MS)) == 0
                       ? sj_lock_release(arg)
                       : 0;
}

static int who_gives_up_on_a_lock_leaves_no_trace(void *arg)
{
        (void)arg;
        sj_lock l = SJ_LOCK_INIT;
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect_equal(sj_lock_acquire(&l, SJ_NEVER), 0);
        for (int i = 0; i < 10; i++)
                sj_spawn(s, give_up_on_a_lock, &l, NULL);
        sj_sleep(SJ_MS);
        expect_equal(sj_lock_release(&l), 0);
        expect_equal(sj_scope_join(s), 0);
        expect_equal(sj_lock_acquire(&l, SJ_POLL), 0);
        return 0;
}

static int wait_event(void *arg)
{
        return sj_event_wait(arg, SJ_NEVER);
}

static int an_event_wakes_all_even_when_cleared_at_once(void *arg)
{
        (void)arg;
        sj_event e = SJ_EVENT_INIT;
        SJ_SCOPE(s, sj_after(10 * SJ_SEC), 0);
        for (int i = 0; i < 10; i++)
                sj_spawn(s, wait_event, &e, NULL);
        sj_sleep(SJ_SEC);
        sj_event_set(&e);
        sj_event_clear(&e);
        expect_equal(sj_scope_join(s), 0);
        expect_equal(sj_event_wait(&e, SJ_POLL), -ETIMEDOUT);
        return 0;
}

/* ── Futures ─────────────────────────────────────────────────────────────────────────────── */

static int get_future(void *arg)
{
        void *value = NULL;
        expect_equal(sj_future_get(arg, &value, SJ_NEVER), 42);
        expect(value == NULL);
        return 0;
}

static int a_future_is_set_once_and_seen_by_all(void *arg)
{
        (void)arg;
        sj_future f = SJ_FUTURE_INIT;
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < 5; i++)
                sj_spawn(s, get_future, &f, NULL);
        expect_equal(sj_future_get(&f, NULL, sj_after(SJ_MS)), -ETIMEDOUT);
        expect(!sj_future_done(&f));
        sj_spawn(s, set_later, &f, NULL);
        expect_equal(sj_scope_join(s), 0);
        expect(sj_future_done(&f));
        expect_equal(sj_future_set(&f, 1, NULL), -EALREADY);
        expect_equal(sj_future_get(&f, NULL, SJ_POLL), 42);
        return 0;
}

/* ── Descriptors and signals ─────────────────────────────────────────────────────────────── */

static int read_byte(void *arg)
{
        int fd = *(int *)arg;
        char byte;
        ssize_t n;
        do
                expect_equal(sj_fd_wait(fd, SJ_READABLE, SJ_NEVER), SJ_READABLE);
        while ((n = os_read(fd, &byte, 1)) == -EAGAIN);
        expect_equal(n, 1);
        return 0;
}

static int a_descriptor_wakes_its_reader(void *arg)
{
        (void)arg;
        int fds[2];
        expect_equal(os_pipe(fds), 0);
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                expect_equal(sj_fd_wait(fds[0], SJ_READABLE, sj_after(SJ_MS)), -ETIMEDOUT);
                expect_equal(sj_fd_wait(fds[0], SJ_READABLE, SJ_POLL), -ETIMEDOUT);
                sj_spawn(s, read_byte, &fds[0], NULL);
                sj_sleep(SJ_SEC);
                expect_equal(sj_fd_wait(fds[0], SJ_READABLE, SJ_NEVER), -EBUSY);
                expect_equal(sj_fd_wait(fds[1], SJ_WRITABLE, SJ_NEVER), SJ_WRITABLE);
                ssize_t n;
                while ((n = os_write(fds[1], "x", 1)) == -EAGAIN)
                        sj_sleep(SJ_MS);
                expect_equal(n, 1);
                expect_equal(sj_scope_join(s), 0);
        }
        sj_fd_forget(fds[0]);
        sj_fd_forget(fds[1]);
        os_close(fds[0]);
        os_close(fds[1]);
        expect_equal(sj_fd_wait(-1, SJ_READABLE, SJ_NEVER), -EBADF);
        return 0;
}

#define CASES(X)                                        \
        X(a_chan_keeps_order_and_drains_after_close)    \
        X(trying_a_chan_never_waits)                    \
        X(who_gives_up_on_a_chan_took_and_gave_nothing) \
        X(select_takes_each_kind_in_its_time)           \
        X(two_that_select_on_each_other_come_through)   \
        X(a_lock_serves_in_the_order_of_asking)         \
        X(who_gives_up_on_a_lock_leaves_no_trace)       \
        X(an_event_wakes_all_even_when_cleared_at_once) \
        X(a_future_is_set_once_and_seen_by_all)         \
        X(a_descriptor_wakes_its_reader)

CASES(SIM_UNIT_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {CASES(SIM_UNIT_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
