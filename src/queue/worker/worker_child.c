/* SPDX-License-Identifier: MIT */
/*
 * A child of a worker: one loop, whose main fiber reads what the controller sends.
 *
 *   reader ──► waiting ──► a fiber for each of at most `concurrency` jobs ──► ring out
 *   reader ──► for_threads ──► a loop in each of at most `concurrency` threads ──► from_threads
 *
 * A body always runs in a fiber. With the prefork pool there is one at a time. A thread takes job
 * after job, and leaves when there is none: to make a loop and to wake somebody for each way is
 * what a short task would cost most. The ring is the child's loop's alone, which is told of what
 * has ended when there was nothing that it had been told of.
 *
 * What is written is flushed when there is nothing else to do, or after a millisecond: results of
 * short tasks travel together, and wake the controller once. If the ring is full the whole child
 * waits for its controller, which always reads.
 */
#include "queue/worker/worker_child.h"

#include "base/list.h"
#include "exec/zygote.h"
#include "fiber/mutex.h"
#include "os/os.h"
#include "queue/app.h"
#include "queue/worker/worker_forward.h"
#include "queue/worker/worker_wire.h"

#include <sanjab/exec.h>
#include <sanjab/sync.h>

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
        list place;      /* in one of the child's lists, unless it runs and they are not bodies */
        sj_scope *scope; /* around its body, in child->bodies */
        child *c;
        sj_arena *arena;
        wire_head head;
        sj_str texts[RUN_TEXTS];
        sj_task_request request;
        size_t said; /* by a thread that runs it, while it runs */
        size_t put;  /* of that, in the ring */
        bool ended;  /* as the child's loop knows */
        wire_kind end;
        task_return result; /* of one that ends as RETURNED */
        sj_time took;
} job;

struct child {
        duplex duplex;
        wire_slot *slots;
        const worker_child_start *start;
        task_registry *registry;
        sj_thread_pool *threads; /* of the threads pool */
        sj_scope *jobs;
        list waiting;
        list bodies; /* that run, of the fibers pool */
        list spare;
        size_t active; /* fibers that run jobs; of the threads pool: jobs */
        mutex lock;    /* of what follows */
        list for_threads;
        list from_threads;
        size_t running;  /* threads that take jobs */
        sj_event rested; /* no job is with the threads */
        sj_time flushed;
        sj_event unflushed; /* for the flusher */
        forward *forward;   /* what the tasks themselves publish */
        sj_app *app;        /* for them; made when the routes are known */
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

/*
 * Flushes when all fibers that were ready have had their turn: what they say travels together,
 * and the controller is woken once for it.
 */
static int flush_duty(void *arg)
{
        child *c = arg;
        for (;;) {
                int r = sj_event_wait(&c->unflushed, SJ_NEVER);
                if (r < 0)
                        return 0;
                sj_event_clear(&c->unflushed);
                flush(c);
        }
}

static void flush_soon(child *c, sj_time now)
{
        if (now - c->flushed > FLUSH_INTERVAL)
                flush(c);
        else
                sj_event_set(&c->unflushed);
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

/* What a task says while it runs: a state, an event. */
typedef struct saying {
        job *j;
        wire_record record;
        sj_arena *arena; /* of a copy that travels between threads, which holds this too */
} saying;

static void end_threads_job(job *j);

static int put_saying(void *arg)
{
        saying *p = arg;
        job *j = p->j;
        put(j->c, &p->record);
        flush(j->c);
        sj_arena_free(p->arena);
        j->put++;
        if (j->ended && j->put == j->said)
                end_threads_job(j);
        return 0;
}

/* A thread's task may not touch the ring: what it says is posted to the loop as a copy. */
static int post_saying(job *j, wire_kind kind, sj_str what, sj_str json)
{
        sj_arena *arena;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        saying *p = sj_arena_alloc(arena, sizeof(*p));
        char *what_copy = sj_arena_strndup(arena, what.data, what.n);
        char *json_copy = sj_arena_strndup(arena, json.data, json.n);
        if (!p || !what_copy || !json_copy) {
                sj_arena_free(arena);
                return -ENOMEM;
        }
        *p = (saying){.j = j,
                      .arena = arena,
                      .record = {.head = {.kind = kind, .slot = j->head.slot, .n_texts = 2},
                                 .texts = {{what_copy, what.n}, {json_copy, json.n}}}};
        r = sj_post(forward_loop(j->c->forward), put_saying, p);
        if (r < 0)
                sj_arena_free(arena);
        else
                j->said++;
        return r;
}

static int say(job *j, wire_kind kind, sj_str what, sj_str json)
{
        if (j->c->threads)
                return post_saying(j, kind, what, json);
        const wire_record record = {.head = {.kind = kind, .slot = j->head.slot, .n_texts = 2},
                                    .texts = {what, json}};
        int r = put(j->c, &record);
        flush(j->c);
        return r;
}

static int say_progress(void *arg, sj_str state, sj_str meta)
{
        return say(arg, WIRE_PROGRESS, state, meta);
}

static int say_event(void *arg, sj_str type, sj_str fields)
{
        return say(arg, WIRE_EVENT, type, fields);
}

/* Reads the arguments and runs the body, in whatever fiber this is. */
static int run_task(job *j, task_return *ret)
{
        const sj_json *args, *kwargs;
        int r = sj_json_parse(j->arena, j->texts[RUN_ARGS], SJ_JSON_PYTHON, &args, NULL);
        if (r >= 0)
                r = sj_json_parse(j->arena, j->texts[RUN_KWARGS], SJ_JSON_PYTHON, &kwargs, NULL);
        if (r < 0)
                return r;
        const task_host host = {.arg = j,
                                .cancelled = is_cancelled,
                                .progress = say_progress,
                                .event = say_event,
                                .chord = j->texts[RUN_CHORD]};
        return task_run_named(j->c->registry, j->texts[RUN_NAME], &j->request, &host, args, kwargs,
                              j->arena, ret);
}

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

/* As Celery says it: with the limit in seconds. */
static task_return over_limit(job *j)
{
        char text[40];
        int n = snprintf(text, sizeof(text), "[%.15g]", (double)j->head.hard / (double)SJ_SEC);
        const char *kept = sj_arena_strndup(j->arena, text, (size_t)n);
        return task_failed("billiard.exceptions", "TimeLimitExceeded", sj_str_of(kept));
}

/*
 * The soft limit is the deadline of the scope around the body: whatever it waits for is cancelled.
 * In the fibers pool the hard limit is one, too, and who is terminated is cancelled through it.
 */
static int run_within(job *j)
{
        sj_time begin = sj_now();
        sj_time limit = limit_of(j, begin);
        bool fibers = j->c->start->pool == WORKER_FIBERS_POOL;
        if (limit == SJ_NEVER && !fibers)
                return run_task(j, &j->result);
        SJ_SCOPE(s, limit, 0);
        j->scope = s;
        if (fibers)
                list_append(&j->c->bodies, &j->place);
        int error = run_task(j, &j->result);
        if (fibers)
                list_remove(&j->place);
        bool hard = j->head.hard && sj_now() >= begin + j->head.hard;
        if (hard && sj_cancelled() && j->result.end == TASK_FAILED)
                j->result = over_limit(j);
        return error;
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

static void put_returned(job *j)
{
        child *c = j->c;
        sj_str text;
        /* No room for that means none for anything: the child ends, and the task has crashed. */
        if (task_return_write(j->arena, &j->result, &text) < 0)
                os_exit(EXIT_BROKEN);
        wire_record record = {.head = {.kind = WIRE_RETURNED,
                                       .slot = j->head.slot,
                                       .time = j->took,
                                       .n_texts = 1},
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

/* In whatever fiber this is; error: why there can be none. */
static void run_job(job *j, int error)
{
        child *c = j->c;
        uint32_t queued = WIRE_QUEUED;
        j->end = WIRE_SKIPPED;
        if (!atomic_compare_exchange_strong(&c->slots[j->head.slot].state, &queued, WIRE_RUNNING))
                return;
        j->end = WIRE_DECLINED;
        if (is_over(j))
                return;
        j->end = WIRE_RETURNED;
        j->result = (task_return){0};
        fill_request(j);
        sj_time start = sj_now();
        if (error >= 0)
                error = run_within(j);
        j->took = sj_now() - start;
        /* A body that has forked and returned twice: the copy has no business here. */
        if (os_pid() != c->pid)
                os_exit(EXIT_BROKEN);
        if (error < 0)
                j->result = task_failed("builtins", error == -ENOMEM ? "MemoryError" : "ValueError",
                                        SJ_STR("[]"));
}

/* Says how it has ended. */
static void end_job(job *j)
{
        child *c = j->c;
        atomic_store(&c->slots[j->head.slot].state, WIRE_FREE);
        if (j->end == WIRE_RETURNED)
                put_returned(j);
        else
                put(c, &(wire_record){.head = {.kind = j->end, .slot = j->head.slot}});
        flush_soon(c, sj_now());
        sj_arena_reset(j->arena);
        list_append(&c->spare, &j->place);
}

/* A fiber that runs a job, and then those that wait. */
static int run_jobs(void *arg)
{
        job *j = arg;
        child *c = j->c;
        for (;;) {
                run_job(j, 0);
                end_job(j);
                list *next = list_pop(&c->waiting);
                if (!next)
                        break;
                j = container_of(next, job, place);
        }
        c->active--;
        return 0;
}

/* ── Threads ─────────────────────────────────────────────────────────────────────────────── */

static job *pop_job(child *c, list *of)
{
        mutex_lock(&c->lock);
        list *node = list_pop(of);
        if (!node && of == &c->for_threads)
                c->running--;
        mutex_unlock(&c->lock);
        return node ? container_of(node, job, place) : NULL;
}

/* All that the thread has said of it is in the ring. */
static void end_threads_job(job *j)
{
        child *c = j->c;
        end_job(j);
        if (--c->active == 0)
                sj_event_set(&c->rested);
}

static int take_ended(void *arg)
{
        child *c = arg;
        for (job *j; (j = pop_job(c, &c->from_threads));) {
                j->ended = true;
                if (j->put == j->said)
                        end_threads_job(j);
        }
        return 0;
}

static void tell_ended(child *c, job *j)
{
        mutex_lock(&c->lock);
        bool first = list_empty(&c->from_threads);
        list_append(&c->from_threads, &j->place);
        mutex_unlock(&c->lock);
        if (first && sj_post(forward_loop(c->forward), take_ended, c) < 0)
                os_exit(EXIT_BROKEN);
}

/* What a body leaves behind that has failed is no matter of the next. */
static void run_apart(job *j)
{
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        run_job(j, 0);
        sj_scope_join(s);
}

static int run_all(void *arg)
{
        child *c = arg;
        for (job *j; (j = pop_job(c, &c->for_threads));) {
                run_apart(j);
                check_descriptors(c);
                tell_ended(c, j);
        }
        return 0;
}

static int run_in_thread(void *arg)
{
        child *c = arg;
        int r = sj_run(run_all, c);
        if (r >= 0)
                return 0;
        /* There was no loop to be had. */
        for (job *j; (j = pop_job(c, &c->for_threads));) {
                run_job(j, r);
                tell_ended(c, j);
        }
        return 0;
}

/* -EAGAIN, -ENOMEM: there is no thread for it, nor will there be. */
static int give_to_threads(child *c, job *j)
{
        j->said = j->put = 0;
        j->ended = false;
        mutex_lock(&c->lock);
        list_append(&c->for_threads, &j->place);
        bool more = c->running < c->start->concurrency;
        c->running += more;
        mutex_unlock(&c->lock);
        c->active++;
        int r = more ? sj_thread_pool_submit(c->threads, run_in_thread, c, NULL, SJ_NEVER) : 0;
        if (r >= 0)
                return 0;
        mutex_lock(&c->lock);
        bool others = --c->running > 0;
        mutex_unlock(&c->lock);
        return others ? 0 : r;
}

static int await_threads(child *c)
{
        int r = 0;
        while (r >= 0 && c->active > 0) {
                sj_event_clear(&c->rested);
                r = sj_event_wait(&c->rested, SJ_NEVER);
        }
        return r;
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
        if (c->threads)
                return give_to_threads(c, j);
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
        forward_broker(c->forward)->capabilities |=
                (unsigned)record->head.result & WIRE_CAPABILITIES;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        r = wire_read_app(record->texts[0], arena, &options);
        if (r >= 0)
                r = forward_lead(c->forward, &options);
        if (r >= 0)
                r = app_new_over(forward_broker(c->forward), &options, &c->app);
        sj_arena_free(arena);
        return r;
}

static void terminate(child *c)
{
        list_for_each (node, &c->bodies) {
                const job *j = container_of(node, job, place);
                if (atomic_load(&c->slots[j->head.slot].cancelled) == WIRE_TERMINATED)
                        sj_scope_cancel(j->scope);
        }
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
        case WIRE_TERMINATE:
                terminate(c);
                return 0;
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
        SJ_SCOPE(duties, SJ_NEVER, 0);
        int spawned = sj_spawn(duties, flush_duty, c, NULL);
        if (spawned < 0)
                return spawned;
        SJ_SCOPE(jobs, SJ_NEVER, SJ_COLLECT);
        c->jobs = jobs;
        int r = read_records(c);
        /* Without its controller nothing is left to be done: jobs may still be in threads. */
        if (r < 0)
                os_exit(EXIT_BROKEN);
        r = c->threads ? await_threads(c) : sj_scope_join(jobs);
        flush(c);
        sj_scope_cancel(duties);
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
        list_init(&c.bodies);
        list_init(&c.for_threads);
        list_init(&c.from_threads);
        list_init(&c.spare);
        if (worker_child_load(c.start->tasks, &c.registry, error, sizeof(error)) < 0) {
                put_text(&c, WIRE_BROKEN, sj_str_of(error));
                return EXIT_BROKEN;
        }
        if (c.start->pool == WORKER_THREADS &&
            sj_thread_pool_new(c.start->concurrency, &(sj_thread_pool_options){.name = "task"},
                               &c.threads) < 0)
                return EXIT_BROKEN;
        if (c.start->pool == WORKER_PREFORK)
                os_signal_interrupts(WORKER_CHILD_INTERRUPT);
        if (say_ready(&c) < 0 || sj_run(serve, &c) < 0)
                return EXIT_BROKEN;
        child_fini(&c);
        return 0;
}

ZYGOTE_ENTRY(task_worker, WORKER_CHILD_ENTRY, child_main);
