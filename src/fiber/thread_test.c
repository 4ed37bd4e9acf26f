/* SPDX-License-Identifier: MIT */
/*
 * What crosses threads: posts and futures. Real threads, so that nothing here depends on who is
 * faster: each test says what holds for every order, and ThreadSanitizer looks on.
 */
#include "fiber/real_unit.h"
#include "os/os.h"

#include <sanjab/chan.h>
#include <sanjab/fiber.h>
#include <sanjab/future.h>
#include <sanjab/select.h>
#include <sanjab/sync.h>

#include <stdatomic.h>

enum { THREADS = 4, POSTS = 2000, ROUNDS = 2000 };

static os_thread *start(void *(*body)(void *), void *arg)
{
        os_thread *thread;
        expect(os_thread_start(body, arg, "test", &thread) == 0);
        return thread;
}

/* ── Posts ───────────────────────────────────────────────────────────────────────────────── */

typedef struct mailbox {
        sj_loop *loop;
        sj_event all_came;
        int next[THREADS];
        int came;
} mailbox;

typedef struct letter {
        mailbox *box;
        int from;
        int number;
} letter;

typedef struct poster {
        mailbox *box;
        int number;
        letter letters[POSTS];
} poster;

static int receive(void *arg)
{
        const letter *l = arg;
        expect(l->box->next[l->from] == l->number);
        l->box->next[l->from]++;
        if (++l->box->came == THREADS * POSTS)
                sj_event_set(&l->box->all_came);
        return 0;
}

static void *post_all(void *arg)
{
        poster *p = arg;
        for (int i = 0; i < POSTS; i++) {
                p->letters[i] = (letter){.box = p->box, .from = p->number, .number = i};
                expect(sj_post(p->box->loop, receive, &p->letters[i]) == 0);
        }
        return NULL;
}

static int keep_busy(void *arg)
{
        const mailbox *box = arg;
        while (!box->all_came.is_set) {
                int r = sj_yield();
                if (r < 0)
                        return r;
        }
        return 0;
}

static int receives_posts(void *arg)
{
        mailbox box = {.loop = sj_loop_current()};
        poster *posters = calloc(THREADS, sizeof(*posters));
        os_thread *threads[THREADS];
        expect(posters != NULL);
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                /* A busy loop and one that sleeps are woken in different ways. */
                if (arg)
                        expect(sj_spawn(s, keep_busy, &box, NULL) == 0);
                for (int i = 0; i < THREADS; i++) {
                        posters[i] = (poster){.box = &box, .number = i};
                        threads[i] = start(post_all, &posters[i]);
                }
                expect(sj_event_wait(&box.all_came, SJ_NEVER) == 0);
                expect(sj_scope_join(s) == 0);
        }
        for (int i = 0; i < THREADS; i++)
                os_thread_join(threads[i]);
        free(posters);
        return 0;
}

static void posts_of_many_threads_come_in_the_order_of_each(void **state)
{
        (void)state;
        assert_int_equal(sj_run(receives_posts, NULL), 0);
        assert_int_equal(sj_run(receives_posts, (void *)1), 0);
}

/* ── Futures ─────────────────────────────────────────────────────────────────────────────── */

typedef struct race {
        sj_future future[2];
        sj_chan *chan;
        _Atomic int round;
        _Atomic int ready; /* the round whose futures are new */
        int timed_out;
        int got;
} race;

static void *set_in_each_round(void *arg)
{
        race *r = arg;
        for (int i = 1; i <= ROUNDS; i++) {
                while (atomic_load(&r->ready) < i)
                        continue;
                expect(sj_future_set(&r->future[i % 2], i, r) == 0);
                atomic_store(&r->round, i);
        }
        return NULL;
}

/* The memory of a round is used again by the next, so that late news would hit a stranger. */
static void begin_round(race *r, int i)
{
        while (atomic_load(&r->round) < i - 1)
                continue;
        r->future[0] = (sj_future)SJ_FUTURE_INIT;
        r->future[1] = (sj_future)SJ_FUTURE_INIT;
        atomic_store(&r->ready, i);
}

static int time_out_at_the_moment_of_news(void *arg)
{
        race *r = arg;
        for (int i = 1; i <= ROUNDS; i++) {
                begin_round(r, i);
                void *value = NULL;
                int got = sj_future_get(&r->future[i % 2], &value, sj_after(i % 7 * SJ_US));
                expect(got == -ETIMEDOUT || (got == i && value == r));
                if (got == i)
                        r->got++;
                else
                        r->timed_out++;
        }
        return 0;
}

static void who_gives_up_as_a_future_is_set_gets_no_late_news(void **state)
{
        (void)state;
        race r = {0};
        os_thread *thread = start(set_in_each_round, &r);
        assert_int_equal(sj_run(time_out_at_the_moment_of_news, &r), 0);
        os_thread_join(thread);
        assert_int_equal(r.got + r.timed_out, ROUNDS);
}

static int time_out_of_several(void *arg)
{
        race *r = arg;
        sj_future *both[] = {&r->future[0], &r->future[1]};
        for (int i = 1; i <= ROUNDS; i++) {
                begin_round(r, i);
                int got = sj_future_wait(both, 2, SJ_FIRST, sj_after(i % 7 * SJ_US));
                expect(got == -ETIMEDOUT || got == i % 2);
                if (got >= 0)
                        r->got++;
                else
                        r->timed_out++;
        }
        return 0;
}

static void who_gives_up_several_futures_gets_no_late_news(void **state)
{
        (void)state;
        for (int in_fiber = 0; in_fiber < 2; in_fiber++) {
                race r = {0};
                os_thread *thread = start(set_in_each_round, &r);
                if (in_fiber)
                        assert_int_equal(sj_run(time_out_of_several, &r), 0);
                else
                        assert_int_equal(time_out_of_several(&r), 0);
                os_thread_join(thread);
                assert_int_equal(r.got + r.timed_out, ROUNDS);
        }
}

enum { FUTURES = 40 };

static void *set_each(void *arg)
{
        sj_future *f = arg;
        for (int i = 0; i < FUTURES; i++)
                expect(sj_future_set(&f[i], i == FUTURES / 2 ? -EIO : i, NULL) == 0);
        return NULL;
}

static int wait_by_every_rule(void *arg)
{
        sj_future *f = arg, *all[FUTURES];
        for (int i = 0; i < FUTURES; i++)
                all[i] = &f[i];
        expect(sj_future_wait(all, FUTURES, SJ_FIRST, SJ_NEVER) == 0);
        expect(sj_future_wait(all, FUTURES, SJ_FIRST_FAILURE, SJ_NEVER) == FUTURES / 2);
        expect(sj_future_wait(all, FUTURES, SJ_ALL, SJ_NEVER) == FUTURES);
        return 0;
}

static void several_futures_of_another_thread_are_awaited(void **state)
{
        (void)state;
        for (int round = 0; round < 40; round++) {
                sj_future f[FUTURES] = {{0}};
                os_thread *thread = start(set_each, f);
                if (round % 2)
                        assert_int_equal(sj_run(wait_by_every_rule, f), 0);
                else
                        wait_by_every_rule(f);
                os_thread_join(thread);
        }
}

static int feed(void *arg)
{
        race *r = arg;
        for (int i = 1; i <= ROUNDS; i++) {
                int e = sj_chan_send(r->chan, &i, SJ_NEVER);
                if (e < 0)
                        return e == -EPIPE ? 0 : e;
        }
        return 0;
}

static int select_between_threads_and_fibers(void *arg)
{
        race *r = arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect(sj_chan_new(sizeof(int), 0, &r->chan) == 0);
        expect(sj_spawn(s, feed, r, NULL) == 0);
        for (int i = 1; i <= ROUNDS; i++) {
                begin_round(r, i);
                int item = 0;
                /* The chan last: who waits for news of a future must not be met there. */
                sj_case cases[] = {
                        {.kind = SJ_CASE_FUTURE, .future = &r->future[0]},
                        {.kind = SJ_CASE_FUTURE, .future = &r->future[1]},
                        {.kind = SJ_CASE_RECV, .chan = r->chan, .item = &item},
                };
                int k = sj_select(cases, 3, i % 3 ? sj_after(i % 5 * SJ_US) : SJ_NEVER);
                expect(k == -ETIMEDOUT || (k == 2 && item > 0) || (k == i % 2 && item == 0));
                if (k >= 0 && k < 2)
                        expect(cases[k].result == i);
        }
        sj_chan_close(r->chan);
        expect(sj_scope_join(s) == 0);
        sj_chan_free(r->chan);
        return 0;
}

static void a_select_leaves_nothing_behind_though_threads_fire_its_cases(void **state)
{
        (void)state;
        race r = {0};
        os_thread *thread = start(set_in_each_round, &r);
        assert_int_equal(sj_run(select_between_threads_and_fibers, &r), 0);
        os_thread_join(thread);
}

static int get_42(void *arg)
{
        void *value = NULL;
        expect(sj_future_get(arg, &value, SJ_NEVER) == 42 && value == arg);
        return 0;
}

static int several_get(void *arg)
{
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < 10; i++)
                expect(sj_spawn(s, get_42, arg, NULL) == 0);
        return sj_scope_join(s);
}

static void *loop_of_waiters(void *arg)
{
        expect(sj_run(several_get, arg) == 0);
        return NULL;
}

static void *waiter_without_loop(void *arg)
{
        expect(sj_future_get(arg, NULL, SJ_POLL) == -ETIMEDOUT || sj_future_done(arg));
        int r = sj_future_get(arg, NULL, sj_after(SJ_MS));
        expect(r == -ETIMEDOUT || r == 42);
        get_42(arg);
        return NULL;
}

static void a_future_is_seen_by_loops_and_plain_threads(void **state)
{
        (void)state;
        for (int round = 0; round < 50; round++) {
                sj_future f = SJ_FUTURE_INIT;
                os_thread *threads[THREADS];
                for (int i = 0; i < THREADS; i++)
                        threads[i] = start(i % 2 ? loop_of_waiters : waiter_without_loop, &f);
                if (round % 2)
                        assert_int_equal(sj_future_get(&f, NULL, sj_after(SJ_MS)), -ETIMEDOUT);
                assert_int_equal(sj_future_set(&f, 42, &f), 0);
                assert_int_equal(sj_future_set(&f, 43, NULL), -EALREADY);
                for (int i = 0; i < THREADS; i++)
                        os_thread_join(threads[i]);
        }
}

/* ── What does not cross ─────────────────────────────────────────────────────────────────── */

static void *spawn_into_foreign_scope(void *arg)
{
        expect(sj_loop_current() == NULL && sj_fiber_self() == NULL);
        expect(sj_spawn(arg, get_42, NULL, NULL) == -EXDEV);
        expect(sj_yield() == -EPERM);
        expect(sj_scope_deadline() == SJ_NEVER);
        expect(!sj_cancelled());
        return NULL;
}

static int lend_scope(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        os_thread_join(start(spawn_into_foreign_scope, s));
        return sj_scope_join(s);
}

static void a_scope_takes_no_fiber_of_another_thread(void **state)
{
        (void)state;
        assert_int_equal(sj_run(lend_scope, NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(posts_of_many_threads_come_in_the_order_of_each),
                cmocka_unit_test(who_gives_up_as_a_future_is_set_gets_no_late_news),
                cmocka_unit_test(who_gives_up_several_futures_gets_no_late_news),
                cmocka_unit_test(several_futures_of_another_thread_are_awaited),
                cmocka_unit_test(a_select_leaves_nothing_behind_though_threads_fire_its_cases),
                cmocka_unit_test(a_future_is_seen_by_loops_and_plain_threads),
                cmocka_unit_test(a_scope_takes_no_fiber_of_another_thread),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
