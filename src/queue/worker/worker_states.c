/* SPDX-License-Identifier: MIT */
/*
 * States that are no ends: STARTED, and those that tasks give themselves.
 *
 * They are noted, and one fiber stores what has gathered, in groups. Of a delivery only the last
 * one counts, so that a task which tells its progress a million times costs no more than one that
 * tells it once a group, and so that nobody waits for the broker. A note has copies of all that it
 * says, since its delivery may end while it is being stored.
 *
 * They are courtesies: one that the broker does not take is dropped.
 */
#include "queue/worker/worker_internal.h"

#include <sanjab/sync.h>

enum { NOTES_BATCH = 256 };

static void note_free(worker_note *n)
{
        sj_arena_free(n->arena); /* it lies in it itself */
}

void worker_note_forget(delivery *d)
{
        if (!d->note)
                return;
        list_remove(&d->note->place);
        note_free(d->note);
        d->note = NULL;
}

/* An empty note in an arena of its own, or NULL. */
static worker_note *note_new(void)
{
        sj_arena *arena;
        if (sj_arena_new(&arena) < 0)
                return NULL;
        worker_note *n = sj_arena_alloc(arena, sizeof(*n));
        if (!n) {
                sj_arena_free(arena);
                return NULL;
        }
        *n = (worker_note){.arena = arena};
        return n;
}

static bool keep(sj_arena *arena, sj_str *text)
{
        const char *copy = sj_arena_strndup(arena, text->data, text->n);
        text->data = copy;
        return copy != NULL;
}

/* In the place of what was noted before. */
static void note(worker *w, delivery *d, worker_note *n, int error)
{
        if (error < 0 || !keep(n->arena, &n->result.id) || !keep(n->arena, &n->result.state)) {
                note_free(n);
                return;
        }
        worker_note_forget(d);
        n->of = d;
        d->note = n;
        list_append(&w->notes, &n->place);
        sj_event_set(&w->notes_event);
}

void worker_note_state(worker *w, delivery *d, sj_str state, sj_str meta)
{
        worker_note *n = note_new();
        outcome_context context = worker_context(w);
        d->said_started = true; /* it says so, and more */
        if (n)
                note(w, d, n,
                     outcome_progress(&context, &d->view, state, meta, n->arena, &n->result));
}

void worker_note_started(worker *w, delivery *d)
{
        worker_note *n = note_new();
        outcome_context context = worker_context(w);
        if (d->child)
                context.pid = d->child->pid;
        if (n)
                note(w, d, n, outcome_started(&context, &d->view, n->arena, &n->result));
}

static void store(worker *w)
{
        worker_note *notes[NOTES_BATCH];
        broker_result results[NOTES_BATCH];
        size_t n = 0;
        for (list *node; n < NOTES_BATCH && (node = list_pop(&w->notes)); n++) {
                notes[n] = container_of(node, worker_note, place);
                notes[n]->of->note = NULL;
                notes[n]->of = NULL;
                results[n] = notes[n]->result;
        }
        int r = broker_result_put(w->options.broker, results, n, sj_after(WORKER_BROKER_LIMIT));
        if (r < 0 && r != -ECANCELED)
                sj_log(SJ_LOG_DEBUG, "%zu states on the way were not stored: %s", n,
                       sj_strerror(r));
        for (size_t i = 0; i < n; i++)
                note_free(notes[i]);
}

int worker_states_duty(void *arg)
{
        worker *w = arg;
        for (;;) {
                sj_event_clear(&w->notes_event);
                while (!list_empty(&w->notes))
                        store(w);
                int r = sj_event_wait(&w->notes_event, SJ_NEVER);
                if (r < 0)
                        return r;
        }
}
