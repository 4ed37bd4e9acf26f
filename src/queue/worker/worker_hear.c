/* SPDX-License-Identifier: MIT */
/*
 * What is heard of one child: a fiber that reads its ring.
 *
 * A child runs the user's code, which may write where it should not: nothing that it says is
 * believed. A record that makes no sense ends the child, and what it said after that is not read.
 *
 * The reader never waits for the broker, however slow that is: a full ring would hold up all tasks
 * of the child. What needs the broker is copied and left to others: results to the settle duty,
 * states to the states duty, publishes to a fiber each, of which there are so many at most.
 */
#include "queue/control/sent_events.h"
#include "queue/result.h"
#include "queue/worker/worker_events.h"
#include "queue/worker/worker_internal.h"

#include <sanjab/sync.h>

enum { ASKED_MAX = WIRE_SLOTS_MAX };
#define TOOK_MAX (24 * SJ_HOUR)

/* What the child has in that slot: all of it was written to it. */
static delivery *delivery_of(const worker_child *c, uint32_t slot)
{
        delivery *d = slot < c->slots ? c->by_slot[slot] : NULL;
        return d && d->written ? d : NULL;
}

static int take_returned(worker_child *c, const wire_record *record)
{
        delivery *d = delivery_of(c, record->head.slot);
        task_return result;
        if (!d || record->head.n_texts != 1)
                return -EPROTO;
        int r = task_return_read(d->arena, record->texts[0], &result);
        if (r < 0)
                return r == -ENOMEM ? r : -EPROTO;
        sj_time took = record->head.time;
        d->took = took < 0 ? 0 : took < TOOK_MAX ? took : TOOK_MAX;
        worker_note_time(c->w, d->took);
        c->stuck = false;
        worker_link_release(c, d);
        worker_returned(c->w, d, &result);
        worker_crew_after_task(c);
        return 0;
}

static int take_skipped(worker_child *c, const wire_record *record)
{
        uint32_t slot = record->head.slot;
        if (slot >= c->slots || !c->recalled[slot])
                return -EPROTO;
        c->recalled[slot] = false;
        c->free[c->n_free++] = slot;
        worker_has_room(c->w);
        return 0;
}

/* It found, when its turn came, that it had expired or was revoked. */
static int take_declined(worker_child *c, const wire_record *record)
{
        delivery *d = delivery_of(c, record->head.slot);
        if (!d)
                return -EPROTO;
        c->stuck = false;
        worker_link_release(c, d);
        worker_judge_again(c->w, d);
        return 0;
}

static int take_progress(worker_child *c, const wire_record *record)
{
        delivery *d = delivery_of(c, record->head.slot);
        if (!d || record->head.n_texts != 2 || record->texts[0].n == 0 ||
            record->texts[0].n > SJ_TASK_NAME_MAX || result_state(record->texts[0]) != SJ_CUSTOM)
                return -EPROTO;
        worker_note_state(c->w, d, record->texts[0], record->texts[1]);
        return 0;
}

static int take_event(worker_child *c, const wire_record *record)
{
        delivery *d = delivery_of(c, record->head.slot);
        if (!d || record->head.n_texts != 2 || !task_event_ok(record->texts[0], record->texts[1]))
                return -EPROTO;
        worker_event_own(c->w, d, record->texts[0], record->texts[1]);
        return 0;
}

/* A task's own publish: the broker is asked by a fiber of its own, then the answer is written. */
static int publish_for(void *arg)
{
        worker_reply *p = arg;
        worker_child *c = p->c;
        broker *b = c->w->options.broker;
        sj_time deadline = p->deadline;
        if (p->n_known)
                p->result = broker_result_put(b, p->known, p->n_known, deadline);
        for (size_t i = 0; i < p->n_joins && p->result >= 0; i++) {
                const broker_join *join = &p->joins[i];
                p->result = join->size < 0 ? broker_join_grow(b, join->group, -join->size, deadline)
                                           : broker_join_open(b, join, 1, deadline);
        }
        if (p->result >= 0)
                p->result = (p->once ? broker_publish_once : broker_publish)(
                        b, p->messages, p->n, p->published, deadline);
        const sj_app_options *app = c->w->options.app;
        if (p->result >= 0 && app && app->send_sent_event)
                sent_events_tell(b, &c->w->clock, c->w->origin, p->messages, p->published, p->n,
                                 deadline);
        list_append(&c->replies, &p->place);
        sj_event_set(&c->work);
        return 0;
}

static int take_publish(worker_child *c, const wire_record *record)
{
        sj_arena *arena;
        sj_time limit = record->head.time;
        if (record->head.n_texts != 3 || c->n_asked == ASKED_MAX || limit < 0)
                return -EPROTO;
        if (limit > SJ_PUBLISH_DEADLINE)
                limit = SJ_PUBLISH_DEADLINE;
        /* Last words: who asked is gone, and its delivery will be run again. */
        if (!c->scope)
                return 0;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        worker_reply *p = sj_arena_alloc(arena, sizeof(*p));
        const sj_str *said = record->texts;
        char *text = sj_arena_strndup(arena, said[0].n ? said[0].data : "", said[0].n);
        char *more = sj_arena_strndup(arena, said[1].n ? said[1].data : "", said[1].n);
        char *ids = sj_arena_strndup(arena, said[2].n ? said[2].data : "", said[2].n);
        broker_message *messages;
        broker_join *joins;
        broker_result *known = NULL;
        size_t n = 0, n_joins = 0, n_known = 0;
        r = p && text && more && ids
                    ? wire_read_messages((sj_str){text, said[0].n}, arena, &messages, &n)
                    : -ENOMEM;
        if (r >= 0)
                r = wire_read_joins((sj_str){more, said[1].n}, arena, &joins, &n_joins);
        if (r >= 0)
                r = wire_read_ids((sj_str){ids, said[2].n}, arena, &known, &n_known);
        broker_published *published =
                r >= 0 ? sj_arena_alloc(arena, (n + 1) * sizeof(*published)) : NULL;
        if (r >= 0 && published) {
                memset(published, 0, n * sizeof(*published));
                *p = (worker_reply){.c = c,
                                    .arena = arena,
                                    .number = record->head.slot,
                                    .messages = messages,
                                    .n = n,
                                    .joins = joins,
                                    .n_joins = n_joins,
                                    .known = known,
                                    .n_known = n_known,
                                    .published = published,
                                    .deadline = sj_after(limit),
                                    .once = record->head.result == 1};
                r = sj_spawn(c->scope, publish_for, p, NULL);
                c->n_asked += r >= 0;
        }
        if (r < 0 || !published) {
                sj_arena_free(arena);
                return r < 0 ? r : -ENOMEM;
        }
        return 0;
}

static int take_ready(worker_child *c, const wire_record *record)
{
        if (record->head.n_texts != 1 || c->state != CHILD_STARTING)
                return -EPROTO;
        int r = worker_take_manifest(c->w, record->texts[0]);
        if (r < 0)
                return r;
        c->state = CHILD_READY;
        c->was_ready = true;
        c->w->failed_starts = 0;
        worker_crew_ready(c);
        worker_has_room(c->w);
        return 0;
}

static int take_broken(worker_child *c, const wire_record *record)
{
        if (record->head.n_texts != 1 || c->state != CHILD_STARTING)
                return -EPROTO;
        worker_fail(c->w, -EBADMSG, "%.*s", SJ_STR_ARG(record->texts[0]));
        return 0;
}

static int (*const takers[WIRE_KINDS])(worker_child *c, const wire_record *record) = {
        [WIRE_READY] = take_ready,       [WIRE_BROKEN] = take_broken,
        [WIRE_RETURNED] = take_returned, [WIRE_SKIPPED] = take_skipped,
        [WIRE_DECLINED] = take_declined, [WIRE_PROGRESS] = take_progress,
        [WIRE_PUBLISH] = take_publish,   [WIRE_EVENT] = take_event,
};

int worker_hear_all(worker_child *c)
{
        for (;;) {
                wire_record record;
                int r = wire_get(&c->duplex.in, &record);
                if (r >= 0)
                        r = takers[record.head.kind] ? takers[record.head.kind](c, &record)
                                                     : -EPROTO;
                if (r < 0)
                        return r;
        }
}

int worker_hear(void *arg)
{
        worker_child *c = arg;
        for (;;) {
                int r = worker_hear_all(c);
                if (r != -EAGAIN)
                        return worker_link_distrust(c, r);
                if (c->wants_room && ring_ready(&c->duplex.out)) {
                        c->wants_room = false;
                        sj_event_set(&c->room);
                }
                r = duplex_wait(&c->duplex, c->wants_room, SJ_NEVER);
                if (r < 0)
                        return worker_link_distrust(c, r);
        }
}
