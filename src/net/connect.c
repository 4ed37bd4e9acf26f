/* SPDX-License-Identifier: MIT */
/*
 * Connecting. One address needs no more than a socket. Several race (RFC 8305 §5): a fiber for
 * each attempt, started one after the other, the next as soon as one has failed or 250 ms have
 * passed; the first that is connected cancels the rest.
 *
 *         this fiber:  start ── wait ── start ── wait ──┐
 *         attempt 1:      └──── SYN ... no answer ......│.. cancelled
 *         attempt 2:                      └──── connected
 */
#include "fiber/wait.h"
#include "net/address.h"
#include "net/socket.h"

#include <sanjab/sync.h>

#define STAGGER (250 * SJ_MS)

struct race {
        const sj_address *addresses;
        size_t started, ended;
        sj_stream *won;
        int first_error; /* the one of the first address that has one */
        size_t first_error_of;
        sj_time deadline;
        sj_event changed;
};

struct attempt {
        struct race *race;
        size_t index;
};

static int run_attempt(void *arg)
{
        struct attempt *a = arg;
        struct race *race = a->race;
        sj_stream *s = NULL;
        int r = socket_connect(&race->addresses[a->index], &s, race->deadline);
        if (r >= 0 && race->won)
                sj_stream_close(s);
        else if (r >= 0)
                race->won = s;
        else if (race->first_error == 0 || a->index < race->first_error_of) {
                race->first_error = r;
                race->first_error_of = a->index;
        }
        race->ended++;
        sj_event_set(&race->changed);
        return 0;
}

/* Runs attempts until one has won or all have failed. 0, or why it was given up before. */
static int run_race(struct race *race, struct attempt attempts[], size_t n, sj_scope *scope)
{
        while (!race->won && race->ended < n) {
                if (race->started < n) {
                        struct attempt *a = &attempts[race->started];
                        *a = (struct attempt){race, race->started};
                        int r = sj_spawn(scope, run_attempt, a, NULL);
                        if (r < 0)
                                return r;
                        race->started++;
                }
                sj_time next = race->started < n ? sj_after(STAGGER) : SJ_NEVER;
                sj_time until = next < race->deadline ? next : race->deadline;
                sj_event_clear(&race->changed);
                int r = sj_event_wait(&race->changed, until);
                if (r == -ETIMEDOUT && until == next)
                        continue;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int race_all(const sj_address addresses[], size_t n, sj_stream **ret, sj_time deadline)
{
        struct attempt attempts[SJ_ADDRESSES_MAX];
        struct race race = {.addresses = addresses, .deadline = deadline};
        int r;
        {
                SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
                r = run_race(&race, attempts, n, scope);
        }
        /* One may have won while the others were being cancelled, even if the time is up. */
        if (r == -ECANCELED) {
                sj_stream_close(race.won);
                return r;
        }
        if (!race.won)
                return r < 0 ? r : race.first_error;
        *ret = race.won;
        return 0;
}

int sj_tcp_connect_any(const sj_address addresses[], size_t n, sj_stream **ret, sj_time deadline)
{
        if (n == 0)
                return -EINVAL;
        if (n == 1)
                return socket_connect(&addresses[0], ret, deadline);
        int r = fiber_check();
        if (r < 0)
                return r;
        return race_all(addresses, n < SJ_ADDRESSES_MAX ? n : SJ_ADDRESSES_MAX, ret, deadline);
}

int sj_tcp_connect(const char *host, uint16_t port, sj_stream **ret, sj_time deadline)
{
        sj_address addresses[SJ_ADDRESSES_MAX];
        int n = sj_resolve(host, port, addresses, SJ_ADDRESSES_MAX, deadline);
        return n < 0 ? n : sj_tcp_connect_any(addresses, (size_t)n, ret, deadline);
}

int sj_unix_connect(const char *path, sj_stream **ret, sj_time deadline)
{
        sj_address address;
        int r = sj_address_unix(path, &address);
        return r < 0 ? r : socket_connect(&address, ret, deadline);
}
