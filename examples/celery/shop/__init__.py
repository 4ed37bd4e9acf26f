# SPDX-License-Identifier: MIT
from .celery import app as celery_app
