/* SPDX-License-Identifier: MIT */
/* The compact form: what it sends grows with the number of tasks, and says the same. */
#include "queue/canvas/canvas_unit.h"

enum { RUN_STARTS = 4096, RUN_JOINS = 1024 };

static size_t bytes_of(const canvas_start *s)
{
        size_t n = 0;
        for (size_t i = 0; i < s->n_messages; i++)
                n += s->messages[i].envelope.n;
        for (size_t i = 0; i < s->n_joins; i++)
                n += s->joins[i].body.n;
        return n;
}

static const char *chord_of_ten(void)
{
        const char *ten[10];
        for (int i = 0; i < 10; i++)
                ten[i] = task("noop", "[]", "");
        return chord(list(ten, 10), task("noop", "[]", ""));
}

static const char *chain_of_chords(size_t n)
{
        const char *chords[64];
        for (size_t i = 0; i < n; i++)
                chords[i] = chord_of_ten();
        return chain(list(chords, n));
}

/* A canvas that is run: what has begun of it, and who has arrived where. */
typedef struct run {
        canvas_start s[RUN_STARTS];
        size_t n;
        struct {
                sj_str group;
                int64_t n;
        } joins[RUN_JOINS];
        size_t n_joins;
} run;

static canvas_start *run_room(run *r)
{
        assert_true(r->n < RUN_STARTS);
        return &r->s[r->n++];
}

/* What is behind the task goes on with null. */
static void run_next(run *r, const message *m)
{
        message_error error;
        size_t left = sj_json_count(m->chain);
        const sj_json *null = sj_json_new_null(arena);
        if (!left)
                return;
        const sj_json **rest = sj_arena_alloc(arena, left * sizeof(*rest));
        for (size_t i = 0; i + 1 < left; i++)
                rest[i] = sj_json_at(m->chain, i);
        assert_int_equal(canvas_begin(arena, &context, sj_json_at(m->chain, left - 1), &null, 1,
                                      sj_json_new_array(arena, rest, left - 1), run_room(r),
                                      &error),
                         0);
}

static int64_t run_size(const run *r, sj_str group)
{
        for (size_t i = 0; i < r->n; i++)
                for (size_t k = 0; k < r->s[i].n_joins; k++)
                        if (sj_str_equal(r->s[i].joins[k].group, group))
                                return r->s[i].joins[k].size;
        fail_msg("no join %.*s", SJ_STR_ARG(group));
        return 0;
}

/* How many have arrived there, with one more. */
static int64_t run_count(run *r, sj_str group)
{
        size_t i = 0;
        while (i < r->n_joins && !sj_str_equal(r->joins[i].group, group))
                i++;
        assert_true(i < RUN_JOINS);
        if (i == r->n_joins)
                r->joins[r->n_joins++].group = group;
        return ++r->joins[i].n;
}

/* The task arrives where it is awaited; the last one begins the body. */
static void run_arrive(run *r, const message *m)
{
        canvas_part part;
        message_error error;
        if (!canvas_arrival(m, &part) || run_count(r, part.group) < run_size(r, part.group))
                return;
        const sj_json *body =
                canvas_is_reference(part.chord) ? kept(r->s, r->n, part.group) : part.chord;
        const sj_json *result =
                canvas_is_single(part.chord) ? sj_json_new_null(arena) : parse(SJ_STR("[]"));
        assert_int_equal(canvas_begin_body(arena, &context, body, result, run_room(r), &error), 0);
}

/* The bytes of all that a canvas sends until its end, as if each task gave null. */
static size_t run_to_the_end(const char *signature, size_t *ret_tasks)
{
        run *r = sj_arena_alloc(arena, sizeof(*r));
        size_t bytes = 0;
        memset(r, 0, sizeof(*r));
        *ret_tasks = 0;
        *run_room(r) = start_of(signature);
        for (size_t i = 0; i < r->n; i++) {
                bytes += bytes_of(&r->s[i]);
                for (size_t k = 0; k < r->s[i].n_messages; k++) {
                        message m = sent(&r->s[i], k);
                        ++*ret_tasks;
                        run_next(r, &m);
                        run_arrive(r, &m);
                }
        }
        return bytes;
}

static void what_the_compact_form_sends_grows_with_the_number_of_tasks(void **state)
{
        (void)state;
        size_t bytes[9], tasks, first;
        context.compact = true;
        for (size_t i = 1; i <= 8; i++) {
                bytes[i] = run_to_the_end(chain_of_chords(i), &tasks);
                assert_int_equal(tasks, 11 * i);
        }
        first = bytes[2] - bytes[1];
        for (size_t i = 3; i <= 8; i++)
                assert_in_range(bytes[i] - bytes[i - 1], first - first / 20, first + first / 20);
        assert_true(bytes[5] < 100000);
}

static const char *chain_of_tasks(size_t n)
{
        const char **tasks = sj_arena_alloc(arena, n * sizeof(*tasks));
        for (size_t i = 0; i < n; i++)
                tasks[i] = add(i ? "[1]" : "[1, 1]");
        return chain(list(tasks, n));
}

static void a_long_chain_grows_with_the_number_of_its_links_too(void **state)
{
        (void)state;
        size_t bytes[5], tasks;
        for (int compact = 0; compact < 2; compact++) {
                context.compact = compact;
                for (size_t i = 1; i <= 4; i++) {
                        bytes[i] = run_to_the_end(chain_of_tasks(100 * i), &tasks);
                        assert_int_equal(tasks, 100 * i);
                }
                size_t first = bytes[2] - bytes[1], last = bytes[4] - bytes[3];
                if (compact)
                        assert_in_range(last, first - first / 10, first + first / 10);
                else
                        assert_true(last > 2 * first);
        }
}

static void a_link_that_brings_the_rest_hands_on_its_result_as_it_is(void **state)
{
        (void)state;
        context.compact = true;
        canvas_start s = start_of(chain_of_tasks(100));
        message m = sent(&s, 0);
        const sj_json *last = sj_json_at(m.chain, 0);
        const sj_json *word = sj_json_member(sj_json_member(last, "options"), "chord");
        canvas_part part;
        const canvas_part *parts;
        size_t n;
        message_error error;
        assert_true(canvas_is_single(word));
        s = next_of(last, "7", "[]");
        m = sent(&s, 0);
        assert_true(canvas_arrival(&m, &part));
        assert_int_equal(part.index, 0);
        assert_int_equal(canvas_abandoned(arena, last, &parts, &n, &error), 0);
        assert_true(sj_str_equal(parts[0].group, part.group));
        context.parent = m.id;
        s = start_of(chain_of_tasks(100));
        for (size_t i = 0; i < s.n_joins; i++)
                assert_int_equal(s.joins[i].size, 1);
        canvas_start t;
        assert_int_equal(canvas_begin_body(arena, &context, parse(s.joins[0].body),
                                           parse(SJ_STR("7")), &t, &error),
                         0);
        m = sent(&t, 0);
        assert_text(text_of(m.args), "[7, 1]");
}

static void a_large_header_travels_once(void **state)
{
        (void)state;
        const char *links[6];
        size_t tasks;
        for (int i = 0; i < 5; i++)
                links[i] = add(i ? "[1]" : "[1, 1]");
        context.compact = true;
        size_t alone = run_to_the_end(chord_of_ten(), &tasks);
        links[5] = chord_of_ten();
        size_t behind = run_to_the_end(chain(list(links, 6)), &tasks);
        assert_true(behind < alone + 5 * 2500);
}

static void what_celerys_form_sends_does_not_explode(void **state)
{
        (void)state;
        size_t tasks, bytes = run_to_the_end(chain_of_chords(5), &tasks);
        assert_int_equal(tasks, 55);
        assert_true(bytes < 1000000);
}

static void members_carry_a_reference_to_the_body(void **state)
{
        (void)state;
        context.compact = true;
        canvas_start s =
                start_of(chain(LIST(chord(LIST(add("[1, 1]"), add("[2, 2]")), TSUM), add("[1]"))));
        message m = sent(&s, 1);
        canvas_part part;
        assert_true(canvas_is_reference(m.chord));
        assert_false(canvas_is_single(m.chord));
        assert_true(canvas_arrival(&m, &part));
        assert_true(sj_str_equal(part.group, s.joins[0].group));
        assert_int_equal(part.index, 1);
        const sj_json *body = kept(&s, 1, part.group);
        assert_true(sj_str_equal(message_signature_id(body), message_signature_id(m.chord)));
        canvas_start t;
        message_error error;
        assert_int_equal(
                canvas_begin_body(arena, &context, body, parse(SJ_STR("[2, 4]")), &t, &error), 0);
        m = sent(&t, 0);
        assert_text(text_of(m.args), "[[2, 4]]");
        assert_true(sj_str_equal(message_signature_id(sj_json_at(m.chain, 0)), s.id));
        assert_int_equal(canvas_begin(arena, &context, part.chord, NULL, 0, NULL, &t, &error),
                         -EBADMSG);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                CANVAS_TEST(what_the_compact_form_sends_grows_with_the_number_of_tasks),
                CANVAS_TEST(a_large_header_travels_once),
                CANVAS_TEST(a_link_that_brings_the_rest_hands_on_its_result_as_it_is),
                CANVAS_TEST(a_long_chain_grows_with_the_number_of_its_links_too),
                CANVAS_TEST(what_celerys_form_sends_does_not_explode),
                CANVAS_TEST(members_carry_a_reference_to_the_body),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
