/* SPDX-License-Identifier: MIT */
/* Everything runs in the first fiber of a loop, so that brokers over the network wait by it. */
#include "cli/session.h"

#include "cli/broker_name.h"
#include "cli/command.h"
#include "cli/terminal.h"

#include <sanjab/fiber.h>

typedef struct plan {
        const char *url;
        bool must_exist;
        session_body *body;
        void *arg;
        int status;
} plan;

static int open_broker(session *s, const plan *p)
{
        char error[400] = "";
        int r = broker_open(p->url, &(broker_options){.must_exist = p->must_exist}, &s->broker,
                            error, sizeof(error), sj_after(SESSION_LIMIT));
        if (r >= 0)
                return STATUS_OK;
        bool usage = r == -EINVAL || r == -EPROTONOSUPPORT;
        return terminal_fault(usage ? STATUS_USAGE : STATUS_BROKER, "cannot open %s: %s", s->name,
                              error[0] ? error : sj_strerror(r));
}

static int run(void *arg)
{
        plan *p = arg;
        session s = {0};
        broker_name_show(p->url, s.name, sizeof(s.name));
        p->status = open_broker(&s, p);
        if (p->status == STATUS_OK) {
                if (!broker_can(s.broker, BROKER_PROCESSES))
                        sj_log(SJ_LOG_WARNING, "%s is seen by this process alone, and ends with it",
                               s.name);
                int r = sj_arena_new(&s.arena);
                if (r >= 0)
                        r = app_new_over(s.broker, NULL, &s.app);
                p->status = r < 0 ? session_fault(&s, "begin", r) : p->body(&s, p->arg);
        }
        sj_app_free(s.app);
        sj_arena_free(s.arena);
        broker_close(s.broker);
        return 0;
}

int session_run(const char *url, bool must_exist, session_body *body, void *arg)
{
        plan p = {.url = url, .must_exist = must_exist, .body = body, .arg = arg};
        int r = sj_run(run, &p);
        if (r < 0)
                return terminal_fault(STATUS_BROKER, "cannot start: %s", sj_strerror(r));
        return p.status;
}

int session_fault(const session *s, const char *doing, int error)
{
        return terminal_fault(error == -ETIMEDOUT ? STATUS_TIMEOUT : STATUS_BROKER,
                              "cannot %s at %s: %s", doing, s->name, sj_strerror(error));
}
