/* SPDX-License-Identifier: MIT */
/*
 * A connection, a guest, has a fiber that reads and does commands, and one that writes what was
 * said to it, by whomever: a PUBLISH is said to others.
 */
#include "store/redis_model_internal.h"

#include <sanjab/sync.h>

#include <strings.h>

enum { WORDS_MAX = 4096, READ_MOST = 16 * 1024 };

/* ── Answers ─────────────────────────────────────────────────────────────────────────────── */

void redis_model_put_status(buf *out, const char *s)
{
        expect_equal(buf_printf(out, "+%s\r\n", s), 0);
}

void redis_model_put_error(buf *out, const char *s)
{
        expect_equal(buf_printf(out, "-%s\r\n", s), 0);
}

void redis_model_put_integer(buf *out, int64_t n)
{
        expect_equal(buf_printf(out, ":%lld\r\n", (long long)n), 0);
}

void redis_model_put_string(buf *out, sj_str s)
{
        expect_equal(buf_printf(out, "$%zu\r\n", s.n), 0);
        expect_equal(buf_append_str(out, s), 0);
        expect_equal(buf_append_str(out, SJ_STR("\r\n")), 0);
}

void redis_model_put_nil(buf *out)
{
        expect_equal(buf_append_str(out, SJ_STR("$-1\r\n")), 0);
}

void redis_model_put_array(buf *out, size_t n)
{
        expect_equal(buf_printf(out, "*%zu\r\n", n), 0);
}

/* ── Doing them ──────────────────────────────────────────────────────────────────────────── */

static void do_multi(guest *g, buf *out, const sj_str w[], size_t n)
{
        (void)w;
        (void)n;
        g->queueing = true;
        g->failed = false;
        redis_model_put_status(out, "OK");
}

static redis_model_fn do_exec;

static const redis_model_verb verbs[] = {
        {"MULTI", do_multi, 1},
        {"EXEC", do_exec, 1},
        {NULL, NULL, 0},
};

static bool is_word(sj_str word, const char *name)
{
        return word.n == strlen(name) && strncasecmp(word.data, name, word.n) == 0;
}

static const redis_model_verb *verb_of(sj_str word)
{
        const redis_model_verb *const tables[] = {verbs, redis_model_data_verbs,
                                                  redis_model_talk_verbs};
        for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
                for (const redis_model_verb *v = tables[i]; v->name; v++)
                        if (is_word(word, v->name))
                                return v;
        return NULL;
}

static void say_unknown(buf *out, const sj_str w[], size_t n)
{
        expect_equal(buf_printf(out, "-ERR unknown command '%.*s', with args beginning with: ",
                                SJ_STR_ARG(w[0])),
                     0);
        for (size_t i = 1; i < n; i++)
                expect_equal(buf_printf(out, "'%.*s' ", SJ_STR_ARG(w[i])), 0);
        expect_equal(buf_append_str(out, SJ_STR("\r\n")), 0);
}

void redis_model_put_too_few(buf *out, const char *verb)
{
        expect_equal(buf_append_str(out, SJ_STR("-ERR wrong number of arguments for '")), 0);
        for (; *verb; verb++)
                expect_equal(buf_append_char(out, (char)(*verb | 0x20)), 0);
        expect_equal(buf_append_str(out, SJ_STR("' command\r\n")), 0);
}

/* The verb, if the command is one that can be done; else it is said why not. */
static const redis_model_verb *check(guest *g, buf *out, const sj_str w[], size_t n)
{
        const redis_model_verb *v = verb_of(w[0]);
        if (!v)
                say_unknown(out, w, n);
        else if (n < v->least)
                redis_model_put_too_few(out, v->name);
        else if (g->m->password && !g->authorized && strcmp(v->name, "AUTH") != 0)
                redis_model_put_error(out, "NOAUTH Authentication required.");
        else
                return v;
        return NULL;
}

static void run(guest *g, buf *out, const sj_str w[], size_t n)
{
        const redis_model_verb *v = check(g, out, w, n);
        if (v)
                v->run(g, out, w, n);
}

/* 1 a whole request, whose words point into `in`; 0 not yet. */
static int parse(sj_str in, sj_str w[], size_t *ret_n, size_t *ret_used)
{
        const char *at = in.data, *end = in.data + in.n, *eol;
        if (in.n == 0 || !(eol = memmem(at, in.n, "\r\n", 2)))
                return 0;
        expect(*at == '*');
        size_t n = strtoul(at + 1, NULL, 10);
        expect(n > 0 && n <= WORDS_MAX);
        at = eol + 2;
        for (size_t i = 0; i < n; i++) {
                if (at == end || !(eol = memmem(at, (size_t)(end - at), "\r\n", 2)))
                        return 0;
                expect(*at == '$');
                size_t size = strtoul(at + 1, NULL, 10);
                at = eol + 2;
                if ((size_t)(end - at) < size + 2)
                        return 0;
                w[i] = (sj_str){at, size};
                expect(memcmp(at + size, "\r\n", 2) == 0);
                at += size + 2;
        }
        *ret_n = n;
        *ret_used = (size_t)(at - in.data);
        return 1;
}

static void do_exec(guest *g, buf *out, const sj_str w[], size_t n)
{
        (void)w;
        (void)n;
        if (!g->queueing) {
                redis_model_put_error(out, "ERR EXEC without MULTI");
                return;
        }
        g->queueing = false;
        sj_str *words = must(malloc(WORDS_MAX * sizeof(sj_str)));
        if (g->failed)
                redis_model_put_error(out, "EXECABORT Transaction discarded because of previous "
                                           "errors.");
        else
                redis_model_put_array(out, g->n_queued);
        size_t count, used;
        while (!g->failed && parse(buf_str(&g->queued), words, &count, &used)) {
                run(g, out, words, count);
                buf_consume(&g->queued, used);
        }
        buf_clear(&g->queued);
        g->n_queued = 0;
        free(words);
}

static void queue_up(guest *g, sj_str request, const sj_str w[], size_t n)
{
        if (!check(g, &g->out, w, n)) {
                g->failed = true;
                return;
        }
        expect_equal(buf_append_str(&g->queued, request), 0);
        g->n_queued++;
        redis_model_put_status(&g->out, "QUEUED");
}

static void take(guest *g, sj_str request, const sj_str w[], size_t n)
{
        redis_model *m = g->m;
        redis_model_act act = m->hook ? m->hook(m, w, n) : MODEL_DO;
        g->silent |= act == MODEL_SILENT;
        g->closing |= act == MODEL_CLOSE;
        if (g->silent || g->closing)
                return;
        if (act == MODEL_SAY) {
                expect_equal(buf_append_str(&g->out, m->say), 0);
                g->failed = true;
                return;
        }
        m->done++;
        if (g->queueing && !is_word(w[0], "EXEC"))
                queue_up(g, request, w, n);
        else
                run(g, &g->out, w, n);
}

/* ── Connections ─────────────────────────────────────────────────────────────────────────── */

static int write_guest(void *arg)
{
        guest *g = arg;
        for (;;) {
                int r = sj_event_wait(&g->said, SJ_NEVER);
                if (r < 0)
                        return r;
                sj_event_clear(&g->said);
                buf out = g->out;
                g->out = BUF_INIT(0);
                size_t n = buf_size(&out), cut = g->m->cut;
                if (cut && n > cut - g->sent)
                        n = cut - g->sent;
                r = n ? sj_write(g->stream, buf_data(&out), n, SJ_NEVER) : 0;
                g->sent += n;
                buf_fini(&out);
                if (r == 0 && (g->closing || (cut && g->sent >= cut)))
                        r = -EPIPE;
                if (r < 0)
                        return r;
        }
}

static int read_guest(void *arg)
{
        guest *g = arg;
        sj_str *words = must(malloc(WORDS_MAX * sizeof(sj_str)));
        int r = 0;
        while (r == 0) {
                expect_equal(buf_reserve(&g->in, READ_MOST), 0);
                ssize_t got = sj_read(g->stream, buf_tail(&g->in), READ_MOST, SJ_NEVER);
                if (got <= 0) {
                        r = got == 0 ? -EPIPE : (int)got;
                        break;
                }
                buf_advance(&g->in, (size_t)got);
                size_t n, used;
                while (!g->silent && !g->closing && parse(buf_str(&g->in), words, &n, &used)) {
                        take(g, (sj_str){buf_data(&g->in), used}, words, n);
                        buf_consume(&g->in, used);
                }
                if (g->silent)
                        buf_clear(&g->in);
                if (buf_size(&g->out) || g->closing)
                        sj_event_set(&g->said);
        }
        free(words);
        return r;
}

static int serve_guest(void *arg)
{
        guest *g = arg;
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                (void)sj_spawn(s, read_guest, g, NULL);
                (void)sj_spawn(s, write_guest, g, NULL);
                (void)sj_scope_join(s);
        }
        g->m->open--;
        list_remove(&g->node);
        sj_stream_close(g->stream);
        for (size_t i = 0; i < g->n_channels; i++)
                free(g->channels[i]);
        buf_fini(&g->in);
        buf_fini(&g->out);
        buf_fini(&g->queued);
        free(g);
        return 0;
}

static int accept_guests(void *arg)
{
        redis_model *m = arg;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        for (;;) {
                sj_stream *stream;
                if (sj_accept(m->listener, &stream, SJ_NEVER) < 0)
                        return 0;
                guest *g = must(calloc(1, sizeof(*g)));
                g->m = m;
                g->stream = stream;
                g->in = g->out = g->queued = BUF_INIT(0);
                list_append(&m->guests, &g->node);
                m->accepted++;
                m->open++;
                expect_equal(sj_spawn(s, serve_guest, g, NULL), 0);
        }
}

void redis_model_start(redis_model *m, sj_scope *scope)
{
        m->keys = m->scripts = MAP_INIT(1);
        m->pushed = (sj_event)SJ_EVENT_INIT;
        list_init(&m->guests);
        expect_equal(sj_tcp_listen("127.0.0.1", m->port, 0, &m->listener), 0);
        m->port = sj_listener_port(m->listener);
        snprintf(m->url, sizeof(m->url), "redis://127.0.0.1:%u/0", (unsigned)m->port);
        expect_equal(sj_spawn(scope, accept_guests, m, &m->acceptor), 0);
}

void redis_model_break(redis_model *m)
{
        list_for_each (node, &m->guests) {
                guest *g = container_of(node, guest, node);
                g->closing = true;
                sj_event_set(&g->said);
        }
}

void redis_model_stop(redis_model *m)
{
        sj_cancel(m->acceptor);
        (void)sj_join(m->acceptor, SJ_NEVER);
        sj_listener_close(m->listener);
        redis_model_data_flush(m);
        map_fini(&m->keys);
        redis_model_talk_flush(m);
        map_fini(&m->scripts);
}
