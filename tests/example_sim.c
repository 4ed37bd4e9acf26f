/* SPDX-License-Identifier: MIT */
/*
 * Runs an example, whose main is called example_main here, in a simulated world where nothing
 * fails and nothing is late: the times that it prints are exact, and it takes none.
 */
#include "os/sim.h"

#include <stdlib.h>

#undef main

int example_main(void);

int main(void)
{
        unsetenv("SJ_EXAMPLE_SPEED");
        sim_begin(1, &(sim_options){.in_order = true});
        int status = example_main();
        return sim_end() == 0 ? status : 3; /* it left a descriptor open */
}
