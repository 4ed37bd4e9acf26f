/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a letter: a control request, a reply, events. What is read as a request must be
 * written again as the same; a glob of strangers must end.
 */
#include "queue/control/cluster.h"
#include "queue/control/control.h"
#include "queue/control/letter.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_request(sj_arena *arena, sj_str text)
{
        control_request request, again;
        const char *why = NULL;
        sj_str written;
        if (control_request_decode(arena, text, &request, &why) < 0) {
                if (!why)
                        abort();
                return;
        }
        control_is_for(&request, SJ_STR("w1@capture"));
        if (control_request_encode(arena, &request, &written) < 0)
                return; /* a name that JSON cannot hold, or NaN */
        if (control_request_decode(arena, written, &again, &why) < 0 ||
            !sj_str_equal(request.method, again.method) ||
            !sj_json_equal(request.destination, again.destination))
                abort();
}

static void as_reply(sj_arena *arena, sj_str text)
{
        letter l;
        control_reply reply;
        int64_t clock;
        const char *why = NULL;
        if (letter_decode(arena, text, &l, &why) < 0)
                return;
        control_reply_decode(arena, text, letter_text(l.headers, "ticket"), &reply, &clock, &why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        sj_arena *arena;
        cluster *c;
        const char *why = NULL;
        sj_str text = {(const char *)data, size};
        if (sj_arena_new(&arena) < 0)
                return 0;
        as_request(arena, text);
        as_reply(arena, text);
        if (cluster_new(&c) >= 0) {
                cluster_take_letter(c, arena, text, 1, NULL, NULL, &why);
                cluster_free(c);
        }
        sj_arena_free(arena);
        return 0;
}
