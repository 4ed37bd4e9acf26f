// SPDX-License-Identifier: MIT
//
// The bare switch of boost.context, as bench/switch_bench.c does ours: its fcontext, the fastest
// that it has (its fiber and continuation classes are built on it).
#include <boost/context/detail/fcontext.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

static const int rounds = 5;
static const double least = 40e6; // ns

static void other_side(transfer_t t)
{
        for (;;)
                t = jump_fcontext(t.fctx, nullptr);
}

int main()
{
        const std::size_t size = 64 * 1024;
        char *stack = static_cast<char *>(std::aligned_alloc(4096, size));
        transfer_t t = {make_fcontext(stack + size, size, other_side), nullptr};
        std::int64_t n = 1000;
        for (int printed = -1; printed < rounds;) {
                auto start = std::chrono::steady_clock::now();
                for (std::int64_t i = 0; i < n; i += 2)
                        t = jump_fcontext(t.fctx, nullptr);
                std::chrono::duration<double, std::nano> took =
                        std::chrono::steady_clock::now() - start;
                if (took.count() < least) {
                        n *= 2;
                        continue;
                }
                if (printed++ >= 0)
                        std::printf("%.3f\n", took.count() / double(n));
        }
        return 0;
}
