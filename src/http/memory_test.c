/* SPDX-License-Identifier: MIT */
/*
 * Memory that is refused: each allocation of a fetch fails in turn, alone and with all after it.
 * Every run ends, says why, and leaves nothing; the next fetch is right again. The test is linked
 * with --wrap, so that only what our objects ask for passes through here.
 */
#include "base/refusal.h"
#include "http/rig.h"

#include <stdlib.h>

/* "/go" redirects to "/"; the answer there is in chunks. */
static int answer(sj_http_exchange *x, void *arg)
{
        (void)arg;
        sj_str body;
        int r = sj_http_exchange_read_all(x, &body, SJ_NEVER);
        if (r < 0)
                return r;
        const sj_http_header to = {"Location", "/"};
        if (sj_str_equal(sj_http_exchange_path(x), SJ_STR("/go")))
                return sj_http_respond(x, 307, &to, 1, SJ_STR(""), SJ_NEVER);
        r = sj_http_respond_begin(x, 200, NULL, 0, SJ_HTTP_UNKNOWN_SIZE, SJ_NEVER);
        if (r == 0)
                r = sj_http_respond_write(x, body.data, body.n, SJ_NEVER);
        return r < 0 ? r : sj_http_respond_end(x, SJ_NEVER);
}

/* One session, one fetch with a redirect and a body both ways; 0 or the first error. */
static int fetch_once(const char *url)
{
        sj_http_session *session;
        sj_http_response *p;
        sj_http_error why = {0};
        sj_str body;
        const sj_http_options options = {.proxy = ""};
        int r = sj_http_session_new(&options, &session);
        if (r < 0)
                return r;
        r = sj_http_post(session, url, "text/plain", SJ_STR("a body"), &p, &why, SJ_NEVER);
        if (r < 0) {
                expect_equal(why.code, r);
                expect(why.step != SJ_HTTP_NO_STEP && why.text[0]);
        } else {
                if (sj_http_response_status(p) != 200)
                        r = -EIO;
                int k = sj_http_response_read_all(p, 0, &body, SJ_NEVER);
                if (r == 0)
                        r = k;
                if (r == 0)
                        expect_str(body, "a body");
                sj_http_response_free(p);
        }
        sj_http_session_free(session);
        return r;
}

/* The server, too, has been hit: its connections are waited for. */
static void settle(const rig *server)
{
        while (server->open)
                (void)sj_yield();
}

static void fail_each_in_turn(const rig *server, const char *url, bool for_good)
{
        size_t refused = 1, i = 0;
        for (; refused; i++) {
                expect(i < 10000);
                memory.left = (long long)i;
                memory.refused = 0;
                memory.for_good = for_good;
                memory.armed = true;
                int r = fetch_once(url);
                memory.armed = false;
                refused = memory.refused;
                expect(r == 0 || refused > 0);
                settle(server);
                expect_equal(fetch_once(url), 0);
                settle(server);
        }
        expect(i > 10); /* there was something to refuse */
}

static int every_allocation_may_fail(void *arg)
{
        (void)arg;
        rig server = {.handler = answer};
        SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
        rig_start(&server, scope);
        const char *url = rig_url(&server, "/go");
        expect_equal(fetch_once(url), 0);
        settle(&server);
        long long live = memory.live;
        fail_each_in_turn(&server, url, false);
        fail_each_in_turn(&server, url, true);
        /* What the runtime keeps for later may have grown, by a little and once. */
        expect(memory.live - live < 8);
        rig_stop(&server, scope);
        return 0;
}

RIG_DEFINE(every_allocation_may_fail)

int main(void)
{
        const struct CMUnitTest tests[] = {RIG_ROW(every_allocation_may_fail)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
