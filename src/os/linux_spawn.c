/* SPDX-License-Identifier: MIT */
/*
 * Starting a program.
 *
 * The child is made by clone with CLONE_VM and CLONE_VFORK: it borrows our memory, on a stack of
 * its own, while this thread stands still, until it executes the program. So starting costs the
 * same however large this process is, and no other thread is copied half-way through a malloc.
 * The price is that the child must do nothing but raw system calls: a library function of the
 * parent's may be under a lock, and a sanitizer's wrapper would change the parent's books.
 * posix_spawn is the same machine, but it cannot close what it was not told of, nor let the child
 * die with us, nor say which descriptors alone survive.
 *
 * All signals are blocked meanwhile: a handler of ours that ran in the child would run in our
 * memory. A failure to execute comes back through a pipe that closes itself on success; not
 * through the shared memory, because emulators make a fork of this clone.
 *
 * Descriptors, in the child:   1. every source moves above all numbers that will be used
 *                              2. each is copied down to its number; /dev/null where 0 to 2 lack
 *                              3. all others are closed on execution
 */
#include "os/linux_child.h"
#include "os/map.h"
#include "os/os.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_STACK = 64 * 1024, STANDARD_FDS = 3, SIGNALS_END = 65, KERNEL_SET_SIZE = 8 };

/* The child's functions run in the parent's memory: no bookkeeping there. */
#define IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined"), noinline))

/*
 * TSan takes every clone() for a fork, and would start a second life of its own in the memory that
 * is still the parent's. It does not watch libc's other name for the same function.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
int __clone(int (*body)(void *), void *stack, int flags, void *arg, ...);
#define clone __clone
#endif
#endif

typedef struct order {
        const char *path;
        char *const *argv;
        char *const *environment;
        const os_spawn_fd *fds;
        size_t n;
        int *sources; /* where each of fds was moved to */
        int above;    /* one more than any number that is used in the child */
        int report;   /* the write end of the pipe; -errno is written to it */
        int parent;   /* whose end is the child's end too; 0: nobody's */
} order;

/* What the kernel takes, which is not what the library's sigaction is. All zeros: the default. */
typedef struct kernel_action {
        void *handler;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
} kernel_action;

/* The list of a folder as the kernel writes it. */
typedef struct kernel_entry {
        uint64_t inode;
        int64_t offset;
        uint16_t size;
        uint8_t type;
        char name[];
} kernel_entry;

IN_CHILD static long checked(long result)
{
        return result < 0 ? -errno : result;
}

IN_CHILD static int default_signals(void)
{
        for (int i = 1; i < SIGNALS_END; i++) {
                kernel_action action = {0};
                /* SIGKILL and SIGSTOP refuse, and need nothing. */
                syscall(SYS_rt_sigaction, i, &action, NULL, KERNEL_SET_SIZE);
        }
        uint64_t none = 0;
        return (int)checked(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, KERNEL_SET_SIZE));
}

IN_CHILD static int die_with(int parent)
{
        if (parent == 0)
                return 0;
        if (syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
                return -errno;
        /* It may have died before we asked. */
        return syscall(SYS_getppid) == parent ? 0 : -ESRCH;
}

IN_CHILD static int move_up(const order *o)
{
        for (size_t i = 0; i < o->n; i++) {
                long moved = syscall(SYS_fcntl, o->fds[i].parent, F_DUPFD_CLOEXEC, o->above);
                if (moved < 0)
                        return -errno;
                o->sources[i] = (int)moved;
        }
        return 0;
}

IN_CHILD static bool is_wanted(const order *o, int number)
{
        for (size_t i = 0; i < o->n; i++)
                if (o->fds[i].child == number)
                        return true;
        return false;
}

IN_CHILD static int put_in_place(const order *o)
{
        for (size_t i = 0; i < o->n; i++)
                if (syscall(SYS_dup3, o->sources[i], o->fds[i].child, 0) < 0)
                        return -errno;
        for (int number = 0; number < o->above; number++)
                if (!is_wanted(o, number))
                        syscall(SYS_close, number);
        /* A program without these three would take the first file that it opens for its output. */
        for (int number = 0; number < STANDARD_FDS; number++) {
                if (is_wanted(o, number))
                        continue;
                long null = syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
                if (null != number)
                        return null < 0 ? -errno : -EBADF;
        }
        return 0;
}

IN_CHILD static int number_of(const char *name)
{
        int n = 0;
        for (; *name; name++) {
                if (*name < '0' || *name > '9')
                        return -1;
                n = n * 10 + (*name - '0');
        }
        return n;
}

/* For a system without close_range, or with an emulator around it. */
IN_CHILD static int close_listed_on_exec(int first)
{
        long folder = syscall(SYS_openat, AT_FDCWD, "/proc/self/fd",
                              O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
        if (folder < 0)
                return -errno;
        _Alignas(kernel_entry) char entries[2048];
        long n;
        while ((n = syscall(SYS_getdents64, folder, entries, sizeof(entries))) > 0) {
                for (long at = 0; at < n;) {
                        const kernel_entry *entry = (const void *)(entries + at);
                        int fd = number_of(entry->name);
                        if (fd >= first)
                                syscall(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
                        at += entry->size;
                }
        }
        syscall(SYS_close, folder);
        return n < 0 ? -EIO : 0;
}

IN_CHILD static int close_rest_on_exec(int first)
{
        if (syscall(SYS_close_range, first, UINT_MAX, CLOSE_RANGE_CLOEXEC) == 0)
                return 0;
        return close_listed_on_exec(first);
}

IN_CHILD static int become(const order *o)
{
        int error = die_with(o->parent);
        if (!error)
                error = move_up(o);
        if (!error)
                error = put_in_place(o);
        if (!error)
                error = close_rest_on_exec(o->above);
        if (!error)
                error = default_signals();
        if (error)
                return error;
        syscall(SYS_execve, o->path, o->argv, o->environment);
        return -errno;
}

IN_CHILD static int child_main(void *arg)
{
        const order *o = arg;
        int error = become(o);
        syscall(SYS_write, o->report, &error, sizeof(error));
        syscall(SYS_exit_group, 127);
        return 127;
}

/* ── In the parent ───────────────────────────────────────────────────────────────────────── */

static int start(order *o)
{
        char *stack = map_reserve(CHILD_STACK);
        if (!stack)
                return -ENOMEM;
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int pid = clone(child_main, stack + CHILD_STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, o);
        int error = errno;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        map_release(stack, CHILD_STACK);
        return pid < 0 ? -error : pid;
}

static void reap(int pid)
{
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                continue;
}

/* What the child says through the pipe: its failure, or 0 when it has become the program. */
static int outcome(int pipe_end)
{
        int error = 0;
        ssize_t got;
        do
                got = read(pipe_end, &error, sizeof(error));
        while (got < 0 && errno == EINTR);
        return got == (ssize_t)sizeof(error) ? error : 0;
}

/* A descriptor for the child, or its end. */
static int pidfd_of(int pid)
{
        int fd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (fd < 0)
                fd = errno == ENOSYS ? linux_child_watch(pid) : -errno;
        if (fd < 0) {
                kill(pid, SIGKILL);
                reap(pid);
        }
        return fd;
}

static int above_all(const os_spawn_fd fds[], size_t n)
{
        int above = STANDARD_FDS;
        for (size_t i = 0; i < n; i++)
                if (fds[i].child >= above)
                        above = fds[i].child + 1;
        return above;
}

static int run_order(order *o, int report[2], int *ret_pid, int *ret_pidfd)
{
        /* Out of the way of the numbers that the child will close and use. */
        o->report = fcntl(report[1], F_DUPFD_CLOEXEC, o->above);
        if (o->report < 0)
                return -errno;
        int pid = start(o);
        close(o->report);
        close(report[1]);
        report[1] = -1;
        if (pid < 0)
                return pid;
        int error = outcome(report[0]);
        if (error) {
                reap(pid);
                return error;
        }
        int pidfd = pidfd_of(pid);
        if (pidfd < 0)
                return pidfd;
        *ret_pid = pid;
        *ret_pidfd = pidfd;
        return 0;
}

int os_spawn(const char *path, char *const argv[], char *const environment[],
             const os_spawn_fd fds[], size_t n, bool die_with_parent, int *ret_pid, int *ret_pidfd)
{
        for (size_t i = 0; i < n; i++)
                if (fds[i].parent < 0 || fds[i].child < 0)
                        return -EBADF;
        order o = {
                .path = path,
                .argv = argv,
                .environment = environment ? environment : environ,
                .fds = fds,
                .n = n,
                .sources = calloc(n + 1, sizeof(*o.sources)),
                .above = above_all(fds, n),
                .parent = die_with_parent ? getpid() : 0,
        };
        if (!o.sources)
                return -ENOMEM;
        int report[2] = {-1, -1};
        int error = pipe2(report, O_CLOEXEC) < 0 ? -errno : 0;
        if (!error)
                error = run_order(&o, report, ret_pid, ret_pidfd);
        os_close(report[0]);
        os_close(report[1]);
        free(o.sources);
        return error;
}
