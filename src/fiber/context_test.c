/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "fiber/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 256 * 1024 };

static context home;
static context other;
static int steps;

static void ping(void *arg)
{
        int *n = arg;
        for (int i = 0; i < *n; i++) {
                steps++;
                context_switch(&other, &home);
        }
        context_switch_last(&other, &home);
}

static void run(void (*entry)(void *), void *arg, char *stack)
{
        context_thread(&home);
        context_make(&other, stack, SIZE, entry, arg);
}

static void test_two_contexts_take_turns(void **state)
{
        (void)state;
        char *stack = malloc(SIZE);
        int n = 1000;
        steps = 0;
        run(ping, &n, stack);
        for (int i = 0; i < n; i++) {
                assert_int_equal(steps, i);
                context_switch(&home, &other);
        }
        context_switch(&home, &other);
        assert_int_equal(steps, n);
        context_fini(&other);
        free(stack);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_two_contexts_take_turns),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
