/* SPDX-License-Identifier: MIT */
/*
 * The inside of the model, for redis_model*.c alone: redis_model.c has the connections and does
 * commands; redis_model_data.c has the keys, redis_model_talk.c the rest.
 */
#ifndef SANJAB_STORE_REDIS_MODEL_INTERNAL_H
#define SANJAB_STORE_REDIS_MODEL_INTERNAL_H

#include "fiber/sim_unit.h"
#include "store/redis_model.h"

#include <sanjab/sync.h>

enum { REDIS_MODEL_CHANNELS_MAX = 64 };

typedef struct text {
        size_t n;
        char data[];
} text;

typedef struct guest {
        list node;
        redis_model *m;
        sj_stream *stream;
        buf in, out;
        size_t sent;
        sj_event said;
        bool authorized, silent, closing, queueing, failed;
        unsigned db;
        buf queued; /* of MULTI: requests */
        size_t n_queued;
        text *channels[REDIS_MODEL_CHANNELS_MAX];
        size_t n_channels;
} guest;

/* Does it, and says its answer. w: its words, n of them, as many as its least at the least. */
typedef void redis_model_fn(guest *g, buf *out, const sj_str w[], size_t n);

typedef struct redis_model_verb {
        const char *name;
        redis_model_fn *run;
        size_t least; /* words */
} redis_model_verb;

/* Each ends with a name of NULL. */
extern const redis_model_verb redis_model_data_verbs[];
extern const redis_model_verb redis_model_talk_verbs[];

/* Forget all that there is. */
void redis_model_data_flush(redis_model *m);
void redis_model_talk_flush(redis_model *m);

/* The error of a command with too few words. */
void redis_model_put_too_few(buf *out, const char *verb);

static inline void *must(void *p)
{
        expect(p != NULL);
        return p;
}

static inline text *text_new(sj_str s)
{
        text *t = must(malloc(sizeof(*t) + s.n + 1));
        t->n = s.n;
        if (s.n)
                memcpy(t->data, s.data, s.n);
        t->data[s.n] = '\0';
        return t;
}

static inline sj_str str_of(const text *t)
{
        return (sj_str){t->data, t->n};
}

static inline bool to_integer(sj_str s, int64_t *ret)
{
        char digits[24], *end;
        if (s.n == 0 || s.n >= sizeof(digits))
                return false;
        memcpy(digits, s.data, s.n);
        digits[s.n] = '\0';
        *ret = strtoll(digits, &end, 10);
        return *end == '\0';
}

#endif
