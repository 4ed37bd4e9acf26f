/* SPDX-License-Identifier: MIT */
/* broker_name: which broker is meant, and how it is called where others may read it. */
#ifndef SANJAB_CLI_BROKER_NAME_H
#define SANJAB_CLI_BROKER_NAME_H

#include <sanjab/base.h>

#define BROKER_NAME_DEFAULT "sqlite:sanjab.db"

/* What the option says (may be NULL), else SANJAB_BROKER, else the default. */
const char *broker_name_or_default(const char *option);

/*
 * The url without what may be secret: who logs in (between // and @), and what follows a ?.
 * Returns ret, cut to size bytes.
 */
const char *broker_name_show(const char *url, char *ret, size_t size);

#endif
