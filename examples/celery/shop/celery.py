# SPDX-License-Identifier: MIT
from celery import Celery

app = Celery('shop')
app.config_from_object('shop.settings', namespace='CELERY')
app.autodiscover_tasks(['shop'])
