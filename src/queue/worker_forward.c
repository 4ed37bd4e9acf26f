/* SPDX-License-Identifier: MIT */
/*
 * A question is on the stack of who asks, in a list by its number, with a future for its answer:
 * who asks may be a fiber of the child's loop, or of the loop of a thread of its pool, from which
 * the question is posted to the child's.
 */
#include "queue/worker_forward.h"

#include "base/list.h"

#include <stdatomic.h>
#include <stdlib.h>

struct forward {
        broker base;
        int (*put)(void *arg, const wire_record *record);
        void *arg;
        sj_loop *loop;
        uint32_t next;
        list questions; /* of the loop's thread alone */
};

typedef struct question {
        list place;
        forward *f;
        uint32_t number;
        buf text;
        broker_published *published;
        size_t n;
        sj_future answered;
} question;

static int ask(void *arg)
{
        question *q = arg;
        q->number = ++q->f->next;
        list_append(&q->f->questions, &q->place);
        const wire_record record = {.head = {.kind = WIRE_PUBLISH, .slot = q->number, .n_texts = 1},
                                    .texts = {buf_str(&q->text)}};
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

static int publish(broker *b, const broker_message messages[], size_t n, broker_published ret[],
                   sj_time deadline)
{
        (void)deadline;
        forward *f = (forward *)(void *)b;
        question q = {.f = f, .published = ret, .n = n, .text = BUF_INIT(WIRE_MESSAGE_MAX)};
        int r = wire_write_messages(&q.text, messages, n);
        if (r >= 0) {
                if (sj_loop_current() == f->loop)
                        r = ask(&q);
                else
                        r = sj_post(f->loop, ask, &q);
        }
        if (r >= 0) {
                r = await(&q);
        }
        buf_fini(&q.text);
        return r == -ENOBUFS ? -EMSGSIZE : r;
}

static const broker_class forward_class = {.scheme = "forward", .publish = publish};

int forward_new(int (*put)(void *arg, const wire_record *record), void *arg, forward **ret)
{
        forward *f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;
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
        free(f);
}

broker *forward_broker(forward *f)
{
        return &f->base;
}

sj_loop *forward_loop(forward *f)
{
        return f->loop;
}
