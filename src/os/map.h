/* SPDX-License-Identifier: MIT */
/* What os_map and its kin do in both worlds; their contract is in os.h. */
#ifndef SANJAB_OS_MAP_H
#define SANJAB_OS_MAP_H

#include <sanjab/base.h>

void *map_reserve(size_t size);
void map_release(void *memory, size_t size);
int map_guard(void *memory, size_t size);
void map_discard(void *memory, size_t size);
/* A sealed file in memory, and a mapping of it. */
int map_shared_new(const char *name, size_t size);
void *map_shared(int fd, size_t size);

#endif
