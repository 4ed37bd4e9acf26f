/* SPDX-License-Identifier: MIT */
#include "store/redis_reply.h"

#include "base/unit.h"

#include <stdio.h>
#include <stdlib.h>

/* One reply of the text, that came in pieces of so many bytes. */
static int decode(const char *text, size_t n, size_t piece, sj_arena *arena,
                  const redis_reply **ret)
{
        redis_decoder d;
        assert_int_equal(redis_decoder_init(&d), 0);
        int r = 0;
        for (size_t at = 0; r == 0 && at < n; at += piece) {
                sj_str in = {text + at, n - at < piece ? n - at : piece};
                r = redis_decode(&d, &in, arena, ret);
        }
        redis_decoder_fini(&d);
        return r;
}

static void a_reply_is_the_same_however_it_is_cut(void **state)
{
        (void)state;
        static const char text[] =
                "*5\r\n+OK\r\n-ERR no\r\n:-42\r\n$-1\r\n*2\r\n$3\r\na\0b\r\n*0\r\n";
        sj_arena *a;
        assert_int_equal(sj_arena_new(&a), 0);
        for (size_t piece = 1; piece < sizeof(text); piece++) {
                const redis_reply *r;
                assert_int_equal(decode(text, sizeof(text) - 1, piece, a, &r), 1);
                assert_int_equal(r->type, REDIS_ARRAY);
                assert_int_equal(r->n, 5);
                const redis_reply *e = r->elements;
                assert_int_equal(e[0].type, REDIS_STATUS);
                assert_string_equal(e[0].text.data, "OK");
                assert_int_equal(e[1].type, REDIS_ERROR);
                assert_true(redis_reply_is_error(&e[1], "ERR"));
                assert_false(redis_reply_is_error(&e[1], "ER"));
                assert_int_equal(e[2].integer, -42);
                assert_int_equal(e[3].type, REDIS_NIL);
                assert_int_equal(e[4].n, 2);
                assert_int_equal(e[4].elements[0].text.n, 3);
                assert_memory_equal(e[4].elements[0].text.data, "a\0b", 4);
                assert_int_equal(e[4].elements[1].type, REDIS_ARRAY);
                assert_int_equal(e[4].elements[1].n, 0);
        }
        sj_arena_free(a);
}

static void replies_behind_each_other_are_told_apart(void **state)
{
        (void)state;
        sj_str in = SJ_STR(":1\r\n:2\r\n$1\r\nx");
        redis_decoder d;
        sj_arena *a;
        const redis_reply *r;
        assert_int_equal(sj_arena_new(&a), 0);
        assert_int_equal(redis_decoder_init(&d), 0);
        assert_true(redis_decoder_is_empty(&d));
        assert_int_equal(redis_decode(&d, &in, a, &r), 1);
        assert_int_equal(r->integer, 1);
        assert_int_equal(redis_decode(&d, &in, a, &r), 1);
        assert_int_equal(r->integer, 2);
        assert_int_equal(redis_decode(&d, &in, a, &r), 0);
        assert_false(redis_decoder_is_empty(&d));
        in = SJ_STR("\r\n");
        assert_int_equal(redis_decode(&d, &in, a, &r), 1);
        assert_string_equal(r->text.data, "x");
        redis_decoder_fini(&d);
        sj_arena_free(a);
}

static void what_nobody_waits_for_any_more_is_dropped_on_its_way(void **state)
{
        (void)state;
        sj_str in = SJ_STR("*2\r\n*2\r\n:1\r\n");
        redis_decoder d;
        sj_arena *a;
        const redis_reply *r = NULL;
        assert_int_equal(sj_arena_new(&a), 0);
        assert_int_equal(redis_decoder_init(&d), 0);
        assert_int_equal(redis_decode(&d, &in, a, &r), 0);
        sj_arena_free(a);
        in = SJ_STR("$1\r\nx\r\n*1\r\n:3\r\n:4\r\n");
        assert_int_equal(redis_decode(&d, &in, NULL, &r), 1);
        assert_null(r);
        assert_int_equal(sj_arena_new(&a), 0);
        assert_int_equal(redis_decode(&d, &in, a, &r), 1);
        assert_int_equal(r->integer, 4);
        redis_decoder_fini(&d);
        sj_arena_free(a);
}

static void limits_come_before_the_memory(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                int error;
        } cases[] = {
                {"*16777217\r\n", -ENOBUFS},
                {"*2147483647\r\n", -ENOBUFS},
                {"*2147483648\r\n", -EPROTO},
                {"*-2147483648\r\n", -EPROTO},
                {"*10000000\r\n*10000000\r\n", -ENOBUFS},
                {"$536870912\r\n", -ENOBUFS},
                {"*2\r\n:1\r\n$2147483648\r\n", -ENOBUFS},
                {"%1\r\n", -EPROTO},
                {"x\r\n", -EPROTO},
        };
        sj_arena *a;
        const redis_reply *r;
        assert_int_equal(sj_arena_new(&a), 0);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                assert_int_equal(decode(cases[i].text, strlen(cases[i].text), 100, a, &r),
                                 cases[i].error);
        sj_arena_free(a);
}

/* A lone \r does not end a line, and what stands before one is not yet its length. */
static void an_error_is_the_same_however_it_is_cut(void **state)
{
        (void)state;
        static const char *const cases[] = {
                "$\r8888888888888888\r\n",
                "$8888888888888888\r8\r\n",
                "$\n8888888888888888\r\n",
                "*1\r\n$8888888888888888x\r\n",
        };
        sj_arena *a;
        const redis_reply *r;
        assert_int_equal(sj_arena_new(&a), 0);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                for (size_t piece = 1; piece <= strlen(cases[i]); piece++)
                        assert_int_equal(decode(cases[i], strlen(cases[i]), piece, a, &r), -EPROTO);
        sj_arena_free(a);
}

static void a_line_without_an_end_is_refused(void **state)
{
        (void)state;
        static const char signs[] = "+-:*$";
        const redis_reply *r;
        char *text = malloc(REDIS_LINE_MAX + 2);
        assert_non_null(text);
        memset(text, '1', REDIS_LINE_MAX + 2);
        for (size_t i = 0; i < sizeof(signs) - 1; i++) {
                text[0] = signs[i];
                assert_int_equal(decode(text, REDIS_LINE_MAX, 7777, NULL, &r), 0);
                assert_int_equal(decode(text, REDIS_LINE_MAX + 2, 7777, NULL, &r), -ENOBUFS);
        }
        free(text);
}

static void a_large_reply_is_copied_whole(void **state)
{
        (void)state;
        enum { N = 300000 };
        char *text = malloc(N + 32);
        assert_non_null(text);
        int head = snprintf(text, 32, "$%d\r\n", N);
        for (int i = 0; i < N; i++)
                text[head + i] = (char)i;
        memcpy(text + head + N, "\r\n", 2);
        sj_arena *a;
        const redis_reply *r;
        assert_int_equal(sj_arena_new(&a), 0);
        assert_int_equal(decode(text, (size_t)head + N + 2, 7777, a, &r), 1);
        assert_int_equal(r->text.n, N);
        assert_memory_equal(r->text.data, text + head, N);
        sj_arena_free(a);
        free(text);
}

static void a_command_is_an_array_of_strings(void **state)
{
        (void)state;
        const sj_str words[] = {SJ_STR("SET"), SJ_STR("a key"), {NULL, 0}, {"\r\n\0", 3}};
        const redis_command command = {words, 4}, none = {words, 0};
        static const char expected[] =
                "*4\r\n$3\r\nSET\r\n$5\r\na key\r\n$0\r\n\r\n$3\r\n\r\n\0\r\n";
        buf b = BUF_INIT(0);
        assert_int_equal(redis_encode(&b, &command), 0);
        assert_int_equal(buf_size(&b), sizeof(expected) - 1);
        assert_memory_equal(buf_data(&b), expected, sizeof(expected) - 1);
        assert_int_equal(redis_encode(&b, &none), -EINVAL);
        const sj_str huge[] = {SJ_STR("SET"), {"", REDIS_REPLY_MAX}};
        const redis_command too_large = {huge, 2}, too_many = {words, REDIS_ARGS_MAX + 1};
        assert_int_equal(redis_encode(&b, &too_large), -EMSGSIZE);
        assert_int_equal(redis_encode(&b, &too_many), -EMSGSIZE);
        assert_int_equal(buf_size(&b), sizeof(expected) - 1);
        buf_fini(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_reply_is_the_same_however_it_is_cut),
                cmocka_unit_test(replies_behind_each_other_are_told_apart),
                cmocka_unit_test(what_nobody_waits_for_any_more_is_dropped_on_its_way),
                cmocka_unit_test(limits_come_before_the_memory),
                cmocka_unit_test(an_error_is_the_same_however_it_is_cut),
                cmocka_unit_test(a_line_without_an_end_is_refused),
                cmocka_unit_test(a_large_reply_is_copied_whole),
                cmocka_unit_test(a_command_is_an_array_of_strings),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
