/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "os/os.h"

static void a_librarys_functions_are_found(void **state)
{
        (void)state;
        double (*root)(double) = NULL;
        const os_function functions[] = {{"sqrt", &root}};
        assert_null(os_library_load("libm.so.6", functions, 1));
        assert_true(root(9) == 3);
}

static void a_library_that_is_not_there_is_named(void **state)
{
        (void)state;
        const char *wrong = os_library_load("libsanjab-none.so.1", NULL, 0);
        assert_non_null(wrong);
        assert_non_null(strstr(wrong, "libsanjab-none.so.1"));
}

static void a_function_that_is_not_there_is_named(void **state)
{
        (void)state;
        void (*none)(void) = NULL;
        const os_function functions[] = {{"sanjab_none", &none}};
        const char *wrong = os_library_load("libm.so.6", functions, 1);
        assert_non_null(wrong);
        assert_non_null(strstr(wrong, "sanjab_none"));
        assert_null(none);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_librarys_functions_are_found),
                cmocka_unit_test(a_library_that_is_not_there_is_named),
                cmocka_unit_test(a_function_that_is_not_there_is_named),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
