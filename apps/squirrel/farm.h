/* SPDX-License-Identifier: MIT */
/*
 * farm: a list of pretend sites, served on loopback. All of them are one server, which tells them
 * apart by the Host of the request. A line of the list is
 *
 *         NAME DELAY OUTCOME [OWNER]       comments as in a list of sites
 *
 * DELAY is in milliseconds; OUTCOME is a status (200 to 599), or "silent" (the request is never
 * answered), "reset" (the connection is closed after the delay) or "unknown" (the name does not
 * resolve, so that nobody comes).
 */
#ifndef SQUIRREL_FARM_H
#define SQUIRREL_FARM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FARM_NAME_MAX = 200 };

typedef enum farm_kind {
        FARM_STATUS,
        FARM_SILENT,
        FARM_RESET,
        FARM_UNKNOWN,
} farm_kind;

typedef struct farm_site {
        char name[FARM_NAME_MAX + 1];
        char owner[FARM_NAME_MAX + 1];
        int64_t delay_ms;
        farm_kind kind;
        int status;
} farm_site;

typedef struct farm {
        farm_site *sites;
        size_t n;
} farm;

/* As site_list_read. */
int farm_read(const char *path, farm *ret, char *error, size_t size);
void farm_free(farm *f);

typedef struct farm_options {
        uint16_t port;          /* 0: any that is free */
        const char *sites_path; /* a list for `squirrel check` is written there, or NULL */
        const char *hosts_path; /* the names as in hosts(5), for SANJAB_HOSTS, or NULL */
} farm_options;

/*
 * Serves until SIGINT or SIGTERM. The two files are written when it is ready to serve. 0, or
 * -errno with a sentence in error.
 */
int farm_serve(const farm *f, const farm_options *options, char *error, size_t size);

#endif
