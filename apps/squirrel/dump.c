/* SPDX-License-Identifier: MIT */
#include "dump.h"

#include <sanjab/debug.h>
#include <sanjab/fiber.h>
#include <sanjab/process.h>

#include <signal.h>
#include <stdio.h>

static void print(void *arg, const char *text, size_t n)
{
        fwrite(text, 1, n, arg);
}

void dump_fibers(void)
{
        sj_dump(print, stderr);
}

int dump_on_request(void *arg)
{
        (void)arg;
        const int taken[] = {SIGUSR1};
        sj_signals *signals;
        int r = sj_signals_open(taken, 1, &signals);
        if (r < 0)
                return r;
        while ((r = sj_signals_next(signals, SJ_NEVER)) >= 0)
                dump_fibers();
        sj_signals_close(signals);
        return r;
}
