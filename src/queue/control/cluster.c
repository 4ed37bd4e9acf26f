/* SPDX-License-Identifier: MIT */
/*
 * Maps find, lists keep the order. What a stranger sends is cut to size, never trusted for a
 * length, and its types are checked one by one: a member of a wrong type counts as missing.
 */
#include "queue/control/cluster.h"

#include "base/map.h"
#include "os/os.h"
#include "queue/control/letter.h"

#include <math.h>
#include <stdlib.h>

#define FREQ_DEFAULT 2.0
#define FREQ_MAX     3600.0

struct cluster {
        map nodes;
        map tasks;
        list node_order;
        list task_order;
        size_t n_nodes;
        size_t n_tasks;
};

int cluster_new(cluster **ret)
{
        cluster *c = calloc(1, sizeof(*c));
        uint64_t seeds[2];
        if (!c)
                return -ENOMEM;
        os_random(seeds, sizeof(seeds));
        c->nodes = MAP_INIT(seeds[0]);
        c->tasks = MAP_INIT(seeds[1]);
        list_init(&c->node_order);
        list_init(&c->task_order);
        *ret = c;
        return 0;
}

void cluster_free(cluster *c)
{
        if (!c)
                return;
        for (list *node; (node = list_pop(&c->node_order));)
                free(container_of(node, cluster_node, place));
        for (list *node; (node = list_pop(&c->task_order));)
                free(container_of(node, cluster_task, place));
        map_fini(&c->nodes);
        map_fini(&c->tasks);
        free(c);
}

/* ── Members of events ───────────────────────────────────────────────────────────────────── */

/* Cuts no character in two; ends with a NUL. */
static void copy_text(char *to, size_t size, sj_str text)
{
        size_t n = text.n < size ? text.n : size - 1;
        while (n > 0 && n < text.n && ((unsigned char)text.data[n] & 0xc0) == 0x80)
                n--;
        memcpy(to, text.data, n);
        to[n] = '\0';
}

static void take_text(char *to, size_t size, const sj_json *event, const char *name)
{
        sj_str text;
        if (sj_json_string(sj_json_member(event, name), &text) >= 0 && text.n > 0)
                copy_text(to, size, text);
}

static void take_int(int64_t *to, const sj_json *event, const char *name)
{
        int64_t value;
        if (sj_json_int(sj_json_member(event, name), &value) >= 0 && value >= 0)
                *to = value;
}

static bool take_number(double *to, const sj_json *event, const char *name)
{
        double value;
        if (sj_json_double(sj_json_member(event, name), &value) < 0 || !isfinite(value) ||
            value < 0)
                return false;
        *to = value;
        return true;
}

/* ── Nodes ───────────────────────────────────────────────────────────────────────────────── */

static cluster_node *node_of(cluster *c, sj_str name)
{
        cluster_node *node = map_get(&c->nodes, name);
        if (node || name.n == 0 || name.n >= sizeof(node->name) || c->n_nodes == CLUSTER_NODES_MAX)
                return node;
        node = calloc(1, sizeof(*node));
        if (!node)
                return NULL;
        copy_text(node->name, sizeof(node->name), name);
        node->freq = FREQ_DEFAULT;
        if (map_add(&c->nodes, (sj_str){node->name, name.n}, node) < 0) {
                free(node);
                return NULL;
        }
        list_append(&c->node_order, &node->place);
        c->n_nodes++;
        return node;
}

static void take_software(cluster_node *node, const sj_json *event)
{
        sj_str name = letter_text(event, "sw_ident"), version = letter_text(event, "sw_ver");
        if (name.n == 0)
                return;
        copy_text(node->software, sizeof(node->software) / 2, name);
        size_t n = strlen(node->software);
        node->software[n++] = ' ';
        copy_text(node->software + n, sizeof(node->software) - n, version);
}

static void take_worker(cluster_node *node, const sj_json *event, sj_str type, sj_time now)
{
        node->heard = now;
        node->offline = sj_str_equal(type, SJ_STR("worker-offline"));
        take_int(&node->pid, event, "pid");
        take_int(&node->active, event, "active");
        take_int(&node->processed, event, "processed");
        take_number(&node->freq, event, "freq");
        if (node->freq <= 0 || node->freq > FREQ_MAX)
                node->freq = FREQ_DEFAULT;
        const sj_json *load = sj_json_member(event, "loadavg");
        for (size_t i = 0; i < 3; i++)
                sj_json_double(sj_json_at(load, i), &node->load[i]);
        take_software(node, event);
}

static sj_time death_of(const cluster_node *node)
{
        return node->heard + (sj_time)(2 * node->freq * (double)SJ_SEC);
}

bool cluster_is_alive(const cluster_node *node, sj_time now)
{
        return node->heard != 0 && !node->offline && now < death_of(node);
}

sj_time cluster_next_death(const cluster *c, sj_time now)
{
        sj_time next = SJ_NEVER;
        list_for_each (place, &c->node_order) {
                const cluster_node *node = container_of(place, cluster_node, place);
                if (cluster_is_alive(node, now) && death_of(node) < next)
                        next = death_of(node);
        }
        return next;
}

/* ── Tasks ───────────────────────────────────────────────────────────────────────────────── */

static void forget_task(cluster *c, cluster_task *task)
{
        map_remove(&c->tasks, sj_str_of(task->id));
        list_remove(&task->place);
        free(task);
        c->n_tasks--;
}

/* It becomes the first. */
static cluster_task *task_of(cluster *c, sj_str id)
{
        cluster_task *task = map_get(&c->tasks, id);
        if (!task) {
                task = calloc(1, sizeof(*task));
                if (!task)
                        return NULL;
                copy_text(task->id, sizeof(task->id), id);
                task->runtime = -1;
                task->clock = -1;
                list_init(&task->place);
                if (map_add(&c->tasks, sj_str_of(task->id), task) < 0) {
                        free(task);
                        return NULL;
                }
                c->n_tasks++;
        }
        list_remove(&task->place);
        list_prepend(&c->task_order, &task->place);
        if (c->n_tasks > CLUSTER_TASKS_MAX)
                forget_task(c, container_of(c->task_order.prev, cluster_task, place));
        return task;
}

typedef struct task_kind {
        const char *type;
        const char *state;
        size_t moment;       /* the member of cluster_task that says when; 0: none */
        const char *outcome; /* the member of the event that is one; NULL: none */
} task_kind;

static const task_kind kinds[] = {
        {"task-sent", "PENDING", offsetof(cluster_task, sent), NULL},
        {"task-received", "RECEIVED", offsetof(cluster_task, received), NULL},
        {"task-started", "STARTED", offsetof(cluster_task, started), NULL},
        {"task-succeeded", "SUCCESS", offsetof(cluster_task, ended), "result"},
        {"task-failed", "FAILURE", offsetof(cluster_task, ended), "exception"},
        {"task-retried", "RETRY", offsetof(cluster_task, ended), "exception"},
        {"task-rejected", "REJECTED", offsetof(cluster_task, ended), NULL},
        {"task-revoked", "REVOKED", offsetof(cluster_task, ended), NULL},
};

static const task_kind *kind_of(sj_str type)
{
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
                if (sj_str_equal(type, sj_str_of(kinds[i].type)))
                        return &kinds[i];
        return NULL;
}

static void take_state(cluster_task *task, const sj_json *event, const task_kind *kind,
                       sj_str hostname)
{
        /* A client's clock is not among those of the workers. */
        bool sent = strcmp(kind->type, "task-sent") == 0;
        int64_t clock = sent ? 0 : letter_int(event, "clock", 0);
        if (clock < task->clock)
                return;
        task->clock = clock;
        copy_text(task->state, sizeof(task->state), sj_str_of(kind->state));
        if (!sent)
                copy_text(task->node, sizeof(task->node), hostname);
        if (kind->outcome)
                take_text(task->outcome, sizeof(task->outcome), event, kind->outcome);
        take_number(&task->runtime, event, "runtime");
}

static void take_task(cluster_task *task, const sj_json *event, sj_str type, sj_str hostname)
{
        const task_kind *kind = kind_of(type);
        double *moment = kind ? (double *)(void *)((char *)task + kind->moment) : NULL;
        take_text(task->name, sizeof(task->name), event, "name");
        take_text(task->args, sizeof(task->args), event, "args");
        take_text(task->kwargs, sizeof(task->kwargs), event, "kwargs");
        take_int(&task->retries, event, "retries");
        if (!kind)
                return; /* one of the program's own */
        take_number(moment, event, "timestamp");
        take_state(task, event, kind, hostname);
}

/* ── Events ──────────────────────────────────────────────────────────────────────────────── */

static bool begins(sj_str text, const char *with)
{
        size_t n = strlen(with);
        return text.n >= n && memcmp(text.data, with, n) == 0;
}

int cluster_take(cluster *c, const sj_json *event, sj_time now, const char **ret_why)
{
        sj_str type = letter_text(event, "type"), hostname = letter_text(event, "hostname");
        sj_str id = letter_text(event, "uuid");
        bool of_task = begins(type, "task-");
        *ret_why = type.n == 0       ? "it has no type"
                   : hostname.n == 0 ? "it has no hostname"
                   : of_task && (id.n == 0 || id.n >= sizeof(((cluster_task *)0)->id))
                           ? "it is of no task"
                           : NULL;
        if (*ret_why)
                return -EBADMSG;
        /* A client that sends tasks is no node. */
        bool of_node = begins(type, "worker-") || (of_task && kind_of(type) != &kinds[0]);
        cluster_node *node = of_node ? node_of(c, hostname) : NULL;
        if (node)
                node->events++;
        if (node && begins(type, "worker-"))
                take_worker(node, event, type, now);
        if (!of_task)
                return 0;
        cluster_task *task = task_of(c, id);
        if (!task)
                return -ENOMEM;
        take_task(task, event, type, hostname);
        return 0;
}

static int take_each(cluster *c, const sj_json *event, sj_time now,
                     void (*each)(void *arg, const sj_json *event), void *arg, const char **ret_why)
{
        int r = cluster_take(c, event, now, ret_why);
        if (r >= 0 && each)
                each(arg, event);
        return r;
}

int cluster_take_letter(cluster *c, sj_arena *arena, sj_str text, sj_time now,
                        void (*each)(void *arg, const sj_json *event), void *arg,
                        const char **ret_why)
{
        letter l;
        int r = letter_decode(arena, text, &l, ret_why);
        if (r < 0)
                return r;
        if (sj_json_type_of(l.body) != SJ_JSON_ARRAY) {
                r = take_each(c, l.body, now, each, arg, ret_why);
                return r < 0 ? r : 1;
        }
        if (sj_json_count(l.body) > CLUSTER_BATCH_MAX) {
                *ret_why = "it holds too many events";
                return -EMSGSIZE;
        }
        int n = 0;
        SJ_JSON_EACH (l.body, i, event) {
                r = take_each(c, event, now, each, arg, ret_why);
                if (r == -ENOMEM)
                        return r;
                n += r >= 0;
        }
        return n;
}

/* ── Looking ─────────────────────────────────────────────────────────────────────────────── */

size_t cluster_count_nodes(const cluster *c)
{
        return c->n_nodes;
}

size_t cluster_count_tasks(const cluster *c)
{
        return c->n_tasks;
}

const cluster_node *cluster_next_node(const cluster *c, const cluster_node *node)
{
        const list *next = node ? node->place.next : c->node_order.next;
        return next == &c->node_order ? NULL : container_of(next, cluster_node, place);
}

const cluster_task *cluster_next_task(const cluster *c, const cluster_task *task)
{
        const list *next = task ? task->place.next : c->task_order.next;
        return next == &c->task_order ? NULL : container_of(next, cluster_task, place);
}

const cluster_task *cluster_find_task(const cluster *c, sj_str id)
{
        return map_get(&c->tasks, id);
}
