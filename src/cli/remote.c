/* SPDX-License-Identifier: MIT */
/*
 * One command line becomes one request; the replies are shown in the order of the nodes' names,
 * whoever was first.
 *
 * How long it waits: until all that were named have answered, or --timeout. When nobody is named
 * and only sanjab's workers can be there, the broker knows how many live, and it waits for no more
 * than these.
 */
#include "cli/remote.h"

#include "cli/options.h"
#include "cli/queue_list.h"
#include "cli/remote_view.h"
#include "cli/terminal.h"

#include "base/suggest.h"
#include "queue/control/revoked.h"

#include <sanjab/fiber.h>

#include <stdio.h>
#include <stdlib.h>

typedef struct remote_options {
        session_source source;
        const char *nodes;
        const char *pattern;
        double timeout;
        bool json;
        bool terminate;
        const char *signal;
        /* found out */
        const remote_word *word;
        char **operands;
        size_t n_operands;
        const char *name; /* of the command */
} remote_options;

/* ── Arguments ───────────────────────────────────────────────────────────────────────────── */

typedef struct members {
        sj_arena *arena;
        sj_str names[REMOTE_ARGUMENTS + 8];
        const sj_json *values[REMOTE_ARGUMENTS + 8];
        size_t n;
} members;

static void add(members *m, sj_str name, const sj_json *value)
{
        if (m->n == sizeof(m->names) / sizeof(m->names[0]))
                return;
        m->names[m->n] = name;
        m->values[m->n++] = value;
}

/* The word as a value of that kind; *ret NULL: no memory. -EINVAL it is none. */
static int value_of(sj_arena *arena, remote_kind kind, const char *text, const sj_json **ret)
{
        char *end;
        double number = strtod(text, &end);
        bool is_number = *text && *end == '\0';
        static const char *const truths[] = {"true", "yes", "on", "1"};
        static const char *const lies[] = {"false", "no", "off", "0"};
        switch (kind) {
        case REMOTE_TEXT:
                *ret = sj_json_new_string(arena, sj_str_of(text));
                return *ret ? 0 : -EINVAL;
        case REMOTE_INTEGER:
                *ret = sj_json_new_int(arena, strtol(text, &end, 10));
                return *text && *end == '\0' ? 0 : -EINVAL;
        case REMOTE_NUMBER:
                *ret = sj_json_new_double(arena, number);
                return is_number ? 0 : -EINVAL;
        case REMOTE_BOOL:
                for (size_t i = 0; i < 4; i++) {
                        if (strcmp(text, truths[i]) && strcmp(text, lies[i]))
                                continue;
                        *ret = sj_json_new_bool(arena, strcmp(text, truths[i]) == 0);
                        return 0;
                }
                return -EINVAL;
        }
        return -EINVAL;
}

static const sj_json *list_of(sj_arena *arena, char **words, size_t n)
{
        const sj_json **values = sj_arena_alloc(arena, (n + 1) * sizeof(*values));
        for (size_t i = 0; values && i < n; i++)
                values[i] = sj_json_new_string(arena, sj_str_of(words[i]));
        return values ? sj_json_new_array(arena, values, n) : NULL;
}

/* NAME=VALUE words as an object of lists. */
static int stamps_of(members *m, char **words, size_t n, char *error, size_t size)
{
        sj_str *names = sj_arena_alloc(m->arena, (n + 1) * sizeof(*names));
        const sj_json **values = sj_arena_alloc(m->arena, (n + 1) * sizeof(*values));
        if (!names || !values)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                char *sign = strchr(words[i], '=');
                if (!sign) {
                        snprintf(error, size, "'%s' is not NAME=VALUE", words[i]);
                        return -EINVAL;
                }
                char *value = sign + 1;
                names[i] = (sj_str){words[i], (size_t)(sign - words[i])};
                values[i] = list_of(m->arena, &value, 1);
        }
        add(m, SJ_STR("headers"), sj_json_new_object(m->arena, names, values, n));
        return 0;
}

static int too_few(const remote_word *word, char *error, size_t size)
{
        snprintf(error, size, "%s needs more: %s %s", word->name, word->name,
                 word->usage ? word->usage : "");
        return -EINVAL;
}

static int add_words(members *m, const remote_word *word, char **operands, size_t n, size_t *used,
                     char *error, size_t size)
{
        for (size_t i = 0; i < REMOTE_ARGUMENTS && word->arguments[i].name; i++) {
                const remote_argument *a = &word->arguments[i];
                const sj_json *value;
                if (*used == n)
                        return a->needed ? too_few(word, error, size) : 0;
                if (value_of(m->arena, a->kind, operands[*used], &value) < 0) {
                        snprintf(error, size, "'%s' cannot be the %s of %s", operands[*used],
                                 a->name, word->name);
                        return -EINVAL;
                }
                add(m, sj_str_of(a->name), value);
                (*used)++;
        }
        return 0;
}

int remote_arguments(sj_arena *arena, const remote_word *word, char **operands, size_t n,
                     const sj_json *extra, const sj_json **ret, char *error, size_t size)
{
        members m = {.arena = arena};
        size_t used = 0;
        int r = add_words(&m, word, operands, n, &used, error, size);
        if (r < 0)
                return r;
        if (word->many_needed && used == n)
                return too_few(word, error, size);
        if (word->many) {
                add(&m, sj_str_of(word->many), list_of(arena, operands + used, n - used));
        } else if (word->many_needed) {
                r = stamps_of(&m, operands + used, n - used, error, size);
        } else if (used < n) {
                snprintf(error, size, "%s does not take '%s'", word->name, operands[used]);
                return -EINVAL;
        }
        for (size_t i = 0; i < sj_json_count(extra); i++)
                add(&m, sj_json_name_at(extra, i), sj_json_at(extra, i));
        if (r < 0)
                return r;
        *ret = m.n > 0 ? sj_json_new_object(arena, m.names, m.values, m.n) : NULL;
        return m.n > 0 && !*ret ? -ENOMEM : 0;
}

/* ── Asking ──────────────────────────────────────────────────────────────────────────────── */

/* What the options add to a revoke. */
static const sj_json *extra_of(const session *s, const remote_options *o)
{
        members m = {.arena = s->arena};
        if (strncmp(o->word->name, "revoke", 6) != 0)
                return NULL;
        add(&m, SJ_STR("terminate"), sj_json_new_bool(s->arena, o->terminate || o->signal));
        add(&m, SJ_STR("signal"),
            sj_json_new_string(s->arena, sj_str_of(o->signal ? o->signal : "SIGTERM")));
        return sj_json_new_object(s->arena, m.names, m.values, m.n);
}

/* How many will answer at most, when that can be known; 0. */
static int expected(const session *s, const control_call *call)
{
        const broker_node *nodes;
        if (call->n_nodes > 0 || call->pattern.n > 0 || !broker_can(s->broker, BROKER_OURS))
                return 0;
        return broker_nodes(s->broker, s->arena, &nodes, sj_after(SESSION_LIMIT));
}

static int by_name(const void *a, const void *b)
{
        const control_reply *x = a, *y = b;
        size_t n = x->node.n < y->node.n ? x->node.n : y->node.n;
        int r = memcmp(x->node.data, y->node.data, n);
        return r ? r : (x->node.n > y->node.n) - (x->node.n < y->node.n);
}

static int nobody(const session *s, const remote_options *o)
{
        if (o->json)
                remote_show_json(NULL, 0);
        return terminal_fault(STATUS_TIMEOUT, "no worker at %s has answered within %g s", s->name,
                              o->timeout);
}

static int ask(session *s, const remote_options *o, control_call *call)
{
        queue_clock clock = {0};
        const control_reply *replies;
        int n = expected(s, call);
        if (n < 0)
                return session_fault(s, "ask for the workers", n);
        bool none = n == 0 && call->n_nodes == 0 && call->pattern.n == 0 &&
                    broker_can(s->broker, BROKER_OURS);
        if (none)
                return terminal_fault(STATUS_TIMEOUT, "no worker at %s is alive", s->name);
        call->limit = (size_t)n;
        n = control_broadcast(s->broker, &clock, call, s->arena, &replies,
                              sj_after((sj_time)(o->timeout * (double)SJ_SEC)));
        if (n < 0)
                return session_fault(s, "reach the workers", n);
        if (o->word->no_reply)
                return STATUS_OK;
        if (n == 0)
                return nobody(s, o);
        control_reply *sorted = sj_arena_alloc(s->arena, (size_t)n * sizeof(*sorted));
        if (!sorted)
                return session_fault(s, "show the answers", -ENOMEM);
        memcpy(sorted, replies, (size_t)n * sizeof(*sorted));
        qsort(sorted, (size_t)n, sizeof(*sorted), by_name);
        int status = o->json ? remote_show_json(sorted, (size_t)n)
                             : remote_show(s, o->word, sorted, (size_t)n);
        if (status == STATUS_OK && (size_t)n < call->n_nodes)
                return terminal_fault(STATUS_TIMEOUT,
                                      "%d of the %zu workers have answered within %g s", n,
                                      call->n_nodes, o->timeout);
        return status;
}

/*
 * A revoke is kept in the broker also when no worker hears it: the next one that starts reads it.
 */
static void keep_id(const session *s, sj_str id)
{
        int r = broker_revoke(s->broker, &id, 1, sj_after(SESSION_LIMIT));
        if (r < 0 && r != -EOPNOTSUPP)
                session_fault(s, "keep the revoke", r);
}

static void keep_stamp(const session *s, sj_str name, const sj_json *value)
{
        char id[REVOKED_STAMP_SIZE];
        if (revoked_stamp_id(name, value, id) >= 0)
                keep_id(s, (sj_str){id, sizeof(id) - 1});
}

/* Of each stamp its value, or each of its values. */
static void keep_stamps(const session *s, const sj_json *headers)
{
        SJ_JSON_EACH (headers, i, value) {
                sj_str name = sj_json_name_at(headers, i);
                if (sj_json_type_of(value) != SJ_JSON_ARRAY)
                        keep_stamp(s, name, value);
                else
                        SJ_JSON_EACH (value, k, each)
                                keep_stamp(s, name, each);
        }
}

static void keep_revoke(const session *s, const remote_options *o, const sj_json *arguments)
{
        if (strcmp(o->word->name, "revoke_by_stamped_headers") == 0)
                keep_stamps(s, sj_json_member(arguments, "headers"));
        if (strcmp(o->word->name, "revoke") != 0)
                return;
        for (size_t i = 0; i < o->n_operands; i++)
                keep_id(s, sj_str_of(o->operands[i]));
}

static int body(session *s, void *arg)
{
        const remote_options *o = arg;
        char error[300];
        sj_str *nodes = NULL;
        control_call call = {.method = o->word->name,
                             .packed = control_is_packed(&s->options),
                             .pattern = sj_str_of(o->pattern),
                             .silent = o->word->no_reply};
        int r = remote_arguments(s->arena, o->word, o->operands, o->n_operands, extra_of(s, o),
                                 &call.arguments, error, sizeof(error));
        if (r == -EINVAL)
                return terminal_fault(STATUS_USAGE, "%s", error);
        if (r >= 0 && o->nodes)
                r = queue_list_parse(s->arena, o->nodes, &nodes);
        if (r == -EINVAL)
                return terminal_fault(STATUS_USAGE, "'%s' is not a list of workers", o->nodes);
        if (r < 0)
                return terminal_fault(STATUS_BROKER, "%s", sj_strerror(r));
        call.nodes = nodes;
        call.n_nodes = nodes ? (size_t)r : 0;
        keep_revoke(s, o, call.arguments);
        return ask(s, o, &call);
}

/* ── The commands ────────────────────────────────────────────────────────────────────────── */

static int unknown(const char *of, const remote_word words[], const char *name)
{
        const char *names[64];
        size_t n = 0;
        for (const remote_word *w = words; w->name && n + 1 < 64; w++)
                names[n++] = w->name;
        names[n] = NULL;
        const char *near = suggest_nearest(name, names);
        if (near)
                return terminal_fault(STATUS_USAGE, "%s does not know '%s': did you mean '%s'?", of,
                                      name, near);
        return terminal_fault(STATUS_USAGE, "%s does not know '%s': see sanjab %s --help", of, name,
                              of);
}

int remote_run(const command *self, const remote_word words[], int argc, char **argv)
{
        remote_options o = {.timeout = (double)CONTROL_TIMEOUT / 1e9, .name = self->name};
        int status;
        int n = options_parse(self, argc, argv, &o, &status);
        if (n < 0)
                return status;
        if (n == 0)
                return terminal_fault(STATUS_USAGE, "%s what? see sanjab %s --help", self->name,
                                      self->name);
        o.word = remote_find(words, argv[0]);
        if (!o.word)
                return unknown(self->name, words, argv[0]);
        if ((o.terminate || o.signal) && strncmp(o.word->name, "revoke", 6) != 0)
                return terminal_fault(STATUS_USAGE, "--terminate and --signal go with revoke");
        o.operands = argv + 1;
        o.n_operands = (size_t)n - 1;
        return session_run(&o.source, SESSION_MUST_EXIST, body, &o);
}

/* clang-format off */
#define COMMON_OPTIONS \
        SESSION_OPTIONS(remote_options), \
        {'d', "destination", "LIST", "only these workers, with commas between", OPTION_TEXT, \
         offsetof(remote_options, nodes), 0, NULL}, \
        {0, "pattern", "GLOB", "only workers whose names are like it, as 'w*@host'", OPTION_TEXT, \
         offsetof(remote_options, pattern), 0, NULL}, \
        {'t', "timeout", "SECONDS", "how long to wait for answers; 1", OPTION_SECONDS, \
         offsetof(remote_options, timeout), 0, NULL}, \
        {'j', "json", NULL, "print an object with a member for each worker", OPTION_FLAG, \
         offsetof(remote_options, json), 0, NULL}

static const option inspect_options[] = {COMMON_OPTIONS, {0}};
static const option control_options[] = {
        COMMON_OPTIONS,
        {0, "terminate", NULL, "with revoke: end what runs, too", OPTION_FLAG,
         offsetof(remote_options, terminate), 0, NULL},
        {0, "signal", "SIGNAL", "with revoke: end what runs by this; SIGTERM", OPTION_TEXT,
         offsetof(remote_options, signal), 0, NULL},
        {0},
};
/* clang-format on */

static int run_inspect(const command *self, int argc, char **argv)
{
        return remote_run(self, remote_inspect_words, argc, argv);
}

static int run_control(const command *self, int argc, char **argv)
{
        return remote_run(self, remote_control_words, argc, argv);
}

const command cmd_inspect = {
        .name = "inspect",
        .usage = "COMMAND [ARGUMENT...] [options]",
        .summary = "asks workers about themselves",
        .about = "Asks the workers that are alive, sanjab's and Celery's, and shows what they "
                 "answer.\n"
                 "\n"
                 "commands:\n"
                 "  active                    the tasks that run\n"
                 "  active_queues             the queues that they take from\n"
                 "  clock                     the logical clock\n"
                 "  conf [WITH_DEFAULTS]      the settings\n"
                 "  memdump [SAMPLES]         (workers in Python)\n"
                 "  memsample                 (workers in Python)\n"
                 "  objgraph [TYPE [NUM]]     (workers in Python)\n"
                 "  ping                      whether they are there\n"
                 "  query_task ID...          where these tasks are\n"
                 "  registered [ATTRIBUTE...] the tasks that they know\n"
                 "  report                    versions and settings, for a bug report\n"
                 "  reserved                  the tasks that wait with them\n"
                 "  revoked                   the ids that they do not run\n"
                 "  scheduled                 the tasks that wait for their time\n"
                 "  stats                     figures\n",
        .options = inspect_options,
        .run = run_inspect,
};

const command cmd_control = {
        .name = "control",
        .usage = "COMMAND [ARGUMENT...] [options]",
        .summary = "tells workers what to do",
        .about = "Tells the workers that are alive, sanjab's and Celery's. A revoke is kept in "
                 "the broker for a day, and holds for sanjab's workers that start later, too.\n"
                 "\n"
                 "commands:\n"
                 "  add_consumer QUEUE        take from this queue, too\n"
                 "  autoscale MAX [MIN]       new bounds of the concurrency\n"
                 "  cancel_consumer QUEUE     take from it no more\n"
                 "  disable_events            tell no more of tasks\n"
                 "  enable_events             tell of tasks: see sanjab events\n"
                 "  heartbeat                 tell at once that they are there\n"
                 "  pool_grow [N]             run so many more at once; 1\n"
                 "  pool_restart              replace the processes (workers in Python)\n"
                 "  pool_shrink [N]           run so many fewer at once; 1\n"
                 "  rate_limit TASK RATE      as 10/m; 0 for none\n"
                 "  revoke ID...              do not run these tasks\n"
                 "  revoke_by_stamped_headers NAME=VALUE...\n"
                 "                            do not run tasks with these stamps\n"
                 "  shutdown                  stop when what runs has ended\n"
                 "  terminate SIGNAL ID...    revoke, and end what runs by the signal\n"
                 "  time_limit TASK SOFT [HARD]\n"
                 "                            new limits, in seconds\n",
        .options = control_options,
        .run = run_control,
};
