"""The path our routes know, mounted anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.base_path import route_path


@pytest.mark.parametrize(
    ("path", "root_path", "base", "expected"),
    [
        ("/auth/login", "", "", "/auth/login"),
        ("/id/auth/login", "", "/id", "/auth/login"),
        ("/auth/login", "", "/id", "/auth/login"),  # the proxy has taken it away
        ("/id", "", "/id", "/"),
        ("/id/", "", "/id", "/"),
        ("/idle", "", "/id", "/idle"),
        ("/a/b/auth/login", "", "/a/b", "/auth/login"),
        ("/auth/auth/login", "", "/auth", "/auth/login"),
        ("/mounted/auth/login", "/mounted", "", "/auth/login"),
        ("/mounted", "/mounted", "", "/"),
        ("/mounted/auth/login", "/mounted", "/mounted", "/auth/login"),
        ("/auth/auth/login", "/auth", "/auth", "/auth/login"),  # taken away once
        ("/auth/login", "/id", "/id", "/auth/login"),  # a server that keeps them apart
        ("/id/auth/login", "/id/", "/id", "/auth/login"),
        ("", "", "", "/"),
    ],
)
def test_the_path_below_mount_point_and_base(path: str, root_path: str, base: str, expected: str) -> None:
    assert route_path({"path": path, "root_path": root_path}, base) == expected


@given(st.text(), st.text())
def test_there_is_always_a_path(path: str, root_path: str) -> None:
    assert route_path({"path": path, "root_path": root_path}, "/id") != ""
