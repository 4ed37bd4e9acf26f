/* SPDX-License-Identifier: MIT */
#include "http/rig.h"

unsigned rig_share = 1;

void rig_run(sj_fn *body)
{
        expect_equal(sj_run(body, NULL), 0);
}
