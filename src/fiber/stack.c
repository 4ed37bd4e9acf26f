/* SPDX-License-Identifier: MIT */
/*
 * A slab is one mapping of many slots:
 *
 *         | guard |   stack ...        ◄ grows | object | colour | stack | guard |   stack ...
 *         ^slot          one page of these is touched ^          ^       ^next slot
 *
 * All that a sleeping fiber needs lies in the highest page of its slot: the bookkeeping (struct
 * stack), the owner's object, and its few frames. So a fiber that waits costs one page, and its
 * share of the page table.
 *
 * Colour: the tops of all slots have the same address modulo a page, so their hottest lines would
 * all compete for the same few sets of the first-level cache. Each slot therefore begins lower by
 * another multiple of a cache line, over half a page at most so that the rest still holds a
 * sleeper's frames.
 *
 * A stack goes through three places:
 *
 *         fresh ──alloc──► in use ──free──► hot ──(too many)──► cold ──► its slab is unmapped
 *                             ▲──alloc───────┘                   │
 *                             └──────────────────alloc───────────┘
 *
 * hot is a short array in the pool, last in first out, so what is taken is still in the cache; it
 * costs a few instructions, and no look at the bookkeeping in the slots: that has the same address
 * in all of them modulo a page, so that a hundred of its lines do not fit into the caches. Only
 * when it overflows is its older half counted back to the slabs, and only then can a slab be found
 * to be wholly unused, and be unmapped, if the pool keeps enough others. A fresh slot gets its
 * guard when it is first taken, so that starting a loop costs nothing for the slots that it never
 * uses.
 *
 * Depth: a stack that has been used deeply keeps its pages. When it comes back, a few words in the
 * last line of its highest page are read, where it has been if it went further; when it turns
 * cold, a few more of that page, which would cost the common fiber a line of the cache each. Only
 * when they are not all zero, a few of the page below the part that it may keep. That one may
 * never have been touched: then it reads as zero, at the price of a fault, but not of memory. If
 * that is not zero either, the pages below are given back. So the common fiber needs no call to
 * the system, nor a fault. A frame with a large array that is never filled may step over all the
 * words: then the pages are kept until the slab's end, which is no error. Valgrind, which takes
 * all below the stack pointer for undefined, would object, so there nothing is looked for.
 */
#include "fiber/stack.h"

#include "os/os.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
        LINE = 64,
        PAGE = STACK_PAGE,
        COLOURS = 32,
        SLOTS_FIRST = 8, /* of a pool's first slab */
        SLOTS = 64,
        KEEP = 32 * 1024,  /* what a stack keeps, from its top */
        PROBES = 8,        /* words read in a page            */
        COLD_MIN = 512,    /* so many unused stacks are always kept */
        PEAK_SHARE = 2048, /* one in so many is forgotten at a time */
};

#define SLOT_SIZE (STACK_GUARD + STACK_SIZE)

struct stack_slab {
        list all;
        list cold_link;
        list fresh_link;
        char *memory;
        stack *cold; /* free, used before */
        unsigned n_cold;
        unsigned n_fresh; /* the slots from slots - n_fresh on were never used */
        unsigned slots;
        unsigned *valgrind; /* its name for each slot's stack, or NULL */
};

_Static_assert(KEEP + PAGE <= SJ_STACK_SIZE, "the page that is probed is in the stack");

static size_t slab_size(const stack_slab *slab)
{
        return slab->slots * SLOT_SIZE;
}

static char *slot_low(const stack_slab *slab, unsigned i)
{
        return slab->memory + i * SLOT_SIZE + STACK_GUARD;
}

/* Where the bookkeeping of slot i lies. */
static stack *slot_stack(const stack_slab *slab, unsigned i)
{
        return (stack *)(void *)(slot_low(slab, i) + STACK_SIZE - LINE);
}

_Static_assert(sizeof(stack) <= LINE, "the bookkeeping is one line");

/* ── Slabs ───────────────────────────────────────────────────────────────────────────────── */

static void slab_tell_valgrind(stack_slab *slab)
{
        if (!sanitize_valgrind())
                return;
        slab->valgrind = calloc(slab->slots, sizeof(unsigned));
        if (!slab->valgrind)
                return;
        for (unsigned i = 0; i < slab->slots; i++) {
                char *low = slot_low(slab, i);
                slab->valgrind[i] = sanitize_stack_add(low, low + STACK_SIZE);
        }
}

static int slab_new(stack_pool *pool)
{
        stack_slab *slab = calloc(1, sizeof(*slab));
        if (!slab)
                return -ENOMEM;
        slab->slots = pool->n_slabs ? SLOTS : SLOTS_FIRST;
        slab->memory = os_map(slab_size(slab));
        if (!slab->memory) {
                free(slab);
                return -ENOMEM;
        }
        slab->n_fresh = slab->slots;
        slab_tell_valgrind(slab);
        list_init(&slab->cold_link);
        list_append(&pool->slabs, &slab->all);
        list_append(&pool->with_fresh, &slab->fresh_link);
        pool->n_slabs++;
        pool->slots += slab->slots;
        if (pool->slots > pool->most_slots)
                pool->most_slots = pool->slots;
        return 0;
}

static void slab_free(stack_pool *pool, stack_slab *slab)
{
        if (slab->valgrind) {
                for (unsigned i = 0; i < slab->slots; i++)
                        sanitize_stack_remove(slab->valgrind[i]);
                free(slab->valgrind);
        }
        list_remove(&slab->all);
        list_remove(&slab->cold_link);
        list_remove(&slab->fresh_link);
        pool->n_cold -= slab->n_cold;
        pool->n_slabs--;
        pool->slots -= slab->slots;
        os_unmap(slab->memory, slab_size(slab));
        free(slab);
}

/* ── Cold and fresh stacks ───────────────────────────────────────────────────────────────── */

static bool slab_idle(const stack_slab *slab)
{
        return slab->n_cold + slab->n_fresh == slab->slots;
}

/* with_cold: first those slabs that are partly in use, which are drawn from first; then idle ones.
 */
static void cold_push(stack_pool *pool, stack *s)
{
        stack_slab *slab = s->slab;
        s->next = slab->cold;
        slab->cold = s;
        slab->n_cold++;
        pool->n_cold++;
        if (slab_idle(slab)) {
                list_remove(&slab->cold_link);
                list_append(&pool->with_cold, &slab->cold_link);
        } else if (slab->n_cold == 1) {
                list_prepend(&pool->with_cold, &slab->cold_link);
        }
}

/* Unmaps idle slabs, as long as so many unused stacks are left. */
static void cold_release(stack_pool *pool, size_t enough)
{
        while (!list_empty(&pool->with_cold)) {
                stack_slab *slab = container_of(pool->with_cold.prev, stack_slab, cold_link);
                if (!slab_idle(slab) || pool->n_cold - slab->n_cold < enough)
                        return;
                slab_free(pool, slab);
        }
}

/*
 * Keeps as many idle stacks as were in use at the last peak beyond those that are now, so that a
 * steady coming and going of many does not make the pool map and unmap in turn. The peak is
 * forgotten by a share at each shrinking, that is, in the course of some tens of thousands of
 * frees; who can wait for idleness uses stack_pool_tidy.
 */
static void cold_shrink(stack_pool *pool)
{
        size_t enough = pool->peak - pool->in_use;
        pool->peak -= enough / PEAK_SHARE;
        cold_release(pool, enough > COLD_MIN ? enough : COLD_MIN);
}

static stack *cold_pop(stack_pool *pool)
{
        stack_slab *slab = container_of(pool->with_cold.next, stack_slab, cold_link);
        stack *s = slab->cold;
        slab->cold = s->next;
        slab->n_cold--;
        pool->n_cold--;
        if (!slab->cold)
                list_remove(&slab->cold_link);
        return s;
}

static void slot_lay_out(const stack_pool *pool, stack_slab *slab, unsigned i, stack *s)
{
        size_t colour = (size_t)(i % COLOURS) * LINE;
        size_t object = (pool->object_size + LINE - 1) / LINE * LINE;
        s->slab = slab;
        s->low = slot_low(slab, i);
        s->object = (char *)s - colour - object;
        s->size = (size_t)((char *)s->object - s->low);
}

static int fresh_pop(stack_pool *pool, stack **ret)
{
        if (list_empty(&pool->with_fresh)) {
                int r = slab_new(pool);
                if (r < 0)
                        return r;
        }
        stack_slab *slab = container_of(pool->with_fresh.next, stack_slab, fresh_link);
        unsigned i = slab->slots - slab->n_fresh;
        int r = os_guard(slot_low(slab, i) - STACK_GUARD, STACK_GUARD);
        if (r < 0)
                return r == -ENOMEM ? -ENOBUFS : r;
        slab->n_fresh--;
        if (!slab->n_fresh)
                list_remove(&slab->fresh_link);
        stack *s = slot_stack(slab, i);
        slot_lay_out(pool, slab, i, s);
        pool->made++;
        *ret = s;
        return 0;
}

/* ── Depth ───────────────────────────────────────────────────────────────────────────────── */

/* Reads frames that are gone, which an instrumented build would object to. */
__attribute__((no_sanitize("address", "thread"))) static bool any_set(const char *from, size_t step)
{
        uintptr_t seen = 0;
        for (size_t i = 0; i < PROBES; i++)
                seen |= *(const volatile uintptr_t *)(const void *)(from + i * step);
        return seen != 0;
}

static bool was_deep(const stack *s)
{
        const char *top = s->low + STACK_SIZE;
        return any_set(top - PAGE, LINE) && any_set(top - KEEP - PAGE, PAGE / PROBES);
}

static void trim(const stack *s)
{
        os_discard(s->low, STACK_SIZE - KEEP);
}

/* ── The pool ────────────────────────────────────────────────────────────────────────────── */

void stack_pool_init(stack_pool *pool, size_t object_size)
{
        *pool = (stack_pool){.object_size = object_size, .probe = !sanitize_valgrind()};
        list_init(&pool->with_cold);
        list_init(&pool->with_fresh);
        list_init(&pool->slabs);
}

void stack_pool_fini(stack_pool *pool)
{
        if (!pool || !pool->slabs.next)
                return;
        list_for_each_safe (node, &pool->slabs)
                slab_free(pool, container_of(node, stack_slab, all));
        *pool = (stack_pool){.object_size = 0};
}

int stack_alloc_cold(stack_pool *pool, stack **ret)
{
        stack *s;
        if (!list_empty(&pool->with_cold)) {
                s = cold_pop(pool);
        } else {
                int r = fresh_pop(pool, &s);
                if (r < 0)
                        return r;
        }
        pool->taken++;
        if (++pool->in_use > pool->peak)
                pool->peak = pool->in_use;
        /* Seen here alone: none is hot, and what is taken from the hot was in use before. */
        if (pool->in_use > pool->most)
                pool->most = pool->in_use;
        *ret = s;
        return 0;
}

/* Keeps of the hot stacks the newest: n, which is not more than there are. */
static void hot_keep(stack_pool *pool, unsigned n)
{
        unsigned n_cold = pool->n_hot - n;
        for (unsigned i = n_cold; i-- > 0;) {
                if (pool->probe && was_deep(pool->hot[i]))
                        trim(pool->hot[i]);
                cold_push(pool, pool->hot[i]);
        }
        memmove(pool->hot, pool->hot + n_cold, n * sizeof(pool->hot[0]));
        pool->n_hot = n;
}

void stack_free_more(stack_pool *pool, stack *s)
{
        if (pool->probe && was_deep(s))
                trim(s);
        if (pool->n_hot > STACK_HOT_MAX) {
                hot_keep(pool, STACK_HOT_MAX / 2);
                cold_shrink(pool);
        }
}

bool stack_pool_untidy(const stack_pool *pool)
{
        return pool->peak > pool->in_use + COLD_MIN;
}

void stack_pool_tidy(stack_pool *pool)
{
        /* The hot ones may lie in many slabs, and would hold each of them. */
        hot_keep(pool, 0);
        pool->peak = pool->in_use;
        cold_release(pool, COLD_MIN);
}

stack *stack_owns(const stack_pool *pool, const void *address, bool *ret_in_guard)
{
        list_for_each (node, &pool->slabs) {
                const stack_slab *slab = container_of(node, stack_slab, all);
                uintptr_t offset = (uintptr_t)address - (uintptr_t)slab->memory;
                if (offset >= slab_size(slab))
                        continue;
                unsigned i = (unsigned)(offset / SLOT_SIZE);
                if (i >= slab->slots - slab->n_fresh)
                        return NULL;
                *ret_in_guard = offset % SLOT_SIZE < STACK_GUARD;
                return slot_stack(slab, i);
        }
        return NULL;
}
