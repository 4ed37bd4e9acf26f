/* SPDX-License-Identifier: MIT */
/*
 * os: the seam. The only place that asks the system for time, randomness, readiness, bytes,
 * files, processes, threads and memory maps. Everything else of ours goes through here, so that
 * a program can be linked with os_sim instead of os_linux and then runs in a world that one seed
 * decides: the clock jumps when all are idle, the wire delays and breaks, and a failing run
 * replays exactly.
 *
 * The choice is made by the linker: production pays no pointer and no branch for it.
 *
 * Conventions: 0 or more on success, a negative errno value on failure; every descriptor is made
 * close-on-exec, and every socket and pipe non-blocking; EINTR never comes out. None of these is
 * a cancellation point: they return at once unless said otherwise.
 */
#ifndef SANJAB_OS_OS_H
#define SANJAB_OS_OS_H

#include <sanjab/time.h>

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* ── Which world this is ─────────────────────────────────────────────────────────────────── */

/* Whether this program is linked with the simulator. */
extern const bool os_simulated;

/*
 * A choice among n > 0 that the program may make freely (which ready fiber runs). The real world
 * always takes 0, so that its order is first in, first out; the simulator draws from its seed.
 */
size_t os_choose(size_t n);

/*
 * True once in about `one_in` calls under the simulator, never otherwise: the place where a rare
 * path is taken on purpose (a short read, a tiny buffer, an early timer).
 */
bool os_mischief(unsigned one_in);

/* ── Time and randomness ─────────────────────────────────────────────────────────────────── */

sj_time os_now(void);
sj_wall os_wall(void);
/* n unpredictable bytes; never fails (it aborts when the system has none). */
void os_random(void *bytes, size_t n);

/* ── Readiness ───────────────────────────────────────────────────────────────────────────── */

enum {
        OS_READABLE = 1, /* also: hung up, or failed; the next call tells */
        OS_WRITABLE = 2, /* also: hung up, or failed */
        /*
         * The peer has closed its sending side, or the connection has failed: no further edge will
         * say so. Reported for os_poller_watch alone, beside the others.
         */
        OS_HANGUP = 4,
};

typedef struct os_event {
        void *token;
        unsigned ready; /* OS_READABLE | OS_WRITABLE | OS_HANGUP */
} os_event;

typedef struct os_poller os_poller;

int os_poller_new(os_poller **ret);
void os_poller_free(os_poller *poller);
/* In the child of a fork: lets go of what is shared with the parent, whose poller goes on as if
 * nothing had happened. Only os_poller_forget, _wake and _free may follow. */
void os_poller_abandon(os_poller *poller);

/*
 * Reports each change of fd to ready, in both directions, until os_poller_forget: edge-triggered,
 * one registration for the life of the descriptor. -EPERM: a file that is always ready.
 */
int os_poller_watch(os_poller *poller, int fd, void *token);

/*
 * Reports once when fd is ready for what `ready` says (level-triggered, one shot), whoever owns
 * it; may be called again for the same fd, which replaces what it said. -EPERM as above.
 */
int os_poller_arm(os_poller *poller, int fd, unsigned ready, void *token);

/*
 * No more reports for fd, not even those already on their way; what a wait has handed out is the
 * caller's. Call it before closing fd.
 */
void os_poller_forget(os_poller *poller, int fd);

/*
 * Blocks until something is ready, the deadline has passed or os_poller_wake was called. Returns
 * the number of events written (at most n), 0 for the two others.
 */
int os_poller_wait(os_poller *poller, os_event events[], size_t n, sj_time deadline);

/* Ends a wait that runs, or else the next one. From any thread, and from a signal handler. */
void os_poller_wake(os_poller *poller);

/* ── Descriptors ─────────────────────────────────────────────────────────────────────────── */

/* Closes; a negative fd is allowed and ignored. */
void os_close(int fd);
/*
 * Bytes read (0: the end) or written; -EAGAIN when it would block. For pipes and terminals; a
 * broken pipe is -EPIPE and raises no signal.
 */
ssize_t os_read(int fd, void *data, size_t n);
ssize_t os_write(int fd, const void *data, size_t n);
int os_pipe(int ret_fds[2]);
int os_set_nonblocking(int fd, bool on);
/* How it was opened: O_RDONLY, O_WRONLY or O_RDWR, and other flags of open(2). */
int os_status_flags(int fd);
/*
 * Another descriptor of what fd is, non-blocking. A pipe or a terminal is opened anew, so that fd,
 * and whoever else has it, may go on to block; of anything else it is a duplicate, which shares
 * that setting, and the place in a file, with fd.
 */
int os_duplicate(int fd);

/* An event counter: write side rings, read side becomes readable; works between processes. */
int os_bell_new(void);
void os_bell_ring(int fd);
/* Clears it; the number of rings since the last time. */
uint64_t os_bell_clear(int fd);

/* ── Sockets ─────────────────────────────────────────────────────────────────────────────── */

/* A stream or datagram socket: domain AF_INET, AF_INET6 or AF_UNIX. */
int os_socket(int domain, int type);
int os_socket_pair(int ret_fds[2]);
int os_bind(int fd, const struct sockaddr *address, socklen_t n);
int os_listen(int fd, int backlog);
/* 0, or -EINPROGRESS: wait until writable, then os_connect_result. */
int os_connect(int fd, const struct sockaddr *address, socklen_t n);
int os_connect_result(int fd);
/* The new descriptor; -EAGAIN none waits; -EMFILE and so on. address may be NULL. */
int os_accept(int fd, struct sockaddr_storage *ret_address);
ssize_t os_recv(int fd, void *data, size_t n);
/* Never raises SIGPIPE: -EPIPE. */
ssize_t os_send(int fd, const void *data, size_t n);
ssize_t os_sendv(int fd, const struct iovec parts[], int n);
/*
 * One datagram to the address, or from *ret_from. Received: how long it was, of which no more than
 * n bytes are kept. -EAGAIN; -EMSGSIZE it is too long to send; -ECONNREFUSED what an earlier one
 * met.
 */
ssize_t os_send_to(int fd, const void *data, size_t n, const struct sockaddr *to, socklen_t to_n);
ssize_t os_recv_from(int fd, void *data, size_t n, struct sockaddr_storage *ret_from);
/* The same of a Unix socket that has SO_PASSCRED, with the process that has sent it. */
ssize_t os_recv_from_process(int fd, void *data, size_t n, struct sockaddr_storage *ret_from,
                             int *ret_pid, uint32_t *ret_user, uint32_t *ret_group);
/* how: SHUT_RD, SHUT_WR, SHUT_RDWR. */
int os_shutdown(int fd, int how);
int os_socket_name(int fd, struct sockaddr_storage *ret);
int os_peer_name(int fd, struct sockaddr_storage *ret);
/* Who made the other end of a connected Unix socket. -EOPNOTSUPP of any other; -ENOTCONN. */
int os_peer_process(int fd, int *ret_pid, uint32_t *ret_user, uint32_t *ret_group);
int os_set_option(int fd, int level, int option, int value);
/* The value, which is not negative. */
int os_get_option(int fd, int level, int option);

/*
 * The addresses of a host name by the system's own resolver, AF_INET and AF_INET6, port 0, in its
 * order; how many were written. May block for long: call it on a thread of the pool.
 * -ENOENT no such name; -ENODATA it has no address; -EAGAIN nobody could tell; -ENOMEM, -EMFILE.
 */
int os_resolve(const char *name, struct sockaddr_storage ret[], size_t max);

/* ── Files: these may block, so they are called on a thread of the pool ──────────────────── */

typedef struct os_stat {
        uint64_t size;
        uint64_t inode;
        uint64_t device;
        uint32_t mode; /* st_mode: kind and permissions */
        uint32_t owner;
        uint32_t group;
        sj_wall modified;
} os_stat;

/* flags and mode as open(2). */
int os_open(const char *path, int flags, unsigned mode);
ssize_t os_pread(int fd, void *data, size_t n, uint64_t offset);
ssize_t os_pwrite(int fd, const void *data, size_t n, uint64_t offset);
/*
 * Moves bytes of a file from the offset to a socket, as many as it takes without blocking; 0 at the
 * file's end. -EAGAIN it takes none; -EPIPE without a signal; -EOPNOTSUPP the file is not fit.
 */
ssize_t os_send_file(int to, int from, uint64_t offset, size_t n);
int os_fsync(int fd);
int os_truncate(int fd, uint64_t size);
/* Of any descriptor: the mode says what it is. */
int os_fstat(int fd, os_stat *ret);
/* Follows links unless nofollow. */
int os_stat_path(const char *path, bool nofollow, os_stat *ret);
int os_rename(const char *from, const char *to);
int os_unlink(const char *path);
int os_mkdir(const char *path, unsigned mode);
int os_rmdir(const char *path);
int os_chmod(const char *path, unsigned mode);
/* The absolute path of `path` with links resolved, or -errno; size >= PATH_MAX. */
int os_real_path(const char *path, char *ret, size_t size);
/* Calls each for every entry but . and .., until it returns non-zero, which is returned. */
int os_read_dir(const char *path, int (*each)(void *arg, const char *name), void *arg);
/*
 * An advisory lock on an open file (flock): exclusive or shared; -EAGAIN when held and !wait. The
 * simulator, with one thread, cannot wait for another holder: -EDEADLK.
 */
int os_lock_file(int fd, bool exclusive, bool wait);
void os_unlock_file(int fd);
/*
 * Watching, as inotify(7) has it: a descriptor from which os_read takes struct inotify_event; a
 * file or folder to watch, whose id is returned (the same one if it is watched already); and its
 * end.
 */
int os_watch_new(void);
int os_watch_add(int fd, const char *path, uint32_t what);
int os_watch_remove(int fd, int id);
/* A descriptor that becomes readable when the file or folder at path changes. */
int os_watch_path(const char *path);
/* Drops what such a descriptor has to report. */
void os_watch_clear(int fd);

/* ── Processes ───────────────────────────────────────────────────────────────────────────── */

typedef struct os_spawn_fd {
        int parent; /* the descriptor here */
        int child;  /* its number there */
} os_spawn_fd;

/*
 * Starts the program at path (no search) with argv and environment (NULL: this one's). The child
 * has only the descriptors of fds, and /dev/null as 0, 1 and 2 where they lack; default signal
 * actions and an empty signal mask. With die_with_parent it gets SIGKILL when the calling thread
 * ends, and so when its process does. *ret_pidfd becomes readable when the child ends. Blocks
 * until the program runs. -ENOENT, -EACCES and so on when it could not be executed; the simulator:
 * -ENOSYS.
 */
int os_spawn(const char *path, char *const argv[], char *const environment[],
             const os_spawn_fd fds[], size_t n, bool die_with_parent, int *ret_pid, int *ret_pidfd);
/* The status as waitpid's, of a child that has ended; -EAGAIN while it runs. */
int os_wait_child(int pidfd, int *ret_status);
/* Waits for a child that was killed and forgets it. Blocks shortly. */
void os_reap_child(int pidfd);
int os_kill(int pidfd, int signo);
int os_pid(void);
uint32_t os_user(void);
/*
 * The bytes of memory that are resident for a process. -ESRCH there is none, or its are not to be
 * seen; the simulator: -ENOSYS.
 */
int os_process_memory(int pid, uint64_t *ret);
/* The path of the running program, NUL-terminated. */
int os_self_path(char *ret, size_t size);
int os_host_name(char *ret, size_t size);
/* The number of processors this process may use, at least 1. */
unsigned os_processors(void);

/* ── The machine, for those who watch ────────────────────────────────────────────────────── */

/* How many processes wanted to run, as means over 1, 5 and 15 minutes; 0 where none can tell. */
void os_load(double ret[3]);
/* "Linux" */
const char *os_system_name(void);
/*
 * Whole hours that this place's clocks are behind UTC at that moment, as Python's time.timezone
 * and altzone have them: 1 hour east of Greenwich is -1, and half hours count downwards.
 */
int os_hours_west(sj_wall when);

/* What this process has used, as getrusage(2) counts. */
typedef struct os_usage {
        double user_time; /* seconds */
        double system_time;
        long max_resident; /* KiB */
        long minor_faults;
        long major_faults;
        long blocks_read;
        long blocks_written;
        long switches_by_itself;
        long switches_forced;
} os_usage;

void os_usage_self(os_usage *ret);

/*
 * Calls fn in the child of each fork from now on, in the thread that forked, before fork returns
 * there; given twice, twice. -ENOMEM.
 */
int os_after_fork(void (*fn)(void));

/* ── Forking: for a process of one thread that was executed for that ─────────────────────── */

/*
 * Forks this process, which must have one thread. In the parent: the child's pid, and *ret_pidfd
 * as os_spawn's. In the child, which inherits everything: 0; it gets SIGKILL when its parent ends.
 */
int os_fork(int *ret_pidfd);
/* Ends the process at once: nothing buffered is written, no handler is called. */
_Noreturn void os_exit(int status);
/* A pidfd of this process's parent; -ESRCH if that is not `pid`, because it has ended. */
int os_watch_parent(int pid);
/* Moves the n descriptors to 3, 4 and so on, and closes all others but 0, 1 and 2. */
int os_keep(const int fds[], size_t n);
/* Makes this process a group of its own, which a terminal's signals do not reach. */
void os_leave_group(void);
/* The name of the process's main thread, as ps shows it: at most 15 characters. */
void os_process_name(const char *name);

enum { OS_MESSAGE_FDS = 253 }; /* as the system has it: SCM_MAX_FD, unix(7) */

/*
 * Connected Unix sockets carry descriptors; those of this pair keep messages whole, too. Returned
 * are the bytes that went or came. Received descriptors are the receiver's; *n_fds says how many
 * there is room for, and then how many came; *ret_lost whether more did, which are closed, or could
 * not for lack of descriptors. -EAGAIN; -EPIPE the other end is closed (to the receiver: 0 bytes);
 * -EMSGSIZE more descriptors than OS_MESSAGE_FDS.
 */
int os_message_pair(int ret_fds[2]);
ssize_t os_message_send(int fd, const struct iovec parts[], size_t n, const int fds[],
                        size_t n_fds);
ssize_t os_message_recv(int fd, const struct iovec parts[], size_t n, int ret_fds[], size_t *n_fds,
                        bool *ret_lost);

/*
 * Where in the program a function lies: its distance from the place where the program was loaded,
 * which is the same in every process that executes it; and back. -EINVAL: not in an executable
 * segment of the program itself (a shared library's, or no code at all).
 */
int os_code_offset(uintptr_t address, uint64_t *ret);
int os_code_address(uint64_t offset, uintptr_t *ret);

/*
 * A descriptor from which os_signal_next takes the signals of the list; they are blocked in this
 * thread from now on. Call it before threads are started, which inherit the mask.
 */
int os_signal_open(const int signals[], size_t n);
/* The next signal that came, or -EAGAIN. */
int os_signal_next(int fd);
/* Closes fd and unblocks the signals. A negative fd is allowed. */
void os_signal_close(int fd, const int signals[], size_t n);
/*
 * From now on the signal does nothing to this process but to end system calls that block in its
 * thread (EINTR), also those that would go on by themselves. -EINVAL no such signal.
 */
int os_signal_interrupts(int signo);

/* ── Threads ─────────────────────────────────────────────────────────────────────────────── */

typedef struct os_thread os_thread;
/*
 * Starts a thread with all signals blocked but those that its own instructions raise (SIGSEGV and
 * its kin). name: at most 15 characters count. The simulator: -ENOSYS.
 */
int os_thread_start(void *(*body)(void *), void *arg, const char *name, os_thread **ret);
/* Waits for its end and frees it. Blocks the thread. */
void os_thread_join(os_thread *thread);

/* Calls fn when this thread ends, on its own stack; NULL: nothing any more. -ENOMEM. */
int os_at_thread_end(void (*fn)(void));

/*
 * Blocks the thread while *word == expected, until os_futex_wake or the deadline: 0, -EAGAIN (it
 * was not equal) or -ETIMEDOUT; may return early. shared: the word is in memory of two processes.
 */
int os_futex_wait(_Atomic uint32_t *word, uint32_t expected, sj_time deadline, bool shared);
void os_futex_wake(_Atomic uint32_t *word, unsigned most, bool shared);

/* ── Memory ──────────────────────────────────────────────────────────────────────────────── */

/* Reserves zeroed memory that is committed as it is touched; NULL when there is none. */
void *os_map(size_t size);
void os_unmap(void *memory, size_t size);
/* Makes the pages fault on any access: 0, or -errno when the limit on mappings is reached. */
int os_guard(void *memory, size_t size);
/* Gives the pages' memory back; they read as zero afterwards. */
void os_discard(void *memory, size_t size);
/*
 * Looks at a fault, a touch of memory that must not be touched, of the thread that asked for it:
 * true when that is settled and the thread may try again, false to hand it on to the treatment
 * of before. It runs in a signal handler.
 */
typedef bool os_fault_fn(void *address, void *arg);

/*
 * From now until os_fault_close, `look` sees this thread's faults (SIGSEGV) before anybody else,
 * on a stack of its own. Several threads may each have one. -EBUSY this thread has one; -ENOMEM.
 */
int os_fault_open(os_fault_fn *look, void *arg);
/* No effect when the thread has none. */
void os_fault_close(void);

/* A file in memory that other processes can map; its descriptor. */
int os_shared_new(const char *name, size_t size);
void *os_shared_map(int fd, size_t size);

/* ── Libraries ───────────────────────────────────────────────────────────────────────────── */

/* A function of a library, and where the pointer to it goes. */
typedef struct os_function {
        const char *name;
        void *place;
} os_function;

/*
 * Loads the library, which stays, and finds the functions in it or in those that it needs. NULL, or
 * why not: valid until the thread's next call; some places may be filled then. Blocks shortly.
 */
const char *os_library_load(const char *file, const os_function functions[], size_t n);

#endif
