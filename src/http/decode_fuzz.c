/* SPDX-License-Identifier: MIT */
/* What comes out does not depend on the sizes of the pieces in which it goes in and out. */
#include "http/decode.h"

#include "base/buf.h"

#include <stdlib.h>

static void check(bool holds)
{
        if (!holds)
                abort();
}

static int decode(sj_str encoding, sj_str text, size_t in_step, size_t out_step, buf *out)
{
        char piece[512];
        http_decoder *d;
        check(http_decode_new(encoding, 1 << 16, 100, &d) == 0);
        int r = 0;
        for (size_t at = 0, n; at < text.n && r == 0; at += n) {
                n = text.n - at < in_step ? text.n - at : in_step;
                sj_str in = {text.data + at, n};
                ssize_t made;
                while ((made = http_decode(d, &in, piece, out_step)) > 0)
                        check(buf_append(out, piece, (size_t)made) == 0);
                r = made < 0 ? (int)made : 0;
        }
        if (r == 0)
                r = http_decode_end(d);
        http_decode_free(d);
        return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 2)
                return 0;
        sj_str encoding = data[0] & 1 ? SJ_STR("gzip") : SJ_STR("deflate");
        sj_str text = {(const char *)data + 2, size - 2};
        buf whole = BUF_INIT(0), cut = BUF_INIT(0);
        int r = decode(encoding, text, SIZE_MAX, 512, &whole);
        int again = decode(encoding, text, 1 + data[1] % 7U, 1 + data[0] / 2U, &cut);
        /* With an error, how much came out before it may differ, and which one was met first. */
        check((r < 0) == (again < 0));
        check(r < 0 || sj_str_equal(buf_str(&whole), buf_str(&cut)));
        buf_fini(&whole);
        buf_fini(&cut);
        return 0;
}
