/* SPDX-License-Identifier: MIT */
/*
 * The text of a settings file, read by inih line by line. What we add to it:
 *
 *   - the number of each line, which its handler is not told;
 *   - lines of any length: inih sees at most 199 bytes of one. A longer one is handed to it in
 *     pieces, as a line and its continuations, and put together again;
 *   - a mistake in the form of a line is seen by that no entry has come of it. inih itself would
 *     tell the first only.
 *
 * An entry is complete when the next one begins, as its value may go on in indented lines.
 */
#include "queue/settings/settings_internal.h"

#ifdef SANJAB_INIH
#include "base/suggest.h"
#include "base/utf8.h"

#include <ctype.h>
#include <ini.h>
#include <stdio.h>

enum { HEADING_MAX = 49 }; /* what inih keeps of one */

typedef struct file_reading {
        settings_reading *x;
        const char *at; /* what has not been handed out */
        const char *end;
        const char *rest; /* of a line that was too long; NULL: none */
        const char *rest_end;
        unsigned line;
        /* the line that inih has now */
        bool indented;
        bool piece;   /* it continues a long line, rather than an entry */
        bool matters; /* something should come of it */
        bool came;    /* and has */
        /* the entry that is being read */
        bool open;
        unsigned entry_line;
        char section[64];
        buf name;
        buf value;
        char unknown_section[64]; /* that was complained of */
} file_reading;

static settings_place file_place(unsigned line)
{
        return (settings_place){.origin = SETTINGS_FROM_FILE, .line = line};
}

/* ── Entries ─────────────────────────────────────────────────────────────────────────────── */

static void file_unknown_section(file_reading *f, const settings_place *place)
{
        const char *names[SETTINGS_MAX + 2] = {"sanjab"};
        size_t n = 1;
        if (strcmp(f->section, f->unknown_section) == 0)
                return;
        snprintf(f->unknown_section, sizeof(f->unknown_section), "%s", f->section);
        for (const setting *row = settings_table; row->name; row++)
                if (row->kind == SETTINGS_PAIRS)
                        names[n++] = row->name;
        names[n] = NULL;
        const char *near = suggest_nearest(f->section, names);
        if (!near && strcmp(f->section, "celery") == 0)
                near = "sanjab";
        if (near)
                settings_complain(f->x, place, "there is no section [%s]: did you mean [%s]?",
                                  f->section, near);
        else
                settings_complain(f->x, place,
                                  "there is no section [%s]: the settings stand in "
                                  "[sanjab], or in no section",
                                  f->section);
}

static void file_pair(file_reading *f, const setting *row, const settings_place *place)
{
        settings *s = f->x->s;
        settings_place *known = &s->places[settings_row(row)];
        settings_pairs *pairs = settings_pairs_of(&s->values, row);
        if (known->origin == SETTINGS_FROM_FILE && s->texts[settings_row(row)]) {
                settings_complain(f->x, place, "%s is set twice: in line %u, too", row->name,
                                  known->line);
                return;
        }
        if (known->origin != SETTINGS_FROM_FILE)
                *known = *place;
        int r = settings_pairs_add(pairs, s->arena, buf_data(&f->name), buf_data(&f->value),
                                   place->line);
        if (r == -EEXIST)
                settings_complain(f->x, place, "'%s' is set twice in [%s]", buf_data(&f->name),
                                  row->name);
        else if (r < 0)
                f->x->r = r;
}

static void file_setting(file_reading *f, const settings_place *place)
{
        const char *name = buf_data(&f->name);
        const setting *row = settings_find(name);
        if (!row) {
                settings_unknown(f->x, name, buf_data(&f->value), place);
                return;
        }
        const settings_place *known = &f->x->s->places[settings_row(row)];
        if (known->origin == SETTINGS_FROM_FILE) {
                settings_complain(f->x, place, "%s is set twice: in line %u, too", name,
                                  known->line);
                return;
        }
        settings_set(f->x, row, buf_data(&f->value), place);
}

/* Applies the entry that has been read. */
static void file_close_entry(file_reading *f)
{
        if (!f->open)
                return;
        f->open = false;
        if (buf_terminate(&f->name) < 0 || buf_terminate(&f->value) < 0) {
                f->x->r = -ENOMEM;
                return;
        }
        const settings_place place = file_place(f->entry_line);
        const setting *row = settings_find(f->section);
        if (!*f->section || strcmp(f->section, "sanjab") == 0)
                file_setting(f, &place);
        else if (row && row->kind == SETTINGS_PAIRS)
                file_pair(f, row, &place);
        else
                file_unknown_section(f, &place);
}

/* What inih has found in a line. */
static int file_entry(void *arg, const char *section, const char *name, const char *value)
{
        file_reading *f = arg;
        f->came = true;
        int r = 0;
        if (f->open && (f->piece || f->indented)) {
                if (!f->piece)
                        r = buf_append_char(&f->value, '\n');
        } else {
                file_close_entry(f);
                f->open = true;
                f->entry_line = f->line;
                snprintf(f->section, sizeof(f->section), "%s", section);
                buf_clear(&f->name);
                buf_clear(&f->value);
                r = buf_append_str(&f->name, sj_str_of(name));
        }
        if (r == 0)
                r = buf_append_str(&f->value, sj_str_of(value));
        if (r < 0)
                f->x->r = r;
        return 1;
}

/* ── Lines ───────────────────────────────────────────────────────────────────────────────── */

/* What has come of the line before. */
static void file_end_line(file_reading *f)
{
        if (f->matters && !f->came) {
                const settings_place place = file_place(f->line);
                file_close_entry(f);
                settings_complain(f->x, &place, "this is neither NAME = VALUE nor [SECTION]");
                f->rest = NULL;
        }
        f->matters = false;
        f->came = false;
}

/*
 * Where a piece of at most `most` bytes of a long line ends: not beside a blank, which inih would
 * strip, nor before what it would take for a comment. NULL: nowhere.
 */
static const char *file_cut(const char *line, size_t most)
{
        for (const char *cut = line + most; cut > line; cut--)
                if (!isspace((unsigned char)cut[-1]) && !isspace((unsigned char)*cut) &&
                    !strchr(";#", *cut) && ((unsigned char)*cut & 0xc0) != 0x80)
                        return cut;
        return NULL;
}

/* Hands out [line, end), or as much of it as fits behind `used` bytes that are there. */
static void file_hand_out(file_reading *f, char *ret, size_t used, size_t size, const char *line,
                          const char *end)
{
        const char *until = end;
        f->rest = NULL;
        if ((size_t)(end - line) > size - used - 1) {
                until = file_cut(line, size - used - 1);
                if (!until) {
                        const settings_place place = file_place(f->line);
                        settings_complain(f->x, &place,
                                          "this line has nowhere to be cut: break "
                                          "it, and indent what follows");
                        until = line;
                        f->matters = false;
                } else {
                        f->rest = until;
                        f->rest_end = end;
                }
        }
        memcpy(ret + used, line, (size_t)(until - line));
        ret[used + (size_t)(until - line)] = '\0';
}

/* Where a line ends: before white space and a comment. inih sees these in some lines only. */
static const char *file_line_end(const char *line, const char *end)
{
        for (const char *c = line; c + 1 < end; c++)
                if (isspace((unsigned char)c[0]) && c[1] == ';')
                        end = c;
        while (end > line && isspace((unsigned char)end[-1]))
                end--;
        return end;
}

/* inih's fgets. */
static char *file_next(char *ret, int size, void *arg)
{
        file_reading *f = arg;
        file_end_line(f);
        if (f->rest) {
                f->piece = true;
                f->matters = true;
                ret[0] = ' ';
                file_hand_out(f, ret, 1, (size_t)size, f->rest, f->rest_end);
                return ret;
        }
        f->piece = false;
        if (f->at == f->end)
                return NULL;
        const char *line = f->at;
        const char *end = memchr(line, '\n', (size_t)(f->end - line));
        f->at = end ? end + 1 : f->end;
        end = end ? end : f->end;
        f->line++;
        if (f->line == 1 && end - line >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0)
                line += 3;
        end = file_line_end(line, end);
        const char *first = line;
        while (first < end && isspace((unsigned char)*first))
                first++;
        f->indented = first > line;
        bool comment = first < end && strchr(";#", *first);
        bool heading = first < end && *first == '[' && !(f->open && f->indented);
        f->matters = first < end && !comment;
        if (comment)
                end = first + 1;
        if (heading) {
                file_close_entry(f);
                /* No entry comes of it, but there must be an end to it where inih looks for it. */
                const char *close = memchr(first, ']', (size_t)(end - first));
                f->matters = !close || close - first >= HEADING_MAX;
                if (f->matters)
                        end = first;
        }
        file_hand_out(f, ret, 0, (size_t)size, line, end);
        return ret;
}

void settings_file_read(settings_reading *x, sj_str text)
{
        const settings_place whole = file_place(0);
        if (memchr(text.data, '\0', text.n) || !utf8_valid(text, UTF8_STRICT)) {
                settings_complain(x, &whole, "this is no text in UTF-8");
                return;
        }
        file_reading f = {.x = x,
                          .at = text.data,
                          .end = text.data + text.n,
                          .name = BUF_INIT(0),
                          .value = BUF_INIT(0)};
        int r = ini_parse_stream(file_next, &f, file_entry, &f);
        file_end_line(&f);
        file_close_entry(&f);
        if (r == -2)
                x->r = -ENOMEM;
        buf_fini(&f.name);
        buf_fini(&f.value);
}
#else
void settings_file_read(settings_reading *x, sj_str text)
{
        const settings_place whole = {.origin = SETTINGS_FROM_FILE};
        (void)text;
        settings_complain(x, &whole, "this build reads no settings files (it lacks inih)");
}
#endif
