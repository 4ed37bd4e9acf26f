/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "net/net_test.h"
#include "os/os.h"

#include <sanjab/file.h>
#include <sanjab/process.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

static sj_stream *stream_of(int fd)
{
        sj_stream *s;
        CHECK_INT(sj_stream_of_fd(fd, &s), 0);
        return s;
}

static void pipe_streams(sj_stream *ret[2])
{
        int fds[2];
        CHECK_INT(os_pipe(fds), 0);
        ret[0] = stream_of(fds[0]);
        ret[1] = stream_of(fds[1]);
}

static void close_both(sj_stream *ends[2])
{
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
}

/* ── Pipes ───────────────────────────────────────────────────────────────────────────────── */

static int write_pieces(void *arg)
{
        struct flow *f = arg;
        char data[9000];
        for (size_t at = 0; at < f->n;) {
                size_t k = 1 + world_draw(world_draw(4) ? 40 : sizeof(data));
                k = k < f->n - at ? k : f->n - at;
                pattern_fill(data, at, k);
                struct iovec parts[] = {{data, k / 3}, {data + k / 3, k - k / 3}};
                CHECK_INT(sj_writev(f->s, parts, 2, SJ_NEVER), 0);
                at += k;
        }
        return sj_stream_shutdown(f->s, SJ_NEVER);
}

static int through_a_pipe(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        pipe_streams(ends);
        struct flow f = {ends[1], os_simulated ? 70000 + world_draw(9000) : 1000 * 1000};
        char data[2000];
        size_t at = 0;
        ssize_t n;
        SJ_SCOPE(s, SJ_NEVER, 0);
        CHECK_INT(sj_spawn(s, write_pieces, &f, NULL), 0);
        while ((n = sj_read(ends[0], data, 1 + world_draw(sizeof(data)), SJ_NEVER)) > 0) {
                CHECK(pattern_is(data, at, (size_t)n));
                at += (size_t)n;
        }
        CHECK_INT(n, 0);
        CHECK_INT(at, f.n);
        CHECK_INT(sj_scope_join(s), 0);
        close_both(ends);
        return 0;
}

static void bytes_flow_through_a_pipe_to_the_end(void **state)
{
        (void)state;
        world_seeds_share = 5;
        each_world(through_a_pipe);
        world_seeds_share = 1;
}

static int directions(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        sj_address address;
        char byte = 'x';
        pipe_streams(ends);
        CHECK_INT(sj_write(ends[0], "x", 1, SJ_NEVER), -EBADF);
        CHECK_INT(sj_read(ends[1], &byte, 1, SJ_NEVER), -EBADF);
        CHECK_INT(sj_stream_local(ends[0], &address), -ENOTSOCK);
        CHECK_INT(sj_stream_peer(ends[1], &address), -ENOTSOCK);
        CHECK_INT(sj_stream_peer_process(ends[1], NULL), -EOPNOTSUPP);
        CHECK_INT(sj_stream_shutdown(ends[0], SJ_NEVER), -EOPNOTSUPP);
        CHECK_INT(sj_stream_shutdown(ends[1], SJ_NEVER), 0);
        CHECK_INT(sj_stream_shutdown(ends[1], SJ_NEVER), 0);
        CHECK_INT(sj_write(ends[1], "x", 1, SJ_NEVER), -EPIPE);
        CHECK_INT(sj_read(ends[0], &byte, 1, SJ_NEVER), 0);
        close_both(ends);
        return 0;
}

static void a_pipe_has_one_direction_and_ends_when_its_writer_is_shut(void **state)
{
        (void)state;
        each_quiet_world(directions);
}

static int reader_goes(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        static const char much[100 * 1000];
        pipe_streams(ends);
        sj_stream_close(ends[0]);
        CHECK_INT(sj_write(ends[1], much, sizeof(much), SJ_NEVER), -EPIPE);
        sj_stream_close(ends[1]);
        return 0;
}

static void a_pipe_that_nobody_reads_is_broken_without_a_signal(void **state)
{
        (void)state;
        each_world(reader_goes);
}

static int write_much(void *arg)
{
        static const char much[1000 * 1000];
        return sj_write(arg, much, sizeof(much), SJ_NEVER);
}

static int read_one(void *arg)
{
        char byte;
        return (int)sj_read(arg, &byte, 1, SJ_NEVER);
}

static int reader_goes_late(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        sj_fiber *f;
        pipe_streams(ends);
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                CHECK_INT(sj_spawn(s, write_much, ends[1], &f), 0);
                CHECK_INT(sj_sleep(20 * SJ_MS), 0);
                CHECK_INT(sj_fiber_done(f, NULL), 0);
                sj_stream_close(ends[0]);
                CHECK_INT(sj_join(f, SJ_NEVER), -EPIPE);
        }
        sj_stream_close(ends[1]);
        return 0;
}

static void who_waits_to_write_hears_that_the_reader_has_gone(void **state)
{
        (void)state;
        each_world(reader_goes_late);
}

static int cancelled_waits(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        sj_fiber *reader, *writer;
        char byte;
        pipe_streams(ends);
        CHECK_INT(sj_read(ends[0], &byte, 1, SJ_POLL), -ETIMEDOUT);
        CHECK_INT(sj_read(ends[0], &byte, 1, sj_after(10 * SJ_MS)), -ETIMEDOUT);
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                CHECK_INT(sj_spawn(s, read_one, ends[0], &reader), 0);
                CHECK_INT(sj_sleep(10 * SJ_MS), 0);
                CHECK_INT(sj_read(ends[0], &byte, 1, SJ_NEVER), -EBUSY);
                sj_cancel(reader);
                CHECK_INT(sj_join(reader, SJ_NEVER), -ECANCELED);
                CHECK_INT(sj_spawn(s, write_much, ends[1], &writer), 0);
                CHECK_INT(sj_sleep(10 * SJ_MS), 0);
                sj_cancel(writer);
                CHECK_INT(sj_join(writer, SJ_NEVER), -ECANCELED);
                CHECK_INT(sj_write(ends[1], "x", 1, SJ_NEVER), -EPIPE);
        }
        close_both(ends);
        return 0;
}

static void waits_on_a_pipe_can_be_cancelled_and_have_deadlines(void **state)
{
        (void)state;
        each_quiet_world(cancelled_waits);
}

/* ── Files ───────────────────────────────────────────────────────────────────────────────── */

static int files(void *arg)
{
        (void)arg;
        char path[100];
        snprintf(path, sizeof(path), "%s/sanjab-descriptor-%d", os_simulated ? "" : "/tmp",
                 os_pid());
        int fd = os_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        sj_stream *s = stream_of(fd);
        struct iovec parts[] = {{"one\n", 4}, {"", 0}, {"two\n", 4}};
        CHECK_INT(sj_writev(s, parts, 3, SJ_NEVER), 0);
        CHECK_INT(sj_stream_shutdown(s, SJ_NEVER), -EOPNOTSUPP);
        sj_stream_close(s);

        s = stream_of(os_open(path, O_RDONLY, 0));
        sj_reader *reader;
        sj_str line;
        CHECK_INT(sj_reader_new(s, 0, &reader), 0);
        CHECK_INT(sj_reader_line(reader, &line, SJ_NEVER), 0);
        CHECK(sj_str_equal(line, SJ_STR("one")));
        CHECK_INT(sj_reader_line(reader, &line, SJ_NEVER), 0);
        CHECK(sj_str_equal(line, SJ_STR("two")));
        CHECK_INT(sj_reader_line(reader, &line, SJ_NEVER), -EPIPE);
        CHECK_INT(sj_write(s, "x", 1, SJ_NEVER), -EBADF);
        sj_reader_free(reader);
        sj_stream_close(s);
        CHECK_INT(os_unlink(path), 0);
        return 0;
}

static void a_regular_file_is_read_and_written_on_a_thread(void **state)
{
        (void)state;
        each_quiet_world(files);
}

/* ── What it refuses ─────────────────────────────────────────────────────────────────────── */

static int refusals(void *arg)
{
        (void)arg;
        sj_stream *s = NULL;
        int closed[2];
        CHECK_INT(os_pipe(closed), 0);
        os_close(closed[0]);
        CHECK_INT(sj_stream_of_fd(closed[0], &s), -EBADF);
        CHECK_INT(sj_stream_of_fd(-1, &s), -EBADF);
        os_close(closed[1]);
        int fd = os_socket(AF_INET, SOCK_DGRAM);
        CHECK_INT(sj_stream_of_fd(fd, &s), -EPROTOTYPE);
        os_close(fd);
        fd = os_socket(AF_UNIX, SOCK_STREAM);
        struct sockaddr_storage any = {.ss_family = AF_UNIX};
        memcpy((char *)&any + sizeof(sa_family_t), "\0listens", 8);
        CHECK_INT(os_bind(fd, (struct sockaddr *)&any, sizeof(sa_family_t) + 8), 0);
        CHECK_INT(os_listen(fd, 1), 0);
        CHECK_INT(sj_stream_of_fd(fd, &s), -EPROTOTYPE);
        os_close(fd);
        fd = os_open("/", O_RDONLY | O_DIRECTORY, 0);
        CHECK_INT(sj_stream_of_fd(fd, &s), -EISDIR);
        os_close(fd);
        world_limit_descriptors(0);
        CHECK_INT(sj_stream_of_fd(0, &s), -EMFILE);
        world_limit_descriptors(SIZE_MAX);
        CHECK(!s);
        return 0;
}

static void what_is_no_stream_is_refused(void **state)
{
        (void)state;
        once_in_each_world(refusals);
}

static int sockets(void *arg)
{
        (void)arg;
        int fds[2];
        sj_peer_process process;
        sj_address address;
        CHECK_INT(os_socket_pair(fds), 0);
        CHECK_INT(os_set_nonblocking(fds[0], false), 0);
        sj_stream *ends[2] = {stream_of(fds[0]), stream_of(fds[1])};
        CHECK_INT(sj_stream_peer_process(ends[0], &process), 0);
        CHECK_INT(process.pid, os_pid());
        CHECK_INT(sj_stream_local(ends[0], &address), 0);
        exchange(ends, os_simulated ? 3000 : 300 * 1000);
        close_both(ends);
        return 0;
}

static void a_socket_becomes_a_stream_like_any_other(void **state)
{
        (void)state;
        each_quiet_world(sockets);
}

/* ── What a program is started with ──────────────────────────────────────────────────────── */

static int input[2];

static int standard_input(void *arg)
{
        (void)arg;
        char bytes[10];
        sj_stream *s = stream_of(0);
        CHECK(!(fcntl(0, F_GETFL) & O_NONBLOCK));
        CHECK(!(fcntl(input[0], F_GETFL) & O_NONBLOCK));
        CHECK_INT(sj_read(s, bytes, sizeof(bytes), sj_after(10 * SJ_MS)), -ETIMEDOUT);
        CHECK_INT(os_write(input[1], "hello", 5), 5);
        CHECK_INT(sj_read(s, bytes, sizeof(bytes), SJ_NEVER), 5);
        sj_stream_close(s);
        CHECK(fcntl(0, F_GETFD) >= 0);
        return 0;
}

static void what_is_read_from_standard_input_leaves_it_as_it_was(void **state)
{
        (void)state;
        if (os_simulated)
                return;
        int before = fcntl(0, F_DUPFD_CLOEXEC, 3);
        assert_int_equal(pipe2(input, O_CLOEXEC), 0);
        assert_int_equal(dup2(input[0], 0), 0);
        each_world(standard_input);
        assert_int_equal(dup2(before, 0), 0);
        close(before);
        close(input[0]);
        close(input[1]);
}

static int read_two_lines(void *arg)
{
        char line[100];
        CHECK_INT(sj_read(arg, line, sizeof(line), SJ_NEVER), 4);
        CHECK_INT(sj_read(arg, line, sizeof(line), SJ_NEVER), 4);
        CHECK(memcmp(line, "two\n", 4) == 0);
        return 0;
}

static int terminal(void *arg)
{
        (void)arg;
        char line[100];
        int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
        int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC), there = 0;
        sj_stream *user = stream_of(master), *program = stream_of(slave);
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                CHECK_INT(sj_spawn(s, read_two_lines, program, NULL), 0);
                CHECK_INT(sj_sleep(SJ_MS), 0);
                CHECK_INT(sj_write(user, "one\ntwo\n", 8, SJ_NEVER), 0);
                /* Both are there when the first is read. */
                while (there < 8)
                        CHECK_INT(ioctl(slave, FIONREAD, &there), 0);
                CHECK_INT(sj_scope_join(s), 0);
        }
        CHECK_INT(sj_write(user, "\4", 1, SJ_NEVER), 0);
        CHECK_INT(sj_read(program, line, sizeof(line), SJ_NEVER), 0);
        sj_stream_close(program);
        ssize_t n;
        while ((n = sj_read(user, line, sizeof(line), SJ_NEVER)) > 0)
                continue;
        CHECK_INT(n, -EIO);
        sj_stream_close(user);
        return 0;
}

static void a_terminal_is_read_line_by_line_without_a_stop_between(void **state)
{
        (void)state;
        if (os_simulated)
                return;
        each_world(terminal);
}

static int child(void *arg)
{
        (void)arg;
        int in[2], out[2];
        CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
        sj_child *c;
        char *const argv[] = {"cat", NULL};
        CHECK_INT(sj_child_start(argv, &(sj_child_options){.in = in[0], .out = out[1]}, &c), 0);
        os_close(in[0]);
        os_close(out[1]);
        sj_stream *to = stream_of(in[1]), *from = stream_of(out[0]);
        {
                struct flow f = {to, 300 * 1000};
                char data[5000];
                SJ_SCOPE(s, SJ_NEVER, 0);
                CHECK_INT(sj_spawn(s, write_pieces, &f, NULL), 0);
                size_t at = 0;
                ssize_t n;
                while ((n = sj_read(from, data, sizeof(data), SJ_NEVER)) > 0) {
                        CHECK(pattern_is(data, at, (size_t)n));
                        at += (size_t)n;
                }
                CHECK_INT(n, 0);
                CHECK_INT(at, f.n);
                CHECK_INT(sj_scope_join(s), 0);
        }
        CHECK_INT(sj_child_wait(c, NULL, SJ_NEVER), 0);
        sj_child_free(c);
        sj_stream_close(to);
        sj_stream_close(from);
        return 0;
}

static void a_child_is_written_to_and_read_from_until_its_end(void **state)
{
        (void)state;
        if (!os_simulated)
                each_world(child);
}

static int prints(void *arg)
{
        (void)arg;
        char byte;
        sj_stream *in = stream_of(0), *out = stream_of(1);
        CHECK_INT(sj_read(in, &byte, 1, SJ_NEVER), 0);
        CHECK_INT(sj_write(out, "# printed\n", 10, SJ_NEVER), 0);
        sj_stream_close(in);
        sj_stream_close(out);
        return 0;
}

static void the_simulated_input_ends_and_its_output_is_the_real_one(void **state)
{
        (void)state;
        if (os_simulated)
                once_in_each_world(prints);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(bytes_flow_through_a_pipe_to_the_end),
                cmocka_unit_test(a_pipe_has_one_direction_and_ends_when_its_writer_is_shut),
                cmocka_unit_test(a_pipe_that_nobody_reads_is_broken_without_a_signal),
                cmocka_unit_test(who_waits_to_write_hears_that_the_reader_has_gone),
                cmocka_unit_test(waits_on_a_pipe_can_be_cancelled_and_have_deadlines),
                cmocka_unit_test(a_regular_file_is_read_and_written_on_a_thread),
                cmocka_unit_test(what_is_no_stream_is_refused),
                cmocka_unit_test(a_socket_becomes_a_stream_like_any_other),
                cmocka_unit_test(what_is_read_from_standard_input_leaves_it_as_it_was),
                cmocka_unit_test(a_terminal_is_read_line_by_line_without_a_stop_between),
                cmocka_unit_test(a_child_is_written_to_and_read_from_until_its_end),
                cmocka_unit_test(the_simulated_input_ends_and_its_output_is_the_real_one),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
