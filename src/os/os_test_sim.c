/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "os/os_test.h"
#include "os/sim.h"

void world_begin(void)
{
        sim_begin(1, NULL);
}

void world_end(void)
{
        assert_int_equal(sim_end(), 0);
}
