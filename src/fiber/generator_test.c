/* SPDX-License-Identifier: MIT */
/* Generators, over many seeds. */
#include "fiber/sim_unit.h"

#include <sanjab/generator.h>

/* What a generator of numbers does, and what became of it. */
typedef struct numbers {
        int limit;
        int error;     /* what it fails with after the last, if not 0 */
        bool slow;     /* it sleeps between them */
        int given;     /* the values that somebody asked for */
        bool released; /* it has ended in its own way, with its clean-up done */
        int ended_with;
} numbers;

static int give_numbers(sj_generator *g, void *arg)
{
        numbers *n = arg;
        int r = 0;
        for (int i = 0; r == 0 && i < n->limit; i++) {
                if (n->slow)
                        r = sj_sleep((sj_time)(1 + sim_draw(3)) * SJ_MS);
                n->given++;
                if (r == 0)
                        r = sj_generator_yield(g, &i);
        }
        n->ended_with = r;
        {
                SJ_SCOPE(cleanup, sj_after(SJ_SEC), SJ_SHIELD);
                expect_equal(sj_sleep(SJ_MS), 0);
                n->released = true;
        }
        return n->error ? n->error : r;
}

static int values_come_one_by_one_and_only_when_asked_for(void *arg)
{
        (void)arg;
        numbers n = {.limit = 50, .slow = sim_draw(2)};
        SJ_GENERATOR(g, give_numbers, &n);
        expect_equal(sj_sleep(SJ_SEC), 0);
        expect_equal(n.given, 0);
        void *first;
        expect_equal(sj_generator_next(g, &first, SJ_NEVER), 1);
        expect_equal(*(int *)first, 0);
        int expected = 1;
        SJ_EACH (int, i, g) {
                expect_equal(*i, expected);
                if (sim_draw(4) == 0)
                        expect_equal(sj_sleep(10 * SJ_MS), 0);
                expect_equal(n.given, ++expected);
        }
        expect_equal(expected, 50);
        expect(n.released);
        expect_equal(sj_generator_error(g), 0);
        expect_equal(sj_generator_next(g, &first, SJ_NEVER), 0);
        return 0;
}

static int leave_by_return(sj_generator *g)
{
        SJ_EACH (int, i, g)
                if (*i == 2)
                        return *i;
        return -1;
}

static int a_loop_that_is_left_has_ended_the_generator(void *arg)
{
        (void)arg;
        numbers n = {.limit = 50}, m = {.limit = 50};
        SJ_GENERATOR(outer, give_numbers, &n);
        SJ_EACH (int, i, outer) {
                SJ_GENERATOR(inner, give_numbers, &m);
                SJ_EACH (int, j, inner) {
                        if (*j < 3)
                                continue;
                        break;
                }
                expect_equal(m.ended_with, -ECANCELED);
                expect(m.released);
                expect(!n.released);
                if (*i == 5)
                        break;
                m = (numbers){.limit = 50};
        }
        expect(n.released);
        expect_equal(n.given, 6);
        void *none;
        expect_equal(sj_generator_next(outer, &none, SJ_NEVER), 0);
        expect_equal(sj_generator_error(outer), 0);

        numbers k = {.limit = 50};
        SJ_GENERATOR(g, give_numbers, &k);
        expect_equal(leave_by_return(g), 2);
        expect(k.released);
        return 0;
}

static int a_generator_that_nobody_asks_does_not_begin(void *arg)
{
        (void)arg;
        numbers n = {.limit = 5}, m = {.limit = 5};
        {
                SJ_GENERATOR(g, give_numbers, &n);
                SJ_GENERATOR(h, give_numbers, &m);
                void *none;
                expect_equal(sj_generator_close(h), 0);
                expect_equal(sj_generator_next(h, &none, SJ_NEVER), 0);
        }
        expect(!n.released && !m.released);
        return 0;
}

static int fail_unheard(void *arg)
{
        SJ_GENERATOR(g, give_numbers, arg);
        int sum = 0;
        SJ_EACH (int, i, g)
                sum += *i;
        expect_equal(sum, 10);
        return 0;
}

static int fail_in_clean_up(void *arg)
{
        (void)arg;
        numbers n = {.limit = 3, .error = -EIO};
        SJ_GENERATOR(g, give_numbers, &n);
        void *value;
        for (int i = 0; i < 3; i++)
                expect_equal(sj_generator_next(g, &value, SJ_NEVER), 1);
        return 0;
}

static int a_failure_passes_to_who_asks_or_to_the_scope_around(void *arg)
{
        (void)arg;
        numbers n = {.limit = 5, .error = -EPROTO};
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        {
                SJ_GENERATOR(g, give_numbers, &n);
                void *value;
                for (int i = 0; i < 5; i++)
                        expect_equal(sj_generator_next(g, &value, SJ_NEVER), 1);
                expect_equal(sj_generator_next(g, &value, SJ_NEVER), -EPROTO);
                expect_equal(sj_generator_next(g, &value, SJ_NEVER), -EPROTO);
                expect_equal(sj_generator_close(g), -EPROTO);
        }
        {
                SJ_GENERATOR(g, give_numbers, &n);
                SJ_EACH (int, i, g)
                        (void)*i;
                expect_equal(sj_generator_error(g), -EPROTO);
        }
        expect_equal(sj_scope_join(s), 0);
        expect_equal(sj_spawn(s, fail_unheard, &n, NULL), 0);
        expect_equal(sj_scope_join(s), -EPROTO);
        SJ_SCOPE(t, SJ_NEVER, SJ_COLLECT);
        expect_equal(sj_spawn(t, fail_in_clean_up, NULL, NULL), 0);
        expect_equal(sj_scope_join(t), -EIO);
        return 0;
}

static int who_gives_up_asking_loses_no_value(void *arg)
{
        (void)arg;
        numbers n = {.limit = 30, .slow = true};
        SJ_GENERATOR(g, give_numbers, &n);
        int expected = 0;
        for (;;) {
                void *value;
                int r = sj_generator_next(g, &value, sj_after((sj_time)sim_draw(4) * SJ_MS));
                if (r == -ETIMEDOUT) {
                        expect_equal(sj_sleep((sj_time)sim_draw(3) * SJ_MS), 0);
                        continue;
                }
                if (r == 0)
                        break;
                expect_equal(r, 1);
                expect_equal(*(int *)value, expected++);
        }
        expect_equal(expected, 30);
        return 0;
}

static int ask_itself(sj_generator *g, void *arg)
{
        void *value;
        (void)arg;
        expect_equal(sj_generator_next(g, &value, SJ_NEVER), -EDEADLK);
        expect_equal(sj_generator_close(g), -EDEADLK);
        expect_equal(sj_sleep(SJ_SEC), 0);
        return sj_generator_yield(g, arg);
}

static int ask_it(void *arg)
{
        void *value;
        return sj_generator_next(arg, &value, SJ_NEVER);
}

static int misuse_is_refused(void *arg)
{
        (void)arg;
        int seven = 7;
        SJ_GENERATOR(g, ask_itself, &seven);
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *first;
        expect_equal(sj_spawn(s, ask_it, g, &first), 0);
        expect_equal(sj_sleep(SJ_MS), 0);
        void *value;
        expect_equal(sj_generator_next(g, &value, SJ_NEVER), -EBUSY);
        expect_equal(sj_generator_yield(g, &seven), -EPERM);
        expect_equal(sj_join(first, SJ_NEVER), 1);
        expect_equal(sj_generator_next(g, &value, SJ_NEVER), 0);
        return 0;
}

/* ── A web of them ───────────────────────────────────────────────────────────────────────── */

enum { DEPTH = 5 };

typedef struct stage {
        int depth;
        int alive; /* of the stages, this one included when it is at work */
        int *all;
} stage;

/* The naturals at depth 0; above it, those of the one below, but each by one more. */
static int add_one(sj_generator *g, void *arg)
{
        stage *s = arg;
        int r = 0;
        ++*s->all;
        if (s->depth == 0) {
                for (int i = 0; r == 0; i++) {
                        if (sim_draw(8) == 0)
                                r = sj_sleep((sj_time)sim_draw(3) * SJ_MS);
                        if (r == 0)
                                r = sj_generator_yield(g, &i);
                }
        } else {
                stage below = {.depth = s->depth - 1, .all = s->all};
                SJ_GENERATOR(source, add_one, &below);
                SJ_EACH (int, i, source) {
                        int more = *i + 1;
                        r = sj_generator_yield(g, &more);
                        if (r < 0)
                                break;
                }
                if (r == 0)
                        r = sj_generator_error(source);
        }
        --*s->all;
        return r;
}

typedef struct web {
        int alive;
} web;

static int take_some(void *arg)
{
        web *w = arg;
        stage top = {.depth = DEPTH, .all = &w->alive};
        int expected = DEPTH;
        SJ_SCOPE(s, sj_after((sj_time)(1 + sim_draw(40)) * SJ_MS), 0);
        SJ_GENERATOR(g, add_one, &top);
        SJ_EACH (int, i, g) {
                expect_equal(*i, expected++);
                if (sim_draw(200) == 0)
                        break;
                if (sim_draw(8) == 0)
                        sj_yield();
        }
        int r = sj_generator_error(g);
        expect(r == 0 || r == -ECANCELED);
        return 0;
}

static int generators_of_generators_end_together_when_cancelled_anywhere(void *arg)
{
        (void)arg;
        web w = {0};
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                sj_fiber *f[4];
                for (int i = 0; i < 4; i++)
                        expect_equal(sj_spawn(s, take_some, &w, &f[i]), 0);
                sj_sleep((sj_time)sim_draw(20) * SJ_MS);
                sj_cancel(f[sim_draw(4)]);
                sj_scope_join(s);
                expect_equal(w.alive, 0);
        }
        return 0;
}

#define CASES(X)                                               \
        X(values_come_one_by_one_and_only_when_asked_for)      \
        X(a_loop_that_is_left_has_ended_the_generator)         \
        X(a_generator_that_nobody_asks_does_not_begin)         \
        X(a_failure_passes_to_who_asks_or_to_the_scope_around) \
        X(who_gives_up_asking_loses_no_value)                  \
        X(misuse_is_refused)                                   \
        X(generators_of_generators_end_together_when_cancelled_anywhere)

CASES(SIM_UNIT_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {CASES(SIM_UNIT_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
