/* SPDX-License-Identifier: MIT */
/* The broker in memory: nodes, and publish and subscribe. */
#include "queue/memory/memory_store.h"

#include <stdlib.h>

typedef struct memory_node {
        list link;
        broker_token token;
        sj_str name;
        char *info;
        sj_wall since;
        sj_wall until;
} memory_node;

static void memory_node_free(memory_node *node)
{
        list_remove(&node->link);
        free(node->info);
        free(node);
}

/* The live node of that name, or NULL; those that have gone silent are removed on the way. */
static memory_node *memory_node_find(memory_store *s, sj_str name, sj_wall now)
{
        memory_node *found = NULL;
        list_for_each_safe (link, &s->nodes) {
                memory_node *node = container_of(link, memory_node, link);
                if (node->until.us <= now.us)
                        memory_node_free(node);
                else if (sj_str_equal(node->name, name))
                        found = node;
        }
        return found;
}

int memory_node_join(broker *b, const broker_node *node, broker_token token, sj_time ttl,
                     sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        memory_node *mine = calloc(1, sizeof(*mine) + node->name.n);
        char *info = strndup(node->info.n ? node->info.data : "", node->info.n);
        sj_wall now = memory_enter(s);
        memory_node *found = memory_node_find(s, node->name, now);
        int r = !mine || !info                                      ? -ENOMEM
                : found && !memory_token_equal(found->token, token) ? -EEXIST
                                                                    : 0;
        if (r == 0 && found)
                memory_node_free(found);
        if (r == 0) {
                memcpy(mine + 1, node->name.data, node->name.n);
                mine->name = (sj_str){(char *)(mine + 1), node->name.n};
                mine->info = info;
                mine->token = token;
                mine->since = now;
                mine->until = memory_later(now, ttl);
                list_append(&s->nodes, &mine->link);
        }
        memory_leave(s);
        if (r < 0) {
                free(mine);
                free(info);
        }
        return r;
}

static memory_node *memory_node_held(memory_store *s, sj_str name, broker_token token, sj_wall now)
{
        memory_node *node = memory_node_find(s, name, now);
        return node && memory_token_equal(node->token, token) ? node : NULL;
}

int memory_node_beat(broker *b, sj_str name, broker_token token, sj_str info, sj_time ttl,
                     sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        char *said = info.n ? strndup(info.data, info.n) : NULL;
        if (info.n && !said)
                return -ENOMEM;
        sj_wall now = memory_enter(s);
        memory_node *node = memory_node_held(s, name, token, now);
        if (node) {
                node->until = memory_later(now, ttl);
                if (said) {
                        free(node->info);
                        node->info = said;
                        said = NULL;
                }
        }
        memory_leave(s);
        free(said);
        return node ? 0 : -ESTALE;
}

int memory_node_leave(broker *b, sj_str name, broker_token token, sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        sj_wall now = memory_enter(s);
        memory_node *node = memory_node_held(s, name, token, now);
        if (node)
                memory_node_free(node);
        memory_leave(s);
        return node ? 0 : -ESTALE;
}

static int memory_node_order(const void *a, const void *b)
{
        const broker_node *x = a, *y = b;
        return strcmp(x->name.data, y->name.data);
}

int memory_nodes(broker *b, sj_arena *arena, const broker_node **ret, sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        sj_wall now = memory_enter(s);
        memory_node_find(s, SJ_STR(""), now);
        size_t n = 0;
        list_for_each (link, &s->nodes)
                n++;
        broker_node *nodes = sj_arena_alloc(arena, n * sizeof(*nodes));
        n = 0;
        bool bad = !nodes;
        list_for_each (link, &s->nodes) {
                const memory_node *node = container_of(link, memory_node, link);
                const char *name = sj_arena_strndup(arena, node->name.data, node->name.n);
                const char *info = sj_arena_strndup(arena, node->info, strlen(node->info));
                bad |= !name || !info;
                if (bad)
                        break;
                nodes[n++] = (broker_node){
                        {name, node->name.n}, {info, strlen(node->info)}, node->since, node->until};
        }
        memory_leave(s);
        if (bad)
                return -ENOMEM;
        qsort(nodes, n, sizeof(*nodes), memory_node_order);
        *ret = nodes;
        return (int)n;
}

/* ── Publish and subscribe ───────────────────────────────────────────────────────────────── */

typedef struct memory_text {
        list link;
        sj_str channel;
        sj_str text;
} memory_text;

typedef struct memory_subscription {
        broker_subscription base;
        list link;
        list texts;
        size_t n_texts;
        bool dropped;
        list waiters;
        size_t n_channels;
        sj_str channels[];
} memory_subscription;

static void memory_text_free(list *link)
{
        list_remove(link);
        free(container_of(link, memory_text, link));
}

static memory_text *memory_text_new(sj_str channel, sj_str text)
{
        memory_text *t = malloc(sizeof(*t) + channel.n + text.n);
        if (!t)
                return NULL;
        char *end = (char *)(t + 1);
        if (channel.n)
                memcpy(end, channel.data, channel.n);
        if (text.n)
                memcpy(end + channel.n, text.data, text.n);
        t->channel = (sj_str){end, channel.n};
        t->text = (sj_str){end + channel.n, text.n};
        return t;
}

static bool memory_listens(const memory_subscription *sub, sj_str channel)
{
        for (size_t i = 0; i < sub->n_channels; i++)
                if (broker_channel_matches(sub->channels[i], channel))
                        return true;
        return false;
}

int memory_emit(broker *b, sj_str channel, sj_str text, sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        int r = 0;
        memory_enter(s);
        list_for_each (link, &s->subscriptions) {
                memory_subscription *sub = container_of(link, memory_subscription, link);
                if (!memory_listens(sub, channel))
                        continue;
                memory_text *t = memory_text_new(channel, text);
                if (!t) {
                        sub->dropped = true;
                        r = -ENOMEM;
                        continue;
                }
                if (sub->n_texts == BROKER_BACKLOG_MAX) {
                        memory_text_free(sub->texts.next);
                        sub->n_texts--;
                        sub->dropped = true;
                }
                list_append(&sub->texts, &t->link);
                sub->n_texts++;
                memory_wake(&sub->waiters);
        }
        memory_leave(s);
        return r;
}

int memory_subscribe(broker *b, const sj_str channels[], size_t n, broker_subscription **ret,
                     sj_time deadline)
{
        (void)deadline;
        size_t size = 0;
        for (size_t i = 0; i < n; i++)
                size += channels[i].n;
        memory_subscription *sub = calloc(1, sizeof(*sub) + n * sizeof(sj_str) + size);
        if (!sub)
                return -ENOMEM;
        sub->base.owner = b;
        list_init(&sub->texts);
        list_init(&sub->waiters);
        char *end = (char *)&sub->channels[n];
        for (size_t i = 0; i < n; i++) {
                memcpy(end, channels[i].data, channels[i].n);
                sub->channels[i] = (sj_str){end, channels[i].n};
                end += channels[i].n;
        }
        sub->n_channels = n;
        memory_store *s = memory_of(b);
        memory_enter(s);
        list_append(&s->subscriptions, &sub->link);
        memory_leave(s);
        *ret = &sub->base;
        return 0;
}

static int memory_take_text(memory_subscription *sub, sj_arena *arena, sj_str *ret_channel,
                            sj_str *ret_text)
{
        memory_text *t = container_of(sub->texts.next, memory_text, link);
        const char *channel = sj_arena_strndup(arena, t->channel.data, t->channel.n);
        const char *text = sj_arena_strndup(arena, t->text.data, t->text.n);
        if (!channel || !text)
                return -ENOMEM;
        *ret_channel = (sj_str){channel, t->channel.n};
        *ret_text = (sj_str){text, t->text.n};
        memory_text_free(&t->link);
        sub->n_texts--;
        return 0;
}

int memory_next(broker_subscription *base, sj_arena *arena, sj_str *ret_channel, sj_str *ret_text,
                sj_time deadline)
{
        memory_subscription *sub = container_of(base, memory_subscription, base);
        memory_store *s = memory_of(base->owner);
        memory_waiter w = {.n_queues = 0};
        int r = 0;
        memory_enter(s);
        while (!sub->dropped && list_empty(&sub->texts) && r == 0)
                r = memory_sleep(s, &sub->waiters, &w, deadline);
        if (sub->dropped) {
                sub->dropped = false;
                r = -ENOBUFS;
        } else if (!list_empty(&sub->texts)) {
                r = memory_take_text(sub, arena, ret_channel, ret_text);
        }
        memory_leave(s);
        return r;
}

void memory_unsubscribe(broker_subscription *base)
{
        memory_subscription *sub = container_of(base, memory_subscription, base);
        memory_store *s = memory_of(base->owner);
        memory_enter(s);
        list_remove(&sub->link);
        memory_leave(s);
        while (!list_empty(&sub->texts))
                memory_text_free(sub->texts.next);
        free(sub);
}

void memory_nodes_fini(memory_store *s)
{
        while (!list_empty(&s->nodes))
                memory_node_free(container_of(s->nodes.next, memory_node, link));
}
