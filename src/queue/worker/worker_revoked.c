/* SPDX-License-Identifier: MIT */
/*
 * Which tasks a worker does not run, and what becomes of deliveries of such.
 *
 * Each revoke that it hears of is kept in the broker, too, for those that are not there to hear
 * it; and it takes over what was kept there when it starts, when it has lost the broker for a
 * while, and now and then. When the broker keeps nothing, it is as with Celery: a revoke lasts as
 * long as a worker that knows it.
 *
 * Terminating. In the prefork pool the task is told, and its child gets the signal; since that may
 * end it at any moment, it is let go first: what waits in it goes to others, and another is started
 * in its place. In the other pools a signal would hit all tasks of a process: there the task is
 * told, as by a revoke through the broker (sj_task_cancelled), and a body that is a fiber is
 * cancelled.
 */
#include "queue/worker/worker_internal.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { KEEP_BATCH = 256 };

bool worker_is_revoked(worker *w, sj_str id)
{
        return revoked_count(w->revoked) > 0 && revoked_has(w->revoked, id, os_wall());
}

bool worker_must_not_run(worker *w, const delivery *d)
{
        return worker_is_revoked(w, d->lease->message.id) ||
               revoked_has_stamp(w->revoked, d->m.stamps, os_wall());
}

/* ── Deliveries ──────────────────────────────────────────────────────────────────────────── */

static bool terminate_delivery(worker *w, delivery *d, int signal)
{
        if (!worker_is_running(w, d))
                return false;
        d->view.revoked = true;
        d->terminated = true;
        d->signal = signal;
        if (d->child && w->options.pool == WORKER_PREFORK) {
                worker_child *c = d->child;
                worker_child_retire(c);
                worker_cancel_delivery(w, d);
                if (c->pidfd >= 0)
                        os_kill(c->pidfd, signal ? signal : SIGTERM);
        } else {
                worker_cancel_delivery(w, d);
        }
        return true;
}

/*
 * One whose record is still on its way to its child is declined there when its turn comes; one
 * that runs is left alone.
 */
static void revoke_delivery(worker *w, delivery *d)
{
        if (worker_is_running(w, d))
                return;
        d->view.revoked = true;
        worker_cancel_delivery(w, d);
}

static int apply(worker *w, const map *ids, bool terminate, int signal)
{
        int terminated = 0;
        list_for_each_safe (node, &w->held) {
                delivery *d = container_of(node, delivery, held);
                if (d->ended || d->in_hand || !map_get(ids, d->lease->message.id))
                        continue;
                if (terminate && terminate_delivery(w, d, signal))
                        terminated++;
                else
                        revoke_delivery(w, d);
        }
        return terminated;
}

int worker_revoke(worker *w, const sj_str ids[], size_t n, bool terminate, int signal)
{
        uint64_t seed;
        os_random(&seed, sizeof(seed));
        map meant = MAP_INIT(seed); /* others may have been revoked before, and be left to run */
        int r = 0;
        for (size_t i = 0; i < n && r >= 0; i++) {
                r = revoked_add(w->revoked, ids[i], os_wall());
                if (r >= 0)
                        r = map_add(&meant, ids[i], w);
                if (r == -EEXIST)
                        r = 0;
        }
        if (r >= 0)
                r = apply(w, &meant, terminate, signal);
        map_fini(&meant);
        return r;
}

/* ── In the broker ───────────────────────────────────────────────────────────────────────── */

static int take_over(worker *w, const broker_revoked entries[], int n)
{
        int r = 0;
        for (int i = 0; i < n && r >= 0; i++) {
                r = revoked_add(w->revoked, entries[i].id, entries[i].since);
                if (r > 0)
                        worker_revoke(w, &entries[i].id, 1, false, 0);
                if (entries[i].since.us > w->revoked_seen.us)
                        w->revoked_seen = entries[i].since;
        }
        return r < 0 ? r : 0;
}

static int keep(worker *w, const sj_str ids[], size_t n)
{
        int r = broker_revoke(w->options.broker, ids, n, sj_after(WORKER_BROKER_LIMIT));
        return r == -EOPNOTSUPP ? 0 : r;
}

/*
 * Those that came since the broker last failed to keep some. They are copied first: while the
 * broker is asked, the set may change.
 */
static int keep_again(worker *w, sj_arena *arena)
{
        const void *place = NULL;
        broker_revoked entry;
        sj_wall since = w->revoked_unkept;
        size_t n = 0;
        int r = 0;
        if (!since.us)
                return 0;
        sj_str *ids = sj_arena_alloc(arena, (revoked_count(w->revoked) + 1) * sizeof(*ids));
        if (!ids)
                return -ENOMEM;
        while (revoked_next(w->revoked, &place, &entry)) {
                const char *id = entry.since.us < since.us
                                         ? NULL
                                         : sj_arena_strndup(arena, entry.id.data, entry.id.n);
                if (id)
                        ids[n++] = (sj_str){id, entry.id.n};
        }
        w->revoked_unkept = (sj_wall){0};
        for (size_t i = 0; r >= 0 && i < n; i += KEEP_BATCH)
                r = keep(w, ids + i, n - i < KEEP_BATCH ? n - i : KEEP_BATCH);
        if (r < 0)
                w->revoked_unkept = since;
        return r;
}

int worker_revoked_load(worker *w)
{
        sj_arena *arena;
        const broker_revoked *entries;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        revoked_purge(w->revoked, os_wall());
        keep_again(w, arena); /* or the next time */
        sj_arena_reset(arena);
        /* Clocks differ a little between machines: what was told last is asked for again. */
        sj_wall after = {w->revoked_seen.us > 60 * 1000000 ? w->revoked_seen.us - 60 * 1000000 : 0};
        r = broker_revoked_list(w->options.broker, after, arena, &entries,
                                sj_after(WORKER_BROKER_LIMIT));
        if (r >= 0)
                r = take_over(w, entries, r);
        sj_arena_free(arena);
        if (r < 0 && r != -ECANCELED && r != -EOPNOTSUPP)
                sj_log(SJ_LOG_WARNING, "the broker does not say what is revoked: %s",
                       sj_strerror(r));
        return r == -ECANCELED ? r : 0;
}

int worker_revoked_keep(worker *w, const sj_str ids[], size_t n)
{
        sj_str fresh[KEEP_BATCH];
        size_t k = 0;
        int r = 0;
        sj_wall since = os_wall();
        for (size_t i = 0; i < n && r >= 0; i++) {
                if (!message_name_ok(ids[i], SJ_TASK_ID_MAX))
                        continue;
                r = revoked_add(w->revoked, ids[i], os_wall());
                if (r > 0)
                        fresh[k++] = ids[i];
                if (r >= 0 && k == KEEP_BATCH) {
                        r = keep(w, fresh, k);
                        k = 0;
                }
        }
        if (r >= 0 && k > 0)
                r = keep(w, fresh, k);
        if (r < 0 && !w->revoked_unkept.us)
                w->revoked_unkept = since;
        if (r < 0 && r != -ECANCELED)
                sj_log(SJ_LOG_WARNING, "the broker does not keep what was revoked: %s",
                       sj_strerror(r));
        return r < 0 ? r : 0;
}

int worker_revoked_take(worker *w, const sj_json *ids)
{
        int r = 0;
        sj_str batch[KEEP_BATCH];
        size_t n = sj_json_count(ids);
        for (size_t i = 0; i < n && r >= 0;) {
                size_t k = 0;
                while (k < KEEP_BATCH && i < n)
                        batch[k++] = sj_json_name_at(ids, i++);
                r = worker_revoked_keep(w, batch, k);
                if (r >= 0)
                        r = worker_revoke(w, batch, k, false, 0);
        }
        return r;
}
