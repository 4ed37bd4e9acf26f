/* SPDX-License-Identifier: MIT */
/*
 * Results, as Celery keeps them (protocol §7): a key for each task, told on a channel of the same
 * name when it is stored. Who waits subscribes first and reads then, and reads again after every
 * break of the connection; it never asks at intervals.
 *
 * Who publishes and waits at once needs no reading: it has subscribed before there was a task
 * (redis_queue_result_expect), so the news will come, and two round trips less stand in its way.
 * But Redis may have taken the subscription, which goes by another connection, after the task had
 * ended: so it does read, once, if no news has come for a while.
 */
#include "queue/redis/broker_redis.h"

#include "codec/json_skim.h"

#include <stdlib.h>

/* Nobody waits for so many at once between their publishing and their waiting, nor for so long. */
enum { EXPECTED_MAX = 1024 };
#define EXPECTED_FOR (10 * SJ_SEC)
/* How long no news of an expected result are taken for good news. */
#define EXPECTED_PATIENCE (10 * SJ_MS)

typedef struct result_args {
        const broker_result *put;
        const sj_str *ids;
        size_t n;
        sj_arena *arena; /* of what is given */
        broker_result *ret;
        sj_time deadline;
} result_args;

/* ── Storing ─────────────────────────────────────────────────────────────────────────────── */

int redis_queue_store_results(redis_lane *lane, const broker_result results[], size_t n,
                              sj_time deadline)
{
        const redis_reply *unused;
        if (n == 0)
                return 0;
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, KEY_MAX + 4 * n);
        redis_words_keys(&w, lane->q);
        for (size_t i = 0; i < n; i++)
                redis_queue_add_result(lane->q, &w, &results[i]);
        return redis_lane_result_script(lane, SCRIPT_RESULTS, &w, &unused, deadline);
}

static int put_in(redis_lane *lane, void *arg)
{
        const result_args *a = arg;
        return redis_queue_store_results(lane, a->put, a->n, a->deadline);
}

int redis_queue_result_put(broker *b, const broker_result results[], size_t n, sj_time deadline)
{
        result_args a = {.put = results, .n = n, .deadline = deadline};
        return redis_lane_call(b, put_in, &a);
}

/* ── Reading ─────────────────────────────────────────────────────────────────────────────── */

static sj_str skim_state(sj_str content)
{
        json_skim s = json_skim_of(content);
        sj_str name, state = {NULL, 0};
        if (json_skim_open(&s))
                while (!state.data && json_skim_member(&s, &name)) {
                        if (sj_str_equal(name, SJ_STR("status")))
                                state = json_skim_string(&s);
                        else
                                json_skim_value(&s);
                }
        return s.odd ? (sj_str){NULL, 0} : state;
}

/*
 * The state is the member "status" of what is stored; what has none is not ours to understand.
 * Whether the rest of it is JSON is seen by who reads that.
 */
static int read_state(sj_arena *arena, sj_str content, sj_str *ret)
{
        const sj_json *meta;
        *ret = skim_state(content);
        if (ret->n)
                return 0;
        int r = sj_json_parse(arena, content, SJ_JSON_PYTHON, &meta, NULL);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || sj_json_string(sj_json_member(meta, "status"), ret) < 0 || ret->n == 0)
                return -EBADMSG;
        return 0;
}

/* The text and its state, as copies in the arena. */
static int read_result(sj_arena *arena, sj_str id, const redis_reply *value, broker_result *ret)
{
        broker_result result = {.id = id, .state = SJ_STR("PENDING"), .content = SJ_STR("")};
        if (value && value->type == REDIS_STRING) {
                const char *content = sj_arena_strndup(arena, value->text.data, value->text.n);
                if (!content)
                        return -ENOMEM;
                result.content = (sj_str){content, value->text.n};
                int r = read_state(arena, result.content, &result.state);
                if (r < 0)
                        return r;
        }
        *ret = result;
        return 0;
}

static int result_command(redis_lane *lane, redis_words *w, const redis_reply **ret,
                          sj_time deadline)
{
        if (w->bad)
                return -ENOMEM;
        int r = redis_call(lane->results, w->arena, w->at, w->n, ret,
                           redis_queue_deadline(deadline));
        return r == -EREMOTEIO ? -EIO : r;
}

static int get_in(redis_lane *lane, void *arg)
{
        const result_args *a = arg;
        const redis_reply *reply;
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, a->n + 1);
        redis_words_add(&w, SJ_STR("MGET"));
        for (size_t i = 0; i < a->n; i++)
                redis_words_add(&w, redis_queue_result_key(lane->q, arena, a->ids[i]));
        int r = result_command(lane, &w, &reply, a->deadline);
        if (r == 0)
                r = redis_answer_each(lane->results, reply, a->n, ANSWER_TEXT | ANSWER_NIL);
        for (size_t i = 0; r == 0 && i < a->n; i++)
                r = read_result(a->arena, a->ids[i], redis_reply_at(reply, i), &a->ret[i]);
        return r;
}

int redis_queue_result_get(broker *b, const sj_str ids[], size_t n, sj_arena *arena,
                           broker_result ret[], sj_time deadline)
{
        result_args a = {.ids = ids, .n = n, .arena = arena, .ret = ret, .deadline = deadline};
        return redis_lane_call(b, get_in, &a);
}

/* ── Expecting ───────────────────────────────────────────────────────────────────────────── */

typedef struct redis_expected {
        list node; /* in lane->expected */
        redis_subscription *subscription;
        sj_time since;
        sj_str id;
        char text[];
} redis_expected;

/* The caller has its subscription now. */
static redis_subscription *take_expected(redis_lane *lane, sj_str id)
{
        redis_expected *e = map_remove(&lane->expected_by_id, id);
        if (!e)
                return NULL;
        redis_subscription *s = e->subscription;
        list_remove(&e->node);
        free(e);
        return s;
}

static void drop_oldest(redis_lane *lane)
{
        const redis_expected *e = container_of(lane->expected.next, redis_expected, node);
        redis_unsubscribe(take_expected(lane, e->id));
}

void redis_queue_forget_expected(redis_lane *lane)
{
        while (!list_empty(&lane->expected))
                drop_oldest(lane);
        map_fini(&lane->expected_by_id);
}

static void make_room(redis_lane *lane, sj_time now)
{
        while (!list_empty(&lane->expected)) {
                const redis_expected *e = container_of(lane->expected.next, redis_expected, node);
                if (lane->expected_by_id.n < EXPECTED_MAX && now - e->since < EXPECTED_FOR)
                        break;
                drop_oldest(lane);
        }
}

static int expect_in(redis_lane *lane, sj_str id)
{
        REDIS_SCRATCH(arena, lane);
        sj_str key = redis_queue_result_key(lane->q, arena, id);
        redis_expected *e = key.data ? calloc(1, sizeof(*e) + id.n + 1) : NULL;
        if (!e)
                return -ENOMEM;
        memcpy(e->text, id.data, id.n);
        e->id = (sj_str){e->text, id.n};
        e->since = sj_now();
        make_room(lane, e->since);
        int r = map_add(&lane->expected_by_id, e->id, e);
        if (r < 0) {
                free(e);
                return r;
        }
        list_append(&lane->expected, &e->node);
        r = redis_subscribe(lane->results, &key, 1, false, 64, &e->subscription);
        if (r < 0)
                take_expected(lane, id);
        return r;
}

/* If it cannot be done, who waits subscribes then. */
void redis_queue_result_expect(broker *b, sj_str id)
{
        redis_lane *lane = &redis_queue_of(b)->home;
        if (lane->client && sj_fiber_self() && sj_loop_current() == lane->loop)
                expect_in(lane, id);
}

/* ── Waiting ─────────────────────────────────────────────────────────────────────────────── */

static bool is_final(const broker_result *r)
{
        return sj_str_equal(r->state, SJ_STR("SUCCESS")) ||
               sj_str_equal(r->state, SJ_STR("FAILURE")) ||
               sj_str_equal(r->state, SJ_STR("REVOKED"));
}

/* 1 it is final; 0 not yet. */
static int read_final(redis_lane *lane, result_args *a)
{
        result_args one = *a;
        int r = get_in(lane, &one);
        return r < 0 ? r : is_final(a->ret);
}

/* The same of one piece of news; patient: nothing was to be read, so far. */
static int hear(redis_lane *lane, result_args *a, redis_subscription *s, bool *patient,
                sj_time deadline)
{
        redis_news news;
        sj_str channel, text;
        REDIS_SCRATCH(arena, lane);
        int r = redis_next(s, arena, &news, &channel, &text, deadline);
        if (r == 0 && news == REDIS_MESSAGE) {
                redis_reply told = {.type = REDIS_STRING, .text = text};
                r = read_result(a->arena, a->ids[0], &told, a->ret);
                return r < 0 ? r : is_final(a->ret);
        }
        bool late = r == -ETIMEDOUT && *patient;
        if (r < 0 && r != -ENOBUFS && !late)
                return r;
        if (*patient && r == 0)
                return 0;
        *patient = false;
        return read_final(lane, a);
}

static int await_final(redis_lane *lane, result_args *a, redis_subscription *s, bool expected)
{
        sj_time limit = expected ? sj_after(EXPECTED_PATIENCE) : SJ_NEVER;
        bool patient = limit < a->deadline;
        int r = 0;
        while (r == 0)
                r = hear(lane, a, s, &patient, patient ? limit : a->deadline);
        return r < 0 ? r : 0;
}

static int wait_in(redis_lane *lane, void *arg)
{
        result_args *a = arg;
        if (a->deadline == SJ_POLL) {
                int r = read_final(lane, a);
                return r > 0 ? 0 : r < 0 ? r : -ETIMEDOUT;
        }
        redis_subscription *s = take_expected(lane, a->ids[0]);
        bool expected = s;
        if (!expected) {
                REDIS_SCRATCH(arena, lane);
                sj_str key = redis_queue_result_key(lane->q, arena, a->ids[0]);
                int r = key.data ? redis_subscribe(lane->results, &key, 1, false, 64, &s) : -ENOMEM;
                if (r < 0)
                        return r;
        }
        int r = await_final(lane, a, s, expected);
        redis_unsubscribe(s);
        return r;
}

int redis_queue_result_wait(broker *b, sj_str id, sj_arena *arena, broker_result *ret,
                            sj_time deadline)
{
        result_args a = {.ids = &id, .n = 1, .arena = arena, .ret = ret, .deadline = deadline};
        return redis_lane_call(b, wait_in, &a);
}

/* ── Forgetting ──────────────────────────────────────────────────────────────────────────── */

static int drop_in(redis_lane *lane, void *arg)
{
        const result_args *a = arg;
        const redis_reply *reply;
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, KEY_MAX + a->n);
        redis_words_keys(&w, lane->q);
        for (size_t i = 0; i < a->n; i++)
                redis_words_add(&w, redis_queue_result_key(lane->q, arena, a->ids[i]));
        int r = redis_lane_result_script(lane, SCRIPT_FORGET, &w, &reply, a->deadline);
        return r < 0 ? r : (int)redis_reply_int(reply, 0);
}

int redis_queue_result_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        result_args a = {.ids = ids, .n = n, .deadline = deadline};
        return redis_lane_call(b, drop_in, &a);
}
