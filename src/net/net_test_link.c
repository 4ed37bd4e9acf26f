/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "net/net_test.h"
#include "os/os.h"

const char *abstract_name(void)
{
        static char name[32];
        snprintf(name, sizeof(name), "@net-test-%d", os_pid());
        return name;
}

static int run_accept(void *arg)
{
        void **args = arg;
        return sj_accept(args[0], args[1], SJ_NEVER);
}

void connect_both(link_kind kind, sj_stream *ret[2])
{
        sj_listener *l;
        if (kind == LINK_PAIR) {
                CHECK_INT(sj_stream_pair(ret), 0);
                return;
        }
        if (kind == LINK_TCP)
                CHECK_INT(sj_tcp_listen("127.0.0.1", 0, 0, &l), 0);
        else
                CHECK_INT(sj_unix_listen(abstract_name(), 0, &l), 0);
        void *args[] = {l, &ret[1]};
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                CHECK_INT(sj_spawn(s, run_accept, args, NULL), 0);
                if (kind == LINK_TCP)
                        CHECK_INT(
                                sj_tcp_connect("127.0.0.1", sj_listener_port(l), &ret[0], SJ_NEVER),
                                0);
                else
                        CHECK_INT(sj_unix_connect(abstract_name(), &ret[0], SJ_NEVER), 0);
                CHECK_INT(sj_scope_join(s), 0);
        }
        sj_listener_close(l);
}

/* ── Both directions at once ─────────────────────────────────────────────────────────────── */

static int write_flow(void *arg)
{
        struct flow *f = arg;
        char data[3000];
        for (size_t at = 0; at < f->n;) {
                size_t k = 1 + world_draw(world_draw(4) ? 40 : sizeof(data));
                k = k < f->n - at ? k : f->n - at;
                pattern_fill(data, at, k);
                int r = sj_write(f->s, data, k, SJ_NEVER);
                if (r < 0)
                        return r;
                at += k;
        }
        return sj_stream_shutdown(f->s, SJ_NEVER);
}

static int read_flow(void *arg)
{
        struct flow *f = arg;
        char data[2000];
        size_t at = 0;
        for (;;) {
                ssize_t n = sj_read(f->s, data, 1 + world_draw(sizeof(data)), SJ_NEVER);
                if (n < 0)
                        return (int)n;
                if (n == 0)
                        break;
                CHECK(pattern_is(data, at, (size_t)n));
                at += (size_t)n;
        }
        CHECK_INT(at, f->n);
        return 0;
}

void exchange(sj_stream *ends[2], size_t n)
{
        struct flow flows[2] = {{ends[0], n}, {ends[1], n}};
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (size_t i = 0; i < 2; i++) {
                CHECK_INT(sj_spawn(s, write_flow, &flows[i], NULL), 0);
                CHECK_INT(sj_spawn(s, read_flow, &flows[i], NULL), 0);
        }
        CHECK_INT(sj_scope_join(s), 0);
}
