/* SPDX-License-Identifier: MIT */
/* Limits of connections and of time, and cancellation. */
#include "http/rig.h"

static int slow(sj_http_exchange *x, void *arg)
{
        int r = sj_sleep(arg ? *(sj_time *)arg : SJ_SEC);
        return r < 0 ? r : sj_http_respond(x, 200, NULL, 0, SJ_STR("done"), SJ_NEVER);
}

typedef struct job {
        sj_http_session *session;
        const char *url;
        sj_time deadline;
        int expected;
        unsigned *order; /* of ending */
        unsigned place;
} job;

static int run_job(void *arg)
{
        job *j = arg;
        sj_http_response *p;
        sj_http_error why;
        int r = sj_http_get(j->session, j->url, &p, &why, j->deadline);
        expect_equal(r, j->expected);
        if (r < 0)
                return 0;
        rig_expect_body(p, "done");
        if (j->order)
                j->place = (*j->order)++;
        sj_http_response_free(p);
        return 0;
}

/* How many are being answered at the moment, and the most there were. */
typedef struct counted {
        unsigned now, most;
} counted;

static int count(sj_http_exchange *x, void *arg)
{
        counted *c = arg;
        c->now++;
        c->most = c->now > c->most ? c->now : c->most;
        int r = sj_sleep(SJ_SEC);
        c->now--;
        return r < 0 ? r : sj_http_respond(x, 200, NULL, 0, SJ_STR("done"), SJ_NEVER);
}

static int no_more_connections_than_the_limits_say(void *arg)
{
        (void)arg;
        counted in_a = {0}, in_b = {0};
        rig a = {.handler = count, .arg = &in_a}, b = {.handler = count, .arg = &in_b};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&a, scope);
        rig_start(&b, scope);
        sj_http_session *session =
                rig_session((sj_http_options){.connections = 3, .host_connections = 2});
        SJ_SCOPE(jobs_scope, SJ_NEVER, 0);
        job jobs[12];
        for (size_t i = 0; i < 12; i++) {
                jobs[i] = (job){session, i % 3 ? a.url : b.url, SJ_NEVER, 0, NULL, 0};
                expect_equal(sj_spawn(jobs_scope, run_job, &jobs[i], NULL), 0);
        }
        expect_equal(sj_scope_join(jobs_scope), 0);
        expect_equal(in_a.most, 2);
        expect(in_b.most >= 1 && in_b.most <= 2);
        sj_http_session_free(session);
        rig_stop(&a, scope);
        sj_listener_close(b.listener);
        return 0;
}

static int waiters_are_served_in_the_order_of_their_coming(void *arg)
{
        (void)arg;
        rig server = {.handler = slow};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){.connections = 1});
        SJ_SCOPE(jobs_scope, SJ_NEVER, 0);
        job jobs[6];
        unsigned order = 0;
        for (unsigned i = 0; i < 6; i++) {
                jobs[i] = (job){session, server.url, SJ_NEVER, 0, &order, 0};
                expect_equal(sj_spawn(jobs_scope, run_job, &jobs[i], NULL), 0);
                sj_sleep(SJ_MS); /* which of the ready runs first is the seed's choice */
        }
        expect_equal(sj_scope_join(jobs_scope), 0);
        for (unsigned i = 0; i < 6; i++)
                expect_equal(jobs[i].place, i);
        expect_equal(server.accepted, 1);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

/* A waiter that goes away must not take his turn with him, nor the turns of others. */
static int waiters_can_go_away(void *arg)
{
        (void)arg;
        rig server = {.handler = slow};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){.connections = 1});
        SJ_SCOPE(jobs_scope, SJ_NEVER, 0);
        sj_fiber *third;
        job jobs[4] = {
                {session, server.url, SJ_NEVER, 0, NULL, 0},
                {session, server.url, sj_after(SJ_SEC / 2), -ETIMEDOUT, NULL, 0},
                {session, server.url, SJ_NEVER, -ECANCELED, NULL, 0},
                {session, server.url, SJ_NEVER, 0, NULL, 0},
        };
        for (unsigned i = 0; i < 4; i++) {
                expect_equal(sj_spawn(jobs_scope, run_job, &jobs[i], i == 2 ? &third : NULL), 0);
                sj_sleep(SJ_MS);
        }
        sj_sleep(SJ_SEC / 4);
        sj_cancel(third);
        expect_equal(sj_scope_join(jobs_scope), 0);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

static int a_kept_connection_makes_room_for_another_host(void *arg)
{
        (void)arg;
        sj_time at_once = 0;
        rig a = {.handler = slow, .arg = &at_once}, b = {.handler = slow, .arg = &at_once};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&a, scope);
        rig_start(&b, scope);
        sj_http_session *session = rig_session((sj_http_options){.connections = 1});
        for (int i = 0; i < 3; i++) {
                sj_http_response_free(
                        rig_fetch(session, &(sj_http_request){.method = "HEAD", .url = a.url}));
                sj_http_response_free(
                        rig_fetch(session, &(sj_http_request){.method = "HEAD", .url = b.url}));
        }
        expect_equal(a.accepted, 3);
        sj_http_session_free(session);
        rig_stop(&a, scope);
        sj_listener_close(b.listener);
        return 0;
}

static int a_connection_is_not_kept_longer_than_the_option_says(void *arg)
{
        sj_time at_once = 0;
        (void)arg;
        rig server = {.handler = slow, .arg = &at_once};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){.keep_alive = 2 * SJ_SEC});
        for (int i = 0; i < 3; i++) {
                sj_http_response *p;
                expect_equal(sj_http_head(session, rig_url(&server, "/"), &p, NULL, SJ_NEVER), 0);
                sj_http_response_free(p);
                sj_sleep(i == 0 ? SJ_SEC / 2 : 3 * SJ_SEC);
        }
        expect_equal(server.accepted, 2);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

/* Fetches with one limit, which must pass. */
static void expect_late(const char *url, sj_http_options limits, sj_time deadline, sj_time least,
                        sj_time most, const char *limit)
{
        sj_http_session *session = rig_session(limits);
        sj_http_response *p;
        sj_http_error why = {0};
        sj_time start = sj_now();
        sj_str body;
        int r = sj_http_get(session, url, &p, &why, deadline);
        if (r == 0) {
                r = sj_http_response_read_all(p, 0, &body, deadline);
                why = *sj_http_response_error(p);
                sj_http_response_free(p);
        }
        expect_equal(r, -ETIMEDOUT);
        expect_equal(why.step, SJ_HTTP_STEP_TIME);
        if (!strstr(why.text, limit))
                fprintf(stderr, "%s\n", why.text);
        expect(strstr(why.text, limit));
        sj_time took = sj_now() - start;
        expect(took >= least && took <= most);
        sj_http_session_free(session);
}

static void say_nothing(sj_stream *s, void *arg)
{
        (void)arg;
        sj_sleep(SJ_HOUR);
        sj_stream_close(s);
}

static int silence_ends_at_the_idle_limit(void *arg)
{
        (void)arg;
        rig server = {.script = say_nothing};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        expect_late(server.url, (sj_http_options){.idle_limit = 2 * SJ_SEC}, SJ_NEVER, 2 * SJ_SEC,
                    4 * SJ_SEC, "the idle limit of 2 s");
        expect_late(server.url, (sj_http_options){.total_limit = 3 * SJ_SEC}, SJ_NEVER, 3 * SJ_SEC,
                    3 * SJ_SEC + SJ_SEC / 10, "the total limit of 3 s");
        expect_late(server.url, (sj_http_options){0}, sj_after(SJ_SEC), SJ_SEC,
                    SJ_SEC + SJ_SEC / 10, "the caller's deadline");
        rig_stop(&server, scope);
        return 0;
}

/* One byte every 900 ms, for ever: never silent for a second. */
static void drip(sj_stream *s, void *arg)
{
        char request[1024];
        (void)arg;
        int r = rig_read_head(s, request, sizeof(request)) > 4 ? 0 : -EPROTO;
        if (r == 0)
                r = sj_write(s, "HTTP/1.1 200 OK\r\n\r\n", 19, SJ_NEVER);
        while (r == 0) {
                r = sj_sleep(900 * SJ_MS);
                if (r == 0)
                        r = sj_write(s, "x", 1, SJ_NEVER);
        }
        sj_stream_close(s);
}

static int a_dripping_body_ends_at_the_total_limit(void *arg)
{
        (void)arg;
        rig server = {.script = drip};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        expect_late(server.url,
                    (sj_http_options){.idle_limit = 3 * SJ_SEC, .total_limit = 30 * SJ_SEC},
                    SJ_NEVER, 30 * SJ_SEC, 31 * SJ_SEC, "the total limit of 30 s");
        expect_late(server.url, (sj_http_options){.idle_limit = 500 * SJ_MS}, SJ_NEVER, 500 * SJ_MS,
                    2 * SJ_SEC, "the idle limit of 0.5 s");
        rig_stop(&server, scope);
        return 0;
}

static int reading_goes_on_after_the_callers_deadline(void *arg)
{
        (void)arg;
        rig server = {.script = drip};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){0});
        sj_http_response *p = rig_fetch(session, &(sj_http_request){.url = server.url});
        char byte[4];
        int got = 0;
        for (int i = 0; i < 20; i++) {
                ssize_t n = sj_http_response_read(p, byte, 1, sj_after(400 * SJ_MS));
                expect(n == 1 || n == -ETIMEDOUT);
                got += n == 1;
        }
        expect(got >= 3);
        sj_http_response_free(p);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

static int a_scope_whose_time_is_up_cancels(void *arg)
{
        (void)arg;
        rig server = {.script = say_nothing};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){.connections = 1});
        sj_http_response *p = NULL;
        sj_http_error why = {0};
        {
                SJ_SCOPE(short_scope, sj_after(SJ_SEC), 0);
                (void)short_scope;
                for (int i = 0; i < 3; i++) {
                        expect_equal(sj_http_get(session, server.url, &p, &why, SJ_NEVER),
                                     -ECANCELED);
                        expect_equal(why.step, SJ_HTTP_STEP_CANCEL);
                }
                expect(!p);
        }
        server.script = drip;
        p = rig_fetch(session, &(sj_http_request){.url = server.url});
        {
                SJ_SCOPE(short_scope, sj_after(2 * SJ_SEC), 0);
                (void)short_scope;
                sj_str body;
                expect_equal(sj_http_response_read_all(p, 0, &body, SJ_NEVER), -ECANCELED);
                expect_equal(sj_http_response_error(p)->step, SJ_HTTP_STEP_CANCEL);
                expect_equal(sj_http_response_read_all(p, 0, &body, SJ_NEVER), -ECANCELED);
        }
        char byte;
        expect_equal(sj_http_response_read(p, &byte, 1, SJ_NEVER), 1);
        sj_http_response_free(p);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

#define TESTS(X)                                                \
        X(no_more_connections_than_the_limits_say)              \
        X(waiters_are_served_in_the_order_of_their_coming)      \
        X(waiters_can_go_away)                                  \
        X(a_kept_connection_makes_room_for_another_host)        \
        X(a_connection_is_not_kept_longer_than_the_option_says) \
        X(silence_ends_at_the_idle_limit)                       \
        X(a_dripping_body_ends_at_the_total_limit)              \
        X(reading_goes_on_after_the_callers_deadline)           \
        X(a_scope_whose_time_is_up_cancels)

TESTS(RIG_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {TESTS(RIG_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
