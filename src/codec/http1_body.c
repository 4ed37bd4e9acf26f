/* SPDX-License-Identifier: MIT */
/*
 * The body of a message, as its framing says (RFC 9112 §§6, 7).
 *
 * A chunked body is a row of states, each fed one byte, but for the data, which passes in pieces
 * as large as they come, and the trailer section, which is read as lines when it is whole:
 *
 *         ┌──────────────────────────── CR LF ◄── data ◄┐
 *         ▼                                             │ size > 0
 *         first digit ──► digits ──► [; extension] ──► LF ──► trailers ──► end
 *                                                         size 0
 *
 * White space around a chunk size, which RFC 9112 lets a reader remove, is refused: readers differ
 * over it. An extension is passed over, byte by byte and counted; one that carries quotes with CR
 * or LF in them is refused as any other control byte is.
 */
#include "codec/http1.h"

enum {
        FIRST_DIGIT,
        DIGITS,
        EXTENSION,
        SIZE_LF,
        DATA,
        DATA_CR,
        DATA_LF,
        TRAILERS,
        END,
};

void http1_body_init(http1_body *b, const http1_head *h, http1_field *trailers, uint32_t capacity)
{
        *b = (http1_body){
                .framing = h->framing,
                .left = h->framing == HTTP1_LENGTH ? h->length : 0,
                .trailers = trailers,
                .capacity = capacity,
        };
}

static http1_outcome refuse(http1_body *b, http1_reason reason)
{
        b->reason = reason;
        return HTTP1_WRONG;
}

static int hex_value(unsigned char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static http1_outcome take_digit(http1_body *b, int digit)
{
        b->left = b->left << 4 | (unsigned)digit;
        b->state = DIGITS;
        if (++b->digits > HTTP1_SIZE_DIGITS_MAX || b->left > HTTP1_LENGTH_MAX)
                return refuse(b, HTTP1_CHUNK_TOO_LARGE);
        return HTTP1_PARTIAL;
}

static http1_outcome on_first_digit(http1_body *b, unsigned char c)
{
        int digit = hex_value(c);
        if (digit < 0)
                return refuse(b, c == '\n' ? HTTP1_BARE_LF : HTTP1_BAD_CHUNK_SIZE);
        b->digits = b->extension = 0;
        b->left = 0;
        return take_digit(b, digit);
}

static http1_outcome on_digits(http1_body *b, unsigned char c)
{
        int digit = hex_value(c);
        if (digit >= 0)
                return take_digit(b, digit);
        if (c == '\r')
                b->state = SIZE_LF;
        else if (c == ';')
                b->state = EXTENSION;
        else
                return refuse(b, c == '\n' ? HTTP1_BARE_LF : HTTP1_BAD_CHUNK_SIZE);
        return HTTP1_PARTIAL;
}

static http1_outcome on_extension(http1_body *b, unsigned char c)
{
        if (c == '\r') {
                b->state = SIZE_LF;
                return HTTP1_PARTIAL;
        }
        if (c == '\n')
                return refuse(b, HTTP1_BARE_LF);
        if ((c < 0x20 && c != '\t') || c == 0x7f)
                return refuse(b, HTTP1_BAD_EXTENSION);
        b->excess++;
        if (++b->extension > HTTP1_EXTENSION_MAX)
                return refuse(b, HTTP1_EXTENSION_TOO_LONG);
        return HTTP1_PARTIAL;
}

static http1_outcome on_size_lf(http1_body *b, unsigned char c)
{
        if (c != '\n')
                return refuse(b, HTTP1_BARE_CR);
        /* Many tiny chunks with a long extension each would cost us without giving us data. */
        uint64_t earned = 2 * b->left;
        b->excess -= b->excess < earned ? b->excess : earned;
        if (b->excess > HTTP1_EXCESS_MAX)
                return refuse(b, HTTP1_EXTENSION_TOO_LONG);
        b->state = b->left ? DATA : TRAILERS;
        return HTTP1_PARTIAL;
}

static http1_outcome on_data_cr(http1_body *b, unsigned char c)
{
        b->state = DATA_LF;
        return c == '\r' ? HTTP1_PARTIAL : refuse(b, HTTP1_BAD_CHUNK_END);
}

static http1_outcome on_data_lf(http1_body *b, unsigned char c)
{
        b->state = FIRST_DIGIT;
        return c == '\n' ? HTTP1_PARTIAL : refuse(b, HTTP1_BAD_CHUNK_END);
}

/* The states that take one byte. */
static http1_outcome (*const on_byte[])(http1_body *b, unsigned char c) = {
        [FIRST_DIGIT] = on_first_digit, [DIGITS] = on_digits, [EXTENSION] = on_extension,
        [SIZE_LF] = on_size_lf,         [DATA] = NULL,        [DATA_CR] = on_data_cr,
        [DATA_LF] = on_data_lf,         [TRAILERS] = NULL,    [END] = NULL,
};

/* Fields that decide framing or routing come too late here (RFC 9110 §6.5.1). */
static bool may_trail(sj_str name)
{
        static const sj_str forbidden[] = {
                {"content-length", 14}, {"transfer-encoding", 17}, {"host", 4}, {"trailer", 7}};
        for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
                if (http1_equal(name, forbidden[i]))
                        return false;
        return true;
}

static http1_reason take_trailer(http1_body *b, http1_span line)
{
        http1_field field;
        if (b->n_trailers == HTTP1_TRAILER_FIELDS_MAX)
                return HTTP1_TRAILER_TOO_LARGE;
        http1_reason reason = http1_fields_parse_line(b->trailer_base, line, &field);
        if (reason != HTTP1_OK)
                return reason;
        if (!may_trail(http1_view(b->trailer_base, field.name)))
                return HTTP1_BAD_TRAILER;
        if (b->n_trailers < b->capacity)
                b->trailers[b->n_trailers] = field;
        b->n_trailers++;
        return HTTP1_OK;
}

static http1_outcome read_trailers(http1_body *b, sj_str in, size_t *ret_used)
{
        b->trailer_base = in.data;
        for (;;) {
                http1_span line;
                http1_reason reason;
                http1_outcome outcome = http1_fields_next_line(&b->lines, in.data, in.n, UINT32_MAX,
                                                               HTTP1_TRAILER_MAX, &line, &reason);
                if (outcome == HTTP1_PARTIAL)
                        return HTTP1_PARTIAL;
                if (outcome == HTTP1_WRONG)
                        return refuse(b,
                                      reason == HTTP1_BARE_LF ? reason : HTTP1_TRAILER_TOO_LARGE);
                if (line.n == 0)
                        break;
                reason = take_trailer(b, line);
                if (reason != HTTP1_OK)
                        return refuse(b, reason);
        }
        *ret_used = b->lines.line;
        b->state = END;
        if (b->n_trailers > b->capacity)
                b->n_trailers = b->capacity;
        return HTTP1_DONE;
}

/* Passes at most what is left of the body or the chunk. */
static sj_str take_data(http1_body *b, sj_str in)
{
        if (in.n > b->left)
                in.n = (size_t)b->left;
        b->left -= in.n;
        return in;
}

static http1_outcome feed_chunked(http1_body *b, sj_str in, size_t *ret_used, sj_str *ret_data)
{
        size_t i = 0;
        http1_outcome outcome = HTTP1_PARTIAL;
        while (outcome == HTTP1_PARTIAL && i < in.n && on_byte[b->state])
                outcome = on_byte[b->state](b, (unsigned char)in.data[i++]);
        *ret_used = i;
        if (outcome != HTTP1_PARTIAL)
                return outcome;
        if (b->state == END)
                return HTTP1_DONE;
        if (i == in.n)
                return HTTP1_PARTIAL;
        sj_str rest = {in.data + i, in.n - i};
        if (b->state == DATA) {
                *ret_data = take_data(b, rest);
                *ret_used += ret_data->n;
                if (b->left == 0)
                        b->state = DATA_CR;
        } else {
                size_t used = 0;
                outcome = read_trailers(b, rest, &used);
                *ret_used += used;
        }
        return outcome;
}

http1_outcome http1_body_feed(http1_body *b, sj_str in, size_t *ret_used, sj_str *ret_data)
{
        *ret_used = 0;
        *ret_data = (sj_str){in.data, 0};
        switch (b->framing) {
        case HTTP1_NO_BODY:
                return HTTP1_DONE;
        case HTTP1_LENGTH:
                *ret_data = take_data(b, in);
                *ret_used = ret_data->n;
                return b->left ? HTTP1_PARTIAL : HTTP1_DONE;
        case HTTP1_CHUNKED:
                return feed_chunked(b, in, ret_used, ret_data);
        case HTTP1_UNTIL_CLOSE:
        case HTTP1_TUNNEL:
                *ret_data = in;
                *ret_used = in.n;
                break;
        }
        return HTTP1_PARTIAL;
}

http1_outcome http1_body_end(http1_body *b)
{
        bool ended = b->framing == HTTP1_NO_BODY || b->framing == HTTP1_UNTIL_CLOSE ||
                     b->framing == HTTP1_TUNNEL || (b->framing == HTTP1_LENGTH && b->left == 0) ||
                     (b->framing == HTTP1_CHUNKED && b->state == END);
        return ended ? HTTP1_DONE : refuse(b, HTTP1_TRUNCATED);
}
