/* SPDX-License-Identifier: MIT */
/*
 * Four times sleeping, then four times computing: in turn, on threads, in processes, as fibers.
 * Waiting gains from all three, computing from threads and processes: C has no global lock.
 */
#include "speed.h"

#include <pthread.h>
#include <sanjab/exec.h>
#include <stdio.h>
#include <unistd.h>

enum { JOBS = 4, COUNT = 10000000 };

typedef struct job {
        bool crunch;
        int pid;
        char thread[16];
} job;

static sj_thread_pool *threads;
static sj_process_pool *processes;

static int run(void *arg)
{
        job *j = arg;
        j->pid = getpid();
        pthread_getname_np(pthread_self(), j->thread, sizeof(j->thread));
        if (!j->crunch)
                return sj_fiber_self() ? sj_sleep(seconds(1))
                                       : usleep((useconds_t)(seconds(1) / SJ_US));
        for (volatile int i = 0; i < COUNT; i++)
                ;
        return 0;
}

static int run_in_process(const void *input, size_t n, void *output, size_t capacity)
{
        if (n != sizeof(job) || capacity < n)
                return -EINVAL;
        memcpy(output, input, n);
        int r = run(output);
        return r < 0 ? r : (int)n;
}

static int in_turn(job jobs[])
{
        int r = 0;
        for (int i = 0; r >= 0 && i < JOBS; i++)
                r = run(&jobs[i]);
        return r;
}

static int on_threads(job jobs[])
{
        return sj_thread_pool_map(threads, run, jobs, sizeof(job), JOBS, NULL, SJ_NEVER);
}

static int in_processes(job jobs[])
{
        return sj_process_pool_map(processes, run_in_process, jobs, sizeof(job), JOBS, jobs,
                                   sizeof(job), NULL, SJ_NEVER);
}

static int fibers_main(void *arg)
{
        job *jobs = arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < JOBS; i++) {
                int r = sj_spawn(s, run, &jobs[i], NULL);
                if (r < 0)
                        return r;
        }
        return sj_scope_join(s);
}

static int as_fibers(job jobs[])
{
        return sj_run(fibers_main, jobs);
}

static int measure(const char *name, int (*way)(job jobs[]), bool crunch)
{
        job jobs[JOBS] = {{crunch, 0, ""}, {crunch, 0, ""}, {crunch, 0, ""}, {crunch, 0, ""}};
        sj_time start = sj_now();
        int r = way(jobs);
        if (crunch)
                printf("%s: %lld ms\n", name, (long long)((sj_now() - start) / SJ_MS));
        else
                printf("%s: %.1f s\n", name, since(start));
        for (int i = 0; i < JOBS; i++)
                printf("    pid %d, thread %s\n", jobs[i].pid, jobs[i].thread);
        return r;
}

int main(int argc, char **argv)
{
        sj_boot(argc, argv);
        if (sj_thread_pool_new(JOBS, NULL, &threads) < 0 ||
            sj_process_pool_new(JOBS, &(sj_process_pool_options){.name = "process"}, &processes) <
                    0)
                return 1;
        int r = 0;
        for (int crunch = 0; r >= 0 && crunch < 2; crunch++) {
                printf("%s\n", crunch ? "computing" : "sleeping for 1 s");
                r = measure("  in turn", in_turn, crunch);
                if (r >= 0)
                        r = measure("  threads", on_threads, crunch);
                if (r >= 0)
                        r = measure("  processes", in_processes, crunch);
                if (r >= 0)
                        r = measure("  fibers", as_fibers, crunch);
        }
        sj_process_pool_free(processes);
        sj_thread_pool_free(threads);
        return r < 0;
}
