/* SPDX-License-Identifier: MIT */
/*
 * sanjab/generator.h: functions that give one value after another, when they are asked for it.
 *
 * A generator is a function on a stack of its own, which goes on only while somebody asks for its
 * next value:
 *
 *         static int count(sj_generator *g, void *arg)
 *         {
 *                 int r = 0;
 *                 for (int i = 0; r == 0 && i < *(int *)arg; i++)
 *                         r = sj_generator_yield(g, &i);
 *                 return r;
 *         }
 *
 *         SJ_GENERATOR(g, count, &limit);
 *         SJ_EACH (int, n, g)
 *                 printf("%d\n", *n);
 *         return sj_generator_error(g);
 *
 * It may wait for whatever a fiber may wait for, open scopes, and ask other generators. The loop
 * may be left in any way: the generator's call of sj_generator_yield then returns -ECANCELED, and
 * the loop is left when the generator has returned.
 */
#ifndef SANJAB_GENERATOR_H
#define SANJAB_GENERATOR_H

#include <sanjab/fiber.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sj_generator sj_generator;
typedef struct sj_generator_each sj_generator_each;

/* What a generator runs. 0 or more: there are no more values. A negative errno: it has failed. */
typedef int sj_generate_fn(sj_generator *g, void *arg);

/*
 * A generator until the end of the enclosing block: `name` becomes an sj_generator * on the stack.
 * It begins when it is first asked for a value, and has ended when the block is left, by any way.
 * Cancellation of what is around the block reaches it. arg must live as long.
 * If it failed and nobody was told (by sj_generator_next, _error or _close), the scope around the
 * block fails with that error when the block is left.
 */
#define SJ_GENERATOR(name, fn, arg)                                               \
        __attribute__((cleanup(sj_generator_leave))) sj_generator name##_storage; \
        __attribute__((unused)) sj_generator *const name =                        \
                sj_generator_enter(&name##_storage, (fn), (arg), #fn, SJ_WHERE)

/*
 * What SJ_GENERATOR does, for those who place one by hand: enter and leave must pair in the same
 * fiber, innermost first, scopes included. Aborts with a message when it is called outside of a
 * fiber. name and where are told by the dump, and must be literals or live as long.
 */
SJ_PUBLIC sj_generator *sj_generator_enter(sj_generator *storage, sj_generate_fn *fn, void *arg,
                                           const char *name, const char *where);
SJ_PUBLIC void sj_generator_leave(sj_generator *g);

/*
 * Loops over what is left: in the body, `name` is a type * to the value. When the loop is left, by
 * its end, break, return or goto, the generator has been closed. Why it ended says
 * sj_generator_error.
 */
#define SJ_EACH(type, name, source)                            \
        for (__attribute__((cleanup(sj_generator_each_end)))   \
             sj_generator_each name##_each = {(source), true}; \
             name##_each.more; name##_each.more = false)       \
                for (type * name; (name = (type *)sj_generator_each_next(name##_each.of));)

/*
 * What SJ_EACH does. The first asks for the next value, and returns NULL when the loop is over:
 * there are no more (or the value is NULL), the generator failed, or the caller was cancelled,
 * which sj_generator_error tells apart; a cancellation point. The second closes the generator, as
 * sj_generator_close.
 */
SJ_PUBLIC void *sj_generator_each_next(sj_generator *g);
SJ_PUBLIC void sj_generator_each_end(sj_generator_each *each);

/*
 * Asks for the next value: 1, and *ret points to it. It lies in the generator's memory, and is
 * valid until the generator is asked again or closed, or the scope around it is cancelled; the
 * caller may write to it, which is how to answer, if both agree on that. 0: there are no more.
 * Nothing is copied or allocated for a value.
 * Cancellation point. What the generator failed with, again and again; -ETIMEDOUT: it works on, and
 * its value is there for who asks next; -ECANCELED; -EBUSY another fiber waits for the next value;
 * -EDEADLK the caller is the generator itself; when it is first asked: what sj_spawn says.
 */
SJ_PUBLIC int sj_generator_next(sj_generator *g, void **ret, sj_time deadline);

/*
 * Gives a value to who asks, and returns 0 when the next one is asked for. For the generator's own
 * function. Cancellation point: -ECANCELED nobody will ask any more, or the scope around was
 * cancelled. -EPERM the caller is not the generator.
 */
SJ_PUBLIC int sj_generator_yield(sj_generator *g, void *value);

/*
 * Ends it: its blocking calls return -ECANCELED from now on, and this returns when it has returned
 * (it cannot itself be cancelled); one that was never asked does not begin. Asked again, it says
 * that there are no more values. Once more: no effect. Returns its failure, -ECANCELED being none;
 * -EDEADLK the caller is the generator itself; -EPERM outside of a fiber.
 */
SJ_PUBLIC int sj_generator_close(sj_generator *g);

/*
 * Why the loop ended: 0 at the end of the values or by its body's decision; the generator's
 * failure; -ECANCELED the caller was cancelled.
 */
SJ_PUBLIC int sj_generator_error(sj_generator *g);

/* ── The inside of a generator: private, here because it lies on the caller's stack ──────── */

struct sj_generator {
        struct sj_scope scope;
        sj_generate_fn *fn;
        void *arg;
        const char *name;
        const char *where;
        sj_fiber *fiber;
        void *value;
        struct sj_list asking;
        struct sj_list giving;
        struct sj_list closing;
        int error;
        bool begun;
        bool ended;
        bool closed;
        bool told;
        bool holds;
};

struct sj_generator_each {
        sj_generator *of;
        bool more;
};

#ifdef __cplusplus
}
#endif

#endif
