/* SPDX-License-Identifier: MIT */
/*
 * What is told of a failure to whom the worker was asked to tell. It is read from the settlement,
 * where all that ends as FAILURE looks alike: raised by a body, a limit, a crash, or a message
 * that could not be read.
 */
#include "queue/worker/worker_internal.h"

static const broker_result *failure_of(const delivery *d)
{
        const broker_settlement *s = &d->settlement;
        if (s->verdict != BROKER_DONE && s->verdict != BROKER_DEAD)
                return NULL;
        for (size_t i = 0; i < s->n_results; i++)
                if (sj_str_equal(s->results[i].id, d->lease->message.id))
                        return sj_str_equal(s->results[i].state, SJ_STR("FAILURE")) ? &s->results[i]
                                                                                    : NULL;
        return NULL;
}

static sj_str text_of(const sj_json *object, const char *name)
{
        sj_str text = {0};
        sj_json_string(sj_json_member(object, name), &text);
        return text;
}

/* What the sender has said of them, else what they are. */
static sj_str arguments(const delivery *d, bool keywords)
{
        sj_str shown = keywords ? d->m.kwargsrepr : d->m.argsrepr;
        const sj_json *given = keywords ? d->m.kwargs : d->m.args;
        if (!shown.n && given) {
                if (keywords)
                        message_kwargs_repr(d->arena, given, &shown);
                else
                        message_args_repr(d->arena, given, &shown);
        }
        return shown;
}

void worker_tell_failure(worker *w, const delivery *d)
{
        const broker_result *result = w->options.failed ? failure_of(d) : NULL;
        const sj_json *stored;
        if (!result || sj_json_parse(d->arena, result->content, SJ_JSON_PYTHON, &stored, NULL) < 0)
                return;
        const sj_json *error = sj_json_member(stored, "result");
        worker_failure failure = {.id = d->lease->message.id,
                                  .task = d->lease->message.task,
                                  .queue = d->lease->message.queue,
                                  .node = sj_str_of(w->options.name),
                                  .args = arguments(d, false),
                                  .kwargs = arguments(d, true),
                                  .type = text_of(error, "exc_type"),
                                  .traceback = text_of(stored, "traceback"),
                                  .reason = d->settlement.reason,
                                  .retries = d->m.retries,
                                  .deliveries = d->lease->deliveries,
                                  .when = os_wall(),
                                  .dead = d->settlement.verdict == BROKER_DEAD};
        message_error_repr(d->arena, failure.type, sj_json_member(error, "exc_message"),
                           &failure.error);
        w->options.failed(w->options.failed_arg, &failure);
}
