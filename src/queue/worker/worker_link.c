/* SPDX-License-Identifier: MIT */
/*
 * A child's life, and what is said to it. Two fibers share the child's bell:
 *
 *   writer   takes deliveries from the outbox and writes them; sleeps when there are none, or
 *            until the reader says that there is room
 *   reader   reads what the child says; it alone waits for the bell (worker_hear.c)
 *
 * A delivery whose record is being written is nobody's to take: the writer may be waiting for room
 * in the middle of it. It is `sent` from its first byte and `written` after its last.
 */
#include "queue/worker/worker_internal.h"

#include <sanjab/select.h>
#include <sanjab/sync.h>

#include <stdatomic.h>

/* ── Slots ───────────────────────────────────────────────────────────────────────────────── */

static wire_slot *slot_of(const worker_child *c, uint32_t slot)
{
        return &wire_slots(&c->duplex)[slot];
}

void worker_link_release(worker_child *c, delivery *d)
{
        list_remove(&d->place);
        c->by_slot[d->slot] = NULL;
        c->free[c->n_free++] = d->slot;
        worker_crew_unload(c);
        d->child = NULL;
        worker_has_room(c->w);
}

/* Nothing of it was written yet. */
static void take_from_outbox(worker_child *c, delivery *d)
{
        atomic_store(&slot_of(c, d->slot)->state, WIRE_FREE);
        worker_link_release(c, d);
}

bool worker_link_take_back(worker_child *c, delivery *d)
{
        uint32_t queued = WIRE_QUEUED;
        if (!d->sent) {
                take_from_outbox(c, d);
                return true;
        }
        if (!d->written)
                return false;
        if (!atomic_compare_exchange_strong(&slot_of(c, d->slot)->state, &queued, WIRE_RECALLED))
                return false;
        /* The slot is free when the child has skipped it. */
        c->recalled[d->slot] = true;
        list_remove(&d->place);
        c->by_slot[d->slot] = NULL;
        worker_crew_unload(c);
        d->child = NULL;
        worker_has_room(c->w);
        return true;
}

void worker_link_recall(worker_child *c)
{
        list *const lists[] = {&c->outbox, &c->sent};
        for (size_t i = 0; i < 2; i++) {
                list_for_each_safe (node, lists[i]) {
                        delivery *d = container_of(node, delivery, place);
                        if (worker_link_take_back(c, d))
                                worker_give_back(c->w, d);
                }
        }
}

int worker_link_distrust(worker_child *c, int error)
{
        if (error == -ECANCELED)
                return error;
        sj_log(SJ_LOG_ERROR, "child %d says what makes no sense (%s): it is replaced", c->pid,
               sj_strerror(error));
        c->distrusted = true;
        worker_child_kill(c);
        return 0;
}

/* ── Writing ─────────────────────────────────────────────────────────────────────────────── */

/* The JSON of what came with a message, or was made of it. */
static sj_str text_of(const delivery *d, const sj_json *v, const char *none)
{
        sj_str text = sj_json_raw(v);
        if (!text.n && v)
                sj_json_text(d->arena, v, SJ_JSON_PYTHON, &text);
        return text.n ? text : sj_str_of(none);
}

static wire_record run_record(const delivery *d)
{
        return (wire_record){
                .head = {.kind = WIRE_RUN,
                         .slot = d->slot,
                         .time = d->soft,
                         .hard = d->hard,
                         .expires = d->lease->message.expires.us,
                         .retries = (uint32_t)d->m.retries,
                         .deliveries = d->lease->deliveries,
                         .n_texts = RUN_TEXTS},
                .texts = {[RUN_ID] = d->m.id,
                          [RUN_NAME] = d->m.task,
                          [RUN_ROOT] = d->m.root_id.data ? d->m.root_id : d->m.id,
                          [RUN_PARENT] = d->m.parent_id,
                          [RUN_GROUP] = d->m.group,
                          [RUN_ARGS] = text_of(d, d->m.args, "[]"),
                          [RUN_KWARGS] = text_of(d, d->m.kwargs, "{}"),
                          [RUN_CHORD] = worker_chord_text(d)},
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

/* Before all else, so that whatever a task sends goes by them. */
static int write_routes(worker_child *c)
{
        buf text = BUF_INIT(WIRE_MESSAGE_MAX);
        const worker_options *from = &c->w->options;
        unsigned told = from->broker->capabilities & WIRE_CAPABILITIES;
        sj_app_options o = from->app ? *from->app : (sj_app_options){0};
        if (!broker_can(from->broker, BROKER_PROCESSES))
                o.broker = NULL;
        int r = wire_write_app(&text, &o);
        if (r >= 0)
                r = put(c, &(wire_record){.head = {.kind = WIRE_ROUTES,
                                                   .result = (int32_t)told,
                                                   .n_texts = 1},
                                          .texts = {buf_str(&text)}});
        buf_fini(&text);
        return r;
}

static int write_delivery(worker_child *c, delivery *d)
{
        const wire_record record = run_record(d);
        d->sent = true;
        atomic_store(&slot_of(c, d->slot)->cancelled, d->view.revoked);
        atomic_store(&slot_of(c, d->slot)->state, WIRE_QUEUED);
        int r = put(c, &record);
        d->written = r >= 0;
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

static int write_reply(worker_child *c, worker_reply *p)
{
        const wire_record record = {
                .head = {.kind = WIRE_REPLY, .slot = p->number, .result = p->result, .n_texts = 1},
                .texts = {{(const char *)p->published, p->n * sizeof(broker_published)}}};
        int r = put(c, &record);
        c->n_asked--;
        sj_arena_free(p->arena);
        return r;
}

/*
 * It has nothing left to do, and no question that is to be answered: after QUIT it reads no more.
 * What its tasks have left to be done at exit may not take for ever.
 */
static int see_off(worker_child *c)
{
        put(c, &(wire_record){.head = {.kind = WIRE_QUIT}});
        ring_flush(&c->duplex.out);
        int r = sj_event_wait(&c->ended, sj_after(WORKER_QUIT_LIMIT));
        if (r != -ETIMEDOUT)
                return r == -ECANCELED ? r : 0;
        sj_log(SJ_LOG_WARNING, "child %d does not leave: it is killed", c->pid);
        worker_child_kill(c);
        return 0;
}

static int write_records(void *arg)
{
        worker_child *c = arg;
        int r = write_routes(c);
        if (r < 0)
                return worker_link_distrust(c, r);
        for (;;) {
                r = 0;
                list *node;
                if ((node = list_pop(&c->replies))) {
                        r = write_reply(c, container_of(node, worker_reply, place));
                } else if (c->terminates) {
                        c->terminates = false;
                        r = put(c, &(wire_record){.head = {.kind = WIRE_TERMINATE}});
                } else if (!list_empty(&c->outbox)) {
                        delivery *d = container_of(c->outbox.next, delivery, place);
                        r = write_delivery(c, d);
                        /* It may have been refused, or the child may have died meanwhile. */
                        if (d->child == c) {
                                list_remove(&d->place);
                                list_append(&c->sent, &d->place);
                        }
                } else if (c->state == CHILD_ENDING && c->load == 0 && c->n_asked == 0) {
                        return see_off(c);
                } else {
                        ring_flush(&c->duplex.out);
                        sj_event_clear(&c->work);
                        r = sj_event_wait(&c->work, SJ_NEVER);
                }
                if (r < 0)
                        return worker_link_distrust(c, r);
        }
}

void worker_link_hand(worker_child *c, delivery *d)
{
        d->child = c;
        d->sent = d->written = false;
        d->slot = c->free[--c->n_free];
        c->by_slot[d->slot] = d;
        worker_crew_load(c);
        list_append(&c->outbox, &d->place);
        sj_event_set(&c->work);
}

/* ── A child's life ──────────────────────────────────────────────────────────────────────── */

/* Whether it had begun, or has ended and its outcome was lost with the child. */
static bool has_begun(const worker_child *c, const delivery *d)
{
        return d->sent && atomic_load(&slot_of(c, d->slot)->state) != WIRE_QUEUED;
}

/*
 * A child that has ended by itself while it ran nothing fell over the next delivery in its ring,
 * before that could say that it had begun. That one is to blame: given back uncounted, it would
 * fell one child after the other for ever.
 */
static const delivery *to_blame(const worker_child *c)
{
        if (!c->was_ready || c->killed || list_empty(&c->sent))
                return NULL;
        list_for_each (node, &c->sent)
                if (has_begun(c, container_of(node, delivery, place)))
                        return NULL;
        return container_of(c->sent.next, delivery, place);
}

static void bury(worker_child *c, delivery *d, const delivery *blamed)
{
        worker *w = c->w;
        bool begun = has_begun(c, d) || d == blamed;
        worker_link_release(c, d);
        if (!begun)
                worker_give_back(w, d);
        else if (w->cold && c->killed && !d->over_limit && !d->terminated)
                worker_interrupted(w, d);
        else
                worker_crashed(w, d, c->how);
}

static void bury_all(worker_child *c)
{
        const delivery *blamed = to_blame(c);
        list_for_each_safe (node, &c->outbox)
                bury(c, container_of(node, delivery, place), blamed);
        list_for_each_safe (node, &c->sent)
                bury(c, container_of(node, delivery, place), blamed);
        for (list *node; (node = list_pop(&c->replies));)
                sj_arena_free(container_of(node, worker_reply, place)->arena);
}

static int hear_and_speak(worker_child *c)
{
        SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
        c->scope = scope;
        int r = sj_spawn(scope, worker_hear, c, NULL);
        if (r >= 0)
                r = sj_spawn(scope, write_records, c, NULL);
        if (r >= 0)
                r = sj_event_wait(&c->ended, SJ_NEVER);
        c->scope = NULL;
        return r;
}

/* From when it was asked for until all that it had is somebody else's matter. */
int worker_link_life(void *arg)
{
        worker_child *c = arg;
        int r = hear_and_speak(c);
        if (!c->distrusted)
                worker_hear_all(c); /* its last words */
        bury_all(c);
        sj_fd_forget(c->duplex.bell);
        worker_child_gone(c);
        return r;
}
