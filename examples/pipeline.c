/* SPDX-License-Identifier: MIT */
/* One fiber fetches 20 pages, another one works on them as they come through a chan. */
#include "speed.h"

#include <sanjab/chan.h>
#include <sanjab/fiber.h>
#include <stdio.h>

enum { PAGES = 20 };

static int fetch(void)
{
        return sj_sleep(seconds(0.5));
}

static int process(void)
{
        return sj_sleep(seconds(0.5));
}

static int all_then_all(void)
{
        int r = 0;
        for (int page = 0; r >= 0 && page < PAGES; page++)
                r = fetch();
        for (int page = 0; r >= 0 && page < PAGES; page++)
                r = process();
        return r;
}

static int fetcher(void *arg)
{
        sj_chan *pages = arg;
        int r = 0;
        for (int page = 0; r >= 0 && page < PAGES; page++) {
                r = fetch();
                if (r >= 0)
                        r = sj_chan_send(pages, &page, SJ_NEVER);
        }
        sj_chan_close(pages); /* what is inside can still be received */
        return r;
}

static int pipeline(void)
{
        sj_chan *pages;
        int page, processed = 0, r = sj_chan_new(sizeof(page), 4, &pages);
        if (r < 0)
                return r;
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                r = sj_spawn(s, fetcher, pages, NULL);
                while (r >= 0 && (r = sj_chan_recv(pages, &page, SJ_NEVER)) >= 0) {
                        r = process();
                        processed++;
                }
        }
        sj_chan_free(pages);
        printf("%d pages were processed\n", processed);
        return r == -EPIPE ? 0 : r; /* closed and empty: that was all */
}

static int main_fiber(void *arg)
{
        (void)arg;
        sj_time start = sj_now();
        int r = all_then_all();
        printf("all fetches, then all processing: %.1f s\n", since(start));
        if (r < 0)
                return r;
        start = sj_now();
        r = pipeline();
        printf("through a chan: %.1f s\n", since(start));
        return r;
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
