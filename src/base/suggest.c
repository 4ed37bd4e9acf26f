/* SPDX-License-Identifier: MIT */
/*
 * The distance of Damerau and Levenshtein, with each pair of neighbours swapped at most once. Of
 * the table only three rows are kept.
 */
#include "base/suggest.h"

enum { WORD_MAX = 40 };

static size_t least(size_t a, size_t b)
{
        return a < b ? a : b;
}

/* Of words of at most WORD_MAX bytes. */
static size_t distance(const char *a, size_t n, const char *b, size_t m)
{
        size_t rows[3][WORD_MAX + 1];
        for (size_t j = 0; j <= m; j++)
                rows[0][j] = j;
        for (size_t i = 1; i <= n; i++) {
                size_t *row = rows[i % 3];
                const size_t *above = rows[(i + 2) % 3];
                const size_t *two_above = rows[(i + 1) % 3];
                row[0] = i;
                for (size_t j = 1; j <= m; j++) {
                        row[j] = above[j - 1] + (a[i - 1] != b[j - 1]);
                        row[j] = least(row[j], least(above[j], row[j - 1]) + 1);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                row[j] = least(row[j], two_above[j - 2] + 1);
                }
        }
        return rows[n % 3][m];
}

const char *suggest_nearest(const char *word, const char *const names[])
{
        size_t n = strlen(word);
        if (n == 0 || n > WORD_MAX)
                return NULL;
        const char *best = NULL;
        size_t best_distance = SIZE_MAX;
        for (; *names; names++) {
                size_t m = strlen(*names);
                if (m > WORD_MAX)
                        continue;
                size_t d = distance(word, n, *names, m);
                /* A third of the longer word may be wrong, or one character of a short one. */
                size_t allowed = (n > m ? n : m) / 3;
                if (d <= (allowed ? allowed : 1) && d < m && d < best_distance) {
                        best = *names;
                        best_distance = d;
                }
        }
        return best;
}
