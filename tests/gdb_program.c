/* SPDX-License-Identifier: MIT */
/* For gdb_test: fibers that wait at known places, and an abort in the midst of them. */
#include <sanjab/chan.h>
#include <sanjab/fiber.h>

#include <stdlib.h>

enum { DEPTH = 3 };

static volatile int sink;

__attribute__((noinline)) static int receive_at(sj_chan *c, int depth)
{
        int item = 0;
        int r = depth > 0 ? receive_at(c, depth - 1) : sj_chan_recv(c, &item, SJ_NEVER);
        sink += depth;
        return r;
}

static int receiver(void *arg)
{
        int r = receive_at(arg, DEPTH);
        sink++; /* so that it is a call, and not a jump */
        return r;
}

__attribute__((noinline)) static int sleep_with(volatile int *answer)
{
        int r = sj_sleep(1000 * SJ_SEC);
        return r + *answer;
}

static int sleeper(void *arg)
{
        (void)arg;
        volatile int answer = 4711;
        return sleep_with(&answer);
}

static int returns_at_once(void *arg)
{
        (void)arg;
        return 5;
}

static int parent(void *arg)
{
        SJ_SCOPE(s, SJ_NEVER, 0);
        if (sj_spawn(s, receiver, arg, NULL) < 0)
                return -ENOMEM;
        return sj_scope_join(s);
}

static int main_fiber(void *arg)
{
        (void)arg;
        sj_chan *c;
        sj_fiber *ended;
        if (sj_chan_new(sizeof(int), 0, &c) < 0)
                return -ENOMEM;
        SJ_SCOPE(s, SJ_NEVER, 0);
        if (sj_spawn(s, parent, c, NULL) < 0 || sj_spawn(s, sleeper, NULL, NULL) < 0 ||
            sj_spawn(s, returns_at_once, NULL, &ended) < 0)
                return -ENOMEM;
        if (sj_sleep(SJ_MS) < 0 || sj_spawn(s, returns_at_once, NULL, NULL) < 0)
                return -ENOMEM;
        abort();
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
