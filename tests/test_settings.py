"""Loading: where values come from, which goes before which, `${NAME}`, and role rules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from loading import CORP, fault, faults, read

from gateway.errors import ConfigurationError
from gateway.settings import RESERVED_NAMES, build, examine, load
from gateway.settings.read import COMMAND_VARIABLES

from harness import SECRET

# Where values come from


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert read(tmp_path, "").public_url == "http://localhost:8000"


def test_without_a_file_the_environment_is_enough() -> None:
    assert load(None, {"GATEWAY_DATABASE_URL": "sqlite://", "GATEWAY_SIGNUP": "closed"}).signup == "closed"


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path / "absent.toml", {})
    assert refused.value.faults[0].seen == "no such file or directory"


@pytest.mark.parametrize(
    ("environ", "flags", "expected"),
    [
        ({}, {}, "https://file.example"),
        ({"GATEWAY_PUBLIC_URL": "https://env.example"}, {}, "https://env.example"),
        (
            {"GATEWAY_PUBLIC_URL": "https://env.example"},
            {"public_url": "https://flag.example"},
            "https://flag.example",
        ),
        ({"GATEWAY_PUBLIC_URL": ""}, {"public_url": None}, "https://file.example"),
    ],
)
def test_flag_before_environment_before_file(
    tmp_path: Path, environ: dict[str, str], flags: dict[str, object], expected: str
) -> None:
    assert read(tmp_path, '[gateway]\npublic_url = "https://file.example"', environ, **flags).public_url == expected


def test_the_port_shapes_only_the_default_address(tmp_path: Path) -> None:
    assert read(tmp_path, "", port=9001).public_url == "http://localhost:9001"
    assert read(tmp_path, '[gateway]\npublic_url = "https://a.example"', port=9001).public_url == "https://a.example"


def test_the_audience_is_the_public_url_unless_given(tmp_path: Path) -> None:
    assert read(tmp_path, '[gateway]\npublic_url = "https://a.example/"').audience == "https://a.example"


def test_lists_are_separated_by_commas_in_the_environment(tmp_path: Path) -> None:
    environ = {"GATEWAY_CORS_ORIGINS": "https://a.example, https://b.example:8443,"}
    assert read(tmp_path, "", environ).cors_origins == ("https://a.example", "https://b.example:8443")


def test_a_providers_key_by_environment_goes_before_the_file(tmp_path: Path) -> None:
    found = read(tmp_path, CORP, {"GATEWAY_PROVIDERS__CORP__CLIENT_ID": "other"})
    assert found.providers["corp"].client_id == "other"


def test_a_hyphen_in_a_providers_name_is_an_underscore_in_the_environment(tmp_path: Path) -> None:
    found = read(tmp_path, CORP.replace("corp", "my-idp"), {"GATEWAY_PROVIDERS__MY_IDP__LABEL": "Mine"})
    assert found.providers["my-idp"].label == "Mine"


def test_a_provider_may_live_in_the_environment_alone(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        CORP,
        {
            "GATEWAY_PROVIDERS__GOOGLE__PRESET": "google",
            "GATEWAY_PROVIDERS__GOOGLE__CLIENT_ID": "id",
            "GATEWAY_PROVIDERS__GOOGLE__CLIENT_SECRET": "secret",
        },
    )
    assert list(found.providers) == ["corp", "google"]


def test_parameters_come_from_the_environment_as_pairs(tmp_path: Path) -> None:
    environ = {"GATEWAY_PROVIDERS__CORP__AUTHORIZE_PARAMS": "prompt=select_account, acr_values=urn:a=b"}
    assert read(tmp_path, CORP, environ).providers["corp"].authorize_params == {
        "prompt": "select_account",
        "acr_values": "urn:a=b",
    }


@pytest.mark.parametrize(
    "name",
    [
        "GATEWAY_PORT",
        "GATEWAY_SERVICE_HOST",
        "GATEWAY_SERVICE_PORT_HTTP",
        "GATEWAY_PORT_8000_TCP_ADDR",
        "GATEWAY_CONFIG",
        "GATEWAYS",
    ],
)
def test_variables_that_are_no_settings_of_ours_are_left_alone(tmp_path: Path, name: str) -> None:
    text = f'[gateway]\nsecret_keys = ["{SECRET}"]'
    assert read(tmp_path, text, {name: "tcp://10.0.0.1:8000"}) == read(tmp_path, text)


def test_every_variable_the_commands_read_is_left_to_them() -> None:
    package = Path(__file__).parents[1] / "gateway"
    sources = [path.read_text() for path in package.rglob("*.py") if path.parent.name != "settings"]
    assert {name for text in sources for name in re.findall(r'"(GATEWAY_[A-Z_]+)"', text)} <= COMMAND_VARIABLES


def test_build_takes_tables_that_lie_ready() -> None:
    assert build({"gateway": {"database_url": "sqlite://", "signup": "closed"}}).signup == "closed"


def test_loading_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    read(tmp_path, CORP)
    assert capfd.readouterr() == ("", "")


# ${NAME}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("${WHO}", "Ada"),
        ("Dr ${WHO}!", "Dr Ada!"),
        ("${WHO}${WHO}", "AdaAda"),
        ("${NOBODY:-Grace}", "Grace"),
        ("${EMPTY:-Grace}", "Grace"),
        ("${WHO:-Grace}", "Ada"),
        ("$${WHO}", "${WHO}"),
        ("$WHO costs 5$", "$WHO costs 5$"),
        ("${NESTED}", "${WHO}"),
    ],
)
def test_names_are_replaced_from_the_environment(tmp_path: Path, written: str, expected: str) -> None:
    environ = {"WHO": "Ada", "EMPTY": "", "NESTED": "${WHO}"}
    assert read(tmp_path, CORP + f'label = "{written}"', environ).providers["corp"].label == expected


def test_names_are_replaced_inside_lists_and_parameters(tmp_path: Path) -> None:
    text = CORP + 'scopes = ["openid", "${EXTRA}"]\nauthorize_params = { prompt = "${PROMPT:-consent}" }'
    corp = read(tmp_path, text, {"EXTRA": "groups"}).providers["corp"]
    assert (corp.scopes, corp.authorize_params) == (("openid", "groups"), {"prompt": "consent"})


def test_every_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    found = faults(tmp_path, CORP + 'label = "${ONE} ${TWO}"\naudiences = ["${THREE}"]')
    assert [each.seen for each in found] == [f"${{{name}}}, which is not set" for name in ("ONE", "TWO", "THREE")]


def test_the_environment_itself_is_taken_literally(tmp_path: Path) -> None:
    assert read(tmp_path, CORP, {"GATEWAY_PROVIDERS__CORP__LABEL": "${X}"}).providers["corp"].label == "${X}"


def test_a_broken_place_is_a_fault(tmp_path: Path) -> None:
    assert "$${" in fault(tmp_path, CORP + 'label = "${not closed"').hint


def test_what_comes_out_empty_counts_as_not_given(tmp_path: Path) -> None:
    assert read(tmp_path, CORP + 'label = "${NOTHING:-}"').providers["corp"].label == "Corp"


def test_a_variable_the_file_asks_for_may_have_our_prefix(tmp_path: Path) -> None:
    text = CORP + 'label = "${GATEWAY_LABEL}"'
    assert read(tmp_path, text, {"GATEWAY_LABEL": "Ours"}).providers["corp"].label == "Ours"


# Roles


def test_a_rule_holds_what_was_given(tmp_path: Path) -> None:
    text = (
        CORP
        + "[[roles]]\nrole = 'admin'\nemails = ['Ada@Example.com']\n"
        + "provider = 'corp'\nprovider_roles = ['boss']"
    )
    rule = read(tmp_path, text).roles[0]
    assert (rule.role, rule.emails, rule.provider, rule.provider_roles) == (
        "admin",
        ("ada@example.com",),
        "corp",
        ("boss",),
    )


@pytest.mark.parametrize(
    ("rule", "key", "words"),
    [
        ("groups = ['a']", "role", "Name the role"),
        ("role = 'admin'", "role", "any of"),
        ("role = 'a,b'\ngroups = ['a']", "role", "letters, digits"),
        ("role = 'admin'\nemails = []", "emails", "at least one"),
        ("role = 'admin'\nemails = ['ada']", "emails", "e-mail address"),
        ("role = 'admin'\ndomains = ['*.example.com']", "domains", "domain name"),
        ("role = 'admin'\nprovider = 'crop'", "provider", 'Did you mean "corp"?'),
        ("role = 'admin'\ngroup = ['a']", "group", 'Did you mean "groups"?'),
    ],
)
def test_a_rule_that_cannot_be_meant_is_a_fault(tmp_path: Path, rule: str, key: str, words: str) -> None:
    found = {each.key: each.hint for each in faults(tmp_path, f"{CORP}[[roles]]\n{rule}")}
    assert words in found[key]


# What is made of a configuration with faults


def test_examine_tells_what_is_sound_beside_the_faults(tmp_path: Path) -> None:
    path = tmp_path / "providers.toml"
    path.write_text(CORP.replace("s3cret", "") + "[gateway]\nsignup = 'x'")
    examined = examine(path, {"GATEWAY_DATABASE_URL": "sqlite://"}, make_keys=False)
    assert examined.settings is not None
    assert (len(examined.faults), list(examined.declared), examined.settings.signup) == (2, ["corp"], "open")


def test_reserved_names_can_be_no_provider(tmp_path: Path) -> None:
    text = "".join(CORP.replace("corp", name) for name in sorted(RESERVED_NAMES))
    assert len(faults(tmp_path, text)) == len(RESERVED_NAMES)
