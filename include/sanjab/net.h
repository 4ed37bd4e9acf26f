/* SPDX-License-Identifier: MIT */
/*
 * sanjab/net.h: streams, listeners, names and TLS.
 *
 *         sj_stream *s;
 *         sj_time deadline = sj_after(5 * SJ_SEC);
 *         int r = sj_tcp_connect("example.org", 80, &s, deadline);
 *         if (r < 0)
 *                 return r;
 *         r = sj_write(s, "HEAD / HTTP/1.0\r\n\r\n", 19, deadline);
 *         ssize_t n = r < 0 ? r : sj_read(s, buffer, sizeof(buffer), deadline);
 *         sj_stream_close(s);
 *
 * A stream is used by the fibers of one loop: one that reads and one that writes, at the same time
 * if they like. A second reader (or writer) gets -EBUSY when it would have to wait. Who closes a
 * stream makes sure that nobody else is in a call on it.
 *
 * Every call with a deadline is a cancellation point, even when it would not have blocked:
 * -ECANCELED then, and nothing has happened. A call is tried once even if its deadline has passed
 * (SJ_POLL), and gives -ETIMEDOUT only instead of waiting. Outside of a fiber such a call gives
 * -EPERM when it would have to wait.
 */
#ifndef SANJAB_NET_H
#define SANJAB_NET_H

#include <sanjab/sync.h>

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits. */
#define SJ_HOST_MAX         253 /* bytes of a host name, RFC 1035 §2.3.4 */
#define SJ_ADDRESSES_MAX    32  /* the addresses of a name that are looked at */
#define SJ_ADDRESS_TEXT_MAX 128 /* an address as text, with its NUL */
#define SJ_TLS_WHY_MAX      256 /* why TLS failed, with its NUL */
#define SJ_FDS_MAX          253 /* descriptors that travel at once, as the system has it */

/* ── Addresses and names ─────────────────────────────────────────────────────────────────── */

/* IPv4 and a port, IPv6 and a port, or the path of a Unix socket. */
typedef struct sj_address {
        struct sockaddr_storage storage;
        socklen_t n;
} sj_address;

/*
 * An address of digits, as "127.0.0.1", "::1" or "[::1]" (a zone only by number: "fe80::1%2").
 * -EINVAL: it is not one. Does not block.
 */
SJ_PUBLIC int sj_address_parse(const char *host, uint16_t port, sj_address *ret);

/*
 * That of a Unix socket: a path, or '@' and an abstract name. -EINVAL it is empty; -ENAMETOOLONG.
 * Does not block.
 */
SJ_PUBLIC int sj_address_unix(const char *path, sj_address *ret);

/*
 * Writes it as "127.0.0.1:80", "[::1]:80", "unix:/path" or "unix:@abstract"; an address of nothing
 * is "". Cut to size, always ended by a NUL. Returns its first argument after the address.
 */
SJ_PUBLIC const char *sj_address_text(const sj_address *address, char *ret, size_t size);

/* The port of an IPv4 or IPv6 address, else 0. */
SJ_PUBLIC uint16_t sj_address_port(const sj_address *address);

/*
 * The addresses of a host name, in the order in which to try them (RFC 8305 §4: the families take
 * turns, IPv6 first). Returns how many were written to ret, at least 1, at most max.
 *
 * An address of digits stands for itself. "localhost" and all below it are the loopback addresses
 * (RFC 6761 §6.3), names below "invalid" do not exist (§6.4): neither is asked for anywhere. Then
 * /etc/hosts (or the file that SANJAB_HOSTS names) is looked at, then what was learned within its
 * time to live, then the name servers of /etc/resolv.conf are asked for A and AAAA. Fibers of one
 * loop that ask for the same name share one question; one that is cancelled or late leaves it to
 * the others.
 *
 * -ENOENT     no such name
 * -ENODATA    the name exists, and has no address
 * -EAGAIN     the name servers failed, refused, or did not answer within all attempts
 * -EINVAL     not a host name (RFC 1123 §2.1; an underscore is let through); max is 0
 * -EOPNOTSUPP the library was built without c-ares, so that no name server can be asked
 * -EMFILE, -ENFILE, -ENOMEM
 * -ETIMEDOUT, -ECANCELED
 */
SJ_PUBLIC int sj_resolve(const char *host, uint16_t port, sj_address ret[], size_t max,
                         sj_time deadline);

/* As sj_strerror for what sj_resolve returns: -ENOENT is "name does not resolve". */
SJ_PUBLIC const char *sj_resolve_strerror(int error);

/* ── Streams ─────────────────────────────────────────────────────────────────────────────── */

/*
 * A reliable flow of bytes in both directions: TCP, Unix, TLS over another stream, or what one of
 * the program's descriptors leads to.
 */
typedef struct sj_stream sj_stream;

/*
 * Connects to host and port; what sj_resolve and sj_tcp_connect_any do, one after the other, and
 * their errors. The caller owns *ret.
 */
SJ_PUBLIC int sj_tcp_connect(const char *host, uint16_t port, sj_stream **ret, sj_time deadline);

/*
 * Connects to the first of the n addresses that answers. The next one is tried when the one before
 * has failed or has not answered for 250 ms, which goes on meanwhile (RFC 8305 §5). Bytes are sent
 * without delay (TCP_NODELAY). -EINVAL n is 0; else, when all have failed, the error of the first:
 * -ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH, -ECONNRESET (the peer's or the network's time has
 * run out: -EHOSTDOWN); -EMFILE, -ENOMEM and so on; -ETIMEDOUT, -ECANCELED.
 */
SJ_PUBLIC int sj_tcp_connect_any(const sj_address addresses[], size_t n, sj_stream **ret,
                                 sj_time deadline);

/*
 * Connects to a Unix socket; a path that begins with '@' is an abstract name. -ENOENT, -EACCES,
 * -ECONNREFUSED nobody listens; -ENAMETOOLONG; -EMFILE and so on; -ETIMEDOUT, -ECANCELED.
 */
SJ_PUBLIC int sj_unix_connect(const char *path, sj_stream **ret, sj_time deadline);

/* Two streams that are connected to each other. The caller owns both. -EMFILE, -ENOMEM. */
SJ_PUBLIC int sj_stream_pair(sj_stream *ret[2]);

/*
 * A stream of a descriptor that the program has: an end of a pipe, a FIFO, a terminal, a device, a
 * connected stream socket, a regular file (whose calls run on a thread, as those of sanjab/file.h).
 * It owns fd from now on, makes it non-blocking, and closes it at the end. But 0, 1 and 2 stay open
 * and the program's: a pipe or terminal there is opened anew, so that the rest of the program, and
 * the others who have it, may go on to block on it; of anything else a duplicate is made.
 *
 * Calls against the direction of a pipe give -EBADF. A terminal gives what it has, in its usual
 * mode a line at a time, and -EIO when its other side has gone. sj_stream_shutdown closes the
 * descriptor of what can only be written, and of other things than sockets gives -EOPNOTSUPP.
 * sj_stream_local and sj_stream_peer give -ENOTSOCK. Does not block.
 *
 * -EBADF it is not open; -EISDIR a folder; -EPROTOTYPE a socket of another kind (sj_udp, a
 * listener); -EMFILE, -ENFILE, -ENOMEM. After a failure fd is still the caller's.
 */
SJ_PUBLIC int sj_stream_of_fd(int fd, sj_stream **ret);

/*
 * Reads some bytes: at least 1, at most n, as soon as there are any; 0 at the end, when the peer
 * has closed its sending side. n must not be 0 (-EINVAL).
 * -ECONNRESET the peer has broken it off; -EPROTO the TLS below was cut or broken;
 * -ETIMEDOUT, -ECANCELED.
 */
SJ_PUBLIC ssize_t sj_read(sj_stream *s, void *ret, size_t n, sj_time deadline);

/*
 * Reads exactly n bytes: 0. -EPIPE the end came before the first of them, -EPROTO after; else as
 * sj_read. After a failure the bytes that had come are lost.
 */
SJ_PUBLIC int sj_read_exactly(sj_stream *s, void *ret, size_t n, sj_time deadline);

/*
 * Writes all n bytes: 0 when the stream has taken them over (the peer may not have them yet).
 * -EPIPE, -ECONNRESET the peer has gone; -ETIMEDOUT, -ECANCELED. If it fails when some of the
 * bytes have gone, the sending side is of no more use: all later writes give -EPIPE.
 */
SJ_PUBLIC int sj_write(sj_stream *s, const void *data, size_t n, sj_time deadline);

/* As sj_write, of n parts one after the other; they are not changed. */
SJ_PUBLIC int sj_writev(sj_stream *s, const struct iovec parts[], size_t n, sj_time deadline);

/*
 * Closes the sending side: the peer reads what was written, then the end. Reading goes on. May be
 * called twice. Blocks only over TLS, which sends its close_notify. Errors as sj_write.
 */
SJ_PUBLIC int sj_stream_shutdown(sj_stream *s, sj_time deadline);

/*
 * Closes and frees it, with the stream below if it is TLS. Never blocks, and can be called in a
 * cancelled fiber. What was written still goes out, unless there are bytes that were not read:
 * then the peer may see a reset and lose the rest (see sj_stream_close_politely). NULL is allowed.
 */
SJ_PUBLIC void sj_stream_close(sj_stream *s);

/*
 * Ends it so that the peer surely can read the last that was written: closes the sending side,
 * reads and drops what still comes until the peer closes or the time is up, and closes it as
 * sj_stream_close, whatever happens. Cancellation does not cut it short; therefore it takes at
 * most 5 s, even when the deadline is later. 0, or why the end was not clean: -ETIMEDOUT (the
 * deadline or the 5 s), else as sj_read. NULL is allowed.
 */
SJ_PUBLIC int sj_stream_close_politely(sj_stream *s, sj_time deadline);

/* The address of this end; of TLS, that of the stream below. Does not block. -ENOTCONN. */
SJ_PUBLIC int sj_stream_local(const sj_stream *s, sj_address *ret);
/* The address of the other end; likewise. */
SJ_PUBLIC int sj_stream_peer(const sj_stream *s, sj_address *ret);

/* A process, as the system knows it. */
typedef struct sj_peer_process {
        int pid; /* 0: in another pid namespace */
        uint32_t user;
        uint32_t group;
} sj_peer_process;

/*
 * Which process had the other end of a Unix stream when it was connected, or made the pair: the
 * system's word, which the peer cannot forge (SO_PEERCRED, unix(7)). That of a listener is who
 * listened. Its pid may be another's by now. Does not block. -EOPNOTSUPP no Unix stream;
 * -ENOTCONN.
 */
SJ_PUBLIC int sj_stream_peer_process(const sj_stream *s, sj_peer_process *ret);

/*
 * As sj_write of n > 0 bytes, over a Unix stream and with descriptors: the peer gets duplicates of
 * them with the first of the bytes, if it reads that with sj_read_fds; else they are closed. They
 * stay the caller's, to be closed at any time after. -EINVAL n is 0; -EMSGSIZE more than
 * SJ_FDS_MAX; -EBADF one is not open; -ETOOMANYREFS too many are on their way already; -EOPNOTSUPP
 * another kind of stream; -ENOSYS under the simulator; else as sj_write.
 */
SJ_PUBLIC int sj_write_fds(sj_stream *s, const void *data, size_t n, const int fds[], size_t n_fds,
                           sj_time deadline);

/*
 * As sj_read, with the descriptors that came with these bytes: *n_fds says how many there is room
 * for, and then how many came, often 0. They are the caller's, and not inherited by programs that
 * are started. It reads no further than to the end of the bytes that they came with.
 * -EMSGSIZE more came than there is room for; -EMFILE this process cannot have so many: all of them
 * are closed then, and the bytes are lost; -EOPNOTSUPP another kind of stream; -ENOSYS under the
 * simulator; else as sj_read.
 */
SJ_PUBLIC ssize_t sj_read_fds(sj_stream *s, void *ret, size_t n, int ret_fds[], size_t *n_fds,
                              sj_time deadline);

/* ── Buffered reading and writing ────────────────────────────────────────────────────────── */

/*
 * Reads a stream in pieces of a form: lines, up to a delimiter, of a length. The stream stays the
 * caller's, and must not be read otherwise meanwhile, since the reader takes what is there.
 * A piece is a view of the reader's buffer, valid until the next call on it. When a call fails,
 * -ETIMEDOUT and -ECANCELED among them, nothing is lost: the next goes on where it was.
 */
typedef struct sj_reader sj_reader;

/* limit: the most bytes of a piece, its delimiter among them; 0: 64 KiB. -ENOMEM. */
SJ_PUBLIC int sj_reader_new(sj_stream *stream, size_t limit, sj_reader **ret);
/* What it holds is lost. NULL is allowed. */
SJ_PUBLIC void sj_reader_free(sj_reader *r);

/* As sj_read: what the reader holds, else what comes. Also -ENOMEM. */
SJ_PUBLIC ssize_t sj_reader_read(sj_reader *r, void *ret, size_t n, sj_time deadline);

/*
 * The next n bytes. -EPIPE the end came before the first of them, -EPROTO after; -EMSGSIZE n is
 * over the limit; -ENOMEM; else as sj_read.
 */
SJ_PUBLIC int sj_reader_exactly(sj_reader *r, size_t n, sj_str *ret, sj_time deadline);

/*
 * The bytes up to the delimiter, and with it. -EMSGSIZE it is not within the limit; -EINVAL it is
 * empty; -EPIPE the end came before the first byte, -EPROTO before the delimiter; else as above.
 */
SJ_PUBLIC int sj_reader_until(sj_reader *r, sj_str delimiter, sj_str *ret, sj_time deadline);

/*
 * The next line, without its "\n" or "\r\n"; the last one may lack them. -EPIPE there are no more;
 * -EMSGSIZE it is longer than the limit; else as above.
 */
SJ_PUBLIC int sj_reader_line(sj_reader *r, sj_str *ret, sj_time deadline);

/*
 * Gathers small writes into large ones. The stream stays the caller's; what is written to it
 * otherwise overtakes what the writer holds.
 */
typedef struct sj_writer sj_writer;

/* size: the bytes that it holds back at most; 0: 16 KiB. -ENOMEM. */
SJ_PUBLIC int sj_writer_new(sj_stream *stream, size_t size, sj_writer **ret);
/* What was not flushed is lost. NULL is allowed. */
SJ_PUBLIC void sj_writer_free(sj_writer *w);

/*
 * Takes the bytes; blocks, and is a cancellation point, only when they have no room beside what it
 * holds: then all goes out. After a failure none of them was taken; what it held it still holds.
 * -ENOMEM; else as sj_write.
 */
SJ_PUBLIC int sj_writer_write(sj_writer *w, const void *data, size_t n, sj_time deadline);

/* Writes what it holds. Errors as sj_write; it may be tried again while sj_write might be. */
SJ_PUBLIC int sj_writer_flush(sj_writer *w, sj_time deadline);

/* ── Listeners ───────────────────────────────────────────────────────────────────────────── */

typedef struct sj_listener sj_listener;

/*
 * Listens on a port; port 0 takes a free one (see sj_listener_port). host is an address of digits,
 * "localhost" (127.0.0.1), or NULL: every address of this machine. backlog 0: a sensible one.
 * Does not block. The caller owns *ret.
 * -EADDRINUSE the port is taken; -EACCES not allowed; -EADDRNOTAVAIL not an address of this
 * machine; -EINVAL host is not an address; -EMFILE and so on.
 */
SJ_PUBLIC int sj_tcp_listen(const char *host, uint16_t port, int backlog, sj_listener **ret);

/*
 * As sj_tcp_listen, and others of the same user may listen there in the same way, in this process
 * or another: each connection goes to one of them, as the kernel chooses. So each of several loops
 * (sj_run_threads) accepts for itself; the port that one of them took for port 0 is that of the
 * others. Who waits in the queue of one that is closed is broken off.
 */
SJ_PUBLIC int sj_tcp_listen_shared(const char *host, uint16_t port, int backlog, sj_listener **ret);

/*
 * Listens on a Unix socket at the path ('@': abstract). A socket file that is left over from a
 * program that has ended is replaced; the file is removed on close, if it is still ours.
 * -EADDRINUSE somebody listens there, or the path is something other than a socket; -ENAMETOOLONG;
 * -ENOENT, -EACCES and so on.
 */
SJ_PUBLIC int sj_unix_listen(const char *path, int backlog, sj_listener **ret);

/*
 * The next connection. What concerns one connection only (it was broken off before it was taken)
 * is passed over. When this process or the system is out of descriptors, connections are refused
 * one by one, slowly, with a warning in the log, until there are some again.
 * -ETIMEDOUT, -ECANCELED; others only when the listener itself is broken.
 */
SJ_PUBLIC int sj_accept(sj_listener *l, sj_stream **ret, sj_time deadline);

/* The port it listens on, 0 if it is not TCP. */
SJ_PUBLIC uint16_t sj_listener_port(const sj_listener *l);
/* The address it listens on. Does not block. 0, or why the system does not say. */
SJ_PUBLIC int sj_listener_address(const sj_listener *l, sj_address *ret);

/* Closes and frees it; nobody may be in sj_accept. Does not block. NULL is allowed. */
SJ_PUBLIC void sj_listener_close(sj_listener *l);

/* ── Datagrams ───────────────────────────────────────────────────────────────────────────── */

/*
 * A socket of UDP: what is sent arrives whole, once, twice or never, in any order. Or of Unix
 * datagrams, which arrive whole, once and in order, as long as the receiver lives; when he is slow,
 * the sender waits. Used as a stream is: by one fiber that receives and one that sends.
 */
typedef struct sj_udp sj_udp;

/* No datagram is longer. */
#define SJ_DATAGRAM_MAX 65535

/*
 * Opens one with a port of its own; host and port as sj_tcp_listen's. Does not block. The caller
 * owns *ret. Errors as sj_tcp_listen.
 */
SJ_PUBLIC int sj_udp_open(const char *host, uint16_t port, sj_udp **ret);
/*
 * Opens one of Unix datagrams at the path ('@': abstract); NULL: at an abstract name that the
 * system makes up, so that it can be answered. A socket file that is left over from a program that
 * has ended is replaced; the file is removed on close, if it is still ours. Does not block. The
 * caller owns *ret. -EADDRINUSE somebody has it, or the path is something other than a socket;
 * -ENAMETOOLONG; -ENOENT, -EACCES and so on.
 */
SJ_PUBLIC int sj_unix_open(const char *path, sj_udp **ret);
/* Nobody may be in a call on it. NULL is allowed. */
SJ_PUBLIC void sj_udp_close(sj_udp *u);

/*
 * From now on that is its only peer: where sj_udp_send sends to, and from whom something is
 * received; and the system tells that nobody is there (-ECONNREFUSED, at a later call). May be
 * called again. Does not block. -EAFNOSUPPORT an address of another family; -ENETUNREACH; of Unix:
 * -ENOENT, -EACCES, -ECONNREFUSED nobody is there, -EPROTOTYPE a listener of streams, -EPERM its
 * only peer is another.
 */
SJ_PUBLIC int sj_udp_connect(sj_udp *u, const sj_address *peer);

/*
 * Sends one datagram of n bytes (0 is allowed) to the peer that it is connected to.
 * -EDESTADDRREQ to none; -EMSGSIZE too long for UDP, or for the way; -ENETUNREACH, -ENOBUFS and so
 * on; of Unix -ECONNREFUSED nobody is there any more, -ECONNRESET the peer has gone with what it
 * had not read; -ETIMEDOUT, -ECANCELED.
 */
SJ_PUBLIC int sj_udp_send(sj_udp *u, const void *data, size_t n, sj_time deadline);
/* The same to that address. Also -EAFNOSUPPORT; of Unix, as sj_udp_connect. */
SJ_PUBLIC int sj_udp_send_to(sj_udp *u, const sj_address *to, const void *data, size_t n,
                             sj_time deadline);

/*
 * Receives one datagram: its length, which may be 0; ret_from (may be NULL) is who sent it, nothing
 * if that Unix socket has no name. -EMSGSIZE it was longer than n, and is lost; -ECONNREFUSED
 * nobody is at the connected address, -ECONNRESET no more; -ETIMEDOUT, -ECANCELED.
 */
SJ_PUBLIC ssize_t sj_udp_recv(sj_udp *u, void *ret, size_t n, sj_address *ret_from,
                              sj_time deadline);

/*
 * The same of a Unix datagram, with the process that sent it: the system's word, which the sender
 * cannot forge (SCM_CREDENTIALS, unix(7)). -EOPNOTSUPP a socket of UDP.
 */
SJ_PUBLIC ssize_t sj_udp_recv_process(sj_udp *u, void *ret, size_t n, sj_address *ret_from,
                                      sj_peer_process *ret_process, sj_time deadline);

/* The address of its own. Does not block. */
SJ_PUBLIC int sj_udp_address(const sj_udp *u, sj_address *ret);

/* ── Servers ─────────────────────────────────────────────────────────────────────────────── */

/*
 * Serves one connection, whose stream is the handler's from now on, to close; what it returns is
 * nobody's matter. But SJ_SERVE_AGAIN gives the open stream back: it rests, without a fiber, until
 * something comes over it, and the handler is called anew, for that may be a message or the end.
 * After the end was read it must not be given back. Now and then nothing is there after all: read
 * with SJ_POLL first if that matters.
 */
typedef int sj_serve_handler(sj_stream *stream, void *arg);

enum { SJ_SERVE_AGAIN = 1 };

/* 0 stands for the values in brackets. */
typedef struct sj_serve_options {
        unsigned connections; /* [1000] at once, running and resting; later ones wait to be accepted
                               */
        bool at_first_byte;   /* each rests before the handler is called for the first time */
        sj_time idle_limit;   /* [60 s] of rest; then it is closed */
        sj_time drain_limit;  /* [5 s] for those that run when the server ends; negative: none */
        sj_event *stop;       /* [none] the server ends when this is set; see sanjab/sync.h */
} sj_serve_options;

/*
 * Accepts connections and runs the handler for each in a fiber of its own, many interleaved, until
 * the deadline, or until it is told to stop or cancelled. Then it drains: no more are accepted,
 * those that rest are closed, those that run may go on until the drain limit and are cancelled
 * then; when the last has ended, it returns. Cancellation does not reach the handlers otherwise,
 * nor cut the draining short. The listener stays the caller's, with who waits in its queue. A
 * connection that cannot be served for lack of memory is closed, with a warning in the log. options
 * may be NULL. 0 it was told to stop; -ETIMEDOUT, -ECANCELED; -EPERM no fiber; else why the
 * listener broke.
 */
SJ_PUBLIC int sj_serve(sj_listener *listener, sj_serve_handler *handler, void *arg,
                       const sj_serve_options *options, sj_time deadline);

/* ── TLS ─────────────────────────────────────────────────────────────────────────────────── */

/*
 * The settings of TLS: made once, used for many streams, by several threads at once if need be.
 * TLS 1.2 and later. The peer's certificate is verified: its chain, its time and its name.
 */
typedef struct sj_tls sj_tls;

/* Whether a server asks its clients for certificates. */
typedef enum sj_tls_ask {
        SJ_TLS_ASK_NOBODY,
        SJ_TLS_ASK,     /* a client may have none, but not a bad one */
        SJ_TLS_REQUIRE, /* each must have one */
} sj_tls_ask;

/* A server's certificate for a name that its clients ask for (SNI, RFC 6066 §3). */
typedef struct sj_tls_name {
        const char *name; /* "example.org", or "*.example.org": one label more; NULL: the end */
        const char *certificate_file;
        const char *key_file;
} sj_tls_name;

typedef struct sj_tls_options {
        /* A file of certificates (PEM) to trust instead of the system's. */
        const char *ca_file;
        /*
         * Our own certificate with its chain, and its key (PEM). A server needs them, and shows
         * them to who asks for no name or for none of `names`. A client shows them if it is asked.
         */
        const char *certificate_file;
        const char *key_file;
        /* The protocols for ALPN (RFC 7301) in the order of liking, ended by NULL; NULL: none. */
        const char *const *alpn;
        /* Further certificates of a server, by name; NULL: none. */
        const sj_tls_name *names;
        /* What a server asks of its clients; ca_file says whose certificates are accepted. */
        sj_tls_ask clients;
        /*
         * No connection goes on where an earlier one ended. Else a client keeps the sessions that
         * servers give it, the newest 64, and resumes one with the peer of the same name, which
         * saves the certificates and half of the computing; a server's are in its tickets, under
         * keys that only these settings have, for two hours. Never longer than the certificate
         * that they rest on; and nothing is sent before the handshake is done (no early data).
         */
        bool no_resumption;
        /* A client: anyone is believed to be the peer. */
        bool insecure;
} sj_tls_options;

/*
 * options may be NULL. Reads the files, which blocks the thread shortly. The caller owns *ret,
 * which may be freed while streams that were made with it live on. why (may be NULL, else of
 * SJ_TLS_WHY_MAX bytes) is a sentence when it fails.
 * -ENOENT, -EACCES a file cannot be read; -EBADMSG there is no certificate or key in it, or they
 * do not belong together; -EINVAL alpn, a certificate without its key, names without a usual one,
 * clients without ca_file; -ENOMEM; -EOPNOTSUPP built without TLS, or OpenSSL is not installed: it
 * is loaded by the first call, not when the program starts.
 */
SJ_PUBLIC int sj_tls_new(const sj_tls_options *options, sj_tls **ret, char *why);
/* NULL is allowed. */
SJ_PUBLIC void sj_tls_free(sj_tls *tls);

/*
 * Makes a TLS stream of `below`, as client, to the peer that is called name: a host name (sent to
 * the peer, RFC 6066 §3) or an address of digits (compared with the addresses in the certificate).
 * On success *ret owns below; on failure it is still the caller's, and good only for closing.
 * The deadline is that of the handshake. why as above: "certificate has expired", "name mismatch:
 * wanted example.org", ...
 * -EKEYREJECTED the certificate was not accepted; -EPROTO the peer does not speak TLS, or refuses;
 * -EPIPE, -ECONNRESET it has gone; -EINVAL name; -ENOMEM; -ETIMEDOUT, -ECANCELED.
 */
SJ_PUBLIC int sj_tls_connect(const sj_tls *tls, sj_stream *below, const char *name, sj_stream **ret,
                             char *why, sj_time deadline);

/*
 * As sj_tls_connect, as server. -EKEYREJECTED: the client's certificate, or that it has none. In
 * TLS 1.3 the client hears of that when it reads, as -EPROTO. -EINVAL: the settings have no
 * certificate.
 */
SJ_PUBLIC int sj_tls_accept(const sj_tls *tls, sj_stream *below, sj_stream **ret, char *why,
                            sj_time deadline);

/* The protocol that ALPN has agreed on, or the empty string; also of a stream that is not TLS. */
SJ_PUBLIC const char *sj_tls_protocol(const sj_stream *s);

/* The host name that the client has asked for (SNI), or the empty string; likewise. */
SJ_PUBLIC const char *sj_tls_server_name(const sj_stream *s);

/*
 * Who the peer is by the certificate that it has shown and that was verified, in this connection or
 * the one that it resumes: its subject, as "CN=alice,O=Example" (RFC 4514). 0; -ENODATA it has
 * shown none, or nobody has verified it (insecure); -EMSGSIZE it does not fit, with its NUL;
 * -EOPNOTSUPP not TLS; -ENOMEM.
 */
SJ_PUBLIC int sj_tls_peer_name(const sj_stream *s, char *ret, size_t size);

/* Whether it goes on where an earlier connection ended; false of a stream that is not TLS. */
SJ_PUBLIC bool sj_tls_resumed(const sj_stream *s);

#ifdef __cplusplus
}
#endif

#endif
