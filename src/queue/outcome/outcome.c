/* SPDX-License-Identifier: MIT */
/*
 * The rules of outcome.h. Each ends in a plan (results, follow-ups) and a verdict; finish() makes
 * them a settlement.
 */
#include "queue/outcome/outcome.h"

#include "queue/outcome/outcome_links.h"
#include "queue/result.h"

#include <stdio.h>

/* After the first crash, in microseconds; thrice that after the next, and so on. */
#define CRASH_PAUSE     ((int64_t)200 * 1000)
#define CRASH_PAUSE_MAX ((int64_t)60 * 1000000)

static outcome_plan plan_of(const outcome_context *context, const outcome_delivery *delivery,
                            sj_arena *arena)
{
        if (delivery->arrivals)
                delivery->arrivals->n = delivery->arrivals->told = 0;
        return (outcome_plan){.context = context, .delivery = delivery, .arena = arena};
}

/* What an extended result says of the task; NULL: it is not asked for, or there is no memory. */
static const result_task *task_of(outcome_plan *p)
{
        const message *m = p->delivery->m;
        if (!p->context->extended)
                return NULL;
        result_task *task = sj_arena_alloc(p->arena, sizeof(*task));
        if (!task) {
                p->error = -ENOMEM;
                return NULL;
        }
        *task = (result_task){.name = m->task,
                              .args = m->args,
                              .kwargs = m->kwargs,
                              .worker = p->context->worker,
                              .retries = m->retries,
                              .queue = p->delivery->lease->message.queue,
                              .stamped_headers = m->stamped_headers,
                              .stamps = m->stamps};
        return task;
}

/* What every result of this delivery has in common. */
static result_meta meta_of(outcome_plan *p, const char *state)
{
        const message *m = p->delivery->m;
        sj_state known = result_state(sj_str_of(state));
        return (result_meta){
                .id = p->delivery->lease->message.id,
                .state = sj_str_of(state),
                .done = sj_state_is_final(known) ? p->context->now : (sj_wall){0},
                .group = m->group,
                .parent = m->parent_id,
                .task = task_of(p),
        };
}

static int finish(const outcome_plan *p, broker_verdict verdict, broker_settlement *ret)
{
        if (p->error)
                return p->error;
        *ret = (broker_settlement){.lease = p->delivery->lease, .verdict = verdict};
        plan_settle(p, ret);
        return 0;
}

/* A JSON array of one text, in the arena. */
static sj_str one_text(outcome_plan *p, const char *text)
{
        sj_str json = {NULL, 0};
        const sj_json *value = sj_json_new_string(p->arena, sj_str_of(text));
        const sj_json *list = value ? sj_json_new_array(p->arena, &value, 1) : NULL;
        if (!list || sj_json_text(p->arena, list, SJ_JSON_ASCII, &json) < 0)
                p->error = -ENOMEM;
        return json;
}

/* ── Ends that are no success ────────────────────────────────────────────────────────────── */

/* FAILURE with what follows from it; with a reason, to the dead letters. */
static int fail(outcome_plan *p, const task_return *why, const char *reason, broker_settlement *ret)
{
        result_meta meta = meta_of(p, "FAILURE");
        meta.error_type = why->type;
        meta.error_module = why->module;
        meta.error_args = why->args;
        meta.traceback = why->traceback;
        plan_result(p, &meta);
        plan_failure(p, &meta);
        int r = finish(p, reason ? BROKER_DEAD : BROKER_DONE, ret);
        if (r < 0 || !reason)
                return r;
        const char *kept = sj_arena_strndup(p->arena, reason, strlen(reason));
        if (!kept)
                return -ENOMEM;
        ret->reason = sj_str_of(kept);
        return 0;
}

static int die(outcome_plan *p, const char *module, const char *type, const char *text,
               const char *reason, broker_settlement *ret)
{
        task_return why = task_failed(module, type, one_text(p, text));
        return fail(p, &why, reason, ret);
}

static int revoke(outcome_plan *p, const char *reason, broker_settlement *ret)
{
        result_meta meta = meta_of(p, "REVOKED");
        meta.error_type = SJ_STR("TaskRevokedError");
        meta.error_module = SJ_STR("celery.exceptions");
        meta.error_args = one_text(p, reason);
        plan_result(p, &meta);
        plan_failure(p, &meta);
        return finish(p, BROKER_DONE, ret);
}

/* ── Before a run ────────────────────────────────────────────────────────────────────────── */

static int unreadable(outcome_plan *p, broker_settlement *ret)
{
        const message_error *error = p->delivery->error;
        char reason[256];
        snprintf(reason, sizeof(reason), "%s: %s", message_defect_name(error->defect), error->text);
        if (error->defect == MESSAGE_REFUSED)
                return die(p, "kombu.exceptions", "ContentDisallowed", error->text, reason, ret);
        return die(p, "celery.exceptions", "InvalidTaskError", error->text, reason, ret);
}

uint32_t outcome_most_deliveries(const outcome_delivery *d)
{
        if (d->lease->message.max_deliveries)
                return d->lease->message.max_deliveries;
        return d->info ? d->info->max_deliveries : SJ_MAX_DELIVERIES;
}

static int exhausted(outcome_plan *p, broker_settlement *ret)
{
        char text[96];
        snprintf(text, sizeof(text), "delivered %u times without coming to an end",
                 p->delivery->lease->deliveries - 1);
        return die(p, "billiard.exceptions", "WorkerLostError", text, text, ret);
}

#define SHARED_PAUSE 1000000 /* microseconds until it is ready again */

/*
 * Put back for others, who have a moment to take it. It was no delivery: with the same worker
 * meeting it a few times by chance, it would be dead before one that knows it has come by.
 */
static int put_back(outcome_plan *p, broker_settlement *ret)
{
        broker_message *next = sj_arena_alloc(p->arena, sizeof(*next));
        if (!next)
                return -ENOMEM;
        *next = (broker_message){.eta = {p->context->now.us + SHARED_PAUSE}};
        int r = finish(p, BROKER_RETURN, ret);
        ret->next = next;
        return r;
}

static int unknown(outcome_plan *p, broker_settlement *ret)
{
        sj_str name = p->delivery->m->task;
        char text[SJ_TASK_NAME_MAX + 1], reason[SJ_TASK_NAME_MAX + 32];
        if (p->context->shared &&
            p->context->now.us - p->delivery->lease->published.us < OUTCOME_SHARED_PATIENCE)
                return put_back(p, ret);
        snprintf(text, sizeof(text), "%.*s", SJ_STR_ARG(name));
        snprintf(reason, sizeof(reason), "no task is named '%s'", text);
        return die(p, "celery.exceptions", "NotRegistered", text, reason, ret);
}

int outcome_before(const outcome_context *context, const outcome_delivery *delivery,
                   sj_arena *arena, broker_settlement *ret)
{
        outcome_plan p = plan_of(context, delivery, arena);
        const broker_lease *lease = delivery->lease;
        const broker_message *m = &lease->message;
        int r;
        if (delivery->revoked || lease->fate == BROKER_REVOKED)
                r = revoke(&p, "revoked", ret);
        else if (delivery->error && delivery->error->defect != MESSAGE_SOUND)
                r = unreadable(&p, ret);
        else if (lease->fate == BROKER_EXPIRED ||
                 (m->expires.us && m->expires.us <= context->now.us))
                r = revoke(&p, "expired", ret);
        else if (lease->fate == BROKER_EXHAUSTED ||
                 lease->deliveries > outcome_most_deliveries(delivery))
                r = exhausted(&p, ret);
        else if (!delivery->info)
                r = unknown(&p, ret);
        else
                return 0;
        return r < 0 ? r : 1;
}

/* Said by the call or by the task: clients of Celery's say false of a call that says nothing. */
static bool is_ignored(const outcome_delivery *d)
{
        return d->m->ignore_result || d->info->ignore_result;
}

/* ── After a run ─────────────────────────────────────────────────────────────────────────── */

static int succeed(outcome_plan *p, const task_return *result, broker_settlement *ret)
{
        const outcome_delivery *d = p->delivery;
        sj_str text = result->value.n ? result->value : SJ_STR("null");
        if (d->m->callbacks || d->m->chain) {
                const sj_json *value = sj_json_new_raw(p->arena, text, SJ_JSON_PYTHON);
                if (!value)
                        return -ENOMEM;
                plan_success(p, value);
        }
        result_meta meta = meta_of(p, "SUCCESS");
        meta.value = text;
        plan_arrival(p, &meta);
        if (!is_ignored(d)) {
                meta.children = plan_children(p);
                plan_result(p, &meta);
        }
        return finish(p, BROKER_DONE, ret);
}

#define RETRY_DELAY_MAX 1e9 /* seconds: some 30 years */

double outcome_retry_delay(const task_info *info, int64_t retries, double asked, uint64_t random)
{
        /* What a child says is not trusted to be a time. */
        if (asked >= 0)
                return asked < RETRY_DELAY_MAX ? asked : RETRY_DELAY_MAX;
        if (!(info->retry_backoff > 0))
                return info->default_retry_delay;
        double delay = info->retry_backoff;
        for (int64_t i = 0; i < retries && delay < info->retry_backoff_max; i++)
                delay *= 2;
        if (delay > info->retry_backoff_max)
                delay = info->retry_backoff_max;
        /* The upper 53 bits as a fraction in [0, 1). */
        return info->retry_jitter ? delay * ((double)(random >> 11) * 0x1p-53) : delay;
}

static bool retries_left(const outcome_delivery *d, const task_return *r)
{
        int64_t most = r->max_retries == 0               ? d->info->max_retries
                       : r->max_retries == SJ_NO_RETRIES ? 0
                                                         : r->max_retries;
        return most == SJ_RETRY_FOREVER || d->m->retries < most;
}

/* The message again, as Celery does it: same id, one retry more, its own parent. */
static int retry_message(outcome_plan *p, sj_wall eta, broker_message *ret)
{
        const broker_message *leased = &p->delivery->lease->message;
        message again = *p->delivery->m;
        char tag[MESSAGE_UUID_SIZE];
        message_uuid(tag);
        again.retries++;
        again.eta = eta;
        again.root_id = again.root_id.n ? again.root_id : again.id;
        again.parent_id = again.id;
        again.redelivered = false;
        again.delivery_tag = sj_str_of(tag);
        again.routing_key = leased->queue;
        int r = plan_envelope(p, &again, ret);
        if (r < 0)
                return r;
        ret->max_deliveries = leased->max_deliveries;
        ret->key = leased->key;
        ret->key_for = leased->key_for;
        ret->priority = leased->priority;
        return 0;
}

static int out_of_retries(outcome_plan *p, const task_return *result, broker_settlement *ret)
{
        const message *m = p->delivery->m;
        char text[512];
        if (result->type.n)
                return fail(p, result, NULL, ret);
        snprintf(text, sizeof(text), "Can't retry %.*s[%.*s] args:%.*s kwargs:%.*s",
                 (int)(m->task.n < 100 ? m->task.n : 100), m->task.data, SJ_STR_ARG(m->id),
                 (int)(m->argsrepr.n < 100 ? m->argsrepr.n : 100), m->argsrepr.data,
                 (int)(m->kwargsrepr.n < 100 ? m->kwargsrepr.n : 100), m->kwargsrepr.data);
        return die(p, "celery.exceptions", "MaxRetriesExceededError", text, NULL, ret);
}

/* A retry is a child of the same id. */
static sj_str own_child(outcome_plan *p)
{
        sj_str text = {NULL, 0};
        const sj_json *id = sj_json_new_string(p->arena, p->delivery->m->id);
        const sj_json *pair[] = {id, sj_json_new_null(p->arena)};
        const sj_json *inner = id && pair[1] ? sj_json_new_array(p->arena, pair, 2) : NULL;
        const sj_json *outer[] = {inner, pair[1]};
        const sj_json *tuple = inner ? sj_json_new_array(p->arena, outer, 2) : NULL;
        const sj_json *list = tuple ? sj_json_new_array(p->arena, &tuple, 1) : NULL;
        if (!list || sj_json_text(p->arena, list, SJ_JSON_SPACED | SJ_JSON_ASCII, &text) < 0)
                p->error = -ENOMEM;
        return text;
}

static int retry(outcome_plan *p, const task_return *result, broker_settlement *ret)
{
        const outcome_delivery *d = p->delivery;
        double delay = outcome_retry_delay(d->info, d->m->retries,
                                           result->end == TASK_RETRIED ? result->countdown : -1,
                                           p->context->random);
        sj_wall eta = result->eta.us > 0 ? result->eta
                                         : (sj_wall){p->context->now.us + (int64_t)(delay * 1e6)};
        broker_message *next = sj_arena_alloc(p->arena, sizeof(*next));
        int r = next ? retry_message(p, eta, next) : -ENOMEM;
        if (r == -EMSGSIZE)
                return out_of_retries(p, result, ret);
        if (r < 0)
                return r;
        char text[64];
        snprintf(text, sizeof(text), "Retry in %.17gs", delay);
        bool caused = result->type.n > 0;
        result_meta meta = meta_of(p, "RETRY");
        meta.error_type = caused ? result->type : SJ_STR("Retry");
        meta.error_module = caused ? result->module : SJ_STR("celery.exceptions");
        meta.error_args = caused ? result->args : one_text(p, text);
        meta.traceback = result->traceback;
        meta.children = own_child(p);
        /* It would stay when its success is not stored. */
        if (!is_ignored(d))
                plan_result(p, &meta);
        r = finish(p, BROKER_RETRY, ret);
        ret->next = next;
        return r;
}

/* ── Ends that it asks for itself ────────────────────────────────────────────────────────── */

/*
 * It goes on in another form. That it is known has to be said where the broker would forget an id
 * that has ended without a word: in Celery's name for it, which is no end.
 */
static int replaced(outcome_plan *p, const task_return *result, broker_settlement *ret)
{
        const sj_json *signature;
        const broker_message *next = NULL;
        int r = sj_json_parse(p->arena, result->value, SJ_JSON_PYTHON, &signature, NULL);
        if (r == -ENOMEM)
                return r;
        const char *fault = outcome_replace_fault(r < 0 ? NULL : signature);
        if (fault)
                return die(p, "celery.exceptions", "ImproperlyConfigured", fault, NULL, ret);
        r = plan_replace(p, signature, &next);
        if (r == -EBADMSG || r == -EMSGSIZE)
                return die(p, "celery.exceptions", "InvalidTaskError",
                           r == -EBADMSG ? "it is replaced by a malformed signature"
                                         : "what it is replaced by does not fit into a message",
                           NULL, ret);
        if (r < 0)
                return r;
        if (!next && p->context->knows_ids) {
                result_meta meta = meta_of(p, "IGNORED");
                plan_result(p, &meta);
        }
        r = finish(p, next ? BROKER_RETRY : BROKER_DONE, ret);
        ret->next = next;
        return r;
}

/*
 * As Celery names it. Requeued, it is not there at once, lest it be met again and again; and it
 * does not count as a delivery: those are counted which end without a word.
 */
static int rejected(outcome_plan *p, bool requeue, broker_settlement *ret)
{
        if (!requeue)
                return die(p, "celery.exceptions", "Reject", "the task has rejected it",
                           "rejected by its task", ret);
        return put_back(p, ret);
}

static bool is_autoretried(const outcome_delivery *d, const task_return *result)
{
        char module[128], type[128];
        snprintf(module, sizeof(module), "%.*s", SJ_STR_ARG(result->module));
        snprintf(type, sizeof(type), "%.*s", SJ_STR_ARG(result->type));
        return task_autoretries(d->info, module, type);
}

int outcome_after(const outcome_context *context, const outcome_delivery *delivery,
                  const task_return *result, sj_arena *arena, broker_settlement *ret)
{
        outcome_plan p = plan_of(context, delivery, arena);
        bool again = result->end == TASK_RETRIED ||
                     (result->end == TASK_FAILED && is_autoretried(delivery, result));
        switch (result->end) {
        case TASK_SUCCEEDED:
                return succeed(&p, result, ret);
        case TASK_REPLACED:
                return replaced(&p, result, ret);
        case TASK_IGNORED:
                return finish(&p, BROKER_DONE, ret);
        case TASK_REJECTED:
        case TASK_REQUEUED:
                return rejected(&p, result->end == TASK_REQUEUED, ret);
        default:
                break;
        }
        if (!again)
                return fail(&p, result, NULL, ret);
        return retries_left(delivery, result) ? retry(&p, result, ret)
                                              : out_of_retries(&p, result, ret);
}

/* At once, all its deliveries would be over before what made it crash could have passed. */
static int64_t pause_after_crash(uint32_t deliveries)
{
        int64_t pause = CRASH_PAUSE;
        for (uint32_t i = 1; i < deliveries && pause < CRASH_PAUSE_MAX; i++)
                pause *= 3;
        return pause < CRASH_PAUSE_MAX ? pause : CRASH_PAUSE_MAX;
}

static int requeue_later(outcome_plan *p, broker_settlement *ret)
{
        broker_message *next = sj_arena_alloc(p->arena, sizeof(*next));
        if (!next)
                return -ENOMEM;
        *next = (broker_message){
                .eta = {p->context->now.us + pause_after_crash(p->delivery->lease->deliveries)}};
        int r = finish(p, BROKER_REQUEUE, ret);
        if (r >= 0)
                ret->next = next;
        return r;
}

int outcome_crashed(const outcome_context *context, const outcome_delivery *delivery,
                    const char *how, sj_arena *arena, broker_settlement *ret)
{
        outcome_plan p = plan_of(context, delivery, arena);
        if (delivery->info && delivery->info->acks_early)
                return die(&p, "billiard.exceptions", "WorkerLostError", how, NULL, ret);
        if (delivery->lease->deliveries < outcome_most_deliveries(delivery))
                return requeue_later(&p, ret);
        return die(&p, "billiard.exceptions", "WorkerLostError", how, how, ret);
}

int outcome_revoked(const outcome_context *context, const outcome_delivery *delivery,
                    const char *reason, sj_arena *arena, broker_settlement *ret)
{
        outcome_plan p = plan_of(context, delivery, arena);
        return revoke(&p, reason, ret);
}

int outcome_refused(const outcome_context *context, const outcome_delivery *delivery, int error,
                    sj_arena *arena, broker_settlement *ret)
{
        outcome_plan p = plan_of(context, delivery, arena);
        char reason[128];
        snprintf(reason, sizeof(reason), "its outcome cannot be stored: %s", sj_strerror(error));
        result_meta meta = meta_of(&p, "FAILURE");
        meta.error_type = SJ_STR("ValueError");
        meta.error_module = SJ_STR("builtins");
        meta.error_args = one_text(&p, reason);
        plan_result(&p, &meta);
        plan_arrival(&p, &meta);
        int r = finish(&p, BROKER_DEAD, ret);
        const char *kept = sj_arena_strndup(arena, reason, strlen(reason));
        if (r < 0 || !kept)
                return r < 0 ? r : -ENOMEM;
        ret->reason = sj_str_of(kept);
        return 0;
}

/* ── States on the way ───────────────────────────────────────────────────────────────────── */

int outcome_progress(const outcome_context *context, const outcome_delivery *delivery, sj_str state,
                     sj_str meta_json, sj_arena *arena, broker_result *ret)
{
        /* It is no end: what its end may have brought to joins stays. */
        outcome_plan p = {.context = context, .delivery = delivery, .arena = arena};
        result_meta meta = meta_of(&p, "");
        meta.state = state;
        meta.value = meta_json;
        plan_result(&p, &meta);
        if (p.error)
                return p.error;
        *ret = p.results[0];
        return 0;
}

int outcome_started(const outcome_context *context, const outcome_delivery *delivery,
                    sj_arena *arena, broker_result *ret)
{
        const sj_str names[] = {SJ_STR("pid"), SJ_STR("hostname")};
        const sj_json *values[] = {sj_json_new_int(arena, context->pid),
                                   sj_json_new_string(arena, context->worker)};
        const sj_json *object =
                values[0] && values[1] ? sj_json_new_object(arena, names, values, 2) : NULL;
        sj_str text;
        int r = object ? sj_json_text(arena, object, SJ_JSON_SPACED, &text) : -ENOMEM;
        return r < 0 ? r : outcome_progress(context, delivery, SJ_STR("STARTED"), text, arena, ret);
}

static double limit_of(double asked, double usual)
{
        return asked > 0 ? asked : usual;
}

double outcome_time_limit(const outcome_delivery *delivery)
{
        return limit_of(delivery->m->time_limit, delivery->info ? delivery->info->time_limit : 0);
}

double outcome_soft_time_limit(const outcome_delivery *delivery)
{
        return limit_of(delivery->m->soft_time_limit,
                        delivery->info ? delivery->info->soft_time_limit : 0);
}
