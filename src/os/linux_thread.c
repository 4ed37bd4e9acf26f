/* SPDX-License-Identifier: MIT */
/*
 * Threads and futexes.
 *
 * A thread starts with signals blocked, so that the program's handlers and the descriptor of
 * os_signal_open decide where a signal lands. What a thread's own instructions raise (SIGSEGV and
 * its kin) stays open: blocked, it would end the process without the report of who overflowed.
 */
#include "os/os.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NAME_SIZE = 16 };

struct os_thread {
        pthread_t id;
        void *(*body)(void *);
        void *arg;
        char name[NAME_SIZE];
};

static void *thread_main(void *arg)
{
        os_thread *t = arg;
        pthread_setname_np(pthread_self(), t->name);
        return t->body(t->arg);
}

static void block_signals(sigset_t *ret_before)
{
        static const int own_fault[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                                        SIGTRAP, SIGABRT, SIGSYS, SIGPROF};
        sigset_t blocked;
        sigfillset(&blocked);
        for (size_t i = 0; i < sizeof(own_fault) / sizeof(own_fault[0]); i++)
                sigdelset(&blocked, own_fault[i]);
        pthread_sigmask(SIG_SETMASK, &blocked, ret_before);
}

int os_thread_start(void *(*body)(void *), void *arg, const char *name, os_thread **ret)
{
        os_thread *t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        t->body = body;
        t->arg = arg;
        strncpy(t->name, name, NAME_SIZE - 1);
        sigset_t before;
        block_signals(&before);
        int error = pthread_create(&t->id, NULL, thread_main, t);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (error) {
                free(t);
                return -error;
        }
        *ret = t;
        return 0;
}

void os_thread_join(os_thread *thread)
{
        if (!thread)
                return;
        pthread_join(thread->id, NULL);
        free(thread);
}

static pthread_key_t end_key;
static int end_key_error;
static _Thread_local void (*at_end)(void);

static void thread_ends(void *value)
{
        (void)value;
        if (at_end)
                at_end();
}

static void make_end_key(void)
{
        end_key_error = pthread_key_create(&end_key, thread_ends);
}

int os_at_thread_end(void (*fn)(void))
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        pthread_once(&once, make_end_key);
        at_end = fn;
        if (end_key_error || pthread_setspecific(end_key, fn ? &at_end : NULL) != 0)
                return -ENOMEM;
        return 0;
}

static int operation(int op, bool shared)
{
        return shared ? op : op | FUTEX_PRIVATE_FLAG;
}

int os_futex_wait(_Atomic uint32_t *word, uint32_t expected, sj_time deadline, bool shared)
{
        /* The bit set form takes an absolute time on CLOCK_MONOTONIC. */
        if (deadline < 0)
                deadline = 0;
        struct timespec t = {.tv_sec = deadline / SJ_SEC, .tv_nsec = deadline % SJ_SEC};
        long error = syscall(SYS_futex, word, operation(FUTEX_WAIT_BITSET, shared), expected,
                             deadline == SJ_NEVER ? NULL : &t, NULL, FUTEX_BITSET_MATCH_ANY);
        if (error == 0 || errno == EINTR)
                return 0;
        return -errno;
}

void os_futex_wake(_Atomic uint32_t *word, unsigned most, bool shared)
{
        int n = most > INT32_MAX ? INT32_MAX : (int)most;
        syscall(SYS_futex, word, operation(FUTEX_WAKE, shared), n, NULL, NULL, 0);
}
