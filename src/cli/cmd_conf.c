/* SPDX-License-Identifier: MIT */
/*
 * sanjab conf: the settings as they count, and where each comes from.
 *
 * Of pairs each is a row of its own, as NAME.KEY. What may be a secret is shown as ***: a password
 * in an address, and what is called like one in the options of a broker.
 */
#include "cli/broker_name.h"
#include "cli/command.h"
#include "cli/conf_values.h"
#include "cli/options.h"
#include "cli/session.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "codec/json_named.h"
#include "queue/app.h"

#include "base/suggest.h"

#include <stdio.h>

typedef struct conf_options {
        session_source source;
        bool json;
        /* found out */
        const settings *settings;
        const setting *only; /* or NULL: all */
        sj_arena *arena;
} conf_options;

/* clang-format off */
static const option options[] = {
        SESSION_OPTIONS(conf_options),
        {'j', "json", NULL, "print an object", OPTION_FLAG, offsetof(conf_options, json), 0, NULL},
        {0},
};
/* clang-format on */

/* ── Secrets ─────────────────────────────────────────────────────────────────────────────── */

/* Addresses may be several, with semicolons between. */
static void show_address(buf *out, const char *text)
{
        while (*text) {
                size_t n = strcspn(text, ";");
                char one[1000], shown[1000];
                snprintf(one, sizeof(one), "%.*s", (int)n, text);
                buf_append_str(out, sj_str_of(broker_name_show(one, shown, sizeof(shown))));
                text += n;
                if (*text)
                        buf_append_char(out, *text++);
        }
}

/* Whether a text speaks of what may be a secret. */
static bool is_secret(const char *text)
{
        static const char *const words[] = {"passw", "secret", "token", "credential", "://"};
        for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
                if (strcasestr(text, words[i]))
                        return true;
        return false;
}

static const char *shown_pair(const settings_pair *pair)
{
        return is_secret(pair->name) || is_secret(pair->text) ? "***" : pair->text;
}

/* The value of a row that is set and no pairs. */
static int show_value(const conf_options *o, const setting *row, buf *out)
{
        const char *text = settings_text(o->settings, row);
        buf_clear(out);
        if (row->kind == SETTINGS_ADDRESS || row->kind == SETTINGS_COMMAND)
                show_address(out, text);
        else
                buf_append_str(out, sj_str_of(text));
        return buf_terminate(out);
}

static const settings_pairs *pairs_of(const conf_options *o, const setting *row)
{
        return (const settings_pairs *)(const void *)((const char *)settings_of(o->settings) +
                                                      row->offset);
}

/* ── As a table ──────────────────────────────────────────────────────────────────────────── */

static void pair_origin(const conf_options *o, const setting *row, const settings_pair *pair,
                        char *ret, size_t size)
{
        if (pair->line)
                snprintf(ret, size, "%s:%u", settings_path(o->settings), pair->line);
        else
                settings_origin_of(o->settings, row, ret, size);
}

static void table_pairs(const conf_options *o, const setting *row, table *t)
{
        const settings_pairs *pairs = pairs_of(o, row);
        char from[400];
        for (size_t i = 0; i < pairs->n; i++) {
                const settings_pair *pair = &pairs->pairs[i];
                table_printf(t, "%s.%s", row->name, pair->name);
                table_text(t, sj_str_of(shown_pair(pair)));
                pair_origin(o, row, pair, from, sizeof(from));
                table_text(t, sj_str_of(from));
        }
}

static int show_table(const conf_options *o)
{
        static const char *const heads[] = {"SETTING", "VALUE", "FROM", NULL};
        table t;
        buf out = BUF_INIT(0), value = BUF_INIT(0);
        char from[400];
        int r = 0;
        table_init(&t, heads, o->arena);
        for (const setting *row = settings_table; row->name && r >= 0; row++) {
                if (row->kind == SETTINGS_PAIRS && pairs_of(o, row)->n) {
                        table_pairs(o, row, &t);
                        continue;
                }
                bool is_set = settings_text(o->settings, row) != NULL;
                settings_origin_of(o->settings, row, from, sizeof(from));
                table_text(&t, sj_str_of(row->name));
                if (is_set) {
                        r = show_value(o, row, &value);
                        const char *unit =
                                row->unit && strcmp(buf_data(&value), "none") != 0 ? row->unit : "";
                        table_printf(&t, "%s%s%s", buf_data(&value), *unit ? " " : "", unit);
                } else {
                        table_text(&t, SJ_STR("-"));
                }
                table_text(&t, sj_str_of(from));
        }
        if (r >= 0)
                r = table_write(&t, &out, terminal_has_colours(TERMINAL_OUT));
        int status =
                r < 0 ? terminal_fault(STATUS_BROKER, "%s", sj_strerror(r)) : terminal_show(&out);
        table_fini(&t);
        buf_fini(&value);
        buf_fini(&out);
        return status;
}

/* ── As JSON ─────────────────────────────────────────────────────────────────────────────── */

static void write_pairs(const conf_options *o, const setting *row, sj_json_writer *w)
{
        const settings_pairs *pairs = pairs_of(o, row);
        sj_json_write_object_begin(w);
        for (size_t i = 0; i < pairs->n; i++) {
                const char *text = shown_pair(&pairs->pairs[i]);
                sj_json_write_name(w, pairs->pairs[i].name);
                if (pairs->pairs[i].is_json && text == pairs->pairs[i].text)
                        sj_json_write_raw(w, sj_str_of(text));
                else
                        sj_json_write_string(w, sj_str_of(text));
        }
        sj_json_write_object_end(w);
}

/* Numbers and booleans as such; none as null. */
static void write_value(const conf_options *o, const setting *row, sj_json_writer *w)
{
        const void *at = (const char *)settings_of(o->settings) + row->offset;
        buf value = BUF_INIT(0);
        if (row->kind == SETTINGS_PAIRS) {
                write_pairs(o, row, w);
        } else if (!settings_text(o->settings, row) ||
                   strcasecmp(settings_text(o->settings, row), "none") == 0) {
                sj_json_write_null(w);
        } else if (row->kind == SETTINGS_BOOL) {
                sj_json_write_bool(w, *(const bool *)at);
        } else if (row->kind == SETTINGS_COUNT) {
                sj_json_write_int(w, *(const unsigned *)at);
        } else if (row->kind == SETTINGS_SECONDS) {
                sj_json_write_double(w, *(const double *)at);
        } else if (show_value(o, row, &value) == 0) {
                sj_json_write_string(w, sj_str_of(buf_data(&value)));
        } else {
                sj_json_write_null(w);
        }
        buf_fini(&value);
}

static void write_row(const conf_options *o, const setting *row, sj_json_writer *w)
{
        char from[400];
        settings_origin_of(o->settings, row, from, sizeof(from));
        sj_json_write_object_begin(w);
        sj_json_write_name(w, "value");
        write_value(o, row, w);
        json_named_text(w, "from", sj_str_of(from));
        sj_json_write_object_end(w);
}

static void write_rows(const conf_options *o, sj_json_writer *w)
{
        sj_json_write_object_begin(w);
        for (const setting *row = settings_table; row->name; row++) {
                if (o->only && o->only != row)
                        continue;
                sj_json_write_name(w, row->name);
                write_row(o, row, w);
        }
        sj_json_write_object_end(w);
}

static int show_all_json(const conf_options *o)
{
        sj_json_writer *w = NULL;
        if (sj_json_writer_new(SJ_JSON_PRETTY, &w) >= 0)
                write_rows(o, w);
        return show_json(w);
}

int conf_values(const settings *s, sj_arena *arena, const sj_json **ret)
{
        const conf_options o = {.settings = s, .arena = arena};
        sj_json_writer *w;
        sj_str text;
        int r = sj_json_writer_new(0, &w);
        if (r < 0)
                return r;
        write_rows(&o, w);
        r = sj_json_writer_end(w, &text);
        if (r >= 0) {
                const char *kept = sj_arena_strndup(arena, text.data, text.n);
                r = kept ? sj_json_parse(arena, (sj_str){kept, text.n}, 0, ret, NULL) : -ENOMEM;
        }
        sj_json_writer_free(w);
        return r;
}

/* ── One ─────────────────────────────────────────────────────────────────────────────────── */

static int show_one(const conf_options *o)
{
        buf out = BUF_INIT(0), value = BUF_INIT(0);
        const setting *row = o->only;
        int r = 0;
        if (row->kind == SETTINGS_PAIRS) {
                const settings_pairs *pairs = pairs_of(o, row);
                for (size_t i = 0; i < pairs->n && r >= 0; i++)
                        r = buf_printf(&out, "%s = %s\n", pairs->pairs[i].name,
                                       shown_pair(&pairs->pairs[i]));
        } else if (settings_text(o->settings, row)) {
                r = show_value(o, row, &value);
                if (r >= 0)
                        r = buf_printf(&out, "%s\n", buf_data(&value));
        }
        int status =
                r < 0 ? terminal_fault(STATUS_BROKER, "%s", sj_strerror(r)) : terminal_show(&out);
        buf_fini(&value);
        buf_fini(&out);
        return status;
}

static int find_setting(const char *name, const setting **ret)
{
        const char *names[128];
        const settings_refusal *refusal = settings_refused(name);
        *ret = settings_find(name);
        if (*ret)
                return STATUS_OK;
        if (refusal)
                return terminal_fault(STATUS_UNKNOWN, "%s is no setting here: %s", name,
                                      refusal->reason);
        for (size_t i = 0; i <= settings_table_n; i++)
                names[i] = settings_table[i].name;
        const char *near = suggest_nearest(name, names);
        if (near)
                return terminal_fault(STATUS_UNKNOWN,
                                      "there is no setting '%s': did you mean '%s'?", name, near);
        return terminal_fault(STATUS_UNKNOWN, "there is no setting '%s'", name);
}

/* What a worker or a program would be refused for, though each value by itself could be. */
static int check(const settings *s)
{
        char error[400];
        sj_app_options app = {0};
        settings_app_options(s, &app);
        int r = app_check_broker(&app, error, sizeof(error));
        return r < 0 ? terminal_fault(STATUS_USAGE, "%s", error) : STATUS_OK;
}

static int run(const command *self, int argc, char **argv)
{
        conf_options o = {.json = false};
        int status;
        int n = options_parse(self, argc, argv, &o, &status);
        if (n < 0)
                return status;
        if (n > 1)
                return terminal_fault(STATUS_USAGE, "one setting at a time: sanjab conf %s",
                                      self->usage);
        settings *s = NULL;
        status = n == 1 ? find_setting(argv[0], &o.only) : STATUS_OK;
        if (status == STATUS_OK)
                status = session_settings(&o.source, NULL, 0, &s);
        if (status == STATUS_OK && sj_arena_new(&o.arena) < 0)
                status = terminal_fault(STATUS_BROKER, "%s", sj_strerror(-ENOMEM));
        if (status == STATUS_OK && !o.only)
                status = check(s);
        if (status == STATUS_OK) {
                o.settings = s;
                status = o.json ? show_all_json(&o) : o.only ? show_one(&o) : show_table(&o);
        }
        sj_arena_free(o.arena);
        settings_free(s);
        return status;
}

const command cmd_conf = {
        .name = "conf",
        .usage = "[NAME] [options]",
        .summary = "shows the settings",
        .about = "Prints each setting, its value and where it comes from: the command line, a "
                 "variable of the environment, a line of the settings file, or the default. With "
                 "NAME, the value of that setting alone. Secrets are not shown.\n"
                 "\n"
                 "The file is --config, else $SANJAB_CONFIG, else the first that there is of "
                 "sanjab.conf, ~/.config/sanjab/sanjab.conf and /etc/sanjab/sanjab.conf. The "
                 "variable of a setting is SANJAB_ with its name in upper case.",
        .options = options,
        .run = run,
};
