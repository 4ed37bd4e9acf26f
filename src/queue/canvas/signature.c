/* SPDX-License-Identifier: MIT */
/*
 * Signatures: each is a JSON value in an arena of its own, in the shape that Celery gives it
 * (protocol §2.3), so that nothing is left to be done when it is sent or written. Here they are
 * built, of calls and of each other; signature_change.c changes what is built.
 *
 * One that is made of others refers to their values, and so keeps them until its own end. Values
 * are never changed: a change makes a new value, of which most is the old one.
 */
#include "queue/call.h"
#include "queue/canvas/canvas.h"
#include "queue/canvas/signature_value.h"

#include <sanjab/canvas.h>

#include <stdlib.h>

#define SIGNATURE_TEXT (SJ_JSON_PYTHON | SJ_JSON_ASCII | SJ_JSON_SPACED)

/* ── One ─────────────────────────────────────────────────────────────────────────────────── */

sj_signature *signature_new(void)
{
        sj_signature *s = calloc(1, sizeof(*s));
        if (s && sj_arena_new(&s->arena) < 0) {
                free(s);
                return NULL;
        }
        return s;
}

sj_signature *signature_done(sj_signature *s)
{
        if (s && (s->json || s->error))
                return s;
        sj_signature_free(s);
        return NULL;
}

void sj_signature_free(sj_signature *s)
{
        if (!s)
                return;
        for (size_t i = 0; i < s->n_parts; i++)
                sj_signature_free(s->parts[i]);
        free(s->parts);
        sj_arena_free(s->arena);
        free(s);
}

int signature_json(const sj_signature *s, const sj_json **ret)
{
        if (!s || s->error)
                return s ? s->error : -EINVAL;
        *ret = s->json;
        return 0;
}

/* ── Calls ───────────────────────────────────────────────────────────────────────────────── */

static void signature_task(sj_signature *s, sj_str name, const sj_json *args, const sj_json *kwargs,
                           const sj_call *call, const sj_task_options *options)
{
        static const sj_call no_call;
        const sj_json *o;
        const call_request request = {name, args, kwargs, call ? call : &no_call, options};
        if (call_options(s->arena, &request, &o) == 0)
                s->json = signature_value_new(
                        s->arena, &(signature_fields){.task = sj_json_new_string(s->arena, name),
                                                      .args = args,
                                                      .kwargs = kwargs,
                                                      .options = o});
}

sj_signature *sj_signature_new(const char *name, const char *args, const char *kwargs,
                               const sj_call *call)
{
        static const sj_task_options no_options;
        const sj_json *a, *k;
        sj_signature *s = name ? signature_new() : NULL;
        if (s && call_parse(s->arena, args, SJ_JSON_ARRAY, &a) == 0 &&
            call_parse(s->arena, kwargs, SJ_JSON_OBJECT, &k) == 0)
                signature_task(s, sj_str_of(name), a, k, call, &no_options);
        return signature_done(s);
}

sj_signature *sj_task_signature(const sj_task *task, const sj_value *args, unsigned skip)
{
        const char *name = task->options->name ? task->options->name : task->c_name;
        const sj_json *a;
        sj_str text;
        sj_signature *s = skip <= task->n_params ? signature_new() : NULL;
        /* A value of the caller's does not live as long as the signature. */
        if (s && call_args(s->arena, task, args, skip, &a) == 0 &&
            sj_json_text(s->arena, a, SIGNATURE_TEXT, &text) == 0 &&
            call_parse(s->arena, text.data, SJ_JSON_ARRAY, &a) == 0)
                signature_task(s, sj_str_of(name), a, NULL, NULL, task->options);
        return signature_done(s);
}

/* ── Made of others ──────────────────────────────────────────────────────────────────────── */

const sj_json *signature_take(sj_signature *s, sj_signature *part)
{
        if (!s || !part) {
                sj_signature_free(part);
                return NULL;
        }
        if (s->n_parts == s->room) {
                size_t room = s->room ? 2 * s->room : 4;
                sj_signature **grown = realloc(s->parts, room * sizeof(*grown));
                if (!grown) {
                        sj_signature_free(part);
                        return NULL;
                }
                s->parts = grown;
                s->room = room;
        }
        s->parts[s->n_parts++] = part;
        if (part->error && !s->error)
                s->error = part->error;
        return part->json;
}

/* An array of all parts, which are taken over, also when it is NULL. */
static const sj_json *signature_take_all(sj_signature *s, sj_signature *const parts[], size_t n)
{
        const sj_json **all = s ? sj_arena_alloc(s->arena, (n + 1) * sizeof(*all)) : NULL;
        bool whole = all != NULL;
        for (size_t i = 0; i < n; i++) {
                const sj_json *taken = signature_take(s, parts[i]);
                if (all)
                        all[i] = taken;
                whole &= taken != NULL;
        }
        return whole ? sj_json_new_array(s->arena, all, n) : NULL;
}

static sj_signature *signature_of_list(const char *task, const char *type,
                                       sj_signature *const parts[], size_t n)
{
        static const sj_str name = {"tasks", 5};
        sj_signature *s = signature_new();
        const sj_json *list = signature_take_all(s, parts, n);
        const sj_json *kwargs = list ? sj_json_new_object(s->arena, &name, &list, 1) : NULL;
        if (kwargs)
                s->json = signature_value_named(s->arena, task, type,
                                                (signature_fields){.kwargs = kwargs});
        return signature_done(s);
}

sj_signature *sj_chain(sj_signature *const parts[], size_t n)
{
        return n ? signature_of_list("celery.chain", "chain", parts, n) : NULL;
}

sj_signature *sj_group(sj_signature *const parts[], size_t n)
{
        return signature_of_list("celery.group", "group", parts, n);
}

sj_signature *sj_chord(sj_signature *header, sj_signature *body)
{
        static const sj_str names[] = {{"kwargs", 6}, {"header", 6}, {"body", 4}};
        sj_signature *s = signature_new();
        const sj_json *head = signature_take(s, header), *end = signature_take(s, body);
        if (!head || !end)
                goto out;
        /* As Celery writes it: a list. Only a group of which more was said stays one. */
        if (!signature_value_is(head, "group"))
                head = sj_json_new_array(s->arena, &head, 1);
        else if (sj_json_count(sj_json_member(head, "options")) == 0)
                head = signature_value_part(head, "tasks");
        const sj_json *values[] = {sj_json_new_object(s->arena, NULL, NULL, 0), head, end};
        const sj_json *kwargs = sj_json_new_object(s->arena, names, values, 3);
        if (kwargs)
                s->json = signature_value_named(s->arena, "celery.chord", "chord",
                                                (signature_fields){.kwargs = kwargs});
out:
        return signature_done(s);
}

static sj_signature *signature_over(const char *name, sj_signature *task, const char *items,
                                    const int64_t *size)
{
        static const sj_str names[] = {{"task", 4}, {"it", 2}, {"n", 1}};
        sj_signature *s = signature_new();
        const sj_json *values[3] = {signature_take(s, task)};
        if (!values[0] || call_parse(s->arena, items, SJ_JSON_ARRAY, &values[1]) < 0)
                goto out;
        if (size)
                values[2] = sj_json_new_int(s->arena, *size);
        const sj_json *kwargs = sj_json_new_object(s->arena, names, values, size ? 3 : 2);
        if (kwargs)
                s->json = signature_value_named(
                        s->arena, name, NULL,
                        (signature_fields){.kwargs = kwargs, .immutable = true});
out:
        return signature_done(s);
}

sj_signature *sj_map(sj_signature *task, const char *items)
{
        return signature_over("celery.map", task, items, NULL);
}

sj_signature *sj_starmap(sj_signature *task, const char *items)
{
        return signature_over("celery.starmap", task, items, NULL);
}

sj_signature *sj_chunks(sj_signature *task, const char *items, int64_t size)
{
        if (size >= 1)
                return signature_over("celery.chunks", task, items, &size);
        sj_signature_free(task);
        return NULL;
}

/* ── Kept and copied ─────────────────────────────────────────────────────────────────────── */

sj_signature *sj_signature_clone(const sj_signature *s)
{
        sj_str text;
        if (!s)
                return NULL;
        sj_signature *copy = signature_new();
        if (copy && s->error)
                copy->error = s->error;
        else if (copy && sj_json_text(copy->arena, s->json, SIGNATURE_TEXT, &text) == 0 &&
                 sj_json_parse(copy->arena, text, SJ_JSON_PYTHON, &copy->json, NULL) < 0)
                copy->json = NULL;
        return signature_done(copy);
}

int sj_signature_json(const sj_signature *s, sj_arena *arena, const char **ret)
{
        const sj_json *json;
        sj_str text;
        int r = signature_json(s, &json);
        if (r == 0 && !(json = signature_sent(NULL, arena, json)))
                r = -ENOMEM;
        if (r == 0)
                r = sj_json_text(arena, json, SIGNATURE_TEXT, &text);
        if (r == 0)
                *ret = text.data;
        return r;
}

sj_signature *sj_signature_parse(const char *text)
{
        const canvas_part *parts;
        size_t n;
        message_error error;
        sj_signature *s = text ? signature_new() : NULL;
        /* All that it is made of is looked at, as if it were to be sent. */
        if (s && (call_parse(s->arena, text, SJ_JSON_OBJECT, &s->json) < 0 ||
                  canvas_abandoned(s->arena, s->json, &parts, &n, &error) < 0))
                s->json = NULL;
        return signature_done(s);
}
