/* SPDX-License-Identifier: MIT */
/* The world that a test of the seam runs in: os_test_linux.c or os_test_sim.c. */
#ifndef SANJAB_OS_OS_TEST_H
#define SANJAB_OS_OS_TEST_H

void world_begin(void);
/* Fails when a descriptor was left open. */
void world_end(void);

#endif
