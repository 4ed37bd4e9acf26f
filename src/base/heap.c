/* SPDX-License-Identifier: MIT */
/*
 * A pairing heap. Each node has its children in a list, none of them less than it:
 *
 *         root ─child─► c1 ─sibling─► c2 ─sibling─► c3
 *
 * Adding compares with the root alone, and a timer that is taken out before it fires has mostly
 * no children: both are a few stores, which is what the timers of a loop do all day. An array
 * heap would touch less memory on the way down, but must grow, and a wait may not fail for that.
 */
#include "base/heap.h"

static bool less(const heap_node *a, const heap_node *b)
{
        return a->key < b->key || (a->key == b->key && a->sequence < b->sequence);
}

/* Makes the greater of two roots the first child of the other, which is returned. */
static heap_node *meld(heap_node *a, heap_node *b)
{
        if (!a || !b)
                return a ? a : b;
        if (less(b, a)) {
                heap_node *swap = a;
                a = b;
                b = swap;
        }
        b->previous = a;
        b->sibling = a->child;
        if (a->child)
                a->child->previous = b;
        a->child = b;
        return a;
}

/* Melds a list of siblings: in pairs from the left, then the pairs from the right. */
static heap_node *meld_siblings(heap_node *first)
{
        heap_node *pairs = NULL;
        while (first) {
                heap_node *a = first, *b = a->sibling;
                first = b ? b->sibling : NULL;
                a->sibling = NULL;
                if (b)
                        b->sibling = NULL;
                heap_node *pair = meld(a, b);
                pair->sibling = pairs;
                pairs = pair;
        }
        heap_node *root = NULL;
        while (pairs) {
                heap_node *next = pairs->sibling;
                pairs->sibling = NULL;
                root = meld(root, pairs);
                pairs = next;
        }
        return root;
}

static void set_root(heap *h, heap_node *root)
{
        h->root = root;
        if (root) {
                root->previous = root;
                root->sibling = NULL;
        }
}

void heap_add(heap *h, heap_node *node, int64_t key)
{
        *node = (heap_node){.key = key, .sequence = h->next_sequence++};
        set_root(h, meld(h->root, node));
        h->n++;
}

void heap_remove(heap *h, heap_node *node)
{
        if (!heap_holds(node))
                return;
        heap_node *orphans = meld_siblings(node->child);
        if (node == h->root) {
                set_root(h, orphans);
        } else {
                if (node->previous->child == node)
                        node->previous->child = node->sibling;
                else
                        node->previous->sibling = node->sibling;
                if (node->sibling)
                        node->sibling->previous = node->previous;
                set_root(h, meld(h->root, orphans));
        }
        node->child = node->sibling = node->previous = NULL;
        h->n--;
}

heap_node *heap_pop(heap *h)
{
        heap_node *top = h->root;
        if (top)
                heap_remove(h, top);
        return top;
}
