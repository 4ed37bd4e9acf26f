/* SPDX-License-Identifier: MIT */
/* Messages: those that Celery made, and those that are made here. */
#include "queue/message/message_unit.h"

#include "base/base64.h"
#include "queue/broker/broker.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static const sj_json *body_of(const sj_json *envelope)
{
        sj_str text;
        assert_int_equal(sj_json_string(sj_json_member(envelope, "body"), &text), 0);
        char *bytes = sj_arena_alloc(arena, text.n + 1);
        size_t n;
        assert_int_equal(base64_decode(text, bytes, &n), 0);
        return parse((sj_str){bytes, n});
}

/* ── Celery's own ────────────────────────────────────────────────────────────────────────── */

static bool is_message(const char *name)
{
        return strncmp(name, "result-", 7) != 0 && strstr(name, ".json");
}

static bool is_refused(const char *name)
{
        return strstr(name, "msgpack") || strstr(name, "pickle") || strstr(name, "yaml");
}

static void check_golden(const char *name)
{
        sj_str text = read_file(name);
        message m;
        message_error error;
        int r = message_decode(arena, text, &m, &error);
        if (is_refused(name)) {
                assert_int_equal(r, -EBADMSG);
                assert_int_equal(error.defect, MESSAGE_REFUSED);
        } else if (r < 0) {
                fail_msg("%s: %s", name, error.text);
        }
        assert_true(m.id.n == 36);
        assert_true(m.task.n > 0);
        /* What was not changed is sent on as the very same value. */
        if (!sj_json_equal(parse(text), parse(encode(&m))))
                fail_msg("%s: %.*s", name, SJ_STR_ARG(encode(&m)));
}

static void a_message_whose_text_is_kept_is_read_where_it_lies(void **state)
{
        (void)state;
        const broker_lease here = {.message.envelope = read_capture("chain3")};
        broker_lease *lease = broker_lease_new(&here);
        assert_non_null(lease);
        sj_str text = lease->message.envelope;
        message copied, kept;
        message_error error;
        assert_int_equal(message_decode(arena, text, &copied, &error), 0);
        assert_int_equal(message_decode_kept(arena, text, MESSAGE_ACCEPT_JSON, &kept, &error), 0);
        sj_str headers = sj_json_raw(kept.headers);
        assert_true(headers.data > text.data && headers.data + headers.n < text.data + text.n);
        assert_true(sj_str_equal(encode(&kept), encode(&copied)));
        message changed = kept, changed_copy = copied;
        changed.retries = changed_copy.retries = 7;
        assert_ptr_equal(changed.original, &kept);
        assert_true(sj_str_equal(encode(&changed), encode(&changed_copy)));
        assert_false(sj_str_equal(encode(&changed), encode(&kept)));
        broker_lease_free(lease);
}

static void every_message_of_celery_is_read_and_written_back(void **state)
{
        (void)state;
        DIR *folder = opendir(QUEUE_TESTDATA);
        assert_non_null(folder);
        int n = 0;
        for (struct dirent *e; (e = readdir(folder));)
                if (is_message(e->d_name)) {
                        check_golden(e->d_name);
                        n++;
                }
        closedir(folder);
        assert_true(n >= 70);
}

/* Drops what tells the copy from the original, so that the body is written anew. */
static void check_rewritten(const char *name)
{
        sj_str text = read_file(name);
        message m = decode(text);
        if (m.version == 1 || m.compression.data)
                return;
        m.args = parse(SJ_STR("[\"another\"]"));
        const sj_json *written = parse(encode(&m));
        m.args = m.original->args;
        message changed = decode(encode(&m));
        assert_true(sj_json_equal(m.kwargs, changed.kwargs));
        assert_true(sj_json_equal(sj_json_at(body_of(written), 2),
                                  sj_json_at(body_of(parse(text)), 2)));
        assert_true(sj_json_equal(sj_json_member(written, "headers"),
                                  sj_json_member(parse(text), "headers")));
}

static void a_changed_argument_leaves_all_else_as_it_came(void **state)
{
        (void)state;
        DIR *folder = opendir(QUEUE_TESTDATA);
        assert_non_null(folder);
        for (struct dirent *e; (e = readdir(folder));)
                if (is_message(e->d_name) && !is_refused(e->d_name))
                        check_rewritten(e->d_name);
        closedir(folder);
}

static void the_fields_of_a_message_are_read(void **state)
{
        (void)state;
        message m = decode(read_file("task-simple.json"));
        assert_int_equal(m.version, 2);
        assert_text(m.lang, "py");
        assert_text(m.task, "capapp.add");
        assert_text(m.id, "97bdbbae-b6ac-49b8-a885-2f3c985ba577");
        assert_text(m.root_id, "97bdbbae-b6ac-49b8-a885-2f3c985ba577");
        assert_null(m.parent_id.data);
        assert_null(m.shadow.data);
        assert_text(m.argsrepr, "(2, 3)");
        assert_text(m.origin, "gen19544@vm");
        assert_text(m.exchange, "");
        assert_text(m.routing_key, "celery");
        assert_text(m.reply_to, "cae03403-d7f3-3849-a36d-53efc2be0518");
        assert_int_equal(m.eta.us, 0);
        assert_int_equal(m.retries, 0);
        assert_int_equal(sj_json_count(m.args), 2);
        assert_int_equal(sj_json_count(m.kwargs), 0);
        assert_null(m.chain);
        assert_false(m.has_group_index);
}

static void moments_limits_and_links_are_read(void **state)
{
        (void)state;
        message m = decode(read_file("task-timelimits.json"));
        assert_true(m.time_limit == 20 && m.soft_time_limit == 10.5);
        m = decode(read_file("task-eta-naive.json"));
        assert_true(m.eta.us == 1893553445000000);
        m = decode(read_file("task-countdown.json"));
        assert_true(m.eta.us == 1795156148141021);
        m = decode(read_file("task-expires-int.json"));
        assert_true(m.expires.us == 1795156178144096);
        assert_text(m.expiration, "60000");
        m = decode(read_file("task-link-list.json"));
        assert_true(sj_json_count(m.callbacks) > 0);
        m = decode(read_file("task-link-error.json"));
        assert_int_equal(sj_json_count(m.errbacks), 1);
        m = decode(read_file("chain3-step0.json"));
        assert_int_equal(sj_json_count(m.chain), 2);
        m = decode(read_file("chord3-1.json"));
        assert_non_null(m.chord);
        assert_true(m.has_group_index && m.group_index == 1);
        m = decode(read_file("requeued-message.json"));
        assert_true(m.redelivered);
        m = decode(read_file("task-priority5.json"));
        assert_int_equal(m.priority, 5);
}

static void protocol_1_is_read(void **state)
{
        (void)state;
        message m = decode(read_file("task-protocol1.json"));
        assert_int_equal(m.version, 1);
        assert_text(m.task, "capapp.add");
        assert_text(m.id, "c9100d0b-0c1c-4eb4-8f8e-fff05d7837f8");
        assert_int_equal(sj_json_count(m.args), 2);
        /* Changed, it goes on as version 2. */
        m.retries = 1;
        message again = decode(encode(&m));
        assert_int_equal(again.version, 2);
        assert_int_equal(again.retries, 1);
        assert_text(again.id, "c9100d0b-0c1c-4eb4-8f8e-fff05d7837f8");
        assert_true(sj_json_equal(again.args, m.args));
}

static void a_compressed_body_is_inflated(void **state)
{
        (void)state;
        message m;
        message_error error;
        int r = message_decode(arena, read_file("task-compression-gzip.json"), &m, &error);
        if (r < 0 && strstr(error.text, "this build cannot"))
                skip();
        assert_int_equal(r, 0);
        assert_int_equal(sj_json_count(m.args), 2);
        m.args = parse(SJ_STR("[7]"));
        message again = decode(encode(&m));
        assert_text(again.compression, "application/x-gzip");
        assert_int_equal(sj_json_count(again.args), 1);
}

/* ── Made here ───────────────────────────────────────────────────────────────────────────── */

static void a_message_made_here_has_every_header_of_the_protocol(void **state)
{
        (void)state;
        static const char *const headers[] = {"lang",
                                              "task",
                                              "id",
                                              "shadow",
                                              "eta",
                                              "expires",
                                              "group",
                                              "group_index",
                                              "retries",
                                              "timelimit",
                                              "root_id",
                                              "parent_id",
                                              "argsrepr",
                                              "kwargsrepr",
                                              "origin",
                                              "ignore_result",
                                              "replaced_task_nesting",
                                              "stamped_headers",
                                              "stamps"};
        message m = {.task = SJ_STR("t"),
                     .id = SJ_STR("the-id"),
                     .args = parse(SJ_STR("[1, \"\\u00e9\"]")),
                     .kwargs = parse(SJ_STR("{\"k\": null}")),
                     .eta = {1893553445000001},
                     .time_limit = 20,
                     .soft_time_limit = 10.5,
                     .routing_key = SJ_STR("q"),
                     .origin = SJ_STR("gen1@h")};
        sj_str text = encode(&m);
        const sj_json *envelope = parse(text);
        const sj_json *made = sj_json_member(envelope, "headers");
        for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
                if (!sj_json_member(made, headers[i]))
                        fail_msg("no header %s", headers[i]);
        assert_int_equal(sj_json_count(made), sizeof(headers) / sizeof(headers[0]));
        assert_true(sj_json_equal(
                made,
                parse(SJ_STR("{\"lang\": \"c\", \"task\": \"t\", \"id\": \"the-id\", "
                             "\"shadow\": null, \"eta\": \"2030-01-02T03:04:05.000001+00:00\", "
                             "\"expires\": null, \"group\": null, \"group_index\": null, "
                             "\"retries\": 0, \"timelimit\": [20, 10.5], "
                             "\"root_id\": \"the-id\", \"parent_id\": null, "
                             "\"argsrepr\": \"(1, '\\u00e9')\", \"kwargsrepr\": \"{'k': None}\", "
                             "\"origin\": \"gen1@h\", \"ignore_result\": false, "
                             "\"replaced_task_nesting\": 0, \"stamped_headers\": null, "
                             "\"stamps\": {}}"))));
        const sj_json *properties = sj_json_member(envelope, "properties");
        sj_str tag;
        assert_int_equal(sj_json_string(sj_json_member(properties, "delivery_tag"), &tag), 0);
        assert_int_equal(tag.n, 36);
        assert_true(sj_json_equal(sj_json_member(properties, "delivery_info"),
                                  parse(SJ_STR("{\"exchange\": \"\", \"routing_key\": \"q\"}"))));
        assert_true(sj_json_equal(
                body_of(envelope),
                parse(SJ_STR("[[1, \"\\u00e9\"], {\"k\": null}, {\"callbacks\": null, "
                             "\"errbacks\": null, \"chain\": null, \"chord\": null}]"))));
        /* As Python writes it: ASCII, and blanks after the separators. */
        for (size_t i = 0; i < text.n; i++)
                assert_true(text.data[i] >= 0x20 && text.data[i] < 0x7f);
        message again = decode(text);
        assert_true(again.eta.us == m.eta.us);
        assert_text(again.correlation_id, "the-id");
}

static void extra_headers_are_added_but_never_replace_those_of_the_protocol(void **state)
{
        (void)state;
        message m = {.task = SJ_STR("t"),
                     .id = SJ_STR("i"),
                     .extra_headers = parse(SJ_STR("{\"x-my\": [1], \"id\": \"other\"}"))};
        message again = decode(encode(&m));
        assert_text(again.id, "i");
        assert_int_equal(sj_json_count(sj_json_member(again.headers, "x-my")), 1);
}

static void a_message_without_name_or_id_is_not_written(void **state)
{
        (void)state;
        sj_str text;
        assert_int_equal(message_encode(arena, &(message){.task = SJ_STR("t")}, &text), -EINVAL);
        assert_int_equal(message_encode(arena, &(message){.id = SJ_STR("t")}, &text), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_message_whose_text_is_kept_is_read_where_it_lies),
                cmocka_unit_test(every_message_of_celery_is_read_and_written_back),
                cmocka_unit_test(a_changed_argument_leaves_all_else_as_it_came),
                cmocka_unit_test(the_fields_of_a_message_are_read),
                cmocka_unit_test(moments_limits_and_links_are_read),
                cmocka_unit_test(protocol_1_is_read),
                cmocka_unit_test(a_compressed_body_is_inflated),
                cmocka_unit_test(a_message_made_here_has_every_header_of_the_protocol),
                cmocka_unit_test(extra_headers_are_added_but_never_replace_those_of_the_protocol),
                cmocka_unit_test(a_message_without_name_or_id_is_not_written),
        };
        return cmocka_run_group_tests(tests, arena_unit_begin, arena_unit_end);
}
