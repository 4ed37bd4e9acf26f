/* SPDX-License-Identifier: MIT */
/* conf_values: all settings as they count, for who asks from afar. */
#ifndef SANJAB_CLI_CONF_VALUES_H
#define SANJAB_CLI_CONF_VALUES_H

#include "queue/settings/settings.h"

/*
 * {name: {"value": ..., "from": ...}} of every setting, as `sanjab conf --json` shows them, without
 * what may be a secret; in the arena. -ENOMEM.
 */
int conf_values(const settings *s, sj_arena *arena, const sj_json **ret);

#endif
