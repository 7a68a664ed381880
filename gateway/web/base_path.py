"""Where we are mounted: the path our routes know, whatever proxy or application lies before us."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any


def route_path(scope: MutableMapping[str, Any], base: str) -> str:
    """The path our routes know, below the mount point or else below the base path of `public_url`.

    A proxy may have taken the base path away already; then there is nothing to take. NOTE: where it does so,
    the base path cannot be one that our own routes begin with, such as /auth.
    """
    path: str = scope["path"]
    for prefix in (scope.get("root_path", "").rstrip("/"), base):
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            return path[len(prefix) :] or "/"
    return path or "/"
