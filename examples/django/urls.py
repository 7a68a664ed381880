from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.generic import RedirectView
from shelf import views


def not_for_you(_request: HttpRequest) -> HttpResponse:
    """Django's admin would ask for a password here."""
    return HttpResponse("This is for librarians.", status=403, content_type="text/plain")


sign_out = RedirectView.as_view(url=f"{settings.GATEWAY}/auth/logout")

urlpatterns = [
    path("", views.shelf, name="shelf"),
    path("books/<int:number>/lend", views.lend, name="lend"),
    path("api/books", views.api),
    path("sign-out", sign_out, name="sign-out"),
    path("admin/login/", not_for_you),
    path("admin/logout/", sign_out),
    path("admin/", admin.site.urls),
]
