/* SPDX-License-Identifier: MIT */
/*
 * revoked: the ids of tasks that are not to be run any more, and when each was revoked.
 *
 * A bounded set in memory, by which a worker judges each delivery; what makes revokes outlive
 * workers is broker_revoke. An id is kept for REVOKED_TIME; when there are REVOKED_COUNT_MAX, the
 * one that came first goes.
 *
 * A revoke by a stamp (of all messages that bear it) is kept as an id of its own, made from the
 * stamp's name and value, so that it travels and lasts by the same ways.
 */
#ifndef SANJAB_QUEUE_REVOKED_H
#define SANJAB_QUEUE_REVOKED_H

#include "queue/broker/broker.h"

#define REVOKED_COUNT_MAX 50000 /* Celery's */
#define REVOKED_TIME      BROKER_REVOKED_KEPT

typedef struct revoked_set revoked_set;

/* -ENOMEM. */
int revoked_new(revoked_set **ret);
void revoked_free(revoked_set *r);

/* Of an id that is there the first moment is kept. 1 it is new; 0; -ENOMEM; -EINVAL no id. */
int revoked_add(revoked_set *r, sj_str id, sj_wall since);
bool revoked_has(revoked_set *r, sj_str id, sj_wall now);
/* Drops what has been kept for long enough. */
void revoked_purge(revoked_set *r, sj_wall now);

size_t revoked_count(const revoked_set *r);
/* The ids in the order of coming: the one after *place, which is NULL at first; false: no more. */
bool revoked_next(const revoked_set *r, const void **place, broker_revoked *ret);

/* ── Stamps ──────────────────────────────────────────────────────────────────────────────── */

enum { REVOKED_STAMP_SIZE = 6 + 64 + 1 };
/* The id under which a stamp is revoked: "stamp:" and a digest of its name and value. */
int revoked_stamp_id(sj_str name, const sj_json *value, char ret[REVOKED_STAMP_SIZE]);
bool revoked_is_stamp(sj_str id);
/* Whether one of a message's stamps (an object; a value may be a list of values) is revoked. */
bool revoked_has_stamp(revoked_set *r, const sj_json *stamps, sj_wall now);

#endif
