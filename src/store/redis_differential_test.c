/* SPDX-License-Identifier: MIT */
/*
 * The model of the tests against the real thing: both are told the same commands, some chosen by a
 * person and many by chance, through the same client, and must give the same replies.
 */
#include "store/redis_model.h"
#include "store/redis_server.h"
#include "store/redis_unit.h"

enum { RANDOM_COMMANDS = 20000, WORDS_MOST = 8 };

static void print(const redis_reply *r)
{
        static const char signs[] = {
                [REDIS_NIL] = '_',     [REDIS_STATUS] = '+', [REDIS_ERROR] = '-',
                [REDIS_INTEGER] = ':', [REDIS_STRING] = '$', [REDIS_ARRAY] = '*'};
        fprintf(stderr, "%c%.*s %lld [", signs[r->type], SJ_STR_ARG(r->text),
                (long long)r->integer);
        for (size_t i = 0; i < r->n; i++)
                print(&r->elements[i]);
        fprintf(stderr, "] ");
}

static bool equal(const redis_reply *a, const redis_reply *b)
{
        if (a->type != b->type || a->integer != b->integer || a->n != b->n ||
            !sj_str_equal(a->text, b->text))
                return false;
        for (size_t i = 0; i < a->n; i++)
                if (!equal(&a->elements[i], &b->elements[i]))
                        return false;
        return true;
}

static void compare(redis *real, redis *model, sj_arena *arena, const sj_str words[], size_t n)
{
        const redis_command command = {words, n};
        const redis_reply *a, *b;
        expect_equal(redis_call_all(real, arena, &command, 1, &a, SJ_NEVER), 0);
        expect_equal(redis_call_all(model, arena, &command, 1, &b, SJ_NEVER), 0);
        if (equal(a, b))
                return;
        for (size_t i = 0; i < n; i++)
                fprintf(stderr, "%.*s ", SJ_STR_ARG(words[i]));
        fprintf(stderr, "\nreal:  ");
        print(a);
        fprintf(stderr, "\nmodel: ");
        print(b);
        fprintf(stderr, "\n");
        expect(false);
}

/* Words of a line; "" stands for the empty one. */
static size_t split(const char *line, sj_str words[])
{
        size_t n = 0;
        for (const char *at = line; *at; n++) {
                expect(n < WORDS_MOST);
                size_t length = strcspn(at, " ");
                bool empty = length == 2 && at[0] == '"' && at[1] == '"';
                words[n] = (sj_str){at, empty ? 0 : length};
                at += length;
                at += *at == ' ';
        }
        return n;
}

static const char *const recorded[] = {
        "FLUSHALL",
        "PING",
        "PING hello",
        "ECHO \"\"",
        "GET none",
        "SET a 1",
        "GET a",
        "INCR a",
        "INCR a",
        "GET a",
        "SET s text",
        "INCR s",
        "LPUSH s x",
        "EXISTS a s b",
        "DEL a s b",
        "LPUSH l a b c",
        "RPUSH l d \"\"",
        "LLEN l",
        "LRANGE l 0 -1",
        "LRANGE l 1 2",
        "LRANGE l -2 9",
        "LRANGE l 5 1",
        "LRANGE none 0 -1",
        "RPOP l",
        "LPOP l",
        "LPOP l 2",
        "RPOP l 0",
        "RPOP l 9",
        "RPOP l",
        "RPOP l 1",
        "LLEN l",
        "RPOP l -1",
        "HSET h f v",
        "HSET h f w g x",
        "HGET h f",
        "HGET h none",
        "HGET none f",
        "HLEN h",
        "HDEL h f none",
        "HDEL h g",
        "EXISTS h",
        "HSET h f",
        "LPUSH k",
        "GET",
        "SET a",
        "NOSUCH a b",
        "LRANGE l x 1",
        "BRPOP none 0.01",
        "EVALSHA none 0",
        "SELECT 99",
        "SELECT 1",
        "SET a other",
        "SELECT 0",
        "GET a",
        "EXEC",
        "MULTI",
        "INCR n",
        "LPUSH n x",
        "EXEC",
        "GET n",
        "MULTI",
        "INCR n",
        "INCR",
        "EXEC",
        "GET n",
        "PUBLISH c x",
        "SCRIPT FLUSH",
};

static sj_str any_of(const char *const texts[], size_t n)
{
        return sj_str_of(texts[(size_t)rand() % n]);
}

#define ANY(...)                                   \
        any_of((const char *const[]){__VA_ARGS__}, \
               sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* A command of few keys and values, so that they meet. */
static size_t make_any(sj_str words[])
{
        size_t n = (size_t)(1 + rand() % 5);
        words[0] = ANY("GET", "SET", "DEL", "EXISTS", "INCR", "LPUSH", "RPUSH", "LPOP", "RPOP",
                       "LLEN", "LRANGE", "HSET", "HGET", "HDEL", "HLEN");
        for (size_t i = 1; i < n; i++)
                words[i] = i == 1 ? ANY("a", "b", "c")
                                  : ANY("0", "1", "2", "-1", "x", "yy", "9223372036854775807", "");
        return n;
}

/* What the model does not do: options, and more arguments than a command has. */
static bool is_known(const sj_str words[], size_t n)
{
        static const struct {
                const char *verb;
                size_t most;
        } most[] = {{"GET", 2},  {"SET", 3},    {"INCR", 2}, {"LPOP", 3}, {"RPOP", 3},
                    {"LLEN", 2}, {"LRANGE", 4}, {"HGET", 3}, {"HLEN", 2}};
        for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++)
                if (sj_str_equal(words[0], sj_str_of(most[i].verb)))
                        return n <= most[i].most;
        return true;
}

static int the_model_does_what_redis_does(void *arg)
{
        redis_model m = {0};
        sj_str words[WORDS_MOST];
        sj_arena *a = test_arena();
        SJ_SCOPE(s, SJ_NEVER, 0);
        redis_model_start(&m, s);
        redis *real = test_open((redis_options){.url = redis_server_url(arg)});
        redis *model = test_open((redis_options){.url = m.url});
        for (size_t i = 0; i < sizeof(recorded) / sizeof(recorded[0]); i++)
                compare(real, model, a, words, split(recorded[i], words));
        srand(1);
        for (int i = 0; i < RANDOM_COMMANDS; i++) {
                size_t n = make_any(words);
                if (is_known(words, n))
                        compare(real, model, a, words, n);
                sj_arena_reset(a);
        }
        redis_close(real);
        redis_close(model);
        redis_model_stop(&m);
        sj_arena_free(a);
        return 0;
}

static void test_the_model_does_what_redis_does(void **state)
{
        (void)state;
        redis_server *server = redis_server_start(NULL);
        expect_equal(sj_run(the_model_does_what_redis_does, server), 0);
        redis_server_stop(server);
}

int main(void)
{
        REDIS_SERVER_OR_SKIP();
        const struct CMUnitTest tests[] = {SIM_UNIT_ROW(the_model_does_what_redis_does)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
