/* SPDX-License-Identifier: MIT */
/*
 * As much of cmocka as the tests of src/fiber use, for a processor that the distribution has no
 * cmocka for: each case in turn, told in the Test Anything Protocol.
 */
#ifndef SANJAB_AARCH64_CMOCKA_H
#define SANJAB_AARCH64_CMOCKA_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct CMUnitTest {
        const char *name;
        void (*test)(void **state);
        int (*setup)(void **state);
        int (*teardown)(void **state);
};

#define cmocka_unit_test_setup_teardown(test, setup, teardown) \
        {                                                      \
#test, test, setup, teardown                   \
        }
#define cmocka_unit_test(test)          \
        {                               \
#test, test, NULL, NULL \
        }

enum { CMOCKA_FAILED = 1, CMOCKA_SKIPPED = 2 };

static jmp_buf cmocka_case;

static inline void cmocka_check(bool good, const char *what, int line)
{
        if (good)
                return;
        printf("# line %d: %s\n", line, what);
        longjmp(cmocka_case, CMOCKA_FAILED);
}

#define assert_true(x)              cmocka_check((x), #x, __LINE__)
#define assert_false(x)             assert_true(!(x))
#define assert_non_null(x)          assert_true((x) != NULL)
#define assert_null(x)              assert_true((x) == NULL)
#define assert_int_equal(a, b)      assert_true((unsigned long)(a) == (unsigned long)(b))
#define assert_ptr_equal(a, b)      assert_true((const void *)(a) == (const void *)(b))
#define assert_string_equal(a, b)   assert_true(strcmp((a), (b)) == 0)
#define assert_in_range(x, low, up) assert_true((x) >= (low) && (x) <= (up))
#define skip()                      longjmp(cmocka_case, CMOCKA_SKIPPED)

static inline int cmocka_run(const struct CMUnitTest tests[], size_t n)
{
        volatile int failed = 0;
        printf("1..%zu\n", n);
        for (size_t i = 0; i < n; i++) {
                void *state = NULL;
                if (tests[i].setup)
                        tests[i].setup(&state);
                int r = setjmp(cmocka_case);
                if (r == 0)
                        tests[i].test(&state);
                if (tests[i].teardown)
                        tests[i].teardown(&state);
                failed = failed + (r == CMOCKA_FAILED);
                printf("%sok %zu - %s%s\n", r == CMOCKA_FAILED ? "not " : "", i + 1, tests[i].name,
                       r == CMOCKA_SKIPPED ? " # SKIP" : "");
                fflush(stdout);
        }
        return failed;
}

#define cmocka_run_group_tests(tests, setup, teardown) \
        cmocka_run((tests), sizeof(tests) / sizeof((tests)[0]))

#endif
