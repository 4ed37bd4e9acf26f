/* SPDX-License-Identifier: MIT */
/*
 * worker_wire: what a worker's controller and its children say to each other over their rings.
 *
 *   controller ──► child   ROUTES     how what tasks send is routed: comes first, and once
 *                          RUN        a delivery, for a slot
 *                          REPLY      what came of a publish
 *                          TERMINATE  bodies whose word says so are to be cancelled (fibers)
 *                          QUIT       nothing more will come: finish and leave
 *   child ──► controller   READY      the manifest of the tasks it has
 *                          BROKEN     why it cannot have any: a sentence
 *                          RETURNED   what came of a delivery
 *                          SKIPPED    a delivery was recalled before it had begun
 *                          DECLINED   a delivery had expired or was revoked when its turn came
 *                          PROGRESS   a state of the task's own
 *                          EVENT      what the task tells those who watch
 *                          PUBLISH    messages of a task, to be confirmed by a REPLY; with the
 *                                     joins that are opened, or grow, and the ids that are made
 *                                     known before that
 *
 * A record is a fixed head and its texts, each with its length; the reader checks every length.
 * Beside the rings there is a word for each slot in their shared memory. A delivery that was sent
 * but has not begun can be recalled through it: whoever changes the word first has it.
 *
 *   FREE ──controller──► QUEUED ──child──► RUNNING ──child──► FREE
 *                          └──controller──► RECALLED ──child──► FREE
 */
#ifndef SANJAB_QUEUE_WORKER_WIRE_H
#define SANJAB_QUEUE_WORKER_WIRE_H

#include "base/buf.h"
#include "exec/duplex.h"
#include "queue/broker/broker.h"

enum {
        WIRE_TEXTS_MAX = 10,
        WIRE_AHEAD_MAX = 64, /* deliveries that may wait at a child behind what it runs */
        /* Slots of a child, beside those of what it runs: what waits, and what was recalled. */
        WIRE_SLOTS_BESIDE = 2 * WIRE_AHEAD_MAX,
        WIRE_SLOTS_MAX = 8192,
        WIRE_RING = 64 * 1024,
        WIRE_MESSAGE_MAX = 128 << 20,
        /* Of the controller's broker: by these a child makes what its tasks send. */
        WIRE_CAPABILITIES = BROKER_LOW_FIRST | BROKER_OURS | BROKER_KNOWS_IDS | BROKER_CANCELS |
                            BROKER_RESULTS | BROKER_PUBSUB | BROKER_EXCHANGES,
};

typedef enum wire_kind {
        WIRE_RUN = 1,
        WIRE_REPLY,
        WIRE_QUIT,
        WIRE_READY,
        WIRE_BROKEN,
        WIRE_RETURNED,
        WIRE_SKIPPED,
        WIRE_PROGRESS,
        WIRE_PUBLISH,
        WIRE_ROUTES,
        WIRE_DECLINED,
        WIRE_TERMINATE,
        WIRE_EVENT,
        WIRE_KINDS,
} wire_kind;

/* The numbers of a record; what each means depends on the kind. */
typedef struct wire_head {
        uint32_t kind;
        uint32_t slot;   /* RUN, RETURNED, SKIPPED, DECLINED, PROGRESS, EVENT; PUBLISH, REPLY: the
                            question's number */
        int64_t time;    /* RUN: nanoseconds until the soft limit, 0 none; RETURNED: it ran so long;
                            PUBLISH: nanoseconds that it may take */
        int64_t hard;    /* RUN: nanoseconds until the hard limit, 0 none */
        int64_t expires; /* RUN: microseconds of wall time, 0 never */
        uint32_t retries;    /* RUN */
        uint32_t deliveries; /* RUN */
        int32_t result;      /* REPLY; ROUTES: what the broker can, of WIRE_CAPABILITIES; PUBLISH: 1
                                it is to be as broker_publish_once, else 0 */
        uint32_t n_texts;
} wire_head;

typedef struct wire_record {
        wire_head head;
        sj_str texts[WIRE_TEXTS_MAX]; /* data NULL: absent */
} wire_record;

/* The texts of a RUN. */
enum {
        RUN_ID,
        RUN_NAME,
        RUN_ROOT,
        RUN_PARENT,
        RUN_GROUP,
        RUN_ARGS,
        RUN_KWARGS,
        RUN_CHORD, /* of a chord's member: [its place or null, the body] */
        RUN_TEXTS
};

/* -EAGAIN no room: try the same again; other errors as ring_put. Not flushed. */
int wire_put(ring *r, const wire_record *record);
/* The next record; its texts are valid until the next call. As ring_get; -EPROTO malformed. */
int wire_get(ring *r, wire_record *ret);

/* ── Slots ───────────────────────────────────────────────────────────────────────────────── */

typedef enum wire_slot_state {
        WIRE_FREE,
        WIRE_QUEUED,
        WIRE_RUNNING,
        WIRE_RECALLED,
} wire_slot_state;

typedef struct wire_slot {
        _Atomic uint32_t state;
        _Atomic uint32_t cancelled; /* not 0: the task is asked to end */
} wire_slot;

/* In `cancelled`: its body is to be cancelled, too, if it is a fiber. */
enum { WIRE_ASKED = 1, WIRE_TERMINATED = 2 };

static inline duplex_shape wire_shape(size_t slots)
{
        return (duplex_shape){.capacity = WIRE_RING,
                              .limit = WIRE_MESSAGE_MAX,
                              .extra = slots * sizeof(wire_slot)};
}

static inline wire_slot *wire_slots(const duplex *d)
{
        return d->extra;
}

/* ── Messages within a PUBLISH, and the answers within a REPLY ───────────────────────────── */

int wire_write_messages(buf *b, const broker_message messages[], size_t n);
/* Joins likewise: one that grows has a size below 0. */
int wire_write_joins(buf *b, const broker_join joins[], size_t n);
/* Ids likewise. */
int wire_write_ids(buf *b, const broker_result results[], size_t n);
/* As PENDING results. */
int wire_read_ids(sj_str text, sj_arena *arena, broker_result **ret, size_t *ret_n);
int wire_read_joins(sj_str text, sj_arena *arena, broker_join **ret, size_t *ret_n);
/* Into an array in the arena, with views of the text. -EPROTO; -ENOMEM. */
int wire_read_messages(sj_str text, sj_arena *arena, broker_message **ret, size_t *ret_n);

/* ── Routes ──────────────────────────────────────────────────────────────────────────────── */

/*
 * What a child must know of the options (NULL: none) to send tasks, and, if it can reach the broker
 * itself, where that is. -ENOBUFS, -ENOMEM.
 */
int wire_write_app(buf *b, const sj_app_options *options);
/* All in the arena. -EPROTO; -ENOMEM. */
int wire_read_app(sj_str text, sj_arena *arena, sj_app_options *ret);

#endif
