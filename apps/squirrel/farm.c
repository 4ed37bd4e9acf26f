/* SPDX-License-Identifier: MIT */
/* The list of a farm, and the files that it gives to those who visit it. */
#include "farm.h"

#include "farm_server.h"
#include "site.h"

#include <stdio.h>
#include <stdlib.h>

enum { DELAY_MAX_MS = 3600 * 1000 };

static const struct {
        const char *word;
        farm_kind kind;
} kinds[] = {{"silent", FARM_SILENT}, {"reset", FARM_RESET}, {"unknown", FARM_UNKNOWN}};

/* The outcome's word or status into *s; NULL, or what is wrong. */
static const char *parse_outcome(const char *word, farm_site *s)
{
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
                if (strcmp(kinds[i].word, word) == 0) {
                        s->kind = kinds[i].kind;
                        return NULL;
                }
        char *end;
        long status = strtol(word, &end, 10);
        if (*end != '\0' || status < 200 || status > 599)
                return "an outcome is a status from 200 to 599, silent, reset or unknown";
        s->kind = FARM_STATUS;
        s->status = (int)status;
        return NULL;
}

static const char *parse_line(char *text, farm_site *s, bool *ret_empty)
{
        char outcome[16] = "", delay[16] = "";
        int end = 0;
        text[strcspn(text, "#\r\n")] = '\0';
        *ret_empty = text[strspn(text, " \t")] == '\0';
        if (*ret_empty)
                return NULL;
        int fields = sscanf(text, "%200s %15s %15s %n", s->name, delay, outcome, &end);
        if (fields < 3)
                return "a line is NAME DELAY OUTCOME [OWNER]";
        char *rest;
        s->delay_ms = strtol(delay, &rest, 10);
        if (*rest != '\0' || s->delay_ms < 0 || s->delay_ms > DELAY_MAX_MS)
                return "a delay is a number of milliseconds, at most an hour";
        snprintf(s->owner, sizeof(s->owner), "%s", text + end);
        return parse_outcome(outcome, s);
}

static int append(farm *f, const farm_site *s)
{
        /* Doubling at each power of two. */
        if ((f->n & (f->n - 1)) == 0) {
                farm_site *sites = realloc(f->sites, (f->n ? f->n * 2 : 1) * sizeof(*sites));
                if (!sites)
                        return -ENOMEM;
                f->sites = sites;
        }
        f->sites[f->n++] = *s;
        return 0;
}

static int read_lines(FILE *file, const char *path, farm *f, char *error, size_t size)
{
        char *text = NULL;
        size_t capacity = 0;
        int r = 0;
        for (unsigned line = 1; r >= 0 && getline(&text, &capacity, file) >= 0; line++) {
                farm_site s = {0};
                bool empty;
                const char *mistake = parse_line(text, &s, &empty);
                if (mistake)
                        r = -EBADMSG;
                else if (!empty)
                        r = append(f, &s);
                if (r < 0)
                        snprintf(error, size, "%s:%u: %s", path, line,
                                 mistake ? mistake : sj_strerror(r));
        }
        free(text);
        if (r >= 0 && f->n == 0) {
                r = -ENODATA;
                snprintf(error, size, "%s: there is no site in it", path);
        }
        return r;
}

int farm_read(const char *path, farm *ret, char *error, size_t size)
{
        FILE *file = fopen(path, "re");
        if (!file) {
                int r = -errno;
                snprintf(error, size, "%s: %s", path, sj_strerror(r));
                return r;
        }
        farm f = {0};
        int r = read_lines(file, path, &f, error, size);
        fclose(file);
        if (r < 0)
                farm_free(&f);
        else
                *ret = f;
        return r;
}

void farm_free(farm *f)
{
        free(f->sites);
        *f = (farm){0};
}

/* Writes the file under another name first: who waits for it finds it whole. */
static int write_file(const char *path, const farm *f, uint16_t port,
                      void (*line)(FILE *file, const farm_site *s, uint16_t port))
{
        char *temporary;
        if (asprintf(&temporary, "%s.new", path) < 0)
                return -ENOMEM;
        FILE *file = fopen(temporary, "we");
        int r = file ? 0 : -errno;
        if (file) {
                for (size_t i = 0; i < f->n; i++)
                        line(file, &f->sites[i], port);
                r = ferror(file) ? -EIO : 0;
                if (fclose(file) != 0)
                        r = -errno;
                if (r >= 0 && rename(temporary, path) < 0)
                        r = -errno;
        }
        free(temporary);
        return r;
}

static void site_line(FILE *file, const farm_site *s, uint16_t port)
{
        fprintf(file, "http://%s:%u %s\n", s->name, port, s->owner);
}

static void hosts_line(FILE *file, const farm_site *s, uint16_t port)
{
        (void)port;
        if (s->kind != FARM_UNKNOWN)
                fprintf(file, "127.0.0.1 %s\n", s->name);
}

int farm_write_files(const farm *f, const farm_options *options, uint16_t port)
{
        int r = 0;
        if (options->hosts_path)
                r = write_file(options->hosts_path, f, port, hosts_line);
        if (r >= 0 && options->sites_path)
                r = write_file(options->sites_path, f, port, site_line);
        return r;
}
