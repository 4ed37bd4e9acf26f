/* SPDX-License-Identifier: MIT */
/*
 * The manager of a process pool: one thread that owns the workers. In each turn it takes what is
 * new, reads the replies, hands out calls, and settles what has ended; between turns it sleeps on
 * the workers' bells, the zygote's socket, and the pool's news.
 */
#include "exec/process_pool.h"

enum { SPINS = 150 }; /* before it sleeps: about what a wake costs */

/* ── What is asked of the pool ───────────────────────────────────────────────────────────── */

static void cancel_pending(sj_process_pool *p, bool all)
{
        list_for_each_safe (node, &p->pending) {
                process_item *item = container_of(node, process_item, node);
                if (!all && !atomic_load(&item->cancel))
                        continue;
                list_remove(node);
                process_calls_settle(p, item, -ECANCELED, 0);
        }
}

/* Those that are on their way: taken back if they have not begun, else killed. */
static void cancel_handed(sj_process_pool *p, process_worker *w)
{
        for (uint32_t i = 0; i < PROCESS_DEPTH; i++) {
                process_item *item = w->slots[i];
                if (!item || !atomic_load(&item->cancel))
                        continue;
                if (process_calls_take_back(w, i))
                        process_calls_settle(p, item, -ECANCELED, 0);
                else
                        process_calls_kill(w);
        }
}

static void mark_running(process_worker *w)
{
        for (int i = 0; i < PROCESS_DEPTH; i++)
                if (w->slots[i])
                        atomic_store(&w->slots[i]->cancel, true);
}

static void apply(sj_process_pool *p, bool cancels, bool all_pending, bool all_running)
{
        for (size_t i = 0; i < p->n; i++) {
                process_worker *w = &p->workers[i];
                if (all_running)
                        mark_running(w);
                if (all_pending && w->state == WORKER_LIVE)
                        process_calls_take_back_all(p, w);
                if ((cancels || all_running) && w->state == WORKER_LIVE)
                        cancel_handed(p, w);
        }
        if (cancels || all_pending)
                cancel_pending(p, all_pending);
}

static void take_news(sj_process_pool *p)
{
        if (!atomic_exchange(&p->news, 0))
                return;
        mutex_lock(&p->lock);
        list_splice(&p->pending, &p->incoming);
        bool cancels = p->cancels;
        bool all_pending = p->cancel_pending;
        bool all_running = p->kill_running;
        p->leaving = p->closing;
        p->cancels = p->cancel_pending = p->kill_running = false;
        mutex_unlock(&p->lock);
        if (cancels || all_pending || all_running)
                apply(p, cancels, all_pending, all_running);
}

/* ── The turn ────────────────────────────────────────────────────────────────────────────── */

static bool work_is_left(const sj_process_pool *p)
{
        if (!list_empty(&p->pending))
                return true;
        for (size_t i = 0; i < p->n; i++)
                for (int k = 0; k < PROCESS_DEPTH; k++)
                        if (p->workers[i].slots[k])
                                return true;
        return false;
}

/* One turn. False when the pool is at its end. */
static bool turn(sj_process_pool *p)
{
        p->now = os_now();
        take_news(p);
        process_fleet_events(p);
        for (size_t i = 0; i < p->n; i++) {
                if (p->workers[i].state != WORKER_LIVE)
                        continue;
                process_calls_read(p, &p->workers[i]);
                process_calls_continue(&p->workers[i]);
        }
        process_calls_relieve(p);
        process_fleet_start(p);
        process_calls_hand_out(p);
        if (p->broken)
                process_calls_settle_all(p, -EPIPE);
        process_calls_flush(p);
        return !p->leaving || work_is_left(p) || !process_fleet_farewell(p);
}

/* The next moment at which something is to be done that no bell announces. */
static sj_time next_moment(const sj_process_pool *p)
{
        sj_time moment = p->quit_by ? p->quit_by : SJ_NEVER;
        bool waits = !list_empty(&p->pending);
        for (size_t i = 0; i < p->n; i++) {
                const process_worker *w = &p->workers[i];
                sj_time at = SJ_NEVER;
                if (w->state == WORKER_NONE && !p->broken && (!p->leaving || waits))
                        at = w->start_at;
                else if (w->state == WORKER_LIVE && w->busy > 1 && !process_calls_is_slow(p, w))
                        at = w->progress + PROCESS_PATIENCE + 1;
                moment = at < moment ? at : moment;
        }
        return moment;
}

static bool something_came(sj_process_pool *p)
{
        if (atomic_load_explicit(&p->news, memory_order_relaxed))
                return true;
        for (size_t i = 0; i < p->n; i++) {
                process_worker *w = &p->workers[i];
                if (w->state == WORKER_LIVE && !w->killed &&
                    (ring_ready(&w->link.in) || (w->sending && ring_ready(&w->link.out))))
                        return true;
        }
        return false;
}

/* Says to all that it will sleep. False: one of them has something already. */
static bool announce(sj_process_pool *p)
{
        atomic_store(&p->asleep, 1);
        if (atomic_load(&p->news))
                return false;
        for (size_t i = 0; i < p->n; i++) {
                process_worker *w = &p->workers[i];
                if (w->state == WORKER_LIVE && !w->killed &&
                    !duplex_announce(&w->link, w->sending != NULL))
                        return false;
        }
        return true;
}

static void withdraw(sj_process_pool *p)
{
        atomic_store(&p->asleep, 0);
        for (size_t i = 0; i < p->n; i++) {
                process_worker *w = &p->workers[i];
                if (w->state != WORKER_LIVE)
                        continue;
                ring_withdraw(&w->link.in);
                ring_withdraw(&w->link.out);
        }
}

static void sleep_until_news(sj_process_pool *p)
{
        for (int i = 0; i < SPINS; i++) {
                if (something_came(p))
                        return;
                cpu_relax();
        }
        if (announce(p)) {
                os_event events[16];
                int n = os_poller_wait(p->poller, events, sizeof(events) / sizeof(events[0]),
                                       next_moment(p));
                for (int i = 0; i < n; i++)
                        if (events[i].token != p)
                                os_bell_clear(((process_worker *)events[i].token)->link.bell);
        }
        withdraw(p);
}

void *process_manager(void *arg)
{
        sj_process_pool *p = arg;
        while (turn(p))
                sleep_until_news(p);
        zygote_free(p->zygote);
        p->zygote = NULL;
        for (size_t i = 0; i < p->n; i++)
                process_fleet_clear(p, &p->workers[i], SJ_NEVER);
        mutex_lock(&p->lock);
        p->ended = true;
        turnstile_let_all(&p->done);
        mutex_unlock(&p->lock);
        return NULL;
}
