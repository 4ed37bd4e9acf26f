/* SPDX-License-Identifier: MIT */
/*
 * Client and server over a network that breaks: every fetch gives the right body or says which
 * step failed, ends, and leaves nothing behind.
 */
#include "http/rig.h"

enum { CLIENTS = 8, FETCHES = 6, SIZE = 3000 };

static char nth(size_t i)
{
        return (char)('a' + i * 7 % 26);
}

/* Takes the body, and answers with SIZE bytes, in one piece or in many. */
static int answer(sj_http_exchange *x, void *arg)
{
        sj_str body;
        char text[SIZE];
        unsigned *answered = arg;
        int r = sj_http_exchange_read_all(x, &body, SJ_NEVER);
        if (r < 0)
                return r;
        for (size_t i = 0; i < SIZE; i++)
                text[i] = nth(i);
        if ((*answered)++ % 2)
                return sj_http_respond(x, 200, NULL, 0, (sj_str){text, SIZE}, SJ_NEVER);
        r = sj_http_respond_begin(x, 200, NULL, 0, SJ_HTTP_UNKNOWN_SIZE, SJ_NEVER);
        for (size_t at = 0; at < SIZE && r == 0; at += 500)
                r = sj_http_respond_write(x, text + at, 500, SJ_NEVER);
        return r < 0 ? r : sj_http_respond_end(x, SJ_NEVER);
}

typedef struct client {
        sj_http_session *session;
        const char *url;
        unsigned right, failed;
} client;

static void expect_named(const sj_http_error *why, int code)
{
        expect(why->step == SJ_HTTP_STEP_CONNECT || why->step == SJ_HTTP_STEP_SEND ||
               why->step == SJ_HTTP_STEP_RECEIVE || why->step == SJ_HTTP_STEP_TIME ||
               why->step == SJ_HTTP_STEP_CANCEL);
        expect_equal(why->code, code);
        expect(why->text[0]);
}

static int fetch_some(void *arg)
{
        client *c = arg;
        const sj_http_request requests[] = {
                {.url = c->url},
                {.url = c->url, .method = "POST", .body = SJ_STR("something to read")},
                {.url = c->url, .method = "HEAD"},
        };
        for (size_t i = 0; i < FETCHES; i++) {
                sj_http_response *p;
                sj_http_error why = {0};
                sj_str body = {0};
                int r = sj_http_fetch(c->session, &requests[i % 3], &p, &why, SJ_NEVER);
                if (r < 0) {
                        expect_named(&why, r);
                        c->failed++;
                        continue;
                }
                expect_equal(sj_http_response_status(p), 200);
                r = sj_http_response_read_all(p, 0, &body, SJ_NEVER);
                if (r < 0) {
                        expect_named(sj_http_response_error(p), r);
                        c->failed++;
                } else {
                        expect_equal(body.n, i % 3 == 2 ? 0 : SIZE);
                        for (size_t k = 0; k < body.n; k++)
                                expect(body.data[k] == nth(k));
                        c->right++;
                }
                sj_http_response_free(p);
        }
        return 0;
}

static int every_fetch_is_right_or_says_what_failed(void *arg)
{
        (void)arg;
        unsigned answered = 0, right = 0, failed = 0;
        rig server = {.handler = answer, .arg = &answered};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){
                .host_connections = 3, .idle_limit = 5 * SJ_SEC, .connect_limit = 5 * SJ_SEC});
        client clients[CLIENTS];
        {
                SJ_SCOPE(all, SJ_NEVER, 0);
                for (size_t i = 0; i < CLIENTS; i++) {
                        clients[i] = (client){session, server.url, 0, 0};
                        expect_equal(sj_spawn(all, fetch_some, &clients[i], NULL), 0);
                }
                expect_equal(sj_scope_join(all), 0);
        }
        for (size_t i = 0; i < CLIENTS; i++) {
                right += clients[i].right;
                failed += clients[i].failed;
        }
        expect_equal(right + failed, CLIENTS * FETCHES);
        expect(right > 0);
        if (sim_unit_seed % 2 == 0)
                expect_equal(failed, 0);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

/* Cancelled at any moment, nothing is left behind. */
static int fetches_can_be_cancelled_at_any_moment(void *arg)
{
        (void)arg;
        unsigned answered = 0;
        rig server = {.handler = answer, .arg = &answered};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){.connections = 2});
        for (int i = 0; i < 10; i++) {
                client clients[CLIENTS];
                SJ_SCOPE(all, SJ_NEVER, SJ_COLLECT);
                for (size_t k = 0; k < 4; k++) {
                        clients[k] = (client){session, server.url, 0, 0};
                        expect_equal(sj_spawn(all, fetch_some, &clients[k], NULL), 0);
                }
                sj_sleep((sj_time)sim_draw(300) * SJ_MS);
        }
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

SIM_UNIT_DEFINE(every_fetch_is_right_or_says_what_failed)
SIM_UNIT_DEFINE(fetches_can_be_cancelled_at_any_moment)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SIM_UNIT_ROW(every_fetch_is_right_or_says_what_failed)
                        SIM_UNIT_ROW(fetches_can_be_cancelled_at_any_moment)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
