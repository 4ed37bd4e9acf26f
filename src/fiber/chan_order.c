/* SPDX-License-Identifier: MIT */
/*
 * Chans that give the newest item first, or the least. The newest are a stack. The least are a
 * binary heap whose slots are numbered in the order of sending, so that equal ones keep it:
 *
 *         slot: │ item │ padding │ number │      the children of slot i are 2 i + 1 and 2 i + 2
 *
 * The slots are aligned as memory from malloc is, since the items in them are compared.
 */
#include "fiber/chan.h"

#include <sanjab/chan.h>

#include <stdalign.h>
#include <stddef.h>

enum { ALIGNMENT = alignof(max_align_t) };

static size_t slot_size(size_t item_size)
{
        return (item_size + sizeof(uint64_t) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static char *item_at(sj_chan *c, size_t i)
{
        return c->items + i * slot_size(c->item_size);
}

static char *number_at(sj_chan *c, size_t i)
{
        return item_at(c, i + 1) - sizeof(uint64_t);
}

static void move(sj_chan *c, size_t to, size_t from)
{
        memcpy(item_at(c, to), item_at(c, from), slot_size(c->item_size));
}

/* Whether slot i goes before slot j. */
static bool goes_before(sj_chan *c, size_t i, size_t j)
{
        int order = c->compare(item_at(c, i), item_at(c, j));
        if (order != 0)
                return order < 0;
        uint64_t a, b;
        memcpy(&a, number_at(c, i), sizeof(a));
        memcpy(&b, number_at(c, j), sizeof(b));
        return a < b;
}

static void push_by_priority(sj_chan *c, const void *item)
{
        /* The one behind the last is spare: there the item lies while its place is looked for. */
        size_t spare = c->capacity, hole = c->count++;
        uint64_t number = c->next_number++;
        memcpy(number_at(c, spare), &number, sizeof(number));
        memcpy(item_at(c, spare), item, c->item_size);
        while (hole > 0 && goes_before(c, spare, (hole - 1) / 2)) {
                move(c, hole, (hole - 1) / 2);
                hole = (hole - 1) / 2;
        }
        move(c, hole, spare);
}

static void pop_by_priority(sj_chan *c, void *ret_item)
{
        memcpy(ret_item, item_at(c, 0), c->item_size);
        size_t last = --c->count, hole = 0;
        for (size_t child; (child = 2 * hole + 1) < last; hole = child) {
                if (child + 1 < last && goes_before(c, child + 1, child))
                        child++;
                if (!goes_before(c, child, last))
                        break;
                move(c, hole, child);
        }
        if (hole != last)
                move(c, hole, last);
}

static void push_newest(sj_chan *c, const void *item)
{
        memcpy(c->items + c->count++ * c->item_size, item, c->item_size);
}

static void pop_newest(sj_chan *c, void *ret_item)
{
        memcpy(ret_item, c->items + --c->count * c->item_size, c->item_size);
}

static const chan_order by_priority = {push_by_priority, pop_by_priority};
static const chan_order newest_first = {push_newest, pop_newest};

size_t chan_empty(sj_chan *c)
{
        size_t n = c->count;
        c->count = 0;
        c->unfinished -= n;
        return n;
}

void chan_drop(sj_chan *c, size_t n, void (*drop)(void *item, void *arg), void *arg)
{
        size_t stride = c->compare ? slot_size(c->item_size) : c->item_size;
        for (size_t i = 0; drop && i < n; i++)
                drop(c->items + (c->first + i) % c->capacity * stride, arg);
}

int sj_chan_new_lifo(size_t item_size, size_t capacity, sj_chan **ret)
{
        if (capacity == 0)
                return -EINVAL;
        sj_chan *c;
        int r = chan_new(item_size, item_size, capacity, &c);
        if (r < 0)
                return r;
        c->order = &newest_first;
        *ret = c;
        return 0;
}

int sj_chan_new_priority(size_t item_size, size_t capacity, sj_chan_compare *compare, sj_chan **ret)
{
        if (capacity == 0 || capacity == SIZE_MAX || item_size > SIZE_MAX / 4)
                return -EINVAL;
        sj_chan *c;
        int r = chan_new(item_size, slot_size(item_size), capacity + 1, &c);
        if (r < 0)
                return r;
        c->capacity = capacity;
        c->order = &by_priority;
        c->compare = compare;
        *ret = c;
        return 0;
}
