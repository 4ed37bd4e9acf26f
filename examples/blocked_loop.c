/* SPDX-License-Identifier: MIT */
/* A fiber that calls the C library's sleep holds up all others, and the watchdog says who it was.
 */
#include <sanjab/debug.h>
#include <sanjab/fiber.h>
#include <stdio.h>
#include <unistd.h>

static void print(void *arg, sj_log_level level, const char *text)
{
        (void)arg;
        (void)level;
        printf("  log: %s\n", text);
}

static int polite(void *arg)
{
        (void)arg;
        return sj_sleep(1 * SJ_SEC);
}

static int rude(void *arg)
{
        (void)arg;
        sleep(1);
        return 0;
}

static int main_fiber(void *arg)
{
        (void)arg;
        sj_watchdog(500 * SJ_MS);
        SJ_SCOPE(s, SJ_NEVER, 0);
        printf("sj_sleep:\n");
        int r = sj_spawn(s, polite, NULL, NULL);
        if (r >= 0)
                r = sj_scope_join(s);
        if (r < 0)
                return r;
        printf("sleep:\n");
        r = sj_spawn(s, rude, NULL, NULL);
        return r < 0 ? r : sj_scope_join(s);
}

int main(void)
{
        sj_log_set(print, NULL, SJ_LOG_WARNING);
        return sj_run(main_fiber, NULL) < 0;
}
