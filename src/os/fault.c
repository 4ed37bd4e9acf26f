/* SPDX-License-Identifier: MIT */
/*
 * Faults: who wants to look at a touch of forbidden memory before the program dies of it.
 *
 * A signal's treatment belongs to the process and its stack to the thread, so this has both:
 *
 *         process   our handler of SIGSEGV, with what was there before it; how many threads
 *                   want it. The last thread to leave puts the former one back, unless somebody
 *                   has meanwhile put his own before ours and may call it: then ours stays, and
 *                   hands all on.
 *         thread    the function that looks first, and a stack for it, since the fault that
 *                   matters is that of a thread whose stack is at its end. A stack that the
 *                   thread already has is used and left alone.
 *
 * What nobody wants goes to the former handler, as if ours had not been there.
 */
#include "os/os.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

enum { FAULT_STACK = 64 * 1024 };

/* The one thing of the process that this file owns is its treatment of one signal. */
static struct {
        pthread_mutex_t lock;
        unsigned threads; /* that have a function */
        bool installed;
        struct sigaction former;
} process = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Initial-exec: a handler must not be the first to touch it, which could allocate. */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct {
        os_fault_fn *look;
        void *arg;
        void *stack; /* ours, or NULL */
} thread;

/* Dies of the signal, as it would have without us. */
static void fault_default(int signo, const siginfo_t *info)
{
        struct sigaction standard = {.sa_handler = SIG_DFL};
        sigaction(signo, &standard, NULL);
        /* A fault happens again when the handler returns; a signal that was sent does not. */
        if (info->si_code <= 0)
                raise(signo);
}

static void fault_hand_on(int signo, siginfo_t *info, void *machine)
{
        const struct sigaction *former = &process.former;
        if (former->sa_flags & SA_SIGINFO) {
                former->sa_sigaction(signo, info, machine);
        } else if (former->sa_handler == SIG_IGN && info->si_code <= 0) {
                return;
        } else if (former->sa_handler == SIG_DFL || former->sa_handler == SIG_IGN) {
                fault_default(signo, info);
        } else {
                former->sa_handler(signo);
        }
}

static void fault_handler(int signo, siginfo_t *info, void *machine)
{
        int error = errno;
        if (!thread.look || info->si_code <= 0 || !thread.look(info->si_addr, thread.arg))
                fault_hand_on(signo, info, machine);
        errno = error;
}

static int process_join(void)
{
        int r = 0;
        pthread_mutex_lock(&process.lock);
        if (!process.installed) {
                struct sigaction ours = {.sa_sigaction = fault_handler,
                                         .sa_flags = SA_SIGINFO | SA_ONSTACK};
                sigemptyset(&ours.sa_mask);
                if (sigaction(SIGSEGV, NULL, &process.former) < 0 ||
                    sigaction(SIGSEGV, &ours, NULL) < 0)
                        r = -errno;
                else
                        process.installed = true;
        }
        if (r == 0)
                process.threads++;
        pthread_mutex_unlock(&process.lock);
        return r;
}

static void process_leave(void)
{
        struct sigaction now;
        pthread_mutex_lock(&process.lock);
        if (--process.threads == 0 && sigaction(SIGSEGV, NULL, &now) == 0 &&
            (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == fault_handler) {
                sigaction(SIGSEGV, &process.former, NULL);
                process.installed = false;
        }
        pthread_mutex_unlock(&process.lock);
}

static int thread_take_stack(void)
{
        stack_t now;
        if (sigaltstack(NULL, &now) < 0)
                return -errno;
        if (!(now.ss_flags & SS_DISABLE))
                return 0;
        stack_t ours = {.ss_sp = os_map(FAULT_STACK), .ss_size = FAULT_STACK};
        if (!ours.ss_sp)
                return -ENOMEM;
        if (sigaltstack(&ours, NULL) < 0) {
                int error = -errno;
                os_unmap(ours.ss_sp, FAULT_STACK);
                return error;
        }
        thread.stack = ours.ss_sp;
        return 0;
}

static void thread_drop_stack(void)
{
        stack_t now;
        if (!thread.stack)
                return;
        /* Whoever has replaced it keeps his own. */
        if (sigaltstack(NULL, &now) == 0 && now.ss_sp == thread.stack)
                sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
        os_unmap(thread.stack, FAULT_STACK);
        thread.stack = NULL;
}

int os_fault_open(os_fault_fn *look, void *arg)
{
        if (thread.look)
                return -EBUSY;
        int r = thread_take_stack();
        if (r < 0)
                return r;
        thread.arg = arg;
        thread.look = look;
        r = process_join();
        if (r < 0) {
                thread.look = NULL;
                thread_drop_stack();
        }
        return r;
}

void os_fault_close(void)
{
        if (!thread.look)
                return;
        process_leave();
        thread.look = NULL;
        thread_drop_stack();
}
