/* SPDX-License-Identifier: MIT */
/*
 * Gathered events lie one behind the other as JSON texts, with the end of each beside them:
 *
 *   texts  {"hostname": ...}{"hostname": ...}{"hostname": ...
 *   ends                    ^                ^
 *
 * so that a batch is a copy with brackets and commas, and nothing is allocated for each event.
 */
#include "queue/control/events.h"

#include "base/buf.h"
#include "codec/json_named.h"
#include "os/os.h"
#include "queue/control/letter.h"

#include <stdlib.h>

#define WEST_FOR 60000000 /* microseconds for which the offset to UTC is believed */

struct events {
        broker *b;
        queue_clock *clock;
        sj_arena *arena; /* of what is being sent */
        sj_json_writer *w;
        char *hostname;
        sj_str headers; /* of the letters; behind hostname */
        int pid;
        int west;
        sj_wall west_at;
        buf texts;
        size_t ends[EVENTS_HELD]; /* of each text, from the first on */
        size_t n;
        size_t lost;
        bool flushing;
        unsigned users; /* of the arena: those who are sending */
};

static int make_headers(events *e, sj_str hostname)
{
        sj_str text;
        sj_json_write_object_begin(e->w);
        json_named_text(e->w, "hostname", hostname);
        sj_json_write_object_end(e->w);
        int r = sj_json_writer_end(e->w, &text);
        if (r < 0)
                return r;
        e->hostname = malloc(hostname.n + 1 + text.n);
        if (!e->hostname)
                return -ENOMEM;
        memcpy(e->hostname, hostname.data, hostname.n);
        e->hostname[hostname.n] = '\0';
        memcpy(e->hostname + hostname.n + 1, text.data, text.n);
        e->headers = (sj_str){e->hostname + hostname.n + 1, text.n};
        return 0;
}

int events_new(broker *b, queue_clock *clock, sj_str hostname, events **ret)
{
        events *e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        e->b = b;
        e->clock = clock;
        e->pid = os_pid();
        e->texts = BUF_INIT(0);
        int r = sj_arena_new(&e->arena);
        if (r >= 0)
                r = sj_json_writer_new(SJ_JSON_SPACED | SJ_JSON_ASCII | SJ_JSON_PYTHON, &e->w);
        if (r >= 0)
                r = make_headers(e, hostname);
        if (r < 0) {
                events_free(e);
                return r;
        }
        *ret = e;
        return 0;
}

void events_free(events *e)
{
        if (!e)
                return;
        sj_json_writer_free(e->w);
        sj_arena_free(e->arena);
        buf_fini(&e->texts);
        free(e->hostname);
        free(e);
}

/* ── One event ───────────────────────────────────────────────────────────────────────────── */

static int west_now(events *e, sj_wall now)
{
        if (e->west_at.us == 0 || now.us - e->west_at.us > WEST_FOR || now.us < e->west_at.us) {
                e->west = os_hours_west(now);
                e->west_at = now;
        }
        return e->west;
}

sj_json_writer *events_begin(events *e)
{
        sj_json_writer_reset(e->w);
        sj_json_write_object_begin(e->w);
        json_named_text(e->w, "hostname", sj_str_of(e->hostname));
        json_named_int(e->w, "utcoffset", west_now(e, os_wall()));
        json_named_int(e->w, "pid", e->pid);
        json_named_int(e->w, "clock", queue_clock_forward(e->clock));
        return e->w;
}

static int finish(events *e, const char *type, sj_wall when, sj_str *ret)
{
        if (when.us == 0)
                when = os_wall();
        json_named_double(e->w, "timestamp", (double)when.us / 1e6);
        json_named_text(e->w, "type", sj_str_of(type));
        sj_json_write_object_end(e->w);
        return sj_json_writer_end(e->w, ret);
}

void events_gather(events *e, const char *type, sj_wall when)
{
        sj_str text;
        if (e->n == EVENTS_HELD || finish(e, type, when, &text) < 0 ||
            buf_append_str(&e->texts, text) < 0) {
                e->lost++;
                return;
        }
        e->ends[e->n++] = buf_size(&e->texts);
}

static void leave_arena(events *e)
{
        if (--e->users == 0)
                sj_arena_reset(e->arena);
}

/* Sends a letter on the exchange's channel for that key. */
static int emit(events *e, sj_str key, sj_str body, sj_time deadline)
{
        char channel[SJ_TASK_NAME_MAX + sizeof(EVENTS_EXCHANGE) + 1] = EVENTS_EXCHANGE "/";
        const size_t n = sizeof(EVENTS_EXCHANGE);
        const letter to = {.exchange = SJ_STR(EVENTS_EXCHANGE), .routing_key = key};
        sj_str text;
        if (key.n > SJ_TASK_NAME_MAX)
                return -EINVAL;
        memcpy(channel + n, key.data, key.n);
        int r = letter_encode(e->arena, &to, e->headers, body, &text);
        return r < 0 ? r : broker_emit(e->b, (sj_str){channel, n + key.n}, text, deadline);
}

int events_send(events *e, const char *type, sj_time deadline)
{
        char key[64];
        sj_str text;
        size_t n = 0;
        for (; type[n] && n < sizeof(key); n++)
                key[n] = type[n] == '-' ? '.' : type[n];
        e->users++;
        int r = finish(e, type, (sj_wall){0}, &text);
        if (r >= 0)
                r = emit(e, (sj_str){key, n}, text, deadline);
        leave_arena(e);
        return r;
}

/* ── Batches ─────────────────────────────────────────────────────────────────────────────── */

size_t events_held(const events *e)
{
        return e->n;
}

size_t events_lost(events *e)
{
        size_t lost = e->lost;
        e->lost = 0;
        return lost;
}

/* "[first, second]" in the arena. */
static int batch_of(events *e, size_t n, sj_str *ret)
{
        size_t size = e->ends[n - 1] + 2 * n;
        char *text = sj_arena_alloc(e->arena, size), *end = text;
        if (!text)
                return -ENOMEM;
        *end++ = '[';
        for (size_t i = 0, from = 0; i < n; from = e->ends[i++]) {
                if (i > 0) {
                        memcpy(end, ", ", 2);
                        end += 2;
                }
                memcpy(end, buf_data(&e->texts) + from, e->ends[i] - from);
                end += e->ends[i] - from;
        }
        *end++ = ']';
        *ret = (sj_str){text, (size_t)(end - text)};
        return 0;
}

static void drop(events *e, size_t n)
{
        size_t size = e->ends[n - 1];
        buf_consume(&e->texts, size);
        e->n -= n;
        for (size_t i = 0; i < e->n; i++)
                e->ends[i] = e->ends[i + n] - size;
}

/* What is gathered while a batch is on its way waits behind it. */
int events_flush(events *e, sj_time deadline)
{
        int r = 0;
        if (e->flushing)
                return 0;
        e->flushing = true;
        while (e->n > 0 && r >= 0) {
                size_t n = e->n < EVENTS_BATCH ? e->n : EVENTS_BATCH;
                sj_str body;
                e->users++;
                r = batch_of(e, n, &body);
                if (r >= 0)
                        r = emit(e, SJ_STR("task.multi"), body, deadline);
                if (r >= 0)
                        drop(e, n);
                leave_arena(e);
        }
        e->flushing = false;
        return r;
}
