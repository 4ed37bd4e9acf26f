/* SPDX-License-Identifier: MIT */
/*
 * An intrusive min-heap of 64-bit keys, as for timers. Of equal keys, the one that was added
 * first is the top: timers of the same moment fire in the order in which they were set.
 *
 * The heap owns neither its nodes nor any memory, so that adding cannot fail. A heap and a node
 * of zeros are empty and in no heap.
 */
#ifndef SANJAB_BASE_HEAP_H
#define SANJAB_BASE_HEAP_H

#include <sanjab/base.h>

typedef struct heap_node {
        int64_t key;       /* read it freely; it changes only by heap_add */
        uint64_t sequence; /* order of adding */
        struct heap_node *child;
        struct heap_node *sibling;
        struct heap_node *previous; /* the left sibling, or the parent; the root: itself */
} heap_node;

typedef struct heap {
        heap_node *root;
        uint64_t next_sequence;
        size_t n;
} heap;

/* Adds a node that is in no heap. */
void heap_add(heap *h, heap_node *node, int64_t key);

/* Takes a node out; nothing happens when it is in no heap. */
void heap_remove(heap *h, heap_node *node);

static inline bool heap_holds(const heap_node *node)
{
        return node->previous != NULL;
}

/* The node with the least key, which stays in; NULL when the heap is empty. */
static inline heap_node *heap_top(const heap *h)
{
        return h->root;
}

/* The node with the least key, taken out; NULL when the heap is empty. */
heap_node *heap_pop(heap *h);

#endif
