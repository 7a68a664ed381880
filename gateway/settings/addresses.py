"""Addresses in the configuration: URLs, origins, domains, networks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import unquote, urlsplit

from .model import Network
from .parse import Unfit, suggest, text

LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
HOST = re.compile(rf"{LABEL}(?:\.{LABEL})*")
DOMAIN = re.compile(rf"{LABEL}(?:\.{LABEL})+")
PATH = re.compile(r"(?:/(?!/|\.{1,2}(?:/|$))(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*")
PLAIN_PATH = re.compile(r"[A-Za-z0-9._~/-]*")
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
EMAIL = re.compile(r"[^@\s,]{1,64}@([^@\s]+)")
OWN_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+:/(?!/)[A-Za-z0-9._~/-]*")  # com.example.app:/return
DEFAULT_PORTS = {"http": 80, "https": 443}
TENANT = "{tenantid}"  # what stands for the tenant in a Microsoft issuer

INSECURE = "Use https; plain http is only for localhost and other loopback addresses."


@dataclass(frozen=True, slots=True)
class Address:
    """A URL in its parts: scheme and host in lower case, no port where it is the scheme's own."""

    scheme: str
    host: str
    port: int | None
    path: str
    query: str
    fragment: str

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port is not None else "")

    @property
    def secure(self) -> bool:
        return self.scheme == "https" or is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host in lower case (IPv6 in brackets) can only be this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def split(value: object) -> Address:
    """An http or https URL without user, password, white space or backslash."""
    given = text(value)
    if not given.isascii():
        raise Unfit("Write a name with other letters in its xn-- form, and escape the path with %.")
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError:
        raise Unfit("Write a whole address: https://host.example") from None
    if parts.scheme.lower() not in DEFAULT_PORTS or not parts.netloc:
        raise Unfit("Write a whole address: https://host.example")
    if "@" in parts.netloc:
        raise Unfit("Leave the user and password out of the address.")
    return Address(
        parts.scheme.lower(),
        host_of(parts.netloc),
        None if port == DEFAULT_PORTS[parts.scheme.lower()] else port,
        path_of(parts.path),
        parts.query,
        parts.fragment,
    )


def host_of(netloc: str) -> str:
    host = netloc.lower()
    if host.startswith("["):
        return ipv6_host(host[1:].partition("]")[0])
    host = host.partition(":")[0]
    if "*" in host:
        raise Unfit("Name each host; a * stands for nothing here.")
    if not HOST.fullmatch(host) or len(host) > 253:
        raise Unfit("The host name is not one: letters, digits, hyphens and dots.")
    return host


def ipv6_host(given: str) -> str:
    try:
        if "%" not in given:  # a zone means something on one machine only
            return f"[{IPv6Address(given)}]"
    except ValueError:
        pass
    raise Unfit("The address in brackets is not an IPv6 one.")


def path_of(path: str) -> str:
    if not PATH.fullmatch(path):
        raise Unfit("A browser would change this path: it holds //, .., a backslash, a space or an odd character.")
    return path


def secure(value: object) -> Address:
    address = split(value)
    if not address.secure:
        raise Unfit(INSECURE)
    return address


def bare(value: object) -> Address:
    """A secure address without query and fragment."""
    address = secure(value)
    if address.query or address.fragment:
        raise Unfit("Leave out what follows ? and #.")
    return address


def base_url(value: object) -> str:
    """Scheme, host, port and path, normalised, without a trailing slash."""
    address = bare(value)
    return address.origin + address.path.rstrip("/")


def public_url(value: object) -> str:
    """As `base_url`; the path also stands in cookies and redirect URIs, so it is a plain one."""
    url = base_url(value)
    if not PLAIN_PATH.fullmatch(split(url).path):
        raise Unfit("Keep the path to letters, digits and - . _ ~ /")
    return url


def document_url(value: object) -> str:
    """The address of a document, exactly as given."""
    if secure(value).fragment:
        raise Unfit("Leave out what follows #.")
    return text(value)


def issuer(value: object) -> str:
    """An issuer, exactly as given; Microsoft's may hold `{tenantid}`."""
    bare(text(value).replace(TENANT, "tenant"))
    return text(value)


def origin(value: object) -> str:
    """scheme://host[:port], as a browser sends it in `Origin`."""
    if value in ("*", "null"):
        raise Unfit("Name each origin: with cookies a browser takes no * and the gateway no null.")
    address = bare(value)
    if address.path:
        raise Unfit(f"An origin has no path, not even a slash: {address.origin}")
    return address.origin


def redirect_prefix(value: object) -> str:
    """An origin, or a URL prefix that ends in `/`."""
    address = split(value)
    if address.query or address.fragment:
        raise Unfit("Leave out what follows ? and #.")
    if address.path and not address.path.endswith("/"):
        raise Unfit("End a prefix with a slash, or give the origin alone.")
    if "%" in address.path:
        raise Unfit("Write the prefix without % escapes.")
    return address.origin + address.path


def return_uri(value: object) -> str:
    """Where an application has its people return to, exactly as given (RFC 9700 section 2.1, RFC 8252 section 7):
    https, http on loopback, or a scheme of its own with a dot in it."""
    given = text(value)
    if OWN_SCHEME.fullmatch(given):
        return given
    address = secure(given)
    if address.fragment or given.endswith("#"):
        raise Unfit("Leave out what follows #.")
    if address.path == "" and not address.query:
        raise Unfit(f"Write the path too, if only a slash: {given}/")
    if not given.startswith(address.origin):
        raise Unfit(f"Write scheme and host as a browser does: {address.origin}{address.path}")
    return given


def redirect_target(value: object) -> str:
    """A path on `public_url`, or a whole URL."""
    given = text(value)
    if not given.startswith("/"):
        split(given)
        return given
    path_of(re.split(r"[?#]", given, maxsplit=1)[0])
    return given


def domain(value: object) -> str:
    """A domain name in lower case."""
    given = text(value).lower().rstrip(".")
    if not given.isascii():
        raise Unfit("Write the domain in its xn-- form.")
    if not DOMAIN.fullmatch(given) or given.rpartition(".")[2].isdigit():
        raise Unfit("Write a domain name: example.com")
    return given


def tenant(value: object) -> str:
    """A Microsoft tenant by its id or one of its domains, in lower case."""
    given = text(value).lower()
    if is_tenant_id(given):
        return given
    try:
        return domain(given)
    except Unfit:
        raise Unfit("Write common, organizations, consumers, the tenant's id (a GUID) or one of its domains.") from None


def is_tenant_id(given: str) -> bool:
    return GUID.fullmatch(given) is not None


def tenant_id(value: object) -> str:
    given = text(value).lower()
    if not is_tenant_id(given):
        raise Unfit("Write the tenant's id, a GUID (Entra admin centre > Overview > Tenant ID).")
    return given


def email(value: object) -> str:
    given = text(value).lower()
    found = EMAIL.fullmatch(given)
    if found is None:
        raise Unfit("Write an e-mail address: ada@example.com")
    domain(found[1])
    return given


def network(value: object) -> Network:
    """An address or a network in CIDR form."""
    given = text(value)
    try:
        return ip_network(given)
    except ValueError:
        raise Unfit(f"Write an address or a network: 10.0.0.0/8.{masked(given)}") from None


def masked(given: str) -> str:
    """The network somebody meant who left bits of the host in it."""
    try:
        return f' Did you mean "{ip_network(given, strict=False)}"?'
    except ValueError:
        return ""


def database_url(value: object) -> str:
    """A SQLAlchemy URL of a database the gateway serves. Only the scheme of a refused one is reported."""
    given = text(value)
    scheme, separator, rest = given.partition("://")
    backend = scheme.partition("+")[0]
    seen = f'"{scheme}://..."' if separator and scheme.replace("+", "").isalnum() and scheme.isascii() else "not shown"
    if not separator or backend not in ("sqlite", "postgresql", "postgres"):
        near = suggest(backend, ("sqlite", "postgresql"))
        raise Unfit(f"Use sqlite:///gateway.db or postgresql://user:password@host/database.{near}", seen)
    if backend == "sqlite" and rest and not rest.startswith("/"):
        raise Unfit(
            "Write three slashes before a path from here, four for an absolute one: sqlite:///gateway.db",
            seen,
        )
    try:
        urlsplit(given).port  # noqa: B018  reading it is the check
    except ValueError:
        raise Unfit("The host or port is not one. Escape : / ? # @ [ ] in the password with %.", seen) from None
    return given


def sqlite_file(url: str) -> str | None:
    """The file of a SQLite URL; None for a database in memory or on a server."""
    backend, _, rest = url.partition("://")
    if backend.partition("+")[0] != "sqlite":
        return None
    path, _, query = rest.partition("?")
    path = unquote(path[1:]).removeprefix("file:")
    return None if path in ("", ":memory:") or "mode=memory" in query.split("&") else path


def is_sqlite(url: str) -> bool:
    return url.partition("://")[0].partition("+")[0] == "sqlite"


def redis_url(value: object) -> str:
    given = text(value)
    if not given.startswith(("redis://", "rediss://", "unix://")):
        raise Unfit("Use redis://host:6379/0, rediss://… for TLS, or unix:///path for a socket.")
    return given
