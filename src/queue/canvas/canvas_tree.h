/* SPDX-License-Identifier: MIT */
/*
 * canvas_tree: a canvas as a tree that can be changed, between the signature that was given and
 * the messages that are made of it. For canvas*.c alone.
 *
 * Steps are what runs one after another. A chain has no node of its own: its links are steps of
 * what it is in. So every chord has one body, and all that comes after it are the steps behind.
 *
 *   chain(a, group(b, c), d, e)          steps:  a ── chord ── e
 *                                                     │ └ body: d
 *                                                     └ members: [b] [c]
 *
 * Failures stay in canvas.failure, and make all that follows do nothing.
 */
#ifndef SANJAB_QUEUE_CANVAS_TREE_H
#define SANJAB_QUEUE_CANVAS_TREE_H

#include "queue/canvas/canvas.h"

typedef enum canvas_kind {
        CANVAS_TASK,
        CANVAS_GROUP,
        CANVAS_CHORD,
        CANVAS_REFERENCE,
} canvas_kind;

typedef struct canvas_node canvas_node;

typedef struct canvas_steps {
        canvas_node **at;
        size_t n;
        size_t room;
} canvas_steps;

typedef struct canvas_options {
        sj_str *names;
        const sj_json **values;
        size_t n;
        size_t room;
} canvas_options;

struct canvas_node {
        canvas_kind kind;
        const sj_json *signature; /* as it came; NULL of a group that became a chord */
        const sj_json *args;      /* array or NULL */
        bool immutable;
        bool had_chain; /* its options had one, maybe empty */
        canvas_options options;
        sj_str header_id;      /* CHORD: the id of the group that is its header, or empty */
        canvas_steps *members; /* GROUP, CHORD */
        size_t n_members;
        size_t members_room;
        canvas_node *body; /* CHORD: never NULL */
};

typedef struct canvas {
        sj_arena *arena;
        const canvas_context *context;
        message_error *error;
        int failure;
        size_t n_nodes;
        canvas_start start;
        size_t messages_room;
        size_t joins_room;
} canvas;

/* Notes that a value could not be made; returns it. */
const sj_json *canvas_made(canvas *c, const sj_json *value);
void canvas_malformed(canvas *c, const char *what);
/* Room for one element more in an array of the arena, or NULL. */
void *canvas_grow(canvas *c, void *items, size_t n, size_t *room, size_t size);

canvas_node *canvas_new(canvas *c, canvas_kind kind, const sj_json *signature);

/* ── Options of a node: null is absent ── */
const sj_json *canvas_option(const canvas_node *node, const char *name);
sj_str canvas_option_text(const canvas_node *node, const char *name);
void canvas_set(canvas *c, canvas_node *node, const char *name, const sj_json *value);
void canvas_set_text(canvas *c, canvas_node *node, const char *name, sj_str value);
void canvas_set_named(canvas *c, canvas_node *node, sj_str name, const sj_json *value);
void canvas_unset(canvas_node *node, const char *name);

/* ── Reading (canvas_read.c) ── */
/* Appends the steps of a signature. */
void canvas_read(canvas *c, const sj_json *signature, unsigned depth, canvas_steps *steps);
/* Appends the steps of an array of them, the next one last. */
void canvas_read_behind(canvas *c, const sj_json *behind, unsigned depth, canvas_steps *steps);

/* ── Changing ── */
/* A group that is followed by something becomes the header of a chord with it as its body. */
void canvas_upgrade(canvas *c, canvas_steps *steps);
/* Gives a node its id, if it has none, and says where its result goes. */
void canvas_freeze_task(canvas *c, canvas_node *node);
/* The same for all of the steps and what they are made of. */
void canvas_freeze(canvas *c, const canvas_steps *steps);

/* Where the last of some steps arrives. */
typedef struct canvas_place {
        sj_str group;         /* or empty */
        const sj_json *chord; /* or NULL */
        int64_t *index;       /* the next place, or NULL: none */
        bool firm;            /* the group goes before what was there */
} canvas_place;

void canvas_put(canvas *c, const canvas_steps *steps, const canvas_place *place);
/* How many arrive: the members that count (§8.4). */
int64_t canvas_count(const canvas_steps *steps);

/* The id under which the result of a node, or of steps, is found. */
sj_str canvas_id(const canvas_node *node);
sj_str canvas_steps_id(const canvas_steps *steps);

/* ── Writing (canvas_write.c) ── */
/* A node as a signature. */
const sj_json *canvas_json(canvas *c, const canvas_node *node);
/*
 * Steps from the i-th on, and what is behind them, as the array of a chain: the next one last.
 * NULL when there is nothing and behind is NULL. In the compact form joins are opened for what is
 * in it.
 */
const sj_json *canvas_chain(canvas *c, const canvas_steps *steps, size_t i, const sj_json *behind);
/*
 * The first of the steps is a chord that begins: its join is opened. The word of its body, with all
 * that is behind it, that its members carry. member: it is a member of another chord's header.
 */
const sj_json *canvas_word(canvas *c, const canvas_steps *steps, const sj_json *behind,
                           bool member);
/* Celery's tuples. parent: of the first, or null. */
const sj_json *canvas_tuple(canvas *c, const canvas_steps *steps, const sj_json *parent);
const sj_json *canvas_child(canvas *c, const canvas_node *node);

#endif
