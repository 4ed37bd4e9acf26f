/* SPDX-License-Identifier: MIT */
/*
 * Writing messages. Each part is checked with the reader's own alphabets, so that what is written
 * here is never refused there, and no value can smuggle in a line of its own.
 */
#include "codec/http1.h"

/* All parts one after another, or none. */
static int put_all(buf *out, const sj_str *part, size_t n)
{
        size_t size = 0;
        for (size_t i = 0; i < n; i++)
                size += part[i].n;
        int r = buf_reserve(out, size);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                buf_append_str(out, part[i]);
        return 0;
}

#define PUT(out, ...)                                 \
        put_all((out), (const sj_str[]){__VA_ARGS__}, \
                sizeof((const sj_str[]){__VA_ARGS__}) / sizeof(sj_str))

int http1_put_request(buf *out, sj_str method, sj_str target)
{
        if (!http1_is_token(method) || !http1_is_target(target) ||
            method.n + target.n + sizeof("  HTTP/1.1") - 1 > HTTP1_LINE_MAX)
                return -EINVAL;
        return PUT(out, method, SJ_STR(" "), target, SJ_STR(" HTTP/1.1\r\n"));
}

int http1_put_status(buf *out, int status, sj_str phrase)
{
        if (status < 100 || status > 999 || !http1_is_value(phrase) ||
            phrase.n > HTTP1_LINE_MAX / 2)
                return -EINVAL;
        if (phrase.n == 0)
                phrase = sj_str_of(http1_status_phrase(status));
        char digits[3] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
                          (char)('0' + status % 10)};
        return PUT(out, SJ_STR("HTTP/1.1 "), {digits, 3}, SJ_STR(" "), phrase, SJ_STR("\r\n"));
}

int http1_put_field(buf *out, sj_str name, sj_str value)
{
        if (!http1_is_token(name) || !http1_is_value(value))
                return -EINVAL;
        return PUT(out, name, SJ_STR(": "), value, SJ_STR("\r\n"));
}

/* The digits of value in that base, at the end of text; where they begin. */
static sj_str number_text(char text[20], uint64_t value, unsigned base)
{
        size_t at = 20;
        do {
                text[--at] = "0123456789abcdef"[value % base];
                value /= base;
        } while (value);
        return (sj_str){text + at, 20 - at};
}

int http1_put_field_number(buf *out, sj_str name, uint64_t value)
{
        char text[20];
        return http1_put_field(out, name, number_text(text, value, 10));
}

int http1_put_end(buf *out)
{
        return PUT(out, SJ_STR("\r\n"));
}

int http1_put_chunk(buf *out, uint64_t n)
{
        char text[20];
        if (n == 0 || n > HTTP1_LENGTH_MAX)
                return -EINVAL;
        return PUT(out, number_text(text, n, 16), SJ_STR("\r\n"));
}

int http1_put_chunk_end(buf *out)
{
        return PUT(out, SJ_STR("\r\n"));
}

int http1_put_last_chunk(buf *out)
{
        return PUT(out, SJ_STR("0\r\n"));
}

static const struct {
        int status;
        const char *phrase;
} phrases[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {103, "Early Hints"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {203, "Non-Authoritative Information"},
        {204, "No Content"},
        {205, "Reset Content"},
        {206, "Partial Content"},
        {300, "Multiple Choices"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {451, "Unavailable For Legal Reasons"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
};

const char *http1_status_phrase(int status)
{
        for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
                if (phrases[i].status == status)
                        return phrases[i].phrase;
        return "";
}
