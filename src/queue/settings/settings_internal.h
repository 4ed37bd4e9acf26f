/* SPDX-License-Identifier: MIT */
/* settings_internal: what the files of settings share. */
#ifndef SANJAB_QUEUE_SETTINGS_INTERNAL_H
#define SANJAB_QUEUE_SETTINGS_INTERNAL_H

#include "queue/settings/settings.h"
#include "queue/task/task_annotation.h"

enum { SETTINGS_MAX = 64, SETTINGS_WHY_SIZE = 300 };

typedef struct settings_place {
        settings_origin origin;
        unsigned line;      /* of the file */
        const char *option; /* of the command line */
} settings_place;

struct settings {
        sj_arena *arena;
        const char *path; /* of the file, or NULL */
        settings_values values;
        /* of each row of the table */
        settings_place places[SETTINGS_MAX];
        const char *texts[SETTINGS_MAX];
        /* what pairs mean */
        sj_route *routes;
        size_t n_routes;
        worker_queue_rate *queue_rates;
        size_t n_queue_rates;
        sj_retry_policy publish;
        const char *transport;
        const char *result_transport;
        task_annotation *annotations;
        size_t n_annotations;
        bool has_command;
};

/* Settings on their way. An error of memory stays in r; a mistake is a line more in error. */
typedef struct settings_reading {
        settings *s;
        buf *error;
        int r;
} settings_reading;

static inline size_t settings_row(const setting *row)
{
        return (size_t)(row - settings_table);
}

/* Adds the line "PLACE: text". A place of the defaults has no name. */
void settings_complain(settings_reading *x, const settings_place *place, const char *format, ...)
        SJ_PRINTF(3, 4);

/* Sets the row to what the text says, or complains. */
void settings_set(settings_reading *x, const setting *row, const char *text,
                  const settings_place *place);
/* Complains of a name that no setting has. */
void settings_unknown(settings_reading *x, const char *name, const char *value,
                      const settings_place *place);

/* Reads text into the row's member of *v. -EINVAL with what is wrong in why, as "is not ..." */
int settings_value_read(const setting *row, const char *text, settings_values *v, sj_arena *arena,
                        char why[SETTINGS_WHY_SIZE]);
/* Whether a text says true or false. */
bool settings_read_bool(const char *text, bool *ret);
/* Seconds; "none" is 0. */
bool settings_read_seconds(const char *text, double *ret);
/* A number up to most; "none" is 0. */
bool settings_read_count(const char *text, unsigned most, unsigned *ret);

/* Reads a JSON object into the row's pairs. As settings_value_read. */
int settings_pairs_read(const char *text, settings_pairs *ret, bool deep, sj_arena *arena,
                        char why[SETTINGS_WHY_SIZE]);
/* Adds a pair of a section. -EEXIST its name is there already; -ENOMEM. */
int settings_pairs_add(settings_pairs *pairs, sj_arena *arena, const char *name, const char *text,
                       unsigned line);
/* The row's member. */
static inline settings_pairs *settings_pairs_of(settings_values *v, const setting *row)
{
        return (settings_pairs *)(void *)((char *)v + row->offset);
}
/* Works out what all pairs mean. */
void settings_pairs_mean(settings_reading *x);

/* Sets all that the text of a file says. */
void settings_file_read(settings_reading *x, sj_str text);

#endif
