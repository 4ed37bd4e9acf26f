/* SPDX-License-Identifier: MIT */
#include "http/rig.h"

unsigned rig_share = 25;

void rig_run_in(sj_fn *body, uint64_t *ret_seed)
{
        uint64_t only = sim_unit_env("SANJAB_SEED", 0);
        uint64_t seeds = only ? 1 : sim_unit_env("SANJAB_SEEDS", 500) / rig_share + 1;
        for (uint64_t i = 0; i < seeds; i++) {
                sim_unit_seed = *ret_seed = only ? only : i + 1;
                sim_begin(sim_unit_seed, sim_unit_seed % 2 ? &sim_gentle : &sim_slow);
                if (only)
                        sim_trace_enable(stderr);
                expect_equal(sj_run(body, NULL), 0);
                expect_equal(sim_end(), 0);
        }
}
