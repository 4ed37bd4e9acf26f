/* SPDX-License-Identifier: MIT */
/*
 * For tests: a storm of signals. Linked into each test of the real system; with SANJAB_STORM=N in
 * the environment a signal comes every N microseconds, from the beginning of the program to its
 * end, in whichever thread takes it, and ends what that blocks in with EINTR. The programs that it
 * starts from itself inherit the storm with the environment. The tests must pass as ever.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>

static void take(int signo)
{
        (void)signo;
}

__attribute__((constructor)) static void begin(void)
{
        const char *text = getenv("SANJAB_STORM");
        if (!text)
                return;
        struct sigaction action = {.sa_handler = take}; /* without SA_RESTART */
        struct timeval each = {.tv_usec = atoi(text)};
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &(struct itimerval){.it_interval = each, .it_value = each}, NULL);
}
