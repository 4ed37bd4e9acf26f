/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "net/net_test.h"
#include "net/stream.h"
#include "os/os.h"

enum { MUCH = 200 * 1000 };

/*
 * Writes in a fiber of its own: a connection may hold no more than a few bytes that nobody has
 * read yet.
 */
struct said {
        sj_stream *s;
        const char *data;
        size_t n;
};

static int run_say(void *arg)
{
        const struct said *said = arg;
        return sj_write(said->s, said->data, said->n, SJ_NEVER);
}

#define SAY(scope, stream, text)                                                 \
        const struct said SAID(__LINE__) = {(stream), (text), sizeof(text) - 1}; \
        CHECK_INT(sj_spawn((scope), run_say, (void *)(uintptr_t)&SAID(__LINE__), NULL), 0)
#define SAID(line)  SAID_(line)
#define SAID_(line) said_##line

/* ── Both directions at once ─────────────────────────────────────────────────────────────── */

static int flows_both_ways(void *arg)
{
        (void)arg;
        link_kind kind = (link_kind)(world_seed % LINK_KINDS);
        sj_stream *ends[2];
        connect_both(kind, ends);
        exchange(ends, os_simulated ? 500 + world_draw(9000) : MUCH);
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        return 0;
}

static void bytes_flow_both_ways_at_once_in_order_up_to_the_end(void **state)
{
        (void)state;
        each_world(flows_both_ways);
}

/* ── Broken connections ──────────────────────────────────────────────────────────────────── */

static bool is_break(int r)
{
        return r >= 0 || r == -ECONNRESET || r == -EPIPE || r == -ECANCELED || r == -ETIMEDOUT;
}

static int write_until_broken(void *arg)
{
        struct flow *f = arg;
        char data[100];
        for (size_t at = 0; at < f->n; at += sizeof(data)) {
                pattern_fill(data, at, sizeof(data));
                int r = sj_write(f->s, data, sizeof(data), sj_after(SJ_HOUR));
                CHECK(is_break(r));
                if (r < 0)
                        return 0;
        }
        (void)sj_stream_shutdown(f->s, SJ_NEVER);
        return 0;
}

static int read_until_broken(void *arg)
{
        struct flow *f = arg;
        char data[100];
        size_t at = 0;
        ssize_t n;
        while ((n = sj_read(f->s, data, sizeof(data), sj_after(SJ_HOUR))) > 0) {
                CHECK(pattern_is(data, at, (size_t)n));
                at += (size_t)n;
        }
        CHECK(is_break((int)n));
        CHECK(n < 0 || at == f->n);
        return 0;
}

static int breaks(void *arg)
{
        (void)arg;
        sj_listener *l;
        sj_stream *client = NULL, *server = NULL;
        CHECK_INT(sj_tcp_listen("127.0.0.1", 0, 0, &l), 0);
        int r = sj_tcp_connect("127.0.0.1", sj_listener_port(l), &client, sj_after(SJ_HOUR));
        CHECK(r >= 0 || r == -ECONNREFUSED || r == -EHOSTDOWN || r == -ETIMEDOUT ||
              r == -ECONNRESET);
        if (r >= 0)
                r = sj_accept(l, &server, sj_after(SJ_HOUR));
        CHECK(r >= 0 || !server);
        if (r >= 0) {
                struct flow flows[2] = {{client, 5000}, {server, 5000}};
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                for (size_t i = 0; i < 2; i++) {
                        CHECK_INT(sj_spawn(s, write_until_broken, &flows[i], NULL), 0);
                        CHECK_INT(sj_spawn(s, read_until_broken, &flows[i], NULL), 0);
                }
                CHECK_INT(sj_scope_join(s), 0);
        }
        sj_stream_close(client);
        sj_stream_close(server);
        sj_listener_close(l);
        return 0;
}

static void a_broken_connection_gives_an_error_and_never_wrong_bytes(void **state)
{
        (void)state;
        each_rough_world(breaks);
}

static int reset_by_close(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        char byte;
        connect_both(LINK_TCP, ends);
        CHECK_INT(sj_write(ends[0], "u", 1, SJ_NEVER), 0);
        if (world_draw(2))
                CHECK_INT(sj_read(ends[1], &byte, 1, SJ_NEVER), 1);
        sj_stream_close(ends[1]);
        int r = 0;
        while (r >= 0)
                r = sj_write(ends[0], "x", 1, SJ_NEVER);
        CHECK(r == -ECONNRESET || r == -EPIPE);
        ssize_t n = sj_read(ends[0], &byte, 1, SJ_NEVER);
        CHECK(n == -ECONNRESET || n == 0);
        sj_stream_close(ends[0]);
        return 0;
}

static void writing_to_a_peer_that_has_gone_fails(void **state)
{
        (void)state;
        each_world(reset_by_close);
}

/* ── Ends ────────────────────────────────────────────────────────────────────────────────── */

static int half_close(void *arg)
{
        (void)arg;
        for (link_kind kind = LINK_PAIR; kind < LINK_KINDS; kind++) {
                sj_stream *ends[2];
                char data[16];
                connect_both(kind, ends);
                SJ_SCOPE(s, SJ_NEVER, 0);
                SAY(s, ends[0], "question");
                CHECK_INT(sj_read_exactly(ends[1], data, 8, SJ_NEVER), 0);
                CHECK_INT(sj_scope_join(s), 0);
                CHECK_INT(sj_stream_shutdown(ends[0], SJ_NEVER), 0);
                CHECK_INT(sj_stream_shutdown(ends[0], SJ_NEVER), 0);
                CHECK_INT(sj_write(ends[0], "x", 1, SJ_NEVER), -EPIPE);
                CHECK_INT(sj_read(ends[1], data, 1, SJ_NEVER), 0);
                CHECK_INT(sj_read(ends[1], data, 1, SJ_NEVER), 0);
                SAY(s, ends[1], "answer");
                CHECK_INT(sj_read_exactly(ends[0], data, 6, SJ_NEVER), 0);
                CHECK_INT(sj_scope_join(s), 0);
                sj_stream_close(ends[0]);
                sj_stream_close(ends[1]);
        }
        return 0;
}

static void a_closed_sending_side_ends_the_peers_reading_alone(void **state)
{
        (void)state;
        each_world(half_close);
}

static int say_and_end(void *arg)
{
        CHECK_INT(sj_write(arg, "last", 4, SJ_NEVER), 0);
        CHECK_INT(sj_stream_shutdown(arg, SJ_NEVER), 0);
        return 0;
}

static int end_with_data(void *arg)
{
        (void)arg;
        for (link_kind kind = LINK_PAIR; kind < LINK_KINDS; kind++) {
                sj_stream *ends[2];
                char data[100];
                size_t got = 0;
                ssize_t n;
                connect_both(kind, ends);
                SJ_SCOPE(s, SJ_NEVER, 0);
                CHECK_INT(sj_spawn(s, say_and_end, ends[0], NULL), 0);
                /* The reader waits first: data and end come to it with one edge, or with two. */
                while ((n = sj_read(ends[1], data, sizeof(data), SJ_NEVER)) > 0)
                        got += (size_t)n;
                CHECK_INT(n, 0);
                CHECK_INT(got, 4);
                CHECK_INT(sj_scope_join(s), 0);
                sj_stream_close(ends[0]);
                sj_stream_close(ends[1]);
        }
        return 0;
}

static void an_end_that_comes_with_the_last_bytes_is_not_missed(void **state)
{
        (void)state;
        each_world(end_with_data);
}

static int poll_reads(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        char data[10];
        connect_both(LINK_PAIR, ends);
        CHECK_INT(sj_read(ends[1], data, 10, sj_after(SJ_MS)), -ETIMEDOUT);
        CHECK_INT(sj_write(ends[0], "ab", 2, SJ_NEVER), 0);
        CHECK_INT(sj_read(ends[1], data, 10, SJ_POLL), 2);
        /* The loop has had no chance to look. */
        CHECK_INT(sj_write(ends[0], "cd", 2, SJ_NEVER), 0);
        CHECK_INT(sj_read(ends[1], data, 10, SJ_POLL), 2);
        CHECK_INT(sj_read(ends[1], data, 10, SJ_POLL), -ETIMEDOUT);
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        return 0;
}

static void a_read_that_may_not_wait_gets_what_is_there(void **state)
{
        (void)state;
        if (!os_simulated) /* which says -EAGAIN at its whim */
                each_world(poll_reads);
}

static int exact_reads(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        char data[16];
        connect_both(LINK_UNIX, ends);
        CHECK_INT(sj_write(ends[0], "12345", 5, SJ_NEVER), 0);
        CHECK_INT(sj_stream_shutdown(ends[0], SJ_NEVER), 0);
        CHECK_INT(sj_read_exactly(ends[1], data, 0, SJ_NEVER), 0);
        CHECK_INT(sj_read(ends[1], data, 0, SJ_NEVER), -EINVAL);
        CHECK_INT(sj_read_exactly(ends[1], data, 3, SJ_NEVER), 0);
        CHECK(memcmp(data, "123", 3) == 0);
        CHECK_INT(sj_read_exactly(ends[1], data, 3, SJ_NEVER), -EPROTO);
        CHECK_INT(sj_read_exactly(ends[1], data, 3, SJ_NEVER), -EPIPE);
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        return 0;
}

static void reading_exactly_tells_an_end_from_a_cut(void **state)
{
        (void)state;
        each_world(exact_reads);
}

static int dribble(void *arg)
{
        struct flow *f = arg;
        for (size_t i = 0; i < f->n; i++) {
                char byte = (char)pattern(i);
                CHECK_INT(sj_write(f->s, &byte, 1, SJ_NEVER), 0);
                if (i % 7 == 0)
                        CHECK_INT(sj_yield(), 0);
        }
        return 0;
}

static int dribbled(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        char data[300];
        connect_both(LINK_TCP, ends);
        struct flow f = {ends[0], sizeof(data)};
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                CHECK_INT(sj_spawn(s, dribble, &f, NULL), 0);
                CHECK_INT(sj_read_exactly(ends[1], data, sizeof(data), SJ_NEVER), 0);
                CHECK(pattern_is(data, 0, sizeof(data)));
        }
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        return 0;
}

static void a_message_that_comes_byte_by_byte_is_read_whole(void **state)
{
        (void)state;
        each_world(dribbled);
}

struct gather {
        sj_stream *s;
        struct iovec *parts;
        size_t n;
};

static int write_gathered(void *arg)
{
        struct gather *g = arg;
        return sj_writev(g->s, g->parts, g->n, SJ_NEVER);
}

static int gathered(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        char data[1000], got[1000];
        struct iovec parts[200];
        size_t n = 0, at = 0;
        connect_both(LINK_TCP, ends);
        pattern_fill(data, 0, sizeof(data));
        while (n < 199) {
                size_t k = world_draw(6);
                parts[n++] = (struct iovec){data + at, k};
                at += k;
        }
        parts[n++] = (struct iovec){data + at, sizeof(data) - at};
        struct gather g = {ends[0], parts, n};
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                CHECK_INT(sj_spawn(s, write_gathered, &g, NULL), 0);
                CHECK_INT(sj_read_exactly(ends[1], got, sizeof(got), SJ_NEVER), 0);
                CHECK(memcmp(data, got, sizeof(got)) == 0);
                CHECK_INT(sj_scope_join(s), 0);
        }
        CHECK_INT(sj_writev(ends[0], parts, 0, SJ_NEVER), 0);
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        return 0;
}

static void parts_arrive_in_order_whatever_their_number_and_size(void **state)
{
        (void)state;
        each_world(gathered);
}

static int filled(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        buf b = BUF_INIT(10);
        connect_both(LINK_PAIR, ends);
        CHECK_INT(sj_write(ends[0], "0123456789abcdef", 16, SJ_NEVER), 0);
        while (buf_size(&b) < 10)
                CHECK(stream_fill(ends[1], &b, 4096, SJ_NEVER) > 0);
        CHECK_INT(stream_fill(ends[1], &b, 4096, SJ_NEVER), -ENOBUFS);
        buf_consume(&b, 4);
        CHECK(stream_fill(ends[1], &b, 1, SJ_NEVER) == 1);
        CHECK(sj_str_equal(buf_str(&b), SJ_STR("456789a")));
        sj_stream_close(ends[0]);
        while (buf_size(&b) < 10)
                CHECK(stream_fill(ends[1], &b, 4096, SJ_NEVER) > 0);
        buf_clear(&b);
        size_t left = 0;
        ssize_t n;
        while ((n = stream_fill(ends[1], &b, 4096, SJ_NEVER)) > 0)
                left += (size_t)n;
        CHECK_INT(n, 0);
        CHECK_INT(left, 2);
        buf_fini(&b);
        sj_stream_close(ends[1]);
        return 0;
}

static void a_buffer_is_filled_up_to_its_limit(void **state)
{
        (void)state;
        each_world(filled);
}

static int polite_peer(void *arg)
{
        struct flow *f = arg;
        char data[100];
        CHECK_INT(sj_sleep(100 * SJ_MS), 0);
        CHECK_INT(sj_read_exactly(f->s, data, 4, SJ_NEVER), 0);
        CHECK(memcmp(data, "last", 4) == 0);
        CHECK_INT(sj_read(f->s, data, 1, SJ_NEVER), 0);
        sj_stream_close(f->s);
        return 0;
}

static int polite(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        connect_both(LINK_TCP, ends);
        struct flow f = {ends[0], 0};
        /* There are bytes that are never read, which would make a plain close a reset. */
        CHECK_INT(sj_write(ends[0], "u", 1, SJ_NEVER), 0);
        {
                SJ_SCOPE(outer, SJ_NEVER, 0);
                CHECK_INT(sj_spawn(outer, polite_peer, &f, NULL), 0);
                CHECK_INT(sj_write(ends[1], "last", 4, SJ_NEVER), 0);
                SJ_SCOPE(inner, SJ_NEVER, 0);
                sj_scope_cancel(inner);
                CHECK_INT(sj_stream_close_politely(ends[1], SJ_NEVER), 0);
                CHECK(sj_cancelled());
        }
        connect_both(LINK_TCP, ends);
        CHECK_INT(sj_stream_close_politely(ends[1], sj_after(SJ_MS)), -ETIMEDOUT);
        sj_stream_close(ends[0]);
        CHECK_INT(sj_stream_close_politely(NULL, SJ_NEVER), 0);
        sj_stream_close(NULL);
        return 0;
}

static void a_polite_close_lets_the_peer_read_the_last_even_when_cancelled(void **state)
{
        (void)state;
        each_world(polite);
}

/* ── Time and cancellation ───────────────────────────────────────────────────────────────── */

static int read_byte(void *arg)
{
        char byte;
        return (int)sj_read(arg, &byte, 1, SJ_NEVER);
}

/* Writes until nobody takes more. */
static int write_on(void *arg)
{
        static const char data[4096];
        int r = 0;
        while (r >= 0)
                r = sj_write(arg, data, sizeof(data), SJ_NEVER);
        return r;
}

static int accept_one(void *arg)
{
        sj_stream *s;
        int r = sj_accept(arg, &s, SJ_NEVER);
        if (r >= 0)
                sj_stream_close(s);
        return r;
}

static int connect_nowhere(void *arg)
{
        sj_stream *s;
        (void)arg;
        /* RFC 5737: nobody is there. */
        return sj_tcp_connect("192.0.2.1", 9, &s, SJ_NEVER);
}

static int connect_nowhere_twice(void *arg)
{
        sj_stream *s;
        sj_address nowhere[2];
        (void)arg;
        CHECK_INT(sj_address_parse("192.0.2.1", 9, &nowhere[0]), 0);
        CHECK_INT(sj_address_parse("192.0.2.2", 9, &nowhere[1]), 0);
        return sj_tcp_connect_any(nowhere, 2, &s, SJ_NEVER);
}

static void cancel_in_wait(sj_fn *fn, void *arg)
{
        sj_fiber *f;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        CHECK_INT(sj_spawn(s, fn, arg, &f), 0);
        CHECK_INT(sj_sleep((sj_time)world_draw(50) * SJ_MS), 0);
        sj_cancel(f);
        CHECK_INT(sj_join(f, SJ_NEVER), -ECANCELED);
}

static int cancelled_in_waits(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        sj_listener *l;
        char byte;
        connect_both(LINK_TCP, ends);
        CHECK_INT(sj_tcp_listen("127.0.0.1", 0, 0, &l), 0);
        cancel_in_wait(read_byte, ends[0]);
        cancel_in_wait(write_on, ends[0]);
        cancel_in_wait(accept_one, l);
        if (os_simulated) { /* there may be no route to nowhere in the real world */
                cancel_in_wait(connect_nowhere, NULL);
                cancel_in_wait(connect_nowhere_twice, NULL);
        }
        /* A cancelled reader has taken nothing. */
        CHECK_INT(sj_write(ends[1], "y", 1, SJ_NEVER), 0);
        CHECK_INT(sj_read(ends[0], &byte, 1, SJ_NEVER), 1);
        CHECK_INT(byte, 'y');
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        sj_listener_close(l);
        return 0;
}

static void every_wait_can_be_cancelled(void **state)
{
        (void)state;
        each_world(cancelled_in_waits);
}

static int cancelled_at_once(void *arg)
{
        (void)arg;
        sj_stream *ends[2], *s;
        sj_listener *l;
        char byte;
        connect_both(LINK_PAIR, ends);
        CHECK_INT(sj_tcp_listen("127.0.0.1", 0, 0, &l), 0);
        CHECK_INT(sj_write(ends[0], "x", 1, SJ_NEVER), 0);
        {
                SJ_SCOPE(scope, SJ_NEVER, 0);
                sj_scope_cancel(scope);
                CHECK_INT(sj_read(ends[1], &byte, 1, SJ_NEVER), -ECANCELED);
                CHECK_INT(sj_write(ends[1], "x", 1, SJ_NEVER), -ECANCELED);
                CHECK_INT(sj_stream_shutdown(ends[1], SJ_NEVER), -ECANCELED);
                CHECK_INT(sj_accept(l, &s, SJ_NEVER), -ECANCELED);
                CHECK_INT(sj_tcp_connect("127.0.0.1", sj_listener_port(l), &s, SJ_NEVER),
                          -ECANCELED);
        }
        /* None of it has happened. */
        CHECK_INT(sj_write(ends[1], "z", 1, SJ_NEVER), 0);
        CHECK_INT(sj_read(ends[0], &byte, 1, SJ_NEVER), 1);
        CHECK_INT(byte, 'z');
        CHECK_INT(sj_read(ends[1], &byte, 1, SJ_NEVER), 1);
        CHECK_INT(byte, 'x');
        sj_listener_close(l);
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        return 0;
}

static void a_cancelled_fiber_is_told_even_when_nothing_would_block(void **state)
{
        (void)state;
        each_world(cancelled_at_once);
}

static int late_in_waits(void *arg)
{
        (void)arg;
        static const char data[4096];
        sj_stream *ends[2], *s;
        sj_listener *l;
        char byte;
        int r = 0;
        connect_both(LINK_TCP, ends);
        CHECK_INT(sj_tcp_listen("127.0.0.1", 0, 0, &l), 0);
        sj_time deadline = sj_after(20 * SJ_MS);
        CHECK_INT(sj_read(ends[0], &byte, 1, deadline), -ETIMEDOUT);
        CHECK(sj_now() >= deadline);
        CHECK_INT(sj_read(ends[0], &byte, 1, SJ_POLL), -ETIMEDOUT);
        CHECK_INT(sj_accept(l, &s, sj_after(SJ_MS)), -ETIMEDOUT);
        if (os_simulated) {
                CHECK_INT(sj_tcp_connect("192.0.2.1", 9, &s, sj_after(SJ_MS)), -ETIMEDOUT);
        }
        while (r >= 0)
                r = sj_write(ends[0], data, sizeof(data),
                             sj_after(os_simulated ? 5 * SJ_SEC : 50 * SJ_MS));
        CHECK_INT(r, -ETIMEDOUT);
        /* Some of the last write may have gone: then no other may follow. */
        r = sj_write(ends[0], data, 1, SJ_POLL);
        CHECK(r == -EPIPE || r == -ETIMEDOUT || r == 0);
        CHECK_INT(sj_stream_shutdown(ends[0], SJ_NEVER), r == -EPIPE ? -EPIPE : 0);
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        sj_listener_close(l);
        return 0;
}

static void every_wait_ends_at_its_deadline(void **state)
{
        (void)state;
        each_world(late_in_waits);
}

static int half_written(void *arg)
{
        static const char much[4 << 20];
        (void)arg;
        for (link_kind kind = LINK_PAIR; kind < LINK_KINDS; kind++) {
                sj_stream *ends[2];
                connect_both(kind, ends);
                CHECK_INT(sj_write(ends[0], much, sizeof(much), sj_after(50 * SJ_MS)), -ETIMEDOUT);
                CHECK_INT(sj_write(ends[0], "x", 1, SJ_NEVER), -EPIPE);
                CHECK_INT(sj_stream_shutdown(ends[0], SJ_NEVER), -EPIPE);
                sj_stream_close(ends[0]);
                sj_stream_close(ends[1]);
        }
        return 0;
}

static void nothing_can_follow_half_a_message(void **state)
{
        (void)state;
        each_quiet_world(half_written);
}

static int busy_directions(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        sj_fiber *f;
        char byte;
        connect_both(LINK_PAIR, ends);
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                CHECK_INT(sj_spawn(s, read_byte, ends[0], &f), 0);
                CHECK_INT(sj_sleep(50 * SJ_MS), 0);
                CHECK_INT(sj_read(ends[0], &byte, 1, SJ_NEVER), -EBUSY);
                CHECK_INT(sj_write(ends[1], "x", 1, SJ_NEVER), 0);
                CHECK_INT(sj_join(f, SJ_NEVER), 1);
        }
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        return 0;
}

static void a_second_reader_is_refused(void **state)
{
        (void)state;
        each_quiet_world(busy_directions);
}

static int count_turns(void *arg)
{
        while (!sj_cancelled()) {
                ++*(size_t *)arg;
                (void)sj_yield();
        }
        return 0;
}

static int greedy(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        size_t turns = 0;
        char byte;
        connect_both(LINK_PAIR, ends);
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                CHECK_INT(sj_spawn(s, count_turns, &turns, NULL), 0);
                for (size_t i = 0; i < 2000; i++) {
                        CHECK_INT(sj_write(ends[0], "x", 1, SJ_NEVER), 0);
                        CHECK_INT(sj_read(ends[1], &byte, 1, SJ_NEVER), 1);
                }
                CHECK(turns > 10);
        }
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        return 0;
}

static void a_stream_that_never_blocks_lets_other_fibers_run(void **state)
{
        (void)state;
        each_world(greedy);
}

static void without_a_fiber_it_works_as_long_as_it_need_not_wait(void **state)
{
        (void)state;
        sj_stream *ends[2];
        char byte;
        if (os_simulated)
                return; /* the simulated world may make any call wait */
        assert_int_equal(sj_stream_pair(ends), 0);
        assert_int_equal(sj_write(ends[0], "x", 1, SJ_NEVER), 0);
        assert_int_equal(sj_read(ends[1], &byte, 1, SJ_NEVER), 1);
        assert_int_equal(sj_read(ends[1], &byte, 1, SJ_NEVER), -EPERM);
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(bytes_flow_both_ways_at_once_in_order_up_to_the_end),
                cmocka_unit_test(a_broken_connection_gives_an_error_and_never_wrong_bytes),
                cmocka_unit_test(writing_to_a_peer_that_has_gone_fails),
                cmocka_unit_test(a_closed_sending_side_ends_the_peers_reading_alone),
                cmocka_unit_test(an_end_that_comes_with_the_last_bytes_is_not_missed),
                cmocka_unit_test(a_read_that_may_not_wait_gets_what_is_there),
                cmocka_unit_test(reading_exactly_tells_an_end_from_a_cut),
                cmocka_unit_test(a_message_that_comes_byte_by_byte_is_read_whole),
                cmocka_unit_test(parts_arrive_in_order_whatever_their_number_and_size),
                cmocka_unit_test(a_buffer_is_filled_up_to_its_limit),
                cmocka_unit_test(a_polite_close_lets_the_peer_read_the_last_even_when_cancelled),
                cmocka_unit_test(every_wait_can_be_cancelled),
                cmocka_unit_test(a_cancelled_fiber_is_told_even_when_nothing_would_block),
                cmocka_unit_test(every_wait_ends_at_its_deadline),
                cmocka_unit_test(nothing_can_follow_half_a_message),
                cmocka_unit_test(a_second_reader_is_refused),
                cmocka_unit_test(a_stream_that_never_blocks_lets_other_fibers_run),
                cmocka_unit_test(without_a_fiber_it_works_as_long_as_it_need_not_wait),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
