/* SPDX-License-Identifier: MIT */
/* report: what is shown of the runs: a table or JSON. */
#ifndef SQUIRREL_REPORT_H
#define SQUIRREL_REPORT_H

#include "mode.h"

typedef struct report_row {
        const char *mode;
        sj_time took;
        const check *checks; /* one for each site */
} report_row;

/* How many sites of the row are down. */
size_t report_down(const report_row *row, size_t sites);

/* The first site on which two rows disagree, or the number of sites. */
size_t report_disagreement(const report_row rows[], size_t n, size_t sites);

/* On standard output: a row for each mode, then the sites that are down by the last row. */
void report_table(const report_row rows[], size_t n, const site_list *list);
int report_json(const report_row rows[], size_t n, const site_list *list);

#endif
