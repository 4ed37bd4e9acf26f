/* SPDX-License-Identifier: MIT */
/* A future is asked before and after it is set: by a fiber, then by another thread. */
#include "speed.h"

#include <pthread.h>
#include <sanjab/fiber.h>
#include <sanjab/future.h>
#include <stdio.h>

static int set_later(void *arg)
{
        int r = sj_sleep(seconds(1));
        return r < 0 ? r : sj_future_set(arg, 42, NULL);
}

static void *set_in_thread(void *arg)
{
        sj_future_set(arg, 43, "from another thread"); /* a value may go with the result */
        return NULL;
}

static const char *done(const sj_future *f)
{
        return sj_future_done(f) ? "yes" : "no";
}

static int main_fiber(void *arg)
{
        (void)arg;
        sj_future f = SJ_FUTURE_INIT;
        SJ_SCOPE(s, SJ_NEVER, 0);
        int r = sj_spawn(s, set_later, &f, NULL);
        if (r < 0)
                return r;
        printf("done? %s\n", done(&f));
        int result = sj_future_get(&f, NULL, SJ_NEVER);
        printf("done? %s, %d\n", done(&f), result);
        printf("set again: %s\n", sj_strerror(sj_future_set(&f, 7, NULL)));

        sj_future g = SJ_FUTURE_INIT;
        void *value;
        pthread_t thread;
        r = -pthread_create(&thread, NULL, set_in_thread, &g);
        if (r < 0)
                return r;
        result = sj_future_get(&g, &value, SJ_NEVER);
        printf("done? %s, %d %s\n", done(&g), result, (const char *)value);
        pthread_join(thread, NULL); /* g lives until its setter has returned */
        return 0;
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
