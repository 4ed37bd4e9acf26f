/* SPDX-License-Identifier: MIT */
/* For tests of canvases: signatures as texts, and what begins them. */
#ifndef SANJAB_QUEUE_CANVAS_UNIT_H
#define SANJAB_QUEUE_CANVAS_UNIT_H

#include "queue/canvas/canvas.h"
#include "queue/message/message_unit.h"

static canvas_context context;

static inline int begin(void **state)
{
        context = (canvas_context){.now = {1000000},
                                   .origin = SJ_STR("gen1@here"),
                                   .default_queue = SJ_STR("celery"),
                                   .reply_to = SJ_STR("cae03403-d7f3-3849-a36d-53efc2be0518")};
        return arena_unit_begin(state);
}

/* ── Samples ─────────────────────────────────────────────────────────────────────────────── */

static inline sj_str text_of(const sj_json *v)
{
        sj_str text;
        assert_int_equal(sj_json_text(arena, v, SJ_JSON_PYTHON, &text), 0);
        return text;
}

static inline sj_str format(const char *how, ...) SJ_PRINTF(1, 2);
static inline sj_str format(const char *how, ...)
{
        va_list args;
        va_start(args, how);
        int n = vsnprintf(NULL, 0, how, args);
        va_end(args);
        char *text = sj_arena_alloc(arena, (size_t)n + 1);
        va_start(args, how);
        vsnprintf(text, (size_t)n + 1, how, args);
        va_end(args);
        return (sj_str){text, (size_t)n};
}

static inline const char *task(const char *name, const char *args, const char *options)
{
        return format("{\"task\": \"capapp.%s\", \"args\": %s, \"kwargs\": {}, \"options\": {%s}, "
                      "\"subtask_type\": null, \"immutable\": false}",
                      name, args, options)
                .data;
}

static inline const char *add(const char *args)
{
        return task("add", args, "");
}

static inline const char *composite(const char *type, const char *kwargs, const char *options)
{
        return format("{\"task\": \"celery.%s\", \"args\": [], \"kwargs\": {%s}, \"options\": "
                      "{%s}, "
                      "\"subtask_type\": \"%s\", \"immutable\": false}",
                      type, kwargs, options, type)
                .data;
}

static inline const char *chain(const char *tasks)
{
        return composite("chain", format("\"tasks\": [%s]", tasks).data, "");
}

static inline const char *group(const char *tasks)
{
        return composite("group", format("\"tasks\": [%s]", tasks).data, "");
}

static inline const char *chord(const char *header, const char *body)
{
        return composite(
                "chord",
                format("\"kwargs\": {}, \"header\": [%s], \"body\": %s", header, body).data, "");
}

#define TSUM task("tsum", "[]", "")
#define LIST(...)                                \
        list((const char *const[]){__VA_ARGS__}, \
             sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
static inline const char *list(const char *const items[], size_t n)
{
        sj_str all = SJ_STR("");
        for (size_t i = 0; i < n; i++)
                all = format("%.*s%s%s", SJ_STR_ARG(all), i ? ", " : "", items[i]);
        return all.data;
}

/* ── Beginning ───────────────────────────────────────────────────────────────────────────── */

static inline canvas_start start_of(const char *signature)
{
        canvas_start s = {0};
        message_error error;
        int r = canvas_begin(arena, &context, parse(sj_str_of(signature)), NULL, 0, NULL, &s,
                             &error);
        if (r < 0)
                fail_msg("%s: %s", sj_strerror(r), error.text);
        return s;
}

/* As a worker goes on: with a result, and with what is behind. */
static inline canvas_start next_of(const sj_json *signature, const char *result, const char *behind)
{
        canvas_start s = {0};
        message_error error;
        const sj_json *value = parse(sj_str_of(result));
        int r = canvas_begin(arena, &context, signature, &value, 1,
                             behind ? parse(sj_str_of(behind)) : NULL, &s, &error);
        if (r < 0)
                fail_msg("%s: %s", sj_strerror(r), error.text);
        return s;
}

static inline message sent(const canvas_start *s, size_t i)
{
        assert_true(i < s->n_messages);
        return decode(s->messages[i].envelope);
}

/* The text of a join, among those that some starts have opened. */
static inline const sj_json *kept(const canvas_start s[], size_t n, sj_str join)
{
        for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < s[i].n_joins; k++)
                        if (sj_str_equal(s[i].joins[k].group, join))
                                return parse(s[i].joins[k].body);
        fail_msg("no join %.*s", SJ_STR_ARG(join));
        return NULL;
}

/* A row of cmocka's table. */
#define CANVAS_TEST(f) cmocka_unit_test_setup_teardown(f, begin, arena_unit_end)

#endif
