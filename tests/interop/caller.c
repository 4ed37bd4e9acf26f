/* SPDX-License-Identifier: MIT */
/*
 * A client of ours that does what it is told: each line of the standard input is a JSON object, and
 * is answered by one on the standard output. The settings are those of the environment.
 *
 *   {"op": "send", "name": N, "args": [..], "kwargs": {..}, "call": CALL}   {"id": ID}
 *   {"op": "many", "calls": [{"name": .., "args": .., "call": ..}, ..]}     {"ids": [ID, ..]}
 *   {"op": "canvas", "tree": TREE}                          {"id": ID, "is_group": B}
 *   {"op": "group", "tree": TREE, "save": B}                {"id": ID, "members": [ID, ..]}
 *   {"op": "restore", "id": ID, "wait": S}                  {"members": [..], "outcomes": [..]}
 *   {"op": "text", "tree": TREE}                            {"text": ITS JSON}
 *   {"op": "get" | "state", "id": ID, "is_group": B, "wait": S}
 *           {"state": .., "value": .., "error": {"type": .., "message": .., "module": ..},
 *            "meta": ..}
 *   {"op": "forget" | "revoke", "id": ID}                   {}
 *
 * or what went wrong: {"errno": -NUMBER}. A TREE is one of
 *
 *   {"task": N, "args": [..], "kwargs": {..}}  {"chain": [TREE, ..]}  {"group": [TREE, ..]}
 *   {"chord": [TREE, TREE]}  {"map": [TREE, ITEMS]}  {"starmap": [TREE, ITEMS]}
 *   {"chunks": [TREE, ITEMS, SIZE]}  {"json": SIGNATURE}
 *
 * which may have, too: "immutable": true, "call": CALL, "partial": [..], "link": [TREE, ..],
 * "link_error": [TREE, ..], "stamps": {..}. A CALL has the names of sj_call's members; moments are
 * seconds since 1970.
 */
#include <sanjab/canvas.h>

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS_MAX = 200 };

typedef struct request {
        sj_app *app;
        sj_arena *arena;
        const sj_json *said;
        sj_json_writer *answer;
} request;

/* ── What is said ────────────────────────────────────────────────────────────────────────── */

static sj_signature *tree(const request *q, const sj_json *v);

/* The text of the member, or NULL. */
static const char *raw(const request *q, const sj_json *object, const char *name)
{
        sj_str text;
        const sj_json *v = sj_json_member(object, name);
        if (!v || sj_json_text(q->arena, v, SJ_JSON_PYTHON, &text) < 0)
                return NULL;
        return text.data;
}

static const char *string(const sj_json *object, const char *name)
{
        sj_str text;
        return sj_json_string(sj_json_member(object, name), &text) < 0 ? NULL : text.data;
}

static bool flag(const sj_json *object, const char *name)
{
        bool b = false;
        sj_json_bool(sj_json_member(object, name), &b);
        return b;
}

static double number(const sj_json *object, const char *name, double otherwise)
{
        sj_json_double(sj_json_member(object, name), &otherwise);
        return otherwise;
}

typedef enum field_kind { TEXT, SECONDS, MOMENT, INTEGER, COUNT, FLAG, VALUE, TREE } field_kind;

#define FIELD(kind, name)                            \
        {                                            \
                kind, #name, offsetof(sj_call, name) \
        }
static const struct {
        field_kind kind;
        const char *name;
        size_t at;
} fields[] = {
        FIELD(SECONDS, countdown),  FIELD(MOMENT, eta),
        FIELD(SECONDS, expires),    FIELD(MOMENT, expires_at),
        FIELD(TEXT, queue),         FIELD(INTEGER, priority),
        FIELD(TEXT, task_id),       FIELD(TEXT, shadow),
        FIELD(SECONDS, time_limit), FIELD(SECONDS, soft_time_limit),
        FIELD(FLAG, ignore_result), FIELD(COUNT, max_deliveries),
        FIELD(TEXT, key),           FIELD(SECONDS, key_for),
        FIELD(VALUE, headers),      FIELD(TREE, link),
        FIELD(TREE, link_error),    FIELD(TEXT, exchange),
        FIELD(TEXT, routing_key),   FIELD(TEXT, serializer),
        FIELD(TEXT, compression),   FIELD(FLAG, transient),
        FIELD(VALUE, stamps),       FIELD(TEXT, reply_to),
        FIELD(TEXT, group_id),      FIELD(TEXT, root_id),
        FIELD(TEXT, parent_id),     FIELD(TEXT, argsrepr),
        FIELD(TEXT, kwargsrepr),
};

/* False: something in it is not known, or wrong. */
static bool read_field(const request *q, const sj_json *value, size_t i, sj_call *call)
{
        void *at = (char *)call + fields[i].at;
        sj_str text;
        int64_t integer = 0;
        double seconds = 0;
        int r = 0;
        switch (fields[i].kind) {
        case TEXT:
                r = sj_json_string(value, &text);
                *(const char **)at = r < 0 ? NULL : text.data;
                break;
        case SECONDS:
                r = sj_json_double(value, at);
                break;
        case MOMENT:
                r = sj_json_double(value, &seconds);
                *(sj_wall *)at = (sj_wall){(int64_t)(seconds * 1e6)};
                break;
        case INTEGER:
                r = sj_json_int(value, &integer);
                *(int *)at = (int)integer;
                break;
        case COUNT:
                r = sj_json_int(value, &integer);
                *(uint32_t *)at = (uint32_t)integer;
                break;
        case FLAG:
                r = sj_json_bool(value, at);
                break;
        case VALUE:
                *(const sj_json **)at = value;
                break;
        case TREE:
                *(sj_signature **)at = tree(q, value);
                r = *(sj_signature **)at ? 0 : -EINVAL;
                break;
        }
        return r >= 0;
}

static bool read_call(const request *q, const sj_json *said, sj_call *ret)
{
        *ret = (sj_call){0};
        for (size_t k = 0; k < sj_json_count(said); k++) {
                size_t i = 0, n = sizeof(fields) / sizeof(fields[0]);
                while (i < n && !sj_str_equal(sj_json_name_at(said, k), sj_str_of(fields[i].name)))
                        i++;
                if (i == n || !read_field(q, sj_json_at(said, k), i, ret))
                        return false;
        }
        return true;
}

static void free_call(sj_call *call)
{
        sj_signature_free((sj_signature *)call->link);
        sj_signature_free((sj_signature *)call->link_error);
}

static size_t trees(const request *q, const sj_json *list, sj_signature *ret[PARTS_MAX])
{
        size_t n = sj_json_count(list);
        for (size_t i = 0; i < n && i < PARTS_MAX; i++)
                ret[i] = tree(q, sj_json_at(list, i));
        return n < PARTS_MAX ? n : PARTS_MAX;
}

/* What it is, without what is said of it. */
static sj_signature *bare_tree(const request *q, const sj_json *v)
{
        sj_signature *parts[PARTS_MAX];
        const sj_json *of;
        if (sj_json_member(v, "task"))
                return sj_signature_new(string(v, "task"), raw(q, v, "args"), raw(q, v, "kwargs"),
                                        NULL);
        if ((of = sj_json_member(v, "chain")))
                return sj_chain(parts, trees(q, of, parts));
        if ((of = sj_json_member(v, "group")))
                return sj_group(parts, trees(q, of, parts));
        if ((of = sj_json_member(v, "chord")) && trees(q, of, parts) == 2)
                return sj_chord(parts[0], parts[1]);
        if (sj_json_member(v, "json"))
                return sj_signature_parse(raw(q, v, "json"));
        sj_str items;
        bool star = (of = sj_json_member(v, "starmap")) != NULL;
        if (star || (of = sj_json_member(v, "map"))) {
                sj_signature *task = tree(q, sj_json_at(of, 0));
                if (sj_json_text(q->arena, sj_json_at(of, 1), SJ_JSON_PYTHON, &items) < 0)
                        return NULL;
                return star ? sj_starmap(task, items.data) : sj_map(task, items.data);
        }
        int64_t size;
        if ((of = sj_json_member(v, "chunks")) && sj_json_int(sj_json_at(of, 2), &size) >= 0 &&
            sj_json_text(q->arena, sj_json_at(of, 1), SJ_JSON_PYTHON, &items) >= 0)
                return sj_chunks(tree(q, sj_json_at(of, 0)), items.data, size);
        return NULL;
}

static sj_signature *tree(const request *q, const sj_json *v)
{
        sj_call call;
        sj_signature *s = bare_tree(q, v);
        if (s && sj_json_member(v, "partial"))
                s = sj_signature_partial(s, raw(q, v, "partial"), NULL);
        if (s && flag(v, "immutable"))
                s = sj_signature_immutable(s);
        if (s && sj_json_member(v, "call")) {
                if (!read_call(q, sj_json_member(v, "call"), &call))
                        return NULL;
                s = sj_signature_set(s, &call);
                free_call(&call);
        }
        if (s && sj_json_member(v, "stamps"))
                s = sj_signature_stamp(s, raw(q, v, "stamps"));
        SJ_JSON_EACH (sj_json_member(v, "link"), i, each)
                s = sj_signature_link(s, tree(q, each));
        SJ_JSON_EACH (sj_json_member(v, "link_error"), i, each)
                s = sj_signature_link_error(s, tree(q, each));
        return s;
}

/* ── What is answered ────────────────────────────────────────────────────────────────────── */

static void tell(const request *q, const char *name, const char *value)
{
        sj_json_write_name(q->answer, name);
        if (value)
                sj_json_write_string(q->answer, sj_str_of(value));
        else
                sj_json_write_null(q->answer);
}

static void tell_outcome(const request *q, const sj_outcome *o)
{
        tell(q, "state", o->state_name);
        sj_json_write_name(q->answer, "value");
        sj_json_write_value(q->answer, o->value);
        sj_json_write_name(q->answer, "error");
        sj_json_write_object_begin(q->answer);
        tell(q, "type", o->error.type);
        tell(q, "message", o->error.message);
        tell(q, "module", o->error.module);
        tell(q, "traceback", o->error.traceback);
        sj_json_write_object_end(q->answer);
        sj_json_write_name(q->answer, "meta");
        sj_json_write_value(q->answer, o->meta);
}

static void tell_members(const request *q, const sj_group_result *g)
{
        sj_json_write_name(q->answer, "members");
        sj_json_write_array_begin(q->answer);
        for (size_t i = 0; i < sj_group_members(g); i++)
                sj_json_write_string(q->answer, sj_str_of(sj_group_member(g, i)->id));
        sj_json_write_array_end(q->answer);
}

/* ── What is done ────────────────────────────────────────────────────────────────────────── */

static int do_send(const request *q)
{
        sj_call call;
        sj_result result;
        if (!read_call(q, sj_json_member(q->said, "call"), &call))
                return -EINVAL;
        int r = sj_send_task(q->app, string(q->said, "name"), raw(q, q->said, "args"),
                             raw(q, q->said, "kwargs"), &call, &result);
        free_call(&call);
        if (r >= 0)
                tell(q, "id", result.id);
        return r;
}

static int do_many(const request *q)
{
        sj_task_call calls[PARTS_MAX];
        sj_call options[PARTS_MAX];
        sj_result results[PARTS_MAX];
        const sj_json *list = sj_json_member(q->said, "calls");
        size_t n = sj_json_count(list);
        for (size_t i = 0; i < n; i++) {
                const sj_json *one = sj_json_at(list, i);
                if (i == PARTS_MAX || !read_call(q, sj_json_member(one, "call"), &options[i]))
                        return -EINVAL;
                calls[i] = (sj_task_call){string(one, "name"), raw(q, one, "args"),
                                          raw(q, one, "kwargs"), &options[i]};
        }
        int r = sj_send_many(q->app, calls, n, results, sj_after(30 * SJ_SEC));
        if (r < 0)
                return r;
        sj_json_write_name(q->answer, "ids");
        sj_json_write_array_begin(q->answer);
        for (size_t i = 0; i < n; i++)
                sj_json_write_string(q->answer, sj_str_of(results[i].id));
        sj_json_write_array_end(q->answer);
        return 0;
}

static int do_canvas(const request *q)
{
        sj_result result;
        sj_signature *s = tree(q, sj_json_member(q->said, "tree"));
        int r = sj_signature_send(q->app, s, &result);
        sj_signature_free(s);
        if (r < 0)
                return r;
        tell(q, "id", result.id);
        sj_json_write_name(q->answer, "is_group");
        sj_json_write_bool(q->answer, result.is_group);
        return 0;
}

static int do_text(const request *q)
{
        const char *text;
        sj_signature *s = tree(q, sj_json_member(q->said, "tree"));
        int r = sj_signature_json(s, q->arena, &text);
        sj_signature_free(s);
        if (r >= 0)
                tell(q, "text", text);
        return r;
}

static int do_group(const request *q)
{
        sj_group_result *g = NULL;
        sj_signature *s = tree(q, sj_json_member(q->said, "tree"));
        int r = sj_group_send(q->app, s, &g);
        if (r >= 0 && flag(q->said, "save"))
                r = sj_group_save(g, sj_after(10 * SJ_SEC));
        if (r >= 0) {
                tell(q, "id", sj_group_id(g));
                tell_members(q, g);
        }
        sj_group_free(g);
        sj_signature_free(s);
        return r;
}

static int do_restore(const request *q)
{
        sj_group_result *g = NULL;
        sj_outcome outcomes[PARTS_MAX];
        sj_time end = sj_after((sj_time)(number(q->said, "wait", 30) * SJ_SEC));
        int r = sj_group_restore(q->app, string(q->said, "id"), &g, end);
        if (r >= 0 && sj_group_members(g) <= PARTS_MAX)
                r = sj_group_get(g, q->arena, outcomes, end);
        if (r >= 0) {
                tell_members(q, g);
                sj_json_write_name(q->answer, "outcomes");
                sj_json_write_array_begin(q->answer);
                for (size_t i = 0; i < sj_group_members(g); i++) {
                        sj_json_write_object_begin(q->answer);
                        tell_outcome(q, &outcomes[i]);
                        sj_json_write_object_end(q->answer);
                }
                sj_json_write_array_end(q->answer);
        }
        sj_group_free(g);
        return r;
}

static sj_result result_of(const request *q)
{
        sj_result result = {.app = q->app, .is_group = flag(q->said, "is_group")};
        const char *id = string(q->said, "id");
        snprintf(result.id, sizeof(result.id), "%s", id ? id : "");
        return result;
}

static int do_get(const request *q)
{
        sj_outcome o;
        sj_result result = result_of(q);
        int r = sj_result_get(&result, q->arena, &o,
                              sj_after((sj_time)(number(q->said, "wait", 30) * SJ_SEC)));
        if (r >= 0)
                tell_outcome(q, &o);
        return r;
}

static int do_state(const request *q)
{
        sj_outcome o;
        sj_result result = result_of(q);
        int r = sj_result_state(&result, q->arena, &o, sj_after(10 * SJ_SEC));
        if (r >= 0)
                tell_outcome(q, &o);
        return r;
}

static int do_forget(const request *q)
{
        sj_result result = result_of(q);
        return sj_result_forget(&result, sj_after(10 * SJ_SEC));
}

static int do_revoke(const request *q)
{
        sj_result result = result_of(q);
        return sj_result_revoke(&result, sj_after(10 * SJ_SEC));
}

static const struct {
        const char *name;
        int (*run)(const request *q);
} operations[] = {
        {"send", do_send},       {"many", do_many},     {"canvas", do_canvas}, {"group", do_group},
        {"restore", do_restore}, {"text", do_text},     {"get", do_get},       {"state", do_state},
        {"forget", do_forget},   {"revoke", do_revoke},
};

static int carry_out(request *q, sj_str line)
{
        int r = sj_json_parse(q->arena, line, SJ_JSON_PYTHON, &q->said, NULL);
        const char *op = r < 0 ? NULL : string(q->said, "op");
        for (size_t i = 0; op && i < sizeof(operations) / sizeof(operations[0]); i++)
                if (strcmp(op, operations[i].name) == 0)
                        return operations[i].run(q);
        return r < 0 ? r : -EINVAL;
}

/* Whether the answer could be written. */
static bool serve(sj_app *app, sj_str line)
{
        request q = {.app = app};
        sj_str text;
        if (sj_arena_new(&q.arena) < 0 ||
            sj_json_writer_new(SJ_JSON_PYTHON | SJ_JSON_ASCII, &q.answer) < 0)
                return false;
        sj_json_write_object_begin(q.answer);
        int r = carry_out(&q, line);
        if (r < 0) {
                sj_json_writer_reset(q.answer);
                sj_json_write_object_begin(q.answer);
                sj_json_write_name(q.answer, "errno");
                sj_json_write_int(q.answer, r);
        }
        sj_json_write_object_end(q.answer);
        bool good = sj_json_writer_end(q.answer, &text) >= 0 && printf("%s\n", text.data) > 0 &&
                    fflush(stdout) == 0;
        sj_json_writer_free(q.answer);
        sj_arena_free(q.arena);
        return good;
}

int main(void)
{
        char *line = NULL;
        size_t room = 0;
        ssize_t n;
        sj_app *app;
        int r = sj_app_new(NULL, &app);
        if (r < 0) {
                fprintf(stderr, "caller: %s\n", sj_strerror(r));
                return 1;
        }
        while ((n = getline(&line, &room, stdin)) > 0 && serve(app, (sj_str){line, (size_t)n}))
                ;
        free(line);
        sj_app_free(app);
        return 0;
}
