/* SPDX-License-Identifier: MIT */
/*
 * For tests: a redis-server of one's own, in a private temporary folder, on a Unix socket there
 * and on a free port of 127.0.0.1. It keeps nothing on the disk unless its arguments say so, and
 * is killed when the test's process (the thread that started it) ends, however that happens.
 *
 *         int main(void)
 *         {
 *                 REDIS_SERVER_OR_SKIP();
 *                 ...
 *                 redis_server *s = redis_server_start(NULL);
 *                 ... redis_server_url(s) ...
 *                 redis_server_stop(s);
 *
 * The calls work inside and outside of fibers, and block the thread. What cannot be done is a
 * message and an abort: it is the end of the test.
 */
#ifndef SANJAB_STORE_REDIS_SERVER_H
#define SANJAB_STORE_REDIS_SERVER_H

#include <sanjab/base.h>

#include <stdio.h>

typedef struct redis_server redis_server;

typedef struct redis_server_options {
        /* More arguments, ended by NULL: "--appendonly", "yes". They win over the usual ones. */
        const char *const *arguments;
        /* The text of its settings file, as a Sentinel needs one; NULL: none. */
        const char *config;
        bool sentinel;
        const char *password; /* what to give when asking whether it answers; NULL: none */
} redis_server_options;

/* Whether it is installed. */
bool redis_server_found(void);

/* In main: ends the program as "skipped" when it is not. */
#define REDIS_SERVER_OR_SKIP()                                                          \
        do {                                                                            \
                if (!redis_server_found()) {                                            \
                        printf("1..0 # SKIP /usr/bin/redis-server is not installed\n"); \
                        return 77;                                                      \
                }                                                                       \
        } while (0)

/* Starts it, and returns when it answers. options may be NULL. */
redis_server *redis_server_start(const redis_server_options *options);
/* Kills it and removes its folder. NULL is allowed. */
void redis_server_stop(redis_server *s);

/* SIGKILL, and waits until it is gone. */
void redis_server_kill(redis_server *s);
/* Starts it again after a kill: same folder, same port; returns when it answers. */
void redis_server_restart(redis_server *s);
/* SIGSTOP and SIGCONT: it is connected, and does not answer in between. */
void redis_server_pause(redis_server *s);
void redis_server_resume(redis_server *s);

uint16_t redis_server_port(const redis_server *s);
const char *redis_server_folder(const redis_server *s);
const char *redis_server_socket(const redis_server *s); /* the path */
const char *redis_server_url(const redis_server *s);    /* redis://127.0.0.1:port/0 */

/* A port of 127.0.0.1 on which nobody listens now. */
uint16_t redis_server_free_port(void);
/*
 * Sends a command as one line of words without spaces in them, on a connection of its own, and
 * returns the first line of the answer (of a string: of its text), without its end, in static
 * memory.
 */
const char *redis_server_ask(redis_server *s, const char *line);

#endif
