/* SPDX-License-Identifier: MIT */
#include "site.h"

#include <stdio.h>
#include <stdlib.h>

static const char blanks[] = " \t\r\n";

/* Ends the line at its comment, if it has one. */
static void strip_comment(char *line)
{
        for (char *p = line; *p; p++)
                if (*p == '#' && (p == line || strchr(blanks, p[-1]))) {
                        *p = '\0';
                        return;
                }
}

static void strip_end(char *text)
{
        size_t n = strlen(text);
        while (n > 0 && strchr(blanks, text[n - 1]))
                text[--n] = '\0';
}

/* What is wrong with a URL, or NULL. The HTTP client looks closer: this is for mistyped lists. */
static const char *url_mistake(const char *url)
{
        size_t n = strlen(url);
        if (n > SITE_URL_MAX)
                return "the URL is longer than 2000 bytes";
        const char *rest = strncmp(url, "http://", 7) == 0    ? url + 7
                           : strncmp(url, "https://", 8) == 0 ? url + 8
                                                              : NULL;
        if (!rest)
                return "a site begins with http:// or https://";
        if (*rest == '\0' || *rest == '/' || *rest == ':')
                return "the URL has no host";
        for (const char *p = url; *p; p++)
                if ((unsigned char)*p < 0x21 || (unsigned char)*p == 0x7f)
                        return "the URL has a control character";
        return NULL;
}

static int append(site_list *list, size_t *capacity, const char *url, const char *owner,
                  unsigned line)
{
        if (list->n == *capacity) {
                size_t more = *capacity ? *capacity * 2 : 64;
                site *sites = realloc(list->sites, more * sizeof(site));
                if (!sites)
                        return -ENOMEM;
                list->sites = sites;
                *capacity = more;
        }
        site *s = &list->sites[list->n];
        *s = (site){.url = strdup(url), .owner = strdup(owner), .line = line};
        list->n++;
        return s->url && s->owner ? 0 : -ENOMEM;
}

static int parse_line(site_list *list, size_t *capacity, char *text, unsigned line,
                      const char **ret_mistake)
{
        strip_comment(text);
        strip_end(text);
        char *url = text + strspn(text, blanks);
        if (*url == '\0')
                return 0;
        char *owner = url + strcspn(url, blanks);
        if (*owner != '\0') {
                *owner++ = '\0';
                owner += strspn(owner, blanks);
        }
        *ret_mistake = url_mistake(url);
        if (!*ret_mistake && strlen(owner) > SITE_OWNER_MAX)
                *ret_mistake = "the owner is longer than 200 bytes";
        if (!*ret_mistake && list->n == SITES_MAX)
                *ret_mistake = "there are more than a million sites";
        return *ret_mistake ? -EBADMSG : append(list, capacity, url, owner, line);
}

static int read_lines(FILE *file, const char *name, site_list *list, char *error, size_t size)
{
        char *text = NULL;
        size_t text_size = 0, capacity = 0;
        unsigned line = 0;
        int r = 0;
        ssize_t n;
        while (r >= 0 && (n = getline(&text, &text_size, file)) >= 0) {
                const char *mistake = NULL;
                line++;
                if (strlen(text) != (size_t)n) {
                        r = -EBADMSG;
                        mistake = "there is a zero byte in the line";
                } else {
                        r = parse_line(list, &capacity, text, line, &mistake);
                }
                if (r < 0)
                        snprintf(error, size, "%s:%u: %s", name, line,
                                 mistake ? mistake : sj_strerror(r));
        }
        free(text);
        if (r >= 0 && ferror(file)) {
                r = -EIO;
                snprintf(error, size, "%s: cannot be read", name);
        }
        return r;
}

int site_list_read(const char *path, site_list *ret, char *error, size_t size)
{
        bool standard = strcmp(path, "-") == 0;
        FILE *file = standard ? stdin : fopen(path, "re");
        if (!file) {
                int r = -errno;
                snprintf(error, size, "%s: %s", path, sj_strerror(r));
                return r;
        }
        site_list list = {0};
        int r = read_lines(file, standard ? "standard input" : path, &list, error, size);
        if (!standard)
                fclose(file);
        if (r >= 0 && list.n == 0) {
                r = -ENODATA;
                snprintf(error, size, "%s: there is no site in it", path);
        }
        if (r < 0) {
                site_list_free(&list);
                return r;
        }
        *ret = list;
        return 0;
}

void site_list_free(site_list *list)
{
        for (size_t i = 0; i < list->n; i++) {
                free(list->sites[i].url);
                free(list->sites[i].owner);
        }
        free(list->sites);
        *list = (site_list){0};
}
