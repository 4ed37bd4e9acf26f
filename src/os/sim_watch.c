/* SPDX-License-Identifier: MIT */
/*
 * Watches of the simulated disk, by inotify(7)'s rules: reports wait in the order in which things
 * happened, one like the last one is merged with it, and when too many wait the rest is lost, which
 * is told once. What differs: a file that is removed is gone at once, though somebody has it open.
 */
#include "os/sim_disk.h"

#include <stdlib.h>
#include <sys/inotify.h>

enum {
        REPORTS_MOST = 64,
        OF_ITSELF = IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF,
        OF_ENTRIES = IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVE,
};

/* What struct inotify_event has, but for the name. */
typedef struct change {
        int id;
        uint32_t mask;
        uint32_t cookie;
} change;

typedef struct report {
        list node;
        change what;
        size_t padded; /* bytes of the name, as the system pads it, so that the next is aligned */
        char name[SIM_NAME_MAX + 1 + sizeof(struct inotify_event)];
} report;

typedef struct watcher {
        sim_fd base;
        list points;
        list reports;
        size_t waiting;
        int last_id;
} watcher;

typedef struct point {
        list of_node; /* in the node's watchers */
        list of_watcher;
        watcher *owner;
        sim_node *watched;
        int id;
        uint32_t mask;
} point;

static void point_free(point *p)
{
        list_remove(&p->of_node);
        list_remove(&p->of_watcher);
        sim_node_unref(sim_world_get(), p->watched);
        free(p);
}

static void watcher_close(sim_fd *f)
{
        watcher *x = (watcher *)f;
        list *node;
        list_for_each_safe (at, &x->points)
                point_free(container_of(at, point, of_watcher));
        while ((node = list_pop(&x->reports)))
                free(container_of(node, report, node));
        free(x);
}

static unsigned watcher_level(const sim_fd *f)
{
        return list_empty(&((const watcher *)f)->reports) ? 0 : OS_READABLE;
}

/* As many whole reports as there is room for. */
static ssize_t watcher_read(sim_fd *f, void *data, size_t n)
{
        watcher *x = (watcher *)f;
        size_t put = 0;
        if (list_empty(&x->reports))
                return -EAGAIN;
        while (!list_empty(&x->reports)) {
                report *r = container_of(x->reports.next, report, node);
                struct inotify_event *e = (void *)((char *)data + put);
                if (sizeof(*e) + r->padded > n - put)
                        break;
                e->wd = r->what.id;
                e->mask = r->what.mask;
                e->cookie = r->what.cookie;
                e->len = (uint32_t)r->padded;
                memcpy(e->name, r->name, r->padded);
                put += sizeof(*e) + r->padded;
                list_remove(&r->node);
                x->waiting--;
                free(r);
        }
        return put ? (ssize_t)put : -EINVAL;
}

static const sim_class watcher_class = {
        .name = "watch", .close = watcher_close, .level = watcher_level, .read = watcher_read};

static bool is_like(const report *r, change what, const char *name)
{
        return r->what.id == what.id && r->what.mask == what.mask &&
               r->what.cookie == what.cookie && strcmp(r->name, name) == 0;
}

static void add_report(watcher *x, change what, const char *name)
{
        const size_t unit = sizeof(struct inotify_event);
        if (x->waiting > REPORTS_MOST)
                return;
        if (x->waiting == REPORTS_MOST) {
                what = (change){.id = -1, .mask = IN_Q_OVERFLOW};
                name = "";
        }
        report *last = list_empty(&x->reports) ? NULL : container_of(x->reports.prev, report, node);
        if (last && is_like(last, what, name))
                return;
        report *r = sim_alloc(sizeof(*r));
        *r = (report){.what = what};
        strcpy(r->name, name);
        if (*name)
                r->padded = (strlen(name) + unit) / unit * unit;
        list_append(&x->reports, &r->node);
        x->waiting++;
        sim_fd_changed(&x->base);
}

static void tell(sim_node *watched, uint32_t what, uint32_t cookie, const char *name, bool folder)
{
        list_for_each (at, &watched->watchers) {
                point *p = container_of(at, point, of_node);
                change c = {p->id, what | (folder ? IN_ISDIR : 0), cookie};
                if (p->mask & what)
                        add_report(p->owner, c, name);
        }
}

void sim_disk_notify(sim_node *n, uint32_t what, uint32_t cookie)
{
        if (what & OF_ITSELF)
                tell(n, what, 0, "", sim_is_folder(n));
        if (what & OF_ENTRIES && n->parent)
                tell(n->parent, what, cookie, n->name, sim_is_folder(n));
}

static void point_end(point *p)
{
        add_report(p->owner, (change){.id = p->id, .mask = IN_IGNORED}, "");
        point_free(p);
}

void sim_disk_gone(sim_node *n)
{
        sim_disk_notify(n, IN_DELETE_SELF, 0);
        list_for_each_safe (at, &n->watchers)
                point_end(container_of(at, point, of_node));
}

/* ── The calls ───────────────────────────────────────────────────────────────────────────── */

int os_watch_new(void)
{
        sim_world *w = sim_enter();
        watcher *x = sim_alloc(sizeof(*x));
        *x = (watcher){.base.class = &watcher_class};
        list_init(&x->points);
        list_init(&x->reports);
        int fd = sim_fd_add(w, &x->base);
        if (fd < 0)
                free(x);
        return (int)sim_trace(w, "watch_new", fd, fd);
}

static int add(watcher *x, sim_node *n, uint32_t what)
{
        list_for_each (at, &n->watchers) {
                point *p = container_of(at, point, of_node);
                if (p->owner != x)
                        continue;
                p->mask = what;
                return p->id;
        }
        point *p = sim_alloc(sizeof(*p));
        *p = (point){.owner = x, .watched = n, .id = ++x->last_id, .mask = what};
        sim_node_ref(n);
        list_append(&n->watchers, &p->of_node);
        list_append(&x->points, &p->of_watcher);
        return p->id;
}

int os_watch_add(int fd, const char *path, uint32_t what)
{
        sim_world *w = sim_enter();
        watcher *x = (watcher *)sim_fd_get(w, fd, &watcher_class);
        int id = -EBADF;
        sim_node *n = x ? sim_disk_node(w, path, &id) : NULL;
        if (n)
                id = add(x, n, what);
        return (int)sim_trace(w, "watch_add", fd, id);
}

int os_watch_remove(int fd, int id)
{
        sim_world *w = sim_enter();
        watcher *x = (watcher *)sim_fd_get(w, fd, &watcher_class);
        int error = x ? -EINVAL : -EBADF;
        if (x)
                list_for_each_safe (at, &x->points) {
                        point *p = container_of(at, point, of_watcher);
                        if (p->id != id)
                                continue;
                        point_end(p);
                        error = 0;
                }
        return (int)sim_trace(w, "watch_remove", fd, error);
}
