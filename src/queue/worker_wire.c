/* SPDX-License-Identifier: MIT */
#include "queue/worker_wire.h"

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
        uint32_t lengths[5]; /* id, queue, task, envelope, key */
        uint32_t unused;
} message_head;

static int write_message(buf *b, const broker_message *m)
{
        const sj_str texts[] = {m->id, m->queue, m->task, m->envelope, m->key};
        message_head head = {.eta = m->eta.us,
                             .expires = m->expires.us,
                             .key_for = m->key_for,
                             .priority = m->priority,
                             .max_deliveries = m->max_deliveries};
        int r = 0;
        for (size_t i = 0; i < 5; i++) {
                if (texts[i].n >= ABSENT)
                        return -EMSGSIZE;
                head.lengths[i] = (uint32_t)texts[i].n;
        }
        r = buf_append(b, &head, sizeof(head));
        for (size_t i = 0; i < 5 && r >= 0; i++)
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
                                .max_deliveries = head.max_deliveries};
        return take_text(c, head.lengths[0], &ret->id) &&
               take_text(c, head.lengths[1], &ret->queue) &&
               take_text(c, head.lengths[2], &ret->task) &&
               take_text(c, head.lengths[3], &ret->envelope) &&
               take_text(c, head.lengths[4], &ret->key);
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

/* ── Routes: texts that end with NUL: the default queue (may be empty), pattern, queue, ... ── */

static int write_text(buf *b, const char *text)
{
        return buf_append(b, text ? text : "", text ? strlen(text) + 1 : 1);
}

int wire_write_routes(buf *b, const sj_app_options *options)
{
        int r = write_text(b, options ? options->default_queue : NULL);
        for (size_t i = 0; r >= 0 && options && i < options->n_routes; i++) {
                r = write_text(b, options->routes[i].pattern);
                if (r >= 0)
                        r = write_text(b, options->routes[i].queue);
        }
        return r;
}

static const char *next_text(const char **at, const char *end)
{
        const char *text = *at;
        *at = memchr(text, 0, (size_t)(end - text));
        return *at ? (*at)++, text : NULL;
}

int wire_read_routes(sj_str text, sj_arena *arena, sj_app_options *ret)
{
        const char *at = sj_arena_strndup(arena, text.data, text.n);
        sj_route *routes = sj_arena_alloc(arena, (text.n / 2 + 1) * sizeof(*routes));
        if (!at || !routes)
                return -ENOMEM;
        const char *end = at + text.n;
        if (text.n == 0 || end[-1])
                return -EPROTO;
        const char *queue = next_text(&at, end);
        size_t n = 0;
        while (at < end) {
                routes[n].pattern = next_text(&at, end);
                if (at == end)
                        return -EPROTO;
                routes[n++].queue = next_text(&at, end);
        }
        *ret = (sj_app_options){
                .default_queue = *queue ? queue : NULL, .routes = routes, .n_routes = n};
        return 0;
}
