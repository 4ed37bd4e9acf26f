/* SPDX-License-Identifier: MIT */
/*
 * What this process is, its signals as a descriptor, and its children's ends.
 *
 * Children are known by their pidfd alone: a process number may be somebody else's by the time
 * it is used, a pidfd never is. How one is started is a matter of its own: linux_spawn.c.
 */
#include "os/linux_child.h"
#include "os/os.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_BY_PIDFD = 3, PROCESSORS_MOST = 65536 };

int os_wait_child(int pidfd, int *ret_status)
{
        siginfo_t info = {0};
        int result;
        do
                result = waitid((idtype_t)WAIT_BY_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
        while (result < 0 && errno == EINTR);
        /* No pidfd: the system does not know them, or this descriptor is none. */
        if (result < 0 && (errno == EINVAL || errno == EBADF || errno == ENOSYS))
                return linux_child_status(pidfd, ret_status);
        if (result < 0)
                return -errno;
        if (info.si_pid == 0)
                return -EAGAIN;
        if (info.si_code == CLD_EXITED)
                *ret_status = (info.si_status & 0xff) << 8;
        else
                *ret_status = info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
        return 0;
}

void os_reap_child(int pidfd)
{
        siginfo_t info;
        while (waitid((idtype_t)WAIT_BY_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 && errno == EINTR) {
        }
}

int os_kill(int pidfd, int signo)
{
        if (syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) == 0)
                return 0;
        return errno == EBADF || errno == ENOSYS ? linux_child_kill(pidfd, signo) : -errno;
}

int os_pid(void)
{
        return getpid();
}

uint32_t os_user(void)
{
        return geteuid();
}

int os_self_path(char *ret, size_t size)
{
        ssize_t n = readlink("/proc/self/exe", ret, size);
        if (n < 0)
                return -errno;
        /* It does not say whether it has cut something off. */
        if ((size_t)n >= size)
                return -ENAMETOOLONG;
        ret[n] = '\0';
        return 0;
}

int os_process_memory(int pid, uint64_t *ret)
{
        char path[32], text[128];
        unsigned long long pages;
        snprintf(path, sizeof(path), "/proc/%d/statm", pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -ESRCH;
        ssize_t n = read(fd, text, sizeof(text) - 1);
        close(fd);
        if (n <= 0)
                return -ESRCH;
        text[n] = '\0';
        if (sscanf(text, "%*s %llu", &pages) != 1)
                return -ESRCH;
        *ret = pages * (uint64_t)sysconf(_SC_PAGESIZE);
        return 0;
}

int os_host_name(char *ret, size_t size)
{
        if (gethostname(ret, size) < 0)
                return -errno;
        return memchr(ret, '\0', size) ? 0 : -ENAMETOOLONG;
}

/* The count in a mask of that many processors, or -errno. */
static int count_in_mask(int most)
{
        cpu_set_t *mask = CPU_ALLOC((size_t)most);
        if (!mask)
                return -ENOMEM;
        size_t size = CPU_ALLOC_SIZE((size_t)most);
        int n = sched_getaffinity(0, size, mask) < 0 ? -errno : CPU_COUNT_S(size, mask);
        CPU_FREE(mask);
        return n;
}

unsigned os_processors(void)
{
        /* -EINVAL: the system's own mask is larger. */
        int n = -EINVAL;
        for (int most = CPU_SETSIZE; n == -EINVAL && most <= PROCESSORS_MOST; most *= 2)
                n = count_in_mask(most);
        return n > 0 ? (unsigned)n : 1;
}

int os_signal_open(const int signals[], size_t n)
{
        sigset_t set;
        sigemptyset(&set);
        for (size_t i = 0; i < n; i++)
                if (sigaddset(&set, signals[i]) < 0)
                        return -EINVAL;
        int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (fd < 0)
                return -errno;
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        return fd;
}

void os_signal_close(int fd, const int signals[], size_t n)
{
        if (fd < 0)
                return;
        sigset_t set;
        sigemptyset(&set);
        for (size_t i = 0; i < n; i++)
                sigaddset(&set, signals[i]);
        os_close(fd);
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int os_signal_next(int fd)
{
        struct signalfd_siginfo info;
        ssize_t got;
        do
                got = read(fd, &info, sizeof(info));
        while (got < 0 && errno == EINTR);
        if (got < 0)
                return -errno;
        return got == (ssize_t)sizeof(info) ? (int)info.ssi_signo : -EIO;
}

static void do_nothing(int signo)
{
        (void)signo;
}

int os_signal_interrupts(int signo)
{
        struct sigaction action = {.sa_handler = do_nothing}; /* without SA_RESTART */
        return sigaction(signo, &action, NULL) < 0 ? -EINVAL : 0;
}
