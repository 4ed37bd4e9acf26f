/* SPDX-License-Identifier: MIT */
/*
 * For tests: allocations, of which one fails. The linker leads each of them through here (--wrap,
 * meson.build); a test includes this once.
 */
#ifndef SANJAB_QUEUE_NO_MEMORY_UNIT_H
#define SANJAB_QUEUE_NO_MEMORY_UNIT_H

#include "base/unit.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t n);

static atomic_bool counting;
static atomic_long before_failure; /* allocations until one fails; below 0: it has */
static long number;                /* of the allocation that fails, from 1 on */

static bool fails(void)
{
        return atomic_load(&counting) && atomic_fetch_sub(&before_failure, 1) == 0;
}

void *__wrap_malloc(size_t n)
{
        return fails() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size)
{
        return fails() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n)
{
        return fails() ? NULL : __real_realloc(p, n);
}
char *__wrap_strdup(const char *text)
{
        return fails() ? NULL : __real_strdup(text);
}
char *__wrap_strndup(const char *text, size_t n)
{
        return fails() ? NULL : __real_strndup(text, n);
}

/* Calls day() with the first allocation failing, the second, ... until there are no more. */
static void fail_each(void (*day)(void), long least)
{
        number = 0;
        do {
                atomic_store(&before_failure, number++);
                day();
        } while (atomic_load(&before_failure) < 0);
        assert_true(number > least);
        printf("# %ld allocations\n", number);
}

#endif
