/* SPDX-License-Identifier: MIT */
/* What workers tell those who watch, under the simulator. */
#include "queue/control/cluster.h"
#include "queue/control/events.h"
#include "queue/control/letter.h"
#include "queue/control/remote_bench.h"

SJ_TASK(add, int64_t, (int64_t, a), (int64_t, b))
{
        *ret = a + b;
        return sj_sleep(20 * SJ_MS);
}
SJ_TASK_OPTIONS(add, .name = "proj.add");

SJ_TASK(bad, void)
{
        return sj_raise(self, "ValueError", "bang");
}

SJ_TASK(again, void)
{
        if (self->retries == 0)
                return sj_retry(self, &(sj_retry_options){.countdown = 0.5,
                                                          .exc_type = "OSError",
                                                          .exc_message = "later"});
        return 0;
}

/* ── Listening ───────────────────────────────────────────────────────────────────────────── */

static const sj_str everything = {EVENTS_EXCHANGE "/*", sizeof(EVENTS_EXCHANGE) + 1};
static broker_subscription *heard;
static sj_str batch_channel;
static const sj_json *batch; /* what is left of it begins at batch_at; NULL: none */
static size_t batch_at;

static void listen_and_start(world *w)
{
        expect_equal(broker_subscribe(w->broker, &everything, 1, &heard, SJ_NEVER), 0);
        batch = NULL;
        world_start_worker(w);
}

/* The next event of that type (others are passed over), as text without what differs by run. */
static const char *next_event(world *w, const char *type, const char *channel_end)
{
        for (;;) {
                letter l;
                const char *why;
                sj_str channel, text;
                if (!batch || batch_at >= sj_json_count(batch)) {
                        expect_equal(
                                broker_next(heard, w->arena, &channel, &text, sj_after(SJ_MIN)), 0);
                        expect_equal(letter_decode(w->arena, text, &l, &why), 0);
                        expect(sj_str_equal(letter_text(l.headers, "hostname"), SJ_STR("w@sim")));
                        expect(sj_str_equal(l.exchange, SJ_STR(EVENTS_EXCHANGE)));
                        batch_channel = channel;
                        batch = sj_json_type_of(l.body) == SJ_JSON_ARRAY
                                        ? l.body
                                        : sj_json_new_array(w->arena, &l.body, 1);
                        batch_at = 0;
                }
                const sj_json *event = sj_json_at(batch, batch_at++);
                if (!sj_str_equal(letter_text(event, "type"), sj_str_of(type)))
                        continue;
                size_t n = strlen(channel_end);
                expect(batch_channel.n > n &&
                       memcmp(batch_channel.data + batch_channel.n - n, channel_end, n) == 0);
                expect(sj_json_type_of(sj_json_member(event, "timestamp")) == SJ_JSON_DOUBLE ||
                       sj_json_type_of(sj_json_member(event, "timestamp")) == SJ_JSON_INT);
                expect(letter_int(event, "clock", 0) > 0 && letter_int(event, "pid", 0) > 0);
                expect_equal(letter_int(event, "utcoffset", 99), 0);
                expect_equal(sj_json_text(w->arena, event, SJ_JSON_PYTHON, &text), 0);
                return text.data;
        }
}

static void expect_event(world *w, const char *type, const char *with)
{
        const char *said = next_event(w, type, "/task.multi");
        if (!strstr(said, with)) {
                fprintf(stderr, "%s\nhas not: %s\n", said, with);
                expect(false);
        }
}

/* ── Workers ─────────────────────────────────────────────────────────────────────────────── */

static int lives(world *w)
{
        next_event(w, "worker-online", "/worker.online");
        const char *beat = next_event(w, "worker-heartbeat", "/worker.heartbeat");
        expect(strstr(beat, "\"freq\": 2.0") && strstr(beat, "\"active\": 0, \"processed\": 0, "
                                                             "\"loadavg\": [0.0"));
        expect(strstr(beat, "\"sw_ident\": \"sanjab\""));
        sj_result result;
        sj_outcome outcome;
        expect_equal(add_delay(w->app, 1, 2, &result), 0);
        expect_equal(sj_result_get(&result, w->arena, &outcome, sj_after(SJ_MIN)), 0);
        expect_answer(w, "heartbeat", NULL, "null");
        do
                beat = next_event(w, "worker-heartbeat", "/worker.heartbeat");
        while (strstr(beat, "\"processed\": 0"));
        world_stop_worker(w);
        expect(strstr(next_event(w, "worker-offline", "/worker.offline"), "\"processed\": 1"));
        broker_unsubscribe(heard);
        return 0;
}

static int a_worker_tells_of_itself(void *arg)
{
        (void)arg;
        return with_world(listen_and_start, lives);
}

/* ── Tasks ───────────────────────────────────────────────────────────────────────────────── */

static int tell_tasks(world *w)
{
        sj_result result;
        char with[500];
        expect_answer(w, "enable_events", NULL, "{\"ok\": \"task events enabled\"}");
        expect_answer(w, "enable_events", NULL, "{\"ok\": \"task events already enabled\"}");
        expect_equal(add_delay(w->app, 1, 2, &result), 0);
        snprintf(with, sizeof(with),
                 "\"uuid\": \"%s\", \"name\": \"proj.add\", \"args\": \"(1, 2)\", \"kwargs\": "
                 "\"{}\", \"root_id\": \"%s\", \"parent_id\": null, \"retries\": 0, \"eta\": null, "
                 "\"expires\": null, \"timestamp\": ",
                 result.id, result.id);
        expect_event(w, "task-received", with);
        snprintf(with, sizeof(with), "\"uuid\": \"%s\", \"timestamp\": ", result.id);
        expect_event(w, "task-started", with);
        snprintf(with, sizeof(with), "\"uuid\": \"%s\", \"result\": \"3\", \"runtime\": 0.",
                 result.id);
        expect_event(w, "task-succeeded", with);
        expect_equal(bad_delay(w->app, NULL), 0);
        expect_event(w, "task-failed", "\"exception\": \"ValueError('bang')\", \"traceback\": ");
        expect_equal(again_delay(w->app, NULL), 0);
        expect_event(w, "task-retried", "\"exception\": \"OSError('later')\", \"traceback\": ");
        expect_event(w, "task-received", "\"retries\": 1, \"eta\": \"20");
        expect_event(w, "task-succeeded", "\"result\": \"None\"");
        expect_equal(sj_send_task(w->app, "nobody", NULL, NULL, NULL, NULL), 0);
        expect_event(w, "task-failed", "\"exception\": \"NotRegistered('nobody')\"");
        expect_answer(w, "revoke", "{\"task_id\": \"r\"}",
                      "{\"ok\": \"tasks r flagged as revoked\"}");
        expect_equal(add_apply_async(w->app, &(sj_call){.task_id = "r"}, NULL, 1, 2), 0);
        expect_event(w, "task-revoked",
                     "\"terminated\": false, \"signum\": null, \"expired\": false");
        expect_answer(w, "disable_events", NULL, "{\"ok\": \"task events disabled\"}");
        expect_answer(w, "disable_events", NULL, "{\"ok\": \"task events already disabled\"}");
        broker_unsubscribe(heard);
        return 0;
}

static int tasks_are_told_of(void *arg)
{
        (void)arg;
        return with_world(listen_and_start, tell_tasks);
}

enum { MANY = 60 };

/* Clocks go up, no batch is larger than it may be, and nothing is told twice. */
static int tell_many(world *w)
{
        cluster *c;
        const char *why;
        size_t letters = 0;
        w->events = true;
        world_stop_worker(w);
        expect_equal(cluster_new(&c), 0);
        world_start_worker(w);
        for (int i = 0; i < MANY; i++)
                expect_equal(bad_delay(w->app, NULL), 0);
        expect_equal(sj_sleep(SJ_MIN), 0);
        world_stop_worker(w);
        for (sj_str channel, text; broker_next(heard, w->arena, &channel, &text, SJ_POLL) == 0;) {
                int n = cluster_take_letter(c, w->arena, text, sj_now(), NULL, NULL, &why);
                expect(n >= 1 && n <= EVENTS_BATCH);
                letters += sj_str_equal(channel, SJ_STR(EVENTS_EXCHANGE "/task.multi"));
        }
        expect(letters >= 3 * MANY / EVENTS_BATCH && letters < 3 * MANY);
        expect_equal(cluster_count_tasks(c), MANY);
        for (const cluster_task *t = NULL; (t = cluster_next_task(c, t));) {
                expect(strcmp(t->state, "FAILURE") == 0);
                expect(t->received > 0 && t->started >= t->received && t->ended >= t->started);
        }
        const cluster_node *node = cluster_next_node(c, NULL);
        expect(node && node->offline && node->processed == MANY);
        cluster_free(c);
        broker_unsubscribe(heard);
        return 0;
}

static int many_are_told_of_in_batches(void *arg)
{
        (void)arg;
        return with_world(listen_and_start, tell_many);
}

static int tell_sent(world *w)
{
        sj_app *app;
        sj_result result;
        letter l;
        const char *why;
        sj_str channel, text;
        char with[600];
        const sj_app_options options = {.send_sent_event = true};
        expect_equal(app_new_over(w->broker, &options, &app), 0);
        expect_equal(broker_subscribe(w->broker, &everything, 1, &heard, SJ_NEVER), 0);
        expect_equal(add_delay(app, 1, 2, &result), 0);
        expect_equal(broker_next(heard, w->arena, &channel, &text, SJ_POLL), 0);
        expect(sj_str_equal(channel, SJ_STR(EVENTS_EXCHANGE "/task.sent")));
        expect_equal(letter_decode(w->arena, text, &l, &why), 0);
        expect_equal(sj_json_text(w->arena, l.body, SJ_JSON_PYTHON, &text), 0);
        snprintf(with, sizeof(with),
                 "\"clock\": 1, \"uuid\": \"%s\", \"root_id\": \"%s\", \"parent_id\": null, "
                 "\"name\": \"proj.add\", \"args\": \"(1, 2)\", \"kwargs\": \"{}\", \"retries\": "
                 "0, \"eta\": null, \"expires\": null, \"queue\": \"celery\", \"exchange\": \"\", "
                 "\"routing_key\": \"celery\", \"timestamp\": ",
                 result.id, result.id);
        expect(strstr(text.data, with));
        expect(strncmp(text.data, "{\"hostname\": \"gen", 17) == 0);
        sj_task_call calls[30] = {0};
        for (size_t i = 0; i < 30; i++)
                calls[i].name = "proj.add";
        expect_equal(sj_send_many(app, calls, 30, NULL, SJ_NEVER), 0);
        for (size_t n = 24; n > 0; n = n == 24 ? 6 : 0) {
                expect_equal(broker_next(heard, w->arena, &channel, &text, SJ_POLL), 0);
                expect(sj_str_equal(channel, SJ_STR(EVENTS_EXCHANGE "/task.multi")));
                expect_equal(letter_decode(w->arena, text, &l, &why), 0);
                expect_equal(sj_json_count(l.body), n);
        }
        broker_unsubscribe(heard);
        sj_app_free(app);
        return 0;
}

static void nobody_yet(world *w)
{
        (void)w;
}

static int a_program_tells_what_it_sends(void *arg)
{
        (void)arg;
        return with_world(nobody_yet, tell_sent);
}

#define TESTS(X)                         \
        X(a_program_tells_what_it_sends) \
        X(a_worker_tells_of_itself)      \
        X(tasks_are_told_of)             \
        X(many_are_told_of_in_batches)

TESTS(SIM_UNIT_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {TESTS(SIM_UNIT_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
