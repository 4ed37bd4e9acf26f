# SPDX-License-Identifier: MIT
CELERY_BROKER_URL = 'redis://localhost:6379/0'
CELERY_RESULT_BACKEND = 'redis://localhost:6379/0'
CELERY_TASK_ROUTES = {'shop.tasks.count_primes': {'queue': 'fast'}}
