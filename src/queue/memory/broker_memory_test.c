/* SPDX-License-Identifier: MIT */
/* The broker in memory keeps what every broker promises, in the simulated world, over seeds. */
#include "queue/broker/broker_conformance.h"

#include "fiber/sim_unit.h"

/* Each seed's world has a store of its own name, which ends with its last handle. */
static broker *keeper;

static int open_named(void *arg, const broker_options *options, broker **ret)
{
        (void)arg;
        return broker_open("memory:conformance", options, ret, NULL, 0, SJ_NEVER);
}

static int run_case(void *arg)
{
        const conformance_case *c = arg;
        conformance factory = {.open = open_named, .tick = SJ_SEC};
        expect_equal(open_named(NULL, NULL, &keeper), 0);
        int r = c->body(&factory);
        broker_close(keeper);
        return r;
}

static void test_case(void **state)
{
        sim_unit_run(run_case, *state, 0);
}

static int without_a_name_each_handle_is_a_broker_of_its_own(void *arg)
{
        (void)arg;
        broker *a, *b;
        sj_arena *arena;
        const broker_depth *depths;
        expect_equal(sj_arena_new(&arena), 0);
        expect_equal(broker_open("memory:", NULL, &a, NULL, 0, SJ_NEVER), 0);
        expect_equal(broker_open("memory:", NULL, &b, NULL, 0, SJ_NEVER), 0);
        broker_message m = {.id = SJ_STR("i"), .queue = SJ_STR("q"), .envelope = SJ_STR("e")};
        expect_equal(broker_publish(a, &m, 1, NULL, SJ_NEVER), 0);
        expect_equal(broker_queues(a, arena, &depths, SJ_NEVER), 1);
        expect_equal(broker_queues(b, arena, &depths, SJ_NEVER), 0);
        broker_close(a);
        broker_close(b);
        sj_arena_free(arena);
        return 0;
}

static int a_cancelled_fiber_is_told_by_every_verb(void *arg)
{
        (void)arg;
        broker *b;
        expect_equal(broker_open("memory:", NULL, &b, NULL, 0, SJ_NEVER), 0);
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                sj_scope_cancel(s);
                broker_message m = {.id = SJ_STR("i"), .queue = SJ_STR("q")};
                expect_equal(broker_publish(b, &m, 1, NULL, SJ_NEVER), -ECANCELED);
                expect_equal(broker_purge(b, SJ_STR("q"), NULL, SJ_NEVER), -ECANCELED);
        }
        broker_close(b);
        return 0;
}

#define CASES(X)                                             \
        X(without_a_name_each_handle_is_a_broker_of_its_own) \
        X(a_cancelled_fiber_is_told_by_every_verb)

CASES(SIM_UNIT_DEFINE)

static void addresses_are_checked(void **state)
{
        (void)state;
        broker *b;
        char error[160];
        assert_int_equal(broker_open("memory", NULL, &b, error, sizeof(error), SJ_NEVER), -EINVAL);
        assert_string_equal(error, "a broker's address has the form KIND:PLACE, as sqlite:PATH");
        assert_int_equal(broker_open("smoke://x", NULL, &b, error, sizeof(error), SJ_NEVER),
                         -EPROTONOSUPPORT);
        static const char says[] = "this build has no broker of the kind 'smoke', but memory";
        assert_memory_equal(error, says, sizeof(says) - 1);
}

int main(void)
{
        struct CMUnitTest tests[128] = {CASES(SIM_UNIT_ROW){
                "addresses_are_checked", addresses_are_checked, NULL, NULL, NULL}};
        size_t n = conformance_add(tests, 128, test_case, NULL, NULL);
        return _cmocka_run_group_tests("broker_memory", tests, n, NULL, NULL);
}
