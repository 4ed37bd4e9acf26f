/* SPDX-License-Identifier: MIT */
/*
 * The program's side of a zygote: a socket, and the process behind it.
 *
 * Why a process between: fork in a program with threads copies one thread and all their locks, so
 * a child could only exec. Executing this program once, at a moment when it has done nothing yet,
 * gives a process from which forking is safe, cheap, and inherits what we pass and nothing else.
 *
 * The zygote is executed as /proc/self/exe, not by path: an upgrade may have put another program
 * at the path, in which a function lies elsewhere.
 */
#include "exec/zygote.h"

#include "exec/zygote_wire.h"
#include "os/os.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>

static const sj_time END_LIMIT = 5 * SJ_SEC;

struct zygote {
        int socket;
        int pid;
        int pidfd;
};

/* 1 or 2 of this process, or /dev/null when it is closed here. */
static int inherited(int fd, int null)
{
        os_stat ignored;
        return os_fstat(fd, &ignored) < 0 ? null : fd;
}

static int execute(zygote *z, int socket, int null)
{
        char path[PATH_MAX];
        if (os_self_path(path, sizeof(path)) < 0)
                strcpy(path, "sanjab");
        char mark[] = WIRE_MARK;
        char *argv[] = {path, mark, NULL};
        const os_spawn_fd fds[] = {
                {null, 0},
                {inherited(1, null), 1},
                {inherited(2, null), 2},
                {socket, WIRE_SOCKET},
        };
        /* It watches its parent itself: see zygote_main. */
        return os_spawn("/proc/self/exe", argv, NULL, fds, sizeof(fds) / sizeof(fds[0]), false,
                        &z->pid, &z->pidfd);
}

static int start(zygote *z, const char *name)
{
        int sockets[2];
        int error = os_message_pair(sockets);
        if (error < 0)
                return error;
        z->socket = sockets[0];
        int null = os_open("/dev/null", O_RDWR, 0);
        error = null < 0 ? null : execute(z, sockets[1], null);
        os_close(null);
        os_close(sockets[1]);
        if (error < 0)
                return error;
        wire_hello hello = {.magic = WIRE_MAGIC, .parent = os_pid()};
        strncpy(hello.name, name, ZYGOTE_NAME_MAX);
        struct iovec part = {&hello, sizeof(hello)};
        ssize_t sent = os_message_send(z->socket, &part, 1, NULL, 0);
        return sent < 0 ? (int)sent : 0;
}

int zygote_new(const char *name, zygote **ret)
{
        if (!zygote_possible())
                return -EPERM;
        zygote *z = malloc(sizeof(*z));
        if (!z)
                return -ENOMEM;
        *z = (zygote){.socket = -1, .pidfd = -1};
        int error = start(z, name);
        if (error < 0) {
                zygote_free(z);
                return error;
        }
        *ret = z;
        return 0;
}

/* Waits until the process has ended, and reaps it; false at the deadline. */
static bool reaped(int pidfd, sj_time deadline)
{
        /*
         * A nap between looks, because a poller needs descriptors, which may be what has run out.
         * The zygote ends within a millisecond.
         */
        _Atomic uint32_t never = 0;
        int status;
        while (os_wait_child(pidfd, &status) == -EAGAIN) {
                if (os_now() >= deadline)
                        return false;
                os_futex_wait(&never, 0, sj_after(SJ_MS / 10), false);
        }
        return true;
}

void zygote_free(zygote *z)
{
        if (!z)
                return;
        /* The end of the stream tells it to kill and reap its children, and to end. */
        os_close(z->socket);
        if (z->pidfd >= 0 && !reaped(z->pidfd, sj_after(END_LIMIT))) {
                os_kill(z->pidfd, SIGKILL);
                reaped(z->pidfd, sj_after(END_LIMIT));
        }
        os_close(z->pidfd);
        free(z);
}

int zygote_pid(const zygote *z)
{
        return z->pid;
}

int zygote_fd(const zygote *z)
{
        return z->socket;
}

int zygote_spawn(zygote *z, const zygote_request *request)
{
        if (!request->entry || strlen(request->entry) > ZYGOTE_ENTRY_MAX ||
            request->n_fds > ZYGOTE_FDS_MAX)
                return -EINVAL;
        if (request->argument.n > ZYGOTE_ARGUMENT_MAX)
                return -EMSGSIZE;
        wire_request head = {.id = request->id};
        strcpy(head.entry, request->entry);
        strncpy(head.name, request->name ? request->name : request->entry, ZYGOTE_NAME_MAX);
        struct iovec parts[] = {
                {&head, sizeof(head)},
                {(void *)(uintptr_t)request->argument.data, request->argument.n},
        };
        ssize_t sent = os_message_send(z->socket, parts, 2, request->fds, request->n_fds);
        if (sent == -ECONNRESET || sent == -ENOTCONN)
                return -EPIPE;
        return sent < 0 ? (int)sent : 0;
}

int zygote_next(zygote *z, zygote_event *ret)
{
        wire_event event = {0};
        int pidfd = -1;
        size_t n_fds = 1;
        struct iovec part = {&event, sizeof(event)};
        bool lost;
        ssize_t n = os_message_recv(z->socket, &part, 1, &pidfd, &n_fds, &lost);
        if (n == 0 || n == -ECONNRESET)
                return -EPIPE;
        if (n < 0)
                return (int)n;
        if (n_fds == 0)
                pidfd = -1;
        if (n != sizeof(event) || event.what > ZYGOTE_ENDED ||
            (event.what == ZYGOTE_STARTED) != (pidfd >= 0)) {
                os_close(pidfd);
                return -EPROTO;
        }
        *ret = (zygote_event){(zygote_what)event.what, event.id, event.pid, pidfd, event.status};
        return 0;
}
