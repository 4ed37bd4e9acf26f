/* SPDX-License-Identifier: MIT */
/*
 * Each library has a stream that takes and gives bytes in steps; message_pump runs any of them
 * into a buffer that grows by doubling up to its limit, so that a small body costs little, and one
 * that is made to grow no more than the limit. What kombu calls gzip is zlib's own frame
 * (RFC 1950).
 */
#include "queue/message/message_compress.h"

#include "queue/message/message.h"

#include <stdlib.h>

#ifdef SANJAB_ZLIB
#include <zlib.h>
#endif
#ifdef SANJAB_BZIP2
#include <bzlib.h>
#endif
#ifdef SANJAB_ZSTD
#include <zstd.h>
#endif

enum {
        PUMP_STEP = 4096,
        ZSTD_WINDOW_LOG = 25, /* MESSAGE_SIZE_MAX: no more memory than for a body */
};

/* Where a stream takes from and gives to, in one step. */
typedef struct pump {
        const char *in;
        size_t in_n;
        char *out;
        size_t out_n;
} pump;

/* Moves both forward. 1: the stream has ended; 0: it goes on; errors. */
typedef int pump_fn(void *stream, pump *p);

struct message_compression {
        const char *names[2];
        const char *type;
        int (*open)(bool expand, void **ret);
        pump_fn *expand;
        pump_fn *compress;
        void (*close)(bool expand, void *stream);
};

/* ── zlib ────────────────────────────────────────────────────────────────────────────────── */

#ifdef SANJAB_ZLIB
static int zlib_open(bool expand, void **ret)
{
        z_stream *z = calloc(1, sizeof(*z));
        int r = !z ? Z_MEM_ERROR : expand ? inflateInit(z) : deflateInit(z, Z_DEFAULT_COMPRESSION);
        if (r != Z_OK) {
                free(z);
                return -ENOMEM;
        }
        *ret = z;
        return 0;
}

static unsigned zlib_n(size_t n)
{
        return (unsigned)(n < UINT32_MAX ? n : UINT32_MAX);
}

static int zlib_step(z_stream *z, pump *p, int (*step)(z_stream *z, int flush), int flush)
{
        z->next_in = (unsigned char *)(uintptr_t)p->in;
        z->avail_in = zlib_n(p->in_n);
        z->next_out = (unsigned char *)p->out;
        z->avail_out = zlib_n(p->out_n);
        int r = step(z, flush);
        size_t taken = zlib_n(p->in_n) - z->avail_in, given = zlib_n(p->out_n) - z->avail_out;
        p->in += taken;
        p->in_n -= taken;
        p->out += given;
        p->out_n -= given;
        if (r == Z_STREAM_END)
                return 1;
        return r == Z_OK || r == Z_BUF_ERROR ? 0 : r == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
}

static int zlib_expand(void *stream, pump *p)
{
        return zlib_step(stream, p, inflate, Z_NO_FLUSH);
}

static int zlib_compress(void *stream, pump *p)
{
        return zlib_step(stream, p, deflate, Z_FINISH);
}

static void zlib_close(bool expand, void *stream)
{
        if (expand)
                inflateEnd(stream);
        else
                deflateEnd(stream);
        free(stream);
}
#define ZLIB_WAY \
        .open = zlib_open, .expand = zlib_expand, .compress = zlib_compress, .close = zlib_close
#else
#define ZLIB_WAY .open = NULL
#endif

/* ── bzip2 ───────────────────────────────────────────────────────────────────────────────── */

#ifdef SANJAB_BZIP2
static int bzip2_open(bool expand, void **ret)
{
        bz_stream *z = calloc(1, sizeof(*z));
        int r = !z       ? BZ_MEM_ERROR
                : expand ? BZ2_bzDecompressInit(z, 0, 0)
                         : BZ2_bzCompressInit(z, 9, 0, 0);
        if (r != BZ_OK) {
                free(z);
                return -ENOMEM;
        }
        *ret = z;
        return 0;
}

static int bzip2_step(bz_stream *z, pump *p, bool expand)
{
        z->next_in = (char *)(uintptr_t)p->in;
        z->avail_in = (unsigned)(p->in_n < UINT32_MAX ? p->in_n : UINT32_MAX);
        z->next_out = p->out;
        z->avail_out = (unsigned)(p->out_n < UINT32_MAX ? p->out_n : UINT32_MAX);
        unsigned in = z->avail_in, out = z->avail_out;
        int r = expand ? BZ2_bzDecompress(z) : BZ2_bzCompress(z, BZ_FINISH);
        p->in += in - z->avail_in;
        p->in_n -= in - z->avail_in;
        p->out += out - z->avail_out;
        p->out_n -= out - z->avail_out;
        if (r == BZ_STREAM_END)
                return 1;
        return r == BZ_OK || r == BZ_FINISH_OK ? 0 : r == BZ_MEM_ERROR ? -ENOMEM : -EBADMSG;
}

static int bzip2_expand(void *stream, pump *p)
{
        return bzip2_step(stream, p, true);
}

static int bzip2_compress(void *stream, pump *p)
{
        return bzip2_step(stream, p, false);
}

static void bzip2_close(bool expand, void *stream)
{
        if (expand)
                BZ2_bzDecompressEnd(stream);
        else
                BZ2_bzCompressEnd(stream);
        free(stream);
}
#define BZIP2_WAY \
        .open = bzip2_open, .expand = bzip2_expand, .compress = bzip2_compress, .close = bzip2_close
#else
#define BZIP2_WAY .open = NULL
#endif

/* ── zstd ────────────────────────────────────────────────────────────────────────────────── */

#ifdef SANJAB_ZSTD
static int zstd_open(bool expand, void **ret)
{
        if (expand) {
                ZSTD_DStream *z = ZSTD_createDStream();
                if (z)
                        ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
                *ret = z;
                return z ? 0 : -ENOMEM;
        }
        *ret = ZSTD_createCStream();
        return *ret ? 0 : -ENOMEM;
}

/* What a step has left, or its error: 0 is the end of the frame. */
static int zstd_after(pump *p, const ZSTD_inBuffer *in, const ZSTD_outBuffer *out, size_t r)
{
        p->in += in->pos;
        p->in_n -= in->pos;
        p->out += out->pos;
        p->out_n -= out->pos;
        return ZSTD_isError(r) ? -EBADMSG : r == 0;
}

static int zstd_expand(void *stream, pump *p)
{
        ZSTD_inBuffer in = {p->in, p->in_n, 0};
        ZSTD_outBuffer out = {p->out, p->out_n, 0};
        return zstd_after(p, &in, &out, ZSTD_decompressStream(stream, &out, &in));
}

static int zstd_compress(void *stream, pump *p)
{
        ZSTD_inBuffer in = {p->in, p->in_n, 0};
        ZSTD_outBuffer out = {p->out, p->out_n, 0};
        return zstd_after(p, &in, &out, ZSTD_compressStream2(stream, &out, &in, ZSTD_e_end));
}

static void zstd_close(bool expand, void *stream)
{
        if (expand)
                ZSTD_freeDStream(stream);
        else
                ZSTD_freeCStream(stream);
}
#define ZSTD_WAY \
        .open = zstd_open, .expand = zstd_expand, .compress = zstd_compress, .close = zstd_close
#else
#define ZSTD_WAY .open = NULL
#endif

/* ── Any ─────────────────────────────────────────────────────────────────────────────────── */

static const message_compression compressions[] = {
        {.names = {"zlib", "gzip"}, .type = "application/x-gzip", ZLIB_WAY},
        {.names = {"bzip2", "bzip"}, .type = "application/x-bz2", BZIP2_WAY},
        {.names = {"zstd", "zstandard"}, .type = "application/zstd", ZSTD_WAY},
};
enum { COMPRESSIONS = sizeof(compressions) / sizeof(*compressions) };

const message_compression *message_compression_of(sj_str type)
{
        for (size_t i = 0; i < COMPRESSIONS; i++)
                if (sj_str_equal(type, sj_str_of(compressions[i].type)))
                        return &compressions[i];
        return NULL;
}

const message_compression *message_compression_named(sj_str name)
{
        for (size_t i = 0; i < COMPRESSIONS; i++)
                for (size_t k = 0; k < 2; k++)
                        if (sj_str_equal(name, sj_str_of(compressions[i].names[k])))
                                return &compressions[i];
        return NULL;
}

sj_str message_compression_type(const message_compression *c)
{
        return sj_str_of(c->type);
}

bool message_compression_works(const message_compression *c)
{
        return c->open != NULL;
}

/* Runs the stream until its end. */
static int message_pump(pump_fn *step, void *stream, sj_str text, buf *out)
{
        pump p = {.in = text.data, .in_n = text.n};
        for (;;) {
                int r = buf_reserve(out, PUMP_STEP);
                if (r < 0)
                        return r == -ENOBUFS ? -EMSGSIZE : r;
                p.out = buf_tail(out);
                p.out_n = buf_room(out);
                const char *in = p.in, *before = p.out;
                r = step(stream, &p);
                buf_advance(out, (size_t)(p.out - before));
                if (r == 1)
                        return p.in_n ? -EBADMSG : 0; /* something follows the end */
                if (r < 0)
                        return r;
                if (p.in == in && p.out == before)
                        return -EBADMSG; /* it wants more than there is */
        }
}

static int message_through(const message_compression *c, bool expand, sj_arena *arena, sj_str text,
                           size_t limit, sj_str *ret)
{
        void *stream;
        if (!c->open)
                return -ENOSYS;
        int r = c->open(expand, &stream);
        if (r < 0)
                return r;
        /* One step more than the limit, since each step asks for room in advance. */
        buf out = BUF_INIT(limit + PUMP_STEP);
        r = message_pump(expand ? c->expand : c->compress, stream, text, &out);
        c->close(expand, stream);
        if (r == 0 && buf_size(&out) > limit)
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

int message_compress(const message_compression *c, sj_arena *arena, sj_str text, sj_str *ret)
{
        return message_through(c, false, arena, text, MESSAGE_SIZE_MAX, ret);
}

int message_expand(const message_compression *c, sj_arena *arena, sj_str compressed, sj_str *ret)
{
        if (compressed.n > MESSAGE_SIZE_MAX)
                return -EMSGSIZE;
        size_t most = compressed.n * MESSAGE_INFLATE_MAX;
        if (most < MESSAGE_INFLATE_ANY)
                most = MESSAGE_INFLATE_ANY;
        return message_through(c, true, arena, compressed,
                               most < MESSAGE_SIZE_MAX ? most : MESSAGE_SIZE_MAX, ret);
}
