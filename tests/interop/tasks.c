/* SPDX-License-Identifier: MIT */
/*
 * The tasks of the interoperability matrix, as matrix_app.py has them in Python. Each is known by
 * two names: "c.X", which only our workers have, and "both.X", which Celery's have too.
 */
#include <sanjab/canvas.h>
#include <sanjab/fiber.h>

#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* As long as a body blocks whatever is asked of it. */
static void block(double seconds)
{
        for (sj_time end = sj_after((sj_time)(seconds * SJ_SEC)); sj_now() < end;)
                usleep(10000);
}

static int sum_of(const sj_json *numbers, int64_t *ret)
{
        int64_t sum = 0, number = 0;
        SJ_JSON_EACH (numbers, i, each) {
                int r = sj_json_int(each, &number);
                if (r < 0)
                        return r;
                sum += number;
        }
        *ret = sum;
        return 0;
}

static const sj_json *text(sj_arena *arena, const char *s)
{
        return s ? sj_json_new_string(arena, sj_str_of(s)) : sj_json_new_null(arena);
}

#define OPTIONS(name, ...) SJ_TASK_OPTIONS(name, __VA_ARGS__)

#define NAME(x) c_##x
#define PREFIX  "c."
#include "tasks_bodies.h"
#undef NAME
#undef PREFIX

#define NAME(x) both_##x
#define PREFIX  "both."
#include "tasks_bodies.h"
