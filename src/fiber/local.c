/* SPDX-License-Identifier: MIT */
/*
 * Values of a fiber's own: a list that hangs on the fiber, one piece for each key that it has set,
 * so that a fiber that uses none has a NULL pointer and no more. A list, since a program has few
 * such keys; and no index of keys, which would be a global count to be handed out and to be
 * limited.
 *
 * A piece that has been taken away stays, with the value NULL, for the next time.
 */
#include "fiber/fiber.h"

#include <stdlib.h>

typedef struct local_value {
        struct local_value *next;
        const sj_local *key;
        void *value;
} local_value;

static local_value *find(const sj_fiber *f, const sj_local *key)
{
        local_value *v = f->locals;
        while (v && v->key != key)
                v = v->next;
        return v;
}

static int add(local_value **head, const sj_local *key, void *value)
{
        local_value *v = malloc(sizeof(*v));
        if (!v)
                return -ENOMEM;
        *v = (local_value){.next = *head, .key = key, .value = value};
        *head = v;
        return 0;
}

static void drop_all(local_value **head)
{
        /* One by one from the head: to drop a value may set another. */
        while (*head) {
                local_value *v = *head;
                *head = v->next;
                if (v->value && v->key->drop)
                        v->key->drop(v->value);
                free(v);
        }
}

int sj_local_set(const sj_local *key, void *value)
{
        sj_fiber *f = fiber_current();
        if (!f)
                return -EPERM;
        local_value *v = find(f, key);
        if (v)
                v->value = value;
        else if (value)
                return add(&f->locals, key, value);
        return 0;
}

void *sj_local_get(const sj_local *key)
{
        const sj_fiber *f = fiber_current();
        const local_value *v = f ? find(f, key) : NULL;
        return v ? v->value : NULL;
}

void *sj_local_share(void *value)
{
        return value;
}

/* Each piece before its value, so that nothing is inherited that has no place. */
static int inherit_one(const local_value *v, local_value ***end)
{
        if (!v->value || !v->key->inherit)
                return 0;
        int r = add(*end, v->key, NULL);
        if (r < 0)
                return r;
        (**end)->value = v->key->inherit(v->value);
        *end = &(**end)->next;
        return 0;
}

int local_inherit(const local_value *from, local_value **ret)
{
        local_value *head = NULL, **end = &head;
        int r = 0;
        for (; r >= 0 && from; from = from->next)
                r = inherit_one(from, &end);
        if (r < 0)
                drop_all(&head);
        else
                *ret = head;
        return r;
}

void local_end(sj_fiber *f)
{
        drop_all(&f->locals);
}
