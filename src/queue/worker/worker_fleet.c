/* SPDX-License-Identifier: MIT */
/*
 * Deliveries whose turn the whole fleet shares: by their queue, their task, or the value of one of
 * their arguments.
 *
 *   leased ─► asking ─► (the broker, many at once) ─► booked, soon ─► its worker's own limit ─► run
 *                                                 └─► later: back, with its turn as its eta
 *
 * Who leases does not wait for the answer, so that what has no such limit goes on meanwhile. A turn
 * within SOON is reserved and waited for here; with BOOKED_MAX of them only such that have come are
 * taken. While the broker is asked, a delivery is nobody's to touch (in_hand).
 */
#include "base/sha256.h"
#include "queue/app.h"
#include "queue/worker/worker_internal.h"

#include <sanjab/sync.h>

#include <stdio.h>

enum { ASK_MOST = 128, BOOKED_MAX = 256 };
#define SOON (2 * SJ_SEC)

/* ── Which limits ────────────────────────────────────────────────────────────────────────── */

/* What the call itself says that its limit is kept for: any JSON value; or NULL. */
static const sj_json *key_given(const delivery *d)
{
        const sj_json *value = sj_json_member(d->m.headers, "rate_key");
        return sj_json_is_null(value) ? NULL : value;
}

/* What a limit is kept for, as it came: the call's word, or an argument; empty: it is not there. */
static sj_str value_of(const delivery *d)
{
        const task_info *t = d->view.info;
        const sj_json *value = key_given(d);
        if (!value && t->rate_key.n)
                value = sj_json_find(d->m.kwargs, t->rate_key);
        if (!value && t->rate_place >= 0)
                value = sj_json_at(d->m.args, (size_t)t->rate_place);
        return value ? sj_json_raw(value) : (sj_str){0};
}

/* "task:NAME", or with a key "task:NAME:" and a digest of it: it may be any text. */
static sj_str name_of(delivery *d)
{
        const task_info *t = d->view.info;
        unsigned char digest[SHA256_BYTES];
        char hex[2 * SHA256_BYTES + 1] = "";
        if (t->rate_key.n || key_given(d)) {
                sj_str value = value_of(d);
                sha256 h;
                sha256_init(&h);
                sha256_add(&h, t->name.data, t->name.n);
                sha256_add(&h, ":", 1);
                sha256_add(&h, value.data, value.n);
                sha256_end(&h, digest);
                sha256_hex(digest, sizeof(digest), hex);
        }
        char *text = sj_arena_alloc(d->arena, BROKER_RATE_NAME_MAX + 1);
        if (!text)
                return (sj_str){0};
        int room = BROKER_RATE_NAME_MAX - (int)sizeof(hex) - 6;
        int n = snprintf(text, BROKER_RATE_NAME_MAX + 1, "task:%.*s%s%s",
                         t->name.n < (size_t)room ? (int)t->name.n : room, t->name.data,
                         hex[0] ? ":" : "", hex);
        return (sj_str){text, (size_t)n};
}

static sj_str queue_name_of(delivery *d)
{
        sj_str queue = d->lease->message.queue;
        char *text = sj_arena_alloc(d->arena, BROKER_RATE_NAME_MAX + 1);
        if (!text)
                return (sj_str){0};
        int n = snprintf(text, BROKER_RATE_NAME_MAX + 1, "queue:%.*s",
                         queue.n < BROKER_RATE_NAME_MAX - 6 ? (int)queue.n
                                                            : BROKER_RATE_NAME_MAX - 6,
                         queue.data);
        return (sj_str){text, (size_t)n};
}

static double queue_rate(const worker *w, sj_str queue)
{
        for (size_t i = 0; i < w->options.n_queue_rates; i++)
                if (app_name_matches(w->options.queue_rates[i].pattern, queue))
                        return w->options.queue_rates[i].a_second;
        return 0;
}

/* Its limits, in its arena; how many. */
static size_t rates_of(const worker *w, delivery *d, broker_rate ret[BROKER_RATES_MAX])
{
        size_t n = 0;
        double of_queue = queue_rate(w, d->lease->message.queue);
        if (of_queue > 0)
                ret[n++] = (broker_rate){queue_name_of(d), of_queue};
        if (d->view.info->fleet_rate > 0)
                ret[n++] = (broker_rate){name_of(d), d->view.info->fleet_rate};
        return n;
}

/* ── Waiting ─────────────────────────────────────────────────────────────────────────────── */

bool worker_fleet_lets(worker *w, delivery *d)
{
        if (d->view.info->fleet_rate <= 0 && queue_rate(w, d->lease->message.queue) <= 0)
                return true;
        list_append(&w->seekers, &d->place);
        d->waits_fleet = true;
        w->n_turns++;
        sj_event_set(&w->fleet_event);
        return false;
}

void worker_fleet_forget(worker *w, delivery *d)
{
        list_remove(&d->place);
        w->n_booked -= d->turn > 0;
        d->turn = 0;
        d->waits_fleet = false;
        w->n_turns--;
}

void worker_fleet_recall(worker *w)
{
        list *const lists[] = {&w->seekers, &w->booked};
        for (size_t i = 0; i < 2; i++)
                while (!list_empty(lists[i])) {
                        delivery *d = container_of(lists[i]->next, delivery, place);
                        worker_fleet_forget(w, d);
                        worker_give_back(w, d);
                }
}

/* ── Asking ──────────────────────────────────────────────────────────────────────────────── */

static void go_back(worker *w, delivery *d, sj_time pause)
{
        broker_message *next = sj_arena_alloc(d->arena, sizeof(*next));
        if (next)
                *next = (broker_message){.eta = {os_wall().us + pause / SJ_US}};
        worker_give_back_until(w, d, next);
}

static void begin(worker *w, delivery *d)
{
        if (w->stopping)
                worker_give_back(w, d);
        else if (worker_turn_has_come(w, d))
                worker_hand_out(w, d);
}

static void book(worker *w, delivery *d, sj_time pause)
{
        list_append(&w->booked, &d->place);
        d->waits_fleet = true;
        d->turn = sj_now() + pause;
        w->n_turns++;
        w->n_booked++;
}

static void answered(worker *w, delivery *d, const broker_turn *turn)
{
        d->in_hand = false;
        if (w->stopping)
                worker_give_back(w, d);
        else if (d->view.revoked || worker_is_revoked(w, d->lease->message.id))
                d->view.revoked = true, worker_judge_again(w, d);
        else if (!turn->taken)
                go_back(w, d, turn->wait);
        else
                book(w, d, turn->wait);
}

/* Of those that ask, as many as one call takes. */
static size_t gather(worker *w, delivery *of[], broker_rate rates[][BROKER_RATES_MAX],
                     broker_turn turns[])
{
        size_t n = 0;
        while (n < ASK_MOST && !list_empty(&w->seekers)) {
                delivery *d = container_of(w->seekers.next, delivery, place);
                worker_fleet_forget(w, d);
                d->in_hand = true;
                turns[n] = (broker_turn){.rates = rates[n], .n = rates_of(w, d, rates[n])};
                of[n++] = d;
        }
        return n;
}

/* Without an answer nothing is run: it comes back in a while. */
static int ask(worker *w)
{
        delivery *of[ASK_MOST];
        broker_rate rates[ASK_MOST][BROKER_RATES_MAX];
        broker_turn turns[ASK_MOST];
        size_t n = gather(w, of, rates, turns);
        sj_time horizon = w->n_booked < BOOKED_MAX ? SOON : 0;
        SJ_SCOPE(shield, sj_after(WORKER_BROKER_LIMIT), SJ_SHIELD);
        int r = broker_rate_take(w->options.broker, turns, n, horizon, SJ_NEVER);
        if (r < 0)
                sj_log(SJ_LOG_ERROR, "the broker says nothing of rates: %s", sj_strerror(r));
        for (size_t i = 0; i < n; i++) {
                if (r < 0)
                        turns[i] = (broker_turn){.wait = WORKER_RETRY_PAUSE};
                answered(w, of[i], &turns[i]);
        }
        return 0;
}

/* The first whose turn it is, or NULL, and then when to look again. */
static delivery *next_booked(const worker *w, sj_time *ret_again)
{
        delivery *first = NULL;
        list_for_each (node, &w->booked) {
                delivery *d = container_of(node, delivery, place);
                if (!first || d->turn < first->turn)
                        first = d;
        }
        if (first && first->turn > sj_now()) {
                *ret_again = first->turn;
                return NULL;
        }
        return first;
}

int worker_fleet_duty(void *arg)
{
        worker *w = arg;
        for (;;) {
                sj_time again = SJ_NEVER;
                sj_event_clear(&w->fleet_event);
                if (!list_empty(&w->seekers)) {
                        ask(w);
                        continue;
                }
                delivery *d = worker_can_hand(w) ? next_booked(w, &again) : NULL;
                if (d) {
                        worker_fleet_forget(w, d);
                        begin(w, d);
                        continue;
                }
                int r = sj_event_wait(&w->fleet_event, again);
                if (r < 0 && r != -ETIMEDOUT)
                        return r;
        }
}
