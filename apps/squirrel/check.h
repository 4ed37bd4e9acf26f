/* SPDX-License-Identifier: MIT */
/*
 * check: whether one site is up. It is, if a HEAD request is answered in time with a status below
 * 400, after redirects. All that is known of a check is in a struct without pointers, so that it
 * can come from another process.
 */
#ifndef SQUIRREL_CHECK_H
#define SQUIRREL_CHECK_H

#include <sanjab/http.h>

enum { CHECK_WHY_MAX = SJ_HTTP_WHY_MAX };

typedef struct check {
        bool up;
        int status;              /* 0: there was no answer */
        sj_time took;            /* from the call to the outcome */
        char why[CHECK_WHY_MAX]; /* why it is down; "" when it is up */
} check;

/* Checks the site, in a fiber. Fails with -ECANCELED alone; whatever the site does is in *ret. */
int check_site(sj_http_session *session, const char *url, sj_time timeout, check *ret);

/* As check_site, with a session of its own. */
int check_site_alone(const char *url, sj_time timeout, check *ret);

/* As check_site_alone, in a thread that has no loop: runs one. */
void check_site_in_thread(const char *url, sj_time timeout, check *ret);

/* A check that could not be made at all. */
void check_failed(int error, check *ret);

#endif
