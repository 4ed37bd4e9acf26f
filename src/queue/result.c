/* SPDX-License-Identifier: MIT */
/*
 * Results as Celery stores them, written and read. Values and exception arguments are JSON texts
 * that pass through as they are; they were checked where they came from.
 */
#include "queue/result.h"

#include "base/iso8601.h"
#include "codec/json_named.h"

#define RESULT_JSON (SJ_JSON_PYTHON | SJ_JSON_ASCII | SJ_JSON_SPACED)

static const char *const result_names[] = {
        [SJ_PENDING] = "PENDING", [SJ_RECEIVED] = "RECEIVED", [SJ_STARTED] = "STARTED",
        [SJ_RETRY] = "RETRY",     [SJ_SUCCESS] = "SUCCESS",   [SJ_FAILURE] = "FAILURE",
        [SJ_REVOKED] = "REVOKED", [SJ_CUSTOM] = "CUSTOM",
};

const char *sj_state_name(sj_state state)
{
        return result_names[state];
}

sj_state result_state(sj_str name)
{
        if (name.n == 0)
                return SJ_PENDING;
        for (unsigned i = SJ_PENDING; i < SJ_CUSTOM; i++)
                if (sj_str_equal(name, sj_str_of(result_names[i])))
                        return (sj_state)i;
        return SJ_CUSTOM;
}

/* ── Writing ─────────────────────────────────────────────────────────────────────────────── */

static void result_write_text(sj_json_writer *w, const char *name, sj_str text)
{
        sj_json_write_name(w, name);
        if (text.n)
                sj_json_write_string(w, text);
        else
                sj_json_write_null(w);
}

static void result_write_raw(sj_json_writer *w, const char *name, sj_str text, const char *none)
{
        sj_json_write_name(w, name);
        sj_json_write_raw(w, text.n ? text : sj_str_of(none));
}

/* The value, or the exception. */
static void result_write_value(sj_json_writer *w, const result_meta *meta)
{
        if (!meta->error_type.n) {
                sj_json_write_raw(w, meta->value.n ? meta->value : SJ_STR("null"));
                return;
        }
        sj_json_write_object_begin(w);
        json_named_text(w, "exc_type", meta->error_type);
        result_write_raw(w, "exc_message", meta->error_args, "[]");
        json_named_text(w, "exc_module", meta->error_module);
        sj_json_write_object_end(w);
}

static void result_write_json(sj_json_writer *w, const char *name, const sj_json *v)
{
        sj_json_write_name(w, name);
        if (v)
                sj_json_write_value(w, v);
        else
                sj_json_write_null(w);
}

static void result_write_task(sj_json_writer *w, const result_task *task)
{
        result_write_text(w, "name", task->name);
        result_write_json(w, "args", task->args);
        result_write_json(w, "kwargs", task->kwargs);
        result_write_text(w, "worker", task->worker);
        json_named_int(w, "retries", task->retries);
        result_write_text(w, "queue", task->queue);
        if (!task->stamped_headers || !sj_json_count(task->stamps))
                return;
        result_write_json(w, "stamped_headers", task->stamped_headers);
        for (size_t i = 0; i < sj_json_count(task->stamps); i++) {
                sj_json_write_key(w, sj_json_name_at(task->stamps, i));
                sj_json_write_value(w, sj_json_at(task->stamps, i));
        }
}

static void result_write(sj_json_writer *w, const result_meta *meta)
{
        char done[ISO8601_LENGTH + 1] = "";
        sj_json_write_object_begin(w);
        result_write_text(w, "status", meta->state);
        sj_json_write_name(w, "result");
        result_write_value(w, meta);
        result_write_text(w, "traceback", meta->traceback);
        result_write_raw(w, "children", meta->children, "[]");
        if (meta->done.us && iso8601_format(meta->done, done) < 0)
                done[0] = 0;
        result_write_text(w, "date_done", sj_str_of(done));
        if (meta->group.n)
                result_write_text(w, "group_id", meta->group);
        if (meta->parent.n)
                result_write_text(w, "parent_id", meta->parent);
        if (meta->task)
                result_write_task(w, meta->task);
        result_write_text(w, "task_id", meta->id);
        sj_json_write_object_end(w);
}

static void result_write_arrival(sj_json_writer *w, const result_meta *meta)
{
        sj_json_write_array_begin(w);
        sj_json_write_int(w, 1);
        sj_json_write_string(w, meta->id);
        sj_json_write_string(w, meta->state);
        result_write_value(w, meta);
        sj_json_write_array_end(w);
}

static int result_text_of(sj_arena *arena, void (*write)(sj_json_writer *, const result_meta *),
                          const result_meta *meta, sj_str *ret)
{
        sj_json_writer *w;
        sj_str text;
        int r = sj_json_writer_new(RESULT_JSON, &w);
        if (r < 0)
                return r;
        write(w, meta);
        r = sj_json_writer_end(w, &text);
        const char *kept = r < 0 ? NULL : sj_arena_strndup(arena, text.data, text.n);
        if (r == 0 && !kept)
                r = -ENOMEM;
        if (r == 0)
                *ret = (sj_str){kept, text.n};
        sj_json_writer_free(w);
        return r;
}

int result_encode(sj_arena *arena, const result_meta *meta, sj_str *ret)
{
        return result_text_of(arena, result_write, meta, ret);
}

int result_arrival(sj_arena *arena, const result_meta *meta, sj_str *ret)
{
        return result_text_of(arena, result_write_arrival, meta, ret);
}

static int result_reasoned(sj_arena *arena, sj_str id, const char *state, const char *module,
                           const char *type, const char *reason, sj_wall now, sj_str *ret)
{
        const sj_json *text = sj_json_new_string(arena, sj_str_of(reason));
        const sj_json *list = sj_json_new_array(arena, &text, text ? 1 : 0);
        sj_str args;
        int r = text && list ? sj_json_text(arena, list, RESULT_JSON, &args) : -ENOMEM;
        if (r < 0)
                return r;
        return result_encode(arena,
                             &(result_meta){.id = id,
                                            .state = sj_str_of(state),
                                            .error_type = sj_str_of(type),
                                            .error_module = sj_str_of(module),
                                            .error_args = args,
                                            .done = now},
                             ret);
}

int result_revoked(sj_arena *arena, sj_str id, const char *reason, sj_wall now, sj_str *ret)
{
        return result_reasoned(arena, id, "REVOKED", "celery.exceptions", "TaskRevokedError",
                               reason, now, ret);
}

int result_dead(sj_arena *arena, sj_str id, const char *reason, sj_wall now, sj_str *ret)
{
        return result_reasoned(arena, id, "FAILURE", "sanjab", "DeadLetter", reason, now, ret);
}

/* ── Reading ─────────────────────────────────────────────────────────────────────────────── */

/* A NUL-terminated text; `none` if v is no string. NULs inside end it early. */
static const char *result_text(const sj_json *v, const char *none)
{
        sj_str text;
        return sj_json_string(v, &text) == 0 ? text.data : none;
}

/* What an exception says: its argument if that is one text, else all of them as JSON. */
static int result_message(sj_arena *arena, const sj_json *args, const char **ret)
{
        sj_str text;
        const sj_json *only = sj_json_type_of(args) == SJ_JSON_ARRAY && sj_json_count(args) == 1
                                      ? sj_json_at(args, 0)
                                      : args;
        if (sj_json_count(args) == 0 && sj_json_type_of(args) != SJ_JSON_STRING) {
                *ret = "";
                return 0;
        }
        if (sj_json_string(only, &text) == 0) {
                *ret = text.data;
                return 0;
        }
        int r = sj_json_text(arena, only, SJ_JSON_PYTHON, &text);
        if (r == 0)
                *ret = text.data;
        return r;
}

static int result_read_error(sj_arena *arena, const sj_json *object, sj_outcome *o)
{
        const sj_json *error = sj_json_member(object, "result");
        o->error.type = result_text(sj_json_member(error, "exc_type"), "Exception");
        o->error.module = result_text(sj_json_member(error, "exc_module"), "");
        o->error.traceback = result_text(sj_json_member(object, "traceback"), NULL);
        return result_message(arena, sj_json_member(error, "exc_message"), &o->error.message);
}

int result_decode(sj_arena *arena, sj_str state, sj_str content, sj_outcome *ret)
{
        sj_outcome o = {.state = result_state(state), .error = {"", "", "", NULL}};
        o.state_name = o.state == SJ_CUSTOM ? sj_arena_strndup(arena, state.data, state.n)
                                            : sj_state_name(o.state);
        if (!o.state_name)
                return -ENOMEM;
        if (content.n) {
                sj_str done;
                int r = sj_json_parse(arena, content, SJ_JSON_PYTHON, &o.meta, NULL);
                if (r < 0)
                        return r == -EMSGSIZE ? -EBADMSG : r;
                if (sj_json_type_of(o.meta) != SJ_JSON_OBJECT)
                        return -EBADMSG;
                if (sj_json_string(sj_json_member(o.meta, "date_done"), &done) == 0 &&
                    iso8601_parse(done, &o.done) < 0)
                        o.done = (sj_wall){0};
                bool bad = o.state == SJ_FAILURE || o.state == SJ_RETRY || o.state == SJ_REVOKED;
                if (bad)
                        r = result_read_error(arena, o.meta, &o);
                else
                        o.value = sj_json_member(o.meta, "result");
                if (r < 0)
                        return r;
        }
        *ret = o;
        return 0;
}
