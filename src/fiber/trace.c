/* SPDX-License-Identifier: MIT */
/*
 * The trace: what each fiber does, in Chrome's trace format (an array of events, each of which is
 * a line). A fiber has a lane of its own, and lane 0 is the loop's:
 *
 *         lane 0   | poll |          |  poll  |
 *         lane 1   B main ─ runs | waits for join ────────── | runs ─ E
 *         lane 2               B fetch ─ ready | runs | waits for descriptor | runs ─ E
 *
 * A life (B to E) encloses what happens in it. On a lane nothing overlaps: every moment of a life
 * belongs to the one "runs" or to the one wait.
 *
 * While nobody traces, a switch pays nothing: fiber_next compares the switches with poll_at anyway,
 * and a trace makes every switch come out on the rare side of that by setting poll_at to 0. The
 * limit that is meant is then kept here.
 *
 * An event is written as text at once, since a name may be gone with its fiber; the texts collect
 * in one buffer of a fixed size, which goes to the program's function whenever the next event might
 * not fit.
 */
#include "fiber/trace.h"

#include "base/utf8.h"

#include <sanjab/debug.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
        BUFFER_BYTES = 64 * 1024,
        TEXT_MAX = 128,    /* of a name, in bytes; the rest is left out */
        EVENT_BYTES = 2048 /* two texts of escapes of 6 bytes, and the rest of an event */
};

struct trace {
        void (*write)(void *arg, const char *text, size_t n);
        void *arg;
        uint64_t poll_at;
        uint32_t lanes;
        sj_time loop_since; /* lane 0's trace_since */
        bool any;           /* an event has been written: a comma comes before the next */
        size_t n;
        char buffer[BUFFER_BYTES];
};

/* ── Text ────────────────────────────────────────────────────────────────────────────────── */

static void flush(trace *t)
{
        if (t->n > 0)
                t->write(t->arg, t->buffer, t->n);
        t->n = 0;
}

static void add(trace *t, const char *text, size_t n)
{
        memcpy(t->buffer + t->n, text, n);
        t->n += n;
}

static void print(trace *t, const char *format, ...) SJ_PRINTF(2, 3);

static void print(trace *t, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        int n = vsnprintf(t->buffer + t->n, BUFFER_BYTES - t->n, format, args);
        va_end(args);
        if (n > 0)
                t->n += (size_t)n;
}

/* The text as the inside of a JSON string; what is not UTF-8 as U+FFFD. */
static void add_escaped(trace *t, const char *text)
{
        const char *end = text + strnlen(text, TEXT_MAX);
        while (text < end) {
                uint32_t c;
                unsigned n = utf8_decode(text, end, UTF8_STRICT, &c);
                if (n == 0)
                        add(t, "\\ufffd", 6);
                else if (c < 0x20 || c == 0x7f)
                        print(t, "\\u%04x", c);
                else if (c == '"' || c == '\\')
                        print(t, "\\%c", (char)c);
                else
                        add(t, text, n);
                text += n ? n : 1;
        }
}

/* ── Events ──────────────────────────────────────────────────────────────────────────────── */

/* Begins an event of a lane; the format's unit is the microsecond. */
static void open_event(trace *t, char phase, uint32_t lane, sj_time at)
{
        if (t->n + EVENT_BYTES > BUFFER_BYTES)
                flush(t);
        print(t, "%s{\"ph\":\"%c\",\"pid\":1,\"tid\":%u,\"ts\":%lld.%03d", t->any ? ",\n" : "[\n",
              phase, lane, (long long)(at / SJ_US), (int)(at % SJ_US));
        t->any = true;
}

static void add_name(trace *t, const char *before, const char *name)
{
        print(t, ",\"name\":\"%s", before);
        add_escaped(t, name);
        add(t, "\"", 1);
}

static void name_lane(trace *t, uint32_t lane, const char *name)
{
        open_event(t, 'M', lane, 0);
        print(t, ",\"name\":\"thread_name\",\"args\":{\"name\":\"");
        add_escaped(t, name);
        print(t, "\"}}");
}

static void add_span(trace *t, uint32_t lane, const char *kind, const char *before,
                     const char *name, sj_time since, sj_time now)
{
        open_event(t, 'X', lane, since);
        print(t, ",\"dur\":%lld.%03d,\"cat\":\"%s\"", (long long)((now - since) / SJ_US),
              (int)((now - since) % SJ_US), kind);
        add_name(t, before, name);
        add(t, "}", 1);
}

static void add_begin(trace *t, sj_fiber *f, const sj_fiber *by, sj_time now)
{
        f->trace_lane = ++t->lanes;
        f->trace_since = now;
        name_lane(t, f->trace_lane, sj_fiber_name(f));
        open_event(t, 'B', f->trace_lane, now);
        add_name(t, "", sj_fiber_name(f));
        print(t, ",\"args\":{\"spawned by\":%u,\"where\":\"", by ? by->trace_lane : 0);
        add_escaped(t, atomic_load_explicit(&f->where, memory_order_relaxed));
        print(t, "\"}}");
}

/* What f has done since it last changed. */
static void add_past(trace *t, sj_fiber *f, bool ran, sj_time now)
{
        if (ran)
                add_span(t, f->trace_lane, "run", "", "runs", f->trace_since, now);
        else if (f->wait)
                add_span(t, f->trace_lane, "wait", "waits for ", f->wait->what, f->trace_since,
                         now);
        else
                add_span(t, f->trace_lane, "wait", "", "ready", f->trace_since, now);
        f->trace_since = now;
}

static void add_end(trace *t, const sj_fiber *f, sj_time now)
{
        open_event(t, 'E', f->trace_lane, now);
        if (f->has_ended)
                print(t, ",\"args\":{\"result\":%d}", f->result);
        add(t, "}", 1);
}

/* ── What the scheduler tells ────────────────────────────────────────────────────────────── */

void trace_spawned(fiber_loop *fl, sj_fiber *f)
{
        add_begin(fl->trace, f, fiber_current(), os_now());
}

loop_task *trace_next(fiber_loop *fl)
{
        trace *t = fl->trace;
        bool poll = atomic_load_explicit(&fl->switches, memory_order_relaxed) >= t->poll_at;
        loop_task *task = poll ? NULL : loop_next(&fl->loop);
        sj_fiber *next = task ? container_of(task, sj_fiber, ready) : NULL;
        sj_fiber *before = atomic_load_explicit(&fl->current, memory_order_relaxed);
        if (next == before)
                return task;
        sj_time now = os_now();
        if (before)
                add_past(t, before, true, now);
        else
                add_span(t, 0, "loop", "", "poll", t->loop_since, now);
        if (before && before->has_ended)
                add_end(t, before, now);
        if (next)
                add_past(t, next, false, now);
        else
                t->loop_since = now;
        return task;
}

void trace_poll_at(fiber_loop *fl, uint64_t switches)
{
        if (fl->trace)
                fl->trace->poll_at = switches;
        else
                fl->poll_at = switches;
}

/* ── Start and stop ──────────────────────────────────────────────────────────────────────── */

int sj_trace_start(void (*write)(void *arg, const char *text, size_t n), void *arg)
{
        fiber_loop *fl = fiber_loop_of_thread;
        if (!fl)
                return -EPERM;
        if (!write)
                return -EINVAL;
        if (fl->trace)
                return -EBUSY;
        trace *t = malloc(sizeof(*t));
        if (!t)
                return -ENOMEM;
        sj_time now = os_now();
        t->write = write;
        t->arg = arg;
        t->poll_at = fl->poll_at;
        t->lanes = 0;
        t->loop_since = now;
        t->any = false;
        t->n = 0;
        name_lane(t, 0, "loop");
        int depth = 0;
        for (sj_fiber *f = fiber_tree_first(fl); f; f = fiber_tree_next(f, &depth))
                if (!f->has_ended)
                        add_begin(t, f, f->owner->opener, now);
        fl->trace = t;
        fl->poll_at = 0;
        return 0;
}

void sj_trace_stop(void)
{
        fiber_loop *fl = fiber_loop_of_thread;
        trace *t = fl ? fl->trace : NULL;
        if (!t)
                return;
        sj_time now = os_now();
        int depth = 0;
        for (sj_fiber *f = fiber_tree_first(fl); f; f = fiber_tree_next(f, &depth)) {
                if (f->has_ended)
                        continue;
                add_past(t, f, f == fiber_current(), now);
                add_end(t, f, now);
        }
        if (!fiber_current())
                add_span(t, 0, "loop", "", "poll", t->loop_since, now);
        if (t->n + EVENT_BYTES > BUFFER_BYTES)
                flush(t);
        add(t, "\n]\n", 3);
        flush(t);
        fl->poll_at = t->poll_at;
        fl->trace = NULL;
        free(t);
}
