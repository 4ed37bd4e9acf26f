/* SPDX-License-Identifier: MIT */
/* The alphabets of HTTP/1.1, its reasons, and small readers of text that all parts share. */
#include "codec/http1.h"

static const struct {
        const char *text;
        int status;
} reasons[HTTP1_REASONS] = {
        [HTTP1_OK] = {"well-formed", 200},
        [HTTP1_BARE_LF] = {"a line ends in LF without CR", 400},
        [HTTP1_BARE_CR] = {"a CR stands alone", 400},
        [HTTP1_LINE_TOO_LONG] = {"the first line is longer than the limit", 414},
        [HTTP1_HEAD_TOO_LARGE] = {"the head is larger than the limit", 431},
        [HTTP1_TOO_MANY_FIELDS] = {"there are more fields than the limit", 431},
        [HTTP1_BAD_METHOD] = {"the method is not a token", 400},
        [HTTP1_BAD_TARGET] = {"the request target is malformed", 400},
        [HTTP1_BAD_VERSION] = {"the version is malformed", 400},
        [HTTP1_UNKNOWN_VERSION] = {"the version is neither HTTP/1.1 nor HTTP/1.0", 505},
        [HTTP1_BAD_STATUS_LINE] = {"the status line is malformed", 400},
        [HTTP1_OBS_FOLD] = {"a field is continued on a second line", 400},
        [HTTP1_SPACE_BEFORE_COLON] = {"there is white space before the colon of a field", 400},
        [HTTP1_NO_COLON] = {"a field has no colon", 400},
        [HTTP1_BAD_NAME] = {"the name of a field is not a token", 400},
        [HTTP1_BAD_VALUE] = {"the value of a field holds a control byte", 400},
        [HTTP1_LENGTH_AND_ENCODING] = {"Content-Length and Transfer-Encoding are both there", 400},
        [HTTP1_REPEATED_LENGTH] = {"Content-Length is there more than once", 400},
        [HTTP1_BAD_LENGTH] = {"Content-Length is not a number within the limit", 400},
        [HTTP1_BAD_ENCODING] = {"Transfer-Encoding is not exactly \"chunked\", once", 501},
        [HTTP1_ENCODING_IN_1_0] = {"Transfer-Encoding in an HTTP/1.0 message", 400},
        [HTTP1_UPGRADE_WITH_BODY] = {"Upgrade in a request with a body", 400},
        [HTTP1_CONNECT_WITH_BODY] = {"CONNECT with a body", 400},
        [HTTP1_MISSING_HOST] = {"Host is missing", 400},
        [HTTP1_REPEATED_HOST] = {"Host is there more than once", 400},
        [HTTP1_BAD_HOST] = {"Host is not a host with an optional port", 400},
        [HTTP1_HOST_MISMATCH] = {"Host differs from the host in the request target", 400},
        [HTTP1_BAD_CHUNK_SIZE] = {"a chunk size is not a hexadecimal number", 400},
        [HTTP1_CHUNK_TOO_LARGE] = {"a chunk size is over the limit", 400},
        [HTTP1_BAD_EXTENSION] = {"a chunk extension is malformed", 400},
        [HTTP1_EXTENSION_TOO_LONG] = {"chunk extensions are longer than the limit", 400},
        [HTTP1_BAD_CHUNK_END] = {"a chunk does not end where its size says", 400},
        [HTTP1_TRAILER_TOO_LARGE] = {"the trailer section is larger than the limit", 431},
        [HTTP1_BAD_TRAILER] = {"a trailer field may not stand there", 400},
        [HTTP1_TRUNCATED] = {"the connection was closed in the middle of the message", 400},
};

const char *http1_reason_text(http1_reason reason)
{
        return reason < HTTP1_REASONS ? reasons[reason].text : "unknown reason";
}

int http1_reason_status(http1_reason reason)
{
        return reason < HTTP1_REASONS ? reasons[reason].status : 400;
}

enum { TOKEN = 1, TARGET = 2 };

#define ROW_OF_5(c, v)  [c] = (v), [(c) + 1] = (v), [(c) + 2] = (v), [(c) + 3] = (v), [(c) + 4] = (v)
#define ROW_OF_10(c, v) ROW_OF_5(c, v), ROW_OF_5((c) + 5, v)
#define ROW_OF_26(c, v) \
        ROW_OF_10(c, v), ROW_OF_10((c) + 10, v), ROW_OF_5((c) + 20, v), [(c) + 25] = (v)

/*
 * tchar (RFC 9110 §5.6.2), and what a target may hold: the characters of RFC 3986, and those that
 * browsers leave unencoded in a query. '"', '#', '<', '>' and '\' are in neither.
 */
static const uint8_t classes[256] = {
        ROW_OF_10('0', TOKEN | TARGET),
        ROW_OF_26('A', TOKEN | TARGET),
        ROW_OF_26('a', TOKEN | TARGET),
        ['!'] = TOKEN | TARGET,
        ['$'] = TOKEN | TARGET,
        ['%'] = TOKEN | TARGET,
        ['&'] = TOKEN | TARGET,
        ['\''] = TOKEN | TARGET,
        ['*'] = TOKEN | TARGET,
        ['+'] = TOKEN | TARGET,
        ['-'] = TOKEN | TARGET,
        ['.'] = TOKEN | TARGET,
        ['^'] = TOKEN | TARGET,
        ['_'] = TOKEN | TARGET,
        ['`'] = TOKEN | TARGET,
        ['|'] = TOKEN | TARGET,
        ['~'] = TOKEN | TARGET,
        ['#'] = TOKEN,
        ['('] = TARGET,
        [')'] = TARGET,
        [','] = TARGET,
        ['/'] = TARGET,
        [':'] = TARGET,
        [';'] = TARGET,
        ['='] = TARGET,
        ['?'] = TARGET,
        ['@'] = TARGET,
        ['['] = TARGET,
        [']'] = TARGET,
        ['{'] = TARGET,
        ['}'] = TARGET,
};

static bool all_of(sj_str s, uint8_t class)
{
        for (size_t i = 0; i < s.n; i++)
                if (!(classes[(unsigned char)s.data[i]] & class))
                        return false;
        return s.n > 0;
}

bool http1_is_token(sj_str s)
{
        return all_of(s, TOKEN);
}

bool http1_is_target(sj_str s)
{
        return all_of(s, TARGET);
}

static bool is_space(char c)
{
        return c == ' ' || c == '\t';
}

sj_str http1_trim(sj_str s)
{
        while (s.n && is_space(s.data[0])) {
                s.data++;
                s.n--;
        }
        while (s.n && is_space(s.data[s.n - 1]))
                s.n--;
        return s;
}

static unsigned char lower(char c)
{
        return (unsigned char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

bool http1_equal(sj_str a, sj_str b)
{
        if (a.n != b.n)
                return false;
        for (size_t i = 0; i < a.n; i++)
                if (lower(a.data[i]) != lower(b.data[i]))
                        return false;
        return true;
}

bool http1_next_member(sj_str *list, sj_str *ret)
{
        while (list->n) {
                const char *comma = memchr(list->data, ',', list->n);
                size_t n = comma ? (size_t)(comma - list->data) : list->n;
                sj_str member = http1_trim((sj_str){list->data, n});
                size_t skip = comma ? n + 1 : n;
                list->data += skip;
                list->n -= skip;
                if (member.n) {
                        *ret = member;
                        return true;
                }
        }
        return false;
}

bool http1_head_find(const http1_head *h, sj_str name, uint32_t i, sj_str *ret)
{
        for (uint32_t k = 0; k < h->n_fields; k++) {
                if (!http1_equal(http1_view(h->base, h->fields[k].name), name))
                        continue;
                if (i-- == 0) {
                        *ret = http1_view(h->base, h->fields[k].value);
                        return true;
                }
        }
        return false;
}
