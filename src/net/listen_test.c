/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "net/net_test.h"
#include "os/os.h"

#include <fcntl.h>

enum { CLIENTS = 12 };

static const char *socket_path(void)
{
        static char path[80];
        snprintf(path, sizeof(path), "%s/sanjab-%d.sock", os_simulated ? "" : "/tmp", os_pid());
        return path;
}

static void check_text(const sj_address *a, const char *expected)
{
        char text[SJ_ADDRESS_TEXT_MAX];
        CHECK(strcmp(sj_address_text(a, text, sizeof(text)), expected) == 0);
}

/* ── Addresses ───────────────────────────────────────────────────────────────────────────── */

static int addresses(void *arg)
{
        (void)arg;
        sj_listener *l, *second;
        sj_address a, b;
        char text[SJ_ADDRESS_TEXT_MAX];
        CHECK_INT(sj_tcp_listen("localhost", 0, 0, &l), 0);
        uint16_t port = sj_listener_port(l);
        CHECK(port != 0);
        CHECK_INT(sj_listener_address(l, &a), 0);
        snprintf(text, sizeof(text), "127.0.0.1:%u", port);
        check_text(&a, text);
        CHECK_INT(sj_tcp_listen("127.0.0.1", port, 0, &second), -EADDRINUSE);
        CHECK_INT(sj_tcp_listen("no.address", 0, 0, &second), -EINVAL);
        sj_listener_close(l);
        CHECK_INT(sj_tcp_listen("127.0.0.1", port, 0, &l), 0);
        sj_listener_close(l);
        sj_listener_close(NULL);

        sj_stream *ends[2];
        connect_both(LINK_TCP, ends);
        CHECK_INT(sj_stream_local(ends[0], &a), 0);
        CHECK_INT(sj_stream_peer(ends[1], &b), 0);
        CHECK(sj_address_port(&a) != 0 && sj_address_port(&a) == sj_address_port(&b));
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        connect_both(LINK_UNIX, ends);
        CHECK_INT(sj_stream_peer(ends[0], &a), 0);
        snprintf(text, sizeof(text), "unix:%s", abstract_name());
        check_text(&a, text);
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        return 0;
}

static void a_listener_tells_its_address_and_a_taken_port_is_refused(void **state)
{
        (void)state;
        each_world(addresses);
}

static int every_address(void *arg)
{
        (void)arg;
        sj_listener *l;
        sj_stream *s;
        CHECK_INT(sj_tcp_listen(NULL, 0, 0, &l), 0);
        CHECK_INT(sj_tcp_connect("127.0.0.1", sj_listener_port(l), &s, SJ_NEVER), 0);
        sj_stream_close(s);
        sj_listener_close(l);
        return 0;
}

static void without_a_host_it_listens_on_every_address(void **state)
{
        (void)state;
        each_world(every_address);
}

/* ── Unix sockets ────────────────────────────────────────────────────────────────────────── */

static bool exists(const char *path)
{
        os_stat st;
        return os_stat_path(path, true, &st) >= 0;
}

static int unix_files(void *arg)
{
        (void)arg;
        const char *path = socket_path();
        sj_listener *l, *second;
        sj_stream *s;
        CHECK_INT(sj_unix_connect(path, &s, SJ_NEVER), -ENOENT);
        CHECK_INT(sj_unix_listen(path, 0, &l), 0);
        CHECK(exists(path));
        CHECK_INT(sj_listener_port(l), 0);
        CHECK_INT(sj_unix_listen(path, 0, &second), -EADDRINUSE);
        sj_listener_close(l);
        CHECK(!exists(path));

        /* What a program that was killed leaves behind. */
        sj_address address = {0};
        CHECK_INT(sj_unix_listen(path, 0, &l), 0);
        CHECK_INT(sj_listener_address(l, &address), 0);
        sj_listener_close(l);
        int fd = os_socket(AF_UNIX, SOCK_STREAM);
        CHECK_INT(os_bind(fd, (struct sockaddr *)&address.storage, address.n), 0);
        os_close(fd);
        CHECK(exists(path));
        CHECK_INT(sj_unix_connect(path, &s, SJ_NEVER), -ECONNREFUSED);
        CHECK_INT(sj_unix_listen(path, 0, &l), 0);
        CHECK_INT(sj_unix_connect(path, &s, SJ_NEVER), 0);
        sj_stream_close(s);

        /* Another's socket that has taken its place is not the listener's to remove. */
        CHECK_INT(os_unlink(path), 0);
        CHECK_INT(sj_unix_listen(path, 0, &second), 0);
        sj_listener_close(l);
        CHECK(exists(path));
        l = second;

        /* Nor is any other file. */
        CHECK_INT(os_unlink(path), 0);
        os_close(os_open(path, O_CREAT | O_WRONLY, 0600));
        sj_listener_close(l);
        CHECK(exists(path));
        CHECK_INT(sj_unix_listen(path, 0, &l), -EADDRINUSE);
        CHECK(exists(path));
        CHECK_INT(os_unlink(path), 0);
        return 0;
}

static void a_socket_file_is_replaced_when_left_over_and_removed_when_ours(void **state)
{
        (void)state;
        each_world(unix_files);
}

static int connect_and_close(void *arg)
{
        sj_stream *s;
        int r = sj_unix_connect(arg, &s, SJ_NEVER);
        if (r >= 0)
                sj_stream_close(s);
        return r;
}

static int crowded(void *arg)
{
        (void)arg;
        const char *path = abstract_name();
        sj_listener *l;
        sj_stream *s;
        CHECK_INT(sj_unix_listen(path, 1, &l), 0);
        {
                SJ_SCOPE(scope, SJ_NEVER, 0);
                for (size_t i = 0; i < CLIENTS; i++)
                        CHECK_INT(sj_spawn(scope, connect_and_close, (void *)(uintptr_t)path, NULL),
                                  0);
                CHECK_INT(sj_sleep(20 * SJ_MS), 0);
                for (size_t i = 0; i < CLIENTS; i++) {
                        CHECK_INT(sj_accept(l, &s, SJ_NEVER), 0);
                        sj_stream_close(s);
                }
                CHECK_INT(sj_scope_join(scope), 0);
        }
        sj_listener_close(l);
        return 0;
}

static void who_finds_a_unix_sockets_queue_full_waits(void **state)
{
        (void)state;
        each_world(crowded);
}

/* ── Accepting ───────────────────────────────────────────────────────────────────────────── */

static int echo_one(void *arg)
{
        char byte;
        int r = sj_read_exactly(arg, &byte, 1, SJ_NEVER);
        if (r >= 0)
                r = sj_write(arg, &byte, 1, SJ_NEVER);
        sj_stream_close(arg);
        return r;
}

static int serve(void *arg)
{
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (size_t i = 0; i < CLIENTS; i++) {
                sj_stream *stream;
                CHECK_INT(sj_accept(arg, &stream, SJ_NEVER), 0);
                CHECK_INT(sj_spawn(s, echo_one, stream, NULL), 0);
        }
        return sj_scope_join(s);
}

static int be_client(void *arg)
{
        sj_stream *s;
        char byte = 'b';
        CHECK_INT(sj_tcp_connect("127.0.0.1", sj_listener_port(arg), &s, SJ_NEVER), 0);
        CHECK_INT(sj_write(s, &byte, 1, SJ_NEVER), 0);
        CHECK_INT(sj_read_exactly(s, &byte, 1, SJ_NEVER), 0);
        sj_stream_close(s);
        return 0;
}

static int many_clients(void *arg)
{
        (void)arg;
        sj_listener *l;
        CHECK_INT(sj_tcp_listen("127.0.0.1", 0, 0, &l), 0);
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                CHECK_INT(sj_spawn(s, serve, l, NULL), 0);
                for (size_t i = 0; i < CLIENTS; i++)
                        CHECK_INT(sj_spawn(s, be_client, l, NULL), 0);
                CHECK_INT(sj_scope_join(s), 0);
        }
        sj_listener_close(l);
        return 0;
}

static void many_clients_at_once_are_all_served(void **state)
{
        (void)state;
        each_world(many_clients);
}

static void count_line(void *arg, sj_log_level level, const char *text)
{
        (void)level;
        (void)text;
        ++*(size_t *)arg;
}

static int starving(void *arg)
{
        (void)arg;
        sj_listener *l;
        sj_stream *clients[3], *s;
        size_t lines = 0;
        char byte;
        sj_log_set(count_line, &lines, SJ_LOG_WARNING);
        CHECK_INT(sj_tcp_listen("127.0.0.1", 0, 0, &l), 0);
        for (size_t i = 0; i < 3; i++)
                CHECK_INT(sj_tcp_connect("127.0.0.1", sj_listener_port(l), &clients[i], SJ_NEVER),
                          0);
        CHECK_INT(sj_accept(l, &s, SJ_NEVER), 0);
        sj_stream_close(s);
        world_limit_descriptors(0);
        CHECK_INT(sj_accept(l, &s, sj_after(100 * SJ_MS)), -ETIMEDOUT);
        CHECK_INT(lines, 1);
        if (!os_simulated) {
                /* The reserve was given up for them: they know that they are refused. */
                for (size_t i = 1; i < 3; i++)
                        CHECK(sj_read(clients[i], &byte, 1, sj_after(SJ_SEC)) != -ETIMEDOUT);
        }
        world_limit_descriptors(SIZE_MAX);
        for (size_t i = 0; i < 3; i++)
                sj_stream_close(clients[i]);
        CHECK_INT(sj_tcp_connect("127.0.0.1", sj_listener_port(l), &clients[0], SJ_NEVER), 0);
        CHECK_INT(sj_accept(l, &s, SJ_NEVER), 0);
        CHECK_INT(lines, 2);
        sj_stream_close(s);
        sj_stream_close(clients[0]);
        sj_listener_close(l);
        sj_log_set(NULL, NULL, SJ_LOG_OFF);
        return 0;
}

static void a_listener_survives_a_lack_of_descriptors(void **state)
{
        (void)state;
        each_world(starving);
}

static int cancelled_while_starving_fiber(void *arg)
{
        sj_stream *s;
        return sj_accept(arg, &s, SJ_NEVER);
}

static int cancelled_while_starving(void *arg)
{
        (void)arg;
        sj_listener *l;
        sj_stream *client;
        sj_fiber *f;
        CHECK_INT(sj_tcp_listen("127.0.0.1", 0, 0, &l), 0);
        CHECK_INT(sj_tcp_connect("127.0.0.1", sj_listener_port(l), &client, SJ_NEVER), 0);
        world_limit_descriptors(0);
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                CHECK_INT(sj_spawn(s, cancelled_while_starving_fiber, l, &f), 0);
                CHECK_INT(sj_sleep(30 * SJ_MS), 0);
                sj_cancel(f);
                CHECK_INT(sj_join(f, SJ_NEVER), -ECANCELED);
        }
        world_limit_descriptors(SIZE_MAX);
        sj_stream_close(client);
        sj_listener_close(l);
        return 0;
}

static void accepting_can_be_cancelled_while_it_pauses(void **state)
{
        (void)state;
        each_world(cancelled_while_starving);
}

static int peer_process(void *arg)
{
        (void)arg;
        for (link_kind kind = LINK_PAIR; kind < LINK_KINDS; kind++) {
                sj_stream *ends[2];
                connect_both(kind, ends);
                for (size_t i = 0; i < 2; i++) {
                        sj_peer_process p = {0};
                        CHECK_INT(sj_stream_peer_process(ends[i], &p),
                                  kind == LINK_TCP ? -EOPNOTSUPP : 0);
                        CHECK_INT(p.pid, kind == LINK_TCP ? 0 : os_pid());
                        CHECK_INT(p.user, kind == LINK_TCP ? 0 : os_user());
                        sj_stream_close(ends[i]);
                }
        }
        return 0;
}

static void a_unix_stream_tells_whose_its_other_end_is(void **state)
{
        (void)state;
        once_in_each_world(peer_process);
}

/* ── Connecting to one of several ────────────────────────────────────────────────────────── */

static int several(void *arg)
{
        (void)arg;
        sj_listener *l, *closed;
        sj_address a[3], peer;
        sj_stream *s;
        CHECK_INT(sj_tcp_listen("127.0.0.1", 0, 0, &closed), 0);
        uint16_t nobody = sj_listener_port(closed);
        sj_listener_close(closed);
        CHECK_INT(sj_tcp_listen("127.0.0.1", 0, 0, &l), 0);
        CHECK_INT(sj_address_parse("127.0.0.1", nobody, &a[0]), 0);
        CHECK_INT(sj_address_parse("::1", nobody, &a[1]), 0);
        CHECK_INT(sj_listener_address(l, &a[2]), 0);
        CHECK_INT(sj_tcp_connect_any(a, 0, &s, SJ_NEVER), -EINVAL);
        CHECK_INT(sj_tcp_connect_any(a, 1, &s, SJ_NEVER), -ECONNREFUSED);
        CHECK_INT(sj_tcp_connect_any(a, 2, &s, SJ_NEVER), -ECONNREFUSED);
        CHECK_INT(sj_tcp_connect_any(a, 3, &s, SJ_NEVER), 0);
        CHECK_INT(sj_stream_peer(s, &peer), 0);
        CHECK_INT(sj_address_port(&peer), sj_listener_port(l));
        sj_stream_close(s);
        if (os_simulated) {
                /* One that never answers holds up the next by a quarter of a second. */
                CHECK_INT(sj_address_parse("192.0.2.1", 80, &a[0]), 0);
                CHECK_INT(sj_address_parse("192.0.2.2", 80, &a[1]), 0);
                sj_time before = sj_now();
                CHECK_INT(sj_tcp_connect_any(a, 3, &s, SJ_NEVER), 0);
                CHECK(sj_now() - before >= 500 * SJ_MS);
                CHECK(sj_now() - before < 900 * SJ_MS);
                sj_stream_close(s);
                CHECK_INT(sj_tcp_connect_any(a, 2, &s, SJ_NEVER), -EHOSTDOWN);
                /* The error is that of the first address, not of the first failure. */
                CHECK_INT(sj_address_parse("127.0.0.1", nobody, &a[1]), 0);
                CHECK_INT(sj_tcp_connect_any(a, 2, &s, SJ_NEVER), -EHOSTDOWN);
                CHECK_INT(sj_address_parse("192.0.2.2", 80, &a[1]), 0);
                before = sj_now();
                CHECK_INT(sj_tcp_connect_any(a, 2, &s, sj_after(SJ_SEC)), -ETIMEDOUT);
                CHECK(sj_now() - before >= SJ_SEC);
                CHECK_INT(sj_tcp_connect_any(a, 2, &s, SJ_POLL), -ETIMEDOUT);
        }
        sj_listener_close(l);
        return 0;
}

static void of_several_addresses_the_first_that_answers_is_taken(void **state)
{
        (void)state;
        each_quiet_world(several);
}

static int rough_connects(void *arg)
{
        (void)arg;
        sj_listener *l;
        CHECK_INT(sj_tcp_listen("127.0.0.1", 0, 0, &l), 0);
        for (size_t i = 0; i < 5; i++) {
                sj_address a[4];
                sj_stream *s;
                for (size_t k = 0; k < 4; k++)
                        CHECK_INT(sj_listener_address(l, &a[k]), 0);
                int r = sj_tcp_connect_any(a, 4, &s, sj_after(SJ_SEC));
                CHECK(r >= 0 || r == -ETIMEDOUT || r == -ECONNREFUSED || r == -ECONNRESET ||
                      r == -EHOSTDOWN);
                if (r >= 0)
                        sj_stream_close(s);
        }
        sj_listener_close(l);
        return 0;
}

static void no_attempt_is_left_behind_when_connections_fail(void **state)
{
        (void)state;
        each_rough_world(rough_connects);
}

/* ── Several on one port ─────────────────────────────────────────────────────────────────── */

enum { SHARERS = 2, GUESTS = 20 };

static int accept_for_ever(void *arg)
{
        for (;;) {
                sj_stream *s;
                int r = sj_accept(arg, &s, SJ_NEVER);
                if (r < 0)
                        return r;
                CHECK_INT(sj_write(s, "x", 1, SJ_NEVER), 0);
                sj_stream_close(s);
        }
}

static int share_a_port(void *arg)
{
        (void)arg;
        sj_listener *l[SHARERS], *other, *third;
        CHECK_INT(sj_tcp_listen_shared("127.0.0.1", 0, 0, &l[0]), 0);
        uint16_t port = sj_listener_port(l[0]);
        CHECK_INT(sj_tcp_listen_shared("127.0.0.1", port, 0, &l[1]), 0);
        CHECK_INT(sj_tcp_listen("127.0.0.1", port, 0, &other), -EADDRINUSE);
        CHECK_INT(sj_tcp_listen("127.0.0.1", 0, 0, &other), 0);
        CHECK_INT(sj_tcp_listen_shared("127.0.0.1", sj_listener_port(other), 0, &third),
                  -EADDRINUSE);
        sj_listener_close(other);
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                for (int i = 0; i < SHARERS; i++)
                        CHECK_INT(sj_spawn(s, accept_for_ever, l[i], NULL), 0);
                for (int i = 0; i < GUESTS; i++) {
                        sj_stream *guest;
                        char byte = 0;
                        CHECK_INT(sj_tcp_connect("127.0.0.1", port, &guest, SJ_NEVER), 0);
                        CHECK_INT(sj_read_exactly(guest, &byte, 1, SJ_NEVER), 0);
                        CHECK_INT(byte, 'x');
                        sj_stream_close(guest);
                }
        }
        for (int i = 0; i < SHARERS; i++)
                sj_listener_close(l[i]);
        return 0;
}

static void several_listeners_share_a_port_when_all_of_them_say_so(void **state)
{
        (void)state;
        each_world(share_a_port);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_listener_tells_its_address_and_a_taken_port_is_refused),
                cmocka_unit_test(without_a_host_it_listens_on_every_address),
                cmocka_unit_test(a_socket_file_is_replaced_when_left_over_and_removed_when_ours),
                cmocka_unit_test(who_finds_a_unix_sockets_queue_full_waits),
                cmocka_unit_test(many_clients_at_once_are_all_served),
                cmocka_unit_test(a_listener_survives_a_lack_of_descriptors),
                cmocka_unit_test(accepting_can_be_cancelled_while_it_pauses),
                cmocka_unit_test(a_unix_stream_tells_whose_its_other_end_is),
                cmocka_unit_test(of_several_addresses_the_first_that_answers_is_taken),
                cmocka_unit_test(no_attempt_is_left_behind_when_connections_fail),
                cmocka_unit_test(several_listeners_share_a_port_when_all_of_them_say_so),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
