from django.contrib import admin
from django.db import models


class Book(models.Model):
    title = models.CharField(max_length=200)
    lent_to = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return self.title


admin.site.register(Book)
