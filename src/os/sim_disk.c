/* SPDX-License-Identifier: MIT */
/*
 * The simulated disk.
 *
 * What a program sees is at once what it wrote. What would survive is kept beside it:
 *
 *         node: data ◄── readers          durable + unsynced writes ──► after a loss of power
 *
 * A sync makes data durable and forgets the writes. A loss of power starts from what is durable
 * and decides about each 512-byte sector of each later write: lost, there, or torn in the middle;
 * they are independent of each other, since a disk writes them in any order.
 *
 * Names (made, moved, removed) go through a journal in order, as common file systems do it: a
 * loss of power keeps some first part of it and undoes the rest, last first. Syncing a folder
 * settles the journal; syncing a file settles it as far as the file itself needs.
 *
 * The system writes back by itself, too: what is oldest, when much is waiting, and the journal
 * when the disk is full, since what it could still undo takes room.
 */
#include "os/sim_disk.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>

/* What may wait to be written back: writes of one file, and changes of names. */
enum { WAITING_MOST = 4096 };

typedef struct write_record {
        list node;
        bool truncates; /* to offset */
        uint64_t offset;
        size_t n;
        char data[];
} write_record;

typedef struct name_record {
        list node;
        sim_node *what;
        sim_node *from; /* its folder before; NULL: it is new */
        char from_name[SIM_NAME_MAX + 1];
        sim_node *to; /* its folder after; NULL: it was removed */
        sim_node *replaced;
} name_record;

/* ── Nodes ───────────────────────────────────────────────────────────────────────────────── */

static sj_wall wall_now(const sim_world *w)
{
        return (sj_wall){w->options.started.us + w->now / 1000};
}

sim_node *sim_node_new(sim_world *w, uint32_t mode)
{
        sim_node *n = sim_alloc(sizeof(*n));
        n->mode = mode;
        n->inode = ++w->inode;
        n->modified = wall_now(w);
        list_init(&n->sibling);
        list_init(&n->children);
        list_init(&n->unsynced);
        list_init(&n->watchers);
        return n;
}

void sim_node_ref(sim_node *n)
{
        if (n)
                n->references++;
}

static void forget_writes(sim_node *n)
{
        list *node;
        while ((node = list_pop(&n->unsynced)))
                free(container_of(node, write_record, node));
        n->unsynced_count = 0;
}

void sim_node_unref(sim_world *w, sim_node *n)
{
        if (!n || --n->references > 0)
                return;
        w->disk_used -= n->size;
        forget_writes(n);
        free(n->data);
        free(n->durable);
        free(n);
}

static void attach(sim_node *n, sim_node *folder, const char *name)
{
        n->parent = folder;
        memmove(n->name, name, strlen(name) + 1);
        list_append(&folder->children, &n->sibling);
        sim_node_ref(n);
}

static void detach(sim_world *w, sim_node *n)
{
        list_remove(&n->sibling);
        n->parent = NULL;
        sim_node_unref(w, n);
}

static sim_node *child(const sim_node *folder, const char *name)
{
        list_for_each (node, &folder->children) {
                sim_node *n = container_of(node, sim_node, sibling);
                if (strcmp(n->name, name) == 0)
                        return n;
        }
        return NULL;
}

/* ── Paths ───────────────────────────────────────────────────────────────────────────────── */

/* Takes the next name off *path; false at its end. */
static bool next_name(const char **path, const char **ret_name, size_t *ret_n)
{
        *path += strspn(*path, "/");
        *ret_name = *path;
        *ret_n = strcspn(*path, "/");
        *path += *ret_n;
        return *ret_n > 0;
}

static int step(sim_place *at, const char *name, size_t n)
{
        sim_node *here = at->node;
        if (!here)
                return -ENOENT;
        if (!sim_is_folder(here))
                return -ENOTDIR;
        if (!(here->mode & S_IXUSR))
                return -EACCES;
        if (n > SIM_NAME_MAX)
                return -ENAMETOOLONG;
        if (n == 1 && name[0] == '.')
                return 0;
        if (n == 2 && name[0] == '.' && name[1] == '.') {
                at->node = here->parent ? here->parent : here;
                at->folder = at->node->parent ? at->node->parent : at->node;
                memcpy(at->name, at->node->name, sizeof(at->name));
                return 0;
        }
        at->folder = here;
        memcpy(at->name, name, n);
        at->name[n] = '\0';
        at->node = child(here, at->name);
        return 0;
}

int sim_disk_find(sim_world *w, const char *path, sim_place *ret)
{
        if (!*path)
                return -ENOENT;
        if (strlen(path) >= PATH_MAX)
                return -ENAMETOOLONG;
        sim_place at = {.folder = w->root, .node = w->root};
        const char *name;
        size_t n;
        while (next_name(&path, &name, &n)) {
                int error = step(&at, name, n);
                if (error)
                        return error;
        }
        *ret = at;
        return 0;
}

sim_node *sim_disk_node(sim_world *w, const char *path, int *ret_error)
{
        sim_place at;
        int error = sim_disk_find(w, path, &at);
        if (!error && !at.node)
                error = -ENOENT;
        if (error) {
                *ret_error = error;
                return NULL;
        }
        return at.node;
}

/* ── The journal of names ────────────────────────────────────────────────────────────────── */

static void forget_name(sim_world *w, name_record *r)
{
        list_remove(&r->node);
        w->journal_count--;
        sim_node_unref(w, r->what);
        sim_node_unref(w, r->from);
        sim_node_unref(w, r->to);
        sim_node_unref(w, r->replaced);
        free(r);
}

/* The first n changes of names can no longer be undone. */
static void settle_names(sim_world *w, size_t n)
{
        for (; n > 0; n--)
                forget_name(w, container_of(w->journal.next, name_record, node));
}

void sim_disk_move(sim_world *w, sim_node *what, const sim_place *to)
{
        name_record *r = sim_alloc(sizeof(*r));
        r->what = what;
        r->from = what->parent;
        memcpy(r->from_name, what->name, sizeof(r->from_name));
        r->to = to ? to->folder : NULL;
        r->replaced = to ? to->node : NULL;
        sim_node_ref(r->what);
        sim_node_ref(r->from);
        sim_node_ref(r->to);
        sim_node_ref(r->replaced);
        list_append(&w->journal, &r->node);
        if (++w->journal_count > WAITING_MOST)
                settle_names(w, 1);
        bool moves = r->from && r->to;
        uint32_t cookie = moves ? ++w->moves : 0;
        if (r->replaced) {
                detach(w, r->replaced);
                sim_disk_gone(r->replaced);
        }
        if (r->from) {
                sim_disk_notify(what, moves ? IN_MOVED_FROM : IN_DELETE, cookie);
                detach(w, what);
        }
        if (r->to) {
                attach(what, r->to, to->name);
                sim_disk_notify(what, moves ? IN_MOVED_TO : IN_CREATE, cookie);
        }
        if (moves)
                sim_disk_notify(what, IN_MOVE_SELF, 0);
        if (!r->to)
                sim_disk_gone(what);
}

static void undo(sim_world *w, name_record *r)
{
        char name[SIM_NAME_MAX + 1];
        memcpy(name, r->what->name, sizeof(name));
        if (r->to)
                detach(w, r->what);
        if (r->replaced)
                attach(r->replaced, r->to, name);
        if (r->from)
                attach(r->what, r->from, r->from_name);
        forget_name(w, r);
}

/* How many first entries the node's own name needs: all for a folder. */
static size_t needed_entries(const sim_world *w, const sim_node *n)
{
        size_t i = 0, needed = 0;
        list_for_each (node, &w->journal) {
                i++;
                if (sim_is_folder(n) || container_of(node, name_record, node)->what == n)
                        needed = i;
        }
        return needed;
}

/* ── Bytes ───────────────────────────────────────────────────────────────────────────────── */

static void resize(char **data, size_t *size, size_t *capacity, size_t wanted)
{
        if (wanted > *capacity) {
                size_t grown = wanted + wanted / 2;
                *data = sim_grow(*data, grown);
                *capacity = grown;
        }
        if (wanted > *size)
                memset(*data + *size, 0, wanted - *size);
        *size = wanted;
}

static bool fits(const sim_world *w, const sim_node *n, uint64_t size)
{
        return size <= n->size || size - n->size <= w->options.disk - w->disk_used;
}

static int set_size(sim_world *w, sim_node *n, uint64_t size)
{
        if (!fits(w, n, size))
                settle_names(w, w->journal_count);
        if (!fits(w, n, size))
                return -ENOSPC;
        w->disk_used = w->disk_used - n->size + size;
        resize(&n->data, &n->size, &n->capacity, size);
        return 0;
}

static void write_back_oldest(sim_node *n)
{
        write_record *r = container_of(list_pop(&n->unsynced), write_record, node);
        n->unsynced_count--;
        size_t end = r->truncates || r->offset + r->n > n->durable_size ? r->offset + r->n
                                                                        : n->durable_size;
        resize(&n->durable, &n->durable_size, &n->durable_capacity, end);
        if (r->n)
                memcpy(n->durable + r->offset, r->data, r->n);
        free(r);
}

static void record(sim_node *n, bool truncates, const void *data, size_t size, uint64_t offset)
{
        write_record *r = sim_alloc(sizeof(*r) + size);
        *r = (write_record){.truncates = truncates, .offset = offset, .n = size};
        if (size)
                memcpy(r->data, data, size);
        list_append(&n->unsynced, &r->node);
        if (++n->unsynced_count > WAITING_MOST)
                write_back_oldest(n);
}

int sim_disk_trouble(sim_world *w)
{
        if (w->disk_left == 0)
                return w->disk_error;
        if (w->disk_left != SIZE_MAX)
                w->disk_left--;
        return 0;
}

static void touched(sim_world *w, sim_node *n)
{
        n->modified = wall_now(w);
        sim_disk_notify(n, IN_MODIFY, 0);
}

int sim_node_write(sim_world *w, sim_node *n, const void *data, size_t size, uint64_t offset)
{
        if (offset > INT64_MAX - size)
                return -EFBIG;
        int error = offset + size > n->size ? set_size(w, n, offset + size) : 0;
        if (error)
                return error;
        if (size)
                memcpy(n->data + offset, data, size);
        record(n, false, data, size, offset);
        touched(w, n);
        return 0;
}

int sim_node_truncate(sim_world *w, sim_node *n, uint64_t size)
{
        int error = set_size(w, n, size);
        if (error)
                return error;
        record(n, true, NULL, 0, size);
        touched(w, n);
        return 0;
}

static void make_durable(sim_node *n)
{
        forget_writes(n);
        resize(&n->durable, &n->durable_size, &n->durable_capacity, n->size);
        if (n->size)
                memcpy(n->durable, n->data, n->size);
}

void sim_node_sync(sim_world *w, sim_node *n)
{
        make_durable(n);
        settle_names(w, needed_entries(w, n));
}

/* ── Loss of power ───────────────────────────────────────────────────────────────────────── */

typedef enum fate { ALL_LOST, ALL_KEPT, BY_LOT, FATES } fate;

/* How many of n bytes of a sector come through: all, none, or up to where it is torn. */
static size_t kept_of(sim_world *w, fate luck, size_t n)
{
        if (luck != BY_LOT)
                return luck == ALL_KEPT ? n : 0;
        switch (sim_draw_from(w, SIM_DISK, 4)) {
        case 0:
                return 0;
        case 1:
                return (size_t)sim_draw_from(w, SIM_DISK, n + 1);
        default:
                return n;
        }
}

static void replay(sim_world *w, sim_node *n, const write_record *r, fate luck)
{
        if (r->truncates) {
                if (kept_of(w, luck, 1))
                        resize(&n->data, &n->size, &n->capacity, r->offset);
                return;
        }
        for (size_t done = 0; done < r->n;) {
                uint64_t at = r->offset + done;
                size_t part = SIM_SECTOR - at % SIM_SECTOR;
                if (part > r->n - done)
                        part = r->n - done;
                size_t kept = kept_of(w, luck, part);
                if (kept > 0 && at + kept > n->size)
                        resize(&n->data, &n->size, &n->capacity, at + kept);
                if (kept > 0)
                        memcpy(n->data + at, r->data + done, kept);
                done += part;
        }
}

static void lose_bytes(sim_world *w, sim_node *n, fate luck)
{
        w->disk_used -= n->size;
        n->size = 0;
        resize(&n->data, &n->size, &n->capacity, n->durable_size);
        if (n->size)
                memcpy(n->data, n->durable, n->size);
        list_for_each (node, &n->unsynced)
                replay(w, n, container_of(node, write_record, node), luck);
        w->disk_used += n->size;
        make_durable(n);
        n->shared_locks = 0;
        n->exclusive_lock = false;
}

static sim_node *after(const sim_node *root, const sim_node *n)
{
        /* Every node below root once, parents first, without recursion. */
        if (!list_empty(&n->children))
                return container_of(n->children.next, sim_node, sibling);
        while (n != root && n->sibling.next == &n->parent->children)
                n = n->parent;
        return n == root ? NULL : container_of(n->sibling.next, sim_node, sibling);
}

void sim_power_loss(void)
{
        sim_world *w = sim_world_get();
        sim_fd_close_all(w);
        sim_drop_events(w, true);
        fate luck = (fate)sim_draw_from(w, SIM_DISK, FATES);
        size_t entries = w->journal_count;
        size_t kept = luck == ALL_KEPT   ? entries
                      : luck == ALL_LOST ? 0
                                         : (size_t)sim_draw_from(w, SIM_DISK, entries + 1);
        for (; entries > kept; entries--)
                undo(w, container_of(w->journal.prev, name_record, node));
        settle_names(w, w->journal_count);
        for (sim_node *n = w->root; n; n = after(w->root, n))
                if (S_ISREG(n->mode))
                        lose_bytes(w, n, luck);
        sim_trace(w, "power_loss", -1, (ssize_t)kept);
}

void sim_fail_disk_after(size_t n, int error)
{
        sim_world *w = sim_world_get();
        w->disk_left = n;
        w->disk_error = error < 0 ? error : -error;
}

/* ── Beginning and end ───────────────────────────────────────────────────────────────────── */

void sim_disk_begin(sim_world *w)
{
        static const char *const folders[] = {"tmp", "home", "run", "etc"};
        w->root = sim_node_new(w, S_IFDIR | 0755);
        sim_node_ref(w->root);
        for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
                attach(sim_node_new(w, S_IFDIR | 0755), w->root, folders[i]);
}

void sim_disk_end(sim_world *w)
{
        settle_names(w, w->journal_count);
        sim_node *n = w->root;
        while (n) {
                sim_node *parent = n->parent;
                if (!list_empty(&n->children)) {
                        n = container_of(n->children.next, sim_node, sibling);
                } else {
                        if (parent)
                                detach(w, n);
                        else
                                sim_node_unref(w, n);
                        n = parent;
                }
        }
}

int sim_disk_bind(sim_world *w, const char *path)
{
        sim_place at;
        int error = sim_disk_find(w, path, &at);
        if (error)
                return error;
        if (at.node)
                return -EADDRINUSE;
        sim_disk_move(w, sim_node_new(w, S_IFSOCK | 0755), &at);
        return 0;
}

int sim_disk_find_socket(sim_world *w, const char *path)
{
        int error = 0;
        const sim_node *n = sim_disk_node(w, path, &error);
        if (!n)
                return error;
        return S_ISSOCK(n->mode) ? 0 : -ECONNREFUSED;
}
