/* SPDX-License-Identifier: MIT */
/*
 * Two threads, then two fibers, sell ten seats. Between looking for a free seat and taking it time
 * passes: without a lock, seats are sold twice. A lock that its owner asks for again says so; a
 * re-entrant one lets the nested call pass.
 */
#include <pthread.h>
#include <sanjab/fiber.h>
#include <sanjab/sync.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct desk {
        const char *name;
        int (*take)(void);
        int (*give)(void);
        int (*pause)(void);
} desk;

static pthread_mutex_t checked = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static pthread_mutex_t counted = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static sj_lock lock = SJ_LOCK_INIT;
static sj_reentrant reentrant = SJ_REENTRANT_INIT;

static int nothing(void)
{
        return 0;
}
static int checked_take(void)
{
        return -pthread_mutex_lock(&checked);
}
static int checked_give(void)
{
        return -pthread_mutex_unlock(&checked);
}
static int counted_take(void)
{
        return -pthread_mutex_lock(&counted);
}
static int counted_give(void)
{
        return -pthread_mutex_unlock(&counted);
}
static int fiber_take(void)
{
        return sj_lock_acquire(&lock, SJ_NEVER);
}
static int fiber_give(void)
{
        return sj_lock_release(&lock);
}
static int fiber_counted_take(void)
{
        return sj_reentrant_acquire(&reentrant, SJ_NEVER);
}
static int fiber_counted_give(void)
{
        return sj_reentrant_release(&reentrant);
}
static int thread_pause(void)
{
        return usleep(10000);
}
static int fiber_pause(void)
{
        return sj_sleep(10 * SJ_MS);
}

static _Atomic int seats, sold;

static int sell(const desk *d)
{
        int r = d->take();
        if (r < 0)
                return r;
        int left = seats;
        if (left > 0) {
                d->pause();
                seats = left - 1;
                sold++;
        }
        return d->give();
}

static int sell_two(const desk *d)
{
        int r = d->take();
        if (r < 0)
                return r;
        r = sell(d);
        if (r >= 0)
                r = sell(d);
        d->give();
        return r;
}

static int sell_single(void *arg)
{
        int r = 0;
        for (int i = 0; r >= 0 && i < 10; i++)
                r = sell(arg);
        return r;
}

static int sell_pairs(void *arg)
{
        int r = 0;
        for (int i = 0; r >= 0 && i < 5; i++)
                r = sell_two(arg);
        return r;
}

typedef struct booth {
        sj_fn *seller;
        desk *desk;
        int result;
} booth;

static void *open_booth(void *arg)
{
        booth *b = arg;
        b->result = b->seller(b->desk);
        return NULL;
}

static int two_threads(sj_fn *seller, desk *d)
{
        pthread_t threads[2];
        booth booths[2] = {{seller, d, 0}, {seller, d, 0}};
        for (int i = 0; i < 2; i++)
                if (pthread_create(&threads[i], NULL, open_booth, &booths[i]) != 0)
                        abort();
        for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
        return booths[0].result;
}

static int two_fibers(sj_fn *seller, desk *d)
{
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        for (int i = 0; i < 2; i++) {
                int r = sj_spawn(s, seller, d, NULL);
                if (r < 0)
                        return r;
        }
        return sj_scope_join(s);
}

static void show(int (*two)(sj_fn *, desk *), sj_fn *seller, desk d)
{
        seats = 10;
        sold = 0;
        int r = two(seller, &d);
        printf("  %s: ", d.name);
        if (r < 0)
                printf("%s\n", sj_strerror(r));
        else
                printf("%s\n", sold > 10 ? "seats were sold twice" : "10 of 10 were sold");
}

static int main_fiber(void *arg)
{
        (void)arg;
        printf("threads:\n");
        show(two_threads, sell_single, (desk){"no lock", nothing, nothing, thread_pause});
        show(two_threads, sell_single, (desk){"a lock", checked_take, checked_give, thread_pause});
        show(two_threads, sell_pairs,
             (desk){"a lock, nested", checked_take, checked_give, thread_pause});
        show(two_threads, sell_pairs,
             (desk){"a re-entrant lock, nested", counted_take, counted_give, thread_pause});
        printf("fibers:\n");
        show(two_fibers, sell_single, (desk){"no lock", nothing, nothing, fiber_pause});
        show(two_fibers, sell_single, (desk){"a lock", fiber_take, fiber_give, fiber_pause});
        show(two_fibers, sell_pairs, (desk){"a lock, nested", fiber_take, fiber_give, fiber_pause});
        show(two_fibers, sell_pairs,
             (desk){"a re-entrant lock, nested", fiber_counted_take, fiber_counted_give,
                    fiber_pause});
        return 0;
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
