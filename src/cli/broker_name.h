/* SPDX-License-Identifier: MIT */
/* broker_name: how a broker is called where others may read it. */
#ifndef SANJAB_CLI_BROKER_NAME_H
#define SANJAB_CLI_BROKER_NAME_H

#include <sanjab/base.h>

/*
 * The url without what may be secret: who logs in (between // and @), and what follows a ?.
 * Returns ret, cut to size bytes.
 */
const char *broker_name_show(const char *url, char *ret, size_t size);
/* The same where it stands, of as many characters: in the arguments, which all can see (ps). */
void broker_name_hide(char *url);

#endif
