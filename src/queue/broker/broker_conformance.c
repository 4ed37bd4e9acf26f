/* SPDX-License-Identifier: MIT */
/*
 * The tables of cases, in the order of broker.h. Each case says one promise. They wait in ticks,
 * whose length is the broker's test's matter, and never assert that something was quick.
 */
#include "queue/broker/conformance_unit.h"

static const conformance_case *const tables[] = {
        conformance_publish, conformance_lease,  conformance_wait, conformance_settle,
        conformance_result,  conformance_revoke, conformance_dead, conformance_node,
        conformance_pubsub,  conformance_join,   conformance_rate, conformance_soak,
};

size_t conformance_add(struct CMUnitTest tests[], size_t room, CMUnitTestFunction run,
                       CMFixtureFunction setup, CMFixtureFunction teardown)
{
        size_t n = 0;
        while (tests[n].name)
                n++;
        for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
                for (const conformance_case *c = tables[i]; c->name; c++) {
                        expect(n < room);
                        tests[n++] = (struct CMUnitTest){c->name, run, setup, teardown,
                                                         (void *)(uintptr_t)c};
                }
        return n;
}
