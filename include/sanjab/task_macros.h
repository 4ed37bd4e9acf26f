/* SPDX-License-Identifier: MIT */
/*
 * sanjab/task_macros.h: what SJ_TASK of sanjab/task.h stands on, and for it alone. Included by it.
 */
#ifndef SANJAB_TASK_MACROS_H
#define SANJAB_TASK_MACROS_H

#include <sanjab/task.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sj_kind {
        SJ_KIND_VOID,
        SJ_KIND_INT,
        SJ_KIND_DOUBLE,
        SJ_KIND_BOOL,
        SJ_KIND_STRING,
        SJ_KIND_JSON
} sj_kind;

typedef struct sj_value {
        sj_kind kind;
        union {
                int64_t integer;
                double number;
                bool boolean;
                const char *string;
                const sj_json *json;
        };
} sj_value;

typedef struct sj_param {
        const char *name;
        sj_kind kind;
} sj_param;

#define SJ_TASK_ABI 1

typedef struct sj_task {
        uint32_t abi; /* SJ_TASK_ABI of the header it was compiled with */
        uint32_t n_params;
        sj_kind ret;
        const sj_param *params;
        const char *c_name;
        const char *where; /* "file:line" */
        const sj_task_options *options;
        /* The body, its arguments unpacked; NULL in a mere declaration. */
        int (*call)(sj_task_request *self, const sj_value *args, sj_value *ret);
} sj_task;

typedef struct sj_task_entry {
        const sj_task *task;
        struct sj_task_entry *next;
} sj_task_entry;

/* Makes the task known to this process; called before main, or by dlopen. Never fails. */
SJ_PUBLIC void sj_task_register(sj_task_entry *entry);
/* args[0] to args[n - 1] as the declaration says. Errors as sj_send_task; -EINVAL a NULL string. */
SJ_PUBLIC int sj_task_send(sj_app *app, const sj_task *task, const sj_call *call,
                           const sj_value *args, sj_result *ret);
/* The same call, kept, without its first `skip` arguments; NULL as sj_signature_new. */
SJ_PUBLIC sj_signature *sj_task_signature(const sj_task *task, const sj_value *args, unsigned skip);

static inline sj_value sj_value_int(int64_t value)
{
        return (sj_value){.kind = SJ_KIND_INT, .integer = value};
}
static inline sj_value sj_value_double(double value)
{
        return (sj_value){.kind = SJ_KIND_DOUBLE, .number = value};
}
static inline sj_value sj_value_bool(bool value)
{
        return (sj_value){.kind = SJ_KIND_BOOL, .boolean = value};
}
static inline sj_value sj_value_string(const char *value)
{
        return (sj_value){.kind = SJ_KIND_STRING, .string = value};
}
static inline sj_value sj_value_json(const sj_json *value)
{
        return (sj_value){.kind = SJ_KIND_JSON, .json = value};
}

#ifdef __cplusplus
}
#endif

/* clang-format off */
#define SJ_PASTE2_(a, b) a##b
#define SJ_PASTE_(a, b) SJ_PASTE2_(a, b)
#define SJ_FIRST_(first, ...) first
#define SJ_SECOND_(first, second, ...) second
#define SJ_COUNT2_(n, r, a, b, c, d, e, f, g, h, count, ...) count
/* Of (name, type, pairs...) the number of pairs, and F(index, pair) for each. */
#define SJ_COUNT_(...) SJ_COUNT2_(__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1, 0, -, -)
#define SJ_EACH_(F, ...) SJ_PASTE_(SJ_EACH_, SJ_COUNT_(__VA_ARGS__))(F, __VA_ARGS__)
#define SJ_EACH_0(F, n, r)
#define SJ_EACH_1(F, n, r, a) F(0, a)
#define SJ_EACH_2(F, n, r, a, b) F(0, a) F(1, b)
#define SJ_EACH_3(F, n, r, a, b, c) F(0, a) F(1, b) F(2, c)
#define SJ_EACH_4(F, n, r, a, b, c, d) F(0, a) F(1, b) F(2, c) F(3, d)
#define SJ_EACH_5(F, n, r, a, b, c, d, e) F(0, a) F(1, b) F(2, c) F(3, d) F(4, e)
#define SJ_EACH_6(F, n, r, a, b, c, d, e, f) SJ_EACH_5(F, n, r, a, b, c, d, e) F(5, f)
#define SJ_EACH_7(F, n, r, a, b, c, d, e, f, g) SJ_EACH_6(F, n, r, a, b, c, d, e, f) F(6, g)
#define SJ_EACH_8(F, n, r, a, b, c, d, e, f, g, h) SJ_EACH_7(F, n, r, a, b, c, d, e, f, g) F(7, h)

/* What the type of an argument or result selects; by pointers, so that void is a type too. */
#define SJ_KIND_OF_(type) _Generic((type *)0, int64_t *: SJ_KIND_INT, double *: SJ_KIND_DOUBLE, \
        bool *: SJ_KIND_BOOL, const char **: SJ_KIND_STRING, const sj_json **: SJ_KIND_JSON, \
        void *: SJ_KIND_VOID)
#define SJ_GET_(type, v) _Generic((type *)0, int64_t *: (v).integer, double *: (v).number, \
        bool *: (v).boolean, const char **: (v).string, const sj_json **: (v).json)
#define SJ_RET_(type, v) _Generic((type *)0, int64_t *: &(v)->integer, double *: &(v)->number, \
        bool *: &(v)->boolean, const char **: &(v)->string, const sj_json **: &(v)->json, \
        void *: (void *)(v))
#define SJ_VALUE_(type, x) _Generic((type *)0, int64_t *: sj_value_int, \
        double *: sj_value_double, bool *: sj_value_bool, const char **: sj_value_string, \
        const sj_json **: sj_value_json)(x)

#define SJ_PAIR_TYPE_(type, name) type
#define SJ_PAIR_NAME_(type, name) name
#define SJ_PAIR_BOTH_(type, name) type name
#define SJ_PAIR_TEXT_(type, name) #name
#define SJ_AS_PARAMETER_(i, pair) , SJ_PAIR_BOTH_ pair
#define SJ_AS_UNPACKED_(i, pair) , SJ_GET_(SJ_PAIR_TYPE_ pair, args_[i])
#define SJ_AS_PACKED_(i, pair) , SJ_VALUE_(SJ_PAIR_TYPE_ pair, SJ_PAIR_NAME_ pair)
#define SJ_AS_DESCRIPTION_(i, pair) , {SJ_PAIR_TEXT_ pair, SJ_KIND_OF_(SJ_PAIR_TYPE_ pair)}
#define SJ_UNUSED_ __attribute__((unused))

/* A first element that is not used keeps the arrays from being empty. */
#define SJ_DECLARE_(...) SJ_DECLARE2_(__VA_ARGS__)
#define SJ_DECLARE2_(name, type, ...) \
        typedef int name##_fn_(sj_task_request *, type * SJ_EACH_(SJ_AS_PARAMETER_, __VA_ARGS__)); \
        SJ_UNUSED_ static const sj_task_options name##_options_; \
        SJ_UNUSED_ static const sj_param name##_params_[] = { \
                {"", SJ_KIND_VOID} SJ_EACH_(SJ_AS_DESCRIPTION_, __VA_ARGS__)}; \
        SJ_UNUSED_ static const sj_task name##_declared_ = {SJ_TASK_ABI, SJ_COUNT_(__VA_ARGS__), \
                SJ_KIND_OF_(type), name##_params_ + 1, #name, SJ_WHERE, &name##_options_, NULL}; \
        SJ_UNUSED_ static inline int name##_apply_async(sj_app *app_, const sj_call *call_, \
                sj_result *ret_ SJ_EACH_(SJ_AS_PARAMETER_, __VA_ARGS__)) \
        { \
                const sj_value values_[] = { \
                        {SJ_KIND_VOID, {0}} SJ_EACH_(SJ_AS_PACKED_, __VA_ARGS__)}; \
                return sj_task_send(app_, &name##_declared_, call_, values_ + 1, ret_); \
        } \
        SJ_UNUSED_ static inline int name##_delay( \
                sj_app *app_ SJ_EACH_(SJ_AS_PARAMETER_, __VA_ARGS__), sj_result *ret_) \
        { \
                const sj_value values_[] = { \
                        {SJ_KIND_VOID, {0}} SJ_EACH_(SJ_AS_PACKED_, __VA_ARGS__)}; \
                return sj_task_send(app_, &name##_declared_, NULL, values_ + 1, ret_); \
        } \
        SJ_UNUSED_ static inline sj_signature *name##_s( \
                SJ_PASTE_(SJ_ONLY_, SJ_COUNT_(__VA_ARGS__))(__VA_ARGS__)) \
        { \
                const sj_value values_[] = { \
                        {SJ_KIND_VOID, {0}} SJ_EACH_(SJ_AS_PACKED_, __VA_ARGS__)}; \
                return sj_task_signature(&name##_declared_, values_ + 1, 0); \
        } \
        SJ_UNUSED_ static inline sj_signature *name##_si( \
                SJ_PASTE_(SJ_ONLY_, SJ_COUNT_(__VA_ARGS__))(__VA_ARGS__)) \
        { \
                const sj_value values_[] = { \
                        {SJ_KIND_VOID, {0}} SJ_EACH_(SJ_AS_PACKED_, __VA_ARGS__)}; \
                return sj_signature_immutable( \
                        sj_task_signature(&name##_declared_, values_ + 1, 0)); \
        } \
        SJ_PASTE_(SJ_PARTIAL_, SJ_COUNT_(__VA_ARGS__))(__VA_ARGS__)

/* A task with arguments may be called with all but the first. */
#define SJ_UNWRAP_(...) __VA_ARGS__
#define SJ_PARTIAL_OF_(name, parameters, packed) \
        SJ_UNUSED_ static inline sj_signature *name##_p(SJ_UNWRAP_ parameters) \
        { \
                const sj_value values_[] = { \
                        {SJ_KIND_VOID, {0}}, {SJ_KIND_VOID, {0}} SJ_UNWRAP_ packed}; \
                return sj_task_signature(&name##_declared_, values_ + 1, 1); \
        }
#define SJ_PARTIAL_0(...)
#define SJ_PARTIAL_1(n, r, a) SJ_PARTIAL_OF_(n, (void), ())
#define SJ_PARTIAL_2(n, r, a, ...) SJ_PARTIAL_OF_(n, (SJ_ONLY_1(n, r, __VA_ARGS__)), \
        (SJ_EACH_1(SJ_AS_PACKED_, n, r, __VA_ARGS__)))
#define SJ_PARTIAL_3(n, r, a, ...) SJ_PARTIAL_OF_(n, (SJ_ONLY_2(n, r, __VA_ARGS__)), \
        (SJ_EACH_2(SJ_AS_PACKED_, n, r, __VA_ARGS__)))
#define SJ_PARTIAL_4(n, r, a, ...) SJ_PARTIAL_OF_(n, (SJ_ONLY_3(n, r, __VA_ARGS__)), \
        (SJ_EACH_3(SJ_AS_PACKED_, n, r, __VA_ARGS__)))
#define SJ_PARTIAL_5(n, r, a, ...) SJ_PARTIAL_OF_(n, (SJ_ONLY_4(n, r, __VA_ARGS__)), \
        (SJ_EACH_4(SJ_AS_PACKED_, n, r, __VA_ARGS__)))
#define SJ_PARTIAL_6(n, r, a, ...) SJ_PARTIAL_OF_(n, (SJ_ONLY_5(n, r, __VA_ARGS__)), \
        (SJ_EACH_5(SJ_AS_PACKED_, n, r, __VA_ARGS__)))
#define SJ_PARTIAL_7(n, r, a, ...) SJ_PARTIAL_OF_(n, (SJ_ONLY_6(n, r, __VA_ARGS__)), \
        (SJ_EACH_6(SJ_AS_PACKED_, n, r, __VA_ARGS__)))
#define SJ_PARTIAL_8(n, r, a, ...) SJ_PARTIAL_OF_(n, (SJ_ONLY_7(n, r, __VA_ARGS__)), \
        (SJ_EACH_7(SJ_AS_PACKED_, n, r, __VA_ARGS__)))
/* The parameters with no other before them. */
#define SJ_LATER_(i, pair) , SJ_PAIR_BOTH_ pair
#define SJ_ONLY_0(n, r) void
#define SJ_ONLY_1(n, r, a) SJ_PAIR_BOTH_ a
#define SJ_ONLY_2(n, r, a, ...) SJ_PAIR_BOTH_ a SJ_EACH_1(SJ_LATER_, n, r, __VA_ARGS__)
#define SJ_ONLY_3(n, r, a, ...) SJ_PAIR_BOTH_ a SJ_EACH_2(SJ_LATER_, n, r, __VA_ARGS__)
#define SJ_ONLY_4(n, r, a, ...) SJ_PAIR_BOTH_ a SJ_EACH_3(SJ_LATER_, n, r, __VA_ARGS__)
#define SJ_ONLY_5(n, r, a, ...) SJ_PAIR_BOTH_ a SJ_EACH_4(SJ_LATER_, n, r, __VA_ARGS__)
#define SJ_ONLY_6(n, r, a, ...) SJ_PAIR_BOTH_ a SJ_EACH_5(SJ_LATER_, n, r, __VA_ARGS__)
#define SJ_ONLY_7(n, r, a, ...) SJ_PAIR_BOTH_ a SJ_EACH_6(SJ_LATER_, n, r, __VA_ARGS__)
#define SJ_ONLY_8(n, r, a, ...) SJ_PAIR_BOTH_ a SJ_EACH_7(SJ_LATER_, n, r, __VA_ARGS__)

#define SJ_DEFINE_(...) SJ_DEFINE2_(__VA_ARGS__)
#define SJ_DEFINE2_(name, type, ...) \
        static name##_fn_ name; \
        static int name##_call_(sj_task_request *self_, SJ_UNUSED_ const sj_value *args_, \
                                SJ_UNUSED_ sj_value *ret_) \
        { \
                return name(self_, SJ_RET_(type, ret_) SJ_EACH_(SJ_AS_UNPACKED_, __VA_ARGS__)); \
        } \
        static const sj_task name##_task_ = {SJ_TASK_ABI, SJ_COUNT_(__VA_ARGS__), \
                SJ_KIND_OF_(type), name##_params_ + 1, #name, SJ_WHERE, &name##_options_, \
                name##_call_}; \
        __attribute__((constructor)) static void name##_register_(void) \
        { \
                static sj_task_entry entry_ = {&name##_task_, NULL}; \
                sj_task_register(&entry_); \
        } \
        static int name(SJ_UNUSED_ sj_task_request *self, \
                        SJ_UNUSED_ type *ret SJ_EACH_(SJ_AS_PARAMETER_, __VA_ARGS__))
/* clang-format on */

#endif
