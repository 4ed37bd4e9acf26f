/* SPDX-License-Identifier: MIT */
/*
 * The queues that a worker leases from, which may change while it runs.
 *
 *   known    every name that it ever had: their texts stay where they are
 *   queues   those that it has now, in the order in which they came
 *   claimed  a copy of these, of the lease fiber alone: a broker may be reading it, in another
 *            thread, while the queues change
 */
#include "queue/worker/worker_internal.h"

#include <stdlib.h>

enum { QUEUES_MAX = 1024 };

static sj_str *find(sj_str *names, size_t n, sj_str name)
{
        for (size_t i = 0; i < n; i++)
                if (sj_str_equal(names[i], name))
                        return &names[i];
        return NULL;
}

/* Room for one more in both lists, so that adding cannot fail half-way. */
static int reserve(worker_sources *s)
{
        sj_str *known = realloc(s->known, (s->n_known + 1) * sizeof(*known));
        if (!known)
                return -ENOMEM;
        s->known = known;
        sj_str *queues = realloc(s->queues, (s->n_queues + 1) * sizeof(*queues));
        if (!queues)
                return -ENOMEM;
        s->queues = queues;
        return 0;
}

/* The text of a name, which stays where it is; data NULL: no memory. */
static sj_str keep(worker_sources *s, sj_str name)
{
        const sj_str *known = find(s->known, s->n_known, name);
        if (known)
                return *known;
        const char *text = strndup(name.data, name.n);
        if (text)
                s->known[s->n_known++] = (sj_str){text, name.n};
        return (sj_str){text, name.n};
}

static int add(worker_sources *s, sj_str name)
{
        if (name.n == 0 || name.n > SJ_TASK_NAME_MAX || memchr(name.data, 0, name.n))
                return -EINVAL;
        if (find(s->queues, s->n_queues, name))
                return 0;
        if (s->n_known == QUEUES_MAX && !find(s->known, s->n_known, name))
                return -ENOSPC;
        int r = reserve(s);
        sj_str kept = r >= 0 ? keep(s, name) : (sj_str){0};
        if (!kept.data)
                return -ENOMEM;
        s->queues[s->n_queues++] = kept;
        s->changed = true;
        return 0;
}

int worker_sources_init(worker_sources *s, const sj_str queues[], size_t n)
{
        int r = 0;
        for (size_t i = 0; i < n && r >= 0; i++)
                r = add(s, queues[i]);
        return r;
}

void worker_sources_fini(worker_sources *s)
{
        for (size_t i = 0; i < s->n_known; i++)
                free((void *)(uintptr_t)s->known[i].data);
        free(s->known);
        free(s->queues);
        free(s->claimed);
        *s = (worker_sources){0};
}

int worker_sources_claim(worker_sources *s)
{
        if (!s->changed)
                return 0;
        size_t size = s->n_queues * sizeof(*s->claimed);
        sj_str *claimed = malloc(size + 1);
        if (!claimed)
                return -ENOMEM;
        if (size > 0)
                memcpy(claimed, s->queues, size);
        free(s->claimed);
        s->claimed = claimed;
        s->n_claimed = s->n_queues;
        s->changed = false;
        return 0;
}

/* The lease fiber waits for the queues of before. */
static void wake(worker *w)
{
        if (w->waiting_for_more)
                sj_scope_cancel(w->waiting_for_more);
        worker_has_room(w);
}

int worker_add_queue(worker *w, sj_str queue)
{
        int r = add(&w->sources, queue);
        if (r >= 0)
                wake(w);
        return r;
}

int worker_cancel_queue(worker *w, sj_str queue)
{
        worker_sources *s = &w->sources;
        sj_str *place = find(s->queues, s->n_queues, queue);
        if (!place)
                return -ENOENT;
        size_t after = (size_t)(s->queues + s->n_queues - place) - 1;
        memmove(place, place + 1, after * sizeof(*place));
        s->n_queues--;
        s->changed = true;
        wake(w);
        return 0;
}

size_t worker_queues(const worker *w, const sj_str **ret)
{
        *ret = w->sources.queues;
        return w->sources.n_queues;
}
