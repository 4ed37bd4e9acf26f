/* SPDX-License-Identifier: MIT */
/*
 * Memory that is refused: each allocation of a run fails in turn, alone and with all after it.
 * Every run ends, what failed says -ENOMEM, and nothing is left. The test is linked with --wrap,
 * so that only what our objects ask for passes through here.
 */
#include "base/refusal.h"
#include "fiber/real_unit.h"
#include "os/os.h"

#include <sanjab/chan.h>
#include <sanjab/fiber.h>
#include <sanjab/process.h>
#include <sanjab/select.h>
#include <sanjab/shared.h>

#include <signal.h>
#include <sys/wait.h>

enum { FIBERS = 80 };

/* The first error is the run's, but it goes on. */
static void note(int r, int *error)
{
        expect(r >= 0 || r == -ENOMEM);
        if (r < 0 && *error == 0)
                *error = r;
}

typedef struct run {
        int error;
        int posted;
        int calls;
} run;

static int posted(void *arg)
{
        ++*(int *)arg;
        return 0;
}

static int yield_once(void *arg)
{
        (void)arg;
        return sj_yield();
}

static void try_child(int *error)
{
        char *const argv[] = {(char[]){"true"}, NULL};
        sj_child *child = NULL;
        int r = sj_child_start(argv, NULL, &child);
        note(r, error);
        if (r == 0)
                expect(sj_child_wait(child, NULL, SJ_NEVER) == 0);
        sj_child_free(child);
}

static void try_descriptor(int *error)
{
        int fds[2];
        expect(os_pipe(fds) == 0);
        note(sj_fd_wait(fds[1], SJ_WRITABLE, SJ_NEVER), error);
        sj_case cases[] = {{.kind = SJ_CASE_FD, .fd = fds[0], .ready = SJ_READABLE}};
        int r = sj_select(cases, 1, SJ_POLL);
        note(r == -ETIMEDOUT ? 0 : cases[r].result, error);
        for (int i = 0; i < 2; i++) {
                sj_fd_forget(fds[i]);
                os_close(fds[i]);
        }
}

static const sj_local inherited = {.inherit = sj_local_share};

static int all_that_allocates(void *arg)
{
        run *x = arg;
        int *error = &x->error, r;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *f[FIBERS] = {NULL};
        size_t n = 0;
        note(sj_local_set(&inherited, x), error);
        while (n < FIBERS && (r = sj_spawn(s, yield_once, NULL, &f[n])) == 0)
                n++;
        note(n < FIBERS ? r : 0, error);
        if (n > 0) {
                r = sj_wait(f, n, SJ_FIRST, SJ_NEVER);
                note(r < 0 ? r : 0, error);
        }
        r = sj_post(sj_loop_current(), posted, &x->calls);
        note(r, error);
        x->posted = r == 0;
        sj_chan *c = NULL;
        note(sj_chan_new(8, 4, &c), error);
        sj_chan_free(c);
        sj_shared_chan *shared = NULL;
        note(sj_shared_chan_new(8, 4, &shared), error);
        sj_shared_chan_free(shared);
        sj_remote remote;
        sj_spawn_on(sj_loop_current(), yield_once, NULL, &remote);
        note(sj_future_get(&remote.done, NULL, SJ_NEVER), error);
        sj_signals *signals = NULL;
        note(sj_signals_open((const int[]){SIGUSR1}, 1, &signals), error);
        sj_signals_close(signals);
        try_descriptor(error);
        try_child(error);
        expect(sj_scope_join(s) == 0);
        return 0;
}

/* Returns whether an allocation was refused. */
static bool run_refusing(size_t nth, bool for_good)
{
        run x = {0};
        long long before = memory.live;
        memory.left = (long long)nth;
        memory.refused = 0;
        memory.for_good = for_good;
        memory.armed = true;
        int r = sj_run(all_that_allocates, &x);
        memory.armed = false;
        expect(r == 0 || r == -ENOMEM);
        expect(memory.live == before);
        expect(memory.refused > 0 || (r == 0 && x.error == 0));
        expect(x.calls == x.posted);
        expect(waitpid(-1, NULL, WNOHANG) < 0); /* nor a child */
        return memory.refused > 0;
}

static void each_allocation_may_fail(void **state)
{
        (void)state;
        for (int for_good = 0; for_good < 2; for_good++) {
                size_t nth = 0;
                while (run_refusing(nth, for_good))
                        nth++;
                assert_true(nth > 10);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation_may_fail)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
