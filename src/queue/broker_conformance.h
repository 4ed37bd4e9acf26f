/* SPDX-License-Identifier: MIT */
/*
 * broker_conformance: what every broker must do, as one list of cases. Each case is the body of a
 * fiber; a broker's own test opens fresh storage for each, and runs it:
 *
 *         for (size_t i = 0; i < conformance_n; i++) {
 *                 conformance c = {.open = my_open, .arg = &place, .tick = 20 * SJ_MS};
 *                 make_fresh(&place);
 *                 sj_run(conformance_cases[i].body, &c);
 *         }
 *
 * What does not hold is said on standard error, and the program aborts: that works on any stack.
 * Cases that need a capability which the broker says it lacks return at once.
 */
#ifndef SANJAB_QUEUE_BROKER_CONFORMANCE_H
#define SANJAB_QUEUE_BROKER_CONFORMANCE_H

#include "queue/broker.h"

#include <sanjab/fiber.h>

typedef struct conformance {
        /* Opens another handle of the case's storage, which is new and empty at its start. */
        int (*open)(void *arg, const broker_options *options, broker **ret);
        void *arg;
        sj_time tick; /* the unit of what is waited for on purpose: long on a virtual clock */
} conformance;

typedef struct conformance_case {
        const char *name;
        sj_fn *body; /* its argument is a conformance; returns 0 */
} conformance_case;

extern const conformance_case conformance_cases[];
extern const size_t conformance_n;

#endif
