/* SPDX-License-Identifier: MIT */
/*
 * One member more for a chord, from the body of a member (protocol §8.6).
 *
 * The join grows before the member is sent: the other way round the member could arrive first, and
 * the chord would be complete with one of the others missing. A worker that dies in between leaves
 * a chord that waits for one who never comes; its delivery comes again, and adds another.
 */
#include "queue/app.h"
#include "queue/call.h"
#include "queue/message/message.h"
#include "queue/task/task.h"

/* The message of the added task: where it arrives is where the task that adds it does. */
static int added(const sj_task_request *self, const sj_signature *signature, message *ret)
{
        const task_host *host = task_host_of(self);
        const sj_json *json, *pair;
        message_error error;
        if (!host || !host->chord.n || !self->group)
                return -EINVAL;
        int r = signature_json(signature, &json);
        if (r == 0 && !(json = signature_sent(app_broker(self->app), self->arena, json)))
                r = -ENOMEM;
        if (r == 0)
                r = sj_json_parse(self->arena, host->chord, SJ_JSON_PYTHON, &pair, NULL);
        if (r < 0)
                return r;
        r = message_from_signature(self->arena, json, NULL, 0,
                                   sj_str_of(self->root_id ? self->root_id : self->id),
                                   sj_str_of(self->id), sj_wall_now(), ret, &error);
        if (r < 0)
                return r == -ENOMEM ? r : -EINVAL;
        ret->group = sj_str_of(self->group);
        ret->has_group_index = sj_json_int(sj_json_at(pair, 0), &ret->group_index) == 0;
        ret->chord = sj_json_at(pair, 1);
        return 0;
}

int sj_add_to_chord(sj_task_request *self, const sj_signature *signature, sj_result *ret)
{
        message m;
        int r = self && self->app ? added(self, signature, &m) : -EINVAL;
        if (r < 0)
                return r;
        r = broker_join_grow(app_broker(self->app), m.group, 1, sj_after(SJ_PUBLISH_DEADLINE));
        return r < 0 ? r : app_send(self->app, self->arena, &m, 0, ret);
}
