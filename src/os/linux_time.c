/* SPDX-License-Identifier: MIT */
/*
 * Time, randomness and who decides, from the real system.
 *
 * Time is read from the vDSO: no system call. CLOCK_MONOTONIC and not CLOCK_BOOTTIME, because a
 * timeout measures what the program has had the chance to do, not how long the lid was closed.
 *
 * Randomness has no fallback: what asks for it (masks, tokens, identifiers) is worth nothing when
 * it can be guessed, so a system without it ends the program.
 */
#include "os/os.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

const bool os_simulated = false;

size_t os_choose(size_t n)
{
        (void)n;
        return 0;
}

bool os_mischief(unsigned one_in)
{
        (void)one_in;
        return false;
}

sj_time os_now(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (sj_time)t.tv_sec * SJ_SEC + t.tv_nsec;
}

sj_wall os_wall(void)
{
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        return (sj_wall){(int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000};
}

void os_random(void *bytes, size_t n)
{
        char *at = bytes;
        while (n > 0) {
                ssize_t got = getrandom(at, n, 0);
                if (got < 0 && errno == EINTR)
                        continue;
                if (got <= 0)
                        abort();
                at += got;
                n -= (size_t)got;
        }
}
