/* SPDX-License-Identifier: MIT */
/* What bodies are written in, and how they are compressed. */
#include "queue/message/message_unit.h"

#include "base/base64.h"
#include "queue/message/message_compress.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const ways[] = {"zlib", "bzip2", "zstd"};

static message new_message(void)
{
        return (message){.task = SJ_STR("t"),
                         .id = SJ_STR("an-id"),
                         .routing_key = SJ_STR("q"),
                         .args = parse(SJ_STR("[1, \"two\", {\"a\": [null, 1.5]}]")),
                         .kwargs = parse(SJ_STR("{\"k\": \"\\u00e9\"}"))};
}

static bool args_are(const message *m)
{
        const message made = new_message();
        return sj_json_equal(m->args, made.args) && sj_json_equal(m->kwargs, made.kwargs);
}

static void a_compression_is_called_on_the_wire_as_kombu_calls_it(void **state)
{
        (void)state;
        static const char *const types[][2] = {{"zlib", "application/x-gzip"},
                                               {"gzip", "application/x-gzip"},
                                               {"bzip2", "application/x-bz2"},
                                               {"zstd", "application/zstd"},
                                               {"zstandard", "application/zstd"}};
        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
                assert_true(sj_str_equal(message_content_compression(types[i][0]),
                                         sj_str_of(types[i][1])));
}

static void a_body_comes_back_from_each_serializer_and_compression(void **state)
{
        (void)state;
        static const char *const serializers[] = {"json", "msgpack"};
        for (size_t i = 0; i < 2; i++)
                for (size_t k = 0; k <= sizeof(ways) / sizeof(*ways); k++) {
                        message m = new_message(), read;
                        message_error error;
                        sj_str text;
                        m.content_type = message_content_type(serializers[i]);
                        if (k)
                                m.compression = message_content_compression(ways[k - 1]);
                        if (k && !message_compression_works(message_compression_of(m.compression)))
                                continue; /* not in this build */
                        assert_int_equal(message_encode(arena, &m, &text), 0);
                        assert_int_equal(message_decode_accepting(arena, text, MESSAGE_ACCEPT_ALL,
                                                                  &read, &error),
                                         0);
                        assert_true(args_are(&read));
                        assert_true(sj_str_equal(read.content_type, m.content_type));
                        assert_true(sj_str_equal(read.compression, m.compression));
                        assert_true(sj_str_equal(read.content_encoding,
                                                 i ? SJ_STR("binary") : SJ_STR("utf-8")));
                        /* Changed, it is written as it came. */
                        read.args = parse(SJ_STR("[7]"));
                        assert_int_equal(message_encode(arena, &read, &text), 0);
                        assert_int_equal(message_decode_accepting(arena, text, MESSAGE_ACCEPT_ALL,
                                                                  &m, &error),
                                         0);
                        assert_true(sj_str_equal(read.content_type, m.content_type));
                        assert_true(sj_str_equal(read.compression, m.compression));
                        assert_int_equal(sj_json_count(m.args), 1);
                }
}

static void msgpack_is_read_only_where_it_is_accepted(void **state)
{
        (void)state;
        message m = new_message(), read;
        message_error error;
        sj_str text;
        unsigned accept;
        m.content_type = message_content_type("msgpack");
        assert_int_equal(message_encode(arena, &m, &text), 0);
        assert_int_equal(message_decode(arena, text, &read, &error), -EBADMSG);
        assert_int_equal(error.defect, MESSAGE_REFUSED);
        assert_string_equal(error.text, "content of the type 'application/x-msgpack' is not "
                                        "accepted (accept_content)");
        assert_true(sj_str_equal(read.id, m.id));
        assert_int_equal(message_accept_read("application/x-msgpack", &accept), 0);
        assert_int_equal(message_decode_accepting(arena, text, accept, &read, &error), 0);
        m.content_type = (sj_str){NULL, 0};
        assert_int_equal(message_encode(arena, &m, &text), 0);
        assert_int_equal(message_decode_accepting(arena, text, accept, &read, &error), -EBADMSG);
        assert_int_equal(message_accept_read("json,msgpack", &accept), 0);
        assert_int_equal(accept, MESSAGE_ACCEPT_ALL);
        assert_int_equal(message_accept_read("json,pickle", &accept), -EINVAL);
        assert_int_equal(message_accept_read("yaml", &accept), -EINVAL);
}

static void what_cannot_be_written_is_said(void **state)
{
        (void)state;
        message m = new_message();
        sj_str text;
        m.content_type = SJ_STR("application/x-python-serialize");
        assert_int_equal(message_encode(arena, &m, &text), -EOPNOTSUPP);
        m.content_type = message_content_type("msgpack");
        m.args = parse(SJ_STR("[18446744073709551616]"));
        assert_int_equal(message_encode(arena, &m, &text), -ERANGE);
        m.args = parse(SJ_STR("[\"\\ud800\"]"));
        assert_int_equal(message_encode(arena, &m, &text), -EINVAL);
        m = new_message();
        m.compression = SJ_STR("application/x-lzma");
        assert_int_equal(message_encode(arena, &m, &text), -EOPNOTSUPP);
        assert_null(message_content_type("pickle").data);
        assert_null(message_content_compression("lzma").data);
}

/* 1.5 MB of which no part repeats; and 8 MiB of one character. */
static sj_str noise(size_t n)
{
        char *data = sj_arena_alloc(arena, n);
        uint64_t x = 88172645463325252U;
        for (size_t i = 0; i < n; i++) {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                data[i] = (char)x;
        }
        return (sj_str){data, n};
}

static void texts_of_any_size_come_back(void **state)
{
        (void)state;
        static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 1500000};
        for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
                const message_compression *c = message_compression_named(sj_str_of(ways[i]));
                assert_non_null(c);
                assert_ptr_equal(message_compression_of(message_compression_type(c)), c);
                for (size_t k = 0; message_compression_works(c) && k < 6; k++) {
                        sj_str text = noise(sizes[k]), small, again;
                        assert_int_equal(message_compress(c, arena, text, &small), 0);
                        assert_int_equal(message_expand(c, arena, small, &again), 0);
                        assert_true(sj_str_equal(text, again));
                }
        }
}

static void a_stream_that_grows_too_much_is_given_up(void **state)
{
        (void)state;
        sj_str blanks = noise(8 << 20), small, text;
        memset((char *)(uintptr_t)blanks.data, ' ', blanks.n);
        for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
                const message_compression *c = message_compression_named(sj_str_of(ways[i]));
                if (!message_compression_works(c)) {
                        assert_int_equal(message_expand(c, arena, SJ_STR("x"), &text), -ENOSYS);
                        continue;
                }
                assert_int_equal(message_compress(c, arena, blanks, &small), 0);
                assert_int_equal(message_expand(c, arena, small, &text), -EMSGSIZE);
                /* So much is little enough, however small it was. */
                assert_int_equal(message_compress(c, arena, (sj_str){blanks.data, 60000}, &small),
                                 0);
                assert_int_equal(message_expand(c, arena, small, &text), 0);
        }
}

static void a_damaged_stream_is_refused_wherever_it_is_cut(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
                const message_compression *c = message_compression_named(sj_str_of(ways[i]));
                sj_str small, text;
                if (!message_compression_works(c))
                        continue;
                assert_int_equal(message_compress(c, arena, noise(300), &small), 0);
                for (size_t n = 0; n < small.n; n++) {
                        char *cut = malloc(n + 1);
                        memcpy(cut, small.data, n);
                        assert_int_equal(message_expand(c, arena, (sj_str){cut, n}, &text),
                                         -EBADMSG);
                        free(cut);
                }
                char *more = sj_arena_alloc(arena, small.n + 1);
                memcpy(more, small.data, small.n);
                more[small.n] = 'x';
                assert_int_equal(message_expand(c, arena, (sj_str){more, small.n + 1}, &text),
                                 -EBADMSG);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                ARENA_TEST(a_compression_is_called_on_the_wire_as_kombu_calls_it),
                ARENA_TEST(a_body_comes_back_from_each_serializer_and_compression),
                ARENA_TEST(msgpack_is_read_only_where_it_is_accepted),
                ARENA_TEST(what_cannot_be_written_is_said),
                ARENA_TEST(texts_of_any_size_come_back),
                ARENA_TEST(a_stream_that_grows_too_much_is_given_up),
                ARENA_TEST(a_damaged_stream_is_refused_wherever_it_is_cut),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
