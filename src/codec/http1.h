/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.1 without I/O (RFC 9112, and RFC 9110 for fields): bytes in, events out, both kinds of
 * message, reading and writing. Nothing here allocates; what is read stays in the caller's bytes.
 *
 *         http1_head h;                                   http1_body b;
 *         http1_head_init_request(&h, fields, 100);       http1_body_init(&b, &h, trailers, 16);
 *         more bytes ──► http1_head_parse ──► done ──►    http1_body_feed ──► pieces ──► done
 *
 * Each step has three outcomes: done, partial (give it more bytes), wrong (with a reason; close
 * the connection, since nobody knows where the next message would begin). The outcome and all that
 * is read depend on the bytes alone, never on how they were cut into calls.
 *
 * The reader is strict. A message that two readers could understand differently is refused, also
 * where RFC 9112 permits to repair it: that is how requests are smuggled past a proxy.
 */
#ifndef SANJAB_CODEC_HTTP1_H
#define SANJAB_CODEC_HTTP1_H

#include <sanjab/base.h>

#include "base/buf.h"

/* Limits. A line and a head are counted in bytes. */
enum {
        HTTP1_LINE_MAX = 8 * 1024,     /* request line or status line, without its end */
        HTTP1_HEAD_MAX = 64 * 1024,    /* start line and fields, with all line ends */
        HTTP1_FIELDS_MAX = 100,        /* field lines of a head */
        HTTP1_TRAILER_MAX = 8 * 1024,  /* trailer section, with all line ends */
        HTTP1_TRAILER_FIELDS_MAX = 32, /* field lines of a trailer section */
        HTTP1_EXTENSION_MAX = 256,     /* chunk extension, one chunk */
        HTTP1_EXCESS_MAX = 16 * 1024,  /* chunk extensions beyond twice the data so far */
        HTTP1_SIZE_DIGITS_MAX = 16,    /* hexadecimal digits of a chunk size */
};
/* The longest body or chunk: what a double can still count. */
#define HTTP1_LENGTH_MAX ((uint64_t)1 << 53)

typedef enum http1_outcome {
        HTTP1_WRONG = -1,
        HTTP1_PARTIAL = 0,
        HTTP1_DONE = 1,
} http1_outcome;

/* Why a message is refused. */
typedef enum http1_reason {
        HTTP1_OK,
        /* lines */
        HTTP1_BARE_LF,
        HTTP1_BARE_CR,
        HTTP1_LINE_TOO_LONG,
        HTTP1_HEAD_TOO_LARGE,
        HTTP1_TOO_MANY_FIELDS,
        /* the start line */
        HTTP1_BAD_METHOD,
        HTTP1_BAD_TARGET,
        HTTP1_BAD_VERSION,
        HTTP1_UNKNOWN_VERSION,
        HTTP1_BAD_STATUS_LINE,
        /* fields */
        HTTP1_OBS_FOLD,
        HTTP1_SPACE_BEFORE_COLON,
        HTTP1_NO_COLON,
        HTTP1_BAD_NAME,
        HTTP1_BAD_VALUE,
        /* framing */
        HTTP1_LENGTH_AND_ENCODING,
        HTTP1_REPEATED_LENGTH,
        HTTP1_BAD_LENGTH,
        HTTP1_BAD_ENCODING,
        HTTP1_ENCODING_IN_1_0,
        HTTP1_UPGRADE_WITH_BODY,
        HTTP1_CONNECT_WITH_BODY,
        /* whom the request is for */
        HTTP1_MISSING_HOST,
        HTTP1_REPEATED_HOST,
        HTTP1_BAD_HOST,
        HTTP1_HOST_MISMATCH,
        /* the body */
        HTTP1_BAD_CHUNK_SIZE,
        HTTP1_CHUNK_TOO_LARGE,
        HTTP1_BAD_EXTENSION,
        HTTP1_EXTENSION_TOO_LONG,
        HTTP1_BAD_CHUNK_END,
        HTTP1_TRAILER_TOO_LARGE,
        HTTP1_BAD_TRAILER,
        HTTP1_TRUNCATED,
        HTTP1_REASONS, /* their number */
} http1_reason;

/* An English text for people, such as "a line ends in LF without CR". Static storage. */
const char *http1_reason_text(http1_reason reason);
/* The status with which a server answers such a request: 400, 414, 431, 501 or 505. */
int http1_reason_status(http1_reason reason);

/* A part of a message: where it begins, counted from the start of the message, and its bytes. */
typedef struct http1_span {
        uint32_t at;
        uint32_t n;
} http1_span;

typedef struct http1_field {
        http1_span name;
        http1_span value; /* without the white space around it */
} http1_field;

/* Where in a section of lines the reader stands. */
typedef struct http1_lines {
        uint32_t line;    /* where the current line begins */
        uint32_t scanned; /* no line end lies before */
} http1_lines;

typedef enum http1_framing {
        HTTP1_NO_BODY,
        HTTP1_LENGTH,
        HTTP1_CHUNKED,
        HTTP1_UNTIL_CLOSE, /* a response that ends with the connection */
        HTTP1_TUNNEL,      /* what follows is no HTTP: CONNECT and its 2xx, 101 */
} http1_framing;

typedef enum http1_form {
        HTTP1_ORIGIN_FORM,    /* "/path?query" */
        HTTP1_ABSOLUTE_FORM,  /* "http://host/path" */
        HTTP1_AUTHORITY_FORM, /* "host:port", with CONNECT only */
        HTTP1_ASTERISK_FORM,  /* "*", with OPTIONS only */
} http1_form;

/* The head of a message. All members but base are for reading only. */
typedef struct http1_head {
        /* The bytes of the message; spans count from here. May be set anew when they moved. */
        const char *base;
        http1_field *fields; /* the caller's memory */
        uint32_t capacity;   /* of it */
        uint32_t n_fields;
        uint32_t size; /* bytes of the head, once done: the body begins there */
        http1_reason reason;
        bool response;
        bool to_head;    /* it answers a HEAD */
        bool to_connect; /* it answers a CONNECT */

        /* a request */
        http1_span method;
        http1_span target;
        http1_form form;
        http1_span host; /* the value of Host */
        bool expect_continue;
        /* a response */
        int status;
        http1_span phrase;

        int minor; /* of the version: HTTP/1.minor */
        http1_framing framing;
        uint64_t length; /* of the body, with HTTP1_LENGTH */
        bool has_length; /* Content-Length is there (also where no body follows); in length */
        bool keep_alive; /* the peer can go on after this message */
        bool upgrade;    /* Upgrade is there, and named in Connection */

        /* the reader's state */
        http1_lines lines;
        http1_span content_length;
        http1_span transfer_encoding;
        uint8_t n_host, n_length, n_encoding, n_upgrade;
        bool begun; /* the start line is read */
        bool skipped_empty;
        bool close, stay, upgrade_option; /* options of Connection */
} http1_head;

/*
 * Makes h ready for the head of a request. The fields are kept in the caller's array of at most
 * HTTP1_FIELDS_MAX; a message with more is refused.
 */
void http1_head_init_request(http1_head *h, http1_field *fields, uint32_t capacity);
/* The same for the head of a response to a request of that method. */
void http1_head_init_response(http1_head *h, http1_field *fields, uint32_t capacity, sj_str method);

/*
 * Reads on. data: all bytes of the message so far, from its first; they may lie elsewhere than in
 * the call before. Lines that were read are not read again, so that one byte a call costs no more
 * than all at once. After done or wrong it must not be called again.
 */
http1_outcome http1_head_parse(http1_head *h, const char *data, size_t n);

/* The bytes of a span. */
static inline sj_str http1_view(const char *base, http1_span span)
{
        return (sj_str){base + span.at, span.n};
}
/* The value of the i-th field of that name (case does not matter); false when there is none. */
bool http1_head_find(const http1_head *h, sj_str name, uint32_t i, sj_str *ret);

/* The decision over framing when all lines are read; part of http1_head_parse. */
http1_reason http1_framing_decide(http1_head *h);
/* Takes note of a field that framing or routing depends on; part of http1_head_parse. */
void http1_framing_note(http1_head *h, const http1_field *field);

/* The body of a message. */
typedef struct http1_body {
        http1_framing framing;
        http1_reason reason;
        uint64_t left;   /* bytes still to come, of the body or of the chunk */
        uint64_t excess; /* bytes of extensions, beyond twice the data */
        uint32_t digits; /* of the chunk size so far */
        uint32_t extension;
        uint8_t state;
        /* the trailer fields, in the caller's memory; spans count from trailer_base */
        http1_field *trailers;
        const char *trailer_base;
        uint32_t capacity;
        uint32_t n_trailers;
        http1_lines lines;
} http1_body;

/*
 * Makes b ready for the body after that head. The first capacity trailer fields are kept in the
 * caller's array; what is beyond is checked and dropped, so that NULL and 0 serve him who does not
 * want any.
 */
void http1_body_init(http1_body *b, const http1_head *h, http1_field *trailers, uint32_t capacity);

/*
 * Reads on. in: the bytes after those that earlier calls have used. *ret_used of them are used up
 * by this call, and *ret_data, which may be empty, is the next piece of the body, a view into in.
 *
 * Done: the message has ended (the last piece may come with it). Partial: call again with what is
 * behind the used ones; when nothing was used and no piece came, there must be more bytes than
 * now. A trailer section is used at once, when all of it is there: the caller's buffer must be able
 * to hold HTTP1_TRAILER_MAX bytes. Both outputs are always written.
 */
http1_outcome http1_body_feed(http1_body *b, sj_str in, size_t *ret_used, sj_str *ret_data);

/* The peer has closed: done when the message may end here, else wrong (HTTP1_TRUNCATED). */
http1_outcome http1_body_end(http1_body *b);

/*
 * Writing. Each appends to out, or leaves it as it was: -EINVAL for what a strict reader would
 * refuse (so that no caller's text can become a field or a message of its own), or as buf_append.
 * A head is its start line, its fields, and http1_put_end. Host, lengths and encodings are the
 * caller's to put, consistently.
 */
int http1_put_request(buf *out, sj_str method, sj_str target);
/* phrase empty: the usual one for that status. */
int http1_put_status(buf *out, int status, sj_str phrase);
int http1_put_field(buf *out, sj_str name, sj_str value);
int http1_put_field_number(buf *out, sj_str name, uint64_t value);
int http1_put_end(buf *out);
/* The line before n > 0 bytes of a chunk; the bytes and http1_put_chunk_end must follow. */
int http1_put_chunk(buf *out, uint64_t n);
int http1_put_chunk_end(buf *out);
/* The chunk that ends a body; trailer fields and http1_put_end must follow. */
int http1_put_last_chunk(buf *out);
/* The usual phrase for a status; "" when there is none. */
const char *http1_status_phrase(int status);

/* Text. */
bool http1_is_token(sj_str s);
/* Whether s may be a field's value: no controls but HTAB, no white space at its ends. */
bool http1_is_value(sj_str s);
/* Whether s can stand as the target in a request line. */
bool http1_is_target(sj_str s);
/* Equal but for the case of ASCII letters. */
bool http1_equal(sj_str a, sj_str b);
/* s without the spaces and tabs at its ends. */
sj_str http1_trim(sj_str s);
/*
 * Takes the next member, trimmed, from a comma-separated list (RFC 9110 §5.6.1; empty members are
 * passed over). False at its end. Not for lists whose members hold quoted commas.
 */
bool http1_next_member(sj_str *list, sj_str *ret);

/* Field lines, for heads and trailers alike. */

/*
 * The next whole line of a section, without its end; wrong sets *ret_reason. A line_max that is not
 * below section_max is none at all (UINT32_MAX): which of two limits is met must not depend on
 * cuts.
 */
http1_outcome http1_fields_next_line(http1_lines *lines, const char *data, size_t n,
                                     uint32_t line_max, uint32_t section_max, http1_span *ret_line,
                                     http1_reason *ret_reason);
/* Reads one line as a field. */
http1_reason http1_fields_parse_line(const char *base, http1_span line, http1_field *ret);

#endif
