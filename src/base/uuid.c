/* SPDX-License-Identifier: MIT */
#include "base/uuid.h"

/* Whether a dash stands before byte i. */
static bool dash_before(size_t i)
{
        return i == 4 || i == 6 || i == 8 || i == 10;
}

static void format(const unsigned char bytes[UUID_BYTES], char ret[UUID_LENGTH + 1])
{
        static const char digits[16] = "0123456789abcdef";
        char *out = ret;
        for (size_t i = 0; i < UUID_BYTES; i++) {
                if (dash_before(i))
                        *out++ = '-';
                *out++ = digits[bytes[i] >> 4];
                *out++ = digits[bytes[i] & 15];
        }
        *out = '\0';
}

void uuid_format_ordered(int64_t ms, const unsigned char random[UUID_BYTES],
                         char ret[UUID_LENGTH + 1])
{
        unsigned char bytes[UUID_BYTES];
        memcpy(bytes, random, UUID_BYTES);
        for (int i = 5; i >= 0; i--, ms >>= 8)
                bytes[i] = (unsigned char)(ms & 0xff);
        bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x70);
        bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
        format(bytes, ret);
}
