/* SPDX-License-Identifier: MIT */
/* For tests of what is in messages: what Celery wrote (testdata/), read; all in the test's arena.
 */
#ifndef SANJAB_QUEUE_MESSAGE_UNIT_H
#define SANJAB_QUEUE_MESSAGE_UNIT_H

#include "base/arena_unit.h"
#include "queue/message/message.h"
#include "queue/queue_testdata.h"

#include <stdio.h>

/* A file of testdata/. */
static inline sj_str read_file(const char *name)
{
        enum { ROOM = 1 << 16 };
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", QUEUE_TESTDATA, name);
        FILE *f = fopen(path, "rb");
        if (!f)
                fail_msg("cannot open %s", path);
        char *data = sj_arena_alloc(arena, ROOM);
        size_t n = fread(data, 1, ROOM, f);
        fclose(f);
        assert_true(n < ROOM);
        return (sj_str){data, n};
}

/* NAME.json of testdata/. */
static inline sj_str read_capture(const char *name)
{
        char file[256];
        snprintf(file, sizeof(file), "%s.json", name);
        return read_file(file);
}

static inline const sj_json *parse(sj_str text)
{
        const sj_json *v = NULL;
        sj_json_error why;
        if (sj_json_parse(arena, text, SJ_JSON_PYTHON, &v, &why) < 0)
                fail_msg("%.*s: %s", SJ_STR_ARG(text), why.reason);
        return v;
}

static inline message decode(sj_str envelope)
{
        message m;
        message_error error;
        if (message_decode(arena, envelope, &m, &error) < 0)
                fail_msg("%s: %s", message_defect_name(error.defect), error.text);
        return m;
}

static inline sj_str encode(const message *m)
{
        sj_str text;
        assert_int_equal(message_encode(arena, m, &text), 0);
        return text;
}

static inline void assert_text(sj_str text, const char *expected)
{
        if (!sj_str_equal(text, sj_str_of(expected)))
                fail_msg("'%.*s' is not '%s'", SJ_STR_ARG(text), expected);
}

#endif
