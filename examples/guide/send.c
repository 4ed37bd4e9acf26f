/* SPDX-License-Identifier: MIT */
#include "tasks.h"
#include <stdio.h>

static void show(const char *what, const sj_result *result, sj_arena *arena)
{
        sj_outcome outcome;
        int r = sj_result_get(result, arena, &outcome, sj_after(30 * SJ_SEC));
        if (r < 0) {
                printf("%s: %s\n", what, sj_strerror(r));
                return;
        }
        sj_str text = SJ_STR("");
        if (outcome.state == SJ_SUCCESS)
                sj_json_text(arena, outcome.value, 0, &text);
        printf("%s: %s %.*s%s%s%s\n", what, outcome.state_name, SJ_STR_ARG(text),
               outcome.error.type, outcome.error.type[0] ? ": " : "", outcome.error.message);
}

int main(void)
{
        sj_app *app = NULL;
        sj_arena *arena = NULL;
        sj_result product;
        sj_result charged;
        sj_result refused;
        int r = sj_app_new(NULL, &app); /* SANJAB_BROKER_URL, else sqlite:sanjab.db */
        if (r >= 0)
                r = sj_arena_new(&arena);
        if (r >= 0)
                r = multiply_delay(app, 6, 7, &product);
        if (r >= 0)
                r = charge_apply_async(app, &(sj_call){.countdown = 0.2}, &charged, "ann", 9.5);
        if (r >= 0)
                r = charge_delay(app, "bob", 0, &refused);
        if (r >= 0) {
                show("multiply", &product, arena);
                show("charge", &charged, arena);
                show("refused", &refused, arena);
        } else {
                fprintf(stderr, "send: %s\n", sj_strerror(r));
        }
        sj_arena_free(arena);
        sj_app_free(app);
        return r < 0;
}
