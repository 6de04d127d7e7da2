"""A joined site is a file, a key and a host: what is wrong with one of them is named, and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bot.app import platforms
from bot.assurance.live import live_channels
from bot.channels.sites.options import MOST_SITES, read_sites
from bot.errors import SettingError
from bot.settings import ROOT, Settings, load_settings
from tests.platforms.site import OTHER_SECRET, SECRET
from tests.support.sides import settings_for
from tests.webhook.serving import settings_of

pytestmark = pytest.mark.unit

SQLITE = "sqlite+aiosqlite:///:memory:"
CALLBACK = "https://forum.example/front-counter?board=7"


def settings(folder: Path, callback: str = CALLBACK, secrets: Any = SECRET, **values: Any) -> Settings:
    """The settings of one site that is right, with some of it changed."""
    hosts = values.pop("hosts", ("forum.example",))
    inside = values.pop("inside", ())
    given = settings_of(folder, callback, secrets, **values)
    return settings_for(SQLITE, **{**given, "site_hosts": hosts, "site_hosts_inside": inside})


def refusal(folder: Path, *given: Any, **values: Any) -> str:
    """What is said of these settings. Never a key."""
    with pytest.raises(SettingError) as caught:
        platforms(settings(folder, *given, **values))
    said = str(caught.value)
    assert SECRET not in said
    assert SECRET.removeprefix("whsec_")[:12] not in said
    assert "\n" not in said
    assert said.endswith(".")
    return said


def test_a_site_is_joined_by_its_file_and_its_key(tmp_path: Path) -> None:
    """And has a channel of its own, with the name that staff call it by."""
    given = settings(
        tmp_path, secrets=[OTHER_SECRET, SECRET], longest=900, note="agreed in May", verify=False
    )
    found = platforms(given)

    assert set(found) == {"webchat", "site-forum"}
    (site,) = read_sites(given)
    assert (site.title, site.kind, site.longest, site.host) == (
        "North East forum", "message_board", 900, "forum.example",
    )  # fmt: skip
    assert len(site.keys) == 2
    assert found["site-forum"].channel.max_text == 900
    assert "keys" not in repr(site)
    assert str(site.keys[0]) not in repr(site)


def test_without_a_file_none_is_joined(tmp_path: Path) -> None:
    """The shipped example joins none either, and needs no key."""
    assert read_sites(settings_for(SQLITE, force=tmp_path)) == []
    assert read_sites(settings_for(SQLITE, force=ROOT / "force" / "northumbria")) == []


def test_the_example_in_the_shipped_file_is_right(tmp_path: Path) -> None:
    """Whoever takes the marks away has a site."""
    text = (ROOT / "force" / "northumbria" / "sites.yml").read_text("utf-8")
    example = [line[1:] for line in text.splitlines() if line.startswith("#  ")]
    assert example
    (tmp_path / "sites.yml").write_text("sites:\n" + "\n".join(example) + "\n", "utf-8")
    given = settings_for(
        SQLITE, force=tmp_path, site_secrets=json.dumps({"forum": SECRET}), site_hosts=("forum.example",)
    )
    assert [site.name for site in read_sites(given)] == ["forum"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"name": ""}, "'name' is missing"),
        ({"name": "Forum"}, "'name' is 2 to 24"),
        ({"name": "a--b"}, "'name' is 2 to 24"),
        ({"name": "a/b"}, "'name' is 2 to 24"),
        ({"name": "x" * 25}, "'name' is 2 to 24"),
        ({"name": "a-" * 12 + "b"}, "'name' is 2 to 24"),
        ({"title": 7}, "'title' is missing"),
        ({"kind": "fax"}, "'kind' is one of message_board, blog, email"),
        ({"markup": "html"}, "'markup' is plain"),
        ({"public": True}, "only private messages can be joined"),
        ({"longest": 499}, "'longest' is a number of letters from 500"),
        ({"longest": True}, "'longest'"),
        ({"longest": "many"}, "'longest'"),
        ({"colour": "blue"}, "colour is no field of a site"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, values: dict[str, Any], says: str) -> None:
    """With the file, and the site where it has a name."""
    said = refusal(tmp_path, **values)
    assert said.startswith("sites.yml, ")
    assert says in said


@pytest.mark.parametrize(
    ("callback", "says"),
    [
        ("", "'callback' is missing"),
        ("forum.example/x", "'callback' is an address such as"),
        ("ftp://forum.example/x", "'callback' is an address such as"),
        ("https://[forum/x", "'callback' is an address such as"),
        ("https://forum.example:port/x", "'callback' is an address such as"),
        ("http://forum.example/x", "begins with https://"),
        ("https://user:word@forum.example/x", "holds a user"),
        ("https://forum.example/x#y", "holds a user, a space or a '#'"),
        ("https://forum.example/a b", "holds a user, a space or a '#'"),
        ("https://evil.example/x", "Add it to FRONTCOUNTER_SITE_HOSTS"),
        ("https://forum.example.evil.example/x", "Add it to FRONTCOUNTER_SITE_HOSTS"),
        ("https://127.0.0.1/x", "Add it to FRONTCOUNTER_SITE_HOSTS"),
        ("http://127.0.0.1/x", "Add it to FRONTCOUNTER_SITE_HOSTS"),
    ],
)
def test_replies_go_to_listed_hosts_and_encrypted(tmp_path: Path, callback: str, says: str) -> None:
    """Plain HTTP never leaves this machine."""
    assert says in refusal(tmp_path, callback)


def test_plain_http_is_for_this_machine_only(tmp_path: Path) -> None:
    """Also inside one's own network a key's work is done over TLS."""
    inside = ("127.0.0.1", "board.force.example")
    said = refusal(tmp_path, "http://board.force.example/x", inside=inside)
    assert "https://" in said
    (site,) = read_sites(settings(tmp_path, "http://127.0.0.1:6300/x", inside=inside))
    assert site.inside
    (site,) = read_sites(settings(tmp_path, "https://board.force.example/x", inside=inside))
    assert site.inside


@pytest.mark.parametrize(
    ("secrets", "says"),
    [
        (None, "holds no key for forum"),
        ([], "holds no key for forum"),
        ("", "forum: a key begins with whsec_"),
        ("whsec_short", "forum: "),
        ([SECRET, OTHER_SECRET, SECRET], "one key, or a list of two"),
        ([SECRET, 7], "one key, or a list of two"),
        ({"key": SECRET}, "one key, or a list of two"),
    ],
)
def test_a_wrong_key_is_named_and_not_shown(tmp_path: Path, secrets: Any, says: str) -> None:
    """Two, while one is changed."""
    said = refusal(tmp_path, secrets=secrets)
    assert said.startswith("FRONTCOUNTER_SITE_SECRETS")
    assert says in said


@pytest.mark.parametrize("written", ["", "{}", "whsec_", "[1]", '{"forum"', '"x"'])
def test_keys_are_json(tmp_path: Path, written: str) -> None:
    """Copied half, or without its braces."""
    given = settings(tmp_path).model_copy(
        update={"site_secrets": type(settings(tmp_path).secret_key)(written)}
    )
    with pytest.raises(SettingError, match="FRONTCOUNTER_SITE_SECRETS"):
        read_sites(given)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sites: [\n", "sites.yml, line 2: this is not valid YAML"),
        ("- name: x\n", "'sites' is a list"),
        ("sites: forum\n", "'sites' is a list"),
        ("sites: [forum]\n", "site 1: it is no list of fields"),
        ("sites: [" + ", ".join(["{}"] * (MOST_SITES + 1)) + "]\n", "at most 20"),
        ("", "'sites' is a list"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, says: str) -> None:
    """With its line, where it is no YAML."""
    (tmp_path / "sites.yml").write_text(text, "utf-8")
    with pytest.raises(SettingError) as caught:
        read_sites(settings_for(SQLITE, sites_file=tmp_path / "sites.yml"))
    assert says in str(caught.value)


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    """Else a site would fall silent without a word."""
    with pytest.raises(SettingError, match="FRONTCOUNTER_SITES_FILE"):
        read_sites(settings_for(SQLITE, sites_file=tmp_path / "nowhere.yml"))


def test_two_sites_have_two_keys(tmp_path: Path) -> None:
    """Else one could write in the other's name."""
    settings(tmp_path)
    (forum,) = json.loads((tmp_path / "sites.yml").read_text("utf-8"))["sites"]
    both = {"sites": [forum, {**forum, "name": "blog"}]}
    (tmp_path / "sites.yml").write_text(json.dumps(both), "utf-8")
    keys = json.dumps({"forum": SECRET, "blog": SECRET})
    given = settings_for(SQLITE, force=tmp_path, site_secrets=keys, site_hosts=("forum.example",))
    with pytest.raises(SettingError, match="blog and forum have the same key"):
        read_sites(given)


def test_two_sites_have_two_names(tmp_path: Path) -> None:
    """Else one's words would reach the other's people."""
    given = settings(tmp_path)
    loaded = json.loads((tmp_path / "sites.yml").read_text("utf-8"))
    (tmp_path / "sites.yml").write_text(json.dumps({"sites": loaded["sites"] * 2}), "utf-8")
    with pytest.raises(SettingError, match="two sites are called forum"):
        read_sites(given)


def test_several_sites_are_several_channels(tmp_path: Path) -> None:
    """Each with its own key and address."""
    given = settings(tmp_path, hosts=("forum.example", "mail.example"))
    loaded = json.loads((tmp_path / "sites.yml").read_text("utf-8"))
    mail = {"name": "mail", "title": "Mail", "kind": "email", "callback": "https://mail.example/fc"}
    (tmp_path / "sites.yml").write_text(json.dumps({"sites": [*loaded["sites"], mail]}), "utf-8")
    both = json.dumps({"forum": SECRET, "mail": OTHER_SECRET})
    found = platforms(given.model_copy(update={"site_secrets": type(given.secret_key)(both)}))

    assert set(found) == {"webchat", "site-forum", "site-mail"}


def test_a_real_site_waits_until_the_force_is_ready(tmp_path: Path) -> None:
    """Whatever answers on this machine is a test's."""
    assert live_channels(platforms(settings(tmp_path))) == ["site-forum"]
    local = settings(tmp_path, "http://127.0.0.1:6300/x", inside=("127.0.0.1",))
    assert live_channels(platforms(local)) == []


@pytest.mark.parametrize("value", ["https://forum.example", "forum.example:443", "*.example", "a b", "/x"])
@pytest.mark.parametrize("name", ["SITE_HOSTS", "SITE_HOSTS_INSIDE"])
def test_a_host_is_a_name_and_nothing_else(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """No address, no star."""
    monkeypatch.setenv(f"FRONTCOUNTER_{name}", value)
    with pytest.raises(SettingError, match=f"FRONTCOUNTER_{name}"):
        load_settings()


def test_hosts_are_written_in_any_case_with_commas_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an operator writes them."""
    monkeypatch.setenv("FRONTCOUNTER_SITE_HOSTS", " Forum.Example. ,, blog.example")
    assert load_settings().site_hosts == ("forum.example", "blog.example")
