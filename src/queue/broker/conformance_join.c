/* SPDX-License-Identifier: MIT */
/* Joins, where the members of a chord arrive, and saved groups. */
#include "queue/broker/conformance_unit.h"

static void join_open(fixture *f, const char *group, int64_t size, const char *body)
{
        const broker_join join = {sj_str_of(group), size, sj_str_of(body)};
        expect_equal(broker_join_open(f->b, &join, 1, soon()), 0);
}

static broker_arrival arrive(fixture *f, const char *group, const char *id, int64_t index,
                             const char *text)
{
        broker_arrival a = {.group = sj_str_of(group),
                            .id = sj_str_of(id),
                            .index = index,
                            .text = sj_str_of(text)};
        expect_equal(broker_join_arrive(f->b, &a, 1, f->arena, soon()), 0);
        return a;
}

/* The text of a member as Celery writes it, by which brokers may know it again. */
#define MEMBER(id, value) "[1, \"" id "\", \"SUCCESS\", " value "]"

static int who_arrives_last_sees_all_in_their_places(void *arg)
{
        FIXTURE(f, arg);
        join_open(f, "g", 3, "{\"the\": \"body\"}");
        expect(!arrive(f, "g", "c", 2, MEMBER("c", "30")).complete);
        expect(!arrive(f, "g", "a", 0, MEMBER("a", "10")).complete);
        broker_arrival last = arrive(f, "g", "b", 1, MEMBER("b", "20"));
        expect(last.complete);
        expect_text(last.body, "{\"the\": \"body\"}");
        expect_equal(last.n_members, 3);
        expect_text(last.members[0], MEMBER("a", "10"));
        expect_text(last.members[1], MEMBER("b", "20"));
        expect_text(last.members[2], MEMBER("c", "30"));
        expect_equal(last.saved.n, 0);
        return 0;
}

static int who_arrives_again_counts_once_and_sees_all_again(void *arg)
{
        FIXTURE(f, arg);
        join_open(f, "g", 2, "{}");
        expect(!arrive(f, "g", "a", 0, MEMBER("a", "1")).complete);
        expect(!arrive(f, "g", "a", 0, MEMBER("a", "2")).complete);
        expect(arrive(f, "g", "b", 1, MEMBER("b", "3")).complete);
        broker_arrival again = arrive(f, "g", "b", 1, MEMBER("b", "4"));
        expect(again.complete);
        expect_equal(again.n_members, 2);
        expect_text(again.members[0], MEMBER("a", "2"));
        expect_text(again.members[1], MEMBER("b", "4"));
        return 0;
}

static int a_join_that_is_opened_again_keeps_who_has_arrived(void *arg)
{
        FIXTURE(f, arg);
        expect(!arrive(f, "g", "early", 0, MEMBER("early", "1")).complete);
        join_open(f, "g", 2, "{}");
        join_open(f, "g", 2, "{}");
        expect(arrive(f, "g", "late", 1, MEMBER("late", "2")).complete);
        return 0;
}

static int two_of_one_place_are_two_and_who_has_none_comes_last(void *arg)
{
        FIXTURE(f, arg);
        join_open(f, "g", 3, "{}");
        expect(!arrive(f, "g", "x", -1, MEMBER("x", "9")).complete);
        expect(!arrive(f, "g", "b", 7, MEMBER("b", "2")).complete);
        broker_arrival last = arrive(f, "g", "a", 7, MEMBER("a", "1"));
        expect(last.complete);
        expect_text(last.members[0], MEMBER("a", "1"));
        expect_text(last.members[1], MEMBER("b", "2"));
        expect_text(last.members[2], MEMBER("x", "9"));
        return 0;
}

static int a_join_that_grew_waits_for_more(void *arg)
{
        FIXTURE(f, arg);
        join_open(f, "g", 1, "{}");
        expect_equal(broker_join_grow(f->b, SJ_STR("g"), 2, soon()), 0);
        expect(!arrive(f, "g", "a", 0, MEMBER("a", "1")).complete);
        expect(!arrive(f, "g", "b", 0, MEMBER("b", "1")).complete);
        expect_equal(arrive(f, "g", "c", 0, MEMBER("c", "1")).n_members, 3);
        /* Not before it is open. */
        expect_equal(broker_join_grow(f->b, SJ_STR("h"), 1, soon()), 0);
        expect(!arrive(f, "h", "a", 0, MEMBER("a", "1")).complete);
        return 0;
}

static int many_arrive_in_one_call_each_at_its_own_join(void *arg)
{
        FIXTURE(f, arg);
        join_open(f, "g", 2, "{\"of\": \"g\"}");
        join_open(f, "h", 1, "{\"of\": \"h\"}");
        broker_arrival all[] = {
                {.group = SJ_STR("g"), .id = SJ_STR("a"), .text = SJ_STR(MEMBER("a", "1"))},
                {.group = SJ_STR("h"), .id = SJ_STR("b"), .text = SJ_STR(MEMBER("b", "2"))},
                {.group = SJ_STR("g"),
                 .id = SJ_STR("c"),
                 .index = 1,
                 .text = SJ_STR(MEMBER("c", "3"))},
                {.group = SJ_STR("nobody's"), .id = SJ_STR("d"), .text = SJ_STR(MEMBER("d", "4"))}};
        expect_equal(broker_join_arrive(f->b, all, 4, f->arena, soon()), 0);
        expect(!all[0].complete && all[1].complete && all[2].complete && !all[3].complete);
        expect_text(all[1].body, "{\"of\": \"h\"}");
        expect_text(all[2].body, "{\"of\": \"g\"}");
        return 0;
}

static int a_settlement_opens_and_closes_joins(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 2);
        broker_lease *l = lease(f);
        const broker_join opened = {SJ_STR("g"), 1, SJ_STR("{\"a\": 1}")};
        expect_equal(settle(f, (broker_settlement){.lease = l, .joins = &opened, .n_joins = 1}), 0);
        broker_lease_free(l);
        broker_arrival a = arrive(f, "g", "id1", 0, MEMBER("id1", "1"));
        expect(a.complete);
        expect_text(a.body, "{\"a\": 1}");
        l = lease(f);
        const broker_join closed = {SJ_STR("g"), 0, {NULL, 0}};
        const broker_settlement done = {.lease = l, .joins = &closed, .n_joins = 1};
        expect_equal(settle(f, done), 0);
        expect(!arrive(f, "g", "id1", 0, MEMBER("id1", "1")).complete);
        broker_lease_free(l);
        return 0;
}

static int a_late_settlement_opens_no_join(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 1);
        broker_lease *l = lease_for(f, 1);
        pass(f, 2);
        const broker_join opened = {SJ_STR("g"), 1, SJ_STR("{}")};
        expect_equal(settle(f, (broker_settlement){.lease = l, .joins = &opened, .n_joins = 1}),
                     -ESTALE);
        expect(!arrive(f, "g", "a", 0, MEMBER("a", "1")).complete);
        broker_lease_free(l);
        return 0;
}

static int groups_are_saved_found_and_dropped(void *arg)
{
        FIXTURE(f, arg);
        sj_str text;
        expect_equal(broker_group_get(f->b, SJ_STR("g"), f->arena, &text, soon()), -ENOENT);
        expect_equal(broker_group_save(f->b, SJ_STR("g"), SJ_STR("{\"result\": 1}"), soon()), 0);
        expect_equal(broker_group_save(f->b, SJ_STR("g"), SJ_STR("{\"result\": 2}"), soon()), 0);
        expect_equal(broker_group_get(f->b, SJ_STR("g"), f->arena, &text, soon()), 0);
        expect_text(text, "{\"result\": 2}");
        join_open(f, "g", 1, "{}");
        broker_arrival a = arrive(f, "g", "a", 0, MEMBER("a", "1"));
        expect(a.complete);
        expect_text(a.saved, "{\"result\": 2}");
        expect_equal(broker_group_drop(f->b, SJ_STR("g"), soon()), 0);
        expect_equal(broker_group_get(f->b, SJ_STR("g"), f->arena, &text, soon()), -ENOENT);
        expect_equal(broker_group_drop(f->b, SJ_STR("g"), soon()), 0);
        expect_equal(arrive(f, "g", "a", 0, MEMBER("a", "1")).saved.n, 0);
        return 0;
}

static int joins_and_groups_expire_as_results_do(void *arg)
{
        FIXTURE(f, arg);
        broker *b = f->b;
        sj_str text;
        sj_time expires = f->c->tick < SJ_SEC ? SJ_SEC : f->c->tick;
        const broker_options options = {.result_expires = expires};
        expect_equal(f->c->open(f->c->arg, &options, &f->b), 0);
        broker_close(b);
        join_open(f, "g", 2, "{}");
        expect(!arrive(f, "g", "a", 0, MEMBER("a", "1")).complete);
        expect_equal(broker_group_save(f->b, SJ_STR("s"), SJ_STR("{}"), soon()), 0);
        expect_equal(sj_sleep(expires + expires / 2), 0);
        expect(!arrive(f, "g", "b", 1, MEMBER("b", "1")).complete);
        expect_equal(broker_group_get(f->b, SJ_STR("s"), f->arena, &text, soon()), -ENOENT);
        return 0;
}

const conformance_case conformance_join[] = {
        CASE(who_arrives_last_sees_all_in_their_places),
        CASE(who_arrives_again_counts_once_and_sees_all_again),
        CASE(a_join_that_is_opened_again_keeps_who_has_arrived),
        CASE(two_of_one_place_are_two_and_who_has_none_comes_last),
        CASE(a_join_that_grew_waits_for_more),
        CASE(many_arrive_in_one_call_each_at_its_own_join),
        CASE(a_settlement_opens_and_closes_joins),
        CASE(a_late_settlement_opens_no_join),
        CASE(groups_are_saved_found_and_dropped),
        CASE(joins_and_groups_expire_as_results_do),
        {NULL, NULL},
};
