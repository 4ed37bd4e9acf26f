/* SPDX-License-Identifier: MIT */
/*
 * The counters of a loop, against what the test itself has counted, and the walk over its fibers.
 */
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

typedef struct walk {
        sj_fiber *self, *child, *ended;
        unsigned seen, deepest;
        bool saw_self, saw_child;
} walk;

static int look(sj_fiber *f, unsigned depth, void *arg)
{
        walk *w = arg;
        w->seen++;
        if (depth > w->deepest)
                w->deepest = depth;
        expect(f != w->ended);
        w->saw_self |= f == w->self && depth == 0;
        w->saw_child |= f == w->child && depth == 1 && w->saw_self;
        expect(strstr(sj_fiber_where(f), "counters_test.c:") || depth == 0);
        return 0;
}

static int stop_at_the_child(sj_fiber *f, unsigned depth, void *arg)
{
        (void)depth;
        walk *w = arg;
        w->seen++;
        sj_cancel(f);
        return f == w->child ? 17 : 0;
}

static int sleeps_for_an_hour(void *arg)
{
        (void)arg;
        return sj_sleep(SJ_HOUR);
}

static int owns_one(void *arg)
{
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect_equal(sj_spawn(s, sleeps_for_an_hour, arg, NULL), 0);
        return sj_scope_join(s);
}

static int ends(void *arg)
{
        (void)arg;
        return 0;
}

static int a_walk_meets_each_fiber_that_lives_before_those_it_owns(void *arg)
{
        (void)arg;
        walk w = {.self = sj_fiber_self()};
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        expect_equal(sj_spawn(s, ends, NULL, &w.ended), 0);
        expect_equal(sj_join(w.ended, SJ_NEVER), 0);
        expect_equal(sj_spawn(s, owns_one, NULL, &w.child), 0);
        expect_equal(sj_fiber_each(look, &w), 0);
        expect(w.seen == 2 && w.saw_self && w.saw_child && w.deepest == 1);
        while (w.deepest < 2) {
                w.seen = 0;
                expect_equal(sj_fiber_each(look, &w), 0);
                expect_equal(sj_yield(), 0);
        }
        expect_equal(w.seen, 3);
        w.seen = 0;
        w.self = NULL;
        SJ_SCOPE(shield, sj_after(SJ_HOUR), SJ_SHIELD);
        expect_equal(sj_fiber_each(stop_at_the_child, &w), 17);
        expect_equal(w.seen, 2);
        expect_equal(sj_join(w.child, SJ_NEVER), -ECANCELED);
        return 0;
}

#define TESTS(X)                               \
        X(fibers_are_counted_now_and_at_most)  \
        X(who_is_ready_is_counted_exactly)     \
        X(timers_are_counted_now_and_at_most)  \
        X(posts_are_counted_and_may_read_them) \
        X(a_walk_meets_each_fiber_that_lives_before_those_it_owns)

TESTS(SIM_UNIT_DEFINE)

static void without_a_loop_there_are_none(void **state)
{
        (void)state;
        assert_int_equal(sj_fiber_each(look, NULL), -EPERM);
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
