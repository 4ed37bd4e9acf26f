/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "os/os.h"
#include "os/os_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_MAX = 8192, FAR_FD = 9 };

static os_poller *poller;

static int begin(void **state)
{
        (void)state;
        world_begin();
        return os_poller_new(&poller);
}

static int end(void **state)
{
        (void)state;
        os_poller_free(poller);
        world_end();
        return 0;
}

static void wait_readable(int fd)
{
        os_event e;
        assert_int_equal(os_poller_arm(poller, fd, OS_READABLE, NULL), 0);
        assert_int_equal(os_poller_wait(poller, &e, 1, sj_after(10 * SJ_SEC)), 1);
        os_poller_forget(poller, fd);
}

static int status_of(int pidfd)
{
        int status;
        wait_readable(pidfd);
        assert_int_equal(os_wait_child(pidfd, &status), 0);
        os_close(pidfd);
        return status;
}

static void read_all(int fd, char text[TEXT_MAX])
{
        size_t n = 0;
        for (;;) {
                ssize_t got = os_read(fd, text + n, TEXT_MAX - 1 - n);
                if (got == -EAGAIN) {
                        wait_readable(fd);
                        continue;
                }
                assert_true(got >= 0);
                if (got == 0)
                        break;
                n += (size_t)got;
        }
        text[n] = '\0';
}

/* Runs a shell line, and returns what it wrote to the descriptor number `to`. */
static int shell(const char *line, int to, char text[TEXT_MAX])
{
        char *argv[] = {"sh", "-c", (char *)(uintptr_t)line, NULL};
        int fds[2], pid, pidfd;
        assert_int_equal(os_pipe(fds), 0);
        assert_int_equal(os_set_nonblocking(fds[1], false), 0);
        os_spawn_fd given[] = {{fds[1], to}};
        int error = os_spawn("/bin/sh", argv, NULL, given, 1, true, &pid, &pidfd);
        os_close(fds[1]);
        assert_int_equal(error, 0);
        read_all(fds[0], text);
        os_close(fds[0]);
        return status_of(pidfd);
}

static void child_ends_with_its_status(void **state)
{
        (void)state;
        char text[TEXT_MAX];
        int status = shell("echo hello; exit 3", 1, text);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 3);
        assert_string_equal(text, "hello\n");
}

static void child_that_kills_itself_says_by_what(void **state)
{
        (void)state;
        char text[TEXT_MAX];
        int status = shell("kill -9 $$", 1, text);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void program_that_cannot_be_executed_is_an_error(void **state)
{
        (void)state;
        char *argv[] = {"none", NULL};
        int pid, pidfd;
        assert_int_equal(os_spawn("/nowhere/none", argv, NULL, NULL, 0, false, &pid, &pidfd),
                         -ENOENT);
        assert_int_equal(os_spawn("/etc/passwd", argv, NULL, NULL, 0, false, &pid, &pidfd),
                         -EACCES);
        os_spawn_fd bad[] = {{9999, 1}};
        assert_int_equal(os_spawn("/bin/true", argv, NULL, bad, 1, false, &pid, &pidfd), -EBADF);
        /* None of them is left over. */
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
}

static void child_has_only_the_given_descriptors(void **state)
{
        (void)state;
        char text[TEXT_MAX];
        /* Not close-on-exec, as a foreign library might leave it. */
        int leaky = dup(2);
        assert_true(leaky > 2);
        int far = fcntl(2, F_DUPFD, FAR_FD + 20);
        assert_int_equal(shell("cd /proc/self/fd; for f in *; do "
                               "[ -e $f ] && echo \"$f $(readlink $f)\"; done >&9; true",
                               FAR_FD, text),
                         0);
        close(leaky);
        close(far);
        int n = 0;
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), n++) {
                int number = atoi(line);
                if (number < 3 && number != 1)
                        assert_non_null(strstr(line, "/dev/null"));
                /* The shell keeps copies above 9 while it redirects. */
                assert_true(number != leaky && number != far);
        }
        assert_true(n >= 4);
}

static void descriptors_can_change_places(void **state)
{
        (void)state;
        int a[2], b[2], pid, pidfd;
        char *argv[] = {"sh", "-c", (char[]){"echo one >&3; echo two >&4"}, NULL};
        char text[TEXT_MAX];
        /* Numbers that collide crosswise: each one's target is the other's source. */
        assert_int_equal(os_pipe(a), 0);
        assert_int_equal(os_pipe(b), 0);
        os_spawn_fd given[] = {{a[1], b[1]}, {b[1], a[1]}, {a[1], 3 + 97}, {a[1], 3}, {b[1], 4}};
        bool clash = a[1] == 3 || a[1] == 4 || b[1] == 3 || b[1] == 4;
        os_spawn_fd *first = clash ? given + 3 : given;
        size_t n = clash ? 2 : 5;
        assert_int_equal(os_spawn("/bin/sh", argv, NULL, first, n, false, &pid, &pidfd), 0);
        os_close(a[1]);
        os_close(b[1]);
        read_all(a[0], text);
        assert_string_equal(text, "one\n");
        read_all(b[0], text);
        assert_string_equal(text, "two\n");
        os_close(a[0]);
        os_close(b[0]);
        assert_int_equal(status_of(pidfd), 0);
}

static void child_starts_with_default_signals(void **state)
{
        (void)state;
        char text[TEXT_MAX];
        sigset_t set, before;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        pthread_sigmask(SIG_BLOCK, &set, &before);
        signal(SIGPIPE, SIG_IGN);
        signal(SIGUSR2, SIG_IGN);
        int status = shell("exec cat /proc/self/status", 1, text);
        signal(SIGPIPE, SIG_DFL);
        signal(SIGUSR2, SIG_DFL);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        assert_int_equal(status, 0);
        assert_non_null(strstr(text, "SigBlk:\t0000000000000000"));
        assert_non_null(strstr(text, "SigIgn:\t0000000000000000"));
}

static void environment_can_be_given(void **state)
{
        (void)state;
        int fds[2], pid, pidfd;
        char text[TEXT_MAX];
        char *argv[] = {"sh", "-c", (char[]){"echo $SQUIRREL"}, NULL};
        char *environment[] = {"SQUIRREL=red", NULL};
        assert_int_equal(os_pipe(fds), 0);
        os_spawn_fd given[] = {{fds[1], 1}};
        assert_int_equal(os_spawn("/bin/sh", argv, environment, given, 1, false, &pid, &pidfd), 0);
        os_close(fds[1]);
        read_all(fds[0], text);
        assert_string_equal(text, "red\n");
        os_close(fds[0]);
        assert_int_equal(status_of(pidfd), 0);
}

static void running_child_is_waited_for_and_killed_by_its_descriptor(void **state)
{
        (void)state;
        char *argv[] = {"cat", NULL};
        int fds[2], pid, pidfd, status;
        assert_int_equal(os_pipe(fds), 0);
        assert_int_equal(os_set_nonblocking(fds[0], false), 0);
        os_spawn_fd given[] = {{fds[0], 0}};
        assert_int_equal(os_spawn("/bin/cat", argv, NULL, given, 1, true, &pid, &pidfd), 0);
        assert_true(pid > 0);
        assert_int_equal(os_wait_child(pidfd, &status), -EAGAIN);
        assert_int_equal(os_kill(pidfd, SIGTERM), 0);
        status = status_of(pidfd);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
        os_close(fds[0]);
        os_close(fds[1]);
}

static void grandchild_dies_with_the_child(void **state)
{
        (void)state;
        int fds[2], life[2];
        char byte;
        assert_int_equal(os_pipe(fds), 0);
        assert_int_equal(os_pipe(life), 0);
        assert_int_equal(os_set_nonblocking(life[0], false), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                /* The grandchild holds the pipe's write end as long as it lives. */
                char *argv[] = {"cat", NULL};
                int pid, pidfd;
                os_spawn_fd given[] = {{life[0], 0}, {fds[1], 5}};
                if (os_spawn("/bin/cat", argv, NULL, given, 2, true, &pid, &pidfd) == 0)
                        if (os_write(fds[1], "s", 1) == 1)
                                kill(getpid(), SIGKILL);
                _exit(1);
        }
        int status;
        assert_int_equal(TEMP_FAILURE_RETRY(waitpid(child, &status, 0)), child);
        assert_int_equal(status, SIGKILL);
        os_close(fds[1]);
        wait_readable(fds[0]);
        assert_int_equal(os_read(fds[0], &byte, 1), 1);
        ssize_t got;
        while ((got = os_read(fds[0], &byte, 1)) == -EAGAIN)
                wait_readable(fds[0]);
        assert_int_equal(got, 0);
        os_close(fds[0]);
        os_close(life[0]);
        os_close(life[1]);
}

static void signals_come_as_readiness(void **state)
{
        (void)state;
        sigset_t before;
        pthread_sigmask(SIG_SETMASK, NULL, &before);
        int fd = os_signal_open((int[]){SIGUSR1, SIGHUP}, 2);
        assert_true(fd >= 0);
        assert_int_equal(os_signal_next(fd), -EAGAIN);
        assert_int_equal(kill(getpid(), SIGHUP), 0);
        wait_readable(fd);
        assert_int_equal(os_signal_next(fd), SIGHUP);
        assert_int_equal(os_signal_next(fd), -EAGAIN);
        os_close(fd);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void process_knows_itself(void **state)
{
        (void)state;
        char text[TEXT_MAX];
        assert_int_equal(os_pid(), getpid());
        assert_int_equal(os_user(), geteuid());
        assert_int_equal(os_self_path(text, sizeof(text)), 0);
        assert_int_equal(text[0], '/');
        assert_int_equal(os_self_path(text, 4), -ENAMETOOLONG);
        assert_int_equal(os_host_name(text, sizeof(text)), 0);
        assert_true(os_processors() >= 1);
}

static void memory_of_a_process_is_seen(void **state)
{
        (void)state;
        enum { MORE = 32 << 20 };
        uint64_t before, after;
        assert_int_equal(os_process_memory(getpid(), &before), 0);
        char *more = os_map(MORE);
        assert_non_null(more);
        memset(more, 1, MORE);
        assert_int_equal(os_process_memory(getpid(), &after), 0);
        os_unmap(more, MORE);
        /* ThreadSanitizer keeps twice as much for itself beside each byte. */
        assert_in_range(after - before, MORE - (1 << 20), 4 * MORE);
        assert_int_equal(os_process_memory(-1, &after), -ESRCH);
}

static void signal_that_interrupts_ends_a_call_that_blocks(void **state)
{
        (void)state;
        int fds[2];
        char byte;
        struct sigaction before;
        sigaction(SIGUSR2, NULL, &before);
        assert_int_equal(pipe(fds), 0);
        assert_int_equal(os_signal_interrupts(SIGUSR2), 0);
        assert_int_equal(os_signal_interrupts(10000), -EINVAL);
        pid_t teller = fork();
        if (teller == 0) {
                /* Again and again, since the first may come before the call. */
                while (kill(getppid(), SIGUSR2) == 0)
                        usleep(5000);
                _exit(0);
        }
        assert_int_equal(read(fds[0], &byte, 1), -1);
        assert_int_equal(errno, EINTR);
        kill(teller, SIGKILL);
        while (waitpid(teller, NULL, 0) < 0)
                assert_int_equal(errno, EINTR);
        close(fds[0]);
        close(fds[1]);
        sigaction(SIGUSR2, &before, NULL);
}

#define WITH_POLLER(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
                WITH_POLLER(child_ends_with_its_status),
                WITH_POLLER(child_that_kills_itself_says_by_what),
                WITH_POLLER(program_that_cannot_be_executed_is_an_error),
                WITH_POLLER(child_has_only_the_given_descriptors),
                WITH_POLLER(descriptors_can_change_places),
                WITH_POLLER(child_starts_with_default_signals),
                WITH_POLLER(environment_can_be_given),
                WITH_POLLER(running_child_is_waited_for_and_killed_by_its_descriptor),
                WITH_POLLER(grandchild_dies_with_the_child),
                WITH_POLLER(signals_come_as_readiness),
                WITH_POLLER(memory_of_a_process_is_seen),
                WITH_POLLER(signal_that_interrupts_ends_a_call_that_blocks),
                WITH_POLLER(process_knows_itself),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
