/* SPDX-License-Identifier: MIT */
/* Host names, hosts(5) and resolv.conf(5) as text: pure functions. */
#include "net/names.h"

#include "net/address.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

enum { LABEL_MAX = 63, DNS_PORT = 53 };

static bool is_label_char(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static char lower(char c)
{
        return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

int names_normalize(const char *host, char ret[SJ_HOST_MAX + 1], bool *ret_absolute)
{
        char name[SJ_HOST_MAX + 1];
        size_t n = host ? strnlen(host, SJ_HOST_MAX + 2) : 0, label = 0;
        bool absolute = n > 0 && host[n - 1] == '.', digits = true;
        n -= absolute;
        if (n == 0 || n > SJ_HOST_MAX)
                return -EINVAL;
        for (size_t i = 0; i < n; i++) {
                char c = name[i] = lower(host[i]);
                if (c == '.' ? label == 0 : !is_label_char(c) || label == LABEL_MAX)
                        return -EINVAL;
                digits = c == '.' || (digits && c >= '0' && c <= '9');
                label = c == '.' ? 0 : label + 1;
        }
        /* A last label of digits is an address gone wrong ("1.2.3"), never a domain. */
        if (label == 0 || digits)
                return -EINVAL;
        name[n] = '\0';
        memcpy(ret, name, n + 1);
        if (ret_absolute)
                *ret_absolute = absolute;
        return 0;
}

bool names_below(const char *name, const char *domain)
{
        size_t n = strlen(name), k = strlen(domain);
        return n >= k && strcmp(name + n - k, domain) == 0 && (n == k || name[n - k - 1] == '.');
}

static unsigned count_dots(const char *name)
{
        unsigned dots = 0;
        for (; *name; name++)
                dots += *name == '.';
        return dots;
}

bool names_candidate(const names_config *config, const char *name, bool absolute, size_t i,
                     char ret[SJ_HOST_MAX + 1])
{
        size_t domains = absolute ? 0 : config->search_count;
        size_t own = count_dots(name) >= config->ndots ? 0 : domains;
        if (i > domains)
                return false;
        const char *domain = i == own ? "" : config->search[i > own ? i - 1 : i];
        int n = snprintf(ret, SJ_HOST_MAX + 1, "%s%s%s", name, *domain ? "." : "", domain);
        /* Too long with its domain: ask for the name itself once more instead, which is harmless.
         */
        if (n > SJ_HOST_MAX)
                snprintf(ret, SJ_HOST_MAX + 1, "%s", name);
        return true;
}

/* The next word of the line, which is moved behind it; empty at the end or at a comment. */
static sj_str next_word(sj_str *line)
{
        size_t i = 0, from;
        while (i < line->n && strchr(" \t\r\v\f", line->data[i]) && line->data[i])
                i++;
        for (from = i; i < line->n && line->data[i] && !strchr(" \t\r\v\f#", line->data[i]);)
                i++;
        sj_str word = {line->data + from, i - from};
        *line = (sj_str){line->data + i, line->n - i};
        return word;
}

static sj_str next_line(sj_str *text)
{
        const char *end = text->n ? memchr(text->data, '\n', text->n) : NULL;
        size_t n = end ? (size_t)(end - text->data) : text->n;
        sj_str line = {text->data, n};
        size_t skip = n + (end != NULL);
        *text = (sj_str){text->data + skip, text->n - skip};
        return line;
}

/* A word as a NUL-terminated string; too long ones become empty. */
static const char *word_text(sj_str word, char ret[SJ_HOST_MAX + 2])
{
        size_t n = word.n <= SJ_HOST_MAX ? word.n : 0;
        if (n)
                memcpy(ret, word.data, n);
        ret[n] = '\0';
        return ret;
}

static void parse_server(sj_str *line, names_config *c)
{
        char host[SJ_HOST_MAX + 2];
        unsigned long port = DNS_PORT;
        word_text(next_word(line), host);
        char *colon = host[0] == '[' ? strstr(host, "]:") : NULL;
        if (colon) {
                port = strtoul(colon + 2, NULL, 10);
                *colon = '\0';
                memmove(host, host + 1, (size_t)(colon - host));
        }
        if (c->server_count == NAMES_SERVERS_MAX || port == 0 || port > UINT16_MAX)
                return;
        if (sj_address_parse(host, (uint16_t)port, &c->servers[c->server_count]) == 0)
                c->server_count++;
}

static void parse_search(sj_str *line, names_config *c)
{
        /* The last such line wins. */
        c->search_count = 0;
        for (sj_str w = next_word(line); w.n; w = next_word(line)) {
                char domain[SJ_HOST_MAX + 2];
                if (c->search_count < NAMES_SEARCH_MAX &&
                    names_normalize(word_text(w, domain), c->search[c->search_count], NULL) == 0)
                        c->search_count++;
        }
}

/* The number after "name:", at least least and at most most; -1 when it is another option. */
static long option_number(const char *word, const char *name, long least, long most)
{
        size_t n = strlen(name);
        if (strncmp(word, name, n) != 0 || word[n] != ':')
                return -1;
        long value = strtol(word + n + 1, NULL, 10);
        return value < least ? least : value > most ? most : value;
}

static void parse_options(sj_str *line, names_config *c)
{
        for (sj_str w = next_word(line); w.n; w = next_word(line)) {
                char word[SJ_HOST_MAX + 2];
                long value;
                word_text(w, word);
                if ((value = option_number(word, "ndots", 0, NAMES_NDOTS_MAX)) >= 0)
                        c->ndots = (unsigned)value;
                else if ((value = option_number(word, "attempts", 1, NAMES_ATTEMPTS_MAX)) >= 0)
                        c->attempts = (unsigned)value;
                else if ((value = option_number(word, "timeout", 1, NAMES_TIMEOUT_MAX)) >= 0)
                        c->timeout = value * SJ_SEC;
                else if (strcmp(word, "rotate") == 0)
                        c->rotate = true;
                else if (strcmp(word, "use-vc") == 0)
                        c->tcp = true;
        }
}

void names_config_parse(sj_str text, names_config *ret)
{
        static const struct {
                const char *keyword;
                void (*parse)(sj_str *line, names_config *c);
        } lines[] = {
                {"nameserver", parse_server},
                {"domain", parse_search},
                {"search", parse_search},
                {"options", parse_options},
        };
        *ret = (names_config){.ndots = 1, .attempts = 2, .timeout = 5 * SJ_SEC};
        while (text.n) {
                sj_str line = next_line(&text);
                sj_str keyword = next_word(&line);
                for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
                        if (sj_str_equal(keyword, sj_str_of(lines[i].keyword)))
                                lines[i].parse(&line, ret);
        }
        if (ret->server_count == 0)
                (void)sj_address_parse("127.0.0.1", DNS_PORT, &ret->servers[ret->server_count++]);
}

void names_answer_add(names_answer *answer, int family, const void *bytes)
{
        names_address a = {.family = family};
        memcpy(a.bytes, bytes, family == AF_INET ? 4 : 16);
        for (size_t i = 0; i < answer->n; i++)
                if (answer->addresses[i].family == family &&
                    memcmp(answer->addresses[i].bytes, a.bytes, sizeof(a.bytes)) == 0)
                        return;
        if (answer->n < SJ_ADDRESSES_MAX)
                answer->addresses[answer->n++] = a;
}

/* The address at the beginning of a line of hosts(5). */
static void add_line(sj_str line, names_answer *answer)
{
        char digits[SJ_HOST_MAX + 2];
        sj_address a;
        if (sj_address_parse(word_text(next_word(&line), digits), 0, &a) < 0)
                return;
        if (address_family(&a) == AF_INET) {
                const struct sockaddr_in *in = (const void *)&a.storage;
                names_answer_add(answer, AF_INET, &in->sin_addr);
        } else {
                const struct sockaddr_in6 *in6 = (const void *)&a.storage;
                names_answer_add(answer, AF_INET6, &in6->sin6_addr);
        }
}

/* Whether the line has the name behind its address. */
static bool line_names(sj_str line, sj_str name)
{
        next_word(&line);
        for (sj_str w = next_word(&line); w.n; w = next_word(&line))
                if (sj_str_equal(w, name))
                        return true;
        return false;
}

bool names_hosts_find(sj_str text, const char *name, names_answer *ret)
{
        sj_str wanted = sj_str_of(name);
        names_answer answer = {0};
        /* Searching for the bytes first keeps a file of a million blocked names bearable. */
        while (text.n) {
                const char *hit = memmem(text.data, text.n, wanted.data, wanted.n);
                if (!hit)
                        break;
                const char *from = memrchr(text.data, '\n', (size_t)(hit - text.data));
                from = from ? from + 1 : text.data;
                text = (sj_str){from, text.n - (size_t)(from - text.data)};
                sj_str line = next_line(&text);
                if (line_names(line, wanted))
                        add_line(line, &answer);
        }
        if (answer.n == 0)
                return false;
        *ret = answer;
        return true;
}

void names_answer_interleave(names_answer *answer)
{
        names_answer old = *answer;
        size_t next[2] = {0, 0}, n = 0;
        static const int families[2] = {AF_INET6, AF_INET};
        for (int turn = 0; n < old.n; turn = !turn) {
                size_t *i = &next[turn];
                while (*i < old.n && old.addresses[*i].family != families[turn])
                        (*i)++;
                if (*i < old.n)
                        answer->addresses[n++] = old.addresses[(*i)++];
        }
}
