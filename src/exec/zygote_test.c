/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "exec/duplex.h"
#include "exec/zygote.h"
#include "os/os.h"

#include <sanjab/exec.h>
#include <sanjab/select.h>

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const sj_time LIMIT = 20 * SJ_SEC;
static const duplex_shape SHAPE = {.capacity = 65536, .limit = 1 << 24, .extra = 100};

/* ── What children do ────────────────────────────────────────────────────────────────────── */

static int child_exit(const zygote_start *start)
{
        return atoi(start->argument.data);
}

static int child_sleep(const zygote_start *start)
{
        (void)start;
        while (pause() < 0)
                ;
        return 0;
}

static int child_crash(const zygote_start *start)
{
        (void)start;
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
        return 0;
}

/* Sends back what it is asked. */
static int child_echo(const zygote_start *start)
{
        duplex d;
        int fds[DUPLEX_FDS] = {ZYGOTE_FD_FIRST, ZYGOTE_FD_FIRST + 1, ZYGOTE_FD_FIRST + 2};
        if (start->n_fds != DUPLEX_FDS || duplex_open(fds, &SHAPE, &d) < 0)
                return 1;
        for (;;) {
                sj_str got;
                int error = ring_get(&d.in, &got);
                if (error == -EAGAIN) {
                        ring_block(&d.in, SJ_NEVER);
                        continue;
                }
                if (error < 0)
                        return 2;
                struct iovec part = {(void *)(uintptr_t)got.data, got.n};
                while (ring_put(&d.out, &part, 1) == -EAGAIN)
                        ring_block(&d.out, SJ_NEVER);
                ring_flush(&d.out);
        }
}

/* Exits with the number of descriptors that it has beyond 0, 1, 2. */
static int child_count_descriptors(const zygote_start *start)
{
        (void)start;
        int n = 0;
        for (int fd = 3; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static int child_nothing(const zygote_start *start)
{
        (void)start;
        return 0;
}

ZYGOTE_ENTRY(test_exit, "test-exit", child_exit);
ZYGOTE_ENTRY(test_sleep, "test-sleep", child_sleep);
ZYGOTE_ENTRY(test_crash, "test-crash", child_crash);
ZYGOTE_ENTRY(test_echo, "test-echo", child_echo);
ZYGOTE_ENTRY(test_count, "test-count", child_count_descriptors);
ZYGOTE_ENTRY(test_nothing, "test-nothing", child_nothing);

/* ── Helpers ─────────────────────────────────────────────────────────────────────────────── */

/* Waits for fd; false when the time is over. */
static bool readable(int fd)
{
        os_poller *poller;
        os_event event;
        assert_int_equal(os_poller_new(&poller), 0);
        assert_int_equal(os_poller_arm(poller, fd, OS_READABLE, NULL), 0);
        int n = os_poller_wait(poller, &event, 1, sj_after(LIMIT));
        os_poller_forget(poller, fd);
        os_poller_free(poller);
        return n > 0;
}

static int next_event(zygote *z, zygote_event *ret)
{
        int error;
        while ((error = zygote_next(z, ret)) == -EAGAIN)
                if (!readable(zygote_fd(z)))
                        fail_msg("no event of the zygote");
        return error;
}

static void expect(zygote *z, zygote_what what, uint64_t id, zygote_event *ret)
{
        assert_int_equal(next_event(z, ret), 0);
        assert_int_equal(ret->what, what);
        assert_int_equal(ret->id, id);
}

static zygote *fresh(void)
{
        zygote *z = NULL;
        assert_int_equal(zygote_new("test-zygote", &z), 0);
        return z;
}

/* ── Tests ───────────────────────────────────────────────────────────────────────────────── */

static void a_child_runs_its_entry_and_reports_its_status(void **state)
{
        (void)state;
        zygote *z = fresh();
        zygote_event e;
        for (uint64_t i = 0; i < 5; i++) {
                char text[] = {(char)('0' + i), 0};
                zygote_request r = {.id = i, .entry = "test-exit", .argument = {text, 2}};
                assert_int_equal(zygote_spawn(z, &r), 0);
                expect(z, ZYGOTE_STARTED, i, &e);
                assert_true(e.pid > 0);
                os_close(e.pidfd);
                expect(z, ZYGOTE_ENDED, i, &e);
                assert_true(WIFEXITED(e.status));
                assert_int_equal(WEXITSTATUS(e.status), i);
        }
        zygote_free(z);
}

static void an_unknown_entry_is_refused(void **state)
{
        (void)state;
        zygote *z = fresh();
        zygote_event e;
        assert_int_equal(zygote_spawn(z, &(zygote_request){.id = 9, .entry = "system"}), 0);
        expect(z, ZYGOTE_REFUSED, 9, &e);
        assert_int_equal(e.status, -ENOENT);
        zygote_free(z);
}

static void a_request_over_its_limits_is_refused_at_once(void **state)
{
        (void)state;
        zygote *z = fresh();
        static char big[ZYGOTE_ARGUMENT_MAX + 1];
        zygote_request r = {.entry = "test-exit", .argument = {big, sizeof(big)}};
        assert_int_equal(zygote_spawn(z, &r), -EMSGSIZE);
        r = (zygote_request){.entry = "a-name-that-is-longer-than-an-entry-may-have"};
        assert_int_equal(zygote_spawn(z, &r), -EINVAL);
        r = (zygote_request){.entry = "test-exit", .n_fds = ZYGOTE_FDS_MAX + 1};
        assert_int_equal(zygote_spawn(z, &r), -EINVAL);
        zygote_free(z);
}

static void a_crash_is_reported_with_its_signal(void **state)
{
        (void)state;
        zygote *z = fresh();
        zygote_event e;
        assert_int_equal(zygote_spawn(z, &(zygote_request){.id = 1, .entry = "test-crash"}), 0);
        expect(z, ZYGOTE_STARTED, 1, &e);
        os_close(e.pidfd);
        expect(z, ZYGOTE_ENDED, 1, &e);
        assert_true(WIFSIGNALED(e.status));
        assert_int_equal(WTERMSIG(e.status), SIGSEGV);
        zygote_free(z);
}

static void a_child_has_no_descriptor_but_its_own(void **state)
{
        (void)state;
        int mine = open("/dev/null", O_RDONLY); /* no close-on-exec, on purpose */
        assert_true(mine >= 0);
        zygote *z = fresh();
        zygote_event e;
        int fds[2] = {mine, 0};
        for (size_t n = 0; n < 3; n++) {
                zygote_request r = {.id = n, .entry = "test-count", .fds = fds, .n_fds = n};
                assert_int_equal(zygote_spawn(z, &r), 0);
                expect(z, ZYGOTE_STARTED, n, &e);
                os_close(e.pidfd);
                expect(z, ZYGOTE_ENDED, n, &e);
                assert_int_equal(WEXITSTATUS(e.status), n);
        }
        zygote_free(z);
        close(mine);
}

static void messages_pass_to_a_child_and_back(void **state)
{
        (void)state;
        zygote *z = fresh();
        zygote_event e;
        duplex d = DUPLEX_INIT;
        assert_int_equal(duplex_new("test", &SHAPE, &d), 0);
        int fds[DUPLEX_FDS];
        duplex_fds(&d, fds);
        zygote_request r = {.id = 1, .entry = "test-echo", .fds = fds, .n_fds = DUPLEX_FDS};
        assert_int_equal(zygote_spawn(z, &r), 0);
        expect(z, ZYGOTE_STARTED, 1, &e);
        static char bytes[3 << 20];
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (char)(i * 7 + (i >> 9));
        static const size_t sizes[] = {0, 1, 100, 40000, sizeof(bytes), 5};
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                struct iovec part = {bytes, sizes[i]};
                sj_str got;
                bool sent = false;
                for (;;) {
                        if (!sent) {
                                int error = ring_put(&d.out, &part, 1);
                                assert_true(error == 0 || error == -EAGAIN);
                                sent = error == 0;
                                ring_flush(&d.out);
                        }
                        int error = ring_get(&d.in, &got);
                        if (error == 0)
                                break;
                        assert_int_equal(error, -EAGAIN);
                        if (duplex_announce(&d, !sent)) {
                                assert_true(readable(d.bell));
                                duplex_woken(&d);
                        }
                }
                assert_int_equal(got.n, sizes[i]);
                assert_memory_equal(got.data, bytes, sizes[i]);
        }
        os_kill(e.pidfd, SIGKILL);
        os_close(e.pidfd);
        expect(z, ZYGOTE_ENDED, 1, &e);
        assert_int_equal(WTERMSIG(e.status), SIGKILL);
        duplex_fini(&d);
        zygote_free(z);
}

/* The same from a fiber, which waits for the bell on its loop. */
static int talk(void *arg)
{
        duplex *d = arg;
        static char bytes[200000];
        for (int i = 0; i < 300; i++) {
                struct iovec part = {bytes, (size_t)i * 613};
                memset(bytes, i, part.iov_len);
                sj_str got = {0};
                bool sent = false;
                int error = -EAGAIN;
                while (error == -EAGAIN) {
                        sent = sent || ring_put(&d->out, &part, 1) == 0;
                        ring_flush(&d->out);
                        error = ring_get(&d->in, &got);
                        if (error == -EAGAIN && duplex_wait(d, !sent, sj_after(LIMIT)) < 0)
                                return -ETIMEDOUT;
                }
                if (error < 0 || got.n != part.iov_len || memcmp(got.data, bytes, got.n) != 0)
                        return error < 0 ? error : -EBADMSG;
        }
        int late = duplex_wait(d, false, sj_after(SJ_MS));
        sj_fd_forget(d->bell);
        return late == -ETIMEDOUT ? 0 : -EBADMSG;
}

static void a_fiber_talks_to_a_child(void **state)
{
        (void)state;
        zygote *z = fresh();
        zygote_event e;
        duplex d = DUPLEX_INIT;
        assert_int_equal(duplex_new("test", &SHAPE, &d), 0);
        int fds[DUPLEX_FDS];
        duplex_fds(&d, fds);
        zygote_request r = {.id = 1, .entry = "test-echo", .fds = fds, .n_fds = DUPLEX_FDS};
        assert_int_equal(zygote_spawn(z, &r), 0);
        expect(z, ZYGOTE_STARTED, 1, &e);
        assert_int_equal(sj_run(talk, &d), 0);
        os_close(e.pidfd);
        duplex_fini(&d);
        zygote_free(z);
}

static void freeing_the_zygote_ends_its_children(void **state)
{
        (void)state;
        zygote *z = fresh();
        zygote_event e[3];
        for (uint64_t i = 0; i < 3; i++) {
                assert_int_equal(zygote_spawn(z, &(zygote_request){.id = i, .entry = "test-sleep"}),
                                 0);
                expect(z, ZYGOTE_STARTED, i, &e[i]);
        }
        zygote_free(z);
        for (int i = 0; i < 3; i++) {
                assert_true(readable(e[i].pidfd));
                assert_int_equal(kill(e[i].pid, 0), -1);
                os_close(e[i].pidfd);
        }
}

static void killing_the_zygote_ends_its_children_and_is_seen(void **state)
{
        (void)state;
        zygote *z = fresh();
        zygote_event e;
        assert_int_equal(zygote_spawn(z, &(zygote_request){.id = 1, .entry = "test-sleep"}), 0);
        expect(z, ZYGOTE_STARTED, 1, &e);
        kill(zygote_pid(z), SIGKILL);
        assert_true(readable(e.pidfd));
        os_close(e.pidfd);
        assert_int_equal(next_event(z, &e), -EPIPE);
        assert_int_equal(zygote_spawn(z, &(zygote_request){.id = 2, .entry = "test-sleep"}),
                         -EPIPE);
        zygote_free(z);
}

/* A process of its own starts a zygote with a child, says their pids, and is killed. */
static void killing_the_program_ends_zygote_and_children(void **state)
{
        (void)state;
        int pipe_fds[2];
        int pids[2];
        int copies[2];
        assert_int_equal(pipe(pipe_fds), 0);
        assert_int_equal(pipe(copies), 0);
        int program = fork();
        if (program == 0) {
                zygote *z = fresh();
                zygote_event e;
                zygote_spawn(z, &(zygote_request){.id = 1, .entry = "test-sleep"});
                if (next_event(z, &e) < 0)
                        _exit(1);
                int mine[2] = {zygote_pid(z), e.pid};
                /* A copy of the socket in a process that stays: the end must be seen even so. */
                int keeper = fork();
                if (keeper == 0) {
                        char c;
                        close(copies[1]);
                        while (TEMP_FAILURE_RETRY(read(copies[0], &c, 1)) > 0)
                                ;
                        _exit(0);
                }
                if (write(pipe_fds[1], mine, sizeof(mine)) != sizeof(mine))
                        _exit(1);
                for (;;)
                        pause();
        }
        assert_int_equal(TEMP_FAILURE_RETRY(read(pipe_fds[0], pids, sizeof(pids))), sizeof(pids));
        /* Not children of ours, so a pidfd of each is asked for while they live. */
        int status;
        kill(program, SIGKILL);
        TEMP_FAILURE_RETRY(waitpid(program, &status, 0));
        sj_time limit = sj_after(LIMIT);
        while (kill(pids[0], 0) == 0 || kill(pids[1], 0) == 0) {
                assert_true(sj_now() < limit);
                /* Whoever inherited them may be slow to reap: a zombie has ended too. */
                char path[64];
                char line[256] = "";
                int dead = 0;
                for (int i = 0; i < 2; i++) {
                        snprintf(path, sizeof(path), "/proc/%d/stat", pids[i]);
                        FILE *f = fopen(path, "r");
                        if (!f || !fgets(line, sizeof(line), f) || strstr(line, ") Z"))
                                dead++;
                        if (f)
                                fclose(f);
                }
                if (dead == 2)
                        break;
                sched_yield();
        }
        close(copies[0]);
        close(copies[1]);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
}

static void no_process_can_be_made_is_an_event_and_no_end(void **state)
{
        (void)state;
        zygote *z = fresh();
        zygote_event e;
        assert_int_equal(zygote_spawn(z, &(zygote_request){.id = 1, .entry = "test-nothing"}), 0);
        expect(z, ZYGOTE_STARTED, 1, &e);
        os_close(e.pidfd);
        expect(z, ZYGOTE_ENDED, 1, &e);
        /* A limit that binds root too: no descriptor for the child's pidfd. */
        struct rlimit before;
        struct rlimit none = {3, 3};
        prlimit(zygote_pid(z), RLIMIT_NOFILE, NULL, &before);
        none.rlim_max = before.rlim_max;
        prlimit(zygote_pid(z), RLIMIT_NOFILE, &none, NULL);
        assert_int_equal(zygote_spawn(z, &(zygote_request){.id = 2, .entry = "test-nothing"}), 0);
        expect(z, ZYGOTE_REFUSED, 2, &e);
        assert_int_equal(e.status, -EMFILE);
        prlimit(zygote_pid(z), RLIMIT_NOFILE, &before, NULL);
        assert_int_equal(zygote_spawn(z, &(zygote_request){.id = 3, .entry = "test-nothing"}), 0);
        expect(z, ZYGOTE_STARTED, 3, &e);
        os_close(e.pidfd);
        expect(z, ZYGOTE_ENDED, 3, &e);
        zygote_free(z);
}

static void many_requests_at_once_are_all_answered(void **state)
{
        (void)state;
        zygote *z = fresh();
        enum { N = 60 };
        for (uint64_t i = 0; i < N; i++)
                assert_int_equal(
                        zygote_spawn(z, &(zygote_request){.id = i, .entry = "test-nothing"}), 0);
        int started = 0;
        int ended = 0;
        while (ended < N) {
                zygote_event e;
                assert_int_equal(next_event(z, &e), 0);
                started += e.what == ZYGOTE_STARTED;
                ended += e.what == ZYGOTE_ENDED;
                if (e.what == ZYGOTE_ENDED)
                        assert_int_equal(e.status, 0);
                os_close(e.pidfd);
        }
        assert_int_equal(started, N);
        zygote_free(z);
}

int main(int argc, char **argv)
{
        sj_boot(argc, argv);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_child_runs_its_entry_and_reports_its_status),
                cmocka_unit_test(an_unknown_entry_is_refused),
                cmocka_unit_test(a_request_over_its_limits_is_refused_at_once),
                cmocka_unit_test(a_crash_is_reported_with_its_signal),
                cmocka_unit_test(a_child_has_no_descriptor_but_its_own),
                cmocka_unit_test(messages_pass_to_a_child_and_back),
                cmocka_unit_test(a_fiber_talks_to_a_child),
                cmocka_unit_test(freeing_the_zygote_ends_its_children),
                cmocka_unit_test(killing_the_zygote_ends_its_children_and_is_seen),
                cmocka_unit_test(killing_the_program_ends_zygote_and_children),
                cmocka_unit_test(no_process_can_be_made_is_an_event_and_no_end),
                cmocka_unit_test(many_requests_at_once_are_all_answered),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
