/* SPDX-License-Identifier: MIT */
/*
 * node_name: how a worker is called, as Celery does it: "NAME@HOST", where in what is given
 *   %h  is the host's whole name, %n what is before its first dot, %d what is after it,
 *   %%  a percent sign.
 */
#ifndef SANJAB_CLI_NODE_NAME_H
#define SANJAB_CLI_NODE_NAME_H

#include <sanjab/base.h>

enum { NODE_NAME_MAX = 255 };

/*
 * The node's name, from what the user gave (NULL: "sanjab@%h"; without an @ it is the part behind
 * it, as Celery takes it) and the host's name. -EINVAL: an unknown letter after %, an empty part,
 * a blank or control character, or too long; `error` then holds a sentence.
 */
int node_name_expand(const char *given, const char *host, char ret[NODE_NAME_MAX + 1], char *error,
                     size_t size);

#endif
