/* SPDX-License-Identifier: MIT */
/*
 * zygote: a process that was started by executing this program again, has one thread and no
 * memory of its past, and forks children on request. Whoever uses one drives it from one thread
 * or fiber: nothing here blocks but zygote_new and zygote_free, for milliseconds.
 *
 *         zygote_new("tasks", &z);
 *         zygote_spawn(z, &(zygote_request){.id = 1, .entry = "task-worker", ...});
 *         wait until zygote_fd(z) is readable;
 *         while (zygote_next(z, &event) == 0)
 *                 ... STARTED: its pidfd;  ENDED: its status
 *
 * What children run is one of the entries that the program declares by ZYGOTE_ENTRY, by name.
 * The zygote and its children end when this process ends or frees the zygote, however that
 * happens; children also when the zygote is killed.
 */
#ifndef SANJAB_EXEC_ZYGOTE_H
#define SANJAB_EXEC_ZYGOTE_H

#include <sanjab/base.h>

enum {
        ZYGOTE_NAME_MAX = 15,        /* of a process, as ps shows it */
        ZYGOTE_ENTRY_MAX = 31,       /* of an entry's name */
        ZYGOTE_ARGUMENT_MAX = 16384, /* bytes */
        ZYGOTE_FDS_MAX = 8,          /* descriptors for a child */
        ZYGOTE_FD_FIRST = 3,         /* where a child finds the first of them */
};

/* ── The child's side ────────────────────────────────────────────────────────────────────── */

/* What a child was started with: its descriptors are ZYGOTE_FD_FIRST and those that follow. */
typedef struct zygote_start {
        sj_str argument; /* aligned for any type */
        size_t n_fds;
} zygote_start;

/*
 * Runs in the child, a process of one thread with default signal actions and no descriptors but
 * 0 (/dev/null), 1 and 2 (the program's) and those of the request. Its return is the exit status.
 */
typedef int zygote_body(const zygote_start *start);

typedef struct zygote_entry {
        const char *name;
        zygote_body *body;
} zygote_entry;

/*
 * Declares an entry, at file level. Nothing refers to it by name, so a static library brings it
 * along only with its file: let who asks for the entry use some symbol of that file.
 */
#define ZYGOTE_ENTRY(id, entry_name, entry_body)                                    \
        static const zygote_entry zygote_entry_##id = {(entry_name), (entry_body)}; \
        static const zygote_entry *const zygote_entry_at_##id                       \
                __attribute__((used, section("sj_zygote"))) = &zygote_entry_##id

/* ── The program's side ──────────────────────────────────────────────────────────────────── */

typedef struct zygote zygote;

/* Whether sj_boot was called in this process, without which no zygote can be started. */
bool zygote_possible(void);

/* Starts one; name is that of its process. -EPERM no sj_boot; -EMFILE, -ENOMEM, -EAGAIN. */
int zygote_new(const char *name, zygote **ret);

/* Ends the zygote and all its children, and waits until they are gone. NULL is allowed. */
void zygote_free(zygote *z);

int zygote_pid(const zygote *z);

/* Readable when zygote_next has something to say. */
int zygote_fd(const zygote *z);

typedef struct zygote_request {
        uint64_t id;       /* the caller's name for the child, in its events */
        const char *entry; /* what it runs */
        const char *name;  /* of the process */
        sj_str argument;   /* copied */
        const int *fds;    /* duplicated; they stay the caller's */
        size_t n_fds;
} zygote_request;

/*
 * Asks for a child; the answer is an event. -EAGAIN too many requests wait: read events first;
 * -EPIPE the zygote is gone; -EINVAL, -EMSGSIZE the request.
 */
int zygote_spawn(zygote *z, const zygote_request *request);

typedef enum zygote_what {
        ZYGOTE_STARTED, /* pid, and pidfd, which is the receiver's to close */
        ZYGOTE_REFUSED, /* status: why there is no child, as -errno; -ENOENT no such entry */
        ZYGOTE_ENDED,   /* status: as waitpid's. The last event of a child. */
} zygote_what;

typedef struct zygote_event {
        zygote_what what;
        uint64_t id;
        int pid;
        int pidfd; /* -1 but for STARTED */
        int status;
} zygote_event;

/* The next event; -EAGAIN none; -EPIPE the zygote is gone, and its children with it. */
int zygote_next(zygote *z, zygote_event *ret);

#endif
