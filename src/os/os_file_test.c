/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "os/os.h"
#include "os/os_test.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

enum { PATH_SIZE = 256 };

static char folder[PATH_SIZE];

static int begin(void **state)
{
        (void)state;
        world_begin();
        snprintf(folder, sizeof(folder), "/tmp/os_file_test.%d", os_pid());
        return os_mkdir(folder, 0700);
}

static int end(void **state)
{
        (void)state;
        assert_int_equal(os_rmdir(folder), 0);
        world_end();
        return 0;
}

/* The path of a name in the test's folder; two live at a time. */
static const char *in_folder(const char *name)
{
        static char paths[2][PATH_SIZE + 64];
        static unsigned turn;
        char *path = paths[turn++ % 2];
        snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
        return path;
}

static int make(const char *name, const char *text)
{
        int fd = os_open(in_folder(name), O_RDWR | O_CREAT | O_EXCL, 0600);
        assert_true(fd >= 0);
        assert_int_equal(os_pwrite(fd, text, strlen(text), 0), strlen(text));
        return fd;
}

static void file_keeps_what_was_written(void **state)
{
        (void)state;
        char got[16] = {0};
        os_stat s;
        int fd = make("a", "hello");
        assert_int_equal(os_pwrite(fd, "J", 1, 0), 1);
        assert_int_equal(os_pread(fd, got, sizeof(got), 0), 5);
        assert_string_equal(got, "Jello");
        assert_int_equal(os_pread(fd, got, sizeof(got), 5), 0);
        assert_int_equal(os_pread(fd, got, 2, 3), 2);
        assert_int_equal(os_fsync(fd), 0);
        /* What lies between the end and a write behind it is zeros. */
        assert_int_equal(os_pwrite(fd, "!", 1, 10), 1);
        assert_int_equal(os_fstat(fd, &s), 0);
        assert_int_equal(s.size, 11);
        assert_int_equal(os_pread(fd, got, 1, 7), 1);
        assert_int_equal(got[0], 0);
        assert_int_equal(os_truncate(fd, 3), 0);
        assert_int_equal(os_fstat(fd, &s), 0);
        assert_int_equal(s.size, 3);
        assert_true(S_ISREG(s.mode));
        assert_int_equal(s.mode & 07777, 0600);
        os_close(fd);
        assert_int_equal(os_unlink(in_folder("a")), 0);
        assert_int_equal(os_stat_path(in_folder("a"), false, &s), -ENOENT);
}

static void appending_ignores_the_offset(void **state)
{
        (void)state;
        char got[8] = {0};
        os_close(make("log", "ab"));
        int fd = os_open(in_folder("log"), O_RDWR | O_APPEND, 0);
        assert_true(fd >= 0);
        assert_int_equal(os_write(fd, "cd", 2), 2);
        assert_int_equal(os_pwrite(fd, "ef", 2, 0), 2);
        assert_int_equal(os_pread(fd, got, sizeof(got), 0), 6);
        assert_string_equal(got, "abcdef");
        os_close(fd);
        os_unlink(in_folder("log"));
}

static void open_says_what_is_wrong(void **state)
{
        (void)state;
        os_close(make("a", "x"));
        assert_int_equal(os_open(in_folder("none"), O_RDONLY, 0), -ENOENT);
        assert_int_equal(os_open(in_folder("none/b"), O_RDWR | O_CREAT, 0600), -ENOENT);
        assert_int_equal(os_open(in_folder("a/b"), O_RDWR | O_CREAT, 0600), -ENOTDIR);
        assert_int_equal(os_open(in_folder("a"), O_RDWR | O_CREAT | O_EXCL, 0600), -EEXIST);
        assert_int_equal(os_open(in_folder("a"), O_RDONLY | O_DIRECTORY, 0), -ENOTDIR);
        assert_int_equal(os_open(folder, O_RDWR, 0), -EISDIR);
        assert_int_equal(os_open("", O_RDONLY, 0), -ENOENT);
        int fd = os_open(in_folder("a"), O_RDONLY, 0);
        assert_int_equal(os_pwrite(fd, "y", 1, 0), -EBADF);
        os_close(fd);
        os_unlink(in_folder("a"));
}

static void forbidden_file_cannot_be_opened(void **state)
{
        (void)state;
        os_close(make("secret", "x"));
        assert_int_equal(os_chmod(in_folder("secret"), 0), 0);
        int fd = os_open(in_folder("secret"), O_RDONLY, 0);
        /* Nothing is forbidden to root. */
        if (os_user() != 0)
                assert_int_equal(fd, -EACCES);
        os_close(fd);
        os_unlink(in_folder("secret"));
}

static void rename_replaces_at_once(void **state)
{
        (void)state;
        char got[4] = {0};
        int old = make("a", "old");
        os_close(make("b", "new"));
        assert_int_equal(os_rename(in_folder("b"), in_folder("a")), 0);
        /* Who has the old one open keeps it. */
        assert_int_equal(os_pread(old, got, 3, 0), 3);
        assert_string_equal(got, "old");
        os_close(old);
        int fd = os_open(in_folder("a"), O_RDONLY, 0);
        assert_int_equal(os_read(fd, got, 3), 3);
        assert_string_equal(got, "new");
        assert_int_equal(os_read(fd, got, 3), 0);
        os_close(fd);
        assert_int_equal(os_rename(in_folder("b"), in_folder("c")), -ENOENT);
        os_unlink(in_folder("a"));
}

static int collect(void *arg, const char *name)
{
        strcat(arg, name);
        return 0;
}
static int stop(void *arg, const char *name)
{
        (void)arg, (void)name;
        return 42;
}

static void folders_hold_names(void **state)
{
        (void)state;
        char names[PATH_SIZE] = "";
        os_stat s;
        assert_int_equal(os_mkdir(in_folder("sub"), 0700), 0);
        assert_int_equal(os_mkdir(in_folder("sub"), 0700), -EEXIST);
        os_close(make("sub/f", "x"));
        assert_int_equal(os_rmdir(in_folder("sub")), -ENOTEMPTY);
        assert_int_equal(os_rename(in_folder("sub"), in_folder("sub/in")), -EINVAL);
        assert_int_equal(os_unlink(in_folder("sub")), -EISDIR);
        assert_int_equal(os_rmdir(in_folder("sub/f")), -ENOTDIR);
        assert_int_equal(os_read_dir(folder, collect, names), 0);
        assert_string_equal(names, "sub");
        assert_int_equal(os_read_dir(folder, stop, NULL), 42);
        assert_int_equal(os_read_dir(in_folder("none"), stop, NULL), -ENOENT);
        assert_int_equal(os_read_dir(in_folder("sub/f"), stop, NULL), -ENOTDIR);
        assert_int_equal(os_stat_path(in_folder("sub"), true, &s), 0);
        assert_true(S_ISDIR(s.mode));
        assert_int_equal(os_rename(in_folder("sub"), in_folder("moved")), 0);
        assert_int_equal(os_unlink(in_folder("moved/f")), 0);
        assert_int_equal(os_rmdir(in_folder("moved")), 0);
}

static void real_path_has_no_dots(void **state)
{
        (void)state;
        char got[PATH_MAX];
        os_close(make("a", "x"));
        assert_int_equal(os_real_path(in_folder(".././/../tmp/./"), got, sizeof(got)), 0);
        assert_string_equal(got, "/tmp");
        assert_int_equal(os_real_path(in_folder("./a"), got, sizeof(got)), 0);
        assert_string_equal(got, in_folder("a"));
        assert_int_equal(os_real_path(in_folder("none"), got, sizeof(got)), -ENOENT);
        os_unlink(in_folder("a"));
}

static void locks_exclude_each_other(void **state)
{
        (void)state;
        int a = make("lock", "");
        int b = os_open(in_folder("lock"), O_RDWR, 0);
        int c = os_open(in_folder("lock"), O_RDWR, 0);
        assert_int_equal(os_lock_file(a, false, false), 0);
        assert_int_equal(os_lock_file(b, false, false), 0);
        assert_int_equal(os_lock_file(c, true, false), -EAGAIN);
        os_unlock_file(a);
        assert_int_equal(os_lock_file(c, true, false), -EAGAIN);
        os_close(b);
        assert_int_equal(os_lock_file(c, true, true), 0);
        assert_int_equal(os_lock_file(a, false, false), -EAGAIN);
        assert_int_equal(os_lock_file(c, false, false), 0);
        assert_int_equal(os_lock_file(a, false, false), 0);
        os_close(a);
        os_close(c);
        os_unlink(in_folder("lock"));
}

static bool is_ready(os_poller *p, int fd)
{
        os_event e;
        assert_int_equal(os_poller_arm(p, fd, OS_READABLE, NULL), 0);
        return os_poller_wait(p, &e, 1, SJ_POLL) == 1;
}

static void watch_is_told_of_changes(void **state)
{
        (void)state;
        os_poller *p;
        assert_int_equal(os_poller_new(&p), 0);
        int fd = make("a", "x");
        int on_file = os_watch_path(in_folder("a"));
        int on_folder = os_watch_path(folder);
        assert_true(on_file >= 0 && on_folder >= 0);
        assert_false(is_ready(p, on_file));
        assert_int_equal(os_pwrite(fd, "y", 1, 0), 1);
        assert_true(is_ready(p, on_file));
        assert_true(is_ready(p, on_folder));
        os_watch_clear(on_file);
        os_watch_clear(on_folder);
        assert_false(is_ready(p, on_file));
        os_close(make("b", "x"));
        assert_true(is_ready(p, on_folder));
        assert_false(is_ready(p, on_file));
        os_watch_clear(on_folder);
        assert_int_equal(os_unlink(in_folder("b")), 0);
        assert_true(is_ready(p, on_folder));
        assert_int_equal(os_watch_path(in_folder("none")), -ENOENT);
        os_poller_forget(p, on_file);
        os_poller_forget(p, on_folder);
        os_close(on_file);
        os_close(on_folder);
        os_close(fd);
        os_unlink(in_folder("a"));
        os_poller_free(p);
}

static void file_cannot_be_polled(void **state)
{
        (void)state;
        os_poller *p;
        int fd = make("a", "x");
        assert_int_equal(os_poller_new(&p), 0);
        assert_int_equal(os_poller_watch(p, fd, NULL), -EPERM);
        assert_int_equal(os_poller_arm(p, fd, OS_READABLE, NULL), -EPERM);
        os_poller_free(p);
        os_close(fd);
        os_unlink(in_folder("a"));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_FOLDER(file_keeps_what_was_written), IN_FOLDER(appending_ignores_the_offset),
                IN_FOLDER(open_says_what_is_wrong),     IN_FOLDER(forbidden_file_cannot_be_opened),
                IN_FOLDER(rename_replaces_at_once),     IN_FOLDER(folders_hold_names),
                IN_FOLDER(real_path_has_no_dots),       IN_FOLDER(locks_exclude_each_other),
                IN_FOLDER(watch_is_told_of_changes),    IN_FOLDER(file_cannot_be_polled),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
