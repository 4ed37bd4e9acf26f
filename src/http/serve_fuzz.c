/* SPDX-License-Identifier: MIT */
/*
 * A server is given bytes, cut in different ways: it must say the same to them, answer no more
 * requests for one cut than for another, and end. Under the simulator, which says so at once when
 * nobody can go on, and where an input does the same each time.
 */
#include <sanjab/http.h>

#include "base/buf.h"
#include "os/sim.h"

#include <stdlib.h>

static void check(bool holds)
{
        if (!holds)
                abort();
}

typedef struct visit {
        sj_str text;
        size_t step; /* bytes written at a time */
        sj_stream *ends[2];
        unsigned answered;
        buf said;
} visit;

/* Tells method, target, a field and the body, so that a difference in any of them is seen. */
static int answer(sj_http_exchange *x, void *arg)
{
        visit *v = arg;
        sj_str body, value = {"", 0};
        int r = sj_http_exchange_read_all(x, &body, SJ_NEVER);
        if (r < 0)
                return r;
        v->answered++;
        (void)sj_http_exchange_header(x, "X", &value);
        buf text = BUF_INIT(0);
        check(buf_append_str(&text, sj_http_exchange_method(x)) == 0);
        check(buf_append_str(&text, sj_http_exchange_target(x)) == 0);
        check(buf_append_str(&text, value) == 0 && buf_append_str(&text, body) == 0);
        r = sj_http_respond(x, 200, NULL, 0, buf_str(&text), SJ_NEVER);
        buf_fini(&text);
        return r;
}

static int serve(void *arg)
{
        static const sj_http_serve_options options = {.head_limit = SJ_NEVER,
                                                      .wait_limit = SJ_NEVER,
                                                      .idle_limit = SJ_NEVER,
                                                      .body_max = 999};
        visit *v = arg;
        (void)sj_http_serve_connection(v->ends[0], answer, v, &options);
        return 0;
}

static int talk(void *arg)
{
        visit *v = arg;
        int r = 0;
        for (size_t at = 0, n; at < v->text.n && r == 0; at += n) {
                n = v->text.n - at < v->step ? v->text.n - at : v->step;
                r = sj_write(v->ends[1], v->text.data + at, n, SJ_NEVER);
                (void)sj_yield();
        }
        (void)sj_stream_shutdown(v->ends[1], SJ_NEVER);
        return 0;
}

static int run(void *arg)
{
        visit *v = arg;
        char bytes[4096];
        ssize_t n;
        check(sj_stream_pair(v->ends) == 0);
        SJ_SCOPE(scope, SJ_NEVER, 0);
        check(sj_spawn(scope, serve, v, NULL) == 0 && sj_spawn(scope, talk, v, NULL) == 0);
        while ((n = sj_read(v->ends[1], bytes, sizeof(bytes), SJ_NEVER)) > 0)
                check(buf_append(&v->said, bytes, (size_t)n) == 0);
        sj_scope_join(scope);
        sj_stream_close(v->ends[1]);
        return 0;
}

static void run_in(uint64_t seed, const sim_options *world, visit *v)
{
        sim_begin(seed, world);
        check(sj_run(run, v) == 0);
        check(sim_end() == 0);
}

/* Takes out what may differ: the dates, and "100 Continue", which depends on what is here yet. */
static void normalise(buf *said)
{
        static const sj_str patterns[] = {{"HTTP/1.1 100 Continue\r\n\r\n", 25}, {"Date: ", 6}};
        static const size_t sizes[] = {25, 37};
        for (size_t i = 0; i < 2; i++)
                for (;;) {
                        char *at = memmem(buf_data(said), buf_size(said), patterns[i].data,
                                          patterns[i].n);
                        if (!at)
                                break;
                        size_t rest = (size_t)(buf_data(said) + buf_size(said) - at);
                        size_t n = sizes[i] < rest ? sizes[i] : rest;
                        memmove(at, at + n, rest - n);
                        said->end -= n;
                }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 1 || size > 20000)
                return 0;
        sj_str text = {(const char *)data + 1, size - 1};
        visit whole = {.text = text, .step = SIZE_MAX, .said = BUF_INIT(0)};
        visit cut = {.text = text, .step = 1U + data[0] % 16, .said = BUF_INIT(0)};
        run_in(1, &sim_gentle, &whole);
        run_in(data[0], &sim_slow, &cut);
        normalise(&whole.said);
        normalise(&cut.said);
        check(whole.answered == cut.answered);
        check(sj_str_equal(buf_str(&whole.said), buf_str(&cut.said)));
        buf_fini(&whole.said);
        buf_fini(&cut.said);
        return 0;
}
