/* SPDX-License-Identifier: MIT */
/*
 * A generator is a fiber in a scope of its own, and a place where it meets the one who asks. At
 * most one of both sides waits there:
 *
 *         who asks ──► asking   value ◄── giving ◄── the generator
 *
 * Who asks fires the generator's clause and waits; the generator hands the value to his clause,
 * fires it, and waits. So it never works ahead. Only when the asking one has given up meanwhile is
 * the value held until somebody asks again, since it must not be lost.
 *
 * The scope collects, and the fiber never fails in it: the failure is told to who asks, and goes to
 * the scope around only if nobody asks. Not a chan of capacity 0, with which the first value is
 * made before it is asked for, each one is copied, and the end and its reason need a second way.
 */
#include "fiber/fiber.h"

#include <sanjab/generator.h>

sj_generator *sj_generator_enter(sj_generator *g, sj_generate_fn *fn, void *arg, const char *name,
                                 const char *where)
{
        sj_scope_enter(&g->scope, SJ_NEVER, SJ_COLLECT);
        g->fn = fn;
        g->arg = arg;
        g->name = name;
        g->where = where;
        g->fiber = NULL;
        list_init(&g->asking);
        list_init(&g->giving);
        list_init(&g->closing);
        g->error = 0;
        g->begun = g->ended = g->closed = g->told = g->holds = false;
        return g;
}

/* Whatever was told until now, this was not. */
static void fail(sj_generator *g, int error)
{
        g->error = error;
        g->told = false;
}

static int generate(void *arg)
{
        sj_generator *g = arg;
        g->fiber = fiber_current();
        int r = g->fn(g, g->arg);
        if (r < 0 && !(r == -ECANCELED && g->closed))
                fail(g, r);
        g->fiber = NULL;
        g->holds = false;
        g->ended = true;
        clause_fire_first(&g->asking, r < 0 ? g->error : 0);
        clause_fire_all(&g->closing, 0);
        return 0;
}

/* Sets the generator to work, unless it is at work for one who gave up. */
static int ask(sj_generator *g)
{
        if (g->begun) {
                clause_fire_first(&g->giving, 0);
                return 0;
        }
        int r = sj_spawn_named(&g->scope, generate, g, g->name, g->where, NULL);
        g->begun = r == 0;
        return r;
}

FIBER_HOT static int next(sj_generator *g, void **ret, sj_time deadline)
{
        const sj_fiber *f = fiber_current();
        int r = fiber_check_of(f);
        if (r < 0)
                return r;
        if (f == g->fiber)
                return -EDEADLK;
        if (!list_empty(&g->asking))
                return -EBUSY;
        if (g->ended || g->closed)
                return g->error;
        if (g->holds) {
                g->holds = false;
                *ret = g->value;
                return 1;
        }
        r = ask(g);
        if (r < 0)
                return r;
        clause c;
        list_append(&g->asking, &c.link);
        r = fiber_wait(&c, 1, deadline, "next of a generator", NULL);
        if (r > 0)
                *ret = c.data;
        return r;
}

int sj_generator_next(sj_generator *g, void **ret, sj_time deadline)
{
        int r = next(g, ret, deadline);
        g->told |= r < 0 && r == g->error;
        return r;
}

FIBER_HOT int sj_generator_yield(sj_generator *g, void *value)
{
        sj_fiber *f = fiber_current();
        if (!f || f != g->fiber)
                return -EPERM;
        if (f->stop)
                return -ECANCELED;
        clause *asking = clause_first(&g->asking);
        if (asking) {
                asking->data = value;
                clause_fire(asking, 1);
        } else {
                g->value = value;
                g->holds = true;
        }
        clause c;
        list_append(&g->giving, &c.link);
        int r = fiber_wait(&c, 1, SJ_NEVER, "being asked for a value", NULL);
        if (r < 0)
                g->holds = false;
        return r;
}

static void end(sj_generator *g)
{
        g->closed = true;
        if (!g->begun || g->ended)
                return;
        /* It may not have run yet, so that g->fiber is not set; no other fiber is in there. */
        list_for_each (node, &scope_of(&g->scope)->fibers)
                sj_cancel(container_of(node, sj_fiber, sibling));
        clause c;
        list_append(&g->closing, &c.link);
        fiber_wait_shielded(&c, 1, "close of a generator");
}

int sj_generator_close(sj_generator *g)
{
        const sj_fiber *f = fiber_current();
        if (!f)
                return -EPERM;
        if (f == g->fiber)
                return -EDEADLK;
        end(g);
        g->told = true;
        return g->error == -ECANCELED ? 0 : g->error;
}

int sj_generator_error(sj_generator *g)
{
        g->told = true;
        return g->error;
}

void sj_generator_leave(sj_generator *g)
{
        end(g);
        if (g->error < 0 && g->error != -ECANCELED && !g->told)
                scope_fail(scope_of(&g->scope), g->error);
        sj_scope_leave(&g->scope);
}

void *sj_generator_each_next(sj_generator *g)
{
        void *value;
        int r = next(g, &value, SJ_NEVER);
        if (r > 0)
                return value;
        if (r < 0)
                fail(g, r);
        return NULL;
}

void sj_generator_each_end(sj_generator_each *each)
{
        end(each->of);
}
