/* SPDX-License-Identifier: MIT */
/* Descriptors over Unix streams: on the real system alone, since simulated ones cannot travel. */
#include "base/unit.h"
#include "net/net_test.h"
#include "os/os.h"

#include <fcntl.h>
#include <unistd.h>

/* A pipe, whose writing end travels. */
static int pass_one(void *arg)
{
        (void)arg;
        for (link_kind kind = LINK_PAIR; kind < LINK_KINDS; kind++) {
                sj_stream *ends[2];
                int fds[2], got[4];
                char bytes[10];
                size_t n = 4;
                if (kind == LINK_TCP)
                        continue;
                connect_both(kind, ends);
                CHECK_INT(os_pipe(fds), 0);
                CHECK_INT(sj_write_fds(ends[0], "take", 4, &fds[1], 1, SJ_NEVER), 0);
                CHECK_INT(sj_write(ends[0], "more", 4, SJ_NEVER), 0);
                os_close(fds[1]);
                CHECK_INT(sj_read_fds(ends[1], bytes, sizeof(bytes), got, &n, SJ_NEVER), 4);
                CHECK_INT(n, 1);
                CHECK(memcmp(bytes, "take", 4) == 0);
                CHECK(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
                n = 4;
                CHECK_INT(sj_read_fds(ends[1], bytes, sizeof(bytes), got + 1, &n, SJ_NEVER), 4);
                CHECK_INT(n, 0);

                sj_stream *in, *out;
                CHECK_INT(sj_stream_of_fd(fds[0], &in), 0);
                CHECK_INT(sj_stream_of_fd(got[0], &out), 0);
                CHECK_INT(sj_write(out, "x", 1, SJ_NEVER), 0);
                CHECK_INT(sj_read(in, bytes, 1, SJ_NEVER), 1);
                sj_stream_close(out);
                CHECK_INT(sj_read(in, bytes, 1, SJ_NEVER), 0);
                sj_stream_close(in);

                CHECK_INT(sj_stream_shutdown(ends[0], SJ_NEVER), 0);
                CHECK_INT(sj_write_fds(ends[0], "x", 1, &fds[0], 0, SJ_NEVER), -EPIPE);
                n = 4;
                CHECK_INT(sj_read_fds(ends[1], bytes, sizeof(bytes), got, &n, SJ_NEVER), 0);
                sj_stream_close(ends[0]);
                sj_stream_close(ends[1]);
        }
        return 0;
}

static void a_descriptor_arrives_with_its_bytes(void **state)
{
        (void)state;
        each_world(pass_one);
}

static int nothing_leaks(void *arg)
{
        (void)arg;
        sj_stream *ends[2], *tcp[2];
        int many[SJ_FDS_MAX + 1], got[SJ_FDS_MAX];
        char bytes[10];
        size_t n = 2;
        connect_both(LINK_PAIR, ends);
        for (size_t i = 0; i < SJ_FDS_MAX + 1; i++)
                many[i] = 1;

        /* More than there is room for. */
        CHECK_INT(sj_write_fds(ends[0], "x", 1, many, 3, SJ_NEVER), 0);
        CHECK_INT(sj_read_fds(ends[1], bytes, sizeof(bytes), got, &n, SJ_NEVER), -EMSGSIZE);
        CHECK_INT(n, 2);
        /* More than this process can have. */
        CHECK_INT(sj_write_fds(ends[0], "x", 1, many, 3, SJ_NEVER), 0);
        world_limit_descriptors(2);
        n = SJ_FDS_MAX;
        CHECK_INT(sj_read_fds(ends[1], bytes, sizeof(bytes), got, &n, SJ_NEVER), -EMFILE);
        world_limit_descriptors(SIZE_MAX);
        /* Read by who knows nothing of them, and by nobody. */
        CHECK_INT(sj_write_fds(ends[0], "x", 1, many, 3, SJ_NEVER), 0);
        CHECK_INT(sj_read(ends[1], bytes, sizeof(bytes), SJ_NEVER), 1);
        CHECK_INT(sj_write_fds(ends[0], "x", 1, many, SJ_FDS_MAX, SJ_NEVER), 0);
        n = SJ_FDS_MAX;
        CHECK_INT(sj_read_fds(ends[1], bytes, sizeof(bytes), got, &n, SJ_NEVER), 1);
        CHECK_INT(n, SJ_FDS_MAX);
        for (size_t i = 0; i < n; i++)
                os_close(got[i]);
        CHECK_INT(sj_write_fds(ends[0], "x", 1, many, 3, SJ_NEVER), 0);

        CHECK_INT(sj_write_fds(ends[0], "x", 1, many, SJ_FDS_MAX + 1, SJ_NEVER), -EMSGSIZE);
        CHECK_INT(sj_write_fds(ends[0], "", 0, many, 1, SJ_NEVER), -EINVAL);
        CHECK_INT(sj_read_fds(ends[1], bytes, 0, got, &n, SJ_NEVER), -EINVAL);
        many[0] = -1;
        CHECK_INT(sj_write_fds(ends[0], "x", 1, many, 1, SJ_NEVER), -EBADF);
        connect_both(LINK_TCP, tcp);
        many[0] = 1;
        CHECK_INT(sj_write_fds(tcp[0], "x", 1, many, 1, SJ_NEVER), -EOPNOTSUPP);
        CHECK_INT(sj_read_fds(tcp[1], bytes, 1, got, &n, SJ_NEVER), -EOPNOTSUPP);
        for (size_t i = 0; i < 2; i++) {
                sj_stream_close(ends[i]);
                sj_stream_close(tcp[i]);
        }
        return 0;
}

static void descriptors_that_nobody_takes_are_closed(void **state)
{
        (void)state;
        each_world(nothing_leaks);
}

static int receive(void *arg)
{
        int fd;
        char byte;
        size_t n = 1;
        return (int)sj_read_fds(arg, &byte, 1, &fd, &n, SJ_NEVER);
}

static int send_much(void *arg)
{
        static const char much[4 << 20];
        int fd = 1;
        return sj_write_fds(arg, much, sizeof(much), &fd, 1, SJ_NEVER);
}

static int waits(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        sj_fiber *f;
        int fd;
        char byte;
        size_t n = 1;
        connect_both(LINK_UNIX, ends);
        CHECK_INT(sj_read_fds(ends[1], &byte, 1, &fd, &n, SJ_POLL), -ETIMEDOUT);
        CHECK_INT(sj_read_fds(ends[1], &byte, 1, &fd, &n, sj_after(SJ_MS)), -ETIMEDOUT);
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                CHECK_INT(sj_spawn(s, receive, ends[1], &f), 0);
                CHECK_INT(sj_sleep(SJ_MS), 0);
                sj_cancel(f);
                CHECK_INT(sj_join(f, SJ_NEVER), -ECANCELED);
                CHECK_INT(sj_spawn(s, send_much, ends[0], &f), 0);
                CHECK_INT(sj_sleep(SJ_MS), 0);
                sj_cancel(f);
                CHECK_INT(sj_join(f, SJ_NEVER), -ECANCELED);
                CHECK_INT(sj_write(ends[0], "x", 1, SJ_NEVER), -EPIPE);
        }
        sj_stream_close(ends[1]);
        CHECK_INT(sj_write_fds(ends[0], "x", 1, &fd, 0, SJ_NEVER), -EPIPE);
        sj_stream_close(ends[0]);
        return 0;
}

static void both_sides_wait_and_can_be_cancelled(void **state)
{
        (void)state;
        each_world(waits);
}

static int read_three(void *arg)
{
        char bytes[10];
        for (size_t i = 0; i < 3; i++)
                CHECK_INT(sj_read(arg, bytes, sizeof(bytes), SJ_NEVER), 1);
        return 0;
}

/* Who does not know of descriptors must not be stopped by a peer that sends some. */
static int in_the_way(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        connect_both(LINK_PAIR, ends);
        {
                SJ_SCOPE(s, sj_after(10 * SJ_SEC), 0);
                int fd = 1;
                CHECK_INT(sj_spawn(s, read_three, ends[1], NULL), 0);
                CHECK_INT(sj_sleep(SJ_MS), 0);
                for (size_t i = 0; i < 3; i++)
                        CHECK_INT(sj_write_fds(ends[0], "x", 1, &fd, 1, SJ_NEVER), 0);
                CHECK_INT(sj_scope_join(s), 0);
        }
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        return 0;
}

static void bytes_behind_a_descriptor_are_not_forgotten(void **state)
{
        (void)state;
        each_world(in_the_way);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_descriptor_arrives_with_its_bytes),
                cmocka_unit_test(descriptors_that_nobody_takes_are_closed),
                cmocka_unit_test(both_sides_wait_and_can_be_cancelled),
                cmocka_unit_test(bytes_behind_a_descriptor_are_not_forgotten),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
