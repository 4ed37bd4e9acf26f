/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "net/names.h"
#include "net/net_test_dns.h"
#include "os/os.h"

#include <fcntl.h>

/* ── A loop whose resolver asks our server ───────────────────────────────────────────────── */

struct place {
        struct dns dns[2];
        size_t servers;
        char hosts[100], settings[100];
        const char *more; /* lines for the settings */
};

static void use_place(struct place *p)
{
        char text[500] = "";
        for (size_t i = 0; i < p->servers; i++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text),
                         "nameserver [127.0.0.1]:%u\n", p->dns[i].port);
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "options %s\n%s",
                 world_dns_options, p->more ? p->more : "");
        strcpy(p->hosts, world_write_file("hosts", "10.9.9.9 Filed.test other # no.test\n"));
        strcpy(p->settings, world_write_file("resolv.conf", text));
        CHECK_INT(resolve_use_files(p->hosts, p->settings), 0);
}

/* Runs the body with its servers. */
static void with_servers(struct place *p, size_t servers, void (*body)(struct place *p))
{
        p->servers = servers;
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                for (size_t i = 0; i < servers; i++)
                        dns_serve(&p->dns[i], s);
                use_place(p);
                body(p);
        }
        for (size_t i = 0; i < servers; i++)
                dns_stop(&p->dns[i]);
        CHECK_INT(os_unlink(p->hosts), 0);
        CHECK_INT(os_unlink(p->settings), 0);
}

/* What the name resolves to, as one text, or the error as a number. */
static const char *found(const char *name)
{
        static char text[1000];
        sj_address a[SJ_ADDRESSES_MAX];
        int n = sj_resolve(name, 80, a, SJ_ADDRESSES_MAX, sj_after(SJ_HOUR));
        snprintf(text, sizeof(text), "%d", n);
        for (int i = 0; i < n; i++) {
                char one[SJ_ADDRESS_TEXT_MAX];
                sj_address_text(&a[i], one, sizeof(one));
                snprintf(text + (i ? strlen(text) : 0), sizeof(text) - (i ? strlen(text) : 0),
                         "%s%s", i ? " " : "", one);
        }
        return text;
}

#define CHECK_FOUND(name, expected)                                                         \
        do {                                                                                \
                const char *got_ = found(name);                                             \
                if (strcmp(got_, expected) != 0) {                                          \
                        fprintf(stderr, "%s: %s is %s (seed %llu)\n", SJ_WHERE, name, got_, \
                                world_seed);                                                \
                        abort();                                                            \
                }                                                                           \
        } while (0)

static int resolve_result(const char *name, sj_time deadline)
{
        sj_address a[4];
        return sj_resolve(name, 80, a, 4, deadline);
}

/* ── Names that nobody is asked for ──────────────────────────────────────────────────────── */

static void special_names(struct place *p)
{
        CHECK_FOUND("localhost", "127.0.0.1:80 [::1]:80");
        CHECK_FOUND("A.LocalHost.", "127.0.0.1:80 [::1]:80");
        CHECK_FOUND("127.0.0.2", "127.0.0.2:80");
        CHECK_FOUND("[::1]", "[::1]:80");
        CHECK_INT(resolve_result("nobody.invalid", SJ_NEVER), -ENOENT);
        CHECK_INT(resolve_result("x.onion", SJ_NEVER), -ENOENT);
        CHECK_INT(resolve_result("1.2.3", SJ_NEVER), -EINVAL);
        CHECK_INT(resolve_result("", SJ_NEVER), -EINVAL);
        CHECK_INT(sj_resolve("localhost", 1, NULL, 0, SJ_NEVER), -EINVAL);
        CHECK_FOUND("FILED.test", "10.9.9.9:80");
        CHECK_FOUND("other", "10.9.9.9:80");
        CHECK_INT(p->dns[0].questions, 0);
}

static int special_names_fiber(void *arg)
{
        (void)arg;
        with_servers(&(struct place){0}, 1, special_names);
        return 0;
}

static void special_names_and_those_in_hosts_are_not_asked_for(void **state)
{
        (void)state;
        each_world(special_names_fiber);
}

/* ── Asking ──────────────────────────────────────────────────────────────────────────────── */

static void all_kinds(struct place *p)
{
        CHECK_FOUND("both.test", "[2001:db8::1]:80 10.0.0.1:80 10.0.0.2:80");
        CHECK_FOUND("FOUR.test.", "10.0.0.4:80");
        CHECK_FOUND("alias.test", "10.0.0.4:80");
        CHECK_FOUND("big.test", "10.0.0.7:80");
        CHECK_INT(resolve_result("empty.test", SJ_NEVER), -ENODATA);
        CHECK_INT(resolve_result("absent.test", SJ_NEVER), -ENOENT);
        CHECK_INT(resolve_result("broken.test", SJ_NEVER), -EAGAIN);
        sj_address one;
        CHECK_INT(sj_resolve("both.test", 80, &one, 1, SJ_NEVER), 1);
        p->dns[0].refuse = true;
        CHECK_INT(resolve_result("many-1.test", SJ_NEVER), -EAGAIN);
}

static int all_kinds_fiber(void *arg)
{
        (void)arg;
        with_servers(&(struct place){0}, 1, all_kinds);
        return 0;
}

static void the_server_tells_addresses_and_their_absence_apart(void **state)
{
        (void)state;
        each_quiet_world(all_kinds_fiber);
}

static void searching(struct place *p)
{
        (void)p;
        CHECK_FOUND("short", "10.0.0.8:80");
        CHECK_INT(resolve_result("short.", SJ_NEVER), -ENOENT);
        CHECK_FOUND("four.test", "10.0.0.4:80");
        CHECK_FOUND("short", "10.0.0.8:80");
}

static int searching_fiber(void *arg)
{
        (void)arg;
        with_servers(&(struct place){.more = "search absent.test search.test\n"}, 1, searching);
        return 0;
}

static void a_short_name_is_searched_for_in_the_domains(void **state)
{
        (void)state;
        each_world(searching_fiber);
}

static void half_silent(struct place *p)
{
        (void)p;
        sj_time before = sj_now();
        CHECK_FOUND("half.test", "10.0.0.5:80");
        CHECK(!os_simulated || sj_now() - before < 4 * SJ_SEC);
}

static int half_silent_fiber(void *arg)
{
        (void)arg;
        with_servers(&(struct place){0}, 1, half_silent);
        return 0;
}

static void a_server_that_never_answers_for_ipv6_does_not_hide_ipv4(void **state)
{
        (void)state;
        each_quiet_world(half_silent_fiber);
}

static void second_server(struct place *p)
{
        p->dns[0].refuse = true;
        CHECK_FOUND("both.test", "[2001:db8::1]:80 10.0.0.1:80 10.0.0.2:80");
        p->dns[0].refuse = false;
        p->dns[0].silent = true;
        CHECK_FOUND("four.test", "10.0.0.4:80");
}

static int second_server_fiber(void *arg)
{
        (void)arg;
        with_servers(&(struct place){0}, 2, second_server);
        return 0;
}

static void the_next_server_is_asked_when_one_refuses_or_is_silent(void **state)
{
        (void)state;
        each_quiet_world(second_server_fiber);
}

/* ── Time ────────────────────────────────────────────────────────────────────────────────── */

static int ask_silent(void *arg)
{
        return resolve_result(arg, SJ_NEVER);
}

static void time_runs_out(struct place *p)
{
        (void)p;
        sj_time deadline = sj_after(200 * SJ_MS);
        CHECK_INT(resolve_result("silent.test", deadline), -ETIMEDOUT);
        CHECK(sj_now() >= deadline);
        CHECK_INT(resolve_result("silent.test", SJ_POLL), -ETIMEDOUT);
        {
                sj_fiber *f;
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                CHECK_INT(sj_spawn(s, ask_silent, "silent.test", &f), 0);
                CHECK_INT(sj_sleep((sj_time)world_draw(100) * SJ_MS), 0);
                sj_cancel(f);
                CHECK_INT(sj_join(f, SJ_NEVER), -ECANCELED);
        }
        if (os_simulated) {
                sj_time before = sj_now();
                CHECK_INT(resolve_result("silent.test", SJ_NEVER), -EAGAIN);
                CHECK(sj_now() - before >= 10 * SJ_SEC);
                CHECK(sj_now() - before < 12 * SJ_SEC);
        }
        CHECK_FOUND("four.test", "10.0.0.4:80");
}

static int time_runs_out_fiber(void *arg)
{
        (void)arg;
        with_servers(&(struct place){0}, 1, time_runs_out);
        return 0;
}

static void a_silent_server_costs_no_more_than_the_deadline(void **state)
{
        (void)state;
        each_world(time_runs_out_fiber);
}

/* ── Sharing and remembering ─────────────────────────────────────────────────────────────── */

static int ask_four(void *arg)
{
        (void)arg;
        CHECK_FOUND("four.test", "10.0.0.4:80");
        return 0;
}

static void shared(struct place *p)
{
        (void)p;
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                for (size_t i = 0; i < 30; i++)
                        CHECK_INT(sj_spawn(s, ask_four, NULL, NULL), 0);
                CHECK_INT(sj_scope_join(s), 0);
        }
        CHECK_INT(resolve_questions(), 1);
        CHECK_FOUND("four.test", "10.0.0.4:80");
        CHECK_INT(resolve_questions(), 1);
        CHECK_INT(resolve_remembered(), 1);
}

static int shared_fiber(void *arg)
{
        (void)arg;
        with_servers(&(struct place){0}, 1, shared);
        return 0;
}

static void many_who_ask_for_one_name_share_one_question(void **state)
{
        (void)state;
        each_world(shared_fiber);
}

static void leaders_leave(struct place *p)
{
        sj_fiber *askers[6];
        p->dns[0].silent = true;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        for (size_t i = 0; i < 6; i++)
                CHECK_INT(sj_spawn(s, ask_four, NULL, &askers[i]), 0);
        for (size_t i = 0; i < 4; i++) {
                CHECK_INT(sj_sleep((sj_time)world_draw(300) * SJ_MS), 0);
                p->dns[0].silent = i < 2;
        }
        CHECK_INT(sj_scope_join(s), 0);
}

/* As ask_four, and it may be cancelled. */
static int ask_until_cancelled(void *arg)
{
        (void)arg;
        int r = resolve_result("four.test", SJ_NEVER);
        CHECK(r == 1 || r == -ECANCELED);
        return r;
}

static void leaders_are_cancelled(struct place *p)
{
        sj_fiber *askers[6];
        int results[6];
        p->dns[0].silent = true;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        for (size_t i = 0; i < 6; i++)
                CHECK_INT(sj_spawn(s, ask_until_cancelled, NULL, &askers[i]), 0);
        for (size_t i = 0; i < 5; i++) {
                CHECK_INT(sj_sleep((sj_time)world_draw(100) * SJ_MS), 0);
                p->dns[0].silent = i < 2;
                sj_cancel(askers[i]);
        }
        CHECK_INT(sj_gather(askers, 6, results, SJ_NEVER), 0);
        CHECK_INT(results[0], -ECANCELED);
        CHECK_INT(results[5], 1);
}

static int leaders_fiber(void *arg)
{
        (void)arg;
        with_servers(&(struct place){0}, 1, leaders_are_cancelled);
        if (os_simulated)
                with_servers(&(struct place){0}, 1, leaders_leave);
        return 0;
}

static void one_asker_who_is_cancelled_leaves_the_question_to_the_others(void **state)
{
        (void)state;
        each_world(leaders_fiber);
}

static void times_to_live(struct place *p)
{
        CHECK_FOUND("brief.test", "10.0.0.6:80");
        CHECK_INT(resolve_remembered(), 0);
        p->dns[0].ttl = 100;
        CHECK_FOUND("four.test", "10.0.0.4:80");
        size_t questions = resolve_questions();
        CHECK_INT(sj_sleep(98 * SJ_SEC), 0);
        CHECK_FOUND("four.test", "10.0.0.4:80");
        CHECK_INT(resolve_questions(), questions);
        CHECK_INT(sj_sleep(3 * SJ_SEC), 0);
        CHECK_FOUND("four.test", "10.0.0.4:80");
        CHECK_INT(resolve_questions(), questions + 1);
        /* The file wins as soon as it has the name. */
        world_write_file("hosts", "10.7.7.7 four.test\n");
        CHECK_INT(sj_sleep(2 * SJ_SEC), 0);
        CHECK_FOUND("four.test", "10.7.7.7:80");
        CHECK_INT(os_unlink(p->hosts), 0);
        CHECK_INT(sj_sleep(2 * SJ_SEC), 0);
        CHECK_FOUND("four.test", "10.0.0.4:80");
        world_write_file("hosts", "");
}

static int times_to_live_fiber(void *arg)
{
        (void)arg;
        with_servers(&(struct place){0}, 1, times_to_live);
        return 0;
}

static void an_answer_is_remembered_for_its_time_and_files_are_read_anew(void **state)
{
        (void)state;
        if (os_simulated)
                each_world(times_to_live_fiber);
        else
                print_message("its time passes under the simulator only\n");
}

static void many_names(struct place *p)
{
        (void)p;
        for (int i = 0; i < 300; i++) {
                char name[40];
                snprintf(name, sizeof(name), "many-%d.test", i);
                CHECK_FOUND(name, "10.0.0.4:80");
        }
        CHECK_INT(resolve_remembered(), 256);
        size_t questions = resolve_questions();
        CHECK_FOUND("many-299.test", "10.0.0.4:80");
        CHECK_INT(resolve_questions(), questions);
        CHECK_FOUND("many-0.test", "10.0.0.4:80");
        CHECK_INT(resolve_questions(), questions + 1);
}

static int many_names_fiber(void *arg)
{
        (void)arg;
        if (os_simulated && world_seed % 50)
                return 0;
        with_servers(&(struct place){0}, 1, many_names);
        return 0;
}

static void the_oldest_answers_make_room(void **state)
{
        (void)state;
        each_world(many_names_fiber);
}

static void connect_by_name(struct place *p)
{
        sj_stream *s;
        CHECK_INT(sj_tcp_connect("absent.test", 80, &s, SJ_NEVER), -ENOENT);
        CHECK_INT(sj_tcp_connect("localhost", p->dns[0].port, &s, sj_after(SJ_MIN)), 0);
        sj_stream_close(s);
}

static int connect_by_name_fiber(void *arg)
{
        (void)arg;
        with_servers(&(struct place){0}, 1, connect_by_name);
        return 0;
}

static void connecting_resolves_the_name_first(void **state)
{
        (void)state;
        each_world(connect_by_name_fiber);
        assert_string_equal(sj_resolve_strerror(-ENOENT), "name does not resolve");
        assert_string_equal(sj_resolve_strerror(-ETIMEDOUT), "timed out");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(special_names_and_those_in_hosts_are_not_asked_for),
                cmocka_unit_test(the_server_tells_addresses_and_their_absence_apart),
                cmocka_unit_test(a_short_name_is_searched_for_in_the_domains),
                cmocka_unit_test(a_server_that_never_answers_for_ipv6_does_not_hide_ipv4),
                cmocka_unit_test(the_next_server_is_asked_when_one_refuses_or_is_silent),
                cmocka_unit_test(a_silent_server_costs_no_more_than_the_deadline),
                cmocka_unit_test(many_who_ask_for_one_name_share_one_question),
                cmocka_unit_test(one_asker_who_is_cancelled_leaves_the_question_to_the_others),
                cmocka_unit_test(an_answer_is_remembered_for_its_time_and_files_are_read_anew),
                cmocka_unit_test(the_oldest_answers_make_room),
                cmocka_unit_test(connecting_resolves_the_name_first),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
