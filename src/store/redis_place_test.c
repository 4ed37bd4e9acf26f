/* SPDX-License-Identifier: MIT */
/*
 * Real servers, as they are found in the field: behind a password, on a Unix socket, over TLS,
 * with Sentinels, in a Cluster; and stopped, killed and full.
 */
#include "store/redis_server.h"
#include "store/redis_unit.h"

#include <unistd.h>

/* In static memory that the next call overwrites. */
SJ_PRINTF(1, 2) static const char *url_of(const char *format, ...)
{
        static char url[512];
        va_list args;
        va_start(args, format);
        vsnprintf(url, sizeof(url), format, args);
        va_end(args);
        return url;
}

/* Asks the server itself, now and then, until the answer begins like that. */
static void await_answer(redis_server *s, const char *line, const char *begins)
{
        for (int i = 0; i < 6000; i++) {
                if (strncmp(redis_server_ask(s, line), begins, strlen(begins)) == 0)
                        return;
                expect_equal(sj_sleep(10 * SJ_MS), 0);
        }
        fprintf(stderr, "%s: never %s\n", line, begins);
        expect(false);
}

/* Calls until it works: a connection that has just broken may be found out only by a call. */
static const redis_reply *insist(redis *r, sj_arena *a, const sj_str words[], size_t n)
{
        const redis_reply *reply;
        for (int i = 0; i < 100; i++) {
                int k = redis_call(r, a, words, n, &reply, sj_after(90 * SJ_SEC));
                if (k == 0)
                        return reply;
                expect_equal(k, -EPIPE);
        }
        expect(false);
        return NULL;
}

static int a_unix_socket_is_used(void *arg)
{
        (void)arg;
        redis_server *s = redis_server_start(NULL);
        sj_arena *a = test_arena();
        redis *r = test_open((redis_options){
                .url = url_of("redis+socket://%s?virtual_host=3", redis_server_socket(s))});
        test_ask(r, a, WORDS(W("SET"), W("k"), W("v")));
        expect_equal(redis_db(r), 3);
        expect(strstr(redis_place(r), "/redis.sock/3"));
        redis *other = test_open(
                (redis_options){.url = url_of("redis://127.0.0.1:%u/3", redis_server_port(s))});
        expect(test_is(test_ask(other, a, WORDS(W("GET"), W("k"))), "v"));
        redis_close(other);
        redis_close(r);
        sj_arena_free(a);
        redis_server_stop(s);
        return 0;
}

static int passwords_and_users_are_given(void *arg)
{
        (void)arg;
        const char *const arguments[] = {
                "--requirepass", "p@ss/w:rd", "--user", "ann",       "on", ">annspass",
                "~mine:*",       "&mine:*",   "+@all",  "-flushall", NULL};
        redis_server *s = redis_server_start(
                &(redis_server_options){.arguments = arguments, .password = "p@ss/w:rd"});
        sj_arena *a = test_arena();
        unsigned port = redis_server_port(s);
        const redis_reply *reply;
        redis *r = test_open(
                (redis_options){.url = url_of("redis://:p%%40ss%%2Fw%%3Ard@127.0.0.1:%u", port),
                                .client_name = "tester"});
        expect(test_is(test_ask(r, a, WORDS(W("CLIENT"), W("GETNAME"))), "tester"));
        expect(test_is(test_ask(r, a, WORDS(W("ACL"), W("WHOAMI"))), "default"));
        redis_close(r);
        r = test_open((redis_options){.url = url_of("redis://ann:annspass@127.0.0.1:%u", port)});
        expect(test_is(test_ask(r, a, WORDS(W("ACL"), W("WHOAMI"))), "ann"));
        test_ask(r, a, WORDS(W("SET"), W("mine:k"), W("v")));
        expect_equal(redis_call(r, a, WORDS(W("SET"), W("k"), W("v")), &reply, SJ_NEVER), -EACCES);
        expect_equal(redis_call(r, a, WORDS(W("FLUSHALL")), &reply, SJ_NEVER), -EACCES);
        redis_subscription *sub;
        redis_news news;
        sj_str from, what;
        expect_equal(redis_subscribe(r, (sj_str[]){W("secret")}, 1, false, 10, &sub), 0);
        redis_subscription *well, *again;
        expect_equal(redis_subscribe(r, (sj_str[]){W("mine:c")}, 1, false, 10, &well), 0);
        expect_equal(redis_next(sub, a, &news, &from, &what, sj_after(10 * SJ_SEC)), -EACCES);
        test_news(well, a, REDIS_SUBSCRIBED, "", "");
        expect_equal(redis_subscribe(r, (sj_str[]){W("secret")}, 1, false, 10, &again), 0);
        expect_equal(redis_next(again, a, &news, &from, &what, sj_after(10 * SJ_SEC)), -EACCES);
        expect_equal(redis_next(sub, a, &news, &from, &what, sj_after(10 * SJ_SEC)), -EACCES);
        redis_unsubscribe(again);
        redis_unsubscribe(sub);
        test_ask(r, a, WORDS(W("PUBLISH"), W("mine:c"), W("x")));
        test_news(well, a, REDIS_MESSAGE, "mine:c", "x");
        redis_unsubscribe(well);
        redis_close(r);
        test_open_fails((redis_options){.url = url_of("redis://127.0.0.1:%u", port)}, -EACCES,
                        "wants a password");
        test_open_fails((redis_options){.url = url_of("redis://:wrong@127.0.0.1:%u", port)},
                        -EACCES, "refuses the password");
        sj_arena_free(a);
        redis_server_stop(s);
        return 0;
}

#if REDIS_TEST_TLS
/* ── TLS ─────────────────────────────────────────────────────────────────────────────────── */

static void make_certificates(const char *folder)
{
        char command[1500];
        snprintf(command, sizeof(command),
                 "set -e; cd %s; exec 2>openssl.log\n"
                 "key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'\n"
                 "openssl req -x509 $key -keyout ca.key -out ca.pem -subj /CN=ca -days 2\n"
                 "openssl req $key -keyout server.key -out server.csr -subj /CN=server\n"
                 "printf 'subjectAltName=DNS:localhost\\n' >names\n"
                 "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial "
                 "-days 2 -extfile names -out server.pem\n",
                 folder);
        expect_equal(system(command), 0);
}

static int tls_is_verified(void *arg)
{
        (void)arg;
        char folder[] = "/tmp/sanjab-redis-tls-XXXXXX", port[8], paths[3][64], command[64];
        expect(mkdtemp(folder));
        make_certificates(folder);
        const char *const names[] = {"server.pem", "server.key", "ca.pem"};
        for (int i = 0; i < 3; i++)
                snprintf(paths[i], sizeof(paths[i]), "%s/%s", folder, names[i]);
        unsigned number = redis_server_free_port();
        snprintf(port, sizeof(port), "%u", number);
        const char *const arguments[] = {"--tls-port",
                                         port,
                                         "--tls-cert-file",
                                         paths[0],
                                         "--tls-key-file",
                                         paths[1],
                                         "--tls-ca-cert-file",
                                         paths[2],
                                         "--tls-auth-clients",
                                         "no",
                                         NULL};
        redis_server *s = redis_server_start(&(redis_server_options){.arguments = arguments});
        sj_arena *a = test_arena();
        redis *r = test_open((redis_options){
                .url = url_of("rediss://localhost:%u/0?ssl_ca_certs=%s&ssl_cert_reqs=required",
                              number, paths[2])});
        test_ask(r, a, WORDS(W("SET"), W("k"), W("v")));
        const redis_reply *reply;
        expect_equal(redis_block(r, a, WORDS(W("BRPOP"), W("none"), W("0.01")), &reply, SJ_NEVER),
                     0);
        redis_close(r);
        test_open_fails((redis_options){.url = url_of("rediss://localhost:%u/0", number)},
                        -EKEYREJECTED, "localhost:");
        test_open_fails((redis_options){.url = url_of("rediss://127.0.0.1:%u/0?ssl_ca_certs=%s",
                                                      number, paths[2])},
                        -EKEYREJECTED, "127.0.0.1");
        r = test_open((redis_options){
                .url = url_of("rediss://localhost:%u/0?ssl_cert_reqs=none", number)});
        expect(test_is(test_ask(r, a, WORDS(W("GET"), W("k"))), "v"));
        redis_close(r);
        sj_arena_free(a);
        char error[256] = "";
        const char *plain = url_of("rediss://127.0.0.1:%u/0", redis_server_port(s));
        expect_equal(redis_open(&(redis_options){.url = plain}, &r, error, sizeof(error),
                                sj_after(SJ_SEC)),
                     -ETIMEDOUT);
        expect(strstr(error, "does not answer, at least not to TLS"));
        redis_server_stop(s);
        snprintf(command, sizeof(command), "rm -r %s", folder);
        expect_equal(system(command), 0);
        return 0;
}
#endif

/* ── Stopped, killed, full ───────────────────────────────────────────────────────────────── */

static int a_server_without_a_password_says_so(void *arg)
{
        (void)arg;
        redis_server *s = redis_server_start(NULL);
        unsigned port = redis_server_port(s);
        test_open_fails((redis_options){.url = url_of("redis://:secret@127.0.0.1:%u", port)},
                        -EACCES, "refuses the password: it has none set");
        redis_server_stop(s);
        return 0;
}

static int a_stopped_server_is_found_out(void *arg)
{
        (void)arg;
        redis_server *s = redis_server_start(NULL);
        sj_arena *a = test_arena();
        const redis_reply *reply;
        redis *r = test_open((redis_options){.url = redis_server_url(s), .silence = 300 * SJ_MS});
        test_ask(r, a, WORDS(W("SET"), W("k"), W("v")));
        redis_server_pause(s);
        expect_equal(redis_call(r, a, WORDS(W("GET"), W("k")), &reply, SJ_NEVER), -EPIPE);
        expect_equal(redis_block(r, a, WORDS(W("BRPOP"), W("q"), W("1")), &reply, sj_after(SJ_SEC)),
                     -EHOSTDOWN);
        redis_server_resume(s);
        expect(test_is(insist(r, a, WORDS(W("GET"), W("k"))), "v"));
        redis_close(r);
        sj_arena_free(a);
        redis_server_stop(s);
        return 0;
}

static int a_killed_server_is_connected_to_again(void *arg)
{
        (void)arg;
        const char *const arguments[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};
        redis_server *s = redis_server_start(&(redis_server_options){.arguments = arguments});
        sj_arena *a = test_arena();
        const redis_reply *reply;
        redis *r = test_open((redis_options){.url = redis_server_url(s)});
        redis_subscription *sub;
        redis_script script = {.text = "return redis.call('INCR', KEYS[1])"};
        expect_equal(redis_subscribe(r, (sj_str[]){W("c")}, 1, false, 10, &sub), 0);
        test_news(sub, a, REDIS_SUBSCRIBED, "", "");
        for (int64_t i = 1; i <= 3; i++) {
                expect_equal(redis_script_call(r, a, &script, (sj_str[]){W("n")}, 1, 1, &reply,
                                               false, SJ_NEVER),
                             0);
                expect_equal(reply->integer, i);
                redis_server_kill(s);
                expect_equal(sj_sleep(50 * SJ_MS), 0);
                expect_equal(
                        redis_call(r, a, WORDS(W("GET"), W("n")), &reply, sj_after(50 * SJ_MS)),
                        -ECONNREFUSED);
                redis_server_restart(s);
                test_news(sub, a, REDIS_SUBSCRIBED, "", "");
        }
        redis_unsubscribe(sub);
        redis_close(r);
        sj_arena_free(a);
        redis_server_stop(s);
        return 0;
}

static int a_full_server_and_a_replica_say_so(void *arg)
{
        (void)arg;
        redis_server *s = redis_server_start(NULL);
        sj_arena *a = test_arena();
        const redis_reply *reply;
        redis *r = test_open((redis_options){.url = redis_server_url(s)});
        redis_script script = {.text = "return redis.call('SET', KEYS[1], 'v')"};
        test_ask(r, a, WORDS(W("CONFIG"), W("SET"), W("maxmemory"), W("1")));
        expect_equal(redis_call(r, a, WORDS(W("SET"), W("k"), W("v")), &reply, SJ_NEVER), -ENOSPC);
        expect_equal(
                redis_script_call(r, a, &script, (sj_str[]){W("k")}, 1, 1, &reply, false, SJ_NEVER),
                -ENOSPC);
        test_ask(r, a, WORDS(W("CONFIG"), W("SET"), W("maxmemory"), W("0")));
        test_ask(r, a, WORDS(W("REPLICAOF"), W("127.0.0.1"), W("1")));
        expect_equal(
                redis_call(r, a, WORDS(W("SET"), W("k"), W("v")), &reply, sj_after(300 * SJ_MS)),
                -EAGAIN);
        expect(strncmp(redis_error(r), "READONLY ", 9) == 0);
        expect_equal(redis_script_call(r, a, &script, (sj_str[]){W("k")}, 1, 1, &reply, false,
                                       sj_after(300 * SJ_MS)),
                     -EAGAIN);
        expect(strcmp(redis_server_ask(s, "REPLICAOF NO ONE"), "+OK") == 0);
        test_ask(r, a, WORDS(W("SET"), W("k"), W("v")));
        redis_close(r);
        sj_arena_free(a);
        redis_server_stop(s);
        return 0;
}

/* ── Sentinels ───────────────────────────────────────────────────────────────────────────── */

static redis_server *start_replica(const redis_server *master)
{
        char of[32];
        snprintf(of, sizeof(of), "127.0.0.1 %u", redis_server_port(master));
        const char *const arguments[] = {"--replicaof", of, "--repl-diskless-sync-delay", "0",
                                         NULL};
        return redis_server_start(&(redis_server_options){.arguments = arguments});
}

static int a_failover_of_the_sentinels_is_followed(void *arg)
{
        (void)arg;
        redis_server *master = redis_server_start(NULL);
        redis_server *replica = start_replica(master);
        char config[400];
        await_answer(master, "WAIT 1 100", ":1");
        snprintf(config, sizeof(config),
                 "sentinel monitor mine 127.0.0.1 %u 1\n"
                 "sentinel down-after-milliseconds mine 60000\n"
                 "sentinel failover-timeout mine 60000\n",
                 redis_server_port(master));
        redis_server *guide =
                redis_server_start(&(redis_server_options){.config = config, .sentinel = true});
        sj_arena *a = test_arena();
        redis *r = test_open(
                (redis_options){.url = url_of("sentinel://127.0.0.1:%u/0;sentinel://127.0.0.1:%u",
                                              redis_server_free_port(), redis_server_port(guide)),
                                .master = "mine"});
        const redis_reply *reply;
        test_ask(r, a, WORDS(W("SET"), W("k"), W("v")));
        expect_equal(test_ask(r, a, WORDS(W("WAIT"), W("1"), W("5000")))->integer, 1);
        test_open_fails(
                (redis_options){.url = url_of("sentinel://127.0.0.1:%u", redis_server_port(guide)),
                                .master = "other"},
                -ENXIO, "knows no master other");
        /* It has seen the replica. */
        await_answer(guide, "SENTINEL REPLICAS mine", "*1");
        redis_server_kill(master);
        /* By itself it would choose no replica whose link was down for ten times `down-after`. */
        await_answer(guide, "SENTINEL FAILOVER mine", "+OK");
        expect(test_is(insist(r, a, WORDS(W("GET"), W("k"))), "v"));
        int k = redis_call(r, a, WORDS(W("SET"), W("k"), W("w")), &reply, sj_after(90 * SJ_SEC));
        expect_equal(k, 0);
        expect(strcmp(redis_server_ask(replica, "GET k"), "w") == 0);
        redis_close(r);
        sj_arena_free(a);
        redis_server_stop(guide);
        redis_server_stop(replica);
        redis_server_stop(master);
        return 0;
}

/* ── A Cluster ───────────────────────────────────────────────────────────────────────────── */

static redis_server *start_node(char bus[8])
{
        snprintf(bus, 8, "%u", redis_server_free_port());
        const char *const arguments[] = {"--cluster-enabled", "yes", "--cluster-port", bus, NULL};
        return redis_server_start(&(redis_server_options){.arguments = arguments});
}

SJ_PRINTF(2, 3) static void say_ok(redis_server *s, const char *format, ...)
{
        char line[200];
        va_list args;
        va_start(args, format);
        vsnprintf(line, sizeof(line), format, args);
        va_end(args);
        const char *answer = redis_server_ask(s, line);
        if (strcmp(answer, "+OK") != 0)
                fprintf(stderr, "%s: %s\n", line, answer);
        expect(strcmp(answer, "+OK") == 0);
}

static int a_cluster_is_served_when_the_prefix_has_a_hash_tag(void *arg)
{
        (void)arg;
        char bus_a[8], bus_b[8], id_a[64], slot[16];
        redis_server *a = start_node(bus_a), *b = start_node(bus_b);
        sj_arena *arena = test_arena();
        redis_options o = {.url = redis_server_url(a), .prefix = "{jobs}:"};
        say_ok(b, "CLUSTER ADDSLOTSRANGE 0 16383");
        say_ok(a, "CLUSTER MEET 127.0.0.1 %u %s", redis_server_port(b), bus_b);
        await_answer(a, "SET {jobs}:k v", "-MOVED");
        await_answer(b, "SET {jobs}:k v", "+OK");
        redis *r = test_open(o);
        expect(test_is(test_ask(r, arena, WORDS(W("GET"), W("{jobs}:k"))), "v"));
        char place[64];
        snprintf(place, sizeof(place), "127.0.0.1:%u/0", redis_server_port(b));
        expect(strcmp(redis_place(r), place) == 0);
        /* The slot goes to the other node. */
        say_ok(b, "FLUSHALL");
        snprintf(id_a, sizeof(id_a), "%s", redis_server_ask(a, "CLUSTER MYID"));
        snprintf(slot, sizeof(slot), "%s", redis_server_ask(a, "CLUSTER KEYSLOT {jobs}") + 1);
        say_ok(a, "CLUSTER SETSLOT %s NODE %s", slot, id_a);
        say_ok(b, "CLUSTER SETSLOT %s NODE %s", slot, id_a);
        test_ask(r, arena, WORDS(W("SET"), W("{jobs}:k"), W("w")));
        expect(strcmp(redis_server_ask(a, "GET {jobs}:k"), "w") == 0);
        redis_close(r);
        o.prefix = "jobs:";
        test_open_fails(o, -EXDEV, "served only when the key prefix has a hash tag");
        sj_arena_free(arena);
        redis_server_stop(a);
        redis_server_stop(b);
        return 0;
}

#define TESTS(X)                                   \
        X(a_unix_socket_is_used)                   \
        X(passwords_and_users_are_given)           \
        X(a_server_without_a_password_says_so)     \
        X(a_stopped_server_is_found_out)           \
        X(a_killed_server_is_connected_to_again)   \
        X(a_full_server_and_a_replica_say_so)      \
        X(a_failover_of_the_sentinels_is_followed) \
        X(a_cluster_is_served_when_the_prefix_has_a_hash_tag)

#define DEFINE(fn)                                 \
        static void test_##fn(void **state)        \
        {                                          \
                (void)state;                       \
                expect_equal(sj_run(fn, NULL), 0); \
        }

TESTS(DEFINE)
#if REDIS_TEST_TLS
DEFINE(tls_is_verified)
#endif

int main(void)
{
        REDIS_SERVER_OR_SKIP();
        const struct CMUnitTest tests[] = {
                TESTS(SIM_UNIT_ROW)
#if REDIS_TEST_TLS
                        SIM_UNIT_ROW(tls_is_verified)
#endif
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
