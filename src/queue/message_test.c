/* SPDX-License-Identifier: MIT */
/* Messages: those that Celery made, those that are made here, and those that are wrong. */
#include "queue/message.h"

#include "base/base64.h"
#include "base/unit.h"
#include "queue/queue_testdata.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static sj_arena *arena;

static int begin(void **state)
{
        (void)state;
        return sj_arena_new(&arena);
}

static int end(void **state)
{
        (void)state;
        sj_arena_free(arena);
        return 0;
}

static sj_str read_file(const char *name)
{
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", QUEUE_TESTDATA, name);
        FILE *f = fopen(path, "rb");
        if (!f)
                fail_msg("cannot open %s", path);
        char *data = sj_arena_alloc(arena, 1 << 16);
        size_t n = fread(data, 1, 1 << 16, f);
        fclose(f);
        return (sj_str){data, n};
}

static const sj_json *parse(sj_str text)
{
        const sj_json *v = NULL;
        sj_json_error why;
        if (sj_json_parse(arena, text, SJ_JSON_PYTHON, &v, &why) < 0)
                fail_msg("%.*s: %s", SJ_STR_ARG(text), why.reason);
        return v;
}

static const sj_json *body_of(const sj_json *envelope)
{
        sj_str text;
        assert_int_equal(sj_json_string(sj_json_member(envelope, "body"), &text), 0);
        char *bytes = sj_arena_alloc(arena, text.n + 1);
        size_t n;
        assert_int_equal(base64_decode(text, bytes, &n), 0);
        return parse((sj_str){bytes, n});
}

static message decode(sj_str text)
{
        message m;
        message_error error;
        if (message_decode(arena, text, &m, &error) < 0)
                fail_msg("%s: %s", message_defect_name(error.defect), error.text);
        return m;
}

static sj_str encode(const message *m)
{
        sj_str text;
        assert_int_equal(message_encode(arena, m, &text), 0);
        return text;
}

static void assert_text(sj_str text, const char *expected)
{
        if (!sj_str_equal(text, sj_str_of(expected)))
                fail_msg("'%.*s' is not '%s'", SJ_STR_ARG(text), expected);
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
        if (r < 0 && strcmp(error.text, "this build has no zlib") == 0)
                skip();
        assert_int_equal(r, 0);
        assert_int_equal(sj_json_count(m.args), 2);
        m.args = parse(SJ_STR("[7]"));
        message again = decode(encode(&m));
        assert_null(again.compression.data);
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

/* ── Wrong ones (§1.1) ───────────────────────────────────────────────────────────────────── */

/* A sound envelope in which the text `from` is replaced. */
static sj_str broken(const char *from, const char *to)
{
        static const char sound[] =
                "{\"body\": \"[[1], {}, {}]\", \"content-encoding\": \"utf-8\", "
                "\"content-type\": \"application/json\", \"headers\": {\"task\": \"t\", "
                "\"id\": \"the-id\", \"timelimit\": [null, null], \"eta\": null}, "
                "\"properties\": {\"delivery_info\": {\"exchange\": \"\", \"routing_key\": "
                "\"celery\"}, \"body_encoding\": null, \"delivery_tag\": \"tag\"}}";
        const char *at = strstr(sound, from);
        if (!at)
                fail_msg("no %s", from);
        size_t size = sizeof(sound) + strlen(to);
        char *text = sj_arena_alloc(arena, size);
        int n = snprintf(text, size, "%.*s%s%s", (int)(at - sound), sound, to, at + strlen(from));
        return (sj_str){text, (size_t)n};
}

static void assert_defect_in(sj_str text, message_defect defect, const char *reason)
{
        message m;
        message_error error;
        int r = message_decode(arena, text, &m, &error);
        if (r != -EBADMSG || error.defect != defect || strcmp(error.text, reason) != 0)
                fail_msg("%d: %s: '%s' is not '%s'", r, message_defect_name(error.defect),
                         error.text, reason);
}

static void assert_defect(const char *from, const char *to, message_defect defect,
                          const char *reason)
{
        assert_defect_in(broken(from, to), defect, reason);
}

static void the_least_message_is_accepted(void **state)
{
        (void)state;
        message m = decode(broken("\"eta\": null", "\"eta\": null"));
        assert_int_equal(sj_json_count(m.args), 1);
        decode(broken("[[1], {}, {}]", "[[1], {}, null]"));
        decode(broken("\"body_encoding\": null, ", ""));
        decode(broken("\"body_encoding\": null", "\"body_encoding\": \"utf-8\""));
        decode(broken("\"utf-8\"", "null"));
        decode(broken("[null, null]", "null"));
        /* A body that is an object with args, beside the headers of version 2. */
        m = decode(broken("[[1], {}, {}]", "{\\\"args\\\": [1, 2], \\\"kwargs\\\": {}}"));
        assert_int_equal(sj_json_count(m.args), 2);
}

static void a_bad_envelope_is_refused_with_its_reason(void **state)
{
        (void)state;
        assert_defect_in(SJ_STR("nonsense"), MESSAGE_NOT_JSON,
                         "the message is not JSON: a value is expected at byte 1");
        assert_defect_in(SJ_STR("[1]"), MESSAGE_NOT_JSON, "the message is not an object");
        assert_defect("\"properties\"", "\"others\"", MESSAGE_ENVELOPE,
                      "'properties' is missing or not an object");
        assert_defect("\"headers\"", "\"others\"", MESSAGE_ENVELOPE,
                      "'headers' is missing or not an object");
        assert_defect("\"delivery_tag\"", "\"x\"", MESSAGE_ENVELOPE,
                      "property 'delivery_tag' is missing");
        assert_defect("\"delivery_info\"", "\"x\"", MESSAGE_ENVELOPE,
                      "property 'delivery_info' is missing");
        assert_defect("\"routing_key\"", "\"x\"", MESSAGE_ENVELOPE,
                      "property 'delivery_info' is not an object with exchange and routing_key");
        assert_defect("\"content-type\"", "\"x\"", MESSAGE_ENVELOPE, "'content-type' is missing");
        assert_defect("\"body\"", "\"x\"", MESSAGE_ENVELOPE, "'body' is missing or not a string");
        assert_defect("\"body_encoding\": null", "\"body_encoding\": \"uu\"", MESSAGE_ENVELOPE,
                      "body_encoding 'uu' is not known");
}

static void a_bad_header_is_refused_with_its_reason(void **state)
{
        (void)state;
        assert_defect("\"id\"", "\"x\"", MESSAGE_HEADER, "header 'id' is missing");
        assert_defect("\"the-id\"", "7", MESSAGE_HEADER,
                      "header 'id' is not a string of 1 to 255 bytes without control characters");
        assert_defect("\"the-id\"", "\"a\\nb\"", MESSAGE_HEADER,
                      "header 'id' is not a string of 1 to 255 bytes without control characters");
        assert_defect("\"t\"", "[]", MESSAGE_HEADER,
                      "header 'task' is not a string of 1 to 255 bytes without control characters");
        assert_defect("[null, null]", "[null]", MESSAGE_HEADER,
                      "header 'timelimit' is not [hard, soft], each a number of seconds or null");
        assert_defect("[null, null]", "[-1, null]", MESSAGE_HEADER,
                      "header 'timelimit' is not [hard, soft], each a number of seconds or null");
        assert_defect("\"eta\": null", "\"eta\": 17", MESSAGE_HEADER,
                      "header 'eta' is not a moment as ISO 8601 text");
        assert_defect("\"eta\": null", "\"expires\": \"tomorrow\"", MESSAGE_HEADER,
                      "header 'expires' is not a moment as ISO 8601 text");
        assert_defect("\"eta\": null", "\"retries\": -1", MESSAGE_HEADER,
                      "header 'retries' is not an integer, 0 or more");
        assert_defect("\"task\"", "\"x\"", MESSAGE_HEADER, "header 'task' is missing");
}

static void names_and_ids_have_their_limits(void **state)
{
        (void)state;
        char text[300] = "\"";
        memset(text + 1, 'x', 255);
        strcpy(text + 256, "\"");
        decode(broken("\"t\"", text));
        assert_defect("\"the-id\"", text, MESSAGE_HEADER, "header 'id' is longer than 127 bytes");
        strcpy(text + 256, "x\"");
        assert_defect("\"t\"", text, MESSAGE_HEADER,
                      "header 'task' is not a string of 1 to 255 bytes without control characters");
        strcpy(text + 128, "\"");
        decode(broken("\"the-id\"", text));
}

static void a_bad_body_is_refused_with_its_reason(void **state)
{
        (void)state;
        assert_defect("[[1], {}, {}]", "[[1], {}]", MESSAGE_BODY, "the body has 2 parts, not 3");
        assert_defect("[[1], {}, {}]", "[[1], {}, {}, 4]", MESSAGE_BODY,
                      "the body has 4 parts, not 3");
        assert_defect("[[1], {}, {}]", "[null, {}, {}]", MESSAGE_BODY,
                      "the arguments are not an array");
        assert_defect("[[1], {}, {}]", "[[1], null, {}]", MESSAGE_BODY,
                      "the keyword arguments are not an object");
        assert_defect("[[1], {}, {}]", "[[1], [], {}]", MESSAGE_BODY,
                      "the keyword arguments are not an object");
        assert_defect("[[1], {}, {}]", "[[1], {}, 3]", MESSAGE_BODY,
                      "the third part of the body is not an object");
        assert_defect("[[1], {}, {}]", "[[1], {}, {\\\"chain\\\": 3}]", MESSAGE_BODY,
                      "'chain' of the body is not an array");
        assert_defect("[[1], {}, {}]", "7", MESSAGE_BODY,
                      "the body is neither an array nor an object");
        assert_defect("[[1], {}, {}]", "[[1], {}, {}", MESSAGE_BODY,
                      "the body is not JSON: the text ends too early at byte 12");
        assert_defect("\"body_encoding\": null", "\"body_encoding\": \"base64\"", MESSAGE_BODY,
                      "the body is not base64");
}

static void what_is_not_json_is_never_decoded(void **state)
{
        (void)state;
        assert_defect("application/json", "application/x-python-serialize", MESSAGE_REFUSED,
                      "content of the type 'application/x-python-serialize' is never decoded");
        assert_defect("application/json", "a\\u0007b", MESSAGE_REFUSED,
                      "content of the type 'a?b' is never decoded");
        assert_defect("\"utf-8\"", "\"utf-7\"", MESSAGE_REFUSED,
                      "content encoding 'utf-7' is not known");
        assert_defect("\"eta\": null", "\"compression\": \"application/x-bz2\"",
                      MESSAGE_COMPRESSION, "compression 'application/x-bz2' is not known");
        assert_defect("\"eta\": null", "\"compression\": \"application/x-gzip\"",
                      MESSAGE_COMPRESSION, "the compressed body is damaged");
}

static void a_bad_message_still_tells_its_id(void **state)
{
        (void)state;
        message m;
        message_error error;
        assert_int_equal(message_decode(arena, broken("[[1], {}, {}]", "["), &m, &error), -EBADMSG);
        assert_text(m.id, "the-id");
        assert_text(m.task, "t");
        assert_int_equal(message_decode(arena, broken("\"properties\"", "\"x\""), &m, &error),
                         -EBADMSG);
        assert_text(m.id, "the-id");
}

static sj_str nested(size_t depth)
{
        char *text = malloc(2 * depth + 1);
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[2 * depth] = 0;
        sj_str whole = broken("[[1], {}, {}]", text);
        free(text);
        return whole;
}

static void depth_and_size_are_limited(void **state)
{
        (void)state;
        assert_defect_in(nested(10000), MESSAGE_TOO_DEEP, "the body is nested deeper than 256");
        size_t n = MESSAGE_SIZE_MAX + 1;
        char *large = malloc(n);
        memset(large, ' ', n);
        assert_defect_in((sj_str){large, n}, MESSAGE_TOO_LARGE,
                         "the message has 33554433 bytes, more than 33554432");
        free(large);
}

/* 1 MiB of blanks, compressed: 1 KiB. */
static void a_body_that_grows_too_much_is_refused(void **state)
{
        (void)state;
        static const unsigned char bomb[] = {
#include "queue/testdata/bomb.inc"
        };
        size_t n = base64_encoded_size(sizeof(bomb));
        char *text = sj_arena_alloc(arena, n + 1);
        base64_encode(bomb, sizeof(bomb), text);
        text[n] = 0;
        sj_str whole = broken("\"eta\": null", "\"compression\": \"application/x-gzip\"");
        char *copy = sj_arena_strndup(arena, whole.data, whole.n);
        char *at = strstr(copy, "\"body_encoding\": null");
        memcpy(at, "\"body_encoding\":  \"\" ", 21);
        size_t size = whole.n + n + 64;
        char *all = sj_arena_alloc(arena, size);
        const char *rest = strstr(copy, "\", \"content-encoding\"");
        snprintf(all, size, "{\"body\": \"%s%s", text, rest);
        at = strstr(all, "\"body_encoding\":  \"\" ");
        memmove(at + 25, at + 21, strlen(at + 21) + 1);
        memcpy(at, "\"body_encoding\": \"base64\"", 25);
        message m;
        message_error error;
        assert_int_equal(message_decode(arena, sj_str_of(all), &m, &error), -EBADMSG);
        if (error.defect == MESSAGE_COMPRESSION)
                skip();
        assert_string_equal(error.text, "the body grows too large when inflated");
}

/* ── Signatures ──────────────────────────────────────────────────────────────────────────── */

static message from(const char *signature, const char *partial)
{
        const sj_json *value = partial ? parse(sj_str_of(partial)) : NULL;
        message m;
        message_error error;
        int r = message_from_signature(arena, parse(sj_str_of(signature)), &value, partial ? 1 : 0,
                                       SJ_STR("root"), SJ_STR("parent"), (sj_wall){1000000}, &m,
                                       &error);
        if (r < 0)
                fail_msg("%d: %s", r, error.text);
        return m;
}

static void a_signature_becomes_a_message(void **state)
{
        (void)state;
        message m = from("{\"task\": \"mul\", \"args\": [8], \"kwargs\": {}, \"options\": "
                         "{\"task_id\": \"the-id\", \"reply_to\": \"r\", \"priority\": null, "
                         "\"chord\": null, \"countdown\": 2, \"expires\": 3.5, \"time_limit\": 9, "
                         "\"queue\": \"q\", \"link\": {\"task\": \"one\"}, "
                         "\"headers\": {\"x\": 1}}, \"subtask_type\": null, \"immutable\": false}",
                         "4");
        assert_text(m.task, "mul");
        assert_text(m.id, "the-id");
        assert_text(m.root_id, "root");
        assert_text(m.parent_id, "parent");
        assert_text(m.reply_to, "r");
        assert_text(m.routing_key, "q");
        assert_true(m.eta.us == 3000000 && m.expires.us == 4500000 && m.time_limit == 9);
        assert_int_equal(sj_json_count(m.callbacks), 1);
        assert_null(m.chord);
        message sent = decode(encode(&m));
        assert_text(sent.argsrepr, "(4, 8)");
        assert_non_null(sj_json_member(sent.headers, "x"));
}

static void an_immutable_signature_keeps_its_own_arguments(void **state)
{
        (void)state;
        message m = from("{\"task\": \"mul\", \"args\": [8], \"kwargs\": {}, \"options\": {}, "
                         "\"immutable\": true}",
                         "4");
        assert_int_equal(sj_json_count(m.args), 1);
        assert_int_equal(m.id.n, 36);
}

static void a_signature_names_its_queue_or_its_routing_key(void **state)
{
        (void)state;
        assert_text(
                from("{\"task\": \"t\", \"options\": {\"routing_key\": \"r\"}}", NULL).routing_key,
                "r");
        assert_text(from("{\"task\": \"t\", \"options\": {\"routing_key\": \"r\", "
                         "\"queue\": \"q\"}}",
                         NULL)
                            .routing_key,
                    "q");
        assert_int_equal(from("{\"task\": \"t\"}", NULL).routing_key.n, 0);
}

static void a_signature_that_is_none_is_refused(void **state)
{
        (void)state;
        static const char *const bad[] = {
                "3",
                "{}",
                "{\"task\": 3}",
                "{\"task\": \"t\", \"args\": 3}",
                "{\"task\": \"t\", \"kwargs\": []}",
                "{\"task\": \"t\", \"options\": {\"eta\": \"soon\"}}",
                "{\"task\": \"t\", \"options\": {\"countdown\": -1}}",
                "{\"task\": \"t\", \"options\": {\"priority\": \"high\"}}"};
        message m;
        message_error error;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_int_equal(message_from_signature(arena, parse(sj_str_of(bad[i])), NULL, 0,
                                                        SJ_STR(""), SJ_STR(""), (sj_wall){1}, &m,
                                                        &error),
                                 -EBADMSG);
        assert_int_equal(message_from_signature(
                                 arena,
                                 parse(SJ_STR("{\"task\": \"celery.group\", \"subtask_type\": "
                                              "\"group\"}")),
                                 NULL, 0, SJ_STR(""), SJ_STR(""), (sj_wall){1}, &m, &error),
                         -EOPNOTSUPP);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_message_of_celery_is_read_and_written_back),
                cmocka_unit_test(a_changed_argument_leaves_all_else_as_it_came),
                cmocka_unit_test(the_fields_of_a_message_are_read),
                cmocka_unit_test(moments_limits_and_links_are_read),
                cmocka_unit_test(protocol_1_is_read),
                cmocka_unit_test(a_compressed_body_is_inflated),
                cmocka_unit_test(a_message_made_here_has_every_header_of_the_protocol),
                cmocka_unit_test(extra_headers_are_added_but_never_replace_those_of_the_protocol),
                cmocka_unit_test(a_message_without_name_or_id_is_not_written),
                cmocka_unit_test(the_least_message_is_accepted),
                cmocka_unit_test(a_bad_envelope_is_refused_with_its_reason),
                cmocka_unit_test(a_bad_header_is_refused_with_its_reason),
                cmocka_unit_test(names_and_ids_have_their_limits),
                cmocka_unit_test(a_bad_body_is_refused_with_its_reason),
                cmocka_unit_test(what_is_not_json_is_never_decoded),
                cmocka_unit_test(a_bad_message_still_tells_its_id),
                cmocka_unit_test(depth_and_size_are_limited),
                cmocka_unit_test(a_body_that_grows_too_much_is_refused),
                cmocka_unit_test(a_signature_becomes_a_message),
                cmocka_unit_test(an_immutable_signature_keeps_its_own_arguments),
                cmocka_unit_test(a_signature_names_its_queue_or_its_routing_key),
                cmocka_unit_test(a_signature_that_is_none_is_refused),
        };
        return cmocka_run_group_tests(tests, begin, end);
}
