/* SPDX-License-Identifier: MIT */
/*
 * The work that json_bench and its peer both do for one message of the queue, as a worker and a
 * producer do it: parse the envelope, look up the headers and properties, decode the body from
 * Base64 and parse it; then make a message of the same size from its fields and write it.
 * Base64 is the same code on both sides, since the peer has none.
 */
#ifndef SANJAB_BENCH_JSON_MESSAGE_H
#define SANJAB_BENCH_JSON_MESSAGE_H

#include "base/base64.h"
#include "codec/testdata.h"

#include <stdio.h>

enum { MESSAGE_ROOM = 8192 };

/* A message that Celery has sent; the results are kept, so that no work can be left out. */
typedef struct message_bench {
        char text[MESSAGE_ROOM];
        size_t n;
        size_t written;
        int64_t sum; /* of all the arguments that were read */
} message_bench;

static inline int message_load(message_bench *m)
{
        FILE *f = fopen(TESTDATA "/task-simple.json", "rb");
        if (!f)
                return -errno;
        m->n = fread(m->text, 1, sizeof(m->text), f);
        fclose(f);
        return m->n ? 0 : -ENODATA;
}

/* What the written message says. */
#define MESSAGE_ID    "97bdbbae-b6ac-49b8-a885-2f3c985ba577"
#define MESSAGE_REPLY "cae03403-d7f3-3849-a36d-53efc2be0518"
#define MESSAGE_TAG   "4a8a1432-b604-474f-a385-7481d1d9c2d6"

#endif
