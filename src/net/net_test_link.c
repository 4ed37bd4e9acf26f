/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "net/net_test.h"

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
                CHECK_INT(sj_unix_listen("@net-test", 0, &l), 0);
        void *args[] = {l, &ret[1]};
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                CHECK_INT(sj_spawn(s, run_accept, args, NULL), 0);
                if (kind == LINK_TCP)
                        CHECK_INT(
                                sj_tcp_connect("127.0.0.1", sj_listener_port(l), &ret[0], SJ_NEVER),
                                0);
                else
                        CHECK_INT(sj_unix_connect("@net-test", &ret[0], SJ_NEVER), 0);
                CHECK_INT(sj_scope_join(s), 0);
        }
        sj_listener_close(l);
}
