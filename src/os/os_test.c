/* SPDX-License-Identifier: MIT */
#include "os/os_test.h"
#include "base/unit.h"
#include "os/os.h"

#include <netinet/in.h>
#include <pthread.h>
#include <unistd.h>

enum { EVENTS = 16 };

static int begin(void **state)
{
        (void)state;
        world_begin();
        return 0;
}
static int end(void **state)
{
        (void)state;
        world_end();
        return 0;
}
static int make_poller(void **state)
{
        os_poller *p;
        world_begin();
        if (os_poller_new(&p) != 0)
                return -1;
        *state = p;
        return 0;
}
static int free_poller(void **state)
{
        os_poller_free(*state);
        world_end();
        return 0;
}

static void clock_never_goes_back(void **state)
{
        (void)state;
        sj_time last = os_now();
        for (int i = 0; i < 1000; i++) {
                sj_time now = os_now();
                assert_true(now >= last);
                last = now;
        }
        assert_true(sj_after(SJ_NEVER) == SJ_NEVER);
        assert_true(sj_after(-SJ_NEVER) < sj_now());
        assert_true(os_wall().us > 0);
}

static void random_bytes_differ(void **state)
{
        (void)state;
        unsigned char a[32] = {0}, b[32] = {0};
        os_random(a, sizeof(a));
        os_random(b, sizeof(b));
        assert_memory_not_equal(a, b, sizeof(a));
}

static void choice_is_below_its_bound(void **state)
{
        (void)state;
        for (size_t n = 1; n < 100; n++)
                assert_true(os_choose(n) < n);
}

static void wait_never_ends_before_its_deadline(void **state)
{
        os_event events[EVENTS];
        sj_time deadline = sj_after(1500 * SJ_US);
        assert_int_equal(os_poller_wait(*state, events, EVENTS, deadline), 0);
        assert_true(os_now() >= deadline);
}

static void past_deadline_only_looks(void **state)
{
        os_event events[EVENTS];
        assert_int_equal(os_poller_wait(*state, events, EVENTS, SJ_POLL), 0);
        assert_int_equal(os_poller_wait(*state, events, EVENTS, os_now() - SJ_SEC), 0);
}

static void wake_ends_the_next_wait_once(void **state)
{
        os_event events[EVENTS];
        os_poller_wake(*state);
        os_poller_wake(*state);
        assert_int_equal(os_poller_wait(*state, events, EVENTS, SJ_NEVER), 0);
        sj_time deadline = sj_after(SJ_MS);
        assert_int_equal(os_poller_wait(*state, events, EVENTS, deadline), 0);
        assert_true(os_now() >= deadline);
}

/* Waits for one report and returns what it says; 0 when none comes within a bound. */
static unsigned one_report(os_poller *p, void *token)
{
        os_event events[EVENTS];
        int n = os_poller_wait(p, events, EVENTS, sj_after(5 * SJ_SEC));
        if (n != 1 || events[0].token != token)
                return 0;
        return events[0].ready;
}
static int reports_now(os_poller *p)
{
        os_event events[EVENTS];
        return os_poller_wait(p, events, EVENTS, SJ_POLL);
}

static void watch_reports_each_change_once(void **state)
{
        int fds[2];
        char byte, token;
        assert_int_equal(os_socket_pair(fds), 0);
        assert_int_equal(os_poller_watch(*state, fds[0], &token), 0);
        assert_int_equal(one_report(*state, &token), OS_WRITABLE);
        assert_int_equal(reports_now(*state), 0);
        assert_int_equal(os_send(fds[1], "a", 1), 1);
        assert_true(one_report(*state, &token) & OS_READABLE);
        assert_int_equal(reports_now(*state), 0);
        assert_int_equal(os_recv(fds[0], &byte, 1), 1);
        assert_int_equal(os_recv(fds[0], &byte, 1), -EAGAIN);
        assert_int_equal(os_send(fds[1], "b", 1), 1);
        assert_true(one_report(*state, &token) & OS_READABLE);
        os_poller_forget(*state, fds[0]);
        os_close(fds[0]);
        os_close(fds[1]);
}

static void arm_reports_once_and_again_when_armed_again(void **state)
{
        int fds[2];
        char token;
        assert_int_equal(os_pipe(fds), 0);
        assert_int_equal(os_poller_arm(*state, fds[0], OS_READABLE, &token), 0);
        assert_int_equal(reports_now(*state), 0);
        assert_int_equal(os_write(fds[1], "a", 1), 1);
        assert_int_equal(one_report(*state, &token), OS_READABLE);
        assert_int_equal(reports_now(*state), 0);
        assert_int_equal(os_write(fds[1], "b", 1), 1);
        assert_int_equal(reports_now(*state), 0);
        /* The bytes are still there: the level counts. */
        assert_int_equal(os_poller_arm(*state, fds[0], OS_READABLE, &token), 0);
        assert_int_equal(one_report(*state, &token), OS_READABLE);
        os_poller_forget(*state, fds[0]);
        os_close(fds[0]);
        os_close(fds[1]);
}

static void arm_survives_a_close_behind_its_back(void **state)
{
        int fds[2], again[2];
        char token;
        assert_int_equal(os_pipe(fds), 0);
        assert_int_equal(os_poller_arm(*state, fds[0], OS_READABLE, &token), 0);
        os_close(fds[0]);
        os_close(fds[1]);
        assert_int_equal(os_pipe(again), 0);
        assert_int_equal(again[0], fds[0]);
        assert_int_equal(os_poller_arm(*state, again[0], OS_READABLE, &token), 0);
        assert_int_equal(os_write(again[1], "a", 1), 1);
        assert_int_equal(one_report(*state, &token), OS_READABLE);
        os_poller_forget(*state, again[0]);
        os_close(again[0]);
        os_close(again[1]);
}

static void forget_silences_what_was_ready(void **state)
{
        int fds[2];
        char token;
        assert_int_equal(os_socket_pair(fds), 0);
        assert_int_equal(os_poller_watch(*state, fds[0], &token), 0);
        assert_int_equal(os_send(fds[1], "a", 1), 1);
        os_poller_forget(*state, fds[0]);
        os_poller_forget(*state, fds[0]);
        os_poller_forget(*state, 12345);
        assert_int_equal(reports_now(*state), 0);
        os_close(fds[0]);
        os_close(fds[1]);
}

static void end_of_the_peer_is_readable(void **state)
{
        int fds[2];
        char byte, token;
        assert_int_equal(os_socket_pair(fds), 0);
        assert_int_equal(os_poller_watch(*state, fds[0], &token), 0);
        assert_int_equal(one_report(*state, &token), OS_WRITABLE);
        os_close(fds[1]);
        assert_true(one_report(*state, &token) & OS_READABLE);
        assert_int_equal(os_recv(fds[0], &byte, 1), 0);
        assert_int_equal(os_send(fds[0], "a", 1), -EPIPE);
        os_poller_forget(*state, fds[0]);
        os_close(fds[0]);
}

static void bell_counts_its_rings(void **state)
{
        char token;
        int bell = os_bell_new();
        assert_true(bell >= 0);
        assert_int_equal(os_bell_clear(bell), 0);
        assert_int_equal(os_poller_watch(*state, bell, &token), 0);
        reports_now(*state);
        os_bell_ring(bell);
        os_bell_ring(bell);
        assert_true(one_report(*state, &token) & OS_READABLE);
        assert_int_equal(os_bell_clear(bell), 2);
        assert_int_equal(os_bell_clear(bell), 0);
        os_poller_forget(*state, bell);
        os_close(bell);
}

static void broken_pipe_is_an_error_and_no_signal(void **state)
{
        (void)state;
        int fds[2];
        assert_int_equal(os_pipe(fds), 0);
        os_close(fds[0]);
        assert_int_equal(os_write(fds[1], "a", 1), -EPIPE);
        os_close(fds[1]);
}

static struct sockaddr_in loopback(void)
{
        return (struct sockaddr_in){.sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A listener on a free port and its address. */
static int listener(struct sockaddr_storage *ret)
{
        struct sockaddr_in any = loopback();
        int fd = os_socket(AF_INET, SOCK_STREAM);
        assert_true(fd >= 0);
        assert_int_equal(os_bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
        assert_int_equal(os_listen(fd, 16), 0);
        assert_int_equal(os_socket_name(fd, ret), 0);
        assert_true(((struct sockaddr_in *)ret)->sin_port != 0);
        return fd;
}

static int connected(os_poller *p, const struct sockaddr_storage *to, int *ret_result)
{
        char token;
        int fd = os_socket(AF_INET, SOCK_STREAM);
        assert_true(fd >= 0);
        int error = os_connect(fd, (const struct sockaddr *)to, sizeof(struct sockaddr_in));
        if (error == -EINPROGRESS) {
                assert_int_equal(os_poller_arm(p, fd, OS_WRITABLE, &token), 0);
                assert_int_equal(one_report(p, &token), OS_WRITABLE);
                os_poller_forget(p, fd);
                error = os_connect_result(fd);
        }
        *ret_result = error;
        return fd;
}

static void connection_carries_bytes_both_ways(void **state)
{
        struct sockaddr_storage at, peer;
        int result;
        char token, got[16];
        int accepting = listener(&at);
        assert_int_equal(os_accept(accepting, NULL), -EAGAIN);
        int client = connected(*state, &at, &result);
        assert_int_equal(result, 0);
        assert_int_equal(os_poller_arm(*state, accepting, OS_READABLE, &token), 0);
        assert_int_equal(one_report(*state, &token), OS_READABLE);
        int server = os_accept(accepting, &peer);
        assert_true(server >= 0);
        assert_int_equal(peer.ss_family, AF_INET);

        struct iovec parts[2] = {{"hel", 3}, {"lo", 2}};
        assert_int_equal(os_sendv(client, parts, 2), 5);
        size_t n = 0;
        while (n < 5) {
                assert_int_equal(os_poller_arm(*state, server, OS_READABLE, &token), 0);
                assert_int_equal(one_report(*state, &token), OS_READABLE);
                ssize_t more = os_recv(server, got + n, sizeof(got) - n);
                assert_true(more > 0);
                n += (size_t)more;
        }
        assert_memory_equal(got, "hello", 5);
        assert_int_equal(os_shutdown(server, SHUT_WR), 0);
        assert_int_equal(os_poller_arm(*state, client, OS_READABLE, &token), 0);
        assert_int_equal(one_report(*state, &token), OS_READABLE);
        assert_int_equal(os_recv(client, got, sizeof(got)), 0);
        os_poller_forget(*state, accepting);
        os_poller_forget(*state, client);
        os_poller_forget(*state, server);
        os_close(server);
        os_close(client);
        os_close(accepting);
}

static void connection_to_nobody_is_refused(void **state)
{
        struct sockaddr_storage at;
        int result;
        os_close(listener(&at));
        int client = connected(*state, &at, &result);
        assert_int_equal(result, -ECONNREFUSED);
        os_close(client);
}

static void guarded_page_cannot_be_written_and_the_rest_can(void **state)
{
        (void)state;
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        char *memory = os_map(4 * page);
        int fds[2];
        assert_non_null(memory);
        assert_int_equal(os_guard(memory, page), 0);
        memory[page] = 1;
        assert_int_equal(memory[page + 1], 0);
        /* The system reads on our behalf, and says what we would have died of. */
        assert_int_equal(pipe(fds), 0);
        assert_int_equal(write(fds[1], memory, 1), -1);
        assert_int_equal(errno, EFAULT);
        assert_int_equal(write(fds[1], memory + page, 1), 1);
        close(fds[0]);
        close(fds[1]);
        os_discard(memory + page, page);
        assert_int_equal(memory[page], 0);
        os_unmap(memory, 4 * page);
}

static void shared_memory_is_one(void **state)
{
        (void)state;
        int fd = os_shared_new("test", 8192);
        assert_true(fd >= 0);
        char *a = os_shared_map(fd, 8192), *b = os_shared_map(fd, 8192);
        assert_non_null(a);
        assert_non_null(b);
        a[100] = 7;
        assert_int_equal(b[100], 7);
        os_unmap(a, 8192);
        os_unmap(b, 8192);
        os_close(fd);
}

typedef struct meeting {
        os_poller *poller;
        _Atomic uint32_t word;
        _Atomic unsigned wakes;
} meeting;

static void *wakes_many_times(void *arg)
{
        meeting *m = arg;
        for (int i = 0; i < 2000; i++) {
                m->wakes++;
                os_poller_wake(m->poller);
        }
        m->word = 1;
        os_futex_wake(&m->word, 1, false);
        return NULL;
}

static void wake_from_a_thread_is_never_lost(void **state)
{
        meeting m = {.poller = *state};
        os_event events[EVENTS];
        os_thread *t;
        if (os_simulated) {
                /* One thread is all there is, and it says so. */
                assert_int_equal(os_thread_start(wakes_many_times, &m, "waker", &t), -ENOSYS);
                return;
        }
        assert_int_equal(os_thread_start(wakes_many_times, &m, "waker", &t), 0);
        /* Each sleep ends, and the last wake has been seen when the last rise was. */
        while (m.wakes < 2000)
                assert_int_equal(os_poller_wait(*state, events, EVENTS, SJ_NEVER), 0);
        while (m.word == 0)
                os_futex_wait(&m.word, 0, sj_after(5 * SJ_SEC), false);
        os_thread_join(t);
        assert_int_equal(os_futex_wait(&m.word, 0, SJ_NEVER, false), -EAGAIN);
        int r = 0;
        for (sj_time soon = sj_after(SJ_MS); r == 0;) /* a wait may return early */
                r = os_futex_wait(&m.word, 1, soon, false);
        assert_int_equal(r, -ETIMEDOUT);
        assert_int_equal(os_futex_wait(&m.word, 1, SJ_POLL, true), -ETIMEDOUT);
}

#define IN_WORLD(test)    cmocka_unit_test_setup_teardown(test, begin, end)
#define WITH_POLLER(test) cmocka_unit_test_setup_teardown(test, make_poller, free_poller)

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_WORLD(clock_never_goes_back),
                IN_WORLD(random_bytes_differ),
                IN_WORLD(choice_is_below_its_bound),
                WITH_POLLER(wait_never_ends_before_its_deadline),
                WITH_POLLER(past_deadline_only_looks),
                WITH_POLLER(wake_ends_the_next_wait_once),
                WITH_POLLER(watch_reports_each_change_once),
                WITH_POLLER(arm_reports_once_and_again_when_armed_again),
                WITH_POLLER(arm_survives_a_close_behind_its_back),
                WITH_POLLER(forget_silences_what_was_ready),
                WITH_POLLER(end_of_the_peer_is_readable),
                WITH_POLLER(bell_counts_its_rings),
                IN_WORLD(broken_pipe_is_an_error_and_no_signal),
                WITH_POLLER(connection_carries_bytes_both_ways),
                WITH_POLLER(connection_to_nobody_is_refused),
                IN_WORLD(guarded_page_cannot_be_written_and_the_rest_can),
                IN_WORLD(shared_memory_is_one),
                WITH_POLLER(wake_from_a_thread_is_never_lost),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
