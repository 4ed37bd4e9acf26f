/* SPDX-License-Identifier: MIT */
/* Messages that are wrong, each with what is said of it (protocol §1.1). */
#include "queue/message/message_unit.h"

#include "base/base64.h"

#include <stdlib.h>

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
        assert_defect("\"eta\": null", "\"compression\": \"application/x-lzma\"",
                      MESSAGE_COMPRESSION, "compression 'application/x-lzma' is not known");
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

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_least_message_is_accepted),
                cmocka_unit_test(a_bad_envelope_is_refused_with_its_reason),
                cmocka_unit_test(a_bad_header_is_refused_with_its_reason),
                cmocka_unit_test(names_and_ids_have_their_limits),
                cmocka_unit_test(a_bad_body_is_refused_with_its_reason),
                cmocka_unit_test(what_is_not_json_is_never_decoded),
                cmocka_unit_test(a_bad_message_still_tells_its_id),
                cmocka_unit_test(depth_and_size_are_limited),
                cmocka_unit_test(a_body_that_grows_too_much_is_refused),
        };
        return cmocka_run_group_tests(tests, arena_unit_begin, arena_unit_end);
}
