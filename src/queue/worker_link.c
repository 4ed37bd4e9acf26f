/* SPDX-License-Identifier: MIT */
/*
 * What is said to one child and heard of it: two fibers, which share the child's bell.
 *
 *   writer   takes deliveries from the outbox and writes them; sleeps when there are none, or
 *            until the reader says that there is room
 *   reader   reads what the child says; it alone waits for the bell
 *
 * A child is not trusted: a record that makes no sense ends it.
 */
#include "queue/worker_internal.h"

#include <stdatomic.h>
#include <stdlib.h>

/* A task's own publish: the broker is asked by a fiber of its own, then the answer is written. */
typedef struct reply {
        list place;
        worker_child *c;
        sj_arena *arena;
        uint32_t number;
        const broker_message *messages;
        size_t n;
        broker_published *published;
        int result;
} reply;

/* ── Slots ───────────────────────────────────────────────────────────────────────────────── */

static wire_slot *slot_of(const worker_child *c, uint32_t slot)
{
        return &wire_slots(&c->duplex)[slot];
}

/* The delivery is out of the child's hands. */
static void release(worker_child *c, delivery *d)
{
        list_remove(&d->place);
        c->by_slot[d->slot] = NULL;
        c->free[c->n_free++] = d->slot;
        c->load--;
        d->child = NULL;
        sj_event_set(&c->w->capacity);
}

/* Takes back what has not begun; false: it has. */
static bool recall(worker_child *c, delivery *d)
{
        uint32_t queued = WIRE_QUEUED;
        if (!atomic_compare_exchange_strong(&slot_of(c, d->slot)->state, &queued, WIRE_RECALLED))
                return false;
        /* The slot is free when the child has skipped it. */
        list_remove(&d->place);
        c->by_slot[d->slot] = NULL;
        c->load--;
        d->child = NULL;
        sj_event_set(&c->w->capacity);
        return true;
}

/* Nothing of it was written yet. */
static void take_from_outbox(worker_child *c, delivery *d)
{
        atomic_store(&slot_of(c, d->slot)->state, WIRE_FREE);
        release(c, d);
}

void worker_link_recall(worker_child *c)
{
        list_for_each_safe (node, &c->outbox) {
                delivery *d = container_of(node, delivery, place);
                if (d->sent)
                        continue;
                take_from_outbox(c, d);
                worker_give_back(c->w, d);
        }
        list_for_each_safe (node, &c->sent) {
                delivery *d = container_of(node, delivery, place);
                if (recall(c, d))
                        worker_give_back(c->w, d);
        }
}

/* Ends a child whose words make no sense, or whose ring is broken. */
static int distrust(worker_child *c, int error)
{
        if (error == -ECANCELED)
                return error;
        sj_log(SJ_LOG_ERROR, "child %d says what makes no sense (%s): it is replaced", c->pid,
               sj_strerror(error));
        worker_child_kill(c);
        return 0;
}

/* ── Writing ─────────────────────────────────────────────────────────────────────────────── */

static sj_time nanoseconds(double seconds)
{
        return seconds > 0 && seconds < 1e9 ? (sj_time)(seconds * (double)SJ_SEC) : 0;
}

static wire_record run_record(const delivery *d)
{
        static const sj_str no_args = {"[]", 2}, no_kwargs = {"{}", 2};
        sj_str args = sj_json_raw(d->m.args), kwargs = sj_json_raw(d->m.kwargs);
        return (wire_record){
                .head = {.kind = WIRE_RUN,
                         .slot = d->slot,
                         .time = nanoseconds(outcome_soft_time_limit(&d->view)),
                         .hard = nanoseconds(outcome_time_limit(&d->view)),
                         .retries = (uint32_t)d->m.retries,
                         .deliveries = d->lease->deliveries,
                         .n_texts = RUN_TEXTS},
                .texts = {[RUN_ID] = d->m.id,
                          [RUN_NAME] = d->m.task,
                          [RUN_ROOT] = d->m.root_id.data ? d->m.root_id : d->m.id,
                          [RUN_PARENT] = d->m.parent_id,
                          [RUN_GROUP] = d->m.group,
                          [RUN_ARGS] = args.n ? args : no_args,
                          [RUN_KWARGS] = kwargs.n ? kwargs : no_kwargs},
        };
}

/* Waits until the ring may have room for what was refused. */
static int await_room(worker_child *c)
{
        ring_flush(&c->duplex.out);
        sj_event_clear(&c->room);
        c->wants_room = true;
        os_bell_ring(c->duplex.bell); /* the reader has to announce it */
        return sj_event_wait(&c->room, SJ_NEVER);
}

static int put(worker_child *c, const wire_record *record)
{
        int r;
        while ((r = wire_put(&c->duplex.out, record)) == -EAGAIN)
                if ((r = await_room(c)) < 0)
                        return r;
        return r;
}

static int write_delivery(worker_child *c, delivery *d)
{
        const wire_record record = run_record(d);
        d->sent = sj_now();
        atomic_store(&slot_of(c, d->slot)->cancelled, d->view.revoked);
        atomic_store(&slot_of(c, d->slot)->state, WIRE_QUEUED);
        int r = put(c, &record);
        if (r == -EMSGSIZE) {
                const task_return too_large =
                        task_failed("builtins", "ValueError",
                                    SJ_STR("[\"the arguments are larger than the limit\"]"));
                take_from_outbox(c, d);
                worker_returned(c->w, d, &too_large);
                return 0;
        }
        return r;
}

static int write_reply(worker_child *c, reply *p)
{
        const wire_record record = {
                .head = {.kind = WIRE_REPLY, .slot = p->number, .result = p->result, .n_texts = 1},
                .texts = {{(const char *)p->published, p->n * sizeof(broker_published)}}};
        int r = put(c, &record);
        sj_arena_free(p->arena);
        return r;
}

static int write_records(void *arg)
{
        worker_child *c = arg;
        for (;;) {
                int r = 0;
                list *node;
                if ((node = list_pop(&c->replies))) {
                        r = write_reply(c, container_of(node, reply, place));
                } else if (!list_empty(&c->outbox)) {
                        delivery *d = container_of(c->outbox.next, delivery, place);
                        r = write_delivery(c, d);
                        /* It may have been refused, or the child may have died meanwhile. */
                        if (d->child == c) {
                                list_remove(&d->place);
                                list_append(&c->sent, &d->place);
                        }
                } else if (c->state == CHILD_ENDING) {
                        put(c, &(wire_record){.head = {.kind = WIRE_QUIT}});
                        ring_flush(&c->duplex.out);
                        return 0;
                } else {
                        ring_flush(&c->duplex.out);
                        sj_event_clear(&c->work);
                        r = sj_event_wait(&c->work, SJ_NEVER);
                }
                if (r < 0)
                        return distrust(c, r);
        }
}

void worker_link_hand(worker_child *c, delivery *d)
{
        d->child = c;
        d->slot = c->free[--c->n_free];
        c->by_slot[d->slot] = d;
        c->load++;
        list_append(&c->outbox, &d->place);
        sj_event_set(&c->work);
}

/* ── Reading ─────────────────────────────────────────────────────────────────────────────── */

static delivery *delivery_of(const worker_child *c, uint32_t slot)
{
        return slot < c->slots ? c->by_slot[slot] : NULL;
}

static void note_time(worker *w, sj_time took)
{
        if (took < 0)
                return;
        w->mean_run = w->mean_run ? (w->mean_run * 7 + took) / 8 : took;
        if (w->mean_run == 0)
                w->mean_run = 1;
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
        note_time(c->w, record->head.time);
        release(c, d);
        worker_returned(c->w, d, &result);
        return 0;
}

static int take_skipped(worker_child *c, const wire_record *record)
{
        uint32_t slot = record->head.slot;
        if (slot >= c->slots || c->by_slot[slot] || c->n_free == c->slots)
                return -EPROTO;
        c->free[c->n_free++] = slot;
        sj_event_set(&c->w->capacity);
        return 0;
}

static int take_progress(worker_child *c, const wire_record *record)
{
        delivery *d = delivery_of(c, record->head.slot);
        broker_result result;
        if (!d || record->head.n_texts != 2)
                return -EPROTO;
        if (outcome_progress(&d->view, record->texts[0], record->texts[1], d->arena, &result) >= 0)
                broker_result_put(c->w->options.broker, &result, 1, sj_after(WORKER_BROKER_LIMIT));
        return 0;
}

static int publish_for(void *arg)
{
        reply *p = arg;
        worker_child *c = p->c;
        p->result = broker_publish(c->w->options.broker, p->messages, p->n, p->published,
                                   sj_after(SJ_PUBLISH_DEADLINE));
        list_append(&c->replies, &p->place);
        sj_event_set(&c->work);
        return 0;
}

static int take_publish(worker_child *c, const wire_record *record)
{
        sj_arena *arena;
        if (record->head.n_texts != 1)
                return -EPROTO;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        reply *p = sj_arena_alloc(arena, sizeof(*p));
        char *text = sj_arena_strndup(arena, record->texts[0].data, record->texts[0].n);
        broker_message *messages;
        size_t n = 0;
        r = p && text ? wire_read_messages((sj_str){text, record->texts[0].n}, arena, &messages, &n)
                      : -ENOMEM;
        broker_published *published = r >= 0 ? sj_arena_alloc(arena, n * sizeof(*published)) : NULL;
        if (r >= 0 && published) {
                memset(published, 0, n * sizeof(*published));
                *p = (reply){.c = c,
                             .arena = arena,
                             .number = record->head.slot,
                             .messages = messages,
                             .n = n,
                             .published = published};
                r = sj_spawn(c->scope, publish_for, p, NULL);
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
        c->w->failed_starts = 0;
        sj_event_set(&c->w->capacity);
        return 0;
}

static int take_broken(worker_child *c, const wire_record *record)
{
        if (record->head.n_texts == 1)
                worker_fail(c->w, -EBADMSG, "%.*s", SJ_STR_ARG(record->texts[0]));
        return 0;
}

static int (*const takers[WIRE_KINDS])(worker_child *c, const wire_record *record) = {
        [WIRE_READY] = take_ready,       [WIRE_BROKEN] = take_broken,
        [WIRE_RETURNED] = take_returned, [WIRE_SKIPPED] = take_skipped,
        [WIRE_PROGRESS] = take_progress, [WIRE_PUBLISH] = take_publish,
};

/* All that is there. -EAGAIN: no more at the moment. */
static int take_all(worker_child *c)
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

static int read_records(void *arg)
{
        worker_child *c = arg;
        for (;;) {
                int r = take_all(c);
                if (r != -EAGAIN)
                        return distrust(c, r);
                if (c->wants_room && ring_ready(&c->duplex.out)) {
                        c->wants_room = false;
                        sj_event_set(&c->room);
                }
                r = duplex_wait(&c->duplex, c->wants_room, SJ_NEVER);
                if (r < 0)
                        return distrust(c, r);
        }
}

/* ── A child's life ──────────────────────────────────────────────────────────────────────── */

static void bury(worker_child *c, delivery *d)
{
        worker *w = c->w;
        uint32_t state = d->sent ? atomic_load(&slot_of(c, d->slot)->state) : WIRE_QUEUED;
        release(c, d);
        if (state == WIRE_QUEUED)
                worker_give_back(w, d);
        else if (w->cold)
                worker_interrupted(w, d);
        else
                /* FREE: it has run, and its outcome was lost with the child. */
                worker_crashed(w, d, c->how);
}

static int hear_and_speak(worker_child *c)
{
        SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
        c->scope = scope;
        int r = sj_spawn(scope, read_records, c, NULL);
        if (r >= 0)
                r = sj_spawn(scope, write_records, c, NULL);
        if (r >= 0)
                r = sj_event_wait(&c->ended, SJ_NEVER);
        return r;
}

/* From when it was asked for until all that it had is somebody else's matter. */
int worker_link_life(void *arg)
{
        worker_child *c = arg;
        int r = hear_and_speak(c);
        take_all(c); /* its last words */
        list_for_each_safe (node, &c->outbox)
                bury(c, container_of(node, delivery, place));
        list_for_each_safe (node, &c->sent)
                bury(c, container_of(node, delivery, place));
        for (list *node; (node = list_pop(&c->replies));)
                sj_arena_free(container_of(node, reply, place)->arena);
        sj_fd_forget(c->duplex.bell);
        worker_child_gone(c);
        return r;
}
