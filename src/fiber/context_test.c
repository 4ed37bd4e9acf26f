/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "fiber/context.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

enum { SIZE = 256 * 1024 };

static context home;
static context other;
static char *memory;
static unsigned memory_name;
static int steps;

static void prepare(void (*entry)(void *), void *arg)
{
        context_thread(&home);
        context_make(&other, memory, SIZE, entry, arg);
}

static int memory_new(void **state)
{
        (void)state;
        steps = 0;
        memory = aligned_alloc(64, SIZE);
        memory_name = sanitize_stack_add(memory, memory + SIZE);
        return memory ? 0 : -1;
}

static int memory_free(void **state)
{
        (void)state;
        sanitize_stack_remove(memory_name);
        free(memory);
        return 0;
}

/* ── Turns ───────────────────────────────────────────────────────────────────────────────── */

/* context_switch with the function in the place of the inlined jump. */
static inline __attribute__((always_inline)) void switch_by_call(context *from, context *to)
{
        sanitize_leave(&from->sanitizer, &to->sanitizer, false);
        context_switch_call(from, to);
        sanitize_arrive(&from->sanitizer);
}

static void ping(void *arg)
{
        const int *n = arg;
        for (int i = 0; i < *n; i++) {
                steps++;
                if (i % 2)
                        context_switch(&other, &home);
                else
                        switch_by_call(&other, &home);
        }
        context_switch_last(&other, &home);
}

/* The two forms of the switch in all four pairs: its own changes with i, home's with i / 2. */
static void test_two_contexts_take_turns_in_either_form(void **state)
{
        (void)state;
        int n = 1000;
        prepare(ping, &n);
        for (int i = 0; i < n; i++) {
                assert_int_equal(steps, i);
                if (i / 2 % 2)
                        context_switch(&home, &other);
                else
                        switch_by_call(&home, &other);
        }
        context_switch(&home, &other);
        assert_int_equal(steps, n);
        context_fini(&other);
}

static context ring[50];

static void pass_on(void *arg)
{
        size_t i = (size_t)(context *)arg - (size_t)ring;
        i /= sizeof(context);
        for (int round = 0; round < 100; round++) {
                steps++;
                context_switch(&ring[i], i + 1 < 50 ? &ring[i + 1] : &home);
        }
        context_switch_last(&ring[i], &home);
}

static void test_many_contexts_pass_on_in_a_ring(void **state)
{
        (void)state;
        char *stacks[50];
        unsigned names[50];
        context_thread(&home);
        for (int i = 0; i < 50; i++) {
                stacks[i] = malloc(SIZE);
                names[i] = sanitize_stack_add(stacks[i], stacks[i] + SIZE);
                context_make(&ring[i], stacks[i], SIZE, pass_on, &ring[i]);
        }
        for (int round = 1; round <= 100; round++) {
                context_switch(&home, &ring[0]);
                assert_int_equal(steps, round * 50);
        }
        for (int i = 0; i < 50; i++) {
                context_switch(&home, &ring[i]);
                context_fini(&ring[i]);
                sanitize_stack_remove(names[i]);
                free(stacks[i]);
        }
}

static void test_a_context_that_never_ran_is_let_go(void **state)
{
        (void)state;
        int n = 1;
        prepare(ping, &n);
        context_fini(&other);
        assert_int_equal(steps, 0);
}

/* A thousand lives on one stack, each of which ends in the midst of its frames. */
static void die_deep(int depth)
{
        volatile char frame[100];
        frame[0] = (char)depth;
        if (depth > 0)
                die_deep(depth - 1);
        steps += frame[0] == (char)depth;
        if (depth == 0)
                context_switch_last(&other, &home);
}

static void mortal(void *arg)
{
        die_deep(*(int *)arg);
        abort();
}

static void test_a_stack_is_used_again_by_the_next(void **state)
{
        (void)state;
        for (int i = 0; i < 1000; i++) {
                int depth = i % 50;
                prepare(mortal, &depth);
                context_switch(&home, &other);
                context_fini(&other);
        }
        assert_int_equal(steps, 1000);
}

/* ── What a switch keeps ─────────────────────────────────────────────────────────────────── */

#if !SANITIZE_ANY /* of whose hooks the assembly below knows nothing */

/*
 * registers_kept(from, to) fills all registers that a callee keeps, switches by the function, and
 * returns how many it does not find again; registers_spoil is a context's entry that leaves
 * something else in each of them. Its argument is the pair of contexts to switch from and to.
 */
uint64_t registers_kept(context *from, context *to);
void registers_spoil(void *pair);

#if defined(__x86_64__)
__asm__(".text\n"
        ".globl registers_kept\n"
        "registers_kept:\n"
        "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; sub $8, %rsp\n"
        "mov $11, %ebx; mov $12, %ebp; mov $13, %r12d; mov $14, %r13d; mov $15, %r14d\n"
        "mov $16, %r15d\n"
        "call context_switch_call\n"
        "xor %eax, %eax; xor %ecx, %ecx\n"
        ".macro check reg, value\n"
        "cmp $\\value, \\reg; setne %cl; add %rcx, %rax\n"
        ".endm\n"
        "check %rbx, 11; check %rbp, 12; check %r12, 13; check %r13, 14; check %r14, 15\n"
        "check %r15, 16\n"
        "add $8, %rsp; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "ret\n"
        ".globl registers_spoil\n"
        "registers_spoil:\n"
        "sub $8, %rsp; mov %rdi, (%rsp)\n"
        "1: mov $91, %ebx; mov $92, %ebp; mov $93, %r12d; mov $94, %r13d; mov $95, %r14d\n"
        "mov $96, %r15d\n"
        "mov (%rsp), %rdi; mov 8(%rdi), %rsi; mov (%rdi), %rdi\n"
        "call context_switch_call\n"
        "jmp 1b\n");
#elif defined(__aarch64__)
__asm__(".text\n"
        ".macro fill r\n"
        "mov x\\r, #\\r\n"
        ".endm\n"
        ".macro check r\n"
        "cmp x\\r, #\\r; cinc x0, x0, ne\n"
        ".endm\n"
        ".macro fill_double r\n"
        "mov x9, #\\r; fmov d\\r, x9\n"
        ".endm\n"
        ".macro check_double r\n"
        "fmov x9, d\\r; cmp x9, #\\r; cinc x0, x0, ne\n"
        ".endm\n"
        ".globl registers_kept\n"
        "registers_kept:\n"
        "sub sp, sp, #160\n"
        "stp x19, x20, [sp]; stp x21, x22, [sp, #16]; stp x23, x24, [sp, #32]\n"
        "stp x25, x26, [sp, #48]; stp x27, x28, [sp, #64]; stp x29, x30, [sp, #80]\n"
        "stp d8, d9, [sp, #96]; stp d10, d11, [sp, #112]; stp d12, d13, [sp, #128]\n"
        "stp d14, d15, [sp, #144]\n"
        ".irp r, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29\n fill \\r\n.endr\n"
        ".irp r, 8, 9, 10, 11, 12, 13, 14, 15\n fill_double \\r\n.endr\n"
        "bl context_switch_call\n"
        "mov x0, #0\n"
        ".irp r, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29\n check \\r\n.endr\n"
        ".irp r, 8, 9, 10, 11, 12, 13, 14, 15\n check_double \\r\n.endr\n"
        "ldp x19, x20, [sp]; ldp x21, x22, [sp, #16]; ldp x23, x24, [sp, #32]\n"
        "ldp x25, x26, [sp, #48]; ldp x27, x28, [sp, #64]; ldp x29, x30, [sp, #80]\n"
        "ldp d8, d9, [sp, #96]; ldp d10, d11, [sp, #112]; ldp d12, d13, [sp, #128]\n"
        "ldp d14, d15, [sp, #144]\n"
        "add sp, sp, #160\n"
        "ret\n"
        ".globl registers_spoil\n"
        "registers_spoil:\n"
        "str x0, [sp, #-16]!\n"
        "1:\n"
        ".irp r, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29\n mov x\\r, #999\n.endr\n"
        ".irp r, 8, 9, 10, 11, 12, 13, 14, 15\n fmov d\\r, x19\n.endr\n"
        "ldr x0, [sp]; ldp x0, x1, [x0]\n"
        "bl context_switch_call\n"
        "b 1b\n");
#endif

static void test_the_function_keeps_what_a_callee_keeps(void **state)
{
        (void)state;
        context *pair[2] = {&other, &home};
        prepare(registers_spoil, pair);
        for (int i = 0; i < 3; i++)
                assert_int_equal(registers_kept(&home, &other), 0);
        context_fini(&other);
}

#endif

/* Puts values in as many registers as there are, so that some must live across the switch. */
__attribute__((noinline)) static uint64_t crowd(context *from, context *to, const uint64_t v[16],
                                                const double d[16])
{
        uint64_t a = v[0] * 3, b = v[1] * 5, c = v[2] * 7, e = v[3] * 11, f = v[4] * 13;
        uint64_t g = v[5] * 17, h = v[6] * 19, i = v[7] * 23, j = v[8] * 29, k = v[9] * 31;
        double p = d[0] * 2, q = d[1] * 3, r = d[2] * 5, s = d[3] * 7, t = d[4] * 11;
        long double x = (long double)d[5] * 3;
        context_switch(from, to);
        return a + b + c + e + f + g + h + i + j + k + (uint64_t)(p + q + r + s + t) + (uint64_t)x;
}

/* A frame that is aligned further and of unknown size: compilers use the base register for it. */
__attribute__((noinline)) static uint64_t odd_frame(context *from, context *to, size_t n)
{
        struct {
                _Alignas(128) uint64_t words[16];
        } aligned;
        uint64_t *array = __builtin_alloca(n * sizeof(uint64_t));
        assert_int_equal((uintptr_t)aligned.words % 128, 0);
        for (size_t i = 0; i < n; i++)
                array[i] = i;
        for (size_t i = 0; i < 16; i++)
                aligned.words[i] = 100 + i;
        context_switch(from, to);
        uint64_t sum = 0;
        for (size_t i = 0; i < n; i++)
                sum += array[i];
        for (size_t i = 0; i < 16; i++)
                sum += aligned.words[i];
        return sum;
}

/* A leaf, which may keep its variables below its stack pointer. */
__attribute__((noinline)) static uint64_t leaf(context *from, context *to, uint64_t x)
{
        volatile uint64_t low[8];
        for (unsigned i = 0; i < 8; i++)
                low[i] = x + i;
        context_switch(from, to);
        uint64_t sum = 0;
        for (unsigned i = 0; i < 8; i++)
                sum += low[i];
        return sum;
}

static uint64_t live_values(context *from, context *to)
{
        uint64_t v[16];
        double d[16];
        for (unsigned i = 0; i < 16; i++) {
                v[i] = i + 1;
                d[i] = i + 1;
        }
        return crowd(from, to, v, d) * 1000000 + odd_frame(from, to, 20) * 1000 + leaf(from, to, 5);
}

/* Σ (i+1)·prime over ten, Σ over five doubles, and 6·3; Σ 0..19 + Σ 100..115; Σ 5..12. */
#define LIVE_VALUES ((uint64_t)(1133 + 106 + 18) * 1000000 + (190 + 1720) * 1000 + 68)

static void values_of_a_fiber(void *arg)
{
        *(uint64_t *)arg = live_values(&other, &home);
        context_switch_last(&other, &home);
}

static void test_what_lives_across_a_switch_is_kept(void **state)
{
        (void)state;
        uint64_t fibers = 0;
        prepare(values_of_a_fiber, &fibers);
        uint64_t ours = live_values(&home, &other);
        context_switch(&home, &other);
        assert_int_equal(ours, LIVE_VALUES);
        assert_int_equal(fibers, LIVE_VALUES);
        context_fini(&other);
}

/* ── The stack ───────────────────────────────────────────────────────────────────────────── */

static char printed[64];

static void print_double(void *arg)
{
        /* Both use aligned stores of vectors, and fault when the stack is not as the ABI says. */
        _Alignas(16) char buffer[64];
        steps = (uintptr_t)buffer % 16 == 0 && (uintptr_t)__builtin_frame_address(0) % 16 == 0;
        snprintf(buffer, sizeof(buffer), "%.3f %Lg", *(double *)arg, (long double)0.5);
        memcpy(printed, buffer, sizeof(printed));
        context_switch_last(&other, &home);
}

static void test_the_stack_is_aligned_whatever_its_size(void **state)
{
        (void)state;
        double number = 3.14159;
        for (size_t less = 0; less < 64; less += 7) {
                context_thread(&home);
                context_make(&other, memory, SIZE - less, print_double, &number);
                context_switch(&home, &other);
                assert_string_equal(printed, "3.142 0.5");
                assert_int_equal(steps, 1);
                context_fini(&other);
        }
}

typedef struct trace {
        int frames;
        uintptr_t last;
        _Unwind_Reason_Code end;
} trace;

static _Unwind_Reason_Code trace_frame(struct _Unwind_Context *frame, void *arg)
{
        trace *t = arg;
        t->last = _Unwind_GetIP(frame);
        return ++t->frames < 50 ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

static void unwind(void *arg)
{
        trace *t = arg;
        t->end = _Unwind_Backtrace(trace_frame, t);
        context_switch_last(&other, &home);
}

static void test_a_backtrace_ends_at_the_entry(void **state)
{
        (void)state;
        trace t = {0};
        prepare(unwind, &t);
        context_switch(&home, &other);
        assert_int_equal(t.end, _URC_END_OF_STACK);
        assert_in_range(t.frames, 1, SANITIZE_ANY ? 5 : 3);
        context_fini(&other);
}

static void *returns[3];

__attribute__((noinline)) static void inner(void)
{
        returns[0] = __builtin_return_address(0);
        context_switch(&other, &home);
        steps++;
}

__attribute__((noinline)) static void middle(void)
{
        returns[1] = __builtin_return_address(0);
        inner();
        steps++;
}

__attribute__((noinline)) static void outer(void)
{
        returns[2] = __builtin_return_address(0);
        middle();
        steps++;
}

static void waiter(void *arg)
{
        (void)arg;
        outer();
        context_switch_last(&other, &home);
}

static void test_the_frames_of_one_that_waits_are_told(void **state)
{
        (void)state;
        void *calls[20];
        prepare(waiter, NULL);
        context_switch(&home, &other);
        size_t n = context_trace(&other, memory, SIZE, calls, 20);
        assert_in_range(n, 4, SANITIZE_ANY ? 6 : 4);
        assert_ptr_equal(calls[0], other.pc);
        for (size_t i = 0; i < 3; i++)
                assert_ptr_equal(calls[i + 1], returns[i]);
        assert_int_equal(context_trace(&other, memory, SIZE, calls, 1), 1);
        context_switch(&home, &other);
        context_fini(&other);
}

static void test_a_bad_frame_pointer_ends_the_walk(void **state)
{
        (void)state;
        void *calls[20];
        uintptr_t bad[] = {1, (uintptr_t)memory + 1, (uintptr_t)memory + SIZE - 8, UINTPTR_MAX - 7};
        prepare(waiter, NULL);
        void *fp = other.fp;
        for (size_t i = 0; i < 4; i++) {
                other.fp = (void *)bad[i];
                assert_int_equal(context_trace(&other, memory, SIZE, calls, 20), 1);
        }
        other.fp = fp;
        context_fini(&other);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, memory_new, memory_free)

int main(void)
{
        const struct CMUnitTest tests[] = {
                CASE(test_two_contexts_take_turns_in_either_form),
                CASE(test_many_contexts_pass_on_in_a_ring),
                CASE(test_a_context_that_never_ran_is_let_go),
                CASE(test_a_stack_is_used_again_by_the_next),
#if !SANITIZE_ANY
                CASE(test_the_function_keeps_what_a_callee_keeps),
#endif
                CASE(test_what_lives_across_a_switch_is_kept),
                CASE(test_the_stack_is_aligned_whatever_its_size),
                CASE(test_a_backtrace_ends_at_the_entry),
                CASE(test_the_frames_of_one_that_waits_are_told),
                CASE(test_a_bad_frame_pointer_ends_the_walk),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
