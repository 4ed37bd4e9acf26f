/* SPDX-License-Identifier: MIT */
/*
 * The zygote's side: what sj_boot becomes in a process that was executed to be one.
 *
 * It waits for requests, for the ends of its children and for the end of its parent, and does
 * nothing else; in particular it starts no thread and calls no code of the user's, so that what a
 * child inherits is the program as it was when main began.
 *
 * Three ways to end. The parent closes the socket, or ends (its pidfd says so even if some other
 * process has a copy of the socket): children are killed and reaped. The zygote itself is killed:
 * the kernel kills each child, since it has one thread, to which their parent-death signal is
 * bound. That signal is not used between the program and the zygote, because there it would be
 * bound to the thread that called zygote_new.
 */
#include "base/list.h"
#include "exec/zygote.h"
#include "exec/zygote_wire.h"
#include "os/os.h"

#include <sanjab/exec.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct child {
        list node;
        uint64_t id;
        int pid;
        int pidfd;
} child;

typedef struct server {
        os_poller *poller;
        list children;
        int parent; /* pidfd */
} server;

/* The entries of the program, gathered by the linker; none if no object has one. */
extern const zygote_entry *const __start_sj_zygote[] __attribute__((weak, visibility("hidden")));
extern const zygote_entry *const __stop_sj_zygote[] __attribute__((weak, visibility("hidden")));

/* The one thing that must be known of the process: that main has passed through sj_boot. */
static bool booted;

bool zygote_possible(void)
{
        return booted;
}

static zygote_body *entry_body(const char *name)
{
        for (const zygote_entry *const *e = __start_sj_zygote; e < __stop_sj_zygote; e++)
                if (strcmp((*e)->name, name) == 0)
                        return (*e)->body;
        return NULL;
}

/* The socket blocks on this side, so a parent that reads slowly is waited for. */
static void tell(wire_event event, int pidfd)
{
        struct iovec part = {&event, sizeof(event)};
        /* That the program is gone will be seen, and acted upon, in one place: serve. */
        os_message_send(WIRE_SOCKET, &part, 1, &pidfd, pidfd >= 0);
}

static void refuse(uint64_t id, int error)
{
        tell((wire_event){.id = id, .what = ZYGOTE_REFUSED, .status = error}, -1);
}

static _Noreturn void become(const wire_request *request, zygote_body *body, sj_str argument,
                             const int fds[], size_t n_fds)
{
        if (os_keep(fds, n_fds) < 0)
                os_exit(127);
        os_process_name(request->name);
        zygote_start start = {argument, n_fds};
        /* What the program has buffered is written: nothing was buffered before the fork. */
        exit(body(&start));
}

static int add_child(server *s, uint64_t id, int pid, int pidfd)
{
        child *c = malloc(sizeof(*c));
        if (!c)
                return -ENOMEM;
        *c = (child){.id = id, .pid = pid, .pidfd = pidfd};
        int error = os_poller_arm(s->poller, pidfd, OS_READABLE, c);
        if (error < 0) {
                free(c);
                return error;
        }
        list_append(&s->children, &c->node);
        return 0;
}

static void reap(int pidfd)
{
        int status;
        os_kill(pidfd, SIGKILL);
        while (os_wait_child(pidfd, &status) == -EAGAIN)
                ;
        os_close(pidfd);
}

static void start_child(server *s, const wire_request *request, sj_str argument, const int fds[],
                        size_t n_fds)
{
        zygote_body *body = entry_body(request->entry);
        if (!body) {
                refuse(request->id, -ENOENT);
                return;
        }
        int pidfd = -1;
        int pid = os_fork(&pidfd);
        if (pid == 0)
                become(request, body, argument, fds, n_fds);
        if (pid < 0) {
                refuse(request->id, pid);
                return;
        }
        int error = add_child(s, request->id, pid, pidfd);
        if (error < 0) {
                reap(pidfd);
                refuse(request->id, error);
                return;
        }
        tell((wire_event){.id = request->id, .what = ZYGOTE_STARTED, .pid = pid}, pidfd);
}

/* False when the program has closed its end. */
static bool serve_request(server *s)
{
        static _Alignas(max_align_t) char argument[ZYGOTE_ARGUMENT_MAX];
        wire_request request;
        int fds[ZYGOTE_FDS_MAX];
        size_t n_fds = ZYGOTE_FDS_MAX;
        struct iovec parts[] = {{&request, sizeof(request)}, {argument, sizeof(argument)}};
        bool lost;
        ssize_t n = os_message_recv(WIRE_SOCKET, parts, 2, fds, &n_fds, &lost);
        if (n == -EAGAIN)
                return true;
        if (n < (ssize_t)sizeof(request))
                return false;
        request.entry[ZYGOTE_ENTRY_MAX] = request.name[ZYGOTE_NAME_MAX] = '\0';
        if (lost)
                refuse(request.id, -EMFILE);
        else
                start_child(s, &request, (sj_str){argument, (size_t)n - sizeof(request)}, fds,
                            n_fds);
        for (size_t i = 0; i < n_fds; i++)
                os_close(fds[i]);
        return true;
}

static void child_ended(server *s, child *c)
{
        wire_event event = {.id = c->id, .what = ZYGOTE_ENDED, .pid = c->pid};
        int status;
        if (os_wait_child(c->pidfd, &status) < 0) {
                os_poller_arm(s->poller, c->pidfd, OS_READABLE, c);
                return;
        }
        event.status = status;
        os_poller_forget(s->poller, c->pidfd);
        os_close(c->pidfd);
        list_remove(&c->node);
        free(c);
        tell(event, -1);
}

static _Noreturn void end(server *s)
{
        /* All first, then each: they die side by side. */
        list_for_each (node, &s->children)
                os_kill(container_of(node, child, node)->pidfd, SIGKILL);
        list_for_each (node, &s->children)
                reap(container_of(node, child, node)->pidfd);
        os_exit(0);
}

static _Noreturn void serve(server *s)
{
        static char request_token;
        os_event events[16];
        os_poller_arm(s->poller, s->parent, OS_READABLE, s);
        os_poller_arm(s->poller, WIRE_SOCKET, OS_READABLE, &request_token);
        for (;;) {
                int n = os_poller_wait(s->poller, events, sizeof(events) / sizeof(events[0]),
                                       SJ_NEVER);
                for (int i = 0; i < n; i++) {
                        if (events[i].token == s)
                                end(s);
                        if (events[i].token != &request_token) {
                                child_ended(s, events[i].token);
                                continue;
                        }
                        if (!serve_request(s))
                                end(s);
                        os_poller_arm(s->poller, WIRE_SOCKET, OS_READABLE, &request_token);
                }
        }
}

/* Whether this process was started to be a zygote, by a program that still lives. */
static bool called_upon(int argc, char *const argv[], wire_hello *ret)
{
        if (argc != 2 || !argv[1] || strcmp(argv[1], WIRE_MARK) != 0)
                return false;
        if (os_set_nonblocking(WIRE_SOCKET, false) < 0)
                return false;
        size_t n_fds = 0;
        struct iovec part = {ret, sizeof(*ret)};
        bool lost;
        ssize_t n = os_message_recv(WIRE_SOCKET, &part, 1, NULL, &n_fds, &lost);
        if (n == 0)
                os_exit(0);
        return n == sizeof(*ret) && ret->magic == WIRE_MAGIC;
}

void sj_boot(int argc, char *const argv[])
{
        wire_hello hello;
        booted = true;
        if (!called_upon(argc, argv, &hello))
                return;
        server s;
        list_init(&s.children);
        s.parent = os_watch_parent(hello.parent);
        if (s.parent < 0 || os_poller_new(&s.poller) < 0)
                os_exit(1);
        hello.name[ZYGOTE_NAME_MAX] = '\0';
        os_process_name(hello.name);
        /* A terminal's signals are the program's to handle, and end it or not. */
        os_leave_group();
        /* Children end without exit, so what they print is not kept for it. */
        setvbuf(stdout, NULL, _IOLBF, 0);
        serve(&s);
}
