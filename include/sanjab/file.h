/* SPDX-License-Identifier: MIT */
/*
 * sanjab/file.h: files, for fibers.
 *
 *         char *text;
 *         size_t n;
 *         int r = sj_file_read_whole("settings.ini", 1 << 20, &text, &n, sj_after(SJ_SEC));
 *         ...
 *         free(text);
 *
 * The system has no readiness for files: a read of one blocks its thread for as long as the disk
 * takes. So each call here runs on a thread of the process's pool (sj_offload), and only the
 * calling fiber waits. Outside of a fiber it blocks the thread that calls.
 *
 * What every call with a deadline has in common: it is a cancellation point. -ETIMEDOUT and
 * -ECANCELED mean that nothing has happened: a call that has begun is waited for, since the disk
 * does not stop half way. -EAGAIN, -ENOMEM: there is no thread for it. All else is as the system
 * says it: -ENOENT, -EACCES, -ENOSPC, -EIO, -EISDIR and so on.
 *
 * A file is used by one fiber at a time, unless all its calls are sj_file_read_at and
 * sj_file_write_at.
 */
#ifndef SANJAB_FILE_H
#define SANJAB_FILE_H

#include <sanjab/exec.h>
#include <sanjab/net.h>

#include <fcntl.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sj_file sj_file;

/* What is known of a file, a folder or something else at a path. */
typedef struct sj_file_info {
        uint64_t size;
        uint64_t inode;
        uint64_t device;
        uint32_t mode; /* as st_mode of stat(2): what it is (S_ISREG, S_ISDIR), permissions */
        uint32_t owner;
        uint32_t group;
        sj_wall modified;
} sj_file_info;

/* ── Open files ──────────────────────────────────────────────────────────────────────────── */

/*
 * flags and mode are those of open(2). With O_APPEND each write goes to the end that the file has
 * at that moment, whoever else writes to it. The caller owns *ret. -EMFILE; -ENFILE.
 */
SJ_PUBLIC int sj_file_open(const char *path, int flags, unsigned mode, sj_file **ret,
                           sj_time deadline);

/*
 * Closes and frees it. What was written is the system's, and may be lost with the power unless
 * sj_file_sync has returned. NULL is allowed.
 */
SJ_PUBLIC void sj_file_close(sj_file *f);

/* Reads at least 1 and at most n bytes from where the last read or write ended; 0 at the end. */
SJ_PUBLIC ssize_t sj_file_read(sj_file *f, void *ret, size_t n, sj_time deadline);

/* Writes all n bytes there: 0. After a failure some of them may have been written. */
SJ_PUBLIC int sj_file_write(sj_file *f, const void *data, size_t n, sj_time deadline);

/* The same at an offset, which leave the place of the two above alone. */
SJ_PUBLIC ssize_t sj_file_read_at(sj_file *f, void *ret, size_t n, uint64_t offset,
                                  sj_time deadline);
SJ_PUBLIC int sj_file_write_at(sj_file *f, const void *data, size_t n, uint64_t offset,
                               sj_time deadline);

/*
 * Returns when all that was written is on the disk. After a failure nothing is known of it, and a
 * second call does not help: the system may have dropped it.
 */
SJ_PUBLIC int sj_file_sync(sj_file *f, sj_time deadline);

/* Cuts or extends it to that size. */
SJ_PUBLIC int sj_file_truncate(sj_file *f, uint64_t size, sj_time deadline);

/*
 * Sends n bytes from the offset, or up to the file's end, over the stream: 0, and *ret (may be
 * NULL) is how many have gone. n UINT64_MAX: to the end. Over a socket the kernel moves them, over
 * other kinds of streams, as TLS, they are read and written. Errors as sj_write and
 * sj_file_read_at; also -ENOMEM. If it fails when some of the bytes have gone, all later writes
 * give -EPIPE.
 */
SJ_PUBLIC int sj_file_send(sj_file *f, sj_stream *s, uint64_t offset, uint64_t n, uint64_t *ret,
                           sj_time deadline);

/* What is known of it at this moment. */
SJ_PUBLIC int sj_file_info_of(sj_file *f, sj_file_info *ret, sj_time deadline);

/* ── Whole files ─────────────────────────────────────────────────────────────────────────── */

/*
 * All bytes of a file: *ret is the caller's, to be freed with free(), and has a NUL behind its
 * *ret_n bytes. -EMSGSIZE it has more than `limit`.
 */
SJ_PUBLIC int sj_file_read_whole(const char *path, size_t limit, char **ret, size_t *ret_n,
                                 sj_time deadline);

/*
 * Makes or replaces the file at once: who reads it sees either the old bytes or the new ones, also
 * after a loss of power, and when 0 was returned the new ones are on the disk. They are written to
 * a file beside it, which takes its place. mode is what the file has then, whatever the umask and
 * the old file's. After a failure the old file is as it was; only if syncing the folder has failed
 * (-EIO), the new one is there, and may or may not outlive a loss of power.
 */
SJ_PUBLIC int sj_file_write_whole(const char *path, const void *data, size_t n, unsigned mode,
                                  sj_time deadline);

/* ── Paths ───────────────────────────────────────────────────────────────────────────────── */

/* Of what the path leads to; with nofollow, of a symbolic link itself. */
SJ_PUBLIC int sj_file_info_at(const char *path, bool nofollow, sj_file_info *ret, sj_time deadline);
/* Moves it, on one file system (-EXDEV), and replaces what is at `to`. */
SJ_PUBLIC int sj_file_rename(const char *from, const char *to, sj_time deadline);
/* Removes a name of a file; the file goes with its last name. */
SJ_PUBLIC int sj_file_remove(const char *path, sj_time deadline);

/* Makes a folder; mode is that of mkdir(2), which the umask narrows. -EEXIST something is there. */
SJ_PUBLIC int sj_folder_make(const char *path, unsigned mode, sj_time deadline);
/* Removes an empty folder: -ENOTEMPTY. */
SJ_PUBLIC int sj_folder_remove(const char *path, sj_time deadline);
/*
 * Calls each(arg, name), in the calling fiber, for every entry of the folder but "." and "..", in
 * no order, until one returns other than 0, which is returned. The names are those that were there
 * at the beginning, and last for the call; each may block, within its own time.
 */
SJ_PUBLIC int sj_folder_read(const char *path, int (*each)(void *arg, const char *name), void *arg,
                             sj_time deadline);

/* ── Watching ────────────────────────────────────────────────────────────────────────────── */

/*
 * Hears of what happens to files and folders, in the order in which it happens (inotify(7)): what
 * other programs do, too, but on other machines that share a file system. A folder tells of what is
 * directly in it; who wants what is below adds each folder, and looks into a new one, since
 * something may have been made there before it was added. The like of what was told last and not
 * yet read is told once. Used by one fiber that waits; the other calls may come from others of its
 * loop.
 */
typedef struct sj_watch sj_watch;

enum {
        SJ_WATCH_WRITTEN = 1,    /* bytes of a file were written or cut off */
        SJ_WATCH_CLOSED = 2,     /* who could write to it has closed it */
        SJ_WATCH_ATTRIBUTES = 4, /* permissions, owner, times, number of links */
        SJ_WATCH_MADE = 8,       /* there is a new name in the folder */
        SJ_WATCH_REMOVED = 16,   /* a name was removed from the folder */
        SJ_WATCH_MOVED_FROM = 32,
        SJ_WATCH_MOVED_TO = 64,
        SJ_WATCH_MOVED = 128, /* what is watched has another name now, and is still watched */
        SJ_WATCH_ALL = 255,
        /* Told without being asked for. */
        SJ_WATCH_GONE = 256, /* it was removed and nobody has it open; this is its last event */
        SJ_WATCH_LOST = 512, /* so much happened that the rest was lost: look at everything anew */
};

typedef struct sj_watch_event {
        int id;        /* what sj_watch_add returned; 0 with SJ_WATCH_LOST */
        unsigned what; /* one of SJ_WATCH_ */
        bool is_folder;
        uint32_t move;    /* the same number in both halves of a move; else 0 */
        const char *name; /* in the watched folder, or "": itself; valid until the next call */
} sj_watch_event;

/* Does not block. The caller owns *ret. -EMFILE (also: the user's limit of them); -ENFILE; -ENOMEM.
 */
SJ_PUBLIC int sj_watch_new(sj_watch **ret);
/* Nobody may be in a call on it. NULL is allowed. */
SJ_PUBLIC void sj_watch_free(sj_watch *w);

/*
 * From now on it hears of `what` (a sum of SJ_WATCH_) at the path: its id, which is more than 0. To
 * add the same file or folder again, under whatever name, changes what is heard, and gives the same
 * id. -EINVAL what; -ENOSPC the user's limit of what is watched; -ENOENT, -EACCES and so on.
 */
SJ_PUBLIC int sj_watch_add(sj_watch *w, const char *path, unsigned what, sj_time deadline);
/* Events of before may still come, the last of them SJ_WATCH_GONE. Does not block. -EINVAL no id.
 */
SJ_PUBLIC int sj_watch_remove(sj_watch *w, int id);

/*
 * The next event: 0. Cancellation point. -EBUSY another fiber waits already; -EXDEV it belongs to
 * another loop; -EPERM no fiber; -ETIMEDOUT, -ECANCELED: nothing is lost then.
 */
SJ_PUBLIC int sj_watch_next(sj_watch *w, sj_watch_event *ret, sj_time deadline);

#ifdef __cplusplus
}
#endif

#endif
