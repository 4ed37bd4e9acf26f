/* SPDX-License-Identifier: MIT */
/*
 * Forking in the simulated world: there is none, as there is no os_spawn. Each function says so,
 * and what would have to end the process ends it.
 */
#include "os/sim_world.h"

#include <stdlib.h>

static int refuse(const char *what, int fd)
{
        return (int)sim_trace(sim_enter(), what, fd, -ENOSYS);
}

int os_after_fork(void (*fn)(void))
{
        (void)fn;
        return 0;
}

int os_fork(int *ret_pidfd)
{
        (void)ret_pidfd;
        return refuse("fork", -1);
}

void os_exit(int status)
{
        _Exit(status);
}

int os_watch_parent(int pid)
{
        (void)pid;
        return refuse("watch_parent", -1);
}

int os_keep(const int fds[], size_t n)
{
        (void)fds, (void)n;
        return refuse("keep", -1);
}

void os_leave_group(void)
{
}

void os_process_name(const char *name)
{
        (void)name;
}

int os_process_memory(int pid, uint64_t *ret)
{
        (void)pid, (void)ret;
        return refuse("process_memory", -1);
}

int os_signal_interrupts(int signo)
{
        (void)signo;
        return refuse("signal_interrupts", -1);
}

int os_message_pair(int ret_fds[2])
{
        (void)ret_fds;
        return refuse("message_pair", -1);
}

ssize_t os_message_send(int fd, const struct iovec parts[], size_t n, const int fds[], size_t n_fds)
{
        (void)parts, (void)n, (void)fds, (void)n_fds;
        return refuse("message_send", fd);
}

ssize_t os_message_recv(int fd, const struct iovec parts[], size_t n, int ret_fds[], size_t *n_fds,
                        bool *ret_lost)
{
        (void)parts, (void)n, (void)ret_fds, (void)n_fds, (void)ret_lost;
        return refuse("message_recv", fd);
}

int os_code_offset(uintptr_t address, uint64_t *ret)
{
        (void)address, (void)ret;
        return refuse("code_offset", -1);
}

int os_code_address(uint64_t offset, uintptr_t *ret)
{
        (void)offset, (void)ret;
        return refuse("code_address", -1);
}
