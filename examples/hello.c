/* SPDX-License-Identifier: MIT */
#include <sanjab/fiber.h>
#include <stdio.h>

static int nap(void *arg) /* every fiber runs this, on a stack of its own */
{
        int tenths = *(int *)arg;
        int r = sj_sleep(tenths * 100 * SJ_MS); /* the others run meanwhile */
        printf("%.1f s: %s\n", tenths / 10.0, r < 0 ? sj_strerror(r) : "slept");
        return r;
}

static int main_fiber(void *arg)
{
        static int tenths[] = {3, 1, 90, 2};
        SJ_SCOPE(s, sj_after(1 * SJ_SEC), SJ_COLLECT); /* the block ends when its fibers have */
        for (int i = 0; i < 4; i++)
                sj_spawn(s, nap, &tenths[i], arg);
        printf("together: %s\n", sj_strerror(sj_scope_join(s)));
        return 0;
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
