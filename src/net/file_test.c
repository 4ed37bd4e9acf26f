/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "net/net_test_dns.h"
#include "os/os.h"

#include <sanjab/file.h>

#include <sys/stat.h>

static char folder[100];

static const char *in_folder(const char *name)
{
        static char paths[16][200];
        static unsigned next;
        char *path = paths[next++ % 16];
        snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
        return path;
}

static int count_entry(void *arg, const char *name)
{
        CHECK(strchr(name, '/') == NULL);
        ++*(size_t *)arg;
        return 0;
}

static size_t entries(void)
{
        size_t n = 0;
        CHECK_INT(sj_folder_read(folder, count_entry, &n, SJ_NEVER), 0);
        return n;
}

/* Runs the body in an empty folder, which it leaves empty. */
static int in_new_folder(void (*body)(void))
{
        snprintf(folder, sizeof(folder), "%s/sanjab-files-%d", os_simulated ? "" : "/tmp",
                 os_pid());
        CHECK_INT(sj_folder_make(folder, 0700, SJ_NEVER), 0);
        body();
        CHECK_INT(entries(), 0);
        CHECK_INT(sj_folder_remove(folder, SJ_NEVER), 0);
        return 0;
}

/* ── Open files ──────────────────────────────────────────────────────────────────────────── */

static void reading_and_writing(void)
{
        sj_file *f;
        char data[20];
        const char *path = in_folder("a");
        CHECK_INT(sj_file_open(path, O_RDONLY, 0, &f, SJ_NEVER), -ENOENT);
        CHECK_INT(sj_file_open(path, O_RDWR | O_CREAT | O_EXCL, 0600, &f, SJ_NEVER), 0);
        CHECK_INT(sj_file_read(f, data, sizeof(data), SJ_NEVER), 0);
        CHECK_INT(sj_file_write(f, "0123456789", 10, SJ_NEVER), 0);
        CHECK_INT(sj_file_write_at(f, "xx", 2, 3, SJ_NEVER), 0);
        CHECK_INT(sj_file_write(f, "abc", 3, SJ_NEVER), 0);
        CHECK_INT(sj_file_read_at(f, data, 20, 2, SJ_NEVER), 11);
        CHECK(memcmp(data, "2xx56789abc", 11) == 0);
        CHECK_INT(sj_file_read_at(f, data, 20, 13, SJ_NEVER), 0);
        CHECK_INT(sj_file_sync(f, SJ_NEVER), 0);
        CHECK_INT(sj_file_truncate(f, 4, SJ_NEVER), 0);
        sj_file_info info, same;
        CHECK_INT(sj_file_info_of(f, &info, SJ_NEVER), 0);
        CHECK_INT(info.size, 4);
        CHECK(S_ISREG(info.mode));
        CHECK_INT(info.mode & 0777, 0600);
        CHECK(info.modified.us > 0);
        CHECK_INT(sj_file_info_at(path, false, &same, SJ_NEVER), 0);
        CHECK(same.inode == info.inode && same.device == info.device);
        sj_file_close(f);
        sj_file_close(NULL);
        CHECK_INT(sj_file_open(path, O_RDONLY, 0, &f, SJ_NEVER), 0);
        CHECK_INT(sj_file_write(f, "x", 1, SJ_NEVER), -EBADF);
        CHECK_INT(sj_file_read(f, data, 3, SJ_NEVER), 3);
        CHECK_INT(sj_file_read(f, data, 3, SJ_NEVER), 1);
        CHECK(data[0] == 'x');
        sj_file_close(f);
        CHECK_INT(sj_file_remove(path, SJ_NEVER), 0);
        CHECK_INT(sj_file_remove(path, SJ_NEVER), -ENOENT);
}

static int reading_and_writing_fiber(void *arg)
{
        (void)arg;
        return in_new_folder(reading_and_writing);
}

static void bytes_are_where_they_were_written(void **state)
{
        (void)state;
        once_in_each_world(reading_and_writing_fiber);
}

static void appending(void)
{
        const char *path = in_folder("log");
        sj_file *a, *b;
        char bytes[20];
        int flags = O_WRONLY | O_CREAT | O_APPEND;
        CHECK_INT(sj_file_open(path, flags, 0600, &a, SJ_NEVER), 0);
        CHECK_INT(sj_file_open(path, O_RDWR | O_APPEND, 0600, &b, SJ_NEVER), 0);
        CHECK_INT(sj_file_write(a, "one ", 4, SJ_NEVER), 0);
        CHECK_INT(sj_file_write(b, "two ", 4, SJ_NEVER), 0);
        CHECK_INT(sj_file_write(a, "three", 5, SJ_NEVER), 0);
        CHECK_INT(sj_file_read_at(b, bytes, sizeof(bytes), 0, SJ_NEVER), 13);
        CHECK(memcmp(bytes, "one two three", 13) == 0);
        sj_file_close(a);
        sj_file_close(b);
        CHECK_INT(sj_file_open(path, flags, 0600, &a, SJ_NEVER), 0);
        CHECK_INT(sj_file_write(a, "!", 1, SJ_NEVER), 0);
        sj_file_close(a);
        sj_file_info info;
        CHECK_INT(sj_file_info_at(path, false, &info, SJ_NEVER), 0);
        CHECK_INT(info.size, 14);
        CHECK_INT(sj_file_remove(path, SJ_NEVER), 0);
}

static int appending_fiber(void *arg)
{
        (void)arg;
        return in_new_folder(appending);
}

static void who_appends_writes_behind_what_others_wrote(void **state)
{
        (void)state;
        once_in_each_world(appending_fiber);
}

/* ── Whole files ─────────────────────────────────────────────────────────────────────────── */

static void whole_files(void)
{
        static char much[200 * 1000];
        char *text;
        size_t n;
        const char *path = in_folder("whole");
        CHECK_INT(sj_file_read_whole(path, 100, &text, &n, SJ_NEVER), -ENOENT);
        CHECK_INT(sj_file_write_whole(path, "first", 5, 0640, SJ_NEVER), 0);
        CHECK_INT(sj_file_read_whole(path, 5, &text, &n, SJ_NEVER), 0);
        CHECK(n == 5 && strcmp(text, "first") == 0);
        free(text);
        CHECK_INT(sj_file_read_whole(path, 4, &text, &n, SJ_NEVER), -EMSGSIZE);
        pattern_fill(much, 0, sizeof(much));
        CHECK_INT(sj_file_write_whole(path, much, sizeof(much), 0604, SJ_NEVER), 0);
        CHECK_INT(sj_file_read_whole(path, SIZE_MAX, &text, &n, SJ_NEVER), 0);
        CHECK(n == sizeof(much) && memcmp(text, much, n) == 0 && text[n] == '\0');
        free(text);
        sj_file_info info;
        CHECK_INT(sj_file_info_at(path, true, &info, SJ_NEVER), 0);
        CHECK_INT(info.mode & 0777, 0604);
        CHECK_INT(sj_file_write_whole(path, NULL, 0, 0600, SJ_NEVER), 0);
        CHECK_INT(sj_file_read_whole(path, 0, &text, &n, SJ_NEVER), 0);
        CHECK(n == 0 && *text == '\0');
        free(text);
        CHECK_INT(sj_file_write_whole(in_folder("no/such"), "x", 1, 0600, SJ_NEVER), -ENOENT);
        CHECK_INT(sj_file_read_whole(folder, 100, &text, &n, SJ_NEVER), -EISDIR);
        /* A folder cannot be replaced, and nothing is left beside it. */
        CHECK_INT(sj_folder_make(in_folder("taken"), 0700, SJ_NEVER), 0);
        CHECK(sj_file_write_whole(in_folder("taken"), "x", 1, 0600, SJ_NEVER) < 0);
        CHECK_INT(entries(), 2);
        CHECK_INT(sj_folder_remove(in_folder("taken"), SJ_NEVER), 0);
        CHECK_INT(sj_file_remove(path, SJ_NEVER), 0);
}

static int whole_files_fiber(void *arg)
{
        (void)arg;
        return in_new_folder(whole_files);
}

static void a_whole_file_is_read_and_replaced_at_once(void **state)
{
        (void)state;
        once_in_each_world(whole_files_fiber);
}

/* ── Paths ───────────────────────────────────────────────────────────────────────────────── */

static int stop_at_second(void *arg, const char *name)
{
        (void)name;
        return ++*(size_t *)arg == 2 ? 7 : 0;
}

static void paths(void)
{
        sj_file_info info;
        size_t n = 0;
        CHECK_INT(sj_folder_make(in_folder("sub"), 0700, SJ_NEVER), 0);
        CHECK_INT(sj_folder_make(in_folder("sub"), 0700, SJ_NEVER), -EEXIST);
        CHECK_INT(sj_file_info_at(in_folder("sub"), false, &info, SJ_NEVER), 0);
        CHECK(S_ISDIR(info.mode));
        CHECK_INT(sj_file_write_whole(in_folder("sub/a"), "a", 1, 0600, SJ_NEVER), 0);
        CHECK_INT(sj_folder_remove(in_folder("sub"), SJ_NEVER), -ENOTEMPTY);
        CHECK_INT(sj_file_rename(in_folder("sub/a"), in_folder("b"), SJ_NEVER), 0);
        CHECK_INT(entries(), 2);
        CHECK_INT(sj_folder_read(folder, stop_at_second, &n, SJ_NEVER), 7);
        CHECK_INT(n, 2);
        CHECK_INT(sj_folder_read(in_folder("none"), count_entry, &n, SJ_NEVER), -ENOENT);
        CHECK_INT(sj_file_remove(in_folder("b"), SJ_NEVER), 0);
        CHECK_INT(sj_folder_remove(in_folder("sub"), SJ_NEVER), 0);
        CHECK_INT(sj_file_info_at(in_folder("sub"), false, &info, SJ_NEVER), -ENOENT);
}

static int paths_fiber(void *arg)
{
        (void)arg;
        return in_new_folder(paths);
}

static void paths_are_made_renamed_listed_and_removed(void **state)
{
        (void)state;
        once_in_each_world(paths_fiber);
}

static void when_cancelled(void)
{
        sj_file_info info;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_scope_cancel(s);
        CHECK_INT(sj_file_write_whole(in_folder("x"), "x", 1, 0600, SJ_NEVER), -ECANCELED);
        CHECK_INT(sj_file_info_at(folder, false, &info, SJ_NEVER), -ECANCELED);
}

static int when_cancelled_fiber(void *arg)
{
        (void)arg;
        return in_new_folder(when_cancelled);
}

static void a_cancelled_call_does_nothing(void **state)
{
        (void)state;
        once_in_each_world(when_cancelled_fiber);
}

static void without_a_fiber_it_works_as_well(void **state)
{
        (void)state;
        if (!os_simulated) /* whose world exists inside of a run only */
                in_new_folder(whole_files);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(bytes_are_where_they_were_written),
                cmocka_unit_test(who_appends_writes_behind_what_others_wrote),
                cmocka_unit_test(a_whole_file_is_read_and_replaced_at_once),
                cmocka_unit_test(paths_are_made_renamed_listed_and_removed),
                cmocka_unit_test(a_cancelled_call_does_nothing),
                cmocka_unit_test(without_a_fiber_it_works_as_well),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
