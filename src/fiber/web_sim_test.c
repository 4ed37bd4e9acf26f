/* SPDX-License-Identifier: MIT */
/*
 * A web of chans, locks and fibers under random cancels: many seeds, each a small world of its
 * own. What must hold in all of them:
 *
 *   - the run ends: a wake-up that is lost is a world in which nothing can happen any more;
 *   - each item that was sent is received once, or still inside at the end, and no other is;
 *   - a chan serves receivers and senders in the order in which they came, and so does a lock;
 *   - at the end there is no fiber, no descriptor, no memory left.
 *
 * The order is checked by tickets: who asks draws the next one, and since a chan gives its items
 * out in the order of sending to receivers in the order of asking, the items must grow with the
 * tickets of those who got one.
 */
#include "base/refusal.h"
#include "fiber/sim_unit.h"

#include <sanjab/chan.h>
#include <sanjab/future.h>
#include <sanjab/select.h>
#include <sanjab/sync.h>

enum { CHANS = 4, LOCKS = 2, FIBERS = 14, TICKETS = 400, OPERATIONS = 12 };

typedef struct hub {
        sj_chan *chan;
        int sends, recvs;          /* tickets given out */
        signed char sent[TICKETS]; /* by item: 0 not, 1 yes */
        signed char got[TICKETS];  /* by item: how often it was received */
        int item[TICKETS];         /* by the receiver's ticket; -1: none */
} hub;

typedef struct gate {
        sj_lock lock;
        int asked;               /* tickets given out */
        bool waiting[TICKETS];   /* by ticket */
        bool overtaken[TICKETS]; /* a later one was let in while this one waited */
        bool inside;
} gate;

typedef struct web {
        hub hubs[CHANS];
        gate gates[LOCKS];
        sj_event over;
        sj_future result;
        int alive;
} web;

static int pick(int n)
{
        return (int)sim_draw((uint64_t)n);
}

/* Mostly for ever, so that a lost wake-up is not made good by a deadline. */
static sj_time some_deadline(void)
{
        int what = pick(8);
        return what == 0 ? SJ_POLL : what == 1 ? sj_after(pick(5) * SJ_MS) : SJ_NEVER;
}

static void expect_usual(int r)
{
        expect(r == 0 || r == -ETIMEDOUT || r == -ECANCELED || r == -EPIPE);
}

/* ── What a fiber of the web does ────────────────────────────────────────────────────────── */

static int do_send(hub *h)
{
        if (h->sends == TICKETS)
                return 0;
        int item = h->sends++;
        int r = sj_chan_send(h->chan, &item, some_deadline());
        expect_usual(r);
        h->sent[item] = r == 0;
        return r;
}

static void note_received(hub *h, int ticket, int item)
{
        expect(item >= 0 && item < h->sends);
        h->item[ticket] = item;
        h->got[item]++;
}

static int do_recv(hub *h)
{
        if (h->recvs == TICKETS)
                return 0;
        int ticket = h->recvs++, item = -1;
        int r = sj_chan_recv(h->chan, &item, some_deadline());
        expect_usual(r);
        if (r == 0)
                note_received(h, ticket, item);
        else
                expect_equal(item, -1);
        return r;
}

/* Receives from one of two, and waits for the end of all besides. */
static int do_select(web *w)
{
        hub *h[2];
        h[0] = &w->hubs[pick(CHANS)];
        h[1] = &w->hubs[pick(CHANS)];
        if (h[0] == h[1] || h[0]->recvs == TICKETS || h[1]->recvs == TICKETS)
                return 0;
        int tickets[2] = {h[0]->recvs++, h[1]->recvs++}, items[2] = {-1, -1};
        sj_case cases[3] = {{.kind = SJ_CASE_RECV, .chan = h[0]->chan, .item = &items[0]},
                            {.kind = SJ_CASE_RECV, .chan = h[1]->chan, .item = &items[1]},
                            {.kind = SJ_CASE_FUTURE, .future = &w->result}};
        int r = sj_select(cases, 3, some_deadline());
        for (int i = 0; i < 2; i++) {
                if (r == i && cases[i].result == 0)
                        note_received(h[i], tickets[i], items[i]);
                else
                        expect_equal(items[i], -1);
        }
        if (r == 0 || r == 1)
                return cases[r].result;
        return r == 2 ? 0 : r;
}

static int do_lock(gate *g)
{
        if (g->asked == TICKETS)
                return 0;
        int ticket = g->asked++;
        g->waiting[ticket] = true;
        int r = sj_lock_acquire(&g->lock, some_deadline());
        expect_usual(r);
        g->waiting[ticket] = false;
        if (r < 0)
                return r;
        expect(!g->inside && !g->overtaken[ticket]);
        g->inside = true;
        for (int i = 0; i < ticket; i++)
                g->overtaken[i] |= g->waiting[i];
        r = pick(2) ? sj_sleep(pick(3) * SJ_MS) : sj_yield();
        g->inside = false;
        expect_equal(sj_lock_release(&g->lock), 0);
        return r;
}

static int do_wait(web *w)
{
        int r = pick(2) ? sj_event_wait(&w->over, some_deadline())
                        : sj_future_get(&w->result, NULL, some_deadline());
        expect(r == 0 || r == -ETIMEDOUT || r == -ECANCELED);
        return r;
}

static int do_something(web *w)
{
        switch (pick(12)) {
        case 0:
        case 1:
        case 2:
                return do_send(&w->hubs[pick(CHANS)]);
        case 3:
        case 4:
        case 5:
                return do_recv(&w->hubs[pick(CHANS)]);
        case 6:
                return do_select(w);
        case 7:
        case 8:
                return do_lock(&w->gates[pick(LOCKS)]);
        case 9:
                return pick(3) ? 0 : do_wait(w);
        case 10:
                return sj_yield();
        default:
                return sj_sleep(pick(4) * SJ_MS);
        }
}

static int spin(void *arg)
{
        web *w = arg;
        int r = 0;
        for (int i = 0; i < OPERATIONS && r != -ECANCELED; i++)
                r = do_something(w);
        w->alive--;
        return r == -ECANCELED && sj_cancelled() ? r : 0;
}

/* ── The world ───────────────────────────────────────────────────────────────────────────── */

static void check_hub(hub *h)
{
        int item, last = -1;
        while (sj_chan_recv(h->chan, &item, SJ_POLL) == 0) {
                expect(item > last || last == -1);
                note_received(h, h->recvs++, item);
                last = item;
        }
        last = -1;
        for (int i = 0; i < h->sends; i++)
                expect_equal(h->got[i], h->sent[i]);
        for (int i = 0; i < h->recvs; i++) {
                if (h->item[i] < 0)
                        continue;
                expect(h->item[i] > last);
                last = h->item[i];
        }
        sj_chan_free(h->chan);
}

static void end_all(web *w)
{
        sj_event_set(&w->over);
        sj_future_set(&w->result, 0, NULL);
        for (int i = 0; i < CHANS; i++)
                sj_chan_close(w->hubs[i].chan);
}

static int web_of_chans_and_locks(void *arg)
{
        (void)arg;
        web *w = calloc(1, sizeof(*w));
        expect(w != NULL);
        for (int i = 0; i < CHANS; i++) {
                hub *h = &w->hubs[i];
                expect_equal(sj_chan_new(sizeof(int), (size_t)pick(4), &h->chan), 0);
                for (int t = 0; t < TICKETS; t++)
                        h->item[t] = -1;
        }
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                sj_fiber *fibers[FIBERS];
                for (int i = 0; i < FIBERS; i++) {
                        expect_equal(sj_spawn(s, spin, w, &fibers[i]), 0);
                        w->alive++;
                }
                for (int cancels = pick(FIBERS); cancels > 0; cancels--) {
                        expect_equal(sj_sleep(pick(4) * SJ_MS), 0);
                        sj_fiber *f = fibers[pick(FIBERS)];
                        if (sim_strikes())
                                sj_cancel(f);
                }
                expect_equal(sj_sleep(pick(20) * SJ_MS), 0);
                end_all(w);
                expect_equal(sj_scope_join(s), 0);
                expect_equal(w->alive, 0);
        }
        for (int i = 0; i < CHANS; i++)
                check_hub(&w->hubs[i]);
        for (int i = 0; i < LOCKS; i++)
                expect(!w->gates[i].lock.owner);
        free(w);
        return 0;
}

/* ── Scopes in scopes ────────────────────────────────────────────────────────────────────── */

typedef struct branch {
        int depth;
        int *alive; /* of the scope that it belongs to */
} branch;

enum { DEEPEST = 4, CHILDREN = 3 };

static int grow(void *arg);

/* Work inside of a shield is not disturbed by what happens outside of it. */
static void work_in_a_shield(void)
{
        bool before = sj_cancelled();
        {
                SJ_SCOPE(s, sj_after(SJ_SEC), SJ_SHIELD);
                expect(!sj_cancelled());
                expect_equal(sj_sleep(pick(3) * SJ_MS), 0);
                expect_equal(sj_yield(), 0);
        }
        expect(!before || sj_cancelled());
}

static int cancel_perhaps(sj_fiber *f)
{
        if (sim_strikes())
                sj_cancel(f);
        return 0;
}

static int hurry_perhaps(sj_scope *s, sj_time deadline)
{
        if (sim_strikes())
                sj_scope_set_deadline(s, deadline);
        return 0;
}

/* One wait of many kinds; for ever only if a deadline around ends it. */
static int wait_somehow(sj_scope *s, sj_fiber *const f[], size_t n)
{
        int result;
        bool bounded = sj_scope_deadline() != SJ_NEVER;
        switch (pick(8)) {
        case 0:
                return bounded ? sj_sleep_until(SJ_NEVER) : sj_yield();
        case 1:
                return n ? sj_join(f[pick((int)n)], sj_after(SJ_MS)) : 0;
        case 2:
                return n ? sj_wait(f, n, SJ_FIRST, some_deadline()) : 0;
        case 3:
                return n ? cancel_perhaps(f[pick((int)n)]) : 0;
        case 4:
                if (sim_strikes())
                        sj_scope_cancel(s);
                return sj_yield();
        case 5:
                return hurry_perhaps(s, sj_after(pick(5) * SJ_MS));
        case 6:
                work_in_a_shield();
                return n ? (sj_fiber_done(f[0], &result), 0) : 0;
        default:
                return sj_sleep(pick(4) * SJ_MS);
        }
}

static void live_in_a_scope(int depth)
{
        int alive = 0;
        branch b = {.depth = depth + 1, .alive = &alive};
        {
                unsigned flags = pick(2) ? SJ_COLLECT : 0;
                sj_time deadline = pick(2) ? SJ_NEVER : sj_after(pick(10) * SJ_MS);
                if (pick(6) == 0 && deadline != SJ_NEVER)
                        flags |= SJ_SHIELD;
                SJ_SCOPE(s, deadline, flags);
                sj_fiber *f[CHILDREN];
                size_t n = 0;
                for (int i = depth < DEEPEST ? pick(CHILDREN + 1) : 0; i > 0; i--) {
                        int r = sj_spawn(s, grow, &b, &f[n]);
                        alive += r == 0;
                        n += r == 0;
                }
                for (int i = pick(4); i > 0; i--)
                        wait_somehow(s, f, n);
                if (pick(2))
                        sj_scope_join(s);
        }
        expect_equal(alive, 0);
}

static int grow(void *arg)
{
        branch *b = arg;
        if (pick(4) == 0)
                work_in_a_shield();
        for (int i = 1 + pick(2); i > 0; i--)
                live_in_a_scope(b->depth);
        --*b->alive;
        return pick(6) == 0 ? -EIO : 0;
}

static int scopes_in_scopes(void *arg)
{
        (void)arg;
        int alive = 3;
        branch b = {.alive = &alive};
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        for (int i = 0; i < 3; i++)
                expect_equal(sj_spawn(s, grow, &b, NULL), 0);
        int r = sj_scope_join(s);
        expect(r == 0 || r == -EIO || r == -ECANCELED || r == -ETIMEDOUT);
        expect_equal(alive, 0);
        expect(!sj_cancelled());
        return 0;
}

#define CASES(X)                  \
        X(web_of_chans_and_locks) \
        X(scopes_in_scopes)

#define SCENARIO_DEFINE(fn)                          \
        static void test_##fn(void **state)          \
        {                                            \
                (void)state;                         \
                sim_unit_scenario(fn, &memory.live); \
        }

CASES(SCENARIO_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {CASES(SIM_UNIT_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
