/* SPDX-License-Identifier: MIT */
#include "http/date.h"

#include "base/iso8601.h"

static const char *const week_days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

int http_date_format(sj_wall when, char ret[HTTP_DATE_LENGTH + 1])
{
        char iso[ISO8601_LENGTH + 1];
        int r = iso8601_format(when, iso);
        if (r < 0)
                return r;
        const int64_t day_us = INT64_C(86400) * 1000000;
        int64_t day = when.us / day_us - (when.us % day_us < 0);
        size_t month = (size_t)((iso[5] - '0') * 10 + iso[6] - '0') - 1;
        memcpy(ret, "Thu, 01 Jan 1970 00:00:00 GMT", HTTP_DATE_LENGTH + 1);
        memcpy(ret, week_days[(day % 7 + 7) % 7], 3);
        memcpy(ret + 5, iso + 8, 2);
        memcpy(ret + 8, months[month], 3);
        memcpy(ret + 12, iso, 4);
        memcpy(ret + 17, iso + 11, 8);
        return 0;
}
