/* SPDX-License-Identifier: MIT */
/*
 * Requests and replies as texts, in the order of members in which Celery writes them; and to whom
 * a request is addressed, by the same rule as kombu's: a list of names, else a pattern, else all.
 *
 * A glob is matched with one place to come back to, the last star: what a stranger sends costs at
 * most the product of the two lengths, which have limits.
 */
#include "queue/control/control.h"

#include "codec/json_named.h"
#include "queue/control/letter.h"

static void write_text_or_null(sj_json_writer *w, const char *name, sj_str text)
{
        sj_json_write_name(w, name);
        if (text.n)
                sj_json_write_string(w, text);
        else
                sj_json_write_null(w);
}

static void write_request(sj_json_writer *w, const control_request *request)
{
        sj_json_write_object_begin(w);
        json_named_text(w, "method", request->method);
        sj_json_write_name(w, "arguments");
        if (request->arguments)
                sj_json_write_value(w, request->arguments);
        else
                sj_json_write_raw(w, SJ_STR("{}"));
        json_named_value(w, "destination", request->destination);
        write_text_or_null(w, "pattern", request->pattern);
        write_text_or_null(w, "matcher", request->matcher);
        if (request->reply_key.n) {
                json_named_text(w, "ticket", request->ticket);
                json_named_object(w, "reply_to");
                json_named_text(w, "exchange", request->reply_exchange);
                json_named_text(w, "routing_key", request->reply_key);
                sj_json_write_object_end(w);
        }
        sj_json_write_object_end(w);
}

/* What the writer holds, in the arena; frees it. */
static int take_text(sj_arena *arena, sj_json_writer *w, sj_str *ret)
{
        sj_str text;
        int r = sj_json_writer_end(w, &text);
        if (r >= 0) {
                const char *copy = sj_arena_strndup(arena, text.data, text.n);
                *ret = (sj_str){copy, text.n};
                r = copy ? 0 : -ENOMEM;
        }
        sj_json_writer_free(w);
        return r;
}

static int new_writer(sj_json_writer **ret)
{
        return sj_json_writer_new(SJ_JSON_SPACED | SJ_JSON_ASCII | SJ_JSON_PYTHON, ret);
}

int control_request_encode(sj_arena *arena, const control_request *request, sj_str *ret)
{
        sj_json_writer *w;
        sj_str body, headers;
        int r = new_writer(&w);
        if (r < 0)
                return r;
        write_request(w, request);
        r = take_text(arena, w, &body);
        if (r >= 0)
                r = new_writer(&w);
        if (r < 0)
                return r;
        sj_json_write_object_begin(w);
        json_named_int(w, "clock", request->clock);
        json_named_double(w, "expires", request->expires);
        sj_json_write_object_end(w);
        r = take_text(arena, w, &headers);
        const letter to = {
                .exchange = SJ_STR(CONTROL_CHANNEL), .lasting = true, .packed = request->packed};
        return r < 0 ? r : letter_encode(arena, &to, headers, body, ret);
}

static int refuse(const char **ret_why, const char *why)
{
        *ret_why = why;
        return -EBADMSG;
}

/* A member of that type, NULL when it is null or missing; false when it is anything else. */
static bool member_of(const sj_json *object, const char *name, sj_json_type type,
                      const sj_json **ret)
{
        const sj_json *v = sj_json_member(object, name);
        *ret = sj_json_is_null(v) ? NULL : v;
        return !*ret || sj_json_type_of(v) == type;
}

int control_request_decode(sj_arena *arena, sj_str text, control_request *ret, const char **ret_why)
{
        letter l;
        int r = letter_decode(arena, text, &l, ret_why);
        if (r < 0)
                return r;
        control_request q = {.method = letter_text(l.body, "method"),
                             .pattern = letter_text(l.body, "pattern"),
                             .matcher = letter_text(l.body, "matcher"),
                             .ticket = letter_text(l.body, "ticket"),
                             .packed = l.packed,
                             .clock = letter_int(l.headers, "clock", 0)};
        const sj_json *reply_to;
        sj_json_double(sj_json_member(l.headers, "expires"), &q.expires);
        if (q.method.n == 0)
                return refuse(ret_why, "it has no method");
        if (!member_of(l.body, "arguments", SJ_JSON_OBJECT, &q.arguments))
                return refuse(ret_why, "its arguments are not an object");
        if (!member_of(l.body, "destination", SJ_JSON_ARRAY, &q.destination))
                return refuse(ret_why, "its destination is not a list");
        if (!member_of(l.body, "reply_to", SJ_JSON_OBJECT, &reply_to))
                return refuse(ret_why, "its reply_to is not an object");
        if (q.pattern.n > CONTROL_PATTERN_MAX)
                return refuse(ret_why, "its pattern is too long");
        q.reply_exchange = letter_text(reply_to, "exchange");
        q.reply_key = letter_text(reply_to, "routing_key");
        *ret = q;
        return 0;
}

/* ── To whom ─────────────────────────────────────────────────────────────────────────────── */

/*
 * Whether c is in the set that follows the '[' at p, and where that ends; NULL: it is not closed,
 * and the bracket stands for itself. As in Python, a ']' that comes first belongs to the set.
 */
static const char *match_set(const char *p, const char *end, char c, bool *ret)
{
        bool negated = p < end && *p == '!';
        bool found = false;
        p += negated;
        for (const char *first = p; p < end && (*p != ']' || p == first); p++) {
                if (end - p > 2 && p[1] == '-' && p[2] != ']') {
                        found |= (unsigned char)p[0] <= (unsigned char)c &&
                                 (unsigned char)c <= (unsigned char)p[2];
                        p += 2;
                } else {
                        found |= *p == c;
                }
        }
        *ret = found != negated;
        return p < end ? p + 1 : NULL;
}

/* Where the pattern goes on after one element that c fits; NULL: it does not fit. */
static const char *match_one(const char *p, const char *end, char c)
{
        bool fits = false;
        const char *next = p < end && *p == '[' ? match_set(p + 1, end, c, &fits) : NULL;
        if (next)
                return fits ? next : NULL;
        return p < end && (*p == '?' || *p == c) ? p + 1 : NULL;
}

bool control_glob(sj_str pattern, sj_str text)
{
        const char *p = pattern.data, *p_end = p + pattern.n;
        const char *t = text.data, *t_end = t + text.n;
        const char *star = NULL, *star_text = NULL;
        while (t < t_end) {
                const char *next = p < p_end && *p == '*' ? NULL : match_one(p, p_end, *t);
                if (p < p_end && *p == '*') {
                        star = ++p;
                        star_text = t;
                } else if (next) {
                        p = next;
                        t++;
                } else if (star) {
                        p = star;
                        t = ++star_text;
                } else {
                        return false;
                }
        }
        while (p < p_end && *p == '*')
                p++;
        return p == p_end;
}

int control_is_for(const control_request *request, sj_str node)
{
        sj_str name;
        if (sj_json_count(request->destination) > 0) {
                SJ_JSON_EACH (request->destination, i, element)
                        if (sj_json_string(element, &name) >= 0 && sj_str_equal(name, node))
                                return 1;
                return 0;
        }
        if (request->pattern.n == 0 || request->matcher.n == 0)
                return 1;
        if (!sj_str_equal(request->matcher, SJ_STR("glob")))
                return -EOPNOTSUPP;
        return control_glob(request->pattern, node);
}

/* ── Replies ─────────────────────────────────────────────────────────────────────────────── */

int control_reply_encode(sj_arena *arena, const control_request *to, sj_str node, sj_str value,
                         int64_t clock, sj_str *ret)
{
        sj_json_writer *w;
        sj_str body, headers;
        int r = new_writer(&w);
        if (r < 0)
                return r;
        sj_json_write_object_begin(w);
        sj_json_write_key(w, node);
        sj_json_write_raw(w, value);
        sj_json_write_object_end(w);
        r = take_text(arena, w, &body);
        if (r >= 0)
                r = new_writer(&w);
        if (r < 0)
                return r;
        sj_json_write_object_begin(w);
        json_named_text(w, "ticket", to->ticket);
        json_named_int(w, "clock", clock);
        sj_json_write_object_end(w);
        r = take_text(arena, w, &headers);
        const letter where = {
                .exchange = to->reply_exchange, .routing_key = to->reply_key, .packed = to->packed};
        return r < 0 ? r : letter_encode(arena, &where, headers, body, ret);
}

int control_reply_decode(sj_arena *arena, sj_str text, sj_str ticket, control_reply *ret,
                         int64_t *ret_clock, const char **ret_why)
{
        letter l;
        int r = letter_decode(arena, text, &l, ret_why);
        if (r < 0)
                return r;
        if (!sj_str_equal(letter_text(l.headers, "ticket"), ticket)) {
                *ret_why = "it answers another request";
                return -ESTALE;
        }
        if (sj_json_type_of(l.body) != SJ_JSON_OBJECT || sj_json_count(l.body) != 1)
                return refuse(ret_why, "it is not an object with one node");
        *ret = (control_reply){.node = sj_json_name_at(l.body, 0), .value = sj_json_at(l.body, 0)};
        *ret_clock = letter_int(l.headers, "clock", 0);
        return 0;
}
