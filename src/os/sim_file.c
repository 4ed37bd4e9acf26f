/* SPDX-License-Identifier: MIT */
/*
 * Files of the simulated world: the os_ calls over the simulated disk.
 *
 * The program is the user SIM_USER, who owns everything; the owner's permission bits are honoured,
 * so that a file of mode 0 cannot be read. There are no links. A relative path starts at the root.
 *
 * A lock that somebody else holds is -EAGAIN, and -EDEADLK for who wants to wait: with one thread
 * there is nobody who could give it back meanwhile.
 */
#include "os/sim_disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>

enum { UMASK = 022, NO_LOCK = 0, SHARED_LOCK, EXCLUSIVE_LOCK };

typedef struct sim_file {
        sim_fd base;
        sim_node *node;
        int flags;
        uint64_t position;
        int lock;
} sim_file;

/* ── Open files ──────────────────────────────────────────────────────────────────────────── */

static void unlock(sim_file *f)
{
        if (f->lock == SHARED_LOCK && f->node->shared_locks > 0)
                f->node->shared_locks--;
        if (f->lock == EXCLUSIVE_LOCK)
                f->node->exclusive_lock = false;
        f->lock = NO_LOCK;
}

static bool may_write(const sim_file *f)
{
        return (f->flags & O_ACCMODE) != O_RDONLY;
}

static void file_close(sim_fd *base)
{
        sim_file *f = (sim_file *)base;
        unlock(f);
        if (may_write(f))
                sim_disk_notify(f->node, IN_CLOSE_WRITE, 0);
        sim_node_unref(sim_world_get(), f->node);
        free(f);
}

static bool may_read(const sim_file *f)
{
        return (f->flags & O_ACCMODE) != O_WRONLY;
}

static ssize_t read_at(const sim_file *f, void *data, size_t n, uint64_t offset)
{
        if (!may_read(f))
                return -EBADF;
        if (sim_is_folder(f->node))
                return -EISDIR;
        if (offset >= f->node->size)
                return 0;
        if (n > f->node->size - offset)
                n = f->node->size - offset;
        if (n)
                memcpy(data, f->node->data + offset, n);
        return (ssize_t)n;
}

static ssize_t write_at(sim_file *f, const void *data, size_t n, uint64_t offset)
{
        sim_world *w = sim_world_get();
        if (!may_write(f))
                return -EBADF;
        int error = sim_disk_trouble(w);
        if (!error)
                /* As the system: whoever appends has no say in where. */
                error = sim_node_write(w, f->node, data, n,
                                       f->flags & O_APPEND ? f->node->size : offset);
        return error ? error : (ssize_t)n;
}

static ssize_t file_read(sim_fd *base, void *data, size_t n)
{
        sim_file *f = (sim_file *)base;
        ssize_t got = read_at(f, data, n, f->position);
        if (got > 0)
                f->position += (uint64_t)got;
        return got;
}

static ssize_t file_write(sim_fd *base, const void *data, size_t n)
{
        sim_file *f = (sim_file *)base;
        ssize_t put = write_at(f, data, n, f->position);
        if (put > 0)
                f->position = f->flags & O_APPEND ? f->node->size : f->position + (uint64_t)put;
        return put;
}

static int file_flags(const sim_fd *base)
{
        return ((const sim_file *)base)->flags;
}

static const sim_class file_class = {.name = "file",
                                     .close = file_close,
                                     .flags = file_flags,
                                     .read = file_read,
                                     .write = file_write};

static sim_file *file_of(sim_world *w, int fd)
{
        return (sim_file *)sim_fd_get(w, fd, &file_class);
}

static int check_access(const sim_node *n, int flags)
{
        int access = flags & O_ACCMODE;
        if (S_ISSOCK(n->mode))
                return -ENXIO;
        if (sim_is_folder(n) && (access != O_RDONLY || flags & O_CREAT))
                return -EISDIR;
        if (!sim_is_folder(n) && flags & O_DIRECTORY)
                return -ENOTDIR;
        if (access != O_WRONLY && !(n->mode & S_IRUSR))
                return -EACCES;
        return access != O_RDONLY && !(n->mode & S_IWUSR) ? -EACCES : 0;
}

static int make_file(sim_world *w, sim_place *at, uint32_t mode)
{
        if (!(at->folder->mode & S_IWUSR))
                return -EACCES;
        int error = sim_disk_trouble(w);
        if (error)
                return error;
        sim_node *n = sim_node_new(w, mode);
        sim_disk_move(w, n, at);
        at->node = n;
        return 0;
}

static int find_or_make(sim_world *w, const char *path, int flags, unsigned mode, sim_node **ret)
{
        sim_place at;
        int error = sim_disk_find(w, path, &at);
        if (error)
                return error;
        if (at.node && flags & O_CREAT && flags & O_EXCL)
                return -EEXIST;
        bool is_new = !at.node;
        if (is_new)
                error = flags & O_CREAT
                                ? make_file(w, &at, S_IFREG | (mode & 07777 & ~(unsigned)UMASK))
                                : -ENOENT;
        else
                error = check_access(at.node, flags);
        if (!error && !is_new && flags & O_TRUNC && (flags & O_ACCMODE) != O_RDONLY)
                error = sim_node_truncate(w, at.node, 0);
        if (!error)
                *ret = at.node;
        return error;
}

int os_open(const char *path, int flags, unsigned mode)
{
        sim_world *w = sim_enter();
        if (!sim_fd_room(w))
                return (int)sim_trace(w, "open", -1, -EMFILE);
        sim_node *n;
        int error = find_or_make(w, path, flags, mode, &n);
        if (error)
                return (int)sim_trace(w, "open", -1, error);
        sim_file *f = sim_alloc(sizeof(*f));
        *f = (sim_file){.base.class = &file_class, .node = n, .flags = flags};
        sim_node_ref(n);
        int fd = sim_fd_add(w, &f->base);
        return (int)sim_trace(w, "open", fd, fd);
}

ssize_t os_pread(int fd, void *data, size_t n, uint64_t offset)
{
        sim_world *w = sim_enter();
        const sim_file *f = file_of(w, fd);
        return sim_trace(w, "pread", fd, f ? read_at(f, data, n, offset) : -EBADF);
}

ssize_t os_send_file(int to, int from, uint64_t offset, size_t n)
{
        char piece[4096];
        sim_world *w = sim_enter();
        const sim_file *f = file_of(w, from);
        sim_fd *target = sim_fd_get(w, to, NULL);
        ssize_t put = f && target && target->class->write ? 0 : -EBADF;
        if (put == 0)
                put = read_at(f, piece, n < sizeof(piece) ? n : sizeof(piece), offset);
        if (put > 0)
                put = target->class->write(target, piece, (size_t)put);
        return sim_trace(w, "send_file", to, put);
}

ssize_t os_pwrite(int fd, const void *data, size_t n, uint64_t offset)
{
        sim_world *w = sim_enter();
        sim_file *f = file_of(w, fd);
        return sim_trace(w, "pwrite", fd, f ? write_at(f, data, n, offset) : -EBADF);
}

int os_fsync(int fd)
{
        sim_world *w = sim_enter();
        const sim_file *f = file_of(w, fd);
        int error = f ? sim_disk_trouble(w) : -EBADF;
        if (!error)
                sim_node_sync(w, f->node);
        return (int)sim_trace(w, "fsync", fd, error);
}

int os_truncate(int fd, uint64_t size)
{
        sim_world *w = sim_enter();
        const sim_file *f = file_of(w, fd);
        int error = !f ? -EBADF : !may_write(f) ? -EINVAL : sim_disk_trouble(w);
        if (!error)
                error = sim_node_truncate(w, f->node, size);
        return (int)sim_trace(w, "truncate", fd, error);
}

int os_lock_file(int fd, bool exclusive, bool wait)
{
        sim_world *w = sim_enter();
        sim_file *f = file_of(w, fd);
        if (!f)
                return (int)sim_trace(w, "lock_file", fd, -EBADF);
        /* As the system: changing a lock gives the old one up first, even if it then fails. */
        unlock(f);
        bool held = f->node->exclusive_lock || (exclusive && f->node->shared_locks > 0);
        if (held)
                return (int)sim_trace(w, "lock_file", fd, wait ? -EDEADLK : -EAGAIN);
        f->lock = exclusive ? EXCLUSIVE_LOCK : SHARED_LOCK;
        if (exclusive)
                f->node->exclusive_lock = true;
        else
                f->node->shared_locks++;
        return (int)sim_trace(w, "lock_file", fd, 0);
}

void os_unlock_file(int fd)
{
        sim_world *w = sim_enter();
        sim_file *f = file_of(w, fd);
        sim_trace(w, "unlock_file", fd, f ? 0 : -EBADF);
        if (f)
                unlock(f);
}

/* ── What is there ───────────────────────────────────────────────────────────────────────── */

static void describe(const sim_node *n, os_stat *ret)
{
        *ret = (os_stat){.size = n->size,
                         .inode = n->inode,
                         .device = 1,
                         .mode = n->mode,
                         .owner = SIM_USER,
                         .group = SIM_USER,
                         .modified = n->modified};
}

int os_fstat(int fd, os_stat *ret)
{
        sim_world *w = sim_enter();
        const sim_fd *f = sim_fd_get(w, fd, NULL);
        bool standard = fd >= 0 && fd <= 2;
        if (f && f->class == &file_class)
                describe(((const sim_file *)f)->node, ret);
        else if (f || standard)
                *ret = (os_stat){.mode = standard ? S_IFCHR : f->class->mode};
        return (int)sim_trace(w, "fstat", fd, f || standard ? 0 : -EBADF);
}

int os_stat_path(const char *path, bool nofollow, os_stat *ret)
{
        (void)nofollow;
        sim_world *w = sim_enter();
        int error = 0;
        const sim_node *n = sim_disk_node(w, path, &error);
        if (n)
                describe(n, ret);
        return (int)sim_trace(w, "stat_path", -1, error);
}

int os_chmod(const char *path, unsigned mode)
{
        sim_world *w = sim_enter();
        int error = 0;
        sim_node *n = sim_disk_node(w, path, &error);
        if (n)
                n->mode = (n->mode & S_IFMT) | (mode & 07777);
        if (n)
                sim_disk_notify(n, IN_ATTRIB, 0);
        return (int)sim_trace(w, "chmod", -1, error);
}

static int path_of(const sim_node *n, char *ret, size_t size)
{
        size_t at = size;
        if (size < 2)
                return -ENAMETOOLONG;
        ret[--at] = '\0';
        if (!n->parent)
                ret[--at] = '/';
        for (; n->parent; n = n->parent) {
                size_t length = strlen(n->name);
                if (length + 1 > at)
                        return -ENAMETOOLONG;
                at -= length;
                memcpy(ret + at, n->name, length);
                ret[--at] = '/';
        }
        memmove(ret, ret + at, size - at);
        return 0;
}

int os_real_path(const char *path, char *ret, size_t size)
{
        sim_world *w = sim_enter();
        int error = 0;
        const sim_node *n = sim_disk_node(w, path, &error);
        if (n)
                error = path_of(n, ret, size);
        return (int)sim_trace(w, "real_path", -1, error);
}

int os_read_dir(const char *path, int (*each)(void *arg, const char *name), void *arg)
{
        sim_world *w = sim_enter();
        int result = 0;
        sim_node *folder = sim_disk_node(w, path, &result);
        if (folder && !sim_is_folder(folder))
                result = -ENOTDIR;
        if (result)
                return (int)sim_trace(w, "read_dir", -1, result);
        sim_node_ref(folder);
        /* each may remove the entry that it is given. */
        list_for_each_safe (node, &folder->children) {
                result = each(arg, container_of(node, sim_node, sibling)->name);
                if (result)
                        break;
        }
        sim_node_unref(w, folder);
        return (int)sim_trace(w, "read_dir", -1, result);
}

/* ── Names ───────────────────────────────────────────────────────────────────────────────── */

static bool is_below(const sim_node *n, const sim_node *folder)
{
        for (; n; n = n->parent)
                if (n == folder)
                        return true;
        return false;
}

static int check_rename(const sim_place *from, const sim_place *to)
{
        if (!from->node)
                return -ENOENT;
        if (!(from->folder->mode & S_IWUSR) || !(to->folder->mode & S_IWUSR))
                return -EACCES;
        if (!from->node->parent || is_below(to->folder, from->node))
                return -EINVAL;
        if (!to->node || to->node == from->node)
                return 0;
        if (sim_is_folder(from->node) && !sim_is_folder(to->node))
                return -ENOTDIR;
        if (!sim_is_folder(from->node) && sim_is_folder(to->node))
                return -EISDIR;
        return list_empty(&to->node->children) ? 0 : -ENOTEMPTY;
}

int os_rename(const char *from, const char *to)
{
        sim_world *w = sim_enter();
        sim_place a, b;
        int error = sim_disk_find(w, from, &a);
        if (!error)
                error = sim_disk_find(w, to, &b);
        if (!error)
                error = check_rename(&a, &b);
        if (!error)
                error = sim_disk_trouble(w);
        if (!error && a.node != b.node)
                sim_disk_move(w, a.node, &b);
        return (int)sim_trace(w, "rename", -1, error);
}

static int remove_node(const char *call, const char *path, bool folder)
{
        sim_world *w = sim_enter();
        int error = 0;
        sim_node *n = sim_disk_node(w, path, &error);
        if (n && sim_is_folder(n) != folder)
                error = folder ? -ENOTDIR : -EISDIR;
        else if (n && !n->parent)
                error = -EBUSY;
        else if (n && !list_empty(&n->children))
                error = -ENOTEMPTY;
        else if (n && !(n->parent->mode & S_IWUSR))
                error = -EACCES;
        else if (n)
                error = sim_disk_trouble(w);
        if (!error)
                sim_disk_move(w, n, NULL);
        return (int)sim_trace(w, call, -1, error);
}

int os_unlink(const char *path)
{
        return remove_node("unlink", path, false);
}

int os_rmdir(const char *path)
{
        return remove_node("rmdir", path, true);
}

int os_mkdir(const char *path, unsigned mode)
{
        sim_world *w = sim_enter();
        sim_place at;
        int error = sim_disk_find(w, path, &at);
        if (!error)
                error = at.node ? -EEXIST
                                : make_file(w, &at, S_IFDIR | (mode & 07777 & ~(unsigned)UMASK));
        return (int)sim_trace(w, "mkdir", -1, error);
}
