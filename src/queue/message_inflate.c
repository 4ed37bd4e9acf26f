/* SPDX-License-Identifier: MIT */
/*
 * The limit is checked while inflating, never after: the buffer grows by doubling up to it, so
 * that a small stream costs little and a hostile one no more than the limit.
 */
#include "queue/message_inflate.h"

#include "queue/message.h"

#ifdef SANJAB_ZLIB
#include "base/buf.h"

#include <zlib.h>

enum { INFLATE_STEP = 4096 };

/* Inflates into out until the stream's end. */
static int message_inflate_all(z_stream *z, buf *out)
{
        for (;;) {
                int r = buf_reserve(out, INFLATE_STEP);
                if (r < 0)
                        return r == -ENOBUFS ? -EMSGSIZE : r;
                size_t room = buf_room(out);
                z->next_out = (unsigned char *)buf_tail(out);
                z->avail_out = (unsigned)(room < UINT32_MAX ? room : UINT32_MAX);
                unsigned before = z->avail_out;
                r = inflate(z, Z_NO_FLUSH);
                buf_advance(out, before - z->avail_out);
                if (r == Z_STREAM_END)
                        return z->avail_in ? -EBADMSG : 0;
                if (r == Z_MEM_ERROR)
                        return -ENOMEM;
                if (r != Z_OK || (z->avail_in == 0 && z->avail_out != 0))
                        return -EBADMSG;
        }
}

int message_inflate_zlib(sj_arena *arena, sj_str compressed, sj_str *ret)
{
        if (compressed.n > MESSAGE_SIZE_MAX)
                return -EMSGSIZE;
        size_t most = compressed.n * MESSAGE_INFLATE_MAX;
        /* One step more than the limit, since each step asks for room in advance. */
        buf out = BUF_INIT((most < MESSAGE_SIZE_MAX ? most : MESSAGE_SIZE_MAX) + INFLATE_STEP);
        z_stream z = {.next_in = (unsigned char *)(uintptr_t)compressed.data,
                      .avail_in = (unsigned)compressed.n};
        if (inflateInit(&z) != Z_OK)
                return -ENOMEM;
        int r = message_inflate_all(&z, &out);
        inflateEnd(&z);
        if (r == 0 && buf_size(&out) > out.limit - INFLATE_STEP)
                r = -EMSGSIZE;
        if (r == 0) {
                const char *kept = sj_arena_strndup(arena, buf_data(&out) ? buf_data(&out) : "",
                                                    buf_size(&out));
                if (kept)
                        *ret = (sj_str){kept, buf_size(&out)};
                else
                        r = -ENOMEM;
        }
        buf_fini(&out);
        return r;
}
#else
int message_inflate_zlib(sj_arena *arena, sj_str compressed, sj_str *ret)
{
        (void)arena, (void)compressed, (void)ret;
        return -ENOSYS;
}
#endif
