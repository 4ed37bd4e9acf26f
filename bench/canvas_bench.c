/* SPDX-License-Identifier: MIT */
/*
 * Bytes that a chain of N chords sends until it has ended, each chord of ten tasks and a body: all
 * messages, by whomever they are sent, and all that is kept in joins.
 *
 *   canvas_bench compact|celery N
 *
 * It is run without a broker: each task gives null, and what follows from it is begun by the same
 * functions as in a worker.
 */
#include "queue/canvas/canvas.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct waiting {
        sj_str group;
        int64_t left;
        sj_str body;
        struct waiting *next;
} waiting;

typedef struct run {
        sj_arena *arena;
        canvas_context context;
        waiting *joins;
        size_t bytes;
} run;

static int follow(run *u, const canvas_start *s);

static int join_add(run *u, const broker_join *join)
{
        waiting *w = sj_arena_alloc(u->arena, sizeof(*w));
        if (!w)
                return -ENOMEM;
        *w = (waiting){join->group, join->size, join->body, u->joins};
        u->joins = w;
        u->bytes += join->body.n;
        return 0;
}

/* All that comes after the task of a message, as if it had given null. */
static int go_on(run *u, const message *m, const sj_json *null)
{
        canvas_start next;
        message_error error;
        canvas_part part;
        size_t n = sj_json_count(m->chain);
        int r = 0;
        if (n) {
                const sj_json **rest = sj_arena_alloc(u->arena, n * sizeof(*rest));
                for (size_t i = 0; rest && i + 1 < n; i++)
                        rest[i] = sj_json_at(m->chain, i);
                const sj_json *behind = rest ? sj_json_new_array(u->arena, rest, n - 1) : NULL;
                if (!behind)
                        return -ENOMEM;
                r = canvas_begin(u->arena, &u->context, sj_json_at(m->chain, n - 1), &null, 1,
                                 behind, &next, &error);
                if (r == 0)
                        r = follow(u, &next);
        }
        if (r < 0 || !canvas_arrival(m, &part))
                return r;
        for (waiting *w = u->joins; w; w = w->next) {
                if (!sj_str_equal(w->group, part.group) || --w->left)
                        continue;
                const sj_json *body = part.chord;
                if (canvas_is_reference(body) &&
                    (r = sj_json_parse(u->arena, w->body, SJ_JSON_PYTHON, &body, NULL)) < 0)
                        return r;
                r = canvas_begin_body(u->arena, &u->context, body, null, &next, &error);
                return r < 0 ? r : follow(u, &next);
        }
        return 0;
}

static int follow(run *u, const canvas_start *s)
{
        const sj_json *null = sj_json_new_null(u->arena);
        int r = null ? 0 : -ENOMEM;
        for (size_t i = 0; r == 0 && i < s->n_joins; i++)
                r = join_add(u, &s->joins[i]);
        for (size_t i = 0; r == 0 && i < s->n_messages; i++) {
                message m;
                message_error error;
                u->bytes += s->messages[i].envelope.n;
                r = message_decode(u->arena, s->messages[i].envelope, &m, &error);
                if (r == 0)
                        r = go_on(u, &m, null);
        }
        return r;
}

#define NOOP                                                                                     \
        "{\"task\": \"noop\", \"args\": [], \"kwargs\": {}, \"options\": {}, \"subtask_type\": " \
        "null, \"immutable\": true}"
#define TWO NOOP ", " NOOP
#define CHORD                                                                                  \
        "{\"task\": \"celery.chord\", \"args\": [], \"kwargs\": {\"kwargs\": {}, \"header\": " \
        "[" TWO ", " TWO ", " TWO ", " TWO ", " TWO "], \"body\": " NOOP                       \
        "}, \"options\": {}, \"subtask_type\": \"chord\", \"immutable\": false}"

static const sj_json *chain_of(sj_arena *arena, size_t n)
{
        static const char begin[] =
                "{\"task\": \"celery.chain\", \"args\": [], \"kwargs\": {\"tasks\": [";
        static const char end[] = "]}, \"options\": {}, \"subtask_type\": \"chain\"}";
        const sj_json *v = NULL;
        char *text = malloc(sizeof(begin) + sizeof(end) + n * (sizeof(CHORD) + 2));
        if (!text)
                return NULL;
        char *at = stpcpy(text, begin);
        for (size_t i = 0; i < n; i++)
                at = stpcpy(stpcpy(at, i ? ", " : ""), CHORD);
        stpcpy(at, end);
        sj_json_parse(arena, sj_str_of(text), SJ_JSON_PYTHON, &v, NULL);
        free(text);
        return v;
}

int main(int argc, char **argv)
{
        size_t n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
        if (n < 1 || n > 1000) {
                fputs("usage: canvas_bench compact|celery N\n", stderr);
                return 2;
        }
        run u = {.context = {.now = sj_wall_now(),
                             .origin = SJ_STR("gen12345@vm"),
                             .default_queue = SJ_STR("celery"),
                             .reply_to = SJ_STR("cae03403-d7f3-3849-a36d-53efc2be0518"),
                             .compact = strcmp(argv[1], "compact") == 0}};
        canvas_start s;
        message_error error;
        int r = sj_arena_new(&u.arena);
        if (r == 0)
                r = canvas_begin(u.arena, &u.context, chain_of(u.arena, n), NULL, 0, NULL, &s,
                                 &error);
        if (r == 0)
                r = follow(&u, &s);
        if (r == 0)
                printf("%zu\n", u.bytes);
        sj_arena_free(u.arena);
        return r < 0;
}
