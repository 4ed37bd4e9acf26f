/* SPDX-License-Identifier: MIT */
/*
 * Canvases run by workers of every pool, with real children, over the broker in memory and over a
 * SQLite file: what the simulator draws at random (canvas_sim_test.c) is here a few by hand.
 */
#include "base/unit.h"
#include "queue/canvas/canvas.h"
#include "queue/worker/worker_bench.h"

#include <sanjab/canvas.h>
#include <sanjab/exec.h>
#include <sanjab/fiber.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ── Tasks ───────────────────────────────────────────────────────────────────────────────── */

SJ_TASK(add, int64_t, (int64_t, a), (int64_t, b))
{
        *ret = a + b;
        return 0;
}

SJ_TASK(total, int64_t, (const sj_json *, list))
{
        *ret = 0;
        SJ_JSON_EACH (list, i, each) {
                int64_t n = 0;
                int r = sj_json_int(each, &n);
                if (r < 0)
                        return r;
                *ret += n;
        }
        return 0;
}

/* Ends when there is such a file. */
SJ_TASK(gate, int64_t, (const char *, path))
{
        while (access(path, F_OK) < 0) {
                int r = sj_sleep(5 * SJ_MS);
                if (r < 0)
                        return r;
        }
        *ret = 1;
        return 0;
}

SJ_TASK(twice, int64_t, (int64_t, x))
{
        *ret = 2 * x;
        return 0;
}

SJ_TASK(bang, int64_t)
{
        return sj_raise(self, "ValueError", "bang");
}

/* Adds another to its chord. */
SJ_TASK(grow, int64_t, (int64_t, x))
{
        sj_signature *more = add_s(x, 1000);
        int r = sj_add_to_chord(self, more, NULL);
        sj_signature_free(more);
        *ret = x;
        return r;
}

/* Two are done in its place. */
SJ_TASK(spread, void)
{
        sj_signature *both = SJ_GROUP(add_s(1, 1), add_s(2, 2));
        int r = sj_replace(self, both);
        sj_signature_free(both);
        return r;
}

SJ_TASK(refuse, void)
{
        return sj_reject(self, false);
}

/* A canvas that begins much later; tells whether it is in the form that the broker allows. */
SJ_TASK(begin, bool)
{
        sj_signature *first = sj_signature_set(add_s(1, 1), &(sj_call){.countdown = 1000});
        sj_signature_link(first, sj_signature_set(add_p(1), &(sj_call){.task_id = "inner-link"}));
        sj_signature *last = sj_signature_set(add_p(1), &(sj_call){.task_id = "inner-end"});
        sj_signature *s = SJ_CHAIN(first, last);
        canvas_context context;
        app_canvas(self->app, &context);
        *ret = context.compact;
        int r = sj_signature_send(self->app, s, NULL);
        sj_signature_free(s);
        return r;
}

/* ── Helpers ─────────────────────────────────────────────────────────────────────────────── */

/* Its end; the id may not be known before what has it is sent. Takes the signature over. */
static sj_outcome run(bench *b, sj_signature *s, sj_arena *arena)
{
        sj_result result;
        sj_outcome outcome;
        assert_int_equal(sj_signature_send(b->app, s, &result), 0);
        sj_signature_free(s);
        sj_time end = sj_after(BENCH_LIMIT / 2);
        for (;;) {
                int r = sj_result_state(&result, arena, &outcome, end);
                if (r == 0 && sj_state_is_final(outcome.state))
                        return outcome;
                assert_true(r == 0 || r == -ENOENT);
                assert_int_equal(sj_sleep(5 * SJ_MS), 0);
                assert_true(sj_now() < end);
        }
}

static void expect_result(bench *b, sj_signature *s, const char *expected)
{
        sj_arena *arena;
        sj_str text;
        assert_int_equal(sj_arena_new(&arena), 0);
        sj_outcome outcome = run(b, s, arena);
        if (outcome.state != SJ_SUCCESS)
                fail_msg("%s: %s: %s", outcome.state_name, outcome.error.type,
                         outcome.error.message);
        assert_int_equal(sj_json_text(arena, outcome.value, SJ_JSON_PYTHON, &text), 0);
        assert_string_equal(text.data, expected);
        sj_arena_free(arena);
}

static void expect_failed(bench *b, sj_signature *s, const char *type)
{
        sj_arena *arena;
        assert_int_equal(sj_arena_new(&arena), 0);
        sj_outcome outcome = run(b, s, arena);
        assert_int_equal(outcome.state, SJ_FAILURE);
        assert_string_equal(outcome.error.type, type);
        sj_arena_free(arena);
}

/* ── Tests ───────────────────────────────────────────────────────────────────────────────── */

static int canvases(bench *b)
{
        expect_result(b, SJ_CHAIN(add_s(1, 1), add_p(2), add_p(3)), "7");
        expect_result(b, sj_chord(SJ_GROUP(add_s(1, 1), add_s(2, 2)), total_p()), "6");
        expect_result(b, SJ_CHAIN(add_s(1, 1), SJ_GROUP(add_p(2), add_p(3)), total_p(), add_p(10)),
                      "19");
        expect_result(b,
                      sj_chord(SJ_GROUP(sj_chord(SJ_GROUP(add_s(1, 1), add_s(2, 2)), total_p()),
                                        SJ_CHAIN(add_s(3, 3), add_p(4))),
                               total_p()),
                      "16");
        expect_failed(b, sj_chord(SJ_GROUP(add_s(1, 1), bang_s()), total_p()), "ChordError");
        expect_failed(b, SJ_CHAIN(bang_s(), add_p(2), add_p(3)), "ValueError");
        return 0;
}

static int built_in_tasks(bench *b)
{
        expect_result(b, sj_map(twice_p(), "[1, 2, 3]"), "[2,4,6]");
        expect_result(b, sj_starmap(add_p(0), "[[1, 2], [3, 4]]"), "[3,7]");
        expect_failed(b, sj_map(twice_p(), "[1, null]"), "TypeError");
        return 0;
}

static int ends_that_bodies_ask_for(bench *b)
{
        expect_result(b, sj_chord(SJ_GROUP(grow_s(1), add_s(2, 2)), total_p()), "1006");
        expect_result(b, SJ_CHAIN(spread_s()), "[2, 4]");
        expect_result(b, SJ_CHAIN(spread_s(), total_p()), "6");
        expect_failed(b, SJ_CHAIN(refuse_s()), "Reject");
        return 0;
}

/* Nobody waits for ever for what was revoked before it began. */
static int revoked_members(bench *b)
{
        sj_signature *member = sj_signature_set(
                add_s(2, 2), &(sj_call){.task_id = "revoked-member", .countdown = 1000});
        sj_signature *s = sj_chord(SJ_GROUP(add_s(1, 1), member), total_p());
        sj_result result, revoked = {.app = b->app, .id = "revoked-member"};
        sj_outcome outcome;
        sj_arena *arena;
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(sj_signature_send(b->app, s, &result), 0);
        sj_signature_free(s);
        assert_int_equal(sj_result_revoke(&revoked, sj_after(BENCH_LIMIT / 2)), 0);
        assert_int_equal(sj_result_state(&revoked, arena, &outcome, sj_after(BENCH_LIMIT / 2)), 0);
        assert_int_equal(outcome.state, SJ_REVOKED);
        int r;
        while ((r = sj_result_get(&result, arena, &outcome, sj_after(BENCH_LIMIT / 2))) == -ENOENT)
                assert_int_equal(sj_sleep(5 * SJ_MS), 0);
        assert_int_equal(r, 0);
        assert_int_equal(outcome.state, SJ_FAILURE);
        assert_string_equal(outcome.error.type, "ChordError");
        assert_int_equal(sj_result_forget(&revoked, sj_after(BENCH_LIMIT / 2)), 0);
        sj_arena_free(arena);
        return 0;
}

/* One that is published by the worker alone, after the revoke; and the links behind it. */
static int revoked_links(bench *b)
{
        char path[] = "/tmp/sanjab-gate-XXXXXX";
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        close(fd);
        unlink(path);
        sj_signature *later = sj_signature_set(add_p(1), &(sj_call){.task_id = "later-link"});
        sj_signature *s = SJ_CHAIN(gate_s(path), later, twice_p());
        sj_result result, link = {.app = b->app, .id = "later-link"};
        sj_outcome outcome;
        sj_arena *arena;
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(sj_signature_send(b->app, s, &result), 0);
        sj_signature_free(s);
        assert_int_equal(sj_result_revoke(&link, sj_after(BENCH_LIMIT / 2)), 0);
        fd = open(path, O_CREAT | O_WRONLY, 0600);
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(bench_outcome(&link, arena, &outcome), 0);
        assert_int_equal(outcome.state, SJ_REVOKED);
        assert_int_equal(bench_outcome(&result, arena, &outcome), 0);
        assert_int_equal(outcome.state, SJ_REVOKED);
        unlink(path);
        assert_int_equal(sj_result_forget(&link, sj_after(BENCH_LIMIT / 2)), 0);
        sj_arena_free(arena);
        return 0;
}

static void expect_pending(bench *b, const char *id)
{
        sj_result result = {.app = b->app};
        sj_outcome outcome;
        sj_arena *arena;
        assert_int_equal(sj_arena_new(&arena), 0);
        memcpy(result.id, id, strlen(id));
        assert_int_equal(sj_result_state(&result, arena, &outcome, sj_after(BENCH_LIMIT / 2)), 0);
        assert_int_equal(outcome.state, SJ_PENDING);
        sj_arena_free(arena);
}

/* What a task sends is as known, and as compact, as what a program sends. */
static int canvases_of_tasks(bench *b)
{
        expect_result(b, begin_s(), "true");
        expect_pending(b, "inner-end");
        expect_pending(b, "inner-link");
        return 0;
}

static int links_of_one_task(bench *b)
{
        sj_signature *s = sj_signature_set(add_s(1, 1), &(sj_call){.countdown = 1000});
        sj_signature_link(s, sj_signature_set(add_p(1), &(sj_call){.task_id = "own-link"}));
        assert_int_equal(sj_signature_send(b->app, s, NULL), 0);
        sj_signature_free(s);
        expect_pending(b, "own-link");
        return 0;
}

static int all(bench *b)
{
        int r = canvases(b);
        if (r >= 0)
                r = built_in_tasks(b);
        if (r >= 0)
                r = revoked_members(b);
        if (r >= 0)
                r = revoked_links(b);
        if (r >= 0)
                r = canvases_of_tasks(b);
        if (r >= 0)
                r = links_of_one_task(b);
        return r < 0 ? r : ends_that_bodies_ask_for(b);
}

static void canvases_run_in_every_pool(void **state)
{
        (void)state;
        bench_with_pools(all, POOLS_ALL);
}

static void canvases_run_over_a_file(void **state)
{
        (void)state;
        char folder[] = "/tmp/sanjab-canvas-XXXXXX", url[64];
        assert_non_null(mkdtemp(folder));
        snprintf(url, sizeof(url), "sqlite:%s/q.db", folder);
        bench b = {.pool = WORKER_PREFORK, .test = all, .url = url};
        assert_int_equal(sj_run(bench_run, &b), 0);
        char command[96];
        snprintf(command, sizeof(command), "rm -rf %s", folder);
        assert_int_equal(system(command), 0);
}

int main(int argc, char **argv)
{
        sj_boot(argc, argv);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(canvases_run_in_every_pool),
                cmocka_unit_test(canvases_run_over_a_file),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
