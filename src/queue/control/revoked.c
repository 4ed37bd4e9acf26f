/* SPDX-License-Identifier: MIT */
/*
 * A hash map finds them, a list keeps their order. Who revokes chooses the ids, so the map's seed
 * is random.
 */
#include "queue/control/revoked.h"

#include "base/list.h"
#include "base/map.h"
#include "base/sha256.h"
#include "os/os.h"

#include <stdlib.h>

typedef struct revoked_entry {
        list place;
        sj_wall since;
        size_t n;
        char id[];
} revoked_entry;

struct revoked_set {
        map by_id;
        list entries; /* the first is the oldest */
        size_t n;
        size_t n_stamps;
};

static const sj_str stamp_prefix = {"stamp:", 6};

int revoked_new(revoked_set **ret)
{
        revoked_set *r = calloc(1, sizeof(*r));
        if (!r)
                return -ENOMEM;
        uint64_t seed;
        os_random(&seed, sizeof(seed));
        r->by_id = MAP_INIT(seed);
        list_init(&r->entries);
        *ret = r;
        return 0;
}

static sj_str id_of(const revoked_entry *e)
{
        return (sj_str){e->id, e->n};
}

static void drop(revoked_set *r, revoked_entry *e)
{
        map_remove(&r->by_id, id_of(e));
        list_remove(&e->place);
        r->n--;
        r->n_stamps -= revoked_is_stamp(id_of(e));
        free(e);
}

void revoked_free(revoked_set *r)
{
        if (!r)
                return;
        while (!list_empty(&r->entries))
                drop(r, container_of(r->entries.next, revoked_entry, place));
        map_fini(&r->by_id);
        free(r);
}

static bool is_over(const revoked_entry *e, sj_wall now)
{
        return e->since.us + REVOKED_TIME / 1000 <= now.us;
}

void revoked_purge(revoked_set *r, sj_wall now)
{
        list_for_each_safe (node, &r->entries) {
                revoked_entry *e = container_of(node, revoked_entry, place);
                if (is_over(e, now))
                        drop(r, e);
        }
}

int revoked_add(revoked_set *r, sj_str id, sj_wall since)
{
        if (id.n == 0 || id.n > SJ_TASK_ID_MAX)
                return -EINVAL;
        if (map_get(&r->by_id, id))
                return 0;
        revoked_entry *e = malloc(sizeof(*e) + id.n);
        if (!e)
                return -ENOMEM;
        e->since = since;
        e->n = id.n;
        memcpy(e->id, id.data, id.n);
        int added = map_add(&r->by_id, id_of(e), e);
        if (added < 0) {
                free(e);
                return added;
        }
        list_append(&r->entries, &e->place);
        r->n_stamps += revoked_is_stamp(id);
        if (++r->n > REVOKED_COUNT_MAX)
                drop(r, container_of(r->entries.next, revoked_entry, place));
        return 1;
}

bool revoked_has(revoked_set *r, sj_str id, sj_wall now)
{
        revoked_entry *e = r->n > 0 ? map_get(&r->by_id, id) : NULL;
        if (e && is_over(e, now)) {
                drop(r, e);
                e = NULL;
        }
        return e != NULL;
}

size_t revoked_count(const revoked_set *r)
{
        return r->n;
}

bool revoked_next(const revoked_set *r, const void **place, broker_revoked *ret)
{
        const list *node = *place ? ((const list *)*place)->next : r->entries.next;
        if (node == &r->entries)
                return false;
        const revoked_entry *e = container_of(node, revoked_entry, place);
        *place = node;
        *ret = (broker_revoked){.id = id_of(e), .since = e->since};
        return true;
}

/* ── Stamps ──────────────────────────────────────────────────────────────────────────────── */

bool revoked_is_stamp(sj_str id)
{
        return id.n == REVOKED_STAMP_SIZE - 1 &&
               memcmp(id.data, stamp_prefix.data, stamp_prefix.n) == 0;
}

int revoked_stamp_id(sj_str name, const sj_json *value, char ret[REVOKED_STAMP_SIZE])
{
        sj_json_writer *w;
        int r = sj_json_writer_new(SJ_JSON_PYTHON, &w);
        if (r < 0)
                return r;
        sj_str text;
        sj_json_write_array_begin(w);
        sj_json_write_string(w, name);
        /* A string anew, since one that was parsed keeps the escapes it came with. */
        if (sj_json_string(value, &text) >= 0)
                sj_json_write_string(w, text);
        else
                sj_json_write_value(w, value);
        sj_json_write_array_end(w);
        r = sj_json_writer_end(w, &text);
        if (r >= 0) {
                unsigned char digest[SHA256_BYTES];
                sha256 h;
                sha256_init(&h);
                sha256_add(&h, text.data, text.n);
                sha256_end(&h, digest);
                memcpy(ret, stamp_prefix.data, stamp_prefix.n);
                sha256_hex(digest, sizeof(digest), ret + stamp_prefix.n);
        }
        sj_json_writer_free(w);
        return r;
}

static bool has_value(revoked_set *r, sj_str name, const sj_json *value, sj_wall now)
{
        char id[REVOKED_STAMP_SIZE];
        return revoked_stamp_id(name, value, id) >= 0 && revoked_has(r, sj_str_of(id), now);
}

bool revoked_has_stamp(revoked_set *r, const sj_json *stamps, sj_wall now)
{
        if (r->n_stamps == 0 || sj_json_type_of(stamps) != SJ_JSON_OBJECT)
                return false;
        SJ_JSON_EACH (stamps, i, value) {
                sj_str name = sj_json_name_at(stamps, i);
                if (sj_json_type_of(value) != SJ_JSON_ARRAY) {
                        if (has_value(r, name, value, now))
                                return true;
                        continue;
                }
                SJ_JSON_EACH (value, k, element)
                        if (has_value(r, name, element, now))
                                return true;
        }
        return false;
}
