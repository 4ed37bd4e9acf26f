/* SPDX-License-Identifier: MIT */
#include <sanjab/chan.h>
#include <sanjab/fiber.h>
#include <stdio.h>

enum { PAGES = 5 };

static int fetch(void *arg)
{
        sj_chan *pages = arg;
        int r = 0;
        for (int page = 1; page <= PAGES && r >= 0; page++) {
                r = sj_sleep(100 * SJ_MS); /* as if over the network */
                if (r >= 0)
                        r = sj_chan_send(pages, &page, SJ_NEVER);
        }
        sj_chan_close(pages);
        return r;
}

static int process(void *arg)
{
        sj_chan *pages = arg;
        for (int page;;) {
                int r = sj_chan_recv(pages, &page, SJ_NEVER);
                if (r == -EPIPE)
                        return 0; /* closed, and empty */
                if (r >= 0)
                        r = sj_sleep(100 * SJ_MS);
                if (r < 0)
                        return r;
                printf("page %d\n", page);
        }
}

static int main_fiber(void *arg)
{
        (void)arg;
        sj_chan *pages;
        int r = sj_chan_new(sizeof(int), 2, &pages); /* room for two: the quicker side waits */
        if (r < 0)
                return r;
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                sj_spawn(s, fetch, pages, NULL);
                sj_spawn(s, process, pages, NULL);
                r = sj_scope_join(s);
        }
        sj_chan_free(pages);
        return r;
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
