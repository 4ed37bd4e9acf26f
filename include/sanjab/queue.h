/* SPDX-License-Identifier: MIT */
/*
 * sanjab/queue.h: the task queue.
 *
 * A task is a C function with a name. A program sends it as a message to a broker; a worker, in
 * another process or on another machine, runs it and stores its result. The messages are
 * Celery's, so that either side may be Python.
 *
 *         SJ_TASK(multiply, int64_t, (int64_t, a), (int64_t, b))
 *         {
 *                 *ret = a * b;
 *                 return 0;
 *         }
 *         SJ_TASK_OPTIONS(multiply, .name = "proj.tasks.multiply", .max_retries = 5);
 *
 * and in the program that wants it done:
 *
 *         sj_app *app;
 *         r = sj_app_new(&(sj_app_options){.broker = "sqlite:jobs.db"}, &app);
 *         sj_result result;
 *         r = multiply_delay(app, 2, 3, &result);
 *         sj_outcome outcome;
 *         r = sj_result_get(&result, arena, &outcome, sj_after(10 * SJ_SEC));
 *
 * What SJ_TASK(multiply, int64_t, (int64_t, a), (int64_t, b)) makes:
 *
 *   int multiply(sj_task_request *self, int64_t *ret, int64_t a, int64_t b)
 *           the body that follows it; can be called like any function, as by a unit test
 *   int multiply_delay(sj_app *app, int64_t a, int64_t b, sj_result *ret)
 *   int multiply_apply_async(sj_app *app, const sj_call *call, sj_result *ret,
 *                            int64_t a, int64_t b)
 *   sj_signature *multiply_s(int64_t a, int64_t b)
 *
 * Arguments (at most 8) and results are int64_t, double, bool, const char * (a string) and
 * const sj_json * (any value); a result may be void, and then nothing is written to ret.
 *
 *         SJ_TASK(tick, void) { return 0; }
 *
 * Calls to a task whose body is in another program need its declaration only, in a header:
 *
 *         SJ_TASK_DECLARE(multiply, int64_t, (int64_t, a), (int64_t, b));
 *         SJ_TASK_OPTIONS(multiply, .name = "proj.tasks.multiply");
 *
 * and the file with the body, if it includes that header, says SJ_TASK_DEFINE in the place of
 * SJ_TASK, with the same arguments. A task with no declaration in C is sent by sj_send_task.
 *
 * Lifetimes. Strings and JSON values that a body gets live as long as the call. A string or value
 * that it returns is copied when it returns.
 *
 * Blocking. All calls that talk to the broker may be made by a fiber (they are cancellation points
 * then) or in a thread without a loop (it is blocked).
 */
#ifndef SANJAB_QUEUE_H
#define SANJAB_QUEUE_H

#include <sanjab/json.h>
#include <sanjab/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits and defaults. */
#define SJ_TASK_ID_MAX      127 /* bytes of a task's id; ours have 36 */
#define SJ_TASK_NAME_MAX    255 /* bytes of a task's or a queue's name */
#define SJ_TASK_PARAM_MAX   8
#define SJ_QUEUE_DEFAULT    "celery"
#define SJ_PUBLISH_DEADLINE (30 * SJ_SEC) /* when neither the call nor its scope has one */
#define SJ_MAX_DELIVERIES   5             /* of one message, before it is dead */

typedef struct sj_app sj_app;
typedef struct sj_signature sj_signature;
typedef struct sj_task_request sj_task_request;

/* A setting whose default is "on". */
typedef enum sj_switch { SJ_OFF = -1, SJ_DEFAULT = 0, SJ_ON = 1 } sj_switch;

/* ── The app: a program's view of a broker ───────────────────────────────────────────────── */

/* Tasks whose name matches go to the queue; the first match of a list counts. */
typedef struct sj_route {
        const char *pattern; /* a name, in which * stands for any characters and ? for one */
        const char *queue;
} sj_route;

typedef struct sj_app_options {
        /* "sqlite:PATH", "memory:", "memory:NAME"; NULL: $SANJAB_BROKER, else "sqlite:sanjab.db" */
        const char *broker;
        const char *default_queue; /* NULL: SJ_QUEUE_DEFAULT */
        const sj_route *routes;    /* copied */
        size_t n_routes;
        double result_expires; /* seconds that results are kept; 0: a day; negative: for ever */
        sj_time open_deadline; /* for reaching the broker; 0: as for a publish */
} sj_app_options;

/*
 * Opens the broker. Options are copied; they may be NULL. Blocks.
 * Errors: -EINVAL the broker's address or a route is malformed; -EPROTONOSUPPORT no such kind of
 * broker in this build; those of the broker (-EACCES, -ENOENT, -ENOTDIR, -ENOSPC, -EBADMSG the
 * file is not a queue or of a newer version, -ECONNREFUSED, ...); -ETIMEDOUT; -ENOMEM.
 * The reason in words goes to the log.
 */
SJ_PUBLIC int sj_app_new(const sj_app_options *options, sj_app **ret);
/* Closes it. Nobody may be inside a call with it. May block shortly. NULL is allowed. */
SJ_PUBLIC void sj_app_free(sj_app *app);

/* ── Calling a task ──────────────────────────────────────────────────────────────────────── */

/* How a task is to be run, where it differs from the task's options. All may be left zero. */
typedef struct sj_call {
        double countdown; /* seconds from now before which it is not run */
        sj_wall eta;      /* the moment before which it is not run; instead of countdown */
        double expires;   /* seconds from now after which it is not run, but REVOKED */
        sj_wall expires_at;
        const char *queue;
        int priority; /* 1 to 9, where more is sooner; 0: the task's */
        const char *task_id;
        const char *shadow;             /* a name to show in its place */
        double time_limit;              /* seconds after which it is killed */
        double soft_time_limit;         /* seconds after which it is cancelled */
        bool ignore_result;             /* store no SUCCESS */
        uint32_t max_deliveries;        /* 0: the task's */
        const char *key;                /* idempotency key: see sj_task_options.idempotent */
        double key_for;                 /* seconds that the key is kept after success; 0: a day */
        const sj_json *headers;         /* an object of further headers, or NULL */
        const sj_signature *link;       /* sent with the result when it has succeeded */
        const sj_signature *link_error; /* sent with its id when it has failed */
        const sj_task_request *parent;  /* the task that calls: self, or NULL */
        sj_time deadline; /* for the publish; 0: the scope's, else SJ_PUBLISH_DEADLINE */
} sj_call;

/* A task that was sent. A plain value: it may be copied, and made anew from an id. */
typedef struct sj_result {
        sj_app *app;
        char id[SJ_TASK_ID_MAX + 1];
} sj_result;

/*
 * Sends a task by its name on the wire. args is the text of a JSON array, kwargs of an object;
 * NULL: none. call and ret may be NULL. When it returns 0 the message is as durable as the broker
 * can make it. With an idempotency key of a task that is known, *ret is that one's result.
 * Blocks, at most until its deadline.
 * Errors: -EINVAL a text is not such JSON, a name or id is empty or has control characters;
 * -ENAMETOOLONG; -EMSGSIZE the message is too large; -EEXIST the task_id is in use;
 * -ETIMEDOUT, -ECANCELED: whether it was published is not known, unless the broker says;
 * -ENOSPC and others of the broker; -ENOMEM. The message was not published then.
 */
SJ_PUBLIC int sj_send_task(sj_app *app, const char *name, const char *args, const char *kwargs,
                           const sj_call *call, sj_result *ret);

/* ── Signatures: a call that is kept, for links and canvas ───────────────────────────────── */

/*
 * A call of a task by its name, not yet made; args and kwargs as for sj_send_task, call may be
 * NULL. NULL when there is no memory or an argument is wrong; every function that takes a
 * signature answers -EINVAL to NULL, so that one check is enough. The caller owns it.
 * Of the call its key, max_deliveries, parent and deadline do not go into a signature.
 */
SJ_PUBLIC sj_signature *sj_signature_new(const char *name, const char *args, const char *kwargs,
                                         const sj_call *call);
/* NULL is allowed. */
SJ_PUBLIC void sj_signature_free(sj_signature *s);
/* Its own arguments are all: the result of what went before is not put in front of them. */
SJ_PUBLIC void sj_signature_immutable(sj_signature *s);
/* Sends it. Errors as sj_send_task. */
SJ_PUBLIC int sj_signature_send(sj_app *app, const sj_signature *s, sj_result *ret);

/* ── Results ─────────────────────────────────────────────────────────────────────────────── */

typedef enum sj_state {
        SJ_PENDING,
        SJ_RECEIVED,
        SJ_STARTED,
        SJ_RETRY,
        SJ_SUCCESS, /* final, as the two below */
        SJ_FAILURE,
        SJ_REVOKED,
        SJ_CUSTOM, /* a name of the task's own: see sj_task_progress */
} sj_state;

/* "PENDING", ...; "CUSTOM" for SJ_CUSTOM. */
SJ_PUBLIC const char *sj_state_name(sj_state state);
static inline bool sj_state_is_final(sj_state state)
{
        return state == SJ_SUCCESS || state == SJ_FAILURE || state == SJ_REVOKED;
}

/* Why a task failed, is retried or was revoked. NUL-terminated, never NULL but for traceback. */
typedef struct sj_error {
        const char *type;      /* "ValueError" */
        const char *message;   /* its first argument, or all as JSON if that is no string */
        const char *module;    /* "builtins" */
        const char *traceback; /* or NULL */
} sj_error;

/* All of it lives in the arena that was given. */
typedef struct sj_outcome {
        sj_state state;
        const char *state_name; /* also of a custom state */
        const sj_json *value;   /* SUCCESS: the result; CUSTOM, STARTED: what was said; else NULL */
        sj_error error;         /* FAILURE, RETRY, REVOKED; else empty texts */
        sj_wall done;           /* when it ended; 0 if it has not, or that is not known */
        const sj_json *meta;    /* the stored object with all its fields, NULL while PENDING */
} sj_outcome;

/*
 * Waits until the task has ended, by success or not (outcome.state tells). Blocks.
 * Errors: -ENOENT the broker knows no such task, or has forgotten it; -ETIMEDOUT; -ECANCELED;
 * -EBADMSG what is stored is not a result; those of the broker; -ENOMEM.
 * A broker that cannot tell unknown ids (Redis) takes them for pending.
 */
SJ_PUBLIC int sj_result_get(const sj_result *result, sj_arena *arena, sj_outcome *ret,
                            sj_time deadline);
/* What is known now, without waiting for the end. Errors as sj_result_get. */
SJ_PUBLIC int sj_result_state(const sj_result *result, sj_arena *arena, sj_outcome *ret,
                              sj_time deadline);
/* Removes what is stored of a task that has ended. -EBUSY it has not; -ENOENT; the broker's. */
SJ_PUBLIC int sj_result_forget(const sj_result *result, sj_time deadline);
/*
 * Revokes it: what waits is not run and becomes REVOKED at once; one that runs is asked to end
 * (sj_task_cancelled). 0 it was revoked or asked; -EALREADY it has ended; -ENOENT; the broker's.
 */
SJ_PUBLIC int sj_result_revoke(const sj_result *result, sj_time deadline);

/* ── In the body of a task ───────────────────────────────────────────────────────────────── */

/* What a body is told of its call, as `self`. Valid during the call. To be read only. */
struct sj_task_request {
        const char *id;
        const char *name;      /* on the wire */
        const char *root_id;   /* the first task of the tree that this belongs to */
        const char *parent_id; /* the task that sent this one, or NULL */
        const char *group;     /* or NULL */
        uint32_t retries;      /* 0 the first time */
        uint32_t deliveries;   /* 1 the first time; more after a crash */
        sj_time deadline;      /* the soft limit, SJ_NEVER if there is none */
        sj_app *app;           /* for tasks that send tasks; NULL where there is none */
        sj_arena *arena;       /* freed after the call: for what the body returns */
        void *internal;
};

/* Whether the task should end early: revoked, past its soft limit, or the worker is stopping. */
SJ_PUBLIC bool sj_task_cancelled(const sj_task_request *self);

/*
 * Stores a custom state, as "PROGRESS", with the text of a JSON value that says more. Does not
 * wait for it to be stored. -EINVAL the name is one of Celery's states or the text is not JSON.
 */
SJ_PUBLIC int sj_task_progress(sj_task_request *self, const char *state, const char *meta_json);

/*
 * Says how the task fails; the body then returns what this returns:
 *         return sj_raise(self, "GatewayError", "status %d", status);
 * A type with dots has its module in front ("shop.errors.GatewayError"); a type without is
 * Python's builtin of that name if there is one, else in module "sanjab". A body that returns a
 * negative errno value without it fails with OSError.
 */
SJ_PUBLIC int sj_raise(sj_task_request *self, const char *type, const char *format, ...)
        SJ_PRINTF(3, 4);

typedef struct sj_retry_options {
        double countdown;        /* seconds; 0: the task's back-off or default_retry_delay */
        sj_wall eta;             /* instead of countdown */
        int max_retries;         /* 0: the task's; SJ_NO_RETRIES, SJ_RETRY_FOREVER */
        const char *exc_type;    /* the cause; NULL: what was raised before, if anything */
        const char *exc_message; /* of the cause */
} sj_retry_options;

#define SJ_NO_RETRIES    (-1)
#define SJ_RETRY_FOREVER (-2)

/*
 * Asks for another run later; the body then returns what this returns. When no retries are left
 * the task fails with the cause, or with MaxRetriesExceededError. options may be NULL.
 */
SJ_PUBLIC int sj_retry(sj_task_request *self, const sj_retry_options *options);

/* ── A task's options ────────────────────────────────────────────────────────────────────── */

/* All may be left zero. Durations are in seconds. */
typedef struct sj_task_options {
        const char *name;           /* on the wire; NULL: the C name */
        const char *queue;          /* NULL: the app's routes */
        int priority;               /* 1 to 9, more is sooner; 0: none */
        int max_retries;            /* 0: 3; SJ_NO_RETRIES, SJ_RETRY_FOREVER */
        double default_retry_delay; /* 0: 180 */
        double retry_backoff;       /* the first delay, doubled each time; 0: default_retry_delay */
        double retry_backoff_max;   /* 0: 600 */
        sj_switch retry_jitter;     /* a random part of the back-off; on unless SJ_OFF */
        const char *autoretry;   /* error types that are retried, as "OSError Timeout"; "*": all */
        const char *rate_limit;  /* "10/s", "10/m", "10/h", for each worker; NULL: none */
        double time_limit;       /* killed after it; 0: none */
        double soft_time_limit;  /* cancelled after it; 0: none */
        bool acks_early;         /* at most once: a crash loses it */
        bool ignore_result;      /* store no SUCCESS */
        uint32_t max_deliveries; /* 0: SJ_MAX_DELIVERIES */
        /*
         * Same work once: while a call with the same name and arguments (or the same sj_call.key)
         * waits, runs or has succeeded within idempotent_for, another is not sent: its caller gets
         * the first one's result.
         */
        bool idempotent;
        double idempotent_for; /* 0: a day */
} sj_task_options;

/* ── What the macros below stand on; for them alone ──────────────────────────────────────── */

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
/* The same call, kept; NULL as sj_signature_new. */
SJ_PUBLIC sj_signature *sj_task_signature(const sj_task *task, const sj_value *args);

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
                return sj_task_signature(&name##_declared_, values_ + 1); \
        }

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

/* ── Declaring and defining tasks: see the top of this file ──────────────────────────────── */

/* SJ_TASK(name, result type, (type, argument)...) { body } */
#define SJ_TASK(...) \
        SJ_DECLARE_(SJ_FIRST_(__VA_ARGS__), SJ_SECOND_(__VA_ARGS__, -), __VA_ARGS__) \
        SJ_DEFINE_(SJ_FIRST_(__VA_ARGS__), SJ_SECOND_(__VA_ARGS__, -), __VA_ARGS__)
/* The calls alone, as for a header; with a semicolon after it. */
#define SJ_TASK_DECLARE(...) \
        SJ_DECLARE_(SJ_FIRST_(__VA_ARGS__), SJ_SECOND_(__VA_ARGS__, -), __VA_ARGS__) \
        struct sj_task
/* The body of a task whose declaration was seen before. */
#define SJ_TASK_DEFINE(...) \
        SJ_DEFINE_(SJ_FIRST_(__VA_ARGS__), SJ_SECOND_(__VA_ARGS__, -), __VA_ARGS__)
/* SJ_TASK_OPTIONS(name, .member = value...); at most once a task, after SJ_TASK or _DECLARE. */
#define SJ_TASK_OPTIONS(name, ...) \
        SJ_UNUSED_ static const sj_task_options name##_options_ = {__VA_ARGS__}
/* clang-format on */

#ifdef __cplusplus
}
#endif

#endif
