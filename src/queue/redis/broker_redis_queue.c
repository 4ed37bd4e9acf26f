/* SPDX-License-Identifier: MIT */
/*
 * What lies in the queues: depths, purging, and the dead letters, which are a hash of texts by
 * their ids, and a sorted set of the ids by the moment of death:
 *
 *   {"queue", "task", "priority", "eta", "expires", "max", "key", "for", "reason", "died",
 *    "deliveries", "envelope": as text}
 */
#include "queue/canvas/canvas.h"
#include "queue/redis/broker_redis.h"

#include "queue/result.h"

#include <stdio.h>
#include <stdlib.h>

/* ── Letters ─────────────────────────────────────────────────────────────────────────────── */

/* Text that may be no UTF-8 goes as an array of its bytes. */
static void write_text(sj_json_writer *w, const char *name, sj_str text, bool sound)
{
        sj_json_write_name(w, name);
        if (sound) {
                sj_json_write_string(w, text);
                return;
        }
        sj_json_write_array_begin(w);
        for (size_t i = 0; i < text.n; i++)
                sj_json_write_int(w, (unsigned char)text.data[i]);
        sj_json_write_array_end(w);
}

static void write_number(sj_json_writer *w, const char *name, int64_t n)
{
        sj_json_write_name(w, name);
        sj_json_write_int(w, n);
}

static int write_letter(sj_json_writer *w, const broker_dead *d, bool sound, sj_str *ret)
{
        const broker_message *m = &d->message;
        sj_json_writer_reset(w);
        sj_json_write_object_begin(w);
        write_text(w, "queue", m->queue, true);
        write_text(w, "task", m->task, sound);
        write_number(w, "priority", m->priority);
        write_number(w, "eta", m->eta.us);
        write_number(w, "expires", m->expires.us);
        write_number(w, "max", m->max_deliveries);
        write_text(w, "key", m->key, sound);
        write_number(w, "for", m->key_for);
        write_text(w, "reason", d->reason, sound);
        write_number(w, "died", d->died.us);
        write_number(w, "deliveries", d->deliveries);
        write_text(w, "envelope", m->envelope, sound);
        sj_json_write_object_end(w);
        return sj_json_writer_end(w, ret);
}

int redis_queue_letter(sj_arena *arena, const broker_dead *dead, sj_str *ret)
{
        sj_json_writer *w;
        sj_str text;
        int r = sj_json_writer_new(SJ_JSON_PYTHON | SJ_JSON_ASCII, &w);
        if (r < 0)
                return r;
        r = write_letter(w, dead, true, &text);
        if (r == -EINVAL)
                r = write_letter(w, dead, false, &text);
        const char *kept = r == 0 ? sj_arena_strndup(arena, text.data, text.n) : NULL;
        sj_json_writer_free(w);
        if (r < 0 || !kept)
                return r < 0 ? r : -ENOMEM;
        *ret = (sj_str){kept, text.n};
        return 0;
}

static int read_text(sj_arena *arena, const sj_json *object, const char *name, sj_str *ret)
{
        const sj_json *value = sj_json_member(object, name);
        size_t n = sj_json_count(value);
        *ret = SJ_STR("");
        if (sj_json_type_of(value) != SJ_JSON_ARRAY) {
                sj_json_string(value, ret);
                return 0;
        }
        char *bytes = sj_arena_alloc(arena, n + 1);
        if (!bytes)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                int64_t byte = 0;
                sj_json_int(sj_json_at(value, i), &byte);
                bytes[i] = (char)byte;
        }
        bytes[n] = 0;
        *ret = (sj_str){bytes, n};
        return 0;
}

static int64_t read_number(const sj_json *object, const char *name)
{
        int64_t n = 0;
        sj_json_int(sj_json_member(object, name), &n);
        return n;
}

static int read_letter(sj_arena *arena, sj_str id, sj_str text, broker_dead *ret)
{
        const sj_json *o;
        int r = sj_json_parse(arena, text, SJ_JSON_PYTHON, &o, NULL);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        broker_message *m = &ret->message;
        int64_t priority = read_number(o, "priority");
        *ret = (broker_dead){
                .died = {read_number(o, "died")},
                .deliveries = (uint32_t)read_number(o, "deliveries"),
        };
        *m = (broker_message){
                .id = {sj_arena_strndup(arena, id.data, id.n), id.n},
                .priority = priority >= 0 && priority <= BROKER_PRIORITY_MAX ? (int)priority : 0,
                .eta = {read_number(o, "eta")},
                .expires = {read_number(o, "expires")},
                .max_deliveries = (uint32_t)read_number(o, "max"),
                .key_for = read_number(o, "for"),
        };
        const struct {
                const char *name;
                sj_str *at;
        } texts[] = {{"queue", &m->queue},
                     {"task", &m->task},
                     {"key", &m->key},
                     {"reason", &ret->reason},
                     {"envelope", &m->envelope}};
        for (size_t i = 0; r == 0 && i < sizeof(texts) / sizeof(texts[0]); i++)
                r = read_text(arena, o, texts[i].name, texts[i].at);
        return m->id.data ? r : -ENOMEM;
}

/* ── Depths ──────────────────────────────────────────────────────────────────────────────── */

typedef struct queue_args {
        sj_arena *arena;
        const broker_depth **depths;
        const broker_dead **dead;
        const broker_delayed **delayed;
        uint64_t *more;
        sj_str queue;
        sj_str after;
        const sj_str *ids;
        size_t n;
        uint64_t *awaited;
        sj_time deadline;
} queue_args;

typedef struct depths {
        sj_arena *arena;
        broker_depth *all;
        size_t n;
        size_t room;
        bool more_leased; /* not all of them were counted */
        bool more_dead;
} depths;

static broker_depth *depth_of(depths *d, sj_str queue)
{
        for (size_t i = 0; i < d->n; i++)
                if (sj_str_equal(d->all[i].queue, queue))
                        return &d->all[i];
        if (d->n == d->room) {
                size_t room = 2 * d->room + 16;
                broker_depth *larger = sj_arena_alloc(d->arena, room * sizeof(*larger));
                if (!larger)
                        return NULL;
                if (d->n)
                        memcpy(larger, d->all, d->n * sizeof(*larger));
                d->all = larger;
                d->room = room;
        }
        const char *name = sj_arena_strndup(d->arena, queue.data, queue.n);
        if (!name)
                return NULL;
        d->all[d->n] = (broker_depth){.queue = {name, queue.n}};
        return &d->all[d->n++];
}

static int compare_depths(const void *a, const void *b)
{
        sj_str x = ((const broker_depth *)a)->queue, y = ((const broker_depth *)b)->queue;
        int c = memcmp(x.data, y.data, x.n < y.n ? x.n : y.n);
        return c ? c : (x.n > y.n) - (x.n < y.n);
}

/* {queue, ready, delayed, the oldest envelope}... */
static int read_depths(redis_lane *lane, const redis_reply *reply, depths *all)
{
        REDIS_SCRATCH(arena, lane);
        for (size_t i = 0; i < reply->n; i++) {
                const redis_reply *one = &reply->elements[i];
                redis_envelope facts;
                char reason[200];
                broker_depth *d = depth_of(all, redis_reply_text(redis_reply_at(one, 0)));
                if (!d)
                        return -ENOMEM;
                d->ready += (uint64_t)redis_reply_int(redis_reply_at(one, 1), 0);
                d->delayed += (uint64_t)redis_reply_int(redis_reply_at(one, 2), 0);
                sj_str oldest = redis_reply_text(redis_reply_at(one, 3));
                if (oldest.n &&
                    redis_envelope_read(arena, oldest, &facts, reason, sizeof(reason)) == 0)
                        d->oldest = redis_queue_published_at(facts.id, (sj_wall){0});
        }
        return 0;
}

/* Of what has to be looked at one by one, no more than so many: then it is said that it is more. */
enum { TALLY_MOST = 20000, TALLY_PAGE = 100 };

static int tally_page(redis_lane *lane, depths *all, const char *what, int64_t from,
                      sj_time deadline)
{
        const redis_reply *reply;
        bool dead = what[0] == 'd';
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, KEY_MAX + 6);
        redis_words_keys(&w, lane->q);
        redis_words_add(&w, sj_str_of(what));
        redis_words_add_int(&w, from);
        redis_words_add_int(&w, TALLY_PAGE);
        redis_words_add(&w, lane->q->settings.prefix);
        redis_words_add(&w, lane->q->settings.sep);
        int r = redis_lane_script(lane, SCRIPT_TALLY, &w, &reply, deadline);
        for (size_t i = 1; r == 0 && i + 1 < reply->n; i += 2) {
                broker_depth *d = depth_of(all, redis_reply_text(&reply->elements[i]));
                if (!d)
                        return -ENOMEM;
                *(dead ? &d->dead : &d->leased) +=
                        (uint64_t)redis_reply_int(&reply->elements[i + 1], 0);
        }
        return r < 0 ? r : (int)redis_reply_int(redis_reply_at(reply, 0), 0);
}

/* 1: there is more. */
static int tally(redis_lane *lane, depths *all, const char *what, sj_time deadline)
{
        int r = TALLY_PAGE;
        for (int64_t from = 0; r == TALLY_PAGE && from < TALLY_MOST; from += TALLY_PAGE)
                r = tally_page(lane, all, what, from, deadline);
        return r < 0 ? r : r == TALLY_PAGE;
}

static int members_of(redis_lane *lane, redis_queue_key key, int64_t *ret, sj_time deadline)
{
        const redis_reply *reply;
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, 2);
        redis_words_add(&w, SJ_STR("ZCARD"));
        redis_words_add(&w, lane->q->keys[key]);
        int r = redis_lane_command(lane, &w, &reply, deadline);
        if (r == 0)
                *ret = redis_reply_int(reply, 0);
        return r;
}

/* Others' are looked for among all tags, so only if there are any. 1: there is more. */
static int tally_others(redis_lane *lane, depths *all, sj_time deadline)
{
        int64_t tags = 0, delayed = 0;
        int r = members_of(lane, KEY_INDEX, &tags, deadline);
        if (r == 0)
                r = members_of(lane, KEY_DELAYED, &delayed, deadline);
        for (size_t i = 0; i < all->n; i++)
                tags -= (int64_t)all->all[i].leased;
        return r < 0 || tags <= delayed ? r : tally(lane, all, "others", deadline);
}

static int tally_all(redis_lane *lane, depths *all, sj_time deadline)
{
        int r = tally(lane, all, "leased", deadline);
        if (r >= 0)
                all->more_leased = r;
        if (r == 0)
                r = tally_others(lane, all, deadline);
        if (r > 0)
                all->more_leased = true;
        if (r >= 0)
                r = tally(lane, all, "dead", deadline);
        if (r >= 0)
                all->more_dead = r;
        return r < 0 ? r : 0;
}

static int keep_depths(depths *d, const broker_depth **ret)
{
        size_t kept = 0;
        for (size_t i = 0; i < d->n; i++) {
                d->all[i].more_leased = d->more_leased;
                d->all[i].more_dead = d->more_dead;
                if (d->all[i].ready || d->all[i].delayed || d->all[i].leased || d->all[i].dead)
                        d->all[kept++] = d->all[i];
        }
        if (kept)
                qsort(d->all, kept, sizeof(*d->all), compare_depths);
        *ret = d->all;
        return (int)kept;
}

static void add_steps(const redis_queue *q, redis_words *w)
{
        redis_words_add(w, q->settings.prefix);
        redis_words_add(w, q->settings.sep);
        redis_words_add_int(w, (int64_t)q->settings.n_steps);
        for (size_t i = 0; i < q->settings.n_steps; i++)
                redis_words_add_int(w, q->settings.steps[i]);
}

/* The exchanges of remote control: what is bound to them holds letters, no tasks. */
static bool is_of_letters(sj_str key)
{
        static const char last[] = ".pidbox";
        size_t n = sizeof(last) - 1;
        return key.n >= n && memcmp(key.data + key.n - n, last, n) == 0;
}

/* The keys of all bindings of queues, page by page. */
static int add_bindings(redis_lane *lane, redis_words *w, sj_time deadline)
{
        sj_str cursor = SJ_STR("0");
        sj_str pattern = redis_queue_name(lane->q, w->arena, "_kombu.binding.*");
        do {
                const redis_reply *reply;
                redis_words scan = redis_words_new(w->arena, 6);
                redis_words_add(&scan, SJ_STR("SCAN"));
                redis_words_add(&scan, cursor);
                redis_words_add(&scan, SJ_STR("MATCH"));
                redis_words_add(&scan, pattern);
                redis_words_add(&scan, SJ_STR("COUNT"));
                redis_words_add(&scan, SJ_STR("2000"));
                int r = redis_lane_command(lane, &scan, &reply, deadline);
                if (r < 0)
                        return r;
                const redis_reply *page = redis_reply_at(reply, 1);
                for (size_t i = 0; page && i < page->n; i++)
                        if (!is_of_letters(redis_reply_text(redis_reply_at(page, i))))
                                redis_words_add(w, redis_reply_text(redis_reply_at(page, i)));
                cursor = redis_reply_text(redis_reply_at(reply, 0));
        } while (cursor.n > 0 && !sj_str_equal(cursor, SJ_STR("0")));
        return 0;
}

static int queues_in(redis_lane *lane, void *arg)
{
        queue_args *a = arg;
        const redis_reply *reply;
        depths all = {.arena = a->arena};
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, KEY_MAX + 16);
        redis_words_keys(&w, lane->q);
        add_steps(lane->q, &w);
        int r = tally_all(lane, &all, a->deadline);
        redis_words_add_int(&w, (int64_t)all.n);
        for (size_t i = 0; i < all.n; i++)
                redis_words_add(&w, all.all[i].queue);
        if (r == 0)
                r = add_bindings(lane, &w, a->deadline);
        if (r == 0)
                r = redis_lane_script(lane, SCRIPT_DEPTHS, &w, &reply, a->deadline);
        if (r == 0)
                r = read_depths(lane, reply, &all);
        return r < 0 ? r : keep_depths(&all, a->depths);
}

int redis_queue_queues(broker *b, sj_arena *arena, const broker_depth **ret, sj_time deadline)
{
        queue_args a = {.arena = arena, .depths = ret, .deadline = deadline};
        return redis_lane_call(b, queues_in, &a);
}

/* ── Purging ─────────────────────────────────────────────────────────────────────────────── */

/* Whether a chord or a link waits for its end. */
static bool is_awaited(sj_arena *arena, sj_str envelope)
{
        message m;
        message_error error;
        return message_decode_accepting(arena, envelope, MESSAGE_ACCEPT_ALL, &m, &error) >= 0 &&
               canvas_awaits(&m);
}

/* Stores REVOKED for what was taken out, and frees the keys. */
static int revoke_purged(redis_lane *lane, sj_arena *arena, const redis_reply *texts,
                         uint64_t *awaited, sj_time deadline)
{
        broker_result *results = sj_arena_alloc(arena, (texts->n + 1) * sizeof(*results));
        size_t n = 0;
        int r = results ? 0 : -ENOMEM;
        redis_words keys = redis_words_new(arena, 8);
        redis_words_add(&keys, SJ_STR("DEL"));
        for (size_t i = 1; r == 0 && i < texts->n; i++) {
                redis_envelope e;
                char reason[200];
                r = redis_envelope_read(arena, redis_reply_text(&texts->elements[i]), &e, reason,
                                        sizeof(reason));
                if (r == -EBADMSG) {
                        r = 0;
                        continue;
                }
                if (r < 0)
                        break;
                *awaited += is_awaited(arena, redis_reply_text(&texts->elements[i]));
                results[n] = (broker_result){.id = e.id, .state = SJ_STR("REVOKED")};
                r = result_revoked(arena, e.id, "revoked", sj_wall_now(), &results[n++].content);
                if (e.key.n)
                        redis_words_add(&keys, redis_queue_name(lane->q, arena, "sanjab.key.%.*s",
                                                                SJ_STR_ARG(e.key)));
        }
        if (r == 0)
                r = redis_queue_store_results(lane, results, n, deadline);
        const redis_reply *unused;
        if (r == 0 && keys.n > 1)
                r = redis_lane_command(lane, &keys, &unused, deadline);
        return r;
}

/* With a kilobyte each, one command holds up the server for a quarter of a millisecond. */
enum { PURGE_PAGE = 25 };

static int purge_page(redis_lane *lane, const queue_args *a, char cursor[24])
{
        sj_time deadline = a->deadline;
        const redis_queue *q = lane->q;
        const redis_reply *reply;
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, KEY_MAX + 12);
        redis_words_keys(&w, q);
        for (size_t i = 0; i < q->settings.n_steps; i++)
                redis_words_add(&w, redis_queue_step_list(q, arena, a->queue, i));
        redis_words_arguments(&w);
        redis_words_add_int(&w, PURGE_PAGE);
        redis_words_add(&w, sj_str_of(cursor[0] ? cursor : "0"));
        int r = redis_lane_script(lane, SCRIPT_PURGE, &w, &reply, deadline);
        if (r < 0 || reply->n == 0)
                return r < 0 ? r : -EPROTO;
        sj_str next = redis_reply_text(redis_reply_at(reply, 0));
        snprintf(cursor, 24, "%.*s", SJ_STR_ARG(next));
        r = revoke_purged(lane, arena, reply, a->awaited, deadline);
        return r < 0 ? r : (int)reply->n - 1;
}

static int purge_in(redis_lane *lane, void *arg)
{
        const queue_args *a = arg;
        char cursor[24] = "";
        int total = 0;
        do {
                int n = purge_page(lane, a, cursor);
                if (n < 0)
                        return n;
                total += n;
        } while (strcmp(cursor, "0") != 0);
        return total;
}

int redis_queue_purge(broker *b, sj_str queue, uint64_t *ret_awaited, sj_time deadline)
{
        queue_args a = {.queue = queue, .awaited = ret_awaited, .deadline = deadline};
        return redis_lane_call(b, purge_in, &a);
}

/* To take one out by its id would mean to search all lists. */
int redis_queue_cancel(broker *b, sj_str id, sj_time deadline)
{
        (void)b;
        (void)id;
        (void)deadline;
        return -EOPNOTSUPP;
}

/* ── The delayed ─────────────────────────────────────────────────────────────────────────── */

/* What a list of them gathers, page by page. */
typedef struct delayed {
        broker_delayed *all;
        size_t n;
        size_t bytes;
        int64_t from; /* which of those of all queues is next; -1: none */
        int64_t held; /* that the queue has */
        int64_t over; /* of those that were seen: due by now */
} delayed;

static int delayed_add(const redis_queue *q, const queue_args *a, delayed *d, int64_t score,
                       sj_str text)
{
        redis_envelope e;
        char reason[200];
        char *kept = sj_arena_strndup(a->arena, text.data, text.n);
        sj_wall due = {score - atomic_load(&q->ahead)};
        if (!kept)
                return -ENOMEM;
        int r = redis_envelope_read(a->arena, (sj_str){kept, text.n}, &e, reason, sizeof(reason));
        if (r == -EBADMSG)
                return 0;
        d->bytes += text.n;
        d->over += due.us <= sj_wall_now().us;
        if (r < 0 || due.us <= sj_wall_now().us)
                return r;
        d->all[d->n++] = (broker_delayed){.message = {.id = e.id,
                                                      .queue = a->queue,
                                                      .task = e.task,
                                                      .envelope = {kept, text.n},
                                                      .priority = e.priority,
                                                      .eta = e.eta,
                                                      .expires = e.expires,
                                                      .max_deliveries = e.max_deliveries,
                                                      .key = e.key,
                                                      .key_for = e.key_for},
                                          .due = due};
        return 0;
}

static int delayed_page(redis_lane *lane, const queue_args *a, delayed *d)
{
        const redis_queue *q = lane->q;
        const redis_reply *reply;
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, KEY_MAX + 12);
        redis_words_keys(&w, q);
        for (size_t i = 0; i < q->settings.n_steps; i++)
                redis_words_add(&w, redis_queue_step_list(q, arena, a->queue, i));
        redis_words_arguments(&w);
        redis_words_add_int(&w, d->from);
        redis_words_add_int(&w, TALLY_PAGE);
        redis_words_add_int(&w, (int64_t)(a->n - d->n));
        redis_words_add_int(&w, (int64_t)(BROKER_LIST_BYTES - d->bytes));
        int r = redis_lane_script(lane, SCRIPT_DELAYED, &w, &reply, a->deadline);
        if (r < 0)
                return r;
        d->from = redis_reply_int(redis_reply_at(reply, 0), -1);
        d->held = redis_reply_int(redis_reply_at(reply, 1), 0);
        for (size_t i = 2; r == 0 && i + 1 < reply->n && d->n < a->n; i += 2) {
                sj_str score = redis_reply_text(&reply->elements[i]);
                r = delayed_add(q, a, d, (int64_t)strtod(score.data, NULL),
                                redis_reply_text(&reply->elements[i + 1]));
        }
        return r;
}

/* Of other queues' it passes over so many at most, as what counts does. */
static int delayed_list_in(redis_lane *lane, void *arg)
{
        const queue_args *a = arg;
        delayed d = {.all = sj_arena_alloc(a->arena, (a->n + 1) * sizeof(*d.all))};
        int r = d.all ? 0 : -ENOMEM;
        while (r == 0 && d.from >= 0 && d.from < TALLY_MOST && d.n < a->n &&
               d.bytes < BROKER_LIST_BYTES)
                r = delayed_page(lane, a, &d);
        if (r < 0)
                return r;
        int64_t more = d.held - d.over - (int64_t)d.n;
        *a->delayed = d.all;
        *a->more = more > 0 ? (uint64_t)more : 0;
        return (int)d.n;
}

int redis_queue_delayed_list(broker *b, sj_str queue, size_t n, sj_arena *arena,
                             const broker_delayed **ret, uint64_t *ret_more, sj_time deadline)
{
        queue_args a = {.queue = queue,
                        .n = n,
                        .arena = arena,
                        .delayed = ret,
                        .more = ret_more,
                        .deadline = deadline};
        return redis_lane_call(b, delayed_list_in, &a);
}

/* ── The dead ────────────────────────────────────────────────────────────────────────────── */

enum { DEAD_PAGE = 50 };

static int dead_page(redis_lane *lane, sj_arena *arena, int64_t from, const redis_reply **ret,
                     sj_time deadline)
{
        redis_words w = redis_words_new(arena, KEY_MAX + 4);
        redis_words_keys(&w, lane->q);
        redis_words_add(&w, SJ_STR("list"));
        redis_words_add_int(&w, from);
        redis_words_add_int(&w, DEAD_PAGE);
        return redis_lane_script(lane, SCRIPT_DEAD, &w, ret, deadline);
}

static int dead_rank(redis_lane *lane, sj_str id, int64_t *ret, sj_time deadline)
{
        const redis_reply *reply;
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, 3);
        *ret = 0;
        if (id.n == 0)
                return 0;
        redis_words_add(&w, SJ_STR("ZRANK"));
        redis_words_add(&w, lane->q->keys[KEY_DIED]);
        redis_words_add(&w, id);
        int r = redis_lane_command(lane, &w, &reply, deadline);
        if (r == 0)
                *ret = redis_reply_int(reply, -1) + 1;
        return r;
}

static int dead_list_in(redis_lane *lane, void *arg)
{
        const queue_args *a = arg;
        broker_dead *dead = sj_arena_alloc(a->arena, (a->n + 1) * sizeof(*dead));
        size_t n = 0;
        int64_t from;
        int r = dead ? dead_rank(lane, a->after, &from, a->deadline) : -ENOMEM;
        while (r == 0 && n < a->n) {
                const redis_reply *reply;
                REDIS_SCRATCH(arena, lane);
                r = dead_page(lane, arena, from, &reply, a->deadline);
                if (r < 0 || reply->n == 0)
                        break;
                for (size_t i = 0; i + 1 < reply->n && n < a->n; i += 2) {
                        int read = read_letter(a->arena, redis_reply_text(&reply->elements[i]),
                                               redis_reply_text(&reply->elements[i + 1]), &dead[n]);
                        if (read == -ENOMEM)
                                return read;
                        if (read == 0 &&
                            (!a->queue.n || sj_str_equal(a->queue, dead[n].message.queue)))
                                n++;
                }
                from += DEAD_PAGE;
        }
        if (r < 0)
                return r;
        *a->dead = dead;
        return (int)n;
}

int redis_queue_dead_list(broker *b, sj_str queue, sj_str after, size_t n, sj_arena *arena,
                          const broker_dead **ret, sj_time deadline)
{
        queue_args a = {.queue = queue,
                        .after = after,
                        .n = n < 100000 ? n : 100000,
                        .arena = arena,
                        .dead = ret,
                        .deadline = deadline};
        return redis_lane_call(b, dead_list_in, &a);
}

/* The letter of an id, or 0: there is none. */
static int dead_get(redis_lane *lane, sj_arena *arena, sj_str id, broker_dead *ret,
                    sj_time deadline)
{
        const redis_reply *reply;
        redis_words w = redis_words_new(arena, 3);
        redis_words_add(&w, SJ_STR("HGET"));
        redis_words_add(&w, lane->q->keys[KEY_DEAD]);
        redis_words_add(&w, id);
        int r = redis_lane_command(lane, &w, &reply, deadline);
        if (r < 0 || reply->type != REDIS_STRING)
                return r;
        r = read_letter(arena, id, reply->text, ret);
        return r < 0 ? r : 1;
}

/*
 * Puts it back if it is still there; its result goes, so that it is pending again: not after that,
 * when it may be the new one.
 */
static int dead_revive(redis_lane *lane, sj_arena *arena, sj_str id, sj_time deadline)
{
        broker_dead dead;
        const redis_reply *reply;
        int r = dead_get(lane, arena, id, &dead, deadline);
        if (r <= 0)
                return r == -EBADMSG ? 0 : r;
        redis_words w = redis_words_new(arena, KEY_MAX + 8);
        redis_words_keys(&w, lane->q);
        redis_words_add(&w, SJ_STR("retry"));
        redis_words_add(&w, id);
        redis_words_add(
                &w, redis_queue_list(lane->q, arena, dead.message.queue, dead.message.priority));
        redis_words_add(&w, dead.message.envelope);
        redis_words_add(&w, redis_queue_task_key(lane->q, arena, id));
        redis_words_add(&w, lane->q->results_apart ? SJ_STR("")
                                                   : redis_queue_result_key(lane->q, arena, id));
        r = lane->q->results_apart ? redis_queue_result_drop(&lane->q->base, &id, 1, deadline) : 0;
        if (r >= 0)
                r = redis_lane_script(lane, SCRIPT_DEAD, &w, &reply, deadline);
        return r < 0 ? r : (int)redis_reply_int(reply, 0);
}

static int dead_retry_in(redis_lane *lane, void *arg)
{
        const queue_args *a = arg;
        int n = 0;
        for (size_t i = 0; i < a->n; i++) {
                REDIS_SCRATCH(arena, lane);
                int r = dead_revive(lane, arena, a->ids[i], a->deadline);
                if (r < 0)
                        return r;
                n += r;
        }
        return n;
}

int redis_queue_dead_retry(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        queue_args a = {.ids = ids, .n = n, .deadline = deadline};
        return redis_lane_call(b, dead_retry_in, &a);
}

static int dead_drop_in(redis_lane *lane, void *arg)
{
        const queue_args *a = arg;
        const redis_reply *reply;
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, KEY_MAX + 1 + a->n);
        redis_words_keys(&w, lane->q);
        redis_words_add(&w, SJ_STR("drop"));
        for (size_t i = 0; i < a->n; i++)
                redis_words_add(&w, a->ids[i]);
        int r = redis_lane_script(lane, SCRIPT_DEAD, &w, &reply, a->deadline);
        return r < 0 ? r : (int)redis_reply_int(reply, 0);
}

int redis_queue_dead_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        queue_args a = {.ids = ids, .n = n, .deadline = deadline};
        return redis_lane_call(b, dead_drop_in, &a);
}
