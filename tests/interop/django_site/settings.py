"""What the test says, in the environment.

SITE_DATABASE    DATABASES["default"], as JSON
SITE_OPTIONS     the setting MAILSTROM, as JSON
SITE_BEFORE      "1": in the style from before Django 6.1
SITE_MIGRATED    "1": `migrate` comes before each story
"""

import json
import os

import django

SECRET_KEY = "not-a-secret"
USE_TZ = True
DEFAULT_FROM_EMAIL = "My Shop <shop@sender.example>"
INSTALLED_APPS = ["mailstrom.contrib.django"]
DATABASES = {"default": json.loads(os.environ["SITE_DATABASE"])}
MAILSTROM = json.loads(os.environ["SITE_OPTIONS"])

_backend = "mailstrom.contrib.django.EmailBackend"

_before = bool(os.environ["SITE_BEFORE"])

if not _before:
    MAILERS = {
        "default": {"BACKEND": _backend},
        "second": {"BACKEND": _backend, "OPTIONS": {"helo_name": "second.sender.example"}},
    }
if _before or django.VERSION < (6, 1):
    EMAIL_BACKEND = _backend
