/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "net/net_test.h"
#include "os/os.h"

enum { ROUNDS = 20 };

static sj_udp *open_on(const char *host)
{
        sj_udp *u;
        CHECK_INT(sj_udp_open(host, 0, &u), 0);
        return u;
}

/* Where it is reached from this machine. */
static sj_address way_to(const sj_udp *u, const char *host)
{
        sj_address own, ret;
        CHECK_INT(sj_udp_address(u, &own), 0);
        CHECK(sj_address_port(&own) != 0);
        CHECK_INT(sj_address_parse(host, sj_address_port(&own), &ret), 0);
        return ret;
}

/* Sends back what comes to whom it came from, until it is cancelled. */
static int echo(void *arg)
{
        sj_udp *u = arg;
        char bytes[2000];
        sj_address from;
        for (;;) {
                ssize_t n = sj_udp_recv(u, bytes, sizeof(bytes), &from, SJ_NEVER);
                if (n < 0)
                        return (int)n;
                CHECK_INT(sj_udp_send_to(u, &from, bytes, (size_t)n, SJ_NEVER), 0);
        }
}

/* Asks until there is an answer, for a datagram may be lost; and an old one may come late. */
static void ask(sj_udp *u, const sj_address *to, size_t n, size_t at)
{
        char bytes[2000], back[2000];
        sj_address from;
        pattern_fill(bytes, at, n);
        for (;;) {
                CHECK_INT(to ? sj_udp_send_to(u, to, bytes, n, SJ_NEVER)
                             : sj_udp_send(u, bytes, n, SJ_NEVER),
                          0);
                ssize_t got = sj_udp_recv(u, back, sizeof(back), &from, sj_after(SJ_SEC));
                CHECK(got >= 0 || got == -ETIMEDOUT);
                CHECK(got < 0 || !to || sj_address_port(&from) == sj_address_port(to));
                if (got == (ssize_t)n && (n == 0 || memcmp(bytes, back, n) == 0))
                        return;
        }
}

static void converse(const char *server_host, const char *client_host, const char *way,
                     bool connected)
{
        SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
        sj_udp *server = open_on(server_host), *client = open_on(client_host);
        sj_address to = way_to(server, way);
        sj_fiber *f;
        CHECK_INT(sj_spawn(scope, echo, server, &f), 0);
        if (connected)
                CHECK_INT(sj_udp_connect(client, &to), 0);
        else
                CHECK_INT(sj_udp_send(client, "x", 1, SJ_NEVER), -EDESTADDRREQ);
        for (size_t i = 0; i < ROUNDS; i++)
                ask(client, connected ? NULL : &to, i == 0 ? 0 : world_draw(1400), i);
        sj_cancel(f);
        CHECK_INT(sj_join(f, SJ_NEVER), -ECANCELED);
        sj_udp_close(server);
        sj_udp_close(client);
        sj_udp_close(NULL);
}

static int conversations(void *arg)
{
        (void)arg;
        converse("127.0.0.1", "localhost", "127.0.0.1", false);
        converse("127.0.0.1", "127.0.0.1", "127.0.0.1", true);
        converse(NULL, "127.0.0.1", "127.0.0.1", true);
        converse("127.0.0.1", NULL, "127.0.0.1", true);
        converse(NULL, NULL, "127.0.0.1", false);
        return 0;
}

static void who_sends_gets_the_answer(void **state)
{
        (void)state;
        world_seeds_share = 10;
        each_world(conversations);
        each_rough_world(conversations);
        world_seeds_share = 1;
}

static int edges(void *arg)
{
        (void)arg;
        char bytes[8];
        static const char large[SJ_DATAGRAM_MAX + 1];
        sj_udp *a = open_on("127.0.0.1"), *b = open_on("127.0.0.1"), *third = open_on("127.0.0.1");
        sj_udp *second;
        sj_address to_a = way_to(a, "127.0.0.1"), to_b = way_to(b, "127.0.0.1"), v6;
        CHECK_INT(sj_udp_open("127.0.0.1", sj_address_port(&to_a), &second), -EADDRINUSE);
        CHECK_INT(sj_udp_open("no.address", 0, &second), -EINVAL);
        CHECK_INT(sj_address_parse("::1", 9, &v6), 0);
        CHECK_INT(sj_udp_send_to(a, &v6, "x", 1, SJ_NEVER), -EAFNOSUPPORT);
        CHECK_INT(sj_udp_connect(a, &v6), -EAFNOSUPPORT);
        CHECK_INT(sj_udp_send_to(a, &to_b, large, sizeof(large), SJ_NEVER), -EMSGSIZE);
        CHECK_INT(sj_udp_recv(a, bytes, sizeof(bytes), NULL, SJ_POLL), -ETIMEDOUT);
        CHECK_INT(sj_udp_recv(a, bytes, sizeof(bytes), NULL, sj_after(SJ_SEC / 10)), -ETIMEDOUT);

        /* One that is too long is refused and lost; the next is whole. */
        CHECK_INT(sj_udp_send_to(a, &to_b, "123456789", 9, SJ_NEVER), 0);
        CHECK_INT(sj_udp_recv(b, bytes, sizeof(bytes), NULL, SJ_NEVER), -EMSGSIZE);
        CHECK_INT(sj_udp_send_to(a, &to_b, "12345678", 8, SJ_NEVER), 0);
        CHECK_INT(sj_udp_recv(b, bytes, sizeof(bytes), NULL, SJ_NEVER), 8);
        CHECK(memcmp(bytes, "12345678", 8) == 0);

        /* A peer that is connected hears no one else. */
        CHECK_INT(sj_udp_connect(b, &to_a), 0);
        CHECK_INT(sj_udp_send_to(third, &to_b, "no", 2, SJ_NEVER), 0);
        CHECK_INT(sj_sleep(SJ_SEC / 10), 0);
        CHECK_INT(sj_udp_send_to(a, &to_b, "yes", 3, SJ_NEVER), 0);
        CHECK_INT(sj_udp_recv(b, bytes, sizeof(bytes), NULL, SJ_NEVER), 3);
        sj_udp_close(a);
        if (!os_simulated) {
                /* The system tells that nobody is there, after the fact. */
                CHECK_INT(sj_udp_send(b, "x", 1, SJ_NEVER), 0);
                CHECK_INT(sj_udp_recv(b, bytes, sizeof(bytes), NULL, sj_after(SJ_SEC)),
                          -ECONNREFUSED);
        }
        sj_udp_close(b);
        sj_udp_close(third);
        return 0;
}

static void datagrams_are_whole_and_of_whom_it_is_connected_to(void **state)
{
        (void)state;
        each_quiet_world(edges);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(who_sends_gets_the_answer),
                cmocka_unit_test(datagrams_are_whole_and_of_whom_it_is_connected_to),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
