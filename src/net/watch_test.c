/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "net/net_test.h"
#include "os/os.h"

#include <sanjab/file.h>

#include <fcntl.h>

static char folder[100];

static const char *in_folder(const char *name)
{
        static char paths[8][200];
        static unsigned next;
        char *path = paths[next++ % 8];
        snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
        return path;
}

static void begin(void)
{
        snprintf(folder, sizeof(folder), "%s/sanjab-watch-%d", os_simulated ? "" : "/tmp",
                 os_pid());
        CHECK_INT(os_mkdir(folder, 0700), 0);
}

static void end(void)
{
        CHECK_INT(os_rmdir(folder), 0);
}

static void write_file(const char *name, const char *text)
{
        int fd = os_open(in_folder(name), O_WRONLY | O_CREAT, 0600);
        CHECK(fd >= 0);
        CHECK_INT(os_pwrite(fd, text, strlen(text), 0), strlen(text));
        os_close(fd);
}

static sj_watch_event event_of(sj_watch *w)
{
        sj_watch_event e;
        CHECK_INT(sj_watch_next(w, &e, SJ_NEVER), 0);
        return e;
}

static void expect(sj_watch *w, int id, unsigned what, const char *name)
{
        sj_watch_event e = event_of(w);
        CHECK_INT(e.id, id);
        CHECK_INT(e.what, what);
        CHECK_INT(strcmp(e.name, name), 0);
}

static void expect_nothing(sj_watch *w)
{
        sj_watch_event e;
        CHECK_INT(sj_watch_next(w, &e, SJ_POLL), -ETIMEDOUT);
}

static int follows(void *arg)
{
        (void)arg;
        sj_watch *w;
        begin();
        CHECK_INT(sj_watch_new(&w), 0);
        int id = sj_watch_add(w, folder, SJ_WATCH_ALL, SJ_NEVER);
        CHECK(id > 0);
        expect_nothing(w);
        write_file("a", "one");
        expect(w, id, SJ_WATCH_MADE, "a");
        expect(w, id, SJ_WATCH_WRITTEN, "a");
        expect(w, id, SJ_WATCH_CLOSED, "a");
        CHECK_INT(os_chmod(in_folder("a"), 0640), 0);
        expect(w, id, SJ_WATCH_ATTRIBUTES, "a");
        CHECK_INT(os_rename(in_folder("a"), in_folder("a-long-name-of-another-length")), 0);
        sj_watch_event from = event_of(w), to = event_of(w);
        CHECK(from.what == SJ_WATCH_MOVED_FROM && to.what == SJ_WATCH_MOVED_TO);
        CHECK(from.move != 0 && from.move == to.move && !to.is_folder);
        CHECK_INT(strcmp(to.name, "a-long-name-of-another-length"), 0);
        CHECK_INT(os_mkdir(in_folder("below"), 0700), 0);
        to = event_of(w);
        CHECK(to.what == SJ_WATCH_MADE && to.is_folder && to.move == 0);
        CHECK_INT(os_rmdir(in_folder("below")), 0);
        expect(w, id, SJ_WATCH_REMOVED, "below");
        CHECK_INT(os_unlink(in_folder("a-long-name-of-another-length")), 0);
        expect(w, id, SJ_WATCH_REMOVED, "a-long-name-of-another-length");
        expect_nothing(w);
        end();
        expect(w, id, SJ_WATCH_GONE, "");
        expect_nothing(w);
        sj_watch_free(w);
        sj_watch_free(NULL);
        return 0;
}

static void a_folder_tells_what_happens_in_it_in_order(void **state)
{
        (void)state;
        each_quiet_world(follows);
}

static int one_file(void *arg)
{
        (void)arg;
        sj_watch *w;
        begin();
        write_file("a", "one");
        CHECK_INT(sj_watch_new(&w), 0);
        int id = sj_watch_add(w, in_folder("a"), SJ_WATCH_CLOSED | SJ_WATCH_MOVED, SJ_NEVER);
        int around = sj_watch_add(w, folder, SJ_WATCH_MADE, SJ_NEVER);
        CHECK(id > 0 && around > 0 && id != around);
        write_file("a", "two");
        write_file("b", "other");
        expect(w, id, SJ_WATCH_CLOSED, "");
        expect(w, around, SJ_WATCH_MADE, "b");
        CHECK_INT(os_rename(in_folder("a"), in_folder("c")), 0);
        expect(w, id, SJ_WATCH_MOVED, "");
        /* The same file by its new name. */
        CHECK_INT(sj_watch_add(w, in_folder("c"), SJ_WATCH_WRITTEN, SJ_NEVER), id);
        write_file("c", "three");
        expect(w, id, SJ_WATCH_WRITTEN, "");
        expect_nothing(w);
        CHECK_INT(sj_watch_remove(w, around), 0);
        expect(w, around, SJ_WATCH_GONE, "");
        CHECK_INT(sj_watch_remove(w, around), -EINVAL);
        CHECK_INT(os_rename(in_folder("b"), in_folder("c")), 0);
        expect(w, id, SJ_WATCH_GONE, "");
        CHECK_INT(sj_watch_add(w, in_folder("none"), SJ_WATCH_ALL, SJ_NEVER), -ENOENT);
        CHECK_INT(sj_watch_add(w, folder, 0, SJ_NEVER), -EINVAL);
        CHECK_INT(sj_watch_add(w, folder, SJ_WATCH_GONE, SJ_NEVER), -EINVAL);
        expect_nothing(w);
        CHECK_INT(os_unlink(in_folder("c")), 0);
        sj_watch_free(w);
        end();
        return 0;
}

static void a_file_is_told_from_its_folder_and_only_what_was_asked_for(void **state)
{
        (void)state;
        each_quiet_world(one_file);
}

/* How many reports the system keeps: 64 in the simulated world. */
static size_t limit(void)
{
        char text[20] = "64";
        int fd = os_simulated ? -1 : os_open("/proc/sys/fs/inotify/max_queued_events", O_RDONLY, 0);
        CHECK(os_simulated || os_read(fd, text, sizeof(text) - 1) > 0);
        os_close(fd);
        return strtoul(text, NULL, 10);
}

static int too_much(void *arg)
{
        (void)arg;
        sj_watch *w;
        size_t n = 0;
        sj_watch_event e;
        begin();
        write_file("a", "");
        CHECK_INT(sj_watch_new(&w), 0);
        int id = sj_watch_add(w, folder, SJ_WATCH_WRITTEN | SJ_WATCH_ATTRIBUTES, SJ_NEVER);
        int fd = os_open(in_folder("a"), O_WRONLY, 0);
        /* Two kinds by turns, since the like of the last is told once. */
        for (size_t i = 0; i < limit(); i++) {
                CHECK_INT(os_pwrite(fd, "x", 1, 0), 1);
                CHECK_INT(os_chmod(in_folder("a"), 0600), 0);
        }
        os_close(fd);
        while ((e = event_of(w)).what != SJ_WATCH_LOST) {
                CHECK(e.id == id && e.what == (n % 2 ? SJ_WATCH_ATTRIBUTES : SJ_WATCH_WRITTEN));
                n++;
        }
        CHECK_INT(e.id, 0);
        CHECK_INT(n, limit());
        expect_nothing(w);
        write_file("a", "after");
        expect(w, id, SJ_WATCH_WRITTEN, "a");
        CHECK_INT(os_unlink(in_folder("a")), 0);
        sj_watch_free(w);
        end();
        return 0;
}

static void what_was_too_much_is_told(void **state)
{
        (void)state;
        once_in_each_world(too_much);
}

static int write_later(void *arg)
{
        (void)arg;
        int r = sj_sleep(10 * SJ_MS);
        write_file("a", "now");
        return r;
}

static int wait_for_one(void *arg)
{
        sj_watch_event e;
        return sj_watch_next(arg, &e, SJ_NEVER);
}

static int waits(void *arg)
{
        (void)arg;
        sj_watch *w;
        sj_watch_event e;
        sj_fiber *f;
        begin();
        CHECK_INT(sj_watch_new(&w), 0);
        int id = sj_watch_add(w, folder, SJ_WATCH_CLOSED, SJ_NEVER);
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                CHECK_INT(sj_spawn(s, write_later, NULL, NULL), 0);
                expect(w, id, SJ_WATCH_CLOSED, "a");
                CHECK_INT(sj_spawn(s, wait_for_one, w, &f), 0);
                CHECK_INT(sj_sleep(SJ_MS), 0);
                CHECK_INT(sj_watch_next(w, &e, SJ_NEVER), -EBUSY);
                sj_cancel(f);
                CHECK_INT(sj_join(f, SJ_NEVER), -ECANCELED);
        }
        CHECK_INT(sj_watch_next(w, &e, sj_after(SJ_MS)), -ETIMEDOUT);
        write_file("a", "again");
        expect(w, id, SJ_WATCH_CLOSED, "a");
        CHECK_INT(os_unlink(in_folder("a")), 0);
        sj_watch_free(w);
        world_limit_descriptors(0);
        CHECK_INT(sj_watch_new(&w), -EMFILE);
        world_limit_descriptors(SIZE_MAX);
        end();
        return 0;
}

static void who_waits_is_woken_and_can_be_cancelled(void **state)
{
        (void)state;
        each_quiet_world(waits);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_folder_tells_what_happens_in_it_in_order),
                cmocka_unit_test(a_file_is_told_from_its_folder_and_only_what_was_asked_for),
                cmocka_unit_test(what_was_too_much_is_told),
                cmocka_unit_test(who_waits_is_woken_and_can_be_cancelled),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
