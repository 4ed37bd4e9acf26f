/* SPDX-License-Identifier: MIT */
/* The bodies, for tasks.c alone, which includes them once for each PREFIX. */

SJ_TASK(NAME(echo), const sj_json *, (const sj_json *, value))
{
        *ret = value;
        return 0;
}
OPTIONS(NAME(echo), .name = PREFIX "echo");

SJ_TASK(NAME(pair), const sj_json *, (const sj_json *, a), (const sj_json *, b))
{
        const sj_json *both[] = {a, b};
        *ret = sj_json_new_array(self->arena, both, 2);
        return *ret ? 0 : -ENOMEM;
}
OPTIONS(NAME(pair), .name = PREFIX "pair");

SJ_TASK(NAME(typed), const sj_json *, (int64_t, i), (double, d), (bool, b), (const char *, s))
{
        const sj_json *all[] = {sj_json_new_int(self->arena, i), sj_json_new_double(self->arena, d),
                                sj_json_new_bool(self->arena, b), text(self->arena, s)};
        *ret = sj_json_new_array(self->arena, all, 4);
        return *ret ? 0 : -ENOMEM;
}
OPTIONS(NAME(typed), .name = PREFIX "typed");

SJ_TASK(NAME(nothing), void)
{
        return 0;
}
OPTIONS(NAME(nothing), .name = PREFIX "nothing");

SJ_TASK(NAME(add), int64_t, (int64_t, a), (int64_t, b))
{
        *ret = a + b;
        return 0;
}
OPTIONS(NAME(add), .name = PREFIX "add");

SJ_TASK(NAME(mul), int64_t, (int64_t, a), (int64_t, b))
{
        *ret = a * b;
        return 0;
}
OPTIONS(NAME(mul), .name = PREFIX "mul");

SJ_TASK(NAME(tsum), int64_t, (const sj_json *, numbers))
{
        return sum_of(numbers, ret);
}
OPTIONS(NAME(tsum), .name = PREFIX "tsum");

/* Whatever goes before it, if it is not immutable. */
SJ_TASK(NAME(boom), void, (const char *, type), (const char *, message))
{
        return sj_raise(self, type, "%s", message);
}
OPTIONS(NAME(boom), .name = PREFIX "boom");

/* Fails with what goes before it. */
SJ_TASK(NAME(fail), void, (const sj_json *, value))
{
        sj_str said;
        int r = sj_json_text(self->arena, value, SJ_JSON_SPACED, &said);
        return r < 0 ? r : sj_raise(self, "ValueError", "%s", said.data);
}
OPTIONS(NAME(fail), .name = PREFIX "fail");

SJ_TASK(NAME(flaky), int64_t, (int64_t, times))
{
        if (self->retries < times) {
                sj_raise(self, "ValueError", "not yet");
                return sj_retry(self, &(sj_retry_options){.countdown = 0.01, .max_retries = 5});
        }
        *ret = self->retries;
        return 0;
}
OPTIONS(NAME(flaky), .name = PREFIX "flaky");

SJ_TASK(NAME(hopeless), void, (bool, with_cause))
{
        if (with_cause)
                sj_raise(self, "KeyError", "nowhere");
        return sj_retry(self, &(sj_retry_options){.countdown = 0.01, .max_retries = 1});
}
OPTIONS(NAME(hopeless), .name = PREFIX "hopeless");

SJ_TASK(NAME(patient), void)
{
        sj_raise(self, "ValueError", "later");
        return sj_retry(self, &(sj_retry_options){.countdown = 600});
}
OPTIONS(NAME(patient), .name = PREFIX "patient");

/* Waits, and can be told to end. */
SJ_TASK(NAME(nap), const char *, (double, seconds))
{
        int r = sj_sleep((sj_time)(seconds * SJ_SEC));
        *ret = "slept";
        return r;
}
OPTIONS(NAME(nap), .name = PREFIX "nap");

/* Cannot be told. */
SJ_TASK(NAME(block), const char *, (double, seconds))
{
        block(seconds);
        *ret = "blocked";
        return 0;
}
OPTIONS(NAME(block), .name = PREFIX "block");

SJ_TASK(NAME(when), double)
{
        *ret = (double)sj_wall_now().us / 1e6;
        return 0;
}
OPTIONS(NAME(when), .name = PREFIX "when");

SJ_TASK(NAME(limited), double)
{
        *ret = (double)sj_wall_now().us / 1e6;
        return 0;
}
OPTIONS(NAME(limited), .name = PREFIX "limited", .rate_limit = "4/s");

/* What it is told of its call, and who runs it. */
SJ_TASK(NAME(who), const sj_json *)
{
        const sj_str names[] = {SJ_STR("lang"),   SJ_STR("id"),    SJ_STR("root"),
                                SJ_STR("parent"), SJ_STR("group"), SJ_STR("retries")};
        const sj_json *values[] = {
                text(self->arena, "c"),           text(self->arena, self->id),
                text(self->arena, self->root_id), text(self->arena, self->parent_id),
                text(self->arena, self->group),   sj_json_new_int(self->arena, self->retries),
        };
        *ret = sj_json_new_object(self->arena, names, values, 6);
        return *ret ? 0 : -ENOMEM;
}
OPTIONS(NAME(who), .name = PREFIX "who");

SJ_TASK(NAME(quiet), int64_t, (int64_t, a))
{
        *ret = a;
        return 0;
}
OPTIONS(NAME(quiet), .name = PREFIX "quiet", .ignore_result = true);

/* Its state is HELD, with what it was given, until there is a file of that name. */
SJ_TASK(NAME(hold), const char *, (const char *, file))
{
        char meta[4096];
        snprintf(meta, sizeof(meta), "{\"until\": \"%s\"}", file);
        int r = sj_task_progress(self, "HELD", meta);
        while (r >= 0 && access(file, F_OK) != 0)
                r = sj_sleep(10 * SJ_MS);
        *ret = "let go";
        return r;
}
OPTIONS(NAME(hold), .name = PREFIX "hold");

/* (a + b) * 10, by two others. */
SJ_TASK(NAME(replaced), int64_t, (int64_t, a), (int64_t, b))
{
        char args[64];
        snprintf(args, sizeof(args), "[%lld, %lld]", (long long)a, (long long)b);
        sj_signature *s = SJ_CHAIN(sj_signature_new(PREFIX "add", args, NULL, NULL),
                                   sj_signature_new(PREFIX "mul", "[10]", NULL, NULL));
        int r = sj_replace(self, s);
        sj_signature_free(s);
        return r;
}
OPTIONS(NAME(replaced), .name = PREFIX "replaced");

/* [a + 1, a + 2] */
SJ_TASK(NAME(spread), const sj_json *, (int64_t, a))
{
        char first[32], second[32];
        snprintf(first, sizeof(first), "[%lld, 1]", (long long)a);
        snprintf(second, sizeof(second), "[%lld, 2]", (long long)a);
        sj_signature *s = SJ_GROUP(sj_signature_new(PREFIX "add", first, NULL, NULL),
                                   sj_signature_new(PREFIX "add", second, NULL, NULL));
        int r = sj_replace(self, s);
        sj_signature_free(s);
        return r;
}
OPTIONS(NAME(spread), .name = PREFIX "spread");

/* In a chord: one member more, of 100 + a. */
SJ_TASK(NAME(grow), int64_t, (int64_t, a))
{
        char args[32];
        snprintf(args, sizeof(args), "[%lld, 100]", (long long)a);
        sj_signature *s = sj_signature_new(PREFIX "add", args, NULL, NULL);
        int r = sj_add_to_chord(self, s, NULL);
        sj_signature_free(s);
        *ret = a;
        return r;
}
OPTIONS(NAME(grow), .name = PREFIX "grow");
