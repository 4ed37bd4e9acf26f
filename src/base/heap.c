/* SPDX-License-Identifier: MIT */
/*
 * The nodes of a 4-ary tree, level by level in one array: the children of i are 4i+1 .. 4i+4.
 * Four children rather than two: half the levels, and a node's children share a cache line.
 *
 * Invariant: no node comes before its parent, where "before" is by key and then by sequence; and
 * nodes[i]->index == i + 1. Since no two nodes compare equal, the order of the tops is fully
 * decided by the order of the calls, which a simulation relies on.
 */
#include "base/heap.h"

#include <stdlib.h>

enum { HEAP_ARITY = 4, HEAP_FIRST = 16 };

static bool before(const heap_node *a, const heap_node *b)
{
        return a->key != b->key ? a->key < b->key : a->sequence < b->sequence;
}

static void put(heap *h, size_t i, heap_node *node)
{
        h->nodes[i] = node;
        node->index = i + 1;
}

/* node belongs at i or above: shifts later parents down and puts it. */
static void sift_up(heap *h, size_t i, heap_node *node)
{
        while (i > 0) {
                size_t parent = (i - 1) / HEAP_ARITY;
                if (!before(node, h->nodes[parent]))
                        break;
                put(h, i, h->nodes[parent]);
                i = parent;
        }
        put(h, i, node);
}

static size_t least_child(const heap *h, size_t first)
{
        size_t end = first + HEAP_ARITY < h->n ? first + HEAP_ARITY : h->n;
        size_t least = first;
        for (size_t i = first + 1; i < end; i++)
                if (before(h->nodes[i], h->nodes[least]))
                        least = i;
        return least;
}

/* node belongs at i or below: shifts earlier children up and puts it. */
static void sift_down(heap *h, size_t i, heap_node *node)
{
        for (;;) {
                size_t first = i * HEAP_ARITY + 1;
                if (first >= h->n)
                        break;
                size_t child = least_child(h, first);
                if (!before(h->nodes[child], node))
                        break;
                put(h, i, h->nodes[child]);
                i = child;
        }
        put(h, i, node);
}

void heap_fini(heap *h)
{
        if (!h)
                return;
        free(h->nodes);
        *h = (heap){0};
}

int heap_reserve(heap *h, size_t n)
{
        if (n <= h->capacity)
                return 0;
        size_t capacity = h->capacity ? h->capacity * 2 : HEAP_FIRST;
        if (capacity < n)
                capacity = n;
        if (capacity > SIZE_MAX / HEAP_ARITY / sizeof(*h->nodes))
                return -ENOMEM;
        heap_node **nodes = realloc(h->nodes, capacity * sizeof(*nodes));
        if (!nodes)
                return -ENOMEM;
        h->nodes = nodes;
        h->capacity = capacity;
        return 0;
}

int heap_add(heap *h, heap_node *node, int64_t key)
{
        int r = heap_reserve(h, h->n + 1);
        if (r < 0)
                return r;
        node->key = key;
        node->sequence = h->next_sequence++;
        sift_up(h, h->n++, node);
        return 0;
}

void heap_remove(heap *h, heap_node *node)
{
        if (!node->index)
                return;
        size_t i = node->index - 1;
        node->index = 0;
        heap_node *last = h->nodes[--h->n];
        if (last == node)
                return;
        if (i > 0 && before(last, h->nodes[(i - 1) / HEAP_ARITY]))
                sift_up(h, i, last);
        else
                sift_down(h, i, last);
}

heap_node *heap_pop(heap *h)
{
        heap_node *node = heap_top(h);
        if (node)
                heap_remove(h, node);
        return node;
}
