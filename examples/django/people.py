"""`request.user` is whom the gateway knows. Nobody has a password here, and Django's permissions and admin work."""

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AbstractUser
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from gateway.resource import Principal, Verifier, requirement
from gateway.resource.django import Protection, principal

protection = Protection(Verifier(settings.GATEWAY), cookie=settings.COOKIE, origins=[settings.SITE])
PERSON = requirement(scope="openid")
OPEN = ("/api/", f"/{settings.STATIC_URL}")  # what protects itself, and what anybody may see


class PeopleMiddleware(AuthenticationMiddleware):
    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        if request.path.startswith(OPEN):
            return None
        refused = protection.admit_request(request, PERSON)
        if refused is None:
            request.user = user_of(principal(request))
        elif refused.status_code == 401 and "text/html" in request.headers.get("Accept", ""):
            # Whose access token has expired is renewed on the way, and sees nothing of it.
            target = f"{settings.SITE}{request.get_full_path()}" if request.method == "GET" else settings.SITE
            return HttpResponseRedirect(f"{settings.GATEWAY}/auth/login?{urlencode({'redirect_to': target})}")
        return refused


def user_of(person: Principal) -> AbstractUser:
    """Found by the account id, never by an address; what the token says is laid over the row, where it differs."""
    said: dict[str, Any] = {
        "first_name": (person.claims.get("name") or "")[:150],
        "email": person.claims.get("email") or "",
        "is_staff": "librarian" in person.roles,
        "is_superuser": "librarian" in person.roles,
    }
    user, _ = get_user_model().objects.get_or_create(username=person.subject, defaults=said | {"password": "!"})
    changed = [name for name, value in said.items() if getattr(user, name) != value]
    if changed:
        for name in changed:
            setattr(user, name, said[name])
        user.save(update_fields=changed)
    return user
