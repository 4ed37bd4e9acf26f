/* SPDX-License-Identifier: MIT */
/* suggest: what somebody who mistyped a word may have meant. */
#ifndef SANJAB_BASE_SUGGEST_H
#define SANJAB_BASE_SUGGEST_H

#include <sanjab/base.h>

/*
 * The name that is nearest to word and near enough to be meant, or NULL. names ends with NULL. One
 * step is a character more, less, another one, or two that changed places.
 */
const char *suggest_nearest(const char *word, const char *const names[]);

#endif
