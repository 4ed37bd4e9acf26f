/* SPDX-License-Identifier: MIT */
/* See outcome_links.h. */
#include "queue/outcome_links.h"

static const sj_str none = {NULL, 0};

/*
 * An array of the arena with room for one element more: itself, or a copy of twice the size.
 * NULL: the plan has failed.
 */
static void *plan_grow(outcome_plan *p, void *items, size_t n, size_t *room, size_t size)
{
        if (p->error)
                return NULL;
        if (n < *room)
                return items;
        size_t more = *room ? 2 * *room : 4;
        void *grown = sj_arena_alloc(p->arena, more * size);
        if (!grown) {
                p->error = -ENOMEM;
                return NULL;
        }
        if (n)
                memcpy(grown, items, n * size);
        *room = more;
        return grown;
}

void plan_result(outcome_plan *p, const result_meta *meta)
{
        broker_result *grown =
                plan_grow(p, p->results, p->n_results, &p->results_room, sizeof(*grown));
        if (!grown)
                return;
        p->results = grown;
        broker_result *r = &grown[p->n_results];
        *r = (broker_result){.id = meta->id, .state = meta->state};
        p->error = result_encode(p->arena, meta, &r->content);
        p->n_results += p->error == 0;
}

/* The queue that the message asks for, or that of its task. */
static sj_str plan_queue(const outcome_plan *p, const message *m)
{
        if (m->routing_key.n)
                return m->routing_key;
        if (p->context->route)
                return p->context->route(p->context->route_arg, m->task);
        return p->delivery->lease->message.queue;
}

int plan_envelope(outcome_plan *p, const message *m, broker_message *ret)
{
        message sent = *m;
        sent.routing_key = plan_queue(p, m);
        sent.origin = p->context->origin;
        broker_message b = {
                .id = m->id,
                .queue = sent.routing_key,
                .task = m->task,
                .priority = (int)(m->priority < BROKER_PRIORITY_MAX ? m->priority
                                                                    : BROKER_PRIORITY_MAX),
                .eta = m->eta,
                .expires = m->expires,
        };
        int r = message_encode(p->arena, &sent, &b.envelope);
        if (r == 0)
                *ret = b;
        return r;
}

/* Adds a message to be published. */
static void plan_message(outcome_plan *p, const message *m)
{
        broker_message *grown =
                plan_grow(p, p->follow_ups, p->n_follow_ups, &p->follow_ups_room, sizeof(*grown));
        if (!grown)
                return;
        p->follow_ups = grown;
        p->error = plan_envelope(p, m, &grown[p->n_follow_ups]);
        p->n_follow_ups += p->error == 0;
}

sj_str plan_children(outcome_plan *p)
{
        sj_json_writer *w;
        sj_str text = none;
        if (p->error || p->n_follow_ups == 0 || (p->error = sj_json_writer_new(SJ_JSON_SPACED, &w)))
                return none;
        sj_json_write_array_begin(w);
        for (size_t i = 0; i < p->n_follow_ups; i++) {
                sj_json_write_array_begin(w);
                sj_json_write_array_begin(w);
                sj_json_write_string(w, p->follow_ups[i].id);
                sj_json_write_null(w);
                sj_json_write_array_end(w);
                sj_json_write_null(w);
                sj_json_write_array_end(w);
        }
        sj_json_write_array_end(w);
        p->error = sj_json_writer_end(w, &text);
        const char *kept = p->error ? NULL : sj_arena_strndup(p->arena, text.data, text.n);
        if (!p->error && !kept)
                p->error = -ENOMEM;
        sj_json_writer_free(w);
        return kept ? (sj_str){kept, text.n} : none;
}

/* ── Links ───────────────────────────────────────────────────────────────────────────────── */

/* How one link is to be sent. */
typedef struct link {
        const sj_json *signature;
        const sj_json *partial; /* in front of its arguments, or NULL */
        const sj_json *chain;   /* what comes after it, reversed, or NULL */
        sj_str group;           /* the group's id, or none */
        unsigned depth;         /* of composites around it */
} link;

enum { LINK_DEPTH_MAX = 32 };

static void plan_link(outcome_plan *p, const link *l);

/* Stores FAILURE for a link that cannot be sent, and for those behind it. */
static void plan_broken(outcome_plan *p, const link *l, const char *module, const char *type,
                        const char *args)
{
        result_meta meta = {.id = message_signature_id(l->signature),
                            .state = SJ_STR("FAILURE"),
                            .error_module = sj_str_of(module),
                            .error_type = sj_str_of(type),
                            .error_args = sj_str_of(args),
                            .done = p->context->now,
                            .parent = p->delivery->m->id};
        if (meta.id.n)
                plan_result(p, &meta);
        for (size_t i = 0; i < sj_json_count(l->chain); i++) {
                meta.id = message_signature_id(sj_json_at(l->chain, i));
                if (meta.id.n)
                        plan_result(p, &meta);
        }
}

static void plan_malformed(outcome_plan *p, const link *l)
{
        plan_broken(p, l, "celery.exceptions", "InvalidTaskError",
                    "[\"a signature of the message is malformed\"]");
}

static sj_str link_type(const sj_json *signature)
{
        sj_str type = none;
        sj_json_string(sj_json_member(signature, "subtask_type"), &type);
        return type;
}

static const sj_json *link_tasks(const sj_json *signature)
{
        const sj_json *tasks = sj_json_member(sj_json_member(signature, "kwargs"), "tasks");
        return sj_json_type_of(tasks) == SJ_JSON_ARRAY && sj_json_count(tasks) ? tasks : NULL;
}

static sj_str plan_uuid(outcome_plan *p)
{
        char *id = sj_arena_alloc(p->arena, MESSAGE_UUID_SIZE);
        if (!id) {
                p->error = -ENOMEM;
                return none;
        }
        message_uuid(id);
        return sj_str_of(id);
}

/* Every member, each with the group's id: that of its options, else a fresh one. */
static void plan_group(outcome_plan *p, const link *l)
{
        const sj_json *tasks = link_tasks(l->signature);
        link member = *l;
        if (l->chain || !tasks || sj_json_count(tasks) > MESSAGE_LINKS_MAX) {
                plan_malformed(p, l);
                return;
        }
        member.group = message_signature_id(l->signature);
        if (!member.group.n)
                member.group = plan_uuid(p);
        for (size_t i = 0; i < sj_json_count(tasks); i++) {
                member.signature = sj_json_at(tasks, i);
                plan_link(p, &member);
        }
}

/* The first link, with the others behind it in reverse, before those that come after the whole. */
static void plan_chain(outcome_plan *p, const link *l)
{
        const sj_json *tasks = link_tasks(l->signature);
        size_t n = sj_json_count(tasks), after = sj_json_count(l->chain);
        if (!tasks || n + after > MESSAGE_CHAIN_MAX) {
                plan_malformed(p, l);
                return;
        }
        const sj_json **rest = sj_arena_alloc(p->arena, (n + after) * sizeof(*rest));
        if (!rest) {
                p->error = -ENOMEM;
                return;
        }
        for (size_t i = 0; i < after; i++)
                rest[i] = sj_json_at(l->chain, i);
        for (size_t i = n; i-- > 1;)
                rest[after++] = sj_json_at(tasks, i);
        link first = *l;
        first.signature = sj_json_at(tasks, 0);
        first.chain = after ? sj_json_new_array(p->arena, rest, after) : NULL;
        if (after && !first.chain)
                p->error = -ENOMEM;
        else
                plan_link(p, &first);
}

static void plan_single(outcome_plan *p, const link *l)
{
        const message *own = p->delivery->m;
        message m;
        message_error error;
        int r = message_from_signature(p->arena, l->signature, &l->partial, l->partial ? 1 : 0,
                                       own->root_id.n ? own->root_id : own->id, own->id,
                                       p->context->now, &m, &error);
        if (r == -EBADMSG) {
                plan_malformed(p, l);
                return;
        }
        if (r < 0) {
                p->error = r;
                return;
        }
        if (l->chain)
                m.chain = l->chain;
        if (l->group.n && !m.group.n)
                m.group = l->group;
        if (!m.reply_to.n)
                m.reply_to = own->reply_to;
        plan_message(p, &m);
        if (p->error == -EMSGSIZE || p->error == -EINVAL) {
                p->error = 0;
                plan_broken(p, l, "celery.exceptions", "InvalidTaskError",
                            "[\"the link and its arguments do not fit into a message\"]");
        }
}

static void plan_link(outcome_plan *p, const link *given)
{
        link l = *given;
        sj_str type = link_type(l.signature);
        if (p->error)
                return;
        if (++l.depth > LINK_DEPTH_MAX || p->n_follow_ups >= BROKER_BATCH_MAX)
                plan_malformed(p, &l);
        else if (sj_str_equal(type, SJ_STR("group")))
                plan_group(p, &l);
        else if (sj_str_equal(type, SJ_STR("chain")))
                plan_chain(p, &l);
        else if (sj_str_equal(type, SJ_STR("chord")))
                plan_broken(p, &l, "builtins", "NotImplementedError",
                            "[\"this worker does not run chords\"]");
        else
                plan_single(p, &l);
}

/* One link goes by itself; of several those that are no group form one together. */
static void plan_links(outcome_plan *p, const sj_json *list, const sj_json *partial, bool grouped)
{
        size_t n = sj_json_count(list);
        sj_str group = n > 1 || (grouped && n) ? plan_uuid(p) : none;
        for (size_t i = 0; i < n; i++)
                plan_link(p, &(link){.signature = sj_json_at(list, i),
                                     .partial = partial,
                                     .group = group});
}

void plan_success(outcome_plan *p, const sj_json *value)
{
        const message *m = p->delivery->m;
        size_t n = sj_json_count(m->chain);
        plan_links(p, m->callbacks, value, false);
        if (n == 0 || p->error)
                return;
        link next = {.signature = sj_json_at(m->chain, n - 1), .partial = value};
        const sj_json **rest = sj_arena_alloc(p->arena, n * sizeof(*rest));
        if (!rest) {
                p->error = -ENOMEM;
                return;
        }
        for (size_t i = 0; i < n - 1; i++)
                rest[i] = sj_json_at(m->chain, i);
        if (n > 1 && !(next.chain = sj_json_new_array(p->arena, rest, n - 1)))
                p->error = -ENOMEM;
        plan_link(p, &next);
}

void plan_failure(outcome_plan *p, const result_meta *meta)
{
        const message *m = p->delivery->m;
        result_meta link_meta = *meta;
        link_meta.children = none;
        for (size_t i = sj_json_count(m->chain); i-- > 0;) {
                link_meta.id = message_signature_id(sj_json_at(m->chain, i));
                if (link_meta.id.n)
                        plan_result(p, &link_meta);
        }
        if (result_state(meta->state) != SJ_FAILURE || !sj_json_count(m->errbacks))
                return;
        const sj_json *id = sj_json_new_string(p->arena, m->id);
        if (!id)
                p->error = -ENOMEM;
        plan_links(p, m->errbacks, id, true);
}
