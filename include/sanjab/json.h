/* SPDX-License-Identifier: MIT */
/*
 * sanjab/json.h: JSON values (RFC 8259).
 *
 * A value is immutable and lives in an arena. It is read with the sj_json_get functions and made
 * either by parsing or by the builder:
 *
 *         const sj_json *v;
 *         r = sj_json_parse(arena, SJ_STR("{\"a\": [1, 2]}"), 0, &v, NULL);
 *         const sj_json *a = sj_json_member(v, "a");
 *         int64_t first;
 *         r = sj_json_int(sj_json_at(a, 0), &first);
 *
 * Integers are exact over the whole of int64_t; an integer outside it keeps its digits
 * (SJ_JSON_NUMBER_TEXT) and is written as it came. Doubles are written in the shortest form that
 * reads back as the same double. A value that was parsed and is only passed on is written as the
 * very bytes that came (sj_json_raw), so that nothing is lost between two other programs.
 *
 * Every getter accepts NULL and answers -ENOENT for it, so that a chain of look-ups needs one
 * check at its end.
 */
#ifndef SANJAB_JSON_H
#define SANJAB_JSON_H

#include <sanjab/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits: the nesting, and the bytes of one text, unless sj_json_parse_limited says less. */
#define SJ_JSON_DEPTH_MAX 256
#define SJ_JSON_SIZE_MAX  ((size_t)64 << 20)

typedef enum sj_json_type {
        SJ_JSON_NULL,
        SJ_JSON_BOOL,
        SJ_JSON_INT,
        SJ_JSON_DOUBLE,
        SJ_JSON_NUMBER_TEXT, /* an integer that int64_t cannot hold: its digits */
        SJ_JSON_STRING,
        SJ_JSON_ARRAY,
        SJ_JSON_OBJECT,
} sj_json_type;

typedef struct sj_json sj_json;

typedef enum sj_json_flags {
        /*
         * Python's dialect, as json.dumps writes it: NaN, Infinity and -Infinity are numbers,
         * what is too large for a double is an infinity, and a lone surrogate (\ud800) is a
         * character, kept as its three WTF-8 bytes. Without it, the four are refused, in reading
         * and in writing. A lone surrogate is always written as an escape.
         */
        SJ_JSON_PYTHON = 1 << 0,
        /* Writing: all but ASCII as \u escapes, as Python's ensure_ascii. */
        SJ_JSON_ASCII = 1 << 1,
        /* Writing: ", " and ": " between the parts, as Python's default. */
        SJ_JSON_SPACED = 1 << 2,
        /* Writing: indented by two spaces, for people. */
        SJ_JSON_PRETTY = 1 << 3,
} sj_json_flags;

/* Where and why a text was refused. */
typedef struct sj_json_error {
        size_t offset;      /* in bytes, from 0 */
        unsigned line;      /* from 1 */
        unsigned column;    /* in bytes, from 1 */
        const char *reason; /* a static English sentence part, as "a string is not closed" */
} sj_json_error;

/*
 * Parses the one value that text holds. The text is copied: the value depends on the arena only,
 * which grows by twice the text and 24 bytes for each value and name in it.
 * Errors: -EBADMSG the text is not JSON; -EMSGSIZE it is longer or deeper than the limits;
 * -ENOMEM. *ret_error (may be NULL) is filled for the first two. After an error the arena holds
 * what was taken up to then, and stays usable.
 */
SJ_PUBLIC int sj_json_parse(sj_arena *arena, sj_str text, unsigned flags, const sj_json **ret,
                            sj_json_error *ret_error);

/*
 * As sj_json_parse, with limits of the caller's (at most the ones above). A scalar is 0 deep, an
 * empty array 1.
 */
SJ_PUBLIC int sj_json_parse_limited(sj_arena *arena, sj_str text, unsigned flags, size_t size_max,
                                    unsigned depth_max, const sj_json **ret,
                                    sj_json_error *ret_error);

/* The type of v; SJ_JSON_NULL for NULL. */
SJ_PUBLIC sj_json_type sj_json_type_of(const sj_json *v);
/* "null", "boolean", "integer", "number", "string", "array", "object". */
SJ_PUBLIC const char *sj_json_type_name(const sj_json *v);
static inline bool sj_json_is_null(const sj_json *v)
{
        return sj_json_type_of(v) == SJ_JSON_NULL;
}

/*
 * The value as a C type. -ENOENT: v is NULL; -EINVAL: another type; -ERANGE: an integer that the
 * C type cannot hold. sj_json_int accepts a double that is an integer (3.0; one with a fraction
 * and one that is not finite are -EINVAL); sj_json_double accepts any number (an integer is
 * rounded to the nearest double, or to an infinity).
 */
SJ_PUBLIC int sj_json_bool(const sj_json *v, bool *ret);
SJ_PUBLIC int sj_json_int(const sj_json *v, int64_t *ret);
SJ_PUBLIC int sj_json_double(const sj_json *v, double *ret);
/* The characters, with escapes undone; a NUL follows them, and there may be NULs inside. */
SJ_PUBLIC int sj_json_string(const sj_json *v, sj_str *ret);

/*
 * The number of elements or members; 0 for every other type and for NULL. Of members with the same
 * name all are counted and seen by sj_json_at, though sj_json_member finds the last.
 */
SJ_PUBLIC size_t sj_json_count(const sj_json *v);
/* Element i of an array, value i of an object; NULL outside, and for every other type. */
SJ_PUBLIC const sj_json *sj_json_at(const sj_json *v, size_t i);
/* The name of member i of an object; the empty view outside. */
SJ_PUBLIC sj_str sj_json_name_at(const sj_json *v, size_t i);
/*
 * The member with that name (of several the last, as in Python), or NULL. The search goes through
 * all members: for objects with very many, build an index.
 */
SJ_PUBLIC const sj_json *sj_json_find(const sj_json *v, sj_str name);
/* The same; the length of a literal costs nothing. */
static inline const sj_json *sj_json_member(const sj_json *v, const char *name)
{
        return sj_json_find(v, sj_str_of(name));
}

/* Loops: SJ_JSON_EACH(array, i, element) { ... } */
#define SJ_JSON_EACH(array, i, element)                     \
        for (size_t i = 0; (i) < sj_json_count(array); i++) \
                for (const sj_json *element = sj_json_at(array, i); element; (element) = NULL)

/*
 * Making values. Each returns a value in the arena, or NULL when there is no memory. A NULL where
 * a value is expected makes the result NULL, so that one check at the end is enough. Elements and
 * members may be of another arena, which must then live as long.
 */
SJ_PUBLIC const sj_json *sj_json_new_null(sj_arena *arena);
SJ_PUBLIC const sj_json *sj_json_new_bool(sj_arena *arena, bool value);
SJ_PUBLIC const sj_json *sj_json_new_int(sj_arena *arena, int64_t value);
SJ_PUBLIC const sj_json *sj_json_new_double(sj_arena *arena, double value);
/* A copy of text; NULL too if it is not UTF-8 (lone surrogates as WTF-8 are kept) or over 4 GiB. */
SJ_PUBLIC const sj_json *sj_json_new_string(sj_arena *arena, sj_str text);
SJ_PUBLIC const sj_json *sj_json_new_array(sj_arena *arena, const sj_json *const elements[],
                                           size_t n);
/* n members: names[i] with values[i]; the names are copied, and NULL if one is not UTF-8. */
SJ_PUBLIC const sj_json *sj_json_new_object(sj_arena *arena, const sj_str names[],
                                            const sj_json *const values[], size_t n);
/* A value whose written form is text, which is checked as by sj_json_parse; NULL if it is wrong. */
SJ_PUBLIC const sj_json *sj_json_new_raw(sj_arena *arena, sj_str text, unsigned flags);

/*
 * A builder writes JSON text straight into a growing buffer, without values in between. Begin and
 * end calls must pair; the commas are its own. An error stays, later calls do nothing, and
 * sj_json_writer_end tells it: -ENOMEM; -EINVAL for a call out of place, text that is not UTF-8,
 * or what only SJ_JSON_PYTHON allows; -EMSGSIZE for nesting beyond SJ_JSON_DEPTH_MAX.
 */
typedef struct sj_json_writer sj_json_writer;

/* An empty writer, with sj_json_flags; the caller owns *ret. -ENOMEM. */
SJ_PUBLIC int sj_json_writer_new(unsigned flags, sj_json_writer **ret);
/* NULL is allowed. */
SJ_PUBLIC void sj_json_writer_free(sj_json_writer *w);
/* Makes it empty again, keeping its memory; clears the error. */
SJ_PUBLIC void sj_json_writer_reset(sj_json_writer *w);
/* "{", then a name and a value for each member, then "}"; "[" and "]" likewise, with values. */
SJ_PUBLIC void sj_json_write_object_begin(sj_json_writer *w);
SJ_PUBLIC void sj_json_write_object_end(sj_json_writer *w);
SJ_PUBLIC void sj_json_write_array_begin(sj_json_writer *w);
SJ_PUBLIC void sj_json_write_array_end(sj_json_writer *w);
/* The name of the next member, whose value must follow. */
SJ_PUBLIC void sj_json_write_key(sj_json_writer *w, sj_str name);
static inline void sj_json_write_name(sj_json_writer *w, const char *name)
{
        sj_json_write_key(w, sj_str_of(name));
}
/* A scalar; a double in its shortest form, a string with what must be escaped escaped. */
SJ_PUBLIC void sj_json_write_null(sj_json_writer *w);
SJ_PUBLIC void sj_json_write_bool(sj_json_writer *w, bool value);
SJ_PUBLIC void sj_json_write_int(sj_json_writer *w, int64_t value);
SJ_PUBLIC void sj_json_write_double(sj_json_writer *w, double value);
SJ_PUBLIC void sj_json_write_string(sj_json_writer *w, sj_str text);
/*
 * A value; NULL is written as null. What was parsed is written as the bytes that came, with their
 * spacing, unless the flags forbid these: SJ_JSON_PRETTY lays containers out anew, and
 * SJ_JSON_ASCII rewrites what has characters beyond ASCII.
 */
SJ_PUBLIC void sj_json_write_value(sj_json_writer *w, const sj_json *v);
/* JSON text of one value, as it is: it must be valid, which is not checked. */
SJ_PUBLIC void sj_json_write_raw(sj_json_writer *w, sj_str text);
/* The whole text, NUL-terminated, valid until the writer is next used; or the first error. */
SJ_PUBLIC int sj_json_writer_end(sj_json_writer *w, sj_str *ret);

/* The text of v in the arena, NUL-terminated. Errors as those of a writer. */
SJ_PUBLIC int sj_json_text(sj_arena *arena, const sj_json *v, unsigned flags, sj_str *ret);

/* The bytes that v was parsed from, or the empty view if it was built. */
SJ_PUBLIC sj_str sj_json_raw(const sj_json *v);

/*
 * Whether a and b are the same value: objects in any order of members, 1 and 1.0 differ, as do 0.0
 * and -0.0; NaN is itself. NULL is only NULL. What is nested beyond SJ_JSON_DEPTH_MAX, which only
 * the builder can make, equals nothing. The time for two objects grows with the product of their
 * members: not for large ones from strangers.
 */
SJ_PUBLIC bool sj_json_equal(const sj_json *a, const sj_json *b);

/* ── What JSON has not, as Python's Celery writes it ────────────────────────────────────────── */

/*
 * kombu (from 5.3 on) writes a moment, a decimal number, a UUID and bytes as an object with two
 * members, {"__type__": "decimal", "__value__": "1.10"}, and makes the Python value of such a one
 * again, wherever in the arguments or the result it stands. Before 5.3 it wrote the bare string, so
 * the getters take that, too. In C such an object is passed on as it came, as any other.
 */

/*
 * The type of such an object ("datetime", "date", "time", "decimal", "uuid", "bytes", "base64", or
 * a program's own) and in *ret_value (may be NULL) its value; for all else the empty view.
 */
SJ_PUBLIC sj_str sj_json_typed(const sj_json *v, const sj_json **ret_value);

/*
 * As the getters above: -ENOENT for NULL, -EINVAL for what is none.
 * A datetime or a date (its midnight); without an offset it is UTC, as in Celery.
 */
SJ_PUBLIC int sj_json_datetime(const sj_json *v, sj_wall *ret);
/* The text of a decimal number, as "-1.10", "1E+3", "NaN", "Infinity": it has no C type. */
SJ_PUBLIC int sj_json_decimal(const sj_json *v, sj_str *ret);
/* "00000000-0000-4000-8000-000000000005", in lower case and with a NUL. */
SJ_PUBLIC int sj_json_uuid(const sj_json *v, char ret[37]);
/* The bytes, in the arena if they had to be decoded. -ENOMEM. */
SJ_PUBLIC int sj_json_bytes(const sj_json *v, sj_arena *arena, sj_str *ret);

/* Values that are read there as these. NULL as above, or if a text is none of that type. */
SJ_PUBLIC const sj_json *sj_json_new_typed(sj_arena *arena, const char *type, const sj_json *value);
SJ_PUBLIC const sj_json *sj_json_new_datetime(sj_arena *arena, sj_wall when);
SJ_PUBLIC const sj_json *sj_json_new_decimal(sj_arena *arena, const char *text);
/* With or without the dashes. */
SJ_PUBLIC const sj_json *sj_json_new_uuid(sj_arena *arena, const char *text);
SJ_PUBLIC const sj_json *sj_json_new_bytes(sj_arena *arena, sj_str bytes);

#ifdef __cplusplus
}
#endif

#endif
