# SPDX-License-Identifier: MIT
from celery import shared_task


@shared_task
def count_primes(limit):
    return sum(all(n % d for d in range(2, int(n ** 0.5) + 1)) for n in range(2, limit))


@shared_task
def receipt(order, total):
    return f'order {order}: {total:.2f}'
