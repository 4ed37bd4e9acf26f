/* SPDX-License-Identifier: MIT */
/*
 * gzip may consist of several members one after the other (RFC 1952 §2.2). deflate is the zlib
 * format (RFC 1950), but many servers send the bare one (RFC 1951): the first two bytes tell, for
 * no bare stream that a compressor writes begins like a zlib header.
 *
 *         BEGIN ──► [TWO BYTES] ──► BODY ──► ENDED ──► (gzip: another member) BODY
 */
#include "http/decode.h"

#ifdef SANJAB_HAVE_ZLIB

#include "codec/http1.h"

#include <stdlib.h>

#define ZLIB_CONST
#include <zlib.h>

enum { GZIP_WINDOW = 15 + 16, ZLIB_WINDOW = 15, BARE_WINDOW = -15 };

struct http_decoder {
        z_stream z;
        uint64_t in, out;
        uint64_t size_max;
        unsigned ratio_max;
        bool gzip;
        bool begun;      /* z is in use */
        bool ended;      /* of the member */
        uint8_t first_n; /* deflate: of the two first bytes */
        uint8_t first[2];
};

const char *http_decode_accepted(void)
{
        return "gzip, deflate";
}

/* The only coding in the list that does something; empty when none does. */
static int only_coding(sj_str list, sj_str *ret)
{
        sj_str coding;
        *ret = SJ_STR("");
        while (http1_next_member(&list, &coding)) {
                if (http1_equal(coding, SJ_STR("identity")))
                        continue;
                if (ret->n)
                        return -EOPNOTSUPP;
                *ret = coding;
        }
        return 0;
}

int http_decode_new(sj_str encoding, uint64_t size_max, unsigned ratio_max, http_decoder **ret)
{
        sj_str coding;
        int r = only_coding(encoding, &coding);
        if (r < 0)
                return r;
        if (coding.n == 0) {
                *ret = NULL;
                return 0;
        }
        bool gzip = http1_equal(coding, SJ_STR("gzip")) || http1_equal(coding, SJ_STR("x-gzip"));
        if (!gzip && !http1_equal(coding, SJ_STR("deflate")))
                return -EOPNOTSUPP;
        http_decoder *d = calloc(1, sizeof(*d));
        if (!d)
                return -ENOMEM;
        d->gzip = gzip;
        d->size_max = size_max;
        d->ratio_max = ratio_max;
        *ret = d;
        return 0;
}

void http_decode_free(http_decoder *d)
{
        if (!d)
                return;
        if (d->begun)
                inflateEnd(&d->z);
        free(d);
}

/* RFC 1950 §2.2: deflate with a window of at most 32 KiB, and the check of both bytes. */
static bool is_zlib_header(const uint8_t two[2])
{
        return (two[0] & 0x0f) == 8 && two[0] >> 4 <= 7 && (two[0] << 8 | two[1]) % 31 == 0;
}

/* Takes what is needed to know the format, then starts: 1, or 0 when that is not there yet. */
static int begin(http_decoder *d, sj_str *in)
{
        while (!d->gzip && d->first_n < 2) {
                if (in->n == 0)
                        return 0;
                d->first[d->first_n++] = (uint8_t)*in->data++;
                in->n--;
                d->in++;
        }
        int window = d->gzip ? GZIP_WINDOW : is_zlib_header(d->first) ? ZLIB_WINDOW : BARE_WINDOW;
        if (inflateInit2(&d->z, window) != Z_OK)
                return -ENOMEM;
        d->begun = true;
        d->z.next_in = d->first;
        d->z.avail_in = d->first_n;
        return 1;
}

static int check_caps(const http_decoder *d)
{
        if (d->out > d->size_max)
                return -EMSGSIZE;
        if (d->out > HTTP_DECODE_FREE && d->out / d->ratio_max > d->in)
                return -E2BIG;
        return 0;
}

/* One call of inflate on that input; how many bytes came out. */
static ssize_t run(http_decoder *d, sj_str *in, void *ret, size_t n)
{
        uInt offered = in->n < UINT32_MAX ? (uInt)in->n : UINT32_MAX;
        uInt room = n < UINT32_MAX ? (uInt)n : UINT32_MAX;
        d->z.next_in = (const Bytef *)in->data;
        d->z.avail_in = offered;
        d->z.next_out = ret;
        d->z.avail_out = room;
        int status = inflate(&d->z, Z_NO_FLUSH);
        size_t taken = offered - d->z.avail_in, made = room - d->z.avail_out;
        if (taken) /* an empty view may have no address */
                in->data += taken;
        in->n -= taken;
        d->in += taken;
        d->out += made;
        d->ended = status == Z_STREAM_END;
        if (status == Z_MEM_ERROR)
                return -ENOMEM;
        if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
                return -EBADMSG;
        int r = check_caps(d);
        return r < 0 ? r : (ssize_t)made;
}

ssize_t http_decode(http_decoder *d, sj_str *in, void *ret, size_t n)
{
        if (!d->begun) {
                int r = begin(d, in);
                if (r <= 0)
                        return r;
                sj_str first = {(const char *)d->first, d->first_n};
                d->in -= first.n;
                ssize_t made = first.n ? run(d, &first, ret, n) : 0;
                if (made != 0)
                        return made;
        }
        for (;;) {
                if (in->n == 0 && (d->ended || d->z.avail_out > 0))
                        return 0;
                if (d->ended) {
                        if (!d->gzip || inflateReset(&d->z) != Z_OK)
                                return -EBADMSG;
                        d->ended = false;
                }
                size_t before = in->n;
                ssize_t made = run(d, in, ret, n);
                if (made != 0 || (in->n == before && !d->ended))
                        return made;
        }
}

int http_decode_end(const http_decoder *d)
{
        /* A body of no bytes at all is what careless servers make of an empty one. */
        return d->ended || (d->in == 0 && d->first_n == 0) ? 0 : -EBADMSG;
}

#else

const char *http_decode_accepted(void)
{
        return "";
}

int http_decode_new(sj_str encoding, uint64_t size_max, unsigned ratio_max, http_decoder **ret)
{
        (void)size_max;
        (void)ratio_max;
        if (encoding.n)
                return -EOPNOTSUPP;
        *ret = NULL;
        return 0;
}

void http_decode_free(http_decoder *d)
{
        (void)d;
}

ssize_t http_decode(http_decoder *d, sj_str *in, void *ret, size_t n)
{
        (void)d;
        (void)in;
        (void)ret;
        (void)n;
        return -EOPNOTSUPP;
}

int http_decode_end(const http_decoder *d)
{
        (void)d;
        return -EOPNOTSUPP;
}

#endif
