"""Configuration: one TOML file, the environment and flags, checked as a whole."""

from .keys import RESERVED_NAMES
from .load import Examined, build, examine, load
from .model import AppSettings, ClientAuth, EmailTrust, Network, ProviderSettings, RoleRule, Secret, Settings

__all__ = [
    "RESERVED_NAMES",
    "AppSettings",
    "ClientAuth",
    "EmailTrust",
    "Examined",
    "Network",
    "ProviderSettings",
    "RoleRule",
    "Secret",
    "Settings",
    "build",
    "examine",
    "load",
]
