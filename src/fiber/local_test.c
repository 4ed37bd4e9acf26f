/* SPDX-License-Identifier: MIT */
/* Values of a fiber's own: who has which, who inherits, and when they are dropped. */
#include "fiber/sim_unit.h"

typedef struct text {
        int value;
        int dropped;
} text;

static int order[4], drops;

static void drop_text(void *value)
{
        text *t = value;
        expect(t->dropped++ == 0);
        order[drops++ % 4] = t->value;
}

static void *copy_text(void *value)
{
        const text *t = value;
        text *copy = malloc(sizeof(*copy));
        if (copy)
                *copy = (text){.value = t->value + 1};
        return copy;
}

static void free_text(void *value)
{
        drop_text(value);
        free(value);
}

static const sj_local own = {.drop = drop_text};
static const sj_local shared = {.inherit = sj_local_share};
static const sj_local copied = {.inherit = copy_text, .drop = free_text};

static int keeps_its_own(void *arg)
{
        text mine = {.value = *(int *)arg};
        expect(!sj_local_get(&own));
        expect_equal(sj_local_set(&own, &mine), 0);
        for (int i = 0; i < 5; i++) {
                expect(sj_local_get(&own) == &mine);
                int r = sj_yield();
                if (r < 0)
                        return r;
        }
        expect_equal(sj_local_set(&own, NULL), 0); /* it lies on this stack */
        return 0;
}

static int each_fiber_has_its_own(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        int numbers[] = {1, 2, 3};
        for (int i = 0; i < 3; i++)
                expect_equal(sj_spawn(s, keeps_its_own, &numbers[i], NULL), 0);
        expect_equal(sj_scope_join(s), 0);
        expect(!sj_local_get(&own));
        return 0;
}

static int sees(void *arg)
{
        text *parents = arg;
        expect(!sj_local_get(&own));
        expect(sj_local_get(&shared) == parents);
        const text *copy = sj_local_get(&copied);
        expect(copy && copy->value == 8);
        return sj_local_set(&shared, NULL); /* of this fiber only */
}

static int what_is_inherited_is_the_keys_matter(void *arg)
{
        (void)arg;
        static text t;
        t = (text){.value = 1};
        text *first = malloc(sizeof(*first));
        expect(first);
        *first = (text){.value = 7};
        expect_equal(sj_local_set(&own, &t), 0);
        expect_equal(sj_local_set(&shared, &t), 0);
        expect_equal(sj_local_set(&copied, first), 0);
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *f;
        expect_equal(sj_spawn(s, sees, &t, &f), 0);
        expect_equal(sj_local_set(&copied, NULL), 0); /* a spawn takes what is set by then */
        free(first);
        expect_equal(sj_join(f, SJ_NEVER), 0);
        expect(sj_local_get(&shared) == &t);
        expect(t.dropped == 0);
        return 0;
}

static text one, two, late;

static const sj_local last = {.drop = drop_text};

static void drop_and_set(void *value)
{
        drop_text(value);
        expect(sj_fiber_self());
        expect_equal(sj_local_set(&last, &late), 0);
        expect_equal(sj_sleep(SJ_MS), sj_cancelled() ? -ECANCELED : 0);
}

static const sj_local chained = {.drop = drop_and_set};

static int sets_two(void *arg)
{
        one = (text){.value = 1};
        two = (text){.value = 2};
        late = (text){.value = 3};
        expect_equal(sj_local_set(&own, &one), 0);
        expect_equal(sj_local_set(&chained, &two), 0);
        return arg ? sj_sleep(SJ_SEC) : 5;
}

static int they_are_dropped_newest_first_before_the_end_is_told(void *arg)
{
        (void)arg;
        for (int cancel = 0; cancel < 2; cancel++) {
                SJ_SCOPE(s, SJ_NEVER, 0);
                sj_fiber *f;
                drops = 0;
                expect_equal(sj_spawn(s, sets_two, cancel ? &one : NULL, &f), 0);
                if (cancel) {
                        expect_equal(sj_sleep(SJ_MS), 0);
                        sj_cancel(f);
                }
                expect_equal(sj_join(f, SJ_NEVER), cancel ? -ECANCELED : 5);
                expect_equal(drops, 3);
                expect(order[0] == 2 && order[1] == 3 && order[2] == 1);
        }
        return 0;
}

#define TESTS(X)                                \
        X(each_fiber_has_its_own)               \
        X(what_is_inherited_is_the_keys_matter) \
        X(they_are_dropped_newest_first_before_the_end_is_told)

TESTS(SIM_UNIT_DEFINE)

static void outside_of_a_fiber_there_are_none(void **state)
{
        (void)state;
        assert_int_equal(sj_local_set(&own, &one), -EPERM);
        assert_null(sj_local_get(&own));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TESTS(SIM_UNIT_ROW) cmocka_unit_test(outside_of_a_fiber_there_are_none)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
