/* SPDX-License-Identifier: MIT */
/* Several loops on several threads: they run at once, and stop in good order. */
#include "fiber/real_unit.h"
#include "os/os.h"

#include <sanjab/fiber.h>

#include <stdatomic.h>

enum { LOOPS = 4, ROUNDS = 100 };

typedef struct crowd {
        _Atomic int came;
        _Atomic int cleaned;
        _Atomic(sj_loop *) loop;
} crowd;

static int arrive(crowd *c)
{
        int number = atomic_fetch_add(&c->came, 1);
        while (atomic_load(&c->came) < LOOPS)
                if (sj_yield() < 0)
                        break;
        return number;
}

static int meets_the_others(void *arg)
{
        arrive(arg);
        return atomic_load(&((crowd *)arg)->came) == LOOPS ? 0 : -EIO;
}

static void loops_run_at_once(void **state)
{
        (void)state;
        crowd c = {0};
        assert_int_equal(sj_run_threads(LOOPS, meets_the_others, &c), 0);
        assert_int_equal(c.came, LOOPS);
}

/* As a server that is told to end: clean-up takes its time. */
static int serves(crowd *c)
{
        int r = sj_sleep(1000 * SJ_SEC);
        expect(r == -ECANCELED && sj_cancel_reason() == SJ_BY_STOP);
        SJ_SCOPE(clean, sj_after(SJ_SEC), SJ_SHIELD);
        expect(sj_sleep(100 * SJ_US) == 0);
        atomic_fetch_add(&c->cleaned, 1);
        return r;
}

static int one_fails(void *arg)
{
        return arrive(arg) == LOOPS / 2 ? -EIO : serves(arg);
}

static int all_fail(void *arg)
{
        arrive(arg);
        return -EIO;
}

static void the_first_failure_stops_the_others_in_good_order(void **state)
{
        (void)state;
        for (int i = 0; i < ROUNDS; i++) {
                crowd c = {0};
                assert_int_equal(sj_run_threads(LOOPS, one_fails, &c), -EIO);
                assert_int_equal(c.cleaned, LOOPS - 1);
                crowd d = {0};
                assert_int_equal(sj_run_threads(LOOPS, all_fail, &d), -EIO);
        }
}

static int one_stops_all(void *arg)
{
        if (arrive(arg) == 1)
                sj_loop_stop(sj_loop_current());
        return serves(arg);
}

static void to_stop_one_of_several_stops_all(void **state)
{
        (void)state;
        for (int i = 0; i < ROUNDS; i++) {
                crowd c = {0};
                assert_int_equal(sj_run_threads(LOOPS, one_stops_all, &c), 0);
                assert_int_equal(c.cleaned, LOOPS);
        }
}

static int is_stopped_from_outside(void *arg)
{
        crowd *c = arg;
        atomic_store(&c->loop, sj_loop_current());
        return serves(c);
}

static void *stop_it(void *arg)
{
        crowd *c = arg;
        sj_loop *loop;
        while (!(loop = atomic_load(&c->loop)))
                continue;
        sj_loop_stop(loop);
        return NULL;
}

static void a_loop_is_stopped_from_any_thread(void **state)
{
        (void)state;
        for (int i = 0; i < ROUNDS; i++) {
                crowd c = {0};
                os_thread *thread;
                assert_int_equal(os_thread_start(stop_it, &c, "test", &thread), 0);
                assert_int_equal(sj_run(is_stopped_from_outside, &c), -ECANCELED);
                os_thread_join(thread);
                assert_int_equal(c.cleaned, 1);
        }
}

static int counts(void *arg)
{
        atomic_fetch_add((_Atomic int *)arg, 1);
        return 3;
}

static void none_means_one_for_each_processor(void **state)
{
        (void)state;
        _Atomic int count = 0;
        assert_int_equal(sj_run_threads(0, counts, &count), 0);
        assert_int_equal(count, os_processors());
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(loops_run_at_once),
                cmocka_unit_test(the_first_failure_stops_the_others_in_good_order),
                cmocka_unit_test(to_stop_one_of_several_stops_all),
                cmocka_unit_test(a_loop_is_stopped_from_any_thread),
                cmocka_unit_test(none_means_one_for_each_processor),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
