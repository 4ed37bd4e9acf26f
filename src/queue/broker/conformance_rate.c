/* SPDX-License-Identifier: MIT */
/* Turns of a rate, shared by all who ask. */
#include "queue/broker/conformance_unit.h"

static broker_turn ask(fixture *f, const broker_rate *rates, size_t n, sj_time horizon)
{
        broker_turn turn = {.rates = rates, .n = n};
        expect_equal(broker_rate_take(f->b, &turn, 1, horizon, soon()), 0);
        expect(turn.wait >= 0 && turn.wait < 20 * SJ_MIN);
        return turn;
}

static bool is_near(sj_time found, sj_time expected)
{
        return found > expected - 5 * SJ_SEC && found <= expected;
}

static int turns_of_a_rate_follow_each_other(void *arg)
{
        FIXTURE(f, arg);
        const broker_rate one = {SJ_STR("queue:a"), 1.0 / 60}, other = {SJ_STR("queue:b"), 1};
        broker_turn t = ask(f, &one, 1, 0);
        expect(t.taken && t.wait == 0);
        for (int i = 1; i <= 3; i++) {
                t = ask(f, &one, 1, 0);
                expect(!t.taken && is_near(t.wait, i * SJ_MIN));
        }
        t = ask(f, &other, 1, 0);
        expect(t.taken && t.wait == 0);
        /* Within the horizon it is reserved, and what follows is behind it. */
        t = ask(f, &one, 1, SJ_HOUR);
        expect(t.taken && is_near(t.wait, SJ_MIN));
        t = ask(f, &one, 1, SJ_HOUR);
        expect(t.taken && is_near(t.wait, 2 * SJ_MIN));
        t = ask(f, &one, 1, 0);
        expect(!t.taken && is_near(t.wait, 4 * SJ_MIN));
        return 0;
}

static int a_turn_of_two_rates_has_both_or_none(void *arg)
{
        FIXTURE(f, arg);
        const broker_rate both[] = {{SJ_STR("x"), 1.0 / 60}, {SJ_STR("y"), 1.0 / 120}};
        broker_turn t = ask(f, &both[1], 1, 0);
        expect(t.taken);
        t = ask(f, both, 2, 0);
        expect(!t.taken && is_near(t.wait, 2 * SJ_MIN));
        t = ask(f, &both[0], 1, 0);
        expect(t.taken && t.wait == 0);
        return 0;
}

static int turns_are_taken_many_at_once_and_forgotten_after(void *arg)
{
        FIXTURE(f, arg);
        const broker_rate fast = {SJ_STR("fast"), 1e6}, slow = {SJ_STR("slow"), 1e-300};
        const broker_rate wrong = {SJ_STR("w"), 0}, nameless = {SJ_STR(""), 1};
        broker_turn turns[3] = {
                {.rates = &fast, .n = 1}, {.rates = &slow, .n = 1}, {.rates = &slow, .n = 1}};
        expect_equal(broker_rate_take(f->b, turns, 3, 0, soon()), 0);
        expect(turns[0].taken && turns[1].taken && !turns[2].taken && turns[2].wait > SJ_HOUR);
        pass(f, 2);
        broker_turn t = ask(f, &fast, 1, 0);
        expect(t.taken && t.wait == 0);
        for (int i = 0; i < 20; i++) {
                char name[16];
                snprintf(name, sizeof(name), "many%d", i);
                const broker_rate rate = {sj_str_of(name), 1000};
                t = ask(f, &rate, 1, SJ_SEC);
                expect(t.taken);
        }
        turns[0] = (broker_turn){.rates = &wrong, .n = 1};
        expect_equal(broker_rate_take(f->b, turns, 1, 0, soon()), -EINVAL);
        turns[0] = (broker_turn){.rates = &nameless, .n = 1};
        expect_equal(broker_rate_take(f->b, turns, 1, 0, soon()), -EINVAL);
        turns[0] = (broker_turn){.rates = &fast, .n = 0};
        expect_equal(broker_rate_take(f->b, turns, 1, 0, soon()), -EINVAL);
        expect_equal(broker_rate_take(f->b, turns, 0, 0, soon()), 0);
        return 0;
}

const conformance_case conformance_rate[] = {
        CASE(turns_of_a_rate_follow_each_other),
        CASE(a_turn_of_two_rates_has_both_or_none),
        CASE(turns_are_taken_many_at_once_and_forgotten_after),
        {NULL, NULL},
};
