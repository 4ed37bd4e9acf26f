/* SPDX-License-Identifier: MIT */
/*
 * What blocks in the server has a link to itself. Links that are not in use wait in a stock, the
 * one that was used last on top, and are closed when the client's own connection breaks: they lead
 * to the same server. One that the server has closed meanwhile is found out before it is used,
 * because after that nobody could tell whether the command was done.
 */
#include "store/redis_client.h"

static redis_link *take_from_stock(redis *r)
{
        while (!list_empty(&r->stock)) {
                redis_link *l = container_of(r->stock.prev, redis_link, node);
                list_remove(&l->node);
                r->stocked--;
                if (l->era == r->era && redis_link_is_quiet(l))
                        return l;
                redis_link_free(l);
        }
        return NULL;
}

static void put_into_stock(redis *r, redis_link *l)
{
        if (r->closing || l->era != r->era || !r->pipe.up || r->stocked >= REDIS_STOCK_MAX) {
                redis_link_free(l);
                return;
        }
        list_append(&r->stock, &l->node);
        r->stocked++;
}

/* A link to the server that the client is connected to. */
static int obtain(redis *r, redis_link **ret, sj_time deadline)
{
        for (unsigned failures = 1;; failures++) {
                int k = redis_await(r, deadline);
                if (k < 0)
                        return k;
                redis_link *l = take_from_stock(r);
                if (l) {
                        *ret = l;
                        return 0;
                }
                char why[REDIS_WHY_MAX];
                redis_route route = r->route;
                uint64_t era = r->era;
                sj_time most = sj_after(REDIS_CONNECT_TIME);
                k = redis_dial_open(&r->dial, &route, &l, why, deadline < most ? deadline : most);
                if (k == 0) {
                        l->era = era;
                        *ret = l;
                        return 0;
                }
                if (k == -ECANCELED || k == -EACCES || k == -EXDEV || k == -ENOMEM)
                        return k;
                int late = redis_pause_until(failures, deadline);
                if (late < 0)
                        return late == -EAGAIN ? k : late;
        }
}

int redis_block_all(redis *r, sj_arena *arena, const redis_command commands[], size_t n,
                    const redis_reply *ret[], sj_time deadline)
{
        redis_link *l;
        int k = obtain(r, &l, deadline);
        if (k < 0)
                return k;
        k = redis_link_call(l, arena, commands, n, ret, r->dial.silence + REDIS_BLOCK_MAX,
                            deadline);
        if (k < 0)
                redis_link_free(l);
        else
                put_into_stock(r, l);
        return k == -EHOSTDOWN ? -EPIPE : k;
}

int redis_block(redis *r, sj_arena *arena, const sj_str words[], size_t n, const redis_reply **ret,
                sj_time deadline)
{
        const redis_command command = {words, n};
        for (unsigned failures = 1;; failures++) {
                const redis_reply *reply;
                int k = redis_block_all(r, arena, &command, 1, &reply, deadline), error = 0;
                if (k < 0)
                        return k;
                redis_verdict v = redis_judge(r, reply, &error);
                if (v == REDIS_REFUSED)
                        return error;
                if (v == REDIS_FINE && reply->type == REDIS_ERROR)
                        return -EREMOTEIO;
                if (v == REDIS_FINE) {
                        *ret = reply;
                        return 0;
                }
                k = redis_pause_until(failures, deadline);
                if (k < 0)
                        return k;
        }
}
