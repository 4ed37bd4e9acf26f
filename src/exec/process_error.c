/* SPDX-License-Identifier: MIT */
/* How a process ended, in words. */
#include <sanjab/exec.h>

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

static const struct {
        int signo;
        const char *name;
} names[] = {
        {SIGABRT, "SIGABRT"}, {SIGALRM, "SIGALRM"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
        {SIGHUP, "SIGHUP"},   {SIGILL, "SIGILL"},   {SIGINT, "SIGINT"},   {SIGKILL, "SIGKILL"},
        {SIGPIPE, "SIGPIPE"}, {SIGQUIT, "SIGQUIT"}, {SIGSEGV, "SIGSEGV"}, {SIGSYS, "SIGSYS"},
        {SIGTERM, "SIGTERM"}, {SIGTRAP, "SIGTRAP"}, {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"},
        {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"},
};

const char *sj_process_error(int status, char *ret, size_t size)
{
        if (!WIFSIGNALED(status)) {
                snprintf(ret, size, "exited with status %d", WEXITSTATUS(status));
                return ret;
        }
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                if (names[i].signo == WTERMSIG(status)) {
                        snprintf(ret, size, "killed by %s", names[i].name);
                        return ret;
                }
        }
        snprintf(ret, size, "killed by signal %d", WTERMSIG(status));
        return ret;
}
