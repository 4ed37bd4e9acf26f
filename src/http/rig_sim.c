/* SPDX-License-Identifier: MIT */
#include "http/rig.h"

unsigned rig_share = 25;

void rig_run_in(sj_fn *body, uint64_t *ret_seed)
{
        uint64_t seeds = sim_unit_env("SANJAB_SEEDS", 500) / rig_share + 1;
        for (uint64_t seed = 0; sim_unit_next(&seed, seeds);) {
                *ret_seed = seed;
                sim_unit_in(seed, seed % 2 ? &sim_gentle : &sim_slow, body, NULL, 0);
        }
}
