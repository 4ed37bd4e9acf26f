/* SPDX-License-Identifier: MIT */
/*
 * Open addressing with linear probing in a table that is at most three quarters full. Removal
 * closes the gap by moving later entries of the same run back, so there are no tombstones and a
 * map that lives long with many changes stays as fast as a new one.
 *
 * Invariant: from an entry's home (its hash modulo the capacity) to its place, no slot is empty.
 *
 * The hash is SipHash-1-3 (Aumasson and Bernstein), keyed by the seed: who does not know the seed
 * cannot find keys that collide.
 */
#include "base/map.h"

#include <stdlib.h>

enum { MAP_FIRST = 8 };

struct map_entry {
        sj_str key;
        void *value; /* NULL: the slot is empty */
        uint64_t hash;
};

typedef struct sip {
        uint64_t a, b, c, d;
} sip;

static inline uint64_t rotate(uint64_t x, int n)
{
        return x << n | x >> (64 - n);
}

static inline void sip_round(sip *s)
{
        s->a += s->b;
        s->c += s->d;
        s->b = rotate(s->b, 13) ^ s->a;
        s->d = rotate(s->d, 16) ^ s->c;
        s->a = rotate(s->a, 32) + s->d;
        s->c += s->b;
        s->d = rotate(s->d, 21) ^ s->a;
        s->b = rotate(s->b, 17) ^ s->c;
        s->c = rotate(s->c, 32);
}

static inline void sip_word(sip *s, uint64_t word)
{
        s->d ^= word;
        sip_round(s);
        s->a ^= word;
}

static uint64_t hash_of(uint64_t seed, sj_str key)
{
        const uint64_t other = ~seed;
        sip s = {seed ^ 0x736f6d6570736575, other ^ 0x646f72616e646f6d, seed ^ 0x6c7967656e657261,
                 other ^ 0x7465646279746573};
        uint64_t word = 0;
        size_t i = 0;
        for (; i + 8 <= key.n; i += 8) {
                memcpy(&word, key.data + i, 8);
                sip_word(&s, word);
        }
        word = 0;
        if (i < key.n)
                memcpy(&word, key.data + i, key.n - i);
        sip_word(&s, word | (uint64_t)key.n << 56);
        s.c ^= 0xff;
        for (int round = 0; round < 3; round++)
                sip_round(&s);
        return s.a ^ s.b ^ s.c ^ s.d;
}

/* The place of key, or the empty slot where it would go. There is always an empty slot. */
static size_t find(const map *m, sj_str key, uint64_t hash)
{
        size_t i = hash & (m->capacity - 1);
        while (m->entries[i].value &&
               (m->entries[i].hash != hash || !sj_str_equal(m->entries[i].key, key)))
                i = (i + 1) & (m->capacity - 1);
        return i;
}

static int grow(map *m)
{
        map larger = {.seed = m->seed, .n = m->n};
        if (m->capacity > SIZE_MAX / 2 / sizeof(struct map_entry) / 2)
                return -ENOMEM;
        larger.capacity = m->capacity ? m->capacity * 2 : MAP_FIRST;
        larger.entries = calloc(larger.capacity, sizeof(*larger.entries));
        if (!larger.entries)
                return -ENOMEM;
        for (size_t i = 0; i < m->capacity; i++)
                if (m->entries[i].value)
                        larger.entries[find(&larger, m->entries[i].key, m->entries[i].hash)] =
                                m->entries[i];
        free(m->entries);
        *m = larger;
        return 0;
}

void map_fini(map *m)
{
        if (!m)
                return;
        free(m->entries);
        *m = MAP_INIT(m->seed);
}

void *map_get(const map *m, sj_str key)
{
        return m->n ? m->entries[find(m, key, hash_of(m->seed, key))].value : NULL;
}

int map_add(map *m, sj_str key, void *value)
{
        uint64_t hash = hash_of(m->seed, key);
        if (m->n && m->entries[find(m, key, hash)].value)
                return -EEXIST;
        if (m->n + 1 > m->capacity / 4 * 3) {
                int r = grow(m);
                if (r < 0)
                        return r;
        }
        m->entries[find(m, key, hash)] = (struct map_entry){key, value, hash};
        m->n++;
        return 0;
}

void *map_remove(map *m, sj_str key)
{
        if (m->n == 0)
                return NULL;
        const size_t mask = m->capacity - 1;
        size_t gap = find(m, key, hash_of(m->seed, key));
        void *value = m->entries[gap].value;
        if (!value)
                return NULL;
        for (size_t i = (gap + 1) & mask; m->entries[i].value; i = (i + 1) & mask) {
                size_t home = m->entries[i].hash & mask;
                /* It may move into the gap unless its home lies after the gap. */
                if (((i - home) & mask) >= ((i - gap) & mask)) {
                        m->entries[gap] = m->entries[i];
                        gap = i;
                }
        }
        m->entries[gap].value = NULL;
        m->n--;
        return value;
}

void *map_next(const map *m, size_t *place)
{
        while (*place < m->capacity) {
                void *value = m->entries[(*place)++].value;
                if (value)
                        return value;
        }
        return NULL;
}
