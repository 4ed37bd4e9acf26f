/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include "base/unit.h"

static void keeps_order_over_growth_and_consumption(void **state)
{
        (void)state;
        buf b = BUF_INIT(0);
        size_t written = 0, read = 0;
        for (unsigned round = 0; round < 2000; round++) {
                for (unsigned i = 0; i < round % 7; i++)
                        assert_int_equal(buf_append_char(&b, (char)(written++ % 251)), 0);
                size_t take = buf_size(&b) / 2;
                for (size_t i = 0; i < take; i++)
                        assert_int_equal((unsigned char)buf_data(&b)[i], (read + i) % 251);
                buf_consume(&b, take);
                read += take;
        }
        assert_int_equal(buf_size(&b), written - read);
        buf_fini(&b);
}

static void refuses_more_than_its_limit_and_stays_as_it_was(void **state)
{
        (void)state;
        buf b = BUF_INIT(4);
        assert_int_equal(buf_append(&b, "abc", 3), 0);
        assert_int_equal(buf_append(&b, "de", 2), -ENOBUFS);
        assert_int_equal(buf_append(&b, "d", SIZE_MAX), -ENOBUFS);
        assert_true(sj_str_equal(buf_str(&b), SJ_STR("abc")));
        buf_consume(&b, 2);
        assert_int_equal(buf_append(&b, "def", 3), 0);
        assert_true(sj_str_equal(buf_str(&b), SJ_STR("cdef")));
        buf_fini(&b);
}

static void prints(void **state)
{
        (void)state;
        buf b = BUF_INIT(0);
        assert_int_equal(buf_printf(&b, "%d-%s", 7, "x"), 0);
        assert_int_equal(buf_terminate(&b), 0);
        assert_string_equal(buf_data(&b), "7-x");
        buf_clear(&b);
        assert_int_equal(buf_size(&b), 0);
        buf_fini(&b);
        buf_fini(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(keeps_order_over_growth_and_consumption),
                cmocka_unit_test(refuses_more_than_its_limit_and_stays_as_it_was),
                cmocka_unit_test(prints),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
