/* SPDX-License-Identifier: MIT */
#include <sanjab/fiber.h>
#include <stdio.h>

static int wait_long(void *arg)
{
        int r = sj_sleep(60 * SJ_SEC);
        printf("%s: %s\n", (char *)arg, r < 0 ? sj_strerror(r) : "slept");
        return r;
}

static int fail(void *arg)
{
        sj_sleep(200 * SJ_MS);
        printf("%s fails\n", (char *)arg);
        return -EIO;
}

static int main_fiber(void *arg)
{
        (void)arg;
        {
                SJ_SCOPE(s, sj_after(200 * SJ_MS), 0); /* all in it end at this moment */
                sj_spawn(s, wait_long, "a", NULL);
                printf("first: %s\n", sj_strerror(sj_scope_join(s)));
        }
        {
                SJ_SCOPE(s, SJ_NEVER, 0); /* the first that fails cancels the others */
                sj_spawn(s, wait_long, "b", NULL);
                sj_spawn(s, fail, "c", NULL);
                printf("second: %s\n", sj_strerror(sj_scope_join(s)));
        }
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                sj_fiber *f;
                sj_spawn(s, wait_long, "d", &f);
                int r = sj_join(f, sj_after(200 * SJ_MS)); /* this ends the wait, not the fiber */
                printf("join: %s\n", sj_strerror(r));
                sj_cancel(f);
        }
        return 0;
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
