"""Flask: a decorator for views; with several, or none, it stands in front of a whole application or blueprint."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Response, current_app, g, request

from .errors import Refused
from .guard import Guard
from .principal import Principal
from .require import Requirement, requirement
from .wsgi import asked

__all__ = ["Protection", "principal"]

View = TypeVar("View", bound=Callable[..., Any])


class Protection(Guard):
    """
    protection = Protection(verifier)

    @app.get("/orders")
    @protection.require(scope="orders:read")
    def orders():
        principal().subject
    """

    def require(self, **needs: Any) -> Callable[[View], View]:
        """`needs`: as `gateway.resource.requirement` has them. Below the route's own decorator."""
        wanted = requirement(**needs)

        def decorate(view: View) -> View:
            @functools.wraps(view)
            def protected(*args: Any, **kwargs: Any) -> Any:
                refused = self._admit(wanted)
                return current_app.ensure_sync(view)(*args, **kwargs) if refused is None else refused

            return cast("View", protected)

        return decorate

    def before(self, **needs: Any) -> Callable[[], Response | None]:
        """For every view of an application or blueprint: `app.before_request(protection.before(role="staff"))`."""
        return functools.partial(self._admit, requirement(**needs))

    def _admit(self, wanted: Requirement) -> Response | None:
        try:
            g.principal = self.admit_sync(asked(request.environ), wanted)
        except Refused as refused:
            answer = self.refuse(refused)
            return Response(answer.body, answer.status, answer.headers, content_type="application/json")
        return None


def principal() -> Principal:
    """Who is calling, in a view with `require` or `before`. AttributeError elsewhere."""
    found: Principal = g.principal
    return found
