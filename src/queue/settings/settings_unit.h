/* SPDX-License-Identifier: MIT */
/* For tests of settings: sanjab.conf in a folder of the test's own, loaded. */
#ifndef SANJAB_QUEUE_SETTINGS_UNIT_H
#define SANJAB_QUEUE_SETTINGS_UNIT_H

#include "base/unit.h"
#include "queue/settings/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/sanjab-settings-XXXXXX";

typedef struct fixture {
        settings *s;
        const settings_values *v;
        buf error;
} fixture;

static inline void write_file(const char *path, const char *text)
{
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
        assert_int_equal(fclose(f), 0);
}

/* Loads sanjab.conf with that text; the result is expected. */
static inline void load(fixture *f, const char *text, const settings_given given[], size_t n,
                        int expected)
{
        *f = (fixture){.error = BUF_INIT(0)};
        write_file("sanjab.conf", text);
        int r = settings_load(NULL, given, n, &f->s, &f->error, SJ_NEVER);
        if (r != expected)
                fail_msg("%d and not %d: %.*s", r, expected, SJ_STR_ARG(buf_str(&f->error)));
        if (r == 0)
                f->v = settings_of(f->s);
        buf_terminate(&f->error);
}

static inline void done(fixture *f)
{
        settings_free(f->s);
        buf_fini(&f->error);
        unlink("sanjab.conf");
}

static inline void from_is(const fixture *f, const char *name, const char *expected)
{
        char from[200];
        settings_origin_of(f->s, settings_find(name), from, sizeof(from));
        assert_string_equal(from, expected);
}

/* Exactly these lines are complained of. */
static inline void complains(const char *text, const char *expected)
{
        fixture f;
        load(&f, text, NULL, 0, -EINVAL);
        assert_string_equal(buf_data(&f.error), expected);
        done(&f);
}

static inline int begin(void **state)
{
        (void)state;
        return !mkdtemp(folder) || chdir(folder);
}

static inline int end(void **state)
{
        (void)state;
        char command[100];
        snprintf(command, sizeof(command), "rm -rf %s", folder);
        return chdir("/") || system(command);
}

#endif
