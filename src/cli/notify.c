/* SPDX-License-Identifier: MIT */
/*
 * The watchdog's sign of life is sent by a fiber of the loop itself: a loop that hangs sends none,
 * which is what the watchdog is for. Twice in its time, as systemd asks.
 */
#include "cli/notify.h"

#include "cli/terminal.h"
#include "os/os.h"

#include <sanjab/fiber.h>

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#define STATUS_INTERVAL (5 * SJ_SEC)
enum { LINE_MAX_BYTES = 400 };

/* "/run/...", or "@name" in the abstract namespace. */
static int address_of(const char *path, struct sockaddr_un *ret, socklen_t *ret_n)
{
        size_t n = strlen(path);
        if ((path[0] != '/' && path[0] != '@') || n < 2 || n >= sizeof(ret->sun_path))
                return -EINVAL;
        *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
        memcpy(ret->sun_path, path, n);
        if (path[0] == '@')
                ret->sun_path[0] = '\0';
        *ret_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] == '/'));
        return 0;
}

/* $WATCHDOG_USEC, unless it is meant for another process. */
static sj_time watchdog_time(void)
{
        const char *microseconds = terminal_variable("WATCHDOG_USEC");
        const char *pid = terminal_variable("WATCHDOG_PID");
        if (!microseconds || (pid && strtol(pid, NULL, 10) != os_pid()))
                return 0;
        long long n = strtoll(microseconds, NULL, 10);
        return n > 0 && n < (long long)(24 * SJ_HOUR / 1000) ? (sj_time)n * 1000 : 0;
}

int notify_open(notify *n)
{
        struct sockaddr_un address;
        socklen_t size;
        *n = NOTIFY_INIT;
        const char *path = terminal_variable("NOTIFY_SOCKET");
        if (!path)
                return 0;
        int r = address_of(path, &address, &size);
        int fd = r < 0 ? r : os_socket(AF_UNIX, SOCK_DGRAM);
        if (fd < 0)
                return fd;
        r = os_connect(fd, (const struct sockaddr *)&address, size);
        if (r < 0) {
                os_close(fd);
                return r;
        }
        *n = (notify){.fd = fd, .watchdog = watchdog_time()};
        return 0;
}

void notify_close(notify *n)
{
        os_close(n->fd);
        *n = NOTIFY_INIT;
}

void notify_say(const notify *n, const char *format, ...)
{
        if (n->fd < 0)
                return;
        char line[LINE_MAX_BYTES];
        va_list args;
        va_start(args, format);
        int size = vsnprintf(line, sizeof(line), format, args);
        va_end(args);
        if (size > 0 && (size_t)size < sizeof(line))
                os_send(n->fd, line, (size_t)size);
}

int notify_beat(void *arg)
{
        const notify_duty *duty = arg;
        const notify *n = duty->n;
        sj_time interval = n->watchdog ? n->watchdog / 2 : STATUS_INTERVAL;
        sj_time said = 0;
        while (n->fd >= 0) {
                char status[LINE_MAX_BYTES / 2] = "";
                if (n->watchdog)
                        notify_say(n, "WATCHDOG=1");
                if (duty->status && sj_now() - said >= STATUS_INTERVAL) {
                        duty->status(duty->arg, status, sizeof(status));
                        notify_say(n, "STATUS=%s", status);
                        said = sj_now();
                }
                int r = sj_sleep(interval);
                if (r < 0)
                        return r;
        }
        return 0;
}
