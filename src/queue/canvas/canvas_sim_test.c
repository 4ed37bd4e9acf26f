/* SPDX-License-Identifier: MIT */
/*
 * Whole canvases under the simulator: what a seed draws (chains, groups and chords in each other,
 * with tasks that fail here and there) is begun as a program begins it, in either form, and run by
 * two workers which come and go over a broker that fails now and then. It ends, always, with the
 * value that arithmetic gives, or with a failure if a task of it fails; and nothing is left behind.
 */
#include "base/buf.h"
#include "queue/app.h"
#include "queue/broker/broker_faulty.h"
#include "queue/canvas/canvas.h"
#include "queue/worker/worker_sim_unit.h"

#include <sanjab/queue.h>

enum { NODES_MOST = 60, DEPTH_MOST = 4 };

/* ── Tasks ───────────────────────────────────────────────────────────────────────────────── */

static unsigned runs[NODES_MOST + 1];

static int64_t sum_of(const sj_json *v)
{
        int64_t sum = 0;
        if (sj_json_int(v, &sum) == 0)
                return sum;
        SJ_JSON_EACH (v, i, each)
                sum += sum_of(each);
        return sum;
}

/* All numbers in x, and k. */
SJ_TASK(gather, int64_t, (const sj_json *, x), (int64_t, k))
{
        runs[k]++;
        int r = sj_sleep((sj_time)sim_draw(50) * SJ_MS);
        *ret = sum_of(x) + k;
        return r;
}
SJ_TASK_OPTIONS(gather, .max_deliveries = 1000);

SJ_TASK(flop, int64_t, (const sj_json *, x), (int64_t, k))
{
        (void)x;
        runs[k]++;
        return sj_raise(self, "ValueError", "as was asked");
}
SJ_TASK_OPTIONS(flop, .max_deliveries = 1000);

/* As gather, by way of another in its place. */
SJ_TASK(swap, int64_t, (const sj_json *, x), (int64_t, k))
{
        char text[64];
        snprintf(text, sizeof(text), "[%lld, %lld]", (long long)sum_of(x), (long long)k);
        sj_signature *s = sj_signature_new("gather", text, NULL, NULL);
        int r = sj_replace(self, s);
        sj_signature_free(s);
        return r;
}
SJ_TASK_OPTIONS(swap, .max_deliveries = 1000);

static unsigned errbacks;

SJ_TASK(mourn, void, (const char *, id))
{
        (void)id;
        errbacks++;
        return 0;
}
SJ_TASK_OPTIONS(mourn, .max_deliveries = 1000);

/* ── What a seed draws ───────────────────────────────────────────────────────────────────── */

typedef struct drawing {
        buf text;
        int64_t k; /* the last one given */
        bool may_fail;
        bool fails;
} drawing;

/* Each writes a signature, and returns the value of it for that input. */
static int64_t draw(drawing *d, int64_t input, bool first, unsigned depth);

static int64_t draw_task(drawing *d, int64_t input, bool first)
{
        bool fails = d->may_fail && sim_draw(8) == 0;
        d->k++;
        d->fails |= fails;
        buf_printf(&d->text,
                   "{\"task\": \"%s\", \"args\": [%s%lld], \"kwargs\": {}, \"options\": {%s}, "
                   "\"subtask_type\": null, \"immutable\": false}",
                   fails              ? "flop"
                   : sim_draw(6) == 0 ? "swap"
                                      : "gather",
                   first ? "0, " : "", (long long)d->k,
                   fails && sim_draw(2) ? "\"link_error\": [{\"task\": \"mourn\", \"args\": [], "
                                          "\"kwargs\": {}, \"options\": {}}]"
                                        : "");
        return input + d->k;
}

static int64_t draw_chain(drawing *d, int64_t input, bool first, unsigned depth)
{
        uint64_t n = 1 + sim_draw(4);
        buf_printf(&d->text,
                   "{\"task\": \"celery.chain\", \"args\": [], \"kwargs\": {\"tasks\": [");
        for (uint64_t i = 0; i < n; i++) {
                buf_printf(&d->text, i ? ", " : "");
                input = draw(d, input, first && i == 0, depth + 1);
        }
        buf_printf(&d->text, "]}, \"options\": {}, \"subtask_type\": \"chain\", "
                             "\"immutable\": false}");
        return input;
}

static int64_t draw_group(drawing *d, int64_t input, bool first, unsigned depth)
{
        uint64_t n = 1 + sim_draw(3);
        int64_t sum = 0;
        buf_printf(&d->text,
                   "{\"task\": \"celery.group\", \"args\": [], \"kwargs\": {\"tasks\": [");
        for (uint64_t i = 0; i < n; i++) {
                buf_printf(&d->text, i ? ", " : "");
                sum += depth < DEPTH_MOST && sim_draw(6) == 0
                               ? draw_group(d, input, first, depth + 1)
                               : draw(d, input, first, depth + 1);
        }
        buf_printf(&d->text, "]}, \"options\": {}, \"subtask_type\": \"group\", "
                             "\"immutable\": false}");
        return sum;
}

static int64_t draw_chord(drawing *d, int64_t input, bool first, unsigned depth)
{
        buf_printf(&d->text, "{\"task\": \"celery.chord\", \"args\": [], "
                             "\"kwargs\": {\"kwargs\": {}, \"header\": ");
        input = draw_group(d, input, first, depth + 1);
        buf_printf(&d->text, ", \"body\": ");
        input = sim_draw(3) ? draw_task(d, input, false) : draw(d, input, false, depth + 1);
        buf_printf(&d->text,
                   "}, \"options\": {}, \"subtask_type\": \"chord\", \"immutable\": false}");
        return input;
}

/* A chain in which a group is followed by a task: it becomes a chord by itself. */
static int64_t draw_upgrade(drawing *d, int64_t input, bool first, unsigned depth)
{
        buf_printf(&d->text,
                   "{\"task\": \"celery.chain\", \"args\": [], \"kwargs\": {\"tasks\": [");
        input = draw_group(d, input, first, depth + 1);
        buf_printf(&d->text, ", ");
        input = draw_task(d, input, false);
        buf_printf(&d->text, "]}, \"options\": {}, \"subtask_type\": \"chain\", "
                             "\"immutable\": false}");
        return input;
}

static int64_t draw(drawing *d, int64_t input, bool first, unsigned depth)
{
        if (depth >= DEPTH_MOST || d->k > NODES_MOST / 2)
                return draw_task(d, input, first);
        switch (sim_draw(5)) {
        case 0:
                return draw_chain(d, input, first, depth);
        case 1:
                return draw_chord(d, input, first, depth);
        case 2:
                return draw_upgrade(d, input, first, depth);
        default:
                return draw_task(d, input, first);
        }
}

/* ── A world ─────────────────────────────────────────────────────────────────────────────── */

typedef struct world {
        broker *store;
        broker_faulty faulty;
        bool rough;
        bool over;
} world;

/* ── One canvas ──────────────────────────────────────────────────────────────────────────── */

static void begin(world *w, sj_arena *arena, sj_str text, bool compact, canvas_start *ret)
{
        const sj_json *signature;
        message_error error;
        const canvas_context context = {
                .now = sj_wall_now(), .default_queue = SJ_STR("celery"), .compact = compact};
        expect_equal(sj_json_parse(arena, text, SJ_JSON_PYTHON, &signature, NULL), 0);
        int r = canvas_begin(arena, &context, signature, NULL, 0, NULL, ret, &error);
        if (r < 0)
                fprintf(stderr, "%.*s: %s\n", SJ_STR_ARG(text), error.text);
        expect_equal(r, 0);
        expect_equal(broker_join_open(w->store, ret->joins, ret->n_joins, SJ_NEVER), 0);
        expect_equal(broker_publish(w->store, ret->messages, ret->n_messages, NULL, SJ_NEVER), 0);
}

/*
 * Waits for an end. Asks again and again, since the broker does not know an id before what has it
 * is sent. False: it has waited in vain.
 */
static bool await(world *w, sj_arena *arena, sj_str id, broker_result *ret)
{
        for (unsigned i = 0; i < 1200; i++) {
                expect_equal(broker_result_get(w->store, &id, 1, arena, ret, SJ_NEVER), 0);
                if (sj_str_equal(ret->state, SJ_STR("SUCCESS")) ||
                    sj_str_equal(ret->state, SJ_STR("FAILURE")))
                        return true;
                expect_equal(sj_sleep(SJ_SEC), 0);
        }
        return false;
}

static void check(const drawing *d, sj_arena *arena, const broker_result *result, int64_t value)
{
        const sj_json *content;
        int64_t found = -1;
        const char *expected = d->fails ? "FAILURE" : "SUCCESS";
        if (!sj_str_equal(result->state, sj_str_of(expected)))
                fprintf(stderr, "%.*s\nended as %.*s\n", SJ_STR_ARG(buf_str(&d->text)),
                        SJ_STR_ARG(result->content));
        expect(sj_str_equal(result->state, sj_str_of(expected)));
        expect_equal(sj_json_parse(arena, result->content, SJ_JSON_PYTHON, &content, NULL), 0);
        if (d->fails)
                return;
        sj_json_int(sj_json_member(content, "result"), &found);
        if (found != value)
                fprintf(stderr, "%.*s\n", SJ_STR_ARG(buf_str(&d->text)));
        expect_equal(found, value);
}

/* All tasks of the tree that Celery's tuple tells have ended: nobody waits for ever. */
static void check_tree(world *w, sj_arena *arena, const sj_json *tuple, const drawing *d)
{
        sj_str id = {NULL, 0};
        const sj_json *parent = sj_json_at(sj_json_at(tuple, 0), 1);
        const sj_json *children = sj_json_at(tuple, 1);
        broker_result result;
        if (sj_json_type_of(parent) == SJ_JSON_ARRAY)
                check_tree(w, arena, parent, d);
        if (sj_json_type_of(children) == SJ_JSON_ARRAY) {
                SJ_JSON_EACH (children, i, each)
                        check_tree(w, arena, each, d);
                return;
        }
        if (sj_json_string(sj_json_at(sj_json_at(tuple, 0), 0), &id) < 0)
                return;
        bool ended = await(w, arena, id, &result);
        if (!ended)
                fprintf(stderr, "%.*s\n%.*s\n", SJ_STR_ARG(buf_str(&d->text)), SJ_STR_ARG(id));
        expect(ended);
}

static void run_canvas(world *w, bool compact)
{
        drawing d = {.text = BUF_INIT(1024 * 1024), .may_fail = sim_draw(2)};
        canvas_start start;
        broker_result result;
        sj_arena *arena;
        memset(runs, 0, sizeof(runs));
        expect_equal(sj_arena_new(&arena), 0);
        int64_t value = draw(&d, 0, true, 0);
        expect(d.k <= NODES_MOST);
        begin(w, arena, buf_str(&d.text), compact, &start);
        bool ended = await(w, arena, start.id, &result);
        if (!ended)
                fprintf(stderr, "compact %d: %.*s\n", compact, SJ_STR_ARG(buf_str(&d.text)));
        expect(ended);
        check(&d, arena, &result, value);
        check_tree(w, arena, start.tuple, &d);
        for (int64_t i = 1; i <= d.k && !d.fails; i++) {
                expect(runs[i] >= 1);
                if (!w->rough)
                        expect_equal(runs[i], 1);
        }
        buf_fini(&d.text);
        sj_arena_free(arena);
}

/* All messages are gone in the end. */
static void drain(world *w)
{
        const broker_depth *depths;
        sj_arena *arena;
        expect_equal(sj_arena_new(&arena), 0);
        while (broker_queues(w->store, arena, &depths, SJ_NEVER) > 0) {
                expect_equal(depths[0].dead, 0);
                expect_equal(sj_sleep(SJ_SEC), 0);
        }
        sj_arena_free(arena);
}

static int canvases_end_as_they_should(void *arg)
{
        (void)arg;
        world w = {.rough = sim_draw(2)};
        sim_worker workers[2];
        char error[100];
        bool compact = sim_draw(2);
        expect_equal(broker_open("memory:", NULL, &w.store, error, sizeof(error), SJ_NEVER), 0);
        broker_faulty_init(&w.faulty, w.store);
        if (!compact)
                w.faulty.base.capabilities &= ~(unsigned)BROKER_OURS;
        if (w.rough) {
                w.faulty.one_in = 20;
                w.faulty.delay_max = 500 * SJ_MS;
                w.faulty.draw = sim_draw;
        }
        {
                SJ_SCOPE(s, sj_after(SJ_HOUR), 0);
                sim_worker_spawn(s, workers, 2,
                                 (sim_worker){.broker = &w.faulty.base,
                                              .over = &w.over,
                                              .restless = w.rough});
                for (unsigned i = 0; i < 3; i++)
                        run_canvas(&w, compact);
                drain(&w);
                w.over = true;
                expect_equal(sj_scope_join(s), 0);
        }
        broker_close(w.store);
        return 0;
}

static void test_canvases(void **state)
{
        (void)state;
        sim_unit_run(canvases_end_as_they_should, NULL, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                {"canvases_end_as_they_should", test_canvases, NULL, NULL, NULL}};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
