/* SPDX-License-Identifier: MIT */
/*
 * site: the list of sites. One URL a line, after blanks an owner (anything up to the end of the
 * line), and from a # on a comment, if the # is at the beginning of the line or after a blank.
 */
#ifndef SQUIRREL_SITE_H
#define SQUIRREL_SITE_H

#include <sanjab/base.h>

enum { SITE_URL_MAX = 2000, SITE_OWNER_MAX = 200, SITES_MAX = 1000000 };

typedef struct site {
        char *url;
        char *owner; /* "" for none */
        unsigned line;
} site;

typedef struct site_list {
        site *sites;
        size_t n;
} site_list;

/*
 * Reads the list at path ("-": standard input). -EBADMSG a line is malformed, -ENOENT and so on:
 * a sentence with the place is put into error. An empty list is -ENODATA.
 */
int site_list_read(const char *path, site_list *ret, char *error, size_t size);
void site_list_free(site_list *list);

#endif
