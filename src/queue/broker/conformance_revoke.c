/* SPDX-License-Identifier: MIT */
/* What is revoked does not run; a purge revokes what waits. */
#include "queue/broker/conformance_unit.h"

static int what_waits_is_revoked_at_once(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_CANCELS);
        publish_ids(f, 1);
        broker_message m = message_of("later");
        m.eta = ticks_from_now(f, 1000);
        publish(f, m);
        expect_equal(broker_cancel(f->b, SJ_STR("id0"), soon()), 0);
        expect_equal(broker_cancel(f->b, SJ_STR("later"), soon()), 0);
        expect_none(f);
        expect_text(state_of(f, "id0"), "REVOKED");
        expect_text(state_of(f, "later"), "REVOKED");
        expect_equal(broker_cancel(f->b, SJ_STR("id0"), soon()), -EALREADY);
        expect_equal(broker_cancel(f->b, SJ_STR("unknown"), soon()), -ENOENT);
        /* What is known, and may still be published. */
        const broker_result known[] = {{SJ_STR("link"), SJ_STR("PENDING"), SJ_STR("")},
                                       result_of("begun", "STARTED"),
                                       result_of("over", "FAILURE")};
        expect_equal(broker_result_put(f->b, known, 3, soon()), 0);
        expect_equal(broker_cancel(f->b, SJ_STR("link"), soon()), 1);
        expect_equal(broker_cancel(f->b, SJ_STR("begun"), soon()), 1);
        expect_equal(broker_cancel(f->b, SJ_STR("over"), soon()), -EALREADY);
        return 0;
}

static void expect_fate(fixture *f, const char *id, broker_fate fate)
{
        broker_lease *l = lease(f);
        expect_text(l->message.id, id);
        expect_equal(l->fate, fate);
        finish(f, l, "REVOKED");
}

static void publish_awaited(fixture *f, const char *id, int eta)
{
        broker_message m = message_of(id);
        m.awaited = true;
        if (eta)
                m.eta = ticks_from_now(f, eta);
        publish(f, m);
}

static int a_revoked_message_that_others_await_is_leased_once_more(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_CANCELS);
        publish_ids(f, 1);
        publish_awaited(f, "awaited", 0);
        publish_awaited(f, "later", 1000);
        expect_equal(broker_cancel(f->b, SJ_STR("awaited"), soon()), 0);
        expect_text(state_of(f, "awaited"), "REVOKED");
        expect_equal(broker_cancel(f->b, SJ_STR("awaited"), soon()), -EALREADY);
        expect_fate(f, "awaited", BROKER_REVOKED);
        expect_equal(broker_cancel(f->b, SJ_STR("later"), soon()), 0);
        expect_text(state_of(f, "later"), "REVOKED");
        expect_fate(f, "later", BROKER_REVOKED);
        finish(f, lease(f), "SUCCESS");
        expect_none(f);
        expect_text(state_of(f, "awaited"), "REVOKED");
        return 0;
}

static int a_purge_leaves_what_others_await_to_be_settled(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_CANCELS);
        publish_ids(f, 2);
        publish_awaited(f, "awaited", 0);
        publish_awaited(f, "later", 1000);
        expect_equal(broker_purge(f->b, the_queue, NULL, soon()), 4);
        expect_equal(broker_purge(f->b, the_queue, NULL, soon()), 0);
        expect_text(state_of(f, "awaited"), "REVOKED");
        expect_text(state_of(f, "later"), "REVOKED");
        expect_equal(depth_of(f).ready, 2);
        for (int i = 0; i < 2; i++) {
                broker_lease *l = lease(f);
                expect_equal(l->fate, BROKER_REVOKED);
                expect(l->message.id.data[0] != 'i');
                finish(f, l, "REVOKED");
        }
        expect_none(f);
        return 0;
}

static int the_fate_of_what_others_await_has_no_last_rites(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_CANCELS);
        publish_awaited(f, "awaited", 0);
        expect_equal(broker_cancel(f->b, SJ_STR("awaited"), soon()), 0);
        for (int i = 0; i < 2 * BROKER_LAST_RITES; i++) {
                broker_lease *l = lease_for(f, 1);
                expect_equal(l->fate, BROKER_REVOKED);
                broker_lease_free(l);
                pass(f, 2);
        }
        expect_fate(f, "awaited", BROKER_REVOKED);
        return 0;
}

static int what_was_revoked_while_it_was_leased_is_not_run_by_the_next(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_CANCELS);
        publish_ids(f, 1);
        broker_lease *l = lease_for(f, 1);
        expect_equal(broker_cancel(f->b, SJ_STR("id0"), soon()), 1);
        broker_lease_free(l);
        pass(f, 2);
        expect_fate(f, "id0", BROKER_REVOKED);
        return 0;
}

static int the_holder_of_what_is_revoked_is_told(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_CANCELS);
        publish_ids(f, 1);
        broker_lease *l = lease(f);
        expect_equal(broker_cancel(f->b, SJ_STR("id0"), soon()), 1);
        broker_hold hold;
        expect_equal(broker_renew(f->b, &l, 1, 0, &hold, soon()), 0);
        expect_equal(hold, BROKER_HELD_REVOKED);
        finish(f, l, "REVOKED");
        publish_ids(f, 1);
        l = lease(f);
        expect_equal(broker_renew(f->b, &l, 1, 0, &hold, soon()), 0);
        expect_equal(hold, BROKER_HELD);
        finish(f, l, "SUCCESS");
        return 0;
}

static int a_purge_revokes_what_waits(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 3);
        broker_lease *l = lease(f);
        broker_message m = message_of("later");
        m.eta = ticks_from_now(f, 1000);
        publish(f, m);
        m = message_of("other");
        m.queue = SJ_STR("another");
        publish(f, m);
        expect_equal(broker_purge(f->b, the_queue, NULL, soon()), 3);
        expect_none(f);
        expect_text(state_of(f, "id1"), "REVOKED");
        expect_text(state_of(f, "later"), "REVOKED");
        expect_text(state_of(f, "other"), "PENDING");
        finish(f, l, "SUCCESS");
        expect_equal(broker_purge(f->b, the_queue, NULL, soon()), 0);
        expect_equal(broker_purge(f->b, SJ_STR("no such"), NULL, soon()), 0);
        return 0;
}

static int revoked_ids_are_kept_for_those_who_ask_later(void *arg)
{
        FIXTURE(f, arg);
        const sj_str first[] = {SJ_STR("a"), SJ_STR("b")};
        const sj_str then[] = {SJ_STR("c"), SJ_STR("a")};
        const broker_revoked *all;
        expect_equal(broker_revoked_list(f->b, (sj_wall){0}, f->arena, &all, soon()), 0);
        expect_equal(broker_revoke(f->b, first, 2, soon()), 0);
        pass(f, 2);
        expect_equal(broker_revoke(f->b, then, 2, soon()), 0);
        expect_equal(broker_revoked_list(f->b, (sj_wall){0}, f->arena, &all, soon()), 3);
        expect_text(all[2].id, "c");
        expect(all[0].since.us <= all[1].since.us && all[1].since.us < all[2].since.us);
        sj_wall since = all[1].since;
        expect_equal(broker_revoked_list(f->b, since, f->arena, &all, soon()), 1);
        expect_text(all[0].id, "c");
        expect_equal(broker_revoked_list(f->b, all[0].since, f->arena, &all, soon()), 0);
        return 0;
}

const conformance_case conformance_revoke[] = {
        CASE(what_waits_is_revoked_at_once),
        CASE(the_holder_of_what_is_revoked_is_told),
        CASE(a_purge_revokes_what_waits),
        CASE(a_revoked_message_that_others_await_is_leased_once_more),
        CASE(a_purge_leaves_what_others_await_to_be_settled),
        CASE(the_fate_of_what_others_await_has_no_last_rites),
        CASE(what_was_revoked_while_it_was_leased_is_not_run_by_the_next),
        CASE(revoked_ids_are_kept_for_those_who_ask_later),
        {NULL, NULL},
};
