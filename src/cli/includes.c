/* SPDX-License-Identifier: MIT */
/*
 * A header cannot say of itself that it is the system's and so escape: `#pragma GCC system_header`
 * counts from its own line on, and the marker that enters the file comes before.
 */
#include "cli/includes.h"

#include "os/os.h"

#include <limits.h>
#include <stdio.h>

static int check_file(const char *path, const char *own, char error[TRUST_ERROR_SIZE])
{
        char real[PATH_MAX];
        size_t n = strlen(own);
        if (path[0] == '<' || os_real_path(path, real, sizeof(real)) < 0)
                return 0; /* "<built-in>" and its kin */
        if (strncmp(real, own, n) == 0 && real[n] == '/')
                return 0;
        int r = trust_check(real, error);
        if (r < 0 && r != -EPERM)
                snprintf(error, TRUST_ERROR_SIZE, "%.300s: %s", path, sj_strerror(r));
        return r;
}

/* The file of a line that is a marker, with its escapes undone; false: none to be looked at. */
static bool marker_file(const char *line, const char *end, char path[PATH_MAX])
{
        if (end - line < 5 || line[0] != '#' || line[1] != ' ')
                return false;
        const char *p = memchr(line, '"', (size_t)(end - line));
        size_t n = 0;
        for (p = p ? p + 1 : end; p < end && *p != '"' && n + 1 < PATH_MAX; p++) {
                bool escaped = *p == '\\' && p + 1 < end;
                p += escaped;
                path[n++] = escaped && *p == 'n' ? '\n' : *p;
        }
        path[n] = '\0';
        bool system = p < end && memmem(p, (size_t)(end - p), " 3", 2) != NULL;
        return p < end && n > 0 && !system;
}

int includes_check(sj_str text, const char *own, char error[TRUST_ERROR_SIZE])
{
        char path[PATH_MAX];
        char last[PATH_MAX] = "";
        const char *end = text.data + text.n;
        for (const char *line = text.data; line && line < end;) {
                const char *eol = memchr(line, '\n', (size_t)(end - line));
                if (marker_file(line, eol ? eol : end, path) && strcmp(path, last) != 0) {
                        strcpy(last, path);
                        int r = check_file(path, own, error);
                        if (r < 0)
                                return r;
                }
                line = eol ? eol + 1 : NULL;
        }
        return 0;
}
