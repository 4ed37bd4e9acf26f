/* SPDX-License-Identifier: MIT */
/*
 * A server among clients that are slow, die, say nothing, break off or are cancelled, over many
 * seeds; and the ways in which a conversation is broken on purpose. What must hold:
 *
 *   - the run ends, with no fiber of a connection alive after the server;
 *   - an answer that comes whole is right, and where nothing breaks each honest client has its own;
 *   - the server outlives a shortage of descriptors and of the network;
 *   - no descriptor and no memory is left.
 *
 * The protocol: a byte n, then n bytes; the answer is those n bytes plus one each.
 */
#include "base/refusal.h"
#include "fiber/sim_unit.h"
#include "os/os.h"

#include <sanjab/net.h>

#define SERVER "10.0.0.1"

enum { PORT = 80, LONGEST = 200, CLIENTS = 10, REQUESTS = 3 };

typedef struct house {
        sj_listener *listener;
        sj_scope *connections;
        int alive;       /* fibers of connections */
        int served;      /* requests answered */
        int clients;     /* that have not ended */
        bool all_honest; /* nothing may go wrong */
} house;

static int pick(int n)
{
        return (int)sim_draw((uint64_t)n);
}

/* ── The server ──────────────────────────────────────────────────────────────────────────── */

typedef struct connection {
        house *house;
        sj_stream *stream;
} connection;

static int answer(connection *c)
{
        unsigned char n, data[LONGEST];
        int r = sj_read_exactly(c->stream, &n, 1, sj_after(SJ_MIN));
        if (r == 0 && n > sizeof(data))
                r = -EPROTO;
        if (r == 0)
                r = sj_read_exactly(c->stream, data, n, sj_after(SJ_MIN));
        for (int i = 0; r == 0 && i < n; i++)
                data[i]++;
        if (r == 0)
                r = sj_write(c->stream, data, n, sj_after(SJ_MIN));
        c->house->served += r == 0;
        return r;
}

static int serve(void *arg)
{
        connection c = *(connection *)arg;
        free(arg);
        while (answer(&c) == 0)
                continue;
        sj_stream_close(c.stream);
        c.house->alive--;
        return 0;
}

static int accept_all(void *arg)
{
        house *h = arg;
        for (;;) {
                sj_stream *s;
                int r = sj_accept(h->listener, &s, SJ_NEVER);
                if (r < 0)
                        return r;
                connection *c = malloc(sizeof(*c));
                expect(c != NULL);
                *c = (connection){.house = h, .stream = s};
                h->alive++;
                expect_equal(sj_spawn(h->connections, serve, c, NULL), 0);
        }
}

/* ── Clients ─────────────────────────────────────────────────────────────────────────────── */

static int send_slowly(sj_stream *s, const unsigned char *data, size_t n)
{
        int r = 0;
        for (size_t i = 0; i < n && r == 0; i++) {
                r = sj_write(s, data + i, 1, SJ_NEVER);
                if (r == 0)
                        r = sj_sleep(pick(100) * SJ_MS);
        }
        return r;
}

/* What it sent and what came back are in order; an error when it was broken. */
static int ask(sj_stream *s, bool slowly)
{
        unsigned char data[1 + LONGEST], got[LONGEST];
        size_t n = 1 + (size_t)pick(slowly ? 10 : LONGEST);
        data[0] = (unsigned char)n;
        for (size_t i = 1; i <= n; i++)
                data[i] = (unsigned char)pick(256);
        int r = slowly ? send_slowly(s, data, n + 1) : sj_write(s, data, n + 1, SJ_NEVER);
        for (size_t at = 0; r == 0 && at < n; at += slowly ? 1 : n)
                r = sj_read_exactly(s, got + at, slowly ? 1 : n, sj_after(SJ_HOUR));
        for (size_t i = 0; r == 0 && i < n; i++)
                expect_equal(got[i], (unsigned char)(data[i + 1] + 1));
        return r;
}

static int ask_some(sj_stream *s, bool slowly)
{
        int r = 0;
        for (int i = 1 + pick(REQUESTS); i > 0 && r == 0; i--)
                r = ask(s, slowly);
        return r;
}

/* Begins a request, and goes. */
static void die(sj_stream *s)
{
        unsigned char part[20] = {LONGEST};
        sj_write(s, part, (size_t)pick(sizeof(part)) + 1, SJ_NEVER);
        if (pick(2))
                sj_sleep(pick(200) * SJ_MS);
}

static int visit(void *arg)
{
        house *h = arg;
        sj_stream *s = NULL;
        sj_sleep(pick(100) * SJ_MS);
        int what = h->all_honest ? pick(2) : pick(5);
        int r = sj_tcp_connect(SERVER, PORT, &s, SJ_NEVER);
        if (r == 0 && what < 2)
                r = ask_some(s, what == 1);
        else if (r == 0 && what < 4)
                die(s);
        else if (r == 0)
                sj_sleep(10 * SJ_MIN);
        if (r == 0 && s && pick(2))
                sj_stream_shutdown(s, sj_after(SJ_SEC));
        sj_stream_close(s);
        if (h->all_honest)
                expect_equal(r, 0);
        h->clients--;
        return 0;
}

/* ── The world ───────────────────────────────────────────────────────────────────────────── */

static void open_house(house *h)
{
        *h = (house){0};
        expect_equal(sj_tcp_listen(SERVER, PORT, 0, &h->listener), 0);
}

static void mend_all(void *arg)
{
        (void)arg;
        sim_mend(NULL, NULL);
        sim_fail_descriptors_after(SIZE_MAX);
}

static void trouble(void)
{
        int what = pick(4), how = pick(12);
        sj_time mended = os_now() + pick(20) * SJ_SEC;
        if (!sim_strikes())
                return;
        if (what == 0)
                sim_cut(NULL, how % 2 ? SERVER : NULL);
        else if (what == 1)
                sim_fail_descriptors_after((size_t)how % 4);
        else if (what == 2)
                sim_set_wall((sj_wall){os_wall().us - 3600000000});
        else
                sim_skip(how % 3 * SJ_SEC);
        sim_at(mended, mend_all, NULL);
}

static void with_clients(house *h, bool troubled)
{
        SJ_SCOPE(clients, SJ_NEVER, SJ_COLLECT);
        sj_fiber *f[CLIENTS];
        for (int i = 0; i < CLIENTS; i++) {
                expect_equal(sj_spawn(clients, visit, h, &f[i]), 0);
                h->clients++;
        }
        for (int i = troubled ? pick(4) : 0; i > 0; i--) {
                sj_sleep(pick(100) * SJ_MS);
                trouble();
                sj_fiber *visitor = f[pick(CLIENTS)];
                if (sim_strikes())
                        sj_cancel(visitor);
        }
        expect_equal(sj_scope_join(clients), 0);
        expect_equal(h->clients, 0);
        mend_all(NULL);
}

static void with_server(house *h, void (*body)(house *h, bool troubled), bool troubled)
{
        {
                SJ_SCOPE(server, SJ_NEVER, SJ_COLLECT);
                h->connections = server;
                expect_equal(sj_spawn(server, accept_all, h, NULL), 0);
                body(h, troubled);
                sj_scope_cancel(server);
                expect_equal(sj_scope_join(server), 0);
        }
        expect_equal(h->alive, 0);
        sj_listener_close(h->listener);
}

static int a_server_among_slow_and_dying_clients(void *arg)
{
        (void)arg;
        house h;
        open_house(&h);
        with_server(&h, with_clients, true);
        return 0;
}

static int honest_clients(void *arg)
{
        (void)arg;
        sim_change(sim_draw(2) ? &sim_slow : &sim_gentle);
        house h;
        open_house(&h);
        h.all_honest = true;
        with_server(&h, with_clients, false);
        expect(h.served >= CLIENTS);
        return 0;
}

/* ── One conversation, broken at each of its bytes ───────────────────────────────────────── */

static uint64_t breaking_at;

static void one_conversation(house *h, bool troubled)
{
        (void)troubled;
        sj_stream *s;
        expect_equal(sj_tcp_connect(SERVER, PORT, &s, SJ_NEVER), 0);
        sim_reset_after_bytes(breaking_at);
        int first = ask(s, false), second = first ? first : ask(s, false);
        sim_reset_after_bytes(UINT64_MAX);
        sj_stream_close(s);
        bool broken = sim_count().broken > 0;
        expect(second == 0 || (broken && (second == -ECONNRESET || second == -EPIPE)));
        /* The server has lost one connection, and no other. */
        expect_equal(sj_tcp_connect(SERVER, PORT, &s, SJ_NEVER), 0);
        expect_equal(ask(s, false), 0);
        sj_stream_close(s);
        h->clients = broken;
}

static int conversation(void *arg)
{
        house h;
        open_house(&h);
        with_server(&h, one_conversation, false);
        *(bool *)arg = h.clients;
        return 0;
}

static void a_peer_may_reset_at_every_byte_of_a_conversation(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed <= 3; seed++) {
                bool broken = true;
                for (breaking_at = 0; broken; breaking_at++)
                        sim_unit_in(seed, seed == 2 ? &sim_slow : &sim_gentle, conversation,
                                    &broken, 0);
                assert_true(breaking_at > 10);
        }
}

/* ── A server that dies at each of the program's calls in turn, and is started again ─────── */

typedef struct life {
        uint64_t call; /* at which it dies */
        bool struck;
        sj_loop *loop;
        sj_scope *server; /* NULL: it has ended */
} life;

static int cancel_server(void *arg)
{
        life *l = arg;
        if (l->server)
                sj_scope_cancel(l->server);
        return 0;
}

/* From this very call on nobody hears of anybody. */
static void strike(void *arg)
{
        life *l = arg;
        l->struck = true;
        sim_cut(NULL, NULL);
        expect_equal(sj_post(l->loop, cancel_server, l), 0);
}

/* Two requests over one connection; an error when it was broken. */
static int converse(void)
{
        sj_stream *s;
        int r = sj_tcp_connect(SERVER, PORT, &s, SJ_NEVER);
        if (r < 0)
                return r;
        r = ask(s, false);
        if (r == 0)
                r = ask(s, false);
        sj_stream_close(s);
        return r;
}

static void live(house *h, life *l)
{
        {
                SJ_SCOPE(server, SJ_NEVER, SJ_COLLECT);
                h->connections = l->server = server;
                expect_equal(sj_spawn(server, accept_all, h, NULL), 0);
                sim_at_call(l->call, strike, l);
                int r = converse();
                sim_at_call(UINT64_MAX / 2, strike, l);
                expect(r == 0 || l->struck);
                sj_scope_cancel(server);
                expect_equal(sj_scope_join(server), 0);
                l->server = NULL;
        }
        expect_equal(h->alive, 0);
        sj_listener_close(h->listener);
}

static int two_lives(void *arg)
{
        house h;
        life *l = arg, untroubled = {.call = UINT64_MAX / 2};
        l->loop = sj_loop_current();
        open_house(&h);
        live(&h, l);
        sim_mend(NULL, NULL);
        open_house(&h);
        live(&h, &untroubled);
        expect_equal(h.served, 2);
        return 0;
}

static void a_server_may_die_at_any_call_and_is_started_again(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed <= 3; seed++) {
                life l = {.struck = true};
                for (uint64_t call = 1; l.struck; call++) {
                        l = (life){.call = call};
                        sim_unit_in(seed, seed == 2 ? &sim_slow : &sim_gentle, two_lives, &l, 0);
                }
                assert_true(l.call > 20);
        }
}

/* ── Descriptors run out ─────────────────────────────────────────────────────────────────── */

static void descriptors_run_out(house *h, bool troubled)
{
        (void)troubled;
        sj_stream *old, *refused, *late;
        expect_equal(sj_tcp_connect(SERVER, PORT, &old, SJ_NEVER), 0);
        expect_equal(ask(old, false), 0);
        /* Enough for the client's socket, and none for the server's. */
        sim_fail_descriptors_after(1);
        expect_equal(sj_tcp_connect(SERVER, PORT, &refused, SJ_NEVER), 0);
        sj_sleep(10 * SJ_SEC);
        expect_equal(ask(old, false), 0);
        expect(ask(refused, false) < 0);
        sj_stream_close(refused);
        sim_fail_descriptors_after(SIZE_MAX);
        expect_equal(sj_tcp_connect(SERVER, PORT, &late, SJ_NEVER), 0);
        expect_equal(ask(late, false), 0);
        sj_stream_close(old);
        sj_stream_close(late);
        expect(h->served >= 3);
}

static int a_server_lives_without_descriptors(void *arg)
{
        (void)arg;
        sim_change(&sim_gentle);
        house h;
        open_house(&h);
        with_server(&h, descriptors_run_out, false);
        return 0;
}

#define CASES(X)                                 \
        X(a_server_among_slow_and_dying_clients) \
        X(honest_clients)                        \
        X(a_server_lives_without_descriptors)

#define SCENARIO_DEFINE(fn)                          \
        static void test_##fn(void **state)          \
        {                                            \
                (void)state;                         \
                sim_unit_scenario(fn, &memory.live); \
        }

CASES(SCENARIO_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {
                CASES(SIM_UNIT_ROW)
                        cmocka_unit_test(a_peer_may_reset_at_every_byte_of_a_conversation),
                cmocka_unit_test(a_server_may_die_at_any_call_and_is_started_again)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
