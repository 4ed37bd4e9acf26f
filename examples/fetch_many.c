/* SPDX-License-Identifier: MIT */
/*
 * 1000 requests over one session, which opens 100 connections at most and sets limits to the time
 * of each; some pages are missing or broken, some never come, and one server is not there.
 */
#include "pages.h"

enum { REQUESTS = 1000 };

typedef struct request {
        sj_http_session *session;
        char url[64];
        int status; /* 0: it failed */
        sj_http_error why;
} request;

static int fetch(void *arg)
{
        request *q = arg;
        sj_http_response *response;
        int r = sj_http_get(q->session, q->url, &response, &q->why, SJ_NEVER);
        if (r < 0)
                return 0; /* it is counted, and the others go on */
        sj_str body;
        r = sj_http_response_read_all(response, 0, &body, SJ_NEVER);
        if (r >= 0)
                q->status = sj_http_response_status(response);
        else
                q->why = *sj_http_response_error(response);
        sj_http_response_free(response);
        return 0;
}

static void choose_url(request *q, int i, uint16_t port)
{
        const char *path = i % 50 == 0   ? "9999/0/200"
                           : i % 20 == 1 ? "0.1/10/500"
                           : i % 10 == 2 ? "0.1/20/404"
                                         : "0.1/300/200";
        snprintf(q->url, sizeof(q->url), "http://127.0.0.1:%d/%s", i % 100 == 3 ? 1 : port, path);
}

static void count(const request requests[])
{
        int statuses[1000] = {0}, steps[SJ_HTTP_STEP_CANCEL + 1] = {0};
        for (int i = 0; i < REQUESTS; i++)
                if (requests[i].status)
                        statuses[requests[i].status]++;
                else
                        steps[requests[i].why.step]++;
        for (int i = 0; i < 1000; i++)
                if (statuses[i])
                        printf("status %d: %d\n", i, statuses[i]);
        for (int i = 0; i <= SJ_HTTP_STEP_CANCEL; i++)
                if (steps[i])
                        printf("failed by %s: %d\n", sj_http_step_name((sj_http_step)i), steps[i]);
}

static int fetch_all(request requests[], sj_http_session *session, uint16_t port)
{
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < REQUESTS; i++) {
                requests[i] = (request){.session = session};
                choose_url(&requests[i], i, port);
                int r = sj_spawn(s, fetch, &requests[i], NULL);
                if (r < 0)
                        return r;
        }
        return sj_scope_join(s);
}

static int fetch_many(uint16_t port)
{
        static request requests[REQUESTS];
        const sj_http_options options = {
                .connections = 100, .connect_limit = seconds(20), .total_limit = seconds(60)};
        sj_http_session *session;
        int r = sj_http_session_new(&options, &session);
        if (r < 0)
                return r;
        r = fetch_all(requests, session, port);
        sj_http_session_free(session);
        count(requests);
        return r;
}

int main(void)
{
        return pages_run(fetch_many);
}
