/* SPDX-License-Identifier: MIT */
/*
 * sqlite_faults: for tests, a layer between SQLite and its files that can fail on demand, and that
 * can show what a power cut at this moment would leave on the disk.
 *
 * The bytes go to the real files at once; what has been written since a file's last sync is
 * remembered beside them, as it was before and as it is now. A power cut copies the files, and of
 * what was not synced each sector of 512 bytes is in the copy as a coin decides: the old one, the
 * new one, half of each, or garbage. The log's index (-shm) is memory and is not copied.
 */
#ifndef SANJAB_STORE_SQLITE_FAULTS_H
#define SANJAB_STORE_SQLITE_FAULTS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

/* Makes it SQLite's default in this process. */
void sqlite_faults_install(void);

/* From now on each write says that the disk is full; each sync fails. */
void sqlite_faults_full(bool on);
void sqlite_faults_sync(bool on);

/* How often something was synced so far. */
unsigned sqlite_faults_syncs(void);

/*
 * Calls cut(arg) on the thread that writes, before each sync and, once in about `one_in` writes,
 * after a write. NULL: no more.
 */
void sqlite_faults_watch(void (*cut)(void *arg), void *arg, unsigned one_in);

/* Within cut: writes what a power cut would leave to files of the same names in the folder. */
int sqlite_faults_image(const char *folder, unsigned *seed);

#endif
