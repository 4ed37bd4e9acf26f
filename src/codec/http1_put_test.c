/* SPDX-License-Identifier: MIT */
#include "codec/http1.h"

#include "base/unit.h"

static void writes_what_its_reader_reads(void **state)
{
        (void)state;
        buf out = BUF_INIT(0);
        assert_int_equal(http1_put_request(&out, SJ_STR("POST"), SJ_STR("/a?b")), 0);
        assert_int_equal(http1_put_field(&out, SJ_STR("Host"), SJ_STR("a")), 0);
        assert_int_equal(http1_put_field_number(&out, SJ_STR("Content-Length"), 1234567890123), 0);
        assert_int_equal(http1_put_end(&out), 0);
        assert_true(sj_str_equal(buf_str(&out), SJ_STR("POST /a?b HTTP/1.1\r\nHost: a\r\n"
                                                       "Content-Length: 1234567890123\r\n\r\n")));
        http1_head head;
        http1_field fields[4];
        http1_head_init_request(&head, fields, 4);
        assert_int_equal(http1_head_parse(&head, buf_data(&out), buf_size(&out)), HTTP1_DONE);
        assert_int_equal(head.length, 1234567890123);
        buf_fini(&out);
}

static void writes_a_status_line_with_its_usual_phrase(void **state)
{
        (void)state;
        buf out = BUF_INIT(0);
        assert_int_equal(http1_put_status(&out, 404, SJ_STR("")), 0);
        assert_int_equal(http1_put_status(&out, 299, SJ_STR("")), 0);
        assert_int_equal(http1_put_status(&out, 200, SJ_STR("Fine by me")), 0);
        assert_true(sj_str_equal(buf_str(&out), SJ_STR("HTTP/1.1 404 Not Found\r\nHTTP/1.1 299 \r\n"
                                                       "HTTP/1.1 200 Fine by me\r\n")));
        buf_fini(&out);
}

static void writes_chunks(void **state)
{
        (void)state;
        buf out = BUF_INIT(0);
        assert_int_equal(http1_put_chunk(&out, 26), 0);
        assert_int_equal(http1_put_chunk_end(&out), 0);
        assert_int_equal(http1_put_last_chunk(&out), 0);
        assert_int_equal(http1_put_end(&out), 0);
        assert_true(sj_str_equal(buf_str(&out), SJ_STR("1a\r\n\r\n0\r\n\r\n")));
        assert_int_equal(http1_put_chunk(&out, 0), -EINVAL);
        assert_int_equal(http1_put_chunk(&out, HTTP1_LENGTH_MAX + 1), -EINVAL);
        buf_fini(&out);
}

static void refuses_to_write_what_would_be_read_as_more(void **state)
{
        (void)state;
        buf out = BUF_INIT(0);
        const sj_str a = SJ_STR("A");
        assert_int_equal(http1_put_field(&out, a, SJ_STR("b\r\nC: d")), -EINVAL);
        assert_int_equal(http1_put_field(&out, a, SJ_STR("b\nC: d")), -EINVAL);
        assert_int_equal(http1_put_field(&out, a, SJ_STR("b\0")), -EINVAL);
        assert_int_equal(http1_put_field(&out, a, SJ_STR(" b")), -EINVAL);
        assert_int_equal(http1_put_field(&out, SJ_STR("A: b\r\nC"), a), -EINVAL);
        assert_int_equal(http1_put_field(&out, SJ_STR(""), a), -EINVAL);
        assert_int_equal(http1_put_request(&out, SJ_STR("GET /x"), SJ_STR("/")), -EINVAL);
        assert_int_equal(http1_put_request(&out, SJ_STR("GET"), SJ_STR("/ HTTP/1.1\r\nA: b")),
                         -EINVAL);
        assert_int_equal(http1_put_request(&out, SJ_STR("GET"), SJ_STR("")), -EINVAL);
        assert_int_equal(http1_put_status(&out, 200, SJ_STR("a\r\nB: c")), -EINVAL);
        assert_int_equal(http1_put_status(&out, 99, SJ_STR("")), -EINVAL);
        assert_int_equal(http1_put_status(&out, 1000, SJ_STR("")), -EINVAL);
        assert_int_equal(buf_size(&out), 0);
        buf_fini(&out);
}

static void writes_all_of_a_part_or_nothing(void **state)
{
        (void)state;
        buf out = BUF_INIT(5);
        assert_int_equal(http1_put_field(&out, SJ_STR("A"), SJ_STR("b")), -ENOBUFS);
        assert_int_equal(buf_size(&out), 0);
        buf_fini(&out);
}

static void takes_lists_apart(void **state)
{
        (void)state;
        sj_str list = SJ_STR(" a,, b c\t,,\t, d"), member;
        assert_true(http1_next_member(&list, &member) && sj_str_equal(member, SJ_STR("a")));
        assert_true(http1_next_member(&list, &member) && sj_str_equal(member, SJ_STR("b c")));
        assert_true(http1_next_member(&list, &member) && sj_str_equal(member, SJ_STR("d")));
        assert_false(http1_next_member(&list, &member));
}

static void every_reason_has_a_text(void **state)
{
        (void)state;
        for (int i = 0; i < HTTP1_REASONS; i++)
                assert_non_null(http1_reason_text((http1_reason)i));
        assert_string_equal(http1_reason_text((http1_reason)999), "unknown reason");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(writes_what_its_reader_reads),
                cmocka_unit_test(writes_a_status_line_with_its_usual_phrase),
                cmocka_unit_test(writes_chunks),
                cmocka_unit_test(refuses_to_write_what_would_be_read_as_more),
                cmocka_unit_test(writes_all_of_a_part_or_nothing),
                cmocka_unit_test(takes_lists_apart),
                cmocka_unit_test(every_reason_has_a_text),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
