/* SPDX-License-Identifier: MIT */
/* A name is hidden with its password: some services take a token for either. */
#include "cli/broker_name.h"

#include <stdio.h>

const char *broker_name_show(const char *url, char *ret, size_t size)
{
        const char *authority = strstr(url, "://");
        if (!authority) { /* the path of a file may have any character */
                snprintf(ret, size, "%s", url);
                return ret;
        }
        authority += 3;
        size_t n = strcspn(authority, "/?#");
        const char *at = memrchr(authority, '@', n);
        const char *rest = at ? at : authority;
        size_t shown = strcspn(rest, "?");
        snprintf(ret, size, "%.*s%s%.*s%s", (int)(authority - url), url, at ? "***" : "",
                 (int)shown, rest, rest[shown] ? "?***" : "");
        return ret;
}

void broker_name_hide(char *url)
{
        char *at = strstr(url, "://");
        if (!at)
                return;
        at += 3;
        size_t n = strcspn(at, "/?#");
        const char *end = memrchr(at, '@', n);
        while (end && at < end)
                *at++ = '*';
        at += strcspn(at, "?");
        while (*at && *++at)
                *at = '*';
}
