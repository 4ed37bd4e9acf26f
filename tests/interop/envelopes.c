/* SPDX-License-Identifier: MIT */
/*
 * Calls a few tasks, and writes their messages into a folder as Celery's filesystem transport
 * expects them: envelopes FOLDER. Prints the id of each.
 */
#include "queue/app.h"

#include <stdio.h>
#include <stdlib.h>

static int write_one(const char *folder, int number, const broker_message *m)
{
        char path[512];
        snprintf(path, sizeof(path), "%s/%d_%s.celery.msg", folder, number, m->id.data);
        FILE *f = fopen(path, "wb");
        if (!f)
                return -errno;
        size_t n = fwrite(m->envelope.data, 1, m->envelope.n, f);
        if (fclose(f) != 0 || n != m->envelope.n)
                return -EIO;
        printf("%s\n", m->id.data);
        return 0;
}

static int write_all(broker *b, const char *folder)
{
        const sj_str queue = SJ_STR("celery");
        broker_claim claim = {.queues = &queue, .n_queues = 1, .worker = SJ_STR("interop")};
        broker_lease *lease;
        int r = 0;
        for (int i = 1; r >= 0 && broker_wait(b, &queue, 1, sj_after(3 * SJ_SEC)) == 0; i++) {
                r = broker_lease_next(b, &claim, &lease, 1, SJ_NEVER);
                if (r <= 0)
                        continue;
                r = write_one(folder, i, &lease->message);
                broker_lease_free(lease);
        }
        return r;
}

/* Each serializer and compression that there is; "packed" alone is plain msgpack. */
static int call_written_otherwise(sj_app *app)
{
        static const char args[] = "[1, -7, 1.5, null, \"h\\u00e9\", {\"k\": [true]}]";
        static const sj_call calls[] = {
                {.task_id = "packed", .serializer = "msgpack"},
                {.task_id = "packed-zlib", .serializer = "msgpack", .compression = "zlib"},
                {.task_id = "bzip2", .compression = "bzip2"},
                {.task_id = "zlib", .compression = "gzip"},
        };
        int r = 0;
        for (size_t i = 0; r == 0 && i < sizeof(calls) / sizeof(calls[0]); i++) {
                r = sj_send_task(app, "proj.echo", args, NULL, &calls[i], NULL);
                if (r == -EOPNOTSUPP)
                        r = 0; /* not in this build */
        }
        return r;
}

static int call_all(sj_app *app)
{
        sj_signature *then =
                sj_signature_new("proj.echo", "[\"after\"]", NULL, &(sj_call){.task_id = "then"});
        sj_signature *otherwise =
                sj_signature_new("proj.one", NULL, NULL, &(sj_call){.task_id = "otherwise"});
        sj_call add = {.task_id = "add",
                       .countdown = 1,
                       .expires = 600,
                       .time_limit = 20,
                       .soft_time_limit = 10.5,
                       .priority = 3,
                       .link = then};
        sj_call boom = {.task_id = "boom", .link_error = otherwise};
        sj_call odd = {.task_id = "odd"};
        int r = sj_send_task(app, "proj.add", "[2, 3]", "{\"k\": [null, 1.5, \"h\\u00e9\"]}", &add,
                             NULL);
        if (r == 0)
                r = sj_send_task(app, "proj.boom", NULL, NULL, &boom, NULL);
        if (r == 0)
                r = sj_send_task(app, "proj.echo",
                                 "[NaN, 123456789012345678901234567890, \"\\ud800\"]", NULL, &odd,
                                 NULL);
        if (r == 0)
                r = call_written_otherwise(app);
        sj_signature_free(then);
        sj_signature_free(otherwise);
        return r;
}

int main(int argc, char **argv)
{
        sj_app *app;
        int r = argc == 2 ? sj_app_new(&(sj_app_options){.broker = "memory:"}, &app) : -EINVAL;
        if (r == 0) {
                r = call_all(app);
                if (r == 0)
                        r = write_all(app_broker(app), argv[1]);
                sj_app_free(app);
        }
        if (r < 0)
                fprintf(stderr, "envelopes: %s\n", sj_strerror(r));
        return r < 0;
}
