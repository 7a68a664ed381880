"""`python -m gateway` is the `gateway` command."""

from .cli import main

main()
