/* SPDX-License-Identifier: MIT */
/* Children on a system that has no pidfd (before Linux 5.4, and under some emulators). */
#ifndef SANJAB_OS_LINUX_CHILD_H
#define SANJAB_OS_LINUX_CHILD_H

/* A descriptor that stands for the child as a pidfd would; -errno. */
int linux_child_watch(int pid);
/* os_wait_child and os_kill for such a descriptor. */
int linux_child_status(int fd, int *ret_status);
int linux_child_kill(int fd, int signo);

#endif
