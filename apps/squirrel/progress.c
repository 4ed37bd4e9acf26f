/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

enum { WIDTH = 40 };

static void draw(const progress *p)
{
        char bar[WIDTH + 1];
        size_t full = p->total ? p->done * WIDTH / p->total : WIDTH;
        for (size_t i = 0; i < WIDTH; i++)
                bar[i] = i < full ? '#' : '.';
        bar[WIDTH] = '\0';
        fprintf(stderr, "\r%-10s [%s] %zu of %zu", p->label, bar, p->done, p->total);
        fflush(stderr);
}

void progress_begin(progress *p, const char *label, size_t total)
{
        *p = (progress){.lock = PTHREAD_MUTEX_INITIALIZER, .label = label, .total = total};
        p->shown = isatty(STDERR_FILENO);
        if (p->shown)
                draw(p);
}

void progress_step(progress *p)
{
        pthread_mutex_lock(&p->lock);
        p->done++;
        if (p->shown)
                draw(p);
        pthread_mutex_unlock(&p->lock);
}

void progress_end(progress *p)
{
        if (p->shown)
                fprintf(stderr, "\r\033[K");
        pthread_mutex_destroy(&p->lock);
}
