/* SPDX-License-Identifier: MIT */
#include "check.h"

#include <stdio.h>

static void judge(int status, check *c)
{
        c->status = status;
        c->up = status < 400;
        if (!c->up)
                snprintf(c->why, sizeof(c->why), "the answer is %d", status);
}

int check_site(sj_http_session *session, const char *url, sj_time timeout, check *ret)
{
        sj_http_response *response;
        sj_http_error why;
        check c = {0};
        sj_time start = sj_now();
        const sj_http_request head = {.method = "HEAD", .url = url, .total_limit = timeout};
        int r = sj_http_fetch(session, &head, &response, &why, SJ_NEVER);
        c.took = sj_now() - start;
        if (r == -ECANCELED)
                return r;
        if (r < 0) {
                snprintf(c.why, sizeof(c.why), "%s", why.text);
        } else {
                judge(sj_http_response_status(response), &c);
                sj_http_response_free(response);
        }
        *ret = c;
        return 0;
}

int check_site_alone(const char *url, sj_time timeout, check *ret)
{
        sj_http_session *session;
        int r = sj_http_session_new(NULL, &session);
        if (r < 0) {
                check_failed(r, ret);
                return 0;
        }
        r = check_site(session, url, timeout, ret);
        sj_http_session_free(session);
        return r;
}

typedef struct job {
        const char *url;
        sj_time timeout;
        check *ret;
} job;

static int run_job(void *arg)
{
        const job *j = arg;
        return check_site_alone(j->url, j->timeout, j->ret);
}

void check_site_in_thread(const char *url, sj_time timeout, check *ret)
{
        job j = {url, timeout, ret};
        int r = sj_run(run_job, &j);
        if (r < 0)
                check_failed(r, ret);
}

void check_failed(int error, check *ret)
{
        *ret = (check){0};
        snprintf(ret->why, sizeof(ret->why), "it could not be checked: %s", sj_strerror(error));
}
