"""Django's settings. Where everything is comes from the environment; serve.py sets it."""

import os
import secrets
from urllib.parse import urlsplit

SITE, GATEWAY = os.environ["SITE_URL"], os.environ["GATEWAY_URL"]
COOKIE = os.environ["GATEWAY_COOKIE"]  # of the gateway's session: `__Host-gateway` on https

SECRET_KEY = secrets.token_urlsafe(48)
ALLOWED_HOSTS = [urlsplit(SITE).hostname]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "shelf",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "people.PeopleMiddleware",  # in the place of Django's AuthenticationMiddleware
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
USE_TZ = True
