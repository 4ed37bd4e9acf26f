/* SPDX-License-Identifier: MIT */
/*
 * The dump: all fibers of the loop as the tree that they are, with what each waits for, since
 * when, and the calls on its stack, found by walking the frame pointers between the stack's ends.
 */
#include "fiber/fiber.h"

#include <sanjab/debug.h>

#include <dlfcn.h>
#include <stdio.h>

enum { FRAMES_MAX = 32, LINE_BYTES = 512, INDENT = 2 };

typedef struct output {
        void (*write)(void *arg, const char *text, size_t n);
        void *arg;
} output;

static void print(const output *out, const char *format, ...) SJ_PRINTF(2, 3);

static void print(const output *out, const char *format, ...)
{
        char line[LINE_BYTES];
        va_list args;
        va_start(args, format);
        int n = vsnprintf(line, sizeof(line), format, args);
        va_end(args);
        if (n > 0)
                out->write(out->arg, line, n < LINE_BYTES ? (size_t)n : LINE_BYTES - 1);
}

static void print_address(const output *out, int depth, const void *pc)
{
        Dl_info info;
        if (!dladdr(pc, &info) || !info.dli_fname)
                print(out, "%*s%p\n", depth, "", pc);
        else if (info.dli_sname)
                print(out, "%*s%s+0x%zx\n", depth, "", info.dli_sname,
                      (size_t)((const char *)pc - (const char *)info.dli_saddr));
        else
                print(out, "%*s%s+0x%zx\n", depth, "", info.dli_fname,
                      (size_t)((const char *)pc - (const char *)info.dli_fbase));
}

static void print_calls(const output *out, int depth, const sj_fiber *f)
{
        /* The one that asks runs: its context is made to stand here. */
        context c = f->context;
        if (f == fiber_current()) {
                c.pc = __builtin_return_address(0);
                c.fp = __builtin_frame_address(0);
                c.sp = c.fp;
        }
        void *calls[FRAMES_MAX];
        size_t n = context_trace(&c, f->stack->low, f->stack->size, calls, FRAMES_MAX);
        for (size_t i = 0; i < n; i++)
                print_address(out, depth, calls[i]);
}

static void print_fiber(const output *out, int depth, const sj_fiber *f, sj_time now)
{
        print(out, "%*sfiber \"%s\" (%s)%s: ", depth, "", sj_fiber_name(f), sj_fiber_where(f),
              fiber_is_cancelled(f) ? " cancelled" : "");
        if (f->has_ended) {
                print(out, "ended with %d\n", f->result);
                return;
        }
        if (f == fiber_current()) {
                print(out, "running\n");
        } else if (!f->wait || f->wait->over) {
                print(out, "ready\n");
        } else {
                print(out, "waits for %s", f->wait->what);
                if (heap_holds(&f->wait->timer.node))
                        print(out, ", at most %lld ms more",
                              (long long)((f->wait->timer.node.key - now) / SJ_MS));
                print(out, ", since %lld ms\n", (long long)((now - f->wait->since) / SJ_MS));
        }
        if (f->context.pc)
                print_calls(out, depth + 2 * INDENT, f);
}

/* The fiber, or the one after it in its owner; by the owner's list. */
static sj_fiber *sibling_from(const scope *s, const list *node)
{
        return node == &s->fibers ? NULL : container_of(node, sj_fiber, sibling);
}

/* The first fiber at or below scope s: of s itself, or of the scopes around it in its fiber. */
static sj_fiber *first_in(const scope *s)
{
        for (; s; s = s->outer) {
                sj_fiber *f = sibling_from(s, s->fibers.next);
                if (f)
                        return f;
        }
        return NULL;
}

/* The next fiber of the tree in order, without recursion: the tree may be deeper than a stack. */
sj_fiber *fiber_tree_next(const sj_fiber *f, int *depth)
{
        sj_fiber *child = f->has_ended ? NULL : first_in(f->inner);
        if (child) {
                *depth += INDENT;
                return child;
        }
        while (f) {
                const scope *s = f->owner;
                sj_fiber *next = sibling_from(s, f->sibling.next);
                if (!next)
                        next = first_in(s->outer);
                if (next)
                        return next;
                *depth -= INDENT;
                f = s->opener;
        }
        return NULL;
}

sj_fiber *fiber_tree_first(const fiber_loop *fl)
{
        return sibling_from(&fl->root, fl->root.fibers.next);
}

void sj_dump(void (*write)(void *arg, const char *text, size_t n), void *arg)
{
        const fiber_loop *fl = fiber_loop_of_thread;
        if (!fl)
                return;
        output out = {write, arg};
        sj_time now = os_now();
        int depth = 0;
        size_t count = 0;
        for (const sj_fiber *f = fiber_tree_first(fl); f; f = fiber_tree_next(f, &depth)) {
                print_fiber(&out, depth, f, now);
                count++;
        }
        print(&out, "%zu fiber%s\n", count, count == 1 ? "" : "s");
}

int sj_fiber_each(sj_fiber_visit *visit, void *arg)
{
        const fiber_loop *fl = fiber_loop_of_thread;
        if (!fl)
                return -EPERM;
        int depth = 0, r = 0;
        for (sj_fiber *f = fiber_tree_first(fl); f && r == 0; f = fiber_tree_next(f, &depth))
                if (!f->has_ended)
                        r = visit(f, (unsigned)(depth / INDENT), arg);
        return r;
}
