/* SPDX-License-Identifier: MIT */
/* hook_words: a command's words, split as a shell does it, but with nothing else of one. */
#ifndef SANJAB_CLI_HOOK_WORDS_H
#define SANJAB_CLI_HOOK_WORDS_H

#include <sanjab/base.h>

/*
 * Blanks part words; '...' keeps all, "..." all but \" and \\, and \x outside of quotes is x.
 * *ret is an array that ends with NULL, in one block with its words. -EINVAL no word, a quote that
 * does not end, a backslash at the end; -ENOMEM.
 */
int hook_words_split(const char *text, char ***ret);

#endif
