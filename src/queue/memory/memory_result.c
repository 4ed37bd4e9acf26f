/* SPDX-License-Identifier: MIT */
/* The broker in memory: results. */
#include "queue/memory/memory_store.h"
#include "queue/result.h"

#include <stdlib.h>

int memory_result_put(broker *b, const broker_result results[], size_t n, sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        sj_wall now = memory_enter(s);
        int r = 0;
        for (size_t i = 0; i < n && r == 0; i++) {
                char *block = memory_result_block(&results[i]);
                memory_task *t = block ? memory_find_or_add(s, results[i].id) : NULL;
                if (!t) {
                        free(block);
                        r = -ENOMEM;
                        break;
                }
                memory_set_result(t, &results[i], block);
                if (t->phase == MEMORY_IDLE)
                        memory_set_due(s, t, memory_later(now, b->result_expires));
        }
        memory_leave(s);
        return r;
}

static int memory_result_copy(sj_arena *arena, sj_str id, const memory_task *t, broker_result *ret)
{
        *ret = (broker_result){.id = id};
        if (!t || (t->phase == MEMORY_IDLE && !t->state.n))
                return 0;
        if (!t->state.n) {
                ret->state = SJ_STR("PENDING");
                return 0;
        }
        const char *state = sj_arena_strndup(arena, t->state.data, t->state.n);
        const char *content = sj_arena_strndup(arena, t->content.data, t->content.n);
        if (!state || !content)
                return -ENOMEM;
        ret->state = (sj_str){state, t->state.n};
        ret->content = (sj_str){content, t->content.n};
        return 0;
}

int memory_result_get(broker *b, const sj_str ids[], size_t n, sj_arena *arena, broker_result ret[],
                      sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        memory_enter(s);
        int r = 0;
        for (size_t i = 0; i < n && r == 0; i++)
                r = memory_result_copy(arena, ids[i], memory_find(s, ids[i]), &ret[i]);
        memory_leave(s);
        return r;
}

int memory_result_wait(broker *b, sj_str id, sj_arena *arena, broker_result *ret, sj_time deadline)
{
        memory_store *s = memory_of(b);
        memory_waiter w = {.n_queues = 0};
        broker_result found;
        int r = 0;
        memory_enter(s);
        for (;;) {
                memory_task *t = memory_find(s, id);
                bool known = t && (t->phase != MEMORY_IDLE || t->state.n);
                if (!known) {
                        r = -ENOENT;
                        break;
                }
                if (sj_state_is_final(result_state(t->state))) {
                        r = memory_result_copy(arena, id, t, &found);
                        break;
                }
                if (r < 0)
                        break;
                r = memory_sleep(s, &t->waiters, &w, deadline);
        }
        memory_task *t = memory_find(s, id);
        if (t)
                memory_tidy(s, t);
        memory_leave(s);
        if (r == 0)
                *ret = found;
        return r;
}

int memory_result_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        memory_enter(s);
        int dropped = 0;
        for (size_t i = 0; i < n; i++) {
                memory_task *t = memory_find(s, ids[i]);
                if (!t || t->phase != MEMORY_IDLE || !t->state.n)
                        continue;
                memory_drop_result(t);
                memory_tidy(s, t);
                dropped++;
        }
        memory_leave(s);
        return dropped;
}
