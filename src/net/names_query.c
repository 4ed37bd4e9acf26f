/* SPDX-License-Identifier: MIT */
/*
 * One question to the name servers, by c-ares.
 *
 * c-ares has the protocol: queries, answers, compression, truncation and TCP, the order of servers.
 * It gets a channel of its own for each question, all settings in its hands, so that it reads no
 * file and no environment, and sockets through the seam. Its time-outs are switched off: they run
 * on the system's clock, which the simulator cannot move. The time of an attempt is a deadline of
 * ours, and who asks again, with the next server first, is our caller.
 *
 * A and AAAA go out at the same time. When one has brought addresses, the other gets a moment more:
 * there are name servers that never answer AAAA.
 */
#include "net/names.h"

#include "net/address.h"
#include "os/os.h"

#include <sanjab/select.h>

#include <ares.h>
#include <limits.h>
#include <netinet/in.h>

#define GRACE SJ_SEC
/* An answer that lacks one family for want of time is soon asked for again. */
#define TTL_PARTIAL (10 * SJ_SEC)
#define TTL_MAX     (60 * SJ_MIN)

enum {
        TYPE_A = 1,
        TYPE_AAAA = 28,
        CLASS_IN = 1,
        FDS_MAX = 2 * NAMES_SERVERS_MAX,
        NO_TIMEOUT_MS = 3600 * 1000,
};

struct question;

/* What is asked for one family. */
struct half {
        struct question *question;
        bool done;
        int status; /* c-ares' */
        names_answer answer;
};

struct question {
        ares_channel channel;
        struct half v4, v6;
        struct {
                int fd;
                bool datagrams;
                unsigned ready; /* what c-ares waits for */
        } fds[FDS_MAX];
        size_t fd_count;
        int error; /* of the last socket that could not be made */
        bool over; /* what still comes is of no interest */
};

/* ── Sockets for c-ares: as the system's calls, -1 and errno ─────────────────────────────── */

static int fail(int error)
{
        errno = -error;
        return -1;
}

static ares_socket_t make_socket(int domain, int type, int protocol, void *arg)
{
        struct question *q = arg;
        (void)protocol;
        int fd = q->fd_count < FDS_MAX ? os_socket(domain, type) : -EMFILE;
        if (fd < 0) {
                q->error = fd;
                return fail(fd);
        }
        q->fds[q->fd_count].fd = fd;
        q->fds[q->fd_count].datagrams = type == SOCK_DGRAM;
        q->fds[q->fd_count++].ready = 0;
        return fd;
}

static size_t index_of(const struct question *q, int fd)
{
        size_t i = 0;
        while (i < q->fd_count && q->fds[i].fd != fd)
                i++;
        return i;
}

static int close_socket(ares_socket_t fd, void *arg)
{
        struct question *q = arg;
        size_t i = index_of(q, fd);
        if (i < q->fd_count)
                q->fds[i] = q->fds[--q->fd_count];
        sj_fd_forget(fd);
        os_close(fd);
        return 0;
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *address, ares_socklen_t n,
                          void *arg)
{
        (void)arg;
        int r = os_connect(fd, address, n);
        return r < 0 ? fail(r) : 0;
}

static ares_ssize_t receive(ares_socket_t fd, void *data, size_t n, int flags,
                            struct sockaddr *from, ares_socklen_t *from_n, void *arg)
{
        struct question *q = arg;
        struct sockaddr_storage peer = {0};
        (void)flags;
        ssize_t got = os_recv(fd, data, n);
        if (got < 0)
                return fail((int)got);
        size_t i = index_of(q, fd);
        /* An empty datagram is not the end of anything, and no answer. */
        if (got == 0 && i < q->fd_count && q->fds[i].datagrams)
                return fail(-EAGAIN);
        /* It is connected: what comes, comes from there (the kernel drops the rest). */
        if (from && os_peer_name(fd, &peer) >= 0) {
                memcpy(from, &peer, *from_n < sizeof(peer) ? *from_n : sizeof(peer));
                *from_n = peer.ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                                    : sizeof(struct sockaddr_in6);
        }
        return got;
}

static ares_ssize_t send_parts(ares_socket_t fd, const struct iovec *parts, int n, void *arg)
{
        (void)arg;
        ssize_t put = os_sendv(fd, parts, n);
        return put < 0 ? fail((int)put) : put;
}

static const struct ares_socket_functions socket_functions = {
        .asocket = make_socket,
        .aclose = close_socket,
        .aconnect = connect_socket,
        .arecvfrom = receive,
        .asendv = send_parts,
};

static void on_interest(void *arg, ares_socket_t fd, int readable, int writable)
{
        struct question *q = arg;
        size_t i = index_of(q, fd);
        if (i < q->fd_count)
                q->fds[i].ready = (readable ? SJ_READABLE : 0u) | (writable ? SJ_WRITABLE : 0u);
}

/* ── Answers ─────────────────────────────────────────────────────────────────────────────── */

static void add_address(names_answer *answer, int family, const void *bytes, int ttl)
{
        sj_time time = ttl > 0 ? ttl * SJ_SEC : 0;
        if (answer->n == 0 || time < answer->ttl)
                answer->ttl = time < TTL_MAX ? time : TTL_MAX;
        names_answer_add(answer, family, bytes);
}

static int parse_v4(const unsigned char *data, int n, names_answer *answer)
{
        struct ares_addrttl found[SJ_ADDRESSES_MAX];
        int count = SJ_ADDRESSES_MAX;
        int status = ares_parse_a_reply(data, n, NULL, found, &count);
        for (int i = 0; status == ARES_SUCCESS && i < count; i++)
                add_address(answer, AF_INET, &found[i].ipaddr, found[i].ttl);
        return status;
}

static int parse_v6(const unsigned char *data, int n, names_answer *answer)
{
        struct ares_addr6ttl found[SJ_ADDRESSES_MAX];
        int count = SJ_ADDRESSES_MAX;
        int status = ares_parse_aaaa_reply(data, n, NULL, found, &count);
        for (int i = 0; status == ARES_SUCCESS && i < count; i++)
                add_address(answer, AF_INET6, &found[i].ip6addr, found[i].ttl);
        return status;
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *data, int n)
{
        struct half *h = arg;
        (void)timeouts;
        if (h->question->over)
                return;
        if (status == ARES_SUCCESS)
                status = h == &h->question->v4 ? parse_v4(data, n, &h->answer)
                                               : parse_v6(data, n, &h->answer);
        if (status == ARES_SUCCESS && h->answer.n == 0)
                status = ARES_ENODATA;
        h->status = status;
        h->done = true;
}

/* ── The question ────────────────────────────────────────────────────────────────────────── */

static int set_servers(ares_channel channel, const names_config *c, size_t first)
{
        struct ares_addr_port_node nodes[NAMES_SERVERS_MAX] = {0};
        for (size_t i = 0; i < c->server_count; i++) {
                const sj_address *a = &c->servers[(first + i) % c->server_count];
                nodes[i].next = i + 1 < c->server_count ? &nodes[i + 1] : NULL;
                nodes[i].family = address_family(a);
                nodes[i].udp_port = nodes[i].tcp_port = sj_address_port(a);
                if (nodes[i].family == AF_INET)
                        nodes[i].addr.addr4 =
                                ((const struct sockaddr_in *)(const void *)&a->storage)->sin_addr;
                else
                        memcpy(&nodes[i].addr.addr6,
                               &((const struct sockaddr_in6 *)(const void *)&a->storage)->sin6_addr,
                               sizeof(nodes[i].addr.addr6));
        }
        return ares_set_servers_ports(channel, nodes);
}

static int open_channel(struct question *q, const names_config *c, size_t first)
{
        /* Everything is given, so that c-ares looks for nothing by itself. */
        static char lookups[] = "b";
        struct ares_options options = {
                .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_STAYOPEN |
                         (c->tcp ? ARES_FLAG_USEVC : 0),
                .timeout = NO_TIMEOUT_MS,
                .tries = 1,
                .ndots = 0,
                .lookups = lookups,
                .sock_state_cb = on_interest,
                .sock_state_cb_data = q,
        };
        int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
                   ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_SORTLIST |
                   ARES_OPT_SOCK_STATE_CB | ARES_OPT_NOROTATE;
        if (ares_init_options(&q->channel, &options, mask) != ARES_SUCCESS) {
                q->channel = NULL;
                return -ENOMEM;
        }
        ares_set_socket_functions(q->channel, &socket_functions, q);
        return set_servers(q->channel, c, first) == ARES_SUCCESS ? 0 : -ENOMEM;
}

/* Waits until a socket is ready, and lets c-ares work on it. */
static int turn(struct question *q, sj_time deadline)
{
        sj_case cases[FDS_MAX];
        size_t n = 0;
        for (size_t i = 0; i < q->fd_count; i++)
                if (q->fds[i].ready)
                        cases[n++] = (sj_case){
                                .kind = SJ_CASE_FD, .ready = q->fds[i].ready, .fd = q->fds[i].fd};
        if (n == 0)
                return -EAGAIN;
        int r = sj_select(cases, n, deadline);
        if (r < 0)
                return r;
        const sj_case *fired = &cases[r];
        ares_process_fd(q->channel, fired->result & SJ_READABLE ? fired->fd : ARES_SOCKET_BAD,
                        fired->result & SJ_WRITABLE ? fired->fd : ARES_SOCKET_BAD);
        return 0;
}

static int run(struct question *q, sj_time deadline)
{
        while (!q->v4.done || !q->v6.done) {
                int r = turn(q, deadline);
                if (r < 0)
                        return r;
                if ((q->v4.done && q->v4.answer.n) || (q->v6.done && q->v6.answer.n)) {
                        sj_time late = sj_after(GRACE);
                        deadline = late < deadline ? late : deadline;
                }
        }
        return 0;
}

/* Both halves as one answer; what is not known is never "does not exist". */
static int conclude(const struct question *q, int r, names_answer *ret)
{
        names_answer all = q->v6.answer;
        if (r == -ECANCELED)
                return r;
        for (size_t i = 0; i < q->v4.answer.n; i++)
                names_answer_add(&all, AF_INET, q->v4.answer.addresses[i].bytes);
        if (q->v4.answer.n && (q->v6.answer.n == 0 || q->v4.answer.ttl < all.ttl))
                all.ttl = q->v4.answer.ttl;
        if ((!q->v4.done || !q->v6.done) && all.ttl > TTL_PARTIAL)
                all.ttl = TTL_PARTIAL;
        if (all.n > 0) {
                names_answer_interleave(&all);
                *ret = all;
                return 0;
        }
        if (q->v4.status == ARES_ENOTFOUND || q->v6.status == ARES_ENOTFOUND)
                return -ENOENT;
        if (r < 0 && r != -EAGAIN)
                return r;
        if (q->v4.status == ARES_ENODATA && q->v6.status == ARES_ENODATA)
                return -ENODATA;
        if (q->v4.status == ARES_ENOMEM || q->v6.status == ARES_ENOMEM)
                return -ENOMEM;
        return q->error == -EMFILE || q->error == -ENFILE ? q->error : -EAGAIN;
}

sj_time names_patience(const names_config *config)
{
        return config->timeout;
}

int names_query(const names_config *config, const char *name, size_t first, names_answer *ret,
                sj_time deadline)
{
        struct question q = {0};
        q.v4.question = q.v6.question = &q;
        int r = open_channel(&q, config, first);
        if (r >= 0) {
                ares_query(q.channel, name, CLASS_IN, TYPE_AAAA, on_answer, &q.v6);
                ares_query(q.channel, name, CLASS_IN, TYPE_A, on_answer, &q.v4);
                r = run(&q, deadline);
                r = conclude(&q, r, ret);
        }
        q.over = true;
        if (q.channel)
                ares_destroy(q.channel);
        return r;
}
