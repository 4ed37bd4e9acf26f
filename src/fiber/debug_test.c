/* SPDX-License-Identifier: MIT */
/*
 * What helps to find mistakes: the dump, the watchdog, and the words before an abort. And what a
 * fiber's registers keep.
 */
#include "fiber/real_unit.h"
#include "fiber/sanitize.h"
#include "os/os.h"

#include <sanjab/chan.h>
#include <sanjab/debug.h>
#include <sanjab/fiber.h>

#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT = 65536 };

typedef struct text {
        char *bytes;
        size_t n;
} text;

static void append(void *arg, const char *bytes, size_t n)
{
        text *t = arg;
        expect(t->n + n < TEXT);
        memcpy(t->bytes + t->n, bytes, n);
        t->n += n;
        t->bytes[t->n] = '\0';
}

static int sleeper(void *arg)
{
        (void)arg;
        return sj_sleep(1000 * SJ_SEC);
}

static int receiver(void *arg)
{
        int item;
        return sj_chan_recv(arg, &item, SJ_NEVER);
}

static int never_ran(void *arg)
{
        (void)arg;
        return 0;
}

/* Returns the place after what was found. */
static const char *find_after(const char *from, const char *what)
{
        const char *at = strstr(from, what);
        if (!at)
                fprintf(stderr, "not found: %s\nin what is left:\n%s", what, from);
        expect(at != NULL);
        return at + strlen(what);
}

static int close_nothing(void *arg)
{
        (void)arg;
        return 5;
}

/* With a scope and two fibers in it, one of which has ended. */
static int inner_parent(void *arg)
{
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        sj_fiber *f;
        expect(sj_spawn_named(s, receiver, arg, "inner", "here.c:7", NULL) == 0);
        expect(sj_spawn(s, close_nothing, NULL, &f) == 0);
        return sj_scope_join(s);
}

static int dumps(void *arg)
{
        (void)arg;
        sj_chan *c;
        expect(sj_chan_new(sizeof(int), 0, &c) == 0);
        text t = {.bytes = malloc(TEXT)};
        expect(t.bytes != NULL);
        {
                SJ_SCOPE(outer, sj_after(SJ_SEC), SJ_SHIELD);
                expect(sj_spawn_named(outer, sleeper, NULL, "of outer", "here.c:8", NULL) == 0);
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                expect(sj_spawn(s, inner_parent, c, NULL) == 0);
                expect(sj_spawn(s, sleeper, NULL, NULL) == 0);
                expect(sj_sleep(5 * SJ_MS) == 0);
                expect(sj_spawn(s, never_ran, NULL, NULL) == 0);
                sj_dump(append, &t);
                sj_chan_close(c);
                sj_scope_cancel(s);
                sj_scope_join(s);
        }
        /* The tree, in the order of spawning, each level indented further. */
        const char *at = find_after(t.bytes, "fiber \"dumps\" (");
        at = find_after(at, "debug_test.c:");
        at = find_after(at, "): running\n");
        at = find_after(at, "\n  fiber \"inner_parent\" (");
        at = find_after(at, "waits for scope, since ");
        at = find_after(at,
                        "\n    fiber \"inner\" (here.c:7): waits for receive from a chan, since");
        at = find_after(at, " ms");
        at = find_after(at, "\n    fiber \"close_nothing\" (");
        at = find_after(at, "ended with 5");
        at = find_after(at, "\n  fiber \"sleeper\" (");
        at = find_after(at, "waits for sleep, at most 9999");
        at = find_after(at, " ms more, since ");
        at = find_after(at, "\n  fiber \"never_ran\" (");
        at = find_after(at, "): ready");
        at = find_after(at, "\n  fiber \"of outer\" (here.c:8): waits for sleep");
        expect(find_after(at, "7 fibers\n") == t.bytes + t.n);
        sj_chan_free(c);
        free(t.bytes);
        return 0;
}

static void a_dump_shows_the_tree_and_what_each_waits_for(void **state)
{
        (void)state;
        assert_int_equal(sj_run(dumps, NULL), 0);
        /* Without a loop there is nothing to say. */
        text t = {0};
        sj_dump(append, &t);
        assert_int_equal(t.n, 0);
}

/* ── The watchdog ────────────────────────────────────────────────────────────────────────── */

typedef struct report {
        _Atomic int count;
        char line[512];
} report;

static void keep_report(void *arg, sj_log_level level, const char *line)
{
        report *r = arg;
        expect(level == SJ_LOG_WARNING);
        /* On a busy machine others may be late too. */
        if (!strstr(line, "\"greedy\""))
                return;
        if (atomic_load(&r->count) == 0)
                snprintf(r->line, sizeof(r->line), "%s", line);
        atomic_fetch_add(&r->count, 1);
}

static int hold_the_loop(void *arg)
{
        const report *r = arg;
        int before = atomic_load(&r->count);
        while (atomic_load(&r->count) == before)
                continue;
        /* It is said once, however long it lasts. */
        sj_time end = sj_after(20 * SJ_MS);
        while (sj_now() < end)
                continue;
        expect(atomic_load(&r->count) == before + 1);
        return 0;
}

static int holds(void *arg)
{
        sj_watchdog(2 * SJ_MS);
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < 2; i++) {
                expect(sj_spawn_named(s, hold_the_loop, arg, "greedy", "there.c:9", NULL) == 0);
                expect(sj_scope_join(s) == 0);
        }
        sj_watchdog(0);
        return 0;
}

static void the_watchdog_names_who_holds_the_loop(void **state)
{
        (void)state;
        report r = {0};
        sj_log_set(keep_report, &r, SJ_LOG_WARNING);
        assert_int_equal(sj_run(holds, &r), 0);
        sj_log_set(NULL, NULL, SJ_LOG_OFF);
        assert_non_null(strstr(r.line, "there.c:9"));
        assert_int_equal(atomic_load(&r.count), 2);
        sj_watchdog(SJ_MS); /* without a loop: nothing */
}

/* ── Aborts ──────────────────────────────────────────────────────────────────────────────── */

static void no_core(void)
{
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
}

/* Runs main_fiber in a process of its own, which must die of `signo` and say `words`. */
static void dies_saying(sj_fn *main_fiber, int signo, const char *words)
{
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                no_core();
                signal(SIGABRT, SIG_DFL);
                dup2(fds[1], STDERR_FILENO);
                _exit(sj_run(main_fiber, NULL) < 0);
        }
        close(fds[1]);
        char said[4096];
        size_t n = 0;
        ssize_t got;
        while ((got = read(fds[0], said + n, sizeof(said) - 1 - n)) > 0)
                n += (size_t)got;
        said[n] = '\0';
        close(fds[0]);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!strstr(said, words))
                print_error("said: %s\n", said);
        assert_non_null(strstr(said, words));
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signo);
}

static int leaves_the_outer_first(void *arg)
{
        (void)arg;
        sj_scope outer, inner;
        sj_scope_enter(&outer, SJ_NEVER, 0);
        sj_scope_enter(&inner, SJ_NEVER, 0);
        sj_scope_leave(&outer);
        return 0;
}

static int leaves_twice(void *arg)
{
        (void)arg;
        sj_scope s;
        sj_scope_enter(&s, SJ_NEVER, 0);
        sj_scope_leave(&s);
        sj_scope_leave(&s);
        return 0;
}

static int leaves_foreign(void *arg)
{
        sj_scope_leave(arg);
        return 0;
}

static int lends(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        SJ_SCOPE(t, SJ_NEVER, 0);
        expect(sj_spawn(t, leaves_foreign, s, NULL) == 0);
        return sj_scope_join(t);
}

static int returns_inside(void *arg)
{
        (void)arg;
        sj_scope *s = malloc(sizeof(*s));
        sj_scope_enter(s, SJ_NEVER, 0);
        return 0;
}

static int shields_for_ever(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, SJ_SHIELD);
        return sj_scope_join(s);
}

static int makes_a_shield_endless(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, sj_after(SJ_SEC), SJ_SHIELD);
        sj_scope_set_deadline(s, SJ_NEVER);
        return sj_scope_join(s);
}

static int enters_outside(void *arg)
{
        sj_scope s;
        (void)arg;
        sj_scope_enter(&s, SJ_NEVER, 0);
        return 0;
}

static int posts_an_entry(void *arg)
{
        (void)arg;
        expect(sj_post(sj_loop_current(), enters_outside, NULL) == 0);
        return sj_sleep(SJ_SEC);
}

static void mistakes_with_scopes_abort_and_say_which_and_where(void **state)
{
        (void)state;
        dies_saying(leaves_the_outer_first, SIGABRT, "innermost first");
        dies_saying(leaves_the_outer_first, SIGABRT, "\"main_fiber\", spawned at ");
        dies_saying(leaves_twice, SIGABRT, "innermost first");
        dies_saying(lends, SIGABRT, "in fiber \"leaves_foreign\", spawned at ");
        dies_saying(returns_inside, SIGABRT, "returned without leaving a scope");
        dies_saying(shields_for_ever, SIGABRT, "must have a finite deadline");
        dies_saying(makes_a_shield_endless, SIGABRT, "must have a finite deadline");
        dies_saying(posts_an_entry, SIGABRT, "outside of any fiber");
}

__attribute__((noinline)) static int descend(int depth)
{
        volatile char frame[512];
        frame[0] = (char)depth;
        return depth == 0 ? 0 : descend(depth - 1) + frame[0];
}

static int digs(void *arg)
{
        (void)arg;
        return descend(1 << 20);
}

static int spawns_a_digger(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect(sj_spawn_named(s, digs, NULL, "digger", "mine.c:3", NULL) == 0);
        return sj_scope_join(s);
}

static void an_overflow_names_its_fiber(void **state)
{
        (void)state;
#if SANITIZE_ANY
        skip(); /* the sanitizer has a report of its own */
#endif
        if (sanitize_valgrind())
                skip(); /* it says so itself */
        dies_saying(spawns_a_digger, SIGABRT, "\"digger\" (spawned at mine.c:3) overflowed");
}

/* ── Registers ───────────────────────────────────────────────────────────────────────────── */

enum { SUMMERS = 8, TERMS = 400 };

typedef struct sums {
        int number;
        bool yields;
        double plain[6];
        long double wide[3];
        uint64_t whole;
} sums;

/* Many values at once, in all kinds of registers, over each switch. */
static int sum_up(void *arg)
{
        sums *s = arg;
        double a = s->number, b = 1, c = 2, d = 3, e = 4, f = 5;
        long double u = s->number, v = 1, w = 2;
        uint64_t x = (uint64_t)s->number, y = 1;
        for (int i = 1; i <= TERMS; i++) {
                a += b / i, b += c / i, c -= d / i, d += e / i, e -= f / i, f += a / i;
                u += v / i, v -= w / i, w += u / i;
                x = x * 6364136223846793005u + y, y ^= x >> 13;
                if (s->yields)
                        expect(sj_yield() == 0);
        }
        const double plain[] = {a, b, c, d, e, f};
        const long double wide[] = {u, v, w};
        memcpy(s->plain, plain, sizeof(plain));
        for (int i = 0; i < 3; i++)
                s->wide[i] = wide[i];
        s->whole = x ^ y;
        return 0;
}

static int sums_in_turn(void *arg)
{
        (void)arg;
        sums alone[SUMMERS] = {0}, together[SUMMERS] = {0};
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < SUMMERS; i++) {
                alone[i] = (sums){.number = i};
                together[i] = (sums){.number = i, .yields = true};
                sum_up(&alone[i]);
                expect(sj_spawn(s, sum_up, &together[i], NULL) == 0);
        }
        expect(sj_scope_join(s) == 0);
        for (int i = 0; i < SUMMERS; i++) {
                expect(!memcmp(alone[i].plain, together[i].plain, sizeof(alone[i].plain)));
                for (int k = 0; k < 3; k++)
                        expect(!(alone[i].wide[k] < together[i].wide[k]) &&
                               !(alone[i].wide[k] > together[i].wide[k]));
                expect(alone[i].whole == together[i].whole);
        }
        return 0;
}

static void registers_of_all_kinds_survive_a_switch(void **state)
{
        (void)state;
        assert_int_equal(sj_run(sums_in_turn, NULL), 0);
}

/* ── Order ───────────────────────────────────────────────────────────────────────────────── */

enum { RUNNERS = 300 };

typedef struct order {
        int next;
        int place[2 * RUNNERS];
} order;

typedef struct runner {
        order *order;
        int number;
} runner;

static int run_twice(void *arg)
{
        const runner *r = arg;
        r->order->place[r->order->next++] = r->number;
        expect(sj_yield() == 0);
        r->order->place[r->order->next++] = r->number;
        return 0;
}

static int runs_in_order(void *arg)
{
        (void)arg;
        static order o;
        static runner runners[RUNNERS];
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < RUNNERS; i++) {
                runners[i] = (runner){.order = &o, .number = i};
                expect(sj_spawn(s, run_twice, &runners[i], NULL) == 0);
        }
        expect(sj_scope_join(s) == 0);
        for (int i = 0; i < 2 * RUNNERS; i++)
                expect(o.place[i] == i % RUNNERS);
        return 0;
}

static void fibers_run_in_the_order_in_which_they_became_ready(void **state)
{
        (void)state;
        assert_int_equal(sj_run(runs_in_order, NULL), 0);
}

static int sets_after_the_deadline(void *arg)
{
        (void)arg;
        sj_time deadline = sj_after(SJ_MS);
        SJ_SCOPE(s, deadline, 0);
        while (sj_now() <= deadline)
                continue;
        /* The loop has had no turn yet. */
        sj_scope_set_deadline(s, sj_after(1000 * SJ_SEC));
        expect(sj_sleep(100 * SJ_SEC) == -ECANCELED);
        expect(sj_scope_join(s) == -ETIMEDOUT);
        return 0;
}

static void a_deadline_that_has_passed_cannot_be_moved(void **state)
{
        (void)state;
        assert_int_equal(sj_run(sets_after_the_deadline, NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_dump_shows_the_tree_and_what_each_waits_for),
                cmocka_unit_test(the_watchdog_names_who_holds_the_loop),
                cmocka_unit_test(mistakes_with_scopes_abort_and_say_which_and_where),
                cmocka_unit_test(an_overflow_names_its_fiber),
                cmocka_unit_test(registers_of_all_kinds_survive_a_switch),
                cmocka_unit_test(fibers_run_in_the_order_in_which_they_became_ready),
                cmocka_unit_test(a_deadline_that_has_passed_cannot_be_moved),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
