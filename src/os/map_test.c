/* SPDX-License-Identifier: MIT */
/* Guards on a system that accepts every advice and follows none, as some emulators do. */
#include "base/unit.h"

#include <sys/mman.h>

static int accept_any_advice(void *memory, size_t size, int advice)
{
        (void)memory, (void)size, (void)advice;
        return 0;
}
#define madvise accept_any_advice
#include "os/map.c"

static void advice_without_effect_is_no_guard(void **state)
{
        (void)state;
        assert_int_equal(probe_guard(), GUARD_BY_PROTECTION);
        assert_int_equal(guard_kind(), GUARD_BY_PROTECTION);
}

static void page_is_guarded_by_protection_then(void **state)
{
        (void)state;
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        char *memory = map_reserve(2 * page);
        assert_non_null(memory);
        assert_true(system_can_write(memory));
        assert_int_equal(map_guard(memory, page), 0);
        assert_false(system_can_write(memory));
        assert_true(system_can_write(memory + page));
        map_release(memory, 2 * page);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(advice_without_effect_is_no_guard),
                cmocka_unit_test(page_is_guarded_by_protection_then),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
