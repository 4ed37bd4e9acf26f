/* SPDX-License-Identifier: MIT */
/*
 * signature: what the room may know of a sj_signature (<sanjab/canvas.h>): its JSON, and that JSON
 * as it is sent.
 */
#ifndef SANJAB_QUEUE_SIGNATURE_H
#define SANJAB_QUEUE_SIGNATURE_H

#include "queue/broker/broker.h"

#include <sanjab/queue.h>

/*
 * What a program says of priority, in a signature that is not sent yet: more is sooner. What is
 * said in JSON that comes from elsewhere is "priority", as the wire has it, and stays.
 */
#define SIGNATURE_PRIORITY "sanjab.priority"

/*
 * As it is sent over the broker: the priorities that a program gave are turned into the broker's.
 * NULL, which also stands for itself: no memory. b may be NULL: as they are.
 */
const sj_json *signature_sent(const broker *b, sj_arena *arena, const sj_json *signature);
const sj_json *signature_list_sent(const broker *b, sj_arena *arena, const sj_json *list);

/*
 * A signature as JSON; it lives as long as the signature. -EINVAL: it is NULL; else what went wrong
 * when it was built.
 */
int signature_json(const sj_signature *s, const sj_json **ret);

/* ── For signature*.c alone ──────────────────────────────────────────────────────────────── */

struct sj_signature {
        sj_arena *arena;
        const sj_json *json;
        sj_signature **parts; /* whose values are in ours */
        size_t n_parts;
        size_t room;
        int error; /* the first thing that went wrong */
};

/* An empty one; NULL: no memory. */
sj_signature *signature_new(void);
/* What is built of it: itself, or NULL, and freed, if it has got no value. */
sj_signature *signature_done(sj_signature *s);
/* Takes the part over, and returns its value. NULL: it could not be kept, and is freed. */
const sj_json *signature_take(sj_signature *s, sj_signature *part);

#endif
