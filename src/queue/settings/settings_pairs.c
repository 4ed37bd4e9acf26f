/* SPDX-License-Identifier: MIT */
/*
 * Settings that consist of pairs, whether they came as a section or as a JSON object, and what
 * each of them means: routes, annotations, the retry policy, and the options of brokers, which
 * are handed on as JSON since only they know them.
 */
#include "queue/settings/settings_internal.h"

#include "queue/message/message_compress.h"

#include <stdio.h>

/* ── Collecting ──────────────────────────────────────────────────────────────────────────── */

enum { PAIRS_MAX = 10000 };

static int pairs_push(settings_pairs *pairs, sj_arena *arena, const settings_pair *pair)
{
        /* Powers of two have room for as many again. */
        if ((pairs->n & (pairs->n - 1)) == 0) {
                size_t room = pairs->n ? pairs->n * 2 : 1;
                settings_pair *more = sj_arena_alloc(arena, room * sizeof(*more));
                if (!more)
                        return -ENOMEM;
                if (pairs->n)
                        memcpy(more, pairs->pairs, pairs->n * sizeof(*more));
                pairs->pairs = more;
        }
        pairs->pairs[pairs->n++] = *pair;
        return 0;
}

/* A value of a section is JSON if it looks like some, and else the text itself. */
static bool looks_like_json(const char *text, sj_arena *arena)
{
        const sj_json *v;
        return sj_json_parse(arena, sj_str_of(text), 0, &v, NULL) == 0 &&
               sj_json_type_of(v) != SJ_JSON_STRING;
}

int settings_pairs_add(settings_pairs *pairs, sj_arena *arena, const char *name, const char *text,
                       unsigned line)
{
        for (size_t i = 0; i < pairs->n; i++)
                if (strcmp(pairs->pairs[i].name, name) == 0)
                        return -EEXIST;
        if (pairs->n == PAIRS_MAX)
                return -ENOMEM;
        const settings_pair pair = {.name = sj_arena_strndup(arena, name, strlen(name)),
                                    .text = sj_arena_strndup(arena, text, strlen(text)),
                                    .is_json = looks_like_json(text, arena),
                                    .line = line};
        return pair.name && pair.text ? pairs_push(pairs, arena, &pair) : -ENOMEM;
}

/* Adds the members of an object; deep: of the objects in it, as NAME.MEMBER. */
static int pairs_from_object(settings_pairs *pairs, sj_arena *arena, const sj_json *object,
                             const char *prefix, bool deep)
{
        for (size_t i = 0; i < sj_json_count(object); i++) {
                const sj_json *v = sj_json_at(object, i);
                sj_str name = sj_json_name_at(object, i), text;
                size_t n = strlen(prefix) + name.n + 2;
                char *whole = sj_arena_alloc(arena, n);
                if (!whole)
                        return -ENOMEM;
                snprintf(whole, n, "%s%s%.*s", prefix, *prefix ? "." : "", SJ_STR_ARG(name));
                if (deep && sj_json_type_of(v) == SJ_JSON_OBJECT) {
                        int r = pairs_from_object(pairs, arena, v, whole, false);
                        if (r < 0)
                                return r;
                        continue;
                }
                bool is_text = sj_json_string(v, &text) == 0;
                if (!is_text && sj_json_text(arena, v, 0, &text) < 0)
                        return -ENOMEM;
                const settings_pair pair = {.name = whole, .text = text.data, .is_json = !is_text};
                int r = pairs_push(pairs, arena, &pair);
                if (r < 0)
                        return r;
        }
        return 0;
}

int settings_pairs_read(const char *text, settings_pairs *ret, bool deep, sj_arena *arena,
                        char why[SETTINGS_WHY_SIZE])
{
        const sj_json *object;
        sj_json_error error;
        settings_pairs pairs = {NULL, 0};
        int r = sj_json_parse(arena, sj_str_of(text), 0, &object, &error);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || sj_json_type_of(object) != SJ_JSON_OBJECT) {
                snprintf(why, SETTINGS_WHY_SIZE, "is no JSON object%s%s", r < 0 ? ": " : "",
                         r < 0 ? error.reason : "");
                return -EINVAL;
        }
        r = pairs_from_object(&pairs, arena, object, "", deep);
        if (r == 0)
                *ret = pairs;
        return r;
}

/* ── Meaning ─────────────────────────────────────────────────────────────────────────────── */

static settings_place pair_place(const settings_reading *x, const setting *row,
                                 const settings_pair *pair)
{
        settings_place place = x->s->places[settings_row(row)];
        if (pair->line)
                place.line = pair->line;
        return place;
}

static void *mean_room(settings_reading *x, size_t n, size_t size)
{
        void *p = sj_arena_alloc(x->s->arena, (n + 1) * size);
        if (!p)
                x->r = -ENOMEM;
        else
                memset(p, 0, (n + 1) * size);
        return p;
}

/* "queue", or {"queue": "queue", "priority": 3}. -EINVAL and why; -ENOMEM. */
static int mean_route(sj_arena *arena, const settings_pair *pair, sj_route *route, const char **why)
{
        const sj_json *o, *v;
        sj_str queue = sj_str_of(pair->text);
        int64_t priority = 0;
        if (pair->is_json && pair->text[0] == '{') {
                *why = "a route is a queue, or an object with queue and priority";
                int r = sj_json_parse(arena, queue, 0, &o, NULL);
                if (r < 0)
                        return r == -ENOMEM ? r : -EINVAL;
                v = sj_json_member(o, "queue");
                queue = (sj_str){NULL, 0};
                if (v && sj_json_string(v, &queue) < 0)
                        return -EINVAL;
                size_t known = v != NULL;
                v = sj_json_member(o, "priority");
                if (v && (sj_json_int(v, &priority) < 0 || priority < 0 ||
                          priority > BROKER_PRIORITY_MAX))
                        return -EINVAL;
                known += v != NULL;
                if (known == 0 || known != sj_json_count(o))
                        return -EINVAL;
        }
        *why = "the queue's name is empty or too long";
        if (queue.data && (queue.n == 0 || queue.n > SJ_TASK_NAME_MAX))
                return -EINVAL;
        *route = (sj_route){.pattern = pair->name, .queue = queue.data, .priority = (int)priority};
        return 0;
}

static void mean_routes(settings_reading *x, const setting *row, const settings_pairs *pairs)
{
        x->s->routes = mean_room(x, pairs->n, sizeof(sj_route));
        for (size_t i = 0; x->r == 0 && i < pairs->n; i++) {
                const char *why;
                const settings_place place = pair_place(x, row, &pairs->pairs[i]);
                int r = mean_route(x->s->arena, &pairs->pairs[i], &x->s->routes[i], &why);
                if (r == 0)
                        x->s->n_routes++;
                else if (r == -ENOMEM)
                        x->r = r;
                else
                        settings_complain(x, &place, "task_routes: '%s': %s", pairs->pairs[i].name,
                                          why);
        }
}

static void mean_queue_rates(settings_reading *x, const setting *row, const settings_pairs *pairs)
{
        settings *s = x->s;
        s->queue_rates = mean_room(x, pairs->n, sizeof(worker_queue_rate));
        for (size_t i = 0; x->r == 0 && i < pairs->n; i++) {
                const settings_pair *pair = &pairs->pairs[i];
                const settings_place place = pair_place(x, row, pair);
                double rate;
                if (task_parse_rate(pair->text, &rate) >= 0 && rate > 0)
                        s->queue_rates[s->n_queue_rates++] = (worker_queue_rate){pair->name, rate};
                else
                        settings_complain(x, &place,
                                          "task_queue_rates: '%s': a rate is as 10/s, 10/m or "
                                          "10/h, not '%s'",
                                          pair->name, pair->text);
        }
}

static void mean_annotations(settings_reading *x, const setting *row, const settings_pairs *pairs)
{
        settings *s = x->s;
        s->annotations = mean_room(x, pairs->n + 2, sizeof(task_annotation));
        if (x->r < 0)
                return;
        if (!s->values.task_acks_late)
                s->annotations[s->n_annotations++] = (task_annotation){"*", "acks_late", "false"};
        if (s->values.task_ignore_result)
                s->annotations[s->n_annotations++] =
                        (task_annotation){"*", "ignore_result", "true"};
        for (size_t i = 0; i < pairs->n; i++) {
                const settings_pair *pair = &pairs->pairs[i];
                const settings_place place = pair_place(x, row, pair);
                const char *dot = strrchr(pair->name, '.');
                char why[SETTINGS_WHY_SIZE];
                if (!dot || dot == pair->name || !dot[1]) {
                        settings_complain(x, &place, "task_annotations: '%s' is not PATTERN.OPTION",
                                          pair->name);
                        continue;
                }
                task_annotation *a = &s->annotations[s->n_annotations];
                a->pattern = sj_arena_strndup(s->arena, pair->name, (size_t)(dot - pair->name));
                a->option = dot + 1;
                a->value = pair->text;
                if (!a->pattern)
                        x->r = -ENOMEM;
                else if (task_annotation_check(a, why, sizeof(why)) < 0)
                        settings_complain(x, &place, "task_annotations: %s", why);
                else
                        s->n_annotations++;
        }
}

static void mean_policy(settings_reading *x, const setting *row, const settings_pairs *pairs)
{
        sj_retry_policy *p = &x->s->publish;
        const struct {
                const char *name;
                double *seconds;
        } members[] = {{"interval_start", &p->interval_start},
                       {"interval_step", &p->interval_step},
                       {"interval_max", &p->interval_max}};
        for (size_t i = 0; i < pairs->n; i++) {
                const settings_pair *pair = &pairs->pairs[i];
                const settings_place place = pair_place(x, row, pair);
                unsigned retries;
                bool forever =
                        strcasecmp(pair->text, "none") == 0 || strcmp(pair->text, "null") == 0;
                bool done = false;
                if (strcmp(pair->name, "max_retries") == 0) {
                        done = forever || settings_read_count(pair->text, INT32_MAX, &retries);
                        if (done)
                                p->max_retries = forever        ? SJ_RETRY_FOREVER
                                                 : retries == 0 ? SJ_NO_RETRIES
                                                                : (int)retries;
                }
                for (size_t k = 0; k < 3; k++)
                        if (strcmp(pair->name, members[k].name) == 0)
                                done = settings_read_seconds(pair->text, members[k].seconds);
                if (!done)
                        settings_complain(x, &place,
                                          "task_publish_retry_policy has max_retries (a number, "
                                          "or none), interval_start, interval_step and "
                                          "interval_max (seconds), but not '%s' = '%s'",
                                          pair->name, pair->text);
        }
}

/* As one JSON object; NULL: no pairs. */
static const char *mean_object(settings_reading *x, const settings_pairs *pairs)
{
        sj_json_writer *w;
        sj_str text;
        const char *kept = NULL;
        if (pairs->n == 0)
                return NULL;
        if (sj_json_writer_new(0, &w) < 0) {
                x->r = -ENOMEM;
                return NULL;
        }
        sj_json_write_object_begin(w);
        for (size_t i = 0; i < pairs->n; i++) {
                sj_json_write_name(w, pairs->pairs[i].name);
                if (pairs->pairs[i].is_json)
                        sj_json_write_raw(w, sj_str_of(pairs->pairs[i].text));
                else
                        sj_json_write_string(w, sj_str_of(pairs->pairs[i].text));
        }
        sj_json_write_object_end(w);
        if (sj_json_writer_end(w, &text) == 0)
                kept = sj_arena_strndup(x->s->arena, text.data, text.n);
        if (!kept)
                x->r = -ENOMEM;
        sj_json_writer_free(w);
        return kept;
}

/* Not every build has every library. */
static void check_compression(settings_reading *x)
{
        const setting *row = settings_find("task_compression");
        const char *name = row->choices[x->s->values.task_compression];
        const settings_place *place = &x->s->places[settings_row(row)];
        const message_compression *c = message_compression_named(sj_str_of(name));
        if (c && !message_compression_works(c))
                settings_complain(x, place, "task_compression: this build cannot do %s", name);
}

void settings_pairs_mean(settings_reading *x)
{
        settings_values *v = &x->s->values;
        mean_routes(x, settings_find("task_routes"), &v->task_routes);
        mean_queue_rates(x, settings_find("task_queue_rates"), &v->task_queue_rates);
        mean_annotations(x, settings_find("task_annotations"), &v->task_annotations);
        mean_policy(x, settings_find("task_publish_retry_policy"), &v->task_publish_retry_policy);
        if (!v->task_publish_retry)
                x->s->publish = (sj_retry_policy){.max_retries = SJ_NO_RETRIES};
        check_compression(x);
        x->s->transport = mean_object(x, &v->broker_transport_options);
        x->s->result_transport = mean_object(x, &v->result_backend_transport_options);
}
