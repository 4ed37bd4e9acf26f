/* SPDX-License-Identifier: MIT */
/* Signatures: each in an arena of its own, its parts as JSON values. */
#include "queue/app.h"
#include "queue/call.h"

#include <stdlib.h>

struct sj_signature {
        sj_arena *arena;
        sj_str task;
        const sj_json *args;
        const sj_json *kwargs;
        const sj_json *options;
        bool immutable;
};

static sj_signature *signature_begin(const char *name)
{
        sj_signature *s = calloc(1, sizeof(*s));
        if (!s)
                return NULL;
        const char *kept = NULL;
        if (name && sj_arena_new(&s->arena) == 0)
                kept = sj_arena_strndup(s->arena, name, strlen(name));
        s->task = sj_str_of(kept);
        if (kept)
                return s;
        sj_signature_free(s);
        return NULL;
}

static sj_signature *signature_end(sj_signature *s, const sj_call *call,
                                   const sj_task_options *options, int r)
{
        static const sj_call no_call;
        call_request request = {s->task, s->args, s->kwargs, call ? call : &no_call, options};
        if (r == 0)
                r = call_options(s->arena, &request, &s->options);
        if (r == 0)
                return s;
        sj_signature_free(s);
        return NULL;
}

sj_signature *sj_signature_new(const char *name, const char *args, const char *kwargs,
                               const sj_call *call)
{
        static const sj_task_options no_options;
        sj_signature *s = signature_begin(name);
        if (!s)
                return NULL;
        int r = call_parse(s->arena, args, SJ_JSON_ARRAY, &s->args);
        if (r == 0)
                r = call_parse(s->arena, kwargs, SJ_JSON_OBJECT, &s->kwargs);
        return signature_end(s, call, &no_options, r);
}

sj_signature *sj_task_signature(const sj_task *task, const sj_value *args)
{
        const char *name = task->options->name ? task->options->name : task->c_name;
        sj_signature *s = signature_begin(name);
        if (!s)
                return NULL;
        int r = call_args(s->arena, task, args, &s->args);
        /* A value of the caller's does not live as long as the signature. */
        sj_str text;
        if (r == 0)
                r = sj_json_text(s->arena, s->args, SJ_JSON_PYTHON, &text);
        if (r == 0)
                r = call_parse(s->arena, text.data, SJ_JSON_ARRAY, &s->args);
        if (r == 0)
                r = call_parse(s->arena, NULL, SJ_JSON_OBJECT, &s->kwargs);
        return signature_end(s, NULL, task->options, r);
}

void sj_signature_free(sj_signature *s)
{
        if (!s)
                return;
        sj_arena_free(s->arena);
        free(s);
}

void sj_signature_immutable(sj_signature *s)
{
        if (s)
                s->immutable = true;
}

const sj_json *signature_json(const sj_signature *s, sj_arena *arena)
{
        static const sj_str names[] = {{"task", 4},    {"args", 4},          {"kwargs", 6},
                                       {"options", 7}, {"subtask_type", 12}, {"immutable", 9}};
        if (!s)
                return NULL;
        const sj_json *values[] = {sj_json_new_string(arena, s->task),
                                   s->args,
                                   s->kwargs,
                                   s->options,
                                   sj_json_new_null(arena),
                                   sj_json_new_bool(arena, s->immutable)};
        return sj_json_new_object(arena, names, values, 6);
}
