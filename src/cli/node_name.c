/* SPDX-License-Identifier: MIT */
/* The parts are expanded into one buffer with a limit; then the whole is looked at once. */
#include "cli/node_name.h"

#include "base/buf.h"

#include <stdio.h>

static int complain(char *error, size_t size, const char *given, const char *why)
{
        snprintf(error, size, "the node name '%.100s' %s", given, why);
        return -EINVAL;
}

static int expand_letter(buf *b, char letter, const char *host)
{
        size_t n = strcspn(host, ".");
        switch (letter) {
        case 'h':
                return buf_append_str(b, sj_str_of(host));
        case 'n':
                return buf_append(b, host, n);
        case 'd':
                return buf_append_str(b, sj_str_of(host[n] ? host + n + 1 : ""));
        case '%':
                return buf_append_char(b, '%');
        default:
                return -EINVAL;
        }
}

static int expand(buf *b, const char *text, const char *host)
{
        int r = 0;
        for (; *text && r >= 0; text++) {
                if (*text == '%')
                        r = expand_letter(b, *++text, host);
                else
                        r = buf_append_char(b, *text);
                if (!*text)
                        break;
        }
        return r;
}

/* Why a name cannot be one, or NULL. */
static const char *wrong_with(sj_str name)
{
        const char *at = memchr(name.data, '@', name.n);
        if (!at || at == name.data || at + 1 == name.data + name.n)
                return "has nothing before or after its @: as worker1@%h";
        for (size_t i = 0; i < name.n; i++)
                if ((unsigned char)name.data[i] <= ' ' || name.data[i] == 0x7f)
                        return "has a blank or control character in it";
        return NULL;
}

int node_name_expand(const char *given, const char *host, char ret[NODE_NAME_MAX + 1], char *error,
                     size_t size)
{
        const char *text = given ? given : "sanjab@%h";
        buf b = BUF_INIT(NODE_NAME_MAX);
        int r = strchr(text, '@') ? 0 : buf_append_str(&b, SJ_STR("sanjab@"));
        if (r >= 0)
                r = expand(&b, text, host);
        sj_str name = buf_str(&b);
        const char *wrong = r >= 0 ? wrong_with(name) : NULL;
        if (r == -EINVAL)
                r = complain(error, size, text, "has a % before something other than h, n, d or %");
        else if (r == -ENOBUFS)
                r = complain(error, size, text, "is longer than 255 bytes");
        else if (wrong)
                r = complain(error, size, text, wrong);
        if (r >= 0) {
                memcpy(ret, name.data, name.n);
                ret[name.n] = '\0';
        }
        buf_fini(&b);
        return r < 0 ? r : 0;
}
