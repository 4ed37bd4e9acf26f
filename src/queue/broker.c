/* SPDX-License-Identifier: MIT */
/*
 * The way into every broker: one function a verb, which checks the arguments once for all brokers
 * and hands them on, so that a broker_*.c sees only what is well-formed. The kinds of brokers are
 * a table.
 */
#include "queue/broker.h"

#include <sanjab/fiber.h>

#include <stdio.h>
#include <stdlib.h>

static const broker_class *const broker_classes[] = {
        &broker_memory_class,
#ifdef SANJAB_SQLITE
        &broker_sqlite_class,
#endif
};

int broker_open(const char *url, const broker_options *options, broker **ret, char *error,
                size_t size, sj_time deadline)
{
        static const broker_options none;
        char unused[1];
        if (!error || size == 0) {
                error = unused;
                size = sizeof(unused);
        }
        error[0] = 0;
        const char *colon = strchr(url, ':');
        if (!colon) {
                /* The text itself may hold a secret, so it is not repeated. */
                snprintf(error, size, "a broker's address has the form KIND:PLACE, as sqlite:PATH");
                return -EINVAL;
        }
        sj_str scheme = {url, (size_t)(colon - url)};
        for (size_t i = 0; i < sizeof(broker_classes) / sizeof(broker_classes[0]); i++) {
                const broker_class *class = broker_classes[i];
                if (!sj_str_equal(scheme, sj_str_of(class->scheme)))
                        continue;
                int r = class->open(colon + 1, options ? options : &none, ret, error, size,
                                    deadline);
                if (r < 0 && !error[0])
                        snprintf(error, size, "cannot open the broker: %s", sj_strerror(r));
                return r;
        }
        snprintf(error, size, "this build has no broker of the kind '%.*s'",
                 (int)(scheme.n < 32 ? scheme.n : 32), scheme.data);
        return -EPROTONOSUPPORT;
}

void broker_close(broker *b)
{
        if (b)
                b->class->close(b);
}

const char *broker_notice(const broker *b)
{
        return b->class->notice ? b->class->notice() : NULL;
}

/* Every verb is a cancellation point, also where the broker would not have to wait. */
static int broker_enter(void)
{
        return sj_fiber_self() && sj_cancelled() ? -ECANCELED : 0;
}

static bool broker_name_ok(sj_str name, size_t most)
{
        if (name.n == 0 || name.n > most)
                return false;
        for (size_t i = 0; i < name.n; i++)
                if ((unsigned char)name.data[i] < 0x20 || name.data[i] == 0x7f)
                        return false;
        return true;
}

bool broker_message_ok(const broker_message *m)
{
        return broker_name_ok(m->id, SJ_TASK_ID_MAX) &&
               broker_name_ok(m->queue, SJ_TASK_NAME_MAX) && m->priority >= 0 &&
               m->priority <= BROKER_PRIORITY_MAX && m->eta.us >= 0 && m->expires.us >= 0 &&
               m->key_for >= 0;
}

static bool broker_messages_ok(const broker_message messages[], size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (!broker_message_ok(&messages[i]))
                        return false;
        return n <= BROKER_BATCH_MAX;
}

int broker_publish(broker *b, const broker_message messages[], size_t n, broker_published ret[],
                   sj_time deadline)
{
        if (!broker_messages_ok(messages, n))
                return -EINVAL;
        int r = broker_enter();
        return r < 0 || n == 0 ? r : b->class->publish(b, messages, n, ret, deadline);
}

int broker_lease_next(broker *b, const broker_claim *claim, broker_lease *ret[], size_t n,
                      sj_time deadline)
{
        if (claim->duration < 0)
                return -EINVAL;
        int r = broker_enter();
        if (r < 0 || n == 0 || claim->n_queues == 0)
                return r;
        broker_claim filled = *claim;
        if (!filled.duration)
                filled.duration = BROKER_LEASE_DEFAULT;
        return b->class->lease_next(b, &filled, ret, n < BROKER_BATCH_MAX ? n : BROKER_BATCH_MAX,
                                    deadline);
}

int broker_wait(broker *b, const sj_str queues[], size_t n_queues, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : b->class->wait(b, queues, n_queues, deadline);
}

int broker_renew(broker *b, broker_lease *const leases[], size_t n, sj_time duration,
                 broker_hold ret[], sj_time deadline)
{
        if (n > BROKER_BATCH_MAX || duration < 0)
                return -EINVAL;
        int r = broker_enter();
        if (r < 0 || n == 0)
                return r;
        return b->class->renew(b, leases, n, duration ? duration : BROKER_LEASE_DEFAULT, ret,
                               deadline);
}

int broker_settle(broker *b, broker_settlement settlements[], size_t n, sj_time deadline)
{
        if (n > BROKER_BATCH_MAX)
                return -EINVAL;
        for (size_t i = 0; i < n; i++) {
                const broker_settlement *s = &settlements[i];
                if (!broker_messages_ok(s->follow_ups, s->n_follow_ups))
                        return -EINVAL;
                if (s->verdict != BROKER_RETRY)
                        continue;
                if (!s->next || !broker_message_ok(s->next) ||
                    !sj_str_equal(s->next->id, s->lease->message.id))
                        return -EINVAL;
        }
        int r = broker_enter();
        return r < 0 || n == 0 ? r : b->class->settle(b, settlements, n, deadline);
}

int broker_cancel(broker *b, sj_str id, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : b->class->cancel(b, id, deadline);
}

int broker_result_put(broker *b, const broker_result results[], size_t n, sj_time deadline)
{
        for (size_t i = 0; i < n; i++)
                if (!broker_name_ok(results[i].id, SJ_TASK_ID_MAX) || !results[i].state.n)
                        return -EINVAL;
        if (n > BROKER_BATCH_MAX)
                return -EINVAL;
        int r = broker_enter();
        return r < 0 || n == 0 ? r : b->class->result_put(b, results, n, deadline);
}

int broker_result_get(broker *b, const sj_str ids[], size_t n, sj_arena *arena, broker_result ret[],
                      sj_time deadline)
{
        int r = broker_enter();
        return r < 0 || n == 0 ? r : b->class->result_get(b, ids, n, arena, ret, deadline);
}

int broker_result_wait(broker *b, sj_str id, sj_arena *arena, broker_result *ret, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : b->class->result_wait(b, id, arena, ret, deadline);
}

int broker_result_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 || n == 0 ? r : b->class->result_drop(b, ids, n, deadline);
}

int broker_queues(broker *b, sj_arena *arena, const broker_depth **ret, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : b->class->queues(b, arena, ret, deadline);
}

int broker_purge(broker *b, sj_str queue, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : b->class->purge(b, queue, deadline);
}

int broker_dead_list(broker *b, sj_str queue, sj_str after, size_t n, sj_arena *arena,
                     const broker_dead **ret, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 || n == 0 ? r : b->class->dead_list(b, queue, after, n, arena, ret, deadline);
}

int broker_dead_retry(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 || n == 0 ? r : b->class->dead_retry(b, ids, n, deadline);
}

int broker_dead_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 || n == 0 ? r : b->class->dead_drop(b, ids, n, deadline);
}

int broker_node_join(broker *b, const broker_node *node, sj_time ttl, broker_token *ret_token,
                     sj_time deadline)
{
        if (!broker_name_ok(node->name, SJ_TASK_NAME_MAX) || ttl <= 0)
                return -EINVAL;
        int r = broker_enter();
        return r < 0 ? r : b->class->node_join(b, node, ttl, ret_token, deadline);
}

int broker_node_beat(broker *b, sj_str name, broker_token token, sj_str info, sj_time ttl,
                     sj_time deadline)
{
        if (ttl <= 0)
                return -EINVAL;
        int r = broker_enter();
        return r < 0 ? r : b->class->node_beat(b, name, token, info, ttl, deadline);
}

int broker_node_leave(broker *b, sj_str name, broker_token token, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : b->class->node_leave(b, name, token, deadline);
}

int broker_nodes(broker *b, sj_arena *arena, const broker_node **ret, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : b->class->nodes(b, arena, ret, deadline);
}

int broker_emit(broker *b, sj_str channel, sj_str text, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : b->class->emit(b, channel, text, deadline);
}

int broker_subscribe(broker *b, const sj_str channels[], size_t n, broker_subscription **ret,
                     sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : b->class->subscribe(b, channels, n, ret, deadline);
}

int broker_next(broker_subscription *s, sj_arena *arena, sj_str *ret_channel, sj_str *ret_text,
                sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : s->owner->class->next(s, arena, ret_channel, ret_text, deadline);
}

void broker_unsubscribe(broker_subscription *s)
{
        if (s)
                s->owner->class->unsubscribe(s);
}

bool broker_channel_matches(sj_str pattern, sj_str channel)
{
        if (pattern.n == 0 || pattern.data[pattern.n - 1] != '*')
                return sj_str_equal(pattern, channel);
        return channel.n >= pattern.n - 1 && memcmp(pattern.data, channel.data, pattern.n - 1) == 0;
}

/* ── Leases ──────────────────────────────────────────────────────────────────────────────── */

void broker_lease_free(broker_lease *lease)
{
        free(lease);
}

static sj_str broker_place(char **end, sj_str s)
{
        sj_str placed = {*end, s.n};
        if (s.n)
                memcpy(*end, s.data, s.n);
        (*end)[s.n] = 0;
        *end += s.n + 1;
        return placed;
}

broker_lease *broker_lease_new(const broker_lease *lease)
{
        const broker_message *m = &lease->message;
        size_t size = m->id.n + m->queue.n + m->task.n + m->envelope.n + m->key.n + 5;
        broker_lease *copy = malloc(sizeof(*copy) + size);
        if (!copy)
                return NULL;
        char *end = (char *)(copy + 1);
        *copy = *lease;
        copy->message.id = broker_place(&end, m->id);
        copy->message.queue = broker_place(&end, m->queue);
        copy->message.task = broker_place(&end, m->task);
        copy->message.envelope = broker_place(&end, m->envelope);
        copy->message.key = broker_place(&end, m->key);
        return copy;
}
