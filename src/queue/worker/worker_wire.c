/* SPDX-License-Identifier: MIT */
#include "queue/worker/worker_wire.h"

#include <stdio.h>
#include <stdlib.h>

/* The length of an absent text. */
#define ABSENT UINT32_MAX

int wire_put(ring *r, const wire_record *record)
{
        uint32_t lengths[WIRE_TEXTS_MAX];
        struct iovec parts[2 + WIRE_TEXTS_MAX];
        wire_head head = record->head;
        size_t n = 2;
        for (size_t i = 0; i < head.n_texts; i++) {
                const sj_str *text = &record->texts[i];
                if (text->n >= ABSENT)
                        return -EMSGSIZE;
                lengths[i] = text->data ? (uint32_t)text->n : ABSENT;
                if (text->data && text->n > 0)
                        parts[n++] = (struct iovec){(void *)(uintptr_t)text->data, text->n};
        }
        parts[0] = (struct iovec){&head, sizeof(head)};
        parts[1] = (struct iovec){lengths, head.n_texts * sizeof(uint32_t)};
        return ring_put(r, parts, n);
}

/* A reader of bytes that somebody else wrote. */
typedef struct cursor {
        const char *data;
        size_t n;
} cursor;

static bool take(cursor *c, void *ret, size_t n)
{
        if (n > c->n)
                return false;
        if (n > 0)
                memcpy(ret, c->data, n);
        c->data += n;
        c->n -= n;
        return true;
}

static bool take_text(cursor *c, uint32_t length, sj_str *ret)
{
        if (length == ABSENT) {
                *ret = (sj_str){0};
                return true;
        }
        if (length > c->n)
                return false;
        *ret = (sj_str){c->data, length};
        c->data += length;
        c->n -= length;
        return true;
}

int wire_get(ring *r, wire_record *ret)
{
        sj_str message;
        int error = ring_get(r, &message);
        if (error < 0)
                return error;
        cursor c = {message.data, message.n};
        uint32_t lengths[WIRE_TEXTS_MAX];
        *ret = (wire_record){0};
        if (!take(&c, &ret->head, sizeof(ret->head)) || ret->head.kind == 0 ||
            ret->head.kind >= WIRE_KINDS || ret->head.n_texts > WIRE_TEXTS_MAX ||
            !take(&c, lengths, ret->head.n_texts * sizeof(uint32_t)))
                return -EPROTO;
        for (size_t i = 0; i < ret->head.n_texts; i++)
                if (!take_text(&c, lengths[i], &ret->texts[i]))
                        return -EPROTO;
        return c.n == 0 ? 0 : -EPROTO;
}

/* ── Messages ────────────────────────────────────────────────────────────────────────────── */

typedef struct message_head {
        int64_t eta;
        int64_t expires;
        int64_t key_for;
        int32_t priority;
        uint32_t max_deliveries;
        uint32_t lengths[7]; /* id, queue, task, envelope, key, exchange, routing key */
        uint32_t awaited;
} message_head;

static int write_message(buf *b, const broker_message *m)
{
        const sj_str texts[] = {m->id,  m->queue,    m->task,       m->envelope,
                                m->key, m->exchange, m->routing_key};
        message_head head = {.eta = m->eta.us,
                             .expires = m->expires.us,
                             .key_for = m->key_for,
                             .priority = m->priority,
                             .max_deliveries = m->max_deliveries,
                             .awaited = m->awaited};
        int r = 0;
        for (size_t i = 0; i < 7; i++) {
                if (texts[i].n >= ABSENT)
                        return -EMSGSIZE;
                head.lengths[i] = (uint32_t)texts[i].n;
        }
        r = buf_append(b, &head, sizeof(head));
        for (size_t i = 0; i < 7 && r >= 0; i++)
                r = buf_append_str(b, texts[i]);
        return r;
}

int wire_write_messages(buf *b, const broker_message messages[], size_t n)
{
        uint64_t count = n;
        int r = buf_append(b, &count, sizeof(count));
        for (size_t i = 0; i < n && r >= 0; i++)
                r = write_message(b, &messages[i]);
        return r;
}

static bool read_message(cursor *c, broker_message *ret)
{
        message_head head;
        if (!take(c, &head, sizeof(head)))
                return false;
        *ret = (broker_message){.eta = {head.eta},
                                .expires = {head.expires},
                                .key_for = head.key_for,
                                .priority = head.priority,
                                .max_deliveries = head.max_deliveries,
                                .awaited = head.awaited != 0};
        return take_text(c, head.lengths[0], &ret->id) &&
               take_text(c, head.lengths[1], &ret->queue) &&
               take_text(c, head.lengths[2], &ret->task) &&
               take_text(c, head.lengths[3], &ret->envelope) &&
               take_text(c, head.lengths[4], &ret->key) &&
               take_text(c, head.lengths[5], &ret->exchange) &&
               take_text(c, head.lengths[6], &ret->routing_key);
}

int wire_read_messages(sj_str text, sj_arena *arena, broker_message **ret, size_t *ret_n)
{
        cursor c = {text.data, text.n};
        uint64_t count;
        if (!take(&c, &count, sizeof(count)) || count > BROKER_BATCH_MAX)
                return -EPROTO;
        broker_message *messages = sj_arena_alloc(arena, (size_t)count * sizeof(*messages));
        if (!messages)
                return -ENOMEM;
        for (size_t i = 0; i < count; i++)
                if (!read_message(&c, &messages[i]))
                        return -EPROTO;
        if (c.n != 0)
                return -EPROTO;
        *ret = messages;
        *ret_n = (size_t)count;
        return 0;
}

typedef struct join_head {
        int64_t size;
        uint32_t lengths[2]; /* group, body */
} join_head;

int wire_write_joins(buf *b, const broker_join joins[], size_t n)
{
        uint64_t count = n;
        int r = buf_append(b, &count, sizeof(count));
        for (size_t i = 0; i < n && r >= 0; i++) {
                const broker_join *j = &joins[i];
                if (j->group.n >= ABSENT || j->body.n >= ABSENT)
                        return -EMSGSIZE;
                const join_head head = {j->size, {(uint32_t)j->group.n, (uint32_t)j->body.n}};
                r = buf_append(b, &head, sizeof(head));
                if (r >= 0)
                        r = buf_append_str(b, j->group);
                if (r >= 0)
                        r = buf_append_str(b, j->body);
        }
        return r;
}

int wire_read_joins(sj_str text, sj_arena *arena, broker_join **ret, size_t *ret_n)
{
        cursor c = {text.data, text.n};
        uint64_t count;
        if (!take(&c, &count, sizeof(count)) || count > text.n / sizeof(join_head))
                return -EPROTO;
        broker_join *joins = sj_arena_alloc(arena, ((size_t)count + 1) * sizeof(*joins));
        if (!joins)
                return -ENOMEM;
        for (size_t i = 0; i < count; i++) {
                join_head head;
                joins[i] = (broker_join){0};
                if (!take(&c, &head, sizeof(head)) ||
                    !take_text(&c, head.lengths[0], &joins[i].group) ||
                    !take_text(&c, head.lengths[1], &joins[i].body))
                        return -EPROTO;
                joins[i].size = head.size;
        }
        if (c.n != 0)
                return -EPROTO;
        *ret = joins;
        *ret_n = (size_t)count;
        return 0;
}

int wire_write_ids(buf *b, const broker_result results[], size_t n)
{
        int r = 0;
        for (size_t i = 0; i < n && r >= 0; i++) {
                uint32_t length = (uint32_t)results[i].id.n;
                r = buf_append(b, &length, sizeof(length));
                if (r >= 0)
                        r = buf_append_str(b, results[i].id);
        }
        return r;
}

int wire_read_ids(sj_str text, sj_arena *arena, broker_result **ret, size_t *ret_n)
{
        cursor c = {text.data, text.n};
        broker_result *results =
                sj_arena_alloc(arena, (text.n / sizeof(uint32_t) + 1) * sizeof(*results));
        size_t n = 0;
        if (!results)
                return -ENOMEM;
        while (c.n) {
                uint32_t length;
                results[n] = (broker_result){.state = SJ_STR("PENDING")};
                if (n == BROKER_BATCH_MAX || !take(&c, &length, sizeof(length)) ||
                    !take_text(&c, length, &results[n++].id))
                        return -EPROTO;
        }
        *ret = results;
        *ret_n = n;
        return 0;
}

/* ── What a child's app needs: texts that end with NUL ─────────────────────────────────────
   default queue, default priority, serializer, compression, form of canvases, the broker's address,
   that of results, the options of both, and how many seconds results are kept; then of each route
   its pattern, queue and priority. What is not set is empty. */

enum { APP_TEXTS = 10, ROUTE_TEXTS = 3 };

static int write_text(buf *b, const char *text)
{
        return buf_append(b, text ? text : "", text ? strlen(text) + 1 : 1);
}

static int write_digit(buf *b, int digit)
{
        const char digits[] = {(char)('0' + digit), '\0'};
        return write_text(b, digits);
}

int wire_write_app(buf *b, const sj_app_options *options)
{
        static const sj_app_options none;
        const sj_app_options *o = options ? options : &none;
        int r = write_text(b, o->default_queue);
        if (r >= 0)
                r = write_digit(b, o->default_priority);
        if (r >= 0)
                r = write_text(b, o->serializer);
        if (r >= 0)
                r = write_text(b, o->compression);
        if (r >= 0)
                r = write_digit(b, (int)o->canvas);
        const char *const places[] = {o->broker, o->result_backend, o->transport,
                                      o->result_transport};
        for (size_t i = 0; r >= 0 && i < sizeof(places) / sizeof(places[0]); i++)
                r = write_text(b, places[i]);
        char seconds[40];
        snprintf(seconds, sizeof(seconds), "%.17g", o->result_expires);
        if (r >= 0)
                r = write_text(b, seconds);
        for (size_t i = 0; r >= 0 && i < o->n_routes; i++) {
                r = write_text(b, o->routes[i].pattern);
                if (r >= 0)
                        r = write_text(b, o->routes[i].queue);
                if (r >= 0)
                        r = write_digit(b, o->routes[i].priority);
        }
        return r;
}

/* The next text; NULL if it is empty. There is one: the texts were counted. */
static const char *next_text(const char **at)
{
        const char *text = *at;
        *at += strlen(text) + 1;
        return *text ? text : NULL;
}

static int next_digit(const char **at)
{
        const char *text = next_text(at);
        return text && *text >= '0' && *text <= '9' ? *text - '0' : 0;
}

int wire_read_app(sj_str text, sj_arena *arena, sj_app_options *ret)
{
        size_t texts = 0;
        for (size_t i = 0; i < text.n; i++)
                texts += text.data[i] == '\0';
        if (text.n == 0 || text.data[text.n - 1] || texts < APP_TEXTS ||
            (texts - APP_TEXTS) % ROUTE_TEXTS)
                return -EPROTO;
        size_t n = (texts - APP_TEXTS) / ROUTE_TEXTS;
        const char *at = sj_arena_strndup(arena, text.data, text.n);
        sj_route *routes = sj_arena_alloc(arena, (n + 1) * sizeof(*routes));
        if (!at || !routes)
                return -ENOMEM;
        *ret = (sj_app_options){.routes = routes, .n_routes = n};
        ret->default_queue = next_text(&at);
        ret->default_priority = next_digit(&at);
        ret->serializer = next_text(&at);
        ret->compression = next_text(&at);
        int canvas = next_digit(&at);
        ret->canvas = canvas <= SJ_CANVAS_COMPACT ? (sj_canvas_form)canvas : SJ_CANVAS_DEFAULT;
        ret->broker = next_text(&at);
        ret->result_backend = next_text(&at);
        ret->transport = next_text(&at);
        ret->result_transport = next_text(&at);
        const char *seconds = next_text(&at);
        ret->result_expires = seconds ? strtod(seconds, NULL) : 0;
        for (size_t i = 0; i < n; i++) {
                const char *pattern = next_text(&at);
                routes[i].pattern = pattern ? pattern : "";
                routes[i].queue = next_text(&at);
                routes[i].priority = next_digit(&at);
        }
        return 0;
}
