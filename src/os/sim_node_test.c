/* SPDX-License-Identifier: MIT */
/*
 * What a test does to the simulated network and clock by plain calls: cuts between nodes that heal
 * or do not, connections that break at a byte, clocks that are set, and a stroke at any call.
 */
#include "base/unit.h"
#include "os/os.h"
#include "os/sim.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#define SERVER "10.0.0.1"
#define CLIENT "10.0.0.2"

static os_poller *poller;

static void begin(uint64_t seed)
{
        sim_begin(seed, NULL);
        assert_int_equal(os_poller_new(&poller), 0);
}

static void end(void)
{
        os_poller_free(poller);
        assert_int_equal(sim_end(), 0);
}

static bool becomes(int fd, unsigned ready, sj_time deadline)
{
        os_event e;
        assert_int_equal(os_poller_arm(poller, fd, ready, NULL), 0);
        int n = os_poller_wait(poller, &e, 1, deadline);
        os_poller_forget(poller, fd);
        return n == 1;
}

static struct sockaddr_in v4(const char *host, uint16_t port)
{
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
        assert_int_equal(inet_pton(AF_INET, host, &a.sin_addr), 1);
        return a;
}

static int listen_at(const char *host)
{
        struct sockaddr_in at = v4(host, 80);
        int fd = os_socket(AF_INET, SOCK_STREAM);
        assert_int_equal(os_bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
        assert_int_equal(os_listen(fd, 5), 0);
        return fd;
}

static int start_connect(const char *host)
{
        struct sockaddr_in at = v4(host, 80);
        int fd = os_socket(AF_INET, SOCK_STREAM);
        assert_int_equal(os_connect(fd, (struct sockaddr *)&at, sizeof(at)), -EINPROGRESS);
        return fd;
}

/* A connection from CLIENT to SERVER. */
static void connection(int *ret_client, int *ret_server)
{
        int listener = listen_at(SERVER);
        sim_host(CLIENT);
        *ret_client = start_connect(SERVER);
        assert_true(becomes(*ret_client, OS_WRITABLE, SJ_NEVER));
        assert_int_equal(os_connect_result(*ret_client), 0);
        *ret_server = os_accept(listener, NULL);
        assert_true(*ret_server >= 0);
        os_close(listener);
}

static void close_both(int a, int b)
{
        os_close(a);
        os_close(b);
}

static void expect_bytes(int fd, const char *text)
{
        char got[64];
        size_t n = 0, want = strlen(text);
        while (n < want) {
                assert_true(becomes(fd, OS_READABLE, os_now() + SJ_MIN));
                ssize_t r = os_recv(fd, got + n, sizeof(got) - n);
                assert_true(r > 0);
                n += (size_t)r;
        }
        assert_int_equal(n, want);
        assert_memory_equal(got, text, n);
}

/* ── Cuts ────────────────────────────────────────────────────────────────────────────────── */

static void who_connects_is_at_the_host_that_was_said(void **state)
{
        (void)state;
        int a, b;
        struct sockaddr_storage name;
        begin(1);
        connection(&a, &b);
        assert_int_equal(os_peer_name(b, &name), 0);
        struct sockaddr_in want = v4(CLIENT, 0);
        assert_int_equal(((struct sockaddr_in *)&name)->sin_addr.s_addr, want.sin_addr.s_addr);
        sim_host(NULL);
        close_both(a, b);
        end();
}

static void what_was_sent_across_a_cut_arrives_in_order_when_it_is_mended(void **state)
{
        (void)state;
        for (uint64_t seed = 0; seed < 100; seed++) {
                int a, b;
                begin(seed);
                connection(&a, &b);
                sim_cut(CLIENT, SERVER);
                for (const char *p = "abcd"; *p; p++)
                        assert_int_equal(os_send(a, p, 1), 1);
                assert_false(becomes(b, OS_READABLE, os_now() + (sj_time)sim_draw(5 * SJ_SEC)));
                /* The other way is open. */
                assert_int_equal(os_send(b, "back", 4), 4);
                expect_bytes(a, "back");
                sim_mend(CLIENT, SERVER);
                for (const char *p = "efgh"; *p; p++)
                        assert_int_equal(os_send(a, p, 1), 1);
                expect_bytes(b, "abcdefgh");
                close_both(a, b);
                end();
        }
}

static void a_cut_that_stays_is_a_timeout_for_the_sender_alone(void **state)
{
        (void)state;
        int a, b;
        char byte;
        begin(1);
        connection(&a, &b);
        sim_cut(NULL, SERVER);
        sj_time start = os_now();
        assert_int_equal(os_send(a, "x", 1), 1);
        assert_true(becomes(a, OS_READABLE, SJ_NEVER));
        assert_int_equal(os_recv(a, &byte, 1), -ETIMEDOUT);
        assert_true(os_now() >= start + 10 * SJ_MIN && os_now() < start + 20 * SJ_MIN);
        assert_false(becomes(b, OS_READABLE, os_now() + SJ_HOUR));
        close_both(a, b);
        end();
}

static void a_cut_between_two_leaves_the_third_alone(void **state)
{
        (void)state;
        int a, b, c, d;
        begin(1);
        connection(&a, &b);
        int listener = listen_at("10.0.0.3");
        c = start_connect("10.0.0.3");
        assert_true(becomes(c, OS_WRITABLE, SJ_NEVER));
        d = os_accept(listener, NULL);
        assert_true(d >= 0);
        sim_cut(SERVER, CLIENT);
        sim_cut(CLIENT, SERVER);
        assert_int_equal(os_send(a, "x", 1), 1);
        assert_int_equal(os_send(c, "y", 1), 1);
        expect_bytes(d, "y");
        assert_false(becomes(b, OS_READABLE, os_now() + SJ_MIN));
        sim_mend(NULL, NULL);
        expect_bytes(b, "x");
        close_both(a, b);
        close_both(c, d);
        os_close(listener);
        end();
}

static void connecting_needs_both_ways(void **state)
{
        (void)state;
        begin(1);
        sim_host(CLIENT);
        int listener = listen_at(SERVER);
        sim_cut(SERVER, CLIENT);
        int a = start_connect(SERVER);
        assert_false(becomes(a, OS_WRITABLE, os_now() + 10 * SJ_SEC));
        sim_mend(SERVER, CLIENT);
        assert_true(becomes(a, OS_WRITABLE, os_now() + 2 * SJ_SEC));
        assert_int_equal(os_connect_result(a), 0);
        sim_cut(CLIENT, NULL);
        int b = start_connect(SERVER);
        assert_true(becomes(b, OS_WRITABLE, os_now() + SJ_HOUR));
        assert_int_equal(os_connect_result(b), -ETIMEDOUT);
        close_both(a, b);
        os_close(listener);
        end();
}

static void a_connection_that_ends_across_a_cut_leaves_nothing(void **state)
{
        (void)state;
        int a, b;
        begin(1);
        connection(&a, &b);
        sim_cut(CLIENT, SERVER);
        assert_int_equal(os_send(a, "x", 1), 1);
        assert_false(becomes(b, OS_READABLE, os_now() + 3 * SJ_SEC));
        close_both(a, b);
        end(); /* with a segment held: a leak would be the sanitizer's to find */
}

/* ── Breaking ────────────────────────────────────────────────────────────────────────────── */

static void a_reset_is_heard_by_both_ends(void **state)
{
        (void)state;
        int a, b;
        char byte;
        begin(1);
        connection(&a, &b);
        sim_reset(a);
        assert_true(becomes(a, OS_READABLE, SJ_NEVER));
        assert_int_equal(os_recv(a, &byte, 1), -ECONNRESET);
        assert_true(becomes(b, OS_READABLE, SJ_NEVER));
        assert_int_equal(os_recv(b, &byte, 1), -ECONNRESET);
        close_both(a, b);
        end();
}

static void a_half_open_connection_says_nothing_even_of_its_end(void **state)
{
        (void)state;
        int a, b;
        begin(1);
        connection(&a, &b);
        sim_silence(b);
        os_close(a);
        assert_false(becomes(b, OS_READABLE, os_now() + 24 * SJ_HOUR));
        os_close(b);
        end();
}

static void a_reset_comes_after_exactly_so_many_bytes(void **state)
{
        (void)state;
        for (size_t n = 0; n <= 6; n++) {
                int a, b;
                char got[8];
                size_t came = 0;
                ssize_t r = 0;
                begin(n + 1);
                connection(&a, &b);
                sim_reset_after_bytes(n);
                assert_int_equal(os_send(a, "abc", 3), 3);
                if (n >= 3)
                        assert_int_equal(os_send(a, "def", 3), 3);
                while (becomes(b, OS_READABLE, os_now() + SJ_SEC) &&
                       (r = os_recv(b, got + came, sizeof(got) - came)) > 0)
                        came += (size_t)r;
                assert_int_equal(came, n);
                assert_memory_equal(got, "abcdef", n);
                assert_int_equal(r, n < 6 ? -ECONNRESET : 3);
                close_both(a, b);
                end();
        }
}

/* ── The clock and the stroke ────────────────────────────────────────────────────────────── */

static void the_wall_clock_may_be_set_back_and_the_other_does_not_hear(void **state)
{
        (void)state;
        begin(1);
        sj_time now = os_now();
        sj_wall before = os_wall();
        sim_set_wall((sj_wall){before.us - 3600000000});
        assert_int_equal(os_wall().us, before.us - 3600000000);
        assert_int_equal(os_now(), now);
        sim_change(&sim_gentle);
        assert_int_equal(os_wall().us, before.us - 3600000000);
        end();
}

static void note_time(void *arg)
{
        *(sj_time *)arg = os_now();
}

static void what_falls_due_while_the_program_stands_still_has_happened(void **state)
{
        (void)state;
        begin(1);
        sj_time start = os_now(), when = 0;
        sj_wall wall = os_wall();
        sim_at(start + SJ_SEC, note_time, &when);
        sim_skip(SJ_MIN);
        assert_int_equal(when, start + SJ_SEC);
        assert_int_equal(os_now(), start + SJ_MIN);
        assert_int_equal(os_wall().us, wall.us + 60000000);
        end();
}

static int sync_folder(const char *path)
{
        int fd = os_open(path, O_RDONLY | O_DIRECTORY, 0);
        int r = fd < 0 ? fd : os_fsync(fd);
        if (fd >= 0)
                os_close(fd);
        return r;
}

/* Replaces a file's text as a careful program does: whole in another, synced, then renamed. */
static int replace(const char *text)
{
        int fd = os_open("/var/new", O_RDWR | O_CREAT | O_TRUNC, 0600);
        int r = fd < 0 ? fd : (int)os_pwrite(fd, text, 3, 0);
        if (r > 0)
                r = os_fsync(fd);
        if (fd >= 0)
                os_close(fd);
        return r < 0 ? r : os_rename("/var/new", "/var/it");
}

static void power_fails(void *arg)
{
        sim_fail_disk_after(0, EIO);
        *(bool *)arg = true;
}

static void a_file_that_is_replaced_is_old_or_new_whatever_call_is_the_last(void **state)
{
        (void)state;
        bool old = false, new = false, struck = true;
        for (uint64_t n = 1; struck; n++) {
                char got[8];
                begin(n);
                assert_int_equal(os_mkdir("/var", 0700), 0);
                assert_int_equal(replace("old"), 0);
                assert_int_equal(sync_folder("/var"), 0);
                assert_int_equal(sync_folder("/"), 0);
                struck = false;
                sim_at_call(n, power_fails, &struck);
                if (replace("new") == 0)
                        sync_folder("/var");
                sim_at_call(UINT64_MAX / 2, power_fails, &struck);
                sim_fail_disk_after(SIZE_MAX, 0);
                sim_power_loss();
                int fd = os_open("/var/it", O_RDONLY, 0);
                assert_true(fd >= 0);
                assert_int_equal(os_pread(fd, got, sizeof(got), 0), 3);
                old |= memcmp(got, "old", 3) == 0;
                new |= memcmp(got, "new", 3) == 0;
                assert_true(memcmp(got, "old", 3) == 0 || memcmp(got, "new", 3) == 0);
                os_close(fd);
                end();
        }
        assert_true(old && new);
}

/* ── The list of faults ──────────────────────────────────────────────────────────────────── */

/* Sends a text of 30 bytes under faults; returns how many came, and fails if a reset lost some. */
static size_t text_arrives(const char *list, FILE *log)
{
        int a, b;
        char got[64];
        size_t came = 0;
        begin(7);
        sim_keep_faults(list);
        sim_log_faults(log);
        connection(&a, &b);
        sim_options o = sim_slow;
        o.reset = 5;
        o.again = 3;
        sim_change(&o);
        for (size_t sent = 0; sent < 30;) {
                ssize_t r = os_send(a, &"abcdefghijklmnopqrstuvwxyz01234"[sent], 3);
                if (r == -EAGAIN)
                        becomes(a, OS_WRITABLE, os_now() + SJ_SEC);
                else if (r < 0)
                        break;
                else
                        sent += (size_t)r;
        }
        for (ssize_t r = 0; r >= 0 && came < 30;) {
                r = os_recv(b, got + came, sizeof(got) - came);
                if (r == -EAGAIN && becomes(b, OS_READABLE, os_now() + SJ_SEC))
                        r = 0;
                else if (r > 0)
                        came += (size_t)r;
        }
        close_both(a, b);
        os_poller_free(poller);
        sim_end();
        return came;
}

static void try_text(void *arg, const char *list, FILE *log)
{
        (void)arg;
        if (text_arrives(list, log) < 30)
                abort();
}

static void a_failing_run_shrinks_to_the_one_fault_that_matters(void **state)
{
        (void)state;
        char text[500] = "", *list;
        FILE *print = fmemopen(text, sizeof(text), "w");
        assert_non_null(print);
        assert_true(sim_shrink(try_text, NULL, 500, "again with ", print));
        fclose(print);
        assert_non_null(strstr(text, ": of "));
        assert_true(strtoul(strstr(text, ": of ") + 5, NULL, 10) > 3);
        assert_non_null(strstr(text, " faults 1 are enough: again with SANJAB_FAULTS="));
        list = strchr(text, '\'') + 1;
        *strchr(list, '\'') = '\0';
        assert_int_equal(strncmp(list, "reset:", 6), 0);
        assert_null(strchr(list, ','));
        assert_true(text_arrives(list, NULL) < 30);
        assert_int_equal(text_arrives("", NULL), 30);
}

/* Fails in one place by a reset, in another without one, and the test's own faults matter not. */
static void fail_in_two_places(void *arg, const char *list, FILE *log)
{
        (void)arg;
        begin(7);
        sim_keep_faults(list);
        sim_log_faults(log);
        unsigned struck = 0;
        for (int i = 0; i < 20; i++)
                struck |= sim_strikes() ? 1U << i : 0;
        bool first = struck >> 11 & struck >> 17 & 1;
        fprintf(stderr, "%s.c:7: so many: %u\n", first ? "first" : "second", struck);
        os_poller_free(poller);
        sim_end();
        abort();
}

static void a_run_that_fails_in_another_place_is_another_story(void **state)
{
        (void)state;
        char text[500] = "";
        FILE *print = fmemopen(text, sizeof(text), "w");
        assert_non_null(print);
        assert_true(sim_shrink(fail_in_two_places, NULL, 500, "", print));
        fclose(print);
        assert_non_null(strstr(text, "first.c:7: of 20 faults 2 are enough: "
                                     "SANJAB_FAULTS='test:11,test:17' "));
}

static void a_run_with_its_whole_list_of_faults_is_the_same(void **state)
{
        (void)state;
        char whole[2000] = "", again[2000] = "";
        FILE *log = fmemopen(whole, sizeof(whole), "w");
        size_t came = text_arrives(NULL, log);
        fclose(log);
        assert_true(strlen(whole) > 10);
        log = fmemopen(again, sizeof(again), "w");
        assert_int_equal(text_arrives(whole, log), came);
        fclose(log);
        assert_string_equal(again, whole);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(who_connects_is_at_the_host_that_was_said),
                cmocka_unit_test(what_was_sent_across_a_cut_arrives_in_order_when_it_is_mended),
                cmocka_unit_test(a_cut_that_stays_is_a_timeout_for_the_sender_alone),
                cmocka_unit_test(a_cut_between_two_leaves_the_third_alone),
                cmocka_unit_test(connecting_needs_both_ways),
                cmocka_unit_test(a_connection_that_ends_across_a_cut_leaves_nothing),
                cmocka_unit_test(a_reset_is_heard_by_both_ends),
                cmocka_unit_test(a_half_open_connection_says_nothing_even_of_its_end),
                cmocka_unit_test(a_reset_comes_after_exactly_so_many_bytes),
                cmocka_unit_test(the_wall_clock_may_be_set_back_and_the_other_does_not_hear),
                cmocka_unit_test(what_falls_due_while_the_program_stands_still_has_happened),
                cmocka_unit_test(a_file_that_is_replaced_is_old_or_new_whatever_call_is_the_last),
                cmocka_unit_test(a_failing_run_shrinks_to_the_one_fault_that_matters),
                cmocka_unit_test(a_run_that_fails_in_another_place_is_another_story),
                cmocka_unit_test(a_run_with_its_whole_list_of_faults_is_the_same),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
