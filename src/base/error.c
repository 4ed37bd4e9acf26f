/* SPDX-License-Identifier: MIT */
/* The texts are our own where the C library's would mislead a reader of our messages. */
#include <sanjab/base.h>

static const struct {
        int error;
        const char *text;
} texts[] = {
        {ETIMEDOUT, "timed out"},
        {ECANCELED, "cancelled"},
        {EPIPE, "closed"},
        {EPROTO, "the peer broke the protocol"},
        {EBADMSG, "not well-formed"},
        {EMSGSIZE, "larger than the limit"},
        {ENOBUFS, "a limit was reached"},
        {EAGAIN, "not possible at the moment"},
        {EDEADLK, "would wait for itself for ever"},
        {EXDEV, "belongs to another thread's loop"},
        {EOWNERDEAD, "the process that did it has died"},
        {ESTALE, "no longer the owner"},
};

const char *sj_strerror(int error)
{
        if (error < 0)
                error = error == INT32_MIN ? 0 : -error;
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                if (texts[i].error == error)
                        return texts[i].text;
        const char *text = strerrordesc_np(error);
        return text ? text : "unknown error";
}
