/* SPDX-License-Identifier: MIT */
/* That a file is replaced at once, whatever fails and whenever the power goes. */
#include "base/unit.h"
#include "net/file_whole.h"
#include "os/os.h"
#include "os/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 200, STEPS = 12, SIZE = 3000 };

static char *bytes_of(char fill)
{
        static char data[SIZE];
        memset(data, fill, sizeof(data));
        return data;
}

/* Whether the file holds nothing but that byte, whole. */
static bool holds(const char *path, char fill)
{
        char *text = NULL;
        size_t n = 0;
        if (file_read_whole(path, SIZE, &text, &n) < 0)
                return false;
        bool whole = n == SIZE && memcmp(text, bytes_of(fill), SIZE) == 0;
        free(text);
        return whole;
}

static int count_entry(void *arg, const char *name)
{
        (void)name;
        ++*(size_t *)arg;
        return 0;
}

static void a_failure_at_any_step_and_a_loss_of_power_leave_old_or_new(void **state)
{
        (void)state;
        unsigned succeeded = 0;
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                size_t steps = seed % STEPS;
                sim_begin(seed, NULL);
                assert_int_equal(os_mkdir("/d", 0700), 0);
                assert_int_equal(file_write_whole("/d/f", bytes_of('o'), SIZE, 0600), 0);
                sim_fail_disk_after(steps, EIO);
                int r = file_write_whole("/d/f", bytes_of('n'), SIZE, 0600);
                sim_fail_disk_after(SIZE_MAX, 0);
                assert_true(r == 0 || r == -EIO);
                /* What could not be removed from a broken disk may be beside it. */
                size_t n = 0;
                assert_int_equal(os_read_dir("/d", count_entry, &n), 0);
                assert_true(n == 1 || r < 0);
                succeeded += r == 0;
                sim_power_loss();
                assert_true(holds("/d/f", 'n') || (r < 0 && holds("/d/f", 'o')));
                sim_end();
        }
        assert_in_range(succeeded, 1, SEEDS - 1);
}

static void a_full_disk_leaves_the_old(void **state)
{
        (void)state;
        sim_options small = sim_gentle;
        small.disk = SIZE + SIZE / 2;
        sim_begin(1, &small);
        assert_int_equal(file_write_whole("/f", bytes_of('o'), SIZE, 0600), 0);
        assert_int_equal(file_write_whole("/f", bytes_of('n'), SIZE, 0600), -ENOSPC);
        assert_true(holds("/f", 'o'));
        sim_end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_failure_at_any_step_and_a_loss_of_power_leave_old_or_new),
                cmocka_unit_test(a_full_disk_leaves_the_old),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
