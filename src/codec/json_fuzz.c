/* SPDX-License-Identifier: MIT */
/*
 * What is accepted is written and read again in every form, and must be the same value; what a
 * strict reader accepts, the one of Python's dialect must accept alike. The text stands in memory
 * of exactly its size, and at another alignment the answer must be the same. Skimming reads no
 * further than the text, and finds in an object what parsing finds, or says that it is odd.
 */
#include "codec/json_skim.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
        if (!holds)
                abort();
}

static void check_forms(sj_arena *arena, const sj_json *v, unsigned dialect)
{
        for (unsigned form = 0; form < 16; form += 2) {
                sj_str text;
                const sj_json *again;
                const unsigned flags = form | dialect;
                check(sj_json_text(arena, v, flags, &text) == 0);
                check(text.data[text.n] == '\0');
                check(sj_json_parse(arena, text, flags, &again, NULL) == 0);
                check(sj_json_equal(v, again));
                if (form & SJ_JSON_ASCII)
                        for (size_t i = 0; i < text.n; i++)
                                check((unsigned char)text.data[i] < 0x80);
        }
}

/* Without its raw bytes, so that every part goes through the writer. */
static const sj_json *rebuild(sj_arena *arena, const sj_json *v)
{
        const size_t n = sj_json_count(v);
        sj_str text;
        int64_t integer;
        double number;
        switch (sj_json_type_of(v)) {
        case SJ_JSON_INT:
                check(sj_json_int(v, &integer) == 0);
                return sj_json_new_int(arena, integer);
        case SJ_JSON_DOUBLE:
                check(sj_json_double(v, &number) == 0);
                return sj_json_new_double(arena, number);
        case SJ_JSON_STRING:
                check(sj_json_string(v, &text) == 0);
                return sj_json_new_string(arena, text);
        case SJ_JSON_ARRAY:
        case SJ_JSON_OBJECT:
                break;
        default:
                return v;
        }
        const sj_json **parts = sj_arena_alloc(arena, n * sizeof(*parts));
        sj_str *names = sj_arena_alloc(arena, n * sizeof(*names));
        check(parts && names);
        for (size_t i = 0; i < n; i++) {
                parts[i] = rebuild(arena, sj_json_at(v, i));
                names[i] = sj_json_name_at(v, i);
        }
        return sj_json_type_of(v) == SJ_JSON_ARRAY ? sj_json_new_array(arena, parts, n)
                                                   : sj_json_new_object(arena, names, parts, n);
}

static void check_error(sj_str text, int r, const sj_json_error *error)
{
        check(r == -EBADMSG || r == -EMSGSIZE);
        check(error->offset <= text.n && error->reason);
        size_t line = 1, column = 1;
        for (size_t i = 0; i < error->offset; i++) {
                column = text.data[i] == '\n' ? 1 : column + 1;
                line += text.data[i] == '\n';
        }
        check(line == error->line && column == error->column);
}

static const sj_json *check_parse(sj_arena *arena, sj_str text, unsigned flags)
{
        const sj_json *v = NULL, *moved = NULL;
        sj_json_error error, moved_error;
        char *copy = malloc(text.n + 1);
        check(copy);
        if (text.n)
                memcpy(copy + 1, text.data, text.n);
        int r = sj_json_parse(arena, text, flags, &v, &error);
        int s = sj_json_parse(arena, (sj_str){copy + 1, text.n}, flags, &moved, &moved_error);
        check(r == s);
        if (r < 0) {
                check_error(text, r, &error);
                check(error.offset == moved_error.offset && error.reason == moved_error.reason);
        } else {
                check(sj_json_equal(v, moved));
                check_forms(arena, v, flags);
                const sj_json *built = rebuild(arena, v);
                check(built && sj_json_equal(v, built));
                check_forms(arena, built, flags);
        }
        free(copy);
        return v;
}

static void check_skim(sj_str text, const sj_json *parsed)
{
        json_skim s = json_skim_of(text);
        bool object = json_skim_open(&s);
        sj_str name;
        size_t n = 0;
        for (; object && json_skim_member(&s, &name); n++) {
                sj_str value = json_skim_value(&s);
                if (!parsed || s.odd)
                        continue;
                check(sj_str_equal(name, sj_json_name_at(parsed, n)));
                check(sj_str_equal(value, sj_json_raw(sj_json_at(parsed, n))));
        }
        if (parsed && !s.odd)
                check(object ? n == sj_json_count(parsed)
                             : sj_json_type_of(parsed) != SJ_JSON_OBJECT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        sj_arena *arena;
        check(sj_arena_new(&arena) == 0);
        char *exact = malloc(size ? size : 1);
        check(exact);
        if (size)
                memcpy(exact, data, size);
        const sj_str text = {exact, size};
        const sj_json *strict = check_parse(arena, text, 0);
        const sj_json *python = check_parse(arena, text, SJ_JSON_PYTHON);
        check_skim(text, python);
        check(!strict || (python && sj_json_equal(strict, python)));
        free(exact);
        sj_arena_free(arena);
        return 0;
}
