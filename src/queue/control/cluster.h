/* SPDX-License-Identifier: MIT */
/*
 * cluster: what a watcher knows of workers and tasks from the events that it has heard.
 *
 * Events come in any order and some not at all. Of two of one task, the one with the later clock
 * says its state; the earlier one only fills in what is not known yet. A worker is alive while it
 * was heard of within twice its own interval of heartbeats, by the watcher's clock: the sender's
 * may be wrong.
 *
 * Everything has a limit: of nodes those that come later are not listed, of tasks the one that was
 * heard of longest ago is forgotten.
 */
#ifndef SANJAB_QUEUE_CLUSTER_H
#define SANJAB_QUEUE_CLUSTER_H

#include "base/list.h"

#include <sanjab/json.h>
#include <sanjab/time.h>

enum {
        CLUSTER_NODES_MAX = 1000,
        CLUSTER_TASKS_MAX = 10000,
        CLUSTER_TEXT_MAX = 256,   /* bytes that are kept of each text */
        CLUSTER_BATCH_MAX = 1000, /* events of one letter */
};

typedef struct cluster_node {
        list place; /* in the order in which they were first heard */
        char name[CLUSTER_TEXT_MAX];
        sj_time heard; /* by our clock; 0: never of itself */
        double freq;   /* seconds between heartbeats */
        bool offline;  /* it has said that it leaves */
        int64_t pid;
        int64_t active;
        int64_t processed;
        double load[3];
        char software[CLUSTER_TEXT_MAX]; /* "py-celery 5.2.6" */
        uint64_t events;                 /* heard of it, of its tasks too */
} cluster_node;

typedef struct cluster_task {
        list place; /* the last heard of comes first */
        char id[128];
        char name[CLUSTER_TEXT_MAX];
        char state[16];
        char node[CLUSTER_TEXT_MAX];
        char args[CLUSTER_TEXT_MAX]; /* both as Python would show them */
        char kwargs[CLUSTER_TEXT_MAX];
        char outcome[CLUSTER_TEXT_MAX]; /* its result, or the exception */
        int64_t clock;                  /* of the event that said the state */
        int64_t retries;
        double sent, received, started, ended; /* seconds since 1970 by the senders; 0: not known */
        double runtime;                        /* negative: not known */
} cluster_task;

typedef struct cluster cluster;

/* -ENOMEM. */
int cluster_new(cluster **ret);
void cluster_free(cluster *c);

/* One event, as an object. -EBADMSG it is none: *ret_why; -ENOMEM. */
int cluster_take(cluster *c, const sj_json *event, sj_time now, const char **ret_why);
/*
 * A letter of events, one or a list of them: how many there were; each goes to `each` (may be
 * NULL), too. Errors as letter_decode.
 */
int cluster_take_letter(cluster *c, sj_arena *arena, sj_str text, sj_time now,
                        void (*each)(void *arg, const sj_json *event), void *arg,
                        const char **ret_why);

bool cluster_is_alive(const cluster_node *node, sj_time now);
/* When a state will change by time alone: the next node that may be dead; SJ_NEVER. */
sj_time cluster_next_death(const cluster *c, sj_time now);

size_t cluster_count_nodes(const cluster *c);
size_t cluster_count_tasks(const cluster *c);
/* The one after `node` or `task`, which is NULL at first; NULL: no more. */
const cluster_node *cluster_next_node(const cluster *c, const cluster_node *node);
const cluster_task *cluster_next_task(const cluster *c, const cluster_task *task);
const cluster_task *cluster_find_task(const cluster *c, sj_str id);

#endif
