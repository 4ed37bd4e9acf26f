/* SPDX-License-Identifier: MIT */
/*
 * The broker in memory: joins, the groups that programs save, and revoked ids.
 *
 * A group has its join and its saved text under one name, and is forgotten with both when nobody
 * has touched it for as long as results are kept. `groups` is in the order of touches, so that
 * those which are to be forgotten are in front; a group that was touched by a handle with shorter
 * patience may outlive its time behind one with more, and is found to be over when it is met.
 */
#include "queue/memory/memory_store.h"

#include <stdlib.h>

typedef struct memory_member {
        list place;
        int64_t index; /* INT64_MAX: behind all others */
        sj_str id;
        sj_str text;
} memory_member;

struct memory_group {
        list place; /* in the store's groups */
        sj_str name;
        sj_wall until;
        int64_t size; /* 0: the join is not open */
        int64_t more; /* members that it has grown by */
        sj_str body;
        list members; /* by index, then by id */
        int64_t n_members;
        sj_str saved;
};

/* ── Groups ──────────────────────────────────────────────────────────────────────────────── */

static void members_free(memory_group *g)
{
        for (list *node; (node = list_pop(&g->members));)
                free(container_of(node, memory_member, place));
        g->n_members = 0;
}

static void text_free(sj_str *text)
{
        free((void *)(uintptr_t)text->data);
        *text = (sj_str){NULL, 0};
}

/* A copy of malloc, never NULL when it succeeds. */
static bool text_keep(sj_str *ret, sj_str text)
{
        char *copy = malloc(text.n + 1);
        if (!copy)
                return false;
        if (text.n)
                memcpy(copy, text.data, text.n);
        *ret = (sj_str){copy, text.n};
        return true;
}

static void group_free(memory_store *s, memory_group *g)
{
        map_remove(&s->group_names, g->name);
        list_remove(&g->place);
        members_free(g);
        text_free(&g->body);
        text_free(&g->saved);
        free(g);
}

void memory_groups_fini(memory_store *s)
{
        for (list *node; (node = s->groups.next) != &s->groups;)
                group_free(s, container_of(node, memory_group, place));
        map_fini(&s->group_names);
        while (!list_empty(&s->revoked))
                free(container_of(list_pop(&s->revoked), memory_revoked, place));
}

void memory_groups_tick(memory_store *s, sj_wall now)
{
        while (!list_empty(&s->groups)) {
                memory_group *g = container_of(s->groups.next, memory_group, place);
                if (g->until.us > now.us)
                        break;
                group_free(s, g);
        }
}

static memory_group *group_find(memory_store *s, sj_str name, sj_wall now)
{
        memory_group *g = map_get(&s->group_names, name);
        if (!g || g->until.us > now.us)
                return g;
        group_free(s, g);
        return NULL;
}

/* The group, made if need be, with its time before it; NULL: no memory. */
static memory_group *group_touch(broker *b, sj_str name, sj_wall now)
{
        memory_store *s = memory_of(b);
        memory_group *g = group_find(s, name, now);
        if (!g) {
                g = calloc(1, sizeof(*g) + name.n);
                if (!g)
                        return NULL;
                memcpy(g + 1, name.data, name.n);
                g->name = (sj_str){(char *)(g + 1), name.n};
                list_init(&g->members);
                list_init(&g->place);
                if (map_add(&s->group_names, g->name, g) < 0) {
                        free(g);
                        return NULL;
                }
        }
        g->until = memory_later(now, b->result_expires);
        list_remove(&g->place);
        list_append(&s->groups, &g->place);
        return g;
}

/* ── Joins ───────────────────────────────────────────────────────────────────────────────── */

int memory_join_prepare(broker *b, const broker_join *join, sj_wall now, sj_str *ret_body)
{
        *ret_body = (sj_str){NULL, 0};
        if (join->size == 0)
                return 0;
        if (!group_touch(b, join->group, now) || !text_keep(ret_body, join->body))
                return -ENOMEM;
        return 0;
}

void memory_join_apply(broker *b, const broker_join *join, sj_wall now, sj_str *body)
{
        memory_group *g = group_find(memory_of(b), join->group, now);
        if (g && join->size == 0) {
                members_free(g);
                text_free(&g->body);
                g->size = g->more = 0;
        } else if (g) {
                g->size = join->size;
                text_free(&g->body);
                g->body = *body;
                *body = (sj_str){NULL, 0};
        }
        text_free(body);
}

int memory_join_open(broker *b, const broker_join joins[], size_t n, sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        sj_wall now = memory_enter(s);
        sj_str *bodies = calloc(n, sizeof(*bodies));
        int r = bodies ? 0 : -ENOMEM;
        for (size_t i = 0; i < n && r == 0; i++)
                r = memory_join_prepare(b, &joins[i], now, &bodies[i]);
        for (size_t i = 0; bodies && i < n; i++) {
                if (r == 0)
                        memory_join_apply(b, &joins[i], now, &bodies[i]);
                text_free(&bodies[i]);
        }
        free(bodies);
        memory_leave(s);
        return r;
}

int memory_join_grow(broker *b, sj_str name, int64_t by, sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        sj_wall now = memory_enter(s);
        memory_group *g = group_touch(b, name, now);
        if (g)
                g->more += by;
        memory_leave(s);
        return g ? 0 : -ENOMEM;
}

static memory_member *member_new(const broker_arrival *a)
{
        memory_member *m = malloc(sizeof(*m) + a->id.n + a->text.n);
        if (!m)
                return NULL;
        char *end = (char *)(m + 1);
        m->index = a->index < 0 ? INT64_MAX : a->index;
        m->id = (sj_str){end, a->id.n};
        m->text = (sj_str){end + a->id.n, a->text.n};
        if (a->id.n)
                memcpy(end, a->id.data, a->id.n);
        if (a->text.n)
                memcpy(end + a->id.n, a->text.data, a->text.n);
        list_init(&m->place);
        return m;
}

static bool member_before(const memory_member *a, const memory_member *b)
{
        if (a->index != b->index)
                return a->index < b->index;
        size_t n = a->id.n < b->id.n ? a->id.n : b->id.n;
        int order = memcmp(a->id.data, b->id.data, n);
        return order ? order < 0 : a->id.n < b->id.n;
}

/* In the place of the one with its id, or behind those that go before it: most come in order. */
static void member_put(memory_group *g, memory_member *m)
{
        list_for_each_safe (node, &g->members) {
                memory_member *other = container_of(node, memory_member, place);
                if (!sj_str_equal(other->id, m->id))
                        continue;
                list_remove(&other->place);
                free(other);
                g->n_members--;
                break;
        }
        list *before = g->members.prev;
        while (before != &g->members &&
               member_before(m, container_of(before, memory_member, place)))
                before = before->prev;
        list_prepend(before, &m->place);
        g->n_members++;
}

static bool keep(sj_arena *arena, sj_str *ret, sj_str text)
{
        const char *copy = sj_arena_strndup(arena, text.n ? text.data : "", text.n);
        *ret = (sj_str){copy, text.n};
        return copy != NULL;
}

/* What the last one sees. */
static int arrival_complete(const memory_group *g, sj_arena *arena, broker_arrival *a)
{
        sj_str *texts = sj_arena_alloc(arena, (size_t)g->n_members * sizeof(*texts));
        size_t n = 0;
        bool kept = texts && keep(arena, &a->body, g->body) && keep(arena, &a->saved, g->saved);
        list_for_each (node, &g->members) {
                if (!kept)
                        break;
                kept = keep(arena, &texts[n++], container_of(node, memory_member, place)->text);
        }
        if (!kept)
                return -ENOMEM;
        a->complete = true;
        a->members = texts;
        a->n_members = n;
        return 0;
}

static int arrive(broker *b, broker_arrival *a, sj_arena *arena, sj_wall now)
{
        memory_group *g = group_touch(b, a->group, now);
        memory_member *m = member_new(a);
        a->complete = false;
        a->members = NULL;
        a->n_members = 0;
        a->body = a->saved = (sj_str){NULL, 0};
        if (!g || !m) {
                free(m);
                return -ENOMEM;
        }
        member_put(g, m);
        if (g->size == 0 || g->n_members != g->size + g->more)
                return 0;
        return arrival_complete(g, arena, a);
}

int memory_join_arrive(broker *b, broker_arrival arrivals[], size_t n, sj_arena *arena,
                       sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        sj_wall now = memory_enter(s);
        int r = 0;
        for (size_t i = 0; i < n && r == 0; i++)
                r = arrive(b, &arrivals[i], arena, now);
        memory_leave(s);
        return r;
}

/* ── Saved groups ────────────────────────────────────────────────────────────────────────── */

int memory_group_save(broker *b, sj_str name, sj_str text, sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        sj_wall now = memory_enter(s);
        sj_str copy = {NULL, 0};
        memory_group *g = text_keep(&copy, text) ? group_touch(b, name, now) : NULL;
        if (g) {
                text_free(&g->saved);
                g->saved = copy;
        } else {
                text_free(&copy);
        }
        memory_leave(s);
        return g ? 0 : -ENOMEM;
}

int memory_group_get(broker *b, sj_str name, sj_arena *arena, sj_str *ret, sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        sj_wall now = memory_enter(s);
        const memory_group *g = group_find(s, name, now);
        int r = !g || !g->saved.data ? -ENOENT : keep(arena, ret, g->saved) ? 0 : -ENOMEM;
        memory_leave(s);
        return r;
}

int memory_group_drop(broker *b, sj_str name, sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        sj_wall now = memory_enter(s);
        memory_group *g = group_find(s, name, now);
        if (g)
                text_free(&g->saved);
        memory_leave(s);
        return 0;
}

/* ── Revoked ids: few, and kept for a day, so a list in the order of their moments ──────────── */

static void revoked_sweep(memory_store *s, sj_wall now)
{
        while (!list_empty(&s->revoked)) {
                memory_revoked *first = container_of(s->revoked.next, memory_revoked, place);
                if (memory_later(first->since, BROKER_REVOKED_KEPT).us > now.us)
                        break;
                list_remove(&first->place);
                free(first);
        }
}

static bool revoked_knows(const memory_store *s, sj_str id)
{
        list_for_each (node, &s->revoked)
                if (sj_str_equal(container_of(node, memory_revoked, place)->id, id))
                        return true;
        return false;
}

int memory_revoke(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        sj_wall now = memory_enter(s);
        int r = 0;
        revoked_sweep(s, now);
        for (size_t i = 0; i < n && r == 0; i++) {
                if (revoked_knows(s, ids[i]))
                        continue;
                memory_revoked *one = malloc(sizeof(*one) + ids[i].n);
                if (!one) {
                        r = -ENOMEM;
                        break;
                }
                memcpy(one + 1, ids[i].data, ids[i].n);
                one->id = (sj_str){(char *)(one + 1), ids[i].n};
                one->since = now;
                list_append(&s->revoked, &one->place);
        }
        memory_leave(s);
        return r;
}

int memory_revoked_list(broker *b, sj_wall after, sj_arena *arena, const broker_revoked **ret,
                        sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        sj_wall now = memory_enter(s);
        size_t n = 0;
        revoked_sweep(s, now);
        list_for_each (node, &s->revoked)
                n++;
        broker_revoked *all = sj_arena_alloc(arena, (n + 1) * sizeof(*all));
        bool bad = !all;
        n = 0;
        list_for_each (node, &s->revoked) {
                const memory_revoked *one = container_of(node, memory_revoked, place);
                if (bad)
                        break;
                if (one->since.us <= after.us)
                        continue;
                all[n].since = one->since;
                bad = !keep(arena, &all[n++].id, one->id);
        }
        memory_leave(s);
        if (bad)
                return -ENOMEM;
        *ret = all;
        return (int)n;
}
