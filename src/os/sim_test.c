/* SPDX-License-Identifier: MIT */
/* The simulated world itself: its clock, its choices, its polling, its end. */
#include "base/unit.h"
#include "os/os.h"
#include "os/sim.h"

#include <fcntl.h>
#include <signal.h>

enum { EVENTS = 8 };

static os_poller *new_poller(void)
{
        os_poller *p;
        assert_int_equal(os_poller_new(&p), 0);
        return p;
}

/* ── The clock ───────────────────────────────────────────────────────────────────────────── */

static void idle_clock_jumps_to_the_deadline(void **state)
{
        (void)state;
        os_event e;
        sim_begin(1, NULL);
        os_poller *p = new_poller();
        sj_time start = os_now();
        sj_wall wall = os_wall();
        assert_int_equal(os_poller_wait(p, &e, 1, start + 24 * SJ_HOUR), 0);
        assert_int_equal(os_now(), start + 24 * SJ_HOUR);
        assert_int_equal(os_wall().us - wall.us, 24LL * 3600 * 1000000);
        os_poller_free(p);
        assert_int_equal(sim_end(), 0);
}

static void clock_stands_while_the_program_runs(void **state)
{
        (void)state;
        sim_begin(1, NULL);
        sj_time start = os_now();
        for (int i = 0; i < 100; i++)
                os_close(os_bell_new());
        assert_int_equal(os_now(), start);
        sim_end();
        sim_begin(1, &(sim_options){.creep = 10});
        start = os_now();
        assert_int_equal(os_now(), start + 10);
        sim_end();
}

static void program_that_spins_still_moves_on(void **state)
{
        (void)state;
        os_event e;
        sim_begin(1, NULL);
        os_poller *p = new_poller();
        sj_time until = os_now() + SJ_MS;
        while (os_now() < until)
                assert_int_equal(os_poller_wait(p, &e, 1, SJ_POLL), 0);
        os_poller_free(p);
        sim_end();
}

static void note(void *arg)
{
        char **at = arg;
        **at = (char)('0' + os_now() % 10);
        (*at)++;
}

static void calls_happen_in_the_order_of_time_then_of_posting(void **state)
{
        (void)state;
        os_event e;
        char seen[8] = "", *at = seen;
        sim_begin(1, NULL);
        os_poller *p = new_poller();
        sj_time round = (os_now() / 10 + 1) * 10;
        sim_at(round + 3, note, &at);
        sim_at(round + 1, note, &at);
        sim_at(round + 2, note, &at);
        sim_at(round + 1, note, &at);
        assert_int_equal(os_poller_wait(p, &e, 1, round + 2), 0);
        assert_string_equal(seen, "112");
        os_poller_free(p);
        /* The last one is dropped with the world. */
        sim_end();
        assert_string_equal(seen, "112");
}

/* ── Choice ──────────────────────────────────────────────────────────────────────────────── */

static void choices_cover_their_range_and_follow_the_seed(void **state)
{
        (void)state;
        size_t first[64], count[5] = {0};
        sim_begin(7, NULL);
        for (int i = 0; i < 64; i++) {
                first[i] = os_choose(5);
                assert_true(first[i] < 5);
                count[first[i]]++;
        }
        sim_end();
        for (int i = 0; i < 5; i++)
                assert_true(count[i] > 0);
        sim_begin(7, NULL);
        for (int i = 0; i < 64; i++) {
                /* Another stream's draws change nothing. */
                sim_draw(3);
                assert_int_equal(os_choose(5), first[i]);
        }
        sim_end();
        sim_begin(7, &(sim_options){.in_order = true});
        for (int i = 0; i < 64; i++)
                assert_int_equal(os_choose(5), 0);
        sim_end();
}

static void mischief_happens_only_when_asked_for(void **state)
{
        (void)state;
        int n = 0;
        sim_begin(1, NULL);
        for (int i = 0; i < 1000; i++)
                assert_false(os_mischief(1));
        sim_change(&sim_rough);
        for (int i = 0; i < 1000; i++)
                n += os_mischief(10);
        assert_in_range(n, 50, 200);
        sim_end();
}

/* ── Getting stuck ───────────────────────────────────────────────────────────────────────── */

typedef struct stuck {
        jmp_buf back;
        const char *why;
} stuck;

static void on_stuck(void *arg, const char *why)
{
        stuck *s = arg;
        s->why = why;
        longjmp(s->back, 1);
}

typedef void scenario(os_poller *p);

static const char *why_stuck(scenario *run, sim_options options)
{
        stuck s = {.why = "not at all"};
        options.stuck = on_stuck;
        options.stuck_arg = &s;
        sim_begin(1, &options);
        os_poller *p = new_poller();
        if (setjmp(s.back) == 0)
                run(p);
        os_poller_free(p);
        sim_end();
        return s.why;
}

static void waits_for_ever(os_poller *p)
{
        os_event e;
        int fds[2];
        assert_int_equal(os_pipe(fds), 0);
        assert_int_equal(os_poller_watch(p, fds[0], NULL), 0);
        os_poller_wait(p, &e, 1, SJ_NEVER);
}
static void reads_only_half_of_an_edge(os_poller *p)
{
        os_event e;
        char byte;
        int fds[2];
        assert_int_equal(os_pipe(fds), 0);
        assert_int_equal(os_poller_watch(p, fds[0], NULL), 0);
        assert_int_equal(os_write(fds[1], "ab", 2), 2);
        assert_int_equal(os_poller_wait(p, &e, 1, SJ_NEVER), 1);
        assert_int_equal(os_read(fds[0], &byte, 1), 1);
        os_poller_wait(p, &e, 1, SJ_NEVER);
}
static void calls_for_ever(os_poller *p)
{
        os_event e;
        for (;;)
                os_poller_wait(p, &e, 1, SJ_POLL);
}
static void sleeps_for_ever(os_poller *p)
{
        os_event e;
        for (;;)
                os_poller_wait(p, &e, 1, os_now() + SJ_HOUR);
}
static void waits_for_a_word(os_poller *p)
{
        (void)p;
        _Atomic uint32_t word = 0;
        os_futex_wait(&word, 0, SJ_NEVER, false);
}

static void stuck_world_says_why(void **state)
{
        (void)state;
        assert_memory_equal(why_stuck(waits_for_ever, sim_gentle), "deadlock", 8);
        assert_memory_equal(why_stuck(reads_only_half_of_an_edge, sim_gentle), "deadlock", 8);
        assert_memory_equal(why_stuck(waits_for_a_word, sim_gentle), "deadlock", 8);
        sim_options few = {.most_calls = 1000};
        assert_string_equal(why_stuck(calls_for_ever, few),
                            "livelock: the number of calls has reached its limit");
        sim_options brief = {.most_time = 24 * SJ_HOUR};
        assert_string_equal(why_stuck(sleeps_for_ever, brief),
                            "livelock: the virtual time has reached its limit");
}

/* ── Polling ─────────────────────────────────────────────────────────────────────────────── */

static void ready_reports_come_in_an_order_of_the_seed(void **state)
{
        (void)state;
        os_event events[EVENTS];
        bool other_order = false;
        for (uint64_t seed = 0; seed < 20; seed++) {
                int bells[EVENTS];
                sim_begin(seed, NULL);
                os_poller *p = new_poller();
                for (int i = 0; i < EVENTS; i++) {
                        bells[i] = os_bell_new();
                        assert_int_equal(os_poller_arm(p, bells[i], OS_READABLE, &bells[i]), 0);
                        os_bell_ring(bells[i]);
                }
                assert_int_equal(os_poller_wait(p, events, EVENTS, SJ_POLL), EVENTS);
                other_order |= events[0].token != &bells[0];
                for (int i = 0; i < EVENTS; i++)
                        os_close(bells[i]);
                os_poller_free(p);
                assert_int_equal(sim_end(), 0);
        }
        assert_true(other_order);
}

static void spurious_edges_come_only_when_asked_for(void **state)
{
        (void)state;
        os_event e;
        for (int asked = 0; asked < 2; asked++) {
                int fds[2], n = 0;
                sim_begin(1, &(sim_options){.spurious = asked ? 3 : 0});
                os_poller *p = new_poller();
                assert_int_equal(os_pipe(fds), 0);
                assert_int_equal(os_poller_watch(p, fds[0], NULL), 0);
                for (int i = 0; i < 100; i++)
                        n += os_poller_wait(p, &e, 1, SJ_POLL);
                if (asked)
                        assert_in_range(n, 10, 90);
                else
                        assert_int_equal(n, 0);
                os_poller_forget(p, fds[0]);
                os_close(fds[0]);
                os_close(fds[1]);
                os_poller_free(p);
                assert_int_equal(sim_end(), 0);
        }
}

static void a_wait_has_a_descriptor_once_whatever_is_spurious(void **state)
{
        (void)state;
        os_event events[2];
        int fds[2];
        sim_begin(1, &(sim_options){.spurious = 2});
        os_poller *p = new_poller();
        assert_int_equal(os_pipe(fds), 0);
        assert_int_equal(os_poller_watch(p, fds[0], fds), 0);
        for (int i = 0; i < 20; i++) {
                char byte = 0;
                assert_int_equal(os_write(fds[1], "x", 1), 1);
                assert_int_equal(os_poller_wait(p, events, 2, SJ_POLL), 1);
                assert_int_equal(os_read(fds[0], &byte, 1), 1);
        }
        os_poller_forget(p, fds[0]);
        os_close(fds[0]);
        os_close(fds[1]);
        os_poller_free(p);
        assert_int_equal(sim_end(), 0);
}

static void signal_reaches_who_opened_it(void **state)
{
        (void)state;
        os_event e;
        sim_begin(1, NULL);
        os_poller *p = new_poller();
        assert_false(sim_raise(SIGTERM));
        int fd = os_signal_open((int[]){SIGTERM, SIGINT}, 2);
        assert_false(sim_raise(SIGHUP));
        assert_true(sim_raise(SIGTERM));
        assert_true(sim_raise(SIGTERM));
        assert_int_equal(os_poller_arm(p, fd, OS_READABLE, NULL), 0);
        assert_int_equal(os_poller_wait(p, &e, 1, SJ_NEVER), 1);
        assert_int_equal(os_signal_next(fd), SIGTERM);
        assert_int_equal(os_signal_next(fd), -EAGAIN);
        os_close(fd);
        os_poller_free(p);
        assert_int_equal(sim_end(), 0);
}

/* ── Limits and the end ──────────────────────────────────────────────────────────────────── */

static void descriptors_fail_when_told_and_none_leaks(void **state)
{
        (void)state;
        int fds[2];
        os_poller *p;
        sim_begin(1, NULL);
        sim_fail_descriptors_after(1);
        assert_int_equal(os_pipe(fds), -EMFILE);
        sim_fail_descriptors_after(1);
        assert_int_equal(os_socket_pair(fds), -EMFILE);
        sim_fail_descriptors_after(0);
        assert_int_equal(os_bell_new(), -EMFILE);
        assert_int_equal(os_socket(AF_INET, SOCK_STREAM), -EMFILE);
        assert_int_equal(os_open("/tmp/a", O_RDWR | O_CREAT, 0600), -EMFILE);
        assert_int_equal(os_signal_open((int[]){SIGINT}, 1), -EMFILE);
        assert_int_equal(os_watch_path("/tmp"), -EMFILE);
        assert_int_equal(os_shared_new("x", 4096), -EMFILE);
        assert_int_equal(os_poller_new(&p), -EMFILE);
        sim_fail_descriptors_after(SIZE_MAX);
        assert_int_equal(sim_count().open, 0);
        assert_int_equal(os_pipe(fds), 0);
        assert_int_equal(sim_end(), 2);
}

static void maps_fail_when_told(void **state)
{
        (void)state;
        sim_begin(1, NULL);
        sim_fail_maps_after(1);
        void *m = os_map(4096);
        assert_non_null(m);
        assert_null(os_map(4096));
        sim_fail_maps_after(SIZE_MAX);
        os_unmap(m, 4096);
        sim_end();
}

static void closing_what_is_watched_is_counted(void **state)
{
        (void)state;
        sim_begin(1, NULL);
        os_poller *p = new_poller();
        int bell = os_bell_new();
        assert_int_equal(os_poller_watch(p, bell, NULL), 0);
        os_close(bell);
        assert_int_equal(sim_count().closed_watched, 1);
        os_poller_free(p);
        sim_end();
}

static void trace_lines_name_each_call(void **state)
{
        (void)state;
        char line[64];
        FILE *trace = tmpfile();
        assert_non_null(trace);
        sim_begin(1, NULL);
        sim_trace_enable(trace);
        int bell = os_bell_new();
        os_bell_ring(bell);
        os_close(bell);
        sim_end();
        rewind(trace);
        assert_non_null(fgets(line, sizeof(line), trace));
        assert_string_equal(line, "1000.000000001 bell_new fd=1000 1000\n");
        assert_non_null(fgets(line, sizeof(line), trace));
        assert_string_equal(line, "1000.000000001 bell_ring fd=1000 0\n");
        fclose(trace);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(idle_clock_jumps_to_the_deadline),
                cmocka_unit_test(clock_stands_while_the_program_runs),
                cmocka_unit_test(program_that_spins_still_moves_on),
                cmocka_unit_test(calls_happen_in_the_order_of_time_then_of_posting),
                cmocka_unit_test(choices_cover_their_range_and_follow_the_seed),
                cmocka_unit_test(mischief_happens_only_when_asked_for),
                cmocka_unit_test(stuck_world_says_why),
                cmocka_unit_test(ready_reports_come_in_an_order_of_the_seed),
                cmocka_unit_test(spurious_edges_come_only_when_asked_for),
                cmocka_unit_test(a_wait_has_a_descriptor_once_whatever_is_spurious),
                cmocka_unit_test(signal_reaches_who_opened_it),
                cmocka_unit_test(descriptors_fail_when_told_and_none_leaks),
                cmocka_unit_test(maps_fail_when_told),
                cmocka_unit_test(closing_what_is_watched_is_counted),
                cmocka_unit_test(trace_lines_name_each_call),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
