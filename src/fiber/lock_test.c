/* SPDX-License-Identifier: MIT */
/* Re-entrant locks, readers and writers, semaphores, conditions, barriers and once. */
#include "fiber/sim_unit.h"

#include <sanjab/sync.h>

enum { CROWD = 8, ROUNDS = 10 };

static sj_time soon(void)
{
        return sim_draw(3) == 0 ? SJ_NEVER : sj_after((sj_time)sim_draw(4) * SJ_MS);
}

static void dawdle(void)
{
        sj_sleep((sj_time)sim_draw(3) * SJ_MS);
}

/* A crowd of fn, of which some are cancelled at some time; all of them have ended then. */
static void crowd(sj_fn *fn, void *arg)
{
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        sj_fiber *f[CROWD];
        for (int i = 0; i < CROWD; i++)
                expect_equal(sj_spawn(s, fn, arg, &f[i]), 0);
        for (int i = 0; i < 3; i++) {
                dawdle();
                sj_cancel(f[sim_draw(CROWD)]);
        }
        sj_scope_join(s);
}

/* ── Re-entrant ──────────────────────────────────────────────────────────────────────────── */

typedef struct nested {
        sj_reentrant lock;
        int inside;
} nested;

static void nest(nested *n, int depth)
{
        if (sj_reentrant_acquire(&n->lock, soon()) < 0)
                return;
        if (depth == 0)
                expect_equal(++n->inside, 1);
        dawdle();
        if (depth < 3)
                nest(n, depth + 1);
        dawdle();
        if (depth == 0)
                expect_equal(--n->inside, 0);
        expect_equal(sj_reentrant_release(&n->lock), 0);
}

static int nest_often(void *arg)
{
        for (int i = 0; i < ROUNDS && !sj_cancelled(); i++)
                nest(arg, 0);
        return 0;
}

static int release_it(void *arg)
{
        return sj_reentrant_release(arg);
}

static int a_reentrant_lock_is_free_when_released_as_often(void *arg)
{
        (void)arg;
        nested n = {.lock = SJ_REENTRANT_INIT};
        expect_equal(sj_reentrant_release(&n.lock), -EPERM);
        expect_equal(sj_reentrant_acquire(&n.lock, SJ_NEVER), 0);
        expect_equal(sj_reentrant_acquire(&n.lock, SJ_POLL), 0);
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                sj_fiber *other;
                expect_equal(sj_spawn(s, release_it, &n.lock, &other), 0);
                expect_equal(sj_join(other, SJ_NEVER), -EPERM);
        }
        expect_equal(sj_reentrant_release(&n.lock), 0);
        expect_equal(sj_reentrant_release(&n.lock), 0);
        expect_equal(sj_reentrant_release(&n.lock), -EPERM);
        crowd(nest_often, &n);
        expect(!n.lock.lock.owner);
        return 0;
}

/* ── Readers and writers ─────────────────────────────────────────────────────────────────── */

typedef struct page {
        sj_rwlock lock;
        int readers;
        int writers;
} page;

static int read_and_write(void *arg)
{
        page *p = arg;
        for (int i = 0; i < ROUNDS && !sj_cancelled(); i++) {
                sj_rwlock_reader me;
                if (sim_draw(3) > 0) {
                        if (sj_rwlock_acquire_read(&p->lock, &me, soon()) < 0)
                                continue;
                        p->readers++;
                        expect_equal(p->writers, 0);
                        dawdle();
                        p->readers--;
                        expect_equal(sj_rwlock_release_read(&p->lock, &me), 0);
                } else {
                        if (sj_rwlock_acquire_write(&p->lock, soon()) < 0)
                                continue;
                        expect_equal(++p->writers, 1);
                        expect_equal(p->readers, 0);
                        dawdle();
                        p->writers--;
                        expect_equal(sj_rwlock_release_write(&p->lock), 0);
                }
        }
        return 0;
}

static int many_read_or_one_writes(void *arg)
{
        (void)arg;
        page p = {.lock = SJ_RWLOCK_INIT};
        crowd(read_and_write, &p);
        expect_equal(sj_rwlock_acquire_write(&p.lock, SJ_POLL), 0);
        expect_equal(sj_rwlock_release_write(&p.lock), 0);
        return 0;
}

static int write_for_a_while(void *arg)
{
        int r = sj_rwlock_acquire_write(arg, sj_after(SJ_SEC));
        return r < 0 ? r : sj_rwlock_release_write(arg);
}

static int read_once(void *arg)
{
        sj_rwlock_reader me;
        int r = sj_rwlock_acquire_read(arg, &me, SJ_NEVER);
        return r < 0 ? r : sj_rwlock_release_read(arg, &me);
}

static int a_writer_that_gives_up_lets_in_the_readers_behind_it(void *arg)
{
        (void)arg;
        sj_rwlock l = SJ_RWLOCK_INIT;
        sj_rwlock_reader me, again;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        sj_fiber *writer, *reader;
        expect_equal(sj_rwlock_acquire_read(&l, &me, SJ_NEVER), 0);
        expect_equal(sj_rwlock_acquire_write(&l, SJ_NEVER), -EDEADLK);
        expect_equal(sj_rwlock_acquire_read(&l, &again, SJ_NEVER), 0);
        expect_equal(sj_rwlock_release_read(&l, &again), 0);
        expect_equal(sj_rwlock_release_read(&l, &again), -EPERM);
        expect_equal(sj_spawn(s, write_for_a_while, &l, &writer), 0);
        expect_equal(sj_sleep(SJ_MS), 0);
        expect_equal(sj_spawn(s, read_once, &l, &reader), 0);
        expect_equal(sj_sleep(SJ_MS), 0);
        expect(!sj_fiber_done(reader, NULL));
        expect_equal(sj_rwlock_acquire_read(&l, &again, SJ_NEVER), -EDEADLK);
        expect_equal(sj_rwlock_release_read(&l, &again), -EPERM);
        if (sim_draw(2) == 0)
                sj_cancel(writer);
        expect_equal(sj_join(reader, SJ_NEVER), 0);
        expect(sj_join(writer, SJ_NEVER) < 0);
        expect_equal(sj_rwlock_release_read(&l, &me), 0);
        expect_equal(sj_rwlock_acquire_write(&l, SJ_NEVER), 0);
        expect_equal(sj_rwlock_acquire_read(&l, &me, SJ_NEVER), -EDEADLK);
        expect_equal(sj_rwlock_acquire_write(&l, SJ_NEVER), -EDEADLK);
        expect_equal(sj_rwlock_release_write(&l), 0);
        expect_equal(sj_rwlock_release_write(&l), -EPERM);
        return 0;
}

/* ── Semaphores ──────────────────────────────────────────────────────────────────────────── */

typedef struct places {
        sj_semaphore free;
        int taken;
        int most;
} places;

static int take_places(void *arg)
{
        places *p = arg;
        for (int i = 0; i < ROUNDS && !sj_cancelled(); i++) {
                if (sj_semaphore_acquire(&p->free, soon()) < 0)
                        continue;
                expect(++p->taken <= p->most);
                dawdle();
                p->taken--;
                expect_equal(sj_semaphore_release(&p->free), 0);
        }
        return 0;
}

static int a_semaphore_admits_so_many_and_forgets_none(void *arg)
{
        (void)arg;
        int n = (int)sim_draw(4) + 1;
        places p = {.free = SJ_SEMAPHORE_BOUNDED((size_t)n), .most = n};
        crowd(take_places, &p);
        expect_equal(p.free.free, n);
        expect_equal(sj_semaphore_release(&p.free), -EOVERFLOW);
        expect_equal(p.free.free, n);
        sj_semaphore unbounded = SJ_SEMAPHORE_INIT(0);
        expect_equal(sj_semaphore_acquire(&unbounded, SJ_POLL), -ETIMEDOUT);
        expect_equal(sj_semaphore_release(&unbounded), 0);
        expect_equal(sj_semaphore_acquire(&unbounded, SJ_POLL), 0);
        return 0;
}

typedef struct turn {
        sj_semaphore free;
        int next;
} turn;

typedef struct comer {
        turn *turn;
        int number;
} comer;

static int come(void *arg)
{
        comer *c = arg;
        expect_equal(sj_semaphore_acquire(&c->turn->free, SJ_NEVER), 0);
        expect_equal(c->number, c->turn->next++);
        return 0;
}

static int a_semaphore_serves_in_the_order_of_asking(void *arg)
{
        (void)arg;
        turn t = {.free = SJ_SEMAPHORE_INIT(0)};
        comer comers[CROWD];
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < CROWD; i++) {
                comers[i] = (comer){&t, i};
                expect_equal(sj_spawn(s, come, &comers[i], NULL), 0);
                expect_equal(sj_sleep(SJ_MS), 0);
        }
        for (int i = 0; i < CROWD; i++) {
                expect_equal(sj_semaphore_release(&t.free), 0);
                /* Who asks now does not slip in. */
                expect_equal(sj_semaphore_acquire(&t.free, SJ_POLL), -ETIMEDOUT);
                expect_equal(sj_sleep(SJ_MS), 0);
                expect_equal(t.next, i + 1);
        }
        expect_equal(sj_scope_join(s), 0);
        expect_equal(t.next, CROWD);
        return 0;
}

/* ── Conditions ──────────────────────────────────────────────────────────────────────────── */

typedef struct stock {
        sj_lock lock;
        sj_condition more;
        int goods;
        int taken;
        int inside;
} stock;

static int take_goods(void *arg)
{
        stock *k = arg;
        int r = sj_lock_acquire(&k->lock, SJ_NEVER);
        if (r < 0)
                return r;
        expect_equal(++k->inside, 1);
        while (k->goods == 0 && r >= 0) {
                k->inside--;
                r = sj_condition_wait(&k->more, &k->lock, soon());
                expect_equal(++k->inside, 1);
                if (r == -ETIMEDOUT)
                        r = 0;
                if (sim_draw(4) == 0)
                        dawdle();
        }
        if (k->goods > 0) {
                k->goods--;
                k->taken++;
        }
        k->inside--;
        expect_equal(sj_lock_release(&k->lock), 0);
        return r;
}

static int put_goods(void *arg)
{
        stock *k = arg;
        for (int i = 0; i < CROWD; i++) {
                dawdle();
                expect_equal(sj_lock_acquire(&k->lock, SJ_NEVER), 0);
                expect_equal(++k->inside, 1);
                k->goods++;
                if (sim_draw(2) == 0)
                        sj_condition_wake_one(&k->more);
                dawdle();
                if (sim_draw(4) == 0)
                        sj_condition_wake_all(&k->more);
                k->inside--;
                expect_equal(sj_lock_release(&k->lock), 0);
                sj_condition_wake_one(&k->more);
        }
        return 0;
}

static int a_condition_returns_with_the_lock_whatever_happens(void *arg)
{
        (void)arg;
        stock k = {.lock = SJ_LOCK_INIT, .more = SJ_CONDITION_INIT};
        expect_equal(sj_condition_wait(&k.more, &k.lock, SJ_NEVER), -EPERM);
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        expect_equal(sj_spawn(s, put_goods, &k, NULL), 0);
        crowd(take_goods, &k);
        expect_equal(sj_scope_join(s), 0);
        expect_equal(k.goods + k.taken, CROWD);
        expect(!k.lock.owner);
        return 0;
}

static int wait_for_more(void *arg)
{
        stock *k = arg;
        expect_equal(sj_lock_acquire(&k->lock, SJ_NEVER), 0);
        int r = sj_condition_wait(&k->more, &k->lock, SJ_NEVER);
        k->taken += r == 0;
        expect_equal(sj_lock_release(&k->lock), 0);
        return r;
}

static int a_wake_up_goes_to_the_next_when_its_first_is_cancelled(void *arg)
{
        (void)arg;
        stock k = {.lock = SJ_LOCK_INIT};
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        sj_fiber *f[3];
        for (int i = 0; i < 3; i++) {
                expect_equal(sj_spawn(s, wait_for_more, &k, &f[i]), 0);
                expect_equal(sj_sleep(SJ_MS), 0);
        }
        sj_cancel(f[0]);
        sj_condition_wake_one(&k.more); /* for the second, who returns 0 nevertheless */
        sj_cancel(f[1]);
        expect_equal(sj_join(f[0], SJ_NEVER), -ECANCELED);
        expect_equal(sj_join(f[1], SJ_NEVER), 0);
        expect(!sj_fiber_done(f[2], NULL));
        sj_condition_wake_all(&k.more);
        expect_equal(sj_join(f[2], SJ_NEVER), 0);
        expect_equal(k.taken, 2);
        return 0;
}

/* ── Barriers ────────────────────────────────────────────────────────────────────────────── */

typedef struct race {
        sj_barrier barrier;
        int rounds[CROWD]; /* that each has passed */
        int next;
} race;

static int run_rounds(void *arg)
{
        race *c = arg;
        int me = c->next++;
        for (int i = 0; i < ROUNDS; i++) {
                dawdle();
                int r = sj_barrier_wait(&c->barrier, SJ_NEVER);
                if (r < 0)
                        return r;
                expect(r < CROWD);
                c->rounds[me]++;
                for (int j = 0; j < CROWD; j++)
                        expect(abs(c->rounds[j] - c->rounds[me]) <= 1);
        }
        return 0;
}

static int all_pass_a_barrier_together(void *arg)
{
        (void)arg;
        race c = {.barrier = SJ_BARRIER_INIT(CROWD)};
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < CROWD; i++)
                expect_equal(sj_spawn(s, run_rounds, &c, NULL), 0);
        expect_equal(sj_scope_join(s), 0);
        for (int i = 0; i < CROWD; i++)
                expect_equal(c.rounds[i], ROUNDS);
        return 0;
}

/* Nobody passes a round that one has left, and nobody waits for it. */
static int who_leaves_a_barrier_breaks_it(void *arg)
{
        (void)arg;
        race c = {.barrier = SJ_BARRIER_INIT(CROWD)};
        crowd(run_rounds, &c);
        int least = ROUNDS, most = 0;
        for (int i = 0; i < CROWD; i++) {
                least = c.rounds[i] < least ? c.rounds[i] : least;
                most = c.rounds[i] > most ? c.rounds[i] : most;
        }
        expect(most - least == 0);
        expect(c.barrier.broken || least == ROUNDS);
        if (c.barrier.broken)
                expect_equal(sj_barrier_wait(&c.barrier, SJ_NEVER), -EPIPE);
        sj_barrier_reset(&c.barrier);
        expect_equal(sj_barrier_wait(&c.barrier, SJ_POLL), -ETIMEDOUT);
        expect(!c.barrier.broken);
        expect_equal(sj_barrier_wait(&c.barrier, sj_after(SJ_MS)), -ETIMEDOUT);
        expect(c.barrier.broken);
        return 0;
}

static int wait_at(void *arg)
{
        return sj_barrier_wait(arg, SJ_NEVER);
}

static int the_last_one_does_not_pass_without_who_has_just_left(void *arg)
{
        (void)arg;
        sj_barrier b = SJ_BARRIER_INIT(3);
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        sj_fiber *f[2];
        for (int i = 0; i < 2; i++)
                expect_equal(sj_spawn(s, wait_at, &b, &f[i]), 0);
        expect_equal(sj_sleep(SJ_MS), 0);
        sj_cancel(f[0]);
        expect_equal(sj_barrier_wait(&b, SJ_NEVER), -EPIPE);
        expect_equal(sj_join(f[0], SJ_NEVER), -ECANCELED);
        expect_equal(sj_join(f[1], SJ_NEVER), -EPIPE);
        expect(b.broken);
        return 0;
}

/* ── Once ────────────────────────────────────────────────────────────────────────────────── */

typedef struct setup {
        sj_once once;
        int begun;
        int done;
} setup;

static int set_up(void *arg)
{
        setup *u = arg;
        u->begun++;
        expect_equal(sj_once_run(&u->once, set_up, u, SJ_NEVER),
                     sj_cancelled() ? -ECANCELED : -EDEADLK);
        int r = sj_sleep((sj_time)(1 + sim_draw(3)) * SJ_MS);
        if (r < 0)
                return r;
        if (sim_draw(3) == 0)
                return -EIO;
        expect_equal(++u->done, 1);
        return 42;
}

static int need_it(void *arg)
{
        setup *u = arg;
        int r = sj_once_run(&u->once, set_up, u, soon());
        expect(r == 42 || r == -EIO || r == -ETIMEDOUT || r == -ECANCELED);
        expect(r < 0 || u->done == 1);
        return 0;
}

static int once_is_done_by_the_first_who_succeeds(void *arg)
{
        (void)arg;
        setup u = {.once = SJ_ONCE_INIT};
        crowd(need_it, &u);
        while (sj_once_run(&u.once, set_up, &u, SJ_NEVER) == -EIO) {
        }
        expect_equal(u.done, 1);
        expect_equal(sj_once_run(&u.once, set_up, &u, SJ_NEVER), 42);
        expect(!u.once.lock.owner);
        return 0;
}

#define CASES(X)                                                  \
        X(a_reentrant_lock_is_free_when_released_as_often)        \
        X(many_read_or_one_writes)                                \
        X(a_writer_that_gives_up_lets_in_the_readers_behind_it)   \
        X(a_semaphore_admits_so_many_and_forgets_none)            \
        X(a_semaphore_serves_in_the_order_of_asking)              \
        X(a_condition_returns_with_the_lock_whatever_happens)     \
        X(a_wake_up_goes_to_the_next_when_its_first_is_cancelled) \
        X(all_pass_a_barrier_together)                            \
        X(who_leaves_a_barrier_breaks_it)                         \
        X(the_last_one_does_not_pass_without_who_has_just_left)   \
        X(once_is_done_by_the_first_who_succeeds)

CASES(SIM_UNIT_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {CASES(SIM_UNIT_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
