/* SPDX-License-Identifier: MIT */
#include "store/redis_url.h"

#include "base/unit.h"

static sj_arena *arena;

static redis_url parse(const char *text)
{
        redis_url u;
        const char *why = "";
        int r = redis_url_parse(arena, text, &u, &why);
        if (r < 0)
                print_error("%s: %s\n", text, why);
        assert_int_equal(r, 0);
        return u;
}

static void assert_node(const redis_url *u, size_t i, const char *host, uint16_t port)
{
        assert_true(i < u->n);
        assert_string_equal(u->nodes[i].host, host);
        assert_int_equal(u->nodes[i].port, port);
}

static void each_part_has_its_default(void **state)
{
        (void)state;
        redis_url u = parse("redis://");
        assert_node(&u, 0, "localhost", 6379);
        assert_int_equal(u.db, 0);
        assert_null(u.user);
        assert_null(u.password);
        assert_false(u.tls);
        u = parse("redis://:6380");
        assert_node(&u, 0, "localhost", 6380);
        assert_int_equal(parse("redis://host//").db, 0);
        assert_int_equal(parse("redis://host//3").db, 3);
        u = parse("rediss://[::1]/");
        assert_node(&u, 0, "::1", 6379);
        assert_true(u.tls);
        assert_false(u.insecure);
}

static void all_parts_are_read(void **state)
{
        (void)state;
        redis_url u = parse("redis://ann:p%40ss@example.org:1234/7");
        assert_node(&u, 0, "example.org", 1234);
        assert_string_equal(u.user, "ann");
        assert_string_equal(u.password, "p@ss");
        assert_int_equal(u.db, 7);
        u = parse("redis://:a@b:c@host/2?visibility_timeout=3600&db=3");
        assert_null(u.user);
        assert_string_equal(u.password, "a@b:c");
        assert_node(&u, 0, "host", 6379);
        assert_int_equal(u.db, 3);
        u = parse("rediss://h?ssl_ca_certs=/a%20b.pem&ssl_certfile=c&ssl_keyfile=k"
                  "&ssl_cert_reqs=CERT_NONE");
        assert_string_equal(u.ca_file, "/a b.pem");
        assert_string_equal(u.certificate_file, "c");
        assert_string_equal(u.key_file, "k");
        assert_true(u.insecure);
}

static void sockets_and_sentinels_are_told_apart(void **state)
{
        (void)state;
        redis_url u = parse("redis+socket:///run/redis.sock?virtual_host=/4&password=x");
        assert_string_equal(u.path, "/run/redis.sock");
        assert_int_equal(u.db, 4);
        assert_string_equal(u.password, "x");
        u = parse("unix://:secret@/run/redis.sock");
        assert_string_equal(u.path, "/run/redis.sock");
        assert_string_equal(u.password, "secret");
        u = parse("sentinel://u:p@a:1/5;sentinel://b;c:3");
        assert_true(u.sentinel);
        assert_int_equal(u.n, 3);
        assert_node(&u, 0, "a", 1);
        assert_node(&u, 1, "b", 26379);
        assert_node(&u, 2, "c", 3);
        assert_int_equal(u.db, 5);
        assert_string_equal(u.password, "p");
}

static void what_is_malformed_is_refused_without_telling_it(void **state)
{
        (void)state;
        static const char *const bad[] = {
                "",
                "secret",
                "http://secret",
                "redis:/secret",
                "redis://:secret@host:0",
                "redis://:secret@host:65536",
                "redis://:secret@host:x",
                "redis://:%zzsecret@host",
                "redis://:%00secret@host",
                "redis://:secret@ho st",
                "redis://:secret@host/x",
                "redis://:secret@host/-1",
                "redis://:secret@host/99999999",
                "redis://:secret@host?db=secret",
                "rediss://:secret@host?ssl_cert_reqs=secret",
                "redis://:secret@host/0;redis://:secret@other/0",
                "redis+socket://",
                "sentinel://",
                "sentinel://;",
                "sentinel://1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17",
        };
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                redis_url u;
                const char *why = NULL;
                if (redis_url_parse(arena, bad[i], &u, &why) != -EINVAL)
                        fail_msg("taken: %s", bad[i]);
                assert_non_null(why);
                assert_null(strstr(why, "secret"));
        }
        redis_url u;
        const char *why = "";
        redis_url_parse(arena, "rediss://a/0;rediss://b/0", &u, &why);
        assert_memory_equal(why, "it is a list", 12);
}

static int setup(void **state)
{
        (void)state;
        return sj_arena_new(&arena);
}

static int teardown(void **state)
{
        (void)state;
        sj_arena_free(arena);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_part_has_its_default),
                cmocka_unit_test(all_parts_are_read),
                cmocka_unit_test(sockets_and_sentinels_are_told_apart),
                cmocka_unit_test(what_is_malformed_is_refused_without_telling_it),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
