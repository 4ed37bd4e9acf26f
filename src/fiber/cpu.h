/* SPDX-License-Identifier: MIT */
/* What a thread does in the short time before it sleeps. */
#ifndef SANJAB_FIBER_CPU_H
#define SANJAB_FIBER_CPU_H

/* Tells the processor that this is a loop that waits for another one. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield" ::: "memory");
#endif
}

#endif
