/* SPDX-License-Identifier: MIT */
/*
 * Running a task: the arguments of the message are bound to the parameters of the function, as
 * Python would, and each is turned into its C type or refused; then the body is called, and what
 * it returned or raised becomes a task_return.
 *
 * The body's verdict is what it returns: 0 or more is success, whatever was raised before. Below
 * 0, the last of sj_raise and sj_retry says what is meant; without either it is an OSError.
 */
#include "base/buf.h"
#include "base/utf8.h"
#include "queue/app.h"
#include "queue/call.h"
#include "queue/result.h"
#include "queue/task/task.h"

#include <stdio.h>
#include <stdlib.h>

enum { RAISE_TEXT_MAX = 1048576 };

typedef struct task_state {
        const sj_task *task;
        const task_host *host;
        sj_arena *arena;
        task_return raised; /* type empty: nothing was */
        task_end asked;     /* an end that is no failure, or TASK_FAILED */
        sj_str replacement; /* REPLACED: the signature */
        bool no_memory;
} task_state;

/* ── Errors ──────────────────────────────────────────────────────────────────────────────── */

/* The classes of Python's builtins that a task may raise by their bare names. */
static const char *const task_builtins[] = {
        "ArithmeticError",
        "AssertionError",
        "AttributeError",
        "BlockingIOError",
        "BrokenPipeError",
        "BufferError",
        "ChildProcessError",
        "ConnectionAbortedError",
        "ConnectionError",
        "ConnectionRefusedError",
        "ConnectionResetError",
        "EOFError",
        "Exception",
        "FileExistsError",
        "FileNotFoundError",
        "FloatingPointError",
        "IOError",
        "ImportError",
        "IndexError",
        "InterruptedError",
        "IsADirectoryError",
        "KeyError",
        "LookupError",
        "MemoryError",
        "NameError",
        "NotADirectoryError",
        "NotImplementedError",
        "OSError",
        "OverflowError",
        "PermissionError",
        "ProcessLookupError",
        "ReferenceError",
        "RuntimeError",
        "StopIteration",
        "SystemError",
        "TimeoutError",
        "TypeError",
        "UnicodeError",
        "ValueError",
        "ZeroDivisionError",
};

static bool task_is_builtin(sj_str type)
{
        for (size_t i = 0; i < sizeof(task_builtins) / sizeof(task_builtins[0]); i++)
                if (sj_str_equal(type, sj_str_of(task_builtins[i])))
                        return true;
        return false;
}

static sj_str state_keep(task_state *s, sj_str text)
{
        const char *kept = sj_arena_strndup(s->arena, text.n ? text.data : "", text.n);
        if (!kept)
                s->no_memory = true;
        return (sj_str){kept ? kept : "", kept ? text.n : 0};
}

/* What a text says of itself to JSON: bytes that are no UTF-8 become question marks. */
static sj_str state_utf8(task_state *s, sj_str text)
{
        if (utf8_valid(text, UTF8_STRICT))
                return state_keep(s, text);
        char *copy = sj_arena_strndup(s->arena, text.data, text.n);
        if (!copy) {
                s->no_memory = true;
                return SJ_STR("");
        }
        for (size_t i = 0; i < text.n;) {
                uint32_t c;
                unsigned n = utf8_decode(copy + i, copy + text.n, UTF8_STRICT, &c);
                if (!n)
                        copy[i] = '?';
                i += n ? n : 1;
        }
        return (sj_str){copy, text.n};
}

static sj_str state_json(task_state *s, const sj_json *value)
{
        sj_str text = {"", 0};
        if (!value || sj_json_text(s->arena, value, SJ_JSON_PYTHON, &text) < 0)
                s->no_memory = true;
        return text;
}

/* As Python prints it, so that monitors show it as they do. */
static sj_str state_traceback(task_state *s, sj_str type, sj_str said)
{
        const char *colon = strrchr(s->task->where, ':');
        buf b = BUF_INIT(16384);
        buf_printf(&b, "Traceback (most recent call last):\n  File \"%.*s\", line %s, in %s\n",
                   colon ? (int)(colon - s->task->where) : (int)strlen(s->task->where),
                   s->task->where, colon ? colon + 1 : "0", s->task->c_name);
        buf_printf(&b, "%.*s: ", SJ_STR_ARG(type));
        buf_append(&b, said.data, said.n < 8192 ? said.n : 8192);
        buf_append_char(&b, '\n');
        sj_str text = state_utf8(s, buf_str(&b));
        buf_fini(&b);
        return text;
}

/* Notes an error; args NULL: the message alone. */
static void state_raise(task_state *s, const char *type, sj_str said, const sj_json *args)
{
        const char *dot = strrchr(type, '.');
        sj_str bare = sj_str_of(dot ? dot + 1 : type);
        sj_str module = dot                     ? (sj_str){type, (size_t)(dot - type)}
                        : task_is_builtin(bare) ? SJ_STR("builtins")
                                                : SJ_STR("sanjab");
        said = state_utf8(s, said);
        if (!args) {
                const sj_json *text = sj_json_new_string(s->arena, said);
                args = text ? sj_json_new_array(s->arena, &text, 1) : NULL;
        }
        s->raised = (task_return){.end = TASK_FAILED,
                                  .type = state_utf8(s, bare),
                                  .module = state_utf8(s, module),
                                  .args = state_json(s, args),
                                  .traceback = state_traceback(s, bare, said),
                                  .countdown = -1};
}

static void state_raisef(task_state *s, const char *type, const char *format, ...) SJ_PRINTF(3, 4);
static void state_raisef(task_state *s, const char *type, const char *format, ...)
{
        char text[1024];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        state_raise(s, type, sj_str_of(text), NULL);
}

/* As Python: OSError(number, text), which becomes FileNotFoundError and so on at the reader. */
static void state_raise_errno(task_state *s, int error)
{
        const sj_json *args[] = {sj_json_new_int(s->arena, -error),
                                 sj_json_new_string(s->arena, sj_str_of(sj_strerror(error)))};
        char text[256];
        snprintf(text, sizeof(text), "[Errno %d] %s", -error, sj_strerror(error));
        state_raise(s, "OSError", sj_str_of(text),
                    args[0] && args[1] ? sj_json_new_array(s->arena, args, 2) : NULL);
}

/* ── What a body may call ────────────────────────────────────────────────────────────────── */

static task_state *state_of(const sj_task_request *self)
{
        return self ? self->internal : NULL;
}

const task_host *task_host_of(const sj_task_request *self)
{
        const task_state *s = state_of(self);
        return s ? s->host : NULL;
}

int sj_raise(sj_task_request *self, const char *type, const char *format, ...)
{
        task_state *s = state_of(self);
        if (!s)
                return -EIO;
        va_list args;
        buf text = BUF_INIT(RAISE_TEXT_MAX);
        va_start(args, format);
        int n = vsnprintf(NULL, 0, format, args);
        va_end(args);
        if (n > 0 && buf_reserve(&text, (size_t)n + 1) == 0) {
                va_start(args, format);
                vsnprintf(buf_tail(&text), (size_t)n + 1, format, args);
                va_end(args);
                buf_advance(&text, (size_t)n);
        }
        state_raise(s, type, buf_str(&text), NULL);
        s->asked = TASK_FAILED;
        buf_fini(&text);
        return -EIO;
}

int sj_retry(sj_task_request *self, const sj_retry_options *options)
{
        static const sj_retry_options none;
        task_state *s = state_of(self);
        if (!s)
                return -EAGAIN;
        const sj_retry_options *o = options ? options : &none;
        if (o->exc_type)
                state_raise(s, o->exc_type, sj_str_of(o->exc_message ? o->exc_message : ""), NULL);
        s->asked = TASK_RETRIED;
        s->raised.countdown = o->countdown > 0 ? o->countdown : -1;
        s->raised.eta = o->eta;
        s->raised.max_retries = o->max_retries;
        return -EAGAIN;
}

int sj_replace(sj_task_request *self, const sj_signature *signature)
{
        task_state *s = state_of(self);
        if (!s)
                return -EALREADY;
        const sj_json *json;
        int r = signature_json(signature, &json);
        if (r < 0) {
                state_raisef(s, "ValueError", "a task cannot be replaced by what is no signature");
                s->asked = TASK_FAILED;
                return r;
        }
        json = signature_sent(self->app ? app_broker(self->app) : NULL, self->arena, json);
        s->replacement = state_json(s, json);
        s->asked = TASK_REPLACED;
        return -EALREADY;
}

int sj_ignore(sj_task_request *self)
{
        task_state *s = state_of(self);
        if (s)
                s->asked = TASK_IGNORED;
        return -EALREADY;
}

int sj_reject(sj_task_request *self, bool requeue)
{
        task_state *s = state_of(self);
        if (s)
                s->asked = requeue ? TASK_REQUEUED : TASK_REJECTED;
        return -EALREADY;
}

bool sj_task_cancelled(const sj_task_request *self)
{
        const task_state *s = state_of(self);
        if (!s)
                return false;
        if (self->deadline != SJ_NEVER && sj_now() >= self->deadline)
                return true;
        return s->host && s->host->cancelled && s->host->cancelled(s->host->arg);
}

int sj_task_progress(sj_task_request *self, const char *state, const char *meta_json)
{
        const task_state *s = state_of(self);
        sj_str name = sj_str_of(state), meta = sj_str_of(meta_json ? meta_json : "null");
        const sj_json *parsed;
        if (!name.n || name.n > 64 || !utf8_valid(name, UTF8_STRICT) ||
            result_state(name) != SJ_CUSTOM)
                return -EINVAL;
        if (!s)
                return 0;
        int r = sj_json_parse(s->arena, meta, SJ_JSON_PYTHON, &parsed, NULL);
        if (r < 0)
                return r == -ENOMEM ? r : -EINVAL;
        return s->host && s->host->progress ? s->host->progress(s->host->arg, name, meta) : 0;
}

bool task_event_ok(sj_str type, sj_str fields)
{
        static const sj_str reserved = {"worker-", 7};
        if (type.n == 0 || type.n > 64 || fields.n > 65536 ||
            (type.n >= reserved.n && memcmp(type.data, reserved.data, reserved.n) == 0))
                return false;
        for (size_t i = 0; i < type.n; i++) {
                char c = type.data[i];
                if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
                        return false;
        }
        return true;
}

int sj_task_event(sj_task_request *self, const char *type, const char *fields_json)
{
        const task_state *s = state_of(self);
        sj_str name = sj_str_of(type), fields = sj_str_of(fields_json ? fields_json : "{}");
        const sj_json *parsed;
        if (!task_event_ok(name, fields))
                return fields.n > 65536 ? -EMSGSIZE : -EINVAL;
        if (!s)
                return 0;
        int r = sj_json_parse(s->arena, fields, SJ_JSON_PYTHON, &parsed, NULL);
        if (r < 0)
                return r == -ENOMEM ? r : -EINVAL;
        if (sj_json_type_of(parsed) != SJ_JSON_OBJECT)
                return -EINVAL;
        return s->host && s->host->event ? s->host->event(s->host->arg, name, fields) : 0;
}

/* ── Arguments ───────────────────────────────────────────────────────────────────────────── */

static const char *const task_kind_names[] = {
        [SJ_KIND_VOID] = "nothing",   [SJ_KIND_INT] = "an integer",  [SJ_KIND_DOUBLE] = "a number",
        [SJ_KIND_BOOL] = "a boolean", [SJ_KIND_STRING] = "a string", [SJ_KIND_JSON] = "a value",
};

/* Turns one argument into its C type, or raises. */
static bool bind_value(task_state *s, const sj_param *p, const sj_json *given, sj_value *ret)
{
        sj_str text;
        bool truth;
        int r = 0;
        ret->kind = p->kind;
        switch (p->kind) {
        case SJ_KIND_INT:
                /* Python's bool is an int, and goes where one goes. */
                if (sj_json_bool(given, &truth) == 0)
                        ret->integer = truth;
                else
                        r = sj_json_int(given, &ret->integer);
                break;
        case SJ_KIND_DOUBLE:
                if (sj_json_bool(given, &truth) == 0)
                        ret->number = truth;
                else
                        r = sj_json_double(given, &ret->number);
                break;
        case SJ_KIND_BOOL:
                r = sj_json_bool(given, &ret->boolean);
                break;
        case SJ_KIND_STRING:
                r = sj_json_string(given, &text);
                if (r == 0 && memchr(text.data, 0, text.n)) {
                        state_raisef(s, "ValueError", "%s() argument '%s': embedded null character",
                                     s->task->c_name, p->name);
                        return false;
                }
                ret->string = r == 0 ? text.data : NULL;
                break;
        case SJ_KIND_JSON:
                ret->json = given;
                break;
        case SJ_KIND_VOID:
                r = -EINVAL;
                break;
        }
        if (r == -ERANGE)
                state_raisef(s, "OverflowError", "%s() argument '%s' does not fit into 64 bits",
                             s->task->c_name, p->name);
        else if (r < 0)
                state_raisef(s, "TypeError", "%s() argument '%s' must be %s, not %s",
                             s->task->c_name, p->name, task_kind_names[p->kind],
                             sj_json_type_name(given));
        return r == 0;
}

/* "'a'", "'a' and 'b'", "'a', 'b', and 'c'": those that are not given. */
static void bind_missing(task_state *s, const sj_json *const given[])
{
        const sj_task *task = s->task;
        size_t missing = 0, said = 0;
        buf b = BUF_INIT(2048);
        for (size_t i = 0; i < task->n_params; i++)
                missing += !given[i];
        for (size_t i = 0; i < task->n_params; i++) {
                if (given[i])
                        continue;
                const char *between = said == 0            ? ""
                                      : said + 1 < missing ? ", "
                                      : missing == 2       ? " and "
                                                           : ", and ";
                buf_printf(&b, "%s'%s'", between, task->params[i].name);
                said++;
        }
        state_raisef(s, "TypeError", "%s() missing %zu required positional argument%s: %.*s",
                     task->c_name, missing, missing == 1 ? "" : "s", SJ_STR_ARG(buf_str(&b)));
        buf_fini(&b);
}

static bool bind_positional(task_state *s, const sj_json *args, const sj_json *given[])
{
        const sj_task *task = s->task;
        size_t n = sj_json_count(args);
        if (n > task->n_params) {
                state_raisef(s, "TypeError", "%s() takes %u positional argument%s but %zu %s given",
                             task->c_name, task->n_params, task->n_params == 1 ? "" : "s", n,
                             n == 1 ? "was" : "were");
                return false;
        }
        for (size_t i = 0; i < n; i++)
                given[i] = sj_json_at(args, i);
        return true;
}

static bool bind_keywords(task_state *s, const sj_json *kwargs, const sj_json *given[])
{
        const sj_task *task = s->task;
        size_t positional = 0;
        while (positional < task->n_params && given[positional])
                positional++;
        for (size_t k = 0; k < sj_json_count(kwargs); k++) {
                sj_str name = sj_json_name_at(kwargs, k);
                size_t i = 0;
                while (i < task->n_params && !sj_str_equal(name, sj_str_of(task->params[i].name)))
                        i++;
                if (i == task->n_params) {
                        state_raisef(s, "TypeError",
                                     "%s() got an unexpected keyword argument '%.*s'", task->c_name,
                                     (int)(name.n < 200 ? name.n : 200), name.data);
                        return false;
                }
                if (i < positional) {
                        state_raisef(s, "TypeError", "%s() got multiple values for argument '%s'",
                                     task->c_name, task->params[i].name);
                        return false;
                }
                given[i] = sj_json_at(kwargs, k);
        }
        return true;
}

static bool bind_arguments(task_state *s, const sj_json *args, const sj_json *kwargs,
                           sj_value values[])
{
        const sj_task *task = s->task;
        const sj_json *given[SJ_TASK_PARAM_MAX] = {NULL};
        if (!bind_positional(s, args, given) || !bind_keywords(s, kwargs, given))
                return false;
        for (size_t i = 0; i < task->n_params; i++)
                if (!given[i]) {
                        bind_missing(s, given);
                        return false;
                }
        for (size_t i = 0; i < task->n_params; i++)
                if (!bind_value(s, &task->params[i], given[i], &values[i]))
                        return false;
        return true;
}

/* ── Results ─────────────────────────────────────────────────────────────────────────────── */

static const sj_json *result_json(task_state *s, const sj_value *v)
{
        switch (s->task->ret) {
        case SJ_KIND_INT:
                return sj_json_new_int(s->arena, v->integer);
        case SJ_KIND_DOUBLE:
                return sj_json_new_double(s->arena, v->number);
        case SJ_KIND_BOOL:
                return sj_json_new_bool(s->arena, v->boolean);
        case SJ_KIND_STRING:
                if (!v->string)
                        break;
                if (!utf8_valid(sj_str_of(v->string), UTF8_WTF)) {
                        state_raisef(s, "ValueError", "%s() returned text that is not UTF-8",
                                     s->task->c_name);
                        return NULL;
                }
                return sj_json_new_string(s->arena, sj_str_of(v->string));
        case SJ_KIND_JSON:
                if (v->json)
                        return v->json;
                break;
        case SJ_KIND_VOID:
                break;
        }
        return sj_json_new_null(s->arena);
}

static void run_succeeded(task_state *s, const sj_value *value, task_return *ret)
{
        s->raised.type = (sj_str){NULL, 0};
        const sj_json *json = result_json(s, value);
        if (s->raised.type.n) {
                *ret = s->raised;
                return;
        }
        *ret = (task_return){.end = TASK_SUCCEEDED, .value = state_json(s, json)};
}

static void run_failed(task_state *s, const sj_task_request *request, int r, task_return *ret)
{
        bool late = request->deadline != SJ_NEVER && sj_now() >= request->deadline;
        if (s->asked == TASK_RETRIED) {
                *ret = s->raised;
                ret->end = TASK_RETRIED;
                return;
        }
        if (s->asked != TASK_FAILED) {
                *ret = (task_return){.end = s->asked, .value = s->replacement};
                return;
        }
        if (!s->raised.type.n && late && (r == -ECANCELED || r == -ETIMEDOUT))
                state_raise(s, "billiard.exceptions.SoftTimeLimitExceeded",
                            SJ_STR("the soft time limit has passed"),
                            sj_json_new_array(s->arena, NULL, 0));
        else if (!s->raised.type.n)
                state_raise_errno(s, r);
        *ret = s->raised;
}

int task_run(const sj_task *task, sj_task_request *request, const task_host *host,
             const sj_json *args, const sj_json *kwargs, sj_arena *arena, task_return *ret)
{
        sj_value values[SJ_TASK_PARAM_MAX + 1], value;
        task_state s = {.task = task, .host = host, .arena = arena, .asked = TASK_FAILED};
        memset(&value, 0, sizeof(value));
        value.kind = task->ret;
        if (!bind_arguments(&s, args, kwargs, values)) {
                *ret = s.raised;
                return s.no_memory ? -ENOMEM : 0;
        }
        request->arena = arena;
        request->internal = &s;
        int r = task->call(request, values, &value);
        request->internal = NULL;
        if (r >= 0)
                run_succeeded(&s, &value, ret);
        else
                run_failed(&s, request, r, ret);
        return s.no_memory ? -ENOMEM : 0;
}
