/* SPDX-License-Identifier: MIT */
#include "http/redirect.h"

#include "codec/http1.h"

bool http_redirect_is(int status)
{
        return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

sj_str http_redirect_method(int status, sj_str method)
{
        bool post = sj_str_equal(method, SJ_STR("POST"));
        bool head = sj_str_equal(method, SJ_STR("HEAD"));
        if (status == 303 && !head)
                return SJ_STR("GET");
        /* What every browser has always done, and the standard now permits. */
        if ((status == 301 || status == 302) && post)
                return SJ_STR("GET");
        return method;
}

static bool is_among(sj_str name, const sj_str names[], size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (http1_equal(name, names[i]))
                        return true;
        return false;
}

bool http_redirect_drops_with_body(sj_str name)
{
        static const sj_str names[] = {
                {"content-type", 12},
                {"content-encoding", 16},
                {"content-language", 16},
                {"content-location", 16},
                {"digest", 6},
                {"expect", 6},
        };
        return is_among(name, names, sizeof(names) / sizeof(names[0]));
}

bool http_redirect_drops_elsewhere(sj_str name)
{
        static const sj_str names[] = {
                {"authorization", 13}, {"cookie", 6}, {"proxy-authorization", 19}};
        return is_among(name, names, sizeof(names) / sizeof(names[0]));
}
