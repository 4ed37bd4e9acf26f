/* SPDX-License-Identifier: MIT */
/*
 * Intrusive doubly linked list. The head is a list too; an empty head and a node that is in no
 * list point to themselves, so that list_remove may be called twice.
 */
#ifndef SANJAB_BASE_LIST_H
#define SANJAB_BASE_LIST_H

#include <sanjab/base.h>

typedef struct sj_list list;

/* The struct of that type that holds the node as that member. */
#define container_of(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void list_init(list *l)
{
        l->next = l->prev = l;
}

static inline bool list_empty(const list *l)
{
        return l->next == l;
}

static inline void list_insert_before(list *position, list *node)
{
        node->next = position;
        node->prev = position->prev;
        position->prev->next = node;
        position->prev = node;
}

static inline void list_append(list *head, list *node)
{
        list_insert_before(head, node);
}

static inline void list_prepend(list *head, list *node)
{
        list_insert_before(head->next, node);
}

static inline void list_remove(list *node)
{
        node->prev->next = node->next;
        node->next->prev = node->prev;
        list_init(node);
}

/* The first node, taken out; NULL when the list is empty. */
static inline list *list_pop(list *head)
{
        if (list_empty(head))
                return NULL;
        list *node = head->next;
        list_remove(node);
        return node;
}

/* Appends all nodes of from to head and leaves from empty. */
static inline void list_splice(list *head, list *from)
{
        if (list_empty(from))
                return;
        from->next->prev = head->prev;
        head->prev->next = from->next;
        from->prev->next = head;
        head->prev = from->prev;
        list_init(from);
}

#define list_for_each(node, head) \
        for (list *node = (head)->next; (node) != (head); (node) = (node)->next)

/* As list_for_each, and the body may remove the node. */
#define list_for_each_safe(node, head)                                                 \
        for (list *node = (head)->next, *node##_next = (node)->next; (node) != (head); \
             (node) = node##_next, node##_next = (node)->next)

#endif
