/* SPDX-License-Identifier: MIT */
/*
 * A worker is asked and told things from afar: one fiber listens, and answers one request after
 * the other. A request that makes no sense is logged and dropped; nothing that is said here can
 * end the worker but "shutdown".
 *
 * Mingling. When it starts, a worker of Celery's asks the others which tasks are revoked, and does
 * nothing for a second while it listens. We ask, too, where such workers may be, but take
 * messages meanwhile: what was revoked in sanjab's hearing is kept in the broker, and was read
 * before the first message was taken. So only a revoke that no sanjab worker heard can come up to
 * a second late.
 */
#include "queue/worker/worker_control.h"

#include "base/buf.h"
#include "codec/json_named.h"
#include "queue/control/letter.h"

#include <stdio.h>
#include <stdlib.h>

#define MINGLE_TIME  (1 * SJ_SEC)
#define RELOAD_EVERY (60 * SJ_SEC)

/* ── What answers are made of ────────────────────────────────────────────────────────────── */

static void write_said(control_turn *turn, const char *name, const char *format, va_list args)
{
        buf text = BUF_INIT(0);
        char part[4096];
        vsnprintf(part, sizeof(part), format, args);
        buf_append_str(&text, sj_str_of(part));
        sj_json_write_object_begin(turn->out);
        json_named_text(turn->out, name, buf_str(&text));
        sj_json_write_object_end(turn->out);
        buf_fini(&text);
}

int control_ok(control_turn *turn, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        write_said(turn, "ok", format, args);
        va_end(args);
        return 0;
}

int control_nok(control_turn *turn, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        write_said(turn, "error", format, args);
        va_end(args);
        return 0;
}

int control_raise(control_turn *turn, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        vsnprintf(turn->error, sizeof(turn->error), format, args);
        va_end(args);
        return -EINVAL;
}

sj_str control_text(const control_turn *turn, const char *name)
{
        sj_str text = {"", 0};
        sj_json_string(sj_json_member(turn->arguments, name), &text);
        return text;
}

static int lacks(control_turn *turn, const char *name)
{
        return control_raise(turn,
                             "TypeError(\"%.*s() missing 1 required positional argument: '%s'\")",
                             SJ_STR_ARG(turn->request->method), name);
}

int control_need_text(control_turn *turn, const char *name, sj_str *ret)
{
        sj_str text = control_text(turn, name);
        if (text.n == 0)
                return lacks(turn, name);
        *ret = text;
        return 0;
}

int control_number(control_turn *turn, const char *name, double *ret)
{
        const sj_json *v = sj_json_member(turn->arguments, name);
        const sj_json *parsed = v;
        sj_str text;
        if (sj_json_is_null(v))
                return -ENOENT;
        if (sj_json_string(v, &text) >= 0)
                sj_json_parse(turn->arena, text, 0, &parsed, NULL);
        if (sj_json_double(parsed, ret) < 0)
                return control_raise(turn, "TypeError(\"'%s' is not a number\")", name);
        return 0;
}

int control_texts(control_turn *turn, const char *name, const sj_str **ret)
{
        const sj_json *v = sj_json_member(turn->arguments, name);
        bool many = sj_json_type_of(v) == SJ_JSON_ARRAY;
        size_t most = many ? sj_json_count(v) : 1;
        if (sj_json_is_null(v))
                return lacks(turn, name);
        sj_str *texts = sj_arena_alloc(turn->arena, most * sizeof(*texts));
        if (!texts)
                return -ENOMEM;
        int n = 0;
        for (size_t i = 0; i < most; i++)
                if (sj_json_string(many ? sj_json_at(v, i) : v, &texts[n]) >= 0)
                        n++;
        *ret = texts;
        return n;
}

static size_t running(const worker *w, const delivery *d)
{
        return d->view.info && !d->ended && worker_is_running(w, d);
}

uint64_t worker_processed(const worker *w)
{
        uint64_t n = 0;
        for (size_t i = 0; w->totals && i <= w->manifest.n; i++)
                n += w->totals[i];
        list_for_each (node, &w->held)
                n += running(w, container_of(node, delivery, held));
        return n;
}

int worker_totals(const worker *w, uint64_t **ret)
{
        uint64_t *totals = calloc(w->manifest.n + 1, sizeof(*totals));
        if (!totals)
                return -ENOMEM;
        if (w->totals)
                memcpy(totals, w->totals, (w->manifest.n + 1) * sizeof(*totals));
        list_for_each (node, &w->held) {
                const delivery *d = container_of(node, delivery, held);
                if (running(w, d))
                        totals[worker_total_at(w, d->view.info)]++;
        }
        *ret = totals;
        return 0;
}

/* ── Answering ───────────────────────────────────────────────────────────────────────────── */

static control_handler *find(sj_str name)
{
        static const control_method *const tables[] = {worker_inspect_methods,
                                                       worker_steer_methods};
        for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
                for (const control_method *m = tables[i]; m->name; m++)
                        if (sj_str_equal(sj_str_of(m->name), name))
                                return m->handler;
        return NULL;
}

static int answer(control_turn *turn, bool understood)
{
        control_handler *handler = find(turn->request->method);
        if (!understood)
                return control_raise(
                        turn,
                        "NotImplementedError(\"the matcher '%.*s': this worker "
                        "has 'glob' only\")",
                        (int)(turn->request->matcher.n < 32 ? turn->request->matcher.n : 32),
                        turn->request->matcher.data);
        if (!handler) {
                const sj_json *name = sj_json_new_string(turn->arena, turn->request->method);
                sj_str shown = {"''", 2};
                message_value_repr(turn->arena, name, &shown);
                return control_raise(turn, "KeyError(%.*s)", (int)(shown.n < 200 ? shown.n : 200),
                                     shown.data);
        }
        return handler(turn);
}

static void write_failure(control_turn *turn, int error)
{
        if (!turn->error[0])
                snprintf(turn->error, sizeof(turn->error), "OSError(%d, '%s')", -error,
                         sj_strerror(error));
        sj_log(SJ_LOG_WARNING, "the control command '%.*s' has failed: %s",
               SJ_STR_ARG(turn->request->method), turn->error);
        sj_json_writer_reset(turn->out);
        control_nok(turn, "%s", turn->error);
}

static int reply(control_turn *turn)
{
        worker *w = turn->w;
        const control_request *request = turn->request;
        sj_str value, text;
        int r = sj_json_writer_end(turn->out, &value);
        if (r >= 0)
                r = control_reply_encode(turn->arena, request, sj_str_of(w->options.name), value,
                                         queue_clock_forward(&w->clock), &text);
        if (r >= 0)
                r = broker_post(w->options.broker, request->reply_exchange, request->reply_key,
                                text, sj_after(WORKER_BROKER_LIMIT));
        return r;
}

static int attend(worker *w, sj_arena *arena, const control_request *request, bool understood)
{
        control_turn turn = {
                .w = w, .request = request, .arguments = request->arguments, .arena = arena};
        int r = sj_json_writer_new(SJ_JSON_SPACED | SJ_JSON_ASCII | SJ_JSON_PYTHON, &turn.out);
        if (r < 0)
                return r;
        sj_log(SJ_LOG_DEBUG, "control command '%.*s'", SJ_STR_ARG(request->method));
        r = answer(&turn, understood);
        if (r < 0 && r != -ECANCELED)
                write_failure(&turn, r);
        if (r != -ECANCELED)
                r = request->reply_key.n && !turn.silent ? reply(&turn) : 0;
        sj_json_writer_free(turn.out);
        return r;
}

static int hear(worker *w, sj_arena *arena, sj_str text)
{
        control_request request;
        const char *why;
        int r = control_request_decode(arena, text, &request, &why);
        if (r < 0) {
                sj_log(SJ_LOG_WARNING, "a control request is not read: %s", why);
                return 0;
        }
        queue_clock_adjust(&w->clock, request.clock);
        int mine = control_is_for(&request, sj_str_of(w->options.name));
        r = mine == 0 ? 0 : attend(w, arena, &request, mine > 0);
        if (r < 0 && r != -ECANCELED && r != -ENOENT)
                sj_log(SJ_LOG_WARNING, "the control command '%.*s' could not be answered: %s",
                       SJ_STR_ARG(request.method), sj_strerror(r));
        return r == -ECANCELED ? r : 0;
}

/* ── Listening ───────────────────────────────────────────────────────────────────────────── */

static int take_requests(worker *w, broker_subscription *requests, sj_arena *arena)
{
        sj_time reload = sj_after(RELOAD_EVERY);
        for (;;) {
                sj_str channel, text;
                sj_arena_reset(arena);
                int r = broker_next(requests, arena, &channel, &text, reload);
                if (r == -ENOBUFS) {
                        sj_log(SJ_LOG_WARNING, "control requests came too fast: some were lost");
                        continue;
                }
                if (r == -ETIMEDOUT) {
                        r = worker_revoked_load(w);
                        reload = sj_after(RELOAD_EVERY);
                } else if (r >= 0) {
                        r = hear(w, arena, text);
                }
                if (r < 0)
                        return r;
        }
}

/* What one of the others knows. */
static void take_hello(worker *w, const sj_json *said)
{
        const sj_json *theirs = sj_json_member(said, "revoked");
        queue_clock_adjust(&w->clock, letter_int(said, "clock", 0));
        if (sj_json_type_of(theirs) == SJ_JSON_OBJECT)
                worker_revoked_take(w, theirs);
}

static int mingle(void *arg)
{
        worker *w = arg;
        sj_arena *arena;
        const control_reply *replies;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return 0;
        const sj_str name = SJ_STR("from_node");
        const sj_json *node = sj_json_new_string(arena, sj_str_of(w->options.name));
        const control_call call = {.method = "hello",
                                   .packed = control_is_packed(w->options.app),
                                   .arguments = sj_json_new_object(arena, &name, &node, 1)};
        r = call.arguments ? control_broadcast(w->options.broker, &w->clock, &call, arena, &replies,
                                               sj_after(MINGLE_TIME))
                           : -ENOMEM;
        for (int i = 0; i < r; i++)
                take_hello(w, replies[i].value);
        sj_arena_free(arena);
        return 0;
}

static int serve(worker *w, sj_arena *arena)
{
        const sj_str channel = SJ_STR(CONTROL_CHANNEL);
        broker_subscription *requests;
        int r = broker_subscribe(w->options.broker, &channel, 1, &requests,
                                 sj_after(WORKER_BROKER_LIMIT));
        if (r < 0)
                return r;
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                if (!broker_can(w->options.broker, BROKER_OURS))
                        sj_spawn(s, mingle, w, NULL);
                r = take_requests(w, requests, arena);
        }
        broker_unsubscribe(requests);
        return r;
}

int worker_control_duty(void *arg)
{
        worker *w = arg;
        sj_arena *arena;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        while (broker_can(w->options.broker, BROKER_PUBSUB)) {
                r = serve(w, arena);
                if (r == -ECANCELED)
                        break;
                sj_log(SJ_LOG_ERROR, "the worker cannot be controlled at the moment: %s",
                       sj_strerror(r));
                r = sj_sleep(WORKER_RETRY_PAUSE);
                if (r >= 0)
                        r = worker_revoked_load(w);
                if (r == -ECANCELED)
                        break;
        }
        sj_arena_free(arena);
        return r;
}
