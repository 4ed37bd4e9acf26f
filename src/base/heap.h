/* SPDX-License-Identifier: MIT */
/*
 * An intrusive min-heap of 64-bit keys, as for timers. Of equal keys, the one that was added
 * first is the top: timers of the same moment fire in the order in which they were set.
 *
 * The heap does not own its nodes. A heap and a node of zeros are empty and in no heap.
 */
#ifndef SANJAB_BASE_HEAP_H
#define SANJAB_BASE_HEAP_H

#include <sanjab/base.h>

typedef struct heap_node {
        int64_t key;       /* read it freely; it changes only by heap_add */
        uint64_t sequence; /* order of adding */
        size_t index;      /* from 1; 0 in no heap */
} heap_node;

typedef struct heap {
        heap_node **nodes;
        size_t n;
        size_t capacity;
        uint64_t next_sequence;
} heap;

/* Frees the heap's own memory; the nodes in it must not be used with heap_remove afterwards. */
void heap_fini(heap *h);

/*
 * Makes sure that n nodes in all fit, so that heap_add cannot fail up to there. -ENOMEM; the heap
 * is unchanged then.
 */
int heap_reserve(heap *h, size_t n);

/* Adds a node that is in no heap. -ENOMEM; heap and node are unchanged then. */
int heap_add(heap *h, heap_node *node, int64_t key);

/* Takes a node out; nothing happens when it is in no heap. */
void heap_remove(heap *h, heap_node *node);

static inline bool heap_holds(const heap_node *node)
{
        return node->index != 0;
}

/* The node with the least key, which stays in; NULL when the heap is empty. */
static inline heap_node *heap_top(const heap *h)
{
        return h->n ? h->nodes[0] : NULL;
}

/* The node with the least key, taken out; NULL when the heap is empty. */
heap_node *heap_pop(heap *h);

#endif
