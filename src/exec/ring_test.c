/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "exec/ring.h"
#include "os/os.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { SMALL = RING_CAPACITY_MIN };

typedef struct fixture {
        void *memory;
        ring writer;
        ring reader;
} fixture;

static void open_pair(fixture *f, size_t capacity, size_t limit)
{
        f->memory = aligned_alloc(64, ring_size(capacity));
        assert_non_null(f->memory);
        memset(f->memory, 0, ring_size(capacity));
        assert_int_equal(ring_open(&f->writer, f->memory, capacity, limit, true, -1), 0);
        assert_int_equal(ring_open(&f->reader, f->memory, capacity, limit, false, -1), 0);
}

static void close_pair(fixture *f)
{
        ring_close(&f->writer);
        ring_close(&f->reader);
        free(f->memory);
}

static int put(ring *r, const void *data, size_t n)
{
        struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = n};
        return ring_put(r, &part, 1);
}

/* Bytes that depend on their place and on the message. */
static void fill(unsigned char *bytes, size_t n, unsigned seed)
{
        for (size_t i = 0; i < n; i++)
                bytes[i] = (unsigned char)(i * 31 + seed * 7 + (i >> 8));
}

static void assert_filled(sj_str s, size_t n, unsigned seed)
{
        assert_int_equal(s.n, n);
        for (size_t i = 0; i < n; i++)
                if ((unsigned char)s.data[i] != (unsigned char)(i * 31 + seed * 7 + (i >> 8)))
                        fail_msg("byte %zu of message %u differs", i, seed);
}

static void messages_come_out_whole_and_in_order(void **state)
{
        (void)state;
        fixture f;
        open_pair(&f, SMALL, 1 << 20);
        sj_str got;
        assert_int_equal(ring_get(&f.reader, &got), -EAGAIN);
        assert_int_equal(put(&f.writer, "one", 3), 0);
        struct iovec parts[] = {{"t", 1}, {NULL, 0}, {"wo", 2}};
        assert_int_equal(ring_put(&f.writer, parts, 3), 0);
        assert_int_equal(ring_put(&f.writer, NULL, 0), 0);
        assert_int_equal(ring_get(&f.reader, &got), -EAGAIN);
        ring_flush(&f.writer);
        assert_int_equal(ring_get(&f.reader, &got), 0);
        assert_true(sj_str_equal(got, SJ_STR("one")));
        assert_int_equal(ring_get(&f.reader, &got), 0);
        assert_true(sj_str_equal(got, SJ_STR("two")));
        assert_int_equal(ring_get(&f.reader, &got), 0);
        assert_int_equal(got.n, 0);
        assert_int_equal(ring_get(&f.reader, &got), -EAGAIN);
        close_pair(&f);
}

/* Every length that fits is put at every place of the ring, so records wrap at every byte. */
static void every_length_survives_the_wrap(void **state)
{
        (void)state;
        fixture f;
        open_pair(&f, SMALL, SMALL);
        unsigned char bytes[SMALL];
        for (unsigned i = 0; i < 6000; i++) {
                size_t n = (i * 37) % (SMALL / 2 - 8);
                fill(bytes, n, i);
                assert_int_equal(put(&f.writer, bytes, n), 0);
                ring_flush(&f.writer);
                sj_str got;
                assert_int_equal(ring_get(&f.reader, &got), 0);
                assert_filled(got, n, i);
        }
        close_pair(&f);
}

static void a_full_ring_refuses_and_loses_nothing(void **state)
{
        (void)state;
        fixture f;
        open_pair(&f, SMALL, SMALL);
        unsigned char bytes[100];
        unsigned n = 0;
        for (;; n++) {
                fill(bytes, sizeof(bytes), n);
                int error = put(&f.writer, bytes, sizeof(bytes));
                if (error == -EAGAIN)
                        break;
                assert_int_equal(error, 0);
        }
        assert_int_equal(n, SMALL / 104);
        assert_false(ring_ready(&f.writer));
        sj_str got;
        for (unsigned i = 0; i < n; i++) {
                assert_int_equal(ring_get(&f.reader, &got), 0);
                assert_filled(got, sizeof(bytes), i);
        }
        assert_int_equal(ring_get(&f.reader, &got), -EAGAIN);
        assert_true(ring_ready(&f.writer));
        assert_int_equal(put(&f.writer, bytes, sizeof(bytes)), 0);
        close_pair(&f);
}

static void a_message_longer_than_the_ring_passes_in_pieces(void **state)
{
        (void)state;
        fixture f;
        size_t n = 10 * SMALL + 123;
        open_pair(&f, SMALL, n);
        unsigned char *bytes = malloc(n);
        fill(bytes, n, 5);
        int put_result;
        int get_result = -EAGAIN;
        sj_str got;
        unsigned rounds = 0;
        do {
                put_result = put(&f.writer, bytes, n);
                if (put_result == -EAGAIN) {
                        assert_true(ring_in_part(&f.writer));
                        assert_int_equal(put(&f.writer, "x", 1), -EBUSY);
                        assert_int_equal(put(&f.writer, bytes, n - 1), -EBUSY);
                }
                get_result = ring_get(&f.reader, &got);
                rounds++;
        } while (put_result == -EAGAIN);
        assert_int_equal(put_result, 0);
        assert_true(rounds > 5);
        assert_int_equal(get_result, 0);
        assert_filled(got, n, 5);
        assert_int_equal(put(&f.writer, "x", 1), 0);
        ring_flush(&f.writer);
        assert_int_equal(ring_get(&f.reader, &got), 0);
        assert_int_equal(got.n, 1);
        free(bytes);
        close_pair(&f);
}

static void a_message_over_the_limit_is_refused_by_both_sides(void **state)
{
        (void)state;
        fixture f;
        open_pair(&f, SMALL, 2 * SMALL);
        unsigned char bytes[2 * SMALL + 1] = {0};
        assert_int_equal(put(&f.writer, bytes, sizeof(bytes)), -EMSGSIZE);
        ring_close(&f.reader);
        assert_int_equal(ring_open(&f.reader, f.memory, SMALL, 100, false, -1), 0);
        assert_int_equal(put(&f.writer, bytes, 101), 0);
        ring_flush(&f.writer);
        sj_str got;
        assert_int_equal(ring_get(&f.reader, &got), -EMSGSIZE);
        assert_int_equal(ring_get(&f.reader, &got), -EMSGSIZE);
        close_pair(&f);
}

static void a_capacity_that_is_no_power_of_two_is_refused(void **state)
{
        (void)state;
        ring r;
        assert_int_equal(ring_open(&r, NULL, 5000, 1, true, -1), -EINVAL);
        assert_int_equal(ring_open(&r, NULL, 2048, 1, true, -1), -EINVAL);
        assert_int_equal(ring_open(&r, NULL, (size_t)RING_CAPACITY_MAX * 2, 1, true, -1), -EINVAL);
}

static _Atomic uint64_t *head_of(fixture *f)
{
        return (_Atomic uint64_t *)f->memory;
}

static _Atomic uint64_t *tail_of(fixture *f)
{
        return (_Atomic uint64_t *)(void *)((char *)f->memory + 64);
}

static void positions_that_make_no_sense_are_a_protocol_error(void **state)
{
        (void)state;
        static const uint64_t heads[] = {1, 7, SMALL + 8, UINT64_MAX, UINT64_MAX - 7, 1u << 31};
        for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
                fixture f;
                open_pair(&f, SMALL, SMALL);
                atomic_store(head_of(&f), heads[i]);
                sj_str got;
                assert_int_equal(ring_get(&f.reader, &got), -EPROTO);
                atomic_store(head_of(&f), 0);
                assert_int_equal(ring_get(&f.reader, &got), -EPROTO);
                assert_true(ring_ready(&f.reader));
                close_pair(&f);
        }
}

static void a_reader_that_lies_about_its_place_is_a_protocol_error(void **state)
{
        (void)state;
        fixture f;
        open_pair(&f, SMALL, SMALL);
        unsigned char bytes[1000] = {0};
        for (int i = 0; i < 4; i++)
                assert_int_equal(put(&f.writer, bytes, sizeof(bytes)), 0);
        atomic_store(tail_of(&f), UINT64_MAX - 7);
        assert_int_equal(put(&f.writer, bytes, sizeof(bytes)), -EPROTO);
        assert_int_equal(put(&f.writer, bytes, 1), -EPROTO);
        close_pair(&f);
}

static void a_length_beyond_what_is_there_is_a_protocol_error(void **state)
{
        (void)state;
        static const uint32_t words[] = {5, 0x7fffffff, 0xffffffff, 0x80000000, 0x80000004};
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
                fixture f;
                open_pair(&f, SMALL, SMALL);
                memcpy((char *)f.memory + RING_HEADER, &words[i], sizeof(words[i]));
                atomic_store(head_of(&f), 8);
                sj_str got;
                assert_int_equal(ring_get(&f.reader, &got), -EPROTO);
                close_pair(&f);
        }
}

static void a_sleeper_by_bell_is_rung_once(void **state)
{
        (void)state;
        fixture f;
        open_pair(&f, SMALL, SMALL);
        int bell = os_bell_new();
        assert_true(bell >= 0);
        f.writer.peer_bell = bell;
        assert_int_equal(put(&f.writer, "a", 1), 0);
        ring_flush(&f.writer);
        assert_int_equal(os_bell_clear(bell), 0);
        assert_false(ring_announce(&f.reader, RING_BELL));
        sj_str got;
        assert_int_equal(ring_get(&f.reader, &got), 0);
        assert_true(ring_announce(&f.reader, RING_BELL));
        for (int i = 0; i < 3; i++) {
                assert_int_equal(put(&f.writer, "b", 1), 0);
                ring_flush(&f.writer);
        }
        assert_int_equal(os_bell_clear(bell), 1);
        close_pair(&f);
        os_close(bell);
}

static void a_writer_that_sleeps_for_room_is_woken_when_there_is_enough(void **state)
{
        (void)state;
        fixture f;
        open_pair(&f, SMALL, SMALL);
        int bell = os_bell_new();
        f.reader.peer_bell = bell;
        unsigned char bytes[500] = {0};
        while (put(&f.writer, bytes, sizeof(bytes)) == 0)
                ;
        assert_true(ring_announce(&f.writer, RING_BELL));
        sj_str got;
        while (ring_get(&f.reader, &got) == 0)
                ;
        assert_int_equal(os_bell_clear(bell), 1);
        assert_int_equal(put(&f.writer, bytes, sizeof(bytes)), 0);
        close_pair(&f);
        os_close(bell);
}

enum { CROSS = 20000 };

static void *produce(void *arg)
{
        ring *r = arg;
        unsigned char bytes[3000];
        for (unsigned i = 0; i < CROSS; i++) {
                size_t n = (i * 131) % sizeof(bytes);
                if (i % 64 != 0)
                        n %= 64;
                fill(bytes, n, i);
                while (put(r, bytes, n) == -EAGAIN)
                        ring_block(r, SJ_NEVER);
                if (i % 7 == 0)
                        ring_flush(r);
        }
        ring_flush(r);
        return NULL;
}

static void two_threads_pass_messages_without_loss(void **state)
{
        (void)state;
        fixture f;
        open_pair(&f, SMALL, SMALL);
        os_thread *thread;
        assert_int_equal(os_thread_start(produce, &f.writer, "producer", &thread), 0);
        for (unsigned i = 0; i < CROSS; i++) {
                sj_str got;
                int error;
                while ((error = ring_get(&f.reader, &got)) == -EAGAIN)
                        assert_int_equal(ring_block(&f.reader, sj_after(30 * SJ_SEC)), 0);
                assert_int_equal(error, 0);
                size_t n = (i * 131) % 3000;
                assert_filled(got, i % 64 != 0 ? n % 64 : n, i);
        }
        os_thread_join(thread);
        close_pair(&f);
}

static void a_wait_ends_at_its_deadline(void **state)
{
        (void)state;
        fixture f;
        open_pair(&f, SMALL, SMALL);
        assert_int_equal(ring_block(&f.reader, SJ_POLL), -ETIMEDOUT);
        assert_int_equal(ring_block(&f.reader, sj_after(SJ_MS)), -ETIMEDOUT);
        assert_int_equal(put(&f.writer, "a", 1), 0);
        ring_flush(&f.writer);
        assert_int_equal(ring_block(&f.reader, SJ_POLL), 0);
        close_pair(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(messages_come_out_whole_and_in_order),
                cmocka_unit_test(every_length_survives_the_wrap),
                cmocka_unit_test(a_full_ring_refuses_and_loses_nothing),
                cmocka_unit_test(a_message_longer_than_the_ring_passes_in_pieces),
                cmocka_unit_test(a_message_over_the_limit_is_refused_by_both_sides),
                cmocka_unit_test(a_capacity_that_is_no_power_of_two_is_refused),
                cmocka_unit_test(positions_that_make_no_sense_are_a_protocol_error),
                cmocka_unit_test(a_reader_that_lies_about_its_place_is_a_protocol_error),
                cmocka_unit_test(a_length_beyond_what_is_there_is_a_protocol_error),
                cmocka_unit_test(a_sleeper_by_bell_is_rung_once),
                cmocka_unit_test(a_writer_that_sleeps_for_room_is_woken_when_there_is_enough),
                cmocka_unit_test(two_threads_pass_messages_without_loss),
                cmocka_unit_test(a_wait_ends_at_its_deadline),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
