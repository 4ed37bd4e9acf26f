/* SPDX-License-Identifier: MIT */
#include "exec/process_wire.h"
#include "fiber/real_unit.h"
#include "os/os.h"

#include <sanjab/exec.h>
#include <sanjab/future.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const sj_time LIMIT = 30 * SJ_SEC;

/* Memory that tests share with the workers: a file mapped by path. */
typedef struct shared {
        _Atomic uint32_t running;
        _Atomic uint32_t open;
        _Atomic uint32_t calls;
        _Atomic int pid;
} shared;

static char shared_path[64];
static shared *common;

static shared *map_shared(const char *path)
{
        int fd = os_open(path, O_RDWR | O_CREAT, 0600);
        expect(fd >= 0);
        expect(ftruncate(fd, sizeof(shared)) == 0);
        shared *s = os_shared_map(fd, sizeof(shared));
        os_close(fd);
        expect(s != NULL);
        return s;
}

static void reset_shared(void)
{
        atomic_store(&common->running, 0);
        atomic_store(&common->open, 0);
        atomic_store(&common->calls, 0);
        atomic_store(&common->pid, 0);
}

static sj_process_pool *pool_of(size_t n)
{
        sj_process_pool *pool = NULL;
        sj_process_pool_options options = {.name = "test"};
        expect(sj_process_pool_new(n, &options, &pool) == 0);
        return pool;
}

/* ── What workers run ────────────────────────────────────────────────────────────────────── */

static int square(const void *input, size_t n, void *output, size_t capacity)
{
        int64_t x;
        if (n != sizeof(x) || capacity < sizeof(x))
                return -EINVAL;
        memcpy(&x, input, sizeof(x));
        x *= x;
        memcpy(output, &x, sizeof(x));
        return sizeof(x);
}

static int worker_pid(const void *input, size_t n, void *output, size_t capacity)
{
        (void)input, (void)n;
        expect(capacity >= sizeof(int));
        *(int *)output = getpid();
        return sizeof(int);
}

static int echo(const void *input, size_t n, void *output, size_t capacity)
{
        if (n > capacity)
                return -ENOBUFS;
        memcpy(output, input, n);
        return (int)n;
}

static int crash_on_odd(const void *input, size_t n, void *output, size_t capacity)
{
        int64_t x;
        expect(n == sizeof(x));
        memcpy(&x, input, sizeof(x));
        if (x % 2) {
                signal(SIGSEGV, SIG_DFL);
                raise(SIGSEGV);
        }
        return square(input, n, output, capacity);
}

static int exit_3(const void *input, size_t n, void *output, size_t capacity)
{
        (void)input, (void)n, (void)output, (void)capacity;
        _exit(3);
}

static int boast(const void *input, size_t n, void *output, size_t capacity)
{
        (void)input, (void)n, (void)output;
        return (int)capacity + 1;
}

static int fail_politely(const void *input, size_t n, void *output, size_t capacity)
{
        (void)input, (void)n, (void)output, (void)capacity;
        return -EDOM;
}

/* Says that it runs, and waits to be let go. */
static int wait_in_worker(const void *input, size_t n, void *output, size_t capacity)
{
        (void)output, (void)capacity;
        char path[64] = "";
        expect(n < sizeof(path));
        memcpy(path, input, n);
        shared *s = map_shared(path);
        atomic_store(&s->pid, getpid());
        atomic_fetch_add(&s->calls, 1);
        atomic_fetch_add(&s->running, 1);
        os_futex_wake(&s->running, UINT32_MAX, true);
        while (atomic_load(&s->open) == 0)
                os_futex_wait(&s->open, 0, SJ_NEVER, true);
        os_unmap(s, sizeof(*s));
        return 0;
}

/* Its result cannot be read beyond the middle: the worker dies while it writes it. */
static int die_while_writing(const void *input, size_t n, void *output, size_t capacity)
{
        (void)input, (void)n;
        memset(output, 7, capacity);
        uintptr_t middle = ((uintptr_t)output + capacity / 2) & ~(uintptr_t)4095;
        signal(SIGSEGV, SIG_DFL);
        expect(mprotect((void *)middle, 4096, PROT_NONE) == 0);
        return (int)capacity;
}

/* Where the replies' ring lies in the memory that this worker shares with the pool; see duplex.c.
 */
enum { RING_BYTES = 256 * 1024, REPLIES = sizeof(process_shared) + RING_HEADER + RING_BYTES };

/* That memory. */
static char *shared_with_pool(size_t *ret_size)
{
        FILE *maps = fopen("/proc/self/maps", "r");
        char line[512];
        unsigned long begin = 0;
        unsigned long end = 0;
        while (maps && fgets(line, sizeof(line), maps))
                if (strstr(line, "memfd:") && sscanf(line, "%lx-%lx", &begin, &end) == 2)
                        break;
        if (maps)
                fclose(maps);
        expect(end > begin);
        *ret_size = end - begin;
        return (char *)begin;
}

/* Writes over all of it, as a wild pointer may. */
static int scribble(const void *input, size_t n, void *output, size_t capacity)
{
        (void)input, (void)n, (void)output, (void)capacity;
        size_t size;
        char *memory = shared_with_pool(&size);
        memset(memory, 0xa5, size);
        return 0;
}

/* Writes over the replies alone, and goes astray. */
static int scribble_and_stay(const void *input, size_t n, void *output, size_t capacity)
{
        size_t size;
        char *memory = shared_with_pool(&size);
        memset(memory + REPLIES, 0xa5, size - REPLIES);
        return wait_in_worker(input, n, output, capacity);
}

/* Ends the process as soon as its reply can be seen: its first one. */
static void *end_after_reply(void *arg)
{
        _Atomic uint64_t *head = arg;
        while (atomic_load(head) == 0)
                sched_yield();
        _exit(0);
}

/* Stops the program whose pid is its input until this worker has replied, ended, and is gone. */
static int reply_unseen_and_end(const void *input, size_t n, void *output, size_t capacity)
{
        int program;
        int self = getpid();
        expect(n == sizeof(program));
        memcpy(&program, input, sizeof(program));
        size_t size;
        char *memory = shared_with_pool(&size);
        pthread_t thread;
        expect(pthread_create(&thread, NULL, end_after_reply, memory + REPLIES) == 0);
        expect(kill(program, SIGSTOP) == 0);
        int helper = fork();
        expect(helper >= 0);
        if (helper == 0) {
                while (kill(self, 0) == 0)
                        sched_yield();
                kill(program, SIGCONT);
                _exit(0);
        }
        return square(&(int64_t){5}, sizeof(int64_t), output, capacity);
}

/* ── Results ─────────────────────────────────────────────────────────────────────────────── */

enum { MANY = 10000 };

static void ten_thousand_items_are_mapped_in_their_order(void **state)
{
        (void)state;
        static int64_t inputs[MANY];
        static int64_t outputs[MANY];
        static sj_process_result results[MANY];
        sj_process_pool *pool = pool_of(2);
        for (int i = 0; i < MANY; i++)
                inputs[i] = i;
        assert_int_equal(sj_process_pool_map(pool, square, inputs, sizeof(inputs[0]), MANY, outputs,
                                             sizeof(outputs[0]), results, sj_after(LIMIT)),
                         0);
        for (int64_t i = 0; i < MANY; i++) {
                assert_int_equal(outputs[i], i * i);
                assert_int_equal(results[i].result, sizeof(int64_t));
        }
        sj_process_pool_free(pool);
}

static void calls_run_in_other_processes(void **state)
{
        (void)state;
        sj_process_pool *pool = pool_of(2);
        int pid = 0;
        assert_int_equal(sj_process_pool_call(pool, worker_pid, NULL, 0, &pid, sizeof(pid), NULL,
                                              sj_after(LIMIT)),
                         sizeof(pid));
        assert_true(pid != getpid());
        int pids[4];
        size_t n = sj_process_pool_pids(pool, pids, 4);
        assert_true(n >= 1 && n <= 2);
        assert_true(pids[0] == pid || pids[1] == pid);
        sj_process_pool_free(pool);
}

static void big_items_pass_through_a_small_ring(void **state)
{
        (void)state;
        size_t n = 10 << 20;
        unsigned char *input = malloc(n);
        unsigned char *output = calloc(1, n);
        for (size_t i = 0; i < n; i++)
                input[i] = (unsigned char)(i * 17 + (i >> 12));
        sj_process_pool *pool = pool_of(2);
        for (int round = 0; round < 3; round++) {
                assert_int_equal(sj_process_pool_call(pool, echo, input, n, output, n, NULL,
                                                      sj_after(LIMIT)),
                                 n);
                assert_memory_equal(input, output, n);
                memset(output, 0, n);
        }
        /* Several at once, between small ones. */
        sj_future futures[6] = {0};
        int64_t small[6];
        for (int64_t i = 0; i < 6; i++) {
                small[i] = i;
                bool big = i % 2;
                assert_int_equal(sj_process_pool_submit(
                                         pool, big ? echo : square, big ? (void *)input : &small[i],
                                         big ? n : sizeof(small[i]),
                                         big ? (void *)output : &small[i],
                                         big ? n : sizeof(small[i]), &futures[i], SJ_NEVER),
                                 0);
        }
        for (int i = 0; i < 6; i++)
                assert_int_equal(sj_future_get(&futures[i], NULL, sj_after(LIMIT)), i % 2 ? n : 8);
        assert_memory_equal(input, output, n);
        assert_int_equal(small[4], 16);
        sj_process_pool_free(pool);
        free(input);
        free(output);
}

static void a_failure_of_the_function_is_its_result(void **state)
{
        (void)state;
        sj_process_pool *pool = pool_of(1);
        char out[8];
        assert_int_equal(
                sj_process_pool_call(pool, fail_politely, NULL, 0, NULL, 0, NULL, sj_after(LIMIT)),
                -EDOM);
        assert_int_equal(
                sj_process_pool_call(pool, boast, NULL, 0, out, sizeof(out), NULL, sj_after(LIMIT)),
                -EMSGSIZE);
        sj_process_pool_free(pool);
}

static void what_is_not_a_function_of_the_program_is_refused(void **state)
{
        (void)state;
        sj_process_pool *pool = pool_of(1);
        sj_future f = SJ_FUTURE_INIT;
        sj_process_fn *foreign = (sj_process_fn *)(uintptr_t)mock_assert;
        sj_process_fn *data = (sj_process_fn *)(uintptr_t)shared_path;
        assert_int_equal(sj_process_pool_submit(pool, foreign, NULL, 0, NULL, 0, &f, SJ_NEVER),
                         -EINVAL);
        assert_int_equal(sj_process_pool_submit(pool, data, NULL, 0, NULL, 0, &f, SJ_NEVER),
                         -EINVAL);
        assert_int_equal(sj_process_pool_submit(pool, NULL, NULL, 0, NULL, 0, &f, SJ_NEVER),
                         -EINVAL);
        assert_int_equal(sj_process_pool_submit(pool, square, NULL, 0, NULL, 0, NULL, SJ_NEVER),
                         -EINVAL);
        assert_int_equal(sj_process_pool_submit(pool, square, NULL, SJ_PROCESS_BYTES_MAX + 1, NULL,
                                                0, &f, SJ_NEVER),
                         -EMSGSIZE);
        sj_process_pool_free(pool);
}

/* ── Crashes ─────────────────────────────────────────────────────────────────────────────── */

static void a_crash_fails_its_one_item_with_the_name_of_the_signal(void **state)
{
        (void)state;
        enum { N = 101 };
        int64_t inputs[N];
        int64_t outputs[N];
        sj_process_result results[N];
        char text[64];
        sj_process_pool *pool = pool_of(2);
        for (int i = 0; i < N; i++)
                inputs[i] = i == 40 || i == 77 ? i * 2 + 1 : i * 2;
        assert_int_equal(sj_process_pool_map(pool, crash_on_odd, inputs, sizeof(inputs[0]), N,
                                             outputs, sizeof(outputs[0]), results, sj_after(LIMIT)),
                         -EOWNERDEAD);
        for (int i = 0; i < N; i++) {
                if (i == 40 || i == 77) {
                        assert_int_equal(results[i].result, -EOWNERDEAD);
                        assert_string_equal(sj_process_error(results[i].status, text, sizeof(text)),
                                            "killed by SIGSEGV");
                } else {
                        assert_int_equal(results[i].result, sizeof(int64_t));
                        assert_int_equal(outputs[i], inputs[i] * inputs[i]);
                }
        }
        sj_process_pool_free(pool);
}

static void an_exit_in_the_middle_fails_its_item_with_the_status(void **state)
{
        (void)state;
        char text[64];
        int status = 0;
        sj_process_pool *pool = pool_of(1);
        for (int i = 0; i < 3; i++)
                assert_int_equal(sj_process_pool_call(pool, exit_3, NULL, 0, NULL, 0, &status,
                                                      sj_after(LIMIT)),
                                 -EOWNERDEAD);
        assert_string_equal(sj_process_error(status, text, sizeof(text)), "exited with status 3");
        sj_process_pool_free(pool);
}

static void submit_waiting(sj_process_pool *pool, sj_future *f)
{
        assert_int_equal(sj_process_pool_submit(pool, wait_in_worker, shared_path,
                                                strlen(shared_path), NULL, 0, f, sj_after(LIMIT)),
                         0);
}

static void await_running(uint32_t n)
{
        for (uint32_t now; (now = atomic_load(&common->running)) < n;)
                expect(os_futex_wait(&common->running, now, sj_after(LIMIT), true) != -ETIMEDOUT);
}

static void let_go(void)
{
        atomic_store(&common->open, 1);
        os_futex_wake(&common->open, UINT32_MAX, true);
}

static void a_worker_killed_while_it_runs_fails_that_item_and_no_other(void **state)
{
        (void)state;
        reset_shared();
        sj_process_pool *pool = pool_of(1);
        sj_future f = SJ_FUTURE_INIT;
        submit_waiting(pool, &f);
        await_running(1);
        /* These are behind it, on their way to the same worker or not. */
        int64_t numbers[20];
        sj_future behind[20] = {0};
        for (int i = 0; i < 20; i++) {
                numbers[i] = i;
                sj_process_pool_submit(pool, square, &numbers[i], sizeof(numbers[i]), &numbers[i],
                                       sizeof(numbers[i]), &behind[i], SJ_NEVER);
        }
        kill(atomic_load(&common->pid), SIGKILL);
        void *value = NULL;
        char text[64];
        assert_int_equal(sj_future_get(&f, &value, sj_after(LIMIT)), -EOWNERDEAD);
        assert_string_equal(sj_process_error((int)(intptr_t)value, text, sizeof(text)),
                            "killed by SIGKILL");
        for (int i = 0; i < 20; i++) {
                assert_int_equal(sj_future_get(&behind[i], NULL, sj_after(LIMIT)), 8);
                assert_int_equal(numbers[i], i * i);
        }
        assert_int_equal(atomic_load(&common->calls), 1);
        sj_process_pool_free(pool);
}

static void workers_killed_while_idle_are_replaced_and_nothing_fails(void **state)
{
        (void)state;
        sj_process_pool *pool = pool_of(2);
        int64_t x = 0;
        for (int64_t i = 1; i <= 30; i++) {
                x = i;
                assert_int_equal(sj_process_pool_call(pool, square, &x, sizeof(x), &x, sizeof(x),
                                                      NULL, sj_after(LIMIT)),
                                 8);
                assert_int_equal(x, i * i);
                int pids[2];
                size_t n = sj_process_pool_pids(pool, pids, 2);
                for (size_t k = 0; k < n && k < 2; k++)
                        kill(pids[k], SIGKILL);
        }
        sj_process_pool_free(pool);
}

static void a_worker_that_dies_while_it_writes_its_result_fails_that_item(void **state)
{
        (void)state;
        size_t n = 10 << 20;
        unsigned char *output = malloc(n);
        sj_process_pool *pool = pool_of(1);
        int status = 0;
        char text[64];
        assert_int_equal(sj_process_pool_call(pool, die_while_writing, NULL, 0, output, n, &status,
                                              sj_after(LIMIT)),
                         -EOWNERDEAD);
        assert_string_equal(sj_process_error(status, text, sizeof(text)), "killed by SIGSEGV");
        int64_t x = 5;
        assert_int_equal(sj_process_pool_call(pool, square, &x, sizeof(x), &x, sizeof(x), NULL,
                                              sj_after(LIMIT)),
                         8);
        sj_process_pool_free(pool);
        free(output);
}

static void a_worker_that_writes_over_its_messages_harms_nobody_else(void **state)
{
        (void)state;
        sj_process_pool *pool = pool_of(1);
        for (int i = 0; i < 5; i++) {
                /* Its own reply may or may not survive; the pool does, and others' calls do. */
                int result = sj_process_pool_call(pool, scribble, NULL, 0, NULL, 0, NULL,
                                                  sj_after(LIMIT));
                assert_true(result == 0 || result == -EOWNERDEAD);
                int64_t x = 5;
                assert_int_equal(sj_process_pool_call(pool, square, &x, sizeof(x), &x, sizeof(x),
                                                      NULL, sj_after(LIMIT)),
                                 8);
                assert_int_equal(x, 25);
        }
        sj_process_pool_free(pool);
}

static void a_worker_that_garbles_its_replies_is_killed_and_replaced(void **state)
{
        (void)state;
        reset_shared();
        sj_process_pool *pool = pool_of(1);
        sj_future f = SJ_FUTURE_INIT;
        assert_int_equal(sj_process_pool_submit(pool, scribble_and_stay, shared_path,
                                                strlen(shared_path), NULL, 0, &f, SJ_NEVER),
                         0);
        await_running(1);
        int64_t x = 9;
        assert_int_equal(sj_process_pool_call(pool, square, &x, sizeof(x), &x, sizeof(x), NULL,
                                              sj_after(LIMIT)),
                         8);
        assert_int_equal(sj_future_get(&f, NULL, sj_after(LIMIT)), -EOWNERDEAD);
        sj_process_pool_free(pool);
}

/* In a process of its own, because it is stopped meanwhile. */
static void a_result_that_was_written_before_the_end_counts(void **state)
{
        (void)state;
        int program = fork();
        if (program == 0) {
                int self = getpid();
                int64_t out = 0;
                sj_process_pool *pool = pool_of(1);
                expect(sj_process_pool_call(pool, reply_unseen_and_end, &self, sizeof(self), &out,
                                            sizeof(out), NULL, sj_after(LIMIT)) == 8);
                expect(out == 25);
                sj_process_pool_free(pool);
                _exit(0);
        }
        int status = 0;
        assert_int_equal(TEMP_FAILURE_RETRY(waitpid(program, &status, 0)), program);
        assert_int_equal(status, 0);
}

/* The parent of a worker is the zygote. */
static int parent_of(int pid)
{
        char path[64];
        int parent = 0;
        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        FILE *f = fopen(path, "r");
        if (f) {
                if (fscanf(f, "%*d (%*[^)]) %*c %d", &parent) != 1)
                        parent = 0;
                fclose(f);
        }
        return parent;
}

static void a_killed_zygote_is_replaced_with_its_workers(void **state)
{
        (void)state;
        reset_shared();
        sj_process_pool *pool = pool_of(2);
        sj_future f = SJ_FUTURE_INIT;
        submit_waiting(pool, &f);
        await_running(1);
        kill(parent_of(atomic_load(&common->pid)), SIGKILL);
        assert_int_equal(sj_future_get(&f, NULL, sj_after(LIMIT)), -EOWNERDEAD);
        int64_t x = 6;
        assert_int_equal(sj_process_pool_call(pool, square, &x, sizeof(x), &x, sizeof(x), NULL,
                                              sj_after(LIMIT)),
                         8);
        assert_int_equal(x, 36);
        sj_process_pool_free(pool);
}

/* Lets a process open no more descriptors, which binds root too; what was there before. */
static struct rlimit without_descriptors(int pid)
{
        struct rlimit before;
        expect(prlimit(pid, RLIMIT_NOFILE, NULL, &before) == 0);
        struct rlimit none = {3, before.rlim_max};
        expect(prlimit(pid, RLIMIT_NOFILE, &none, NULL) == 0);
        return before;
}

static void a_worker_that_cannot_be_forked_is_forked_later(void **state)
{
        (void)state;
        sj_process_pool *pool = pool_of(1);
        int64_t x = 3;
        assert_int_equal(sj_process_pool_call(pool, square, &x, sizeof(x), &x, sizeof(x), NULL,
                                              sj_after(LIMIT)),
                         8);
        int pid = 0;
        assert_int_equal(sj_process_pool_pids(pool, &pid, 1), 1);
        int zygote = parent_of(pid);
        struct rlimit before = without_descriptors(zygote);
        kill(pid, SIGKILL);
        sj_future f = SJ_FUTURE_INIT;
        x = 4;
        assert_int_equal(
                sj_process_pool_submit(pool, square, &x, sizeof(x), &x, sizeof(x), &f, SJ_NEVER),
                0);
        assert_int_equal(sj_future_get(&f, NULL, sj_after(20 * SJ_MS)), -ETIMEDOUT);
        prlimit(zygote, RLIMIT_NOFILE, &before, NULL);
        assert_int_equal(sj_future_get(&f, NULL, sj_after(LIMIT)), 8);
        assert_int_equal(x, 16);
        sj_process_pool_free(pool);
}

static void a_pool_that_can_start_no_more_processes_fails_its_calls(void **state)
{
        (void)state;
        reset_shared();
        sj_process_pool *pool = pool_of(1);
        sj_future running = SJ_FUTURE_INIT;
        sj_future waiting = SJ_FUTURE_INIT;
        submit_waiting(pool, &running);
        await_running(1);
        submit_waiting(pool, &waiting);
        int zygote = parent_of(atomic_load(&common->pid));
        struct rlimit before = without_descriptors(getpid());
        kill(zygote, SIGKILL);
        int result = sj_future_get(&waiting, NULL, sj_after(LIMIT));
        prlimit(getpid(), RLIMIT_NOFILE, &before, NULL);
        assert_int_equal(result, -EPIPE);
        assert_int_equal(sj_future_get(&running, NULL, sj_after(LIMIT)), -EOWNERDEAD);
        assert_int_equal(sj_process_pool_submit(pool, square, NULL, 0, NULL, 0, &waiting, SJ_NEVER),
                         -EPIPE);
        assert_int_equal(sj_process_pool_shutdown(pool, SJ_PENDING_RUN, sj_after(LIMIT)), 0);
        sj_process_pool_free(pool);
}

/* The bytes of address space that a process has. */
static rlim_t address_space(int pid)
{
        char path[64];
        unsigned long pages = 0;
        snprintf(path, sizeof(path), "/proc/%d/statm", pid);
        FILE *f = fopen(path, "r");
        expect(f && fscanf(f, "%lu", &pages) == 1);
        fclose(f);
        return (rlim_t)pages * 4096;
}

/* The sanitizers' own bookkeeping does not survive a limit on its address space. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { ADDRESS_SPACE_CAN_BE_LIMITED = false };
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
enum { ADDRESS_SPACE_CAN_BE_LIMITED = false };
#else
enum { ADDRESS_SPACE_CAN_BE_LIMITED = true };
#endif
#else
enum { ADDRESS_SPACE_CAN_BE_LIMITED = true };
#endif

static void an_input_that_ends_every_worker_that_reads_it_fails(void **state)
{
        (void)state;
        if (!ADDRESS_SPACE_CAN_BE_LIMITED)
                skip();
        sj_process_pool *pool = pool_of(1);
        int64_t x = 3;
        assert_int_equal(sj_process_pool_call(pool, square, &x, sizeof(x), &x, sizeof(x), NULL,
                                              sj_after(LIMIT)),
                         8);
        int pid = 0;
        assert_int_equal(sj_process_pool_pids(pool, &pid, 1), 1);
        int zygote = parent_of(pid);
        /* Its children, from now on, have no memory for an input of 10 MiB. */
        rlim_t room = address_space(zygote) + (6 << 20);
        prlimit(zygote, RLIMIT_AS, &(struct rlimit){room, RLIM_INFINITY}, NULL);
        kill(pid, SIGKILL);
        size_t n = 10 << 20;
        char *input = calloc(1, n);
        int status = 0;
        assert_int_equal(
                sj_process_pool_call(pool, echo, input, n, NULL, 0, &status, sj_after(LIMIT)),
                -EOWNERDEAD);
        assert_true(status != 0);
        assert_int_equal(sj_process_pool_call(pool, square, &x, sizeof(x), &x, sizeof(x), NULL,
                                              sj_after(LIMIT)),
                         8);
        free(input);
        sj_process_pool_free(pool);
}

static void random_kills_lose_and_repeat_nothing_silently(void **state)
{
        (void)state;
        enum { N = 3000 };
        static int64_t inputs[N];
        static int64_t outputs[N];
        static sj_future futures[N];
        memset(futures, 0, sizeof(futures));
        sj_process_pool *pool = pool_of(3);
        unsigned seed = 1;
        for (int i = 0; i < N; i++) {
                inputs[i] = i;
                assert_int_equal(sj_process_pool_submit(pool, square, &inputs[i], sizeof(inputs[i]),
                                                        &outputs[i], sizeof(outputs[i]),
                                                        &futures[i], sj_after(LIMIT)),
                                 0);
                if (i % 100 == 50) {
                        int pids[3];
                        size_t n = sj_process_pool_pids(pool, pids, 3);
                        seed = seed * 1103515245 + 12345;
                        if (n > 0 && n <= 3)
                                kill(pids[(seed >> 16) % n], SIGKILL);
                }
        }
        int died = 0;
        for (int64_t i = 0; i < N; i++) {
                int result = sj_future_get(&futures[i], NULL, sj_after(LIMIT));
                assert_true(result == 8 || result == -EOWNERDEAD);
                if (result == 8)
                        assert_int_equal(outputs[i], i * i);
                else
                        died++;
        }
        assert_true(died <= N / 100);
        sj_process_pool_free(pool);
}

/* ── Cancelling and shutting down ────────────────────────────────────────────────────────── */

static void a_call_ends_at_its_deadline_with_its_worker(void **state)
{
        (void)state;
        reset_shared();
        sj_process_pool *pool = pool_of(1);
        assert_int_equal(sj_process_pool_call(pool, wait_in_worker, shared_path,
                                              strlen(shared_path), NULL, 0, NULL,
                                              sj_after(20 * SJ_MS)),
                         -ETIMEDOUT);
        int64_t x = 7;
        assert_int_equal(sj_process_pool_call(pool, square, &x, sizeof(x), &x, sizeof(x), NULL,
                                              sj_after(LIMIT)),
                         8);
        assert_int_equal(x, 49);
        sj_process_pool_free(pool);
}

static void what_waits_is_taken_back_and_what_runs_is_killed(void **state)
{
        (void)state;
        reset_shared();
        sj_process_pool *pool = pool_of(1);
        sj_future running = SJ_FUTURE_INIT;
        sj_future waiting[3] = {0};
        submit_waiting(pool, &running);
        await_running(1);
        for (int i = 0; i < 3; i++)
                submit_waiting(pool, &waiting[i]);
        assert_int_equal(sj_process_pool_cancel(pool, &waiting[1]), 0);
        assert_int_equal(sj_future_get(&waiting[1], NULL, sj_after(LIMIT)), -ECANCELED);
        assert_int_equal(sj_process_pool_cancel(pool, &waiting[1]), -EALREADY);
        assert_int_equal(sj_process_pool_cancel(pool, &running), 0);
        assert_int_equal(sj_future_get(&running, NULL, sj_after(LIMIT)), -ECANCELED);
        await_running(2);
        let_go();
        assert_int_equal(sj_future_get(&waiting[0], NULL, sj_after(LIMIT)), 0);
        assert_int_equal(sj_future_get(&waiting[2], NULL, sj_after(LIMIT)), 0);
        assert_int_equal(atomic_load(&common->calls), 3);
        sj_process_pool_free(pool);
}

static void a_shutdown_runs_or_cancels_what_waits(void **state)
{
        (void)state;
        for (int how = 0; how < 2; how++) {
                reset_shared();
                sj_process_pool *pool = pool_of(1);
                sj_future running = SJ_FUTURE_INIT;
                submit_waiting(pool, &running);
                await_running(1);
                int64_t numbers[100];
                sj_future waiting[100] = {0};
                for (int i = 0; i < 100; i++) {
                        numbers[i] = i;
                        sj_process_pool_submit(pool, square, &numbers[i], 8, &numbers[i], 8,
                                               &waiting[i], SJ_NEVER);
                }
                sj_pending pending = how ? SJ_PENDING_CANCEL : SJ_PENDING_RUN;
                assert_int_equal(sj_process_pool_shutdown(pool, pending, SJ_POLL), -ETIMEDOUT);
                sj_future late = SJ_FUTURE_INIT;
                assert_int_equal(sj_process_pool_submit(pool, square, &numbers[0], 8, &numbers[0],
                                                        8, &late, SJ_NEVER),
                                 -EPIPE);
                if (how)
                        assert_int_equal(sj_future_get(&waiting[99], NULL, sj_after(LIMIT)),
                                         -ECANCELED);
                let_go();
                assert_int_equal(sj_process_pool_shutdown(pool, pending, sj_after(LIMIT)), 0);
                assert_int_equal(sj_future_get(&running, NULL, SJ_POLL), 0);
                for (int i = 0; i < 100; i++)
                        assert_int_equal(sj_future_get(&waiting[i], NULL, SJ_POLL),
                                         how ? -ECANCELED : 8);
                assert_int_equal(sj_process_pool_pids(pool, NULL, 0), 0);
                sj_process_pool_free(pool);
        }
}

static void freeing_kills_what_runs(void **state)
{
        (void)state;
        reset_shared();
        sj_process_pool *pool = pool_of(2);
        sj_future futures[5] = {0};
        for (int i = 0; i < 5; i++)
                submit_waiting(pool, &futures[i]);
        await_running(2);
        sj_process_pool_free(pool);
        for (int i = 0; i < 5; i++)
                assert_int_equal(sj_future_get(&futures[i], NULL, SJ_POLL), -ECANCELED);
}

static void a_full_queue_refuses_or_waits_for_room(void **state)
{
        (void)state;
        reset_shared();
        sj_process_pool *pool = NULL;
        sj_process_pool_options options = {.queue = 2};
        assert_int_equal(sj_process_pool_new(1, &options, &pool), 0);
        sj_future first = SJ_FUTURE_INIT;
        submit_waiting(pool, &first);
        await_running(1);
        static int64_t numbers[200];
        static sj_future futures[200];
        memset(futures, 0, sizeof(futures));
        int n = 0;
        while (n < 200 && sj_process_pool_submit(pool, square, &numbers[n], 8, &numbers[n], 8,
                                                 &futures[n], SJ_POLL) == 0)
                n++;
        assert_int_equal(n, 2 + 64 - 1);
        let_go();
        assert_int_equal(sj_process_pool_submit(pool, square, &numbers[n], 8, &numbers[n], 8,
                                                &futures[n], sj_after(LIMIT)),
                         0);
        for (int i = 0; i <= n; i++)
                assert_int_equal(sj_future_get(&futures[i], NULL, sj_after(LIMIT)), 8);
        assert_int_equal(sj_future_get(&first, NULL, sj_after(LIMIT)), 0);
        sj_process_pool_free(pool);
}

static void a_long_call_holds_up_nothing_behind_it(void **state)
{
        (void)state;
        reset_shared();
        sj_process_pool *pool = pool_of(2);
        int64_t numbers[60];
        sj_future long_one = SJ_FUTURE_INIT;
        sj_future futures[60] = {0};
        submit_waiting(pool, &long_one);
        for (int i = 0; i < 60; i++) {
                numbers[i] = i;
                sj_process_pool_submit(pool, square, &numbers[i], 8, &numbers[i], 8, &futures[i],
                                       SJ_NEVER);
        }
        for (int i = 0; i < 60; i++)
                assert_int_equal(sj_future_get(&futures[i], NULL, sj_after(LIMIT)), 8);
        assert_false(sj_future_done(&long_one));
        let_go();
        assert_int_equal(sj_future_get(&long_one, NULL, sj_after(LIMIT)), 0);
        sj_process_pool_free(pool);
}

/* ── In fibers, and at the end of the program ────────────────────────────────────────────── */

typedef struct caller {
        sj_process_pool *pool;
        int64_t number;
} caller;

static int call_square(void *arg)
{
        caller *c = arg;
        return sj_process_pool_call(c->pool, square, &c->number, 8, &c->number, 8, NULL, SJ_NEVER);
}

static int call_waiting(void *arg)
{
        return sj_process_pool_call(arg, wait_in_worker, shared_path, strlen(shared_path), NULL, 0,
                                    NULL, SJ_NEVER);
}

static int fibers_call(void *arg)
{
        static caller callers[200];
        SJ_SCOPE(s, sj_after(LIMIT), 0);
        for (int i = 0; i < 200; i++) {
                callers[i] = (caller){arg, i};
                expect(sj_spawn(s, call_square, &callers[i], NULL) == 0);
        }
        expect(sj_scope_join(s) == 0);
        for (int i = 0; i < 200; i++)
                expect(callers[i].number == i * i);
        sj_fiber *f = NULL;
        SJ_SCOPE(inner, SJ_NEVER, SJ_COLLECT);
        expect(sj_spawn(inner, call_waiting, arg, &f) == 0);
        while (atomic_load(&common->running) == 0)
                expect(sj_yield() == 0);
        sj_cancel(f);
        expect(sj_join(f, SJ_NEVER) == -ECANCELED);
        return sj_process_pool_shutdown(arg, SJ_PENDING_RUN, sj_after(LIMIT));
}

static void fibers_call_and_are_cancelled(void **state)
{
        (void)state;
        reset_shared();
        sj_process_pool *pool = pool_of(2);
        assert_int_equal(sj_run(fibers_call, pool), 0);
        sj_process_pool_free(pool);
}

static bool gone(int pid)
{
        char path[64];
        char line[256] = "";
        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        FILE *f = fopen(path, "r");
        if (!f)
                return true;
        bool dead = !fgets(line, sizeof(line), f) || strstr(line, ") Z");
        fclose(f);
        return dead;
}

static void the_workers_end_when_the_program_is_killed(void **state)
{
        (void)state;
        reset_shared();
        int program = fork();
        if (program == 0) {
                sj_process_pool *pool = pool_of(1);
                sj_future f = SJ_FUTURE_INIT;
                submit_waiting(pool, &f);
                for (;;)
                        pause();
        }
        await_running(1);
        int worker = atomic_load(&common->pid);
        int zygote = parent_of(worker);
        assert_true(zygote > 0);
        kill(program, SIGKILL);
        int status;
        TEMP_FAILURE_RETRY(waitpid(program, &status, 0));
        sj_time limit = sj_after(LIMIT);
        while (!gone(worker) || !gone(zygote)) {
                assert_true(sj_now() < limit);
                sched_yield();
        }
}

static void ends_are_said_in_words(void **state)
{
        (void)state;
        char text[64];
        assert_string_equal(sj_process_error(SIGABRT, text, sizeof(text)), "killed by SIGABRT");
        assert_string_equal(sj_process_error(SIGSEGV | 0x80, text, sizeof(text)),
                            "killed by SIGSEGV");
        assert_string_equal(sj_process_error(60, text, sizeof(text)), "killed by signal 60");
        assert_string_equal(sj_process_error(255 << 8, text, sizeof(text)),
                            "exited with status 255");
        assert_string_equal(sj_process_error(SIGKILL, text, 7), "killed");
}

int main(int argc, char **argv)
{
        sj_boot(argc, argv);
        snprintf(shared_path, sizeof(shared_path), "/tmp/sanjab-pool-test-%d", getpid());
        common = map_shared(shared_path);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(ten_thousand_items_are_mapped_in_their_order),
                cmocka_unit_test(calls_run_in_other_processes),
                cmocka_unit_test(big_items_pass_through_a_small_ring),
                cmocka_unit_test(a_failure_of_the_function_is_its_result),
                cmocka_unit_test(what_is_not_a_function_of_the_program_is_refused),
                cmocka_unit_test(a_crash_fails_its_one_item_with_the_name_of_the_signal),
                cmocka_unit_test(an_exit_in_the_middle_fails_its_item_with_the_status),
                cmocka_unit_test(a_worker_killed_while_it_runs_fails_that_item_and_no_other),
                cmocka_unit_test(workers_killed_while_idle_are_replaced_and_nothing_fails),
                cmocka_unit_test(a_worker_that_dies_while_it_writes_its_result_fails_that_item),
                cmocka_unit_test(a_worker_that_writes_over_its_messages_harms_nobody_else),
                cmocka_unit_test(a_worker_that_garbles_its_replies_is_killed_and_replaced),
                cmocka_unit_test(a_result_that_was_written_before_the_end_counts),
                cmocka_unit_test(a_killed_zygote_is_replaced_with_its_workers),
                cmocka_unit_test(a_worker_that_cannot_be_forked_is_forked_later),
                cmocka_unit_test(a_pool_that_can_start_no_more_processes_fails_its_calls),
                cmocka_unit_test(an_input_that_ends_every_worker_that_reads_it_fails),
                cmocka_unit_test(random_kills_lose_and_repeat_nothing_silently),
                cmocka_unit_test(a_call_ends_at_its_deadline_with_its_worker),
                cmocka_unit_test(what_waits_is_taken_back_and_what_runs_is_killed),
                cmocka_unit_test(a_shutdown_runs_or_cancels_what_waits),
                cmocka_unit_test(freeing_kills_what_runs),
                cmocka_unit_test(a_full_queue_refuses_or_waits_for_room),
                cmocka_unit_test(a_long_call_holds_up_nothing_behind_it),
                cmocka_unit_test(fibers_call_and_are_cancelled),
                cmocka_unit_test(the_workers_end_when_the_program_is_killed),
                cmocka_unit_test(ends_are_said_in_words),
        };
        int failed = cmocka_run_group_tests(tests, NULL, NULL);
        os_unlink(shared_path);
        return failed;
}
