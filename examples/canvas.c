/* SPDX-License-Identifier: MIT */
/*
 * Work made of several tasks: one after another, side by side, with something that waits for all;
 * what is sent when a task has succeeded or failed; one task over a list.
 *
 *         sanjab worker -A canvas.c &
 *         cc canvas.c $(pkg-config --cflags --libs sanjab) -o canvas && ./canvas
 */
#include "speed.h"

#include <sanjab/canvas.h>
#include <stdio.h>

SJ_TASK(add, int64_t, (int64_t, a), (int64_t, b))
{
        block(1);
        *ret = a + b;
        return 0;
}

SJ_TASK(divide, int64_t, (int64_t, a), (int64_t, b))
{
        if (b == 0)
                return sj_raise(self, "ZeroDivisionError", "%lld by 0", (long long)a);
        *ret = a / b;
        return 0;
}

SJ_TASK(sum, int64_t, (const sj_json *, numbers))
{
        int64_t number = 0;
        *ret = 0;
        SJ_JSON_EACH (numbers, i, each) {
                int r = sj_json_int(each, &number);
                if (r < 0)
                        return r;
                *ret += number;
        }
        return 0;
}

SJ_TASK(mourn, const char *, (const char *, id))
{
        *ret = id[0] ? "somebody was told" : "";
        return 0;
}

static void show(const char *name, int r, const sj_result *result)
{
        sj_arena *arena = NULL;
        sj_outcome outcome;
        sj_str text = SJ_STR("");
        if (r >= 0)
                r = sj_arena_new(&arena);
        if (r >= 0)
                r = sj_result_get(result, arena, &outcome, sj_after(30 * SJ_SEC));
        if (r >= 0 && outcome.state == SJ_SUCCESS)
                r = sj_json_text(arena, outcome.value, SJ_JSON_SPACED, &text);
        if (r < 0)
                printf("%s: %s\n", name, sj_strerror(r));
        else if (outcome.state == SJ_SUCCESS)
                printf("%s: %.*s\n", name, SJ_STR_ARG(text));
        else
                printf("%s: %s\n", name, outcome.error.type);
        sj_arena_free(arena);
}

/* Sends it, waits, and shows the result of the whole. */
static void run(sj_app *app, const char *name, sj_signature *s)
{
        sj_result result;
        int r = sj_signature_send(app, s, &result);
        show(name, r, &result);
        sj_signature_free(s);
}

/* A call whose id is known before it is sent, so that its result can be asked for. */
static sj_signature *known(sj_signature *s, const char *id)
{
        return sj_signature_set(s, &(sj_call){.task_id = id});
}

int main(void)
{
        sj_app *app;
        if (sj_app_new(NULL, &app) < 0)
                return 1;
        sj_time start = sj_now();
        run(app, "chain", SJ_CHAIN(add_s(2, 2), add_p(4), divide_p(2)));
        printf("one after another: %.1f s\n", since(start));
        start = sj_now();
        run(app, "group", SJ_GROUP(add_s(1, 1), add_s(2, 2)));
        printf("side by side: %.1f s\n", since(start));
        run(app, "chord", sj_chord(SJ_GROUP(add_s(1, 1), add_s(2, 2)), sum_p()));
        run(app, "chain with a group",
            SJ_CHAIN(add_s(1, 1), SJ_GROUP(add_p(10), add_p(20)), sum_p(), divide_p(2)));
        run(app, "immutable", SJ_CHAIN(add_s(1, 1), add_si(5, 5)));
        run(app, "map", sj_map(sum_p(), "[[1, 2], [3, 4]]"));
        run(app, "chunks",
            sj_chunks(sj_signature_new("divide", NULL, NULL, NULL), "[[4, 2], [9, 3], [8, 1]]", 2));
        run(app, "link", sj_signature_link(divide_s(9, 3), known(divide_p(1), "the-link")));
        show("... and what it linked to", 0, &(sj_result){.app = app, .id = "the-link"});
        run(app, "link_error",
            sj_signature_link_error(SJ_CHAIN(divide_s(1, 0), add_p(1)), known(mourn_p(), "told")));
        show("... and what it linked to", 0, &(sj_result){.app = app, .id = "told"});
        sj_app_free(app);
        return 0;
}
