/* SPDX-License-Identifier: MIT */
/*
 * The normal form of a URL is a URL, and its own normal form; it can stand in a request; what is
 * resolved against a base is in normal form too. The input is a base and a reference, with a
 * newline between.
 */
#include "codec/http1.h"
#include "codec/url.h"

#include <stdlib.h>

static void check(bool holds)
{
        if (!holds)
                abort();
}

static void check_normal(sj_arena *arena, const struct url *u)
{
        struct url again;
        check(url_parse(arena, u->text, &again) == URL_OK);
        check(sj_str_equal(again.text, u->text) && sj_str_equal(again.host, u->host));
        check(sj_str_equal(again.target, u->target) && again.port == u->port);
        check(again.https == u->https && again.userinfo.n == 0);
        check(http1_is_target(u->target) && u->target.data[0] == '/' && u->path.data[0] == '/');
        url_authority authority;
        check(url_authority_parse(u->authority, &authority) == URL_OK);
        check(sj_str_equal(authority.host, u->host));
        check(u->text.n <= URL_MAX && u->port != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        sj_arena *arena;
        sj_str base_text = {(const char *)data, size}, reference = {"", 0};
        const char *line = size ? memchr(data, '\n', size) : NULL;
        if (line) {
                base_text.n = (size_t)(line - base_text.data);
                reference = (sj_str){line + 1, size - base_text.n - 1};
        }
        if (sj_arena_new(&arena) < 0)
                return 0;
        struct url base, u;
        if (url_parse(arena, base_text, &base) == URL_OK) {
                check_normal(arena, &base);
                if (url_resolve(arena, &base, reference, &u) == URL_OK)
                        check_normal(arena, &u);
        }
        sj_arena_free(arena);
        return 0;
}
