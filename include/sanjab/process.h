/* SPDX-License-Identifier: MIT */
/*
 * sanjab/process.h: signals, and programs that are started.
 */
#ifndef SANJAB_PROCESS_H
#define SANJAB_PROCESS_H

#include <sanjab/fiber.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sj_signals sj_signals;

/*
 * Takes the signals of the list for this program: they are blocked in this thread and in those
 * that it starts later, and are read with sj_signals_next. The library takes no signal unasked.
 * Does not block. The caller owns *ret. -EINVAL there is none in the list, or more than 64, or
 * one is no signal; -EMFILE; -ENOMEM.
 */
SJ_PUBLIC int sj_signals_open(const int signals[], size_t n, sj_signals **ret);
/* Gives them back to their former treatment; who waits gets -EBADF. NULL is allowed. */
SJ_PUBLIC void sj_signals_close(sj_signals *s);
/*
 * The next signal's number. Cancellation point. -ETIMEDOUT, -ECANCELED; -EBUSY another fiber
 * waits already.
 */
SJ_PUBLIC int sj_signals_next(sj_signals *s, sj_time deadline);

typedef struct sj_child sj_child;

typedef struct sj_child_options {
        char *const *environment; /* NULL: this process's */
        int in, out, err;         /* 0: /dev/null for in, this process's own for out and err */
        bool die_with_parent;     /* SIGKILL when this process ends */
} sj_child_options;

/*
 * Starts the program argv[0] (searched in PATH when it has no slash), which inherits no other
 * descriptor. options may be NULL. -ENOENT, -EACCES and so on; -ENOMEM.
 */
SJ_PUBLIC int sj_child_start(char *const argv[], const sj_child_options *options, sj_child **ret);
/*
 * Waits for its end; *ret (may be NULL) is as waitpid's status. 0, -ETIMEDOUT, -ECANCELED (the
 * child goes on then). By several fibers too, and again after the end.
 */
SJ_PUBLIC int sj_child_wait(sj_child *c, int *ret, sj_time deadline);
/* Sends it a signal. -ESRCH it has ended and was reaped; -EINVAL there is no such signal. */
SJ_PUBLIC int sj_child_kill(sj_child *c, int signo);
/* Its process id, which the system may give to another once it has ended and was reaped. */
SJ_PUBLIC int sj_child_pid(const sj_child *c);
/*
 * Kills it if it still runs, and reaps it; who waits gets -EBADF. NULL is allowed. May block the
 * thread shortly.
 */
SJ_PUBLIC void sj_child_free(sj_child *c);

#ifdef __cplusplus
}
#endif

#endif
