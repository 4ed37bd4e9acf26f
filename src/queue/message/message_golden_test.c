/* SPDX-License-Identifier: MIT */
/*
 * Messages that Celery 5.2.6 has sent, made here by the same call: the same bytes. What only the
 * sender can know (ids, its origin, the moment) is given; what later versions of the protocol have
 * added (three headers) is taken out.
 */
#include "queue/message/message_unit.h"

#include "queue/call.h"
#include "queue/message/message_compress.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct made {
        const char *capture;
        const char *task;
        const char *args;
        const char *kwargs;
        sj_call call;
        const char *queue;
        const char *serializer;
        const char *compression;
        const char *link[2], *link_error[2]; /* texts of signatures' arguments: task, args */
        const char *headers;
        bool repr_is_given; /* of what JSON has not, Python's is another */
} made;

static const made all[] = {
        {.capture = "task-simple", .args = "[2, 3]"},
        {.capture = "task-args-kwargs",
         .task = "capapp.echo",
         .args = "[1, \"two\", null, true, 1.5]",
         .kwargs = "{\"k\": [1, {\"z\": \"\xc3\xa9\"}]}"},
        {.capture = "task-compression-gzip", .args = "[2, 3]", .compression = "gzip"},
        {.capture = "task-msgpack",
         .task = "capapp.echo",
         .args = "[{\"__type__\": \"base64\", \"__value__\": \"/wA=\"}, \"s\"]",
         .serializer = "msgpack",
         .repr_is_given = true},
        {.capture = "task-countdown", .args = "[2, 3]"},
        {.capture = "task-expires-int", .args = "[2, 3]"},
        {.capture = "task-headers", .args = "[2, 3]", .headers = "{\"x-my\": \"v\"}"},
        {.capture = "task-ignore-result-call", .args = "[2, 3]", .call = {.ignore_result = true}},
        {.capture = "task-ignore-result",
         .task = "capapp.fire",
         .args = "[2]",
         .call = {.ignore_result = true}},
        {.capture = "task-link", .args = "[2, 3]", .link = {"capapp.mul", "[10]"}},
        {.capture = "task-link-error",
         .task = "capapp.boom",
         .args = "[]",
         .link_error = {"capapp.onerr1", "[]"}},
        {.capture = "task-priority3", .args = "[2, 3]", .call = {.priority = 3}},
        {.capture = "task-priority5", .args = "[2, 3]", .call = {.priority = 5}},
        {.capture = "task-priority9", .args = "[2, 3]", .call = {.priority = 9}},
        {.capture = "task-queue", .args = "[2, 3]", .queue = "hi"},
        {.capture = "task-retry-original", .task = "capapp.flaky", .args = "[1]"},
        {.capture = "task-shadow", .args = "[2, 3]", .call = {.shadow = "alias"}},
        {.capture = "task-timelimits",
         .args = "[2, 3]",
         .call = {.time_limit = 20, .soft_time_limit = 10.5}},
        {.capture = "send-task-by-name",
         .task = "other.task",
         .args = "[1]",
         .kwargs = "{\"a\": 2}"},
};

static sj_signature *signature_of(const char *const parts[2])
{
        return parts[0] ? sj_signature_new(parts[0], parts[1], NULL, NULL) : NULL;
}

/* What only the sender could know. */
static void take_over(message *m, const message *sent, const made *g)
{
        m->lang = sent->lang;
        m->origin = sent->origin;
        m->reply_to = sent->reply_to;
        m->delivery_tag = sent->delivery_tag;
        m->expiration = sent->expiration;
        m->routing_key = sj_str_of(g->queue ? g->queue : "celery");
        if (g->serializer)
                m->content_type = message_content_type(g->serializer);
        if (g->compression)
                m->compression = message_content_compression(g->compression);
        if (g->repr_is_given)
                m->argsrepr = sent->argsrepr;
}

static sj_str make(const made *g, const message *sent)
{
        static const sj_task_options options;
        sj_call call = g->call;
        sj_signature *link = signature_of(g->link), *link_error = signature_of(g->link_error);
        call.task_id = sj_arena_strndup(arena, sent->id.data, sent->id.n);
        call.eta = sent->eta;
        call.expires_at = sent->expires;
        call.link = link;
        call.link_error = link_error;
        if (g->headers)
                assert_int_equal(
                        sj_json_parse(arena, sj_str_of(g->headers), 0, &call.headers, NULL), 0);
        call_request q = {.task = sj_str_of(g->task ? g->task : "capapp.add"),
                          .call = &call,
                          .options = &options};
        message m;
        sj_str key, text;
        assert_int_equal(call_parse(arena, g->args, SJ_JSON_ARRAY, &q.args), 0);
        assert_int_equal(call_parse(arena, g->kwargs, SJ_JSON_OBJECT, &q.kwargs), 0);
        assert_int_equal(call_message(arena, &q, sj_wall_now(), &m, &key), 0);
        take_over(&m, sent, g);
        assert_int_equal(message_encode(arena, &m, &text), 0);
        sj_signature_free(link);
        sj_signature_free(link_error);
        return text;
}

/* Without the headers that Celery 5.2.6 does not know. */
static char *as_of_52(sj_str text)
{
        static const char later[] =
                ", \"replaced_task_nesting\": 0, \"stamped_headers\": null, \"stamps\": {}";
        char *copy = sj_arena_strndup(arena, text.data, text.n);
        char *at = strstr(copy, later);
        assert_non_null(at);
        memmove(at, at + strlen(later), strlen(at + strlen(later)) + 1);
        return copy;
}

static void a_call_makes_the_bytes_that_celery_has_sent(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
                message sent;
                message_error error;
                sj_str text = read_capture(all[i].capture);
                if (all[i].compression && !message_compression_works(message_compression_named(
                                                  sj_str_of(all[i].compression))))
                        continue; /* not in this build */
                if (message_decode_accepting(arena, text, MESSAGE_ACCEPT_ALL, &sent, &error) < 0)
                        fail_msg("%s: %s", all[i].capture, error.text);
                const char *ours = as_of_52(make(&all[i], &sent));
                const char *theirs = sj_arena_strndup(arena, text.data, text.n);
                if (strcmp(ours, theirs) != 0)
                        fail_msg("%s:\n%s\n%s", all[i].capture, ours, theirs);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                ARENA_TEST(a_call_makes_the_bytes_that_celery_has_sent),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
