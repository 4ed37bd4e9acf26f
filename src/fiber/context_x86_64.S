/* SPDX-License-Identifier: MIT */
/*
 * See fiber/context.h. struct context: sp 0, pc 8, fp 16, base (rbx) 24.
 *
 * The note at the end declares the landing places (IBT) but not a shadow stack (SHSTK).
 */
        .text

/* On its stack: the entry, its argument, two words of zero. */
        .globl  context_trampoline
        .hidden context_trampoline
        .type   context_trampoline, @function
        .p2align 4
context_trampoline:
        .cfi_startproc
        .cfi_def_cfa rsp, 16
        .cfi_undefined rip
        .cfi_undefined rbp
        endbr64
        popq    %rax
        .cfi_adjust_cfa_offset -8
        popq    %rdi
        .cfi_adjust_cfa_offset -8
        xorl    %ebp, %ebp
        call    *%rax
        ud2
        .cfi_endproc
        .size   context_trampoline, .-context_trampoline

/* void context_switch_call(context *from rdi, const context *to rsi) */
        .globl  context_switch_call
        .hidden context_switch_call
        .type   context_switch_call, @function
        .p2align 4
context_switch_call:
        .cfi_startproc
        endbr64
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r15, 0
        leaq    1f(%rip), %rax
        movq    8(%rsi), %rdx
        movq    %rsp, (%rdi)
        movq    %rax, 8(%rdi)
        movq    %rbp, 16(%rdi)
        movq    %rbx, 24(%rdi)
        movq    16(%rsi), %rbp
        movq    24(%rsi), %rbx
        movq    (%rsi), %rsp
        jmp     *%rdx
1:
        endbr64
        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore r12
        popq    %rcx            /* not ret, which would be predicted to go to who called last */
        .cfi_adjust_cfa_offset -8
        .cfi_register rip, rcx
        notrack jmp *%rcx
        .cfi_endproc
        .size   context_switch_call, .-context_switch_call

        .section .note.GNU-stack, "", @progbits

        .section .note.gnu.property, "a"
        .p2align 3
        .long   4               /* the length of the name */
        .long   16              /* and of what follows it */
        .long   5               /* NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000002      /* GNU_PROPERTY_X86_FEATURE_1_AND */
        .long   4
        .long   1               /* IBT */
        .long   0
