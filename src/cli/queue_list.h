/* SPDX-License-Identifier: MIT */
/* queue_list: names of queues with commas between, as -Q takes them. */
#ifndef SANJAB_CLI_QUEUE_LIST_H
#define SANJAB_CLI_QUEUE_LIST_H

#include <sanjab/base.h>

#define QUEUE_LIST_WRONG                                                              \
        "--%s is a list of names with commas between, as mail,reports, each of 1 to " \
        "255 bytes without blanks, not '%s'"

/* The names, as views of text, each once. Returns how many; -EINVAL an empty, wrong or too long
 * one; -ENOMEM. */
int queue_list_parse(sj_arena *arena, const char *text, sj_str **ret);

/* Takes out those that are in `without`, in place; how many are left. */
size_t queue_list_without(sj_str names[], size_t n, const sj_str without[], size_t n_without);

#endif
