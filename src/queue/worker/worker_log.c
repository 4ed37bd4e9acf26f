/* SPDX-License-Identifier: MIT */
/*
 * The lines of the log for the begin and the end of a task: Celery's words where it has some. What
 * failed is an error there, since operators look for errors; what was revoked or is tried again
 * says why.
 */
#include "queue/worker/worker_internal.h"

#define SHOWN_MAX 200 /* bytes of a result or an error */

/* The first characters of a text, whole ones. */
static int shown_length(sj_str text)
{
        if (text.n <= SHOWN_MAX)
                return (int)text.n;
        size_t n = SHOWN_MAX;
        while (n > 0 && ((unsigned char)text.data[n] & 0xc0) == 0x80)
                n--;
        return (int)n;
}

static const char *dots(sj_str text)
{
        return (size_t)shown_length(text) < text.n ? "..." : "";
}

/* "ValueError: bob owes nothing": the last line of what Python would have printed. */
static sj_str error_shown(const task_return *came)
{
        sj_str text = came->traceback;
        while (text.n && text.data[text.n - 1] == '\n')
                text.n--;
        size_t at = text.n;
        while (at > 0 && text.data[at - 1] != '\n')
                at--;
        return text.n > at ? (sj_str){text.data + at, text.n - at} : came->type;
}

/* What the exception says that is stored for it: "expired", "Retry in 180s". */
static sj_str stored_reason(const delivery *d)
{
        const broker_settlement *s = &d->settlement;
        const sj_json *stored;
        sj_str reason = {"", 0};
        if (s->n_results > 0 && sj_str_equal(s->results[0].id, d->lease->message.id) &&
            sj_json_parse(d->arena, s->results[0].content, SJ_JSON_PYTHON, &stored, NULL) >= 0) {
                const sj_json *error = sj_json_member(stored, "result");
                sj_json_string(sj_json_at(sj_json_member(error, "exc_message"), 0), &reason);
        }
        return reason;
}

/* How long it ran: what its child says, else as long as it was seen to run. */
static double seconds(const delivery *d)
{
        sj_time took = d->took || !d->begun ? d->took : sj_now() - d->begun;
        return (double)took / 1e9;
}

static void log_failure(const delivery *d, sj_str error)
{
        const broker_message *m = &d->lease->message;
        bool dead = d->settlement.verdict == BROKER_DEAD;
        log_about(SJ_LOG_ERROR, m->task, m->id, "%s after %.3fs: %.*s%s",
                  dead ? "failed and is dead" : "failed", seconds(d), shown_length(error),
                  error.data, dots(error));
}

static void log_retry(const delivery *d, sj_str error)
{
        const broker_message *m = &d->lease->message;
        sj_str why = error.n ? error : stored_reason(d);
        log_about(SJ_LOG_INFO, m->task, m->id, "retried after %.3fs%s%.*s%s", seconds(d),
                  why.n ? ": " : "", shown_length(why), why.data, dots(why));
}

static void log_revoked(const delivery *d)
{
        const broker_message *m = &d->lease->message;
        sj_str why = stored_reason(d);
        bool bare = why.n == 0 || sj_str_equal(why, SJ_STR("revoked"));
        log_about(SJ_LOG_INFO, m->task, m->id, "revoked%s%.*s", bare ? "" : ": ",
                  bare ? 0 : shown_length(why), why.data);
}

void worker_log_received(const delivery *d)
{
        const broker_message *m = &d->lease->message;
        log_about(SJ_LOG_INFO, m->task, m->id, "received");
}

void worker_log_end(const delivery *d)
{
        static const char *const verdicts[] = {"done", "retried", "requeued", "given back", "dead"};
        const broker_settlement *s = &d->settlement;
        const broker_message *m = &d->lease->message;
        const task_return *came = d->came;
        if (came && s->verdict == BROKER_DONE && came->end == TASK_SUCCEEDED) {
                log_about(SJ_LOG_INFO, m->task, m->id, "succeeded in %.3fs: %.*s%s", seconds(d),
                          shown_length(came->value), came->value.data, dots(came->value));
                return;
        }
        sj_str state = s->n_results > 0 ? s->results[0].state : (sj_str){0};
        sj_str error = came && came->type.n ? error_shown(came) : (sj_str){0};
        bool bad = s->verdict == BROKER_DEAD || sj_str_equal(state, SJ_STR("FAILURE"));
        if (bad && error.n)
                log_failure(d, error);
        else if (s->verdict == BROKER_RETRY)
                log_retry(d, error);
        else if (s->verdict == BROKER_DONE && sj_str_equal(state, SJ_STR("REVOKED")))
                log_revoked(d);
        else
                log_about(bad ? SJ_LOG_ERROR : SJ_LOG_INFO, m->task, m->id, "%s%s%.*s%s%.*s",
                          verdicts[s->verdict], state.n ? ": " : "", SJ_STR_ARG(state),
                          s->reason.n ? ": " : "", SJ_STR_ARG(s->reason));
}
