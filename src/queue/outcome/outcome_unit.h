/* SPDX-License-Identifier: MIT */
/*
 * For the tests of outcome*.c: a delivery to try things on, and what is looked at afterwards.
 */
#ifndef SANJAB_QUEUE_OUTCOME_UNIT_H
#define SANJAB_QUEUE_OUTCOME_UNIT_H

#include "base/unit.h"
#include "queue/outcome/outcome.h"

#include <stdlib.h>

static sj_arena *arena;

static inline int begin(void **state)
{
        (void)state;
        return sj_arena_new(&arena);
}

static inline int end(void **state)
{
        (void)state;
        sj_arena_free(arena);
        return 0;
}

/* ── A delivery to try things on ─────────────────────────────────────────────────────────── */

enum { NOW = 1000000000 };

typedef struct trial {
        outcome_context context;
        outcome_delivery delivery;
        message m;
        message_error error;
        task_info info;
        broker_lease lease;
        outcome_arrivals arrivals;
        broker_settlement s;
} trial;

static inline const sj_json *parse(sj_str text)
{
        const sj_json *v = NULL;
        sj_json_error why;
        if (sj_json_parse(arena, text, SJ_JSON_PYTHON, &v, &why) < 0)
                fail_msg("%.*s: %s", SJ_STR_ARG(text), why.reason);
        return v;
}

static inline sj_str by_name(void *arg, sj_str task)
{
        (void)arg;
        return sj_str_equal(task, SJ_STR("elsewhere")) ? SJ_STR("other queue") : SJ_STR("q");
}

/* A message with that embed, as it would arrive. */
static inline void trial_begin(trial *t, const char *embed)
{
        *t = (trial){
                .context = {.now = {NOW},
                            .worker = SJ_STR("w@h"),
                            .pid = 7,
                            .origin = SJ_STR("gen7@h"),
                            .route = by_name},
                .info = {.name = SJ_STR("t"),
                         .max_retries = 3,
                         .default_retry_delay = 180,
                         .retry_backoff_max = 600,
                         .max_deliveries = 5},
        };
        const sj_json *e = parse(sj_str_of(embed));
        message made = {.task = SJ_STR("t"),
                        .id = SJ_STR("the-id"),
                        .args = parse(SJ_STR("[1]")),
                        .root_id = SJ_STR("the-root"),
                        .callbacks = sj_json_member(e, "callbacks"),
                        .errbacks = sj_json_member(e, "errbacks"),
                        .chain = sj_json_member(e, "chain"),
                        .chord = sj_json_member(e, "chord"),
                        .reply_to = SJ_STR("reply"),
                        .routing_key = SJ_STR("q")};
        sj_str envelope;
        assert_int_equal(message_encode(arena, &made, &envelope), 0);
        if (message_decode(arena, envelope, &t->m, &t->error) < 0)
                fail_msg("%s", t->error.text);
        t->lease = (broker_lease){.message = {.id = t->m.id,
                                              .queue = SJ_STR("q"),
                                              .task = t->m.task,
                                              .envelope = envelope},
                                  .deliveries = 1};
        t->delivery = (outcome_delivery){.lease = &t->lease,
                                         .m = &t->m,
                                         .error = &t->error,
                                         .info = &t->info,
                                         .arrivals = &t->arrivals};
}

static inline void after(trial *t, const task_return *r)
{
        assert_int_equal(outcome_after(&t->context, &t->delivery, r, arena, &t->s), 0);
        assert_ptr_equal(t->s.lease, &t->lease);
}

static inline void succeed(trial *t, const char *value)
{
        after(t, &(task_return){.end = TASK_SUCCEEDED, .value = sj_str_of(value)});
}

static inline void fail_with(trial *t, const char *module, const char *type, const char *args)
{
        task_return r = task_failed(module, type, sj_str_of(args));
        after(t, &r);
}

static inline void assert_text(sj_str text, const char *expected)
{
        if (!sj_str_equal(text, sj_str_of(expected)))
                fail_msg("'%.*s' is not '%s'", SJ_STR_ARG(text), expected);
}

static inline const sj_json *stored(const trial *t, size_t i, const char *id, const char *state)
{
        assert_true(i < t->s.n_results);
        assert_text(t->s.results[i].id, id);
        assert_text(t->s.results[i].state, state);
        const sj_json *meta = parse(t->s.results[i].content);
        sj_str inside;
        assert_int_equal(sj_json_string(sj_json_member(meta, "status"), &inside), 0);
        assert_text(inside, state);
        assert_int_equal(sj_json_string(sj_json_member(meta, "task_id"), &inside), 0);
        assert_text(inside, id);
        return meta;
}

static inline void assert_error(const sj_json *meta, const char *expected)
{
        sj_str text;
        assert_int_equal(sj_json_text(arena, sj_json_member(meta, "result"), SJ_JSON_SPACED, &text),
                         0);
        if (!sj_json_equal(sj_json_member(meta, "result"), parse(sj_str_of(expected))))
                fail_msg("%.*s is not %s", SJ_STR_ARG(text), expected);
}

static inline message follow_up(const trial *t, size_t i)
{
        message m;
        message_error error;
        assert_true(i < t->s.n_follow_ups);
        const broker_message *b = &t->s.follow_ups[i];
        assert_int_equal(message_decode(arena, b->envelope, &m, &error), 0);
        assert_true(sj_str_equal(b->id, m.id) && sj_str_equal(b->task, m.task));
        assert_true(sj_str_equal(b->queue, m.routing_key));
        return m;
}

static inline void assert_args(const message *m, const char *expected)
{
        if (!sj_json_equal(m->args, parse(sj_str_of(expected))))
                fail_msg("%.*s", SJ_STR_ARG(m->argsrepr));
}

#define SIG(task, id)                                                          \
        "{\"task\": \"" task                                                   \
        "\", \"args\": [10], \"kwargs\": {}, \"options\": {\"task_id\": \"" id \
        "\"}, \"subtask_type\": null, \"immutable\": false}"

#endif
