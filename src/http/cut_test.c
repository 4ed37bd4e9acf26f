/* SPDX-License-Identifier: MIT */
/*
 * An HTTP conversation that is reset at each of its bytes in turn: a fetch gives the right answer
 * or says which step failed, the server lives, and the next fetch is right again.
 */
#include "http/rig.h"

static int answer(sj_http_exchange *x, void *arg)
{
        (void)arg;
        sj_str body;
        int r = sj_http_exchange_read_all(x, &body, SJ_NEVER);
        if (r < 0)
                return r;
        r = sj_http_respond_begin(x, 200, NULL, 0, SJ_HTTP_UNKNOWN_SIZE, SJ_NEVER);
        if (r == 0)
                r = sj_http_respond_write(x, "you said ", 9, SJ_NEVER);
        if (r == 0)
                r = sj_http_respond_write(x, body.data, body.n, SJ_NEVER);
        return r < 0 ? r : sj_http_respond_end(x, SJ_NEVER);
}

/* 0, or what the error said, too. */
static int fetch(sj_http_session *session, const char *url, sj_str body)
{
        sj_http_response *p = NULL;
        sj_http_error why = {0};
        const sj_http_request request = {.url = url, .method = "PUT", .body = body};
        int r = sj_http_fetch(session, &request, &p, &why, SJ_NEVER);
        if (r < 0) {
                expect_equal(why.code, r);
                expect(why.step == SJ_HTTP_STEP_CONNECT || why.step == SJ_HTTP_STEP_SEND ||
                       why.step == SJ_HTTP_STEP_RECEIVE);
                expect(why.text[0] && !p);
                return r;
        }
        sj_str got;
        r = sj_http_response_read_all(p, 0, &got, SJ_NEVER);
        if (r == 0)
                expect_str(got, body.n == 3 ? "you said one" : "you said another");
        sj_http_response_free(p);
        return r;
}

static uint64_t cut_at;

static int conversation(void *arg)
{
        bool *broken = arg;
        rig server = {.handler = answer};
        SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){0});
        sim_reset_after_bytes(cut_at);
        int first = fetch(session, server.url, SJ_STR("one"));
        int second = fetch(session, server.url, SJ_STR("another"));
        *broken = sim_count().broken > 0;
        sim_reset_after_bytes(UINT64_MAX);
        expect(first == 0 || *broken);
        expect(second == 0 || (*broken && first == 0)); /* it breaks once */
        expect_equal(fetch(session, server.url, SJ_STR("one")), 0);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        expect_equal(server.open, 0);
        return 0;
}

static void a_conversation_may_be_reset_at_each_of_its_bytes(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed <= 2; seed++) {
                sim_options world = seed == 1 ? sim_gentle : sim_slow;
                bool broken = true;
                world.tight = 0;
                for (cut_at = 0; broken; cut_at++)
                        sim_unit_in(seed, &world, conversation, &broken, 0);
                assert_true(cut_at > 200);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_conversation_may_be_reset_at_each_of_its_bytes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
