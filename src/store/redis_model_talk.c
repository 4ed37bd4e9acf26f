/* SPDX-License-Identifier: MIT */
/* What the model says that is not of keys: of the connection, of scripts, of channels. */
#include "store/redis_model_internal.h"

#include <sanjab/sync.h>

static void do_ping(guest *g, buf *out, const sj_str w[], size_t n)
{
        (void)w;
        if (g->n_channels) {
                redis_model_put_array(out, 2);
                redis_model_put_string(out, SJ_STR("pong"));
                redis_model_put_string(out, n > 1 ? w[1] : (sj_str){0});
        } else if (n > 1) {
                redis_model_put_string(out, w[1]);
        } else {
                redis_model_put_status(out, "PONG");
        }
}

static void do_echo(guest *g, buf *out, const sj_str w[], size_t n)
{
        (void)g;
        (void)n;
        redis_model_put_string(out, w[1]);
}

static void do_auth(guest *g, buf *out, const sj_str w[], size_t n)
{
        g->authorized = g->m->password && sj_str_equal(w[n - 1], sj_str_of(g->m->password));
        if (g->authorized)
                redis_model_put_status(out, "OK");
        else
                redis_model_put_error(out, "WRONGPASS invalid username-password pair or user is "
                                           "disabled.");
}

static void do_select(guest *g, buf *out, const sj_str w[], size_t n)
{
        int64_t db;
        (void)n;
        if (!to_integer(w[1], &db) || db < 0 || db > 15) {
                redis_model_put_error(out, "ERR DB index is out of range");
                return;
        }
        g->db = (unsigned)db;
        redis_model_put_status(out, "OK");
}

static void do_ok(guest *g, buf *out, const sj_str w[], size_t n)
{
        (void)g;
        (void)w;
        (void)n;
        redis_model_put_status(out, "OK");
}

static void do_info(guest *g, buf *out, const sj_str w[], size_t n)
{
        (void)w;
        (void)n;
        redis_model_put_string(out, g->m->cluster ? SJ_STR("# Cluster\r\ncluster_enabled:1\r\n")
                                                  : SJ_STR("# Cluster\r\ncluster_enabled:0\r\n"));
}

static void do_role(guest *g, buf *out, const sj_str w[], size_t n)
{
        (void)w;
        (void)n;
        redis_model_put_array(out, 3);
        redis_model_put_string(out, sj_str_of(g->m->role ? g->m->role : "master"));
        redis_model_put_integer(out, 0);
        redis_model_put_array(out, 0);
}

/* ── Scripts ─────────────────────────────────────────────────────────────────────────────── */

void redis_model_talk_flush(redis_model *m)
{
        size_t place = 0;
        for (text *t; (t = map_next(&m->scripts, &place)); place = 0) {
                (void)map_remove(&m->scripts, str_of(t));
                free(t);
        }
}

/* Forty digits that depend on the text; not a SHA-1. */
static void do_script(guest *g, buf *out, const sj_str w[], size_t n)
{
        if (n < 3) {
                redis_model_talk_flush(g->m);
                redis_model_put_status(out, "OK");
                return;
        }
        uint64_t hash = 14695981039346656037u;
        for (size_t i = 0; i < w[2].n; i++)
                hash = (hash ^ (unsigned char)w[2].data[i]) * 1099511628211u;
        char sha[41];
        snprintf(sha, sizeof(sha), "%016llx%016llx%08x", (unsigned long long)hash,
                 (unsigned long long)~hash, (unsigned)hash);
        if (!map_get(&g->m->scripts, sj_str_of(sha))) {
                text *t = text_new(sj_str_of(sha));
                expect_equal(map_add(&g->m->scripts, str_of(t), t), 0);
        }
        redis_model_put_string(out, sj_str_of(sha));
}

static void do_evalsha(guest *g, buf *out, const sj_str w[], size_t n)
{
        if (!map_get(&g->m->scripts, w[1]))
                redis_model_put_error(out, "NOSCRIPT No matching script. Please use EVAL.");
        else if (g->m->script)
                g->m->script(g->m, out, w + 3, n - 3);
        else
                redis_model_put_nil(out);
}

/* ── Channels ────────────────────────────────────────────────────────────────────────────── */

static void tell_channel(guest *g, const char *what, sj_str name)
{
        redis_model_put_array(&g->out, 3);
        redis_model_put_string(&g->out, sj_str_of(what));
        redis_model_put_string(&g->out, name);
        redis_model_put_integer(&g->out, (int64_t)g->n_channels);
}

static size_t channel_of(const guest *g, sj_str name)
{
        size_t i = 0;
        while (i < g->n_channels && !sj_str_equal(str_of(g->channels[i]), name))
                i++;
        return i;
}

static void do_subscribe(guest *g, buf *out, const sj_str w[], size_t n)
{
        (void)out;
        for (size_t i = 1; i < n; i++) {
                if (channel_of(g, w[i]) == g->n_channels) {
                        expect(g->n_channels < REDIS_MODEL_CHANNELS_MAX);
                        g->channels[g->n_channels++] = text_new(w[i]);
                }
                tell_channel(g, "subscribe", w[i]);
        }
}

static void do_unsubscribe(guest *g, buf *out, const sj_str w[], size_t n)
{
        (void)out;
        for (size_t i = 1; i < n; i++) {
                size_t at = channel_of(g, w[i]);
                if (at < g->n_channels) {
                        free(g->channels[at]);
                        g->channels[at] = g->channels[--g->n_channels];
                }
                tell_channel(g, "unsubscribe", w[i]);
        }
}

static void do_publish(guest *g, buf *out, const sj_str w[], size_t n)
{
        (void)n;
        int64_t heard = 0;
        list_for_each (node, &g->m->guests) {
                guest *other = container_of(node, guest, node);
                if (channel_of(other, w[1]) == other->n_channels)
                        continue;
                redis_model_put_array(&other->out, 3);
                redis_model_put_string(&other->out, SJ_STR("message"));
                redis_model_put_string(&other->out, w[1]);
                redis_model_put_string(&other->out, w[2]);
                sj_event_set(&other->said);
                heard++;
        }
        redis_model_put_integer(out, heard);
}

const redis_model_verb redis_model_talk_verbs[] = {
        {"PING", do_ping, 1},
        {"ECHO", do_echo, 2},
        {"AUTH", do_auth, 2},
        {"SELECT", do_select, 2},
        {"CLIENT", do_ok, 2},
        {"INFO", do_info, 1},
        {"ROLE", do_role, 1},
        {"SCRIPT", do_script, 2},
        {"EVALSHA", do_evalsha, 3},
        {"SUBSCRIBE", do_subscribe, 2},
        {"UNSUBSCRIBE", do_unsubscribe, 2},
        {"PUBLISH", do_publish, 3},
        {NULL, NULL, 0},
};
