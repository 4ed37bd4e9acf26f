/* SPDX-License-Identifier: MIT */
/*
 * pid_file: a file with the number of the process that runs, for who wants to send it signals,
 * and so that a second one is refused.
 *
 * It is the lock on it that counts, not the number in it: what a process left behind that was
 * killed is taken over at once, also when its number is somebody else's by now.
 */
#ifndef SANJAB_CLI_PID_FILE_H
#define SANJAB_CLI_PID_FILE_H

#include <sanjab/base.h>

typedef struct pid_file {
        const char *path;
        int fd;
} pid_file;

#define PID_FILE_INIT ((pid_file){.fd = -1})

/*
 * Makes or takes over the file. -EBUSY somebody runs with it (*ret_pid: who, or 0); errors of the
 * file. path must outlive it.
 */
int pid_file_take(pid_file *f, const char *path, int *ret_pid);
/* Removes it. No effect when it was not taken. */
void pid_file_drop(pid_file *f);

#endif
