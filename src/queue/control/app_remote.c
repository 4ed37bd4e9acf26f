/* SPDX-License-Identifier: MIT */
#include "queue/control/app_remote.h"

#include "queue/control/control.h"

static int say_revoked(broker *b, queue_clock *clock, bool packed, sj_str id, sj_time deadline)
{
        sj_arena *arena;
        const control_reply *none;
        const sj_str name = SJ_STR("task_id");
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        const sj_json *value = sj_json_new_string(arena, id);
        const control_call call = {.method = "revoke",
                                   .arguments = sj_json_new_object(arena, &name, &value, 1),
                                   .packed = packed,
                                   .silent = true};
        r = call.arguments ? control_broadcast(b, clock, &call, arena, &none, deadline) : -ENOMEM;
        sj_arena_free(arena);
        return r;
}

int app_revoke(broker *b, queue_clock *clock, bool packed, sj_str id, sj_time deadline)
{
        int r = broker_revoke(b, &id, 1, deadline);
        if (r == -EOPNOTSUPP)
                r = 0;
        if (r >= 0 && broker_can(b, BROKER_PUBSUB))
                r = say_revoked(b, clock, packed, id, deadline);
        return r;
}
