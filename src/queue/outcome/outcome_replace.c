/* SPDX-License-Identifier: MIT */
/*
 * A task that is replaced while it runs (protocol §8.6): a signature takes its place, with its id
 * and all that was to come after it.
 *
 * What ends the signature (of a chain its last link, of a chord its body) gets the id, the place in
 * a chord, the links and the error links; the rest of the chain comes behind it. A group has no
 * end of its own, so it becomes a chord whose body gives back the list of its results.
 */
#include "queue/outcome/outcome_links.h"

static const char *const signature_members[] = {"task",    "args",         "kwargs",
                                                "options", "subtask_type", "immutable"};

static bool is_kind(const sj_json *signature, const char *kind)
{
        sj_str type = {NULL, 0};
        sj_json_string(sj_json_member(signature, "subtask_type"), &type);
        return sj_str_equal(type, sj_str_of(kind));
}

/* What is put into an object in the place of what it has; NULL values are left out. */
typedef struct member_set {
        sj_str names[40];
        const sj_json *values[40];
        size_t n;
} member_set;

static void set(member_set *s, const char *name, const sj_json *value)
{
        s->names[s->n] = sj_str_of(name);
        s->values[s->n++] = value;
}

/* The object with these members besides its others. NULL: no memory. */
static const sj_json *with(outcome_plan *p, const sj_json *object, const member_set *set)
{
        size_t n = sj_json_count(object), k = 0;
        if (sj_json_type_of(object) != SJ_JSON_OBJECT)
                n = 0;
        sj_str *names = sj_arena_alloc(p->arena, (n + set->n + 1) * sizeof(*names));
        const sj_json **values = sj_arena_alloc(p->arena, (n + set->n + 1) * sizeof(*values));
        if (!names || !values)
                return NULL;
        for (size_t i = 0; i < n; i++) {
                sj_str name = sj_json_name_at(object, i);
                bool is_set = false;
                for (size_t m = 0; m < set->n; m++)
                        is_set |= sj_str_equal(name, set->names[m]);
                if (is_set)
                        continue;
                names[k] = name;
                values[k++] = sj_json_at(object, i);
        }
        for (size_t m = 0; m < set->n; m++) {
                if (!set->values[m])
                        continue;
                names[k] = set->names[m];
                values[k++] = set->values[m];
        }
        return sj_json_new_object(p->arena, names, values, k);
}

static const sj_json *with_one(outcome_plan *p, const sj_json *object, const char *name,
                               const sj_json *value)
{
        member_set one = {.n = 0};
        set(&one, name, value);
        return value ? with(p, object, &one) : NULL;
}

static const sj_json *text(outcome_plan *p, sj_str s)
{
        return s.n ? sj_json_new_string(p->arena, s) : sj_json_new_null(p->arena);
}

/* Its own links, and those of the task that it takes the place of. */
static const sj_json *links(outcome_plan *p, const sj_json *own, const sj_json *more)
{
        size_t n = sj_json_type_of(own) == SJ_JSON_ARRAY ? sj_json_count(own) : own != NULL;
        if (sj_json_is_null(own))
                n = 0;
        const sj_json **all =
                sj_arena_alloc(p->arena, (n + sj_json_count(more) + 1) * sizeof(*all));
        if (!all)
                return NULL;
        for (size_t i = 0; i < n; i++)
                all[i] = sj_json_type_of(own) == SJ_JSON_ARRAY ? sj_json_at(own, i) : own;
        SJ_JSON_EACH (more, i, each)
                all[n++] = each;
        return sj_json_new_array(p->arena, all, n);
}

enum { STAMPS_MOST = 24 };

static bool names_it(const sj_json *list, sj_str name)
{
        sj_str each;
        for (size_t i = 0; i < sj_json_count(list); i++)
                if (sj_json_string(sj_json_at(list, i), &each) == 0 && sj_str_equal(each, name))
                        return true;
        return false;
}

static bool is_set(const member_set *s, sj_str name)
{
        for (size_t i = 0; i < s->n; i++)
                if (sj_str_equal(s->names[i], name))
                        return true;
        return false;
}

/* Its own stamps, and of the task's those that it has not. A stamp never takes an option's place.
 */
static void stamps(outcome_plan *p, const sj_json *options, member_set *s)
{
        const message *m = p->delivery->m;
        const sj_json *own = sj_json_member(options, "stamped_headers");
        size_t n_own = sj_json_type_of(own) == SJ_JSON_ARRAY ? sj_json_count(own) : 0, n = n_own;
        size_t most = m->stamped_headers ? sj_json_count(m->stamps) : 0;
        const sj_json **names = sj_arena_alloc(p->arena, (n_own + most + 1) * sizeof(*names));
        if (most == 0)
                return;
        for (size_t i = 0; names && i < n_own; i++)
                names[i] = sj_json_at(own, i);
        for (size_t i = 0; names && i < most && n - n_own < STAMPS_MOST; i++) {
                sj_str name = sj_json_name_at(m->stamps, i);
                if (!names_it(m->stamped_headers, name) || sj_json_member(options, name.data) ||
                    is_set(s, name))
                        continue;
                names[n++] = sj_json_new_string(p->arena, name);
                set(s, name.data, sj_json_at(m->stamps, i));
        }
        set(s, "stamped_headers", names ? sj_json_new_array(p->arena, names, n) : NULL);
}

/* The options of what ends in the place of the task. */
static const sj_json *ending_options(outcome_plan *p, const sj_json *options)
{
        const message *m = p->delivery->m;
        member_set s = {.n = 0};
        set(&s, "task_id", text(p, m->id));
        set(&s, "chord", m->chord ? m->chord : sj_json_new_null(p->arena));
        set(&s, "group_id", text(p, m->group));
        set(&s, "group_index",
            m->has_group_index ? sj_json_new_int(p->arena, m->group_index)
                               : sj_json_new_null(p->arena));
        set(&s, "root_id", text(p, m->root_id.n ? m->root_id : m->id));
        set(&s, "replaced_task_nesting", sj_json_new_int(p->arena, m->replaced_task_nesting + 1));
        if (sj_json_count(m->callbacks))
                set(&s, "link", links(p, sj_json_member(options, "link"), m->callbacks));
        if (sj_json_count(m->errbacks))
                set(&s, "link_error", links(p, sj_json_member(options, "link_error"), m->errbacks));
        stamps(p, options, &s);
        for (size_t i = 0; i < s.n; i++)
                if (!s.values[i])
                        return NULL;
        return with(p, options, &s);
}

/* celery.accumulate(index=0): the list of a group's results, as a chord brings it. */
static const sj_json *accumulate(outcome_plan *p)
{
        const sj_json *zero = sj_json_new_int(p->arena, 0);
        const sj_json *values[] = {sj_json_new_string(p->arena, SJ_STR("celery.accumulate")),
                                   sj_json_new_array(p->arena, NULL, 0),
                                   zero ? sj_json_new_object(p->arena, &SJ_STR("index"), &zero, 1)
                                        : NULL,
                                   sj_json_new_object(p->arena, NULL, NULL, 0),
                                   sj_json_new_null(p->arena),
                                   sj_json_new_bool(p->arena, false)};
        member_set s = {.n = 0};
        for (size_t i = 0; i < 6; i++) {
                if (!values[i])
                        return NULL;
                set(&s, signature_members[i], values[i]);
        }
        return with(p, NULL, &s);
}

static const sj_json *chord_of(outcome_plan *p, const sj_json *group)
{
        member_set parts = {.n = 0}, s = {.n = 0};
        set(&parts, "kwargs", sj_json_new_object(p->arena, NULL, NULL, 0));
        set(&parts, "header", group);
        set(&parts, "body", accumulate(p));
        if (!parts.values[0] || !parts.values[2])
                return NULL;
        const sj_json *values[] = {sj_json_new_string(p->arena, SJ_STR("celery.chord")),
                                   sj_json_new_array(p->arena, NULL, 0),
                                   with(p, NULL, &parts),
                                   sj_json_new_object(p->arena, NULL, NULL, 0),
                                   sj_json_new_string(p->arena, SJ_STR("chord")),
                                   sj_json_new_bool(p->arena, false)};
        for (size_t i = 0; i < 6; i++) {
                if (!values[i])
                        return NULL;
                set(&s, signature_members[i], values[i]);
        }
        return with(p, NULL, &s);
}

/* The signature, with what ends it in the place of the task. NULL: no memory. */
static const sj_json *ending(outcome_plan *p, const sj_json *signature)
{
        const sj_json *kwargs = sj_json_member(signature, "kwargs");
        const sj_json *tasks = sj_json_member(kwargs, "tasks");
        size_t n = sj_json_count(tasks);
        if (is_kind(signature, "group"))
                return ending(p, chord_of(p, signature));
        if (is_kind(signature, "chain") && n) {
                const sj_json **all = sj_arena_alloc(p->arena, n * sizeof(*all));
                for (size_t i = 0; all && i < n; i++)
                        all[i] = sj_json_at(tasks, i);
                if (!all || !(all[n - 1] = ending(p, all[n - 1])))
                        return NULL;
                return with_one(p, signature, "kwargs",
                                with_one(p, kwargs, "tasks", sj_json_new_array(p->arena, all, n)));
        }
        if (is_kind(signature, "chord") && sj_json_member(kwargs, "body"))
                return with_one(
                        p, signature, "kwargs",
                        with_one(p, kwargs, "body", ending(p, sj_json_member(kwargs, "body"))));
        if (sj_json_type_of(signature) != SJ_JSON_OBJECT)
                return signature;
        return with_one(p, signature, "options",
                        ending_options(p, sj_json_member(signature, "options")));
}

const char *outcome_replace_fault(const sj_json *signature)
{
        const sj_json *chord = sj_json_member(sj_json_member(signature, "options"), "chord");
        const sj_json *tasks = sj_json_member(sj_json_member(signature, "kwargs"), "tasks");
        if (sj_json_type_of(signature) != SJ_JSON_OBJECT)
                return "it is replaced by what is no signature";
        if (!sj_json_is_null(chord))
                return "A signature replacing a task must not be part of a chord";
        if ((is_kind(signature, "chain") || is_kind(signature, "group")) && !sj_json_count(tasks))
                return "Cannot replace with an empty chain";
        return NULL;
}

int plan_replace(outcome_plan *p, const sj_json *signature, const broker_message **ret_next)
{
        const message *m = p->delivery->m;
        const broker_message *leased = &p->delivery->lease->message;
        const sj_json *whole = ending(p, signature);
        *ret_next = NULL;
        if (!whole)
                p->error = -ENOMEM;
        int r = p->error ? p->error : plan_begin(p, whole, NULL, m->chain, m->id);
        if (r < 0)
                return r;
        /* What has its id and begins now takes the place of the message. */
        for (size_t i = 0; i < p->n_follow_ups; i++) {
                broker_message *same = &p->follow_ups[i];
                if (!sj_str_equal(same->id, leased->id))
                        continue;
                broker_message *next = sj_arena_alloc(p->arena, sizeof(*next));
                if (!next)
                        return p->error = -ENOMEM;
                *next = *same;
                next->max_deliveries = leased->max_deliveries;
                next->key = leased->key;
                next->key_for = leased->key_for;
                *same = p->follow_ups[--p->n_follow_ups];
                *ret_next = next;
                break;
        }
        return 0;
}
