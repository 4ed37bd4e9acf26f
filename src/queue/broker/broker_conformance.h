/* SPDX-License-Identifier: MIT */
/*
 * broker_conformance: what every broker must do, as cases. Each is the body of a fiber; a broker's
 * own test adds them to its own, and opens fresh storage for each:
 *
 *         static void run(void **state)
 *         {
 *                 const conformance_case *c = *state;
 *                 conformance factory = {.open = my_open, .arg = &place, .tick = 20 * SJ_MS};
 *                 assert_int_equal(sj_run(c->body, &factory), 0);
 *         }
 *         ...
 *         struct CMUnitTest tests[200] = {{"of_my_own", of_my_own, NULL, NULL, NULL}};
 *         size_t n = conformance_add(tests, 200, run, make_fresh, remove_it);
 *
 * What does not hold is said on standard error, and the program aborts: that works on any stack.
 * Cases that need a capability which the broker says it lacks return at once. The cases stand in
 * conformance_*.c, a file for each part of broker.h.
 */
#ifndef SANJAB_QUEUE_BROKER_CONFORMANCE_H
#define SANJAB_QUEUE_BROKER_CONFORMANCE_H

#include "base/unit.h"
#include "queue/broker/broker.h"

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

/*
 * Puts a row for each case behind the rows that tests[] has (the first without a name is its end),
 * with the case as their state. How many there are then; room is too small: aborts.
 */
size_t conformance_add(struct CMUnitTest tests[], size_t room, CMUnitTestFunction run,
                       CMFixtureFunction setup, CMFixtureFunction teardown);

#endif
