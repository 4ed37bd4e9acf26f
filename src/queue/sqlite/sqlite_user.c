/* SPDX-License-Identifier: MIT */
/*
 * A program's own tables in the file of a queue: sanjab/sqlite.h. The connection is that of
 * store/sqlite_user.c; a task is sent by the code that the broker runs on its thread.
 */
#include "queue/app.h"
#include "queue/sqlite/broker_sqlite.h"

#include <sanjab/sqlite.h>

#include <stdlib.h>

struct sj_sqlite {
        sqlite_queue q; /* no broker: only what the jobs need */
};

int sj_sqlite_open(const char *path, sj_sqlite **ret, char *error, size_t size, sj_time deadline)
{
        char unused[1];
        if (!error || !size) {
                error = unused;
                size = sizeof(unused);
        }
        error[0] = 0;
        sj_sqlite *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        const sqlite_options how = {.schema = &sqlite_queue_schema, .arg = &s->q};
        int r = sqlite_user_open(path, &how, &s->q.db, error, size, deadline);
        if (r < 0) {
                free(s);
                return r;
        }
        *ret = s;
        return 0;
}

void sj_sqlite_close(sj_sqlite *s)
{
        if (!s)
                return;
        sqlite_user_close(s->q.db);
        free(s);
}

struct sqlite3 *sj_sqlite_handle(sj_sqlite *s)
{
        return sqlite_user_handle(s->q.db);
}

int sj_sqlite_begin(sj_sqlite *s, sj_time deadline)
{
        return sqlite_user_begin(s->q.db, deadline);
}

int sj_sqlite_commit(sj_sqlite *s)
{
        return sqlite_user_commit(s->q.db);
}

void sj_sqlite_rollback(sj_sqlite *s)
{
        sqlite_user_rollback(s->q.db);
}

typedef struct send_job {
        sqlite_job job;
        broker_message message;
        broker_published published;
} send_job;

static int send_run(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        send_job *j = container_of(job, send_job, job);
        /* The user may have undone a part of the transaction since the last task. */
        sqlite_queue_in(db)->last.queue_n = 0;
        int r = sqlite_queue_insert(db, &j->message, now, &j->published);
        return r < 0 ? r : 0;
}

static int send_in(sj_sqlite *s, sj_app *app, sj_arena *arena, const app_task *task, char *ret_id)
{
        send_job j = {.job.run = send_run, .job.kind = SQLITE_JOB_WRITE};
        int r = app_message(app, arena, task, &j.message);
        if (r == 0 && !broker_message_ok(&j.message))
                r = -EINVAL;
        if (r == 0)
                r = sqlite_user_run(s->q.db, &j.job);
        if (r == 0 && ret_id)
                memcpy(ret_id, j.published.id, sizeof(j.published.id));
        return r;
}

int sj_sqlite_send_task(sj_sqlite *s, const char *name, const char *args, const char *kwargs,
                        const sj_call *call, const sj_app_options *routes,
                        char ret_id[SJ_TASK_ID_MAX + 1])
{
        const app_task task = {.name = name, .args = args, .kwargs = kwargs, .call = call};
        sj_arena *arena;
        sj_app *app;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        r = app_new_over(NULL, routes, &app);
        if (r == 0) {
                r = send_in(s, app, arena, &task, ret_id);
                sj_app_free(app);
        }
        sj_arena_free(arena);
        return r;
}
