/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <sanjab/json.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

size_t report_down(const report_row *row, size_t sites)
{
        size_t down = 0;
        for (size_t i = 0; i < sites; i++)
                down += !row->checks[i].up;
        return down;
}

size_t report_disagreement(const report_row rows[], size_t n, size_t sites)
{
        for (size_t i = 0; i < sites; i++)
                for (size_t r = 1; r < n; r++)
                        if (rows[r].checks[i].up != rows[0].checks[i].up)
                                return i;
        return sites;
}

static double seconds(sj_time t)
{
        return (double)t / (double)SJ_SEC;
}

/* Times faster than the serial row; 0 without one. */
static double speedup(const report_row rows[], size_t n, const report_row *row)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(rows[i].mode, "serial") == 0 && row->took > 0)
                        return (double)rows[i].took / (double)row->took;
        return 0;
}

typedef struct style {
        const char *bold;
        const char *red;
        const char *plain;
} style;

static style style_of_output(void)
{
        const char *no_color = getenv("NO_COLOR");
        if (!isatty(STDOUT_FILENO) || (no_color && *no_color))
                return (style){"", "", ""};
        return (style){"\033[1m", "\033[31m", "\033[0m"};
}

static void print_down(const report_row *row, const site_list *list, const style *s)
{
        int width = 0;
        for (size_t i = 0; i < list->n; i++)
                if (!row->checks[i].up && (int)strlen(list->sites[i].url) > width)
                        width = (int)strlen(list->sites[i].url);
        for (size_t i = 0; i < list->n; i++) {
                if (row->checks[i].up)
                        continue;
                const char *owner = list->sites[i].owner;
                printf("  %s%-*s%s  %s%s%s%s\n", s->red, width, list->sites[i].url, s->plain,
                       row->checks[i].why, *owner ? " (owner: " : "", owner, *owner ? ")" : "");
        }
}

void report_table(const report_row rows[], size_t n, const site_list *list)
{
        style s = style_of_output();
        printf("%s%-10s %9s %8s %8s %6s%s\n", s.bold, "mode", "time", "faster", "checked", "down",
               s.plain);
        for (size_t i = 0; i < n; i++) {
                char times[32] = "-";
                double faster = speedup(rows, n, &rows[i]);
                if (faster > 0)
                        snprintf(times, sizeof(times), "%.1f x", faster);
                printf("%-10s %7.2f s %8s %8zu %6zu\n", rows[i].mode, seconds(rows[i].took), times,
                       list->n, report_down(&rows[i], list->n));
        }
        const report_row *last = &rows[n - 1];
        size_t down = report_down(last, list->n);
        if (down == 0) {
                printf("\nall %zu sites are up\n", list->n);
                return;
        }
        printf("\n%s%zu of %zu sites are down:%s\n", s.bold, down, list->n, s.plain);
        print_down(last, list, &s);
}

static void write_down(sj_json_writer *w, const report_row *row, const site_list *list)
{
        sj_json_write_array_begin(w);
        for (size_t i = 0; i < list->n; i++) {
                const check *c = &row->checks[i];
                if (c->up)
                        continue;
                sj_json_write_object_begin(w);
                sj_json_write_name(w, "url");
                sj_json_write_string(w, sj_str_of(list->sites[i].url));
                sj_json_write_name(w, "owner");
                sj_json_write_string(w, sj_str_of(list->sites[i].owner));
                sj_json_write_name(w, "status");
                sj_json_write_int(w, c->status);
                sj_json_write_name(w, "reason");
                sj_json_write_string(w, sj_str_of(c->why));
                sj_json_write_object_end(w);
        }
        sj_json_write_array_end(w);
}

static void write_row(sj_json_writer *w, const report_row rows[], size_t n, const report_row *row,
                      const site_list *list)
{
        double faster = speedup(rows, n, row);
        sj_json_write_object_begin(w);
        sj_json_write_name(w, "mode");
        sj_json_write_string(w, sj_str_of(row->mode));
        sj_json_write_name(w, "seconds");
        sj_json_write_double(w, seconds(row->took));
        sj_json_write_name(w, "faster");
        if (faster > 0)
                sj_json_write_double(w, faster);
        else
                sj_json_write_null(w);
        sj_json_write_name(w, "checked");
        sj_json_write_int(w, (int64_t)list->n);
        sj_json_write_name(w, "down");
        write_down(w, row, list);
        sj_json_write_object_end(w);
}

int report_json(const report_row rows[], size_t n, const site_list *list)
{
        sj_json_writer *w;
        int r = sj_json_writer_new(SJ_JSON_PRETTY, &w);
        if (r < 0)
                return r;
        sj_json_write_array_begin(w);
        for (size_t i = 0; i < n; i++)
                write_row(w, rows, n, &rows[i], list);
        sj_json_write_array_end(w);
        sj_str text;
        r = sj_json_writer_end(w, &text);
        if (r >= 0)
                printf("%.*s\n", SJ_STR_ARG(text));
        sj_json_writer_free(w);
        return r;
}
