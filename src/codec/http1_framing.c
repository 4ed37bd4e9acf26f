/* SPDX-License-Identifier: MIT */
/*
 * What a message's fields say about where it ends (RFC 9112 §6), whether the connection lives on
 * (§9.3), and whom it is for (§3.2).
 *
 * While lines are read, the fields that matter are only noted; the decision falls when the head is
 * whole. Every doubt is a refusal: both a length and an encoding, a length twice, even when both
 * say the same, an encoding that is not exactly "chunked".
 */
#include "codec/http1.h"
#include "codec/url.h"

static void count(uint8_t *n)
{
        if (*n < 2)
                (*n)++;
}

static void note_host(http1_head *h, const http1_field *field)
{
        h->host = field->value;
        count(&h->n_host);
}

static void note_length(http1_head *h, const http1_field *field)
{
        h->content_length = field->value;
        count(&h->n_length);
}

static void note_encoding(http1_head *h, const http1_field *field)
{
        h->transfer_encoding = field->value;
        count(&h->n_encoding);
}

static void note_upgrade(http1_head *h, const http1_field *field)
{
        (void)field;
        count(&h->n_upgrade);
}

static void note_expect(http1_head *h, const http1_field *field)
{
        h->expect_continue = http1_equal(http1_view(h->base, field->value), SJ_STR("100-continue"));
}

static void note_connection(http1_head *h, const http1_field *field)
{
        sj_str list = http1_view(h->base, field->value), option;
        while (http1_next_member(&list, &option)) {
                h->close |= http1_equal(option, SJ_STR("close"));
                h->stay |= http1_equal(option, SJ_STR("keep-alive"));
                h->upgrade_option |= http1_equal(option, SJ_STR("upgrade"));
        }
}

static const struct {
        sj_str name;
        void (*note)(http1_head *h, const http1_field *field);
} noted[] = {
        {{"host", 4}, note_host},
        {{"expect", 6}, note_expect},
        {{"upgrade", 7}, note_upgrade},
        {{"connection", 10}, note_connection},
        {{"content-length", 14}, note_length},
        {{"transfer-encoding", 17}, note_encoding},
};

void http1_framing_note(http1_head *h, const http1_field *field)
{
        sj_str name = http1_view(h->base, field->name);
        for (size_t i = 0; i < sizeof(noted) / sizeof(noted[0]); i++)
                if (name.n == noted[i].name.n && http1_equal(name, noted[i].name))
                        noted[i].note(h, field);
}

/* 1*DIGIT up to HTTP1_LENGTH_MAX, and nothing else. */
static bool parse_length(sj_str s, uint64_t *ret)
{
        uint64_t length = 0;
        for (size_t i = 0; i < s.n; i++) {
                if (s.data[i] < '0' || s.data[i] > '9')
                        return false;
                length = length * 10 + (uint64_t)(s.data[i] - '0');
                if (length > HTTP1_LENGTH_MAX)
                        return false;
        }
        *ret = length;
        return s.n > 0;
}

/* Content-Length and Transfer-Encoding, each in itself and both together. */
static http1_reason check_lengths(http1_head *h)
{
        if (h->n_length && h->n_encoding)
                return HTTP1_LENGTH_AND_ENCODING;
        if (h->n_length > 1)
                return HTTP1_REPEATED_LENGTH;
        if (h->n_length) {
                sj_str value = http1_view(h->base, h->content_length);
                if (!parse_length(value, &h->length))
                        return memchr(value.data, ',', value.n) ? HTTP1_REPEATED_LENGTH
                                                                : HTTP1_BAD_LENGTH;
                h->has_length = true;
        }
        if (h->n_encoding && h->minor == 0)
                return HTTP1_ENCODING_IN_1_0;
        if (h->n_encoding > 1)
                return HTTP1_BAD_ENCODING;
        if (h->n_encoding &&
            !http1_equal(http1_view(h->base, h->transfer_encoding), SJ_STR("chunked")))
                return HTTP1_BAD_ENCODING;
        return HTTP1_OK;
}

/* The port that the authority means; schemes differ only where it has none. */
static uint16_t port_of(url_authority a, uint16_t usual)
{
        return a.has_port ? a.port : usual;
}

/* The authority within an absolute-form target; 0 for a scheme that no server of ours serves. */
static uint16_t split_absolute(sj_str target, sj_str *ret_authority)
{
        static const struct {
                sj_str prefix;
                uint16_t port;
        } schemes[] = {{{"http://", 7}, 80}, {{"https://", 8}, 443}};
        for (size_t i = 0; i < 2; i++) {
                size_t n = schemes[i].prefix.n;
                if (target.n < n || !http1_equal((sj_str){target.data, n}, schemes[i].prefix))
                        continue;
                sj_str rest = {target.data + n, target.n - n};
                size_t end = 0;
                while (end < rest.n && rest.data[end] != '/' && rest.data[end] != '?')
                        end++;
                *ret_authority = (sj_str){rest.data, end};
                return schemes[i].port;
        }
        return 0;
}

/* Host must name the same as the target does, where the target names one (RFC 9112 §3.2). */
static http1_reason check_target_host(const http1_head *h, url_authority host)
{
        sj_str text = http1_view(h->base, h->target);
        uint16_t usual = 0;
        if (h->form == HTTP1_ABSOLUTE_FORM) {
                usual = split_absolute(text, &text);
                if (usual == 0)
                        return HTTP1_BAD_TARGET;
        }
        url_authority target;
        if (url_authority_parse(text, &target) != URL_OK ||
            (h->form == HTTP1_AUTHORITY_FORM && !target.has_port))
                return HTTP1_BAD_TARGET;
        if (!h->n_host)
                return HTTP1_OK;
        /* Many clients leave the port out of the Host of a CONNECT. */
        bool same_port = port_of(host, h->form == HTTP1_AUTHORITY_FORM ? target.port : usual) ==
                         port_of(target, usual);
        bool same_host = host.ipv6 == target.ipv6 && http1_equal(host.host, target.host);
        return same_host && same_port ? HTTP1_OK : HTTP1_HOST_MISMATCH;
}

static http1_reason check_host(const http1_head *h)
{
        if (h->n_host > 1)
                return HTTP1_REPEATED_HOST;
        if (h->n_host == 0 && h->minor > 0)
                return HTTP1_MISSING_HOST;
        url_authority host = {0};
        if (h->n_host && url_authority_parse(http1_view(h->base, h->host), &host) != URL_OK)
                return HTTP1_BAD_HOST;
        if (h->form == HTTP1_ABSOLUTE_FORM || h->form == HTTP1_AUTHORITY_FORM)
                return check_target_host(h, host);
        return HTTP1_OK;
}

static http1_reason decide_request(http1_head *h)
{
        http1_reason reason = check_host(h);
        if (reason != HTTP1_OK)
                return reason;
        bool body = h->n_encoding || h->length > 0;
        if (h->form == HTTP1_AUTHORITY_FORM) {
                h->framing = HTTP1_TUNNEL;
                return h->n_encoding || h->n_length ? HTTP1_CONNECT_WITH_BODY : HTTP1_OK;
        }
        if (h->n_encoding)
                h->framing = HTTP1_CHUNKED;
        else
                h->framing = body ? HTTP1_LENGTH : HTTP1_NO_BODY;
        /* Whoever switches protocols at once would read the body as the new protocol's bytes. */
        return h->n_upgrade && body ? HTTP1_UPGRADE_WITH_BODY : HTTP1_OK;
}

/* RFC 9112 §6.3. */
static http1_reason decide_response(http1_head *h)
{
        if (h->status == 101 || (h->to_connect && h->status / 100 == 2)) {
                h->framing = HTTP1_TUNNEL;
        } else if (h->to_head || h->status == 304) {
                h->framing = HTTP1_NO_BODY;
        } else if (h->status < 200 || h->status == 204) {
                h->framing = HTTP1_NO_BODY;
                /* It must not announce a body. Where one follows all the same, nobody knows. */
                if (h->n_encoding || h->length > 0)
                        h->keep_alive = false;
        } else if (h->n_encoding) {
                h->framing = HTTP1_CHUNKED;
        } else if (h->has_length) {
                h->framing = h->length ? HTTP1_LENGTH : HTTP1_NO_BODY;
        } else {
                h->framing = HTTP1_UNTIL_CLOSE;
                h->keep_alive = false;
        }
        return HTTP1_OK;
}

http1_reason http1_framing_decide(http1_head *h)
{
        http1_reason reason = check_lengths(h);
        if (reason != HTTP1_OK)
                return reason;
        h->keep_alive = !h->close && (h->minor > 0 || h->stay);
        h->upgrade = h->n_upgrade && h->upgrade_option;
        return h->response ? decide_response(h) : decide_request(h);
}
