/* SPDX-License-Identifier: MIT */
/* For tests of the client on the model: a rig of both, in worlds in which the wire holds. */
#ifndef SANJAB_STORE_REDIS_MODEL_UNIT_H
#define SANJAB_STORE_REDIS_MODEL_UNIT_H

#include "store/redis_model.h"
#include "store/redis_unit.h"

/* A server, a client of it, and an arena. */
typedef struct rig {
        redis_model m;
        redis *r;
        sj_arena *a;
} rig;

static inline void rig_begin(rig *g, sj_scope *s)
{
        redis_model_start(&g->m, s);
        g->a = test_arena();
        g->r = test_open((redis_options){.url = g->m.url});
}

static inline void rig_end(rig *g)
{
        redis_close(g->r);
        redis_model_stop(&g->m);
        sj_arena_free(g->a);
}

/* A case's beginning: RIG(g, s, {0}) is a rig g in a scope s, ended where the block ends. */
#define RIG(g, s, ...)                                         \
        SJ_SCOPE(s, SJ_NEVER, 0);                              \
        __attribute__((cleanup(rig_end))) rig g = __VA_ARGS__; \
        rig_begin(&g, s)

/* One that calls. */
typedef struct caller {
        redis *r;
        unsigned number;
        bool hasty; /* gives up now and then */
        unsigned answered;
} caller;

static inline bool is_word(sj_str word, const char *text)
{
        return sj_str_equal(word, sj_str_of(text));
}

/* A wire may be slow, but does not break by itself: the tests of that are others. */
static inline void rig_quietly(sj_fn *body)
{
        for (uint64_t seed = 0; sim_unit_next(&seed, sim_unit_env("SANJAB_SEEDS", 500) / 25 + 1);) {
                sim_options world = seed % 2 ? sim_gentle : sim_slow;
                world.tight = 0;
                sim_unit_in(seed, &world, body, NULL, 0);
        }
}

/* As SIM_UNIT_DEFINE. */
#define RIG_DEFINE(fn)                      \
        static void test_##fn(void **state) \
        {                                   \
                (void)state;                \
                rig_quietly(fn);            \
        }

#endif
