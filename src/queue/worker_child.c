/* SPDX-License-Identifier: MIT */
/*
 * A child of a worker: one loop, whose main fiber reads what the controller sends.
 *
 *   reader ──► waiting ──► a fiber for each of at most `concurrency` jobs ──► ring out
 *
 * A body always runs in a fiber. With the prefork pool there is one at a time; with threads, the
 * fiber waits while a thread of the pool runs the body in a loop of its own.
 *
 * What is written is flushed when there is nothing else to do, or after a millisecond: results of
 * short tasks travel together. If the ring is full the whole child waits for its controller,
 * which always reads.
 */
#include "queue/worker_child.h"

#include "base/list.h"
#include "exec/zygote.h"
#include "os/os.h"
#include "queue/app.h"
#include "queue/worker_forward.h"
#include "queue/worker_wire.h"

#include <sanjab/exec.h>

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define FLUSH_INTERVAL SJ_MS
/* Of one thread that runs tasks; its loop's main fiber has an ordinary stack. */
enum { EXIT_BROKEN = 3, ERROR_MAX = 400 };

typedef struct child child;

/* One delivery, from its RUN to its RETURNED. */
typedef struct job {
        list place; /* in child->waiting or child->spare */
        child *c;
        sj_arena *arena;
        wire_head head;
        sj_str texts[RUN_TEXTS];
        sj_task_request request;
} job;

struct child {
        duplex duplex;
        wire_slot *slots;
        const worker_child_start *start;
        task_registry *registry;
        sj_thread_pool *threads; /* of the threads pool */
        sj_scope *jobs;
        list waiting;
        list spare;
        size_t active;
        sj_time flushed;
        forward *forward; /* what the tasks themselves publish */
        sj_app *app;      /* for them; made when the routes are known */
        int pid;
};

/* ── Loading ─────────────────────────────────────────────────────────────────────────────── */

int worker_child_load(const char *path, task_registry **ret, char *error, size_t size)
{
        if (path && *path && !dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
                snprintf(error, size, "the tasks cannot be loaded: %s", dlerror());
                return -EBADMSG;
        }
        error[0] = '\0';
        task_registry *registry = NULL;
        int r = task_registry_new(&registry, error, size);
        if (r < 0) {
                if (error[0] == '\0')
                        snprintf(error, size, "the tasks cannot be loaded: %s", sj_strerror(r));
                return -EBADMSG;
        }
        if (task_registry_count(registry) == 0) {
                snprintf(error, size, "%s defines no task: SJ_TASK does",
                         path && *path ? path : "this program");
                task_registry_free(registry);
                return -EBADMSG;
        }
        *ret = registry;
        return 0;
}

/* ── Writing ─────────────────────────────────────────────────────────────────────────────── */

static int put(child *c, const wire_record *record)
{
        int r;
        while ((r = wire_put(&c->duplex.out, record)) == -EAGAIN)
                ring_block(&c->duplex.out, SJ_NEVER);
        return r;
}

/*
 * A task may have closed what was not its own (all descriptors from 3 on, as daemons do). Without
 * its bell the child would neither hear nor be heard: it leaves, and what it has said is read.
 */
static void check_descriptors(const child *c)
{
        os_stat ignored;
        if (os_fstat(c->duplex.bell, &ignored) < 0 || os_fstat(c->duplex.peer_bell, &ignored) < 0)
                os_exit(EXIT_BROKEN);
}

static void flush(child *c)
{
        ring_flush(&c->duplex.out);
        check_descriptors(c);
        c->flushed = sj_now();
}

static void put_text(child *c, wire_kind kind, sj_str text)
{
        put(c, &(wire_record){.head = {.kind = kind, .n_texts = 1}, .texts = {text}});
        flush(c);
}

/* For worker_forward: a record of its, out at once. */
static int put_now(void *arg, const wire_record *record)
{
        int r = put(arg, record);
        flush(arg);
        return r;
}

/* ── Running ─────────────────────────────────────────────────────────────────────────────── */

static bool is_cancelled(void *arg)
{
        const job *j = arg;
        return atomic_load_explicit(&j->c->slots[j->head.slot].cancelled, memory_order_relaxed);
}

typedef struct progress {
        child *c;
        wire_record record;
        sj_arena *arena; /* of a copy that travels between threads, which holds this too */
} progress;

static int put_progress(void *arg)
{
        progress *p = arg;
        put(p->c, &p->record);
        flush(p->c);
        sj_arena_free(p->arena);
        return 0;
}

/* A thread's task may not touch the ring: what it says is posted to the loop as a copy. */
static int post_progress(job *j, sj_str state, sj_str meta)
{
        sj_arena *arena;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        progress *p = sj_arena_alloc(arena, sizeof(*p));
        char *state_copy = sj_arena_strndup(arena, state.data, state.n);
        char *meta_copy = sj_arena_strndup(arena, meta.data, meta.n);
        if (!p || !state_copy || !meta_copy) {
                sj_arena_free(arena);
                return -ENOMEM;
        }
        *p = (progress){
                .c = j->c,
                .arena = arena,
                .record = {.head = {.kind = WIRE_PROGRESS, .slot = j->head.slot, .n_texts = 2},
                           .texts = {{state_copy, state.n}, {meta_copy, meta.n}}}};
        r = sj_post(forward_loop(j->c->forward), put_progress, p);
        if (r < 0)
                sj_arena_free(arena);
        return r;
}

static int say_progress(void *arg, sj_str state, sj_str meta)
{
        job *j = arg;
        if (j->c->threads)
                return post_progress(j, state, meta);
        const wire_record record = {
                .head = {.kind = WIRE_PROGRESS, .slot = j->head.slot, .n_texts = 2},
                .texts = {state, meta}};
        int r = put(j->c, &record);
        flush(j->c);
        return r;
}

/* Reads the arguments and runs the body, in whatever fiber this is. */
static int run_task(job *j, task_return *ret)
{
        const sj_json *args, *kwargs;
        const sj_task *task = task_registry_find(j->c->registry, j->texts[RUN_NAME], NULL);
        if (!task) {
                *ret = task_failed("celery.exceptions", "NotRegistered", SJ_STR("[]"));
                return 0;
        }
        int r = sj_json_parse(j->arena, j->texts[RUN_ARGS], SJ_JSON_PYTHON, &args, NULL);
        if (r >= 0)
                r = sj_json_parse(j->arena, j->texts[RUN_KWARGS], SJ_JSON_PYTHON, &kwargs, NULL);
        if (r < 0)
                return r;
        const task_host host = {.arg = j, .cancelled = is_cancelled, .progress = say_progress};
        return task_run(task, &j->request, &host, args, kwargs, j->arena, ret);
}

typedef struct run {
        job *j;
        task_return result;
} run;

/* When the body is to be cancelled; the hard limit of a prefork child is its controller's matter.
 */
static sj_time limit_of(const job *j, sj_time begin)
{
        sj_time limit = j->request.deadline;
        sj_time hard = j->head.hard && j->c->start->pool == WORKER_FIBERS_POOL
                               ? begin + j->head.hard
                               : SJ_NEVER;
        return hard < limit ? hard : limit;
}

/*
 * The soft limit is the deadline of the scope around the body: whatever it waits for is cancelled.
 * In the fibers pool the hard limit is one, too.
 */
static int run_within(run *r)
{
        sj_time begin = sj_now();
        sj_time limit = limit_of(r->j, begin);
        if (limit == SJ_NEVER)
                return run_task(r->j, &r->result);
        SJ_SCOPE(s, limit, 0);
        int error = run_task(r->j, &r->result);
        bool hard = r->j->head.hard && sj_now() >= begin + r->j->head.hard;
        if (hard && sj_cancelled() && r->result.end == TASK_FAILED)
                r->result = task_failed("billiard.exceptions", "TimeLimitExceeded", SJ_STR("[]"));
        return error;
}

static int run_in_loop(void *arg)
{
        return run_within(arg);
}

static int run_in_thread(void *arg)
{
        run *r = arg;
        int error = sj_run(run_in_loop, r);
        check_descriptors(r->j->c);
        return error;
}

static int run_by_pool(run *r)
{
        if (!r->j->c->threads)
                return run_within(r);
        sj_future done = SJ_FUTURE_INIT;
        int error = sj_thread_pool_submit(r->j->c->threads, run_in_thread, r, &done, SJ_NEVER);
        return error < 0 ? error : sj_future_get(&done, NULL, SJ_NEVER);
}

static void fill_request(job *j)
{
        j->request = (sj_task_request){
                .id = j->texts[RUN_ID].data,
                .name = j->texts[RUN_NAME].data,
                .root_id = j->texts[RUN_ROOT].data,
                .parent_id = j->texts[RUN_PARENT].data,
                .group = j->texts[RUN_GROUP].data,
                .retries = j->head.retries,
                .deliveries = j->head.deliveries,
                .deadline = j->head.time ? sj_after(j->head.time) : SJ_NEVER,
                .app = j->c->app,
        };
}

static void give_back(job *j, const task_return *result, sj_time took)
{
        child *c = j->c;
        sj_str text;
        /* No room for that means none for anything: the child ends, and the task has crashed. */
        if (task_return_write(j->arena, result, &text) < 0)
                os_exit(EXIT_BROKEN);
        atomic_store(&c->slots[j->head.slot].state, WIRE_FREE);
        wire_record record = {
                .head = {.kind = WIRE_RETURNED, .slot = j->head.slot, .time = took, .n_texts = 1},
                .texts = {text}};
        if (put(c, &record) == -EMSGSIZE) {
                const task_return too_large =
                        task_failed("builtins", "ValueError",
                                    SJ_STR("[\"the result is larger than the limit\"]"));
                if (task_return_write(j->arena, &too_large, &record.texts[0]) < 0)
                        os_exit(EXIT_BROKEN);
                put(c, &record);
        }
}

/* That it is not to be run after all; false: it is. */
static bool is_over(const job *j)
{
        return is_cancelled((void *)(uintptr_t)j) ||
               (j->head.expires && j->head.expires <= os_wall().us);
}

static void run_job(job *j)
{
        child *c = j->c;
        uint32_t queued = WIRE_QUEUED;
        if (!atomic_compare_exchange_strong(&c->slots[j->head.slot].state, &queued, WIRE_RUNNING)) {
                atomic_store(&c->slots[j->head.slot].state, WIRE_FREE);
                put(c, &(wire_record){.head = {.kind = WIRE_SKIPPED, .slot = j->head.slot}});
                return;
        }
        if (is_over(j)) {
                atomic_store(&c->slots[j->head.slot].state, WIRE_FREE);
                put(c, &(wire_record){.head = {.kind = WIRE_DECLINED, .slot = j->head.slot}});
                return;
        }
        fill_request(j);
        run r = {.j = j};
        sj_time start = sj_now();
        int error = run_by_pool(&r);
        sj_time end = sj_now();
        /* A body that has forked and returned twice: the copy has no business here. */
        if (os_pid() != c->pid)
                os_exit(EXIT_BROKEN);
        if (error < 0)
                r.result = task_failed("builtins", error == -ENOMEM ? "MemoryError" : "ValueError",
                                       SJ_STR("[]"));
        give_back(j, &r.result, end - start);
        if (list_empty(&c->waiting) || end - c->flushed > FLUSH_INTERVAL)
                flush(c);
}

/* A fiber that runs a job, and then those that wait. */
static int run_jobs(void *arg)
{
        job *j = arg;
        child *c = j->c;
        for (;;) {
                run_job(j);
                sj_arena_reset(j->arena);
                list_append(&c->spare, &j->place);
                list *next = list_pop(&c->waiting);
                if (!next)
                        break;
                j = container_of(next, job, place);
        }
        c->active--;
        return 0;
}

/* ── Reading ─────────────────────────────────────────────────────────────────────────────── */

static job *job_new(child *c)
{
        list *spare = list_pop(&c->spare);
        if (spare)
                return container_of(spare, job, place);
        job *j = calloc(1, sizeof(*j));
        if (!j || sj_arena_new(&j->arena) < 0) {
                free(j);
                return NULL;
        }
        j->c = c;
        return j;
}

/* The record is the ring's: a job keeps its own copy, NUL-terminated. */
static int copy_texts(job *j, const wire_record *record)
{
        for (size_t i = 0; i < RUN_TEXTS; i++) {
                sj_str text = record->texts[i];
                j->texts[i] = (sj_str){0};
                if (!text.data)
                        continue;
                char *copy = sj_arena_strndup(j->arena, text.data, text.n);
                if (!copy)
                        return -ENOMEM;
                j->texts[i] = (sj_str){copy, text.n};
        }
        return 0;
}

static int take_run(child *c, const wire_record *record)
{
        if (record->head.n_texts != RUN_TEXTS || record->head.slot >= c->start->slots)
                return -EPROTO;
        job *j = job_new(c);
        if (!j)
                return -ENOMEM;
        j->head = record->head;
        int r = copy_texts(j, record);
        if (r < 0)
                return r;
        if (c->active < c->start->concurrency) {
                r = sj_spawn(c->jobs, run_jobs, j, NULL);
                if (r >= 0) {
                        c->active++;
                        return 0;
                }
                if (c->active == 0)
                        return r;
        }
        list_append(&c->waiting, &j->place);
        return 0;
}

/* Comes before any RUN. */
static int take_routes(child *c, const wire_record *record)
{
        sj_arena *arena;
        sj_app_options options;
        if (record->head.n_texts != 1 || c->app)
                return -EPROTO;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        r = wire_read_routes(record->texts[0], arena, &options);
        if (r >= 0)
                r = app_new_over(forward_broker(c->forward), &options, &c->app);
        sj_arena_free(arena);
        return r;
}

/* 1: told to quit. */
static int take_record(child *c, const wire_record *record)
{
        switch (record->head.kind) {
        case WIRE_ROUTES:
                return take_routes(c, record);
        case WIRE_RUN:
                return take_run(c, record);
        case WIRE_REPLY:
                return forward_reply(c->forward, record);
        case WIRE_QUIT:
                return 1;
        default:
                return -EPROTO;
        }
}

static int read_records(child *c)
{
        for (;;) {
                wire_record record;
                int r = wire_get(&c->duplex.in, &record);
                if (r == -EAGAIN) {
                        sj_yield();
                        if (ring_ready(&c->duplex.in))
                                continue;
                        flush(c);
                        r = duplex_wait(&c->duplex, false, SJ_NEVER);
                        if (r < 0)
                                return r;
                        continue;
                }
                if (r >= 0)
                        r = take_record(c, &record);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
}

static int serve_jobs(child *c)
{
        SJ_SCOPE(jobs, SJ_NEVER, SJ_COLLECT);
        c->jobs = jobs;
        int r = read_records(c);
        /* Without its controller nothing is left to be done: jobs may still be in threads. */
        if (r < 0)
                os_exit(EXIT_BROKEN);
        r = sj_scope_join(jobs);
        flush(c);
        return r;
}

static int serve(void *arg)
{
        child *c = arg;
        int r = forward_new(put_now, c, &c->forward);
        if (r >= 0)
                r = serve_jobs(c);
        sj_app_free(c->app);
        forward_free(c->forward);
        return r;
}

/* ── The process ─────────────────────────────────────────────────────────────────────────── */

static int say_ready(child *c)
{
        sj_arena *arena;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        sj_str manifest;
        r = task_manifest_write(c->registry, arena, &manifest);
        if (r >= 0)
                put_text(c, WIRE_READY, manifest);
        sj_arena_free(arena);
        return r;
}

static void child_fini(child *c)
{
        for (list *node; (node = list_pop(&c->spare));) {
                job *j = container_of(node, job, place);
                sj_arena_free(j->arena);
                free(j);
        }
        sj_thread_pool_free(c->threads);
        task_registry_free(c->registry);
        duplex_fini(&c->duplex);
}

static int child_main(const zygote_start *start)
{
        child c = {.start = (const void *)start->argument.data, .pid = os_pid()};
        const int fds[DUPLEX_FDS] = {ZYGOTE_FD_FIRST, ZYGOTE_FD_FIRST + 1, ZYGOTE_FD_FIRST + 2};
        char error[ERROR_MAX];
        if (start->n_fds != DUPLEX_FDS)
                return EXIT_BROKEN;
        const duplex_shape shape = wire_shape(c.start->slots);
        if (duplex_open(fds, &shape, &c.duplex) < 0)
                return EXIT_BROKEN;
        c.slots = wire_slots(&c.duplex);
        list_init(&c.waiting);
        list_init(&c.spare);
        if (worker_child_load(c.start->tasks, &c.registry, error, sizeof(error)) < 0) {
                put_text(&c, WIRE_BROKEN, sj_str_of(error));
                return EXIT_BROKEN;
        }
        if (c.start->pool == WORKER_THREADS &&
            sj_thread_pool_new(c.start->concurrency, &(sj_thread_pool_options){.name = "task"},
                               &c.threads) < 0)
                return EXIT_BROKEN;
        if (say_ready(&c) < 0 || sj_run(serve, &c) < 0)
                return EXIT_BROKEN;
        child_fini(&c);
        return 0;
}

ZYGOTE_ENTRY(task_worker, WORKER_CHILD_ENTRY, child_main);
