/* SPDX-License-Identifier: MIT */
#include <sanjab/queue.h>
#include <stdio.h>

SJ_TASK(multiply, int64_t, (int64_t, a), (int64_t, b)) /* a worker runs it, in another process */
{
        *ret = a * b;
        return 0;
}

int main(void) /* and this is who wants it done */
{
        sj_app *app = NULL; /* the broker: a file, sanjab.db in this folder */
        sj_arena *arena = NULL;
        sj_result result;
        sj_outcome outcome;
        int r = sj_app_new(NULL, &app);
        if (r >= 0 && (r = sj_arena_new(&arena)) >= 0 &&
            (r = multiply_delay(app, 6, 7, &result)) >= 0 &&
            (r = sj_result_get(&result, arena, &outcome, sj_after(10 * SJ_SEC))) >= 0) {
                int64_t product = 0;
                sj_json_int(outcome.value, &product);
                printf("%s: %d\n", outcome.state_name, (int)product);
        }
        sj_arena_free(arena);
        sj_app_free(app);
        return r < 0;
}
