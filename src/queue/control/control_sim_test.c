/* SPDX-License-Identifier: MIT */
/* Asking workers and telling them, under the simulator: a worker of the solo pool, in memory. */
#include "queue/control/letter.h"
#include "queue/control/remote_bench.h"
#include "queue/queue_testdata.h"

SJ_TASK(nap, void, (int64_t, ms))
{
        return sj_sleep(ms * SJ_MS);
}
SJ_TASK_OPTIONS(nap, .name = "proj.nap", .rate_limit = "600/m");

SJ_TASK(add, int64_t, (int64_t, a), (int64_t, b))
{
        *ret = a + b;
        return 0;
}

/* ── What is asked ───────────────────────────────────────────────────────────────────────── */

static int pings(world *w)
{
        expect_answer(w, "ping", NULL, "{\"ok\": \"pong\"}");
        expect_answer(w, "nosuch", NULL, "{\"error\": \"KeyError('nosuch')\"}");
        return 0;
}

static int a_worker_answers(void *arg)
{
        (void)arg;
        return with_world(world_start_worker, pings);
}

/* ── What is asked ───────────────────────────────────────────────────────────────────────── */

static int tasks(world *w)
{
        sj_result running, waiting;
        expect_answer(w, "registered", NULL, "[\"add\", \"proj.nap [rate_limit=10/s]\"]");
        expect_answer(w, "registered", "{\"taskinfoitems\": [\"max_retries\"]}",
                      "[\"add [max_retries=3]\", \"proj.nap [max_retries=3]\"]");
        expect_equal(nap_delay(w->app, 10000, &running), 0);
        expect_equal(sj_sleep(SJ_SEC), 0);
        expect_equal(add_delay(w->app, 1, 2, &waiting), 0);
        expect_equal(sj_sleep(SJ_SEC), 0);
        const char *active = ask(w, "active", NULL);
        expect(strstr(active, running.id) && !strstr(active, waiting.id));
        expect(strstr(active, "\"args\": [10000], \"kwargs\": {}, \"type\": \"proj.nap\", "
                              "\"hostname\": \"w@sim\", \"time_start\": "));
        const char *reserved = ask(w, "dump_reserved", NULL);
        expect(!strstr(reserved, running.id) && strstr(reserved, waiting.id));
        expect(strstr(reserved, "\"time_start\": null, \"acknowledged\": false, "
                                "\"delivery_info\": {\"exchange\": \"\", \"routing_key\": "
                                "\"celery\", \"priority\": 0, \"redelivered\": null}, "
                                "\"worker_pid\": null}"));
        char query[300], start[300];
        snprintf(query, sizeof(query), "{\"ids\": [\"%s\", \"nobody\"]}", waiting.id);
        snprintf(start, sizeof(start), "{\"%s\": [\"reserved\", {\"id\": ", waiting.id);
        expect(strncmp(ask(w, "query_task", query), start, strlen(start)) == 0);
        expect_answer(w, "scheduled", NULL, "[]");
        return 0;
}

static int tasks_are_listed(void *arg)
{
        (void)arg;
        return with_world(world_start_worker, tasks);
}

/* ── Shapes ──────────────────────────────────────────────────────────────────────────────── */

/* What a real worker of Celery has answered. */
static const sj_json *capture(world *w, const char *method)
{
        char path[512];
        static char text[65536];
        letter l;
        const char *why;
        snprintf(path, sizeof(path), "%s/remote/control-%s-reply.json", QUEUE_TESTDATA, method);
        FILE *f = fopen(path, "rb");
        expect(f);
        size_t n = fread(text, 1, sizeof(text), f);
        fclose(f);
        expect_equal(letter_decode(w->arena, (sj_str){text, n}, &l, &why), 0);
        return sj_json_at(l.body, 0);
}

/* Numbers are of the kind that Python makes of them; what may be null may be so in either. */
static bool same_shape(const sj_json *theirs, const sj_json *ours, const char *name)
{
        if (!ours || sj_json_is_null(theirs) || sj_json_is_null(ours))
                return ours != NULL;
        bool same = sj_json_type_of(theirs) == sj_json_type_of(ours);
        SJ_JSON_EACH (theirs, i, value) {
                const sj_json *counterpart =
                        sj_json_type_of(theirs) == SJ_JSON_OBJECT
                                ? sj_json_find(ours, sj_json_name_at(theirs, i))
                                : sj_json_at(ours, i);
                same = same && same_shape(value, counterpart, sj_json_name_at(theirs, i).data);
        }
        if (!same)
                fprintf(stderr, "another shape: %s\n", name ? name : "element");
        return same;
}

static int shapes(world *w)
{
        static const char *const methods[] = {"active", "reserved", "active_queues", "clock",
                                              "stats",  "report",   "revoked",       "ping"};
        const sj_json *ours;
        expect_equal(add_delay(w->app, 1, 2, NULL), 0);
        expect_equal(sj_sleep(SJ_SEC), 0);
        expect_equal(nap_delay(w->app, 20000, NULL), 0);
        expect_equal(sj_sleep(SJ_SEC), 0);
        expect_equal(add_delay(w->app, 1, 2, NULL), 0);
        expect_equal(sj_sleep(SJ_SEC), 0);
        for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
                expect_equal(sj_json_parse(w->arena, sj_str_of(ask(w, methods[i], NULL)),
                                           SJ_JSON_PYTHON, &ours, NULL),
                             0);
                const sj_json *theirs = capture(w, methods[i]);
                if (strcmp(methods[i], "stats") == 0) { /* but for the names of tasks */
                        SJ_JSON_EACH (theirs, k, value)
                                expect(k == 0 ||
                                       same_shape(value,
                                                  sj_json_find(ours, sj_json_name_at(theirs, k)),
                                                  sj_json_name_at(theirs, k).data));
                        continue;
                }
                expect(same_shape(theirs, ours, methods[i]));
        }
        return 0;
}

static int answers_have_the_shapes_of_captures(void *arg)
{
        (void)arg;
        return with_world(world_start_worker, shapes);
}

/* ── What is told ────────────────────────────────────────────────────────────────────────── */

static const char *state_of(world *w, const sj_result *result)
{
        sj_outcome outcome;
        expect_equal(sj_result_get(result, w->arena, &outcome, sj_after(SJ_MIN)), 0);
        return outcome.state_name;
}

static int revokes(world *w)
{
        sj_result running, waiting;
        char said[400], arguments[400];
        expect_equal(nap_delay(w->app, 10000, &running), 0);
        expect_equal(add_delay(w->app, 1, 2, &waiting), 0);
        expect_equal(sj_sleep(SJ_SEC), 0);
        snprintf(arguments, sizeof(arguments), "{\"task_id\": [\"%s\", \"later\"]}", waiting.id);
        snprintf(said, sizeof(said), "{\"ok\": \"tasks %s, later flagged as revoked\"}",
                 waiting.id);
        expect_answer(w, "revoke", arguments, said);
        expect(strcmp(state_of(w, &waiting), "REVOKED") == 0);
        /* One that comes later, and its retries, are judged by the same ids. */
        sj_result later = {.app = w->app, .id = "later"};
        expect_equal(add_apply_async(w->app, &(sj_call){.task_id = "later"}, NULL, 3, 4), 0);
        snprintf(arguments, sizeof(arguments), "{\"task_id\": \"%s\", \"signal\": \"TERM\"}",
                 running.id);
        snprintf(said, sizeof(said), "{\"ok\": \"terminate: %s\"}", running.id);
        expect_answer(w, "terminate", arguments, said);
        expect_answer(w, "terminate", "{\"task_id\": \"no\"}",
                      "{\"ok\": \"terminate: tasks unknown\"}");
        expect(strcmp(state_of(w, &later), "REVOKED") == 0);
        snprintf(said, sizeof(said), "[\"%s\", \"later\", \"%s\", \"no\"]", waiting.id, running.id);
        expect_answer(w, "revoked", NULL, said);
        return 0;
}

static int revoked_tasks_do_not_run(void *arg)
{
        (void)arg;
        return with_world(world_start_worker, revokes);
}

static int wrong_arguments(world *w)
{
        expect_answer(w, "revoke", NULL,
                      "{\"error\": \"TypeError(\\\"revoke() missing 1 required positional "
                      "argument: 'task_id'\\\")\"}");
        expect_answer(w, "rate_limit", "{\"task_name\": \"add\", \"rate_limit\": \"3/y\"}",
                      "{\"error\": \"KeyError('y')\"}");
        expect_answer(w, "rate_limit", "{\"task_name\": \"no\", \"rate_limit\": \"3/m\"}",
                      "{\"error\": \"unknown task\"}");
        expect_answer(w, "time_limit", "{\"task_name\": \"no\", \"soft\": 1}",
                      "{\"error\": \"unknown task\"}");
        expect_answer(w, "autoscale", "{\"max\": 3, \"min\": 1}",
                      "{\"error\": \"ValueError('Autoscale not enabled')\"}");
        expect_answer(w, "pool_restart", NULL,
                      "{\"error\": \"ValueError('Pool restarts not enabled')\"}");
        expect_answer(w, "terminate", "{\"task_id\": \"a\", \"signal\": \"SIGNOSE\"}",
                      "{\"error\": \"ValueError('there is no signal NOSE')\"}");
        return 0;
}

static int what_is_wrong_is_an_error(void *arg)
{
        (void)arg;
        return with_world(world_start_worker, wrong_arguments);
}

/* What a worker has heard holds for the next one, which was not there. */
static int revokes_and_restarts(world *w)
{
        sj_result result = {.app = w->app, .id = "later"};
        expect_answer(w, "revoke", "{\"task_id\": \"later\"}",
                      "{\"ok\": \"tasks later flagged as revoked\"}");
        expect_answer(w, "revoke_by_stamped_headers", "{\"headers\": {\"customer\": [\"x\"]}}",
                      "{\"ok\": \"headers {'customer': ['x']} flagged as revoked, but not "
                      "terminated\"}");
        world_stop_worker(w);
        expect_equal(add_apply_async(w->app, &(sj_call){.task_id = "later"}, NULL, 3, 4), 0);
        world_start_worker(w);
        expect(strcmp(state_of(w, &result), "REVOKED") == 0);
        expect_answer(w, "revoked", NULL, "[\"later\"]");
        const char *hello = ask(w, "hello",
                                "{\"from_node\": \"other@x\", \"revoked\": {\"b\": "
                                "[3.5, \"b\"]}}");
        expect(strstr(hello, "{\"revoked\": {\"later\": [") == hello);
        expect(strstr(hello, "], \"b\": ["));
        expect_answer(w, "revoked", NULL, "[\"later\", \"b\"]");
        expect_answer(w, "hello", "{\"from_node\": \"w@sim\"}", "null");
        return 0;
}

static int a_revoke_outlives_the_worker_that_heard_it(void *arg)
{
        (void)arg;
        return with_world(world_start_worker, revokes_and_restarts);
}

/* A program's own revoke holds for the retries, which its worker alone cannot know of. */
static int revokes_by_program(world *w)
{
        sj_result result;
        char said[200];
        expect_equal(nap_delay(w->app, 20000, &result), 0);
        expect_equal(sj_sleep(SJ_SEC), 0);
        expect_equal(sj_result_revoke(&result, SJ_NEVER), 0);
        expect_equal(sj_sleep(SJ_SEC), 0);
        snprintf(said, sizeof(said), "[\"%s\"]", result.id);
        expect_answer(w, "revoked", NULL, said);
        world_stop_worker(w);
        world_start_worker(w);
        expect_answer(w, "revoked", NULL, said);
        return 0;
}

static int a_programs_revoke_is_kept(void *arg)
{
        (void)arg;
        return with_world(world_start_worker, revokes_by_program);
}

/* ── To whom ─────────────────────────────────────────────────────────────────────────────── */

static int count_replies(world *w, control_call call)
{
        const control_reply *replies;
        call.method = "ping";
        return control_broadcast(w->broker, &w->clock, &call, w->arena, &replies,
                                 sj_after(CONTROL_TIMEOUT));
}

static int addresses(world *w)
{
        const sj_str us[] = {SJ_STR("w@sim"), SJ_STR("v@sim")};
        expect_equal(count_replies(w, (control_call){.nodes = us, .n_nodes = 1}), 1);
        expect_equal(count_replies(w, (control_call){.nodes = us, .n_nodes = 2}), 1);
        expect_equal(count_replies(w, (control_call){.nodes = us + 1, .n_nodes = 1}), 0);
        expect_equal(count_replies(w, (control_call){.pattern = SJ_STR("[v-w]@*m")}), 1);
        expect_equal(count_replies(w, (control_call){.pattern = SJ_STR("v@*")}), 0);
        expect_equal(count_replies(w, (control_call){.silent = true}), 0);
        return 0;
}

static int only_those_meant_answer(void *arg)
{
        (void)arg;
        return with_world(world_start_worker, addresses);
}

static int nonsense(world *w)
{
        static const char *const texts[] = {
                "",
                "nonsense",
                "[]",
                "{}",
                "{\"body\": 3}",
                "{\"body\": \"e30=\", \"content-type\": \"application/json\", "
                "\"properties\": {\"body_encoding\": \"base64\"}}",
                "{\"body\": \"W10=\", \"content-type\": \"application/x-python-serialize\", "
                "\"properties\": {\"body_encoding\": \"base64\"}}",
                "{\"body\": \"{\\\"method\\\": \\\"revoke\\\", \\\"arguments\\\": []}\", "
                "\"content-type\": \"application/json\"}",
        };
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                expect_equal(broker_emit(w->broker, SJ_STR(CONTROL_CHANNEL), sj_str_of(texts[i]),
                                         SJ_NEVER),
                             0);
        return pings(w);
}

static int nonsense_harms_nobody(void *arg)
{
        (void)arg;
        return with_world(world_start_worker, nonsense);
}

static int shuts_down(world *w)
{
        const control_reply *replies;
        const control_call call = {.method = "shutdown"};
        expect_equal(control_broadcast(w->broker, &w->clock, &call, w->arena, &replies,
                                       sj_after(CONTROL_TIMEOUT)),
                     0);
        expect_equal(count_replies(w, (control_call){.limit = 1}), 0);
        return 0;
}

static int a_shutdown_has_no_answer(void *arg)
{
        (void)arg;
        return with_world(world_start_worker, shuts_down);
}

#define TESTS(X)                                      \
        X(a_worker_answers)                           \
        X(tasks_are_listed)                           \
        X(answers_have_the_shapes_of_captures)        \
        X(revoked_tasks_do_not_run)                   \
        X(what_is_wrong_is_an_error)                  \
        X(a_revoke_outlives_the_worker_that_heard_it) \
        X(a_programs_revoke_is_kept)                  \
        X(only_those_meant_answer)                    \
        X(nonsense_harms_nobody)                      \
        X(a_shutdown_has_no_answer)

TESTS(SIM_UNIT_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {TESTS(SIM_UNIT_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
