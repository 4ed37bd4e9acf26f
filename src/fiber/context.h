/* SPDX-License-Identifier: MIT */
/*
 * context: a place in the execution of a stack, which can be left and gone back to.
 *
 * A switch stores where this context stands and jumps to where the other one stood:
 *
 *         from->sp, pc, fp, base = here        sp, fp, base = to's; jump to->pc
 *
 * Two forms of it can be mixed freely, since both leave the same four words:
 *   context_switch       is inlined, and tells the compiler that all other registers are lost.
 *                        So only those that live across the switch are saved, each call site
 *                        has an indirect jump of its own, which the processor predicts better
 *                        than one that all share, and no return address is left unpaired.
 *   context_switch_call  is an ordinary function, in context_$ARCH.S, which keeps the registers
 *                        that the ABI says a callee keeps.
 * Nothing is pushed in the inlined form, so a leaf function's red zone is safe. The frame pointer
 * and the base register are saved by hand, because a compiler that uses them for itself does not
 * let them be declared lost.
 *
 * Not kept by a switch: the floating-point control words (MXCSR, the x87 control word, FPCR). A
 * fiber that changes the rounding mode must set it back before it waits. The direction flag must
 * be clear, as at any call.
 *
 * On x86-64 the landing places have endbr64, so that a build with -fcf-protection works. Shadow
 * stacks are not switched; context_x86_64.S does not declare itself fit for them, and the linker
 * then marks the whole program as unfit, so that they stay off.
 */
#ifndef SANJAB_FIBER_CONTEXT_H
#define SANJAB_FIBER_CONTEXT_H

#include "fiber/sanitize.h"

#include <stdint.h>

typedef struct context {
        void *sp;
        void *pc;
        void *fp;   /* rbp, x29: with pc, the start of a walk along the frames */
        void *base; /* rbx, x19 */
        sanitize sanitizer;
#if SANITIZE_ANY
        void (*entry)(void *arg);
        void *arg;
#endif
} context;

/* The smallest stack: the frames of an entry that does nothing but switch. */
#define CONTEXT_STACK_MIN 512

/* The first instructions of a context: calls the entry that lies on its stack with its argument. */
__attribute__((visibility("hidden"))) void context_trampoline(void);

/* context_switch as a function. */
__attribute__((visibility("hidden"))) void context_switch_call(context *from, const context *to);

/* What follows the jump's target in the assembly: where an indirect jump may land. */
#if defined(__x86_64__) && defined(__CET__) && (__CET__ & 1)
#define CONTEXT_LANDING "endbr64\n\t"
#elif defined(__aarch64__) && defined(__ARM_FEATURE_BTI_DEFAULT)
#define CONTEXT_LANDING "hint #36\n\t" /* bti j */
#else
#define CONTEXT_LANDING ""
#endif

#if defined(__x86_64__)

#ifdef __AVX512F__
#define CONTEXT_LOST_WIDE                                                                        \
        , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24",       \
                "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", \
                "k4", "k5", "k6", "k7"
#else
#define CONTEXT_LOST_WIDE
#endif

static inline __attribute__((always_inline)) void context_jump(context *from, const context *to)
{
        __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                         "movq 8(%%rsi), %%rdx\n\t"
                         "movq %%rsp, (%%rdi)\n\t"
                         "movq %%rax, 8(%%rdi)\n\t"
                         "movq %%rbp, 16(%%rdi)\n\t"
                         "movq %%rbx, 24(%%rdi)\n\t"
                         "movq 16(%%rsi), %%rbp\n\t"
                         "movq 24(%%rsi), %%rbx\n\t"
                         "movq (%%rsi), %%rsp\n\t"
                         "jmp *%%rdx\n"
                         "1:\n\t" CONTEXT_LANDING
                         : "+D"(from), "+S"(to)
                         :
                         : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                           "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                           "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                           "xmm15" CONTEXT_LOST_WIDE, "st", "st(1)", "st(2)", "st(3)", "st(4)",
                           "st(5)", "st(6)", "st(7)", "cc", "memory");
}

#elif defined(__aarch64__)

#ifdef __ARM_FEATURE_SVE
#define CONTEXT_LOST_WIDE                                                                         \
        , "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13", \
                "p14", "p15", "ffr"
#else
#define CONTEXT_LOST_WIDE
#endif

static inline __attribute__((always_inline)) void context_jump(context *from, const context *to)
{
        register context *x0 __asm__("x0") = from;
        register const context *x1 __asm__("x1") = to;
        __asm__ volatile("adr x2, 1f\n\t"
                         "mov x3, sp\n\t"
                         "stp x3, x2, [x0]\n\t"
                         "stp x29, x19, [x0, #16]\n\t"
                         "ldp x3, x17, [x1]\n\t"
                         "ldp x29, x19, [x1, #16]\n\t"
                         "mov sp, x3\n\t"
                         "br x17\n"
                         "1:\n\t" CONTEXT_LANDING
                         : "+r"(x0), "+r"(x1)
                         :
                         : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12",
                           "x13", "x14", "x15", "x16", "x17", "x18", "x20", "x21", "x22", "x23",
                           "x24", "x25", "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4",
                           "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15",
                           "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",
                           "v26", "v27", "v28", "v29", "v30", "v31" CONTEXT_LOST_WIDE, "cc",
                           "memory");
}

#else
#error "no context switch for this processor: write context_$ARCH.S and context_jump"
#endif

#if SANITIZE_ANY
static inline void context_start(void *arg)
{
        context *c = arg;
        sanitize_arrive(&c->sanitizer);
        c->entry(c->arg);
}
#endif

/* Makes c stand for the calling thread, which is about to switch away from itself. */
static inline void context_thread(context *c)
{
        *c = (context){0};
        sanitize_thread(&c->sanitizer);
}

/*
 * Makes c a context that calls entry(arg) on the size bytes of stack from low up, when it is first
 * switched to. entry must not return: it ends with context_switch_last.
 * size >= CONTEXT_STACK_MIN.
 */
static inline void context_make(context *c, void *low, size_t size, void (*entry)(void *arg),
                                void *arg)
{
        uintptr_t top = ((uintptr_t)low + size) & ~(uintptr_t)15;
        void **sp = (void **)top - 4;
#if SANITIZE_ANY
        c->entry = entry;
        c->arg = arg;
        entry = context_start;
        arg = c;
#endif
        sanitize_make(&c->sanitizer, low, size);
        sp[0] = (void *)(uintptr_t)entry;
        sp[1] = arg;
        sp[2] = NULL; /* where a walk of frames ends */
        sp[3] = NULL;
        c->sp = sp;
        c->pc = (void *)(uintptr_t)context_trampoline;
        c->fp = NULL;
        c->base = NULL;
}

/* Leaves the running context, which is `from`, for `to`. Returns when from is switched to. */
static inline __attribute__((always_inline)) void context_switch(context *from, context *to)
{
        sanitize_leave(&from->sanitizer, &to->sanitizer, false);
        context_jump(from, to);
        sanitize_arrive(&from->sanitizer);
}

/* The same for the last time: from is not switched to again, and its stack may be reused. */
static inline __attribute__((always_inline, noreturn)) void context_switch_last(context *from,
                                                                                context *to)
{
        sanitize_leave(&from->sanitizer, &to->sanitizer, true);
        context_jump(from, to);
        __builtin_unreachable();
}

/* After its last switch, or when it never ran; called from another context. */
static inline void context_fini(context *c)
{
        sanitize_fini(&c->sanitizer);
}

/*
 * The addresses where a context that does not run will go on, innermost first: at most `most`,
 * returns how many. low and size as in context_make. Code without frame pointers is left out.
 */
size_t context_trace(const context *c, const void *low, size_t size, void *ret_calls[],
                     size_t most);

#endif
