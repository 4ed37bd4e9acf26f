/* SPDX-License-Identifier: MIT */
/* Nodes that are alive are known by name. */
#include "queue/broker/conformance_unit.h"

static int two_workers_of_one_name_are_refused(void *arg)
{
        FIXTURE(f, arg);
        FIXTURE(g, arg);
        broker_node node = {.name = SJ_STR("w@h"), .info = SJ_STR("{\"pid\": 1}")};
        const broker_token token = {1, 2}, other = {1, 3};
        sj_time ttl = 4 * f->c->tick;
        expect_equal(broker_node_join(f->b, &node, token, ttl, soon()), 0);
        expect_equal(broker_node_join(g->b, &node, other, ttl, soon()), -EEXIST);
        /* Who does not know that it has the name may ask again. */
        expect_equal(broker_node_join(f->b, &node, token, ttl, soon()), 0);
        for (int i = 0; i < 4; i++) {
                pass(f, 2);
                expect_equal(broker_node_beat(f->b, node.name, token, SJ_STR(""), ttl, soon()), 0);
        }
        expect_equal(broker_node_join(g->b, &node, other, ttl, soon()), -EEXIST);
        expect_equal(broker_node_leave(f->b, node.name, token, soon()), 0);
        expect_equal(broker_node_join(g->b, &node, other, ttl, soon()), 0);
        expect_equal(broker_node_beat(f->b, node.name, token, SJ_STR(""), ttl, soon()), -ESTALE);
        expect_equal(broker_node_leave(f->b, node.name, token, soon()), -ESTALE);
        /* One that has gone silent loses its name. */
        pass(f, 8);
        expect_equal(broker_node_beat(g->b, node.name, other, SJ_STR(""), ttl, soon()), -ESTALE);
        expect_equal(broker_node_join(f->b, &node, token, ttl, soon()), 0);
        return 0;
}

static int the_live_nodes_are_listed_by_name(void *arg)
{
        FIXTURE(f, arg);
        const broker_token token = {1, 2};
        const broker_node *nodes;
        static const char *const names[] = {"c@h", "a@h", "b@h"};
        for (int i = 0; i < 3; i++) {
                broker_node n = {.name = sj_str_of(names[i]), .info = SJ_STR("{}")};
                sj_time ttl = (i == 2 ? 2 : 1000) * f->c->tick;
                expect_equal(broker_node_join(f->b, &n, token, ttl, soon()), 0);
                if (i == 1)
                        expect_equal(broker_node_beat(f->b, n.name, token, SJ_STR("{\"n\": 1}"),
                                                      ttl, soon()),
                                     0);
        }
        expect_equal(broker_nodes(f->b, f->arena, &nodes, soon()), 3);
        pass(f, 4);
        expect_equal(broker_nodes(f->b, f->arena, &nodes, soon()), 2);
        expect_text(nodes[0].name, "a@h");
        expect_text(nodes[0].info, "{\"n\": 1}");
        expect_text(nodes[1].name, "c@h");
        expect(nodes[0].until.us > nodes[0].since.us);
        return 0;
}

const conformance_case conformance_node[] = {
        CASE(two_workers_of_one_name_are_refused),
        CASE(the_live_nodes_are_listed_by_name),
        {NULL, NULL},
};
