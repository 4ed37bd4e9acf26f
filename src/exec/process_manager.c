/* SPDX-License-Identifier: MIT */
/*
 * The manager of a process pool: one thread that owns the workers. In each turn it takes what is
 * new, reads the replies, hands out calls, and settles what has ended; between turns it sleeps on
 * the workers' bells, the zygote's socket, and the pool's news.
 *
 * Read-ahead. A worker gets up to PROCESS_DEPTH calls in advance, so that short ones cost no wake
 * each. A worker that has not replied for PATIENCE is slow: it gets no more, and what it has not
 * begun is taken back, to its place at the head of the queue. So a long call delays nothing behind
 * it for longer than that, and a call that runs longer has no need of read-ahead.
 *
 * A worker's end. Replies that it had written are read first. Of the calls left, the one that it
 * had claimed fails; the others go back. A call that three workers have met their end with, before
 * they began it, fails too: its input may be what kills them.
 *
 * The zygote's end is the end of all workers. Another zygote is started.
 */
#include "exec/process_pool.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum {
        SPINS = 150, /* before it sleeps: about what a wake costs */
        ATTEMPTS = 3,
        BARREN_FREE = 2, /* ends without a reply before restarts slow down */
        BARREN_MOST = 8,
};

static const sj_time PATIENCE = SJ_MS;
static const sj_time RESTART = 50 * SJ_MS; /* doubled for each barren end */
static const sj_time QUIT_LIMIT = 2 * SJ_SEC;

/* ── Settling ────────────────────────────────────────────────────────────────────────────── */

static void give_back(sj_process_pool *p, process_item *item)
{
        item->used = false;
        list_append(&p->free, &item->node);
        turnstile_let_one(&p->room);
}

static void flush_outcomes(sj_process_pool *p)
{
        if (p->n_outcomes == 0)
                return;
        mutex_lock(&p->lock);
        for (size_t i = 0; i < p->n_outcomes; i++)
                give_back(p, p->outcomes[i].item);
        mutex_unlock(&p->lock);
        for (size_t i = 0; i < p->n_outcomes; i++) {
                const process_outcome *o = &p->outcomes[i];
                if (o->group)
                        process_group_settle(o->group, o->index, o->result, o->status);
                else
                        sj_future_set(o->future, o->result, (void *)(intptr_t)o->status);
        }
        p->n_outcomes = 0;
}

/* The item is in no list. */
static void settle(sj_process_pool *p, process_item *item, int result, int status)
{
        if (result == -EOWNERDEAD && atomic_load(&item->cancel)) {
                result = -ECANCELED;
                status = 0;
        }
        if (p->n_outcomes == PROCESS_OUTCOMES)
                flush_outcomes(p);
        p->outcomes[p->n_outcomes++] = (process_outcome){
                .item = item,
                .future = item->future,
                .group = item->group,
                .index = item->index,
                .result = result,
                .status = status,
        };
}

static void settle_pending(sj_process_pool *p, int result)
{
        for (list *node = list_pop(&p->pending); node; node = list_pop(&p->pending))
                settle(p, container_of(node, process_item, node), result, 0);
}

/* ── Slots ───────────────────────────────────────────────────────────────────────────────── */

static void kill_worker(process_worker *w)
{
        if (w->state == WORKER_LIVE && !w->killed)
                os_kill(w->pidfd, SIGKILL);
        w->killed = true;
}

static void free_slot(process_worker *w, uint32_t slot)
{
        w->slots[slot] = NULL;
        w->taken[slot] = false;
        atomic_store(&w->shared->claims[slot], CLAIM_FREE);
        w->busy--;
}

/* Takes a call back that the worker has not begun; NULL if it has. */
static process_item *take_back(process_worker *w, uint32_t slot)
{
        process_item *item = w->slots[slot];
        uint32_t expected = CLAIM_QUEUED;
        if (!item || item == w->sending ||
            !atomic_compare_exchange_strong(&w->shared->claims[slot], &expected, CLAIM_TAKEN))
                return NULL;
        w->slots[slot] = NULL;
        w->taken[slot] = true;
        return item;
}

/* The slot of the call that was handed over last, of those handed over before `before`. */
static int latest_slot(const process_worker *w, uint64_t before)
{
        int found = -1;
        for (int i = 0; i < PROCESS_DEPTH; i++)
                if (w->slots[i] && w->order[i] < before &&
                    (found < 0 || w->order[i] > w->order[found]))
                        found = i;
        return found;
}

/* Puts what the worker has not begun back to the head of the queue, in its old order; how many. */
static size_t take_back_all(sj_process_pool *p, process_worker *w)
{
        size_t n = 0;
        int slot = latest_slot(w, UINT64_MAX);
        while (slot >= 0) {
                uint64_t order = w->order[slot];
                process_item *item = take_back(w, (uint32_t)slot);
                if (item) {
                        list_prepend(&p->pending, &item->node);
                        n++;
                }
                slot = latest_slot(w, order);
        }
        return n;
}

/* ── Replies ─────────────────────────────────────────────────────────────────────────────── */

/* False: it makes no sense. */
static bool take_reply(sj_process_pool *p, process_worker *w, sj_str message)
{
        process_reply r;
        if (message.n < sizeof(r))
                return false;
        memcpy(&r, message.data, sizeof(r));
        size_t n = message.n - sizeof(r);
        if (r.slot >= PROCESS_DEPTH)
                return false;
        w->progress = p->now;
        if (r.kind == PROCESS_SKIPPED) {
                if (!w->taken[r.slot])
                        return false;
                free_slot(w, r.slot);
                return true;
        }
        process_item *item = w->slots[r.slot];
        if (r.kind != PROCESS_RESULT || !item || item == w->sending || n > item->capacity ||
            n != (r.result > 0 ? (size_t)r.result : 0))
                return false;
        if (n > 0)
                memcpy(item->output, message.data + sizeof(r), n);
        free_slot(w, r.slot);
        w->useful = true;
        w->barren = 0;
        settle(p, item, r.result, 0);
        return true;
}

static void read_replies(sj_process_pool *p, process_worker *w)
{
        sj_str message = {0};
        int error;
        while ((error = ring_get(&w->link.in, &message)) == 0)
                if (!take_reply(p, w, message)) {
                        error = -EPROTO;
                        break;
                }
        if (error == -EAGAIN || w->killed)
                return;
        sj_log(SJ_LOG_ERROR, "%s: process %d wrote over its messages (%s) and is killed", p->name,
               w->pid, sj_strerror(error));
        kill_worker(w);
}

/* ── Starting and ending ─────────────────────────────────────────────────────────────────── */

static size_t index_of(const sj_process_pool *p, const process_worker *w)
{
        return (size_t)(w - p->workers);
}

static void set_pid(sj_process_pool *p, process_worker *w, int pid)
{
        w->pid = pid;
        mutex_lock(&p->lock);
        p->pids[index_of(p, w)] = pid;
        mutex_unlock(&p->lock);
}

static void give_up(sj_process_pool *p, int error)
{
        sj_log(SJ_LOG_ERROR, "%s: no more processes can be started: %s", p->name,
               sj_strerror(error));
        mutex_lock(&p->lock);
        p->broken = true;
        mutex_unlock(&p->lock);
}

/* It has no process any more, or none yet; another try at `start_at`. */
static void clear_worker(sj_process_pool *p, process_worker *w, sj_time start_at)
{
        if (w->link.memory)
                os_poller_forget(p->poller, w->link.bell);
        os_close(w->pidfd);
        duplex_fini(&w->link);
        set_pid(p, w, 0);
        *w = (process_worker){
                .pidfd = -1,
                .link = DUPLEX_INIT,
                .barren = w->barren,
                .start_at = start_at,
        };
}

static void retry_worker(sj_process_pool *p, process_worker *w)
{
        if (w->barren < BARREN_MOST)
                w->barren++;
        sj_time delay = w->barren <= BARREN_FREE ? 0 : RESTART << (w->barren - BARREN_FREE);
        clear_worker(p, w, p->now + delay);
}

static int ask_for_worker(sj_process_pool *p, process_worker *w)
{
        duplex_shape shape = process_shape(p->ring);
        int error = duplex_new(p->name, &shape, &w->link);
        if (error < 0)
                return error;
        w->shared = w->link.extra;
        error = os_poller_watch(p->poller, w->link.bell, w);
        if (error < 0)
                return error;
        uint64_t capacity = p->ring;
        char name[40];
        snprintf(name, sizeof(name), "%.*s-%zu", ZYGOTE_NAME_MAX - 4, p->name, index_of(p, w));
        int fds[DUPLEX_FDS];
        duplex_fds(&w->link, fds);
        zygote_request request = {
                .id = w->id = ++p->next_id,
                .entry = process_worker_entry,
                .name = name,
                .argument = {(const char *)&capacity, sizeof(capacity)},
                .fds = fds,
                .n_fds = DUPLEX_FDS,
        };
        return zygote_spawn(p->zygote, &request);
}

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

static void start_workers(sj_process_pool *p)
{
        if (p->broken || (p->leaving && list_empty(&p->pending)))
                return;
        for (size_t i = 0; i < p->n; i++) {
                process_worker *w = &p->workers[i];
                if (w->state != WORKER_NONE || w->start_at > p->now)
                        continue;
                int error = ask_for_worker(p, w);
                if (error == 0) {
                        w->state = WORKER_STARTING;
                        continue;
                }
                sj_log(SJ_LOG_WARNING, "%s: a process could not be started: %s", p->name,
                       sj_strerror(error));
                retry_worker(p, w);
        }
}

/* What could not be sent whole is still ours. */
static size_t take_back_partial(sj_process_pool *p, process_worker *w)
{
        process_item *item = w->sending;
        if (!item)
                return 0;
        w->sending = NULL;
        w->slots[w->sending_slot] = NULL;
        list_prepend(&p->pending, &item->node);
        return 1;
}

/* Of what the worker had: replies first, then the claimed one fails and the others go back. */
static void settle_end(sj_process_pool *p, process_worker *w, int status)
{
        read_replies(p, w);
        size_t back = take_back_partial(p, w) + take_back_all(p, w);
        bool claimed = false;
        for (int i = 0; i < PROCESS_DEPTH; i++) {
                if (!w->slots[i])
                        continue;
                claimed = true;
                settle(p, w->slots[i], -EOWNERDEAD, status);
                w->slots[i] = NULL;
        }
        if (claimed || back == 0)
                return;
        process_item *suspect = container_of(p->pending.next, process_item, node);
        if (++suspect->attempts < ATTEMPTS)
                return;
        list_remove(&suspect->node);
        settle(p, suspect, -EOWNERDEAD, status);
}

static void worker_ended(sj_process_pool *p, process_worker *w, int status)
{
        settle_end(p, w, status);
        bool expected = w->quitting || w->useful;
        if (expected)
                clear_worker(p, w, p->now);
        else
                retry_worker(p, w);
}

static process_worker *worker_of(sj_process_pool *p, uint64_t id)
{
        for (size_t i = 0; i < p->n; i++)
                if (p->workers[i].state != WORKER_NONE && p->workers[i].id == id)
                        return &p->workers[i];
        return NULL;
}

static void take_event(sj_process_pool *p, const zygote_event *e)
{
        process_worker *w = worker_of(p, e->id);
        if (!w) {
                os_close(e->pidfd);
                return;
        }
        switch (e->what) {
        case ZYGOTE_STARTED:
                w->state = WORKER_LIVE;
                w->pidfd = e->pidfd;
                set_pid(p, w, e->pid);
                break;
        case ZYGOTE_REFUSED:
                sj_log(SJ_LOG_WARNING, "%s: a process could not be forked: %s", p->name,
                       sj_strerror(e->status));
                w->barren = w->barren > BARREN_FREE ? w->barren : BARREN_FREE;
                retry_worker(p, w);
                if (e->status == -ENOENT)
                        give_up(p, e->status);
                break;
        case ZYGOTE_ENDED:
                worker_ended(p, w, e->status);
                break;
        }
}

/* The kernel has killed the workers, or will have in a moment: no claim of theirs can win now. */
static void replace_zygote(sj_process_pool *p)
{
        sj_log(SJ_LOG_WARNING, "%s: the process that forks the others has ended; a new one starts",
               p->name);
        os_poller_forget(p->poller, zygote_fd(p->zygote));
        for (size_t i = 0; i < p->n; i++) {
                process_worker *w = &p->workers[i];
                if (w->state == WORKER_LIVE)
                        os_kill(w->pidfd, SIGKILL);
                if (w->state != WORKER_NONE)
                        worker_ended(p, w, SIGKILL);
        }
        zygote_free(p->zygote);
        p->zygote = NULL;
        int error = zygote_new(p->name, &p->zygote);
        if (error == 0)
                error = os_poller_watch(p->poller, zygote_fd(p->zygote), p);
        if (error < 0)
                give_up(p, error);
}

static void take_events(sj_process_pool *p)
{
        if (!p->zygote || p->broken)
                return;
        zygote_event e;
        int error;
        while ((error = zygote_next(p->zygote, &e)) == 0)
                take_event(p, &e);
        if (error != -EAGAIN)
                replace_zygote(p);
}

/* ── Handing out ─────────────────────────────────────────────────────────────────────────── */

static bool is_slow(const sj_process_pool *p, const process_worker *w)
{
        return w->busy > 0 && p->now - w->progress > PATIENCE;
}

/* Whether it may get the item. One that does not fit into the ring goes to an idle worker only. */
static bool can_take(const sj_process_pool *p, const process_worker *w, const process_item *item)
{
        if (w->state != WORKER_LIVE || w->killed || w->quitting || w->sending)
                return false;
        if (item->n + sizeof(process_request) > p->ring / 4)
                return w->busy == 0;
        return w->busy < PROCESS_DEPTH && !is_slow(p, w);
}

static process_worker *choose_worker(sj_process_pool *p, const process_item *item)
{
        process_worker *best = NULL;
        for (size_t i = 0; i < p->n; i++) {
                process_worker *w = &p->workers[i];
                if (can_take(p, w, item) && (!best || w->busy < best->busy))
                        best = w;
        }
        return best;
}

static int put_request(process_worker *w, const process_item *item, uint32_t slot)
{
        process_request r = {
                .kind = PROCESS_CALL,
                .slot = slot,
                .function = item->function,
                .capacity = item->capacity,
        };
        struct iovec parts[] = {{&r, sizeof(r)}, {(void *)(uintptr_t)item->input, item->n}};
        return ring_put(&w->link.out, parts, 2);
}

/* -EAGAIN: the worker's ring is full, and the item not handed over. */
static int hand_over(sj_process_pool *p, process_worker *w, process_item *item)
{
        uint32_t slot = 0;
        while (w->slots[slot] || w->taken[slot])
                slot++;
        atomic_store(&w->shared->claims[slot], CLAIM_QUEUED);
        int error = put_request(w, item, slot);
        if (error < 0 && !ring_in_part(&w->link.out)) {
                atomic_store(&w->shared->claims[slot], CLAIM_FREE);
                return error;
        }
        if (w->busy == 0)
                w->progress = p->now;
        w->busy++;
        w->slots[slot] = item;
        w->order[slot] = w->handed++;
        if (error == -EAGAIN) {
                w->sending = item;
                w->sending_slot = slot;
        }
        return 0;
}

static void continue_sending(process_worker *w)
{
        if (w->sending && put_request(w, w->sending, w->sending_slot) == 0)
                w->sending = NULL;
}

static void hand_out(sj_process_pool *p)
{
        while (!list_empty(&p->pending)) {
                process_item *item = container_of(p->pending.next, process_item, node);
                process_worker *w = choose_worker(p, item);
                if (!w)
                        break;
                list_remove(&item->node);
                int error = hand_over(p, w, item);
                if (error < 0)
                        list_prepend(&p->pending, &item->node);
                if (error == -EPROTO)
                        kill_worker(w);
                if (error < 0)
                        break;
        }
        for (size_t i = 0; i < p->n; i++)
                if (p->workers[i].state == WORKER_LIVE)
                        ring_flush(&p->workers[i].link.out);
}

static void take_back_from_slow(sj_process_pool *p)
{
        for (size_t i = 0; i < p->n; i++) {
                process_worker *w = &p->workers[i];
                if (w->state == WORKER_LIVE && w->busy > 1 && is_slow(p, w))
                        take_back_all(p, w);
        }
}

/* ── What is asked of the pool ───────────────────────────────────────────────────────────── */

static void cancel_pending(sj_process_pool *p, bool all)
{
        list_for_each_safe (node, &p->pending) {
                process_item *item = container_of(node, process_item, node);
                if (!all && !atomic_load(&item->cancel))
                        continue;
                list_remove(node);
                settle(p, item, -ECANCELED, 0);
        }
}

/* Those that are on their way: taken back if they have not begun, else killed. */
static void cancel_handed(sj_process_pool *p, process_worker *w)
{
        for (uint32_t i = 0; i < PROCESS_DEPTH; i++) {
                process_item *item = w->slots[i];
                if (!item || !atomic_load(&item->cancel))
                        continue;
                if (take_back(w, i))
                        settle(p, item, -ECANCELED, 0);
                else
                        kill_worker(w);
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
                        take_back_all(p, w);
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

/* Asks the workers to end. True when none is left, or their time is over. */
static bool say_farewell(sj_process_pool *p)
{
        bool left = false;
        if (p->quit_by == 0)
                p->quit_by = p->now + QUIT_LIMIT;
        for (size_t i = 0; i < p->n; i++) {
                process_worker *w = &p->workers[i];
                left = left || w->state != WORKER_NONE;
                if (w->state != WORKER_LIVE || w->quitting || w->killed)
                        continue;
                process_request r = {.kind = PROCESS_QUIT};
                struct iovec part = {&r, sizeof(r)};
                w->quitting = ring_put(&w->link.out, &part, 1) == 0;
                ring_flush(&w->link.out);
        }
        return !left || p->now >= p->quit_by;
}

/* One turn. False when the pool is at its end. */
static bool turn(sj_process_pool *p)
{
        p->now = os_now();
        take_news(p);
        take_events(p);
        for (size_t i = 0; i < p->n; i++) {
                if (p->workers[i].state != WORKER_LIVE)
                        continue;
                read_replies(p, &p->workers[i]);
                continue_sending(&p->workers[i]);
        }
        take_back_from_slow(p);
        start_workers(p);
        hand_out(p);
        if (p->broken)
                settle_pending(p, -EPIPE);
        flush_outcomes(p);
        return !p->leaving || work_is_left(p) || !say_farewell(p);
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
                else if (w->state == WORKER_LIVE && w->busy > 1 && !is_slow(p, w))
                        at = w->progress + PATIENCE + 1;
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
                clear_worker(p, &p->workers[i], SJ_NEVER);
        mutex_lock(&p->lock);
        p->ended = true;
        turnstile_let_all(&p->done);
        mutex_unlock(&p->lock);
        return NULL;
}
