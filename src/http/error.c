/* SPDX-License-Identifier: MIT */
#include "http/error.h"

#include <stdio.h>

static const char *const names[] = {
        [SJ_HTTP_NO_STEP] = "nothing",        [SJ_HTTP_STEP_REQUEST] = "request",
        [SJ_HTTP_STEP_NAME] = "name",         [SJ_HTTP_STEP_CONNECT] = "connect",
        [SJ_HTTP_STEP_PROXY] = "proxy",       [SJ_HTTP_STEP_TLS] = "tls",
        [SJ_HTTP_STEP_SEND] = "send",         [SJ_HTTP_STEP_RECEIVE] = "receive",
        [SJ_HTTP_STEP_PROTOCOL] = "protocol", [SJ_HTTP_STEP_LIMIT] = "limit",
        [SJ_HTTP_STEP_REDIRECT] = "redirect", [SJ_HTTP_STEP_DECODE] = "decode",
        [SJ_HTTP_STEP_TIME] = "time",         [SJ_HTTP_STEP_CANCEL] = "cancel",
};

const char *sj_http_step_name(sj_http_step step)
{
        return (size_t)step < sizeof(names) / sizeof(names[0]) ? names[step] : "unknown";
}

int http_error_set(sj_http_error *why, sj_http_step step, int code, const char *format, ...)
{
        if (!why)
                return code;
        why->code = code;
        why->step = code == -ECANCELED ? SJ_HTTP_STEP_CANCEL : step;
        if (code == -ECANCELED) {
                snprintf(why->text, sizeof(why->text), "cancelled");
                return code;
        }
        va_list args;
        va_start(args, format);
        vsnprintf(why->text, sizeof(why->text), format, args);
        va_end(args);
        return code;
}
