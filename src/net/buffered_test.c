/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "net/net_test.h"

/* Sends a text in pieces of any size, some time apart, and ends. */
struct speech {
        sj_stream *stream;
        sj_str text;
};

static int speak(void *arg)
{
        const struct speech *p = arg;
        for (size_t at = 0; at < p->text.n;) {
                size_t n = 1 + world_draw(p->text.n - at);
                CHECK_INT(sj_write(p->stream, p->text.data + at, n, SJ_NEVER), 0);
                at += n;
                CHECK_INT(sj_sleep((sj_time)world_draw(3) * SJ_MS), 0);
        }
        return sj_stream_shutdown(p->stream, SJ_NEVER);
}

/* A reader of what is said; hear_out ends it. */
struct hearing {
        sj_stream *ends[2];
        struct speech speech;
        sj_reader *reader;
        sj_fiber *speaker;
};

static void hear(struct hearing *h, sj_scope *scope, sj_str text, size_t limit)
{
        connect_both((link_kind)world_draw(LINK_KINDS), h->ends);
        h->speech = (struct speech){h->ends[1], text};
        CHECK_INT(sj_reader_new(h->ends[0], limit, &h->reader), 0);
        CHECK_INT(sj_spawn(scope, speak, &h->speech, &h->speaker), 0);
}

static void hear_out(struct hearing *h)
{
        sj_str piece;
        CHECK_INT(sj_reader_line(h->reader, &piece, SJ_NEVER), -EPIPE);
        CHECK_INT(sj_reader_until(h->reader, SJ_STR("a"), &piece, SJ_NEVER), -EPIPE);
        CHECK_INT(sj_reader_exactly(h->reader, 1, &piece, SJ_NEVER), -EPIPE);
        char byte;
        CHECK_INT(sj_reader_read(h->reader, &byte, 1, SJ_NEVER), 0);
        CHECK_INT(sj_join(h->speaker, SJ_NEVER), 0);
        sj_reader_free(h->reader);
        sj_stream_close(h->ends[0]);
        sj_stream_close(h->ends[1]);
}

static void expect_line(const struct hearing *h, const char *expected)
{
        sj_str line;
        CHECK_INT(sj_reader_line(h->reader, &line, SJ_NEVER), 0);
        CHECK(sj_str_equal(line, (sj_str){expected, strlen(expected)}));
}

static void expect_until(const struct hearing *h, sj_str delimiter, const char *expected)
{
        sj_str piece;
        CHECK_INT(sj_reader_until(h->reader, delimiter, &piece, SJ_NEVER), 0);
        CHECK(sj_str_equal(piece, (sj_str){expected, strlen(expected)}));
}

static int lines(void *arg)
{
        (void)arg;
        struct hearing h;
        SJ_SCOPE(scope, SJ_NEVER, 0);
        hear(&h, scope, SJ_STR("one\r\n\ntwo\rx\n\r\nthe last"), 0);
        expect_line(&h, "one");
        expect_line(&h, "");
        expect_line(&h, "two\rx");
        expect_line(&h, "");
        expect_line(&h, "the last");
        hear_out(&h);
        return 0;
}

static void lines_come_without_their_ends_however_they_are_cut(void **state)
{
        (void)state;
        each_world(lines);
}

static int forms(void *arg)
{
        (void)arg;
        struct hearing h;
        sj_str piece;
        char bytes[8];
        SJ_SCOPE(scope, SJ_NEVER, 0);
        hear(&h, scope, SJ_STR("ab--a-->9:123456789rest\nend--"), 10);
        expect_until(&h, SJ_STR("-->"), "ab--a-->");
        expect_until(&h, SJ_STR(":"), "9:");
        CHECK_INT(sj_reader_exactly(h.reader, 11, &piece, SJ_NEVER), -EMSGSIZE);
        CHECK_INT(sj_reader_exactly(h.reader, 9, &piece, SJ_NEVER), 0);
        CHECK(sj_str_equal(piece, SJ_STR("123456789")));
        CHECK_INT(sj_reader_exactly(h.reader, 0, &piece, SJ_NEVER), 0);
        CHECK_INT(piece.n, 0);
        CHECK_INT(sj_reader_read(h.reader, bytes, 0, SJ_NEVER), -EINVAL);
        CHECK_INT(sj_reader_until(h.reader, SJ_STR(""), &piece, SJ_NEVER), -EINVAL);
        for (size_t at = 0; at < 4;) {
                ssize_t n = sj_reader_read(h.reader, bytes, 4 - at, SJ_NEVER);
                CHECK(n > 0 && memcmp(bytes, &"rest"[at], (size_t)n) == 0);
                at += (size_t)n;
        }
        expect_line(&h, "");
        /* The end is no delimiter, and what came before it is not lost. */
        CHECK_INT(sj_reader_until(h.reader, SJ_STR("---"), &piece, SJ_NEVER), -EPROTO);
        CHECK_INT(sj_reader_exactly(h.reader, 6, &piece, SJ_NEVER), -EPROTO);
        CHECK_INT(sj_reader_exactly(h.reader, 5, &piece, SJ_NEVER), 0);
        CHECK(sj_str_equal(piece, SJ_STR("end--")));
        hear_out(&h);
        return 0;
}

static void pieces_end_at_a_delimiter_or_a_length(void **state)
{
        (void)state;
        each_world(forms);
}

static int limits(void *arg)
{
        (void)arg;
        struct hearing h;
        sj_str piece;
        SJ_SCOPE(scope, SJ_NEVER, 0);
        hear(&h, scope, SJ_STR("12345678\r\n1234567890\nx\n"), 10);
        expect_line(&h, "12345678");
        CHECK_INT(sj_reader_line(h.reader, &piece, SJ_NEVER), -EMSGSIZE);
        CHECK_INT(sj_reader_line(h.reader, &piece, SJ_NEVER), -EMSGSIZE);
        CHECK_INT(sj_reader_exactly(h.reader, 10, &piece, SJ_NEVER), 0);
        CHECK(sj_str_equal(piece, SJ_STR("1234567890")));
        expect_line(&h, "");
        expect_line(&h, "x");
        hear_out(&h);
        return 0;
}

static void what_has_no_delimiter_within_the_limit_is_refused_and_kept(void **state)
{
        (void)state;
        each_world(limits);
}

static int late(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        sj_reader *r;
        sj_str piece;
        connect_both(LINK_PAIR, ends);
        CHECK_INT(sj_reader_new(ends[0], 0, &r), 0);
        CHECK_INT(sj_write(ends[1], "half", 4, SJ_NEVER), 0);
        for (int i = 0; i < 3; i++)
                CHECK_INT(sj_reader_line(r, &piece, sj_after(100 * SJ_MS)), -ETIMEDOUT);
        CHECK_INT(sj_reader_exactly(r, 5, &piece, SJ_POLL), -ETIMEDOUT);
        CHECK_INT(sj_write(ends[1], "s\nx", 3, SJ_NEVER), 0);
        CHECK_INT(sj_reader_line(r, &piece, SJ_NEVER), 0);
        CHECK(sj_str_equal(piece, SJ_STR("halfs")));
        sj_reader_free(r);
        sj_reader_free(NULL);
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        return 0;
}

static void a_deadline_loses_nothing(void **state)
{
        (void)state;
        each_world(late);
}

/* ── Writing ─────────────────────────────────────────────────────────────────────────────── */

enum { FLOW = 100000, SIZE = 1000 };

static int write_flow(void *arg)
{
        sj_stream *s = arg;
        sj_writer *w;
        char bytes[3 * SIZE];
        CHECK_INT(sj_writer_new(s, SIZE, &w), 0);
        CHECK_INT(sj_writer_write(w, bytes, 0, SJ_NEVER), 0);
        for (size_t at = 0; at < FLOW;) {
                size_t n = world_draw(world_draw(8) ? 100 : sizeof(bytes)) % (FLOW - at + 1);
                pattern_fill(bytes, at, n);
                CHECK_INT(sj_writer_write(w, bytes, n, SJ_NEVER), 0);
                at += n;
                if (world_draw(50) == 0)
                        CHECK_INT(sj_writer_flush(w, SJ_NEVER), 0);
        }
        CHECK_INT(sj_writer_flush(w, SJ_NEVER), 0);
        CHECK_INT(sj_writer_flush(w, SJ_NEVER), 0);
        sj_writer_free(w);
        sj_writer_free(NULL);
        return sj_stream_shutdown(s, SJ_NEVER);
}

static int flow(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        sj_reader *r;
        size_t at = 0;
        ssize_t n;
        char bytes[20000];
        connect_both(LINK_TCP, ends);
        SJ_SCOPE(scope, SJ_NEVER, 0);
        CHECK_INT(sj_spawn(scope, write_flow, ends[1], NULL), 0);
        CHECK_INT(sj_reader_new(ends[0], 0, &r), 0);
        while ((n = sj_reader_read(r, bytes, 1 + world_draw(sizeof(bytes)), SJ_NEVER)) > 0) {
                CHECK(pattern_is(bytes, at, (size_t)n));
                at += (size_t)n;
        }
        CHECK_INT(n, 0);
        CHECK_INT(at, FLOW);
        CHECK_INT(sj_scope_join(scope), 0);
        sj_reader_free(r);
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        return 0;
}

static void what_is_written_in_small_parts_arrives_whole(void **state)
{
        (void)state;
        world_seeds_share = 5;
        each_world(flow);
        world_seeds_share = 1;
}

static int held_back(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        sj_writer *w;
        char bytes[4];
        connect_both(LINK_PAIR, ends);
        CHECK_INT(sj_writer_new(ends[1], 4, &w), 0);
        CHECK_INT(sj_writer_write(w, "abcd", 4, SJ_NEVER), 0);
        CHECK_INT(sj_read(ends[0], bytes, 4, sj_after(SJ_SEC / 10)), -ETIMEDOUT);
        CHECK_INT(sj_writer_flush(w, SJ_NEVER), 0);
        CHECK_INT(sj_read_exactly(ends[0], bytes, 4, SJ_NEVER), 0);
        CHECK(memcmp(bytes, "abcd", 4) == 0);
        CHECK_INT(sj_writer_write(w, "ab", 2, SJ_NEVER), 0);
        sj_stream_close(ends[0]);
        CHECK_INT(sj_sleep(SJ_SEC / 10), 0);
        CHECK_INT(sj_writer_write(w, "cd", 2, SJ_NEVER), 0);
        CHECK_INT(sj_writer_write(w, "e", 1, SJ_NEVER), -EPIPE);
        CHECK_INT(sj_writer_flush(w, SJ_NEVER), -EPIPE);
        sj_writer_free(w);
        sj_stream_close(ends[1]);
        return 0;
}

static void a_writer_holds_back_until_it_is_full_or_flushed(void **state)
{
        (void)state;
        each_quiet_world(held_back);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(lines_come_without_their_ends_however_they_are_cut),
                cmocka_unit_test(pieces_end_at_a_delimiter_or_a_length),
                cmocka_unit_test(what_has_no_delimiter_within_the_limit_is_refused_and_kept),
                cmocka_unit_test(a_deadline_loses_nothing),
                cmocka_unit_test(what_is_written_in_small_parts_arrives_whole),
                cmocka_unit_test(a_writer_holds_back_until_it_is_full_or_flushed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
