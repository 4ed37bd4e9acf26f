/* SPDX-License-Identifier: MIT */
/*
 * Four layers, each written over the one below: the defaults of the table, the file, the
 * environment, the command line. Each row remembers who wrote it last. A mistake does not stop the
 * reading: whoever has made three is told of three.
 */
#include "queue/settings/settings_internal.h"

#include "base/suggest.h"
#include "os/os.h"
#include "queue/trust.h"

#include <sanjab/file.h>

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ── Mistakes ────────────────────────────────────────────────────────────────────────────── */

void settings_complain(settings_reading *x, const settings_place *place, const char *format, ...)
{
        char text[600];
        int r = 0;
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        for (char *c = text; *c; c++) /* a value may be of several lines, a complaint is of one */
                *c = *c == '\n' ? ' ' : *c;
        if (place->origin == SETTINGS_FROM_FILE && place->line)
                r = buf_printf(x->error, "%s:%u: ", x->s->path, place->line);
        else if (place->origin == SETTINGS_FROM_FILE)
                r = buf_printf(x->error, "%s: ", x->s->path);
        if (r == 0)
                r = buf_printf(x->error, "%s\n", text);
        if (r < 0)
                x->r = r;
}

/* What a place calls a setting. */
static const char *place_name(const settings_place *place, const char *name, char *ret, size_t size)
{
        if (place->origin == SETTINGS_FROM_COMMAND_LINE)
                return place->option;
        if (place->origin != SETTINGS_FROM_ENVIRONMENT)
                return name;
        size_t n = (size_t)snprintf(ret, size, "$SANJAB_%s", name);
        for (size_t i = 0; i < n && i + 1 < size; i++)
                ret[i] = (char)toupper((unsigned char)ret[i]);
        return ret;
}

static const char *nearest(const char *name)
{
        const char *names[SETTINGS_MAX];
        for (size_t i = 0; i <= settings_table_n; i++)
                names[i] = settings_table[i].name;
        return suggest_nearest(name, names);
}

void settings_unknown(settings_reading *x, const char *name, const char *value,
                      const settings_place *place)
{
        char lower[80], shown[100];
        size_t n = 0;
        for (; name[n] && n + 1 < sizeof(lower); n++)
                lower[n] = (char)tolower((unsigned char)name[n]);
        lower[n] = '\0';
        const settings_refusal *refusal = settings_refused(lower);
        const char *called = place_name(place, name, shown, sizeof(shown));
        bool same, is;
        if (refusal && refusal->only &&
            (strcasecmp(value, refusal->only) == 0 ||
             (settings_read_bool(value, &is) && settings_read_bool(refusal->only, &same) &&
              is == same)))
                return; /* it says what is so anyway */
        if (refusal) {
                settings_complain(x, place, "%s is no setting here: %s", called, refusal->reason);
                return;
        }
        const char *bare = strncmp(lower, "celery_", 7) == 0 ? lower + 7 : lower;
        const char *near = settings_find(bare) ? bare : nearest(bare);
        if (near && strcmp(near, lower) == 0)
                settings_complain(x, place, "settings are written in lower case: %s", near);
        else if (near)
                settings_complain(x, place, "there is no setting '%s': did you mean '%s'?", called,
                                  near);
        else
                settings_complain(x, place, "there is no setting '%s': see sanjab conf", called);
}

/* ── Setting ─────────────────────────────────────────────────────────────────────────────── */

void settings_set(settings_reading *x, const setting *row, const char *text,
                  const settings_place *place)
{
        char why[SETTINGS_WHY_SIZE] = "", name[100];
        int r = settings_value_read(row, text, &x->s->values, x->s->arena, why);
        const char *kept = r == 0 ? sj_arena_strndup(x->s->arena, text, strlen(text)) : NULL;
        if (r == -EINVAL) {
                settings_complain(x, place, "%s %s",
                                  place_name(place, row->name, name, sizeof(name)), why);
        } else if (!kept) {
                x->r = -ENOMEM;
        } else {
                x->s->places[settings_row(row)] = *place;
                x->s->texts[settings_row(row)] = kept;
        }
}

static void set_defaults(settings_reading *x)
{
        const settings_place place = {.origin = SETTINGS_DEFAULT};
        for (const setting *row = settings_table; row->name; row++)
                if (row->fallback)
                        settings_set(x, row, row->fallback, &place);
}

/* ── The file ────────────────────────────────────────────────────────────────────────────── */

static const char *variable(const char *name)
{
        const char *value = getenv(name);
        return value && *value ? value : NULL;
}

/* A candidate that may lack. 0; -ENOENT; other errors of reading it. */
static int read_file(settings_reading *x, const char *path, sj_time deadline)
{
        char *text;
        size_t n;
        int r = sj_file_read_whole(path, SETTINGS_FILE_MAX, &text, &n, deadline);
        if (r < 0)
                return r;
        x->s->path = sj_arena_strndup(x->s->arena, path, strlen(path));
        if (x->s->path)
                settings_file_read(x, (sj_str){text, n});
        else
                x->r = -ENOMEM;
        free(text);
        return 0;
}

static bool is_missing(int r)
{
        return r == -ENOENT || r == -ENOTDIR;
}

/* The file that is named must be there; of the usual places the first that has one counts. */
static int find_file(settings_reading *x, const char *config, const char **ret_path,
                     sj_time deadline)
{
        static char none[] = "";
        const char *named = config ? config : variable("SANJAB_CONFIG");
        *ret_path = named ? named : none;
        if (named)
                return *named ? read_file(x, named, deadline) : 0;
        const char *folder = variable("XDG_CONFIG_HOME"), *home = variable("HOME");
        char own[PATH_MAX] = "";
        if (folder || home)
                snprintf(own, sizeof(own), "%s%s/sanjab/sanjab.conf", folder ? folder : home,
                         folder ? "" : "/.config");
        const char *const places[] = {"sanjab.conf", own, "/etc/sanjab/sanjab.conf"};
        for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
                int r = *places[i] ? read_file(x, places[i], deadline) : -ENOENT;
                if (!is_missing(r)) {
                        *ret_path = sj_arena_strndup(x->s->arena, places[i], strlen(places[i]));
                        return r;
                }
        }
        return 0;
}

static void read_config(settings_reading *x, const char *config, sj_time deadline)
{
        const char *path;
        const settings_place nowhere = {.origin = SETTINGS_DEFAULT};
        int r = find_file(x, config, &path, deadline);
        if (r == -ENOMEM || !path)
                x->r = -ENOMEM;
        else if (r < 0)
                settings_complain(x, &nowhere, "the settings cannot be read: %s: %s", path,
                                  r == -EMSGSIZE ? "it is larger than a megabyte" : sj_strerror(r));
}

/* Who can write what is run can run what he likes as our user. */
static void trust_file(settings_reading *x)
{
        char real[PATH_MAX], why[TRUST_ERROR_SIZE];
        for (const setting *row = settings_table; row->name; row++) {
                const settings_place *place = &x->s->places[settings_row(row)];
                if (row->kind != SETTINGS_COMMAND || place->origin != SETTINGS_FROM_FILE)
                        continue;
                int r = os_real_path(x->s->path, real, sizeof(real));
                if (r == 0)
                        r = trust_check(real, why);
                if (r == -EPERM)
                        settings_complain(x, place, "%s is run, but %s", row->name, why);
                else if (r < 0)
                        settings_complain(x, place, "%s: %s", row->name, sj_strerror(r));
        }
}

/* Whether who reads the url can log in with it. */
static bool has_password(const char *url)
{
        const char *login = url ? strstr(url, "//") : NULL;
        const char *at = login ? strrchr(login, '@') : NULL;
        return (at && memchr(login + 2, ':', (size_t)(at - login - 2))) ||
               (url && strstr(url, "password="));
}

static void warn_of_readers(const settings *s)
{
        const settings_values *v = &s->values;
        const char *const names[] = {"broker_url", "result_backend"};
        const char *const urls[] = {v->broker_url, v->result_backend};
        os_stat stat;
        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
                size_t row = settings_row(settings_find(names[i]));
                if (s->places[row].origin == SETTINGS_FROM_FILE && has_password(urls[i]) &&
                    os_stat_path(s->path, true, &stat) >= 0 && (stat.mode & S_IROTH)) {
                        sj_log(SJ_LOG_WARNING,
                               "anybody on this machine can read the password in %s: chmod o-r it",
                               s->path);
                        return;
                }
        }
}

/* ── The environment and the command line ────────────────────────────────────────────────── */

/* Variables of other uses. */
static const char *const other_variables[] = {"config", "include", "hosts", "seed",
                                              "seeds",  "bench",   "debug", NULL};

/* One that begins with SANJAB_ and is nearly a setting is one with a mistake; others are others'
 * (a service of Kubernetes called sanjab makes SANJAB_PORT and more). */
static void read_variable(settings_reading *x, const char *name, const char *value)
{
        const settings_place place = {.origin = SETTINGS_FROM_ENVIRONMENT};
        const char *const *other = other_variables;
        while (*other && strcmp(*other, name) != 0)
                other++;
        const setting *row = settings_find(name);
        if (*other || !*value)
                return;
        if (row)
                settings_set(x, row, value, &place);
        else if (settings_refused(name) || nearest(name))
                settings_unknown(x, name, value, &place);
}

static void read_environment(settings_reading *x)
{
        static const char prefix[] = "SANJAB_";
        for (char **v = environ; v && *v; v++) {
                char name[80];
                const char *is = strchr(*v, '=');
                if (!is || strncmp(*v, prefix, strlen(prefix)) != 0)
                        continue;
                const char *from = *v + strlen(prefix);
                size_t n = (size_t)(is - from);
                if (n == 0 || n >= sizeof(name))
                        continue;
                for (size_t i = 0; i < n; i++)
                        name[i] = (char)tolower((unsigned char)from[i]);
                name[n] = '\0';
                read_variable(x, name, is + 1);
        }
}

static void read_given(settings_reading *x, const settings_given given[], size_t n)
{
        for (size_t i = 0; i < n; i++) {
                const settings_place place = {.origin = SETTINGS_FROM_COMMAND_LINE,
                                              .option = given[i].option};
                if (given[i].value)
                        settings_set(x, settings_find(given[i].name), given[i].value, &place);
        }
}

/* ── The whole ───────────────────────────────────────────────────────────────────────────── */

int settings_load(const char *config, const settings_given given[], size_t n, settings **ret,
                  buf *error, sj_time deadline)
{
        sj_arena *arena;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        settings *s = sj_arena_alloc(arena, sizeof(*s));
        if (!s) {
                sj_arena_free(arena);
                return -ENOMEM;
        }
        memset(s, 0, sizeof(*s));
        s->arena = arena;
        settings_reading x = {.s = s, .error = error};
        size_t before = buf_size(error);
        set_defaults(&x);
        read_config(&x, config, deadline);
        read_environment(&x);
        read_given(&x, given, n);
        settings_pairs_mean(&x);
        trust_file(&x);
        if (x.r == 0 && buf_size(error) > before)
                x.r = -EINVAL;
        if (x.r < 0) {
                settings_free(s);
                return x.r;
        }
        warn_of_readers(s);
        *ret = s;
        return 0;
}

void settings_free(settings *s)
{
        if (s)
                sj_arena_free(s->arena);
}

const settings_values *settings_of(const settings *s)
{
        return &s->values;
}

const char *settings_path(const settings *s)
{
        return s->path;
}

settings_origin settings_origin_of(const settings *s, const setting *row, char *ret, size_t size)
{
        const settings_place *place = &s->places[settings_row(row)];
        char name[100];
        switch (place->origin) {
        case SETTINGS_DEFAULT:
                snprintf(ret, size, "default");
                break;
        case SETTINGS_FROM_FILE:
                snprintf(ret, size, "%s:%u", s->path, place->line);
                break;
        case SETTINGS_FROM_ENVIRONMENT:
        case SETTINGS_FROM_COMMAND_LINE:
                snprintf(ret, size, "%s", place_name(place, row->name, name, sizeof(name)));
                break;
        }
        return place->origin;
}

const char *settings_text(const settings *s, const setting *row)
{
        return row->kind == SETTINGS_PAIRS ? NULL : s->texts[settings_row(row)];
}
