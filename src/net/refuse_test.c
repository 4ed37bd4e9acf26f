/* SPDX-License-Identifier: MIT */
/*
 * What runs out: memory, descriptors or mappings, at each place of a day's work in turn, alone and
 * (what for memory is another story) with all after it. A day is what a program does with the
 * network, files, threads, chans and generators; it runs under the simulator, which says so when
 * somebody waits for ever. What must hold for every place:
 *
 *   - the day ends, with an error or without;
 *   - where nothing was refused it goes well;
 *   - no memory, no descriptor and no fiber is left;
 *   - in the same world, and where that is possible in the same loop, the next day goes well.
 *
 *         SANJAB_REFUSE=17      only this place
 */
#include "base/refusal.h"
#include "fiber/sim_unit.h"
#include "net/names.h"
#include "os/os.h"

#include <sanjab/chan.h>
#include <sanjab/exec.h>
#include <sanjab/file.h>
#include <sanjab/generator.h>
#include <sanjab/net.h>
#include <sanjab/sync.h>

#include <fcntl.h>

enum { CLIENTS = 3, LINES = 4, CALLS = 5, SEEDS_A_TORTURE = 25 };

/* The first error is the day's, but it goes on. */
static void note(int *error, ssize_t r)
{
        if (r < 0 && *error == 0)
                *error = (int)r;
}

static sj_time soon(void)
{
        return sj_after(10 * SJ_SEC);
}

/* ── A server of lines ───────────────────────────────────────────────────────────────────── */

static int serve_lines(sj_stream *s, void *arg)
{
        sj_reader *reader = NULL;
        sj_writer *writer = NULL;
        sj_str line;
        (void)arg;
        int r = sj_reader_new(s, 100, &reader);
        if (r == 0)
                r = sj_writer_new(s, 100, &writer);
        while (r == 0 && (r = sj_reader_line(reader, &line, soon())) == 0) {
                r = sj_writer_write(writer, line.data, line.n, soon());
                if (r == 0)
                        r = sj_writer_write(writer, "\n", 1, soon());
                if (r == 0)
                        r = sj_writer_flush(writer, soon());
        }
        sj_writer_free(writer);
        sj_reader_free(reader);
        sj_stream_close(s);
        return 0;
}

typedef struct service {
        sj_listener *listener;
        sj_serve_options options;
} service;

static int run_service(void *arg)
{
        service *s = arg;
        int r = sj_serve(s->listener, serve_lines, NULL, &s->options, SJ_NEVER);
        return r == -ECANCELED ? 0 : r;
}

static int talk(sj_stream *stream)
{
        sj_reader *reader = NULL;
        sj_str line;
        int r = sj_reader_new(stream, 100, &reader);
        for (int i = 0; r == 0 && i < LINES; i++) {
                r = sj_write(stream, "a line\n", 7, soon());
                if (r == 0)
                        r = sj_reader_line(reader, &line, soon());
                if (r == 0)
                        expect(sj_str_equal(line, SJ_STR("a line")));
        }
        sj_reader_free(reader);
        return r;
}

static int visit(void *arg)
{
        sj_stream *stream = NULL;
        int r = sj_tcp_connect("filed.test", sj_listener_port(arg), &stream, soon());
        if (r < 0)
                return r;
        r = talk(stream);
        if (r == 0)
                return sj_stream_close_politely(stream, soon());
        sj_stream_close(stream);
        return r;
}

static int visits(sj_listener *listener)
{
        int error = 0;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        for (int i = 0; i < CLIENTS; i++)
                note(&error, sj_spawn(s, visit, listener, NULL));
        note(&error, sj_scope_join(s));
        return error;
}

static int try_server(bool at_first_byte)
{
        service served = {.options.at_first_byte = at_first_byte};
        int error = sj_tcp_listen("127.0.0.1", 0, 0, &served.listener);
        if (error < 0)
                return error;
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                note(&error, sj_spawn(s, run_service, &served, NULL));
                if (error == 0)
                        note(&error, visits(served.listener));
                sj_scope_cancel(s);
                note(&error, sj_scope_join(s));
        }
        sj_listener_close(served.listener);
        return error;
}

/* ── Other sockets ───────────────────────────────────────────────────────────────────────── */

static int accept_one(void *arg)
{
        sj_stream *stream = NULL;
        int r = sj_accept(arg, &stream, soon());
        sj_stream_close(stream);
        return r;
}

static int try_unix(void)
{
        sj_listener *listener = NULL;
        sj_stream *stream = NULL, *pair[2] = {NULL, NULL};
        int error = sj_unix_listen("/socket", 0, &listener);
        if (error == 0) {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                note(&error, sj_spawn(s, accept_one, listener, NULL));
                note(&error, sj_unix_connect("/socket", &stream, soon()));
                sj_stream_close(stream);
                note(&error, sj_scope_join(s));
        }
        sj_listener_close(listener);
        note(&error, sj_stream_pair(pair));
        sj_stream_close(pair[0]);
        sj_stream_close(pair[1]);
        return error;
}

static int try_udp(void)
{
        sj_udp *a = NULL, *b = NULL;
        sj_address to;
        char byte;
        int error = sj_udp_open("127.0.0.1", 0, &a);
        note(&error, sj_udp_open("127.0.0.1", 0, &b));
        if (error == 0) {
                note(&error, sj_udp_address(b, &to));
                note(&error, sj_udp_connect(a, &to));
                if (error == 0)
                        note(&error, sj_udp_send(a, "x", 1, soon()));
                if (error == 0)
                        note(&error, sj_udp_recv(b, &byte, 1, NULL, soon()));
        }
        sj_udp_close(a);
        sj_udp_close(b);
        return error;
}

/* ── Files and threads ───────────────────────────────────────────────────────────────────── */

static int count_entry(void *arg, const char *name)
{
        (void)name;
        ++*(int *)arg;
        return 0;
}

static int try_files(void)
{
        sj_file *f = NULL;
        char *text = NULL;
        size_t n = 0;
        int entries = 0;
        int error = sj_folder_make("/folder", 0700, soon());
        note(&error, sj_file_write_whole("/folder/a", "some text", 9, 0600, soon()));
        note(&error, sj_file_read_whole("/folder/a", 100, &text, &n, soon()));
        if (text)
                expect(n == 9 && memcmp(text, "some text", 9) == 0);
        free(text);
        int r = sj_file_open("/folder/a", O_RDWR | O_CREAT, 0600, &f, soon());
        note(&error, r);
        if (r == 0) {
                note(&error, sj_file_write(f, "x", 1, soon()));
                note(&error, sj_file_sync(f, soon()));
                sj_file_close(f);
        }
        note(&error, sj_folder_read("/folder", count_entry, &entries, soon()));
        return error;
}

/* What a day may have left behind, made good by system calls, which need no memory of ours. */
static void tidy_files(void)
{
        static const char *const left[] = {"/folder/a", "/socket"};
        for (size_t i = 0; i < 2; i++)
                (void)os_unlink(left[i]);
        (void)os_rmdir("/folder");
}

static int add_one(void *arg)
{
        return ++*(int *)arg;
}

static int try_threads(void)
{
        sj_thread_pool *pool = NULL;
        int items[CALLS] = {0}, results[CALLS], item = 0, *given = calloc(1, sizeof(*given));
        sj_future futures[CALLS] = {0};
        int error = given ? 0 : -ENOMEM;
        if (given && sj_offload_detached(add_one, given, free, NULL, soon()) == 0)
                free(given);
        note(&error, sj_offload(add_one, &item, soon()));
        int r = sj_thread_pool_new(2, NULL, &pool);
        note(&error, r);
        for (int i = 0; r == 0 && i < CALLS; i++) {
                int k = sj_thread_pool_submit(pool, add_one, &items[i], &futures[i], soon());
                note(&error, k);
                if (k == 0)
                        note(&error, sj_future_get(&futures[i], NULL, SJ_NEVER));
        }
        if (r == 0)
                note(&error,
                     sj_thread_pool_map(pool, add_one, items, sizeof(int), CALLS, results, soon()));
        sj_thread_pool_free(pool);
        return error;
}

/* ── Between fibers ──────────────────────────────────────────────────────────────────────── */

static int give_three(sj_generator *g, void *arg)
{
        int r = 0;
        for (int i = 0; i < 3 && r == 0; i++)
                r = sj_generator_yield(g, arg);
        return r;
}

static int compare(const void *a, const void *b)
{
        return *(const int *)a - *(const int *)b;
}

static int try_fibers(void)
{
        int error = 0, seen = 0;
        sj_chan *chans[3] = {NULL};
        note(&error, sj_chan_new(sizeof(int), 3, &chans[0]));
        note(&error, sj_chan_new_lifo(sizeof(int), 3, &chans[1]));
        note(&error, sj_chan_new_priority(sizeof(int), 3, compare, &chans[2]));
        for (int i = 0; i < 3; i++) {
                for (int k = 0; chans[i] && k < 3; k++)
                        note(&error, sj_chan_send(chans[i], &k, SJ_POLL));
                sj_chan_free(chans[i]);
        }
        SJ_GENERATOR(g, give_three, &error);
        SJ_EACH (int, value, g)
                seen += value == &error;
        note(&error, sj_generator_error(g));
        expect(seen == 3 || error < 0);
        return error;
}

/* ── A day ───────────────────────────────────────────────────────────────────────────────── */

static void write_file(const char *path, const char *text)
{
        int fd = os_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        expect(fd >= 0);
        expect(os_pwrite(fd, text, strlen(text), 0) == (ssize_t)strlen(text));
        os_close(fd);
}

static int day(void *arg)
{
        int error = 0;
        (void)arg;
        note(&error, resolve_use_files("/hosts", "/resolv.conf"));
        note(&error, try_server(false));
        note(&error, try_server(true));
        note(&error, try_unix());
        note(&error, try_udp());
        note(&error, try_files());
        tidy_files();
        note(&error, try_threads());
        note(&error, try_fibers());
        return error;
}

typedef struct shortage {
        const char *of;
        void (*begin)(size_t place);
        bool (*end)(void); /* whether it was felt, perhaps */
} shortage;

static const shortage *suffered;
static size_t place; /* from 0 on */

static void aborts(int signo)
{
        fprintf(stderr, "%s: SANJAB_REFUSE=%zu\n", suffered->of, place);
        sim_unit_aborts(signo);
}

/* Over the whole life of a loop, also its beginning and its end. */
static bool suffer(uint64_t seed)
{
        sim_options world = seed % 2 ? sim_gentle : sim_slow;
        long long before = memory.live;
        world.loss = 0;
        world.stuck = sim_unit_stuck;
        sim_unit_seed = seed;
        signal(SIGABRT, aborts);
        sim_begin(seed, &world);
        write_file("/hosts", "127.0.0.1 filed.test\n");
        write_file("/resolv.conf", "nameserver 127.0.0.1\n");
        suffered->begin(place);
        int r = sj_run(day, NULL);
        bool felt = suffered->end();
        if (!felt)
                expect_equal(r, 0);
        expect_equal(sim_count().open, 0);
        expect_equal(sj_run(day, NULL), 0);
        expect_equal(sim_end(), 0);
        expect_equal(memory.live, before);
        signal(SIGABRT, SIG_DFL);
        return felt;
}

static void suffer_at_each_place(const shortage *s)
{
        uint64_t seeds = 1 + sim_unit_env("SANJAB_SEEDS", 500) / SEEDS_A_TORTURE;
        suffered = s;
        for (uint64_t seed = 0; sim_unit_next(&seed, seeds);) {
                place = (size_t)sim_unit_env("SANJAB_REFUSE", 0);
                while (suffer(seed) && !getenv("SANJAB_REFUSE"))
                        place++;
        }
        printf("# %zu places\n", place);
}

static void refuse_memory(size_t at)
{
        memory.left = (long long)at;
        memory.refused = 0;
        memory.armed = true;
}

static void refuse_memory_for_good(size_t at)
{
        memory.for_good = true;
        refuse_memory(at);
}

static bool allow_memory(void)
{
        memory.armed = memory.for_good = false;
        return memory.refused > 0;
}

static void refuse_descriptors(size_t after)
{
        sim_fail_descriptors_after(after);
}

static bool allow_descriptors(void)
{
        return sim_fail_descriptors_after(SIZE_MAX) == 0;
}

static void refuse_maps(size_t after)
{
        sim_fail_maps_after(after);
}

static bool allow_maps(void)
{
        return sim_fail_maps_after(SIZE_MAX) == 0;
}

static void any_one_allocation_may_fail(void **state)
{
        (void)state;
        suffer_at_each_place(&(shortage){"memory, once", refuse_memory, allow_memory});
        assert_true(place > 50 || getenv("SANJAB_REFUSE"));
}

static void all_allocations_from_any_one_on_may_fail(void **state)
{
        (void)state;
        suffer_at_each_place(&(shortage){"memory", refuse_memory_for_good, allow_memory});
        assert_true(place > 50 || getenv("SANJAB_REFUSE"));
}

static void descriptors_may_run_out_at_any_call(void **state)
{
        (void)state;
        suffer_at_each_place(&(shortage){"descriptors", refuse_descriptors, allow_descriptors});
        assert_true(place > 20 || getenv("SANJAB_REFUSE"));
}

static void stacks_may_run_out_at_any_call(void **state)
{
        (void)state;
        suffer_at_each_place(&(shortage){"mappings", refuse_maps, allow_maps});
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(any_one_allocation_may_fail),
                cmocka_unit_test(all_allocations_from_any_one_on_may_fail),
                cmocka_unit_test(descriptors_may_run_out_at_any_call),
                cmocka_unit_test(stacks_may_run_out_at_any_call),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
