/* SPDX-License-Identifier: MIT */
/*
 * A question is on the stack of who asks, in a list by its number, with a future for its answer:
 * who asks may be a fiber of the child's loop, or of the loop of a thread of its pool, from which
 * the question is posted to the child's.
 */
#include "queue/worker/worker_forward.h"

#include "base/list.h"
#include "queue/worker/worker_reach.h"

#include <sanjab/future.h>

#include <stdatomic.h>
#include <stdlib.h>

struct forward {
        broker base;
        int (*put)(void *arg, const wire_record *record);
        void *arg;
        sj_loop *loop;
        reach *reach;
        uint32_t next;
        list questions; /* of the loop's thread alone */
};

typedef struct question {
        list place;
        forward *f;
        uint32_t number;
        buf text;
        buf joins;
        buf known;
        broker_published *published;
        size_t n;
        bool once;
        sj_time deadline;
        sj_future answered;
} question;

static int ask(void *arg)
{
        question *q = arg;
        sj_time left = q->deadline - sj_now();
        q->number = ++q->f->next;
        list_append(&q->f->questions, &q->place);
        const wire_record record = {
                .head = {.kind = WIRE_PUBLISH,
                         .slot = q->number,
                         .time = left > 0 ? left : 0,
                         .result = q->once,
                         .n_texts = 3},
                .texts = {buf_str(&q->text), buf_str(&q->joins), buf_str(&q->known)}};
        int r = q->f->put(q->f->arg, &record);
        if (r < 0) {
                list_remove(&q->place);
                sj_future_set(&q->answered, r, NULL);
        }
        return 0;
}

int forward_reply(forward *f, const wire_record *record)
{
        list_for_each (node, &f->questions) {
                question *q = container_of(node, question, place);
                if (q->number != record->head.slot)
                        continue;
                sj_str text = record->texts[0];
                if (q->published && record->head.result >= 0) {
                        if (text.n != q->n * sizeof(broker_published))
                                return -EPROTO;
                        memcpy(q->published, text.data, text.n);
                }
                list_remove(&q->place);
                sj_future_set(&q->answered, record->head.result, NULL);
                return 0;
        }
        return -EPROTO;
}

/*
 * The controller bounds each publish, so that the answer comes; until then the question has to
 * stay where it is, whatever happens to who asks.
 */
static int await(question *q)
{
        for (;;) {
                SJ_SCOPE(shield, sj_after(2 * SJ_PUBLISH_DEADLINE), SJ_SHIELD);
                int r = sj_future_get(&q->answered, NULL, SJ_NEVER);
                if (!sj_cancelled())
                        return r;
        }
}

/* What is asked for: any of these. */
typedef struct demand {
        const broker_message *messages;
        size_t n;
        broker_published *ret;
        const broker_join *joins;
        size_t n_joins;
        const broker_result *known;
        size_t n_known;
        bool once;
} demand;

static int ask_for(broker *b, const demand *d, sj_time deadline)
{
        forward *f = (forward *)(void *)b;
        question q = {.f = f,
                      .published = d->ret,
                      .n = d->n,
                      .once = d->once,
                      .deadline = deadline,
                      .text = BUF_INIT(WIRE_MESSAGE_MAX),
                      .joins = BUF_INIT(WIRE_MESSAGE_MAX),
                      .known = BUF_INIT(WIRE_MESSAGE_MAX)};
        int r = wire_write_messages(&q.text, d->messages, d->n);
        if (r >= 0)
                r = wire_write_joins(&q.joins, d->joins, d->n_joins);
        if (r >= 0)
                r = wire_write_ids(&q.known, d->known, d->n_known);
        if (r >= 0) {
                if (sj_loop_current() == f->loop)
                        r = ask(&q);
                else
                        r = sj_post(f->loop, ask, &q);
        }
        if (r >= 0)
                r = await(&q);
        buf_fini(&q.text);
        buf_fini(&q.joins);
        buf_fini(&q.known);
        return r == -ENOBUFS ? -EMSGSIZE : r;
}

static int publish(broker *b, const broker_message messages[], size_t n, broker_published ret[],
                   sj_time deadline)
{
        return ask_for(b, &(demand){.messages = messages, .n = n, .ret = ret}, deadline);
}

static int publish_once(broker *b, const broker_message messages[], size_t n,
                        broker_published ret[], sj_time deadline)
{
        const demand d = {.messages = messages, .n = n, .ret = ret, .once = true};
        return ask_for(b, &d, deadline);
}

static int join_open(broker *b, const broker_join joins[], size_t n, sj_time deadline)
{
        return ask_for(b, &(demand){.joins = joins, .n_joins = n}, deadline);
}

static int join_grow(broker *b, sj_str group, int64_t by, sj_time deadline)
{
        const broker_join join = {.group = group, .size = -by};
        return ask_for(b, &(demand){.joins = &join, .n_joins = 1}, deadline);
}

/* Of results it is told only that there will be one: what a canvas makes known. */
static int result_put(broker *b, const broker_result results[], size_t n, sj_time deadline)
{
        for (size_t i = 0; i < n; i++)
                if (!sj_str_equal(results[i].state, SJ_STR("PENDING")))
                        return -EOPNOTSUPP;
        return ask_for(b, &(demand){.known = results, .n_known = n}, deadline);
}

/* ── By the child's own connection ───────────────────────────────────────────────────────── */

/* Asks the broker itself; the arguments are those of the verb. */
#define REACH(b, verb, deadline, ...)                                                   \
        do {                                                                            \
                broker *own_;                                                           \
                int r_ = reach_get(((forward *)(void *)(b))->reach, &own_, (deadline)); \
                return r_ < 0 ? r_ : broker_##verb(own_, __VA_ARGS__, (deadline));      \
        } while (0)

static int result_get(broker *b, const sj_str ids[], size_t n, sj_arena *arena, broker_result ret[],
                      sj_time deadline)
{
        REACH(b, result_get, deadline, ids, n, arena, ret);
}

static int result_wait(broker *b, sj_str id, sj_arena *arena, broker_result *ret, sj_time deadline)
{
        REACH(b, result_wait, deadline, id, arena, ret);
}

static int result_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        REACH(b, result_drop, deadline, ids, n);
}

static int group_save(broker *b, sj_str group, sj_str text, sj_time deadline)
{
        REACH(b, group_save, deadline, group, text);
}

static int group_get(broker *b, sj_str group, sj_arena *arena, sj_str *ret, sj_time deadline)
{
        REACH(b, group_get, deadline, group, arena, ret);
}

static int group_drop(broker *b, sj_str group, sj_time deadline)
{
        REACH(b, group_drop, deadline, group);
}

static int cancel(broker *b, sj_str id, sj_time deadline)
{
        REACH(b, cancel, deadline, id);
}

static int revoke(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        REACH(b, revoke, deadline, ids, n);
}

static int emit(broker *b, sj_str channel, sj_str text, sj_time deadline)
{
        REACH(b, emit, deadline, channel, text);
}

static const broker_class forward_class = {.scheme = "forward",
                                           .publish = publish,
                                           .publish_once = publish_once,
                                           .join_open = join_open,
                                           .join_grow = join_grow,
                                           .result_put = result_put,
                                           .result_get = result_get,
                                           .result_wait = result_wait,
                                           .result_drop = result_drop,
                                           .group_save = group_save,
                                           .group_get = group_get,
                                           .group_drop = group_drop,
                                           .cancel = cancel,
                                           .revoke = revoke,
                                           .emit = emit};

int forward_new(int (*put)(void *arg, const wire_record *record), void *arg, forward **ret)
{
        forward *f = calloc(1, sizeof(*f));
        if (!f || reach_new(&f->reach) < 0) {
                free(f);
                return -ENOMEM;
        }
        f->base.class = &forward_class;
        f->base.capabilities = BROKER_DELAYED | BROKER_KEYS;
        f->put = put;
        f->arg = arg;
        f->loop = sj_loop_current();
        list_init(&f->questions);
        *ret = f;
        return 0;
}

void forward_free(forward *f)
{
        if (!f)
                return;
        reach_free(f->reach);
        free(f);
}

int forward_lead(forward *f, const sj_app_options *options)
{
        return reach_lead(f->reach, options);
}

broker *forward_broker(forward *f)
{
        return &f->base;
}

sj_loop *forward_loop(forward *f)
{
        return f->loop;
}
