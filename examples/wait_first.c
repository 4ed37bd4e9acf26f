/* SPDX-License-Identifier: MIT */
/* Waiting for the first of those pending, again and again; and a wait that leaves some pending. */
#include "speed.h"

#include <sanjab/fiber.h>
#include <stdio.h>

static int nap(void *arg)
{
        int n = *(int *)arg;
        int r = sj_sleep(seconds(n));
        return r < 0 ? r : n;
}

static int start_naps(sj_scope *s, sj_fiber *ret[3])
{
        static int naps[] = {3, 1, 2};
        for (int i = 0; i < 3; i++) {
                int r = sj_spawn(s, nap, &naps[i], &ret[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int one_by_one(void)
{
        sj_fiber *pending[3];
        SJ_SCOPE(s, SJ_NEVER, 0);
        int r = start_naps(s, pending);
        for (size_t n = 3; r >= 0 && n > 0; n--) {
                r = sj_wait(pending, n, SJ_FIRST, SJ_NEVER);
                if (r < 0)
                        break;
                printf("%d has ended, %zu pending\n", sj_join(pending[r], SJ_NEVER), n - 1);
                pending[r] = pending[n - 1];
        }
        return r;
}

static int with_a_limit(void)
{
        sj_fiber *naps[3];
        SJ_SCOPE(s, SJ_NEVER, 0); /* leaving it cancels those that are still pending */
        int r = start_naps(s, naps);
        if (r < 0)
                return r;
        r = sj_wait(naps, 3, SJ_ALL, sj_after(seconds(1.5)));
        int done = 0;
        for (int i = 0; i < 3; i++)
                done += sj_fiber_done(naps[i], NULL);
        printf("after 1.5 s: %s, %d done, %d pending\n", sj_strerror(r), done, 3 - done);
        return 0;
}

static int main_fiber(void *arg)
{
        (void)arg;
        int r = one_by_one();
        return r < 0 ? r : with_a_limit();
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
