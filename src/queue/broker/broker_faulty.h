/* SPDX-License-Identifier: MIT */
/*
 * broker_faulty: a broker over another one, whose verbs fail or are slow as a test says. For tests.
 */
#ifndef SANJAB_QUEUE_BROKER_FAULTY_H
#define SANJAB_QUEUE_BROKER_FAULTY_H

#include "queue/broker/broker.h"

typedef enum faulty_verb {
        FAULTY_PUBLISH,
        FAULTY_PUBLISH_ONCE,
        FAULTY_LEASE,
        FAULTY_WAIT,
        FAULTY_RENEW,
        FAULTY_SETTLE,
        FAULTY_RESULT_PUT,
        FAULTY_JOIN,
        FAULTY_REVOKE,
        FAULTY_NODE_JOIN,
        FAULTY_NODE_BEAT,
        FAULTY_NODE_LEAVE,
        FAULTY_VERBS,
} faulty_verb;

/* What happens to a call of a verb. */
typedef struct faulty_plan {
        int error;      /* it fails with this; 0: it does not */
        bool done;      /* it fails after it was done */
        sj_time delay;  /* it takes so long, before it is done */
        unsigned after; /* calls that are spared first */
        unsigned times; /* that it happens; 0: always */
        unsigned calls; /* counted */
} faulty_plan;

typedef struct broker_faulty {
        broker base;
        broker *inner;
        faulty_plan plans[FAULTY_VERBS];
        const char *refused; /* the id of one whose SUCCESS is too large; NULL */
        /* Or by chance: one call of so many, with a delay up to this. 0: not. */
        unsigned one_in;
        sj_time delay_max;
        uint64_t (*draw)(uint64_t n);
} broker_faulty;

/* Makes *ret one over inner, which stays the caller's. */
void broker_faulty_init(broker_faulty *ret, broker *inner);

#endif
