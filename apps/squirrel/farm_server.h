/* SPDX-License-Identifier: MIT */
/* The two halves of a farm: its list and files, and its server. */
#ifndef SQUIRREL_FARM_SERVER_H
#define SQUIRREL_FARM_SERVER_H

#include "farm.h"

/* Writes the files that the options ask for. */
int farm_write_files(const farm *f, const farm_options *options, uint16_t port);

#endif
