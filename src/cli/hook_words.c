/* SPDX-License-Identifier: MIT */
/* The words are written behind the array of pointers: together they are no longer than the text. */
#include "cli/hook_words.h"

#include <stdlib.h>

typedef struct splitter {
        const char *at;
        char *out;
} splitter;

/* What stands in quotes; false: they do not end. */
static bool take_quoted(splitter *s, char quote)
{
        for (; *s->at != quote; s->at++) {
                if (quote == '"' && *s->at == '\\' && (s->at[1] == '"' || s->at[1] == '\\'))
                        s->at++;
                if (!*s->at)
                        return false;
                *s->out++ = *s->at;
        }
        s->at++;
        return true;
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\n';
}

static bool take_word(splitter *s)
{
        while (*s->at && !is_blank(*s->at)) {
                char c = *s->at++;
                if (c == '\'' || c == '"') {
                        if (!take_quoted(s, c))
                                return false;
                        continue;
                }
                if (c == '\\' && !(c = *s->at++))
                        return false;
                *s->out++ = c;
        }
        *s->out++ = '\0';
        return true;
}

int hook_words_split(const char *text, char ***ret)
{
        size_t n = strlen(text), most = n / 2 + 2, count = 0;
        char **words = malloc(most * sizeof(*words) + n + 1);
        if (!words)
                return -ENOMEM;
        splitter s = {text, (char *)(words + most)};
        for (;;) {
                while (is_blank(*s.at))
                        s.at++;
                if (!*s.at)
                        break;
                words[count++] = s.out;
                if (!take_word(&s)) {
                        count = 0;
                        break;
                }
        }
        words[count] = NULL;
        if (count == 0) {
                free(words);
                return -EINVAL;
        }
        *ret = words;
        return 0;
}
