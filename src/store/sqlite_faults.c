/* SPDX-License-Identifier: MIT */
/* See sqlite_faults.h. The real files are reached through SQLite's own default layer. */
#include "store/sqlite_faults.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECTOR = 512, FILES = 16 };

/* What one sector was at the last sync, since when it was written. */
typedef struct sector {
        sqlite3_int64 place;
        unsigned char old[SECTOR];
} sector;

typedef struct faulty_file {
        sqlite3_file base;
        sqlite3_file *real;
        const char *path; /* SQLite's, or NULL for a temporary one */
        sqlite3_int64 synced_size;
        sector *sectors;
        size_t n, capacity;
} faulty_file;

static struct {
        sqlite3_vfs vfs;
        sqlite3_vfs *real;
        faulty_file *files[FILES];
        _Atomic bool full;
        _Atomic bool bad_sync;
        _Atomic unsigned syncs;
        void (*cut)(void *arg);
        void *arg;
        unsigned one_in;
        unsigned seed;
} faults;

static unsigned draw(unsigned *seed, unsigned n)
{
        *seed = *seed * 1103515245 + 12345;
        return *seed / 65536 % n;
}

static sqlite3_file *real_of(sqlite3_file *f)
{
        return ((faulty_file *)f)->real;
}

/* ── What is not synced ──────────────────────────────────────────────────────────────────── */

static bool is_pending(const faulty_file *f, sqlite3_int64 place)
{
        for (size_t i = f->n; i--;)
                if (f->sectors[i].place == place)
                        return true;
        return false;
}

static void remember(faulty_file *f, sqlite3_int64 from, sqlite3_int64 to)
{
        for (sqlite3_int64 place = from / SECTOR; place * SECTOR < to; place++) {
                if (is_pending(f, place))
                        continue;
                if (f->n == f->capacity) {
                        f->capacity = f->capacity ? f->capacity * 2 : 64;
                        f->sectors = realloc(f->sectors, f->capacity * sizeof(sector));
                        if (!f->sectors)
                                abort();
                }
                sector *s = &f->sectors[f->n++];
                memset(s, 0, sizeof(*s));
                s->place = place;
                /* Short at the end of the file, and then the rest stays zero. */
                f->real->pMethods->xRead(f->real, s->old, SECTOR, place * SECTOR);
        }
}

static void maybe_cut(void)
{
        if (faults.cut && faults.one_in && draw(&faults.seed, faults.one_in) == 0)
                faults.cut(faults.arg);
}

static void decide(unsigned *seed, const sector *s, unsigned char now[SECTOR])
{
        switch (draw(seed, 4)) {
        case 0:
                memcpy(now, s->old, SECTOR);
                break;
        case 1:
                memcpy(now, s->old, SECTOR / 2);
                break;
        case 2:
                for (int i = 0; i < SECTOR; i++)
                        now[i] = (unsigned char)draw(seed, 256);
                break;
        default:
                break;
        }
}

static int copy_file(const faulty_file *f, const char *folder, unsigned *seed)
{
        char path[600];
        const char *slash = strrchr(f->path, '/');
        snprintf(path, sizeof(path), "%s%s", folder, slash);
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        if (fd < 0)
                return -1;
        sqlite3_int64 size = 0;
        f->real->pMethods->xFileSize(f->real, &size);
        /* Whether a file has grown is on the disk, too, is not known before its sync. */
        if (size > f->synced_size && draw(seed, 2))
                size = f->synced_size;
        static unsigned char bytes[65536];
        for (sqlite3_int64 at = 0; at < size; at += (sqlite3_int64)sizeof(bytes)) {
                size_t n = size - at < (sqlite3_int64)sizeof(bytes) ? (size_t)(size - at)
                                                                    : sizeof(bytes);
                f->real->pMethods->xRead(f->real, bytes, (int)n, at);
                if (pwrite(fd, bytes, n, at) != (ssize_t)n)
                        return -1;
        }
        for (size_t i = 0; i < f->n; i++) {
                const sector *s = &f->sectors[i];
                unsigned char now[SECTOR] = {0};
                sqlite3_int64 at = s->place * SECTOR;
                if (at >= size)
                        continue;
                size_t n = size - at < SECTOR ? (size_t)(size - at) : SECTOR;
                f->real->pMethods->xRead(f->real, now, (int)n, at);
                decide(seed, s, now);
                if (pwrite(fd, now, n, at) != (ssize_t)n)
                        return -1;
        }
        return close(fd);
}

int sqlite_faults_image(const char *folder, unsigned *seed)
{
        for (int i = 0; i < FILES; i++)
                if (faults.files[i] && faults.files[i]->path &&
                    copy_file(faults.files[i], folder, seed) < 0)
                        return -1;
        return 0;
}

/* ── The layer ───────────────────────────────────────────────────────────────────────────── */

static int faulty_close(sqlite3_file *f)
{
        faulty_file *file = (faulty_file *)f;
        for (int i = 0; i < FILES; i++)
                if (faults.files[i] == file)
                        faults.files[i] = NULL;
        int r = file->real->pMethods->xClose(file->real);
        free(file->real);
        free(file->sectors);
        return r;
}

static int faulty_read(sqlite3_file *f, void *data, int n, sqlite3_int64 at)
{
        return real_of(f)->pMethods->xRead(real_of(f), data, n, at);
}

static int faulty_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 at)
{
        if (faults.full)
                return SQLITE_FULL;
        if (faults.cut)
                remember((faulty_file *)f, at, at + n);
        int r = real_of(f)->pMethods->xWrite(real_of(f), data, n, at);
        maybe_cut();
        return r;
}

static int faulty_truncate(sqlite3_file *f, sqlite3_int64 size)
{
        faulty_file *file = (faulty_file *)f;
        /* As if it were on the disk at once: what it takes away is old in any case. */
        if (size < file->synced_size)
                file->synced_size = size;
        return real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int faulty_sync(sqlite3_file *f, int flags)
{
        faulty_file *file = (faulty_file *)f;
        if (faults.cut)
                faults.cut(faults.arg);
        faults.syncs++;
        if (faults.bad_sync)
                return SQLITE_IOERR_FSYNC;
        int r = file->real->pMethods->xSync(file->real, flags);
        file->n = 0;
        file->real->pMethods->xFileSize(file->real, &file->synced_size);
        return r;
}

static int faulty_size(sqlite3_file *f, sqlite3_int64 *ret)
{
        return real_of(f)->pMethods->xFileSize(real_of(f), ret);
}

static int faulty_lock(sqlite3_file *f, int level)
{
        return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int faulty_unlock(sqlite3_file *f, int level)
{
        return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int faulty_reserved(sqlite3_file *f, int *ret)
{
        return real_of(f)->pMethods->xCheckReservedLock(real_of(f), ret);
}

static int faulty_control(sqlite3_file *f, int op, void *arg)
{
        return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int faulty_sector(sqlite3_file *f)
{
        (void)f;
        return SECTOR;
}

static int faulty_device(sqlite3_file *f)
{
        (void)f;
        return 0;
}

static int faulty_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
        return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, ret);
}

static int faulty_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
        return real_of(f)->pMethods->xShmLock(real_of(f), at, n, flags);
}

static void faulty_shm_barrier(sqlite3_file *f)
{
        real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int faulty_shm_unmap(sqlite3_file *f, int remove)
{
        return real_of(f)->pMethods->xShmUnmap(real_of(f), remove);
}

static const sqlite3_io_methods faulty_methods = {
        .iVersion = 2,
        .xClose = faulty_close,
        .xRead = faulty_read,
        .xWrite = faulty_write,
        .xTruncate = faulty_truncate,
        .xSync = faulty_sync,
        .xFileSize = faulty_size,
        .xLock = faulty_lock,
        .xUnlock = faulty_unlock,
        .xCheckReservedLock = faulty_reserved,
        .xFileControl = faulty_control,
        .xSectorSize = faulty_sector,
        .xDeviceCharacteristics = faulty_device,
        .xShmMap = faulty_shm_map,
        .xShmLock = faulty_shm_lock,
        .xShmBarrier = faulty_shm_barrier,
        .xShmUnmap = faulty_shm_unmap,
};

static int faulty_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *ret)
{
        (void)vfs;
        faulty_file *file = (faulty_file *)f;
        *file = (faulty_file){.path = path};
        file->real = calloc(1, (size_t)faults.real->szOsFile);
        if (!file->real)
                return SQLITE_NOMEM;
        int r = faults.real->xOpen(faults.real, path, file->real, flags, ret);
        if (r != SQLITE_OK) {
                free(file->real);
                return r;
        }
        file->base.pMethods = &faulty_methods;
        file->real->pMethods->xFileSize(file->real, &file->synced_size);
        for (int i = 0; i < FILES; i++) {
                if (!faults.files[i]) {
                        faults.files[i] = file;
                        break;
                }
        }
        return SQLITE_OK;
}

void sqlite_faults_install(void)
{
        faults.real = sqlite3_vfs_find(NULL);
        faults.vfs = *faults.real;
        faults.vfs.zName = "faults";
        faults.vfs.szOsFile = (int)sizeof(faulty_file);
        faults.vfs.xOpen = faulty_open;
        faults.seed = 1;
        sqlite3_vfs_register(&faults.vfs, 1);
}

void sqlite_faults_full(bool on)
{
        faults.full = on;
}

void sqlite_faults_sync(bool on)
{
        faults.bad_sync = on;
}

unsigned sqlite_faults_syncs(void)
{
        return faults.syncs;
}

void sqlite_faults_watch(void (*cut)(void *arg), void *arg, unsigned one_in)
{
        faults.arg = arg;
        faults.one_in = one_in;
        faults.cut = cut;
}
