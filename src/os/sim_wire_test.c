/* SPDX-License-Identifier: MIT */
/*
 * The simulated network: what was sent arrives in order and whole, however it is cut and delayed;
 * what breaks is heard of as it would be in life; and one seed is one run.
 */
#include "base/unit.h"
#include "os/os.h"
#include "os/sim.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

enum { AMOUNT = 20000, AT_ONCE = 3000, EVENTS = 4, SEEDS = 500 };

static os_poller *poller;

/* How many seeds a test over many of them runs: the nightly run asks for more. */
static uint64_t seeds(void)
{
        const char *text = getenv("SANJAB_SEEDS");
        return text ? strtoull(text, NULL, 10) : SEEDS;
}

static void begin(uint64_t seed, const sim_options *options)
{
        sim_begin(seed, options);
        assert_int_equal(os_poller_new(&poller), 0);
}

static void end(void)
{
        os_poller_free(poller);
        assert_int_equal(sim_count().closed_watched, 0);
        assert_int_equal(sim_end(), 0);
}

static void close_watched(int fd)
{
        os_poller_forget(poller, fd);
        os_close(fd);
}

static struct sockaddr_in v4(const char *host, uint16_t port)
{
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
        assert_int_equal(inet_pton(AF_INET, host, &a.sin_addr), 1);
        return a;
}

static int listen_at(const struct sockaddr *address, socklen_t n, int backlog)
{
        int fd = os_socket(address->sa_family, SOCK_STREAM);
        assert_true(fd >= 0);
        assert_int_equal(os_bind(fd, address, n), 0);
        assert_int_equal(os_listen(fd, backlog), 0);
        return fd;
}

/* Waits until fd is ready for that, at most until the deadline. */
static bool becomes(int fd, unsigned ready, sj_time deadline)
{
        os_event e;
        assert_int_equal(os_poller_arm(poller, fd, ready, NULL), 0);
        int n = os_poller_wait(poller, &e, 1, deadline);
        os_poller_forget(poller, fd);
        return n == 1;
}

static int connect_to(const struct sockaddr_in *to, int *ret_error)
{
        int fd = os_socket(AF_INET, SOCK_STREAM);
        assert_true(fd >= 0);
        assert_int_equal(os_connect(fd, (const struct sockaddr *)to, sizeof(*to)), -EINPROGRESS);
        assert_true(becomes(fd, OS_WRITABLE, SJ_NEVER));
        *ret_error = os_connect_result(fd);
        return fd;
}

/* A connection over the network; its two ends. */
static void connection(int *ret_client, int *ret_server)
{
        struct sockaddr_in at = v4("10.0.0.1", 80);
        int error, listener = listen_at((struct sockaddr *)&at, sizeof(at), 5);
        *ret_client = connect_to(&at, &error);
        assert_int_equal(error, 0);
        *ret_server = os_accept(listener, NULL);
        assert_true(*ret_server >= 0);
        os_close(listener);
}

/* ── A stream under mischief ─────────────────────────────────────────────────────────────── */

typedef struct flow {
        int fd;
        size_t sent;
        size_t received;
        ssize_t failure; /* the first error, or 0 */
        bool ended;      /* the peer's end has come */
} flow;

/* What each side sends: no two places look alike. */
static unsigned char pattern[AMOUNT];

static int make_pattern(void **state)
{
        (void)state;
        for (size_t i = 0; i < AMOUNT; i++)
                pattern[i] = (unsigned char)(i * 31 + i / 251);
        return 0;
}

/* Sends and receives as far as it goes, as an edge-triggered program must. */
static void push(flow *f)
{
        while (!f->failure && f->sent < AMOUNT) {
                size_t n = AMOUNT - f->sent < AT_ONCE ? AMOUNT - f->sent : AT_ONCE;
                ssize_t put = os_send(f->fd, pattern + f->sent, n);
                if (put == -EAGAIN)
                        break;
                if (put < 0)
                        f->failure = put;
                else if ((f->sent += (size_t)put) == AMOUNT)
                        os_shutdown(f->fd, SHUT_WR);
        }
}

static void pull(flow *f)
{
        unsigned char data[1000];
        while (!f->failure && !f->ended) {
                ssize_t got = os_recv(f->fd, data, sizeof(data));
                if (got == -EAGAIN)
                        break;
                if (got < 0)
                        f->failure = got;
                f->ended = got == 0;
                if (got > 0) {
                        assert_true(f->received + (size_t)got <= AMOUNT);
                        assert_memory_equal(data, pattern + f->received, (size_t)got);
                        f->received += (size_t)got;
                }
                /* A short count means that no more is there now. */
                if (got > 0 && got < (ssize_t)sizeof(data))
                        break;
        }
}

static void push_and_pull(flow *f)
{
        push(f);
        pull(f);
}

/* Both ends send AMOUNT to each other until both are through, one fails, or time is up. */
static void exchange(flow *a, flow *b)
{
        os_event events[EVENTS];
        sj_time deadline = os_now() + 2 * SJ_HOUR;
        assert_int_equal(os_poller_watch(poller, a->fd, a), 0);
        assert_int_equal(os_poller_watch(poller, b->fd, b), 0);
        push_and_pull(a);
        push_and_pull(b);
        while (!(a->ended && b->ended && a->sent == AMOUNT && b->sent == AMOUNT) && !a->failure &&
               !b->failure) {
                int n = os_poller_wait(poller, events, EVENTS, deadline);
                if (n == 0)
                        break;
                for (int i = 0; i < n; i++)
                        push_and_pull(events[i].token);
        }
        close_watched(a->fd);
        close_watched(b->fd);
}

/* Two ends of a connection that was made under the options; -1 when it was refused. */
static int rough_connection(int ret[2])
{
        struct sockaddr_in at = v4("127.0.0.1", 8080);
        int error, listener = listen_at((struct sockaddr *)&at, sizeof(at), 5);
        ret[0] = connect_to(&at, &error);
        ret[1] = error ? -1 : os_accept(listener, NULL);
        os_close(listener);
        if (ret[1] < 0)
                os_close(ret[0]);
        return ret[1];
}

/* The trace hash of one seed's exchange. */
static uint64_t run(uint64_t seed, const sim_options *options, flow ret[2])
{
        int fds[2];
        begin(seed, options);
        ret[0] = ret[1] = (flow){0};
        if (rough_connection(fds) < 0) {
                ret[0].failure = -ECONNREFUSED;
        } else {
                ret[0].fd = fds[0];
                ret[1].fd = fds[1];
                exchange(&ret[0], &ret[1]);
        }
        uint64_t hash = sim_trace_hash();
        end();
        return hash;
}

static void slow_stream_arrives_whole(void **state)
{
        (void)state;
        for (uint64_t seed = 0; seed < seeds(); seed++) {
                flow f[2];
                run(seed, &sim_slow, f);
                if (f[0].received != AMOUNT || f[1].received != AMOUNT || f[0].failure)
                        fail_msg("seed %zu: %zu and %zu of %d bytes, error %zd", (size_t)seed,
                                 f[0].received, f[1].received, AMOUNT, f[0].failure);
        }
}

static void broken_stream_is_a_first_part_and_an_error(void **state)
{
        (void)state;
        unsigned whole = 0, reset = 0, silent = 0, refused = 0;
        sim_options options = sim_rough;
        options.silence = 300;
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
                flow f[2];
                run(seed, &options, f);
                ssize_t failure = f[0].failure ? f[0].failure : f[1].failure;
                whole += f[0].received == AMOUNT && f[1].received == AMOUNT;
                reset += failure == -ECONNRESET || failure == -EPIPE;
                silent += failure == -ETIMEDOUT;
                refused += failure == -ECONNREFUSED;
        }
        assert_true(whole > 0);
        assert_true(reset > 0);
        assert_true(silent > 0);
        assert_true(refused > 0);
}

static void one_seed_is_one_run(void **state)
{
        (void)state;
        uint64_t last = 0;
        for (uint64_t seed = 0; seed < seeds() / 6; seed++) {
                flow f[2];
                uint64_t hash = run(seed, &sim_rough, f);
                assert_true(hash == run(seed, &sim_rough, f));
                assert_true(hash != last);
                last = hash;
        }
}

/* ── Breaking ────────────────────────────────────────────────────────────────────────────── */

static void reset_is_heard_by_both(void **state)
{
        (void)state;
        int a, b;
        char byte;
        begin(1, NULL);
        connection(&a, &b);
        sim_change(&(sim_options){.reset = 1});
        assert_int_equal(os_send(a, "x", 1), 1);
        assert_true(becomes(b, OS_READABLE, SJ_NEVER));
        assert_int_equal(os_recv(b, &byte, 1), -ECONNRESET);
        assert_int_equal(os_recv(b, &byte, 1), 0);
        assert_true(becomes(a, OS_READABLE, SJ_NEVER));
        assert_int_equal(os_send(a, "x", 1), -ECONNRESET);
        assert_int_equal(os_send(a, "x", 1), -EPIPE);
        assert_int_equal(sim_count().broken, 1);
        os_close(a);
        os_close(b);
        end();
}

static void silence_is_heard_by_the_sender_alone_and_late(void **state)
{
        (void)state;
        int a, b;
        char byte;
        begin(1, NULL);
        connection(&a, &b);
        sim_change(&(sim_options){.silence = 1});
        sj_time start = os_now();
        assert_int_equal(os_send(a, "x", 1), 1);
        assert_true(becomes(a, OS_READABLE, SJ_NEVER));
        assert_int_equal(os_recv(a, &byte, 1), -ETIMEDOUT);
        assert_true(os_now() >= start + 10 * SJ_MIN);
        assert_false(becomes(b, OS_READABLE, os_now() + 24 * SJ_HOUR));
        os_close(a);
        os_close(b);
        end();
}

static void unread_bytes_at_close_reset_the_sender(void **state)
{
        (void)state;
        int a, b;
        char byte;
        begin(1, NULL);
        connection(&a, &b);
        assert_int_equal(os_send(a, "x", 1), 1);
        assert_true(becomes(b, OS_READABLE, SJ_NEVER));
        os_close(b);
        assert_true(becomes(a, OS_READABLE, SJ_NEVER));
        assert_int_equal(os_recv(a, &byte, 1), -ECONNRESET);
        os_close(a);
        end();
}

static void slow_reader_stops_its_sender(void **state)
{
        (void)state;
        int a, b;
        char data[4096] = {0};
        size_t sent = 0;
        ssize_t n;
        begin(1, &(sim_options){.buffer = 10000});
        connection(&a, &b);
        while ((n = os_send(a, data, sizeof(data))) > 0)
                sent += (size_t)n;
        assert_int_equal(n, -EAGAIN);
        assert_int_equal(sent, 10000);
        assert_false(becomes(a, OS_WRITABLE, os_now() + SJ_MIN));
        while (os_recv(b, data, sizeof(data)) > 0)
                continue;
        assert_true(becomes(a, OS_WRITABLE, SJ_POLL));
        os_close(a);
        os_close(b);
        end();
}

/* ── Names ───────────────────────────────────────────────────────────────────────────────── */

static void void_network_times_out(void **state)
{
        (void)state;
        int error;
        begin(1, NULL);
        sj_time start = os_now();
        struct sockaddr_in nowhere = v4("192.0.2.7", 80);
        os_close(connect_to(&nowhere, &error));
        assert_int_equal(error, -ETIMEDOUT);
        assert_true(os_now() >= start + 127 * SJ_SEC);
        end();
}

static void full_backlog_delays_and_does_not_refuse(void **state)
{
        (void)state;
        struct sockaddr_in at = v4("127.0.0.1", 80);
        int first, error;
        begin(1, NULL);
        int listener = listen_at((struct sockaddr *)&at, sizeof(at), 0);
        first = connect_to(&at, &error);
        assert_int_equal(error, 0);
        int second = os_socket(AF_INET, SOCK_STREAM);
        assert_int_equal(os_connect(second, (struct sockaddr *)&at, sizeof(at)), -EINPROGRESS);
        assert_false(becomes(second, OS_WRITABLE, os_now() + 5 * SJ_SEC));
        os_close(os_accept(listener, NULL));
        assert_true(becomes(second, OS_WRITABLE, os_now() + 5 * SJ_SEC));
        assert_int_equal(os_connect_result(second), 0);
        os_close(first);
        os_close(second);
        os_close(listener);
        end();
}

static void closing_a_listener_resets_who_waits_in_it(void **state)
{
        (void)state;
        struct sockaddr_in at = v4("127.0.0.1", 80);
        int error;
        char byte;
        begin(1, NULL);
        int listener = listen_at((struct sockaddr *)&at, sizeof(at), 5);
        int client = connect_to(&at, &error);
        assert_int_equal(error, 0);
        os_close(listener);
        assert_true(becomes(client, OS_READABLE, SJ_NEVER));
        assert_int_equal(os_recv(client, &byte, 1), -ECONNRESET);
        os_close(client);
        end();
}

static void wildcard_is_reached_by_every_address_of_both_families(void **state)
{
        (void)state;
        struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
        struct sockaddr_in to = v4("10.1.2.3", 80);
        struct sockaddr_storage from;
        char text[64];
        int error;
        begin(1, NULL);
        int listener = listen_at((struct sockaddr *)&any, sizeof(any), 5);
        int client = connect_to(&to, &error);
        assert_int_equal(error, 0);
        int server = os_accept(listener, &from);
        assert_true(server >= 0);
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&from)->sin6_addr, text, sizeof(text));
        assert_string_equal(text, "::ffff:10.1.2.3");
        assert_int_equal(os_set_option(listener, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
        os_close(connect_to(&to, &error));
        assert_int_equal(error, -ECONNREFUSED);
        os_close(client);
        os_close(server);
        os_close(listener);
        end();
}

static void port_in_use_is_refused_unless_both_share_it(void **state)
{
        (void)state;
        struct sockaddr_in at = v4("127.0.0.1", 80);
        begin(1, NULL);
        int a = os_socket(AF_INET, SOCK_STREAM), b = os_socket(AF_INET, SOCK_STREAM);
        assert_int_equal(os_bind(a, (struct sockaddr *)&at, sizeof(at)), 0);
        assert_int_equal(os_bind(b, (struct sockaddr *)&at, sizeof(at)), -EADDRINUSE);
        os_set_option(a, SOL_SOCKET, SO_REUSEPORT, 1);
        os_set_option(b, SOL_SOCKET, SO_REUSEPORT, 1);
        assert_int_equal(os_bind(b, (struct sockaddr *)&at, sizeof(at)), 0);
        os_close(a);
        os_close(b);
        end();
}

static void unix_socket_has_a_name_in_a_folder(void **state)
{
        (void)state;
        struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "/run/s"};
        begin(1, NULL);
        int client = os_socket(AF_UNIX, SOCK_STREAM);
        assert_int_equal(os_connect(client, (struct sockaddr *)&at, sizeof(at)), -ENOENT);
        int listener = listen_at((struct sockaddr *)&at, sizeof(at), 5);
        socklen_t exact = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 7);
        assert_int_equal(os_connect(client, (struct sockaddr *)&at, exact), 0);
        int server = os_accept(listener, NULL);
        assert_int_equal(os_send(client, "hi", 2), 2);
        char got[4];
        assert_int_equal(os_recv(server, got, sizeof(got)), 2);
        os_close(listener);
        os_close(client);
        os_close(server);
        /* The name stays behind, as in life. */
        client = os_socket(AF_UNIX, SOCK_STREAM);
        assert_int_equal(os_connect(client, (struct sockaddr *)&at, sizeof(at)), -ECONNREFUSED);
        assert_int_equal(os_bind(client, (struct sockaddr *)&at, sizeof(at)), -EADDRINUSE);
        assert_int_equal(os_unlink("/run/s"), 0);
        assert_int_equal(os_bind(client, (struct sockaddr *)&at, sizeof(at)), 0);
        os_close(client);
        assert_int_equal(os_unlink("/run/s"), 0);
        end();
}

static void datagrams_arrive_whole_or_not_at_all(void **state)
{
        (void)state;
        struct sockaddr_in a_name = v4("10.0.0.1", 53), b_name = v4("10.0.0.2", 5353);
        unsigned came = 0;
        begin(1, &(sim_options){.loss = 4, .delay_most = 10 * SJ_MS});
        int a = os_socket(AF_INET, SOCK_DGRAM), b = os_socket(AF_INET, SOCK_DGRAM);
        assert_int_equal(os_bind(a, (struct sockaddr *)&a_name, sizeof(a_name)), 0);
        assert_int_equal(os_bind(b, (struct sockaddr *)&b_name, sizeof(b_name)), 0);
        assert_int_equal(os_send(a, "x", 1), -EDESTADDRREQ);
        assert_int_equal(os_connect(a, (struct sockaddr *)&b_name, sizeof(b_name)), 0);
        assert_int_equal(os_connect(b, (struct sockaddr *)&a_name, sizeof(a_name)), 0);
        for (char i = 0; i < 100; i++)
                assert_int_equal(os_send(a, (char[]){i, i, i}, 3), 3);
        char got[8];
        int last = -1;
        bool out_of_order = false;
        while (becomes(b, OS_READABLE, os_now() + SJ_SEC)) {
                assert_int_equal(os_recv(b, got, sizeof(got)), 3);
                out_of_order |= got[0] < last;
                last = got[0];
                came++;
        }
        assert_in_range(came, 50, 95);
        assert_true(out_of_order);
        os_close(a);
        os_close(b);
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(slow_stream_arrives_whole),
                cmocka_unit_test(broken_stream_is_a_first_part_and_an_error),
                cmocka_unit_test(one_seed_is_one_run),
                cmocka_unit_test(reset_is_heard_by_both),
                cmocka_unit_test(silence_is_heard_by_the_sender_alone_and_late),
                cmocka_unit_test(unread_bytes_at_close_reset_the_sender),
                cmocka_unit_test(slow_reader_stops_its_sender),
                cmocka_unit_test(void_network_times_out),
                cmocka_unit_test(full_backlog_delays_and_does_not_refuse),
                cmocka_unit_test(closing_a_listener_resets_who_waits_in_it),
                cmocka_unit_test(wildcard_is_reached_by_every_address_of_both_families),
                cmocka_unit_test(port_in_use_is_refused_unless_both_share_it),
                cmocka_unit_test(unix_socket_has_a_name_in_a_folder),
                cmocka_unit_test(datagrams_arrive_whole_or_not_at_all),
        };
        return cmocka_run_group_tests(tests, make_pattern, NULL);
}
