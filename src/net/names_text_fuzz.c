/* SPDX-License-Identifier: MIT */
/*
 * Host names come from foreign texts (a URL, a redirect), the two files from whoever set up the
 * machine. The first line is a name; the rest is read as each of the files.
 */
#include "net/names.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Each of the names to ask for is a host name itself, or too long by its domain. */
static void try_name(const names_config *config, const char *host, sj_str text)
{
        char name[SJ_HOST_MAX + 1], again[SJ_HOST_MAX + 1], one[SJ_HOST_MAX + 1];
        bool absolute;
        sj_address address;
        names_answer answer;
        (void)sj_address_parse(host, 1, &address);
        if (names_normalize(host, name, &absolute) < 0)
                return;
        if (names_normalize(name, again, NULL) < 0 || strcmp(name, again) != 0)
                abort();
        for (size_t i = 0; names_candidate(config, name, absolute, i, one); i++)
                if (i > NAMES_SEARCH_MAX || names_normalize(one, again, NULL) < 0)
                        abort();
        if (names_hosts_find(text, name, &answer) && (answer.n == 0 || answer.n > SJ_ADDRESSES_MAX))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        const char *text = (const char *)data;
        const char *end = n ? memchr(text, '\n', n) : NULL;
        size_t k = end ? (size_t)(end - text) : n;
        char *host = malloc(k + 1);
        if (!host)
                return 0;
        if (k)
                memcpy(host, text, k);
        host[k] = '\0';
        names_config config;
        names_config_parse((sj_str){text, n}, &config);
        if (config.server_count == 0 || config.server_count > NAMES_SERVERS_MAX ||
            config.search_count > NAMES_SEARCH_MAX)
                abort();
        try_name(&config, host, (sj_str){text + k, n - k});
        free(host);
        return 0;
}
