/* SPDX-License-Identifier: MIT */
#include <sanjab/queue.h>
#include <stdio.h>

SJ_TASK_DECLARE(receipt, const char *, (int64_t, order), (double, total));
SJ_TASK_OPTIONS(receipt, .name = "shop.tasks.receipt");

int main(void)
{
        sj_app *app = NULL;
        sj_arena *arena = NULL;
        sj_result result;
        sj_outcome outcome;
        int r = sj_app_new(NULL, &app); /* by sanjab.conf */
        if (r >= 0 && (r = sj_arena_new(&arena)) >= 0 &&
            (r = receipt_delay(app, 7, 9.5, &result)) >= 0 &&
            (r = sj_result_get(&result, arena, &outcome, sj_after(10 * SJ_SEC))) >= 0) {
                sj_str text = SJ_STR("");
                if (outcome.state == SJ_SUCCESS)
                        sj_json_string(outcome.value, &text);
                printf("%s %.*s%s\n", outcome.state_name, SJ_STR_ARG(text), outcome.error.message);
        } else {
                fprintf(stderr, "%s\n", sj_strerror(r));
        }
        sj_arena_free(arena);
        sj_app_free(app);
        return r < 0;
}
