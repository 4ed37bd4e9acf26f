/* SPDX-License-Identifier: MIT */
/*
 * Processes that use one queue file are killed at any moment; nothing that was confirmed is lost.
 *
 *   broker_crash [KILLS [SEED]]
 *
 * Two publishers and two consumers run until they are killed (SIGKILL), and are started again, so
 * many times. What they do they say in a ledger, a file that is appended to in one write a line:
 *
 *   try ID      before it is published        pub ID      when the publish was confirmed
 *   run ID      leased                        end ID      when the settlement was confirmed
 *
 * Each task that ends publishes, in its settlement, one that follows it (ID with an f in front).
 * At the end the queue is worked off, and then:
 *   - what is "pub" has "run", and its result is SUCCESS;
 *   - what is "run" had "try", or follows such a one;
 *   - nothing is run after its "end": an acknowledged delivery is not repeated;
 *   - what has ended has its follower, which has ended, too: a settlement is whole;
 *   - the file is sound.
 */
#include "base/map.h"
#include "queue/broker/broker.h"

#include <sanjab/fiber.h>

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PUBLISHERS = 2, CONSUMERS = 2, PROCESSES = PUBLISHERS + CONSUMERS, BATCH = 16 };

static const sj_str queue = {"q", 1};
static char folder[] = "/tmp/sanjab-crash-XXXXXX";
static char place[128];
static char ledger_path[128];

_Noreturn static void die(const char *what, const char *id, int error)
{
        fprintf(stderr, "broker_crash: %s %s: %s (kept: %s)\n", what, id, sj_strerror(error),
                folder);
        exit(1);
}

static unsigned draw(unsigned *seed, unsigned n)
{
        *seed = *seed * 1103515245 + 12345;
        return *seed / 65536 % n;
}

static broker *open_broker(void)
{
        broker *b;
        char error[256];
        int r = broker_open(place, NULL, &b, error, sizeof(error), sj_after(30 * SJ_SEC));
        if (r < 0)
                die(error, "", r);
        return b;
}

static void note(int ledger, const char *what, sj_str id)
{
        char line[64];
        int n = snprintf(line, sizeof(line), "%s %.*s\n", what, SJ_STR_ARG(id));
        if (write(ledger, line, (size_t)n) != n)
                die("cannot write the ledger", "", -EIO);
}

/* ── What is killed ──────────────────────────────────────────────────────────────────────── */

_Noreturn static void publish_for_ever(int ledger, unsigned seed)
{
        broker *b = open_broker();
        for (int serial = 0;;) {
                char ids[BATCH][32];
                broker_message messages[BATCH];
                size_t n = 1 + draw(&seed, BATCH);
                for (size_t i = 0; i < n; i++) {
                        snprintf(ids[i], sizeof(ids[i]), "%d-%d", (int)getpid(), serial++);
                        messages[i] = (broker_message){.id = sj_str_of(ids[i]),
                                                       .queue = queue,
                                                       .envelope = SJ_STR("{}"),
                                                       .max_deliveries = 1000000,
                                                       .priority = (int)draw(&seed, 10)};
                        note(ledger, "try", messages[i].id);
                }
                int r = broker_publish(b, messages, n, NULL, sj_after(30 * SJ_SEC));
                if (r < 0)
                        die("publish", "", r);
                for (size_t i = 0; i < n; i++)
                        note(ledger, "pub", messages[i].id);
                usleep(draw(&seed, 20000));
        }
}

/* Settles one with its result and its follower, unless it is a follower itself. */
static void settle(broker *b, broker_lease *l, int ledger)
{
        char follower[64];
        snprintf(follower, sizeof(follower), "f%.*s", SJ_STR_ARG(l->message.id));
        broker_result result = {l->message.id, SJ_STR("SUCCESS"), SJ_STR("{}")};
        broker_message next = {.id = sj_str_of(follower),
                               .queue = queue,
                               .envelope = SJ_STR("{}"),
                               .max_deliveries = 1000000};
        broker_settlement s = {.lease = l,
                               .results = &result,
                               .n_results = 1,
                               .follow_ups = &next,
                               .n_follow_ups = l->message.id.data[0] != 'f'};
        int r = broker_settle(b, &s, 1, sj_after(30 * SJ_SEC));
        if (r < 0)
                die("settle", follower + 1, r);
        if (s.status == 0)
                note(ledger, "end", l->message.id);
}

/* Works until it is killed, or until there is nothing for a second. */
static void consume(int ledger, bool for_ever)
{
        broker *b = open_broker();
        broker_claim claim = {
                .queues = &queue, .n_queues = 1, .worker = SJ_STR("c"), .duration = 300 * SJ_MS};
        while (broker_wait(b, &queue, 1, sj_after(SJ_SEC)) == 0 || for_ever) {
                broker_lease *leases[BATCH];
                int n = broker_lease_next(b, &claim, leases, BATCH, sj_after(30 * SJ_SEC));
                if (n < 0)
                        die("lease", "", n);
                for (int i = 0; i < n; i++)
                        note(ledger, "run", leases[i]->message.id);
                for (int i = 0; i < n; i++) {
                        settle(b, leases[i], ledger);
                        broker_lease_free(leases[i]);
                }
        }
        broker_close(b);
}

static pid_t start(int which, unsigned seed)
{
        pid_t pid = fork();
        if (pid != 0)
                return pid;
        int ledger = open(ledger_path, O_WRONLY | O_APPEND | O_CLOEXEC);
        if (which < PUBLISHERS)
                publish_for_ever(ledger, seed);
        consume(ledger, true);
        _exit(0);
}

/* ── What is checked ─────────────────────────────────────────────────────────────────────── */

typedef struct task {
        char id[40];
        bool tried, published, run, ended;
} task;

static map tasks;

static task *task_of(const char *id)
{
        task *t = map_get(&tasks, sj_str_of(id));
        if (t)
                return t;
        t = calloc(1, sizeof(*t));
        if (!t)
                die("no memory", "", -ENOMEM);
        snprintf(t->id, sizeof(t->id), "%s", id);
        if (map_add(&tasks, sj_str_of(t->id), t) < 0)
                die("no memory", "", -ENOMEM);
        return t;
}

static void read_line(const char *what, const char *id)
{
        task *t = task_of(id);
        switch (what[0]) {
        case 't':
                t->tried = true;
                break;
        case 'p':
                t->published = true;
                break;
        case 'r':
                if (t->ended)
                        die("run after its end:", id, 0);
                if (!t->tried && id[0] != 'f')
                        die("run, but never published:", id, 0);
                t->run = true;
                break;
        default:
                t->ended = true;
                break;
        }
}

static void read_ledger(void)
{
        char what[8], id[40];
        FILE *f = fopen(ledger_path, "r");
        if (!f)
                die("cannot read the ledger", "", -errno);
        while (fscanf(f, "%7s %39s", what, id) == 2)
                read_line(what, id);
        fclose(f);
}

static void check_task(broker *b, sj_arena *arena, const task *t)
{
        char follower[48];
        broker_result result;
        sj_str id = sj_str_of(t->id);
        int r = broker_result_get(b, &id, 1, arena, &result, SJ_NEVER);
        if (r < 0)
                die("result", t->id, r);
        bool success = sj_str_equal(result.state, SJ_STR("SUCCESS"));
        if ((t->published || t->ended || t->run) && !success)
                die("lost:", t->id, 0);
        snprintf(follower, sizeof(follower), "f%s", t->id);
        const task *next = map_get(&tasks, sj_str_of(follower));
        if (success && t->id[0] != 'f' && !(next && next->run))
                die("its follower is lost:", t->id, 0);
        sj_arena_reset(arena);
}

static void check(int kills)
{
        sj_arena *arena;
        const broker_depth *depths;
        unsigned published = 0, run = 0;
        if (sj_arena_new(&arena) < 0)
                die("no memory", "", -ENOMEM);
        broker *b = open_broker();
        int left = broker_queues(b, arena, &depths, SJ_NEVER);
        if (left != 0)
                die("the queue is not empty", "", left);
        read_ledger();
        size_t at = 0;
        for (task *t; (t = map_next(&tasks, &at));) {
                published += t->published;
                run += t->run;
                check_task(b, arena, t);
        }
        broker_close(b);
        sj_arena_free(arena);
        if (!published)
                die("nothing was published", "", 0);
        printf("1..1\nok 1 - %d kills: %u confirmed, %u run, none lost\n", kills, published, run);
}

static void check_file(void)
{
        sqlite3 *handle;
        sqlite3_stmt *s;
        const char *said = "cannot be opened";
        if (sqlite3_open(strchr(place, ':') + 1, &handle) == SQLITE_OK &&
            sqlite3_prepare_v2(handle, "PRAGMA integrity_check", -1, &s, NULL) == SQLITE_OK &&
            sqlite3_step(s) == SQLITE_ROW)
                said = (const char *)sqlite3_column_text(s, 0);
        if (strcmp(said, "ok") != 0)
                die("the file is damaged:", said, 0);
        sqlite3_finalize(s);
        sqlite3_close(handle);
}

/* ── The whole ───────────────────────────────────────────────────────────────────────────── */

static void stop(pid_t pid)
{
        int status;
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        if (!WIFSIGNALED(status))
                die("a process has ended by itself", "", 0);
}

static void kill_and_restart(int kills, unsigned seed)
{
        pid_t pids[PROCESSES];
        unsigned first = seed;
        for (int i = 0; i < PROCESSES; i++)
                pids[i] = start(i, first++);
        for (int i = 0; i < kills; i++) {
                usleep(20000 + draw(&seed, 200000));
                unsigned which = draw(&seed, PROCESSES);
                stop(pids[which]);
                pids[which] = start((int)which, first++);
        }
        for (int i = 0; i < PROCESSES; i++)
                stop(pids[i]);
}

static int remove_one(const char *suffix)
{
        char path[160];
        snprintf(path, sizeof(path), "%s/%s", folder, suffix);
        return unlink(path);
}

int main(int argc, char **argv)
{
        int kills = argc > 1 ? atoi(argv[1]) : 10;
        unsigned seed = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
        if (!mkdtemp(folder))
                return 1;
        snprintf(place, sizeof(place), "sqlite:%s/jobs.db", folder);
        snprintf(ledger_path, sizeof(ledger_path), "%s/ledger", folder);
        int ledger = open(ledger_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        kill_and_restart(kills, seed);
        consume(ledger, false);
        check(kills);
        check_file();
        close(ledger);
        remove_one("jobs.db");
        remove_one("jobs.db-lock");
        remove_one("ledger");
        rmdir(folder);
        return 0;
}
