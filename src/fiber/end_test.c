/* SPDX-License-Identifier: MIT */
/* A process or a thread that ends while its loop has fibers alive. */
#include "fiber/real_unit.h"
#include "fiber/sanitize.h"

#include <sanjab/fiber.h>

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* For LeakSanitizer: what only the stacks of those fibers know counts for it as lost. */
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);
__attribute__((visibility("default"))) int __lsan_is_turned_off(void)
{
        return 1;
}

static int never_ends(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        return sj_sleep_until(SJ_NEVER);
}

static int ends_by(void *arg)
{
        void (*end)(void) = *(void (**)(void))arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect(sj_spawn(s, never_ends, NULL, NULL) == 0);
        expect(sj_yield() == 0);
        end();
        return 0;
}

static void *run_a_loop(void *arg)
{
        sj_run(ends_by, arg);
        return NULL;
}

/* Runs a loop that ends so in a process of its own; its status, and what it said. */
static int in_child(void (*end)(void), bool on_a_thread, char text[static 1024])
{
        int fds[2], status;
        size_t n = 0;
        ssize_t r;
        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                pthread_t thread;
                setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
                signal(SIGABRT, SIG_DFL); /* cmocka takes it for itself */
                dup2(fds[1], 2);
                if (!on_a_thread)
                        run_a_loop(&end);
                else if (pthread_create(&thread, NULL, run_a_loop, &end) == 0)
                        pthread_join(thread, NULL);
                _exit(77);
        }
        close(fds[1]);
        while ((r = read(fds[0], text + n, 1023 - n)) > 0)
                n += (size_t)r;
        text[n] = '\0';
        close(fds[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        return status;
}

static void exits(void)
{
        exit(3);
}

static void ends_its_thread(void)
{
        pthread_exit(NULL);
}

static void is_cancelled(void)
{
        pthread_cancel(pthread_self());
        pthread_testcancel();
}

static void a_fiber_may_end_the_process(void **state)
{
        (void)state;
        char text[1024];
        for (int on_a_thread = 0; on_a_thread < 2; on_a_thread++) {
                int status = in_child(exits, on_a_thread, text);
                assert_string_equal(text, "");
                assert_true(WIFEXITED(status));
                assert_int_equal(WEXITSTATUS(status), 3);
        }
}

static void a_thread_that_ends_with_fibers_alive_says_so(void **state)
{
        (void)state;
        char text[1024];
        void (*const ends[])(void) = {ends_its_thread, is_cancelled};
        if (SANITIZE_THREAD) /* which ends its own fiber with the thread, and crashes */
                skip();
        for (int i = 0; i < 4; i++) {
                int status = in_child(ends[i % 2], i / 2, text);
                assert_non_null(strstr(text, "while fibers of its loop were alive"));
                assert_true(WIFSIGNALED(status));
                assert_int_equal(WTERMSIG(status), SIGABRT);
        }
}

static int goes_on(void *arg)
{
        (void)arg;
        return sj_sleep(SJ_US);
}

static void *run_and_exit(void *arg)
{
        for (int i = 0; i < 2; i++)
                expect(sj_run(goes_on, arg) == 0);
        pthread_exit(arg);
}

static void a_thread_whose_loop_has_ended_may_end(void **state)
{
        pthread_t thread;
        void *got = NULL;
        assert_int_equal(pthread_create(&thread, NULL, run_and_exit, state), 0);
        assert_int_equal(pthread_join(thread, &got), 0);
        assert_ptr_equal(got, state);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_fiber_may_end_the_process),
                cmocka_unit_test(a_thread_that_ends_with_fibers_alive_says_so),
                cmocka_unit_test(a_thread_whose_loop_has_ended_may_end),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
