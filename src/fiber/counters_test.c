/* SPDX-License-Identifier: MIT */
/* The counters of a loop, against what the test itself has counted. */
#include "fiber/sim_unit.h"

#include <sanjab/debug.h>
#include <sanjab/sync.h>

enum { CROWD = 300, YIELDS = 5 };

static sj_counters read_them(void)
{
        sj_counters c;
        expect_equal(sj_counters_read(&c), 0);
        return c;
}

static int yields(void *arg)
{
        (void)arg;
        for (int i = 0; i < YIELDS; i++)
                expect_equal(sj_yield(), 0);
        return 0;
}

static int fibers_are_counted_now_and_at_most(void *arg)
{
        (void)arg;
        sj_counters c = read_them();
        expect_equal(c.fibers, 1);
        expect_equal(c.fibers_most, 1);
        expect_equal(c.spawned, 1);
        for (int round = 1; round <= 3; round++) {
                SJ_SCOPE(s, SJ_NEVER, 0);
                for (int i = 0; i < CROWD; i++)
                        expect_equal(sj_spawn(s, yields, NULL, NULL), 0);
                c = read_them();
                expect_equal(c.fibers, CROWD + 1);
                expect_equal(sj_scope_join(s), 0);
                c = read_them();
                expect_equal(c.fibers, 1);
                expect_equal(c.fibers_most, CROWD + 1);
                expect_equal(c.spawned, 1 + (uint64_t)round * CROWD);
                expect_equal(c.stacks_made + c.stacks_recycled, c.spawned);
                expect(c.stacks_made >= CROWD + 1 && c.stacks_made < 2 * CROWD);
                expect(c.stacks_most >= c.stacks && c.stacks >= CROWD);
        }
        return 0;
}

/* Who is ready is known at any point, however far the loop has come in its turn. */
static int who_is_ready_is_counted_exactly(void *arg)
{
        (void)arg;
        expect_equal(read_them().ready, 0);
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < CROWD; i++) {
                expect_equal(read_them().ready, i);
                expect_equal(sj_spawn(s, yields, NULL, NULL), 0);
        }
        sj_counters before = read_them();
        expect_equal(before.ready_most, CROWD);
        expect_equal(sj_scope_join(s), 0);
        sj_counters after = read_them();
        expect_equal(after.ready, 0);
        expect(after.turns > before.turns);
        /* Each yield, each start, the join, and the loop itself once a turn. */
        expect_equal(after.switches - before.switches,
                     (YIELDS + 1) * CROWD + 1 + (after.turns - before.turns));
        return 0;
}

static int sleeps(void *arg)
{
        (void)arg;
        return sj_sleep(SJ_SEC);
}

static int timers_are_counted_now_and_at_most(void *arg)
{
        (void)arg;
        size_t before = read_them().timers;
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < CROWD; i++)
                expect_equal(sj_spawn(s, sleeps, NULL, NULL), 0);
        expect_equal(sj_sleep(SJ_SEC / 2), 0);
        expect_equal(read_them().timers, before + CROWD);
        expect_equal(sj_scope_join(s), 0);
        /* The loop may have set one of its own, to give stacks back. */
        expect(read_them().timers <= before + 1);
        expect(read_them().timers_most >= before + CROWD);
        return 0;
}

typedef struct posted {
        sj_event event;
        sj_counters seen;
} posted;

static int reads_in_a_post(void *arg)
{
        posted *p = arg;
        expect_equal(sj_counters_read(&p->seen), 0);
        sj_event_set(&p->event);
        return 0;
}

static int posts_are_counted_and_may_read_them(void *arg)
{
        (void)arg;
        posted p = {0};
        expect_equal(read_them().posts, 0);
        expect_equal(sj_post(sj_loop_current(), reads_in_a_post, &p), 0);
        expect_equal(sj_event_wait(&p.event, SJ_NEVER), 0);
        expect_equal(p.seen.posts, 1);
        expect_equal(p.seen.ready, 0);
        expect_equal(p.seen.fibers, 1);
        return 0;
}

#define TESTS(X)                              \
        X(fibers_are_counted_now_and_at_most) \
        X(who_is_ready_is_counted_exactly)    \
        X(timers_are_counted_now_and_at_most) \
        X(posts_are_counted_and_may_read_them)

TESTS(SIM_UNIT_DEFINE)

static void without_a_loop_there_are_none(void **state)
{
        (void)state;
        sj_counters c = {.switches = 7};
        assert_int_equal(sj_counters_read(&c), -EPERM);
        assert_int_equal(c.switches, 7);
}

int main(void)
{
        const struct CMUnitTest tests[] = {TESTS(SIM_UNIT_ROW)
                                                   cmocka_unit_test(without_a_loop_there_are_none)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
