/* SPDX-License-Identifier: MIT */
/*
 * Joins with Celery's own counters (protocol §8.4), so that members of both kinds of workers mix;
 * groups as GroupResult.save keeps them; and revoked ids. Joins and groups belong to the results,
 * and lie where these lie.
 *
 *   celery-taskset-meta-GROUP      the group as a program saved it
 *   ... .s  .j  .t                 size; members by their places (a list of them as they came,
 *                                  with result_chord_ordered off); how many were added
 *   ... .b                         what waits for them: ours, of joins in the compact form
 */
#include "queue/redis/broker_redis.h"

typedef struct join_args {
        const broker_join *joins;
        broker_arrival *arrivals;
        size_t n;
        sj_str group;
        sj_str text;
        int64_t by;
        sj_arena *arena;
        sj_str *ret;
        sj_time deadline;
} join_args;

static void add_key(const redis_queue *q, redis_words *w, sj_str group, const char *suffix)
{
        size_t n = q->group_prefix.n + group.n + strlen(suffix);
        char *key = sj_arena_alloc(w->arena, n + 1);
        if (!key) {
                w->bad = true;
                return;
        }
        memcpy(key, q->group_prefix.data, q->group_prefix.n);
        memcpy(key + q->group_prefix.n, group.data, group.n);
        strcpy(key + q->group_prefix.n + group.n, suffix);
        redis_words_add(w, (sj_str){key, n});
}

void redis_queue_add_join(const redis_queue *q, redis_words *w, const broker_join *join)
{
        add_key(q, w, join->group, ".s");
        if (join->size == 0) {
                add_key(q, w, join->group, ".j");
                add_key(q, w, join->group, ".t");
                add_key(q, w, join->group, ".b");
                return;
        }
        add_key(q, w, join->group, ".b");
        redis_words_add_int(w, join->size);
        redis_words_add(w, join->body);
        redis_words_add_int(w, redis_queue_expires(q));
}

/* ── Opening, growing ────────────────────────────────────────────────────────────────────── */

int redis_queue_put_joins(redis_lane *lane, const broker_join joins[], size_t n, sj_time deadline)
{
        const redis_reply *unused;
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, KEY_MAX + 6 * n);
        redis_words_keys(&w, lane->q);
        for (size_t i = 0; i < n; i++) {
                redis_words_add(&w, joins[i].size > 0 ? SJ_STR("open") : SJ_STR("close"));
                redis_queue_add_join(lane->q, &w, &joins[i]);
        }
        return redis_lane_result_script(lane, SCRIPT_JOIN, &w, &unused, deadline);
}

static int open_in(redis_lane *lane, void *arg)
{
        const join_args *a = arg;
        return redis_queue_put_joins(lane, a->joins, a->n, a->deadline);
}

int redis_queue_join_open(broker *b, const broker_join joins[], size_t n, sj_time deadline)
{
        join_args a = {.joins = joins, .n = n, .deadline = deadline};
        return redis_lane_call(b, open_in, &a);
}

static int grow_in(redis_lane *lane, void *arg)
{
        const join_args *a = arg;
        const redis_reply *unused;
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, KEY_MAX + 4);
        redis_words_keys(&w, lane->q);
        redis_words_add(&w, SJ_STR("grow"));
        add_key(lane->q, &w, a->group, ".t");
        redis_words_add_int(&w, a->by);
        redis_words_add_int(&w, redis_queue_expires(lane->q));
        return redis_lane_result_script(lane, SCRIPT_JOIN, &w, &unused, a->deadline);
}

int redis_queue_join_grow(broker *b, sj_str group, int64_t by, sj_time deadline)
{
        join_args a = {.group = group, .by = by, .deadline = deadline};
        return redis_lane_call(b, grow_in, &a);
}

/* ── Arriving ────────────────────────────────────────────────────────────────────────────── */

/* How the texts of that member begin: [1, "ID", as Python's json writes it. */
static sj_str member_head(sj_arena *arena, sj_str id)
{
        sj_str text;
        redis_words w = redis_words_new(arena, 1);
        const sj_json *name = sj_json_new_string(arena, id);
        if (!name || sj_json_text(arena, name, SJ_JSON_PYTHON | SJ_JSON_ASCII, &text) < 0)
                return (sj_str){NULL, 0};
        redis_words_format(&w, "[1, %.*s,", SJ_STR_ARG(text));
        return w.bad ? (sj_str){NULL, 0} : w.at[0];
}

static sj_str copy(sj_arena *arena, const redis_reply *r, bool *bad)
{
        sj_str text = redis_reply_text(r);
        const char *kept = sj_arena_strndup(arena, text.data, text.n);
        *bad |= !kept;
        return (sj_str){kept, text.n};
}

/* {complete, body, saved, members...} */
static int read_arrival(sj_arena *arena, const redis_reply *one, broker_arrival *ret)
{
        bool bad = false;
        if (one->n == 0 || one->elements[0].type != REDIS_INTEGER)
                return -EPROTO;
        ret->complete = one->elements[0].integer == 1;
        ret->body = ret->saved = (sj_str){"", 0};
        ret->members = NULL;
        ret->n_members = 0;
        if (!ret->complete)
                return 0;
        ret->body = copy(arena, redis_reply_at(one, 1), &bad);
        ret->saved = copy(arena, redis_reply_at(one, 2), &bad);
        sj_str *members = sj_arena_alloc(arena, one->n * sizeof(*members));
        bad |= !members;
        for (size_t i = 3; !bad && i < one->n; i++)
                members[ret->n_members++] = copy(arena, redis_reply_at(one, i), &bad);
        ret->members = members;
        return bad ? -ENOMEM : 0;
}

static int arrive_in(redis_lane *lane, void *arg)
{
        const join_args *a = arg;
        const redis_queue *q = lane->q;
        const redis_reply *reply;
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, KEY_MAX + 10 * a->n);
        redis_words_keys(&w, q);
        redis_words_add(&w, SJ_STR("arrive"));
        redis_words_add_int(&w, redis_queue_expires(q));
        for (size_t i = 0; i < a->n; i++) {
                const broker_arrival *one = &a->arrivals[i];
                sj_str head = member_head(arena, one->id);
                w.bad |= !head.data;
                add_key(q, &w, one->group, ".j");
                add_key(q, &w, one->group, ".s");
                add_key(q, &w, one->group, ".t");
                add_key(q, &w, one->group, ".b");
                add_key(q, &w, one->group, "");
                redis_words_add(&w, head);
                if (q->unordered)
                        redis_words_add(&w, SJ_STR(""));
                else if (one->index < 0)
                        redis_words_add(&w, SJ_STR("+inf"));
                else
                        redis_words_add_int(&w, one->index);
                redis_words_add(&w, one->text);
        }
        int r = redis_lane_result_script(lane, SCRIPT_JOIN, &w, &reply, a->deadline);
        if (r == 0)
                r = redis_answer_each(lane->results, reply, a->n, ANSWER_ARRAY);
        for (size_t i = 0; r == 0 && i < a->n; i++)
                r = read_arrival(a->arena, &reply->elements[i], &a->arrivals[i]);
        return r == -EPROTO ? redis_answer_wrong(lane->results) : r;
}

int redis_queue_join_arrive(broker *b, broker_arrival arrivals[], size_t n, sj_arena *arena,
                            sj_time deadline)
{
        join_args a = {.arrivals = arrivals, .n = n, .arena = arena, .deadline = deadline};
        return redis_lane_call(b, arrive_in, &a);
}

/* ── Saved groups ────────────────────────────────────────────────────────────────────────── */

static int group_call(redis_lane *lane, const join_args *a, const char *what,
                      const redis_reply **ret, sj_arena *arena)
{
        redis_words w = redis_words_new(arena, KEY_MAX + 4);
        redis_words_keys(&w, lane->q);
        redis_words_add(&w, sj_str_of(what));
        add_key(lane->q, &w, a->group, "");
        redis_words_add(&w, a->text);
        redis_words_add_int(&w, redis_queue_expires(lane->q));
        return redis_lane_result_script(lane, SCRIPT_JOIN, &w, ret, a->deadline);
}

static int save_in(redis_lane *lane, void *arg)
{
        const redis_reply *unused;
        REDIS_SCRATCH(arena, lane);
        return group_call(lane, arg, "save", &unused, arena);
}

int redis_queue_group_save(broker *b, sj_str group, sj_str text, sj_time deadline)
{
        join_args a = {.group = group, .text = text, .deadline = deadline};
        return redis_lane_call(b, save_in, &a);
}

static int group_get_in(redis_lane *lane, void *arg)
{
        const join_args *a = arg;
        const redis_reply *reply;
        bool bad = false;
        REDIS_SCRATCH(arena, lane);
        int r = group_call(lane, a, "get", &reply, arena);
        if (r < 0 || reply->type != REDIS_STRING)
                return r < 0 ? r : -ENOENT;
        *a->ret = copy(a->arena, reply, &bad);
        return bad ? -ENOMEM : 0;
}

int redis_queue_group_get(broker *b, sj_str group, sj_arena *arena, sj_str *ret, sj_time deadline)
{
        join_args a = {.group = group, .arena = arena, .ret = ret, .deadline = deadline};
        return redis_lane_call(b, group_get_in, &a);
}

static int group_drop_in(redis_lane *lane, void *arg)
{
        const redis_reply *unused;
        REDIS_SCRATCH(arena, lane);
        return group_call(lane, arg, "drop", &unused, arena);
}

int redis_queue_group_drop(broker *b, sj_str group, sj_time deadline)
{
        join_args a = {.group = group, .deadline = deadline};
        return redis_lane_call(b, group_drop_in, &a);
}
