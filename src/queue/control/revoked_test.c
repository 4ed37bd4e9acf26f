/* SPDX-License-Identifier: MIT */
#include "queue/control/revoked.h"

#include "base/unit.h"

#include <stdio.h>

static const sj_wall noon = {43200000000};

static sj_wall later(sj_time by)
{
        return (sj_wall){noon.us + by / 1000};
}

static void an_id_is_kept_for_its_time(void **state)
{
        (void)state;
        revoked_set *r;
        assert_int_equal(revoked_new(&r), 0);
        assert_int_equal(revoked_add(r, SJ_STR("a"), noon), 1);
        assert_int_equal(revoked_add(r, SJ_STR("a"), later(SJ_HOUR)), 0);
        assert_true(revoked_has(r, SJ_STR("a"), later(REVOKED_TIME - SJ_SEC)));
        assert_false(revoked_has(r, SJ_STR("b"), noon));
        assert_false(revoked_has(r, SJ_STR("a"), later(REVOKED_TIME)));
        assert_int_equal(revoked_count(r), 0);
        assert_int_equal(revoked_add(r, SJ_STR("x"), noon), 1);
        assert_int_equal(revoked_add(r, SJ_STR("y"), later(SJ_HOUR)), 1);
        revoked_purge(r, later(REVOKED_TIME));
        assert_int_equal(revoked_count(r), 1);
        assert_true(revoked_has(r, SJ_STR("y"), later(SJ_HOUR)));
        assert_int_equal(revoked_add(r, SJ_STR(""), noon), -EINVAL);
        revoked_free(r);
}

static void the_oldest_go_when_there_are_too_many(void **state)
{
        (void)state;
        revoked_set *r;
        char id[32];
        assert_int_equal(revoked_new(&r), 0);
        for (int i = 0; i < REVOKED_COUNT_MAX + 2; i++) {
                snprintf(id, sizeof(id), "id-%d", i);
                assert_int_equal(revoked_add(r, sj_str_of(id), noon), 1);
        }
        assert_int_equal(revoked_count(r), REVOKED_COUNT_MAX);
        assert_false(revoked_has(r, SJ_STR("id-1"), noon));
        assert_true(revoked_has(r, SJ_STR("id-2"), noon));
        const void *place = NULL;
        broker_revoked first;
        assert_true(revoked_next(r, &place, &first));
        assert_true(sj_str_equal(first.id, SJ_STR("id-2")));
        revoked_free(r);
}

static void stamps_are_revoked_by_their_values(void **state)
{
        (void)state;
        sj_arena *arena;
        revoked_set *r;
        const sj_json *value, *stamps;
        char id[REVOKED_STAMP_SIZE];
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(revoked_new(&r), 0);
        assert_int_equal(sj_json_parse(arena, SJ_STR("\"m\\u00fcller\""), 0, &value, NULL), 0);
        assert_int_equal(revoked_stamp_id(SJ_STR("customer"), value, id), 0);
        assert_true(revoked_is_stamp(sj_str_of(id)));
        assert_int_equal(revoked_add(r, sj_str_of(id), noon), 1);
        static const struct {
                const char *stamps;
                bool revoked;
        } rows[] = {
                {"{\"customer\": \"m\xc3\xbcller\"}", true},
                {"{\"x\": 1, \"customer\": [\"meier\", \"m\xc3\xbcller\"]}", true},
                {"{\"customer\": \"meier\"}", false},
                {"{\"client\": \"m\xc3\xbcller\"}", false},
                {"{}", false},
                {"[\"customer\"]", false},
        };
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                assert_int_equal(sj_json_parse(arena, sj_str_of(rows[i].stamps), 0, &stamps, NULL),
                                 0);
                assert_int_equal(revoked_has_stamp(r, stamps, noon), rows[i].revoked);
        }
        assert_false(revoked_has_stamp(r, NULL, noon));
        revoked_free(r);
        sj_arena_free(arena);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_id_is_kept_for_its_time),
                cmocka_unit_test(the_oldest_go_when_there_are_too_many),
                cmocka_unit_test(stamps_are_revoked_by_their_values),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
