/* SPDX-License-Identifier: MIT */
/*
 * Host names to addresses: the order of things, what is remembered, and who waits for whom. All of
 * it is kept with the loop, so that nothing is locked.
 *
 * Many fibers ask for the same name at once (a list of sites on one host). They share a flight:
 *
 *         resolver ── flights ── flight "example.org" ── askers: fiber 1 (leads), fiber 2, fiber 3
 *                 └── cache: buckets by name, and a list by age
 *
 * No fiber is spawned for it, since it would belong to nobody. One of the askers leads: it puts the
 * question in its own time, and the others wait for the flight to change. When the leader is
 * cancelled or late, it leaves, and the next asker leads on from the server it was at. Who leaves
 * last frees the flight.
 *
 * /etc/hosts and resolv.conf are small local files: they are looked at once a second, when asked,
 * right on the loop's thread, and read anew when they have changed.
 */
#include "base/buf.h"
#include "base/list.h"
#include "fiber/wait.h"
#include "net/address.h"
#include "net/names.h"
#include "os/os.h"

#include <sanjab/sync.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
        CACHE_MAX = 256,
        BUCKETS = 64,
        FILE_BYTES_MAX = 4 << 20,
        QUESTIONS_MAX = 16, /* for one name, over all servers and attempts */
        KEY_MAX = SJ_HOST_MAX + 2,
};

#define LOOK_AGAIN SJ_SEC

/* A text file, as it was when it last changed; empty when it is not there. */
struct file {
        const char *path;
        sj_time look_again;
        os_stat stamp;
        buf text;
};

struct entry {
        list in_bucket, in_age; /* the age's newest last */
        sj_time until;
        names_answer answer;
        char key[KEY_MAX];
};

struct flight {
        list link;
        unsigned askers;
        bool led, done;
        int result; /* when it is done */
        names_answer answer;
        sj_event changed;
        /* How far the leaders have come: */
        size_t candidate, attempt;
        int worst; /* the failure that says most of the candidates before */
        bool absolute;
        char name[SJ_HOST_MAX + 1];
};

struct resolver {
        loop_annex annex;
        struct file hosts, settings;
        names_config config;
        bool configured;
        size_t first_server;
        size_t questions, remembered;
        list flights, ages, buckets[BUCKETS];
};

/* ── What is remembered ──────────────────────────────────────────────────────────────────── */

/* A name that is not searched for in domains is another question than one that is. */
static void make_key(const char *name, bool absolute, char ret[KEY_MAX])
{
        size_t n = strlen(name);
        memcpy(ret, name, n);
        ret[n] = absolute ? '.' : '\0';
        ret[n + absolute] = '\0';
}

static list *bucket_of(struct resolver *rs, const char *key)
{
        uint32_t hash = 2166136261u;
        for (; *key; key++)
                hash = (hash ^ (unsigned char)*key) * 16777619u;
        return &rs->buckets[hash % BUCKETS];
}

static void forget(struct resolver *rs, struct entry *e)
{
        list_remove(&e->in_bucket);
        list_remove(&e->in_age);
        rs->remembered--;
        free(e);
}

static void forget_all(struct resolver *rs)
{
        while (!list_empty(&rs->ages))
                forget(rs, container_of(rs->ages.next, struct entry, in_age));
}

/* The entry that is still to be believed; one that is not is dropped. */
static struct entry *recall(struct resolver *rs, const char *key)
{
        list_for_each_safe (node, bucket_of(rs, key)) {
                struct entry *e = container_of(node, struct entry, in_bucket);
                if (strcmp(e->key, key) != 0)
                        continue;
                if (sj_now() < e->until)
                        return e;
                forget(rs, e);
                break;
        }
        return NULL;
}

static void remember(struct resolver *rs, const char *key, const names_answer *answer)
{
        struct entry *e = recall(rs, key);
        if (e)
                forget(rs, e);
        if (answer->ttl <= 0)
                return;
        if (rs->remembered >= CACHE_MAX)
                forget(rs, container_of(rs->ages.next, struct entry, in_age));
        /* Without memory the next one asks again. */
        e = malloc(sizeof(*e));
        if (!e)
                return;
        e->until = sj_after(answer->ttl);
        e->answer = *answer;
        memcpy(e->key, key, strlen(key) + 1);
        list_append(bucket_of(rs, key), &e->in_bucket);
        list_append(&rs->ages, &e->in_age);
        rs->remembered++;
}

/* ── Files ───────────────────────────────────────────────────────────────────────────────── */

static void read_text(struct file *f)
{
        size_t size = (size_t)f->stamp.size;
        buf_clear(&f->text);
        if (!S_ISREG(f->stamp.mode) || size == 0 || size > FILE_BYTES_MAX)
                return;
        int fd = os_open(f->path, O_RDONLY, 0);
        if (fd < 0)
                return;
        if (buf_reserve(&f->text, size) >= 0) {
                ssize_t n = 1;
                while (n > 0 && buf_size(&f->text) < size) {
                        n = os_pread(fd, buf_tail(&f->text), size - buf_size(&f->text),
                                     buf_size(&f->text));
                        buf_advance(&f->text, n > 0 ? (size_t)n : 0);
                }
        }
        os_close(fd);
        /* Names are compared in lower case, and neither file has anything else in capitals. */
        char *text = buf_data(&f->text);
        for (size_t i = 0; i < buf_size(&f->text); i++)
                if (text[i] >= 'A' && text[i] <= 'Z')
                        text[i] = (char)(text[i] - 'A' + 'a');
}

/* Whether the text is another than at the last call. */
static bool refresh(struct file *f)
{
        os_stat now = {0};
        if (sj_now() < f->look_again)
                return false;
        f->look_again = sj_after(LOOK_AGAIN);
        if (os_stat_path(f->path, false, &now) < 0)
                now = (os_stat){0};
        if (now.inode == f->stamp.inode && now.device == f->stamp.device &&
            now.size == f->stamp.size && now.modified.us == f->stamp.modified.us)
                return false;
        f->stamp = now;
        read_text(f);
        return true;
}

static void configure(struct resolver *rs)
{
        if (!refresh(&rs->settings) && rs->configured)
                return;
        names_config_parse(buf_str(&rs->settings.text), &rs->config);
        rs->configured = true;
        forget_all(rs);
}

/* ── The resolver of a loop ──────────────────────────────────────────────────────────────── */

static const char annex_key;

static void resolver_free(loop_annex *annex)
{
        struct resolver *rs = container_of(annex, struct resolver, annex);
        forget_all(rs);
        buf_fini(&rs->hosts.text);
        buf_fini(&rs->settings.text);
        free(rs);
}

/* This loop's, made when it is first needed. */
static int resolver_get(struct resolver **ret)
{
        struct sj_loop *loop = fiber_loop_current();
        if (!loop)
                return -EPERM;
        loop_annex *annex = loop_annex_find(loop, &annex_key);
        struct resolver *rs = annex ? container_of(annex, struct resolver, annex) : NULL;
        if (!rs) {
                rs = calloc(1, sizeof(*rs));
                if (!rs)
                        return -ENOMEM;
                rs->annex.free = resolver_free;
                const char *hosts = getenv("SANJAB_HOSTS");
                rs->hosts = (struct file){.path = hosts && *hosts ? hosts : "/etc/hosts",
                                          .text = BUF_INIT(0)};
                rs->settings = (struct file){.path = "/etc/resolv.conf", .text = BUF_INIT(0)};
                list_init(&rs->flights);
                list_init(&rs->ages);
                for (size_t i = 0; i < BUCKETS; i++)
                        list_init(&rs->buckets[i]);
                loop_annex_add(loop, &annex_key, &rs->annex);
        }
        *ret = rs;
        return 0;
}

int resolve_use_files(const char *hosts_path, const char *config_path)
{
        struct resolver *rs;
        int r = resolver_get(&rs);
        if (r < 0)
                return r;
        rs->hosts.path = hosts_path;
        rs->settings.path = config_path;
        rs->hosts.look_again = rs->settings.look_again = 0;
        rs->hosts.stamp = rs->settings.stamp = (os_stat){0};
        buf_clear(&rs->hosts.text);
        buf_clear(&rs->settings.text);
        rs->configured = false;
        forget_all(rs);
        return 0;
}

size_t resolve_questions(void)
{
        struct resolver *rs;
        return resolver_get(&rs) < 0 ? 0 : rs->questions;
}

size_t resolve_remembered(void)
{
        struct resolver *rs;
        return resolver_get(&rs) < 0 ? 0 : rs->remembered;
}

/* ── Asking ──────────────────────────────────────────────────────────────────────────────── */

/* Asks for one full name, one server after the other. -EAGAIN: none has answered in its time. */
static int ask(struct resolver *rs, struct flight *f, const char *name, sj_time deadline)
{
        size_t most = rs->config.attempts * rs->config.server_count;
        for (; f->attempt < most && f->attempt < QUESTIONS_MAX; f->attempt++) {
                sj_time until = sj_after(names_patience(&rs->config));
                rs->questions++;
                if (f->attempt == 0 && rs->config.rotate)
                        rs->first_server++;
                int r = names_query(&rs->config, name, rs->first_server + f->attempt, &f->answer,
                                    until < deadline ? until : deadline);
                if (r != -ETIMEDOUT || deadline <= until)
                        return r;
        }
        return -EAGAIN;
}

/* Which of two failures says more: "not known" before "no address" before "no such name". */
static int worse(int a, int b)
{
        static const int order[] = {-EAGAIN, -ENODATA};
        for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
                if (a == order[i] || b == order[i])
                        return order[i];
        return -ENOENT;
}

/* Brings the flight to its end, or as far as the caller's time allows. */
static int lead(struct resolver *rs, struct flight *f, sj_time deadline)
{
        char name[SJ_HOST_MAX + 1];
        for (; names_candidate(&rs->config, f->name, f->absolute, f->candidate, name);
             f->candidate++, f->attempt = 0) {
                int r = ask(rs, f, name, deadline);
                if (r != -ENOENT && r != -ENODATA && r != -EAGAIN)
                        return r;
                f->worst = worse(f->worst, r);
        }
        return f->worst;
}

/* Leads the flight; 0: it is done, whatever its result. */
static int take_lead(struct resolver *rs, struct flight *f, const char *key, sj_time deadline)
{
        f->led = true;
        int r = lead(rs, f, deadline);
        f->led = false;
        sj_event_set(&f->changed);
        if (r == -ETIMEDOUT || r == -ECANCELED)
                return r;
        f->done = true;
        f->result = r;
        /* Who asks from now on finds the answer in the cache, or asks anew. */
        list_remove(&f->link);
        if (r >= 0)
                remember(rs, key, &f->answer);
        return 0;
}

static int board(struct resolver *rs, const char *name, bool absolute, struct flight **ret)
{
        list_for_each (node, &rs->flights) {
                struct flight *f = container_of(node, struct flight, link);
                if (f->absolute == absolute && strcmp(f->name, name) == 0) {
                        f->askers++;
                        *ret = f;
                        return 0;
                }
        }
        struct flight *f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;
        f->askers = 1;
        f->absolute = absolute;
        f->worst = -ENOENT;
        memcpy(f->name, name, strlen(name) + 1);
        list_append(&rs->flights, &f->link);
        *ret = f;
        return 0;
}

static int fly(struct resolver *rs, const char *name, bool absolute, const char *key,
               names_answer *ret, sj_time deadline)
{
        struct flight *f;
        int r = board(rs, name, absolute, &f);
        if (r < 0)
                return r;
        while (r >= 0 && !f->done) {
                if (!f->led) {
                        r = take_lead(rs, f, key, deadline);
                } else {
                        sj_event_clear(&f->changed);
                        r = sj_event_wait(&f->changed, deadline);
                }
        }
        if (f->done && r >= 0)
                r = f->result;
        if (r >= 0)
                *ret = f->answer;
        if (--f->askers == 0) {
                list_remove(&f->link);
                free(f);
        }
        return r;
}

static int look_up(const char *name, bool absolute, names_answer *ret, sj_time deadline)
{
        struct resolver *rs;
        char key[KEY_MAX];
        int r = resolver_get(&rs);
        if (r < 0)
                return r;
        refresh(&rs->hosts);
        if (names_hosts_find(buf_str(&rs->hosts.text), name, ret))
                return 0;
        configure(rs);
        make_key(name, absolute, key);
        struct entry *e = recall(rs, key);
        if (!e)
                return fly(rs, name, absolute, key, ret, deadline);
        *ret = e->answer;
        return 0;
}

/* Names that are never asked for. IPv4 comes first: more programs listen there. */
static int special(const char *name, names_answer *ret)
{
        /* RFC 6761 §6.4, RFC 7686 §2. */
        static const char *const nowhere[] = {"invalid", "onion"};
        if (names_below(name, "localhost")) {
                *ret = (names_answer){0};
                names_answer_add(ret, AF_INET, &(struct in_addr){htonl(INADDR_LOOPBACK)});
                names_answer_add(ret, AF_INET6, &in6addr_loopback);
                return 0;
        }
        for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++)
                if (names_below(name, nowhere[i]))
                        return -ENOENT;
        return -EAGAIN;
}

int sj_resolve(const char *host, uint16_t port, sj_address ret[], size_t max, sj_time deadline)
{
        char name[SJ_HOST_MAX + 1];
        bool absolute;
        names_answer answer;
        int r = fiber_check();
        if (r < 0 && r != -EPERM)
                return r;
        if (max == 0)
                return -EINVAL;
        if (sj_address_parse(host, port, ret) >= 0)
                return 1;
        r = names_normalize(host, name, &absolute);
        if (r < 0)
                return r;
        r = special(name, &answer);
        if (r == -EAGAIN)
                r = look_up(name, absolute, &answer, deadline);
        if (r < 0)
                return r;
        size_t n = answer.n < max ? answer.n : max;
        for (size_t i = 0; i < n; i++)
                ret[i] = address_of_bytes(answer.addresses[i].family, answer.addresses[i].bytes,
                                          port);
        return (int)n;
}

const char *sj_resolve_strerror(int error)
{
        switch (error < 0 ? -error : error) {
        case ENOENT:
                return "name does not resolve";
        case ENODATA:
                return "name has no address";
        case EAGAIN:
                return "name servers do not answer";
        case EINVAL:
                return "not a host name";
        case EOPNOTSUPP:
                return "sanjab was built without a resolver";
        default:
                return sj_strerror(error);
        }
}
