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

/* ── Unix ────────────────────────────────────────────────────────────────────────────────── */

static const char *a_path(void)
{
        static char path[100];
        snprintf(path, sizeof(path), "%s/sanjab-udp-%d", os_simulated ? "" : "/tmp", os_pid());
        return path;
}

static sj_udp *unix_at(const char *path)
{
        sj_udp *u;
        CHECK_INT(sj_unix_open(path, &u), 0);
        return u;
}

static sj_address unix_address(const char *path)
{
        sj_address a;
        CHECK_INT(sj_address_unix(path, &a), 0);
        return a;
}

struct sender {
        sj_udp *u;
        const sj_address *to;
        size_t n;
};

/* Numbered datagrams, some of them empty behind their number. */
static int send_numbers(void *arg)
{
        struct sender *s = arg;
        for (size_t i = 0; i < s->n; i++) {
                char bytes[300];
                memcpy(bytes, &i, sizeof(i));
                pattern_fill(bytes + sizeof(i), i, sizeof(bytes) - sizeof(i));
                size_t n = sizeof(i) + i % 200;
                int r = s->to ? sj_udp_send_to(s->u, s->to, bytes, n, SJ_NEVER)
                              : sj_udp_send(s->u, bytes, n, SJ_NEVER);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void numbers(const char *path, bool connected)
{
        sj_udp *server = unix_at(path), *client = unix_at(NULL);
        sj_address own, from, to = unix_address(path);
        CHECK_INT(sj_udp_address(client, &own), 0);
        if (connected)
                CHECK_INT(sj_udp_connect(client, &to), 0);
        struct sender sender = {client, connected ? NULL : &to, 60};
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                CHECK_INT(sj_spawn(s, send_numbers, &sender, NULL), 0);
                CHECK_INT(sj_sleep(10 * SJ_MS), 0);
                for (size_t i = 0; i < sender.n; i++) {
                        char bytes[300];
                        size_t number;
                        sj_peer_process p = {0};
                        ssize_t n =
                                i % 2 ? sj_udp_recv(server, bytes, sizeof(bytes), &from, SJ_NEVER)
                                      : sj_udp_recv_process(server, bytes, sizeof(bytes), &from, &p,
                                                            SJ_NEVER);
                        CHECK_INT(n, sizeof(i) + i % 200);
                        memcpy(&number, bytes, sizeof(number));
                        CHECK_INT(number, i);
                        CHECK(pattern_is(bytes + sizeof(i), i, i % 200));
                        CHECK(from.n == own.n && memcmp(&from.storage, &own.storage, own.n) == 0);
                        CHECK(i % 2 || (p.pid == os_pid() && p.user == os_user()));
                }
                CHECK_INT(sj_scope_join(s), 0);
        }
        CHECK_INT(sj_udp_send_to(server, &from, "", 0, SJ_NEVER), 0);
        CHECK_INT(sj_udp_recv(client, &(char){0}, 1, NULL, SJ_NEVER), 0);
        sj_udp_close(client);
        sj_udp_close(server);
}

static int unix_conversations(void *arg)
{
        (void)arg;
        for (unsigned i = 0; i < 4; i++)
                numbers(i % 2 ? abstract_name() : a_path(), i / 2);
        return 0;
}

static void unix_datagrams_come_once_in_order_with_their_senders_process(void **state)
{
        (void)state;
        world_seeds_share = 5;
        each_world(unix_conversations);
        world_seeds_share = 1;
}

static int unix_edges(void *arg)
{
        (void)arg;
        const char *path = a_path();
        sj_address at = unix_address(path), v4;
        sj_peer_process p;
        os_stat st;
        char byte;
        sj_udp *client = unix_at(NULL), *other = unix_at(NULL), *second;
        CHECK_INT(sj_address_parse("127.0.0.1", 9, &v4), 0);
        CHECK_INT(sj_udp_send_to(client, &v4, "x", 1, SJ_NEVER), -EAFNOSUPPORT);
        CHECK_INT(sj_udp_send_to(client, &at, "x", 1, SJ_NEVER), -ENOENT);
        CHECK_INT(sj_udp_connect(client, &at), -ENOENT);
        sj_udp *server = unix_at(path);
        CHECK_INT(os_stat_path(path, true, &st), 0);
        CHECK_INT(sj_unix_open(path, &second), -EADDRINUSE);
        CHECK_INT(sj_unix_open("", &second), -EINVAL);
        CHECK_INT(sj_udp_connect(client, &at), 0);
        CHECK_INT(sj_udp_send(client, "x", 1, SJ_NEVER), 0);
        sj_udp_close(server);
        CHECK_INT(os_stat_path(path, true, &st), -ENOENT);

        /* What a program that was killed has left. */
        int left = os_socket(AF_UNIX, SOCK_DGRAM);
        CHECK_INT(os_bind(left, (void *)&at.storage, at.n), 0);
        os_close(left);
        CHECK_INT(sj_udp_send_to(other, &at, "x", 1, SJ_NEVER), -ECONNREFUSED);
        server = unix_at(path);
        sj_address of_other;
        CHECK_INT(sj_udp_address(other, &of_other), 0);
        CHECK_INT(sj_udp_connect(server, &of_other), 0);
        CHECK_INT(sj_udp_send_to(other, &at, "x", 1, SJ_NEVER), 0);
        sj_udp *third = unix_at(NULL);
        CHECK_INT(sj_udp_send_to(third, &at, "x", 1, SJ_NEVER), -EPERM);
        CHECK_INT(sj_udp_recv(server, &byte, 1, NULL, SJ_NEVER), 1);
        sj_udp_close(third);
        sj_udp_close(server);
        sj_udp_close(client);
        sj_udp_close(other);

        CHECK_INT(sj_udp_open("127.0.0.1", 0, &client), 0);
        CHECK_INT(sj_udp_recv_process(client, &byte, 1, NULL, &p, SJ_POLL), -EOPNOTSUPP);
        sj_udp_close(client);
        return 0;
}

static void a_unix_socket_has_a_file_that_it_takes_over_and_removes(void **state)
{
        (void)state;
        each_quiet_world(unix_edges);
}

static int full(void *arg)
{
        (void)arg;
        sj_udp *server = unix_at(abstract_name()), *client = unix_at(NULL);
        sj_address to = unix_address(abstract_name());
        struct sender sender = {client, &to, 1000000};
        sj_fiber *f;
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                CHECK_INT(sj_spawn(s, send_numbers, &sender, &f), 0);
                CHECK_INT(sj_sleep(20 * SJ_MS), 0);
                CHECK(!sj_fiber_done(f, NULL));
                CHECK_INT(sj_udp_send_to(client, &to, "x", 1, SJ_POLL), -ETIMEDOUT);
                CHECK_INT(sj_udp_send_to(client, &to, "x", 1, sj_after(SJ_MS)), -ETIMEDOUT);
                sj_cancel(f);
                CHECK_INT(sj_join(f, SJ_NEVER), -ECANCELED);
        }
        sj_udp_close(client);
        sj_udp_close(server);
        return 0;
}

static void who_sends_to_a_full_receiver_waits_and_can_be_cancelled(void **state)
{
        (void)state;
        each_quiet_world(full);
}

static int unwanted(void *arg)
{
        (void)arg;
        sj_udp *server = unix_at(abstract_name());
        sj_address to = unix_address(abstract_name());
        sj_peer_process p;
        char bytes[10];
        int fd = os_socket(AF_UNIX, SOCK_DGRAM), many[] = {1, 1, 1};
        const struct iovec part = {(void *)(uintptr_t) "x", 1};
        CHECK_INT(os_connect(fd, (void *)&to.storage, to.n), 0);
        for (size_t i = 0; i < 2; i++)
                CHECK_INT(os_message_send(fd, &part, 1, many, 3), 1);
        /* From a socket without a name. */
        sj_address from = to;
        CHECK_INT(sj_udp_recv(server, bytes, sizeof(bytes), &from, SJ_NEVER), 1);
        CHECK_INT(from.n, 0);
        CHECK_INT(sj_udp_recv_process(server, bytes, sizeof(bytes), NULL, &p, SJ_NEVER), 1);
        os_close(fd);
        sj_udp_close(server);
        return 0;
}

static void descriptors_that_come_with_a_datagram_are_closed(void **state)
{
        (void)state;
        if (!os_simulated)
                each_world(unwanted);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(who_sends_gets_the_answer),
                cmocka_unit_test(datagrams_are_whole_and_of_whom_it_is_connected_to),
                cmocka_unit_test(unix_datagrams_come_once_in_order_with_their_senders_process),
                cmocka_unit_test(a_unix_socket_has_a_file_that_it_takes_over_and_removes),
                cmocka_unit_test(who_sends_to_a_full_receiver_waits_and_can_be_cancelled),
                cmocka_unit_test(descriptors_that_come_with_a_datagram_are_closed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
