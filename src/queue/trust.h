/* SPDX-License-Identifier: MIT */
/*
 * trust: whether somebody else could have written a file that is going to be run.
 *
 * A file is trusted when it, its folder and all folders above belong to this user or root, and no
 * one else may write them. A folder further up that anybody may write, but where nobody may
 * remove what others own (the sticky bit, as /tmp), does not count: what is in it is looked at.
 */
#ifndef SANJAB_QUEUE_TRUST_H
#define SANJAB_QUEUE_TRUST_H

#include <sanjab/base.h>

enum { TRUST_ERROR_SIZE = 512 };

/*
 * Looks at path (a file or a folder, without links: see os_real_path). 0; -EPERM somebody else
 * may write it, and then error is a sentence that says who and what to do; -ENOENT and so on.
 */
int trust_check(const char *path, char error[TRUST_ERROR_SIZE]);

#endif
