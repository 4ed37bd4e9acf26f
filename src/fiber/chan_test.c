/* SPDX-License-Identifier: MIT */
/* Chans of other orders, and waiting for the work on what was sent. */
#include "fiber/sim_unit.h"

#include <sanjab/chan.h>

enum { ITEMS = 60, URGENCIES = 5, WORKERS = 4 };

typedef struct job {
        int urgency; /* the least first */
        int number;
} job;

static int compare_jobs(const void *a, const void *b)
{
        return ((const job *)a)->urgency - ((const job *)b)->urgency;
}

static int the_newest_comes_first(void *arg)
{
        (void)arg;
        sj_chan *c;
        expect_equal(sj_chan_new_lifo(sizeof(int), 0, &c), -EINVAL);
        expect_equal(sj_chan_new_lifo(sizeof(int), ITEMS, &c), 0);
        int inside[ITEMS], n = 0;
        for (int i = 0; i < 4 * ITEMS; i++) {
                int item = i;
                if (n < ITEMS && sim_draw(2) == 0) {
                        expect_equal(sj_chan_send(c, &item, SJ_POLL), 0);
                        inside[n++] = item;
                } else if (n > 0) {
                        expect_equal(sj_chan_recv(c, &item, SJ_POLL), 0);
                        expect_equal(item, inside[--n]);
                }
                expect_equal(sj_chan_count(c), n);
        }
        sj_chan_free(c);
        return 0;
}

/* Which of the jobs inside must come next: of the most urgent the first that was sent. */
static int first_of(const job inside[], int n)
{
        int first = 0;
        for (int i = 1; i < n; i++)
                if (inside[i].urgency < inside[first].urgency ||
                    (inside[i].urgency == inside[first].urgency &&
                     inside[i].number < inside[first].number))
                        first = i;
        return first;
}

static int the_least_comes_first_and_equal_ones_in_order(void *arg)
{
        (void)arg;
        sj_chan *c;
        size_t capacity = 1 + sim_draw(ITEMS);
        expect_equal(sj_chan_new_priority(sizeof(job), 0, compare_jobs, &c), -EINVAL);
        expect_equal(sj_chan_new_priority(0, 1, compare_jobs, &c), -EINVAL);
        expect_equal(sj_chan_new_priority(sizeof(job), capacity, compare_jobs, &c), 0);
        job inside[ITEMS];
        int n = 0;
        for (int i = 0; i < 8 * ITEMS; i++) {
                job j = {(int)sim_draw(URGENCIES), i};
                if (sim_draw(2) == 0) {
                        int r = sj_chan_send(c, &j, SJ_POLL);
                        expect_equal(r, (size_t)n == capacity ? -ETIMEDOUT : 0);
                        if (r == 0)
                                inside[n++] = j;
                } else if (n > 0) {
                        int first = first_of(inside, n);
                        expect_equal(sj_chan_recv(c, &j, SJ_POLL), 0);
                        expect_equal(j.number, inside[first].number);
                        inside[first] = inside[--n];
                }
        }
        sj_chan_close(c);
        for (job j; n > 0; n--)
                expect_equal(sj_chan_recv(c, &j, SJ_NEVER), 0);
        job none;
        expect_equal(sj_chan_recv(c, &none, SJ_NEVER), -EPIPE);
        sj_chan_free(c);
        return 0;
}

typedef struct shop {
        sj_chan *jobs;
        int worked;
} shop;

static int work(void *arg)
{
        shop *s = arg;
        job j;
        while (sj_chan_recv(s->jobs, &j, SJ_NEVER) == 0) {
                expect_equal(sj_sleep((sj_time)sim_draw(3) * SJ_MS), 0);
                s->worked++;
                expect_equal(sj_chan_done(s->jobs), 0);
        }
        return 0;
}

static int join_returns_when_all_that_was_sent_is_worked_on(void *arg)
{
        (void)arg;
        shop it = {0};
        uint64_t kind = sim_draw(3);
        size_t capacity = 1 + sim_draw(4);
        int r = kind == 0   ? sj_chan_new(sizeof(job), sim_draw(4), &it.jobs)
                : kind == 1 ? sj_chan_new_lifo(sizeof(job), capacity, &it.jobs)
                            : sj_chan_new_priority(sizeof(job), capacity, compare_jobs, &it.jobs);
        expect_equal(r, 0);
        expect_equal(sj_chan_join(it.jobs, SJ_NEVER), 0);
        expect_equal(sj_chan_done(it.jobs), -EOVERFLOW);
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < WORKERS; i++)
                expect_equal(sj_spawn(s, work, &it, NULL), 0);
        for (int i = 0; i < ITEMS; i++) {
                job j = {(int)sim_draw(URGENCIES), i};
                expect_equal(sj_chan_send(it.jobs, &j, SJ_NEVER), 0);
                if (sim_draw(10) == 0) {
                        while (sj_chan_join(it.jobs, sj_after(SJ_MS)) == -ETIMEDOUT) {
                        }
                        expect_equal(it.worked, i + 1);
                }
        }
        sj_chan_close(it.jobs);
        expect_equal(sj_chan_join(it.jobs, SJ_NEVER), 0);
        expect_equal(it.worked, ITEMS);
        expect_equal(sj_chan_done(it.jobs), -EOVERFLOW);
        expect_equal(sj_scope_join(s), 0);
        sj_chan_free(it.jobs);
        return 0;
}

static int wait_to_send(void *arg)
{
        job j = {0};
        expect_equal(sj_chan_send(arg, &j, SJ_NEVER), -EPIPE);
        return 0;
}

static int wait_to_receive(void *arg)
{
        job j;
        expect_equal(sj_chan_recv(arg, &j, SJ_NEVER), -EPIPE);
        return 0;
}

static int wait_for_the_work(void *arg)
{
        return sj_chan_join(arg, SJ_NEVER);
}

typedef struct rubbish {
        bool dropped[ITEMS];
        bool in_order; /* of sending */
        int last;
} rubbish;

static void drop(void *item, void *arg)
{
        const job *j = item;
        rubbish *r = arg;
        expect(!r->dropped[j->number]);
        r->dropped[j->number] = true;
        r->in_order = r->in_order && j->number > r->last;
        r->last = j->number;
}

static int to_drain_takes_all_out_and_lets_all_go(void *arg)
{
        (void)arg;
        sj_chan *c;
        rubbish out = {.in_order = true, .last = -1};
        uint64_t kind = sim_draw(3);
        int capacity = 2 + (int)sim_draw(4);
        int r = kind == 0   ? sj_chan_new(sizeof(job), (size_t)capacity, &c)
                : kind == 1 ? sj_chan_new_lifo(sizeof(job), (size_t)capacity, &c)
                            : sj_chan_new_priority(sizeof(job), (size_t)capacity, compare_jobs, &c);
        expect_equal(r, 0);
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i <= capacity; i++) {
                job j = {(int)sim_draw(URGENCIES), i};
                expect_equal(sj_chan_send(c, &j, SJ_POLL), 0);
                if (i == 0) {
                        expect_equal(sj_chan_recv(c, &j, SJ_POLL), 0);
                        drop(&j, &out);
                }
        }
        expect_equal(sj_spawn(s, wait_to_send, c, NULL), 0);
        expect_equal(sj_spawn(s, wait_for_the_work, c, NULL), 0);
        expect_equal(sj_sleep(SJ_MS), 0);
        expect_equal(sj_chan_done(c), 0);
        expect_equal(sj_chan_drain(c, drop, &out), capacity);
        for (int i = 0; i <= capacity; i++)
                expect(out.dropped[i]);
        expect(kind != 0 || out.in_order);
        expect_equal(sj_chan_count(c), 0);
        expect_equal(sj_chan_drain(c, drop, &out), 0);
        expect_equal(sj_chan_recv(c, &out, SJ_NEVER), -EPIPE);
        expect_equal(sj_scope_join(s), 0);
        sj_chan_free(c);
        expect_equal(sj_chan_new(sizeof(job), 0, &c), 0);
        expect_equal(sj_spawn(s, wait_to_receive, c, NULL), 0);
        expect_equal(sj_sleep(SJ_MS), 0);
        expect_equal(sj_chan_drain(c, NULL, NULL), 0);
        expect_equal(sj_scope_join(s), 0);
        sj_chan_free(c);
        return 0;
}

#define CASES(X)                                            \
        X(the_newest_comes_first)                           \
        X(the_least_comes_first_and_equal_ones_in_order)    \
        X(join_returns_when_all_that_was_sent_is_worked_on) \
        X(to_drain_takes_all_out_and_lets_all_go)

CASES(SIM_UNIT_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {CASES(SIM_UNIT_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
