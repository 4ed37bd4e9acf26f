/* SPDX-License-Identifier: MIT */
/*
 * Files on the threads of sj_offload: each call packs its parameters into a struct on the caller's
 * stack, which is safe because a call that has begun is always waited for, and does all its work
 * (a loop of short writes, five steps of an atomic replacement) in one piece on one thread.
 */
#include "net/file.h"

#include "base/buf.h"
#include "net/file_whole.h"
#include "os/os.h"

#include <limits.h>
#include <stdlib.h>

/* The most bytes of one transfer: Linux moves no more in one call, and results are ints. */
#define TRANSFER_MAX ((size_t)0x7ffff000)

/* One for all: the calls differ in which of them they need. */
struct job {
        const char *path, *to;
        int fd, flags;
        unsigned mode;
        bool nofollow, at_offset;
        void *data;
        size_t n, limit;
        uint64_t offset;
        os_stat stat;
        char *text;
        buf names;
};

/* ── Open files ──────────────────────────────────────────────────────────────────────────── */

static int run_open(void *arg)
{
        struct job *j = arg;
        return os_open(j->path, j->flags, j->mode);
}

int sj_file_open(const char *path, int flags, unsigned mode, sj_file **ret, sj_time deadline)
{
        sj_file *f = malloc(sizeof(*f));
        if (!f)
                return -ENOMEM;
        struct job j = {.path = path, .flags = flags, .mode = mode};
        f->fd = sj_offload(run_open, &j, deadline);
        if (f->fd < 0) {
                int r = f->fd;
                free(f);
                return r;
        }
        *ret = f;
        return 0;
}

void sj_file_close(sj_file *f)
{
        if (!f)
                return;
        os_close(f->fd);
        free(f);
}

static int run_read(void *arg)
{
        struct job *j = arg;
        return (int)(j->at_offset ? os_pread(j->fd, j->data, j->n, j->offset)
                                  : os_read(j->fd, j->data, j->n));
}

static int run_write(void *arg)
{
        struct job *j = arg;
        while (j->n > 0) {
                size_t k = j->n < TRANSFER_MAX ? j->n : TRANSFER_MAX;
                ssize_t put = j->at_offset ? os_pwrite(j->fd, j->data, k, j->offset)
                                           : os_write(j->fd, j->data, k);
                if (put < 0)
                        return (int)put;
                j->data = (char *)j->data + put;
                j->n -= (size_t)put;
                j->offset += (uint64_t)put;
        }
        return 0;
}

static ssize_t transfer(sj_fn *fn, struct job j, sj_time deadline)
{
        return sj_offload(fn, &j, deadline);
}

ssize_t sj_file_read(sj_file *f, void *ret, size_t n, sj_time deadline)
{
        n = n < TRANSFER_MAX ? n : TRANSFER_MAX;
        return transfer(run_read, (struct job){.fd = f->fd, .data = ret, .n = n}, deadline);
}

int sj_file_write(sj_file *f, const void *data, size_t n, sj_time deadline)
{
        struct job j = {.fd = f->fd, .data = (void *)(uintptr_t)data, .n = n};
        return (int)transfer(run_write, j, deadline);
}

ssize_t sj_file_read_at(sj_file *f, void *ret, size_t n, uint64_t offset, sj_time deadline)
{
        n = n < TRANSFER_MAX ? n : TRANSFER_MAX;
        struct job j = {.fd = f->fd, .data = ret, .n = n, .offset = offset, .at_offset = true};
        return transfer(run_read, j, deadline);
}

int sj_file_write_at(sj_file *f, const void *data, size_t n, uint64_t offset, sj_time deadline)
{
        struct job j = {.fd = f->fd,
                        .data = (void *)(uintptr_t)data,
                        .n = n,
                        .offset = offset,
                        .at_offset = true};
        return (int)transfer(run_write, j, deadline);
}

static int run_sync(void *arg)
{
        struct job *j = arg;
        return os_fsync(j->fd);
}

int sj_file_sync(sj_file *f, sj_time deadline)
{
        return sj_offload(run_sync, &(struct job){.fd = f->fd}, deadline);
}

static int run_truncate(void *arg)
{
        struct job *j = arg;
        return os_truncate(j->fd, j->offset);
}

int sj_file_truncate(sj_file *f, uint64_t size, sj_time deadline)
{
        return sj_offload(run_truncate, &(struct job){.fd = f->fd, .offset = size}, deadline);
}

static sj_file_info info_of(const os_stat *st)
{
        return (sj_file_info){.size = st->size,
                              .inode = st->inode,
                              .device = st->device,
                              .mode = st->mode,
                              .owner = st->owner,
                              .group = st->group,
                              .modified = st->modified};
}

static int run_info(void *arg)
{
        struct job *j = arg;
        return j->path ? os_stat_path(j->path, j->nofollow, &j->stat) : os_fstat(j->fd, &j->stat);
}

static int info(struct job j, sj_file_info *ret, sj_time deadline)
{
        int r = sj_offload(run_info, &j, deadline);
        if (r >= 0)
                *ret = info_of(&j.stat);
        return r;
}

int sj_file_info_of(sj_file *f, sj_file_info *ret, sj_time deadline)
{
        return info((struct job){.fd = f->fd}, ret, deadline);
}

/* ── Whole files ─────────────────────────────────────────────────────────────────────────── */

static int run_read_whole(void *arg)
{
        struct job *j = arg;
        return file_read_whole(j->path, j->limit, &j->text, &j->n);
}

int sj_file_read_whole(const char *path, size_t limit, char **ret, size_t *ret_n, sj_time deadline)
{
        struct job j = {.path = path, .limit = limit};
        int r = sj_offload(run_read_whole, &j, deadline);
        if (r < 0)
                return r;
        *ret = j.text;
        *ret_n = j.n;
        return 0;
}

static int run_write_whole(void *arg)
{
        struct job *j = arg;
        return file_write_whole(j->path, j->data, j->n, j->mode);
}

int sj_file_write_whole(const char *path, const void *data, size_t n, unsigned mode,
                        sj_time deadline)
{
        struct job j = {.path = path, .data = (void *)(uintptr_t)data, .n = n, .mode = mode};
        return sj_offload(run_write_whole, &j, deadline);
}

/* ── Paths ───────────────────────────────────────────────────────────────────────────────── */

int sj_file_info_at(const char *path, bool nofollow, sj_file_info *ret, sj_time deadline)
{
        return info((struct job){.path = path, .nofollow = nofollow}, ret, deadline);
}

static int run_rename(void *arg)
{
        struct job *j = arg;
        return os_rename(j->path, j->to);
}

int sj_file_rename(const char *from, const char *to, sj_time deadline)
{
        return sj_offload(run_rename, &(struct job){.path = from, .to = to}, deadline);
}

static int run_unlink(void *arg)
{
        struct job *j = arg;
        return os_unlink(j->path);
}

int sj_file_remove(const char *path, sj_time deadline)
{
        return sj_offload(run_unlink, &(struct job){.path = path}, deadline);
}

static int run_mkdir(void *arg)
{
        struct job *j = arg;
        return os_mkdir(j->path, j->mode);
}

int sj_folder_make(const char *path, unsigned mode, sj_time deadline)
{
        return sj_offload(run_mkdir, &(struct job){.path = path, .mode = mode}, deadline);
}

static int run_rmdir(void *arg)
{
        struct job *j = arg;
        return os_rmdir(j->path);
}

int sj_folder_remove(const char *path, sj_time deadline)
{
        return sj_offload(run_rmdir, &(struct job){.path = path}, deadline);
}

/* Keeps the name with its NUL. */
static int keep_name(void *arg, const char *name)
{
        struct job *j = arg;
        return buf_append(&j->names, name, strlen(name) + 1);
}

static int run_read_dir(void *arg)
{
        struct job *j = arg;
        return os_read_dir(j->path, keep_name, j);
}

int sj_folder_read(const char *path, int (*each)(void *arg, const char *name), void *arg,
                   sj_time deadline)
{
        struct job j = {.path = path, .names = BUF_INIT(0)};
        int r = sj_offload(run_read_dir, &j, deadline);
        const char *name = buf_data(&j.names), *end = name ? name + buf_size(&j.names) : name;
        for (; r == 0 && name < end; name += strlen(name) + 1)
                r = each(arg, name);
        buf_fini(&j.names);
        return r;
}
