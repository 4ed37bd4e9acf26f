/* SPDX-License-Identifier: MIT */
#include "base/uuid.h"

/* Whether a dash stands before byte i. */
static bool dash_before(size_t i)
{
        return i == 4 || i == 6 || i == 8 || i == 10;
}

void uuid_format(const unsigned char bytes[UUID_BYTES], char ret[UUID_LENGTH + 1])
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

static void uuid_format_version(unsigned char bytes[UUID_BYTES], int version,
                                char ret[UUID_LENGTH + 1])
{
        bytes[6] = (unsigned char)((bytes[6] & 0x0f) | version << 4);
        bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
        uuid_format(bytes, ret);
}

void uuid_format_random(const unsigned char random[UUID_BYTES], char ret[UUID_LENGTH + 1])
{
        unsigned char bytes[UUID_BYTES];
        memcpy(bytes, random, UUID_BYTES);
        uuid_format_version(bytes, 4, ret);
}

void uuid_format_ordered(int64_t ms, const unsigned char random[UUID_BYTES],
                         char ret[UUID_LENGTH + 1])
{
        unsigned char bytes[UUID_BYTES];
        memcpy(bytes, random, UUID_BYTES);
        for (int i = 5; i >= 0; i--, ms >>= 8)
                bytes[i] = (unsigned char)(ms & 0xff);
        uuid_format_version(bytes, 7, ret);
}

static int hex_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c = (char)(c | 0x20);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int uuid_parse(sj_str text, unsigned char ret[UUID_BYTES])
{
        if (text.n != UUID_LENGTH)
                return -EBADMSG;
        unsigned char bytes[UUID_BYTES];
        const char *p = text.data;
        for (size_t i = 0; i < UUID_BYTES; i++, p += 2) {
                if (dash_before(i) && *p++ != '-')
                        return -EBADMSG;
                int high = hex_value(p[0]), low = hex_value(p[1]);
                if (high < 0 || low < 0)
                        return -EBADMSG;
                bytes[i] = (unsigned char)(high << 4 | low);
        }
        memcpy(ret, bytes, UUID_BYTES);
        return 0;
}

bool uuid_valid(sj_str text)
{
        unsigned char bytes[UUID_BYTES];
        return uuid_parse(text, bytes) == 0;
}
