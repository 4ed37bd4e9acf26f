/* SPDX-License-Identifier: MIT */
/*
 * sanjab/base.h: what every other header of sanjab stands on.
 *
 * Errors. A function that can fail returns an int: 0 or more when it has succeeded, a negative
 * errno value (-ENOENT, -ECANCELED, ...) when it has not. There is no global error. Outputs are
 * parameters named ret_..., written only on success.
 *
 * Bytes and text. Text is UTF-8. An sj_str is a view of bytes that somebody else owns; it is not
 * ended by a NUL. A const char * is.
 *
 * Memory. An sj_arena hands out memory that is freed all at once. x_new is undone by x_free,
 * x_init by x_fini; both accept NULL and the half-built.
 */
#ifndef SANJAB_BASE_H
#define SANJAB_BASE_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SJ_PUBLIC            __attribute__((visibility("default")))
#define SJ_PRINTF(at, first) __attribute__((format(printf, at, first)))
#define SJ_STRINGIFY_(x)     #x
#define SJ_STRINGIFY(x)      SJ_STRINGIFY_(x)
/* "file:line" of the place where it is written, as a string literal. */
#define SJ_WHERE __FILE__ ":" SJ_STRINGIFY(__LINE__)

/* A view of n bytes at data. The owner is whoever made them; data may be NULL when n is 0. */
typedef struct sj_str {
        const char *data;
        size_t n;
} sj_str;

/* A view of a string literal. */
#define SJ_STR(literal) ((sj_str){"" literal, sizeof(literal) - 1})
/* For printf: printf("%.*s", SJ_STR_ARG(s)). */
#define SJ_STR_ARG(s) (int)(s).n, (s).data

/* A view of a NUL-terminated string; NULL gives the empty view. */
static inline sj_str sj_str_of(const char *text)
{
        return (sj_str){text, text ? strlen(text) : 0};
}

/* Whether a and b hold the same bytes. */
static inline bool sj_str_equal(sj_str a, sj_str b)
{
        /* Both are asked, so that gcc sees no NULL reach memcmp whichever is a constant. */
        return a.n == b.n && (a.n == 0 || b.n == 0 || memcmp(a.data, b.data, a.n) == 0);
}

/* A link of a list: private, here because it is a part of what lies in the caller's storage. */
struct sj_list {
        struct sj_list *next;
        struct sj_list *prev;
};

/*
 * A short English text for an error, for people: sj_strerror(-ETIMEDOUT) is "timed out".
 * Accepts the negative value and the positive one. Never NULL, static storage, thread-safe.
 */
SJ_PUBLIC const char *sj_strerror(int error);

/*
 * Arena: memory that is freed all at once. Not for use by two threads at once.
 */
typedef struct sj_arena sj_arena;

/* A new empty arena, or -ENOMEM. The caller owns *ret. */
SJ_PUBLIC int sj_arena_new(sj_arena **ret);

/* Frees the arena and all that was allocated from it. NULL is allowed. */
SJ_PUBLIC void sj_arena_free(sj_arena *arena);

/* Gives back all that was allocated, keeping one block for the next use. */
SJ_PUBLIC void sj_arena_reset(sj_arena *arena);

/*
 * size bytes aligned for any type, not zeroed; they live until the arena is reset or freed.
 * NULL when there is no memory; the arena stays usable. size 0 gives a valid, useless pointer.
 */
SJ_PUBLIC void *sj_arena_alloc(sj_arena *arena, size_t size) __attribute__((malloc));

/* A NUL-terminated copy of n bytes in the arena, or NULL when there is no memory. */
SJ_PUBLIC char *sj_arena_strndup(sj_arena *arena, const char *text, size_t n);

/*
 * Log. The library prints nothing by itself: it hands each line to the sink that the program
 * gave it, and drops it when there is none.
 */
typedef enum sj_log_level {
        SJ_LOG_DEBUG,
        SJ_LOG_INFO,
        SJ_LOG_WARNING,
        SJ_LOG_ERROR,
        SJ_LOG_CRITICAL,
        SJ_LOG_OFF,
} sj_log_level;

/* Called with one whole line, without its end; from any thread. text is valid during the call. */
typedef void sj_log_sink(void *arg, sj_log_level level, const char *text);

/*
 * Sets the sink and the lowest level that reaches it, for the whole process. NULL: no sink.
 * Call it before other threads of the program use the library.
 */
SJ_PUBLIC void sj_log_set(sj_log_sink *sink, void *arg, sj_log_level lowest);

/* Hands a line to the sink; costs nothing when the level is too low. */
SJ_PUBLIC void sj_log(sj_log_level level, const char *format, ...) SJ_PRINTF(2, 3);

#ifdef __cplusplus
}
#endif

#endif
