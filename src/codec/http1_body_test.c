/* SPDX-License-Identifier: MIT */
#include "codec/http1.h"

#include "base/unit.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct reading {
        http1_body body;
        http1_field trailers[4];
        http1_outcome outcome;
        buf data;
        size_t used;
} reading;

static void init(reading *r, http1_framing framing, uint64_t length)
{
        http1_head head = {.framing = framing, .length = length};
        http1_body_init(&r->body, &head, r->trailers, 4);
        r->data = BUF_INIT(0);
        r->used = 0;
        r->outcome = HTTP1_PARTIAL;
}

/* Feeds until n bytes are there and no more can be used; from a copy, so that an over-read shows.
 */
static void feed_to(reading *r, sj_str text, size_t n)
{
        for (;;) {
                size_t rest = n - r->used, used;
                char *copy = malloc(rest + 1);
                assert_non_null(copy);
                memcpy(copy, text.data + r->used, rest);
                sj_str data;
                r->outcome = http1_body_feed(&r->body, (sj_str){copy, rest}, &used, &data);
                assert_true(used <= rest && data.n <= used);
                assert_int_equal(buf_append_str(&r->data, data), 0);
                if (r->body.trailer_base)
                        r->body.trailer_base = text.data + r->used + (r->body.trailer_base - copy);
                free(copy);
                r->used += used;
                if (r->outcome != HTTP1_PARTIAL || used == 0)
                        return;
        }
}

static void read_in_steps(reading *r, http1_framing framing, uint64_t length, sj_str text,
                          size_t first, size_t step)
{
        init(r, framing, length);
        for (size_t n = first;; n = n + step < text.n ? n + step : text.n) {
                feed_to(r, text, n);
                if (r->outcome != HTTP1_PARTIAL || n == text.n)
                        return;
        }
}

static void assert_same(const reading *a, const reading *b)
{
        assert_int_equal(a->outcome, b->outcome);
        assert_int_equal(a->body.reason, b->body.reason);
        assert_true(sj_str_equal(buf_str(&a->data), buf_str(&b->data)));
        if (a->outcome == HTTP1_DONE)
                assert_int_equal(a->used, b->used);
        assert_int_equal(a->body.n_trailers, b->body.n_trailers);
}

static void read_body(reading *r, http1_framing framing, uint64_t length, sj_str text)
{
        reading other;
        read_in_steps(r, framing, length, text, text.n, 1);
        size_t cuts = text.n < 1000 ? text.n : 0;
        for (size_t cut = 0; cut < cuts; cut++) {
                read_in_steps(&other, framing, length, text, cut, text.n);
                assert_same(r, &other);
                buf_fini(&other.data);
        }
        read_in_steps(&other, framing, length, text, 0, text.n < 1000 ? 1 : 61);
        assert_same(r, &other);
        buf_fini(&other.data);
}

static void refuse(sj_str text, http1_reason reason)
{
        reading r;
        read_body(&r, HTTP1_CHUNKED, 0, text);
        if (r.body.reason != reason)
                print_error("reason: %s\n", http1_reason_text(r.body.reason));
        assert_int_equal(r.outcome, HTTP1_WRONG);
        assert_int_equal(r.body.reason, reason);
        buf_fini(&r.data);
}

/* clang-format off */
#define REFUSALS(X) \
        X(refuses_a_size_with_0x, "0x3\r\nabc\r\n", HTTP1_BAD_CHUNK_SIZE) \
        X(refuses_a_size_with_plus, "+3\r\nabc\r\n", HTTP1_BAD_CHUNK_SIZE) \
        X(refuses_a_negative_size, "-3\r\nabc\r\n", HTTP1_BAD_CHUNK_SIZE) \
        X(refuses_a_size_with_underscore, "1_0\r\n", HTTP1_BAD_CHUNK_SIZE) \
        X(refuses_a_space_before_a_size, " 3\r\nabc\r\n", HTTP1_BAD_CHUNK_SIZE) \
        X(refuses_a_space_after_a_size, "3 \r\nabc\r\n", HTTP1_BAD_CHUNK_SIZE) \
        X(refuses_a_tab_after_a_size, "3\t;a\r\nabc\r\n", HTTP1_BAD_CHUNK_SIZE) \
        X(refuses_an_empty_size, "\r\n", HTTP1_BAD_CHUNK_SIZE) \
        X(refuses_an_extension_without_size, ";a\r\n", HTTP1_BAD_CHUNK_SIZE) \
        X(refuses_a_non_ascii_digit, "\xd9\xa3\r\n", HTTP1_BAD_CHUNK_SIZE) \
        X(refuses_a_nul_in_a_size, "3\0\r\nabc\r\n", HTTP1_BAD_CHUNK_SIZE) \
        X(refuses_a_size_over_2_to_53, "20000000000001\r\n", HTTP1_CHUNK_TOO_LARGE) \
        X(refuses_a_size_that_overflows, "10000000000000003\r\nabc\r\n", HTTP1_CHUNK_TOO_LARGE) \
        X(refuses_a_size_of_many_zeros, "00000000000000003\r\nabc\r\n", HTTP1_CHUNK_TOO_LARGE) \
        X(refuses_bare_lf_after_a_size, "3\nabc\r\n", HTTP1_BARE_LF) \
        X(refuses_bare_cr_after_a_size, "3\rabc\r\n", HTTP1_BARE_CR) \
        X(refuses_bare_lf_in_an_extension, "3;a\nabc\r\n", HTTP1_BARE_LF) \
        X(refuses_bare_cr_in_an_extension, "3;a\rb\r\nabc\r\n", HTTP1_BARE_CR) \
        X(refuses_a_control_in_an_extension, "3;a\x0b\r\nabc\r\n", HTTP1_BAD_EXTENSION) \
        X(refuses_data_longer_than_its_size, "3\r\nabcd\r\n", HTTP1_BAD_CHUNK_END) \
        X(refuses_another_byte_in_place_of_cr, "3\r\nabcd\n0\r\n\r\n", HTTP1_BAD_CHUNK_END) \
        X(refuses_bare_lf_after_data, "3\r\nabc\n0\r\n\r\n", HTTP1_BAD_CHUNK_END) \
        X(refuses_bare_cr_after_data, "3\r\nabc\r0\r\n\r\n", HTTP1_BAD_CHUNK_END) \
        X(refuses_bare_lf_in_trailers, "0\r\nA: b\n\r\n", HTTP1_BARE_LF) \
        X(refuses_bare_lf_as_the_end, "0\r\n\n", HTTP1_BARE_LF) \
        X(refuses_obs_fold_in_trailers, "0\r\nA: b\r\n c\r\n\r\n", HTTP1_OBS_FOLD) \
        X(refuses_a_bad_trailer_name, "0\r\nA b: c\r\n\r\n", HTTP1_BAD_NAME) \
        X(refuses_a_control_in_a_trailer, "0\r\nA: \x1f\r\n\r\n", HTTP1_BAD_VALUE) \
        X(refuses_a_length_in_trailers, "0\r\nContent-Length: 3\r\n\r\n", HTTP1_BAD_TRAILER) \
        X(refuses_an_encoding_in_trailers, "0\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP1_BAD_TRAILER) \
        X(refuses_a_host_in_trailers, "0\r\nhost: a\r\n\r\n", HTTP1_BAD_TRAILER) \
        X(refuses_a_trailer_field_in_trailers, "0\r\nTrailer: a\r\n\r\n", HTTP1_BAD_TRAILER)
#define ONE(name, bytes, reason)               \
        static void name(void **state)         \
        {                                      \
                (void)state;                   \
                refuse(SJ_STR(bytes), reason); \
        }
#define AS_TEST(name, bytes, reason) cmocka_unit_test(name),
/* clang-format on */

REFUSALS(ONE)

static void accept(reading *r, http1_framing framing, uint64_t length, const char *text,
                   const char *data)
{
        read_body(r, framing, length, sj_str_of(text));
        if (r->outcome != HTTP1_DONE)
                print_error("reason: %s\n", http1_reason_text(r->body.reason));
        assert_int_equal(r->outcome, HTTP1_DONE);
        assert_true(sj_str_equal(buf_str(&r->data), sj_str_of(data)));
        buf_fini(&r->data);
}

static void reads_chunks(void **state)
{
        (void)state;
        reading r;
        accept(&r, HTTP1_CHUNKED, 0, "3\r\nabc\r\n0A;x=\"y z\"\r\n0123456789\r\n000\r\n\r\nnext",
               "abc0123456789");
        assert_int_equal(r.used,
                         sizeof("3\r\nabc\r\n0A;x=\"y z\"\r\n0123456789\r\n000\r\n\r\n") - 1);
        accept(&r, HTTP1_CHUNKED, 0, "0\r\n\r\n", "");
        accept(&r, HTTP1_CHUNKED, 0, "2\r\n\r\n\r\n0\r\n\r\n", "\r\n");
}

static void reads_trailers(void **state)
{
        (void)state;
        reading r;
        const char *text = "1\r\na\r\n0;x\r\nA: b \r\nEmpty:\r\nC: d\r\n\r\n";
        read_body(&r, HTTP1_CHUNKED, 0, sj_str_of(text));
        assert_int_equal(r.outcome, HTTP1_DONE);
        assert_int_equal(r.body.n_trailers, 3);
        sj_str last = http1_view(r.body.trailer_base, r.trailers[2].value);
        assert_true(sj_str_equal(last, SJ_STR("d")));
        buf_fini(&r.data);
}

static void keeps_as_many_trailers_as_there_is_room(void **state)
{
        (void)state;
        reading r;
        accept(&r, HTTP1_CHUNKED, 0, "0\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n", "");
        assert_int_equal(r.body.n_trailers, 4);
}

static void reads_exactly_the_length(void **state)
{
        (void)state;
        reading r;
        accept(&r, HTTP1_LENGTH, 5, "abcdefgh", "abcde");
        assert_int_equal(r.used, 5);
        accept(&r, HTTP1_NO_BODY, 0, "abc", "");
        assert_int_equal(r.used, 0);
}

static void an_empty_view_may_have_no_address(void **state)
{
        (void)state;
        static const http1_framing framings[] = {HTTP1_LENGTH, HTTP1_CHUNKED, HTTP1_UNTIL_CLOSE};
        for (size_t i = 0; i < 3; i++) {
                reading r;
                size_t used = 1;
                sj_str data = {"x", 1};
                init(&r, framings[i], 5);
                assert_int_equal(http1_body_feed(&r.body, (sj_str){NULL, 0}, &used, &data),
                                 HTTP1_PARTIAL);
                assert_int_equal(used, 0);
                assert_int_equal(data.n, 0);
        }
}

static void reads_until_the_close(void **state)
{
        (void)state;
        reading r;
        read_body(&r, HTTP1_UNTIL_CLOSE, 0, SJ_STR("abc"));
        assert_int_equal(r.outcome, HTTP1_PARTIAL);
        assert_true(sj_str_equal(buf_str(&r.data), SJ_STR("abc")));
        assert_int_equal(http1_body_end(&r.body), HTTP1_DONE);
        buf_fini(&r.data);
}

static void assert_truncated(http1_framing framing, uint64_t length, sj_str text)
{
        reading r;
        read_body(&r, framing, length, text);
        assert_int_equal(r.outcome, HTTP1_PARTIAL);
        assert_int_equal(http1_body_end(&r.body), HTTP1_WRONG);
        assert_int_equal(r.body.reason, HTTP1_TRUNCATED);
        buf_fini(&r.data);
}

static void sees_truncation_at_every_byte(void **state)
{
        (void)state;
        static const char text[] = "3;x\r\nabc\r\n0\r\nA: b\r\n\r\n";
        for (size_t n = 0; n < sizeof(text) - 1; n++)
                assert_truncated(HTTP1_CHUNKED, 0, (sj_str){text, n});
        for (size_t n = 0; n < 5; n++)
                assert_truncated(HTTP1_LENGTH, 5, (sj_str){"abcde", n});
}

static void limits_one_extension(void **state)
{
        (void)state;
        reading r;
        char text[400];
        int n = snprintf(text, sizeof(text), "1;%0256d\r\na\r\n0\r\n\r\n", 0);
        accept(&r, HTTP1_CHUNKED, 0, text, "a");
        n = snprintf(text, sizeof(text), "1;%0257d\r\na\r\n0\r\n\r\n", 0);
        refuse((sj_str){text, (size_t)n}, HTTP1_EXTENSION_TOO_LONG);
}

static void limits_all_extensions_together(void **state)
{
        (void)state;
        buf text = BUF_INIT(0);
        for (int i = 0; i < HTTP1_EXCESS_MAX / 200; i++)
                assert_int_equal(buf_printf(&text, "1;%0250d\r\na\r\n", 0), 0);
        refuse(buf_str(&text), HTTP1_EXTENSION_TOO_LONG);
        buf_fini(&text);
}

static void limits_the_trailer_section(void **state)
{
        (void)state;
        buf text = BUF_INIT(0);
        assert_int_equal(buf_printf(&text, "0\r\nA: %0*d\r\n\r\n", HTTP1_TRAILER_MAX - 7, 0), 0);
        reading r;
        read_body(&r, HTTP1_CHUNKED, 0, buf_str(&text));
        assert_int_equal(r.outcome, HTTP1_DONE);
        buf_fini(&r.data);
        buf_clear(&text);
        assert_int_equal(buf_printf(&text, "0\r\nA: %0*d\r\n\r\n", HTTP1_TRAILER_MAX - 6, 0), 0);
        refuse(buf_str(&text), HTTP1_TRAILER_TOO_LARGE);
        buf_clear(&text);
        assert_int_equal(buf_printf(&text, "0\r\nA: %0*d\r\n\r\n", 3 * HTTP1_TRAILER_MAX, 0), 0);
        refuse(buf_str(&text), HTTP1_TRAILER_TOO_LARGE);
        buf_fini(&text);
}

static void limits_the_number_of_trailers(void **state)
{
        (void)state;
        buf text = BUF_INIT(0);
        assert_int_equal(buf_append(&text, "0\r\n", 3), 0);
        for (int i = 0; i < HTTP1_TRAILER_FIELDS_MAX + 1; i++)
                assert_int_equal(buf_append(&text, "A: b\r\n", 6), 0);
        refuse(buf_str(&text), HTTP1_TRAILER_TOO_LARGE);
        buf_fini(&text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                REFUSALS(AS_TEST) cmocka_unit_test(reads_chunks),
                cmocka_unit_test(reads_trailers),
                cmocka_unit_test(keeps_as_many_trailers_as_there_is_room),
                cmocka_unit_test(reads_exactly_the_length),
                cmocka_unit_test(an_empty_view_may_have_no_address),
                cmocka_unit_test(reads_until_the_close),
                cmocka_unit_test(sees_truncation_at_every_byte),
                cmocka_unit_test(limits_one_extension),
                cmocka_unit_test(limits_all_extensions_together),
                cmocka_unit_test(limits_the_trailer_section),
                cmocka_unit_test(limits_the_number_of_trailers),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
