"""Pages for people, who are signed in already when they come here; an API for programs, which says whom it lets in."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST
from people import protection

from .models import Book


def shelf(request: HttpRequest) -> HttpResponse:
    return render(request, "shelf.html", {"books": Book.objects.order_by("title")})


@require_POST
def lend(request: HttpRequest, number: int) -> HttpResponse:
    book = get_object_or_404(Book, pk=number, lent_to="")
    book.lent_to = request.user.first_name
    book.save()
    return redirect("shelf")


@protection.require(app_role="books:read")
async def api(_request: HttpRequest) -> HttpResponse:
    return JsonResponse(
        {"books": [{"title": book.title, "lent": bool(book.lent_to)} async for book in Book.objects.all()]}
    )
