/* SPDX-License-Identifier: MIT */
/* The library was built without TLS: it says so, and never falls back to plain text. */
#include <sanjab/net.h>

#include <stdio.h>

static int refuse(char *why)
{
        if (why)
                snprintf(why, SJ_TLS_WHY_MAX, "sanjab was built without TLS");
        return -EOPNOTSUPP;
}

int sj_tls_new(const sj_tls_options *options, sj_tls **ret, char *why)
{
        (void)options;
        (void)ret;
        return refuse(why);
}

void sj_tls_free(sj_tls *tls)
{
        (void)tls;
}

int sj_tls_connect(const sj_tls *tls, sj_stream *below, const char *name, sj_stream **ret,
                   char *why, sj_time deadline)
{
        (void)tls;
        (void)below;
        (void)name;
        (void)ret;
        (void)deadline;
        return refuse(why);
}

int sj_tls_accept(const sj_tls *tls, sj_stream *below, sj_stream **ret, char *why, sj_time deadline)
{
        return sj_tls_connect(tls, below, "", ret, why, deadline);
}

const char *sj_tls_protocol(const sj_stream *s)
{
        (void)s;
        return "";
}

const char *sj_tls_server_name(const sj_stream *s)
{
        (void)s;
        return "";
}

bool sj_tls_resumed(const sj_stream *s)
{
        (void)s;
        return false;
}

int sj_tls_peer_name(const sj_stream *s, char *ret, size_t size)
{
        (void)s;
        (void)ret;
        (void)size;
        return -EOPNOTSUPP;
}
