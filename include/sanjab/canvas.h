/* SPDX-License-Identifier: MIT */
/*
 * sanjab/canvas.h: work that is made of several tasks.
 *
 *         sj_signature *s = SJ_CHAIN(add_s(2, 2), SJ_GROUP(add_p(10), add_p(20)), sum_p());
 *         sj_result result;
 *         r = sj_signature_send(app, s, &result);
 *         sj_signature_free(s);
 *         r = sj_result_get(&result, arena, &outcome, sj_after(SJ_MIN));
 *
 * A signature is a call that is kept. Signatures make up larger ones, and those larger ones still:
 *
 *   chain    one after another, the result of each in front of the next one's arguments
 *   group    all side by side; the result is the array of theirs
 *   chord    a group, and when all of it have succeeded a body, with the array of their results
 *   map, starmap, chunks    one task over a list, in one message or a few
 *
 * A group that is followed by something in a chain is the header of a chord.
 *
 * Who owns them. A function that makes a signature of others takes those over, whether it succeeds
 * or not: nested calls are straight lines, and only the whole is freed. What is wanted twice is
 * copied by sj_signature_clone.
 *
 * Errors. What makes a signature returns NULL when there is no memory or a part of it is NULL. What
 * changes one returns it; what went wrong is remembered in it, and told by sj_signature_send. So
 * one check at the end is enough.
 *
 * They are Celery's: as JSON they go to Python's celery.signature() and come from it, and workers
 * of both kinds may take part in one canvas.
 */
#ifndef SANJAB_CANVAS_H
#define SANJAB_CANVAS_H

#include <sanjab/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ── Made of others ──────────────────────────────────────────────────────────────────────── */

/*
 * One after another; a chain in a chain is a part of it. If one fails, those behind it fail with
 * the same error. At least one: NULL for n 0.
 */
SJ_PUBLIC sj_signature *sj_chain(sj_signature *const parts[], size_t n);
/* SJ_CHAIN(add_s(2, 2), add_p(4), ...) */
#define SJ_CHAIN(...) sj_chain(SJ_ALL_(__VA_ARGS__))
#define SJ_ALL_(...)                          \
        (sj_signature *const[]){__VA_ARGS__}, \
                sizeof((sj_signature *const[]){__VA_ARGS__}) / sizeof(sj_signature *)
/* Side by side, in no order; n may be 0. The members of a group in a group are its own. */
SJ_PUBLIC sj_signature *sj_group(sj_signature *const parts[], size_t n);
/* SJ_GROUP(add_s(2, 2), add_s(4, 4), ...) */
#define SJ_GROUP(...) sj_group(SJ_ALL_(__VA_ARGS__))
/*
 * The body is called with the array of the results of all members of the header, in their order,
 * when the last one has succeeded; at once if there are none. If one fails the body fails with
 * ChordError. header: a group, or a single signature. The members of a group within the header
 * come from its end, as Celery has them.
 */
SJ_PUBLIC sj_signature *sj_chord(sj_signature *header, sj_signature *body);

/*
 * One task for each element of the list, one after another in one message: the result is the array
 * of theirs. items is the text of a JSON array. sj_map gives each element as the only argument;
 * sj_starmap takes each, itself an array, as the arguments. sj_chunks makes a group of starmaps, of
 * at most size elements each (from 1).
 */
SJ_PUBLIC sj_signature *sj_map(sj_signature *task, const char *items);
SJ_PUBLIC sj_signature *sj_starmap(sj_signature *task, const char *items);
SJ_PUBLIC sj_signature *sj_chunks(sj_signature *task, const char *items, int64_t size);

/* ── Changed ─────────────────────────────────────────────────────────────────────────────── */

/* A copy of it and all in it. NULL: no memory, or s is NULL. */
SJ_PUBLIC sj_signature *sj_signature_clone(const sj_signature *s);
/*
 * Options in addition to those that it has, or in their place; what is zero in call stays as it
 * was. Of a chain they are said of what begins it, of a group of each member, of a chord of its
 * members and its body; a task_id of a chain is that of its last link. Returns s.
 */
SJ_PUBLIC sj_signature *sj_signature_set(sj_signature *s, const sj_call *call);
/*
 * A part of a call: args (the text of an array, or NULL) go in front of its own, kwargs (of an
 * object, or NULL; of a task only) to its own. Returns s.
 */
SJ_PUBLIC sj_signature *sj_signature_partial(sj_signature *s, const char *args, const char *kwargs);
/*
 * Sends callback with the result when it has succeeded: of a chain its last link, of a chord its
 * body; of a group, as Celery has it, its first member, and without the result. Takes callback
 * over. Returns s.
 */
SJ_PUBLIC sj_signature *sj_signature_link(sj_signature *s, sj_signature *callback);
/*
 * Sends errback with the id of the task that has failed: of a chain whichever link, of a group
 * whichever member, of a chord its body. Takes errback over. Returns s.
 */
SJ_PUBLIC sj_signature *sj_signature_link_error(sj_signature *s, sj_signature *errback);
/*
 * Names and values (the text of a JSON object) that it and all in it carry as stamps, with those
 * that it has. Returns s.
 */
SJ_PUBLIC sj_signature *sj_signature_stamp(sj_signature *s, const char *stamps);

/* ── Kept ────────────────────────────────────────────────────────────────────────────────── */

/* Its JSON, as Python's json.dumps writes it, in the arena. -EINVAL as sj_signature_send. */
SJ_PUBLIC int sj_signature_json(const sj_signature *s, sj_arena *arena, const char **ret);
/* From such a text, of ours or of Python's. NULL: it is no signature, or there is no memory. */
SJ_PUBLIC sj_signature *sj_signature_parse(const char *text);

/* ── Groups that were sent ───────────────────────────────────────────────────────────────── */

/* A group and the results of its members, each by itself. */
typedef struct sj_group_result sj_group_result;

/* How far it has come. */
typedef struct sj_group_count {
        size_t members;
        size_t completed; /* of them have succeeded */
        size_t failed;    /* have failed, or were revoked */
        size_t waiting;   /* have not ended */
} sj_group_count;

/*
 * Sends a group, or a chain that ends in one, as sj_signature_send; its members can then be asked
 * one by one. -EINVAL too when it does not end in a group. The caller owns *ret.
 */
SJ_PUBLIC int sj_group_send(sj_app *app, const sj_signature *s, sj_group_result **ret);
/* NULL is allowed. What was sent stays. */
SJ_PUBLIC void sj_group_free(sj_group_result *g);
/* Its id, which lives as long as g; and the results of its members. */
SJ_PUBLIC const char *sj_group_id(const sj_group_result *g);
SJ_PUBLIC size_t sj_group_members(const sj_group_result *g);
SJ_PUBLIC const sj_result *sj_group_member(const sj_group_result *g, size_t i);
/*
 * Waits until all have ended; ret has one element for each, in their order. Blocks. Errors as
 * sj_result_get.
 */
SJ_PUBLIC int sj_group_get(const sj_group_result *g, sj_arena *arena, sj_outcome ret[],
                           sj_time deadline);
/* What is known now, without waiting. Errors as sj_result_state. */
SJ_PUBLIC int sj_group_progress(const sj_group_result *g, sj_group_count *ret, sj_time deadline);
/* Revokes those that have not ended. The errors of the broker. */
SJ_PUBLIC int sj_group_revoke(const sj_group_result *g, sj_time deadline);
/*
 * Keeps it in the broker under its id, as Celery's GroupResult.save; for as long as results are
 * kept. -EOPNOTSUPP, and other errors of the broker.
 */
SJ_PUBLIC int sj_group_save(const sj_group_result *g, sj_time deadline);
/* One that was saved, by us or by Celery. -ENOENT; -EBADMSG it is none; the broker's; -ENOMEM. */
SJ_PUBLIC int sj_group_restore(sj_app *app, const char *id, sj_group_result **ret,
                               sj_time deadline);
/* Forgets that it was saved; the results of its members stay. 0 also if there is none. */
SJ_PUBLIC int sj_group_drop(const sj_group_result *g, sj_time deadline);

#ifdef __cplusplus
}
#endif

#endif
