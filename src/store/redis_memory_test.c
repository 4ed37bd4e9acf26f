/* SPDX-License-Identifier: MIT */
/* Commands take no memory but of the caller's arena: counted by standing in for malloc. */
#include "store/redis_server.h"
#include "store/redis_unit.h"

enum { FIBERS = 40, CALLS = 100 };

static size_t allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size)
{
        allocations++;
        return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
        allocations++;
        return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
        allocations++;
        return __real_realloc(p, size);
}

typedef struct caller {
        redis *r;
        redis_script *script;
        sj_arena *arena;
        bool impatient;
} caller;

static int call_often(void *arg)
{
        caller *c = arg;
        for (int i = 0; i < CALLS; i++) {
                const redis_reply *reply;
                sj_time deadline = c->impatient ? sj_after(i * SJ_US) : SJ_NEVER;
                int k = redis_call(c->r, c->arena, WORDS(W("LRANGE"), W("l"), W("0"), W("-1")),
                                   &reply, deadline);
                expect(k == 0 || (c->impatient && k == -ETIMEDOUT));
                k = redis_script_call(c->r, c->arena, c->script, (sj_str[]){W("l")}, 1, 1, &reply,
                                      false, deadline);
                expect(k == 0 || (c->impatient && k == -ETIMEDOUT));
                sj_arena_reset(c->arena);
        }
        return 0;
}

static void all_call(caller callers[])
{
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < FIBERS; i++)
                expect_equal(sj_spawn(s, call_often, &callers[i], NULL), 0);
        expect_equal(sj_scope_join(s), 0);
}

static int commands_allocate_nothing(void *arg)
{
        caller callers[FIBERS];
        sj_arena *a = test_arena();
        redis_script script = {.text = "return redis.call('LLEN', KEYS[1])"};
        redis *r = test_open((redis_options){.url = redis_server_url(arg)});
        test_ask(r, a, WORDS(W("RPUSH"), W("l"), W("one"), W("two"), W("three")));
        for (int i = 0; i < FIBERS; i++)
                callers[i] = (caller){r, &script, test_arena(), i % 4 == 0};
        all_call(callers);
        size_t before = allocations;
        all_call(callers);
        expect_equal(allocations - before, 0);
        for (int i = 0; i < FIBERS; i++)
                sj_arena_free(callers[i].arena);
        redis_close(r);
        sj_arena_free(a);
        return 0;
}

static void test_commands_allocate_nothing(void **state)
{
        (void)state;
        redis_server *server = redis_server_start(NULL);
        expect_equal(sj_run(commands_allocate_nothing, server), 0);
        redis_server_stop(server);
}

int main(void)
{
        REDIS_SERVER_OR_SKIP();
        const struct CMUnitTest tests[] = {SIM_UNIT_ROW(commands_allocate_nothing)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
