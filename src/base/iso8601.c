/* SPDX-License-Identifier: MIT */
/*
 * Days are counted in eras of 400 years that begin on the first of March, since then the leap day
 * is the last of its year and the lengths of the months follow one linear formula.
 */
#include "base/iso8601.h"

#include "base/utf8.h"

enum {
        ERA_DAYS = 146097,
        EPOCH_DAYS = 719468, /* from 0000-03-01 to 1970-01-01 */
        DAY_SECONDS = 86400,
        SECOND_US = 1000000,
};

static int64_t days_from_civil(int year, int month, int day)
{
        int y = year - (month <= 2); /* not below 0: year is at least 1 */
        int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
        int in_era = y % 400;
        int of_era = in_era * 365 + in_era / 4 - in_era / 100 + of_year;
        return (int64_t)(y / 400) * ERA_DAYS + of_era - EPOCH_DAYS;
}

static void civil_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
        int64_t shifted = days + EPOCH_DAYS; /* not below 0 in the years that we write */
        int of_era = (int)(shifted % ERA_DAYS);
        int in_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
        int of_year = of_era - (365 * in_era + in_era / 4 - in_era / 100);
        int m = (5 * of_year + 2) / 153;
        *ret_day = of_year - (153 * m + 2) / 5 + 1;
        *ret_month = m < 10 ? m + 3 : m - 9;
        *ret_year = (int)(shifted / ERA_DAYS) * 400 + in_era + (*ret_month <= 2);
}

static char *put_digits(char *out, int value, int width, char after)
{
        for (int i = width - 1; i >= 0; i--, value /= 10)
                out[i] = (char)('0' + value % 10);
        out[width] = after;
        return out + width + 1;
}

int iso8601_format(sj_wall when, char ret[ISO8601_LENGTH + 1])
{
        const int64_t first = days_from_civil(1, 1, 1), end = days_from_civil(10000, 1, 1);
        const int64_t day_us = (int64_t)DAY_SECONDS * SECOND_US;
        int64_t days = when.us / day_us, rest = when.us % day_us;
        if (rest < 0) {
                rest += day_us;
                days--;
        }
        if (days < first || days >= end)
                return -ERANGE;
        int year, month, day, second = (int)(rest / SECOND_US);
        civil_from_days(days, &year, &month, &day);
        char *out = put_digits(ret, year, 4, '-');
        out = put_digits(out, month, 2, '-');
        out = put_digits(out, day, 2, 'T');
        out = put_digits(out, second / 3600, 2, ':');
        out = put_digits(out, second / 60 % 60, 2, ':');
        out = put_digits(out, second % 60, 2, '.');
        out = put_digits(out, (int)(rest % SECOND_US), 6, '+');
        memcpy(out, "00:00", sizeof("00:00"));
        return 0;
}

/* What is left to read. A take_... that finds something else sets wrong, and the rest fails. */
typedef struct cursor {
        const char *p, *end;
        bool wrong;
} cursor;

static bool at(const cursor *c, char expected)
{
        return c->p < c->end && *c->p == expected;
}

static void take(cursor *c, char expected)
{
        if (at(c, expected))
                c->p++;
        else
                c->wrong = true;
}

static int take_number(cursor *c, int width, int lowest, int highest)
{
        int value = 0;
        for (int i = 0; i < width; i++, c->p++) {
                if (c->p >= c->end || *c->p < '0' || *c->p > '9') {
                        c->wrong = true;
                        return lowest;
                }
                value = value * 10 + (*c->p - '0');
        }
        if (value < lowest || value > highest) {
                c->wrong = true;
                return lowest;
        }
        return value;
}

static int month_days(int year, int month)
{
        static const int days[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        return days[month] + (leap && month == 2);
}

static int64_t take_days(cursor *c)
{
        int year = take_number(c, 4, 1, 9999);
        take(c, '-');
        int month = take_number(c, 2, 1, 12);
        take(c, '-');
        int day = take_number(c, 2, 1, month_days(year, month));
        return days_from_civil(year, month, day);
}

static void take_separator(cursor *c)
{
        uint32_t any;
        unsigned n = c->p < c->end ? utf8_decode(c->p, c->end, UTF8_WTF, &any) : 0;
        c->p += n;
        c->wrong |= n == 0;
}

static int take_hours_minutes(cursor *c)
{
        int hours = take_number(c, 2, 0, 23);
        take(c, ':');
        return (hours * 60 + take_number(c, 2, 0, 59)) * 60;
}

static int64_t take_fraction(cursor *c)
{
        int64_t us = 0;
        int unit = SECOND_US;
        if (!at(c, '.'))
                return 0;
        c->p++;
        us += take_number(c, 1, 0, 9) * (unit /= 10);
        for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++)
                us += (*c->p - '0') * (unit /= 10);
        return us;
}

static int take_offset(cursor *c)
{
        if (c->p == c->end)
                return 0;
        char sign = *c->p++;
        if (sign == 'Z')
                return 0;
        if (sign != '+' && sign != '-')
                c->wrong = true;
        int seconds = take_hours_minutes(c);
        return sign == '-' ? -seconds : seconds;
}

int iso8601_parse(sj_str text, sj_wall *ret)
{
        cursor c = {text.data, text.n ? text.data + text.n : text.data, text.n == 0};
        int64_t seconds = take_days(&c) * DAY_SECONDS;
        take_separator(&c);
        seconds += take_hours_minutes(&c);
        take(&c, ':');
        seconds += take_number(&c, 2, 0, 59);
        int64_t us = take_fraction(&c);
        seconds -= take_offset(&c);
        if (c.wrong || c.p != c.end)
                return -EBADMSG;
        ret->us = seconds * SECOND_US + us;
        return 0;
}
