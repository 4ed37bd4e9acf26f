/* SPDX-License-Identifier: MIT */
/* The trace of a loop is JSON whose lanes have neither holes nor overlaps. */
#include "fiber/sim_unit.h"

#include <sanjab/chan.h>
#include <sanjab/debug.h>
#include <sanjab/json.h>

#include <math.h>
#include <string.h>

enum { TEXT_BYTES = 4 << 20, PIECE_MAX = 64 * 1024, LANES = 256, ROUNDS = 300 };

typedef struct text {
        char *bytes;
        size_t n;
        unsigned pieces;
} text;

static void keep(void *arg, const char *bytes, size_t n)
{
        text *t = arg;
        expect(n <= PIECE_MAX && t->n + n <= TEXT_BYTES);
        memcpy(t->bytes + t->n, bytes, n);
        t->n += n;
        t->pieces++;
}

/* ── Reading it ──────────────────────────────────────────────────────────────────────────── */

typedef struct lane {
        bool begun, ended;
        int64_t until; /* in ns: what is known of it ends there */
        unsigned runs, waits, ready;
        char name[64];
} lane;

typedef struct seen {
        lane lanes[LANES];
        unsigned begun, ended, polls;
        bool slept, received;
} seen;

static int64_t ns_of(const sj_json *event, const char *name)
{
        double us;
        expect_equal(sj_json_double(sj_json_member(event, name), &us), 0);
        return llround(us * 1000);
}

static sj_str text_of(const sj_json *event, const char *name)
{
        sj_str s = {0};
        expect_equal(sj_json_string(sj_json_member(event, name), &s), 0);
        return s;
}

static void read_span(seen *s, lane *l, int64_t number, const sj_json *event)
{
        expect_equal(ns_of(event, "ts"), l->until);
        int64_t took = ns_of(event, "dur");
        expect(took >= 0);
        l->until += took;
        sj_str name = text_of(event, "name"), kind = text_of(event, "cat");
        expect(number > 0 && l->begun && !l->ended);
        l->runs += sj_str_equal(kind, SJ_STR("run"));
        l->waits += sj_str_equal(kind, SJ_STR("wait"));
        l->ready += sj_str_equal(name, SJ_STR("ready"));
        s->slept |= sj_str_equal(name, SJ_STR("waits for sleep")) && took >= SJ_MS;
        s->received |= sj_str_equal(name, SJ_STR("waits for receive from a chan"));
}

static void read_event(seen *s, const sj_json *event)
{
        int64_t number = -1;
        expect_equal(sj_json_int(sj_json_member(event, "tid"), &number), 0);
        expect(number >= 0 && number < LANES);
        lane *l = &s->lanes[number];
        switch (*text_of(event, "ph").data) {
        case 'M':
                expect(!l->begun);
                return;
        case 'B':
                expect(!l->begun);
                l->begun = true;
                l->until = ns_of(event, "ts");
                snprintf(l->name, sizeof(l->name), "%s", text_of(event, "name").data);
                s->begun++;
                return;
        case 'E':
                expect(l->begun && !l->ended);
                expect_equal(ns_of(event, "ts"), l->until);
                l->ended = true;
                s->ended++;
                return;
        case 'X':
                if (number == 0)
                        s->polls++;
                else
                        read_span(s, l, number, event);
                return;
        default:
                expect_equal(*text_of(event, "ph").data, 0); /* none that is known */
        }
}

static seen read_all(const text *t)
{
        sj_arena *arena;
        expect_equal(sj_arena_new(&arena), 0);
        const sj_json *events;
        sj_json_error why = {0};
        int r = sj_json_parse(arena, (sj_str){t->bytes, t->n}, 0, &events, &why);
        if (r < 0)
                fprintf(stderr, "line %u: %s\n", why.line, why.reason);
        expect_equal(r, 0);
        seen s = {0};
        SJ_JSON_EACH (events, i, event)
                read_event(&s, event);
        sj_arena_free(arena);
        expect_equal(s.begun, s.ended);
        return s;
}

static const lane *lane_named(const seen *s, const char *name)
{
        for (unsigned i = 0; i < LANES; i++)
                if (s->lanes[i].begun && !strcmp(s->lanes[i].name, name))
                        return &s->lanes[i];
        fprintf(stderr, "no lane of %s\n", name);
        abort();
}

/* ── What is traced ──────────────────────────────────────────────────────────────────────── */

static int receives(void *arg)
{
        int item;
        int r;
        while ((r = sj_chan_recv(arg, &item, SJ_NEVER)) == 0)
                continue;
        return r == -EPIPE ? 0 : r;
}

static int sends(void *arg)
{
        for (int i = 0; i < ROUNDS; i++) {
                expect_equal(sj_chan_send(arg, &i, SJ_NEVER), 0);
                expect_equal(sj_yield(), 0);
        }
        return 0;
}

static int sleeps(void *arg)
{
        (void)arg;
        return sj_sleep(5 * SJ_MS);
}

static int returns_at_once(void *arg)
{
        (void)arg;
        return 7;
}

static int traces(void *arg)
{
        text *t = arg;
        t->n = 0;
        t->pieces = 0;
        sj_chan *c;
        expect_equal(sj_chan_new(sizeof(int), 0, &c), 0);
        {
                SJ_SCOPE(outer, SJ_NEVER, 0);
                expect_equal(sj_spawn(outer, receives, c, NULL), 0);
                expect_equal(sj_sleep(SJ_MS), 0);
                expect_equal(sj_trace_start(keep, t), 0);
                expect_equal(sj_trace_start(keep, t), -EBUSY);
                SJ_SCOPE(s, SJ_NEVER, 0);
                expect_equal(sj_spawn(s, sends, c, NULL), 0);
                expect_equal(sj_spawn(s, sleeps, NULL, NULL), 0);
                expect_equal(sj_spawn(s, returns_at_once, NULL, NULL), 0);
                expect_equal(sj_spawn_named(s, returns_at_once, NULL, "a \"\\ \n\xff\xc3\xbc",
                                            "\x01 where", NULL),
                             0);
                expect_equal(sj_scope_join(s), 0);
                sj_trace_stop();
                sj_trace_stop();
                size_t n = t->n;
                expect_equal(sj_yield(), 0);
                expect_equal(t->n, n);
                sj_chan_close(c);
                expect_equal(sj_scope_join(outer), 0);
        }
        sj_chan_free(c);
        return 0;
}

static void a_trace_is_json_without_holes_or_overlaps(void **state)
{
        (void)state;
        text t = {.bytes = malloc(TEXT_BYTES)};
        assert_non_null(t.bytes);
        for (uint64_t seed = 1; seed <= 40; seed++) {
                sim_unit_once(seed, traces, &t, 0);
                seen s = read_all(&t);
                expect_equal(s.begun, 6);
                expect(t.pieces > 1 && s.polls > 0 && s.slept && s.received);
                expect(lane_named(&s, "body")->runs > 1);
                expect(lane_named(&s, "receives")->waits > 10);
                expect(lane_named(&s, "sends")->runs > 10);
                const lane *once = lane_named(&s, "returns_at_once");
                expect_equal(once->runs, 1);
                expect_equal(once->waits, 1);
                expect_equal(once->ready, 1);
                lane_named(&s, "a \"\\ \n\xef\xbf\xbd\xc3\xbc");
        }
        free(t.bytes);
}

static int starts_and_returns(void *arg)
{
        text *t = arg;
        t->n = 0;
        expect_equal(sj_trace_start(NULL, NULL), -EINVAL);
        expect_equal(sj_trace_start(keep, t), 0);
        return sj_yield();
}

static void the_end_of_the_loop_ends_its_trace(void **state)
{
        (void)state;
        text t = {.bytes = malloc(TEXT_BYTES)};
        assert_non_null(t.bytes);
        sim_unit_once(1, starts_and_returns, &t, 0);
        seen s = read_all(&t);
        expect_equal(s.begun, 1);
        free(t.bytes);
        assert_int_equal(sj_trace_start(keep, &t), -EPERM);
}

/* What runs, and when the loop is polled, is the same with a trace and without. */
static int works(void *arg)
{
        text *t = arg;
        if (t)
                expect_equal(sj_trace_start(keep, t), 0);
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_chan *c;
        expect_equal(sj_chan_new(sizeof(int), 0, &c), 0);
        expect_equal(sj_spawn(s, receives, c, NULL), 0);
        expect_equal(sj_spawn(s, sleeps, NULL, NULL), 0);
        expect_equal(sends(c), 0);
        sj_chan_close(c);
        expect_equal(sj_scope_join(s), 0);
        sj_chan_free(c);
        sj_counters counters;
        expect_equal(sj_counters_read(&counters), 0);
        return (int)(counters.switches * 1000 + counters.turns);
}

static int count_works(uint64_t seed, text *t)
{
        sim_begin(seed, &sim_rough);
        int r = sj_run(works, t);
        expect_equal(sim_end(), 0);
        return r;
}

static void a_trace_changes_nothing(void **state)
{
        (void)state;
        text t = {.bytes = malloc(TEXT_BYTES)};
        assert_non_null(t.bytes);
        for (uint64_t seed = 1; seed <= 40; seed++) {
                t.n = 0;
                assert_int_equal(count_works(seed, &t), count_works(seed, NULL));
        }
        free(t.bytes);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_trace_is_json_without_holes_or_overlaps),
                cmocka_unit_test(the_end_of_the_loop_ends_its_trace),
                cmocka_unit_test(a_trace_changes_nothing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
