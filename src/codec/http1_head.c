/* SPDX-License-Identifier: MIT */
/*
 * The head of a message: its start line, then its fields, line by line as they come.
 *
 *         init ──► start line ──► field lines ──► empty line ──► http1_framing_decide ──► done
 *
 * What is read is kept as offsets, not pointers, so that the caller's buffer may grow between two
 * calls.
 */
#include "codec/http1.h"

static void head_init(http1_head *h, http1_field *fields, uint32_t capacity)
{
        *h = (http1_head){
                .fields = fields,
                .capacity = capacity < HTTP1_FIELDS_MAX ? capacity : HTTP1_FIELDS_MAX,
        };
}

void http1_head_init_request(http1_head *h, http1_field *fields, uint32_t capacity)
{
        head_init(h, fields, capacity);
}

void http1_head_init_response(http1_head *h, http1_field *fields, uint32_t capacity, sj_str method)
{
        head_init(h, fields, capacity);
        h->response = true;
        h->to_head = sj_str_equal(method, SJ_STR("HEAD"));
        h->to_connect = sj_str_equal(method, SJ_STR("CONNECT"));
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

/* "HTTP/1.1" (RFC 9112 §2.3). */
static http1_reason parse_version(sj_str s, int *ret_minor)
{
        if (s.n != 8 || memcmp(s.data, "HTTP/", 5) != 0 || s.data[6] != '.' ||
            !is_digit(s.data[5]) || !is_digit(s.data[7]))
                return HTTP1_BAD_VERSION;
        if (s.data[5] != '1' || s.data[7] > '1')
                return HTTP1_UNKNOWN_VERSION;
        *ret_minor = s.data[7] - '0';
        return HTTP1_OK;
}

/* Which of the four forms of RFC 9112 §3.2; the authority in it is looked at with Host. */
static http1_reason parse_target(http1_head *h, sj_str method, sj_str target)
{
        if (!http1_is_target(target))
                return HTTP1_BAD_TARGET;
        if (sj_str_equal(method, SJ_STR("CONNECT")))
                h->form = HTTP1_AUTHORITY_FORM;
        else if (target.data[0] == '/')
                h->form = HTTP1_ORIGIN_FORM;
        else if (target.n == 1 && target.data[0] == '*') {
                h->form = HTTP1_ASTERISK_FORM;
                if (!sj_str_equal(method, SJ_STR("OPTIONS")))
                        return HTTP1_BAD_TARGET;
        } else
                h->form = HTTP1_ABSOLUTE_FORM;
        return HTTP1_OK;
}

/* method SP target SP version (RFC 9112 §3), with exactly one space each. */
static http1_reason parse_request_line(http1_head *h, http1_span line)
{
        sj_str s = http1_view(h->base, line);
        const char *first = memchr(s.data, ' ', s.n);
        if (!first || !http1_is_token((sj_str){s.data, (size_t)(first - s.data)}))
                return memchr(s.data, '\r', s.n) ? HTTP1_BARE_CR : HTTP1_BAD_METHOD;
        h->method = (http1_span){line.at, (uint32_t)(first - s.data)};
        const char *target = first + 1;
        size_t rest = s.n - h->method.n - 1;
        const char *second = memchr(target, ' ', rest);
        size_t n = second ? (size_t)(second - target) : rest;
        h->target = (http1_span){(uint32_t)(target - h->base), (uint32_t)n};
        http1_reason reason = parse_target(h, http1_view(h->base, h->method), (sj_str){target, n});
        if (reason == HTTP1_OK)
                reason = second ? parse_version((sj_str){second + 1, rest - n - 1}, &h->minor)
                                : HTTP1_BAD_VERSION;
        return reason != HTTP1_OK && memchr(s.data, '\r', s.n) ? HTTP1_BARE_CR : reason;
}

/*
 * version SP status SP phrase (RFC 9112 §4). The space before an empty phrase may be missing, as
 * many servers forget it and nothing can be misread. A status over 599 is read as it came.
 */
static http1_reason parse_status_line(http1_head *h, http1_span line)
{
        sj_str s = http1_view(h->base, line);
        if (s.n < 12 || s.data[8] != ' ')
                return HTTP1_BAD_STATUS_LINE;
        http1_reason reason = parse_version((sj_str){s.data, 8}, &h->minor);
        if (reason != HTTP1_OK)
                return reason;
        for (size_t i = 9; i < 12; i++) {
                if (!is_digit(s.data[i]))
                        return HTTP1_BAD_STATUS_LINE;
                h->status = h->status * 10 + (s.data[i] - '0');
        }
        if (h->status < 100 || (s.n > 12 && s.data[12] != ' '))
                return HTTP1_BAD_STATUS_LINE;
        sj_str phrase = http1_trim((sj_str){s.data + 12, s.n - 12});
        if (!http1_is_value(phrase))
                return memchr(phrase.data, '\r', phrase.n) ? HTTP1_BARE_CR : HTTP1_BAD_STATUS_LINE;
        h->phrase = (http1_span){(uint32_t)(phrase.data - h->base), (uint32_t)phrase.n};
        return HTTP1_OK;
}

static http1_reason parse_start_line(http1_head *h, http1_span line)
{
        /* One empty line before a request is passed over (RFC 9112 §2.2). */
        if (line.n == 0 && !h->response && !h->skipped_empty) {
                h->skipped_empty = true;
                return HTTP1_OK;
        }
        h->begun = true;
        return h->response ? parse_status_line(h, line) : parse_request_line(h, line);
}

static http1_reason parse_field(http1_head *h, http1_span line)
{
        if (h->n_fields == h->capacity)
                return HTTP1_TOO_MANY_FIELDS;
        http1_field *field = &h->fields[h->n_fields];
        http1_reason reason = http1_fields_parse_line(h->base, line, field);
        if (reason != HTTP1_OK)
                return reason;
        h->n_fields++;
        http1_framing_note(h, field);
        return HTTP1_OK;
}

static http1_outcome refuse(http1_head *h, http1_reason reason)
{
        h->reason = reason;
        return HTTP1_WRONG;
}

http1_outcome http1_head_parse(http1_head *h, const char *data, size_t n)
{
        h->base = data;
        for (;;) {
                http1_span line;
                http1_reason reason;
                http1_outcome outcome = http1_fields_next_line(
                        &h->lines, data, n, h->begun ? UINT32_MAX : HTTP1_LINE_MAX, HTTP1_HEAD_MAX,
                        &line, &reason);
                if (outcome == HTTP1_PARTIAL)
                        return HTTP1_PARTIAL;
                if (outcome == HTTP1_WRONG)
                        return refuse(h, reason);
                bool end = h->begun && line.n == 0;
                if (end)
                        reason = http1_framing_decide(h);
                else if (h->begun)
                        reason = parse_field(h, line);
                else
                        reason = parse_start_line(h, line);
                if (reason != HTTP1_OK)
                        return refuse(h, reason);
                if (end) {
                        h->size = h->lines.line;
                        return HTTP1_DONE;
                }
        }
}
