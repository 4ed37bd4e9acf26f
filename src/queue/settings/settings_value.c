/* SPDX-License-Identifier: MIT */
/*
 * One function for each kind of setting reads its text. Each says what the text should have been,
 * as the end of a sentence that begins with the place.
 */
#include "queue/settings/settings_internal.h"

#include "queue/message/message.h"
#include "queue/task/task.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SECONDS_MAX 3.2e9 /* a hundred years */

static bool is_none(const char *text)
{
        return strcmp(text, "none") == 0 || strcmp(text, "None") == 0;
}

bool settings_read_bool(const char *text, bool *ret)
{
        static const struct {
                const char *word;
                bool value;
        } words[] = {{"true", true},   {"yes", true}, {"on", true},   {"1", true},
                     {"false", false}, {"no", false}, {"off", false}, {"0", false}};
        for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
                if (strcasecmp(text, words[i].word) == 0) {
                        *ret = words[i].value;
                        return true;
                }
        return false;
}

bool settings_read_seconds(const char *text, double *ret)
{
        char *end;
        if (is_none(text)) {
                *ret = 0;
                return true;
        }
        double value = strtod(text, &end);
        if (!(isdigit((unsigned char)text[0]) || text[0] == '.') || *end ||
            !(value >= 0 && value <= SECONDS_MAX))
                return false;
        *ret = value;
        return true;
}

bool settings_read_count(const char *text, unsigned most, unsigned *ret)
{
        char *end;
        if (is_none(text)) {
                *ret = 0;
                return true;
        }
        errno = 0;
        unsigned long value = strtoul(text, &end, 10);
        if (!isdigit((unsigned char)text[0]) || *end || errno || value > most)
                return false;
        *ret = (unsigned)value;
        return true;
}

static int wrong(char why[SETTINGS_WHY_SIZE], const char *text, const char *format, ...)
        SJ_PRINTF(3, 4);

/* "is FORMAT, not 'text'" */
static int wrong(char why[SETTINGS_WHY_SIZE], const char *text, const char *format, ...)
{
        char wanted[200];
        va_list args;
        va_start(args, format);
        vsnprintf(wanted, sizeof(wanted), format, args);
        va_end(args);
        snprintf(why, SETTINGS_WHY_SIZE, "is %s, not '%.60s'", wanted, text);
        return -EINVAL;
}

static int keep_text(const char *text, void *ret, sj_arena *arena)
{
        const char *kept = sj_arena_strndup(arena, text, strlen(text));
        if (!kept)
                return -ENOMEM;
        *(const char **)ret = kept;
        return 0;
}

static int read_choice(const setting *row, const char *text, unsigned *ret,
                       char why[SETTINGS_WHY_SIZE])
{
        char list[120] = "";
        for (unsigned i = 0; row->choices[i]; i++) {
                if (strcmp(row->choices[i], text) == 0) {
                        *ret = i;
                        return 0;
                }
                size_t n = strlen(list);
                snprintf(list + n, sizeof(list) - n, "%s%s",
                         i == 0                ? ""
                         : row->choices[i + 1] ? ", "
                                               : " or ",
                         row->choices[i]);
        }
        return wrong(why, text, "%s", list);
}

/* Names with commas between, without blanks around them; none is empty. */
static int read_names(const char *text, const char **ret, sj_arena *arena,
                      char why[SETTINGS_WHY_SIZE])
{
        char *kept = sj_arena_alloc(arena, strlen(text) + 1);
        if (!kept)
                return -ENOMEM;
        size_t n = 0, name = 0;
        for (const char *c = text;; c++) {
                bool end = *c == ',' || !*c;
                if (end) {
                        while (n > name && isspace((unsigned char)kept[n - 1]))
                                n--;
                        if (n == name)
                                return wrong(why, text, "a list of names with commas between");
                        kept[n++] = *c;
                        name = n;
                        if (!*c)
                                break;
                } else if (n > name || !isspace((unsigned char)*c)) {
                        kept[n++] = *c;
                }
        }
        *ret = kept;
        return 0;
}

static int read_content(const char *text, const char **ret, sj_arena *arena,
                        char why[SETTINGS_WHY_SIZE])
{
        const char *names;
        unsigned accept;
        int r = read_names(text, &names, arena, why);
        if (r == 0 && message_accept_read(names, &accept) < 0)
                return wrong(why, text,
                             "json, msgpack or both (pickle and yaml are never decoded)");
        if (r == 0)
                *ret = names;
        return r;
}

static int read_rate(const char *text, const char **ret, sj_arena *arena,
                     char why[SETTINGS_WHY_SIZE])
{
        double rate;
        if (is_none(text)) {
                *ret = NULL;
                return 0;
        }
        if (task_parse_rate(text, &rate) < 0)
                return wrong(why, text, "a rate, as 10/s, 10/m or 10/h");
        return keep_text(text, ret, arena);
}

static int read_bounds(const setting *row, const char *text, settings_bounds *ret,
                       char why[SETTINGS_WHY_SIZE])
{
        char first[16];
        unsigned max = 0, min = 0;
        size_t n = strcspn(text, ",");
        if (is_none(text)) {
                *ret = (settings_bounds){0, 0};
                return 0;
        }
        snprintf(first, sizeof(first), "%.*s", (int)(n < 15 ? n : 15), text);
        const char *second = text + n + (text[n] == ',');
        second += strspn(second, " ");
        if (!settings_read_count(first, row->most, &max) || max == 0 ||
            (text[n] && !settings_read_count(second, row->most, &min)) || min > max)
                return wrong(why, text, "the most and the least, as 10,3, at most %u", row->most);
        *ret = (settings_bounds){max, min ? min : 1};
        return 0;
}

/* An address has no white space: a long one may go on in the next line. */
static int read_address(const char *text, const char **ret, sj_arena *arena,
                        char why[SETTINGS_WHY_SIZE])
{
        char *kept = sj_arena_alloc(arena, strlen(text) + 1);
        if (!kept)
                return -ENOMEM;
        size_t n = 0;
        for (const char *c = text; *c; c++)
                if (*c != '\n')
                        kept[n++] = *c;
        kept[n] = '\0';
        for (size_t i = 0; i < n; i++)
                if ((unsigned char)kept[i] < 0x20 || kept[i] == 0x7f) {
                        snprintf(why, SETTINGS_WHY_SIZE, "has control characters");
                        return -EINVAL;
                }
        if (n == 0) {
                snprintf(why, SETTINGS_WHY_SIZE, "is empty");
                return -EINVAL;
        }
        *ret = kept;
        return 0;
}

int settings_value_read(const setting *row, const char *text, settings_values *v, sj_arena *arena,
                        char why[SETTINGS_WHY_SIZE])
{
        void *at = (char *)v + row->offset;
        switch (row->kind) {
        case SETTINGS_TEXT:
        case SETTINGS_ADDRESS:
        case SETTINGS_COMMAND:
                return read_address(text, at, arena, why);
        case SETTINGS_BOOL:
                return settings_read_bool(text, at) ? 0 : wrong(why, text, "true or false");
        case SETTINGS_COUNT:
                if (text[0] != '0' && settings_read_count(text, row->most, at))
                        return 0;
                return wrong(why, text, "a number from 1 to %u, or none", row->most);
        case SETTINGS_SECONDS:
                if (row->endless && is_none(text)) {
                        *(double *)at = HUGE_VAL;
                        return 0;
                }
                return settings_read_seconds(text, at)
                               ? 0
                               : wrong(why, text, "a number of seconds, as 10 or 0.5, or none");
        case SETTINGS_CHOICE:
                return read_choice(row, text, at, why);
        case SETTINGS_NAMES:
                return read_names(text, at, arena, why);
        case SETTINGS_CONTENT:
                return read_content(text, at, arena, why);
        case SETTINGS_RATE:
                return read_rate(text, at, arena, why);
        case SETTINGS_BOUNDS:
                return read_bounds(row, text, at, why);
        case SETTINGS_PAIRS:
                return settings_pairs_read(
                        text, at, row->offset == offsetof(settings_values, task_annotations), arena,
                        why);
        }
        return -EINVAL;
}
