/* SPDX-License-Identifier: MIT */
/* Child processes, whose end is a descriptor that becomes readable. */
#include "fiber/fiber.h"

#include <sanjab/process.h>

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>

struct sj_child {
        loop_fd lfd; /* of the pidfd */
        struct sj_loop *loop;
        int pid;
        bool reaped;
        int status;
        list waiters; /* clauses; data: where to put the status */
};

/* Whether it has ended: 0, -EAGAIN it runs, or why that cannot be known. */
static int reap(sj_child *c)
{
        int r = c->reaped ? 0 : os_wait_child(c->lfd.fd, &c->status);
        if (r >= 0)
                c->reaped = true;
        return r < 0 ? r : 0;
}

/* They get the status into their hands, since the child may be freed before they run. */
static void tell_waiters(sj_child *c, int result)
{
        clause *waiter;
        while ((waiter = clause_first(&c->waiters))) {
                *(int *)waiter->data = c->status;
                clause_fire(waiter, result);
        }
}

static void notify(loop_fd *lfd, unsigned ready)
{
        (void)ready;
        sj_child *c = container_of(lfd, sj_child, lfd);
        int r = reap(c);
        if (r != -EAGAIN)
                tell_waiters(c, r);
}

static const char default_path[] = "/usr/local/bin:/usr/bin:/bin";

/* The path of a program: itself when it has a slash, else the first found along PATH. */
static int find_program(const char *name, char *ret, size_t size)
{
        size_t length = strlen(name);
        if (strchr(name, '/')) {
                if (length >= size)
                        return -ENAMETOOLONG;
                memcpy(ret, name, length + 1);
                return 0;
        }
        const char *path = getenv("PATH");
        for (const char *p = path ? path : default_path; length > 0 && *p;) {
                size_t folder = strcspn(p, ":");
                os_stat stat;
                if (folder > 0 && folder + 1 + length < size) {
                        memcpy(ret, p, folder);
                        ret[folder] = '/';
                        memcpy(ret + folder + 1, name, length + 1);
                        if (os_stat_path(ret, false, &stat) >= 0 && (stat.mode & 0111) &&
                            (stat.mode & 0170000) == 0100000)
                                return 0;
                }
                p += folder + (p[folder] == ':');
        }
        return -ENOENT;
}

static int start(sj_child *c, char *const argv[], const sj_child_options *options)
{
        char path[PATH_MAX];
        int r = find_program(argv[0], path, sizeof(path));
        if (r < 0)
                return r;
        int nothing = -1;
        if (options->in == 0)
                r = nothing = os_open("/dev/null", O_RDONLY, 0);
        if (r < 0)
                return r;
        const os_spawn_fd fds[] = {
                {options->in ? options->in : nothing, 0},
                {options->out ? options->out : 1, 1},
                {options->err ? options->err : 2, 2},
        };
        int pidfd;
        r = os_spawn(path, argv, options->environment, fds, 3, options->die_with_parent, &c->pid,
                     &pidfd);
        os_close(nothing);
        if (r < 0)
                return r;
        c->lfd.notify = notify;
        r = loop_fd_add(c->loop, &c->lfd, pidfd);
        if (r < 0) {
                os_kill(pidfd, SIGKILL);
                os_reap_child(pidfd);
                os_close(pidfd);
        }
        return r;
}

int sj_child_start(char *const argv[], const sj_child_options *options, sj_child **ret)
{
        static const sj_child_options none;
        struct sj_loop *loop = fiber_loop_current();
        if (!loop)
                return -EPERM;
        if (!argv || !argv[0])
                return -EINVAL;
        sj_child *c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->loop = loop;
        int r = start(c, argv, options ? options : &none);
        if (r < 0) {
                free(c);
                return r;
        }
        *ret = c;
        return 0;
}

int sj_child_wait(sj_child *c, int *ret, sj_time deadline)
{
        int r = fiber_check();
        if (r < 0)
                return r;
        r = reap(c);
        if (r == 0 && ret)
                *ret = c->status;
        if (r != -EAGAIN)
                return r;
        int status = 0;
        clause waiter = {.data = &status};
        clause_add(&c->waiters, &waiter);
        r = fiber_wait(&waiter, 1, deadline, "child process", NULL);
        if (r == 0 && ret)
                *ret = status;
        return r;
}

int sj_child_kill(sj_child *c, int signo)
{
        return c->reaped ? -ESRCH : os_kill(c->lfd.fd, signo);
}

int sj_child_pid(const sj_child *c)
{
        return c->pid;
}

void sj_child_free(sj_child *c)
{
        if (!c)
                return;
        int pidfd = c->lfd.fd;
        tell_waiters(c, -EBADF);
        loop_fd_remove(c->loop, &c->lfd);
        if (!c->reaped) {
                os_kill(pidfd, SIGKILL);
                os_reap_child(pidfd);
        }
        os_close(pidfd);
        free(c);
}
