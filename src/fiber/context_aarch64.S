/* SPDX-License-Identifier: MIT */
/* See fiber/context.h. struct context: sp 0, pc 8, fp (x29) 16, base (x19) 24. */
        .text

/* On its stack: the entry, its argument, two words of zero. */
        .globl  context_trampoline
        .hidden context_trampoline
        .type   context_trampoline, %function
        .p2align 4
context_trampoline:
        .cfi_startproc
        .cfi_def_cfa sp, 16
        .cfi_undefined x30
        .cfi_undefined x29
        hint    #36             /* bti j */
        ldp     x16, x0, [sp], #16
        .cfi_adjust_cfa_offset -16
        mov     x29, xzr
        mov     x30, xzr
        blr     x16
        brk     #1
        .cfi_endproc
        .size   context_trampoline, .-context_trampoline

/* void context_switch_call(context *from x0, const context *to x1) */
        .globl  context_switch_call
        .hidden context_switch_call
        .type   context_switch_call, %function
        .p2align 4
context_switch_call:
        .cfi_startproc
        hint    #34             /* bti c */
        sub     sp, sp, #144
        .cfi_adjust_cfa_offset 144
        stp     x20, x21, [sp, #0]
        stp     x22, x23, [sp, #16]
        stp     x24, x25, [sp, #32]
        stp     x26, x27, [sp, #48]
        stp     x28, x30, [sp, #64]
        stp     d8, d9, [sp, #80]
        stp     d10, d11, [sp, #96]
        stp     d12, d13, [sp, #112]
        stp     d14, d15, [sp, #128]
        .cfi_rel_offset x20, 0
        .cfi_rel_offset x21, 8
        .cfi_rel_offset x22, 16
        .cfi_rel_offset x23, 24
        .cfi_rel_offset x24, 32
        .cfi_rel_offset x25, 40
        .cfi_rel_offset x26, 48
        .cfi_rel_offset x27, 56
        .cfi_rel_offset x28, 64
        .cfi_rel_offset x30, 72
        .cfi_rel_offset d8, 80
        .cfi_rel_offset d9, 88
        .cfi_rel_offset d10, 96
        .cfi_rel_offset d11, 104
        .cfi_rel_offset d12, 112
        .cfi_rel_offset d13, 120
        .cfi_rel_offset d14, 128
        .cfi_rel_offset d15, 136
        adr     x2, 1f
        mov     x3, sp
        stp     x3, x2, [x0]
        stp     x29, x19, [x0, #16]
        ldp     x3, x17, [x1]
        ldp     x29, x19, [x1, #16]
        mov     sp, x3
        br      x17
1:
        hint    #36             /* bti j */
        ldp     x20, x21, [sp, #0]
        ldp     x22, x23, [sp, #16]
        ldp     x24, x25, [sp, #32]
        ldp     x26, x27, [sp, #48]
        ldp     x28, x30, [sp, #64]
        ldp     d8, d9, [sp, #80]
        ldp     d10, d11, [sp, #96]
        ldp     d12, d13, [sp, #112]
        ldp     d14, d15, [sp, #128]
        add     sp, sp, #144
        .cfi_adjust_cfa_offset -144
        ret
        .cfi_endproc
        .size   context_switch_call, .-context_switch_call

        .section .note.GNU-stack, "", %progbits

#ifdef __ARM_FEATURE_BTI_DEFAULT
        .section .note.gnu.property, "a"
        .p2align 3
        .long   4               /* the length of the name */
        .long   16              /* and of what follows it */
        .long   5               /* NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000000      /* GNU_PROPERTY_AARCH64_FEATURE_1_AND */
        .long   4
        .long   1               /* BTI */
        .long   0
#endif
