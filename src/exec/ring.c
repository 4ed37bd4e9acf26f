/* SPDX-License-Identifier: MIT */
/*
 * The ring's memory:
 *
 *     0        64       128      192                                  192 + capacity
 *     │ head   │ tail   │ waits  │ record │ record │ ...              │
 *       writer   reader   both
 *
 * head and tail are counts of bytes since the beginning, so that full and empty differ and the
 * index is a mask. Each side writes only its own, keeps it privately too (what it wrote into
 * shared memory it never reads back), and checks the peer's before use: 0 <= head - tail <=
 * capacity, both multiples of 8, and neither ever goes back.
 *
 * A record is a word of 4 bytes (length, and in the top bit MORE: the next record continues this
 * message) and that many bytes, padded to 8. Since a reader copies out anyway, so that a message
 * cannot change under a parser's eyes, a record may run over the end of the data and go on at its
 * beginning: there is no skipping, and each byte of the ring is usable. A message of more than
 * half of the ring is written as several records, of as much as there is room for.
 *
 * Sleeping. Each side has a word that says whether it sleeps. Dekker's pattern: the sleeper
 * writes the word, then looks at the ring; the peer moves its position, then looks at the word;
 * all four in the single order of sequential consistency, so at least one of the two sees the
 * other. (Separate fences would say the same, but thread sanitizers do not know them.) The peer
 * takes the word by exchange, so a sleeper is woken once.
 */
#include "exec/ring.h"

#include "fiber/cpu.h"
#include "os/os.h"

#include <stdatomic.h>

enum {
        SPINS = 200,    /* about the price of a sleep and a wake */
        WORD = 8,       /* records are multiples of this */
        KEEP = 1 << 20, /* a reader's buffer beyond that is given back after the message */
};

static const uint32_t MORE = UINT32_C(1) << 31;

struct ring_shared {
        _Alignas(64) _Atomic uint64_t head; /* written by the writer */
        _Alignas(64) _Atomic uint64_t tail; /* written by the reader */
        _Alignas(64) _Atomic uint32_t writer_sleeps;
        _Atomic uint32_t reader_sleeps;
};
_Static_assert(sizeof(struct ring_shared) == RING_HEADER, "the header is part of the layout");

int ring_open(ring *r, void *memory, size_t capacity, size_t limit, bool writer, int peer_bell)
{
        if (capacity < RING_CAPACITY_MIN || capacity > RING_CAPACITY_MAX ||
            (capacity & (capacity - 1)) != 0)
                return -EINVAL;
        *r = (ring){
                .shared = memory,
                .data = (unsigned char *)memory + RING_HEADER,
                .capacity = capacity,
                .message = BUF_INIT(limit),
                .writer = writer,
                .spins = os_processors() > 1 ? SPINS : 0,
                .peer_bell = peer_bell,
        };
        return 0;
}

void ring_close(ring *r)
{
        if (r)
                buf_fini(&r->message);
}

static uint64_t padded(uint64_t n)
{
        return (n + WORD - 1) & ~(uint64_t)(WORD - 1);
}

static int broken(ring *r, int error)
{
        r->error = error;
        return error;
}

/* ── Sleeping and waking ─────────────────────────────────────────────────────────────────── */

static _Atomic uint32_t *own_word(ring *r)
{
        return r->writer ? &r->shared->writer_sleeps : &r->shared->reader_sleeps;
}

static void wake_peer(ring *r)
{
        _Atomic uint32_t *word = r->writer ? &r->shared->reader_sleeps : &r->shared->writer_sleeps;
        if (atomic_load(word) == RING_AWAKE)
                return;
        uint32_t how = atomic_exchange(word, RING_AWAKE);
        if (how == RING_FUTEX)
                os_futex_wake(word, 1, true);
        else if (how == RING_BELL && r->peer_bell >= 0)
                os_bell_ring(r->peer_bell);
}

/* Shows the own position to the peer. */
static void publish(ring *r)
{
        if (r->published == r->position)
                return;
        r->published = r->position;
        atomic_store(r->writer ? &r->shared->head : &r->shared->tail, r->position);
        wake_peer(r);
}

/* The bytes between tail and head: looks at the peer's position, and checks it. */
static int measure(ring *r, uint64_t *ret_used)
{
        if (r->error)
                return r->error;
        uint64_t peer = atomic_load(r->writer ? &r->shared->tail : &r->shared->head);
        uint64_t used = r->writer ? r->position - peer : peer - r->position;
        uint64_t moved = peer - r->seen;
        uint64_t most = r->writer ? r->position - r->seen : r->capacity - (r->seen - r->position);
        if (used > r->capacity || moved > most || peer % WORD != 0)
                return broken(r, -EPROTO);
        r->seen = peer;
        *ret_used = used;
        return 0;
}

bool ring_ready(ring *r)
{
        uint64_t used = 0;
        if (measure(r, &used) < 0)
                return true;
        return r->writer ? r->capacity - used >= r->need : used > 0;
}

bool ring_announce(ring *r, ring_sleep how)
{
        atomic_store(own_word(r), (uint32_t)how);
        if (!ring_ready(r))
                return true;
        ring_withdraw(r);
        return false;
}

void ring_withdraw(ring *r)
{
        atomic_store(own_word(r), RING_AWAKE);
}

int ring_block(ring *r, sj_time deadline)
{
        for (int i = 0; i < r->spins; i++) {
                if (ring_ready(r))
                        return 0;
                cpu_relax();
        }
        while (ring_announce(r, RING_FUTEX)) {
                int error = os_futex_wait(own_word(r), RING_FUTEX, deadline, true);
                if (error == -ETIMEDOUT) {
                        ring_withdraw(r);
                        return ring_ready(r) ? 0 : -ETIMEDOUT;
                }
        }
        return 0;
}

/* ── Copying, over the end ───────────────────────────────────────────────────────────────── */

static void copy_in(ring *r, uint64_t at, const void *from, size_t n)
{
        size_t index = (size_t)(at & (r->capacity - 1));
        size_t first = n < r->capacity - index ? n : (size_t)r->capacity - index;
        memcpy(r->data + index, from, first);
        memcpy(r->data, (const char *)from + first, n - first);
}

static void copy_out(const ring *r, uint64_t at, void *to, size_t n)
{
        size_t index = (size_t)(at & (r->capacity - 1));
        size_t first = n < r->capacity - index ? n : (size_t)r->capacity - index;
        memcpy(to, r->data + index, first);
        memcpy((char *)to + first, r->data, n - first);
}

/* ── Writer ──────────────────────────────────────────────────────────────────────────────── */

/* One record: `n` bytes of the message in parts, from the byte `from` on. */
static void write_record(ring *r, const struct iovec parts[], size_t from, size_t n, bool more)
{
        uint32_t word = (uint32_t)n | (more ? MORE : 0);
        copy_in(r, r->position, &word, sizeof(word));
        uint64_t at = r->position + sizeof(word);
        for (size_t left = n; left > 0; parts++) {
                if (from >= parts->iov_len) {
                        from -= parts->iov_len;
                        continue;
                }
                size_t piece = parts->iov_len - from < left ? parts->iov_len - from : left;
                copy_in(r, at, (const char *)parts->iov_base + from, piece);
                at += piece;
                left -= piece;
                from = 0;
        }
        r->position += padded(sizeof(word) + n);
}

static size_t total_of(const struct iovec parts[], size_t n)
{
        size_t total = 0;
        for (size_t i = 0; i < n; i++)
                total = parts[i].iov_len > SIZE_MAX - total ? SIZE_MAX : total + parts[i].iov_len;
        return total;
}

/* The room, after a second look at the reader's position if the remembered one is too old. */
static int room_for(ring *r, uint64_t need, uint64_t *ret)
{
        uint64_t used = r->position - r->seen;
        if (r->error)
                return r->error;
        if (r->capacity - used < need) {
                int error = measure(r, &used);
                if (error < 0)
                        return error;
        }
        *ret = r->capacity - used;
        return 0;
}

/* Waits for `need` bytes of room: what is there must be seen, or it would never be read. */
static int refuse(ring *r, uint64_t need)
{
        publish(r);
        r->need = need;
        return -EAGAIN;
}

/*
 * The least bytes of a record that another one continues. It keeps the number of records of a
 * message small, and a peer from keeping the reader busy with empty ones.
 */
static size_t piece_min(const ring *r)
{
        return (size_t)r->capacity / 4 - sizeof(uint32_t);
}

static int put_long(ring *r, const struct iovec parts[], size_t total)
{
        if (r->progress > 0 && r->total != total)
                return -EBUSY;
        r->total = total;
        while (r->progress < total) {
                size_t left = total - r->progress;
                uint64_t need =
                        left < piece_min(r) ? padded(sizeof(uint32_t) + left) : r->capacity / 4;
                uint64_t room = 0;
                int error = room_for(r, need, &room);
                if (error < 0)
                        return error;
                if (room < need)
                        return refuse(r, need);
                size_t fits = (size_t)room - sizeof(uint32_t);
                size_t piece = left < fits ? left : fits;
                write_record(r, parts, r->progress, piece, piece < left);
                r->progress += piece;
                publish(r);
        }
        r->progress = 0;
        return 0;
}

int ring_put(ring *r, const struct iovec parts[], size_t n)
{
        size_t total = total_of(parts, n);
        if (total > r->message.limit)
                return -EMSGSIZE;
        uint64_t need = padded(sizeof(uint32_t) + (uint64_t)total);
        if (need > r->capacity / 2)
                return put_long(r, parts, total);
        if (r->progress > 0)
                return -EBUSY;
        uint64_t room = 0;
        int error = room_for(r, need, &room);
        if (error < 0)
                return error;
        if (room < need)
                return refuse(r, need);
        write_record(r, parts, 0, total, false);
        return 0;
}

void ring_flush(ring *r)
{
        publish(r);
}

/* ── Reader ──────────────────────────────────────────────────────────────────────────────── */

/* Appends the record at the position to the message; true in *ret_whole when that ends it. */
static int read_record(ring *r, bool *ret_whole)
{
        uint64_t used = r->seen - r->position;
        uint32_t word;
        copy_out(r, r->position, &word, sizeof(word));
        uint32_t n = word & ~MORE;
        if (padded(sizeof(word) + (uint64_t)n) > used || (word & MORE && n < piece_min(r)))
                return broken(r, -EPROTO);
        int error = buf_reserve(&r->message, n);
        if (error < 0)
                return broken(r, error == -ENOBUFS ? -EMSGSIZE : error);
        if (n > 0)
                copy_out(r, r->position + sizeof(word), buf_tail(&r->message), n);
        buf_advance(&r->message, n);
        r->position += padded(sizeof(word) + (uint64_t)n);
        *ret_whole = (word & MORE) == 0;
        /* Room is given back in large steps, each of which may wake the writer. */
        if (r->position - r->published >= r->capacity / 4)
                publish(r);
        return 0;
}

int ring_get(ring *r, sj_str *ret)
{
        if (r->error)
                return r->error;
        if (!r->partial && r->message.capacity > KEEP)
                buf_fini(&r->message);
        else if (!r->partial)
                buf_clear(&r->message);
        for (;;) {
                if (r->seen == r->position) {
                        uint64_t used = 0;
                        int error = measure(r, &used);
                        if (error < 0)
                                return error;
                        if (used == 0) {
                                publish(r);
                                return -EAGAIN;
                        }
                }
                bool whole = false;
                int error = read_record(r, &whole);
                if (error < 0)
                        return error;
                r->partial = !whole;
                if (!whole)
                        continue;
                *ret = buf_str(&r->message);
                return 0;
        }
}
