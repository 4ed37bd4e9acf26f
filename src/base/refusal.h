/* SPDX-License-Identifier: MIT */
/*
 * For tests: memory that is refused, once or from some moment on. The test is linked with --wrap
 * for each of these functions, so that only what our objects ask for passes through here:
 *
 *         memory.left = i;          the i-th allocation from now fails
 *         memory.armed = true;
 *         ...
 *         memory.armed = false;     memory.refused says whether it came to that
 */
#ifndef SANJAB_BASE_REFUSAL_H
#define SANJAB_BASE_REFUSAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *p);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *p);
char *__wrap_strdup(const char *text);

/* Atomic, because our objects also allocate on threads of their own. */
static struct {
        _Atomic bool armed;
        bool for_good;          /* all after the one, too */
        _Atomic long long left; /* allocations until the one that fails */
        _Atomic size_t refused;
        _Atomic long long live; /* made and not freed */
} memory;

/* The simulated world's own memory is no part of what is tested (os/sim.h). */
extern volatile bool sim_takes_memory __attribute__((weak));

static bool refuse(void)
{
        if (!memory.armed || (&sim_takes_memory && sim_takes_memory))
                return false;
        long long left = memory.left--;
        if (left > 0 || (left < 0 && !memory.for_good))
                return false;
        memory.refused++;
        return true;
}

static void *count(void *p)
{
        memory.live += p != NULL;
        return p;
}

void *__wrap_malloc(size_t size)
{
        return refuse() ? NULL : count(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
        return refuse() ? NULL : count(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t size)
{
        if (refuse())
                return NULL;
        return p ? __real_realloc(p, size) : count(__real_realloc(p, size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
        return refuse() ? NULL : count(__real_aligned_alloc(alignment, size));
}

char *__wrap_strdup(const char *text)
{
        return refuse() ? NULL : count(__real_strdup(text));
}

void __wrap_free(void *p)
{
        memory.live -= p != NULL;
        __real_free(p);
}

#endif
