"""Django: a decorator for views, sync and async, and a middleware in front of all of them. `request.principal` holds
who is calling.

The middleware reads the setting `GATEWAY_RESOURCE`:

    GATEWAY_RESOURCE = {"protection": Protection(verifier), "needs": {"role": "staff"}, "public": ["/health"]}
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from django.views.decorators.csrf import csrf_exempt

from .errors import Refused
from .guard import Asked, Guard
from .principal import Principal
from .require import Requirement, requirement

__all__ = ["Protection", "middleware", "principal"]

View = TypeVar("View", bound=Callable[..., Any])


class Protection(Guard):
    """
    protection = Protection(verifier)

    @protection.require(scope="orders:read")
    def orders(request):
        principal(request).subject
    """

    def require(self, **needs: Any) -> Callable[[View], View]:
        """`needs`: as `gateway.resource.requirement` has them. A view that is called with a token needs no CSRF token:
        no page of another site can send one, and for cookies `origins` decides."""
        wanted = requirement(**needs)

        def decorate(view: View) -> View:
            if is_async(view):

                @functools.wraps(view)
                async def protected(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                    refused = await self.admit_async(request, wanted)
                    return await view(request, *args, **kwargs) if refused is None else refused
            else:

                @functools.wraps(view)
                def protected(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                    refused = self.admit_request(request, wanted)
                    return view(request, *args, **kwargs) if refused is None else refused

            return cast("View", csrf_exempt(protected))

        return decorate

    def admit_request(self, request: HttpRequest, wanted: Requirement) -> HttpResponse | None:
        """None: the caller may, and stands in the request. Otherwise the answer to give."""
        try:
            request.principal = self.admit_sync(asked(request), wanted)
        except Refused as refused:
            return self._response(refused)
        return None

    async def admit_async(self, request: HttpRequest, wanted: Requirement) -> HttpResponse | None:
        """As `admit_request`, on an event loop."""
        try:
            request.principal = await self.admit(asked(request), wanted)
        except Refused as refused:
            return self._response(refused)
        return None

    def _response(self, refused: Refused) -> HttpResponse:
        answer = self.refuse(refused)
        return HttpResponse(answer.body, "application/json", answer.status, headers=answer.headers)


@sync_and_async_middleware  # type: ignore[untyped-decorator]  # Django ships no types
def middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """`MIDDLEWARE = ["gateway.resource.django.middleware", …]`."""
    given = settings.GATEWAY_RESOURCE
    protection: Protection = given["protection"]
    wanted, public = requirement(**given.get("needs", {})), frozenset(given.get("public", ()))
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> Any:
            refused = None if request.path_info in public else await protection.admit_async(request, wanted)
            return await get_response(request) if refused is None else refused

        return answer_async

    def answer(request: HttpRequest) -> Any:
        refused = None if request.path_info in public else protection.admit_request(request, wanted)
        return get_response(request) if refused is None else refused

    return answer


def is_async(view: Callable[..., Any]) -> bool:
    """By Django's own mark. A class's `dispatch`, as `method_decorator` has it, is awaited where the methods are async,
    and does not bear the mark."""
    of_class = getattr(getattr(view, "func", None), "__self__", None)
    return iscoroutinefunction(view) or getattr(of_class, "view_is_async", False) is True


def principal(request: HttpRequest) -> Principal:
    """Who is calling, in a view with `require` or behind the middleware. AttributeError elsewhere."""
    found: Principal = request.principal
    return found


def asked(request: HttpRequest) -> Asked:
    """WSGI and ASGI requests have the same `META`; Django joins a header that came twice with a comma."""
    header = request.META.get("HTTP_AUTHORIZATION")
    return Asked(
        () if header is None else (header,),
        request.META.get("HTTP_COOKIE", ""),
        request.method,
        request.META.get("HTTP_ORIGIN"),
    )
