/* SPDX-License-Identifier: MIT */
/*
 * OpenSSL's way in and out: two buffers of ours instead of its memory BIOs, so that the stream
 * below reads straight into the one and is written straight from the other, and a part that could
 * not be written yet stays where it is. Neither grows without bound: `in` is filled only when
 * OpenSSL has found it empty, `out` is emptied after a few records.
 */
#include "net/tls.h"

static int way_in(BIO *bio, char *ret, int n)
{
        buf *in = &((struct tls_ways *)BIO_get_data(bio))->in;
        size_t have = buf_size(in);
        BIO_clear_retry_flags(bio);
        if (n <= 0)
                return 0;
        if (have == 0) {
                BIO_set_retry_read(bio);
                return -1;
        }
        size_t k = have < (size_t)n ? have : (size_t)n;
        memcpy(ret, buf_data(in), k);
        buf_consume(in, k);
        return (int)k;
}

static int way_out(BIO *bio, const char *data, int n)
{
        buf *out = &((struct tls_ways *)BIO_get_data(bio))->out;
        BIO_clear_retry_flags(bio);
        if (n <= 0)
                return 0;
        return buf_append(out, data, (size_t)n) < 0 ? -1 : n;
}

static long control(BIO *bio, int command, long n, void *arg)
{
        (void)bio;
        (void)n;
        (void)arg;
        return command == BIO_CTRL_FLUSH;
}

static BIO *bio_new(struct tls_ways *w)
{
        BIO *bio = BIO_new(w->method);
        if (bio) {
                BIO_set_data(bio, w);
                BIO_set_init(bio, 1);
        }
        return bio;
}

int tls_ways_init(struct tls_ways *w, SSL *ssl)
{
        /* One method for each stream: a shared one would be global state. */
        *w = (struct tls_ways){BUF_INIT(0), BUF_INIT(0), NULL};
        w->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "sanjab");
        if (!w->method || !BIO_meth_set_read(w->method, way_in) ||
            !BIO_meth_set_write(w->method, way_out) || !BIO_meth_set_ctrl(w->method, control))
                return -ENOMEM;
        BIO *bio = bio_new(w);
        if (!bio)
                return -ENOMEM;
        SSL_set_bio(ssl, bio, bio);
        return 0;
}

void tls_ways_fini(struct tls_ways *w)
{
        BIO_meth_free(w->method);
        buf_fini(&w->in);
        buf_fini(&w->out);
}
