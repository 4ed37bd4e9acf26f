/* SPDX-License-Identifier: MIT */
#include "base/heap.h"

#include "base/unit.h"

enum { NODES = 500 };

static uint64_t next_random(uint64_t *state)
{
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        return *state >> 33;
}

static void equal_keys_leave_in_the_order_they_came(void **state)
{
        (void)state;
        heap h = {0};
        heap_node nodes[NODES] = {0};
        for (size_t i = 0; i < NODES; i++)
                heap_add(&h, &nodes[i], (int64_t)(i % 3));
        for (size_t key = 0; key < 3; key++)
                for (size_t i = key; i < NODES; i += 3)
                        assert_ptr_equal(heap_pop(&h), &nodes[i]);
        assert_null(heap_pop(&h));
        assert_null(heap_top(&h));
}

static void a_node_added_again_is_the_last_of_its_key(void **state)
{
        (void)state;
        heap h = {0};
        heap_node a = {0}, b = {0};
        heap_add(&h, &a, 7);
        heap_add(&h, &b, 7);
        heap_remove(&h, &a);
        heap_add(&h, &a, 7);
        assert_ptr_equal(heap_pop(&h), &b);
        assert_ptr_equal(heap_pop(&h), &a);
}

static void orders_the_whole_range_of_keys(void **state)
{
        (void)state;
        heap h = {0};
        heap_node nodes[5] = {0};
        const int64_t keys[5] = {INT64_MAX, 0, INT64_MIN, -1, 1};
        for (size_t i = 0; i < 5; i++)
                heap_add(&h, &nodes[i], keys[i]);
        const size_t order[5] = {2, 3, 1, 4, 0};
        for (size_t i = 0; i < 5; i++)
                assert_ptr_equal(heap_pop(&h), &nodes[order[i]]);
}

/* The node that a plain search finds. */
static heap_node *expected_top(heap_node *nodes)
{
        heap_node *top = NULL;
        for (size_t i = 0; i < NODES; i++) {
                heap_node *n = &nodes[i];
                if (heap_holds(n) && (!top || n->key < top->key ||
                                      (n->key == top->key && n->sequence < top->sequence)))
                        top = n;
        }
        return top;
}

static void random_adds_and_removals_agree_with_a_search(void **state)
{
        (void)state;
        heap h = {0};
        heap_node nodes[NODES] = {0};
        uint64_t seed = 1;
        size_t held = 0;
        for (size_t round = 0; round < 20000; round++) {
                heap_node *n = &nodes[next_random(&seed) % NODES];
                if (heap_holds(n)) {
                        heap_remove(&h, n);
                        held--;
                } else {
                        heap_add(&h, n, (int64_t)(next_random(&seed) % 100));
                        held++;
                }
                assert_int_equal(h.n, held);
                assert_ptr_equal(heap_top(&h), expected_top(nodes));
        }
}

static void removing_what_is_in_no_heap_does_nothing(void **state)
{
        (void)state;
        heap h = {0};
        heap_node in = {0}, out = {0};
        heap_add(&h, &in, 1);
        heap_remove(&h, &out);
        assert_ptr_equal(heap_pop(&h), &in);
        heap_remove(&h, &in);
        assert_false(heap_holds(&in));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(equal_keys_leave_in_the_order_they_came),
                cmocka_unit_test(a_node_added_again_is_the_last_of_its_key),
                cmocka_unit_test(orders_the_whole_range_of_keys),
                cmocka_unit_test(random_adds_and_removals_agree_with_a_search),
                cmocka_unit_test(removing_what_is_in_no_heap_does_nothing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
