/* SPDX-License-Identifier: MIT */
/* The inside of the simulated world, for the files of os_sim alone. */
#ifndef SANJAB_OS_SIM_WORLD_H
#define SANJAB_OS_SIM_WORLD_H

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "os/os.h"
#include "os/sim.h"

/* Streams of randomness: a draw from one does not disturb the others. */
typedef enum sim_stream {
        SIM_SCHEDULE,
        SIM_WIRE,
        SIM_MISCHIEF,
        SIM_BYTES,
        SIM_DISK,
        SIM_TEST,
        SIM_STREAMS,
} sim_stream;

/* What a seed can let go wrong. */
typedef enum sim_fault {
        FAULT_SPURIOUS,
        FAULT_MISCHIEF,
        FAULT_AGAIN,
        FAULT_SHORTEN,
        FAULT_TIGHT,
        FAULT_SPLIT,
        FAULT_RESET,
        FAULT_SILENCE,
        FAULT_REFUSE,
        FAULT_LOSS,
        FAULT_TEST,
        FAULTS,
} sim_fault;

enum {
        SIM_FD_FIRST = 1000, /* so that a simulated descriptor given to the system is an error */
        SIM_USER = 1000,
        SIM_BUFFER = 64 * 1024,
};

/* Something that will happen. fire runs once: with happens, or when it is dropped at the end. */
typedef struct sim_event sim_event;
struct sim_event {
        heap_node node;
        void (*fire)(sim_event *event, bool happens);
};

/* What a descriptor is; embedded first in what it belongs to. */
typedef struct sim_fd sim_fd;
typedef struct sim_class {
        const char *name;
        uint32_t mode;                      /* its kind, as fstat says it; of a file the node's */
        void (*close)(sim_fd *f);           /* frees it */
        unsigned (*level)(const sim_fd *f); /* ready now; NULL: it cannot be polled */
        int (*flags)(const sim_fd *f);      /* O_RDONLY and so on; NULL: O_RDWR */
        ssize_t (*read)(sim_fd *f, void *data, size_t n);
        ssize_t (*write)(sim_fd *f, const void *data, size_t n);
} sim_class;
struct sim_fd {
        const sim_class *class;
        int number;
        list watches; /* of pollers */
};

typedef struct sim_node sim_node; /* a file or folder */

typedef struct sim_world {
        uint64_t seed;
        sim_options options;
        uint64_t random[SIM_STREAMS];
        sj_time now;
        bool idle_before; /* the last wait found nothing and did not sleep */
        heap events;

        sim_fd **fds; /* by number - SIM_FD_FIRST */
        size_t fd_capacity;
        size_t fd_open;
        size_t fds_left;
        size_t maps_left;

        uint64_t chances[FAULTS]; /* for each kind, so far */
        uint64_t *kept;           /* chance * FAULTS + kind of those that are taken; NULL: drawn */
        size_t kept_count;
        FILE *fault_log;

        uint64_t call_at; /* the call at which call_fn is due */
        void (*call_fn)(void *arg);
        void *call_arg;

        list names; /* bound sockets */
        list cuts;
        struct sockaddr_storage hosts[2]; /* IPv4, IPv6: where who connects is; ss_family 0: none */
        uint64_t bytes_left;              /* over the network, before a reset */
        uint16_t port;                    /* the last one given out */
        unsigned unix_name;               /* likewise, of abstract ones */
        list signals;                     /* open signal descriptors */

        sim_node *root;
        list journal; /* changes of names that are not synced, the oldest first */
        size_t journal_count;
        uint64_t disk_used; /* bytes */
        uint64_t inode;     /* the last one given out */
        uint32_t moves;     /* so far: a number for each, that watches tell */
        size_t disk_left;   /* calls before they fail */
        int disk_error;

        uint64_t hash;
        FILE *trace;
        sim_counters counters;
} sim_world;

/* ── sim_world.c ─────────────────────────────────────────────────────────────────────────── */

/* This thread's world; aborts when sim_begin was not called. */
sim_world *sim_world_get(void);

/* Every os_ call begins with it: what is due happens first. */
sim_world *sim_enter(void);
/* Every os_ call that others can see ends with it; returns result. */
ssize_t sim_trace(sim_world *w, const char *call, int fd, ssize_t result);

/* A draw below n > 0. */
uint64_t sim_draw_from(sim_world *w, sim_stream s, uint64_t n);

/* ── sim_fault.c ─────────────────────────────────────────────────────────────────────────── */

/* Whether this chance for a fault is taken: once in one_in; 0: never, and without a draw. */
bool sim_one_in(sim_world *w, sim_fault kind, unsigned one_in);
void sim_faults_end(sim_world *w);

/* ── sim_world.c ─────────────────────────────────────────────────────────────────────────── */

/* Makes the event happen at that time; events of one time in the order of this call. */
void sim_post(sim_world *w, sim_event *event, sj_time when);
/* Takes it back without firing; nothing happens when it is not posted. */
void sim_unpost(sim_world *w, sim_event *event);
/* Lets the clock jump to when, with all that happens until then. */
void sim_advance(sim_world *w, sj_time when);
/* Drops every event that is posted; keep_calls: but the test's own. */
void sim_drop_events(sim_world *w, bool keep_calls);
/* Says why the world cannot go on, and ends it. */
_Noreturn void sim_stuck(sim_world *w, const char *why);
/* Memory or the end: a simulated world that has none left proves nothing. */
void *sim_alloc(size_t size);
void *sim_grow(void *p, size_t size);
void sim_append(buf *b, const void *data, size_t n);

/* ── sim_descriptor.c ────────────────────────────────────────────────────────────────────── */

/* Gives f, whose class is set, the least free number: the number, or -EMFILE. */
int sim_fd_add(sim_world *w, sim_fd *f);
/* Whether one more may be made. */
bool sim_fd_room(const sim_world *w);
/* The descriptor, NULL when there is none, or it is of another class (NULL: any). */
sim_fd *sim_fd_get(sim_world *w, int fd, const sim_class *class);
void sim_fd_close(sim_world *w, sim_fd *f);
void sim_fd_close_all(sim_world *w);

/* ── sim_poll.c ──────────────────────────────────────────────────────────────────────────── */

/* It may have become ready: its watches are looked at by the next wait. */
void sim_fd_changed(sim_fd *f);
/* The same, a little later: a promise after -EAGAIN or a short count that was mischief. */
void sim_fd_changes_soon(sim_world *w, sim_fd *f);
/* Takes f out of all pollers; the number of watches it had. */
size_t sim_fd_unwatch(sim_fd *f);

/* ── sim_wire.c: a connection between two sides ──────────────────────────────────────────── */

typedef struct sim_link sim_link;

typedef enum sim_kind {
        SIM_PIPE,  /* a reader that leaves is no error to what was sent */
        SIM_LOCAL, /* a pair or AF_UNIX */
        SIM_WIRED, /* over the network, with its delays and faults */
} sim_kind;

/* A new link; each side is open. The addresses of side 0 and of side 1 are copied. */
sim_link *sim_link_new(sim_world *w, sim_kind kind, const struct sockaddr_storage *from,
                       const struct sockaddr_storage *to);
/* A fault: both sides hear of a reset. */
void sim_link_break(sim_link *l);
/* A fault: neither side hears of the other again. */
void sim_link_silence(sim_link *l);
/* The descriptor that hears of changes of that side; NULL: none yet. */
void sim_link_attach(sim_link *l, int side, sim_fd *f);
ssize_t sim_link_send(sim_link *l, int side, const void *data, size_t n);
ssize_t sim_link_recv(sim_link *l, int side, void *data, size_t n);
unsigned sim_link_level(const sim_link *l, int side);
/* The error that came, taken: a negative errno value or 0. */
int sim_link_error(sim_link *l, int side);
int sim_link_shutdown(sim_link *l, int side, int how);
/* Whether the other side is closed, or told to send no more. */
bool sim_link_peer_closed(const sim_link *l, int side);
/* This side is not used any more; the link goes with the second. */
void sim_link_close(sim_link *l, int side);
/* The same, and the other hears of a reset. */
void sim_link_abort(sim_link *l, int side);
/* How long something travels over the network. */
sj_time sim_travel_time(sim_world *w);

/* ── sim_node.c ──────────────────────────────────────────────────────────────────────────── */

/* Whether what goes from one address to the other is cut off. */
bool sim_is_cut(const sim_world *w, const struct sockaddr_storage *from,
                const struct sockaddr_storage *to);
/* Where a socket of that family is that connects; NULL: nothing was said. */
const struct sockaddr_storage *sim_host_of(const sim_world *w, int family);
/* Forgets all cuts. */
void sim_cuts_end(sim_world *w);

/* ── sim_file.c ──────────────────────────────────────────────────────────────────────────── */

void sim_disk_begin(sim_world *w);
void sim_disk_end(sim_world *w);
/* Makes a socket's name in the folder tree, or finds whether there is one. -errno */
int sim_disk_bind(sim_world *w, const char *path);
int sim_disk_find_socket(sim_world *w, const char *path);

#endif
