"""WCAG 2.2 on the public's pages, as far as a machine can tell. docs/accessibility lists the rest."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from bot.channels.webchat.pages import PATHS
from tests.pages import wcag
from tests.webchat.serving import Served
from tests.webchat.test_browser import CHOICE, P1, a_question_with_answers, all_shown, everything, say

pytestmark = pytest.mark.e2e

OpenPage = Callable[..., Page]
TEXT_PAGES = list(PATHS.values())
__all__ = ["a_question_with_answers"]


@pytest.mark.parametrize("path", TEXT_PAGES)
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (640, 400), (320, 256), (256, 320)])
def test_a_page_reflows_and_axe_finds_nothing(
    open_page: OpenPage, path: str, width: int, height: int
) -> None:
    """640 by 400 is 200 % of a laptop's window, 320 by 256 is 400 %; the last is a small phone upright."""
    page = open_page(width, height, path)
    assert wcag.axe(page) == []
    assert wcag.sideways(page) == []
    assert wcag.lost_text(page) == []
    assert wcag.small_targets(page) == []


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (640, 400), (320, 640)])
def test_the_chat_keeps_its_words_with_wide_spacing(
    open_page: OpenPage, site: Served, width: int, height: int
) -> None:
    """1.4.12, with 1.4.4 and 1.4.10: nothing is cut, covered or pushed aside."""
    page = open_page(width, height, bypass_csp=True)
    everything(page, site)
    for _ in range(2):
        assert wcag.sideways(page) == []
        assert wcag.lost_text(page) == []
        wcag.widen_text(page)
    for path in TEXT_PAGES:
        page.goto(site.base + path)
        wcag.widen_text(page)
        assert wcag.sideways(page) == []
        assert wcag.lost_text(page) == []


def test_the_spacing_check_would_see_cut_text(open_page: OpenPage) -> None:
    """So that the checks above can fail."""
    page = open_page(bypass_csp=True)
    assert wcag.lost_text(page) == []
    page.add_style_tag(content=".danger__first { height: 1rem; width: 3rem; overflow: hidden; }")
    assert wcag.lost_text(page)
    page.add_style_tag(
        content=".opening { width: 200rem; } .foot__list { gap: 0; } .foot__link { font-size: 2px; padding: 0; min-height: 0; }"
    )
    assert wcag.sideways(page)
    assert wcag.small_targets(page)


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (320, 640), (320, 256)])
def test_the_focus_is_seen_and_never_covered(
    open_page: OpenPage, site: Served, width: int, height: int
) -> None:
    """2.4.3, 2.4.7, 2.4.11 and 2.1.2, past the header and the composer that stay in place."""
    page = open_page(width, height)
    say(page, P1)
    expect(page.locator(".message--safety").first).to_be_visible()
    say(page, CHOICE)
    expect(page.locator("#who")).to_contain_text("queue")
    expect(page.locator(".message__state")).to_have_text(["Sent", "Sent"])
    all_shown(page, site)
    stops, wrong = wcag.focus_walk(page)
    assert wrong == []
    assert len(stops) > 8
    assert "govuk-skip-link" in stops[0]["html"]
    assert "quick-exit" in stops[1]["html"]
    for path in TEXT_PAGES:
        page.goto(site.base + path)
        stops, wrong = wcag.focus_walk(page)
        assert wrong == []
        places = [stop["y"] for stop in stops[2:]]
        assert places == sorted(places)


def test_the_focus_check_would_see_a_covered_one(open_page: OpenPage) -> None:
    """So that the check above can fail."""
    page = open_page(bypass_csp=True, path=TEXT_PAGES[0])
    page.add_style_tag(
        content="a { outline: 0 !important; box-shadow: none !important; color: red !important;"
        "background: none !important; text-decoration: none !important; }"
        ".foot { position: relative; } .foot::after { content: ''; position: absolute; inset: 0; }"
    )
    _, wrong = wcag.focus_walk(page)
    assert any("nothing shows" in one for one in wrong)
    assert any("hidden" in one for one in wrong)


@pytest.mark.parametrize("width", [1280, 320])
def test_all_targets_can_be_hit(open_page: OpenPage, site: Served, width: int) -> None:
    """2.5.8, with answers to choose, links in messages, and the question about an earlier chat."""
    page = open_page(width, 640)
    everything(page, site)
    assert wcag.small_targets(page) == []
    page.reload()
    expect(page.locator("#earlier")).to_be_visible()
    assert wcag.small_targets(page) == []


def test_help_is_in_the_same_place_on_every_page(open_page: OpenPage, site: Served) -> None:
    """3.2.6: the way out, 999, other ways to reach us, then the page; 3.2.3 and 3.2.4 for the links below."""
    page = open_page()
    order, links = set(), set()
    for path in ["/chat", *TEXT_PAGES]:
        page.goto(site.base + path)
        order.add(
            page.evaluate(
                "(() => { const at = (s) => { const e = document.querySelector(s);"
                "return [...document.querySelectorAll('*')].indexOf(e); };"
                "const all = ['#quick-exit', '.danger', '.opening__other', '.foot'].map(at);"
                "return all.every((v, i) => v > (i ? all[i - 1] : 0)); })()"
            )
        )
        links.add(page.locator(".foot").inner_text())
    assert order == {True}
    assert len(links) == 1


def test_every_page_has_a_title_and_a_language_of_its_own(open_page: OpenPage, site: Served) -> None:
    """2.4.2 and 3.1.1."""
    page = open_page()
    titles = set()
    for path in ["/chat", *TEXT_PAGES]:
        page.goto(site.base + path)
        titles.add(page.title())
        assert page.locator("html").get_attribute("lang") == "en-GB"
        assert page.locator("h1").count() == 1
    assert len(titles) == 1 + len(TEXT_PAGES)


def test_colours_of_the_readers_own_choice_keep_the_shapes(open_page: OpenPage, site: Served) -> None:
    """Forced colours: buttons, messages and the field keep a border, and the focus stays marked."""
    page = open_page(forced_colors="active")
    everything(page, site)
    for part in ("#send", "#person", "#quick-exit", "#text", ".message--safety .message__text",
                 ".message--person .message__text", ".message--staff .message__text"):  # fmt: skip
        width = page.locator(part).first.evaluate("(e) => parseFloat(getComputedStyle(e).borderTopWidth)")
        assert width > 0, part
    _, wrong = wcag.focus_walk(page)
    assert wrong == []


def test_the_page_works_lying_down(open_page: OpenPage) -> None:
    """1.3.4: no orientation is asked for."""
    for width, height in ((640, 320), (320, 640)):
        page = open_page(width, height)
        assert page.locator("#text").is_visible()
        assert wcag.sideways(page) == []


def test_what_was_typed_need_not_be_typed_again(open_page: OpenPage, site: Served) -> None:
    """3.3.7, 3.3.1 and 3.3.3: a refused message stays in the field, with the reason tied to it."""
    page = open_page(java_script_enabled=False)
    page.locator("#text").fill("x" * 20_001)
    page.locator("#send").click()
    expect(page.locator("#text-error")).to_contain_text("too long")
    assert len(page.locator("#text").input_value()) == 20_001
    assert "text-error" in str(page.locator("#text").get_attribute("aria-describedby"))
    assert site.messages() == []


def test_states_are_told_without_taking_the_focus(open_page: OpenPage, site: Served) -> None:
    """4.1.3: what changes by itself stands in a live region."""
    page = open_page()
    say(page, CHOICE)
    expect(page.locator(".answer")).to_have_count(3)
    for part in ("#count", "#heard", "#line-lost"):
        expect(page.locator(part)).to_have_attribute("role", "status")
    expect(page.locator("#text-error")).to_have_attribute("role", "alert")
    page.context.set_offline(True)
    expect(page.locator("#line-lost")).to_contain_text("The connection is lost")
    assert page.evaluate("document.activeElement.id") == "text"


@pytest.mark.parametrize("path", TEXT_PAGES)
def test_a_page_prints_without_its_furniture(open_page: OpenPage, path: str) -> None:
    """The words are on paper; buttons and links to elsewhere on this site are not."""
    page = open_page(path=path)
    page.emulate_media(media="print")
    for part in (".top__exit", ".foot", ".text__back"):
        expect(page.locator(part)).to_be_hidden()
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator(".danger")).to_be_visible()
    ink = page.locator(".top__name").evaluate("(e) => getComputedStyle(e).color")
    assert ink == "rgb(11, 12, 12)"


def test_the_pages_need_no_script(open_page: OpenPage) -> None:
    page = open_page(path=TEXT_PAGES[0], java_script_enabled=False)
    page.locator("summary").click()
    expect(page.locator(".opening__other .govuk-list")).to_be_visible()
    page.get_by_role("link", name="About this assistant").click()
    expect(page.locator("h1")).to_have_text("About this assistant")
