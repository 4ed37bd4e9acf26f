/* SPDX-License-Identifier: MIT */
/* What a worker loads: sanjab worker -A libsquirrel_tasks.so */
#include "tasks.h"
#include "check.h"

/* The value lives in the arena of the call, which is freed when the value has been copied. */
static int describe(sj_arena *arena, const check *c, const sj_json **ret)
{
        const sj_str names[] = {SJ_STR("up"), SJ_STR("status"), SJ_STR("took_us"), SJ_STR("why")};
        const sj_json *const values[] = {
                sj_json_new_bool(arena, c->up),
                sj_json_new_int(arena, c->status),
                sj_json_new_int(arena, c->took / SJ_US),
                sj_json_new_string(arena, sj_str_of(c->why)),
        };
        *ret = sj_json_new_object(arena, names, values, 4);
        return *ret ? 0 : -ENOMEM;
}

SJ_TASK_DEFINE(squirrel_check, const sj_json *, (const char *, url), (double, timeout))
{
        check c;
        if (timeout <= 0 || timeout > 86400)
                return sj_raise(self, "ValueError", "a timeout of %g seconds", timeout);
        int r = check_site_alone(url, (sj_time)(timeout * (double)SJ_SEC), &c);
        if (r < 0)
                return r;
        return describe(self->arena, &c, ret);
}
