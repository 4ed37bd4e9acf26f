/* SPDX-License-Identifier: MIT */
/*
 * sanjab/queue.h: the task queue.
 *
 * A task is a C function with a name. A program sends it as a message to a broker; a worker, in
 * another process or on another machine, runs it and stores its result. The messages are
 * Celery's, so that either side may be Python.
 *
 *         SJ_TASK(multiply, int64_t, (int64_t, a), (int64_t, b))
 *         {
 *                 *ret = a * b;
 *                 return 0;
 *         }
 *         SJ_TASK_OPTIONS(multiply, .name = "proj.tasks.multiply", .max_retries = 5);
 *
 * and in the program that wants it done:
 *
 *         sj_app *app;
 *         r = sj_app_new(&(sj_app_options){.broker = "sqlite:jobs.db"}, &app);
 *         sj_result result;
 *         r = multiply_delay(app, 2, 3, &result);
 *         sj_outcome outcome;
 *         r = sj_result_get(&result, arena, &outcome, sj_after(10 * SJ_SEC));
 *
 * It is all of
 *   sanjab/app.h     sending tasks, and their results
 *   sanjab/task.h    writing tasks: SJ_TASK, and what a body may say
 * Work that is made of several tasks is in sanjab/canvas.h, and a program's own tables in the file
 * of its queue in sanjab/sqlite.h.
 */
#ifndef SANJAB_QUEUE_H
#define SANJAB_QUEUE_H

#include <sanjab/app.h>
#include <sanjab/task.h>

#endif
