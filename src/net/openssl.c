/* SPDX-License-Identifier: MIT */
#include "net/openssl.h"

#include "net/tls.h"
#include "os/os.h"

#include <pthread.h>

/* The name that its headers' version has on every system: libssl.so.3 */
#define STRING_OF(x) #x
#define STRING(x)    STRING_OF(x)
#define LIBRARY      "libssl.so." STRING(OPENSSL_SHLIB_VERSION)

openssl_functions openssl;

#define ENTRY(function) {#function, &function},
static const os_function functions[] = {OPENSSL_FUNCTIONS(ENTRY)};

static bool loaded;

static void load(void)
{
        const char *wrong =
                os_library_load(LIBRARY, functions, sizeof(functions) / sizeof(functions[0]));
        loaded = !wrong;
        if (wrong)
                sj_log(SJ_LOG_WARNING, "OpenSSL cannot be loaded: %s", wrong);
}

int openssl_load(char *why)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        pthread_once(&once, load);
        if (loaded)
                return 0;
        tls_say(why, "%s cannot be loaded", LIBRARY);
        return -EOPNOTSUPP;
}
