/* SPDX-License-Identifier: MIT */
/*
 * A hash map from text to pointers.
 *
 * The map owns neither keys nor values: a key is usually a part of its value, and both must live
 * until the entry is removed. A value is never NULL, so that NULL means "not there".
 * The seed is the caller's; where others choose the keys it must be unpredictable.
 */
#ifndef SANJAB_BASE_MAP_H
#define SANJAB_BASE_MAP_H

#include <sanjab/base.h>

typedef struct map {
        struct map_entry *entries;
        size_t n;
        size_t capacity; /* a power of two, or 0 */
        uint64_t seed;
} map;

#define MAP_INIT(seed_) ((map){.seed = (seed_)})

/* Frees the map's own memory. */
void map_fini(map *m);

/* The value of key, or NULL. */
void *map_get(const map *m, sj_str key);

/* Adds an entry. -EEXIST: the key is there already; -ENOMEM. The map is unchanged then. */
int map_add(map *m, sj_str key, void *value);

/* Takes the entry out and returns its value; NULL when there is none. */
void *map_remove(map *m, sj_str key);

/*
 * The next value of an iteration in no particular order, NULL at its end. *place is 0 at the
 * start. The map must not change meanwhile.
 *
 *         size_t place = 0;
 *         for (thing *t; (t = map_next(&m, &place));)
 */
void *map_next(const map *m, size_t *place);

#endif
