/* SPDX-License-Identifier: MIT */
/*
 * From a call to its result, through the broker in memory, with a worker of a few lines: what a
 * program sees of the queue.
 */
#include "queue/app.h"

#include "base/base64.h"
#include "fiber/sim_unit.h"
#include "queue/message/message.h"
#include "queue/outcome/outcome.h"
#include "queue/task/task.h"

/* ── Tasks ───────────────────────────────────────────────────────────────────────────────── */

SJ_TASK(multiply, int64_t, (int64_t, a), (int64_t, b))
{
        *ret = a * b;
        return 0;
}
SJ_TASK_OPTIONS(multiply, .name = "proj.multiply", .queue = "numbers", .priority = 4);

SJ_TASK(flaky, const char *, (int64_t, times))
{
        if (self->retries < times)
                return sj_retry(self, &(sj_retry_options){.countdown = 30});
        *ret = "done";
        return 0;
}

SJ_TASK(boom, void)
{
        return sj_raise(self, "ValueError", "bang");
}

SJ_TASK(once, int64_t, (const char *, text))
{
        *ret = (int64_t)strlen(text);
        return 0;
}
SJ_TASK_OPTIONS(once, .idempotent = true);

SJ_TASK(note, const sj_json *, (const sj_json *, what))
{
        *ret = what;
        return 0;
}

/* ── A worker in a few lines ─────────────────────────────────────────────────────────────── */

typedef struct fixture {
        sj_app *app;
        sj_arena *arena;
        task_registry *registry;
} fixture;

static void fixture_open(fixture *f, const sj_app_options *options)
{
        char error[256];
        expect_equal(sj_app_new(options, &f->app), 0);
        expect_equal(sj_arena_new(&f->arena), 0);
        expect_equal(task_registry_new(&f->registry, error, sizeof(error)), 0);
}

static void fixture_close(fixture *f)
{
        sj_app_free(f->app);
        sj_arena_free(f->arena);
        task_registry_free(f->registry);
}

#define FIXTURE(f)                                                  \
        __attribute__((cleanup(fixture_close))) fixture f##_ = {0}; \
        fixture *f = &f##_;                                         \
        fixture_open(f, &(sj_app_options){.broker = "memory:"})

static const sj_str all_queues[] = {{"celery", 6}, {"numbers", 7}, {"other", 5}};

static void work_one(fixture *f, broker_lease *lease)
{
        message m;
        message_error error;
        outcome_delivery d = {.lease = lease, .m = &m, .error = &error};
        outcome_context context = {.now = sj_wall_now(),
                                   .worker = SJ_STR("w@h"),
                                   .origin = SJ_STR("gen1@h"),
                                   .route = app_route,
                                   .route_arg = f->app};
        broker_settlement s;
        message_decode(f->arena, lease->message.envelope, &m, &error);
        const sj_task *task = task_registry_find(f->registry, m.task, &d.info);
        int r = outcome_before(&context, &d, f->arena, &s);
        expect(r >= 0);
        if (r == 0) {
                sj_task_request request = {.id = m.id.data,
                                           .root_id = m.root_id.data,
                                           .retries = (uint32_t)m.retries,
                                           .deadline = SJ_NEVER};
                task_return result;
                expect_equal(task_run(task, &request, NULL, m.args, m.kwargs, f->arena, &result),
                             0);
                expect_equal(outcome_after(&context, &d, &result, f->arena, &s), 0);
        }
        expect_equal(broker_settle(app_broker(f->app), &s, 1, SJ_NEVER), 0);
        expect_equal(s.status, 0);
        broker_lease_free(lease);
}

/* Works off what is there and what comes due, until nothing has come for an hour. */
static void work(fixture *f)
{
        broker *b = app_broker(f->app);
        broker_claim claim = {.queues = all_queues, .n_queues = 3, .worker = SJ_STR("w")};
        broker_lease *lease;
        while (broker_wait(b, all_queues, 3, sj_after(SJ_HOUR)) == 0)
                if (broker_lease_next(b, &claim, &lease, 1, SJ_NEVER) == 1)
                        work_one(f, lease);
}

static sj_outcome outcome_of(fixture *f, const sj_result *result)
{
        sj_outcome o;
        expect_equal(sj_result_state(result, f->arena, &o, SJ_NEVER), 0);
        return o;
}

/* The one message that waits, not leased for good. */
static message sent(fixture *f)
{
        broker_claim claim = {.queues = all_queues, .n_queues = 3, .worker = SJ_STR("w")};
        broker_lease *lease;
        message m;
        message_error error;
        expect_equal(broker_lease_next(app_broker(f->app), &claim, &lease, 1, SJ_NEVER), 1);
        expect_equal(message_decode(f->arena, lease->message.envelope, &m, &error), 0);
        broker_settlement s = {.lease = lease, .verdict = BROKER_RETURN};
        expect_equal(broker_settle(app_broker(f->app), &s, 1, SJ_NEVER), 0);
        broker_lease_free(lease);
        return m;
}

/* ── From a call to its result ───────────────────────────────────────────────────────────── */

static int a_call_is_pending_and_then_has_its_result(void *arg)
{
        (void)arg;
        FIXTURE(f);
        sj_result result;
        int64_t product = 0;
        expect_equal(multiply_delay(f->app, 6, 7, &result), 0);
        expect_equal(strlen(result.id), 36);
        expect_equal(outcome_of(f, &result).state, SJ_PENDING);
        message m = sent(f);
        expect(sj_str_equal(m.task, SJ_STR("proj.multiply")));
        expect(sj_str_equal(m.routing_key, SJ_STR("numbers")));
        expect_equal(m.priority, 4);
        expect(sj_str_equal(m.argsrepr, SJ_STR("(6, 7)")));
        expect(m.origin.n > 4 && memcmp(m.origin.data, "gen", 3) == 0);
        expect_equal(m.reply_to.n, 36);
        work(f);
        sj_outcome o;
        expect_equal(sj_result_get(&result, f->arena, &o, SJ_NEVER), 0);
        expect_equal(o.state, SJ_SUCCESS);
        expect_equal(sj_json_int(o.value, &product), 0);
        expect_equal(product, 42);
        expect(o.done.us > 0);
        return 0;
}

static int get_result(void *arg)
{
        const sj_result *result = arg;
        sj_arena *arena;
        sj_outcome o;
        expect_equal(sj_arena_new(&arena), 0);
        int r = sj_result_get(result, arena, &o, SJ_NEVER);
        r = r < 0 ? r : (int)o.state;
        sj_arena_free(arena);
        return r;
}

static int who_waits_for_a_result_gets_it(void *arg)
{
        (void)arg;
        FIXTURE(f);
        sj_result result;
        sj_fiber *fiber;
        expect_equal(multiply_delay(f->app, 6, 7, &result), 0);
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect_equal(sj_spawn(s, get_result, &result, &fiber), 0);
        expect_equal(sj_yield(), 0);
        work(f);
        expect_equal(sj_join(fiber, SJ_NEVER), SJ_SUCCESS);
        return 0;
}

static int a_failure_tells_its_type_and_message(void *arg)
{
        (void)arg;
        FIXTURE(f);
        sj_result result;
        expect_equal(boom_delay(f->app, &result), 0);
        work(f);
        sj_outcome o = outcome_of(f, &result);
        expect_equal(o.state, SJ_FAILURE);
        expect(strcmp(o.error.type, "ValueError") == 0);
        expect(strcmp(o.error.module, "builtins") == 0);
        expect(strcmp(o.error.message, "bang") == 0);
        expect(strstr(o.error.traceback, "in boom") != NULL);
        expect(!o.value);
        return 0;
}

static int a_task_is_retried_until_it_succeeds(void *arg)
{
        (void)arg;
        FIXTURE(f);
        sj_result result;
        sj_time start = sj_now();
        expect_equal(flaky_delay(f->app, 3, &result), 0);
        work(f);
        expect_equal(outcome_of(f, &result).state, SJ_SUCCESS);
        expect(sj_now() - start >= 90 * SJ_SEC);
        expect_equal(flaky_delay(f->app, 4, &result), 0);
        work(f);
        expect_equal(outcome_of(f, &result).state, SJ_FAILURE);
        expect(strcmp(outcome_of(f, &result).error.type, "MaxRetriesExceededError") == 0);
        return 0;
}

static int an_unknown_name_fails_and_is_kept(void *arg)
{
        (void)arg;
        FIXTURE(f);
        sj_result result;
        const broker_dead *dead;
        expect_equal(sj_send_task(f->app, "no.such", "[1]", NULL, NULL, &result), 0);
        work(f);
        sj_outcome o = outcome_of(f, &result);
        expect_equal(o.state, SJ_FAILURE);
        expect(strcmp(o.error.type, "NotRegistered") == 0);
        expect_equal(broker_dead_list(app_broker(f->app), SJ_STR(""), SJ_STR(""), 9, f->arena,
                                      &dead, SJ_NEVER),
                     1);
        expect(sj_str_equal(dead[0].reason, SJ_STR("no task is named 'no.such'")));
        return 0;
}

static int countdown_and_expiry_travel_in_the_message(void *arg)
{
        (void)arg;
        FIXTURE(f);
        sj_result late, dead;
        int64_t now = sj_wall_now().us;
        sj_call call = {.countdown = 10, .expires = 120};
        expect_equal(multiply_apply_async(f->app, &call, &late, 2, 3), 0);
        expect_equal(broker_wait(app_broker(f->app), all_queues, 3, sj_after(SJ_MIN)), 0);
        expect(sj_wall_now().us >= now + 10000000);
        message m = sent(f);
        expect(m.eta.us >= now + 10000000 && m.eta.us < now + 11000000);
        expect(m.expires.us >= now + 120000000 && m.expires.us < now + 121000000);
        expect(sj_str_equal(m.expiration, SJ_STR("120000")));
        expect_equal(sj_sleep(200 * SJ_SEC), 0);
        call = (sj_call){.expires = 1};
        expect_equal(multiply_apply_async(f->app, &call, &dead, 2, 3), 0);
        expect_equal(sj_sleep(2 * SJ_SEC), 0);
        work(f);
        expect_equal(outcome_of(f, &late).state, SJ_REVOKED);
        expect_equal(outcome_of(f, &dead).state, SJ_REVOKED);
        expect(strcmp(outcome_of(f, &dead).error.message, "expired") == 0);
        return 0;
}

static int a_call_may_say_more_than_its_task(void *arg)
{
        (void)arg;
        FIXTURE(f);
        const sj_json *headers;
        sj_task_request self = {.id = "parent", .root_id = "root"};
        expect_equal(sj_json_parse(f->arena, SJ_STR("{\"x-my\": 1}"), 0, &headers, NULL), 0);
        sj_call call = {.queue = "other",
                        .task_id = "my-id",
                        .priority = 9,
                        .shadow = "shown",
                        .time_limit = 5,
                        .soft_time_limit = 2.5,
                        .ignore_result = true,
                        .max_deliveries = 2,
                        .headers = headers,
                        .parent = &self};
        sj_result result;
        expect_equal(multiply_apply_async(f->app, &call, &result, 2, 3), 0);
        expect(strcmp(result.id, "my-id") == 0);
        message m = sent(f);
        expect(sj_str_equal(m.id, SJ_STR("my-id")));
        expect(sj_str_equal(m.routing_key, SJ_STR("other")));
        expect(sj_str_equal(m.shadow, SJ_STR("shown")));
        expect(sj_str_equal(m.root_id, SJ_STR("root")));
        expect(sj_str_equal(m.parent_id, SJ_STR("parent")));
        expect(m.time_limit == 5 && m.soft_time_limit == 2.5 && m.ignore_result);
        expect(sj_json_member(m.headers, "x-my") != NULL);
        expect_equal(multiply_apply_async(f->app, &call, &result, 2, 3), -EEXIST);
        return 0;
}

static int links_run_with_the_result_and_errbacks_with_the_id(void *arg)
{
        (void)arg;
        FIXTURE(f);
        sj_signature *then = sj_signature_new("note", NULL, NULL, &(sj_call){.task_id = "then"});
        sj_signature *otherwise =
                sj_signature_new("note", NULL, NULL, &(sj_call){.task_id = "otherwise"});
        sj_call call = {.link = then, .link_error = otherwise};
        sj_result result, linked = {.app = f->app, .id = "then"};
        expect(then && otherwise);
        expect_equal(multiply_apply_async(f->app, &call, &result, 6, 7), 0);
        work(f);
        int64_t product = 0;
        expect_equal(sj_json_int(outcome_of(f, &linked).value, &product), 0);
        expect_equal(product, 42);
        expect_equal(boom_apply_async(f->app, &call, &result), 0);
        work(f);
        strcpy(linked.id, "otherwise");
        sj_str id;
        expect_equal(sj_json_string(outcome_of(f, &linked).value, &id), 0);
        expect(sj_str_equal(id, sj_str_of(result.id)));
        sj_signature_free(then);
        sj_signature_free(otherwise);
        return 0;
}

static int a_signature_is_a_call_kept_for_later(void *arg)
{
        (void)arg;
        FIXTURE(f);
        sj_result result;
        sj_signature *s = multiply_s(6, 7);
        expect(s != NULL);
        expect_equal(sj_signature_send(f->app, s, &result), 0);
        message m = sent(f);
        expect(sj_str_equal(m.routing_key, SJ_STR("numbers")));
        expect_equal(m.priority, 4);
        work(f);
        expect_equal(outcome_of(f, &result).state, SJ_SUCCESS);
        sj_signature_free(s);
        expect_equal(sj_signature_send(f->app, NULL, &result), -EINVAL);
        expect(!sj_signature_new("x", "{}", NULL, NULL));
        expect(!sj_signature_new("x", "[", NULL, NULL));
        expect(!sj_signature_new(NULL, NULL, NULL, NULL));
        expect(!sj_signature_new("x", NULL, NULL, &(sj_call){.countdown = -1}));
        sj_signature_free(NULL);
        return 0;
}

static int the_same_work_is_done_once(void *arg)
{
        (void)arg;
        FIXTURE(f);
        sj_result first, second, other;
        expect_equal(once_delay(f->app, "photo", &first), 0);
        expect_equal(once_delay(f->app, "photo", &second), 0);
        expect_equal(once_delay(f->app, "another", &other), 0);
        expect(strcmp(first.id, second.id) == 0);
        expect(strcmp(first.id, other.id) != 0);
        work(f);
        expect_equal(once_delay(f->app, "photo", &second), 0);
        expect(strcmp(first.id, second.id) == 0);
        expect_equal(outcome_of(f, &second).state, SJ_SUCCESS);
        sj_call call = {.key = "order-17", .key_for = 10};
        expect_equal(multiply_apply_async(f->app, &call, &first, 1, 2), 0);
        expect_equal(boom_apply_async(f->app, &call, &second), 0);
        expect(strcmp(first.id, second.id) == 0);
        return 0;
}

static int results_are_forgotten_and_revoked(void *arg)
{
        (void)arg;
        FIXTURE(f);
        sj_result result, unknown = {.app = f->app, .id = "unknown"};
        sj_outcome o;
        expect_equal(sj_result_state(&unknown, f->arena, &o, SJ_NEVER), -ENOENT);
        expect_equal(sj_result_get(&unknown, f->arena, &o, SJ_NEVER), -ENOENT);
        expect_equal(sj_result_forget(&unknown, SJ_NEVER), -ENOENT);
        expect_equal(sj_result_revoke(&unknown, SJ_NEVER), -ENOENT);
        expect_equal(multiply_delay(f->app, 1, 2, &result), 0);
        expect_equal(sj_result_forget(&result, SJ_NEVER), -EBUSY);
        expect_equal(sj_result_get(&result, f->arena, &o, sj_after(SJ_SEC)), -ETIMEDOUT);
        expect_equal(sj_result_revoke(&result, SJ_NEVER), 0);
        expect_equal(outcome_of(f, &result).state, SJ_REVOKED);
        expect_equal(sj_result_revoke(&result, SJ_NEVER), -EALREADY);
        expect_equal(sj_result_forget(&result, SJ_NEVER), 0);
        expect_equal(sj_result_state(&result, f->arena, &o, SJ_NEVER), -ENOENT);
        return 0;
}

static int routes_choose_the_queue_by_name(void *arg)
{
        (void)arg;
        static const sj_route routes[] = {{.pattern = "mail.*", .queue = "post"},
                                          {.pattern = "?hort", .queue = "four"},
                                          {.pattern = "*.slow.*x", .queue = "slow", .priority = 7}};
        static const struct {
                const char *task;
                const char *queue;
        } expected[] = {{"mail.send", "post"}, {"mail.", "post"},       {"mail", "rest"},
                        {"short", "four"},     {"hort", "rest"},        {"a.slow.b.slow.x", "slow"},
                        {"a.slow.b", "rest"},  {"a.slow.bxbx", "slow"}, {"", "rest"}};
        fixture f = {0};
        fixture_open(&f, &(sj_app_options){.broker = "memory:",
                                           .default_queue = "rest",
                                           .routes = routes,
                                           .n_routes = 3});
        for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
                expect(sj_str_equal(app_route(f.app, sj_str_of(expected[i].task)),
                                    sj_str_of(expected[i].queue)));
        fixture_close(&f);
        return 0;
}

static const sj_json *body_of_letter(fixture *f, sj_str text)
{
        const sj_json *v;
        sj_str body;
        size_t n;
        expect_equal(sj_json_parse(f->arena, text, 0, &v, NULL), 0);
        expect_equal(sj_json_string(sj_json_member(v, "body"), &body), 0);
        char *bytes = sj_arena_alloc(f->arena, base64_decoded_room(body.n) + 1);
        expect_equal(base64_decode(body, bytes, &n), 0);
        expect_equal(sj_json_parse(f->arena, (sj_str){bytes, n}, 0, &v, NULL), 0);
        return v;
}

static int who_watches_is_told_of_each_task_that_was_sent(void *arg)
{
        (void)arg;
        static const char *const members[] = {
                "hostname",  "utcoffset", "pid",      "clock",       "uuid",      "root_id",
                "parent_id", "name",      "args",     "kwargs",      "retries",   "eta",
                "expires",   "queue",     "exchange", "routing_key", "timestamp", "type"};
        const sj_str channel = SJ_STR("celeryev/*");
        broker_subscription *watching;
        sj_result result;
        sj_str from, text, name;
        fixture f = {0};
        fixture_open(&f, &(sj_app_options){.broker = "memory:", .send_sent_event = true});
        expect_equal(broker_subscribe(app_broker(f.app), &channel, 1, &watching, SJ_NEVER), 0);
        expect_equal(multiply_delay(f.app, 2, 3, &result), 0);
        expect_equal(broker_next(watching, f.arena, &from, &text, sj_after(SJ_SEC)), 0);
        expect(sj_str_equal(from, SJ_STR("celeryev/task.sent")));
        const sj_json *event = body_of_letter(&f, text);
        for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
                expect(sj_str_equal(sj_json_name_at(event, i), sj_str_of(members[i])));
        expect_equal(sj_json_string(sj_json_member(event, "uuid"), &name), 0);
        expect(sj_str_equal(name, sj_str_of(result.id)));
        expect_equal(sj_json_string(sj_json_member(event, "args"), &name), 0);
        expect(sj_str_equal(name, SJ_STR("(2, 3)")));
        /* What has not been published is not told. */
        expect_equal(sj_send_task(f.app, "", NULL, NULL, NULL, NULL), -EINVAL);
        expect_equal(broker_next(watching, f.arena, &from, &text, sj_after(SJ_SEC)), -ETIMEDOUT);
        broker_unsubscribe(watching);
        fixture_close(&f);
        return 0;
}

static void keep_line(void *arg, sj_log_level level, const char *line)
{
        (void)level;
        snprintf(arg, 200, "%s", line);
}

static int what_is_malformed_is_not_sent_and_the_log_says_why(void *arg)
{
        (void)arg;
        FIXTURE(f);
        char line[200];
        static const struct {
                const char *name, *args, *kwargs;
                sj_call call;
                const char *says;
        } bad[] = {
                {"", NULL, NULL, {.priority = 0}, "a call of a task: its name is empty"},
                {"a\nb", NULL, NULL, {.priority = 0}, "a call of a task: its name has control"},
                {"t", "{}", NULL, {.priority = 0}, "a call has a text that is JSON, but no array"},
                {"t", "[1,", NULL, {.priority = 0}, "no JSON array: line 1, column 4: "},
                {"t", NULL, "[]", {.priority = 0}, "a call has a text that is JSON, but no object"},
                {"t", NULL, NULL, {.countdown = -1}, "a call of t: a duration is negative"},
                {"t", NULL, NULL, {.priority = 10}, "a call of t: its priority is not from 1 to 9"},
                {"t", NULL, NULL, {.task_id = ""}, "a call of t: its task_id is empty"},
                {"t", NULL, NULL, {.queue = "\x01"}, "a call of t: its queue has control"},
                {"t", NULL, NULL, {.serializer = "pickle"}, "a call of t: there is no such seri"}};
        sj_log_set(keep_line, line, SJ_LOG_ERROR);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                line[0] = 0;
                expect_equal(sj_send_task(f->app, bad[i].name, bad[i].args, bad[i].kwargs,
                                          &bad[i].call, NULL),
                             -EINVAL);
                expect(strstr(line, bad[i].says));
        }
        sj_signature *none = sj_signature_new("t", NULL, NULL, &(sj_call){.priority = -1});
        expect(!none && strstr(line, "its priority"));
        sj_log_set(NULL, NULL, SJ_LOG_OFF);
        char name[SJ_TASK_NAME_MAX + 2];
        memset(name, 'x', sizeof(name));
        name[sizeof(name) - 1] = 0;
        expect_equal(sj_send_task(f->app, name, NULL, NULL, NULL, NULL), -ENAMETOOLONG);
        expect_equal(once_delay(f->app, NULL, NULL), -EINVAL);
        expect_equal(once_delay(f->app, "\xff", NULL), -EINVAL);
        const broker_depth *depths;
        expect_equal(broker_queues(app_broker(f->app), f->arena, &depths, SJ_NEVER), 0);
        return 0;
}

static int a_cancelled_scope_publishes_nothing(void *arg)
{
        (void)arg;
        FIXTURE(f);
        sj_result result;
        {
                SJ_SCOPE(s, sj_after(SJ_SEC), 0);
                expect_equal(sj_sleep(2 * SJ_SEC), -ECANCELED);
                expect_equal(multiply_delay(f->app, 1, 2, &result), -ECANCELED);
        }
        expect_equal(multiply_delay(f->app, 1, 2, &result), 0);
        return 0;
}

static int a_broker_that_is_not_there_is_an_error(void *arg)
{
        (void)arg;
        sj_app *app;
        expect_equal(sj_app_new(&(sj_app_options){.broker = "nonsense"}, &app), -EINVAL);
        expect_equal(sj_app_new(&(sj_app_options){.broker = "smoke:signals"}, &app),
                     -EPROTONOSUPPORT);
        sj_route bad = {.pattern = "*", .queue = ""};
        expect_equal(
                sj_app_new(&(sj_app_options){.broker = "memory:", .routes = &bad, .n_routes = 1},
                           &app),
                -EINVAL);
        sj_app_free(NULL);
        return 0;
}

#define CASES(X)                                              \
        X(a_call_is_pending_and_then_has_its_result)          \
        X(who_waits_for_a_result_gets_it)                     \
        X(a_failure_tells_its_type_and_message)               \
        X(a_task_is_retried_until_it_succeeds)                \
        X(an_unknown_name_fails_and_is_kept)                  \
        X(countdown_and_expiry_travel_in_the_message)         \
        X(a_call_may_say_more_than_its_task)                  \
        X(links_run_with_the_result_and_errbacks_with_the_id) \
        X(a_signature_is_a_call_kept_for_later)               \
        X(the_same_work_is_done_once)                         \
        X(results_are_forgotten_and_revoked)                  \
        X(routes_choose_the_queue_by_name)                    \
        X(who_watches_is_told_of_each_task_that_was_sent)     \
        X(what_is_malformed_is_not_sent_and_the_log_says_why) \
        X(a_cancelled_scope_publishes_nothing)                \
        X(a_broker_that_is_not_there_is_an_error)

CASES(SIM_UNIT_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {CASES(SIM_UNIT_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
