/* SPDX-License-Identifier: MIT */
/*
 * Host names inside. names_text.c has what is text alone (pure functions), names_query.c asks the
 * name servers once, resolve.c has the order of things, the cache and who waits for whom.
 */
#ifndef SANJAB_NET_NAMES_H
#define SANJAB_NET_NAMES_H

#include <sanjab/net.h>

/* Limits. */
enum {
        NAMES_SERVERS_MAX = 8,
        NAMES_SEARCH_MAX = 8,
        NAMES_ATTEMPTS_MAX = 5,
        NAMES_NDOTS_MAX = 15,
        NAMES_TIMEOUT_MAX = 30, /* seconds */
};

typedef struct names_address {
        int family; /* AF_INET or AF_INET6 */
        unsigned char bytes[16];
} names_address;

typedef struct names_answer {
        size_t n;
        names_address addresses[SJ_ADDRESSES_MAX];
        sj_time ttl; /* how long it may be believed */
} names_answer;

/* What resolv.conf(5) says. */
typedef struct names_config {
        sj_address servers[NAMES_SERVERS_MAX];
        size_t server_count;
        char search[NAMES_SEARCH_MAX][SJ_HOST_MAX + 1];
        size_t search_count;
        unsigned ndots;
        unsigned attempts; /* of each server */
        sj_time timeout;   /* of one attempt */
        bool rotate;       /* begin with another server each time */
        bool tcp;          /* ask by TCP alone (use-vc) */
} names_config;

/* ── Text ────────────────────────────────────────────────────────────────────────────────── */

/*
 * A host name in lower case without the dot at its end, which *ret_absolute (may be NULL) tells
 * of: such a name is not searched for in domains. -EINVAL: not a host name.
 */
int names_normalize(const char *host, char ret[SJ_HOST_MAX + 1], bool *ret_absolute);

/* Whether the normal name is domain or below it. */
bool names_below(const char *name, const char *domain);

/*
 * The i-th name to ask for, of a normal name: itself, and with the domains of the search list
 * behind it, in the order of resolv.conf(5), "ndots". False when there are no more.
 */
bool names_candidate(const names_config *config, const char *name, bool absolute, size_t i,
                     char ret[SJ_HOST_MAX + 1]);

/*
 * Reads resolv.conf(5): nameserver (also as [address]:port), domain, search, and the options
 * ndots, timeout, attempts, rotate and use-vc. Lines that it does not know are passed over.
 * Without a server it is 127.0.0.1.
 */
void names_config_parse(sj_str text, names_config *ret);

/*
 * The addresses of a normal name in a text as hosts(5) that is in lower case. False: not there.
 */
bool names_hosts_find(sj_str text, const char *name, names_answer *ret);

/* Adds an address if there is room and it is not there. */
void names_answer_add(names_answer *answer, int family, const void *bytes);

/* The families take turns, IPv6 first, each in its order (RFC 8305 §4). */
void names_answer_interleave(names_answer *answer);

/* ── Asking ──────────────────────────────────────────────────────────────────────────────── */

/*
 * Asks for A and AAAA of the name at the servers, the one of that number (modulo) first, the next
 * ones when it refuses or fails. Cancellation point.
 * 0; -ENOENT, -ENODATA, -EAGAIN as sj_resolve; -EMFILE, -ENFILE, -ENOMEM; -ECANCELED; -ETIMEDOUT
 * the first server has not answered by then.
 */
int names_query(const names_config *config, const char *name, size_t first, names_answer *ret,
                sj_time deadline);

/* How long one such question may take before the next is worth it. */
sj_time names_patience(const names_config *config);

/* ── For tests ───────────────────────────────────────────────────────────────────────────── */

/* This loop reads these files from now on, and forgets what it knew. They must outlive it. */
int resolve_use_files(const char *hosts_path, const char *config_path);
/* The questions that went to name servers, and the answers that are remembered. */
size_t resolve_questions(void);
size_t resolve_remembered(void);

#endif
