/* SPDX-License-Identifier: MIT */
/* The caller's end: a mailbox is there before the request is said, so that no reply is early. */
#include "queue/control/control.h"

#include "queue/message/message.h"

#include <stdlib.h>

typedef struct control_asking {
        const control_call *call;
        queue_clock *clock;
        sj_arena *arena;
        char ticket[MESSAGE_UUID_SIZE];
        char address[MESSAGE_UUID_SIZE];
        control_reply *replies;
        size_t n;
        size_t room;
} control_asking;

bool control_is_packed(const sj_app_options *options)
{
        return options && options->serializer && strcmp(options->serializer, "msgpack") == 0;
}

static const sj_json *node_names(sj_arena *arena, const control_call *call)
{
        const sj_json **names = sj_arena_alloc(arena, (call->n_nodes + 1) * sizeof(*names));
        if (!names)
                return NULL;
        for (size_t i = 0; i < call->n_nodes; i++)
                names[i] = sj_json_new_string(arena, call->nodes[i]);
        return sj_json_new_array(arena, names, call->n_nodes);
}

static int say(broker *b, const control_asking *a, sj_time deadline)
{
        const control_call *call = a->call;
        sj_time left = deadline == SJ_NEVER ? 0 : deadline - sj_now();
        control_request request = {
                .method = sj_str_of(call->method),
                .arguments = call->arguments,
                .pattern = call->pattern,
                .matcher = call->pattern.n ? SJ_STR("glob") : (sj_str){0},
                .packed = call->packed,
                .clock = queue_clock_forward(a->clock),
                .expires = left > 0 ? (double)sj_wall_now().us / 1e6 + (double)left / 1e9 : 0,
        };
        if (!call->silent) {
                request.ticket = sj_str_of(a->ticket);
                request.reply_exchange = SJ_STR(CONTROL_REPLY);
                request.reply_key = sj_str_of(a->address);
        }
        sj_str text;
        int r = 0;
        if (call->n_nodes > 0) {
                request.destination = node_names(a->arena, call);
                r = request.destination ? 0 : -ENOMEM;
        }
        if (r >= 0)
                r = control_request_encode(a->arena, &request, &text);
        return r < 0 ? r : broker_emit(b, SJ_STR(CONTROL_CHANNEL), text, deadline);
}

static bool has_answered(const control_asking *a, sj_str node)
{
        for (size_t i = 0; i < a->n; i++)
                if (sj_str_equal(a->replies[i].node, node))
                        return true;
        return false;
}

static int keep(control_asking *a, const control_reply *reply)
{
        if (a->n == a->room) {
                size_t room = a->room ? 2 * a->room : 16;
                control_reply *more = sj_arena_alloc(a->arena, room * sizeof(*more));
                if (!more)
                        return -ENOMEM;
                if (a->n)
                        memcpy(more, a->replies, a->n * sizeof(*more));
                a->replies = more;
                a->room = room;
        }
        a->replies[a->n++] = *reply;
        return 0;
}

static int take(control_asking *a, sj_str text)
{
        control_reply reply;
        int64_t clock;
        const char *why;
        int r = control_reply_decode(a->arena, text, sj_str_of(a->ticket), &reply, &clock, &why);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                sj_log(SJ_LOG_WARNING, "a reply to '%s' is not read: %s", a->call->method, why);
                return 0;
        }
        queue_clock_adjust(a->clock, clock);
        return has_answered(a, reply.node) ? 0 : keep(a, &reply);
}

static int take_replies(control_asking *a, broker_subscription *mailbox, sj_time deadline)
{
        size_t most = a->call->limit ? a->call->limit : a->call->n_nodes;
        if (most == 0 || most > CONTROL_REPLIES_MAX)
                most = CONTROL_REPLIES_MAX;
        int r = 0;
        while (a->n < most && r >= 0) {
                sj_str channel, text;
                r = broker_next(mailbox, a->arena, &channel, &text, deadline);
                if (r == -ENOBUFS)
                        r = 0; /* more than a mailbox holds: those that are left count */
                else if (r >= 0)
                        r = take(a, text);
        }
        return r == -ETIMEDOUT ? 0 : r;
}

int control_broadcast(broker *b, queue_clock *clock, const control_call *call, sj_arena *arena,
                      const control_reply **ret, sj_time deadline)
{
        control_asking a = {.call = call, .clock = clock, .arena = arena};
        broker_subscription *mailbox = NULL;
        if (!call->method || call->pattern.n > CONTROL_PATTERN_MAX)
                return -EINVAL;
        message_uuid(a.ticket);
        message_uuid(a.address);
        int r = 0;
        if (!call->silent)
                r = broker_mailbox(b, SJ_STR(CONTROL_REPLY), sj_str_of(a.address), &mailbox,
                                   deadline);
        if (r >= 0)
                r = say(b, &a, deadline);
        if (r >= 0 && !call->silent)
                r = take_replies(&a, mailbox, deadline);
        broker_unsubscribe(mailbox);
        if (r < 0)
                return r;
        *ret = a.replies;
        return (int)a.n;
}
