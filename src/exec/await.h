/* SPDX-License-Identifier: MIT */
/* Ways to wait for a future that fiber.h leaves to those who need them. */
#ifndef SANJAB_EXEC_AWAIT_H
#define SANJAB_EXEC_AWAIT_H

#include "base/list.h"
#include "fiber/await.h"
#include "fiber/mutex.h"

#include <sanjab/fiber.h>
#include <sanjab/future.h>

/* Who waits for something that a mutex guards, in the order of coming. */
typedef struct turnstile {
        list waiting;
} turnstile;

static inline void turnstile_init(turnstile *t)
{
        list_init(&t->waiting);
}

/*
 * With the mutex held, which is given up meanwhile: waits to be let through. 0, and the caller
 * looks again whether there is what it waits for; -ETIMEDOUT, -ECANCELED.
 */
int turnstile_wait(turnstile *t, mutex *lock, sj_time deadline);

/* With the mutex held: lets the first through, if there is one; all of them. */
void turnstile_let_one(turnstile *t);
void turnstile_let_all(turnstile *t);

#endif
