/* SPDX-License-Identifier: MIT */
/*
 * The frames of a context that does not run: fp points to the caller's fp, and next to it lies the
 * address to return to; both processors agree on that. Code without frame pointers, of which a
 * program may be made in part, leaves anything in fp: so each step must go up, and stay inside of
 * the stack, and the walk ends at the first that does not.
 */
#include "fiber/context.h"

/* Without the signature that branch protection puts into an address on the stack. */
static void *plain(void *call)
{
#ifdef __aarch64__
        register void *link __asm__("x30") = call;
        __asm__("hint #7" : "+r"(link)); /* xpaclri */
        return link;
#else
        return call;
#endif
}

size_t context_trace(const context *c, const void *low, size_t size, void *ret_calls[], size_t most)
{
        size_t n = 0;
        uintptr_t at = (uintptr_t)c->fp;
        uintptr_t floor = (uintptr_t)c->sp;
        uintptr_t top = (uintptr_t)low + size;
        if (n < most)
                ret_calls[n++] = c->pc;
        while (n < most && at >= floor && at <= top - 2 * sizeof(void *) &&
               at % sizeof(void *) == 0) {
                void *const *frame = (void *const *)at;
                if (!frame[0]) /* the entry's, whose caller is context_trampoline */
                        break;
                ret_calls[n++] = plain(frame[1]);
                floor = at + 2 * sizeof(void *);
                at = (uintptr_t)frame[0];
        }
        return n;
}
