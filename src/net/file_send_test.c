/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "net/net_test.h"
#include "os/os.h"

#include <sanjab/file.h>

#include <fcntl.h>

static const char *a_path(void)
{
        static char path[100];
        snprintf(path, sizeof(path), "%s/sanjab-send-%d", os_simulated ? "" : "/tmp", os_pid());
        return path;
}

/* A file of n bytes of pattern. */
static sj_file *file_of(size_t n)
{
        sj_file *f;
        char data[4000];
        CHECK_INT(sj_file_open(a_path(), O_RDWR | O_CREAT | O_TRUNC, 0600, &f, SJ_NEVER), 0);
        for (size_t at = 0; at < n; at += sizeof(data)) {
                size_t k = n - at < sizeof(data) ? n - at : sizeof(data);
                pattern_fill(data, at, k);
                CHECK_INT(sj_file_write(f, data, k, SJ_NEVER), 0);
        }
        CHECK_INT(os_unlink(a_path()), 0);
        return f;
}

struct reading {
        sj_stream *s;
        size_t from, to;
};

static int read_pattern(void *arg)
{
        struct reading *x = arg;
        char data[3000];
        size_t at = x->from;
        for (;;) {
                ssize_t n = sj_read(x->s, data, sizeof(data), SJ_NEVER);
                if (n < 0)
                        return (int)n;
                if (n == 0)
                        break;
                CHECK(pattern_is(data, at, (size_t)n));
                at += (size_t)n;
        }
        CHECK_INT(at, x->to);
        return 0;
}

static void send_over(sj_stream *ends[2], size_t size)
{
        sj_file *f = file_of(size);
        uint64_t sent = 0;
        size_t from = world_draw(size), half = (size - from) / 2;
        struct reading reading = {ends[1], from, size};
        SJ_SCOPE(s, SJ_NEVER, 0);
        CHECK_INT(sj_spawn(s, read_pattern, &reading, NULL), 0);
        CHECK_INT(sj_file_send(f, ends[0], from, half, &sent, SJ_NEVER), 0);
        CHECK_INT(sent, half);
        CHECK_INT(sj_file_send(f, ends[0], from, 0, &sent, SJ_NEVER), 0);
        CHECK_INT(sent, 0);
        /* More than there is. */
        CHECK_INT(sj_file_send(f, ends[0], from + half, UINT64_MAX, &sent, SJ_NEVER), 0);
        CHECK_INT(sent, size - from - half);
        CHECK_INT(sj_file_send(f, ends[0], size + 5, 7, &sent, SJ_NEVER), 0);
        CHECK_INT(sent, 0);
        CHECK_INT(sj_stream_shutdown(ends[0], SJ_NEVER), 0);
        CHECK_INT(sj_scope_join(s), 0);
        sj_file_close(f);
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
}

static int whole_files(void *arg)
{
        (void)arg;
        size_t size = os_simulated ? 1 + world_draw(30000) : 5000000;
        for (link_kind kind = LINK_PAIR; kind < LINK_KINDS; kind++) {
                sj_stream *ends[2];
                connect_both(kind, ends);
                send_over(ends, size);
        }
        return 0;
}

static void a_file_arrives_whole_over_every_kind_of_socket(void **state)
{
        (void)state;
        world_seeds_share = 5;
        each_world(whole_files);
        world_seeds_share = 1;
}

static int through_memory(void *arg)
{
        (void)arg;
        int fds[2];
        sj_stream *ends[2];
        CHECK_INT(os_pipe(fds), 0);
        CHECK_INT(sj_stream_of_fd(fds[0], &ends[1]), 0);
        CHECK_INT(sj_stream_of_fd(fds[1], &ends[0]), 0);
        send_over(ends, os_simulated ? 1 + world_draw(200000) : 1000000);
        return 0;
}

static void other_streams_get_it_through_memory(void **state)
{
        (void)state;
        world_seeds_share = 10;
        each_world(through_memory);
        world_seeds_share = 1;
}

static int send_all(void *arg)
{
        void **args = arg;
        return sj_file_send(args[0], args[1], 0, UINT64_MAX, NULL, SJ_NEVER);
}

static int stalls(void *arg)
{
        (void)arg;
        sj_file *f = file_of(os_simulated ? 200 * 1000 : 8000 * 1000);
        for (link_kind kind = LINK_PAIR; kind < LINK_KINDS; kind++) {
                sj_stream *ends[2], *others[2];
                uint64_t sent = 77;
                sj_fiber *fiber;
                connect_both(kind, ends);
                connect_both(kind, others);
                void *args[] = {f, others[0]};
                CHECK_INT(sj_file_send(f, ends[0], 0, UINT64_MAX, &sent, sj_after(50 * SJ_MS)),
                          -ETIMEDOUT);
                CHECK_INT(sent, 77);
                CHECK_INT(sj_write(ends[0], "x", 1, SJ_NEVER), -EPIPE);
                CHECK_INT(sj_file_send(f, ends[0], 0, 1, NULL, SJ_NEVER), -EPIPE);
                {
                        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                        CHECK_INT(sj_spawn(s, send_all, args, &fiber), 0);
                        CHECK_INT(sj_sleep(50 * SJ_MS), 0);
                        CHECK(!sj_fiber_done(fiber, NULL));
                        sj_cancel(fiber);
                        CHECK_INT(sj_join(fiber, SJ_NEVER), -ECANCELED);
                        CHECK_INT(sj_write(others[0], "x", 1, SJ_NEVER), -EPIPE);
                }
                for (size_t i = 0; i < 2; i++) {
                        sj_stream_close(ends[i]);
                        sj_stream_close(others[i]);
                }
        }
        sj_file_close(f);
        return 0;
}

static void a_reader_that_stops_is_waited_for_until_the_deadline_or_a_cancel(void **state)
{
        (void)state;
        world_seeds_share = 5;
        each_quiet_world(stalls);
        world_seeds_share = 1;
}

static int gone(void *arg)
{
        (void)arg;
        sj_file *f = file_of(200 * 1000), *write_only;
        for (link_kind kind = LINK_PAIR; kind < LINK_KINDS; kind++) {
                sj_stream *ends[2];
                connect_both(kind, ends);
                sj_stream_close(ends[1]);
                int r = 0;
                while (r >= 0)
                        r = sj_file_send(f, ends[0], 0, UINT64_MAX, NULL, SJ_NEVER);
                CHECK(r == -EPIPE || r == -ECONNRESET);
                sj_stream_close(ends[0]);
        }
        sj_file_close(f);

        sj_stream *ends[2];
        connect_both(LINK_PAIR, ends);
        CHECK_INT(sj_file_open(a_path(), O_WRONLY | O_CREAT, 0600, &write_only, SJ_NEVER), 0);
        CHECK_INT(sj_file_send(write_only, ends[0], 0, 10, NULL, SJ_NEVER), -EBADF);
        CHECK_INT(os_unlink(a_path()), 0);
        sj_file_close(write_only);
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        return 0;
}

static void a_peer_that_has_gone_is_an_error_and_no_signal(void **state)
{
        (void)state;
        world_seeds_share = 5;
        each_world(gone);
        world_seeds_share = 1;
}

static void without_a_fiber_it_works_too(void **state)
{
        (void)state;
        sj_stream *ends[2];
        sj_file *f;
        char byte;
        if (os_simulated)
                return; /* the simulated world may make any call wait */
        assert_int_equal(sj_stream_pair(ends), 0);
        assert_int_equal(sj_file_open("/proc/self/exe", O_RDONLY, 0, &f, SJ_NEVER), 0);
        assert_int_equal(sj_file_send(f, ends[0], 1, 1, NULL, SJ_NEVER), 0);
        assert_int_equal(sj_read(ends[1], &byte, 1, SJ_NEVER), 1);
        assert_int_equal(byte, 'E');
        sj_stream_close(ends[1]);
        assert_int_equal(sj_file_send(f, ends[0], 0, 100, NULL, SJ_NEVER), -EPIPE);
        sj_stream_close(ends[0]);
        sj_file_close(f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_file_arrives_whole_over_every_kind_of_socket),
                cmocka_unit_test(other_streams_get_it_through_memory),
                cmocka_unit_test(a_reader_that_stops_is_waited_for_until_the_deadline_or_a_cancel),
                cmocka_unit_test(a_peer_that_has_gone_is_an_error_and_no_signal),
                cmocka_unit_test(without_a_fiber_it_works_too),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
