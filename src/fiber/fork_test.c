/* SPDX-License-Identifier: MIT */
/*
 * A fork inside of a fiber: the parent goes on as if nothing had happened; in the child no other
 * fiber runs, and what would need the loop says so.
 */
#include "fiber/real_unit.h"

#include <sanjab/chan.h>
#include <sanjab/fiber.h>
#include <sanjab/process.h>
#include <sanjab/select.h>

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Forks; true in the child, whose standard error goes to *ret_fd. */
static bool fork_off(pid_t *ret_pid, int *ret_fd)
{
        int fds[2];
        expect(pipe(fds) == 0);
        pid_t pid = fork();
        expect(pid >= 0);
        if (pid == 0) {
                setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
                signal(SIGABRT, SIG_DFL); /* cmocka takes these for itself */
                signal(SIGSEGV, SIG_DFL);
                dup2(fds[1], STDERR_FILENO);
                return true;
        }
        close(fds[1]);
        *ret_pid = pid;
        *ret_fd = fds[0];
        return false;
}

/* Waits in the loop for the child's end; what it said, and its status. */
static int end_of(pid_t pid, int fd, char text[static 1024])
{
        size_t n = 0;
        ssize_t got = 1;
        int status;
        while (got > 0) {
                expect_equal(sj_fd_wait(fd, SJ_READABLE, SJ_NEVER), SJ_READABLE);
                got = read(fd, text + n, 1023 - n);
                n += got > 0 ? (size_t)got : 0;
        }
        text[n] = '\0';
        sj_fd_forget(fd);
        close(fd);
        expect(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)) == pid);
        return status;
}

static void expect_good_end(pid_t pid, int fd)
{
        char text[1024];
        int status = end_of(pid, fd, text);
        if (status != 0)
                fprintf(stderr, "status %d: %s\n", status, text);
        expect_equal(status, 0);
}

static void expect_abort(pid_t pid, int fd, const char *why)
{
        char text[1024];
        int status = end_of(pid, fd, text);
        if (!strstr(text, why))
                fprintf(stderr, "it said: %s\n", text);
        expect(strstr(text, why));
        expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static int count(void *arg)
{
        for (int i = 0; i < 10; i++) {
                ++*(int *)arg;
                expect_equal(sj_yield(), 0);
        }
        return 0;
}

static int the_child_is_outside_of_all_fibers(void *arg)
{
        (void)arg;
        int counted = 0, fd;
        pid_t pid;
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect_equal(sj_spawn(s, count, &counted, NULL), 0);
        if (fork_off(&pid, &fd)) {
                expect(!sj_loop_current() && !sj_fiber_self());
                expect_equal(sj_yield(), -EPERM);
                expect_equal(sj_sleep(SJ_MS), -EPERM);
                expect_equal(sj_scope_join(s), -EPERM);
                expect_equal(sj_spawn(s, count, &counted, NULL), -EXDEV);
                expect_equal(counted, 0);
                _exit(0);
        }
        expect_good_end(pid, fd);
        expect_equal(sj_scope_join(s), 0);
        expect_equal(counted, 10);
        return 0;
}

static int sleeps(void *arg)
{
        (void)arg;
        return sj_sleep(SJ_MS);
}

static int reads_a_pipe(void *arg)
{
        int fds[2], *counted = arg;
        char byte;
        expect(pipe(fds) == 0);
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect_equal(sj_spawn(s, count, counted, NULL), 0);
        expect_equal(sj_spawn(s, sleeps, NULL, NULL), 0);
        expect_equal(sj_fd_wait(fds[0], SJ_READABLE, sj_after(SJ_MS)), -ETIMEDOUT);
        expect(write(fds[1], "x", 1) == 1);
        expect_equal(sj_fd_wait(fds[0], SJ_READABLE, SJ_NEVER), SJ_READABLE);
        expect(read(fds[0], &byte, 1) == 1);
        return sj_scope_join(s);
}

static int the_child_may_run_a_loop_of_its_own(void *arg)
{
        (void)arg;
        int counted = 0, fd;
        pid_t pid;
        if (fork_off(&pid, &fd)) {
                for (int i = 0; i < 2; i++)
                        expect_equal(sj_run(reads_a_pipe, &counted), 0);
                expect_equal(counted, 20);
                _exit(0);
        }
        expect_good_end(pid, fd);
        expect_equal(counted, 0);
        return 0;
}

static int becomes_readable(void *arg)
{
        return sj_fd_wait(*(int *)arg, SJ_READABLE, SJ_NEVER) == SJ_READABLE ? 0 : -EIO;
}

static int takes_a_signal(void *arg)
{
        return sj_signals_next(arg, SJ_NEVER);
}

/* Both processes have the description open, so that epoll would go on, or stop, for both. */
static int what_the_child_closes_the_parent_still_waits_for(void *arg)
{
        (void)arg;
        int pair[2], fd;
        pid_t pid;
        expect(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        int signals[] = {SIGUSR1};
        sj_signals *usr1;
        expect_equal(sj_signals_open(signals, 1, &usr1), 0);
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *taker;
        expect_equal(sj_spawn(s, becomes_readable, &pair[0], NULL), 0);
        expect_equal(sj_signals_next(usr1, sj_after(SJ_US)), -ETIMEDOUT);
        if (fork_off(&pid, &fd)) {
                sj_fd_forget(pair[0]);
                close(pair[0]);
                sj_signals_close(usr1);
                _exit(0);
        }
        expect_good_end(pid, fd);
        expect(write(pair[1], "x", 1) == 1);
        expect_equal(sj_spawn(s, takes_a_signal, usr1, &taker), 0);
        expect_equal(sj_sleep(SJ_US), 0);
        expect(kill(getpid(), SIGUSR1) == 0);
        expect_equal(sj_join(taker, SJ_NEVER), SIGUSR1);
        expect_equal(sj_scope_join(s), 0);
        sj_signals_close(usr1);
        sj_fd_forget(pair[0]);
        close(pair[0]);
        close(pair[1]);
        return 0;
}

struct forked {
        pid_t pid;
        int fd;
};

static int returns_in_both(void *arg)
{
        struct forked *f = arg;
        fork_off(&f->pid, &f->fd);
        return 0;
}

static int leaves_a_scope_in_both(void *arg)
{
        struct forked *f = arg;
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                if (!fork_off(&f->pid, &f->fd))
                        return 0;
        }
        _exit(0);
}

static int a_child_that_goes_on_is_told_and_ends(void *arg)
{
        (void)arg;
        struct forked f;
        sj_fn *const mistakes[] = {returns_in_both, leaves_a_scope_in_both};
        for (size_t i = 0; i < 2; i++) {
                SJ_SCOPE(s, SJ_NEVER, 0);
                expect_equal(sj_spawn(s, mistakes[i], &f, NULL), 0);
                expect_equal(sj_scope_join(s), 0);
                expect_abort(f.pid, f.fd, "the child of a fork came to the end");
        }
        return 0;
}

static int receives(void *arg)
{
        int item;
        return sj_chan_recv(arg, &item, SJ_NEVER);
}

static int a_child_that_wakes_a_fiber_is_told_and_ends(void *arg)
{
        (void)arg;
        struct forked f;
        int item = 0;
        sj_chan *c;
        expect_equal(sj_chan_new(sizeof(item), 1, &c), 0);
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect_equal(sj_spawn(s, receives, c, NULL), 0);
        expect_equal(sj_yield(), 0);
        if (fork_off(&f.pid, &f.fd)) {
                sj_chan_close(c);
                _exit(0);
        }
        expect_abort(f.pid, f.fd, "or by the child of a fork: in fiber \"receives\"");
        expect_equal(sj_chan_send(c, &item, SJ_NEVER), 0);
        expect_equal(sj_scope_join(s), 0);
        sj_chan_free(c);
        return 0;
}

#define CASES(X)                                            \
        X(the_child_is_outside_of_all_fibers)               \
        X(the_child_may_run_a_loop_of_its_own)              \
        X(what_the_child_closes_the_parent_still_waits_for) \
        X(a_child_that_goes_on_is_told_and_ends)            \
        X(a_child_that_wakes_a_fiber_is_told_and_ends)

#define DEFINE(fn)                                 \
        static void test_##fn(void **state)        \
        {                                          \
                (void)state;                       \
                expect_equal(sj_run(fn, NULL), 0); \
        }
#define ROW(fn) {#fn, test_##fn, NULL, NULL, NULL},

CASES(DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {CASES(ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
