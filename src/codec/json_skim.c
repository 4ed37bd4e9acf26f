/* SPDX-License-Identifier: MIT */
#include "codec/json_skim.h"

#include "codec/json_scan.h"

json_skim json_skim_of(sj_str text)
{
        return (json_skim){text.data, text.data + text.n, text.n == 0};
}

/* Nothing is found any more. */
static void give_up(json_skim *s)
{
        s->odd = true;
        s->p = s->end;
}

static void skip_space(json_skim *s)
{
        while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
                s->p++;
}

static bool next_is(json_skim *s, char c)
{
        skip_space(s);
        if (s->p == s->end)
                give_up(s);
        return s->p < s->end && *s->p == c;
}

/* From p on: where a byte is that a string does not have as it is, or the end. */
static const char *skip_plain(const char *p, const char *end)
{
        char unused[JSON_SCAN_WIDTH];
        while (end - p >= JSON_SCAN_WIDTH) {
                unsigned n = json_copy16(unused, p);
                p += n;
                if (n < JSON_SCAN_WIDTH)
                        return p;
        }
        while (p < end && json_is_plain(*p))
                p++;
        return p;
}

/* Steps over the string that is next. Whether it stands for itself, byte for byte. */
static bool skip_string(json_skim *s)
{
        bool plain = true;
        for (s->p++;; s->p++) {
                s->p = skip_plain(s->p, s->end);
                if (s->p == s->end)
                        break;
                if (*s->p == '"') {
                        s->p++;
                        return plain;
                }
                plain = false;
                s->p += *s->p == '\\' && s->p + 1 < s->end;
        }
        give_up(s);
        return false;
}

bool json_skim_open(json_skim *s)
{
        if (!next_is(s, '{'))
                return false;
        s->p++;
        return true;
}

bool json_skim_member(json_skim *s, sj_str *ret_name)
{
        if (next_is(s, ','))
                s->p++;
        if (next_is(s, '}')) {
                s->p++;
                return false;
        }
        sj_str name = {NULL, 0};
        if (next_is(s, '"'))
                name = json_skim_string(s);
        if (!name.data || !next_is(s, ':')) {
                give_up(s);
                return false;
        }
        s->p++;
        *ret_name = name;
        return true;
}

static void skip_container(json_skim *s)
{
        for (size_t depth = 0; s->p < s->end;) {
                char c = *s->p;
                if (c == '"') {
                        skip_string(s);
                        continue;
                }
                depth += c == '{' || c == '[';
                depth -= c == '}' || c == ']';
                s->p++;
                if (depth == 0)
                        return;
        }
        give_up(s);
}

static void skip_word(json_skim *s)
{
        const char *begin = s->p;
        while (s->p < s->end && (unsigned char)*s->p > ' ' && *s->p != ',' && *s->p != '}' &&
               *s->p != ']')
                s->p++;
        if (s->p == begin)
                give_up(s);
}

sj_str json_skim_value(json_skim *s)
{
        skip_space(s);
        const char *begin = s->p;
        if (s->p == s->end)
                give_up(s);
        else if (*s->p == '"')
                skip_string(s);
        else if (*s->p == '{' || *s->p == '[')
                skip_container(s);
        else
                skip_word(s);
        return s->odd ? (sj_str){NULL, 0} : (sj_str){begin, (size_t)(s->p - begin)};
}

sj_str json_skim_string(json_skim *s)
{
        if (!next_is(s, '"')) {
                json_skim_value(s);
                return (sj_str){NULL, 0};
        }
        const char *begin = s->p + 1;
        if (!skip_string(s)) {
                give_up(s);
                return (sj_str){NULL, 0};
        }
        return (sj_str){begin, (size_t)(s->p - 1 - begin)};
}
