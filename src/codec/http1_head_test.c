/* SPDX-License-Identifier: MIT */
#include "codec/http1.h"

#include "base/unit.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct message {
        http1_head head;
        http1_field fields[HTTP1_FIELDS_MAX];
        http1_outcome outcome;
} message;

/* The method of the request that a response answers; "" reads a request. */
static void init(message *m, const char *answers)
{
        if (answers[0])
                http1_head_init_response(&m->head, m->fields, HTTP1_FIELDS_MAX, sj_str_of(answers));
        else
                http1_head_init_request(&m->head, m->fields, HTTP1_FIELDS_MAX);
}

/* Feeds the bytes up to each cut, each time at another address. */
static void parse_in_steps(message *m, const char *answers, sj_str text, size_t first, size_t step)
{
        init(m, answers);
        size_t n = first;
        m->outcome = HTTP1_PARTIAL;
        while (m->outcome == HTTP1_PARTIAL && n <= text.n) {
                char *copy = malloc(n + 1);
                assert_non_null(copy);
                memcpy(copy, text.data, n);
                m->outcome = http1_head_parse(&m->head, copy, n);
                free(copy);
                m->head.base = text.data;
                if (n == text.n)
                        break;
                n = n + step < text.n ? n + step : text.n;
        }
}

static void assert_same(const message *a, const message *b)
{
        assert_int_equal(a->outcome, b->outcome);
        assert_int_equal(a->head.reason, b->head.reason);
        if (a->outcome != HTTP1_DONE)
                return;
        assert_int_equal(a->head.size, b->head.size);
        assert_int_equal(a->head.framing, b->head.framing);
        assert_int_equal(a->head.length, b->head.length);
        assert_int_equal(a->head.keep_alive, b->head.keep_alive);
        assert_int_equal(a->head.n_fields, b->head.n_fields);
        assert_memory_equal(&a->head.method, &b->head.method, sizeof(http1_span));
        assert_memory_equal(&a->head.target, &b->head.target, sizeof(http1_span));
        assert_memory_equal(a->fields, b->fields, a->head.n_fields * sizeof(http1_field));
}

/* Parses at once, byte by byte, and in two parts at every place; all must agree. */
static void parse(message *m, const char *answers, sj_str text)
{
        static message other;
        parse_in_steps(m, answers, text, text.n, 1);
        size_t cuts = text.n < 2000 ? text.n : 0;
        for (size_t cut = 0; cut < cuts; cut++) {
                parse_in_steps(&other, answers, text, cut, text.n);
                assert_same(m, &other);
        }
        parse_in_steps(&other, answers, text, 0, text.n < 2000 ? 1 : 61);
        assert_same(m, &other);
}

static void accept(message *m, const char *answers, const char *text)
{
        parse(m, answers, sj_str_of(text));
        if (m->outcome != HTTP1_DONE)
                print_error("refused: %s\n", http1_reason_text(m->head.reason));
        assert_int_equal(m->outcome, HTTP1_DONE);
}

static void refuse(const char *answers, sj_str text, http1_reason reason)
{
        static message m;
        parse(&m, answers, text);
        if (m.head.reason != reason)
                print_error("reason: %s\n", http1_reason_text(m.head.reason));
        assert_int_equal(m.outcome, HTTP1_WRONG);
        assert_int_equal(m.head.reason, reason);
        assert_true(http1_reason_status(reason) >= 400);
        assert_true(strlen(http1_reason_text(reason)) > 0);
}

#define HOST "Host: a\r\n"

#define REFUSES_REQUEST(name, bytes, reason)              \
        static void name(void **state)                    \
        {                                                 \
                (void)state;                              \
                refuse("", SJ_STR(bytes "\r\n"), reason); \
        }
#define REFUSES_RESPONSE(name, bytes, reason)                \
        static void name(void **state)                       \
        {                                                    \
                (void)state;                                 \
                refuse("GET", SJ_STR(bytes "\r\n"), reason); \
        }

/* clang-format off */
#define REQUEST_REFUSALS(X) \
        X(refuses_bare_lf_after_request_line, "GET / HTTP/1.1\n" HOST, HTTP1_BARE_LF) \
        X(refuses_bare_lf_after_field, "GET / HTTP/1.1\r\nHost: a\n", HTTP1_BARE_LF) \
        X(refuses_bare_lf_as_the_end, "GET / HTTP/1.1\r\nHost: a\r\n\n", HTTP1_BARE_LF) \
        X(refuses_bare_cr_in_request_line, "GET /\r HTTP/1.1\r\n" HOST, HTTP1_BARE_CR) \
        X(refuses_bare_cr_in_method, "G\rET / HTTP/1.1\r\n" HOST, HTTP1_BARE_CR) \
        X(refuses_bare_cr_in_value, "GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n", HTTP1_BARE_CR) \
        X(refuses_bare_cr_before_the_line_end, "GET / HTTP/1.1\r\n" HOST "A: b\r\r\n", HTTP1_BARE_CR) \
        X(refuses_bare_cr_in_name, "GET / HTTP/1.1\r\n" HOST "A\rB: b\r\n", HTTP1_BARE_CR) \
        X(refuses_a_line_of_one_cr, "GET / HTTP/1.1\r\n" HOST "\r\r\n", HTTP1_BARE_CR) \
        X(refuses_obs_fold, "GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n", HTTP1_OBS_FOLD) \
        X(refuses_obs_fold_with_tab, "GET / HTTP/1.1\r\n" HOST "A: b\r\n\tc\r\n", HTTP1_OBS_FOLD) \
        X(refuses_space_before_the_first_field, "GET / HTTP/1.1\r\n A: b\r\n" HOST, HTTP1_OBS_FOLD) \
        X(refuses_space_before_colon, "GET / HTTP/1.1\r\nHost : a\r\n", HTTP1_SPACE_BEFORE_COLON) \
        X(refuses_tab_before_colon, "GET / HTTP/1.1\r\nHost\t: a\r\n", HTTP1_SPACE_BEFORE_COLON) \
        X(refuses_a_space_in_a_name, "GET / HTTP/1.1\r\n" HOST "A B: c\r\n", HTTP1_BAD_NAME) \
        X(refuses_an_empty_name, "GET / HTTP/1.1\r\n" HOST ": c\r\n", HTTP1_BAD_NAME) \
        X(refuses_a_delimiter_in_a_name, "GET / HTTP/1.1\r\n" HOST "A(B: c\r\n", HTTP1_BAD_NAME) \
        X(refuses_non_ascii_in_a_name, "GET / HTTP/1.1\r\n" HOST "A\xc3\xa9: c\r\n", HTTP1_BAD_NAME) \
        X(refuses_nul_in_a_name, "GET / HTTP/1.1\r\n" HOST "A\0B: c\r\n", HTTP1_BAD_NAME) \
        X(refuses_vertical_tab_in_a_name, "GET / HTTP/1.1\r\n" HOST "A\x0b: c\r\n", HTTP1_BAD_NAME) \
        X(refuses_a_field_without_colon, "GET / HTTP/1.1\r\n" HOST "Abc\r\n", HTTP1_NO_COLON) \
        X(refuses_nul_in_a_value, "GET / HTTP/1.1\r\n" HOST "A: b\0c\r\n", HTTP1_BAD_VALUE) \
        X(refuses_0b_in_a_value, "GET / HTTP/1.1\r\n" HOST "A: b\x0b" "c\r\n", HTTP1_BAD_VALUE) \
        X(refuses_0c_in_a_value, "GET / HTTP/1.1\r\n" HOST "A: b\x0c" "c\r\n", HTTP1_BAD_VALUE) \
        X(refuses_1c_in_a_value, "GET / HTTP/1.1\r\n" HOST "A: b\x1c" "c\r\n", HTTP1_BAD_VALUE) \
        X(refuses_1d_in_a_value, "GET / HTTP/1.1\r\n" HOST "A: b\x1d" "c\r\n", HTTP1_BAD_VALUE) \
        X(refuses_1e_in_a_value, "GET / HTTP/1.1\r\n" HOST "A: b\x1e" "c\r\n", HTTP1_BAD_VALUE) \
        X(refuses_7f_in_a_value, "GET / HTTP/1.1\r\n" HOST "A: b\x7f" "c\r\n", HTTP1_BAD_VALUE) \
        X(refuses_7f_deep_in_a_value, \
          "GET / HTTP/1.1\r\n" HOST "A: 0123456789\x7f" "1234567890123456789012345\r\n", HTTP1_BAD_VALUE) \
        X(refuses_a_control_deep_in_a_value, \
          "GET / HTTP/1.1\r\n" HOST "A: 0123456789012345678901234567890\x01" "1\r\n", HTTP1_BAD_VALUE) \
        X(refuses_length_and_encoding, "POST / HTTP/1.1\r\n" HOST \
          "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", HTTP1_LENGTH_AND_ENCODING) \
        X(refuses_encoding_and_length_zero, "POST / HTTP/1.1\r\n" HOST \
          "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", HTTP1_LENGTH_AND_ENCODING) \
        X(refuses_the_same_length_twice, "POST / HTTP/1.1\r\n" HOST \
          "Content-Length: 3\r\nContent-Length: 3\r\n", HTTP1_REPEATED_LENGTH) \
        X(refuses_two_lengths, "POST / HTTP/1.1\r\n" HOST \
          "Content-Length: 3\r\ncontent-length: 4\r\n", HTTP1_REPEATED_LENGTH) \
        X(refuses_a_list_of_lengths, "POST / HTTP/1.1\r\n" HOST "Content-Length: 3, 3\r\n", HTTP1_REPEATED_LENGTH) \
        X(refuses_a_length_with_plus, "POST / HTTP/1.1\r\n" HOST "Content-Length: +3\r\n", HTTP1_BAD_LENGTH) \
        X(refuses_a_negative_length, "POST / HTTP/1.1\r\n" HOST "Content-Length: -3\r\n", HTTP1_BAD_LENGTH) \
        X(refuses_a_hexadecimal_length, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x3\r\n", HTTP1_BAD_LENGTH) \
        X(refuses_a_length_with_underscore, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1_0\r\n", HTTP1_BAD_LENGTH) \
        X(refuses_a_length_with_a_space, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1 0\r\n", HTTP1_BAD_LENGTH) \
        X(refuses_an_empty_length, "POST / HTTP/1.1\r\n" HOST "Content-Length: \r\n", HTTP1_BAD_LENGTH) \
        X(refuses_a_length_of_non_ascii_digits, "POST / HTTP/1.1\r\n" HOST "Content-Length: \xd9\xa3\r\n", HTTP1_BAD_LENGTH) \
        X(refuses_a_length_over_2_to_53, "POST / HTTP/1.1\r\n" HOST "Content-Length: 9007199254740993\r\n", HTTP1_BAD_LENGTH) \
        X(refuses_a_length_that_overflows, "POST / HTTP/1.1\r\n" HOST \
          "Content-Length: 18446744073709551617\r\n", HTTP1_BAD_LENGTH) \
        X(refuses_another_encoding, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n", HTTP1_BAD_ENCODING) \
        X(refuses_identity, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n", HTTP1_BAD_ENCODING) \
        X(refuses_chunked_that_is_not_last, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, gzip\r\n", HTTP1_BAD_ENCODING) \
        X(refuses_chunked_after_another, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n", HTTP1_BAD_ENCODING) \
        X(refuses_chunked_twice, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n", HTTP1_BAD_ENCODING) \
        X(refuses_two_encodings, "POST / HTTP/1.1\r\n" HOST \
          "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", HTTP1_BAD_ENCODING) \
        X(refuses_two_encodings_one_hidden, "POST / HTTP/1.1\r\n" HOST \
          "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", HTTP1_BAD_ENCODING) \
        X(refuses_chunked123, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked123\r\n", HTTP1_BAD_ENCODING) \
        X(refuses_xchunked, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n", HTTP1_BAD_ENCODING) \
        X(refuses_quoted_chunked, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \"chunked\"\r\n", HTTP1_BAD_ENCODING) \
        X(refuses_chunked_with_a_parameter, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked;a=b\r\n", HTTP1_BAD_ENCODING) \
        X(refuses_an_empty_encoding, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n", HTTP1_BAD_ENCODING) \
        X(refuses_encoding_in_1_0, "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n", HTTP1_ENCODING_IN_1_0) \
        X(refuses_a_missing_host, "GET / HTTP/1.1\r\n", HTTP1_MISSING_HOST) \
        X(refuses_two_hosts, "GET / HTTP/1.1\r\n" HOST HOST, HTTP1_REPEATED_HOST) \
        X(refuses_two_hosts_in_1_0, "GET / HTTP/1.0\r\n" HOST HOST, HTTP1_REPEATED_HOST) \
        X(refuses_an_empty_host, "GET / HTTP/1.1\r\nHost:\r\n", HTTP1_BAD_HOST) \
        X(refuses_a_host_with_a_path, "GET / HTTP/1.1\r\nHost: a/b\r\n", HTTP1_BAD_HOST) \
        X(refuses_a_host_with_userinfo, "GET / HTTP/1.1\r\nHost: u@a\r\n", HTTP1_BAD_HOST) \
        X(refuses_a_list_of_hosts, "GET / HTTP/1.1\r\nHost: a, b\r\n", HTTP1_BAD_HOST) \
        X(refuses_a_host_with_a_bad_port, "GET / HTTP/1.1\r\nHost: a:99999\r\n", HTTP1_BAD_HOST) \
        X(refuses_upgrade_with_a_length, "GET / HTTP/1.1\r\n" HOST \
          "Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 5\r\n", HTTP1_UPGRADE_WITH_BODY) \
        X(refuses_upgrade_with_chunks, "GET / HTTP/1.1\r\n" HOST \
          "Upgrade: websocket\r\nTransfer-Encoding: chunked\r\n", HTTP1_UPGRADE_WITH_BODY) \
        X(refuses_connect_with_a_length, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nContent-Length: 0\r\n", HTTP1_CONNECT_WITH_BODY) \
        X(refuses_connect_with_chunks, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nTransfer-Encoding: chunked\r\n", HTTP1_CONNECT_WITH_BODY) \
        X(refuses_connect_without_port, "CONNECT a HTTP/1.1\r\nHost: a\r\n", HTTP1_BAD_TARGET) \
        X(refuses_connect_to_a_path, "CONNECT / HTTP/1.1\r\nHost: a\r\n", HTTP1_BAD_TARGET) \
        X(refuses_connect_for_another_host, "CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n", HTTP1_HOST_MISMATCH) \
        X(refuses_absolute_form_of_another_host, "GET http://b/ HTTP/1.1\r\nHost: a\r\n", HTTP1_HOST_MISMATCH) \
        X(refuses_absolute_form_of_another_port, "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n", HTTP1_HOST_MISMATCH) \
        X(refuses_absolute_form_with_userinfo, "GET http://a@b/ HTTP/1.1\r\nHost: b\r\n", HTTP1_BAD_TARGET) \
        X(refuses_absolute_form_of_another_scheme, "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n", HTTP1_BAD_TARGET) \
        X(refuses_absolute_form_without_host, "GET http:/// HTTP/1.1\r\nHost: a\r\n", HTTP1_BAD_TARGET) \
        X(refuses_a_relative_target, "GET index.html HTTP/1.1\r\n" HOST, HTTP1_BAD_TARGET) \
        X(refuses_an_asterisk_without_options, "GET * HTTP/1.1\r\n" HOST, HTTP1_BAD_TARGET) \
        X(refuses_a_fragment, "GET /#a HTTP/1.1\r\n" HOST, HTTP1_BAD_TARGET) \
        X(refuses_non_ascii_in_a_target, "GET /\xc3\xa9 HTTP/1.1\r\n" HOST, HTTP1_BAD_TARGET) \
        X(refuses_a_control_in_a_target, "GET /\x01 HTTP/1.1\r\n" HOST, HTTP1_BAD_TARGET) \
        X(refuses_two_spaces_before_the_target, "GET  / HTTP/1.1\r\n" HOST, HTTP1_BAD_TARGET) \
        X(refuses_a_tab_in_the_request_line, "GET /\tHTTP/1.1\r\n" HOST, HTTP1_BAD_TARGET) \
        X(refuses_two_spaces_before_the_version, "GET /  HTTP/1.1\r\n" HOST, HTTP1_BAD_VERSION) \
        X(refuses_a_missing_version, "GET /\r\n" HOST, HTTP1_BAD_VERSION) \
        X(refuses_space_after_the_version, "GET / HTTP/1.1 \r\n" HOST, HTTP1_BAD_VERSION) \
        X(refuses_a_version_in_lower_case, "GET / http/1.1\r\n" HOST, HTTP1_BAD_VERSION) \
        X(refuses_version_1_2, "GET / HTTP/1.2\r\n" HOST, HTTP1_UNKNOWN_VERSION) \
        X(refuses_version_2_0, "PRI * HTTP/2.0\r\n", HTTP1_BAD_TARGET) \
        X(refuses_version_0_9, "GET / HTTP/0.9\r\n" HOST, HTTP1_UNKNOWN_VERSION) \
        X(refuses_a_method_with_a_delimiter, "G(T / HTTP/1.1\r\n" HOST, HTTP1_BAD_METHOD) \
        X(refuses_an_empty_method, " / HTTP/1.1\r\n" HOST, HTTP1_BAD_METHOD) \
        X(refuses_a_second_empty_line, "\r\n\r\nGET / HTTP/1.1\r\n" HOST, HTTP1_BAD_METHOD) \
        X(refuses_a_tls_hello, "\x16\x03\x01\x02" "\r\n", HTTP1_BAD_METHOD)

#define RESPONSE_REFUSALS(X) \
        X(refuses_a_status_line_without_status, "HTTP/1.1\r\n", HTTP1_BAD_STATUS_LINE) \
        X(refuses_a_status_of_two_digits, "HTTP/1.1 20 OK\r\n", HTTP1_BAD_STATUS_LINE) \
        X(refuses_a_status_of_four_digits, "HTTP/1.1 2000 OK\r\n", HTTP1_BAD_STATUS_LINE) \
        X(refuses_a_status_below_100, "HTTP/1.1 099 OK\r\n", HTTP1_BAD_STATUS_LINE) \
        X(refuses_a_status_with_letters, "HTTP/1.1 2xx OK\r\n", HTTP1_BAD_STATUS_LINE) \
        X(refuses_a_control_in_the_phrase, "HTTP/1.1 200 O\x01K\r\n", HTTP1_BAD_STATUS_LINE) \
        X(refuses_bare_cr_in_the_phrase, "HTTP/1.1 200 O\rK\r\n", HTTP1_BARE_CR) \
        X(refuses_an_empty_line_before_a_response, "\r\nHTTP/1.1 200 OK\r\n", HTTP1_BAD_STATUS_LINE) \
        X(refuses_another_protocol, "SSH-2.0-OpenSSH_9.2\r\n", HTTP1_BAD_STATUS_LINE) \
        X(refuses_icy, "ICY 200 OK  \r\n", HTTP1_BAD_STATUS_LINE) \
        X(refuses_an_http_2_response, "HTTP/2.0 200 OK\r\n", HTTP1_UNKNOWN_VERSION) \
        X(refuses_length_and_encoding_in_a_response, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n", HTTP1_LENGTH_AND_ENCODING) \
        X(refuses_two_lengths_in_a_response, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n", HTTP1_REPEATED_LENGTH) \
        X(refuses_a_bad_length_in_a_response, "HTTP/1.1 200 OK\r\nContent-Length: 3a\r\n", HTTP1_BAD_LENGTH) \
        X(refuses_another_encoding_in_a_response, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n", HTTP1_BAD_ENCODING) \
        X(refuses_encoding_in_a_1_0_response, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n", HTTP1_ENCODING_IN_1_0) \
        X(refuses_obs_fold_in_a_response, "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n", HTTP1_OBS_FOLD) \
        X(refuses_space_before_colon_in_a_response, "HTTP/1.1 200 OK\r\nA : b\r\n", HTTP1_SPACE_BEFORE_COLON) \
        X(refuses_a_header_split_by_0b, "HTTP/1.1 200 OK\r\nA: b\x0bSet-Cookie: c\r\n", HTTP1_BAD_VALUE)

#define ONE_REQUEST(name, bytes, reason)  REFUSES_REQUEST(name, bytes, reason)
#define ONE_RESPONSE(name, bytes, reason) REFUSES_RESPONSE(name, bytes, reason)
#define AS_TEST(name, bytes, reason)      cmocka_unit_test(name),
/* clang-format on */

REQUEST_REFUSALS(ONE_REQUEST)
RESPONSE_REFUSALS(ONE_RESPONSE)

/* A request whose head holds that many fields, or a path or a value of that many bytes. */
static char *big_request(size_t path, size_t fields, size_t value)
{
        size_t room = 200 + path + fields * (16 + value);
        char *text = malloc(room);
        assert_non_null(text);
        size_t n = (size_t)snprintf(text, room, "GET /");
        memset(text + n, 'p', path);
        n += path;
        n += (size_t)snprintf(text + n, room - n, " HTTP/1.1\r\nHost: a\r\n");
        for (size_t i = 0; i < fields; i++) {
                n += (size_t)snprintf(text + n, room - n, "F: ");
                memset(text + n, 'v', value);
                n += value;
                n += (size_t)snprintf(text + n, room - n, "\r\n");
        }
        snprintf(text + n, room - n, "\r\n");
        return text;
}

static void limits_the_request_line(void **state)
{
        (void)state;
        static message m;
        size_t rest = sizeof("GET / HTTP/1.1") - 1;
        char *fits = big_request(HTTP1_LINE_MAX - rest, 0, 0);
        accept(&m, "", fits);
        free(fits);
        char *over = big_request(HTTP1_LINE_MAX - rest + 1, 0, 0);
        refuse("", sj_str_of(over), HTTP1_LINE_TOO_LONG);
        /* Already before the line has ended. */
        refuse("", (sj_str){over, HTTP1_LINE_MAX + 2}, HTTP1_LINE_TOO_LONG);
        free(over);
}

static void limits_the_number_of_fields(void **state)
{
        (void)state;
        static message m;
        char *fits = big_request(0, HTTP1_FIELDS_MAX - 1, 1);
        accept(&m, "", fits);
        assert_int_equal(m.head.n_fields, HTTP1_FIELDS_MAX);
        free(fits);
        char *over = big_request(0, HTTP1_FIELDS_MAX, 1);
        refuse("", sj_str_of(over), HTTP1_TOO_MANY_FIELDS);
        free(over);
}

static void limits_the_head(void **state)
{
        (void)state;
        static message m;
        char *probe = big_request(0, 2, 0);
        size_t rest = strlen(probe);
        free(probe);
        size_t value = (HTTP1_HEAD_MAX - rest) / 2;
        char *fits = big_request(0, 2, value);
        assert_int_equal(strlen(fits), HTTP1_HEAD_MAX - (HTTP1_HEAD_MAX - rest) % 2);
        accept(&m, "", fits);
        free(fits);
        char *over = big_request(0, 2, value + 1);
        refuse("", sj_str_of(over), HTTP1_HEAD_TOO_LARGE);
        refuse("", (sj_str){over, HTTP1_HEAD_MAX}, HTTP1_HEAD_TOO_LARGE);
        free(over);
        over = big_request(0, 1, HTTP1_HEAD_MAX + 5000);
        refuse("", sj_str_of(over), HTTP1_HEAD_TOO_LARGE);
        free(over);
}

static void assert_view(const message *m, http1_span span, const char *text)
{
        sj_str view = http1_view(m->head.base, span);
        assert_int_equal(view.n, strlen(text));
        assert_memory_equal(view.data, text, view.n);
}

static void reads_a_request(void **state)
{
        (void)state;
        static message m;
        accept(&m, "",
               "\r\nPOST /a/b?c=%20|{} HTTP/1.1\r\nhOsT:example.com:8080\r\nX:  \t a b\t \r\n"
               "Empty:\r\nUtf8: \xc3\xa9\r\nContent-Length: 0017\r\nExpect: 100-Continue\r\n\r\n");
        assert_view(&m, m.head.method, "POST");
        assert_view(&m, m.head.target, "/a/b?c=%20|{}");
        assert_view(&m, m.head.host, "example.com:8080");
        assert_view(&m, m.fields[1].name, "X");
        assert_view(&m, m.fields[1].value, "a b");
        assert_view(&m, m.fields[2].value, "");
        assert_view(&m, m.fields[3].value, "\xc3\xa9");
        assert_int_equal(m.head.framing, HTTP1_LENGTH);
        assert_int_equal(m.head.length, 17);
        assert_int_equal(m.head.n_fields, 6);
        assert_int_equal(m.head.minor, 1);
        assert_true(m.head.expect_continue);
        assert_true(m.head.keep_alive);
}

static void finds_fields_by_name_in_any_case(void **state)
{
        (void)state;
        static message m;
        sj_str value;
        accept(&m, "", "GET / HTTP/1.1\r\n" HOST "A: 1\r\na: 2\r\nAb: 3\r\n\r\n");
        assert_true(http1_head_find(&m.head, SJ_STR("A"), 0, &value));
        assert_true(sj_str_equal(value, SJ_STR("1")));
        assert_true(http1_head_find(&m.head, SJ_STR("A"), 1, &value));
        assert_true(sj_str_equal(value, SJ_STR("2")));
        assert_false(http1_head_find(&m.head, SJ_STR("A"), 2, &value));
}

static http1_framing framing_of(const char *answers, const char *text)
{
        static message m;
        accept(&m, answers, text);
        return m.head.framing;
}

static void frames_requests(void **state)
{
        (void)state;
        assert_int_equal(framing_of("", "GET / HTTP/1.1\r\n" HOST "\r\n"), HTTP1_NO_BODY);
        assert_int_equal(framing_of("", "GET / HTTP/1.0\r\n\r\n"), HTTP1_NO_BODY);
        assert_int_equal(framing_of("", "PUT / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"),
                         HTTP1_NO_BODY);
        assert_int_equal(framing_of("", "GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n"),
                         HTTP1_LENGTH);
        assert_int_equal(framing_of("", "PUT / HTTP/1.1\r\n" HOST
                                        "Content-Length: 9007199254740992\r\n\r\n"),
                         HTTP1_LENGTH);
        assert_int_equal(
                framing_of("", "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding:\tCHUNKED \r\n\r\n"),
                HTTP1_CHUNKED);
        assert_int_equal(framing_of("", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP1_TUNNEL);
        assert_int_equal(framing_of("", "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"),
                         HTTP1_TUNNEL);
        assert_int_equal(framing_of("", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), HTTP1_NO_BODY);
        assert_int_equal(framing_of("", "GET HTTP://A:80/x HTTP/1.1\r\n" HOST "\r\n"),
                         HTTP1_NO_BODY);
        assert_int_equal(framing_of("", "GET https://a?x HTTP/1.1\r\nHost: a:443\r\n\r\n"),
                         HTTP1_NO_BODY);
}

static void frames_responses(void **state)
{
        (void)state;
        const char *length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        const char *chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        const char *neither = "HTTP/1.1 200 OK\r\n\r\n";
        assert_int_equal(framing_of("GET", length), HTTP1_LENGTH);
        assert_int_equal(framing_of("GET", chunked), HTTP1_CHUNKED);
        assert_int_equal(framing_of("GET", neither), HTTP1_UNTIL_CLOSE);
        assert_int_equal(framing_of("HEAD", length), HTTP1_NO_BODY);
        assert_int_equal(framing_of("HEAD", chunked), HTTP1_NO_BODY);
        assert_int_equal(framing_of("HEAD", neither), HTTP1_NO_BODY);
        assert_int_equal(framing_of("CONNECT", length), HTTP1_TUNNEL);
        assert_int_equal(framing_of("CONNECT", neither), HTTP1_TUNNEL);
        assert_int_equal(framing_of("CONNECT", "HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\n"),
                         HTTP1_LENGTH);
        assert_int_equal(framing_of("GET", "HTTP/1.1 204 No Content\r\n\r\n"), HTTP1_NO_BODY);
        assert_int_equal(framing_of("GET", "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n"),
                         HTTP1_NO_BODY);
        assert_int_equal(framing_of("GET", "HTTP/1.1 100 Continue\r\n\r\n"), HTTP1_NO_BODY);
        assert_int_equal(framing_of("GET", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n"),
                         HTTP1_TUNNEL);
        assert_int_equal(framing_of("GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
                         HTTP1_NO_BODY);
        assert_int_equal(framing_of("GET", "HTTP/1.1 999 No way\r\nContent-Length: 1\r\n\r\n"),
                         HTTP1_LENGTH);
}

static bool stays(const char *answers, const char *text)
{
        static message m;
        accept(&m, answers, text);
        return m.head.keep_alive;
}

static void decides_whether_the_connection_lives_on(void **state)
{
        (void)state;
        assert_true(stays("", "GET / HTTP/1.1\r\n" HOST "\r\n"));
        assert_false(stays("", "GET / HTTP/1.1\r\n" HOST "Connection: x, Close\r\n\r\n"));
        assert_false(stays("", "GET / HTTP/1.0\r\n\r\n"));
        assert_true(stays("", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
        assert_false(stays("", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n"
                               "Connection: close\r\n\r\n"));
        assert_false(stays("GET", "HTTP/1.1 200 OK\r\n\r\n"));
        assert_true(stays("HEAD", "HTTP/1.1 200 OK\r\n\r\n"));
        assert_true(stays("GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"));
        assert_false(stays("GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"));
        assert_true(stays("GET", "HTTP/1.1 204 x\r\n\r\n"));
        assert_false(stays("GET", "HTTP/1.1 204 x\r\nContent-Length: 1\r\n\r\n"));
        assert_false(stays("GET", "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n"));
}

static void sees_an_upgrade_only_when_both_fields_say_so(void **state)
{
        (void)state;
        static message m;
        accept(&m, "", "GET / HTTP/1.1\r\n" HOST "Upgrade: x\r\nConnection: a, upgrade\r\n\r\n");
        assert_true(m.head.upgrade);
        accept(&m, "", "GET / HTTP/1.1\r\n" HOST "Upgrade: x\r\n\r\n");
        assert_false(m.head.upgrade);
}

static void waits_for_the_whole_head(void **state)
{
        (void)state;
        static message m;
        parse(&m, "", SJ_STR("GET / HTTP/1.1\r\nHost: a\r\n\r"));
        assert_int_equal(m.outcome, HTTP1_PARTIAL);
        parse(&m, "", SJ_STR(""));
        assert_int_equal(m.outcome, HTTP1_PARTIAL);
}

static void leaves_what_follows_the_head(void **state)
{
        (void)state;
        static message m;
        accept(&m, "", "GET / HTTP/1.1\r\n" HOST "\r\nnext\nbytes\r");
        assert_int_equal(m.head.size, sizeof("GET / HTTP/1.1\r\n" HOST "\r\n") - 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                REQUEST_REFUSALS(AS_TEST) RESPONSE_REFUSALS(AS_TEST)
                        cmocka_unit_test(limits_the_request_line),
                cmocka_unit_test(limits_the_number_of_fields),
                cmocka_unit_test(limits_the_head),
                cmocka_unit_test(reads_a_request),
                cmocka_unit_test(finds_fields_by_name_in_any_case),
                cmocka_unit_test(frames_requests),
                cmocka_unit_test(frames_responses),
                cmocka_unit_test(decides_whether_the_connection_lives_on),
                cmocka_unit_test(sees_an_upgrade_only_when_both_fields_say_so),
                cmocka_unit_test(waits_for_the_whole_head),
                cmocka_unit_test(leaves_what_follows_the_head),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
