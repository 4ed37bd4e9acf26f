/* SPDX-License-Identifier: MIT */
/*
 * Tasks and children that behave badly: a worker goes on, and each of their messages comes to an
 * end.
 */
#include "base/unit.h"
#include "exec/zygote.h"
#include "queue/worker/worker_bench.h"
#include "queue/worker/worker_internal.h"

#include <sanjab/exec.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ── Tasks ───────────────────────────────────────────────────────────────────────────────── */

SJ_TASK(multiply, int64_t, (int64_t, a), (int64_t, b))
{
        *ret = a * b;
        return 0;
}

SJ_TASK(leave, void, (int64_t, status))
{
        (void)self;
#ifdef __SANITIZE_ADDRESS__
        /* What other fibers hold looks like leaks to it. */
        quick_exit((int)status);
#else
        exit((int)status);
#endif
}
SJ_TASK_OPTIONS(leave, .max_deliveries = 2);

/* When all have begun that were sent with it. */
SJ_TASK(crash_soon, void)
{
        (void)self;
        usleep(30000);
        _exit(9);
}
SJ_TASK_OPTIONS(crash_soon, .max_deliveries = 2);

SJ_TASK(innocent, int64_t)
{
        int r = sj_sleep(100 * SJ_MS);
        *ret = self->deliveries;
        return r;
}
SJ_TASK_OPTIONS(innocent, .max_deliveries = 2);

SJ_TASK(fork_and_return, int64_t)
{
        pid_t pid = fork();
        if (pid > 0)
                usleep(50000); /* so that the copy, if it speaks, is the first */
        *ret = 7;
        return pid < 0 ? -errno : 0;
}

SJ_TASK(run_program, int64_t)
{
        *ret = system("exit 5");
        *ret = WEXITSTATUS(*ret);
        return 0;
}

SJ_TASK(close_all, void)
{
        (void)self;
        /* No function, which a thread sanitizer would see through. */
        return (int)syscall(SYS_close_range, 3, 63, 0);
}
SJ_TASK_OPTIONS(close_all, .max_deliveries = 2);

/* Text in a file, which the C library keeps until it is told to finish. */
static FILE *kept;
SJ_TASK(write_later, void, (const char *, path))
{
        if (!kept)
                kept = fopen(path, "w");
        return kept && fputs("written", kept) >= 0 ? 0 : -errno;
}

SJ_TASK(nap, void, (double, seconds))
{
        return sj_sleep((sj_time)(seconds * (double)SJ_SEC));
}

SJ_TASK(stubborn_nap, int64_t, (double, seconds))
{
        usleep((unsigned)(seconds * 1e6));
        *ret = (int64_t)self->deliveries;
        return 0;
}

SJ_TASK(early, int64_t)
{
        *ret = self->deliveries;
        return 0;
}
SJ_TASK_OPTIONS(early, .acks_early = true);

SJ_TASK(length, int64_t, (const char *, text))
{
        *ret = (int64_t)strlen(text);
        return 0;
}

SJ_TASK(text_of_length, const char *, (int64_t, n))
{
        char *text = sj_arena_alloc(self->arena, (size_t)n + 1);
        if (!text)
                return -ENOMEM;
        memset(text, 'a', (size_t)n);
        text[n] = 0;
        *ret = text;
        return 0;
}

SJ_TASK(tell_much, void)
{
        char meta[32];
        for (int i = 0; i < 20000; i++) {
                snprintf(meta, sizeof(meta), "%d", i);
                int r = sj_task_progress(self, "PROGRESS", meta);
                if (r < 0)
                        return r;
        }
        while (!sj_task_cancelled(self))
                if (sj_sleep(SJ_MS) < 0)
                        break;
        return -ECANCELED;
}

/* What a child says when its memory is not what it was. */
typedef enum lie {
        LIE_GARBAGE,
        LIE_SKIP_FREE,
        LIE_SKIP_BEYOND,
        LIE_RETURN_NOTHING,
        LIE_RETURN_NONSENSE,
        LIE_KIND,
        LIE_READY_AGAIN,
        LIE_BROKEN,
        LIE_SUCCESS_AS_PROGRESS,
        LIE_PUBLISH,
        LIES,
} lie;

/* Another writer of the child's ring, where the true one is now. */
static int open_own_ring(duplex *ret)
{
        const int fds[] = {ZYGOTE_FD_FIRST, ZYGOTE_FD_FIRST + 1, ZYGOTE_FD_FIRST + 2};
        const duplex_shape shape = wire_shape(1 + WIRE_SLOTS_BESIDE);
        int r = duplex_open(fds, &shape, ret);
        if (r < 0)
                return r;
        const uint64_t *head = (const void *)ret->out.shared;
        ret->out.position = ret->out.published = ret->out.seen = *head;
        return 0;
}

SJ_TASK(say_what_makes_no_sense, void, (int64_t, what))
{
        static const sj_str nonsense = {"nonsense", 8};
        const wire_record records[LIES] = {
                [LIE_SKIP_FREE] = {.head = {.kind = WIRE_SKIPPED, .slot = 77}},
                [LIE_SKIP_BEYOND] = {.head = {.kind = WIRE_SKIPPED, .slot = 1 << 30}},
                [LIE_RETURN_NOTHING] = {.head = {.kind = WIRE_RETURNED, .slot = 99, .n_texts = 1},
                                        .texts = {nonsense}},
                [LIE_RETURN_NONSENSE] = {.head = {.kind = WIRE_RETURNED, .slot = 0, .n_texts = 1},
                                         .texts = {nonsense}},
                [LIE_KIND] = {.head = {.kind = WIRE_RUN}},
                [LIE_READY_AGAIN] = {.head = {.kind = WIRE_READY, .n_texts = 1},
                                     .texts = {nonsense}},
                [LIE_BROKEN] = {.head = {.kind = WIRE_BROKEN, .n_texts = 1}, .texts = {nonsense}},
                [LIE_SUCCESS_AS_PROGRESS] = {.head = {.kind = WIRE_PROGRESS, .n_texts = 2},
                                             .texts = {{"SUCCESS", 7}, {"1", 1}}},
                [LIE_PUBLISH] = {.head = {.kind = WIRE_PUBLISH, .n_texts = 1}, .texts = {nonsense}},
        };
        duplex d;
        int r = open_own_ring(&d);
        if (r < 0)
                return r;
        if (what == LIE_GARBAGE) {
                for (size_t i = 0; i < d.size; i++)
                        ((unsigned char *)d.memory)[i] = (unsigned char)(i * 2654435761u >> 13);
                os_bell_ring(d.peer_bell);
        } else {
                r = wire_put(&d.out, &records[what]);
                ring_flush(&d.out);
        }
        while (r >= 0 && self)
                usleep(10000);
        return r;
}
SJ_TASK_OPTIONS(say_what_makes_no_sense, .max_deliveries = 1);

/* ── Children that misbehave ─────────────────────────────────────────────────────────────── */

static void still_works(bench *b)
{
        sj_result result;
        assert_int_equal(multiply_delay(b->app, 6, 7, &result), 0);
        bench_expect_int(&result, 42);
}

static int leaves(bench *b)
{
        sj_result result;
        assert_int_equal(leave_delay(b->app, 0, &result), 0);
        bench_expect_failure(&result, "WorkerLostError");
        assert_int_equal(leave_delay(b->app, 9, &result), 0);
        bench_expect_failure(&result, "WorkerLostError");
        still_works(b);
        return 0;
}

static void a_task_that_calls_exit_has_crashed(void **state)
{
        (void)state;
        bench_with_pools(leaves, POOLS_CHILDREN);
}

static int crashes_beside(bench *b)
{
        enum { CRASHES = 3, INNOCENTS = 12 };
        sj_result guilty[CRASHES], innocents[INNOCENTS];
        for (int i = 0; i < INNOCENTS; i++) {
                assert_int_equal(innocent_delay(b->app, &innocents[i]), 0);
                if (i < CRASHES)
                        assert_int_equal(crash_soon_delay(b->app, &guilty[i]), 0);
        }
        for (int i = 0; i < CRASHES; i++)
                bench_expect_failure(&guilty[i], "WorkerLostError");
        for (int i = 0; i < INNOCENTS; i++)
                bench_expect_state(&innocents[i], "SUCCESS");
        still_works(b);
        return 0;
}

static void a_task_that_crashes_does_not_end_those_beside_it(void **state)
{
        (void)state;
        static const unsigned at_once[] = {1, 2, 8};
        for (size_t i = 0; i < sizeof(at_once) / sizeof(at_once[0]); i++)
                for (unsigned pool = WORKER_PREFORK; pool <= WORKER_FIBERS_POOL; pool++) {
                        bench b = {.pool = (worker_pool_kind)pool,
                                   .test = crashes_beside,
                                   .options = {.concurrency = at_once[i]}};
                        assert_int_equal(sj_run(bench_run, &b), 0);
                }
}

/* They need not wait for each other. */
static int crashes_beside_many(bench *b)
{
        enum { INNOCENTS = 200 };
        sj_result guilty, innocents[INNOCENTS];
        for (int i = 0; i < INNOCENTS; i++) {
                assert_int_equal(innocent_delay(b->app, &innocents[i]), 0);
                if (i == INNOCENTS / 2)
                        assert_int_equal(crash_soon_apply_async(
                                                 b->app, &(sj_call){.max_deliveries = 4}, &guilty),
                                         0);
        }
        bench_expect_failure(&guilty, "WorkerLostError");
        for (int i = 0; i < INNOCENTS; i++)
                bench_expect_state(&innocents[i], "SUCCESS");
        /* The child of those that were suspected is not needed any more. */
        while (worker_count(b->worker).children > 1)
                sj_sleep(SJ_MS);
        return 0;
}

static void many_tasks_beside_one_that_crashes_succeed(void **state)
{
        (void)state;
        bench b = {.pool = WORKER_FIBERS_POOL,
                   .test = crashes_beside_many,
                   .options = {.concurrency = 64}};
        assert_int_equal(sj_run(bench_run, &b), 0);
}

static int forks(bench *b)
{
        sj_result result;
        assert_int_equal(fork_and_return_delay(b->app, &result), 0);
        bench_expect_int(&result, 7);
        assert_int_equal(run_program_delay(b->app, &result), 0);
        bench_expect_int(&result, 5);
        still_works(b);
        return 0;
}

static void a_task_may_fork_and_run_programs(void **state)
{
        (void)state;
        bench_with_pools(forks, POOLS_PREFORK | POOLS_FIBERS);
}

static int closes_all(bench *b)
{
        sj_result result;
        assert_int_equal(close_all_delay(b->app, &result), 0);
        sj_arena *arena;
        sj_outcome outcome;
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(bench_outcome(&result, arena, &outcome), 0);
        sj_arena_free(arena);
        still_works(b);
        still_works(b);
        still_works(b);
        return 0;
}

static void a_task_that_closes_all_descriptors_costs_its_child_only(void **state)
{
        (void)state;
        bench_with_pools(closes_all, POOLS_CHILDREN);
}

static int lies(bench *b)
{
        for (int64_t what = 0; what < LIES; what++) {
                sj_result result;
                assert_int_equal(say_what_makes_no_sense_delay(b->app, what, &result), 0);
                bench_expect_failure(&result, "WorkerLostError");
        }
        still_works(b);
        assert_int_equal(worker_count(b->worker).crashed, LIES);
        return 0;
}

static void a_child_that_writes_garbage_is_replaced(void **state)
{
        (void)state;
        bench_with_pools(lies, POOLS_PREFORK);
}

static int kills_the_zygote(bench *b)
{
        sj_result results[4];
        for (int i = 0; i < 3; i++) {
                for (int k = 0; k < 4; k++)
                        assert_int_equal(stubborn_nap_delay(b->app, 0.05, &results[k]), 0);
                sj_sleep((sj_time)(20 * i) * SJ_MS);
                if (b->worker->zygote)
                        assert_int_equal(kill(zygote_pid(b->worker->zygote), SIGKILL), 0);
                for (int k = 0; k < 4; k++)
                        bench_expect_state(&results[k], "SUCCESS");
        }
        return 0;
}

static void a_zygote_that_is_killed_is_replaced(void **state)
{
        (void)state;
        bench_with_pools(kills_the_zygote, POOLS_CHILDREN);
}

static int kills_all_children(bench *b)
{
        sj_result results[40];
        for (int k = 0; k < 40; k++) {
                const sj_call call = {.max_deliveries = 1000};
                assert_int_equal(nap_apply_async(b->app, &call, &results[k], 0.02), 0);
        }
        for (int i = 0; i < 10; i++) {
                sj_sleep(20 * SJ_MS);
                for (size_t k = 0; k < b->worker->n_children; k++) {
                        const worker_child *c = b->worker->children[k];
                        if (c && c->pidfd >= 0)
                                os_kill(c->pidfd, SIGKILL);
                }
        }
        for (int k = 0; k < 40; k++)
                bench_expect_state(&results[k], "SUCCESS");
        return 0;
}

static void children_that_are_killed_again_and_again_lose_nothing(void **state)
{
        (void)state;
        bench_with_pools(kills_all_children, POOLS_CHILDREN);
}

/* ── Sizes ───────────────────────────────────────────────────────────────────────────────── */

static int large_texts(bench *b)
{
        sj_result result;
        enum { LARGE = 20 << 20 };
        char *text = malloc(LARGE + 1);
        assert_non_null(text);
        memset(text, 'x', LARGE);
        text[LARGE] = 0;
        assert_int_equal(length_delay(b->app, text, &result), 0);
        bench_expect_int(&result, LARGE);
        free(text);
        assert_int_equal(text_of_length_delay(b->app, LARGE, &result), 0);
        bench_expect_state(&result, "SUCCESS");
        if (b->pool != WORKER_SOLO) {
                assert_int_equal(text_of_length_delay(b->app, 140 << 20, &result), 0);
                bench_expect_failure(&result, "ValueError");
        }
        still_works(b);
        return 0;
}

static void large_arguments_and_results_pass_and_larger_ones_fail(void **state)
{
        (void)state;
        bench_with_pools(large_texts, POOLS_PREFORK | POOLS_SOLO);
}

static int thousands(bench *b)
{
        enum { N = 8000 };
        sj_result *results = calloc(N, sizeof(*results));
        assert_non_null(results);
        for (int i = 0; i < N; i++)
                assert_int_equal(nap_delay(b->app, 0.01, &results[i]), 0);
        for (int i = 0; i < N; i++)
                bench_expect_state(&results[i], "SUCCESS");
        free(results);
        return 0;
}

static void thousands_of_tasks_run_at_once(void **state)
{
        (void)state;
        bench b = {.pool = WORKER_FIBERS_POOL,
                   .test = thousands,
                   .options = {.concurrency = WORKER_CONCURRENCY_MAX}};
        assert_int_equal(sj_run(bench_run, &b), 0);
}

/* ── Ends ────────────────────────────────────────────────────────────────────────────────── */

static int writes_later(bench *b)
{
        char path[] = "/tmp/sanjab-worker-test-XXXXXX", text[16] = "";
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        sj_result result;
        assert_int_equal(write_later_delay(b->app, path, &result), 0);
        bench_expect_state(&result, "SUCCESS");
        worker_stop(b->worker, WORKER_STOP_WARM);
        while (b->worker->n_children > 0)
                sj_sleep(SJ_MS);
        assert_int_equal(read(fd, text, sizeof(text) - 1), 7);
        assert_string_equal(text, "written");
        close(fd);
        unlink(path);
        return 0;
}

static void a_warm_stop_lets_children_write_what_they_have_kept(void **state)
{
        (void)state;
        bench_with_pools(writes_later, POOLS_CHILDREN);
}

static int stops_twice(bench *b)
{
        sj_result result;
        assert_int_equal(nap_delay(b->app, 30, &result), 0);
        while (worker_count(b->worker).held == 0)
                sj_sleep(SJ_MS);
        worker_stop(b->worker, WORKER_STOP_WARM);
        worker_stop(b->worker, WORKER_STOP_WARM);
        sj_sleep(20 * SJ_MS);
        worker_stop(b->worker, WORKER_STOP_COLD);
        worker_stop(b->worker, WORKER_STOP_COLD);
        while (worker_count(b->worker).held > 0)
                sj_sleep(SJ_MS);
        uint64_t leased;
        assert_int_equal(bench_waiting(b, &leased), 1);
        assert_int_equal(leased, 0);
        return 0;
}

static void a_cold_stop_hurries_a_warm_one(void **state)
{
        (void)state;
        bench_with_pools(stops_twice, POOLS_ALL);
}

static int stops_at_once(bench *b)
{
        static unsigned yields;
        for (unsigned i = 0; i < yields; i++)
                sj_yield();
        yields = (yields * 2 + 1) & 255;
        sj_result result;
        assert_int_equal(multiply_delay(b->app, 1, 1, &result), 0);
        worker_stop(b->worker, yields & 8 ? WORKER_STOP_COLD : WORKER_STOP_WARM);
        return 0;
}

static void a_worker_may_be_stopped_while_it_starts(void **state)
{
        (void)state;
        for (int i = 0; i < 8; i++)
                bench_with_pools(stops_at_once, POOLS_ALL);
}

/* ── What waits behind a long task ───────────────────────────────────────────────────────── */

static void measure_short_runs(bench *b)
{
        for (int i = 0; i < 50; i++)
                still_works(b);
}

static int expires_behind(bench *b)
{
        sj_result slow[2], late;
        measure_short_runs(b);
        for (int i = 0; i < 2; i++)
                assert_int_equal(stubborn_nap_delay(b->app, 0.4, &slow[i]), 0);
        assert_int_equal(multiply_apply_async(b->app, &(sj_call){.expires = 0.05}, &late, 2, 3), 0);
        bench_expect_state(&late, "REVOKED");
        bench_expect_state(&slow[0], "SUCCESS");
        bench_expect_state(&slow[1], "SUCCESS");
        return 0;
}

static void what_expires_behind_a_long_task_is_not_run(void **state)
{
        (void)state;
        bench_with_pools(expires_behind, POOLS_PREFORK | POOLS_THREADS | POOLS_SOLO);
}

static int early_behind(bench *b)
{
        sj_result slow[2], waiting[20];
        measure_short_runs(b);
        for (int i = 0; i < 2; i++)
                assert_int_equal(stubborn_nap_delay(b->app, 0.3, &slow[i]), 0);
        for (int i = 0; i < 20; i++)
                assert_int_equal(early_delay(b->app, &waiting[i]), 0);
        for (int i = 0; i < 20; i++)
                bench_expect_int(&waiting[i], 1);
        return 0;
}

static void what_was_acknowledged_early_is_not_lost_when_it_is_taken_back(void **state)
{
        (void)state;
        bench_with_pools(early_behind, POOLS_PREFORK);
}

static int returns_counted(bench *b)
{
        sj_result slow[2], waiting[20];
        measure_short_runs(b);
        for (int i = 0; i < 2; i++)
                assert_int_equal(stubborn_nap_delay(b->app, 1, &slow[i]), 0);
        sj_sleep(50 * SJ_MS);
        for (int i = 0; i < 20; i++)
                assert_int_equal(multiply_delay(b->app, i, 1, &waiting[i]), 0);
        for (int i = 0; i < 20; i++)
                bench_expect_int(&waiting[i], i);
        assert_true(worker_count(b->worker).returned <= 40);
        return 0;
}

static void what_was_taken_back_does_not_come_and_go_until_there_is_room(void **state)
{
        (void)state;
        bench_with_pools(returns_counted, POOLS_PREFORK);
}

static int revokes_progress(bench *b)
{
        sj_result result;
        sj_arena *arena;
        sj_outcome outcome;
        int64_t said = -1;
        assert_int_equal(tell_much_delay(b->app, &result), 0);
        assert_int_equal(sj_arena_new(&arena), 0);
        do {
                sj_sleep(5 * SJ_MS);
                sj_arena_reset(arena);
                assert_int_equal(sj_result_state(&result, arena, &outcome, SJ_NEVER), 0);
                if (outcome.state == SJ_CUSTOM)
                        assert_int_equal(sj_json_int(outcome.value, &said), 0);
        } while (said != 19999);
        assert_int_equal(sj_result_revoke(&result, SJ_NEVER), 0);
        sj_arena_free(arena);
        bench_expect_state(&result, "REVOKED");
        return 0;
}

static void the_last_state_is_what_is_seen_and_a_revoked_task_is_revoked(void **state)
{
        (void)state;
        for (unsigned pool = WORKER_PREFORK; pool <= WORKER_SOLO; pool++) {
                bench b = {.pool = (worker_pool_kind)pool,
                           .test = revokes_progress,
                           .options = {.lease = SJ_SEC}};
                assert_int_equal(sj_run(bench_run, &b), 0);
        }
}

static int naps_softly(bench *b)
{
        sj_result result;
        assert_int_equal(nap_apply_async(b->app, &(sj_call){.soft_time_limit = 0.1}, &result, 50),
                         0);
        bench_expect_failure(&result, "SoftTimeLimitExceeded");
        return 0;
}

static void a_soft_limit_cancels_what_the_body_waits_for(void **state)
{
        (void)state;
        bench_with_pools(naps_softly, POOLS_ALL);
}

int main(int argc, char **argv)
{
        sj_boot(argc, argv);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_task_that_calls_exit_has_crashed),
                cmocka_unit_test(a_task_that_crashes_does_not_end_those_beside_it),
                cmocka_unit_test(many_tasks_beside_one_that_crashes_succeed),
                cmocka_unit_test(a_task_may_fork_and_run_programs),
                cmocka_unit_test(a_task_that_closes_all_descriptors_costs_its_child_only),
                cmocka_unit_test(a_child_that_writes_garbage_is_replaced),
                cmocka_unit_test(a_zygote_that_is_killed_is_replaced),
                cmocka_unit_test(children_that_are_killed_again_and_again_lose_nothing),
                cmocka_unit_test(large_arguments_and_results_pass_and_larger_ones_fail),
                cmocka_unit_test(thousands_of_tasks_run_at_once),
                cmocka_unit_test(a_warm_stop_lets_children_write_what_they_have_kept),
                cmocka_unit_test(a_cold_stop_hurries_a_warm_one),
                cmocka_unit_test(a_worker_may_be_stopped_while_it_starts),
                cmocka_unit_test(what_expires_behind_a_long_task_is_not_run),
                cmocka_unit_test(what_was_acknowledged_early_is_not_lost_when_it_is_taken_back),
                cmocka_unit_test(what_was_taken_back_does_not_come_and_go_until_there_is_room),
                cmocka_unit_test(the_last_state_is_what_is_seen_and_a_revoked_task_is_revoked),
                cmocka_unit_test(a_soft_limit_cancels_what_the_body_waits_for),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
