/* SPDX-License-Identifier: MIT */
/*
 * Who may use which client. A redis client belongs to one loop. The fibers of the loop in which
 * the broker was opened use theirs with nothing in between, which is what makes one task at a
 * time quick; everybody else (threads without a loop, other loops) hands a call to a thread with
 * a loop and a client of its own, which is started by the first such call:
 *
 *         caller ── job on its stack ──► sj_post ──► a fiber there runs it
 *         caller ◄────────────── future ◄─────────────┘
 *
 * A job uses the caller's memory, so the caller waits for its end whatever happens; one that is
 * cancelled has the job cancelled, which ends it soon.
 *
 * Fibers that outlive a call (who watches a list, who hears of what is delayed) are children of
 * the loop's own scope. They end when the lane closes.
 */
#include "queue/redis/broker_redis.h"

#include "exec/await.h"
#include "fiber/wait.h"
#include "queue/broker_redis_lua.h"

#include <sanjab/future.h>
#include <sanjab/sync.h>

#include <stdio.h>
#include <stdlib.h>

static const char *const script_texts[SCRIPT_MAX] = {
        [SCRIPT_TALLY] = lua_tally,     [SCRIPT_AGAIN] = lua_again,
        [SCRIPT_BEAT] = lua_beat,       [SCRIPT_GONE] = lua_gone,
        [SCRIPT_COUNT] = lua_count,     [SCRIPT_DEAD] = lua_dead,
        [SCRIPT_DELAY] = lua_delay,     [SCRIPT_DELAYED] = lua_delayed,
        [SCRIPT_DEPTHS] = lua_depths,   [SCRIPT_EXPIRED] = lua_expired,
        [SCRIPT_FORGET] = lua_forget,   [SCRIPT_JOIN] = lua_join,
        [SCRIPT_LEASE] = lua_lease,     [SCRIPT_LOOK] = lua_look,
        [SCRIPT_MAILBOX] = lua_mailbox, [SCRIPT_NODE] = lua_node,
        [SCRIPT_PUBLISH] = lua_publish, [SCRIPT_PURGE] = lua_purge,
        [SCRIPT_RECLAIM] = lua_reclaim, [SCRIPT_RENEW] = lua_renew,
        [SCRIPT_RESTORE] = lua_restore, [SCRIPT_RESULTS] = lua_results,
        [SCRIPT_SETTLE] = lua_settle,   [SCRIPT_STALE] = lua_stale,
        [SCRIPT_RATE] = lua_rate,
};

/* ── A lane ──────────────────────────────────────────────────────────────────────────────── */

static void lane_init(redis_lane *lane, redis_queue *q)
{
        *lane = (redis_lane){.q = q, .loop = sj_loop_current(), .news = SJ_EVENT_INIT};
        list_init(&lane->arenas);
        list_init(&lane->large);
        list_init(&lane->watchers);
        list_init(&lane->unanswered);
        list_init(&lane->expected);
        list_init(&lane->armed);
        lane->expected_by_id = MAP_INIT(q->handle_number);
        for (size_t i = 0; i < SCRIPT_MAX; i++)
                lane->scripts[i].text = lane->result_scripts[i].text = script_texts[i];
}

/* Both clients; the second only if it leads elsewhere. */
static int lane_connect(redis_lane *lane, char *error, size_t size, sj_time deadline)
{
        redis_queue *q = lane->q;
        redis *results = NULL;
        int r = redis_open(&q->where, &lane->client, error, size, deadline);
        if (r < 0)
                return r;
        lane->results = lane->client;
        if (!q->results_where.url) {
                if (redis_keeps_together(lane->client, q->result_prefix))
                        return 0;
                if (error && size)
                        snprintf(error, size,
                                 "%s is a Redis Cluster: the global_keyprefix of results "
                                 "(result_backend_transport_options) must have the hash tag of "
                                 "that of the broker, as \"%s\"",
                                 redis_place(lane->client), q->where.prefix);
                redis_close(lane->client);
                lane->client = lane->results = NULL;
                return -EXDEV;
        }
        char why[256] = "";
        r = redis_open(&q->results_where, &results, why, sizeof(why), deadline);
        if (r < 0) {
                if (error && size)
                        snprintf(error, size, "result_backend: %s", why);
                redis_close(lane->client);
                lane->client = lane->results = NULL;
                return r;
        }
        if (strcmp(redis_place(results), redis_place(lane->client)) == 0 &&
            redis_keeps_together(lane->client, q->result_prefix)) {
                redis_close(results);
                return 0;
        }
        lane->results = results;
        return 0;
}

typedef struct spare_arena {
        list node;
        sj_arena *arena;
} spare_arena;

sj_arena *redis_lane_arena(list *spare_ones)
{
        list *node = list_pop(spare_ones);
        if (node) {
                spare_arena *spare = container_of(node, spare_arena, node);
                return spare->arena;
        }
        sj_arena *arena;
        return sj_arena_new(&arena) < 0 ? NULL : arena;
}

/* The arena's own memory holds its place among the spare ones. */
void redis_lane_give_back(list *spare_ones, sj_arena *arena)
{
        if (!arena)
                return;
        sj_arena_reset(arena);
        spare_arena *spare = sj_arena_alloc(arena, sizeof(*spare));
        if (!spare) {
                sj_arena_free(arena);
                return;
        }
        spare->arena = arena;
        list_prepend(spare_ones, &spare->node);
}

static void lane_end_background(redis_lane *lane)
{
        lane->closing = true;
        SJ_SCOPE(shield, sj_after(SJ_HOUR), SJ_SHIELD);
        while (lane->background > 0) {
                sj_event_set(&lane->news);
                redis_queue_wake_all(lane);
                sj_yield();
                if (lane->background > 0)
                        sj_sleep(SJ_MS);
        }
}

static void lane_close(redis_lane *lane)
{
        if (!lane->client)
                return;
        lane_end_background(lane);
        redis_queue_forget_unanswered(lane);
        redis_queue_forget_expected(lane);
        if (lane->results != lane->client)
                redis_close(lane->results);
        redis_close(lane->client);
        lane->client = NULL;
        for (list *node; (node = list_pop(&lane->arenas)) || (node = list_pop(&lane->large));)
                sj_arena_free(container_of(node, spare_arena, node)->arena);
}

int redis_lane_spawn(sj_fn *fn, void *arg)
{
        return sj_spawn(fiber_root_scope(), fn, arg, NULL);
}

/* ── The thread for everybody else ───────────────────────────────────────────────────────── */

typedef struct redis_job {
        redis_lane *lane;
        redis_lane_fn *fn;
        void *arg;
        sj_fiber *fiber; /* that runs it, while it does */
        sj_future future;
        sj_future cancelled;
} redis_job;

typedef struct redis_service {
        redis_queue *q;
        os_thread *thread;
        sj_loop *loop;
        sj_event work; /* set when it is to stop */
        bool stop;
        sj_time deadline; /* of opening */
        char *error;
        size_t size;
        sj_future opened;
} redis_service;

static int job_run(void *arg)
{
        redis_job *job = arg;
        job->fiber = sj_fiber_self();
        int r = job->fn(job->lane, job->arg);
        job->fiber = NULL;
        sj_future_set(&job->future, r, NULL);
        return 0;
}

static int service_main(void *arg)
{
        redis_service *s = arg;
        redis_queue *q = s->q;
        lane_init(&q->service, q);
        s->loop = sj_loop_current();
        int r = lane_connect(&q->service, s->error, s->size, s->deadline);
        bool failed = r < 0;
        sj_future_set(&s->opened, r, NULL);
        if (failed)
                return 0;
        while (!s->stop)
                sj_event_wait(&s->work, SJ_NEVER);
        lane_close(&q->service);
        return 0;
}

static void *service_thread(void *arg)
{
        redis_service *s = arg;
        int r = sj_run(service_main, s);
        /* Without memory for a loop nobody has said so. */
        if (r < 0 && !sj_future_done(&s->opened))
                sj_future_set(&s->opened, r, NULL);
        return NULL;
}

static int service_new(redis_queue *q, char *error, size_t size, sj_time deadline,
                       redis_service **ret)
{
        redis_service *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        *s = (redis_service){.q = q,
                             .work = SJ_EVENT_INIT,
                             .opened = SJ_FUTURE_INIT,
                             .error = error,
                             .size = size,
                             .deadline = deadline};
        int r = os_thread_start(service_thread, s, "redis", &s->thread);
        if (r == 0) {
                r = await_surely(&s->opened, NULL);
                if (r < 0)
                        os_thread_join(s->thread);
        }
        if (r < 0)
                free(s);
        else
                *ret = s;
        return r;
}

/* The service, started if need be; others who come meanwhile wait for the one who starts it. */
static int service_get(redis_queue *q, char *error, size_t size, sj_time deadline,
                       redis_service **ret)
{
        int r = 0;
        mutex_lock(&q->lock);
        while (q->starting && r == 0)
                r = turnstile_wait(&q->start, &q->lock, deadline);
        if (r == 0 && !q->thread) {
                redis_service *s = NULL;
                q->starting = true;
                mutex_unlock(&q->lock);
                r = service_new(q, error, size, deadline, &s);
                mutex_lock(&q->lock);
                q->starting = false;
                q->thread = s;
                turnstile_let_all(&q->start);
        }
        *ret = q->thread;
        mutex_unlock(&q->lock);
        return r;
}

static int service_stop_post(void *arg)
{
        redis_service *s = arg;
        s->stop = true;
        sj_event_set(&s->work);
        return 0;
}

static int job_post(void *arg)
{
        redis_job *job = arg;
        int r = sj_spawn(fiber_root_scope(), job_run, job, NULL);
        if (r < 0)
                sj_future_set(&job->future, r, NULL);
        return 0;
}

static int job_cancel_post(void *arg)
{
        redis_job *job = arg;
        if (job->fiber)
                sj_cancel(job->fiber);
        sj_future_set(&job->cancelled, 0, NULL);
        return 0;
}

static int job_await(redis_job *job)
{
        int r = sj_future_get(&job->future, NULL, SJ_NEVER);
        if (sj_future_done(&job->future))
                return await_surely(&job->future, NULL);
        /* Without memory for the post, it goes on to its own deadline. */
        if (sj_post(job->lane->loop, job_cancel_post, job) == 0)
                await_surely(&job->cancelled, NULL);
        int result = await_surely(&job->future, NULL);
        return result < 0 ? r : result;
}

int redis_lane_call_in(redis_lane *lane, redis_lane_fn *fn, void *arg)
{
        if (sj_fiber_self() && sj_loop_current() == lane->loop)
                return fn(lane, arg);
        redis_job job = {.lane = lane,
                         .fn = fn,
                         .arg = arg,
                         .future = SJ_FUTURE_INIT,
                         .cancelled = SJ_FUTURE_INIT};
        int r = sj_post(lane->loop, job_post, &job);
        return r < 0 ? r : job_await(&job);
}

int redis_lane_call(broker *b, redis_lane_fn *fn, void *arg)
{
        redis_queue *q = redis_queue_of(b);
        if (q->home.client && sj_fiber_self() && sj_loop_current() == q->home.loop)
                return fn(&q->home, arg);
        return redis_lane_call_apart(q, fn, arg);
}

int redis_lane_call_apart(redis_queue *q, redis_lane_fn *fn, void *arg)
{
        char error[256] = "";
        redis_service *unused;
        int r = service_get(q, error, sizeof(error), sj_after(SJ_PUBLISH_DEADLINE), &unused);
        return r < 0 ? r : redis_lane_call_in(&q->service, fn, arg);
}

int redis_lanes_open(redis_queue *q, char *error, size_t size, sj_time deadline)
{
        redis_service *unused;
        if (!sj_fiber_self())
                return service_get(q, error, size, deadline, &unused);
        lane_init(&q->home, q);
        return lane_connect(&q->home, error, size, deadline);
}

redis_lane *redis_lanes_first(redis_queue *q)
{
        return q->home.client ? &q->home : &q->service;
}

void redis_lanes_close(redis_queue *q)
{
        redis_service *s = q->thread;
        if (s) {
                while (sj_post(s->loop, service_stop_post, s) < 0)
                        sj_sleep(SJ_MS);
                os_thread_join(s->thread);
                free(s);
        }
        lane_close(&q->home);
}

/* ── Words ───────────────────────────────────────────────────────────────────────────────── */

redis_words redis_words_new(sj_arena *arena, size_t room)
{
        redis_words w = {.arena = arena, .room = room ? room : 8};
        w.at = sj_arena_alloc(arena, w.room * sizeof(*w.at));
        w.bad = !w.at;
        return w;
}

static bool words_grow(redis_words *w)
{
        sj_str *larger = sj_arena_alloc(w->arena, 2 * w->room * sizeof(*larger));
        if (!larger)
                return false;
        memcpy(larger, w->at, w->n * sizeof(*larger));
        w->at = larger;
        w->room *= 2;
        return true;
}

void redis_words_add(redis_words *w, sj_str word)
{
        if (w->bad || (w->n == w->room && !words_grow(w)))
                w->bad = true;
        else
                w->at[w->n++] = word.data ? word : (sj_str){"", 0};
}

void redis_words_format(redis_words *w, const char *format, ...)
{
        char text[512];
        va_list args;
        va_start(args, format);
        int n = vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        const char *kept = n >= 0 && (size_t)n < sizeof(text)
                                   ? sj_arena_strndup(w->arena, text, (size_t)n)
                                   : NULL;
        if (!kept)
                w->bad = true;
        else
                redis_words_add(w, (sj_str){kept, (size_t)n});
}

/* By hand: each settlement has some of them, and printf would take longer than all its rest. */
void redis_words_add_int(redis_words *w, int64_t number)
{
        enum { DIGITS_MAX = 20 };
        char *text = sj_arena_alloc(w->arena, DIGITS_MAX), *at = text + DIGITS_MAX;
        if (!text) {
                w->bad = true;
                return;
        }
        uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
        do
                *--at = (char)('0' + left % 10);
        while ((left /= 10) > 0);
        if (number < 0)
                *--at = '-';
        redis_words_add(w, (sj_str){at, (size_t)(text + DIGITS_MAX - at)});
}

void redis_words_keys(redis_words *w, const redis_queue *q)
{
        for (size_t i = 0; i < KEY_MAX; i++)
                redis_words_add(w, q->keys[i]);
        w->n_keys = w->n;
}

sj_str redis_queue_name(const redis_queue *q, sj_arena *arena, const char *format, ...)
{
        char text[2 * SJ_TASK_NAME_MAX + 128];
        va_list args;
        va_start(args, format);
        int n = vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        size_t size = q->settings.prefix.n + (size_t)(n < 0 ? 0 : n);
        char *name = n < 0 || (size_t)n >= sizeof(text) ? NULL : sj_arena_alloc(arena, size + 1);
        if (!name)
                return (sj_str){NULL, 0};
        if (q->settings.prefix.n)
                memcpy(name, q->settings.prefix.data, q->settings.prefix.n);
        memcpy(name + q->settings.prefix.n, text, (size_t)n + 1);
        return (sj_str){name, size};
}

/* What this user may not do, in the server's words; what is refused again and again, seldom. */
static void tell_refused(redis_lane *lane, redis *client)
{
        sj_str text = sj_str_of(redis_error(client));
        if (text.n < 6 || memcmp(text.data, "NOPERM", 6) != 0)
                return;
        if (strncmp(lane->refused, text.data, sizeof(lane->refused) - 1) == 0 &&
            sj_now() < lane->refused_at + SJ_MIN)
                return;
        snprintf(lane->refused, sizeof(lane->refused), "%s", text.data);
        lane->refused_at = sj_now();
        sj_log(SJ_LOG_ERROR, "redis %s: %s", redis_place(client), text.data);
}

static int lane_told(redis_lane *lane, redis *client, int r)
{
        if (r == -EACCES)
                tell_refused(lane, client);
        if (r != -EREMOTEIO)
                return r;
        sj_log(SJ_LOG_ERROR, "Redis: %s", redis_error(client));
        return -EIO;
}

static int lane_script(redis_lane *lane, redis *client, redis_script *text,
                       redis_queue_script script, redis_words *w, const redis_reply **ret,
                       sj_time deadline)
{
        if (w->bad)
                return -ENOMEM;
        int r = redis_script_call(client, w->arena, text, w->at, w->n_keys, w->n, ret, w->once,
                                  redis_queue_deadline(deadline));
        return r < 0 ? lane_told(lane, client, r) : redis_answer_script(client, script, *ret);
}

int redis_lane_script(redis_lane *lane, redis_queue_script script, redis_words *w,
                      const redis_reply **ret, sj_time deadline)
{
        return lane_script(lane, lane->client, &lane->scripts[script], script, w, ret, deadline);
}

int redis_lane_result_script(redis_lane *lane, redis_queue_script script, redis_words *w,
                             const redis_reply **ret, sj_time deadline)
{
        redis_script *known = lane->results == lane->client ? lane->scripts : lane->result_scripts;
        return lane_script(lane, lane->results, &known[script], script, w, ret, deadline);
}

int redis_lane_command(redis_lane *lane, redis_words *w, const redis_reply **ret, sj_time deadline)
{
        if (w->bad)
                return -ENOMEM;
        int r = (w->once ? redis_call_once : redis_call)(lane->client, w->arena, w->at, w->n, ret,
                                                         redis_queue_deadline(deadline));
        return r < 0 ? lane_told(lane, lane->client, r)
                     : redis_answer_command(lane->client, w->at[0], *ret);
}
