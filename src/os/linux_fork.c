/* SPDX-License-Identifier: MIT */
/*
 * Forking, and what goes with it: how a process of one thread makes children from itself, sees its
 * parent end, and is handed descriptors; and how a function is named across processes.
 */
#include "os/os.h"

#include <dirent.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int pidfd_open(int pid)
{
        long fd = syscall(SYS_pidfd_open, pid, 0);
        return fd < 0 ? -errno : (int)fd;
}

int os_after_fork(void (*fn)(void))
{
        return -pthread_atfork(NULL, NULL, fn);
}

int os_fork(int *ret_pidfd)
{
        int parent = getpid();
        int pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                /* It may have ended before the line above. */
                if (getppid() != parent)
                        _exit(127);
                return 0;
        }
        /* Nobody else reaps it, so the number still means this child, even if it has ended. */
        int pidfd = pidfd_open(pid);
        if (pidfd < 0) {
                kill(pid, SIGKILL);
                while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                        ;
                return pidfd;
        }
        *ret_pidfd = pidfd;
        return pid;
}

void os_exit(int status)
{
        _exit(status);
}

int os_watch_parent(int pid)
{
        int fd = pidfd_open(pid);
        if (fd < 0)
                return fd;
        if (getppid() == pid)
                return fd;
        close(fd);
        return -ESRCH;
}

/* Closes every descriptor from `lowest` on. */
static int close_from(unsigned lowest)
{
        if (syscall(SYS_close_range, lowest, ~0u, 0) == 0)
                return 0;
        DIR *dir = opendir("/proc/self/fd");
        if (!dir)
                return -errno;
        for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
                long fd = strtol(e->d_name, NULL, 10);
                if (fd >= (long)lowest && fd != dirfd(dir))
                        close((int)fd);
        }
        closedir(dir);
        return 0;
}

int os_keep(const int fds[], size_t n)
{
        /* First out of the way of all targets, then into place. */
        int away[OS_MESSAGE_FDS];
        if (n > OS_MESSAGE_FDS)
                return -EINVAL;
        for (size_t i = 0; i < n; i++) {
                away[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3 + (int)n);
                if (away[i] < 0)
                        return -errno;
        }
        for (size_t i = 0; i < n; i++)
                if (dup3(away[i], 3 + (int)i, O_CLOEXEC) < 0)
                        return -errno;
        return close_from(3 + (unsigned)n);
}

void os_leave_group(void)
{
        setpgid(0, 0);
}

void os_process_name(const char *name)
{
        prctl(PR_SET_NAME, name);
}

/* ── Messages ────────────────────────────────────────────────────────────────────────────── */

typedef union rights {
        struct cmsghdr head; /* for its alignment */
        char bytes[CMSG_SPACE(OS_MESSAGE_FDS * sizeof(int))];
} rights;

int os_message_pair(int ret_fds[2])
{
        int fds[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        ret_fds[0] = fds[0];
        ret_fds[1] = fds[1];
        return 0;
}

ssize_t os_message_send(int fd, const struct iovec parts[], size_t n, const int fds[], size_t n_fds)
{
        rights r = {0};
        struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = n};
        if (n_fds > OS_MESSAGE_FDS)
                return -EMSGSIZE;
        if (n_fds > 0) {
                m.msg_control = r.bytes;
                m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
                struct cmsghdr *c = CMSG_FIRSTHDR(&m);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
                memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
        }
        ssize_t sent;
        do
                sent = sendmsg(fd, &m, MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        return sent < 0 ? -errno : sent;
}

/* Hands over as many descriptors as there is room for, and closes the rest. */
static size_t take_rights(struct msghdr *m, int ret_fds[], size_t room, bool *ret_lost)
{
        size_t taken = 0;
        bool lost = m->msg_flags & MSG_CTRUNC;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < n; i++) {
                        int fd;
                        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
                        if (taken < room)
                                ret_fds[taken++] = fd;
                        else
                                close(fd);
                }
                lost |= n > room;
        }
        *ret_lost = lost;
        return taken;
}

ssize_t os_message_recv(int fd, const struct iovec parts[], size_t n, int ret_fds[], size_t *n_fds,
                        bool *ret_lost)
{
        rights r;
        struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)parts,
                           .msg_iovlen = n,
                           .msg_control = r.bytes,
                           .msg_controllen = sizeof(r.bytes)};
        ssize_t got;
        do
                got = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
        while (got < 0 && errno == EINTR);
        if (got < 0)
                return -errno;
        *n_fds = take_rights(&m, ret_fds, *n_fds, ret_lost);
        return got;
}

ssize_t os_recv_from_process(int fd, void *data, size_t n, struct sockaddr_storage *ret_from,
                             int *ret_pid, uint32_t *ret_user, uint32_t *ret_group)
{
        struct sockaddr_storage from = {0};
        struct ucred sender = {.uid = UINT32_MAX, .gid = UINT32_MAX};
        struct iovec part = {data, n};
        rights r;
        struct msghdr m = {.msg_name = &from,
                           .msg_namelen = sizeof(from),
                           .msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = r.bytes,
                           .msg_controllen = sizeof(r.bytes)};
        ssize_t got;
        do
                got = recvmsg(fd, &m, MSG_TRUNC | MSG_CMSG_CLOEXEC);
        while (got < 0 && errno == EINTR);
        if (got < 0)
                return -errno;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
                        memcpy(&sender, CMSG_DATA(c), sizeof(sender));
        bool lost;
        take_rights(&m, NULL, 0, &lost);
        *ret_from = from;
        *ret_pid = sender.pid;
        *ret_user = sender.uid;
        *ret_group = sender.gid;
        return got;
}

/* ── The program's code ──────────────────────────────────────────────────────────────────── */

typedef struct code_query {
        bool from_address;
        uint64_t offset;
        uintptr_t address;
        bool found;
} code_query;

/* The first object that is reported is the program. */
static int look_at_program(struct dl_phdr_info *info, size_t size, void *arg)
{
        code_query *q = arg;
        (void)size;
        if (q->from_address)
                q->offset = q->address - info->dlpi_addr;
        else
                q->address = (uintptr_t)(info->dlpi_addr + q->offset);
        for (unsigned i = 0; i < info->dlpi_phnum; i++) {
                const ElfW(Phdr) *p = &info->dlpi_phdr[i];
                if (p->p_type == PT_LOAD && (p->p_flags & PF_X) && q->offset >= p->p_vaddr &&
                    q->offset - p->p_vaddr < p->p_memsz)
                        q->found = true;
        }
        return 1;
}

int os_code_offset(uintptr_t address, uint64_t *ret)
{
        code_query q = {.from_address = true, .address = address};
        dl_iterate_phdr(look_at_program, &q);
        if (!q.found)
                return -EINVAL;
        *ret = q.offset;
        return 0;
}

int os_code_address(uint64_t offset, uintptr_t *ret)
{
        code_query q = {.offset = offset};
        dl_iterate_phdr(look_at_program, &q);
        if (!q.found)
                return -EINVAL;
        *ret = q.address;
        return 0;
}
