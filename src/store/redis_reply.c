/* SPDX-License-Identifier: MIT */
/*
 * hiredis' reader finds the parts of a reply and calls us for each. We put them where they stay:
 * an array's elements lie side by side in the arena, made when the array's count is known, so that
 * every part is written straight into its place, and each text is copied once.
 *
 *         *2\r\n $1\r\na\r\n :7\r\n        arena: [ARRAY 2]──►[STRING a][INTEGER 7]  a\0
 *
 * The reader moves what it has not looked at to the front of its buffer after each KiB of replies,
 * so that much at once costs more than it saves when the replies are small; and it gives its
 * buffer back when that is empty and large, only to need it again. Hence SLICE and maxbuf.
 *
 * The reader's own limits come first: an aggregate's count fits an int. Ours are checked before an
 * array's memory is taken, and as soon as the length of a text has come. A text has its memory only
 * when all of it has come.
 */
#include "store/redis_reply.h"

#include <hiredis/hiredis.h>

#include <stdlib.h>

enum { SLICE = 4096, KEEP = 1 << 20 };

/* What fits the reader together with its own line, and the beginning of the next reply. */
#define TEXT_MAX (REDIS_REPLY_MAX - REDIS_LINE_MAX)

#if HIREDIS_MAJOR >= 1
typedef size_t redis_count;
#else
typedef int redis_count;
#endif

static void *refuse(redis_decoder *d, int error)
{
        d->error = error;
        return NULL;
}

/* Memory for a part of the reply: NULL when it is over the limit, or there is none. */
static void *take(redis_decoder *d, size_t size)
{
        if (size > REDIS_REPLY_MAX - d->taken)
                return refuse(d, -ENOBUFS);
        d->taken += size;
        if (!d->arena)
                return d;
        void *memory = sj_arena_alloc(d->arena, size);
        return memory ? memory : refuse(d, -ENOMEM);
}

/* Where the part goes; the decoder itself stands for any place in a reply that is dropped. */
static void *place_of(redis_decoder *d, const redisReadTask *task)
{
        if (!task->parent)
                return take(d, sizeof(redis_reply));
        if (!d->arena)
                return d;
        const redis_reply *parent = task->parent->obj;
        return (redis_reply *)(uintptr_t)parent->elements + task->idx;
}

static void *put(redis_decoder *d, const redisReadTask *task, redis_reply value)
{
        void *place = place_of(d, task);
        if (place && d->arena)
                *(redis_reply *)place = value;
        return place;
}

static redis_type type_of(const redisReadTask *task)
{
        if (task->type == REDIS_REPLY_STATUS)
                return REDIS_STATUS;
        return task->type == REDIS_REPLY_ERROR ? REDIS_ERROR : REDIS_STRING;
}

static void *put_string(const redisReadTask *task, char *text, size_t n)
{
        redis_decoder *d = task->privdata;
        char *copy = take(d, n + 1);
        if (!copy)
                return NULL;
        if (d->arena) {
                memcpy(copy, text, n);
                copy[n] = '\0';
        }
        return put(d, task, (redis_reply){.type = type_of(task), .text = {copy, n}});
}

static bool too_deep(const redisReadTask *task)
{
        unsigned depth = 1;
        while ((task = task->parent))
                depth++;
        return depth > REDIS_DEPTH_MAX;
}

static void *put_array(const redisReadTask *task, redis_count count)
{
        redis_decoder *d = task->privdata;
        size_t n = (size_t)count;
        if (n > REDIS_ELEMENTS_MAX || too_deep(task))
                return refuse(d, -ENOBUFS);
        const redis_reply *elements = take(d, n * sizeof(redis_reply));
        if (!elements)
                return NULL;
        return put(d, task, (redis_reply){.type = REDIS_ARRAY, .elements = elements, .n = n});
}

static void *put_integer(const redisReadTask *task, long long value)
{
        return put(task->privdata, task, (redis_reply){.type = REDIS_INTEGER, .integer = value});
}

static void *put_nil(const redisReadTask *task)
{
        return put(task->privdata, task, (redis_reply){.type = REDIS_NIL});
}

#if HIREDIS_MAJOR >= 1
/* Kinds of RESP3, which we have not asked for. */
static void *put_double(const redisReadTask *task, double value, char *text, size_t n)
{
        (void)value;
        (void)text;
        (void)n;
        return refuse(task->privdata, -EPROTO);
}

static void *put_bool(const redisReadTask *task, int value)
{
        (void)value;
        return refuse(task->privdata, -EPROTO);
}
#endif

/* What was given to hiredis lives in an arena: there is nothing to free. */
static redisReplyObjectFunctions functions = {
        .createString = put_string,
        .createArray = put_array,
        .createInteger = put_integer,
        .createNil = put_nil,
#if HIREDIS_MAJOR >= 1
        .createDouble = put_double,
        .createBool = put_bool,
#endif
};

int redis_decoder_init(redis_decoder *d)
{
        *d = (redis_decoder){.reader = redisReaderCreateWithFunctions(&functions)};
        if (!d->reader)
                return -ENOMEM;
        d->reader->maxbuf = KEEP;
        d->reader->privdata = d;
        return 0;
}

void redis_decoder_fini(redis_decoder *d)
{
        if (d->reader)
                redisReaderFree(d->reader);
        d->reader = NULL;
}

/* Why the reader has stopped. */
static int decoder_error(const redis_decoder *d)
{
        if (d->error)
                return d->error;
        return d->reader->err == REDIS_ERR_OOM ? -ENOMEM : -EPROTO;
}

static const redisReadTask *current_task(const redisReader *reader)
{
#if HIREDIS_MAJOR >= 1
        return reader->ridx < 0 ? NULL : reader->task[reader->ridx];
#else
        return reader->ridx < 0 ? NULL : &reader->rstack[reader->ridx];
#endif
}

/*
 * The reader looks for the end of a line from its beginning each time that something comes: a long
 * one would take the square of its length. And it takes all of a text before anybody hears of it,
 * so its length is looked at here.
 */
static int check_line(const redis_decoder *d)
{
        const redisReader *reader = d->reader;
        const redisReadTask *task = current_task(reader);
        const char *line = reader->buf + reader->pos;
        size_t n = reader->len - reader->pos;
        if (!task || n == 0)
                return 0;
        /* Both bytes, as the reader does: until it has judged the line, it need not be a number. */
        if (!memmem(line, n < REDIS_LINE_MAX ? n : REDIS_LINE_MAX, "\r\n", 2))
                return n < REDIS_LINE_MAX ? 0 : -ENOBUFS;
        return task->type == REDIS_REPLY_STRING && strtoll(line, NULL, 10) > (long long)TEXT_MAX
                       ? -ENOBUFS
                       : 0;
}

static int feed(redis_decoder *d, sj_str *in)
{
        size_t n = in->n < SLICE ? in->n : SLICE;
        if (d->reader->len + n > REDIS_REPLY_MAX)
                return -ENOBUFS;
        if (redisReaderFeed(d->reader, in->data, n) != REDIS_OK)
                return decoder_error(d);
        in->data += n;
        in->n -= n;
        return 0;
}

int redis_decode(redis_decoder *d, sj_str *in, sj_arena *arena, const redis_reply **ret)
{
        d->arena = arena;
        for (;;) {
                void *reply = NULL;
                if (redisReaderGetReply(d->reader, &reply) != REDIS_OK)
                        return decoder_error(d);
                if (reply) {
                        d->taken = 0;
                        if (arena)
                                *ret = reply;
                        return 1;
                }
                int r = check_line(d);
                if (r < 0 || in->n == 0)
                        return r;
                r = feed(d, in);
                if (r < 0)
                        return r;
        }
}

bool redis_decoder_is_empty(const redis_decoder *d)
{
        return d->reader->ridx < 0 && d->reader->pos == d->reader->len;
}

/* ── Commands ────────────────────────────────────────────────────────────────────────────── */

enum { HEADER_MAX = 24 }; /* a sign, 20 digits, \r\n */

static char *put_header(char *at, char sign, size_t n)
{
        char digits[20];
        size_t i = sizeof(digits);
        do {
                digits[--i] = (char)('0' + n % 10);
                n /= 10;
        } while (n);
        *at++ = sign;
        memcpy(at, digits + i, sizeof(digits) - i);
        at += sizeof(digits) - i;
        *at++ = '\r';
        *at++ = '\n';
        return at;
}

int redis_encode(buf *b, const redis_command *command)
{
        if (command->n == 0)
                return -EINVAL;
        if (command->n > REDIS_ARGS_MAX)
                return -EMSGSIZE;
        size_t most = HEADER_MAX;
        for (size_t i = 0; i < command->n; i++) {
                if (most > REDIS_REPLY_MAX || command->words[i].n > REDIS_REPLY_MAX - most)
                        return -EMSGSIZE;
                most += command->words[i].n + HEADER_MAX + 2;
        }
        int r = buf_reserve(b, most);
        if (r < 0)
                return r == -ENOBUFS ? -EMSGSIZE : r;
        char *at = put_header(buf_tail(b), '*', command->n);
        for (size_t i = 0; i < command->n; i++) {
                sj_str word = command->words[i];
                at = put_header(at, '$', word.n);
                if (word.n)
                        memcpy(at, word.data, word.n);
                at += word.n;
                *at++ = '\r';
                *at++ = '\n';
        }
        buf_advance(b, (size_t)(at - buf_tail(b)));
        return 0;
}

bool redis_reply_is_error(const redis_reply *reply, const char *word)
{
        size_t n = strlen(word);
        if (reply->type != REDIS_ERROR || reply->text.n < n)
                return false;
        return memcmp(reply->text.data, word, n) == 0 &&
               (reply->text.n == n || reply->text.data[n] == ' ');
}
