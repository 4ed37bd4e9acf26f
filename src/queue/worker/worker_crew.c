/* SPDX-License-Identifier: MIT */
/*
 * How many children there are to be, and which of them are let go.
 *
 *   prefork           one for each task that may run at once
 *   threads, fibers   one for all; when it is to run more than it was started for, another takes
 *                     its place as soon as that is ready
 *
 * A child that is let go (retired) gets nothing new; what it has not begun goes to the others; it
 * leaves when it has ended what it runs. So work is never killed, and nothing waits for the broker.
 * Its successor is started while it still runs, but until it has ended its last task, not more
 * than `concurrency` tasks run: w->n_busy and w->load count the leaving ones, too.
 */
#include "queue/worker/worker_internal.h"
#include "queue/worker/worker_scale.h"

#include <sanjab/sync.h>

#include <stdlib.h>

/* How long the broker is given to say whether something waits. */
#define LOOK_LIMIT (100 * SJ_MS)

size_t worker_crew_size(const worker *w)
{
        return w->options.pool == WORKER_PREFORK ? w->options.concurrency : 1;
}

unsigned worker_crew_capacity(const worker *w)
{
        if (w->options.pool == WORKER_PREFORK)
                return 1;
        unsigned most = w->options.autoscale_max;
        return most > w->options.concurrency ? most : w->options.concurrency;
}

/* ── Which stay ──────────────────────────────────────────────────────────────────────────── */

/* It has had, or is about to have, all the tasks that it may. */
static bool is_spent(const worker_child *c)
{
        unsigned most = c->w->options.max_tasks_per_child;
        return most && c->done + c->load >= most;
}

static bool is_outgrown(const worker_child *c)
{
        return c->w->options.pool != WORKER_PREFORK && c->capacity < c->w->options.concurrency;
}

/* Whether it counts among those that there are to be. */
static bool stays(const worker_child *c)
{
        return !c->ward && (c->state == CHILD_STARTING || c->state == CHILD_READY) &&
               !is_spent(c) && !is_outgrown(c);
}

size_t worker_crew_count(const worker *w)
{
        size_t n = 0;
        for (size_t i = 0; i < w->n_children; i++)
                n += w->children[i] && stays(w->children[i]);
        return n;
}

void worker_crew_load(worker_child *c)
{
        worker *w = c->w;
        w->n_busy += c->load++ == 0;
        w->load++;
        if (is_spent(c))
                worker_pool_poke(w);
}

void worker_crew_unload(worker_child *c)
{
        worker *w = c->w;
        w->n_busy -= --c->load == 0;
        w->load--;
        if (c->state == CHILD_ENDING)
                sj_event_set(&c->work);
}

/* ── Letting go ──────────────────────────────────────────────────────────────────────────── */

static void pass_on(worker *w, delivery *d)
{
        worker_child *other = w->stopping ? NULL : worker_pool_choose(w);
        if (other)
                worker_link_hand(other, d);
        else
                worker_give_back(w, d);
}

static void empty(worker_child *c)
{
        list *const lists[] = {&c->outbox, &c->sent};
        for (size_t i = 0; i < 2; i++) {
                list_for_each_safe (node, lists[i]) {
                        delivery *d = container_of(node, delivery, place);
                        if (worker_link_take_back(c, d))
                                pass_on(c->w, d);
                }
        }
}

void worker_child_retire(worker_child *c)
{
        if (c->state != CHILD_STARTING && c->state != CHILD_READY)
                return;
        c->retired = true;
        if (c->state == CHILD_STARTING) {
                worker_child_kill(c); /* it has nothing to lose */
        } else {
                c->state = CHILD_ENDING;
                empty(c);
                sj_event_set(&c->work);
        }
        worker_pool_poke(c->w);
}

/* The one whose going costs least: that is not ready yet, then with the least to do. */
static worker_child *most_idle(const worker *w)
{
        worker_child *best = NULL;
        for (size_t i = 0; i < w->n_children; i++) {
                worker_child *c = w->children[i];
                if (!c || !stays(c))
                        continue;
                if (!best || (c->state == CHILD_STARTING && best->state == CHILD_READY) ||
                    (c->state == best->state && c->load < best->load))
                        best = c;
        }
        return best;
}

void worker_crew_ready(worker_child *c)
{
        worker *w = c->w;
        for (size_t i = 0; i < w->n_children; i++) {
                worker_child *other = w->children[i];
                if (!c->ward && other && other != c && other->state == CHILD_READY &&
                    is_outgrown(other))
                        worker_child_retire(other);
        }
}

static bool is_fat(const worker_child *c)
{
        uint64_t most = c->w->options.max_memory_per_child, found;
        if (!most || os_process_memory(c->pid, &found) < 0 || found <= most)
                return false;
        sj_log(SJ_LOG_INFO, "child %d has %llu KiB resident: it is replaced", c->pid,
               (unsigned long long)found / 1024);
        return true;
}

/*
 * In one process with others' tasks it may have to wait long for the last of them. So that not
 * ever more of such wait, one at a time is let go there.
 */
static bool may_be_replaced(const worker_child *c)
{
        const worker *w = c->w;
        for (size_t i = 0; w->options.pool != WORKER_PREFORK && i < w->n_children; i++)
                if (w->children[i] && w->children[i]->retired)
                        return false;
        return true;
}

void worker_crew_after_task(worker_child *c)
{
        unsigned most = c->w->options.max_tasks_per_child;
        c->done++;
        if (c->state != CHILD_READY)
                return;
        bool is_over = most && c->done >= most;
        if (is_over || (may_be_replaced(c) && is_fat(c)))
                worker_child_retire(c);
}

/* ── Changing how many ───────────────────────────────────────────────────────────────────── */

static void set_concurrency(worker *w, unsigned n)
{
        w->options.concurrency = n;
        while (worker_crew_count(w) > worker_crew_size(w))
                worker_child_retire(most_idle(w));
        worker_pool_poke(w);
        worker_has_room(w);
}

/* What somebody asks for widens the bounds, so that it is not taken back at once. */
int worker_set_concurrency(worker *w, unsigned n)
{
        worker_options *o = &w->options;
        if (o->pool == WORKER_SOLO)
                return -EOPNOTSUPP;
        if (n == 0 || n > WORKER_CONCURRENCY_MAX)
                return -EINVAL;
        if (o->autoscale_max && n > o->autoscale_max)
                o->autoscale_max = n;
        if (o->autoscale_max && n < o->autoscale_min)
                o->autoscale_min = n;
        set_concurrency(w, n);
        return 0;
}

unsigned worker_concurrency(const worker *w)
{
        return w->options.concurrency;
}

int worker_set_autoscale(worker *w, unsigned min, unsigned max)
{
        if (!w->options.autoscale_max)
                return -EOPNOTSUPP;
        if (min == 0 || min > max || max > WORKER_CONCURRENCY_MAX)
                return -EINVAL;
        w->options.autoscale_min = min;
        w->options.autoscale_max = max;
        return 0;
}

/* ── By need ─────────────────────────────────────────────────────────────────────────────── */

/* Whether one of the queues has something ready. The broker gets a copy of their list. */
static bool queues_have_some(worker *w)
{
        size_t n = w->sources.n_queues;
        sj_str *queues = n > 0 ? malloc(n * sizeof(*queues)) : NULL;
        if (!queues)
                return false;
        memcpy(queues, w->sources.queues, n * sizeof(*queues));
        int r = broker_wait(w->options.broker, queues, n, sj_after(LOOK_LIMIT));
        free(queues);
        return r >= 0;
}

static void scale(worker *w, worker_scale *s)
{
        size_t busy = w->options.pool == WORKER_PREFORK ? w->n_busy : w->load;
        worker_need need = {.places = w->options.concurrency,
                            .busy = (unsigned)busy,
                            .min = w->options.autoscale_min,
                            .max = w->options.autoscale_max};
        /* The broker is asked only when it matters. */
        if (busy >= need.places && need.places < need.max)
                need.more = w->load > need.places || queues_have_some(w);
        unsigned n = worker_scale_decide(s, &need, sj_now());
        if (n == w->options.concurrency || w->stopping)
                return;
        sj_log(SJ_LOG_INFO, "autoscale: %u at once, instead of %u", n, w->options.concurrency);
        set_concurrency(w, n);
}

int worker_scale_duty(void *arg)
{
        worker *w = arg;
        worker_scale s = {0};
        int r = sj_event_wait(&w->ready, SJ_NEVER);
        while (r >= 0) {
                scale(w, &s);
                r = sj_sleep(WORKER_SCALE_INTERVAL);
        }
        return r;
}
