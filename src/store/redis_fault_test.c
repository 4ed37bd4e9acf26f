/* SPDX-License-Identifier: MIT */
/* The client when the server breaks off, is silent, or says what it should not. */
#include "store/redis_model_unit.h"

/* ── A server that breaks off ────────────────────────────────────────────────────────────── */

static int half_an_answer_is_none(void *arg)
{
        (void)arg;
        const redis_reply *reply;
        RIG(g, s, {0});
        test_ask(g.r, g.a, WORDS(W("RPUSH"), W("l"), W("abc"), W("defgh")));
        /* Behind the greeting, each byte of "*2\r\n$3\r\nabc\r\n$5\r\ndefgh\r\n". */
        size_t greeting = 0;
        for (size_t cut = 1; cut < 400; cut++) {
                redis_model_break(&g.m);
                g.m.cut = cut;
                int k = redis_call(g.r, g.a, WORDS(W("LRANGE"), W("l"), W("0"), W("-1")), &reply,
                                   sj_after(SJ_MIN));
                if (k == 0)
                        break;
                /* Before the greeting is over the command is not sent, and waits. */
                if (k == -EPIPE)
                        greeting = greeting ? greeting : cut;
                else
                        expect(!greeting && k < 0);
                g.m.cut = 0;
                const redis_reply *all =
                        test_ask(g.r, g.a, WORDS(W("LRANGE"), W("l"), W("0"), W("-1")));
                expect(all->n == 2 && test_is(&all->elements[1], "defgh"));
                /* The bytes before the greeting's end are all alike, and slow to try. */
                if (!greeting && cut < 100)
                        cut += 20;
        }
        expect(greeting > 0);
        return 0;
}

static redis_model_act close_on_incr(redis_model *m, const sj_str words[], size_t n)
{
        (void)m;
        (void)n;
        return is_word(words[0], "INCR") ? MODEL_CLOSE : MODEL_DO;
}

static int what_was_sent_and_not_answered_is_not_sent_again(void *arg)
{
        (void)arg;
        const redis_reply *reply;
        RIG(g, s, {.m.hook = close_on_incr});
        for (int i = 0; i < 3; i++) {
                expect_equal(redis_call(g.r, g.a, WORDS(W("INCR"), W("n")), &reply, SJ_NEVER),
                             -EPIPE);
                test_ask(g.r, g.a, WORDS(W("SET"), W("a"), W("b")));
        }
        expect(test_ask(g.r, g.a, WORDS(W("GET"), W("n")))->type == REDIS_NIL);
        return 0;
}

static int start_again(void *arg)
{
        rig *g = arg;
        sj_time off = (sj_time)sim_draw(5000) * SJ_MS;
        redis_model_stop(&g->m);
        (void)sj_sleep(off);
        return 0;
}

static int what_was_not_sent_waits_for_the_server(void *arg)
{
        (void)arg;
        const redis_reply *reply;
        RIG(g, s, {0});
        expect_equal(start_again(&g), 0);
        expect_equal(redis_call(g.r, g.a, WORDS(W("PING")), &reply, sj_after(10 * SJ_SEC)),
                     -ECONNREFUSED);
        redis_model_start(&g.m, s);
        test_ask(g.r, g.a, WORDS(W("PING")));
        return 0;
}

/* Whatever the keeper's own pause is by then, and whether it is sent when the connection breaks. */
static int who_tries_again_by_himself_waits_for_one_attempt(void *arg)
{
        (void)arg;
        const redis_reply *reply;
        redis_script script = {.text = "test"};
        RIG(g, s, {0});
        redis_model_stop(&g.m);
        for (int i = 0; i < 10; i++) {
                sj_time before = sj_now();
                int k = i % 2 ? redis_script_call(g.r, g.a, &script, NULL, 0, 0, &reply, true,
                                                  sj_after(SJ_HOUR))
                              : redis_call_once(g.r, g.a, WORDS(W("PING")), &reply,
                                                sj_after(SJ_HOUR));
                expect(k == -ECONNREFUSED || (i == 0 && (k == -EPIPE || k == -ECONNRESET)));
                expect(sj_now() - before < SJ_SEC);
                if (i == 4)
                        expect_equal(redis_call(g.r, g.a, WORDS(W("PING")), &reply,
                                                sj_after(20 * SJ_SEC)),
                                     -ECONNREFUSED);
        }
        redis_model_start(&g.m, s);
        expect_equal(redis_call_once(g.r, g.a, WORDS(W("PING")), &reply, SJ_NEVER), 0);
        return 0;
}

/* ── A server that does not answer ───────────────────────────────────────────────────────── */

static redis_model_act silent_on_get(redis_model *m, const sj_str words[], size_t n)
{
        (void)n;
        return is_word(words[0], "GET") && m->accepted == 1 ? MODEL_SILENT : MODEL_DO;
}

static int silence_is_found_out(void *arg)
{
        (void)arg;
        const redis_reply *reply;
        RIG(g, s, {.m.hook = silent_on_get});
        expect_equal(sj_sleep(sj_now() % 2 ? 25 * SJ_SEC : 1), 0);
        sj_time before = sj_now();
        expect_equal(redis_call(g.r, g.a, WORDS(W("GET"), W("k")), &reply, SJ_NEVER), -EPIPE);
        expect(sj_now() - before >= REDIS_SILENCE);
        expect(sj_now() - before < 2 * REDIS_SILENCE);
        expect(test_ask(g.r, g.a, WORDS(W("GET"), W("k")))->type == REDIS_NIL);
        expect_equal(g.m.accepted, 2);
        return 0;
}

static redis_model_act silent_on_ping(redis_model *m, const sj_str words[], size_t n)
{
        (void)n;
        return is_word(words[0], "PING") && m->accepted == 1 ? MODEL_SILENT : MODEL_DO;
}

static int silence_is_found_out_before_anybody_asks(void *arg)
{
        (void)arg;
        RIG(g, s, {.m.hook = silent_on_ping});
        expect_equal(sj_sleep(3 * REDIS_SILENCE), 0);
        sj_time before = sj_now();
        test_ask(g.r, g.a, WORDS(W("GET"), W("k")));
        expect(sj_now() - before < REDIS_SILENCE);
        expect_equal(g.m.accepted, 2);
        return 0;
}

/* ── A server that says what it should not ───────────────────────────────────────────────── */

static redis_model_act say_once_on_get(redis_model *m, const sj_str words[], size_t n)
{
        (void)n;
        unsigned *times = m->arg;
        if (!is_word(words[0], "GET") || *times == 0)
                return MODEL_DO;
        --*times;
        return MODEL_SAY;
}

static const struct nonsense {
        const char *says;
        int error;
} nonsense[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", -EPROTO},
        {"$5\r\nabcdefgh\r\n", -EPROTO},
        {"*2147483648\r\n", -EPROTO},
        {"*2147483647\r\n", -ENOBUFS},
        {"*4294967297\r\n:1\r\n", -EPROTO},
        {"*9223372036854775807\r\n", -EPROTO},
        {"*18446744073709551617\r\n", -EPROTO},
        {"*16000000\r\n*16000000\r\n", -ENOBUFS},
        {"*-2\r\n", -EPROTO},
        {"$-2\r\n", -EPROTO},
        {"$99999999999999999999\r\n", -EPROTO},
        {":12a\r\n", -EPROTO},
        {":99999999999999999999\r\n", -EPROTO},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", -EPROTO},
        {"$1\r\na\r\n$1\r\nb\r\n", -EPROTO}, /* one answer too many, found by the next call */
        {"\r\n", -EPROTO},
};

static int nonsense_is_refused_and_the_next_call_is_well(void *arg)
{
        (void)arg;
        unsigned times = 0;
        const redis_reply *reply;
        RIG(g, s, {.m.hook = say_once_on_get, .m.arg = &times});
        for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
                times = 1;
                g.m.say = sj_str_of(nonsense[i].says);
                int k = redis_call(g.r, g.a, WORDS(W("GET"), W("k")), &reply, SJ_NEVER);
                if (k == 0) {
                        expect_equal(sj_sleep(SJ_MIN), 0);
                        test_ask(g.r, g.a, WORDS(W("GET"), W("k")));
                        continue;
                }
                if (k != nonsense[i].error)
                        fprintf(stderr, "%s: %d\n", nonsense[i].says, k);
                expect_equal(k, nonsense[i].error);
                expect(test_ask(g.r, g.a, WORDS(W("GET"), W("k")))->type == REDIS_NIL);
        }
        return 0;
}

static int what_passes_is_waited_for(void *arg)
{
        (void)arg;
        static const char *const passing[] = {
                "-LOADING Redis is loading the dataset in memory\r\n",
                "-MASTERDOWN Link with MASTER is down\r\n",
                "-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
                "-CLUSTERDOWN The cluster is down\r\n",
        };
        unsigned times;
        const redis_reply *reply;
        RIG(g, s, {.m.hook = say_once_on_get, .m.arg = &times});
        test_ask(g.r, g.a, WORDS(W("SET"), W("k"), W("v")));
        for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
                times = 4;
                g.m.say = sj_str_of(passing[i]);
                expect(test_is(test_ask(g.r, g.a, WORDS(W("GET"), W("k"))), "v"));
                expect_equal(times, 0);
                times = 1000;
                int k = redis_call(g.r, g.a, WORDS(W("GET"), W("k")), &reply,
                                   sj_after(20 * SJ_SEC));
                /* Timed out: when the last attempt was on its way. */
                expect(k == -EAGAIN || k == -ETIMEDOUT);
                expect(strncmp(redis_error(g.r), passing[i] + 1, 8) == 0);
                times = 1000;
                expect_equal(redis_call_once(g.r, g.a, WORDS(W("GET"), W("k")), &reply, SJ_NEVER),
                             -EAGAIN);
                expect(times >= 997); /* the one before may have come late */
                times = 1;
                expect_equal(redis_call_once(g.r, g.a, WORDS(W("GET"), W("k")), &reply, SJ_NEVER),
                             0);
        }
        return 0;
}

static int only_what_was_refused_is_sent_again(void *arg)
{
        (void)arg;
        unsigned times = 3;
        RIG(g, s, {.m.hook = say_once_on_get, .m.arg = &times});
        g.m.say = SJ_STR("-LOADING Redis is loading the dataset in memory\r\n");
        const sj_str incr[] = {W("INCR"), W("n")}, get[] = {W("GET"), W("n")};
        const redis_command commands[] = {{incr, 2}, {get, 2}, {incr, 2}, {get, 2}};
        const redis_reply *replies[4];
        expect_equal(redis_call_all(g.r, g.a, commands, 4, replies, SJ_NEVER), 0);
        expect_equal(replies[0]->integer, 1);
        expect_equal(replies[2]->integer, 2);
        expect(test_is(replies[1], "2") && test_is(replies[3], "2"));
        return 0;
}

static int a_transaction_is_sent_again_as_a_whole(void *arg)
{
        (void)arg;
        unsigned times = 2;
        RIG(g, s, {.m.hook = say_once_on_get, .m.arg = &times});
        g.m.say = SJ_STR("-LOADING Redis is loading the dataset in memory\r\n");
        const sj_str incr[] = {W("INCR"), W("n")}, get[] = {W("GET"), W("n")};
        const redis_command commands[] = {{incr, 2}, {get, 2}};
        const redis_reply *replies[2];
        expect_equal(redis_transact(g.r, g.a, commands, 2, replies, SJ_NEVER), 0);
        expect_equal(replies[0]->integer, 1);
        expect(test_is(replies[1], "1"));
        return 0;
}

static int a_replica_is_left(void *arg)
{
        (void)arg;
        unsigned times = 2;
        RIG(g, s, {.m.hook = say_once_on_get, .m.arg = &times});
        g.m.say = SJ_STR("-READONLY You can't write against a read only replica.\r\n");
        test_ask(g.r, g.a, WORDS(W("GET"), W("k")));
        expect_equal(g.m.accepted, 3);
        return 0;
}

static int what_is_refused_has_its_error(void *arg)
{
        (void)arg;
        static const struct {
                const char *says;
                int error;
        } refusals[] = {
                {"-OOM command not allowed when used memory > 'maxmemory'.\r\n", -ENOSPC},
                {"-NOAUTH Authentication required.\r\n", -EACCES},
                {"-NOPERM this user has no permissions to run the 'get' command\r\n", -EACCES},
                {"-MOVED 3999 127.0.0.1:6381\r\n", -EXDEV},
                {"-ASK 3999 127.0.0.1:6381\r\n", -EXDEV},
                {"-ERR something else\r\n", -EREMOTEIO},
                {"-OOMPH\r\n", -EREMOTEIO},
        };
        unsigned times;
        const redis_reply *reply;
        RIG(g, s, {.m.hook = say_once_on_get, .m.arg = &times});
        for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
                times = 1;
                g.m.say = sj_str_of(refusals[i].says);
                expect_equal(redis_call(g.r, g.a, WORDS(W("GET"), W("k")), &reply, SJ_NEVER),
                             refusals[i].error);
                size_t n = strlen(redis_error(g.r));
                expect(n == strlen(refusals[i].says) - 3 &&
                       memcmp(redis_error(g.r), refusals[i].says + 1, n) == 0);
        }
        expect_equal(g.m.accepted, 1);
        return 0;
}

#define TESTS(X)                                            \
        X(half_an_answer_is_none)                           \
        X(what_was_sent_and_not_answered_is_not_sent_again) \
        X(what_was_not_sent_waits_for_the_server)           \
        X(who_tries_again_by_himself_waits_for_one_attempt) \
        X(silence_is_found_out)                             \
        X(silence_is_found_out_before_anybody_asks)         \
        X(nonsense_is_refused_and_the_next_call_is_well)    \
        X(what_passes_is_waited_for)                        \
        X(only_what_was_refused_is_sent_again)              \
        X(a_transaction_is_sent_again_as_a_whole)           \
        X(a_replica_is_left)                                \
        X(what_is_refused_has_its_error)

TESTS(RIG_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {TESTS(SIM_UNIT_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
