"""Settings of the server: starts with no configuration, every knob is an environment variable.

Every variable also works as NAME_FILE (its value is read from that file). The table in
docs/operations.md lists them all.
"""

from __future__ import annotations

from pathlib import Path

from dialer_platform import env
from dialer_platform.storage.secret_key import load_or_create_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent

# --- where it runs ------------------------------------------------------------
DIALER_HOST = env.text("DIALER_HOST", "127.0.0.1")
DIALER_PORT = env.integer("DIALER_PORT", 8000)
DIALER_DATA_DIR = Path(env.text("DIALER_DATA_DIR", str(BASE_DIR / "data"))).resolve()
DIALER_ADMIN_USER = env.text("DIALER_ADMIN_USER", "admin")
DIALER_ADMIN_PASSWORD = env.text("DIALER_ADMIN_PASSWORD")
DATABASE_URL = env.text("DATABASE_URL")
REDIS_URL = env.text("REDIS_URL")

IS_LOOPBACK = DIALER_HOST in {"127.0.0.1", "::1", "localhost"}
DEBUG = env.boolean("DIALER_DEBUG", False)
SECRET_KEY = env.text("DIALER_SECRET_KEY") or load_or_create_secret_key(DIALER_DATA_DIR)
LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]", "testserver"]
ALLOWED_HOSTS = [*LOOPBACK_NAMES, DIALER_HOST, *env.words("DIALER_ALLOWED_HOSTS")]
CSRF_TRUSTED_ORIGINS = env.words("DIALER_TRUSTED_ORIGINS")
BEHIND_TLS = env.boolean("DIALER_BEHIND_TLS", False)
ALLOW_PLAIN_HTTP = env.boolean("DIALER_ALLOW_PLAIN_HTTP", False)
TRUSTED_PROXIES = frozenset(env.words("DIALER_TRUSTED_PROXIES"))
# The server's own certificate: paths, or the PEM text itself.
TLS_CERT = env.text("DIALER_TLS_CERT")
TLS_KEY = env.text("DIALER_TLS_KEY")
SERVES_TLS = bool(TLS_CERT or TLS_KEY)
IS_ENCRYPTED = BEHIND_TLS or SERVES_TLS

# --- files --------------------------------------------------------------------
TASK_LOG_DIR = DIALER_DATA_DIR / "logs" / "tasks"
SYSTEM_LOG_DIR = DIALER_DATA_DIR / "logs" / "system"
FILES_DIR = DIALER_DATA_DIR / "files"
DATABASE_DIR = DIALER_DATA_DIR / "database"
# Each level by itself: mkdir gives the parents it makes the rights of the umask.
_PRIVATE = (DIALER_DATA_DIR, DIALER_DATA_DIR / "logs", TASK_LOG_DIR, SYSTEM_LOG_DIR, DATABASE_DIR)
for _directory in (*_PRIVATE, FILES_DIR, DIALER_DATA_DIR / "static"):
    _directory.mkdir(parents=True, exist_ok=True, mode=0o700)

# --- application --------------------------------------------------------------
INSTALLED_APPS = [
    "daphne",  # first: its runserver replaces Django's
    "dialer_platform",  # before the admin: its frame of the admin's pages comes first
    "dialer_platform.accounts.admin_app.ConsoleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "dialer_platform.accounts",
    "dialer_platform.console",
    "templates_app",
    "agents",
    "agents.plugins.series",
    "agents.plugins",
    "tasks",
    "tasks.probes.series",
    "tasks.probes",
    "tasks.alerts",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "dialer_platform.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "dialer_platform.accounts.middleware.SessionLimitsMiddleware",
    "dialer_platform.accounts.middleware.LoginRequiredMiddleware",
    "dialer_platform.accounts.middleware.PrincipalMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "dialer_platform.middleware.DomainErrorMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "dialer_platform.urls"
ASGI_APPLICATION = "dialer_platform.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
                "dialer_platform.console.context.console",
            ]
        },
    }
]

# --- storage ------------------------------------------------------------------
# synchronous=FULL: NORMAL lost acknowledged commits in 8 of 10 simulated power cuts.
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
        "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-16000; PRAGMA journal_size_limit=67108864;"
    ),
}


def sqlite_database(name: str) -> dict[str, object]:
    """Return Django's entry for one SQLite file of the data directory."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATABASE_DIR / name,
        "OPTIONS": SQLITE_OPTIONS,
        "CONN_MAX_AGE": 0,
    }


DATABASES = {
    "default": env.postgres_from_url(DATABASE_URL)
    if DATABASE_URL
    else sqlite_database("dialer.sqlite3"),
}
# Results of probes grow and are deleted all the time: a file of their own on SQLite.
SERIES_DATABASE = "default" if DATABASE_URL else "series"
if SERIES_DATABASE == "series":
    DATABASES["series"] = sqlite_database("series.sqlite3")
DATABASE_ROUTERS = ["dialer_platform.storage.series.SeriesRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CHANNEL_LAYERS: dict[str, dict[str, object]] = (
    {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            # redis-py's own socket timeout ends the layer's blocking reads; None keeps them.
            "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None}]},
        }
    }
    if REDIS_URL
    else {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
)

# --- people -------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["dialer_platform.accounts.backends.LimitedBackend"]
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/accounts/login/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]
SESSION_COOKIE_AGE = 7 * 24 * 3600
SESSION_COOKIE_NAME = "__Host-dialer" if IS_ENCRYPTED else "dialer_session"
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_ENCRYPTED
CSRF_COOKIE_NAME = "__Host-dialer-csrf" if IS_ENCRYPTED else "dialer_csrf"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SECURE_SSL_REDIRECT = BEHIND_TLS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
# A browser that learned this for "localhost" would refuse every other program's plain pages there.
SECURE_HSTS_SECONDS = env.integer(
    "DIALER_HSTS_SECONDS",
    365 * 24 * 3600 if BEHIND_TLS or (SERVES_TLS and not IS_LOOPBACK) else 0,
)
# Other services may live below the same name; browsers' lists are the owner's decision.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# --- language and time --------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "中文")]
LOCALE_PATHS = [BASE_DIR / "dialer_platform" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = env.text("DIALER_TIME_ZONE", "UTC")

# --- static files -------------------------------------------------------------
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DIALER_DATA_DIR / "static"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# --- REST ---------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "dialer_platform.accounts.authentication.ApiTokenAuthentication",
        "dialer_platform.accounts.authentication.ConsoleSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["dialer_platform.api.permissions.RolePermission"],
    "DEFAULT_PAGINATION_CLASS": "dialer_platform.api.pagination.PageNumberPagination",
    "PAGE_SIZE": 50,
    "DEFAULT_FILTER_BACKENDS": [
        "django_filters.rest_framework.DjangoFilterBackend",
        "rest_framework.filters.OrderingFilter",
    ],
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "dialer_platform.api.renderers.BrowsableAPIRenderer",
    ],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "dialer_platform.api.negotiation.ContentNegotiation",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "dialer_platform.api.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Dialer Platform",
    "DESCRIPTION": "Queue scripts, watch their logs and manage the hosts that run them.",
    "VERSION": "1",
    "SERVE_PERMISSIONS": ["dialer_platform.api.permissions.RolePermission"],
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "ENUM_NAME_OVERRIDES": {
        "TaskKindEnum": "tasks.choices.Kind",
        "ProbeStateEnum": "tasks.probes.choices.State",
        "ProbeOutcomeEnum": "tasks.probes.choices.Outcome",
        "AlertEventEnum": "tasks.alerts.choices.Event",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "dialer_platform.api.schema.add_failures",
    ],
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 12 * 1024 * 1024
MAX_SCRIPT_BYTES = 1024 * 1024
MAX_BODY_BYTES = 12 * 1024 * 1024

# --- agents -------------------------------------------------------------------
HEARTBEAT_INTERVAL_SECONDS = 2.0
LOST_AFTER_SECONDS = env.integer("DIALER_LOST_AFTER_SECONDS", 24 * 3600)
# After a start of the server hosts get this long to come back, however long it was down.
LOST_GRACE_SECONDS = env.integer("DIALER_LOST_GRACE_SECONDS", 120)
LOG_LIMIT_BYTES = env.integer("DIALER_LOG_LIMIT_BYTES", 4 * 1024**3)
LOG_TENANT_MAX_BYTES = env.integer("DIALER_LOG_TENANT_MAX_BYTES", 500 * 1024**3)
MAX_AGENTS_PER_TENANT = env.integer("DIALER_MAX_AGENTS_PER_TENANT", 20_000)
MAX_ENROLMENT_TOKENS_PER_TENANT = env.integer("DIALER_MAX_ENROLMENT_TOKENS_PER_TENANT", 1_000)
MAX_TOKENS_PER_USER = env.integer("DIALER_MAX_TOKENS_PER_USER", 100)
MAX_UNFINISHED_TASKS_PER_TENANT = env.integer("DIALER_MAX_UNFINISHED_TASKS_PER_TENANT", 200_000)
FILE_MAX_BYTES = env.integer("DIALER_FILE_MAX_BYTES", 10 * 1024**3)
FILE_TENANT_MAX_BYTES = env.integer("DIALER_FILE_TENANT_MAX_BYTES", 50 * 1024**3)
FILE_KEEP_DAYS = env.integer("DIALER_FILE_KEEP_DAYS", 7)

# --- probes -------------------------------------------------------------------
MAX_PROBES_PER_TENANT = env.integer("DIALER_MAX_PROBES_PER_TENANT", 10_000)
RESULTS_KEPT_DAYS = env.integer("DIALER_RESULTS_KEPT_DAYS", 7)

# --- plug-ins of agents -------------------------------------------------------
PLUGIN_SAMPLES_KEPT_DAYS = env.integer("DIALER_PLUGIN_SAMPLES_KEPT_DAYS", 30)
PLUGIN_SAMPLES_MAX_ROWS = env.integer("DIALER_PLUGIN_SAMPLES_MAX_ROWS", 2_000_000)

# --- alerts -------------------------------------------------------------------
_SCHEME = "https" if SERVES_TLS else "http"
PUBLIC_URL = env.text("DIALER_PUBLIC_URL", f"{_SCHEME}://127.0.0.1:{DIALER_PORT}").rstrip("/")
# Hooks on this machine are for the person who alone can reach the server anyway; behind a
# proxy that is not so, though the server listens on loopback.
ALERTS_MAY_REACH_LOOPBACK = env.boolean("DIALER_ALERTS_LOOPBACK", IS_LOOPBACK and not BEHIND_TLS)
EMAIL_HOST = env.text("DIALER_SMTP_HOST", "127.0.0.1")
EMAIL_PORT = env.integer("DIALER_SMTP_PORT", 25)
EMAIL_HOST_USER = env.text("DIALER_SMTP_USER")
EMAIL_HOST_PASSWORD = env.text("DIALER_SMTP_PASSWORD")
EMAIL_USE_TLS = env.text("DIALER_SMTP_SECURITY") == "starttls"
EMAIL_USE_SSL = env.text("DIALER_SMTP_SECURITY") == "tls"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("DIALER_SMTP_FROM", "dialer@localhost")

# --- the system's own log -----------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "dialer_platform.storage.system_log.JsonFormatter"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "json", "level": "WARNING"},
        "file": {
            "class": "logging.handlers.RotatingFileHandler",
            "filename": SYSTEM_LOG_DIR / "server.log",
            "maxBytes": 10 * 1024 * 1024,
            "backupCount": 5,
            "formatter": "json",
            "delay": True,
        },
    },
    "root": {"handlers": ["console", "file"], "level": env.text("DIALER_LOG_LEVEL", "INFO")},
    "loggers": {
        "daphne": {"level": "WARNING"},
        "django.channels.server": {"level": "WARNING"},
        # Strangers cause these: tracebacks of them would push real events out of the log.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "django.security.TooManyFieldsSent": {"level": "CRITICAL"},
        "django.request": {"level": "ERROR"},  # A 404 is no event of the system.
    },
}
