"""The address at which an application's kept request goes on: a sign-in for it returns there."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from .parts import Parts

RESUME = "resume"
PATH = re.compile(r"/auth/authorize\?resume=[A-Za-z0-9_-]{43}")


def resume_path(parts: Parts, token: str) -> str:
    return f"{parts.base}/auth/authorize?{urlencode({RESUME: token})}"


def cancelled(parts: Parts, target: str) -> str | None:
    """Where a sign-in with this target goes when the person does not want it: back to the application, if it was for
    one."""
    path = target.removeprefix(parts.base)
    return f"{target}&cancel=1" if PATH.fullmatch(path) else None
