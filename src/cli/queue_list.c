/* SPDX-License-Identifier: MIT */
/* A name that comes twice counts once: a worker would take turns with it twice. */
#include "cli/queue_list.h"

#include <sanjab/queue.h>

static bool is_name(sj_str name)
{
        if (name.n < 1 || name.n > SJ_TASK_NAME_MAX)
                return false;
        for (size_t i = 0; i < name.n; i++)
                if ((unsigned char)name.data[i] <= ' ' || name.data[i] == 0x7f)
                        return false;
        return true;
}

int queue_list_parse(sj_arena *arena, const char *text, sj_str **ret)
{
        size_t most = 1;
        for (const char *p = text; (p = strchr(p, ',')); p++)
                most++;
        sj_str *names = sj_arena_alloc(arena, most * sizeof(*names));
        if (!names)
                return -ENOMEM;
        int n = 0;
        for (const char *p = text;; p++) {
                sj_str name = {p, strcspn(p, ",")};
                if (!is_name(name))
                        return -EINVAL;
                int i = 0;
                while (i < n && !sj_str_equal(names[i], name))
                        i++;
                names[i] = name;
                n += i == n;
                p += name.n;
                if (!*p)
                        break;
        }
        *ret = names;
        return n;
}

size_t queue_list_without(sj_str names[], size_t n, const sj_str without[], size_t n_without)
{
        size_t kept = 0;
        for (size_t i = 0; i < n; i++) {
                size_t j = 0;
                while (j < n_without && !sj_str_equal(names[i], without[j]))
                        j++;
                if (j == n_without)
                        names[kept++] = names[i];
        }
        return kept;
}
