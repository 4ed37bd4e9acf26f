/* SPDX-License-Identifier: MIT */
/* When a worker asks for more deliveries: decided from what its children have, which is made up. */
#include "base/unit.h"

#include "queue/worker/worker_internal.h"

enum { CHILDREN = 2, SHARE = 1 + WIRE_AHEAD_MAX };

typedef struct crew {
        worker w;
        worker_child children[CHILDREN];
        worker_child *places[CHILDREN];
} crew;

/* Children that have so many deliveries of tasks which run so long. */
static worker *crew_of(crew *c, sj_time run, size_t first, size_t second)
{
        const size_t loads[CHILDREN] = {first, second};
        *c = (crew){.w = {.options = {.pool = WORKER_PREFORK, .concurrency = CHILDREN},
                          .mean_run = run,
                          .children = c->places,
                          .n_children = CHILDREN}};
        for (size_t i = 0; i < CHILDREN; i++) {
                c->children[i] = (worker_child){.w = &c->w,
                                                .state = CHILD_READY,
                                                .capacity = 1,
                                                .n_free = WIRE_SLOTS_BESIDE,
                                                .load = loads[i]};
                c->places[i] = &c->children[i];
                c->w.load += loads[i];
                c->w.n_busy += loads[i] > 0;
        }
        c->w.n_held = c->w.load;
        return &c->w;
}

static void while_all_have_enough_room_is_left_to_gather(void **state)
{
        (void)state;
        crew c;
        const worker *w = crew_of(&c, SJ_US, SHARE - 10, SHARE - 10);
        assert_int_equal(worker_room(w), 20);
        assert_false(worker_is_worth_asking(w));
}

static void room_for_a_whole_call_is_used_at_once(void **state)
{
        (void)state;
        crew c;
        const worker *w = crew_of(&c, SJ_US, SHARE - 40, SHARE - 40);
        assert_true(worker_is_worth_asking(w));
}

static void no_child_is_left_to_run_dry(void **state)
{
        (void)state;
        crew c;
        worker *w = crew_of(&c, SJ_US, SHARE, 5);
        w->options.max_tasks_per_child = SHARE;
        c.children[1].done = SHARE - 15; /* so that it can have no more than ten */
        assert_int_equal(worker_room(w), 10);
        assert_true(worker_is_worth_asking(w));
        w->asking = 1; /* what comes may be for that child */
        assert_false(worker_is_worth_asking(w));
}

static void a_child_of_long_tasks_is_asked_for_as_soon_as_it_is_free(void **state)
{
        (void)state;
        crew c;
        assert_true(worker_is_worth_asking(crew_of(&c, SJ_SEC, 1, 0)));
        assert_true(worker_is_worth_asking(crew_of(&c, SJ_SEC, 0, 0)));
        assert_false(worker_is_worth_asking(crew_of(&c, SJ_SEC, 1, 1)));
}

static void what_was_asked_for_is_no_room(void **state)
{
        (void)state;
        crew c;
        worker *w = crew_of(&c, SJ_US, 0, 0);
        w->n_asked = 2 * SHARE - 1;
        w->asking = 1;
        assert_false(worker_is_worth_asking(w));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(while_all_have_enough_room_is_left_to_gather),
                cmocka_unit_test(room_for_a_whole_call_is_used_at_once),
                cmocka_unit_test(no_child_is_left_to_run_dry),
                cmocka_unit_test(a_child_of_long_tasks_is_asked_for_as_soon_as_it_is_free),
                cmocka_unit_test(what_was_asked_for_is_no_room),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
