/* SPDX-License-Identifier: MIT */
#include "base/map.h"

#include "base/unit.h"

#include <stdio.h>

enum { KEYS = 300 };

static char names[KEYS][24];

static int name_keys(void **state)
{
        (void)state;
        for (size_t i = 0; i < KEYS; i++)
                snprintf(names[i], sizeof(names[i]), "%.*skey-%zu", (int)(i % 9), "xxxxxxxxx", i);
        return 0;
}

static void random_changes_agree_with_a_plain_table(void **state)
{
        (void)state;
        for (uint64_t seed = 0; seed < 4; seed++) {
                map m = MAP_INIT(seed);
                bool there[KEYS] = {false};
                size_t held = 0;
                uint64_t random = seed + 1;
                for (size_t round = 0; round < 20000; round++) {
                        random = random * 6364136223846793005u + 1442695040888963407u;
                        /* Towards many at first, towards few later, so that gaps are closed. */
                        size_t i = (random >> 33) % (round < 10000 ? KEYS : 40);
                        sj_str key = sj_str_of(names[i]);
                        assert_ptr_equal(map_get(&m, key), there[i] ? names[i] : NULL);
                        if (random >> 63) {
                                int r = map_add(&m, key, names[i]);
                                assert_int_equal(r, there[i] ? -EEXIST : 0);
                                held += !there[i];
                                there[i] = true;
                        } else {
                                assert_ptr_equal(map_remove(&m, key), there[i] ? names[i] : NULL);
                                held -= there[i];
                                there[i] = false;
                        }
                        assert_int_equal(m.n, held);
                }
                for (size_t i = 0; i < KEYS; i++)
                        assert_ptr_equal(map_get(&m, sj_str_of(names[i])),
                                         there[i] ? names[i] : NULL);
                map_fini(&m);
        }
}

static void iteration_meets_each_value_once(void **state)
{
        (void)state;
        map m = MAP_INIT(7);
        unsigned met[KEYS] = {0};
        for (size_t i = 0; i < KEYS; i++)
                assert_int_equal(map_add(&m, sj_str_of(names[i]), names[i]), 0);
        size_t place = 0;
        for (char *name; (name = map_next(&m, &place));)
                met[(size_t)(name - names[0]) / sizeof(names[0])]++;
        for (size_t i = 0; i < KEYS; i++)
                assert_int_equal(met[i], 1);
        map_fini(&m);
}

static void keys_are_all_their_bytes(void **state)
{
        (void)state;
        map m = MAP_INIT(0);
        const sj_str keys[] = {{NULL, 0}, {"\0", 1}, {"\0\0", 2}, {"a\0", 2}, {"a", 1}};
        int values[5];
        for (size_t i = 0; i < 5; i++)
                assert_int_equal(map_add(&m, keys[i], &values[i]), 0);
        for (size_t i = 0; i < 5; i++)
                assert_ptr_equal(map_get(&m, keys[i]), &values[i]);
        map_fini(&m);
}

static void an_empty_map_answers(void **state)
{
        (void)state;
        map m = MAP_INIT(0);
        size_t place = 0;
        assert_null(map_get(&m, SJ_STR("x")));
        assert_null(map_remove(&m, SJ_STR("x")));
        assert_null(map_next(&m, &place));
        map_fini(&m);
        map_fini(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(random_changes_agree_with_a_plain_table),
                cmocka_unit_test(iteration_meets_each_value_once),
                cmocka_unit_test(keys_are_all_their_bytes),
                cmocka_unit_test(an_empty_map_answers),
        };
        return cmocka_run_group_tests(tests, name_keys, NULL);
}
