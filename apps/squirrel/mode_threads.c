/* SPDX-License-Identifier: MIT */
/* Plain threads that take sites from a common counter, each with a loop of its own. */
#include "mode.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { THREADS_MOST = 64 };

typedef struct shared {
        mode_run *run;
        _Atomic size_t next;
} shared;

static void *body(void *arg)
{
        shared *s = arg;
        const site_list *list = s->run->list;
        for (size_t i; (i = atomic_fetch_add(&s->next, 1)) < list->n;) {
                check_site_in_thread(list->sites[i].url, s->run->timeout, &s->run->checks[i]);
                progress_step(s->run->progress);
        }
        return NULL;
}

int mode_threads(mode_run *run)
{
        size_t n = run->workers ? run->workers : THREADS_MOST;
        if (n > run->list->n)
                n = run->list->n;
        shared s = {.run = run};
        pthread_t *threads = calloc(n, sizeof(*threads));
        if (!threads)
                return -ENOMEM;
        size_t started = 0;
        int error = 0;
        while (started < n && error == 0) {
                error = pthread_create(&threads[started], NULL, body, &s);
                started += error == 0;
        }
        for (size_t i = 0; i < started; i++)
                pthread_join(threads[i], NULL);
        free(threads);
        /* With one thread at least, all is checked, only slower. */
        return started > 0 ? 0 : -error;
}
