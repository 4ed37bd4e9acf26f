/* SPDX-License-Identifier: MIT */
/*
 * It runs in a signal handler, in a program that is about to die of a bug: nothing here allocates,
 * takes a lock, or trusts the log.
 */
#include "fiber/overflow.h"

#include "fiber/stack.h"
#include "os/os.h"

#include <stdint.h>
#include <stdlib.h>

enum { MESSAGE = 512, NAME = 160, STANDARD_ERROR = 2 };

_Static_assert(STACK_SIZE % 1024 == 0, "told in KiB");
_Static_assert(2 * NAME + 100 <= MESSAGE, "the message fits");

static size_t put(char message[static MESSAGE], size_t at, const char *text)
{
        for (size_t n = 0; n < NAME && text[n]; n++)
                message[at++] = text[n];
        return at;
}

static size_t put_number(char message[static MESSAGE], size_t at, size_t number)
{
        char digits[24];
        size_t i = sizeof(digits);
        digits[--i] = '\0';
        do
                digits[--i] = (char)('0' + number % 10);
        while (number /= 10);
        return put(message, at, digits + i);
}

static void overflow_tell(const char *name, const char *where)
{
        char message[MESSAGE];
        size_t n = put(message, 0, "fiber \"");
        n = put(message, n, name ? name : "?");
        n = put(message, n, "\" (spawned at ");
        n = put(message, n, where ? where : "?");
        n = put(message, n, ") overflowed its stack of ");
        n = put_number(message, n, STACK_SIZE / 1024);
        n = put(message, n, " KiB\n");
        os_write(STANDARD_ERROR, message, n);
}

static bool overflow_look(void *address, void *arg)
{
        overflow_describe *describe = (overflow_describe *)(uintptr_t)arg;
        const char *name = NULL, *where = NULL;
        if (!describe(address, &name, &where))
                return false;
        overflow_tell(name, where);
        abort();
}

int overflow_install(overflow_describe *describe)
{
        return os_fault_open(overflow_look, (void *)(uintptr_t)describe);
}

void overflow_remove(void)
{
        os_fault_close();
}
