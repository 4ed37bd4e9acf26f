/* SPDX-License-Identifier: MIT */
#include "store/redis_pipe.h"

static redis_pipe *pipe_of(const redis_wire *w)
{
        return container_of((uintptr_t)w, redis_pipe, wire);
}

static redis_request *first_of(const redis_pipe *p)
{
        return list_empty(&p->requests) ? NULL
                                        : container_of(p->requests.next, redis_request, node);
}

void redis_request_finish(redis_request *q, int result)
{
        list_remove(&q->node);
        q->done = true;
        q->result = result;
        clause_fire_first(&q->waiter, 0);
}

/* ── Of the wire ─────────────────────────────────────────────────────────────────────────── */

static sj_arena *arena_of_next(redis_wire *w)
{
        const redis_request *q = first_of(pipe_of(w));
        return q && !q->skip ? q->arena : NULL;
}

static int take_reply(redis_wire *w, const redis_reply *reply)
{
        redis_pipe *p = pipe_of(w);
        redis_request *q = first_of(p);
        size_t *skip = q ? &q->skip : &p->skip;
        if (*skip) {
                --*skip;
                return 0;
        }
        if (!q)
                return -EPROTO;
        q->ret[q->got++] = reply;
        if (q->got == q->n)
                redis_request_finish(q, 0);
        return 0;
}

static void nothing(redis_wire *w)
{
        (void)w;
}

static bool is_due(const redis_wire *w)
{
        const redis_pipe *p = pipe_of(w);
        return p->skip > 0 || !list_empty(&p->requests);
}

/* Its answer is one that nobody wants. */
static int ping(redis_wire *w)
{
        redis_pipe *p = pipe_of(w);
        const sj_str word = SJ_STR("PING");
        const redis_command command = {&word, 1};
        int r = redis_encode(&w->queued, &command);
        if (r < 0)
                return r;
        p->skip++;
        redis_wire_queued(w, false);
        return 0;
}

static const redis_wire_user user = {
        .arena = arena_of_next,
        .take = take_reply,
        .drained = nothing,
        .due = is_due,
        .ping = ping,
};

/* ── Requests ────────────────────────────────────────────────────────────────────────────── */

void redis_pipe_init(redis_pipe *p, sj_time silence)
{
        redis_wire_init(&p->wire, &user, silence);
        list_init(&p->requests);
        p->skip = 0;
        p->up = false;
}

void redis_pipe_fini(redis_pipe *p)
{
        redis_wire_fini(&p->wire);
}

int redis_pipe_put(redis_pipe *p, redis_request *q)
{
        redis_wire *w = &p->wire;
        size_t before = buf_size(&w->queued);
        int r = 0;
        for (size_t i = 0; r == 0 && i < q->n; i++)
                r = redis_encode(&w->queued, &q->commands[i]);
        if (r < 0) {
                w->queued.end = w->queued.begin + before;
                return r;
        }
        bool was_due = is_due(w);
        q->batch = w->batch;
        q->got = 0;
        q->skip = p->skip;
        p->skip = 0;
        list_append(&p->requests, &q->node);
        redis_wire_queued(w, was_due);
        return 0;
}

void redis_pipe_abandon(redis_pipe *p, redis_request *q)
{
        size_t left = q->skip + q->n - q->got;
        bool last = q->node.next == &p->requests;
        *(last ? &p->skip : &container_of(q->node.next, redis_request, node)->skip) += left;
        list_remove(&q->node);
}

void redis_pipe_broken(redis_pipe *p, int error, list *pending)
{
        list *front = pending->next;
        p->up = false;
        p->skip = 0;
        list_for_each_safe (node, &p->requests) {
                redis_request *q = container_of(node, redis_request, node);
                if (q->batch <= p->wire.begun) {
                        redis_request_finish(q, error);
                } else {
                        q->batch = 0;
                        list_remove(node);
                        list_insert_before(front, node);
                }
        }
}
