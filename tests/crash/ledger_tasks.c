/* SPDX-License-Identifier: MIT */
/* A task that keeps a ledger: a line when it begins and one when it has done its work, on disk. */
#include <sanjab/queue.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int note(const char *what, int64_t number, uint32_t deliveries)
{
        char line[100];
        const char *path = getenv("LEDGER");
        int n = snprintf(line, sizeof(line), "%s %lld %u %d\n", what, (long long)number, deliveries,
                         (int)getpid());
        int fd = open(path ? path : "ledger", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        int r = write(fd, line, (size_t)n) == n && fdatasync(fd) == 0 ? 0 : -errno;
        close(fd);
        return r;
}

SJ_TASK(ledger, void, (int64_t, number))
{
        int r = note("begin", number, self->deliveries);
        return r < 0 ? r : note("end", number, self->deliveries);
}
SJ_TASK_OPTIONS(ledger, .name = "crash.ledger", .max_deliveries = 100);
