/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "fiber/stack.h"

#include "os/os.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

/* The pages of the stack that have memory. */
static size_t resident(const stack *s)
{
        unsigned char pages[STACK_SIZE / PAGE];
        size_t n = 0;
        assert_int_equal(mincore(s->low, STACK_SIZE, pages), 0);
        for (size_t i = 0; i < STACK_SIZE / PAGE; i++)
                n += pages[i] & 1;
        return n;
}

static void test_a_stack_is_guarded_and_aligned(void **state)
{
        (void)state;
        stack_pool pool;
        stack *s;
        int pipe_fds[2];
        stack_pool_init(&pool, 200);
        assert_int_equal(stack_alloc(&pool, &s), 0);
        assert_int_equal((uintptr_t)s->object % 64, 0);
        assert_ptr_equal(s->low + s->size, s->object);
        assert_true(s->size > STACK_SIZE - PAGE);
        assert_int_equal(pipe(pipe_fds), 0);
        assert_int_equal(write(pipe_fds[1], "x", 1), 1);
        assert_int_equal(read(pipe_fds[0], s->low - 1, 1), -1);
        assert_int_equal(errno, EFAULT);
        assert_int_equal(read(pipe_fds[0], s->low, 1), 1);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        stack_free(&pool, s);
        stack_pool_fini(&pool);
}

static void test_the_stack_freed_last_is_taken_first(void **state)
{
        (void)state;
        stack_pool pool;
        stack *s[3], *again;
        stack_pool_init(&pool, 64);
        for (int i = 0; i < 3; i++)
                assert_int_equal(stack_alloc(&pool, &s[i]), 0);
        memset(s[1]->object, 7, 64);
        stack_free(&pool, s[0]);
        stack_free(&pool, s[1]);
        assert_int_equal(stack_alloc(&pool, &again), 0);
        assert_ptr_equal(again, s[1]);
        assert_int_equal(*(char *)again->object, 7);
        assert_int_equal(stack_alloc(&pool, &again), 0);
        assert_ptr_equal(again, s[0]);
        stack_pool_fini(&pool);
}

static void test_tops_of_neighbours_differ_in_cache_set(void **state)
{
        (void)state;
        stack_pool pool;
        bool seen[PAGE / 64] = {false};
        stack_pool_init(&pool, 128);
        for (int i = 0; i < 8; i++) {
                stack *s;
                assert_int_equal(stack_alloc(&pool, &s), 0);
                size_t set = (uintptr_t)s->object % PAGE / 64;
                assert_false(seen[set]);
                seen[set] = true;
        }
        stack_pool_fini(&pool);
}

static void test_a_stack_in_use_touches_one_page(void **state)
{
        (void)state;
        stack_pool pool;
        stack_pool_init(&pool, 256);
        for (int i = 0; i < 100; i++) {
                stack *s;
                assert_int_equal(stack_alloc(&pool, &s), 0);
                memset(s->object, 1, 256);
                memset((char *)s->object - 1024, 1, 1024);
                assert_int_equal(resident(s), 1);
        }
        stack_pool_fini(&pool);
}

static void test_what_deep_use_touched_is_given_back(void **state)
{
        (void)state;
        stack_pool pool;
        stack *s;
        if (sanitize_valgrind())
                skip(); /* where it is off */
        stack_pool_init(&pool, 64);
        assert_int_equal(stack_alloc(&pool, &s), 0);
        memset(s->low, 1, s->size);
        assert_int_equal(resident(s), STACK_SIZE / PAGE);
        stack_free(&pool, s);
        assert_true(resident(s) <= 9);
        stack_pool_fini(&pool);
}

/* The lowest page, which no probe sees, would be gone if the system had been called. */
static void test_shallow_use_keeps_its_pages_and_calls_nobody(void **state)
{
        (void)state;
        stack_pool pool;
        stack *s;
        stack_pool_init(&pool, 64);
        assert_int_equal(stack_alloc(&pool, &s), 0);
        memset((char *)s->object - 16000, 1, 16000);
        s->low[0] = 1;
        size_t before = resident(s);
        stack_free(&pool, s);
        assert_true(resident(s) >= before);
        assert_int_equal(s->low[0], 1);
        stack_pool_fini(&pool);
}

/* Takes stacks until there are n or no more can be had; returns how many. */
static int take(stack_pool *pool, stack *all[], int n)
{
        int r = 0, i;
        for (i = 0; i < n && r == 0; i++)
                r = stack_alloc(pool, &all[i]);
        if (r == 0)
                return n;
        /* Guards that are mappings, on a kernel that has no others. */
        assert_int_equal(r, -ENOBUFS);
        assert_true(i > 20000);
        return i - 1;
}

static void test_a_hundred_thousand_come_and_go_or_the_limit_is_told(void **state)
{
        (void)state;
        enum { N = 100000 };
        stack_pool pool;
        stack **all = calloc(N, sizeof(stack *));
        stack_pool_init(&pool, 64);
        assert_non_null(all);
        for (int round = 0; round < 2; round++) {
                int n = take(&pool, all, N);
                assert_int_equal(pool.in_use, n);
                for (int i = 0; i < n; i++)
                        stack_free(&pool, all[i]);
                assert_int_equal(pool.in_use, 0);
                assert_true(pool.n_slabs < (size_t)n / 64);
                assert_true(stack_pool_untidy(&pool));
                stack_pool_tidy(&pool);
                assert_false(stack_pool_untidy(&pool));
                assert_true(pool.n_slabs < 12);
        }
        free(all);
        stack_pool_fini(&pool);
}

static void test_a_steady_coming_and_going_maps_nothing_new(void **state)
{
        (void)state;
        enum { N = 3000, ROUNDS = 10 };
        stack_pool pool;
        stack *all[N];
        int fresh = 0;
        stack_pool_init(&pool, sizeof(int));
        for (int round = 0; round < ROUNDS; round++) {
                for (int i = 0; i < N; i++) {
                        assert_int_equal(stack_alloc(&pool, &all[i]), 0);
                        int *object = all[i]->object;
                        fresh += *object == 0;
                        *object = 1;
                }
                for (int i = 0; i < N; i++)
                        stack_free(&pool, all[i]);
        }
        assert_in_range(fresh, N, 2 * N);
        stack_pool_fini(&pool);
}

static void test_the_owner_of_an_address_is_found(void **state)
{
        (void)state;
        stack_pool pool;
        stack *s[10];
        bool guard;
        stack_pool_init(&pool, 64);
        for (int i = 0; i < 10; i++)
                assert_int_equal(stack_alloc(&pool, &s[i]), 0);
        for (int i = 0; i < 10; i++) {
                assert_ptr_equal(stack_owns(&pool, s[i]->low, &guard), s[i]);
                assert_false(guard);
                assert_ptr_equal(stack_owns(&pool, s[i]->object, &guard), s[i]);
                assert_false(guard);
                assert_ptr_equal(stack_owns(&pool, s[i]->low - 1, &guard), s[i]);
                assert_true(guard);
                assert_ptr_equal(stack_owns(&pool, s[i]->low - STACK_GUARD, &guard), s[i]);
                assert_true(guard);
        }
        assert_null(stack_owns(&pool, &pool, &guard));
        stack_pool_fini(&pool);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_stack_is_guarded_and_aligned),
                cmocka_unit_test(test_the_stack_freed_last_is_taken_first),
                cmocka_unit_test(test_tops_of_neighbours_differ_in_cache_set),
                cmocka_unit_test(test_a_stack_in_use_touches_one_page),
                cmocka_unit_test(test_what_deep_use_touched_is_given_back),
                cmocka_unit_test(test_shallow_use_keeps_its_pages_and_calls_nobody),
                cmocka_unit_test(test_a_hundred_thousand_come_and_go_or_the_limit_is_told),
                cmocka_unit_test(test_a_steady_coming_and_going_maps_nothing_new),
                cmocka_unit_test(test_the_owner_of_an_address_is_found),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
