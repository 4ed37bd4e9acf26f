/* SPDX-License-Identifier: MIT */
/* One site after the other, and a fiber for each site: both in one loop, with one session. */
#include "dump.h"
#include "mode.h"

#include <stdlib.h>

typedef struct shared {
        mode_run *run;
        sj_http_session *session;
        size_t next; /* the first site that nobody has begun */
} shared;

static int check_next(shared *s)
{
        size_t i = s->next++;
        int r = check_site(s->session, s->run->list->sites[i].url, s->run->timeout,
                           &s->run->checks[i]);
        progress_step(s->run->progress);
        return r;
}

static int check_rest(void *arg)
{
        shared *s = arg;
        int r = 0;
        while (r >= 0 && s->next < s->run->list->n)
                r = check_next(s);
        return r;
}

static int check_at_once(shared *s, size_t fibers)
{
        SJ_SCOPE(all, SJ_NEVER, 0);
        int r = 0;
        for (size_t i = 0; r >= 0 && i < fibers; i++)
                r = sj_spawn(all, check_rest, s, NULL);
        int joined = sj_scope_join(all);
        return r < 0 ? r : joined;
}

static int run_in_loop(void *arg)
{
        mode_run *run = arg;
        shared s = {.run = run};
        size_t fibers = run->workers && run->workers < run->list->n ? run->workers : run->list->n;
        const sj_http_options options = {.connections = (unsigned)fibers};
        int r = sj_http_session_new(&options, &s.session);
        if (r < 0)
                return r;
        {
                SJ_SCOPE(aside, SJ_NEVER, SJ_COLLECT);
                sj_spawn(aside, dump_on_request, NULL, NULL); /* without it the checks go on */
                r = fibers == 1 ? check_rest(&s) : check_at_once(&s, fibers);
                sj_scope_cancel(aside);
                sj_scope_join(aside);
        }
        sj_http_session_free(s.session);
        return r;
}

int mode_fibers(mode_run *run)
{
        return sj_run(run_in_loop, run);
}

int mode_serial(mode_run *run)
{
        mode_run one = *run;
        one.workers = 1;
        return sj_run(run_in_loop, &one);
}
