/* SPDX-License-Identifier: MIT */
/*
 * sanjab dead: the dead letters. What is said of --all holds for those that were there when the
 * command began: a task that is retried and dies again at once does not keep it going for ever.
 */
#include "base/suggest.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "codec/json_named.h"

#include "base/iso8601.h"

enum { PAGE = 256 };

typedef struct dead_options {
        const char *verb;
        session_source source;
        const char *queue;
        bool all;
        bool json;
        char **ids;
        size_t n_ids;
} dead_options;

/* clang-format off */
static const option options[] = {
        SESSION_OPTIONS(dead_options),
        {'q', "queue", "NAME", "those of this queue only", OPTION_TEXT,
         offsetof(dead_options, queue), 0, NULL},
        {0, "all", NULL, "retry or drop all that there are", OPTION_FLAG,
         offsetof(dead_options, all), 0, NULL},
        {'j', "json", NULL, "print JSON", OPTION_FLAG, offsetof(dead_options, json), 0, NULL},
        {0},
};
/* clang-format on */

/* Calls each for every dead letter of the queue; its error ends it. */
static int each_dead(const session *s, const char *queue,
                     int (*each)(void *arg, const broker_dead *dead), void *arg)
{
        sj_str after = {0};
        for (;;) {
                const broker_dead *page;
                int n = broker_dead_list(s->broker, sj_str_of(queue), after, PAGE, s->arena, &page,
                                         sj_after(SESSION_LIMIT));
                for (int i = 0; i < n; i++) {
                        int r = each(arg, &page[i]);
                        if (r < 0)
                                return r;
                }
                if (n <= 0)
                        return n;
                after = page[n - 1].message.id;
        }
}

/* ── list ────────────────────────────────────────────────────────────────────────────────── */

static int add_row(void *arg, const broker_dead *dead)
{
        table *t = arg;
        char when[ISO8601_LENGTH + 1] = "-";
        iso8601_format(dead->died, when);
        table_text(t, dead->message.id);
        table_text(t, dead->message.task);
        table_text(t, dead->message.queue);
        table_printf(t, "%.19sZ", when);
        table_printf(t, "%u", dead->deliveries);
        table_text(t, dead->reason);
        return t->error;
}

static int list_table(const session *s, const dead_options *o)
{
        static const char *const heads[] = {"ID",          "TASK",   "QUEUE", "DIED",
                                            "+DELIVERIES", "REASON", NULL};
        table t;
        table_init(&t, heads, s->arena);
        int r = each_dead(s, o->queue, add_row, &t);
        buf out = BUF_INIT(0);
        if (r >= 0 && buf_size(&t.cells) == 0)
                r = buf_append_str(&out, SJ_STR("There are no dead letters.\n"));
        else if (r >= 0)
                r = table_write(&t, &out, terminal_has_colours(TERMINAL_OUT));
        table_fini(&t);
        int status = r < 0 ? session_fault(s, "list the dead letters", r) : terminal_show(&out);
        buf_fini(&out);
        return status;
}

static int add_object(void *arg, const broker_dead *dead)
{
        sj_json_writer *w = arg;
        sj_json_write_object_begin(w);
        json_named_text(w, "id", dead->message.id);
        json_named_text(w, "task", dead->message.task);
        json_named_text(w, "queue", dead->message.queue);
        show_json_moment(w, "died", dead->died);
        json_named_int(w, "deliveries", dead->deliveries);
        json_named_text(w, "reason", dead->reason);
        sj_json_write_object_end(w);
        return 0;
}

static int list_json(const session *s, const dead_options *o)
{
        sj_json_writer *w = NULL;
        if (sj_json_writer_new(SJ_JSON_PYTHON, &w) >= 0) {
                sj_json_write_array_begin(w);
                int r = each_dead(s, o->queue, add_object, w);
                if (r < 0) {
                        sj_json_writer_free(w);
                        return session_fault(s, "list the dead letters", r);
                }
                sj_json_write_array_end(w);
        }
        return show_json(w);
}

static int do_list(const session *s, const dead_options *o)
{
        return o->json ? list_json(s, o) : list_table(s, o);
}

/* ── retry and drop ──────────────────────────────────────────────────────────────────────── */

typedef struct chosen {
        buf ids; /* of sj_str */
} chosen;

static int choose(void *arg, const broker_dead *dead)
{
        chosen *c = arg;
        return buf_append(&c->ids, &dead->message.id, sizeof(dead->message.id));
}

static int choose_given(chosen *c, const dead_options *o)
{
        int r = 0;
        for (size_t i = 0; i < o->n_ids && r >= 0; i++) {
                sj_str id = sj_str_of(o->ids[i]);
                r = buf_append(&c->ids, &id, sizeof(id));
        }
        return r;
}

typedef int change_fn(broker *b, const sj_str ids[], size_t n, sj_time deadline);

/* Changes all that were chosen; returns how many there were. */
static int change_all(const session *s, const chosen *c, change_fn *change)
{
        const sj_str *ids = (const sj_str *)(const void *)buf_data(&c->ids);
        size_t n = buf_size(&c->ids) / sizeof(*ids);
        int changed = 0;
        for (size_t i = 0; i < n; i += PAGE) {
                size_t page = n - i < PAGE ? n - i : PAGE;
                int r = change(s->broker, ids + i, page, sj_after(SESSION_LIMIT));
                if (r < 0)
                        return r;
                changed += r;
        }
        return changed;
}

static int show_count(const dead_options *o, const char *word, int count)
{
        if (!o->json) {
                buf out = BUF_INIT(0);
                buf_printf(&out, "%s %d dead letter%s\n", word, count, count == 1 ? "" : "s");
                int status = terminal_show(&out);
                buf_fini(&out);
                return status;
        }
        sj_json_writer *w = NULL;
        if (sj_json_writer_new(0, &w) >= 0) {
                sj_json_write_object_begin(w);
                sj_json_write_name(w, word);
                sj_json_write_int(w, count);
                sj_json_write_object_end(w);
        }
        return show_json(w);
}

static int do_change(const session *s, const dead_options *o, change_fn *change, const char *doing,
                     const char *word)
{
        chosen c = {.ids = BUF_INIT(0)};
        int r = o->all ? each_dead(s, o->queue, choose, &c) : choose_given(&c, o);
        if (r >= 0)
                r = change_all(s, &c, change);
        buf_fini(&c.ids);
        if (r < 0)
                return session_fault(s, doing, r);
        int status = show_count(o, word, r);
        if (status == STATUS_OK && !o->all && (size_t)r < o->n_ids)
                return terminal_fault(STATUS_UNKNOWN,
                                      "%zu of the %zu given are no dead letters of %s: see "
                                      "sanjab dead list",
                                      o->n_ids - (size_t)r, o->n_ids, s->name);
        return status;
}

static int do_retry(const session *s, const dead_options *o)
{
        return do_change(s, o, broker_dead_retry, "retry dead letters", "retried");
}

static int do_drop(const session *s, const dead_options *o)
{
        return do_change(s, o, broker_dead_drop, "drop dead letters", "dropped");
}

/* ── The command ─────────────────────────────────────────────────────────────────────────── */

static const char *const verbs[] = {"list", "retry", "drop", NULL};
static int (*const deeds[])(const session *s, const dead_options *o) = {do_list, do_retry, do_drop};

static int verb_of(const dead_options *o)
{
        int i = 0;
        while (verbs[i] && strcmp(verbs[i], o->verb) != 0)
                i++;
        return verbs[i] ? i : -1;
}

static int body(session *s, void *arg)
{
        const dead_options *o = arg;
        return deeds[verb_of(o)](s, o);
}

/* What is wrong with the words that were given, said; or STATUS_OK. */
static int check(const dead_options *o)
{
        int verb = verb_of(o);
        if (verb < 0) {
                const char *near = suggest_nearest(o->verb, verbs);
                return terminal_fault(STATUS_USAGE, "dead does not know '%s': %s%s%s", o->verb,
                                      near ? "did you mean '" : "it is list, retry or drop",
                                      near ? near : "", near ? "'?" : "");
        }
        if (verb == 0 && (o->n_ids > 0 || o->all))
                return terminal_fault(STATUS_USAGE, "dead list shows all, and takes %s",
                                      o->all ? "no --all" : "no ids");
        if (verb > 0 && (o->n_ids > 0) == o->all)
                return terminal_fault(STATUS_USAGE,
                                      "dead %s needs %s: sanjab dead %s ID..., or --all", o->verb,
                                      o->all ? "either ids or --all" : "to know which", o->verb);
        if (o->n_ids > 0 && o->queue)
                return terminal_fault(STATUS_USAGE, "--queue goes with list and --all, not with "
                                                    "ids");
        return STATUS_OK;
}

static int run(const command *self, int argc, char **argv)
{
        dead_options o = {.verb = "list"};
        int status;
        int n = options_parse(self, argc, argv, &o, &status);
        if (n < 0)
                return status;
        if (n > 0) {
                o.verb = argv[0];
                o.ids = argv + 1;
                o.n_ids = (size_t)n - 1;
        }
        status = check(&o);
        if (status != STATUS_OK)
                return status;
        return session_run(&o.source, SESSION_MUST_EXIST, body, &o);
}

const command cmd_dead = {
        .name = "dead",
        .usage = "[list | retry | drop] [ID... | --all] [options]",
        .summary = "shows, retries or drops dead letters",
        .about = "Dead letters are messages that are not tried any more: delivered too often, "
                 "unreadable, or of a task that no worker knows. retry puts them back into their "
                 "queue, as if they were new; drop removes them, and their results stay.",
        .options = options,
        .run = run,
};
