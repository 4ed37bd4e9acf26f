/* SPDX-License-Identifier: MIT */
/*
 * Of each message its headers are read again: whoever published it may have been handed it as
 * bytes. That costs a decode, where somebody has asked for these events.
 */
#include "queue/control/sent_events.h"

#include "codec/json_named.h"
#include "queue/control/events.h"
#include "queue/message/message.h"

/* A header as it was sent. */
static void write_header(sj_json_writer *w, const char *name, const message *m, const char *header)
{
        json_named_value(w, name, sj_json_member(m->headers, header));
}

/* Whether there was anything to write. */
static bool write_sent(events *e, sj_arena *arena, const broker_message *b)
{
        message m;
        message_error error;
        int r = message_decode_accepting(arena, b->envelope, MESSAGE_ACCEPT_ALL, &m, &error);
        if (r == -ENOMEM || !m.headers)
                return false;
        sj_json_writer *w = events_begin(e);
        write_header(w, "uuid", &m, "id");
        write_header(w, "root_id", &m, "root_id");
        write_header(w, "parent_id", &m, "parent_id");
        write_header(w, "name", &m, "task");
        write_header(w, "args", &m, "argsrepr");
        write_header(w, "kwargs", &m, "kwargsrepr");
        write_header(w, "retries", &m, "retries");
        write_header(w, "eta", &m, "eta");
        write_header(w, "expires", &m, "expires");
        json_named_text(w, "queue", b->queue);
        json_named_text(w, "exchange", m.exchange);
        json_named_text(w, "routing_key", m.routing_key);
        return true;
}

/* One goes by itself, as a client of Celery's sends it; several in batches. */
static int tell_each(events *e, sj_arena *arena, const broker_message messages[],
                     const broker_published published[], size_t n, sj_time deadline)
{
        int r = 0;
        for (size_t i = 0; i < n && r >= 0; i++) {
                sj_arena_reset(arena);
                if ((published && published[i].duplicate) || !write_sent(e, arena, &messages[i]))
                        continue;
                if (n == 1)
                        return events_send(e, "task-sent", deadline);
                events_gather(e, "task-sent", (sj_wall){0});
                if (events_held(e) == EVENTS_BATCH)
                        r = events_flush(e, deadline);
        }
        return r < 0 ? r : events_flush(e, deadline);
}

void sent_events_tell(broker *b, queue_clock *clock, sj_str sender, const broker_message messages[],
                      const broker_published published[], size_t n, sj_time deadline)
{
        events *e = NULL;
        sj_arena *arena = NULL;
        if (!broker_can(b, BROKER_PUBSUB))
                return;
        int r = sj_arena_new(&arena);
        if (r >= 0)
                r = events_new(b, clock, sender, &e);
        if (r >= 0)
                r = tell_each(e, arena, messages, published, n, deadline);
        if (r < 0)
                sj_log(SJ_LOG_WARNING, "that tasks were sent could not be told: %s",
                       sj_strerror(r));
        events_free(e);
        sj_arena_free(arena);
}
