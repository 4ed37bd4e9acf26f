/* SPDX-License-Identifier: MIT */
/*
 * notify: tells the service manager how a program is: sd_notify(3)'s datagrams to $NOTIFY_SOCKET,
 * without its library. Where there is no such socket, all of it does nothing.
 */
#ifndef SANJAB_CLI_NOTIFY_H
#define SANJAB_CLI_NOTIFY_H

#include <sanjab/base.h>
#include <sanjab/time.h>

typedef struct notify {
        int fd;           /* -1: nobody is to be told */
        sj_time watchdog; /* within which it is to hear of us again; 0: it does not watch */
} notify;

#define NOTIFY_INIT ((notify){.fd = -1})

/* By the environment. Errors of the socket; -EINVAL its name. */
int notify_open(notify *n);
void notify_close(notify *n);

/* "READY=1", "STOPPING=1", "STATUS=...", lines of them. One that cannot be sent is lost. */
void notify_say(const notify *n, const char *format, ...) SJ_PRINTF(2, 3);

/*
 * A fiber that keeps the watchdog quiet for as long as the loop turns, until it is cancelled;
 * returns at once if there is none. status (may be NULL) writes what is to be shown about now.
 */
typedef struct notify_duty {
        const notify *n;
        void (*status)(void *arg, char *ret, size_t size);
        void *arg;
} notify_duty;
int notify_beat(void *duty);

#endif
