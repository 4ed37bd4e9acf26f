/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer: the input is the shared memory, written over while the reader and the writer of
 * it go on. Nothing outside of the memory may be touched, and every call must return.
 */
#include "exec/ring.h"

#include <stdlib.h>

enum { CAPACITY = RING_CAPACITY_MIN, LIMIT = 3 * CAPACITY };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        unsigned char *memory = aligned_alloc(64, ring_size(CAPACITY));
        if (!memory)
                return 0;
        memset(memory, 0, ring_size(CAPACITY));
        ring reader;
        ring writer;
        ring_open(&reader, memory, CAPACITY, LIMIT, false, -1);
        ring_open(&writer, memory, CAPACITY, LIMIT, true, -1);
        static const char long_message[2 * CAPACITY];
        /* Each turn writes up to 40 bytes of the input to a place that the input says. */
        while (n >= 4) {
                size_t at = (size_t)(data[0] | data[1] << 8) % ring_size(CAPACITY);
                size_t length = data[2] % 40;
                unsigned action = data[3];
                data += 4;
                n -= 4;
                if (length > n)
                        length = n;
                if (length > ring_size(CAPACITY) - at)
                        length = ring_size(CAPACITY) - at;
                memcpy(memory + at, data, length);
                data += length;
                n -= length;
                if (action & 1) {
                        sj_str got;
                        for (int i = 0; i < 8 && ring_get(&reader, &got) == 0; i++)
                                if (got.n > LIMIT)
                                        abort();
                }
                if (action & 2) {
                        struct iovec part = {(void *)(uintptr_t)long_message,
                                             (size_t)(action >> 2) * 128};
                        ring_put(&writer, &part, 1);
                        ring_flush(&writer);
                }
                ring_announce(&reader, RING_BELL);
                ring_withdraw(&writer);
        }
        ring_close(&reader);
        ring_close(&writer);
        free(memory);
        return 0;
}
