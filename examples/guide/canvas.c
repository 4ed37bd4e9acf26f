/* SPDX-License-Identifier: MIT */
#include <sanjab/canvas.h>
#include <stdio.h>

SJ_TASK(letters, int64_t, (const char *, word))
{
        *ret = (int64_t)strlen(word);
        return 0;
}

SJ_TASK(total, int64_t, (const sj_json *, numbers))
{
        *ret = 0;
        SJ_JSON_EACH (numbers, i, each) {
                int64_t number;
                int r = sj_json_int(each, &number);
                if (r < 0)
                        return r;
                *ret += number;
        }
        return 0;
}

SJ_TASK(divide, int64_t, (int64_t, a), (int64_t, b))
{
        if (b == 0)
                return sj_raise(self, "ZeroDivisionError", "nothing to divide by");
        *ret = a / b;
        return 0;
}

static int run(sj_app *app, sj_arena *arena, sj_signature *s)
{
        sj_result result;
        sj_outcome outcome;
        int64_t value;
        int r = sj_signature_send(app, s, &result);
        sj_signature_free(s);
        if (r >= 0)
                r = sj_result_get(&result, arena, &outcome, sj_after(30 * SJ_SEC));
        if (r < 0)
                return r;
        if (sj_json_int(outcome.value, &value) == 0)
                printf("%s %lld\n", outcome.state_name, (long long)value);
        else
                printf("%s %s\n", outcome.state_name, outcome.error.type);
        return 0;
}

int main(void)
{
        sj_app *app = NULL;
        sj_arena *arena = NULL;
        int r = sj_app_new(NULL, &app);
        if (r >= 0)
                r = sj_arena_new(&arena);
        if (r >= 0) /* (3 + 3 + 5 + 4) / 4 */
                r = run(app, arena,
                        SJ_CHAIN(SJ_GROUP(letters_s("one"), letters_s("two"), letters_s("three"),
                                          letters_s("four")),
                                 total_p(), divide_p(4)));
        if (r >= 0) /* what is behind a failure fails with it */
                r = run(app, arena, SJ_CHAIN(letters_s("zero"), divide_p(0), divide_p(2)));
        if (r < 0)
                fprintf(stderr, "canvas: %s\n", sj_strerror(r));
        sj_arena_free(arena);
        sj_app_free(app);
        return r < 0;
}
