/* SPDX-License-Identifier: MIT */
/*
 * A child without a pidfd: a thread waits for it, and writes its status into a pipe, whose read
 * end stands for the child. Which child that is, the pipe itself knows: its owner (F_SETOWN) is
 * kept by the kernel as a reference to the process, not as a number that may be given out again.
 */
#include "os/linux_child.h"
#include "os/os.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct errand {
        int pid;
        int write_end;
} errand;

static void *wait_and_tell(void *arg)
{
        errand e = *(errand *)arg;
        free(arg);
        int status = 0;
        while (waitpid(e.pid, &status, 0) < 0 && errno == EINTR)
                continue;
        os_write(e.write_end, &status, sizeof(status));
        os_close(e.write_end);
        return NULL;
}

static int start_thread(errand *e)
{
        sigset_t all, before;
        pthread_t id;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int error = pthread_create(&id, NULL, wait_and_tell, e);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (!error)
                pthread_detach(id);
        return -error;
}

int linux_child_watch(int pid)
{
        int fds[2];
        int error = os_pipe(fds);
        if (error)
                return error;
        errand *e = malloc(sizeof(*e));
        if (e)
                *e = (errand){pid, fds[1]};
        error = !e ? -ENOMEM : fcntl(fds[0], F_SETOWN, pid) < 0 ? -errno : start_thread(e);
        if (!error)
                return fds[0];
        free(e);
        os_close(fds[0]);
        os_close(fds[1]);
        return error;
}

int linux_child_status(int fd, int *ret_status)
{
        int status;
        ssize_t got = os_read(fd, &status, sizeof(status));
        if (got == -EAGAIN)
                return -EAGAIN;
        if (got != (ssize_t)sizeof(status))
                return -ECHILD;
        *ret_status = status;
        return 0;
}

int linux_child_kill(int fd, int signo)
{
        int pid = fcntl(fd, F_GETOWN);
        if (pid <= 0)
                return -ESRCH;
        return kill(pid, signo) < 0 ? -errno : 0;
}
