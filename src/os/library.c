/* SPDX-License-Identifier: MIT */
/* Libraries that are loaded when they are needed, the same under both worlds. */
#include "os/os.h"

#include <dlfcn.h>
#include <string.h>

const char *os_library_load(const char *file, const os_function functions[], size_t n)
{
        dlerror();
        void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
        for (size_t i = 0; library && i < n; i++) {
                void *address = dlsym(library, functions[i].name);
                if (!address)
                        break;
                /* POSIX lets dlsym's pointer be one to a function, which ISO C does not. */
                memcpy(functions[i].place, &address, sizeof(address));
        }
        return dlerror();
}
