/* SPDX-License-Identifier: MIT */
/*
 * Locks for many readers or one writer, in one queue: a clause's data is its reader, or NULL for a
 * writer. Nobody passes who came after one that waits, so that neither side can starve the other.
 *
 * Whoever ends a hold, or leaves the queue, lets in those at its head that can go: a writer who
 * gives up may have been what kept the readers behind him out.
 *
 * Readers are known, each by a struct of his own, and not just counted: so a fiber that would wait
 * for itself is told so. The list of them is looked through only by who would have to wait.
 */
#include "fiber/fiber.h"

#include <sanjab/sync.h>

static void let_in(sj_rwlock *l)
{
        clause *c;
        while (!l->writer && (c = clause_first(&l->waiters))) {
                sj_rwlock_reader *reader = c->data;
                if (reader) {
                        list_append(&l->readers, &reader->link);
                } else if (list_empty(&l->readers)) {
                        l->writer = c->wait->fiber;
                } else {
                        return;
                }
                clause_fire(c, 0);
        }
}

static bool reads(const sj_rwlock *l, const sj_fiber *f)
{
        list_for_each (node, &l->readers)
                if (container_of(node, sj_rwlock_reader, link)->fiber == f)
                        return true;
        return false;
}

/* The check at the beginning of both ways in. */
static int enter(sj_rwlock *l)
{
        int r = fiber_check_of(fiber_current());
        if (r == 0 && !l->readers.next)
                list_init(&l->readers);
        return r;
}

static int wait_for_turn(sj_rwlock *l, sj_rwlock_reader *reader, sj_time deadline)
{
        const sj_fiber *f = fiber_current();
        if (l->writer == f || reads(l, f))
                return -EDEADLK;
        clause c = {.data = reader};
        clause_add(&l->waiters, &c);
        int r = fiber_wait(&c, 1, deadline, reader ? "lock to read" : "lock to write", NULL);
        if (r < 0)
                let_in(l);
        return r;
}

int sj_rwlock_acquire_read(sj_rwlock *l, sj_rwlock_reader *reader, sj_time deadline)
{
        int r = enter(l);
        if (r < 0)
                return r;
        reader->fiber = fiber_current();
        if (l->writer || clause_first(&l->waiters)) {
                r = wait_for_turn(l, reader, deadline);
                if (r < 0)
                        reader->fiber = NULL;
                return r;
        }
        list_append(&l->readers, &reader->link);
        return 0;
}

int sj_rwlock_acquire_write(sj_rwlock *l, sj_time deadline)
{
        int r = enter(l);
        if (r < 0)
                return r;
        if (l->writer || clause_first(&l->waiters) || !list_empty(&l->readers))
                return wait_for_turn(l, NULL, deadline);
        l->writer = fiber_current();
        return 0;
}

int sj_rwlock_release_read(sj_rwlock *l, sj_rwlock_reader *reader)
{
        if (!fiber_current() || reader->fiber != fiber_current())
                return -EPERM;
        reader->fiber = NULL;
        list_remove(&reader->link);
        let_in(l);
        return 0;
}

int sj_rwlock_release_write(sj_rwlock *l)
{
        if (!l->writer || l->writer != fiber_current())
                return -EPERM;
        l->writer = NULL;
        let_in(l);
        return 0;
}
