/* SPDX-License-Identifier: MIT */
/*
 * Memory maps, the same under both worlds: reservations for stacks, and their guards.
 *
 * Guards by MADV_GUARD_INSTALL (Linux 6.13) are marks in the page table and split no mapping; by
 * mprotect each one is a mapping of its own, of which a process has 65,530. Whether the first kind
 * is real is asked once, by effect, because emulators and sandboxes accept advice that they do not
 * know: the system is asked to write the time into a page that it could write to before; only when
 * it then says EFAULT does the guard guard. Nothing can be killed by that question.
 */
#include "os/map.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The C library is older than the kernel. */
enum { ADVICE_GUARD_INSTALL = 102 };

enum { GUARD_UNKNOWN, GUARD_BY_MARK, GUARD_BY_PROTECTION };

void *map_reserve(size_t size)
{
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (memory == MAP_FAILED)
                return NULL;
        /* A huge page would commit two megabytes at the first touch of a stack. */
        madvise(memory, size, MADV_NOHUGEPAGE);
        return memory;
}

void map_release(void *memory, size_t size)
{
        if (memory)
                munmap(memory, size);
}

/* Through the system call itself: the vDSO would write from here, and die. */
static bool system_can_write(void *page)
{
        return syscall(SYS_clock_gettime, CLOCK_MONOTONIC, page) == 0;
}

static int probe_guard(void)
{
        size_t size = (size_t)sysconf(_SC_PAGESIZE);
        char *page = map_reserve(size);
        if (!page)
                return GUARD_BY_PROTECTION;
        bool works = system_can_write(page) && madvise(page, size, ADVICE_GUARD_INSTALL) == 0 &&
                     !system_can_write(page) && errno == EFAULT;
        map_release(page, size);
        return works ? GUARD_BY_MARK : GUARD_BY_PROTECTION;
}

/* What the kernel can do does not change: a cache, the same whoever fills it. */
static int guard_kind(void)
{
        static _Atomic int known = GUARD_UNKNOWN;
        int kind = atomic_load_explicit(&known, memory_order_relaxed);
        if (kind == GUARD_UNKNOWN) {
                kind = probe_guard();
                atomic_store_explicit(&known, kind, memory_order_relaxed);
        }
        return kind;
}

int map_guard(void *memory, size_t size)
{
        if (guard_kind() == GUARD_BY_MARK && madvise(memory, size, ADVICE_GUARD_INSTALL) == 0)
                return 0;
        return mprotect(memory, size, PROT_NONE) < 0 ? -errno : 0;
}

void map_discard(void *memory, size_t size)
{
        madvise(memory, size, MADV_DONTNEED);
}

int map_shared_new(const char *name, size_t size)
{
        int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0)
                return -errno;
        /* Sealed, so that no other process can shrink it under our feet (SIGBUS). */
        int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
        if (ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0) {
                int error = -errno;
                close(fd);
                return error;
        }
        return fd;
}

void *map_shared(int fd, size_t size)
{
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        return memory == MAP_FAILED ? NULL : memory;
}
