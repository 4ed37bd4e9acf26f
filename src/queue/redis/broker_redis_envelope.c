/* SPDX-License-Identifier: MIT */
/*
 * What the broker itself reads and writes of an envelope. Everything else in it is kept as the
 * bytes that came: it may be of a newer Celery than any that we know.
 *
 * What a message of ours says that Celery has no place for (its limit of deliveries, its key)
 * stands in a member of its own at the envelope's end, which kombu ignores and keeps:
 *
 *   {"body": ..., "headers": ..., "properties": ..., "sanjab": {"max": 7, "key": "k", "for": ns}}
 */
#include "queue/redis/broker_redis.h"

#include "base/iso8601.h"
#include "codec/json_skim.h"

#include <stdio.h>

static const unsigned WRITTEN = SJ_JSON_PYTHON | SJ_JSON_ASCII | SJ_JSON_SPACED;

static int envelope_parse(sj_arena *arena, sj_str text, const sj_json **ret)
{
        *ret = NULL;
        int r = sj_json_parse_limited(arena, text, SJ_JSON_PYTHON, MESSAGE_SIZE_MAX,
                                      MESSAGE_DEPTH_MAX, ret, NULL);
        return r == -EMSGSIZE ? -EBADMSG : r;
}

/* ── Reading ─────────────────────────────────────────────────────────────────────────────── */

/* A moment of a header; one that cannot be read is the worker's to complain of. */
static sj_wall envelope_moment(const sj_json *headers, const char *name)
{
        sj_str text = {NULL, 0};
        sj_wall when = {0};
        if (sj_json_string(sj_json_member(headers, name), &text) < 0 ||
            iso8601_parse(text, &when) < 0 || when.us < 0)
                return (sj_wall){0};
        return when;
}

static void envelope_read_own(const sj_json *own, redis_envelope *ret)
{
        int64_t n;
        if (sj_json_int(sj_json_member(own, "max"), &n) == 0 && n > 0 && n <= UINT32_MAX)
                ret->max_deliveries = (uint32_t)n;
        if (sj_json_int(sj_json_member(own, "for"), &n) == 0 && n > 0)
                ret->key_for = n;
        sj_json_string(sj_json_member(own, "key"), &ret->key);
}

static void envelope_read_properties(const sj_json *properties, redis_envelope *ret)
{
        int64_t priority;
        if (sj_json_int(sj_json_member(properties, "priority"), &priority) == 0)
                ret->priority = priority < 0                     ? 0
                                : priority > BROKER_PRIORITY_MAX ? BROKER_PRIORITY_MAX
                                                                 : (int)priority;
        sj_json_bool(sj_json_member(sj_json_member(properties, "delivery_info"), "redelivered"),
                     &ret->redelivered);
}

/* Protocol 1 has all in its body; and of what is defective, the defect has to be told. */
static int envelope_read_whole(sj_arena *arena, sj_str text, redis_envelope *ret, char *reason,
                               size_t size)
{
        message m;
        message_error error;
        int r = message_decode(arena, text, &m, &error);
        if (r < 0 && r != -EBADMSG)
                return r;
        if (!message_name_ok(m.id, SJ_TASK_ID_MAX)) {
                snprintf(reason, size, "%s: %s", message_defect_name(error.defect),
                         r < 0 ? error.text : "it has no id");
                return -EBADMSG;
        }
        ret->id = m.id;
        ret->task = m.task;
        ret->eta = m.eta;
        ret->expires = m.expires;
        return 0;
}

static int envelope_read_parsed(sj_arena *arena, sj_str text, redis_envelope *ret, char *reason,
                                size_t size)
{
        const sj_json *envelope;
        *ret = (redis_envelope){.priority = 0};
        int r = envelope_parse(arena, text, &envelope);
        if (r < 0 && r != -EBADMSG)
                return r;
        const sj_json *headers = sj_json_member(envelope, "headers");
        envelope_read_properties(sj_json_member(envelope, "properties"), ret);
        envelope_read_own(sj_json_member(envelope, "sanjab"), ret);
        sj_json_string(sj_json_member(headers, "task"), &ret->task);
        if (sj_json_string(sj_json_member(headers, "id"), &ret->id) < 0 ||
            !message_name_ok(ret->id, SJ_TASK_ID_MAX) || !ret->task.data)
                return envelope_read_whole(arena, text, ret, reason, size);
        ret->eta = envelope_moment(headers, "eta");
        ret->expires = envelope_moment(headers, "expires");
        return 0;
}

/*
 * Nearly all messages are of one plain form, and the worker that gets them parses them whole: to
 * parse them here, too, would cost as much as all else that is done for them in this process. What
 * the shortcut finds odd, or at all interesting, is parsed.
 */
static void skim_headers(json_skim *s, redis_envelope *ret)
{
        sj_str name;
        if (!json_skim_open(s)) {
                json_skim_value(s);
                return;
        }
        while (json_skim_member(s, &name)) {
                if (sj_str_equal(name, SJ_STR("id")))
                        ret->id = json_skim_string(s);
                else if (sj_str_equal(name, SJ_STR("task")))
                        ret->task = json_skim_string(s);
                else if (sj_str_equal(name, SJ_STR("eta")) || sj_str_equal(name, SJ_STR("expires")))
                        s->odd |= !sj_str_equal(json_skim_value(s), SJ_STR("null"));
                else
                        json_skim_value(s);
        }
}

static void skim_properties(json_skim *s)
{
        sj_str name;
        if (!json_skim_open(s)) {
                json_skim_value(s);
                return;
        }
        while (json_skim_member(s, &name)) {
                sj_str value = json_skim_value(s);
                if (sj_str_equal(name, SJ_STR("priority")))
                        s->odd |= !sj_str_equal(value, SJ_STR("0"));
                else if (value.data && sj_str_equal(name, SJ_STR("delivery_info")))
                        s->odd |= memmem(value.data, value.n, "redelivered", 11) != NULL;
        }
}

static bool envelope_skim(sj_str text, redis_envelope *ret)
{
        sj_str name;
        json_skim s = json_skim_of(text);
        *ret = (redis_envelope){.priority = 0};
        if (!json_skim_open(&s))
                return false;
        while (json_skim_member(&s, &name)) {
                s.odd |= sj_str_equal(name, SJ_STR("sanjab"));
                if (sj_str_equal(name, SJ_STR("headers")))
                        skim_headers(&s, ret);
                else if (sj_str_equal(name, SJ_STR("properties")))
                        skim_properties(&s);
                else
                        json_skim_value(&s);
        }
        return !s.odd && ret->task.data && message_name_ok(ret->id, SJ_TASK_ID_MAX);
}

int redis_envelope_read(sj_arena *arena, sj_str text, redis_envelope *ret, char *reason,
                        size_t size)
{
        return envelope_skim(text, ret) ? 0 : envelope_read_parsed(arena, text, ret, reason, size);
}

/* ── Marking ─────────────────────────────────────────────────────────────────────────────── */

typedef void envelope_writer(sj_json_writer *w, const sj_json *value);

static void write_true(sj_json_writer *w, const sj_json *value)
{
        (void)value;
        sj_json_write_bool(w, true);
}

/* Writes an object as it came, but for one member, which `member` writes; at the end if it lacks
 * it. */
static void write_with(sj_json_writer *w, const sj_json *object, sj_str name,
                       envelope_writer *member)
{
        bool found = false;
        if (!sj_json_is_null(object) && sj_json_type_of(object) != SJ_JSON_OBJECT) {
                sj_json_write_value(w, object);
                return;
        }
        sj_json_write_object_begin(w);
        for (size_t i = 0; i < sj_json_count(object); i++) {
                bool it = sj_str_equal(sj_json_name_at(object, i), name);
                sj_json_write_key(w, sj_json_name_at(object, i));
                if (it)
                        member(w, sj_json_at(object, i));
                else
                        sj_json_write_value(w, sj_json_at(object, i));
                found |= it;
        }
        if (!found) {
                sj_json_write_key(w, name);
                member(w, NULL);
        }
        sj_json_write_object_end(w);
}

static void write_redelivered(sj_json_writer *w, const sj_json *object)
{
        write_with(w, object, SJ_STR("redelivered"), write_true);
}

static void write_properties(sj_json_writer *w, const sj_json *object)
{
        write_with(w, object, SJ_STR("delivery_info"), write_redelivered);
}

static void write_envelope(sj_json_writer *w, const sj_json *envelope)
{
        sj_json_write_object_begin(w);
        for (size_t i = 0; i < sj_json_count(envelope); i++) {
                sj_str name = sj_json_name_at(envelope, i);
                sj_json_write_key(w, name);
                if (sj_str_equal(name, SJ_STR("headers")))
                        write_redelivered(w, sj_json_at(envelope, i));
                else if (sj_str_equal(name, SJ_STR("properties")))
                        write_properties(w, sj_json_at(envelope, i));
                else
                        sj_json_write_value(w, sj_json_at(envelope, i));
        }
        sj_json_write_object_end(w);
}

int redis_envelope_mark(sj_arena *arena, sj_str text, sj_str *ret)
{
        const sj_json *envelope;
        sj_json_writer *w;
        sj_str marked;
        int r = envelope_parse(arena, text, &envelope);
        if (r == -EBADMSG || (r == 0 && sj_json_type_of(envelope) != SJ_JSON_OBJECT)) {
                *ret = text;
                return 0;
        }
        if (r == 0)
                r = sj_json_writer_new(WRITTEN, &w);
        if (r < 0)
                return r;
        write_envelope(w, envelope);
        r = sj_json_writer_end(w, &marked);
        const char *kept = r == 0 ? sj_arena_strndup(arena, marked.data, marked.n) : NULL;
        sj_json_writer_free(w);
        if (r == -EINVAL || r == -EMSGSIZE) {
                *ret = text;
                return 0;
        }
        if (!kept)
                return r < 0 ? r : -ENOMEM;
        *ret = (sj_str){kept, marked.n};
        return 0;
}

/* ── Signing ─────────────────────────────────────────────────────────────────────────────── */

int redis_envelope_sign(sj_arena *arena, const broker_message *m, sj_str *ret)
{
        sj_str text = m->envelope, own;
        *ret = text;
        if (!m->max_deliveries && !m->key.n)
                return 0;
        while (text.n && text.data[text.n - 1] != '}')
                text.n--;
        if (text.n < 2)
                return 0;
        sj_json_writer *w;
        int r = sj_json_writer_new(WRITTEN, &w);
        if (r < 0)
                return r;
        sj_json_write_object_begin(w);
        if (m->max_deliveries) {
                sj_json_write_name(w, "max");
                sj_json_write_int(w, m->max_deliveries);
        }
        if (m->key.n) {
                sj_json_write_name(w, "key");
                sj_json_write_string(w, m->key);
        }
        if (m->key.n && m->key_for) {
                sj_json_write_name(w, "for");
                sj_json_write_int(w, m->key_for);
        }
        sj_json_write_object_end(w);
        r = sj_json_writer_end(w, &own);
        size_t room = text.n + own.n + 16;
        char *whole = r == 0 ? sj_arena_alloc(arena, room) : NULL;
        if (whole) {
                size_t n = text.n - 1;
                memcpy(whole, text.data, n);
                n += (size_t)snprintf(whole + n, room - n, ", \"sanjab\": ");
                memcpy(whole + n, own.data, own.n);
                n += own.n;
                whole[n++] = '}';
                *ret = (sj_str){whole, n};
        }
        sj_json_writer_free(w);
        return r < 0 ? r : whole ? 0 : -ENOMEM;
}

/* ── Entries of `unacked` ────────────────────────────────────────────────────────────────── */

/* Where `, "", "` is last: what we wrote behind an envelope cannot hold it itself. */
static bool envelope_split(sj_str value, sj_str *ret_envelope, sj_str *ret_rest)
{
        static const char mark[] = ", \"\", \"";
        size_t n = sizeof(mark) - 1;
        if (value.n < n + 3 || value.data[0] != '[')
                return false;
        for (size_t i = value.n - n; i > 0; i--) {
                if (memcmp(value.data + i, mark, n) != 0)
                        continue;
                *ret_envelope = (sj_str){value.data + 1, i - 1};
                *ret_rest = (sj_str){value.data + i + n - 1, value.n - i - n};
                return true;
        }
        return false;
}

int redis_envelope_unpack(sj_arena *arena, sj_str value, sj_str *ret_envelope, sj_str *ret_exchange,
                          sj_str *ret_key)
{
        const sj_json *entry;
        sj_str rest;
        int r = envelope_parse(arena, value, &entry);
        if (r == 0 && sj_json_count(entry) == 3 && sj_json_type_of(entry) == SJ_JSON_ARRAY &&
            sj_json_string(sj_json_at(entry, 1), ret_exchange) == 0 &&
            sj_json_string(sj_json_at(entry, 2), ret_key) == 0) {
                *ret_envelope = sj_json_raw(sj_json_at(entry, 0));
                return 0;
        }
        if (r < 0 && r != -EBADMSG)
                return r;
        if (!envelope_split(value, ret_envelope, &rest))
                return -EBADMSG;
        *ret_exchange = SJ_STR("");
        r = sj_json_parse(arena, rest, 0, &entry, NULL);
        return r < 0 ? r == -ENOMEM ? r : -EBADMSG : sj_json_string(entry, ret_key);
}
