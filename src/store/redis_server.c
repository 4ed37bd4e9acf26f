/* SPDX-License-Identifier: MIT */
/*
 * A test's own server. The port is asked from the system and given back before the server takes
 * it, so another process may come between: then the server ends at once, and the next port is
 * tried.
 */
#include "store/redis_server.h"

#include "os/os.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PROGRAM "/usr/bin/redis-server"

enum { ARGUMENTS_MAX = 64, ATTEMPTS = 5, ANSWER_MS = 60000 };

struct redis_server {
        char folder[64];
        char socket[80];
        char config[80];
        char url[64];
        char port_text[8];
        uint16_t port;
        int pid;
        int pidfd; /* -1: it does not run */
        char *arguments[ARGUMENTS_MAX];
        size_t n;
        const char *password;
};

__attribute__((noreturn)) static void give_up(const char *what)
{
        fprintf(stderr, "redis_server: %s\n", what);
        abort();
}

bool redis_server_found(void)
{
        return access(PROGRAM, X_OK) == 0;
}

uint16_t redis_server_free_port(void)
{
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t n = sizeof(a);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) < 0 ||
            getsockname(fd, (struct sockaddr *)&a, &n) < 0)
                give_up("no free port");
        close(fd);
        return ntohs(a.sin_port);
}

/* ── Talking to it ───────────────────────────────────────────────────────────────────────── */

static int connect_to(const redis_server *s)
{
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        snprintf(a.sun_path, sizeof(a.sun_path), "%s", s->socket);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                give_up("no socket");
        if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
                return fd;
        close(fd);
        return -1;
}

/* The first line of the answer; false when there is none in time. */
static bool read_line(int fd, char *ret, size_t size, int ms)
{
        size_t n = 0;
        while (n + 1 < size) {
                struct pollfd p = {.fd = fd, .events = POLLIN};
                if (poll(&p, 1, ms) != 1 || read(fd, ret + n, 1) != 1)
                        return false;
                if (ret[n] == '\n')
                        break;
                if (ret[n] != '\r')
                        n++;
        }
        ret[n] = '\0';
        return true;
}

static bool ask(const redis_server *s, const char *line, char *ret, size_t size)
{
        int fd = connect_to(s);
        if (fd < 0)
                return false;
        bool ok = true;
        if (s->password)
                ok = dprintf(fd, "AUTH %s\r\n", s->password) > 0 &&
                     read_line(fd, ret, size, ANSWER_MS);
        ok = ok && dprintf(fd, "%s\r\n", line) > 0 && read_line(fd, ret, size, ANSWER_MS);
        if (ok && ret[0] == '$' && ret[1] != '-')
                ok = read_line(fd, ret, size, ANSWER_MS);
        close(fd);
        return ok;
}

const char *redis_server_ask(redis_server *s, const char *line)
{
        static char answer[512];
        if (!ask(s, line, answer, sizeof(answer)))
                give_up("it does not answer");
        return answer;
}

/* ── Its life ────────────────────────────────────────────────────────────────────────────── */

static void add(redis_server *s, const char *argument)
{
        if (s->n + 1 >= ARGUMENTS_MAX)
                give_up("too many arguments");
        s->arguments[s->n] = strdup(argument);
        if (!s->arguments[s->n++])
                give_up("no memory");
}

static bool has_ended(const redis_server *s)
{
        struct pollfd p = {.fd = s->pidfd, .events = POLLIN};
        return poll(&p, 1, 0) == 1;
}

static void forget(redis_server *s)
{
        os_reap_child(s->pidfd);
        close(s->pidfd);
        s->pidfd = -1;
}

/* False when it has ended instead of answering. */
static bool launch(redis_server *s)
{
        unlink(s->socket);
        if (os_spawn(PROGRAM, s->arguments, NULL, NULL, 0, true, &s->pid, &s->pidfd) < 0)
                give_up("cannot start " PROGRAM);
        char answer[512];
        for (int ms = 0; ms < ANSWER_MS; ms += 5) {
                if (has_ended(s)) {
                        forget(s);
                        return false;
                }
                if (ask(s, "PING", answer, sizeof(answer)) && strncmp(answer, "-LOADING", 8) != 0)
                        return true;
                poll(NULL, 0, 5);
        }
        give_up("it does not answer");
}

static void take_port(redis_server *s)
{
        s->port = redis_server_free_port();
        snprintf(s->port_text, sizeof(s->port_text), "%u", s->port);
        snprintf(s->url, sizeof(s->url), "redis://127.0.0.1:%u/0", s->port);
}

static void write_config(const redis_server *s, const char *text)
{
        FILE *f = fopen(s->config, "w");
        if (!f || fputs(text, f) < 0 || fclose(f) != 0)
                give_up("cannot write its settings");
}

static void build_arguments(redis_server *s, const redis_server_options *o)
{
        const char *const usual[] = {"--port",       s->port_text, "--bind",     "127.0.0.1",
                                     "--unixsocket", s->socket,    "--dir",      s->folder,
                                     "--logfile",    "redis.log",  "--loglevel", "notice"};
        const char *const memory[] = {"--save", "", "--appendonly", "no"};
        add(s, PROGRAM);
        if (o->config)
                add(s, s->config);
        if (o->sentinel)
                add(s, "--sentinel");
        for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
                add(s, usual[i]);
        for (size_t i = 0; !o->sentinel && i < sizeof(memory) / sizeof(memory[0]); i++)
                add(s, memory[i]);
        for (const char *const *a = o->arguments; a && *a; a++)
                add(s, *a);
}

static void free_arguments(redis_server *s)
{
        for (size_t i = 0; i < s->n; i++) {
                free(s->arguments[i]);
                s->arguments[i] = NULL;
        }
        s->n = 0;
}

redis_server *redis_server_start(const redis_server_options *options)
{
        redis_server_options none = {0};
        const redis_server_options *o = options ? options : &none;
        redis_server *s = calloc(1, sizeof(*s));
        if (!s)
                give_up("no memory");
        s->password = o->password;
        snprintf(s->folder, sizeof(s->folder), "/tmp/sanjab-redis-XXXXXX");
        if (!mkdtemp(s->folder))
                give_up("no temporary folder");
        snprintf(s->socket, sizeof(s->socket), "%s/redis.sock", s->folder);
        snprintf(s->config, sizeof(s->config), "%s/redis.conf", s->folder);
        for (int i = 0; i < ATTEMPTS; i++) {
                if (o->config)
                        write_config(s, o->config);
                take_port(s);
                free_arguments(s);
                build_arguments(s, o);
                if (launch(s))
                        return s;
        }
        fprintf(stderr, "redis_server: see %s/redis.log\n", s->folder);
        give_up("it ends as soon as it is started");
}

void redis_server_kill(redis_server *s)
{
        if (s->pidfd < 0)
                return;
        os_kill(s->pidfd, SIGKILL);
        forget(s);
}

void redis_server_restart(redis_server *s)
{
        if (!launch(s))
                give_up("it does not start again");
}

void redis_server_pause(redis_server *s)
{
        os_kill(s->pidfd, SIGSTOP);
}

void redis_server_resume(redis_server *s)
{
        os_kill(s->pidfd, SIGCONT);
}

/* The folder may hold a folder, of the append-only files. */
static int remove_entry(void *arg, const char *name)
{
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
        if (unlink(path) < 0) {
                os_read_dir(path, remove_entry, path);
                rmdir(path);
        }
        return 0;
}

void redis_server_stop(redis_server *s)
{
        if (!s)
                return;
        redis_server_kill(s);
        os_read_dir(s->folder, remove_entry, s->folder);
        rmdir(s->folder);
        free_arguments(s);
        free(s);
}

uint16_t redis_server_port(const redis_server *s)
{
        return s->port;
}

const char *redis_server_folder(const redis_server *s)
{
        return s->folder;
}

const char *redis_server_socket(const redis_server *s)
{
        return s->socket;
}

const char *redis_server_url(const redis_server *s)
{
        return s->url;
}
