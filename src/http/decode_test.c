/* SPDX-License-Identifier: MIT */
#include "http/decode.h"

#include "base/unit.h"

#include "base/buf.h"

#include <stdlib.h>
#include <zlib.h>

enum { GZIP = 15 + 16, ZLIB = 15, BARE = -15 };

static void compress_as(int window, const void *data, size_t n, buf *out)
{
        z_stream z = {0};
        assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
        size_t bound = deflateBound(&z, (uLong)n) + 64;
        assert_int_equal(buf_reserve(out, bound), 0);
        z.next_in = (Bytef *)(uintptr_t)data;
        z.avail_in = (uInt)n;
        z.next_out = (Bytef *)buf_tail(out);
        z.avail_out = (uInt)bound;
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        buf_advance(out, z.total_out);
        deflateEnd(&z);
}

/* Decodes with input and output in pieces of these sizes; 0 or the error. */
static int decode_in(const char *encoding, sj_str text, size_t in_step, size_t out_step,
                     uint64_t size_max, unsigned ratio_max, buf *out)
{
        http_decoder *d;
        int r = http_decode_new(sj_str_of(encoding), size_max, ratio_max, &d);
        if (r < 0)
                return r;
        assert_non_null(d);
        char piece[4096];
        size_t at = 0;
        while (at < text.n && r == 0) {
                size_t n = text.n - at < in_step ? text.n - at : in_step;
                char *copy = malloc(n);
                assert_non_null(copy);
                memcpy(copy, text.data + at, n);
                sj_str in = {copy, n};
                for (;;) {
                        ssize_t made = http_decode(d, &in, piece, out_step);
                        if (made < 0)
                                r = (int)made;
                        if (made <= 0)
                                break;
                        assert_true((size_t)made <= out_step);
                        assert_int_equal(buf_append(out, piece, (size_t)made), 0);
                }
                free(copy);
                at += n;
        }
        if (r == 0)
                r = http_decode_end(d);
        http_decode_free(d);
        return r;
}

static void assert_decodes(const char *encoding, sj_str text, sj_str expected)
{
        static const size_t in_steps[] = {1, 2, 3, 7, 100000}, out_steps[] = {1, 2, 5, 4096};
        for (size_t i = 0; i < 5; i++)
                for (size_t k = 0; k < 4; k++) {
                        buf out = BUF_INIT(0);
                        assert_int_equal(decode_in(encoding, text, in_steps[i], out_steps[k],
                                                   UINT64_MAX, 100, &out),
                                         0);
                        assert_true(sj_str_equal(buf_str(&out), expected));
                        buf_fini(&out);
                }
}

static int decode(const char *encoding, sj_str text)
{
        buf out = BUF_INIT(0);
        int r = decode_in(encoding, text, 100000, 4096, UINT64_MAX, 100, &out), again;
        buf_fini(&out);
        out = BUF_INIT(0);
        again = decode_in(encoding, text, 1, 1, UINT64_MAX, 100, &out);
        assert_int_equal(r, again);
        buf_fini(&out);
        return r;
}

static const sj_str story = {"It was a dark and stormy night; the rain fell in torrents, except "
                             "at occasional intervals, when it was checked by a violent gust.",
                             130};

static void decodes_each_format(void **state)
{
        (void)state;
        static const sj_str texts[] = {{"", 0}, {"a", 1}, {"aaaaaaaaaaaaaaaaaaaaaaaa", 24}};
        static const struct {
                const char *encoding;
                int window;
        } formats[] = {{"gzip", GZIP},    {"x-gzip", GZIP},  {"GZip", GZIP},
                       {"deflate", ZLIB}, {"deflate", BARE}, {"identity, gzip", GZIP}};
        for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
                for (size_t k = 0; k < 4; k++) {
                        sj_str text = k < 3 ? texts[k] : story;
                        buf packed = BUF_INIT(0);
                        compress_as(formats[i].window, text.data, text.n, &packed);
                        assert_decodes(formats[i].encoding, buf_str(&packed), text);
                        buf_fini(&packed);
                }
}

static void decodes_gzip_of_several_members(void **state)
{
        (void)state;
        buf packed = BUF_INIT(0);
        compress_as(GZIP, "one ", 4, &packed);
        compress_as(GZIP, "", 0, &packed);
        compress_as(GZIP, "two", 3, &packed);
        assert_decodes("gzip", buf_str(&packed), SJ_STR("one two"));
        buf_fini(&packed);
}

static void an_empty_body_is_empty(void **state)
{
        (void)state;
        assert_int_equal(decode("gzip", SJ_STR("")), 0);
        assert_int_equal(decode("deflate", SJ_STR("")), 0);
}

static void sees_truncation_at_every_byte(void **state)
{
        (void)state;
        static const struct {
                const char *encoding;
                int window;
        } formats[] = {{"gzip", GZIP}, {"deflate", ZLIB}, {"deflate", BARE}};
        for (size_t i = 0; i < 3; i++) {
                buf packed = BUF_INIT(0);
                compress_as(formats[i].window, story.data, story.n, &packed);
                for (size_t n = 1; n < buf_size(&packed); n++)
                        assert_int_equal(
                                decode(formats[i].encoding, (sj_str){buf_data(&packed), n}),
                                -EBADMSG);
                buf_fini(&packed);
        }
}

static void refuses_what_is_malformed(void **state)
{
        (void)state;
        buf packed = BUF_INIT(0);
        assert_int_equal(decode("gzip", SJ_STR("not gzip at all")), -EBADMSG);
        assert_int_equal(decode("deflate", SJ_STR("\xff\xff\xff\xff")), -EBADMSG);
        compress_as(GZIP, story.data, story.n, &packed);
        buf_data(&packed)[buf_size(&packed) - 5] ^= 1; /* the check sum */
        assert_int_equal(decode("gzip", buf_str(&packed)), -EBADMSG);
        buf_clear(&packed);
        compress_as(GZIP, "a", 1, &packed);
        assert_int_equal(buf_append(&packed, "garbage", 7), 0);
        assert_int_equal(decode("gzip", buf_str(&packed)), -EBADMSG);
        buf_clear(&packed);
        compress_as(ZLIB, "a", 1, &packed);
        assert_int_equal(buf_append(&packed, "x", 1), 0);
        assert_int_equal(decode("deflate", buf_str(&packed)), -EBADMSG);
        buf_clear(&packed);
        compress_as(ZLIB, "a", 1, &packed);
        compress_as(ZLIB, "b", 1, &packed);
        assert_int_equal(decode("deflate", buf_str(&packed)), -EBADMSG);
        buf_fini(&packed);
}

static void knows_which_codings_it_knows(void **state)
{
        (void)state;
        http_decoder *d = NULL;
        assert_int_equal(http_decode_new(SJ_STR("br"), 1, 1, &d), -EOPNOTSUPP);
        assert_int_equal(http_decode_new(SJ_STR("gzip, gzip"), 1, 1, &d), -EOPNOTSUPP);
        assert_int_equal(http_decode_new(SJ_STR("gzip, br"), 1, 1, &d), -EOPNOTSUPP);
        assert_int_equal(http_decode_new(SJ_STR("identity"), 1, 1, &d), 0);
        assert_null(d);
        assert_int_equal(http_decode_new(SJ_STR(" , "), 1, 1, &d), 0);
        assert_null(d);
        http_decode_free(NULL);
}

static void a_bomb_is_stopped_by_its_size_and_by_its_ratio(void **state)
{
        (void)state;
        enum { BOMB = 8 << 20 };
        char *zeros = calloc(1, BOMB);
        assert_non_null(zeros);
        buf packed = BUF_INIT(0), out = BUF_INIT(0);
        compress_as(GZIP, zeros, BOMB, &packed);
        assert_true(buf_size(&packed) < BOMB / 900);
        assert_int_equal(decode_in("gzip", buf_str(&packed), 1000, 4096, 1000, 2000, &out),
                         -EMSGSIZE);
        assert_true(buf_size(&out) <= 1000 + 4096);
        buf_clear(&out);
        assert_int_equal(decode_in("gzip", buf_str(&packed), 1000, 4096, UINT64_MAX, 100, &out),
                         -E2BIG);
        assert_true(buf_size(&out) <= HTTP_DECODE_FREE + 4096);
        buf_clear(&out);
        assert_int_equal(decode_in("gzip", buf_str(&packed), 1000, 4096, BOMB, 2000, &out), 0);
        assert_int_equal(buf_size(&out), BOMB);
        /* What is small may be as dense as it likes. */
        buf_clear(&packed);
        buf_clear(&out);
        compress_as(GZIP, zeros, 1 << 20, &packed);
        assert_int_equal(decode_in("gzip", buf_str(&packed), 1000, 4096, UINT64_MAX, 100, &out), 0);
        buf_fini(&packed);
        buf_fini(&out);
        free(zeros);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(decodes_each_format),
                cmocka_unit_test(decodes_gzip_of_several_members),
                cmocka_unit_test(an_empty_body_is_empty),
                cmocka_unit_test(sees_truncation_at_every_byte),
                cmocka_unit_test(refuses_what_is_malformed),
                cmocka_unit_test(knows_which_codings_it_knows),
                cmocka_unit_test(a_bomb_is_stopped_by_its_size_and_by_its_ratio),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
