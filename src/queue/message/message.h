/* SPDX-License-Identifier: MIT */
/*
 * message: a task message of Celery's protocol, version 2 (version 1 is read too).
 *
 * On every broker of ours but AMQP a message travels as one JSON object, the envelope that
 * Celery's Redis transport puts into a list:
 *
 *   { "body": base64 of [args, kwargs, embed], "content-type": ..., "content-encoding": ...,
 *     "headers": { "task": ..., "id": ..., ... },
 *     "properties": { "correlation_id": ..., "delivery_info": {...}, "delivery_tag": ..., ... } }
 *
 * message_decode reads one into a struct; message_encode writes one. What a message holds that we
 * do not know is kept and written again as the bytes that came; so is every known field whose
 * value has not been changed. A message that was decoded from one may thus be changed in a few
 * fields (retries, eta) and sent again without loss.
 *
 * Decoding never trusts: sizes and depth are limited, and each defect is one of message_defect,
 * with a sentence. Even of a defective message the fields that could be read are filled in, so
 * that its failure can be stored under its id.
 */
#ifndef SANJAB_QUEUE_MESSAGE_H
#define SANJAB_QUEUE_MESSAGE_H

#include <sanjab/json.h>
#include <sanjab/time.h>

/* Limits. */
#define MESSAGE_SIZE_MAX    ((size_t)32 << 20) /* bytes of an envelope, and of a body inflated */
#define MESSAGE_DEPTH_MAX   SJ_JSON_DEPTH_MAX
#define MESSAGE_INFLATE_MAX 200   /* times that a compressed body may grow, */
#define MESSAGE_INFLATE_ANY 65536 /* but to so many bytes in any case */
#define MESSAGE_REPR_MAX    1024  /* bytes of argsrepr and kwargsrepr */
#define MESSAGE_CHAIN_MAX   10000 /* links of a chain */
#define MESSAGE_LINKS_MAX   512   /* callbacks, and errbacks */

typedef enum message_defect {
        MESSAGE_SOUND,
        MESSAGE_TOO_LARGE, /* the envelope, or its body when inflated */
        MESSAGE_TOO_DEEP,
        MESSAGE_NOT_JSON,    /* the envelope is not JSON, or not an object */
        MESSAGE_ENVELOPE,    /* a part of the envelope is missing or of a wrong type */
        MESSAGE_HEADER,      /* a header is missing, of a wrong type or out of range */
        MESSAGE_REFUSED,     /* a content type that we do not decode: pickle, yaml, ... */
        MESSAGE_COMPRESSION, /* unknown, or damaged */
        MESSAGE_BODY,        /* not base64, not JSON, or not [args, kwargs, embed] */
} message_defect;

typedef struct message_error {
        message_defect defect;
        char text[160]; /* a sentence part for people: "header 'id' is missing" */
} message_error;

/* Texts are views into the arena; absent and null are the view with data == NULL. */
typedef struct message {
        int version; /* 1 or 2; 0 in one that is to be made as version 2 */

        /* headers (protocol §2.1) */
        sj_str lang;
        sj_str task;
        sj_str id;
        sj_str shadow;
        sj_wall eta;     /* 0: none */
        sj_wall expires; /* 0: none */
        sj_str group;
        bool has_group_index;
        int64_t group_index;
        int64_t retries;
        double time_limit;      /* seconds; 0: none */
        double soft_time_limit; /* seconds; 0: none */
        sj_str root_id;
        sj_str parent_id;
        sj_str argsrepr;
        sj_str kwargsrepr;
        sj_str origin;
        bool ignore_result;
        sj_str compression;
        bool redelivered;
        int64_t replaced_task_nesting;
        const sj_json *stamped_headers; /* array or NULL */
        const sj_json *stamps;          /* object or NULL */

        /* properties (§1) */
        sj_str correlation_id;
        sj_str reply_to;
        sj_str delivery_tag;
        sj_str exchange;
        sj_str routing_key;
        int64_t priority; /* 0 to 9 */
        int64_t delivery_mode;
        sj_str expiration; /* milliseconds as text, or none */
        sj_str body_encoding;

        sj_str content_type;
        sj_str content_encoding;

        /* the body (§2.2) */
        const sj_json *args;      /* array; of an odd message NULL */
        const sj_json *kwargs;    /* object */
        const sj_json *callbacks; /* array of signatures or NULL */
        const sj_json *errbacks;
        const sj_json *chain; /* array of signatures, the next one last, or NULL */
        const sj_json *chord; /* signature or NULL */

        /* Further headers for a message that is made here: an object, or NULL. */
        const sj_json *extra_headers;

        /* As it came; all NULL in a message that is made here. */
        const sj_json *headers;
        const sj_json *properties;
        const sj_json *embed;
        const sj_json *body;            /* the body as a string of the envelope */
        const struct message *original; /* what was decoded, to tell what has been changed */
} message;

/*
 * Reads an envelope. The result lives in the arena (the text is copied).
 * 0; -EBADMSG with *ret_error (never NULL) filled, and in *ret what could be read; -ENOMEM.
 * A message whose body alone is wrong or refused has its headers read.
 */
int message_decode(sj_arena *arena, sj_str envelope, message *ret, message_error *ret_error);

/* What a body may be written in. pickle and yaml are never decoded. */
typedef enum message_accept {
        MESSAGE_ACCEPT_JSON = 1 << 0,
        MESSAGE_ACCEPT_MSGPACK = 1 << 1,
        MESSAGE_ACCEPT_ALL = MESSAGE_ACCEPT_JSON | MESSAGE_ACCEPT_MSGPACK,
} message_accept;

/* The same, of a body in one of these; message_decode accepts JSON. */
int message_decode_accepting(sj_arena *arena, sj_str envelope, unsigned accept, message *ret,
                             message_error *ret_error);
/*
 * The same of a text that stays as long as the result, as a lease's does: it is not copied. Nor is
 * the result, to tell what has been changed: *ret stays as and where it is, and copies may change.
 */
int message_decode_kept(sj_arena *arena, sj_str envelope, unsigned accept, message *ret,
                        message_error *ret_error);

/* Flags of a list of names or types, as "json,msgpack". -EINVAL one is never decoded. */
int message_accept_read(const char *names, unsigned *ret);

/* The type for a serializer's name or type ("json", "msgpack"), or the empty view. */
sj_str message_content_type(const char *name);
/* The type for a compression's ("zlib", "gzip", "zstd", "bzip2"), or the empty view. */
sj_str message_content_compression(const char *name);

/*
 * Writes m as an envelope. Of a message that was made here all headers are written, with the
 * protocol's defaults for what is unset: lang "c", root_id and correlation_id the id, a fresh
 * delivery_tag; the body is base64 text, written in content_type (unset: JSON) and compressed as
 * `compression` says. A body that came and has not been changed is the one that came.
 * -ENOMEM; -EMSGSIZE over MESSAGE_SIZE_MAX; -EINVAL no task, no id, or text that is not UTF-8;
 * -ERANGE an integer that msgpack cannot hold; -EOPNOTSUPP a content_type or compression that is
 * not written, or not by this build.
 */
int message_encode(sj_arena *arena, const message *m, sj_str *ret);

/*
 * A message for a signature (§2.3, §2.4): partial are the texts of the values to put before its
 * arguments (unless it is immutable), each JSON. Null options count as absent. countdown and
 * relative expiry are reckoned from now. root and parent are ids or empty. The queue that the
 * signature asks for is in ret->routing_key, empty if it asks for none.
 * -EBADMSG it is not a signature, with *ret_error; -EOPNOTSUPP it is a composite one
 * (subtask_type chain, group, chord); -ENOMEM.
 */
int message_from_signature(sj_arena *arena, const sj_json *signature,
                           const sj_json *const partial[], size_t n_partial, sj_str root,
                           sj_str parent, sj_wall now, message *ret, message_error *ret_error);

/* Whether a name or an id can be one: 1 to `most` bytes, no control characters. */
bool message_name_ok(sj_str name, size_t most);

/* The id that a signature's options give, or the empty view; also if it cannot be an id. */
sj_str message_signature_id(const sj_json *signature);

/* Python's repr of args as a tuple, of kwargs as a dict, at most MESSAGE_REPR_MAX bytes. */
int message_args_repr(sj_arena *arena, const sj_json *args, sj_str *ret);
int message_kwargs_repr(sj_arena *arena, const sj_json *kwargs, sj_str *ret);
/* The same of any one value. */
int message_value_repr(sj_arena *arena, const sj_json *value, sj_str *ret);
/* Python's repr of an exception with these arguments: "ValueError('bang', 42)". */
int message_error_repr(sj_arena *arena, sj_str type, const sj_json *args, sj_str *ret);

/* "gen<pid>@<host>" in the arena. */
int message_origin(sj_arena *arena, sj_str *ret);

/*
 * A fresh id: 36 characters and a NUL. UUID version 7, so that ids of one time lie together in a
 * store's index: a batch of random ones changes as many pages of it as there are ids.
 */
#define MESSAGE_UUID_SIZE 37
void message_uuid(char ret[MESSAGE_UUID_SIZE]);
/* Several at once, for one call of the system; at most MESSAGE_UUIDS_MAX. */
enum { MESSAGE_UUIDS_MAX = 8 };
void message_uuids(char ret[][MESSAGE_UUID_SIZE], size_t n);

/* "too large", ...: a word for a defect, as a reason in the dead letter queue. */
const char *message_defect_name(message_defect defect);

#endif
