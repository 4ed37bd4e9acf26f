/* SPDX-License-Identifier: MIT */
/*
 * The wire: a link joins two sides, and carries segments from one to the other.
 *
 *         side 0 ── send ──► segments on their way (events) ──► inbox of side 1 ──► recv
 *
 * What is on its way to a side and what lies unread in its inbox together are bounded; at the
 * bound its sender gets -EAGAIN, and is told when a quarter is free again. Segments of a direction
 * arrive in the order of sending, each at least as late as the one before. A local link's segments
 * arrive at once.
 *
 * Faults are drawn when a segment leaves: it may break the connection so that both hear of it, or
 * so that nobody does. On a silent link everything vanishes, so that its sender fills up the bound
 * and then waits, until after a quarter of an hour it hears -ETIMEDOUT, as TCP's does.
 *
 * What arrives across a cut is held, with all that follows it, and asked for again each second, as
 * TCP sends again what nobody confirms; after the same quarter of an hour its sender gives up.
 *
 * A link is kept by its two sides, by each segment on its way, and by the next asking.
 */
#include "os/sim_world.h"

#include <stdlib.h>

#define GIVING_UP  (15 * SJ_MIN)
#define SEND_AGAIN SJ_SEC

enum { TIGHTEST = 64 };

typedef enum segment_kind {
        DATA,
        END,     /* no more comes from there */
        BREAK,   /* -ECONNRESET */
        TIMEOUT, /* not from the wire: the sender's own patience has ended */
} segment_kind;

typedef struct segment {
        sim_event event;
        list node; /* in held */
        sim_link *link;
        int to;
        segment_kind kind;
        size_t n;
        char data[];
} segment;

typedef struct side {
        sim_fd *fd; /* hears of changes; NULL before accept and after close */
        buf inbox;  /* arrived and unread */
        list held;  /* segments that came while the way here was cut */
        sj_time held_since;
        size_t in_flight; /* on its way here */
        sj_time arrival;  /* of the last segment on its way here */
        int error;        /* arrived and not yet taken, negative */
        bool ended;       /* no more will arrive */
        bool broken;      /* by a fault or a reset */
        bool closed;
        bool shut_read;
        bool shut_write;
        bool wants_room; /* was told -EAGAIN, or took fewer bytes than were offered */
} side;

struct sim_link {
        sim_world *world;
        sim_kind kind;
        unsigned references;
        size_t bound;
        bool silent;
        bool giving_up;  /* a TIMEOUT is posted */
        sim_event again; /* looks at what is held */
        bool asking;     /* it is posted */
        struct sockaddr_storage addresses[2];
        side sides[2];
};

static void send_again(sim_event *event, bool happens);

sim_link *sim_link_new(sim_world *w, sim_kind kind, const struct sockaddr_storage *from,
                       const struct sockaddr_storage *to)
{
        sim_link *l = sim_alloc(sizeof(*l));
        *l = (sim_link){.world = w,
                        .kind = kind,
                        .references = 2,
                        .bound = w->options.buffer,
                        .again.fire = send_again};
        if (kind == SIM_WIRED) {
                l->addresses[0] = *from;
                l->addresses[1] = *to;
        }
        list_init(&l->sides[0].held);
        list_init(&l->sides[1].held);
        if (kind == SIM_WIRED && sim_one_in(w, FAULT_TIGHT, w->options.tight))
                l->bound = 1 + (size_t)sim_draw_from(w, SIM_WIRE, TIGHTEST);
        l->sides[0].inbox = l->sides[1].inbox = BUF_INIT(0);
        return l;
}

static void unref(sim_link *l)
{
        if (--l->references > 0)
                return;
        buf_fini(&l->sides[0].inbox);
        buf_fini(&l->sides[1].inbox);
        free(l);
}

void sim_link_attach(sim_link *l, int which, sim_fd *f)
{
        l->sides[which].fd = f;
        sim_fd_changed(f);
}

static size_t room_of(const sim_link *l, int sender)
{
        const side *peer = &l->sides[!sender];
        size_t used = peer->in_flight + buf_size(&peer->inbox);
        return used < l->bound ? l->bound - used : 0;
}

bool sim_link_peer_closed(const sim_link *l, int which)
{
        return l->sides[!which].closed;
}

unsigned sim_link_level(const sim_link *l, int which)
{
        const side *me = &l->sides[which];
        unsigned level = 0;
        if (buf_size(&me->inbox) > 0 || me->ended || me->error || me->shut_read)
                level |= OS_READABLE;
        if (me->ended || me->error || me->shut_read)
                level |= OS_HANGUP;
        size_t enough = l->bound / 4 ? l->bound / 4 : 1;
        bool hopeless = l->kind != SIM_WIRED && l->sides[!which].closed;
        if (me->error || me->shut_write || hopeless || room_of(l, which) >= enough)
                level |= OS_WRITABLE;
        return level;
}

/* ── Arrival ─────────────────────────────────────────────────────────────────────────────── */

static void send_segment(sim_link *l, int to, segment_kind kind, const void *data, size_t n);

static void break_side(side *me, int error)
{
        /* What is broken cannot be broken again: the first reason is the one that is heard. */
        if (me->broken)
                return;
        me->broken = true;
        /* After an orderly end there is nothing left to reset but our own sending. */
        me->error = me->ended && error == -ECONNRESET ? -EPIPE : error;
        me->ended = me->shut_write = true;
}

static void arrive_data(sim_link *l, side *me, int to, const void *data, size_t n)
{
        l->world->counters.bytes += n;
        if (me->closed && l->kind == SIM_WIRED)
                send_segment(l, !to, BREAK, NULL, 0);
        /* Nothing is taken after a reset has overtaken it. */
        if (me->closed || me->ended || me->shut_read)
                return;
        sim_append(&me->inbox, data, n);
}

static void arrive(sim_link *l, int to, segment_kind kind, const void *data, size_t n)
{
        side *me = &l->sides[to];
        switch (kind) {
        case DATA:
                arrive_data(l, me, to, data, n);
                break;
        case END:
                me->ended = true;
                break;
        case BREAK:
                break_side(me, -ECONNRESET);
                break;
        case TIMEOUT:
                break_side(me, -ETIMEDOUT);
                break;
        }
        if (me->fd)
                sim_fd_changed(me->fd);
}

static void segment_free(segment *s)
{
        sim_link *l = s->link;
        free(s);
        unref(l);
}

static void deliver(segment *s)
{
        sim_link *l = s->link;
        l->sides[s->to].in_flight -= s->n;
        sim_trace(l->world, "arrive", l->sides[s->to].fd ? l->sides[s->to].fd->number : -1,
                  (ssize_t)s->n);
        arrive(l, s->to, s->kind, s->data, s->n);
        segment_free(s);
}

/* ── Cuts ────────────────────────────────────────────────────────────────────────────────── */

static bool way_is_cut(const sim_link *l, int to)
{
        return sim_is_cut(l->world, &l->addresses[!to], &l->addresses[to]);
}

static void ask_again(sim_link *l)
{
        if (l->asking)
                return;
        l->asking = true;
        l->references++;
        sim_post(l->world, &l->again, l->world->now + SEND_AGAIN);
}

static void hold(segment *s)
{
        side *receiver = &s->link->sides[s->to];
        if (list_empty(&receiver->held))
                receiver->held_since = s->link->world->now;
        list_append(&receiver->held, &s->node);
        ask_again(s->link);
}

/* All that is held for that side, through or, silently, away. */
static void let_go(sim_link *l, int to, bool through)
{
        list *node;
        while ((node = list_pop(&l->sides[to].held))) {
                segment *s = container_of(node, segment, node);
                if (through)
                        deliver(s);
                else
                        segment_free(s);
        }
}

static void look_at_held(sim_link *l, int to)
{
        side *receiver = &l->sides[to];
        if (list_empty(&receiver->held))
                return;
        if (l->silent) {
                let_go(l, to, false);
        } else if (!way_is_cut(l, to)) {
                let_go(l, to, true);
        } else if (l->world->now - receiver->held_since >= GIVING_UP) {
                let_go(l, to, false);
                arrive(l, !to, TIMEOUT, NULL, 0);
        } else {
                ask_again(l);
        }
}

static void send_again(sim_event *event, bool happens)
{
        sim_link *l = container_of(event, sim_link, again);
        l->asking = false;
        for (int to = 0; to < 2; to++) {
                if (happens)
                        look_at_held(l, to);
                else
                        let_go(l, to, false);
        }
        unref(l);
}

static void segment_fire(sim_event *event, bool happens)
{
        segment *s = container_of(event, segment, event);
        sim_link *l = s->link;
        if (!happens || (l->silent && s->kind != TIMEOUT))
                segment_free(s);
        else if (s->kind != TIMEOUT && (!list_empty(&l->sides[s->to].held) || way_is_cut(l, s->to)))
                hold(s);
        else
                deliver(s);
}

/* ── Departure ───────────────────────────────────────────────────────────────────────────── */

sj_time sim_travel_time(sim_world *w)
{
        sj_time spread = w->options.delay_most - w->options.delay_least;
        return w->options.delay_least + (sj_time)sim_draw_from(w, SIM_WIRE, (uint64_t)spread + 1);
}

static void post_segment(sim_link *l, int to, segment_kind kind, sj_time when, const void *data,
                         size_t n)
{
        segment *s = sim_alloc(sizeof(*s) + n);
        *s = (segment){.event.fire = segment_fire, .link = l, .to = to, .kind = kind, .n = n};
        if (n)
                memcpy(s->data, data, n);
        l->references++;
        sim_post(l->world, &s->event, when);
}

static void send_segment(sim_link *l, int to, segment_kind kind, const void *data, size_t n)
{
        if (l->kind != SIM_WIRED) {
                arrive(l, to, kind, data, n);
                return;
        }
        side *receiver = &l->sides[to];
        receiver->in_flight += n;
        if (l->silent) {
                if (!l->giving_up)
                        post_segment(l, !to, TIMEOUT, l->world->now + GIVING_UP, NULL, 0);
                l->giving_up = true;
                return;
        }
        sj_time when = l->world->now + sim_travel_time(l->world);
        if (when < receiver->arrival)
                when = receiver->arrival;
        receiver->arrival = when;
        post_segment(l, to, kind, when, data, n);
}

void sim_link_break(sim_link *l)
{
        l->world->counters.broken++;
        send_segment(l, 0, BREAK, NULL, 0);
        send_segment(l, 1, BREAK, NULL, 0);
}

void sim_link_silence(sim_link *l)
{
        l->world->counters.broken++;
        l->silent = true;
}

/* Draws whether this segment breaks its link. */
static void suffer(sim_link *l)
{
        sim_world *w = l->world;
        if (l->kind != SIM_WIRED || l->silent)
                return;
        if (sim_one_in(w, FAULT_RESET, w->options.reset))
                sim_link_break(l);
        else if (sim_one_in(w, FAULT_SILENCE, w->options.silence))
                sim_link_silence(l);
}

/* How many of n bytes leave before the reset that the test has asked for. */
static size_t before_reset(sim_link *l, size_t n)
{
        sim_world *w = l->world;
        if (l->kind != SIM_WIRED || w->bytes_left == UINT64_MAX)
                return n;
        size_t part = w->bytes_left < n ? (size_t)w->bytes_left : n;
        w->bytes_left -= part;
        return part;
}

static void send_in_segments(sim_link *l, int to, const char *data, size_t n)
{
        sim_world *w = l->world;
        while (n > 0) {
                size_t part = n;
                while (l->kind == SIM_WIRED && part > 1 &&
                       sim_one_in(w, FAULT_SPLIT, w->options.split))
                        part = 1 + (size_t)sim_draw_from(w, SIM_WIRE, part - 1);
                suffer(l);
                size_t whole = before_reset(l, part);
                if (whole > 0)
                        send_segment(l, to, DATA, data, whole);
                if (whole < part) {
                        l->world->bytes_left = UINT64_MAX;
                        sim_link_break(l);
                        return;
                }
                data += part;
                n -= part;
        }
}

/* Whether this call shall say -EAGAIN for no reason; an edge follows then. */
static bool put_off(sim_world *w, sim_fd *f)
{
        if (!sim_one_in(w, FAULT_AGAIN, w->options.again))
                return false;
        sim_fd_changes_soon(w, f);
        return true;
}

/* n, or less for no reason; an edge follows then, since a short count means "no more" to many. */
static size_t shortened(sim_world *w, sim_fd *f, size_t n)
{
        if (n < 2 || !sim_one_in(w, FAULT_SHORTEN, w->options.shorten))
                return n;
        sim_fd_changes_soon(w, f);
        return 1 + (size_t)sim_draw_from(w, SIM_MISCHIEF, n - 1);
}

int sim_link_error(sim_link *l, int which)
{
        int error = l->sides[which].error;
        l->sides[which].error = 0;
        return error;
}

ssize_t sim_link_send(sim_link *l, int which, const void *data, size_t n)
{
        side *me = &l->sides[which];
        if (me->error)
                return sim_link_error(l, which);
        if (me->shut_write || (l->kind != SIM_WIRED && l->sides[!which].closed))
                return -EPIPE;
        if (n == 0)
                return 0;
        size_t room = room_of(l, which);
        if (room == 0) {
                me->wants_room = true;
                return -EAGAIN;
        }
        /* The edge that follows a whim may come while there is too little room to report it. */
        me->wants_room = true;
        if (put_off(l->world, me->fd))
                return -EAGAIN;
        size_t taken = shortened(l->world, me->fd, n < room ? n : room);
        me->wants_room = taken < n;
        send_in_segments(l, !which, data, taken);
        return (ssize_t)taken;
}

static void tell_of_room(sim_link *l, int sender)
{
        side *s = &l->sides[sender];
        if (!s->wants_room || !s->fd || !(sim_link_level(l, sender) & OS_WRITABLE))
                return;
        s->wants_room = false;
        sim_fd_changed(s->fd);
}

ssize_t sim_link_recv(sim_link *l, int which, void *data, size_t n)
{
        side *me = &l->sides[which];
        size_t there = buf_size(&me->inbox);
        if (there == 0) {
                if (me->error)
                        return sim_link_error(l, which);
                return me->ended || me->shut_read ? 0 : -EAGAIN;
        }
        if (n == 0)
                return 0;
        if (put_off(l->world, me->fd))
                return -EAGAIN;
        size_t taken = shortened(l->world, me->fd, n < there ? n : there);
        memcpy(data, buf_data(&me->inbox), taken);
        buf_consume(&me->inbox, taken);
        tell_of_room(l, !which);
        return (ssize_t)taken;
}

int sim_link_shutdown(sim_link *l, int which, int how)
{
        side *me = &l->sides[which];
        if (how == SHUT_RD || how == SHUT_RDWR) {
                me->shut_read = true;
                buf_clear(&me->inbox);
        }
        if ((how == SHUT_WR || how == SHUT_RDWR) && !me->shut_write) {
                me->shut_write = true;
                send_segment(l, !which, END, NULL, 0);
        }
        if (me->fd)
                sim_fd_changed(me->fd);
        return 0;
}

static void close_with(sim_link *l, int which, segment_kind last)
{
        side *me = &l->sides[which];
        me->fd = NULL;
        me->closed = true;
        buf_clear(&me->inbox);
        send_segment(l, !which, last, NULL, 0);
        unref(l);
}

void sim_link_close(sim_link *l, int which)
{
        /* Who leaves bytes unread resets the connection: they are lost, and the sender must know.
         */
        bool unread = buf_size(&l->sides[which].inbox) > 0 && l->kind != SIM_PIPE;
        close_with(l, which, unread ? BREAK : END);
}

void sim_link_abort(sim_link *l, int which)
{
        close_with(l, which, BREAK);
}
