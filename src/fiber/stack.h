/* SPDX-License-Identifier: MIT */
/*
 * stack: the stacks of one loop's fibers, each with a guard at its low end and an object of its
 * owner's at its high end, so that a fiber needs no memory but its stack. Used by one thread.
 */
#ifndef SANJAB_FIBER_STACK_H
#define SANJAB_FIBER_STACK_H

#include "base/list.h"
#include "fiber/sanitize.h"

#include <sanjab/fiber.h>

#include <stdint.h>

/* The memory of one stack, with its object. Instrumented code has larger frames. */
#if SANITIZE_ANY
#define STACK_SIZE ((size_t)1024 * 1024)
#else
#define STACK_SIZE SJ_STACK_SIZE
#endif
/* More than a page, since a frame may have an array larger than that and not touch all of it. */
#define STACK_GUARD ((size_t)16 * 1024)
/* The largest object. */
#define STACK_OBJECT_MAX ((size_t)1024)

typedef struct stack_slab stack_slab;

/* Lies at the high end of its own memory. */
typedef struct stack {
        struct stack *next; /* private */
        stack_slab *slab;   /* private */
        char *low;          /* the lowest byte that may be used; the guard is below */
        size_t size;        /* from low to the object; low + size is aligned to 64 */
        void *object;       /* of the size told to stack_pool_init, aligned to 64 */
} stack;

enum { STACK_PAGE = 4096, STACK_HOT_MAX = 128 };

typedef struct stack_pool {
        size_t object_size;
        size_t in_use;   /* taken and not given back */
        size_t peak;     /* of in_use, slowly forgotten */
        size_t n_cold;   /* free in slabs, used before */
        list with_cold;  /* slabs that have stacks which were used before */
        list with_fresh; /* slabs that have stacks which were never used */
        list slabs;      /* all */
        size_t n_slabs;
        bool probe; /* look for deep use when a stack comes back */
        unsigned n_hot;
        stack *hot[STACK_HOT_MAX + 1]; /* freed last, taken first */
        uint64_t made;                 /* slots that were used for the first time */
        uint64_t taken;                /* calls of stack_alloc that gave one */
        size_t most;                   /* of in_use, never forgotten */
        size_t slots;                  /* in all slabs */
        size_t most_slots;
} stack_pool;

/* Takes no memory yet. object_size <= STACK_OBJECT_MAX. */
void stack_pool_init(stack_pool *pool, size_t object_size);

/* Unmaps all, also the stacks that are in use. */
void stack_pool_fini(stack_pool *pool);

/*
 * Takes a stack. Its object is zero when the stack is used for the first time, and else as it was
 * left. -ENOMEM; -ENOBUFS the limit on mappings is reached: the pool is as before.
 */
static inline int stack_alloc(stack_pool *pool, stack **ret);

/* Gives it back; nobody may be running on it. Memory of the object stays readable until reuse. */
static inline void stack_free(stack_pool *pool, stack *s);

/* As stack_free, of one that nobody has run on since it was taken. */
static inline void stack_free_unused(stack_pool *pool, stack *s);

/*
 * Whether many more were in use lately than now: a loop that then finds nothing to do for a second
 * or so should call stack_pool_tidy, which unmaps most of what is unused at once, and after which
 * it is false. Otherwise that happens by and by, as stacks are given back.
 */
bool stack_pool_untidy(const stack_pool *pool);
void stack_pool_tidy(stack_pool *pool);

/* The stack whose memory or guard holds the address, or NULL. Safe in a signal handler. */
stack *stack_owns(const stack_pool *pool, const void *address, bool *ret_in_guard);

/* ── The common paths of the two ─────────────────────────────────────────────────────────── */

__attribute__((noinline)) int stack_alloc_cold(stack_pool *pool, stack **ret);
/* What must be done now and then when a stack is freed: its depth, too many that are hot. */
__attribute__((noinline)) void stack_free_more(stack_pool *pool, stack *s);

static inline int stack_alloc(stack_pool *pool, stack **ret)
{
        if (__builtin_expect(pool->n_hot == 0, 0))
                return stack_alloc_cold(pool, ret);
        *ret = pool->hot[--pool->n_hot];
        pool->in_use++;
        pool->taken++;
        return 0;
}

/* Whether the end of its highest page was written to. An instrumented build would object. */
__attribute__((no_sanitize("address", "thread"))) static inline bool stack_seems_deep(
        const stack *s)
{
        const volatile uintptr_t *end =
                (const volatile uintptr_t *)(const void *)(s->low + STACK_SIZE - STACK_PAGE);
        return (end[0] | end[2] | end[4] | end[6]) != 0;
}

static inline void stack_free(stack_pool *pool, stack *s)
{
        pool->hot[pool->n_hot++] = s;
        pool->in_use--;
        if (__builtin_expect(pool->n_hot > STACK_HOT_MAX || (pool->probe && stack_seems_deep(s)),
                             0))
                stack_free_more(pool, s);
}

static inline void stack_free_unused(stack_pool *pool, stack *s)
{
        pool->hot[pool->n_hot++] = s;
        pool->in_use--;
        if (__builtin_expect(pool->n_hot > STACK_HOT_MAX, 0))
                stack_free_more(pool, s);
}

#endif
