/* SPDX-License-Identifier: MIT */
/*
 * Arena: a chain of blocks, each twice as large as the one before up to a bound; a large request
 * gets a block of its own behind the current one, so that the current one stays in use.
 */
#include <sanjab/base.h>

#include <stdalign.h>
#include <stdlib.h>

enum { ARENA_FIRST = 1024, ARENA_LARGEST = 256 * 1024, ARENA_ALIGN = alignof(max_align_t) };

typedef struct block {
        struct block *next;
        size_t size; /* of data */
        alignas(max_align_t) char data[];
} block;

struct sj_arena {
        block *blocks; /* the one in use first */
        size_t used;   /* of the first block */
        size_t grow;   /* size of the next block */
};

static block *block_new(size_t size)
{
        block *b = malloc(sizeof(block) + size);
        if (b) {
                b->next = NULL;
                b->size = size;
        }
        return b;
}

int sj_arena_new(sj_arena **ret)
{
        sj_arena *a = malloc(sizeof(*a));
        if (!a)
                return -ENOMEM;
        *a = (sj_arena){.grow = ARENA_FIRST};
        *ret = a;
        return 0;
}

static void blocks_free(block *b)
{
        while (b) {
                block *next = b->next;
                free(b);
                b = next;
        }
}

void sj_arena_free(sj_arena *arena)
{
        if (!arena)
                return;
        blocks_free(arena->blocks);
        free(arena);
}

void sj_arena_reset(sj_arena *arena)
{
        if (!arena->blocks)
                return;
        blocks_free(arena->blocks->next);
        arena->blocks->next = NULL;
        arena->used = 0;
}

static void *alloc_slow(sj_arena *arena, size_t size)
{
        if (size > arena->grow / 4 && arena->blocks) {
                block *own = block_new(size);
                if (!own)
                        return NULL;
                own->next = arena->blocks->next;
                arena->blocks->next = own;
                return own->data;
        }
        size_t block_size = size > arena->grow ? size : arena->grow;
        block *b = block_new(block_size);
        if (!b)
                return NULL;
        b->next = arena->blocks;
        arena->blocks = b;
        arena->used = size;
        if (arena->grow < ARENA_LARGEST)
                arena->grow *= 2;
        return b->data;
}

void *sj_arena_alloc(sj_arena *arena, size_t size)
{
        if (size > SIZE_MAX / 2)
                return NULL;
        size = (size + ARENA_ALIGN - 1) & ~((size_t)ARENA_ALIGN - 1);
        if (!arena->blocks || size > arena->blocks->size - arena->used)
                return alloc_slow(arena, size);
        void *p = arena->blocks->data + arena->used;
        arena->used += size;
        return p;
}

char *sj_arena_strndup(sj_arena *arena, const char *text, size_t n)
{
        char *copy = sj_arena_alloc(arena, n + 1);
        if (!copy)
                return NULL;
        if (n)
                memcpy(copy, text, n);
        copy[n] = '\0';
        return copy;
}
