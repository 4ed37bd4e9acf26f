/* SPDX-License-Identifier: MIT */
/* The simulated disk: a tree of nodes that survives a loss of power as a real one does. */
#ifndef SANJAB_OS_SIM_DISK_H
#define SANJAB_OS_SIM_DISK_H

#include "os/sim_world.h"

#include <sys/stat.h>

enum { SIM_NAME_MAX = 255, SIM_SECTOR = 512 };

struct sim_node {
        sim_node *parent; /* NULL: the root, or in no folder any more */
        list sibling;     /* in the parent's children, in the order in which they came */
        list children;
        char name[SIM_NAME_MAX + 1];
        unsigned references; /* the tree's, each open descriptor's, each journal entry's */
        uint64_t inode;
        uint32_t mode; /* kind and permissions */
        sj_wall modified;

        char *data; /* what a reader sees */
        size_t size;
        size_t capacity;
        char *durable; /* what was there at the last sync */
        size_t durable_size;
        size_t durable_capacity;
        list unsynced; /* writes since, the oldest first */
        size_t unsynced_count;

        unsigned shared_locks;
        bool exclusive_lock;
        list watchers;
};

/* Where a path leads: its folder, its last name, and what is there (NULL: nothing yet). */
typedef struct sim_place {
        sim_node *folder;
        char name[SIM_NAME_MAX + 1];
        sim_node *node;
} sim_place;

static inline bool sim_is_folder(const sim_node *n)
{
        return S_ISDIR(n->mode);
}

/* 0, or -ENOENT (a folder on the way), -ENOTDIR, -EACCES, -ENAMETOOLONG. */
int sim_disk_find(sim_world *w, const char *path, sim_place *ret);
/* The node at path, or NULL with *ret_error. */
sim_node *sim_disk_node(sim_world *w, const char *path, int *ret_error);

sim_node *sim_node_new(sim_world *w, uint32_t mode);
void sim_node_ref(sim_node *n);
void sim_node_unref(sim_world *w, sim_node *n);

/*
 * Moves what to the place `to` (NULL: nowhere, it is removed) from where it is (nowhere: it is
 * new), over what is there, as one change of the journal.
 */
void sim_disk_move(sim_world *w, sim_node *what, const sim_place *to);

/* n bytes at offset, which may lie behind the end. -ENOSPC; nothing is written then. */
int sim_node_write(sim_world *w, sim_node *n, const void *data, size_t size, uint64_t offset);
int sim_node_truncate(sim_world *w, sim_node *n, uint64_t size);
/* What is in the file now survives, and so do the names that lead to it. */
void sim_node_sync(sim_world *w, sim_node *n);
/* 0, or the error that sim_fail_disk_after says. */
int sim_disk_trouble(sim_world *w);

/* ── sim_watch.c ─────────────────────────────────────────────────────────────────────────── */

/* Tells those who watch the node, or the folder that it is in, what has happened (IN_). */
void sim_disk_notify(sim_node *n, uint32_t what, uint32_t cookie);
/* It was removed: who watches it hears no more of it. */
void sim_disk_gone(sim_node *n);

#endif
