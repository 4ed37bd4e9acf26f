/* SPDX-License-Identifier: MIT */
/* See message_fields.h. The tables are in the order in which Celery writes them. */
#include "queue/message/message_fields.h"

#include "base/iso8601.h"

#include <sanjab/queue.h>

#include <stdio.h>

#define FIELD(name, kind, flags, member)                                       \
        {                                                                      \
                name, sizeof(name) - 1, kind, flags, offsetof(message, member) \
        }

const field message_headers[] = {
        FIELD("lang", FIELD_TEXT, FIELD_RELAXED, lang),
        FIELD("task", FIELD_NAME, FIELD_REQUIRED, task),
        FIELD("id", FIELD_NAME, FIELD_REQUIRED, id),
        FIELD("shadow", FIELD_TEXT, FIELD_RELAXED, shadow),
        FIELD("eta", FIELD_MOMENT, 0, eta),
        FIELD("expires", FIELD_MOMENT, 0, expires),
        FIELD("group", FIELD_NAME, 0, group),
        FIELD("group_index", FIELD_INDEX, 0, group_index),
        FIELD("retries", FIELD_INT, 0, retries),
        FIELD("timelimit", FIELD_LIMITS, 0, time_limit),
        FIELD("root_id", FIELD_TEXT, FIELD_RELAXED, root_id),
        FIELD("parent_id", FIELD_TEXT, FIELD_RELAXED, parent_id),
        FIELD("argsrepr", FIELD_TEXT, FIELD_RELAXED, argsrepr),
        FIELD("kwargsrepr", FIELD_TEXT, FIELD_RELAXED, kwargsrepr),
        FIELD("origin", FIELD_TEXT, FIELD_RELAXED, origin),
        FIELD("ignore_result", FIELD_BOOL, 0, ignore_result),
        FIELD("replaced_task_nesting", FIELD_INT, 0, replaced_task_nesting),
        FIELD("stamped_headers", FIELD_ARRAY, FIELD_RELAXED, stamped_headers),
        FIELD("stamps", FIELD_OBJECT, FIELD_RELAXED, stamps),
        FIELD("compression", FIELD_TEXT, FIELD_SPARE, compression),
        FIELD("redelivered", FIELD_BOOL, FIELD_SPARE, redelivered),
};
const size_t message_n_headers = sizeof(message_headers) / sizeof(message_headers[0]);

const field message_properties[] = {
        FIELD("correlation_id", FIELD_TEXT, FIELD_RELAXED, correlation_id),
        FIELD("reply_to", FIELD_TEXT, FIELD_RELAXED, reply_to),
        FIELD("delivery_mode", FIELD_INT, FIELD_RELAXED, delivery_mode),
        FIELD("expiration", FIELD_TEXT, FIELD_RELAXED | FIELD_SPARE, expiration),
        FIELD("delivery_info", FIELD_DELIVERY, FIELD_REQUIRED, exchange),
        FIELD("priority", FIELD_INT, FIELD_RELAXED, priority),
        FIELD("body_encoding", FIELD_TEXT, 0, body_encoding),
        FIELD("delivery_tag", FIELD_NAME, FIELD_REQUIRED, delivery_tag),
};
_Static_assert(sizeof(message_headers) / sizeof(message_headers[0]) <= FIELDS_MAX,
               "the values of a table have a place");
const size_t message_n_properties = sizeof(message_properties) / sizeof(message_properties[0]);

static void *field_at(const field *f, const message *m)
{
        return (char *)(uintptr_t)m + f->offset;
}

static bool field_is_named(const field *f, sj_str name)
{
        return f->length == name.n && memcmp(f->name, name.data, name.n) == 0;
}

const field *message_field_find(const field fields[], size_t n, sj_str name)
{
        for (size_t i = 0; i < n; i++)
                if (field_is_named(&fields[i], name))
                        return &fields[i];
        return NULL;
}

/* Members mostly come in the order of the table, so the search begins behind the last one found. */
void message_fields_find(const field fields[], size_t n, const sj_json *object,
                         const sj_json *values[])
{
        size_t members = sj_json_type_of(object) == SJ_JSON_OBJECT ? sj_json_count(object) : 0;
        memset(values, 0, n * sizeof(*values));
        for (size_t k = 0, next = 0; k < members; k++) {
                sj_str name = sj_json_name_at(object, k);
                for (size_t i = 0; i < n; i++, next = next + 1 < n ? next + 1 : 0) {
                        if (field_is_named(&fields[next], name)) {
                                values[next] = sj_json_at(object, k);
                                break;
                        }
                }
        }
}

void message_fail(message_error *error, message_defect defect, const char *format, ...)
{
        if (error->defect != MESSAGE_SOUND)
                return;
        error->defect = defect;
        va_list args;
        va_start(args, format);
        vsnprintf(error->text, sizeof(error->text), format, args);
        va_end(args);
}

const char *message_show(sj_str s, char ret[64])
{
        size_t n = s.n < 63 ? s.n : 63;
        for (size_t i = 0; i < n; i++)
                ret[i] = s.data[i] >= 0x20 && s.data[i] < 0x7f ? s.data[i] : '?';
        ret[n] = 0;
        return ret;
}

/* ── Comparing ───────────────────────────────────────────────────────────────────────────── */

bool message_field_equal(const field *f, const message *a, const message *b)
{
        const void *x = field_at(f, a), *y = field_at(f, b);
        switch (f->kind) {
        case FIELD_TEXT:
        case FIELD_NAME:
                return sj_str_equal(*(const sj_str *)x, *(const sj_str *)y);
        case FIELD_MOMENT:
                return ((const sj_wall *)x)->us == ((const sj_wall *)y)->us;
        case FIELD_INT:
                return *(const int64_t *)x == *(const int64_t *)y;
        case FIELD_BOOL:
                return *(const bool *)x == *(const bool *)y;
        case FIELD_LIMITS:
                return memcmp(x, y, 2 * sizeof(double)) == 0;
        case FIELD_INDEX:
                return a->has_group_index == b->has_group_index && a->group_index == b->group_index;
        case FIELD_ARRAY:
        case FIELD_OBJECT:
                return *(const sj_json *const *)x == *(const sj_json *const *)y;
        case FIELD_DELIVERY:
                return sj_str_equal(a->exchange, b->exchange) &&
                       sj_str_equal(a->routing_key, b->routing_key);
        }
        return false;
}

bool message_field_is_set(const field *f, const message *m)
{
        static const message none;
        return !message_field_equal(f, m, &none);
}

/* ── Reading ─────────────────────────────────────────────────────────────────────────────── */

bool message_name_ok(sj_str name, size_t most)
{
        for (size_t i = 0; i < name.n && i < most; i++)
                if ((unsigned char)name.data[i] < 0x20 || name.data[i] == 0x7f)
                        return false;
        return name.n > 0 && name.n <= most;
}

static bool field_read_name(sj_str text, sj_str *ret)
{
        if (!message_name_ok(text, SJ_TASK_NAME_MAX))
                return false;
        *ret = text;
        return true;
}

static bool field_read_moment(const sj_json *value, sj_wall *ret)
{
        sj_str text;
        sj_wall when;
        if (sj_json_string(value, &text) < 0 || iso8601_parse(text, &when) < 0)
                return false;
        /* Before 1970 is as good as the first moment that is not "none". */
        ret->us = when.us > 0 ? when.us : 1;
        return true;
}

static bool field_read_limits(const sj_json *value, double limits[2])
{
        double read[2];
        if (sj_json_type_of(value) != SJ_JSON_ARRAY || sj_json_count(value) != 2)
                return false;
        for (size_t i = 0; i < 2; i++) {
                const sj_json *limit = sj_json_at(value, i);
                double seconds = 0;
                if (!sj_json_is_null(limit) &&
                    (sj_json_double(limit, &seconds) < 0 || !(seconds >= 0 && seconds < 1e12)))
                        return false;
                read[i] = seconds;
        }
        memcpy(limits, read, sizeof(read));
        return true;
}

static bool field_read_delivery(const sj_json *value, message *m)
{
        sj_str exchange, routing_key;
        if (sj_json_string(sj_json_member(value, "exchange"), &exchange) < 0 ||
            sj_json_string(sj_json_member(value, "routing_key"), &routing_key) < 0)
                return false;
        m->exchange = exchange;
        m->routing_key = routing_key;
        return true;
}

static bool field_read_json(const sj_json *value, sj_json_type type, const sj_json **ret)
{
        if (sj_json_type_of(value) != type)
                return false;
        *ret = value;
        return true;
}

/* A value that is there and not null. */
static bool field_read_value(const field *f, const sj_json *value, message *m)
{
        void *at = field_at(f, m);
        sj_str text;
        int64_t number;
        switch (f->kind) {
        case FIELD_TEXT:
                return sj_json_string(value, at) == 0;
        case FIELD_NAME:
                return sj_json_string(value, &text) == 0 && field_read_name(text, at);
        case FIELD_MOMENT:
                return field_read_moment(value, at);
        case FIELD_INT:
                if (sj_json_int(value, &number) < 0 || number < 0)
                        return false;
                *(int64_t *)at = number;
                return true;
        case FIELD_BOOL:
                return sj_json_bool(value, at) == 0;
        case FIELD_LIMITS:
                return field_read_limits(value, at);
        case FIELD_INDEX:
                if (sj_json_int(value, &m->group_index) < 0)
                        return false;
                m->has_group_index = true;
                return true;
        case FIELD_ARRAY:
                return field_read_json(value, SJ_JSON_ARRAY, at);
        case FIELD_OBJECT:
                return field_read_json(value, SJ_JSON_OBJECT, at);
        case FIELD_DELIVERY:
                return field_read_delivery(value, m);
        }
        return false;
}

static const char *field_expected(field_kind kind)
{
        static const char *const expected[] = {
                [FIELD_TEXT] = "a string",
                [FIELD_NAME] = "a string of 1 to 255 bytes without control characters",
                [FIELD_MOMENT] = "a moment as ISO 8601 text",
                [FIELD_INT] = "an integer, 0 or more",
                [FIELD_BOOL] = "a boolean",
                [FIELD_LIMITS] = "[hard, soft], each a number of seconds or null",
                [FIELD_INDEX] = "an integer",
                [FIELD_ARRAY] = "an array",
                [FIELD_OBJECT] = "an object",
                [FIELD_DELIVERY] = "an object with exchange and routing_key",
        };
        return expected[kind];
}

bool message_field_read(const field *f, const sj_json *value, message *m, char *text, size_t size)
{
        if (sj_json_is_null(value)) {
                if (f->flags & FIELD_REQUIRED)
                        snprintf(text, size, "'%s' is missing", f->name);
                return !(f->flags & FIELD_REQUIRED);
        }
        if (field_read_value(f, value, m))
                return true;
        if (f->flags & FIELD_RELAXED)
                return true;
        snprintf(text, size, "'%s' is not %s", f->name, field_expected(f->kind));
        return false;
}

/* ── Writing ─────────────────────────────────────────────────────────────────────────────── */

static void field_write_text(sj_json_writer *w, sj_str text)
{
        if (text.data)
                sj_json_write_string(w, text);
        else
                sj_json_write_null(w);
}

static void field_write_moment(sj_json_writer *w, sj_wall when)
{
        char text[ISO8601_LENGTH + 1];
        if (when.us == 0 || iso8601_format(when, text) < 0)
                sj_json_write_null(w);
        else
                sj_json_write_string(w, sj_str_of(text));
}

/* Whole seconds are written as integers, as Celery does. */
static void field_write_seconds(sj_json_writer *w, double seconds)
{
        if (!(seconds > 0))
                sj_json_write_null(w);
        else if (seconds < 9e15 && seconds == (double)(int64_t)seconds)
                sj_json_write_int(w, (int64_t)seconds);
        else
                sj_json_write_double(w, seconds);
}

static void field_write_delivery(sj_json_writer *w, const message *m)
{
        sj_json_write_object_begin(w);
        sj_json_write_name(w, "exchange");
        sj_json_write_string(w, m->exchange);
        sj_json_write_name(w, "routing_key");
        sj_json_write_string(w, m->routing_key);
        sj_json_write_object_end(w);
}

static void field_write_json(sj_json_writer *w, const field *f, const sj_json *value)
{
        if (value || f->kind == FIELD_ARRAY) {
                sj_json_write_value(w, value);
                return;
        }
        sj_json_write_object_begin(w);
        sj_json_write_object_end(w);
}

void message_field_write(const field *f, const message *m, sj_json_writer *w)
{
        const void *at = field_at(f, m);
        switch (f->kind) {
        case FIELD_TEXT:
        case FIELD_NAME:
                field_write_text(w, *(const sj_str *)at);
                break;
        case FIELD_MOMENT:
                field_write_moment(w, *(const sj_wall *)at);
                break;
        case FIELD_INT:
                sj_json_write_int(w, *(const int64_t *)at);
                break;
        case FIELD_BOOL:
                sj_json_write_bool(w, *(const bool *)at);
                break;
        case FIELD_LIMITS:
                sj_json_write_array_begin(w);
                field_write_seconds(w, m->time_limit);
                field_write_seconds(w, m->soft_time_limit);
                sj_json_write_array_end(w);
                break;
        case FIELD_INDEX:
                if (m->has_group_index)
                        sj_json_write_int(w, m->group_index);
                else
                        sj_json_write_null(w);
                break;
        case FIELD_ARRAY:
        case FIELD_OBJECT:
                field_write_json(w, f, *(const sj_json *const *)at);
                break;
        case FIELD_DELIVERY:
                field_write_delivery(w, m);
                break;
        }
}
