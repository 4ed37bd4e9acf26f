/* SPDX-License-Identifier: MIT */
#include "store/redis_wire.h"

enum { WRITE_MOST = 256 * 1024 };

void redis_wire_init(redis_wire *w, const redis_wire_user *user, sj_time silence)
{
        *w = (redis_wire){.user = user, .silence = silence, .batch = 1};
        w->queued = BUF_INIT(REDIS_REPLY_MAX * 2);
        list_init(&w->idle_writer);
}

void redis_wire_fini(redis_wire *w)
{
        buf_fini(&w->queued);
}

/* In pieces, so that the watchdog sees a long write go on. */
static int write_batch(redis_wire *w, sj_str data)
{
        while (data.n) {
                size_t n = data.n < WRITE_MOST ? data.n : WRITE_MOST;
                int r = sj_write(w->link->stream, data.data, n, SJ_NEVER);
                if (r < 0)
                        return r;
                w->progress = sj_now();
                data.data += n;
                data.n -= n;
        }
        return 0;
}

static int await_batch(redis_wire *w)
{
        int r = fiber_check();
        if (r < 0 || buf_size(&w->queued))
                return r;
        clause c = {0};
        clause_add(&w->idle_writer, &c);
        return fiber_wait(&c, 1, SJ_NEVER, "redis, something to write", NULL);
}

static int write_all(void *arg)
{
        redis_wire *w = arg;
        buf *out = &w->link->out;
        for (;;) {
                int r = await_batch(w);
                if (r < 0)
                        return r;
                buf taken = w->queued;
                w->queued = *out;
                *out = taken;
                w->begun = w->batch++;
                r = write_batch(w, buf_str(out));
                if (r < 0)
                        return redis_link_error(r);
                redis_buffer_clear(out);
        }
}

static int take_replies(redis_wire *w)
{
        redis_link *l = w->link;
        for (;;) {
                const redis_reply *reply = NULL;
                int r = redis_decode(&l->decoder, &l->unread, w->user->arena(w), &reply);
                if (r == 0)
                        break;
                if (r > 0) {
                        w->replies++;
                        r = w->user->take(w, reply);
                }
                if (r < 0)
                        return r;
        }
        w->user->drained(w);
        return 0;
}

/* Nothing has come for long. */
static int look_alive(redis_wire *w)
{
        sj_time now = sj_now();
        if (now < w->progress + w->silence)
                return 0;
        if (w->user->due(w))
                return -EHOSTDOWN;
        w->progress = now;
        return w->user->ping(w);
}

static int read_all(void *arg)
{
        redis_wire *w = arg;
        redis_link *l = w->link;
        for (;;) {
                int r = take_replies(w);
                if (r < 0)
                        return r;
                if (w->retiring && !w->user->due(w))
                        return -ESTALE;
                ssize_t n =
                        sj_read(l->stream, l->buffer, sizeof(l->buffer), w->progress + w->silence);
                if (w->distrusted)
                        return -EPROTO;
                if (n == -ECANCELED && w->retiring)
                        return -ESTALE; /* by redis_wire_retire: the writer must go, too */
                if (n == -ETIMEDOUT) {
                        r = look_alive(w);
                        if (r < 0)
                                return r;
                        continue;
                }
                if (n <= 0)
                        return n == 0 ? -EPIPE : (int)n;
                w->progress = sj_now();
                l->unread = (sj_str){l->buffer, (size_t)n};
        }
}

int redis_wire_run(redis_wire *w, redis_link *link)
{
        w->link = link;
        w->retiring = w->distrusted = false;
        w->replies = 0;
        w->progress = sj_now();
        SJ_SCOPE(scope, SJ_NEVER, 0);
        int r = sj_spawn(scope, read_all, w, &w->reader);
        if (r == 0)
                r = sj_spawn(scope, write_all, w, NULL);
        if (r < 0)
                sj_scope_cancel(scope);
        int k = sj_scope_join(scope);
        w->reader = NULL;
        w->link = NULL;
        buf_clear(&w->queued);
        redis_link_free(link);
        return r < 0 ? r : k;
}

void redis_wire_queued(redis_wire *w, bool was_due)
{
        if (!was_due)
                w->progress = sj_now();
        clause_fire_first(&w->idle_writer, 0);
}

void redis_wire_distrust(redis_wire *w)
{
        w->distrusted = true;
        if (w->reader)
                sj_cancel(w->reader);
}

void redis_wire_retire(redis_wire *w)
{
        w->retiring = true;
        if (w->reader && !w->user->due(w))
                sj_cancel(w->reader);
}
