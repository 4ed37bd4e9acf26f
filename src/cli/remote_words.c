/* SPDX-License-Identifier: MIT */
/* The words, and what follows them. Names and order of arguments are Celery's. */
#include "cli/remote.h"
#include "cli/remote_view.h"

const remote_word remote_inspect_words[] = {
        {.name = "active", .view = &remote_view_tasks},
        {.name = "active_queues", .view = &remote_view_queues},
        {.name = "clock", .view = &remote_view_members},
        {.name = "conf",
         .usage = "[WITH_DEFAULTS]",
         .arguments = {{"with_defaults", REMOTE_BOOL, false}},
         .view = &remote_view_members},
        {.name = "memdump",
         .usage = "[SAMPLES]",
         .arguments = {{"samples", REMOTE_INTEGER, false}},
         .view = &remote_view_members},
        {.name = "memsample", .view = &remote_view_members},
        {.name = "objgraph",
         .usage = "[TYPE [NUM [MAX_DEPTH]]]",
         .arguments = {{"type", REMOTE_TEXT, false},
                       {"num", REMOTE_INTEGER, false},
                       {"max_depth", REMOTE_INTEGER, false}},
         .view = &remote_view_members},
        {.name = "ping"},
        {.name = "query_task",
         .usage = "ID...",
         .many = "ids",
         .many_needed = true,
         .view = &remote_view_states},
        {.name = "registered",
         .usage = "[ATTRIBUTE...]",
         .many = "taskinfoitems",
         .view = &remote_view_list},
        {.name = "report"},
        {.name = "reserved", .view = &remote_view_tasks},
        {.name = "revoked", .view = &remote_view_list},
        {.name = "scheduled", .view = &remote_view_scheduled},
        {.name = "stats", .view = &remote_view_members},
        {0},
};

const remote_word remote_control_words[] = {
        {.name = "add_consumer",
         .usage = "QUEUE [EXCHANGE [TYPE [KEY]]]",
         .arguments = {{"queue", REMOTE_TEXT, true},
                       {"exchange", REMOTE_TEXT, false},
                       {"exchange_type", REMOTE_TEXT, false},
                       {"routing_key", REMOTE_TEXT, false}}},
        {.name = "autoscale",
         .usage = "MAX [MIN]",
         .arguments = {{"max", REMOTE_INTEGER, true}, {"min", REMOTE_INTEGER, false}}},
        {.name = "cancel_consumer", .usage = "QUEUE", .arguments = {{"queue", REMOTE_TEXT, true}}},
        {.name = "disable_events"},
        {.name = "enable_events"},
        {.name = "heartbeat"},
        {.name = "pool_grow", .usage = "[N]", .arguments = {{"n", REMOTE_INTEGER, false}}},
        {.name = "pool_restart"},
        {.name = "pool_shrink", .usage = "[N]", .arguments = {{"n", REMOTE_INTEGER, false}}},
        {.name = "rate_limit",
         .usage = "TASK RATE",
         .arguments = {{"task_name", REMOTE_TEXT, true}, {"rate_limit", REMOTE_TEXT, true}}},
        {.name = "revoke", .usage = "ID...", .many = "task_id", .many_needed = true},
        {.name = "revoke_by_stamped_headers", .usage = "NAME=VALUE...", .many_needed = true},
        {.name = "shutdown", .no_reply = true},
        {.name = "terminate",
         .usage = "SIGNAL ID...",
         .arguments = {{"signal", REMOTE_TEXT, true}},
         .many = "task_id",
         .many_needed = true},
        {.name = "time_limit",
         .usage = "TASK SOFT [HARD]",
         .arguments = {{"task_name", REMOTE_TEXT, true},
                       {"soft", REMOTE_NUMBER, true},
                       {"hard", REMOTE_NUMBER, false}}},
        {0},
};

/* Names that older versions of Celery had. */
static const struct {
        const char *old;
        const char *name;
} aliases[] = {
        {"dump_conf", "conf"},
        {"dump_active", "active"},
        {"dump_reserved", "reserved"},
        {"dump_revoked", "revoked"},
        {"dump_tasks", "registered"},
        {"dump_schedule", "scheduled"},
        {"registered_tasks", "registered"},
};

const remote_word *remote_find(const remote_word words[], const char *name)
{
        for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
                if (strcmp(aliases[i].old, name) == 0)
                        name = aliases[i].name;
        for (const remote_word *w = words; w->name; w++)
                if (strcmp(w->name, name) == 0)
                        return w;
        return NULL;
}
