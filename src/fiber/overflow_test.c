/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "fiber/overflow.h"

#include "fiber/context.h"
#include "fiber/stack.h"
#include "os/os.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct named {
        context context;
        const char *name;
} named;

/* One loop's worth, for a thread. */
static _Thread_local stack_pool pool;
static _Thread_local context home;

static bool describe(void *address, const char **ret_name, const char **ret_where)
{
        bool in_guard;
        stack *s = stack_owns(&pool, address, &in_guard);
        if (!s || !in_guard)
                return false;
        *ret_name = ((named *)s->object)->name;
        *ret_where = "overflow_test.c:1";
        return true;
}

__attribute__((noinline)) static int descend(int depth)
{
        volatile char frame[512];
        frame[0] = (char)depth;
        return depth == 0 ? 0 : descend(depth - 1) + frame[0];
}

static void deep(void *arg)
{
        named *fiber = arg;
        descend(1 << 20);
        context_switch_last(&fiber->context, &home);
}

static void array(void *arg)
{
        named *fiber = arg;
        /* The end of an array that no page of the guard but a deep one would catch. */
        volatile char *low = (volatile char *)__builtin_frame_address(0) - STACK_SIZE - 8192;
        low[0] = 1;
        context_switch_last(&fiber->context, &home);
}

static void wild(void *arg)
{
        named *fiber = arg;
        void *page = os_map(4096);
        os_guard(page, 4096);
        *(volatile char *)page = 1;
        context_switch_last(&fiber->context, &home);
}

static void run_fiber(void (*body)(void *))
{
        stack *s, *neighbour;
        stack_pool_init(&pool, sizeof(named));
        assert_int_equal(stack_alloc(&pool, &neighbour), 0);
        assert_int_equal(stack_alloc(&pool, &s), 0);
        named *fiber = s->object;
        fiber->name = "digger";
        assert_int_equal(overflow_install(describe), 0);
        context_thread(&home);
        context_make(&fiber->context, s->low, s->size, body, fiber);
        context_switch(&home, &fiber->context);
        overflow_remove();
        stack_pool_fini(&pool);
}

/* Runs act in a child, with its standard error in text; returns its status as waitpid's. */
static int in_child(void (*act)(void), char text[static 4096])
{
        int fds[2], status;
        size_t n = 0;
        ssize_t r;
        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
                /* cmocka takes these for itself. */
                signal(SIGSEGV, SIG_DFL);
                signal(SIGABRT, SIG_DFL);
                dup2(fds[1], 2);
                act();
                _exit(0);
        }
        close(fds[1]);
        while ((r = read(fds[0], text + n, 4095 - n)) > 0)
                n += (size_t)r;
        text[n] = '\0';
        close(fds[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        return status;
}

static void assert_names_the_fiber(const char *text)
{
        char expected[200];
        snprintf(
                expected, sizeof(expected),
                "fiber \"digger\" (spawned at overflow_test.c:1) overflowed its stack of %zu KiB\n",
                STACK_SIZE / 1024);
        assert_non_null(strstr(text, expected));
}

static void act_deep(void)
{
        run_fiber(deep);
}

static void test_deep_recursion_names_the_fiber_and_aborts(void **state)
{
        (void)state;
        char text[4096];
        int status = in_child(act_deep, text);
        assert_names_the_fiber(text);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void act_array(void)
{
        run_fiber(array);
}

static void test_a_large_frame_does_not_step_over_the_guard(void **state)
{
        (void)state;
        char text[4096];
        int status = in_child(act_array, text);
        assert_names_the_fiber(text);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void *thread_deep(void *arg)
{
        run_fiber(deep);
        return arg;
}

static void act_thread(void)
{
        pthread_t thread;
        assert_int_equal(overflow_install(describe), 0);
        pthread_create(&thread, NULL, thread_deep, NULL);
        pthread_join(thread, NULL);
}

static void test_a_second_threads_fiber_is_named_too(void **state)
{
        (void)state;
        char text[4096];
        in_child(act_thread, text);
        assert_names_the_fiber(text);
}

static void act_wild(void)
{
        run_fiber(wild);
}

/* A sanitizer's own handler is the one of before, and tells about the fault in its way. */
#if !SANITIZE_ANY
static void test_another_fault_dies_as_ever(void **state)
{
        (void)state;
        char text[4096];
        int status = in_child(act_wild, text);
        assert_null(strstr(text, "overflowed"));
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}
#endif

static void former(int signo, siginfo_t *info, void *machine)
{
        (void)machine;
        (void)info;
        static const char text[] = "former\n";
        _exit(write(2, text, sizeof(text) - 1) > 0 && signo == SIGSEGV ? 7 : 8);
}

static void act_chained(void)
{
        struct sigaction action = {.sa_sigaction = former, .sa_flags = SA_SIGINFO};
        sigaction(SIGSEGV, &action, NULL);
        act_wild();
}

static void test_another_fault_goes_to_the_handler_of_before(void **state)
{
        (void)state;
        char text[4096];
        int status = in_child(act_chained, text);
        assert_string_equal(text, "former\n");
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

#if !SANITIZE_ANY
static void act_sent(void)
{
        assert_int_equal(overflow_install(describe), 0);
        kill(getpid(), SIGSEGV);
        for (;;)
                pause();
}

static void test_a_signal_that_was_sent_kills(void **state)
{
        (void)state;
        char text[4096];
        int status = in_child(act_sent, text);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}
#endif

static void test_removal_restores_what_was_there(void **state)
{
        (void)state;
        struct sigaction before, during, after;
        stack_t stack_before, stack_after;
        sigaction(SIGSEGV, NULL, &before);
        sigaltstack(NULL, &stack_before);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(overflow_install(describe), 0);
                assert_int_equal(overflow_install(describe), -EBUSY);
                sigaction(SIGSEGV, NULL, &during);
                assert_true(during.sa_sigaction != before.sa_sigaction);
                overflow_remove();
                overflow_remove();
                sigaction(SIGSEGV, NULL, &after);
                assert_true(after.sa_sigaction == before.sa_sigaction);
                sigaltstack(NULL, &stack_after);
                assert_int_equal(stack_after.ss_flags, stack_before.ss_flags);
                assert_true(stack_before.ss_flags & SS_DISABLE ||
                            stack_before.ss_sp == stack_after.ss_sp);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_deep_recursion_names_the_fiber_and_aborts),
                cmocka_unit_test(test_a_large_frame_does_not_step_over_the_guard),
                cmocka_unit_test(test_a_second_threads_fiber_is_named_too),
#if !SANITIZE_ANY
                cmocka_unit_test(test_another_fault_dies_as_ever),
                cmocka_unit_test(test_a_signal_that_was_sent_kills),
#endif
                cmocka_unit_test(test_another_fault_goes_to_the_handler_of_before),
                cmocka_unit_test(test_removal_restores_what_was_there),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
