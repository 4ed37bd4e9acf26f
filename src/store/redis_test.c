/* SPDX-License-Identifier: MIT */
/* The client on the model: many at once, opening, scripts, what blocks; and all breaking. */
#include "store/redis_model_unit.h"

/* ── Many at once ────────────────────────────────────────────────────────────────────────── */

static int call_often(void *arg)
{
        caller *c = arg;
        sj_arena *a = test_arena();
        for (unsigned i = 0; i < 20; i++) {
                char text[32];
                snprintf(text, sizeof(text), "%u of %u", i, c->number);
                const sj_str words[] = {W("ECHO"), sj_str_of(text)};
                const redis_command commands[] = {{words, 2}, {words, 2}, {words, 2}};
                const redis_reply *replies[3];
                sj_time deadline = SJ_NEVER;
                if (c->hasty && sim_draw(3) == 0)
                        deadline = sj_after((sj_time)sim_draw(2000) * SJ_US);
                int k = redis_call_all(c->r, a, commands, 3, replies, deadline);
                expect(k == 0 || (deadline != SJ_NEVER && k == -ETIMEDOUT));
                for (int j = 0; k == 0 && j < 3; j++)
                        expect(test_is(replies[j], text));
                c->answered += k == 0;
                sj_arena_reset(a);
        }
        sj_arena_free(a);
        return 0;
}

static void call_together(bool hasty)
{
        enum { CALLERS = 10 };
        caller callers[CALLERS];
        RIG(g, s, {0});
        {
                SJ_SCOPE(inner, SJ_NEVER, 0);
                for (unsigned i = 0; i < CALLERS; i++) {
                        callers[i] = (caller){g.r, i, hasty && i % 2, 0};
                        expect_equal(sj_spawn(inner, call_often, &callers[i], NULL), 0);
                }
                expect_equal(sj_scope_join(inner), 0);
        }
        for (unsigned i = 0; i < CALLERS; i++)
                expect(callers[i].hasty || callers[i].answered == 20);
        expect_equal(g.m.accepted, 1);
}

static int each_fiber_gets_its_own_replies(void *arg)
{
        (void)arg;
        call_together(false);
        return 0;
}

static int who_gives_up_disturbs_nobody(void *arg)
{
        (void)arg;
        call_together(true);
        return 0;
}

static int call_to_be_cancelled(void *arg)
{
        caller *c = arg;
        sj_arena *a = test_arena();
        const redis_reply *reply;
        int k = redis_call(c->r, a, WORDS(W("BRPOP"), W("none"), W("5")), &reply, SJ_NEVER);
        expect_equal(k, -ECANCELED);
        sj_arena_free(a);
        return 0;
}

static int a_cancelled_call_leaves_its_reply_behind(void *arg)
{
        (void)arg;
        RIG(g, s, {0});
        caller c = {.r = g.r};
        sj_fiber *f;
        expect_equal(sj_spawn(s, call_to_be_cancelled, &c, &f), 0);
        expect_equal(sj_sleep(SJ_SEC), 0);
        sj_cancel(f);
        expect(test_is(test_ask(g.r, g.a, WORDS(W("ECHO"), W("mine"))), "mine"));
        return 0;
}

/* Half of a reply to GET, and the rest of it with the next. */
static redis_model_act answer_in_halves(redis_model *m, const sj_str words[], size_t n)
{
        (void)n;
        if (is_word(words[0], "GET"))
                m->say = SJ_STR("*2\r\n*2\r\n$1\r\na\r\n");
        else if (is_word(words[0], "ECHO"))
                m->say = SJ_STR("$1\r\nb\r\n$1\r\nc\r\n$4\r\nmine\r\n");
        else
                return MODEL_DO;
        return MODEL_SAY;
}

static int who_gives_up_within_a_reply_may_take_its_memory_along(void *arg)
{
        (void)arg;
        const redis_reply *reply;
        RIG(g, s, {.m.hook = answer_in_halves});
        sj_arena *gone = test_arena();
        expect_equal(redis_call(g.r, gone, WORDS(W("GET"), W("k")), &reply, sj_after(5 * SJ_SEC)),
                     -ETIMEDOUT);
        sj_arena_free(gone);
        expect(test_is(test_ask(g.r, g.a, WORDS(W("ECHO"), W("mine"))), "mine"));
        expect_equal(g.m.accepted, 1);
        return 0;
}

/* ── Opening ─────────────────────────────────────────────────────────────────────────────── */

static int opening_says_what_is_wrong_and_no_secret(void *arg)
{
        (void)arg;
        redis_model m = {.password = "right"};
        char url[128];
        SJ_SCOPE(s, SJ_NEVER, 0);
        redis_model_start(&m, s);
        test_open_fails((redis_options){.url = m.url}, -EACCES, "wants a password");
        snprintf(url, sizeof(url), "redis://:secret@127.0.0.1:%u/0", m.port);
        test_open_fails((redis_options){.url = url}, -EACCES, "refuses the password");
        snprintf(url, sizeof(url), "redis://who:right@127.0.0.1:%u/99", m.port);
        test_open_fails((redis_options){.url = url}, -EINVAL, "DB index");
        snprintf(url, sizeof(url), "redis://:right@127.0.0.1:%u/3", m.port);
        redis *r = test_open((redis_options){.url = url});
        expect(!strstr(redis_place(r), "right"));
        expect_equal(redis_db(r), 3);
        redis_close(r);
        redis_model_stop(&m);
        snprintf(url, sizeof(url), "redis://:secret@127.0.0.1:%u", m.port);
        test_open_fails((redis_options){.url = url}, -ECONNREFUSED, "127.0.0.1:");
        test_open_fails((redis_options){.url = "http://secret@x"}, -EINVAL, "malformed");
        return 0;
}

static int a_cluster_is_refused_without_a_hash_tag(void *arg)
{
        (void)arg;
        redis_model m = {.cluster = true};
        SJ_SCOPE(s, SJ_NEVER, 0);
        redis_model_start(&m, s);
        test_open_fails((redis_options){.url = m.url, .prefix = "jobs"}, -EXDEV,
                        "is a Redis Cluster, which is served only when the key prefix has a hash "
                        "tag");
        redis_model_stop(&m);
        return 0;
}

/* A Sentinel's answer, of the port in m->arg. */
static redis_model_act sentinel(redis_model *m, const sj_str words[], size_t n)
{
        static char answer[128];
        if (!is_word(words[0], "SENTINEL"))
                return MODEL_DO;
        const redis_model *master = m->arg;
        expect(n == 3 && is_word(words[2], "mine"));
        char port[8];
        snprintf(port, sizeof(port), "%u", master->port);
        snprintf(answer, sizeof(answer), "*2\r\n$9\r\n127.0.0.1\r\n$%zu\r\n%s\r\n", strlen(port),
                 port);
        m->say = sj_str_of(answer);
        return MODEL_SAY;
}

static int the_master_is_found_by_sentinels_and_again_after_a_failover(void *arg)
{
        (void)arg;
        redis_model first = {0}, second = {.role = "slave"}, dead = {0};
        redis_model guide = {.hook = sentinel, .arg = &first};
        char url[128];
        SJ_SCOPE(s, SJ_NEVER, 0);
        redis_model_start(&first, s);
        redis_model_start(&second, s);
        redis_model_start(&guide, s);
        redis_model_start(&dead, s);
        redis_model_stop(&dead);
        snprintf(url, sizeof(url), "sentinel://127.0.0.1:%u/2;sentinel://127.0.0.1:%u", dead.port,
                 guide.port);
        redis *r = test_open((redis_options){.url = url, .master = "mine"});
        sj_arena *a = test_arena();
        test_ask(r, a, WORDS(W("SET"), W("k"), W("v")));
        /* It is a replica for a while yet, when the Sentinel names it already. */
        redis_model_stop(&first);
        guide.arg = &second;
        expect_equal(sj_sleep(SJ_SEC), 0);
        const redis_reply *reply;
        expect_equal(redis_call(r, a, WORDS(W("GET"), W("k")), &reply, sj_after(5 * SJ_SEC)),
                     -EROFS);
        second.role = "master";
        expect(test_ask(r, a, WORDS(W("GET"), W("k")))->type == REDIS_NIL);
        redis_close(r);
        sj_arena_free(a);
        redis_model_stop(&second);
        redis_model_stop(&guide);
        return 0;
}

/* ── Scripts and what blocks ────────────────────────────────────────────────────── */

static void answer_script(redis_model *m, buf *out, const sj_str words[], size_t n)
{
        (void)m;
        redis_model_put_array(out, n);
        for (size_t i = 0; i < n; i++)
                redis_model_put_string(out, words[i]);
}

static int a_script_is_loaded_again_when_it_was_forgotten(void *arg)
{
        (void)arg;
        redis_script script = {.text = "return 1"};
        RIG(g, s, {.m.script = answer_script});
        for (int i = 0; i < 3; i++) {
                const redis_reply *reply;
                expect_equal(redis_script_call(g.r, g.a, &script, (sj_str[]){W("k"), W("v")}, 1, 2,
                                               &reply, false, SJ_NEVER),
                             0);
                expect(reply->n == 2 && test_is(&reply->elements[1], "v"));
                if (i == 0)
                        test_ask(g.r, g.a, WORDS(W("SCRIPT"), W("FLUSH")));
        }
        /* The greeting's four; load, call; flush; (call), load, call; call. */
        expect_equal(g.m.done, 4 + 2 + 1 + 3 + 1);
        return 0;
}

static int push_later(void *arg)
{
        rig *g = arg;
        sj_arena *a = test_arena();
        expect_equal(sj_sleep((sj_time)sim_draw(3000) * SJ_MS), 0);
        test_ask(g->r, a, WORDS(W("LPUSH"), W("q"), W("x")));
        sj_arena_free(a);
        return 0;
}

static int what_blocks_has_a_connection_to_itself(void *arg)
{
        (void)arg;
        const redis_reply *reply;
        RIG(g, s, {0});
        for (int i = 0; i < 3; i++) {
                expect_equal(sj_spawn(s, push_later, &g, NULL), 0);
                expect_equal(
                        redis_block(g.r, g.a, WORDS(W("BRPOP"), W("q"), W("5")), &reply, SJ_NEVER),
                        0);
                expect(test_is(&reply->elements[1], "x"));
        }
        expect_equal(g.m.accepted, 2);
        expect_equal(
                redis_block(g.r, g.a, WORDS(W("BRPOP"), W("q"), W("5")), &reply, sj_after(SJ_SEC)),
                -ETIMEDOUT);
        expect_equal(sj_sleep(SJ_MIN), 0);
        expect_equal(g.m.open, 1);
        /* A connection of the stock that was closed meanwhile is not used. */
        expect_equal(redis_block(g.r, g.a, WORDS(W("PING")), &reply, SJ_NEVER), 0);
        redis_model_break(&g.m);
        expect_equal(sj_sleep(SJ_MIN), 0);
        expect_equal(redis_block(g.r, g.a, WORDS(W("PING")), &reply, SJ_NEVER), 0);
        return 0;
}

/* ── A world in which all breaks ─────────────────────────────────────────────────────────── */

static int count_up(void *arg)
{
        caller *c = arg;
        sj_arena *a = test_arena();
        for (int i = 0; i < 10; i++) {
                const redis_reply *reply;
                int k = redis_call(c->r, a, WORDS(W("INCR"), W("n")), &reply, sj_after(SJ_MIN));
                c->answered += k == 0;
                sj_arena_reset(a);
        }
        sj_arena_free(a);
        return 0;
}

/* What is confirmed was done; nothing hangs; nothing is left open. */
static int nothing_hangs_when_all_breaks(void *arg)
{
        (void)arg;
        enum { CALLERS = 4 };
        redis_model m = {0};
        redis *r = NULL;
        caller callers[CALLERS];
        unsigned answered = 0;
        SJ_SCOPE(s, SJ_NEVER, 0);
        redis_model_start(&m, s);
        if (redis_open(&(redis_options){.url = m.url}, &r, NULL, 0, sj_after(SJ_HOUR)) == 0) {
                SJ_SCOPE(inner, SJ_NEVER, 0);
                for (unsigned i = 0; i < CALLERS; i++) {
                        callers[i] = (caller){.r = r};
                        expect_equal(sj_spawn(inner, count_up, &callers[i], NULL), 0);
                }
                expect_equal(sj_scope_join(inner), 0);
                for (unsigned i = 0; i < CALLERS; i++)
                        answered += callers[i].answered;
                sj_arena *a = test_arena();
                const redis_reply *reply = NULL;
                int k = -EPIPE;
                for (int i = 0; k < 0 && i < 1000; i++)
                        k = redis_call(r, a, WORDS(W("GET"), W("n")), &reply, sj_after(SJ_HOUR));
                expect_equal(k, 0);
                expect(answered == 0 || strtoul(reply->text.data, NULL, 10) >= answered);
                sj_arena_free(a);
        }
        redis_close(r);
        redis_model_stop(&m);
        return 0;
}

#define TESTS(X)                                                       \
        X(each_fiber_gets_its_own_replies)                             \
        X(who_gives_up_disturbs_nobody)                                \
        X(a_cancelled_call_leaves_its_reply_behind)                    \
        X(who_gives_up_within_a_reply_may_take_its_memory_along)       \
        X(opening_says_what_is_wrong_and_no_secret)                    \
        X(a_cluster_is_refused_without_a_hash_tag)                     \
        X(the_master_is_found_by_sentinels_and_again_after_a_failover) \
        X(a_script_is_loaded_again_when_it_was_forgotten)              \
        X(what_blocks_has_a_connection_to_itself)

TESTS(RIG_DEFINE)
SIM_UNIT_DEFINE(nothing_hangs_when_all_breaks)

int main(void)
{
        const struct CMUnitTest tests[] = {TESTS(SIM_UNIT_ROW)
                                                   SIM_UNIT_ROW(nothing_hangs_when_all_breaks)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
