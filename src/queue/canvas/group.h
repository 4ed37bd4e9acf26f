/* SPDX-License-Identifier: MIT */
/* group: sending canvases, and the results of groups (sanjab/canvas.h). */
#ifndef SANJAB_QUEUE_GROUP_H
#define SANJAB_QUEUE_GROUP_H

#include "queue/app.h"

/* sj_result_get and sj_result_state of a group that is saved under its id. */
int group_get(const sj_result *result, sj_arena *arena, sj_outcome *ret, sj_time deadline);
int group_state(const sj_result *result, sj_arena *arena, sj_outcome *ret, sj_time deadline);

#endif
