/* SPDX-License-Identifier: MIT */
/* What a scenario that fails says, and that it fails again when it is done as it says. */
#include "fiber/sim_unit.h"

#include <sanjab/chan.h>

#include <sys/wait.h>
#include <unistd.h>

enum { CONSUMERS = 8, ITEMS = 40 };

typedef struct works {
        sj_chan *items;
        int done;
} works;

/* The bug: who is cancelled between taking an item and doing the work on it loses the item. */
static int consume(void *arg)
{
        works *w = arg;
        int item;
        while (sj_chan_recv(w->items, &item, SJ_NEVER) == 0) {
                if (sj_sleep(SJ_MS) < 0)
                        return 0;
                w->done++;
        }
        return 0;
}

static int nothing_is_lost(void *arg)
{
        (void)arg;
        works w = {0};
        expect_equal(sj_chan_new(sizeof(int), ITEMS, &w.items), 0);
        for (int i = 0; i < ITEMS; i++)
                expect_equal(sj_chan_send(w.items, &i, SJ_NEVER), 0);
        sj_chan_close(w.items);
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                sj_fiber *f[CONSUMERS];
                for (int i = 0; i < CONSUMERS; i++)
                        expect_equal(sj_spawn(s, consume, &w, &f[i]), 0);
                for (int i = 0; i < CONSUMERS - 1; i++) {
                        sj_fiber *chosen = f[sim_draw(CONSUMERS)];
                        expect_equal(sj_sleep((sj_time)sim_draw(3) * SJ_MS), 0);
                        if (sim_strikes())
                                sj_cancel(chosen);
                }
                expect_equal(sj_scope_join(s), 0);
        }
        sj_chan_free(w.items);
        expect(w.done == ITEMS);
        return 0;
}

/* Runs the scenario in a process with that in its environment; its status, and what it said. */
static int run_with(const char *seed, const char *faults, bool shrink, char text[static 4096])
{
        int fds[2], status;
        size_t n = 0;
        ssize_t r;
        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                dup2(fds[1], STDERR_FILENO);
                setenv("SANJAB_SEED", seed, 1);
                if (faults)
                        setenv("SANJAB_FAULTS", faults, 1);
                if (shrink)
                        setenv("SANJAB_SHRINK", "1", 1);
                sim_unit_scenario(nothing_is_lost, NULL);
                _exit(0);
        }
        close(fds[1]);
        while ((r = read(fds[0], text + n, 4095 - n)) > 0)
                n += (size_t)r;
        text[n] = '\0';
        close(fds[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        return status;
}

static void a_failing_seed_says_how_to_do_it_again(void **state)
{
        (void)state;
        char text[4096];
        assert_int_not_equal(run_with("7", NULL, false, text), 0);
        assert_non_null(strstr(text, "not so: w.done == ITEMS"));
        assert_non_null(strstr(text, "replay it: SANJAB_SEED=7 "));
        assert_non_null(strstr(text, program_invocation_name));
}

static void it_shrinks_to_the_one_cancel_that_loses_an_item(void **state)
{
        (void)state;
        char text[4096], again[4096], *list;
        assert_int_not_equal(run_with("7", NULL, true, text), 0);
        assert_non_null(strstr(text, " faults 1 are enough: SANJAB_SEED=7 SANJAB_FAULTS='test:"));
        list = strchr(text, '\'') + 1;
        *strchr(list, '\'') = '\0';
        assert_null(strchr(list, ','));
        assert_int_not_equal(run_with("7", list, false, again), 0);
        assert_non_null(strstr(again, "not so: w.done == ITEMS"));
        assert_non_null(strstr(again, "replay it: SANJAB_SEED=7 SANJAB_FAULTS='test:"));
        assert_int_equal(run_with("7", "", false, again), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_failing_seed_says_how_to_do_it_again),
                cmocka_unit_test(it_shrinks_to_the_one_cancel_that_loses_an_item),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
