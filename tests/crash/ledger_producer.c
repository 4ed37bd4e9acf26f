/* SPDX-License-Identifier: MIT */
/*
 * ledger_producer BROKER FIRST LAST PER_SECOND PUBLISHED ATTEMPTED
 *
 * Publishes the tasks FIRST to LAST. Each number is written into the file ATTEMPTED before its
 * publish, and into PUBLISHED after it was confirmed. Killed at any moment, it can be started
 * again after the last number attempted.
 */
#include <sanjab/fiber.h>
#include <sanjab/queue.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIBERS = 8 };

typedef struct producer {
        sj_app *app;
        const char *broker;
        int64_t next;
        int64_t last;
        sj_time pause;
        int published;
        int attempted;
} producer;

static int write_number(int fd, int64_t number)
{
        char line[32];
        int n = snprintf(line, sizeof(line), "%lld\n", (long long)number);
        return write(fd, line, (size_t)n) == n ? 0 : -errno;
}

static int publish_some(void *arg)
{
        producer *p = arg;
        while (p->next <= p->last) {
                char args[32];
                int64_t number = p->next++;
                snprintf(args, sizeof(args), "[%lld]", (long long)number);
                int r = write_number(p->attempted, number);
                if (r >= 0)
                        r = sj_send_task(p->app, "crash.ledger", args, NULL, NULL, NULL);
                if (r >= 0)
                        r = write_number(p->published, number);
                if (r >= 0)
                        r = sj_sleep(p->pause);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int produce(void *arg)
{
        producer *p = arg;
        int r = sj_app_new(&(sj_app_options){.broker = p->broker}, &p->app);
        if (r < 0)
                return r;
        {
                SJ_SCOPE(all, SJ_NEVER, 0);
                for (int i = 0; i < FIBERS && r >= 0; i++)
                        r = sj_spawn(all, publish_some, p, NULL);
                int joined = sj_scope_join(all);
                r = r < 0 ? r : joined;
        }
        sj_app_free(p->app);
        return r;
}

int main(int argc, char **argv)
{
        if (argc != 7)
                return 2;
        double rate = atof(argv[4]);
        producer p = {.broker = argv[1], .next = atoll(argv[2]), .last = atoll(argv[3])};
        p.pause = rate > 0 ? (sj_time)((double)SJ_SEC * FIBERS / rate) : 0;
        p.published = open(argv[5], O_WRONLY | O_APPEND | O_CREAT, 0600);
        p.attempted = open(argv[6], O_WRONLY | O_APPEND | O_CREAT, 0600);
        if (p.published < 0 || p.attempted < 0)
                return 1;
        int r = sj_run(produce, &p);
        if (r < 0)
                fprintf(stderr, "producer: %s\n", sj_strerror(r));
        return r < 0;
}
