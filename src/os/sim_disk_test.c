/* SPDX-License-Identifier: MIT */
/* The simulated disk: what a loss of power leaves, and what a full or failing disk says. */
#include "base/unit.h"
#include "os/os.h"
#include "os/sim.h"

#include <fcntl.h>
#include <stdlib.h>

enum { SEEDS = 200, SECTOR = 512 };

static int make(const char *path)
{
        int fd = os_open(path, O_RDWR | O_CREAT, 0600);
        assert_true(fd >= 0);
        return fd;
}

static void sync_folder(const char *path)
{
        int fd = os_open(path, O_RDONLY | O_DIRECTORY, 0);
        assert_true(fd >= 0);
        assert_int_equal(os_fsync(fd), 0);
        os_close(fd);
}

/* The size of the file, and its bytes; -ENOENT when there is none. */
static ssize_t content(const char *path, char *ret, size_t size)
{
        int fd = os_open(path, O_RDONLY, 0);
        if (fd < 0)
                return fd;
        ssize_t n = os_pread(fd, ret, size, 0);
        os_close(fd);
        return n;
}

static void synced_bytes_survive_and_later_ones_may(void **state)
{
        (void)state;
        unsigned kept = 0, lost = 0;
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
                char got[16] = {0};
                sim_begin(seed, NULL);
                int fd = make("/tmp/a");
                assert_int_equal(os_pwrite(fd, "synced", 6, 0), 6);
                assert_int_equal(os_fsync(fd), 0);
                assert_int_equal(os_pwrite(fd, "later", 5, 6), 5);
                sim_power_loss();
                assert_int_equal(os_pread(fd, got, 1, 0), -EBADF);
                ssize_t n = content("/tmp/a", got, sizeof(got));
                assert_in_range(n, 6, 11);
                assert_memory_equal(got, "synced", 6);
                assert_memory_equal(got + 6, "later", (size_t)n - 6);
                kept += n == 11;
                lost += n == 6;
                assert_int_equal(sim_end(), 0);
        }
        assert_true(kept > 20 && lost > 20 && kept + lost < SEEDS);
}

static void sectors_are_lost_one_by_one(void **state)
{
        (void)state;
        unsigned mixed = 0, torn = 0;
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
                char page[8 * SECTOR], got[8 * SECTOR];
                sim_begin(seed, NULL);
                int fd = make("/tmp/a");
                memset(page, 'o', sizeof(page));
                assert_int_equal(os_pwrite(fd, page, sizeof(page), 0), sizeof(page));
                assert_int_equal(os_fsync(fd), 0);
                memset(page, 'n', sizeof(page));
                assert_int_equal(os_pwrite(fd, page, sizeof(page), 0), sizeof(page));
                sim_power_loss();
                assert_int_equal(content("/tmp/a", got, sizeof(got)), sizeof(got));
                bool has_old = false, has_new = false;
                for (size_t i = 0; i < sizeof(got); i++) {
                        assert_true(got[i] == 'o' || got[i] == 'n');
                        has_old |= got[i] == 'o';
                        has_new |= got[i] == 'n';
                        /* Within a sector the new part comes first. */
                        if (i % SECTOR && got[i] != got[i - 1]) {
                                assert_int_equal(got[i], 'o');
                                torn++;
                        }
                }
                mixed += has_old && has_new;
                sim_end();
        }
        assert_true(mixed > 20);
        assert_true(torn > 20);
}

static void rename_is_whole_after_a_loss_of_power(void **state)
{
        (void)state;
        unsigned old = 0, young = 0;
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
                char got[4] = {0};
                sim_begin(seed, NULL);
                int fd = make("/tmp/a");
                assert_int_equal(os_pwrite(fd, "old", 3, 0), 3);
                assert_int_equal(os_fsync(fd), 0);
                os_close(fd);
                fd = make("/tmp/a.new");
                assert_int_equal(os_pwrite(fd, "new", 3, 0), 3);
                assert_int_equal(os_fsync(fd), 0);
                os_close(fd);
                sync_folder("/tmp");
                assert_int_equal(os_rename("/tmp/a.new", "/tmp/a"), 0);
                sim_power_loss();
                assert_int_equal(content("/tmp/a", got, 3), 3);
                bool is_old = strcmp(got, "old") == 0;
                assert_true(is_old || strcmp(got, "new") == 0);
                assert_int_equal(content("/tmp/a.new", got, 3), is_old ? 3 : -ENOENT);
                old += is_old;
                young += !is_old;
                sim_end();
        }
        assert_true(old > 20 && young > 20);
}

static void names_survive_when_their_folder_was_synced(void **state)
{
        (void)state;
        unsigned lost = 0;
        char got[4];
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
                sim_begin(seed, NULL);
                os_close(make("/tmp/gone"));
                assert_int_equal(os_unlink("/tmp/gone"), 0);
                assert_int_equal(os_mkdir("/tmp/d", 0700), 0);
                os_close(make("/tmp/d/a"));
                sync_folder("/tmp/d");
                os_close(make("/tmp/d/b"));
                sim_power_loss();
                assert_int_equal(content("/tmp/d/a", got, 1), 0);
                assert_int_equal(content("/tmp/gone", got, 1), -ENOENT);
                lost += content("/tmp/d/b", got, 1) == -ENOENT;
                sim_end();
        }
        assert_in_range(lost, 20, SEEDS - 20);
}

static void loss_of_power_frees_locks_and_wires(void **state)
{
        (void)state;
        int fds[2];
        sim_begin(3, NULL);
        int fd = make("/tmp/a");
        assert_int_equal(os_lock_file(fd, true, false), 0);
        assert_int_equal(os_fsync(fd), 0);
        assert_int_equal(os_socket_pair(fds), 0);
        sim_power_loss();
        assert_int_equal(sim_count().open, 0);
        fd = make("/tmp/a");
        assert_int_equal(os_lock_file(fd, true, false), 0);
        os_close(fd);
        assert_int_equal(sim_end(), 0);
}

static void full_disk_says_so_and_keeps_what_it_has(void **state)
{
        (void)state;
        char data[600] = {0};
        os_stat s;
        sim_begin(1, &(sim_options){.disk = 1000});
        int fd = make("/tmp/a");
        assert_int_equal(os_pwrite(fd, data, 600, 0), 600);
        assert_int_equal(os_pwrite(fd, data, 600, 600), -ENOSPC);
        assert_int_equal(os_truncate(fd, 1001), -ENOSPC);
        assert_int_equal(os_fstat(fd, &s), 0);
        assert_int_equal(s.size, 600);
        assert_int_equal(os_pwrite(fd, data, 600, 100), 600);
        os_close(fd);
        assert_int_equal(os_unlink("/tmp/a"), 0);
        fd = make("/tmp/b");
        assert_int_equal(os_truncate(fd, 1000), 0);
        os_close(fd);
        assert_int_equal(sim_end(), 0);
}

static void old_writes_are_written_back_by_themselves(void **state)
{
        (void)state;
        enum { WRITES = 5000, LENGTH = 8 };
        for (uint64_t seed = 0; seed < 20; seed++) {
                char got[LENGTH] = {0};
                sim_begin(seed, NULL);
                int fd = make("/tmp/a");
                assert_int_equal(os_fsync(fd), 0);
                for (uint64_t i = 0; i < WRITES; i++)
                        assert_int_equal(os_pwrite(fd, "12345678", LENGTH, i * LENGTH), LENGTH);
                sim_power_loss();
                assert_int_equal(content("/tmp/a", got, LENGTH), LENGTH);
                assert_memory_equal(got, "12345678", LENGTH);
                assert_int_equal(sim_end(), 0);
        }
}

static void failing_disk_fails_when_told(void **state)
{
        (void)state;
        sim_begin(1, NULL);
        int fd = make("/tmp/a");
        sim_fail_disk_after(1, EIO);
        assert_int_equal(os_pwrite(fd, "x", 1, 0), 1);
        assert_int_equal(os_fsync(fd), -EIO);
        assert_int_equal(os_pwrite(fd, "x", 1, 0), -EIO);
        assert_int_equal(os_unlink("/tmp/a"), -EIO);
        assert_int_equal(os_mkdir("/tmp/d", 0700), -EIO);
        sim_fail_disk_after(SIZE_MAX, EIO);
        assert_int_equal(os_fsync(fd), 0);
        os_close(fd);
        sim_end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(synced_bytes_survive_and_later_ones_may),
                cmocka_unit_test(sectors_are_lost_one_by_one),
                cmocka_unit_test(rename_is_whole_after_a_loss_of_power),
                cmocka_unit_test(names_survive_when_their_folder_was_synced),
                cmocka_unit_test(loss_of_power_frees_locks_and_wires),
                cmocka_unit_test(full_disk_says_so_and_keeps_what_it_has),
                cmocka_unit_test(old_writes_are_written_back_by_themselves),
                cmocka_unit_test(failing_disk_fails_when_told),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
