/* SPDX-License-Identifier: MIT */
/*
 * What AddressSanitizer, ThreadSanitizer and Valgrind must hear about a change of stacks.
 *
 * Each context has a `sanitize`, which in an ordinary build is empty, as are its functions:
 *
 *         sanitize_make(s, low, size)    the context's stack is known; it has not run
 *         sanitize_thread(s)             the context is the calling thread itself
 *         sanitize_leave(s, to, last)    right before the switch, in the function that switches:
 *                                        TSan's shadow of the call stack changes hands here, so
 *                                        an instrumented function in between would pop from the
 *                                        wrong one; always_inline sees to that
 *         sanitize_arrive(s)             right after it, on the new stack
 *         sanitize_fini(s)               it will not run again; from another context
 *
 * Valgrind needs no other build, so that it is told, if its header was there, in all; but of each
 * stack once when it is mapped, and not at a switch:
 *
 *         sanitize_valgrind()            whether the program runs under it
 *         sanitize_stack_add(low, high)  a stack: its name; a jump of the stack pointer into it is
 *                                        a switch, and not a very large frame
 *         sanitize_stack_remove(name)
 */
#ifndef SANJAB_FIBER_SANITIZE_H
#define SANJAB_FIBER_SANITIZE_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZE_ADDRESS 1
#endif
#if __has_feature(thread_sanitizer)
#define SANITIZE_THREAD 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(SANITIZE_ADDRESS)
#define SANITIZE_ADDRESS 1
#endif
#if defined(__SANITIZE_THREAD__) && !defined(SANITIZE_THREAD)
#define SANITIZE_THREAD 1
#endif
#ifndef SANITIZE_ADDRESS
#define SANITIZE_ADDRESS 0
#endif
#ifndef SANITIZE_THREAD
#define SANITIZE_THREAD 0
#endif
#define SANITIZE_ANY (SANITIZE_ADDRESS || SANITIZE_THREAD)

#define SANITIZE_INLINE static inline __attribute__((always_inline))

#if SANITIZE_ADDRESS
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

typedef struct sanitize {
        const void *low;
        size_t size;
        void *fake; /* ASan's frames of this context, while it does not run */
} sanitize;

SANITIZE_INLINE void sanitize_make(sanitize *s, const void *low, size_t size)
{
        /* A former user that ended in the middle of its frames left them poisoned. */
        __asan_unpoison_memory_region(low, size);
        s->low = low;
        s->size = size;
        s->fake = NULL;
}

SANITIZE_INLINE void sanitize_thread(sanitize *s)
{
        pthread_attr_t attributes;
        void *low = NULL;
        size_t size = 0;
        if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
                pthread_attr_getstack(&attributes, &low, &size);
                pthread_attr_destroy(&attributes);
        }
        s->low = low;
        s->size = size;
        s->fake = NULL;
}

SANITIZE_INLINE void sanitize_leave(sanitize *s, const sanitize *to, bool last)
{
        __sanitizer_start_switch_fiber(last ? NULL : &s->fake, to->low, to->size);
}

SANITIZE_INLINE void sanitize_arrive(const sanitize *s)
{
        __sanitizer_finish_switch_fiber(s->fake, NULL, NULL);
}

SANITIZE_INLINE void sanitize_fini(sanitize *s)
{
        (void)s;
}

#elif SANITIZE_THREAD
#include <sanitizer/tsan_interface.h>

typedef struct sanitize {
        void *fiber;
        bool is_thread;
        bool ran;
} sanitize;

SANITIZE_INLINE void sanitize_make(sanitize *s, const void *low, size_t size)
{
        (void)low;
        (void)size;
        s->fiber = __tsan_create_fiber(0);
        s->is_thread = false;
        s->ran = false;
}

SANITIZE_INLINE void sanitize_thread(sanitize *s)
{
        s->fiber = __tsan_get_current_fiber();
        s->is_thread = true;
        s->ran = true;
}

SANITIZE_INLINE void sanitize_leave(sanitize *s, sanitize *to, bool last)
{
        (void)s;
        (void)last;
        to->ran = true;
        __tsan_switch_to_fiber(to->fiber, 0);
}

SANITIZE_INLINE void sanitize_arrive(const sanitize *s)
{
        (void)s;
}

SANITIZE_INLINE void sanitize_fini(sanitize *s)
{
        if (s->is_thread || !s->fiber)
                return;
        if (!s->ran) {
                /* Older runtimes crash when they destroy a fiber that was never current. */
                void *current = __tsan_get_current_fiber();
                __tsan_switch_to_fiber(s->fiber, 0);
                __tsan_switch_to_fiber(current, 0);
        }
        __tsan_destroy_fiber(s->fiber);
        s->fiber = NULL;
}

#else

__extension__ typedef struct sanitize {
} sanitize;

SANITIZE_INLINE void sanitize_make(sanitize *s, const void *low, size_t size)
{
        (void)s;
        (void)low;
        (void)size;
}

SANITIZE_INLINE void sanitize_thread(sanitize *s)
{
        (void)s;
}

SANITIZE_INLINE void sanitize_leave(sanitize *s, const sanitize *to, bool last)
{
        (void)s;
        (void)to;
        (void)last;
}

SANITIZE_INLINE void sanitize_arrive(const sanitize *s)
{
        (void)s;
}

SANITIZE_INLINE void sanitize_fini(sanitize *s)
{
        (void)s;
}

#endif

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define SANITIZE_VALGRIND 1
#endif
#endif

static inline bool sanitize_valgrind(void)
{
#ifdef SANITIZE_VALGRIND
        return RUNNING_ON_VALGRIND != 0;
#else
        return false;
#endif
}

static inline unsigned sanitize_stack_add(const void *low, const void *high)
{
#ifdef SANITIZE_VALGRIND
        return (unsigned)VALGRIND_STACK_REGISTER(low, high);
#else
        (void)low;
        (void)high;
        return 0;
#endif
}

static inline void sanitize_stack_remove(unsigned name)
{
#ifdef SANITIZE_VALGRIND
        VALGRIND_STACK_DEREGISTER(name);
#else
        (void)name;
#endif
}

#endif
