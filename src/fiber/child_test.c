/* SPDX-License-Identifier: MIT */
/* Child processes and signals, of the real system. */
#include "fiber/real_unit.h"
#include "os/os.h"

#include <sanjab/fiber.h>
#include <sanjab/process.h>
#include <sanjab/select.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char *const sleeps[] = {(char[]){"sleep"}, (char[]){"1000"}, NULL};

static sj_child *start_shell(const char *script, const sj_child_options *options)
{
        char *const argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char *)(uintptr_t)script, NULL};
        sj_child *c = NULL;
        expect(sj_child_start(argv, options, &c) == 0);
        return c;
}

static int a_child_ends_with_a_status_that_may_be_asked_again(void *arg)
{
        (void)arg;
        sj_child *c = start_shell("exit 7", NULL);
        expect(sj_child_pid(c) > 0);
        for (int i = 0; i < 2; i++) {
                int status = -1;
                expect(sj_child_wait(c, &status, SJ_NEVER) == 0);
                expect(WIFEXITED(status) && WEXITSTATUS(status) == 7);
        }
        expect(sj_child_wait(c, NULL, SJ_POLL) == 0);
        expect(sj_child_kill(c, SIGTERM) == -ESRCH);
        sj_child_free(c);
        return 0;
}

static int a_child_that_runs_times_out_and_can_be_killed(void *arg)
{
        (void)arg;
        sj_child *c;
        int status = 99;
        expect(sj_child_start(sleeps, NULL, &c) == 0);
        expect(sj_child_wait(c, &status, SJ_POLL) == -ETIMEDOUT);
        expect(sj_child_wait(c, &status, sj_after(SJ_MS)) == -ETIMEDOUT);
        expect(status == 99);
        expect(sj_child_kill(c, SIGTERM) == 0);
        expect(sj_child_wait(c, &status, SJ_NEVER) == 0);
        expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
        sj_child_free(c);
        return 0;
}

static int wait_7(void *arg)
{
        int status = -1;
        expect(sj_child_wait(arg, &status, SJ_NEVER) == 0);
        expect(WEXITSTATUS(status) == 7);
        return 0;
}

static int wait_aborted(void *arg)
{
        int status = 99;
        expect(sj_child_wait(arg, &status, SJ_NEVER) == -EBADF && status == 99);
        return 0;
}

static int several_fibers_wait_for_a_child(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_child *c = start_shell("read line; exit 7", &(sj_child_options){.in = 0});
        for (int i = 0; i < 3; i++)
                expect(sj_spawn(s, wait_7, c, NULL) == 0);
        expect(sj_scope_join(s) == 0);
        sj_child_free(c);
        expect(sj_child_start(sleeps, NULL, &c) == 0);
        for (int i = 0; i < 3; i++)
                expect(sj_spawn(s, wait_aborted, c, NULL) == 0);
        expect(sj_yield() == 0);
        int pid = sj_child_pid(c);
        sj_child_free(c);
        /* It is gone and reaped. */
        expect(kill(pid, 0) < 0 && errno == ESRCH);
        sj_child_free(NULL);
        return sj_scope_join(s);
}

static int a_wait_for_a_child_can_be_cancelled(void *arg)
{
        (void)arg;
        sj_child *c;
        expect(sj_child_start(sleeps, NULL, &c) == 0);
        {
                SJ_SCOPE(s, sj_after(SJ_MS), 0);
                expect(sj_child_wait(c, NULL, SJ_NEVER) == -ECANCELED);
                expect(sj_child_wait(c, NULL, SJ_NEVER) == -ECANCELED);
        }
        expect(sj_child_wait(c, NULL, SJ_POLL) == -ETIMEDOUT);
        sj_child_free(c);
        return 0;
}

static int what_cannot_be_started_says_why(void *arg)
{
        (void)arg;
        sj_child *c = NULL;
        char *none[] = {NULL};
        expect(sj_child_start(none, NULL, &c) == -EINVAL);
        char *missing[] = {(char[]){"no-such-program-anywhere"}, NULL};
        expect(sj_child_start(missing, NULL, &c) == -ENOENT);
        missing[0] = (char[]){"/no/such/program"};
        expect(sj_child_start(missing, NULL, &c) == -ENOENT);
        missing[0] = (char[]){"/etc/passwd"};
        expect(sj_child_start(missing, NULL, &c) == -EACCES);
        missing[0] = (char[]){""};
        expect(sj_child_start(missing, NULL, &c) == -ENOENT);
        expect(c == NULL);
        return 0;
}

static int read_all(int fd, char *text, size_t size)
{
        size_t n = 0;
        for (;;) {
                ssize_t got = os_read(fd, text + n, size - 1 - n);
                if (got == -EAGAIN) {
                        expect(sj_fd_wait(fd, SJ_READABLE, SJ_NEVER) > 0);
                        continue;
                }
                expect(got >= 0);
                if (got == 0)
                        break;
                n += (size_t)got;
        }
        text[n] = '\0';
        return 0;
}

static int a_child_has_the_descriptors_and_the_environment_it_was_given(void *arg)
{
        (void)arg;
        int in[2], out[2];
        char text[256];
        expect(os_pipe(in) == 0 && os_pipe(out) == 0);
        char *const environment[] = {(char[]){"COLOUR=red"}, (char[]){"PATH=/usr/bin:/bin"}, NULL};
        /* Our pipes do not block, and a shell would take that for the end: so it is written first.
         */
        expect(os_write(in[1], "hello\n", 6) == 6);
        /* What it reads comes back; and it lists what is open, which the list itself (3) is. */
        sj_child *c = start_shell("read line; echo $line $COLOUR; echo err >&2; echo /proc/$$/fd/*",
                                  &(sj_child_options){.in = in[0],
                                                      .out = out[1],
                                                      .err = out[1],
                                                      .environment = environment,
                                                      .die_with_parent = true});
        os_close(in[0]);
        os_close(in[1]);
        os_close(out[1]);
        read_all(out[0], text, sizeof(text));
        expect(!strncmp(text, "hello red\nerr\n/proc/", 20));
        for (const char *at = strstr(text, "/fd/"); at; at = strstr(at + 1, "/fd/"))
                expect(atoi(at + 4) <= 3);
        int status;
        expect(sj_child_wait(c, &status, SJ_NEVER) == 0 && status == 0);
        sj_child_free(c);
        sj_fd_forget(out[0]);
        os_close(out[0]);
        return 0;
}

static int signals_are_read_and_given_back(void *arg)
{
        (void)arg;
        const int list[] = {SIGUSR1, SIGUSR2};
        sj_signals *signals;
        expect(sj_signals_open(list, 65, &signals) == -EINVAL);
        expect(sj_signals_open((const int[]){100000}, 1, &signals) == -EINVAL);
        expect(sj_signals_open(list, 2, &signals) == 0);
        expect(sj_signals_next(signals, SJ_POLL) == -ETIMEDOUT);
        expect(kill(getpid(), SIGUSR2) == 0);
        expect(sj_signals_next(signals, SJ_NEVER) == SIGUSR2);
        expect(sj_signals_next(signals, sj_after(SJ_MS)) == -ETIMEDOUT);
        {
                SJ_SCOPE(s, SJ_POLL, 0);
                expect(sj_signals_next(signals, SJ_NEVER) == -ECANCELED);
        }
        sj_signals_close(signals);
        sigset_t blocked;
        expect(sigprocmask(SIG_BLOCK, NULL, &blocked) == 0);
        expect(!sigismember(&blocked, SIGUSR1) && !sigismember(&blocked, SIGUSR2));
        return 0;
}

#define CASES(X)                                                        \
        X(a_child_ends_with_a_status_that_may_be_asked_again)           \
        X(a_child_that_runs_times_out_and_can_be_killed)                \
        X(several_fibers_wait_for_a_child)                              \
        X(a_wait_for_a_child_can_be_cancelled)                          \
        X(what_cannot_be_started_says_why)                              \
        X(a_child_has_the_descriptors_and_the_environment_it_was_given) \
        X(signals_are_read_and_given_back)

#define DEFINE(fn)                                     \
        static void test_##fn(void **state)            \
        {                                              \
                (void)state;                           \
                assert_int_equal(sj_run(fn, NULL), 0); \
        }
#define ROW(fn) {#fn, test_##fn, NULL, NULL, NULL},

CASES(DEFINE)

static void without_a_loop_nothing_is_started(void **state)
{
        (void)state;
        sj_child *c;
        sj_signals *s;
        assert_int_equal(sj_child_start(sleeps, NULL, &c), -EPERM);
        assert_int_equal(sj_signals_open((const int[]){SIGUSR1}, 1, &s), -EPERM);
        assert_int_equal(sj_fd_wait(0, SJ_READABLE, SJ_POLL), -EPERM);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                CASES(ROW) cmocka_unit_test(without_a_loop_nothing_is_started)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
