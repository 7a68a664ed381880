"""The account's own page: what it shows, what it offers, what it says will happen."""

from __future__ import annotations

from page_samples import ACCOUNT, BASE, CONFIRM, FULL, PAGES, SAMPLES, Document, controls, fields, forms


def test_account_forms() -> None:
    assert forms(SAMPLES["account, full"]) == {
        ("post", f"{BASE}/auth/logout"),
        ("post", f"{BASE}/auth/me/profile"),
        ("post", f"{BASE}/auth/identities/i-1/unlink"),
        ("post", f"{BASE}/auth/identities/i-2/unlink"),
        ("post", f"{BASE}/auth/google/link"),
        ("post", f"{BASE}/auth/staff/link"),
        ("post", f"{BASE}/auth/sessions/end-others"),
        ("post", f"{BASE}/auth/sessions/s-2/end"),
        ("post", f"{BASE}/auth/sessions/s-3/end"),
        ("post", f"{BASE}/auth/me/delete"),
    }


def test_unlink_says_which_one() -> None:
    names = [name for name in controls(SAMPLES["account, full"]) if name.startswith("Unlink")]
    assert names == ["Unlink Google, ada@example.com", "Unlink Staff"]


def test_the_only_way_in_cannot_be_unlinked_and_says_why() -> None:
    assert not [name for name in controls(SAMPLES["account"]) if name.startswith("Unlink")]
    assert "Your only way in" in Document(SAMPLES["account"]).all("main")[0].text


def test_links_to_add_are_named_after_their_providers() -> None:
    names = [name for name in controls(SAMPLES["account, full"]) if name.startswith("Link ")]
    assert names == ["Link Google", "Link Staff"]


def test_without_a_recent_sign_in_the_page_says_so_where_it_matters() -> None:
    links = Document(SAMPLES["account, full"]).all("a")
    ways = [link.name for link in links if link.attributes["href"] == CONFIRM]
    assert ways == ["Confirm it is you", "Confirm it is you, then delete"]
    assert {"Link Google", "Unlink Staff", "Delete account"} <= set(controls(SAMPLES["account, full"]))


def test_after_a_recent_sign_in_nothing_is_asked() -> None:
    assert "Confirm it is you" not in PAGES.account(FULL._replace(recent=True))


def test_name_and_main_address_can_be_chosen() -> None:
    assert fields(SAMPLES["account, full"]) == [
        ("name", "Ada Lovelace", False),
        ("email", "ada@example.com", True),
        ("email", "ada@example.org", False),
    ]


def test_a_single_address_is_no_choice() -> None:
    html = PAGES.account(ACCOUNT._replace(addresses=("ada@example.com",)))
    assert fields(html) == [("name", "Ada Lovelace", False)]


def test_an_address_other_than_the_present_one_can_be_chosen() -> None:
    html = PAGES.account(ACCOUNT._replace(verified=False, addresses=("ada@example.org",)))
    assert fields(html)[1:] == [("email", "ada@example.org", False)]


def test_deleting_says_what_will_happen() -> None:
    text = " ".join(Document(SAMPLES["account"]).all("main")[0].text.split())
    assert "For seven days nothing else happens: sign in again and the account stays" in text
    assert "erased for good" in text


def test_everything_can_be_taken_away() -> None:
    links = {link.name: link.attributes["href"] for link in Document(SAMPLES["account"]).all("a")}
    assert links["Download your data"] == f"{BASE}/auth/me/export"


def test_older_activity_is_folded_away() -> None:
    document = Document(SAMPLES["account, full"])
    folded = next(each for each in document.all("details") if "Show earlier activity" in each.text)
    assert folded.text.count("Signed in with Google") == 2
    assert "Show earlier activity" not in SAMPLES["account"]


def test_roles_are_shown() -> None:
    roles = next(each for each in Document(SAMPLES["account, full"]).all("ul") if each.name == "Roles")
    assert roles.text == "adminbilling"


def test_end_session_says_which_one() -> None:
    names = [button.name for button in Document(SAMPLES["account"]).all("button") if button.text == "End session"]
    assert [name.partition(", signed in")[0] for name in names] == [
        "End session: Firefox on Windows, 198.51.100.3",
        "End session: Firefox on Windows, 198.51.100.2",
    ]


def test_own_session_comes_first_and_is_marked() -> None:
    headings = [" ".join(heading.text.split()) for heading in Document(SAMPLES["account"]).all("h3")]
    assert headings[1] == "Safari on Mac This browser"


def test_a_single_session_has_no_others_to_end() -> None:
    document = Document(PAGES.account(ACCOUNT._replace(sessions=ACCOUNT.sessions[1:2])))
    assert [button.name for button in document.all("button")] == ["Sign out", "Save", "Delete account"]


def test_activity_is_hidden_when_there_is_none() -> None:
    assert "Recent activity" not in PAGES.account(ACCOUNT._replace(activity=()))


def test_times_are_given_to_machines_and_people() -> None:
    times = [time.attributes for time in Document(SAMPLES["account"]).all("time")]
    assert {"datetime": "2026-03-05T13:51:00Z", "title": "5 March 2026, 13:51\u00a0UTC"} in times
