"""What a machine can check of WCAG 2.2 on an open page. Each function returns what is wrong, in words."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from tests.support import browser
from tests.support.browser import MOST_TRIES, settled, sideways

__all__ = ["axe", "focus_walk", "lost_text", "sideways", "small_targets", "widen_text"]

TEXT_SPACING = """
* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important; }
p { margin-bottom: 2em !important; }
"""
"""The values of success criterion 1.4.12."""

_CUT_OFF = """() => [...document.querySelectorAll('body *')].filter((e) => {
  const s = getComputedStyle(e);
  if (!e.checkVisibility({ visibilityProperty: true })) return false;
  if (e.closest('.govuk-visually-hidden, .govuk-skip-link')) return false;
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || e.matches('textarea, select, option')) return false;
  const hides = (value) => value === 'hidden' || value === 'clip';
  return (hides(s.overflowX) && e.scrollWidth > e.clientWidth + 1)
      || (hides(s.overflowY) && e.scrollHeight > e.clientHeight + 1);
}).map((e) => e.outerHTML.slice(0, 90))"""

_OVERLAP = """() => {
  const scrolls = (e) => e && (/auto|scroll/.test(getComputedStyle(e).overflowY) || scrolls(e.parentElement));
  const seen = [...document.querySelectorAll('p, li, h1, h2, button, label, dt, dd, summary')].filter(
    (e) => e.checkVisibility() && !e.closest('.govuk-visually-hidden, .govuk-skip-link, [hidden]')
      && !['fixed', 'sticky', 'absolute'].includes(getComputedStyle(e).position)
      && !e.closest('.top, .composer, dialog') && !scrolls(e.parentElement));
  const found = [];
  seen.forEach((a, i) => seen.slice(i + 1).forEach((b) => {
    if (a.contains(b) || b.contains(a)) return;
    const x = a.getBoundingClientRect(), y = b.getBoundingClientRect();
    const w = Math.min(x.right, y.right) - Math.max(x.left, y.left);
    const h = Math.min(x.bottom, y.bottom) - Math.max(x.top, y.top);
    if (w > 2 && h > 2) found.push(a.outerHTML.slice(0, 60) + ' over ' + b.outerHTML.slice(0, 60));
  }));
  return found;
}"""

_SMALL = """() => {
  const targets = [...document.querySelectorAll('a[href], button, input, select, summary, textarea')]
    .filter((e) => e.checkVisibility() && e.type !== 'hidden'
      && !e.closest('.govuk-visually-hidden, .govuk-skip-link, [hidden]'))
    .map((e) => {
      const label = e.labels && e.labels[0];
      const boxes = [e.getBoundingClientRect()].concat(label ? [label.getBoundingClientRect()] : []);
      const box = boxes.sort((a, b) => b.width * b.height - a.width * a.height)[0];
      // A link in a sentence is excepted: its height is that of the line.
      const around = [...e.parentElement.childNodes]
        .some((n) => n !== e && n.nodeType === 3 && n.textContent.trim());
      const inline = e.tagName === 'A' && getComputedStyle(e).display === 'inline' && around;
      return { e, box, inline, small: !inline && (box.width < 24 || box.height < 24),
               x: box.left + box.width / 2, y: box.top + box.height / 2 };
    });
  // Small is allowed where a circle of 24 pixels around its middle touches nothing else to press.
  return targets.filter((one) => one.small && targets.some((other) => {
    if (other === one || other.inline || other.e.contains(one.e) || one.e.contains(other.e)) return false;
    if (other.small) return Math.hypot(one.x - other.x, one.y - other.y) < 24;
    const dx = Math.max(other.box.left - one.x, 0, one.x - other.box.right);
    const dy = Math.max(other.box.top - one.y, 0, one.y - other.box.bottom);
    return Math.hypot(dx, dy) < 12;
  })).map((one) => one.e.outerHTML.slice(0, 90));
}"""

_FROM_THE_START = """() => {
  if (!("partsCome" in window)) {
    window.partsCome = 0;
    for (const name of ["htmx:afterSwap", "htmx:oobAfterSwap"]) addEventListener(name, () => { window.partsCome += 1; });
  }
  for (const e of document.querySelectorAll("[data-focus-stop]")) delete e.dataset.focusStop;
  document.body.tabIndex = -1;
  document.body.focus();
  document.body.removeAttribute("tabindex");
  window.scrollTo(0, 0);
  return window.partsCome;
}"""
"""Puts the focus before all that can have it. Returns how many parts of the page have come anew so far."""

_FOCUS = """async () => {
  // Two pictures later it has been scrolled to and painted, however slow the machine is.
  for (const _ of [1, 2]) await new Promise(requestAnimationFrame);
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const look = (one) => {
    const s = getComputedStyle(one);
    return [s.outlineStyle, s.outlineWidth, s.boxShadow, s.backgroundColor, s.borderColor, s.borderWidth,
            s.color, s.textDecorationLine].join('|');
  };
  const box = e.getClientRects()[0];
  const inset = (low, high, part) => low + Math.max(1, Math.min(high - low - 1, (high - low) * part));
  const points = [];
  for (const across of [.02, .5, .98])
    for (const down of [.1, .5, .9])
      points.push([inset(box.left, box.right, across), inset(box.top, box.bottom, down)]);
  const open = points.some(([x, y]) => {
    const top = document.elementFromPoint(x, y);
    return top && e.contains(top);
  });
  e.dataset.focusStop = e.dataset.focusStop || String(document.querySelectorAll('[data-focus-stop]').length + 1);
  return { stop: e.dataset.focusStop, html: e.outerHTML.slice(0, 90), look: look(e), open,
           y: box.top + window.scrollY, tag: e.tagName };
}"""

_LOOK_UNFOCUSED = """(stop) => {
  const e = document.querySelector(`[data-focus-stop="${stop}"]`);
  if (!e) return null;
  e.blur();
  const s = getComputedStyle(e);
  return [s.outlineStyle, s.outlineWidth, s.boxShadow, s.backgroundColor, s.borderColor, s.borderWidth,
          s.color, s.textDecorationLine].join('|');
}"""


def axe(page: Page) -> list[str]:
    """What axe-core finds, of any impact (names, roles, labels, contrast, headings, landmarks, language)."""
    return [f"{rule}: {html[:120]}" for rule, _impact, html in browser.axe(page)]


def lost_text(page: Page) -> list[str]:
    """Text that is cut off or lies on other text (1.4.4, 1.4.12)."""
    settled(page)
    cut: list[str] = page.evaluate(_CUT_OFF)
    over: list[str] = page.evaluate(_OVERLAP)
    return cut + over


def small_targets(page: Page) -> list[str]:
    """What can be pressed, is smaller than 24 by 24 CSS pixels and too near to another (2.5.8)."""
    settled(page)
    found: list[str] = page.evaluate(_SMALL)
    return found


def focus_walk(page: Page, most: int = 80) -> tuple[list[dict[str, Any]], list[str]]:
    """Tab once through the page: the stops in order, and what is wrong with them.

    Wrong is a stop that nothing marks (2.4.7), one that other content hides (2.4.11), and a walk
    that never leaves the page (2.1.2). A walk during which a part of the page came anew, with the
    stop that was in it, does not count.
    """
    for _ in range(MOST_TRIES):
        settled(page)
        before = page.evaluate(_FROM_THE_START)
        found = _walk(page, most)
        if page.evaluate("window.partsCome") == before:
            return found
    raise AssertionError("the page never stood still")


def _walk(page: Page, most: int) -> tuple[list[dict[str, Any]], list[str]]:
    stops: list[dict[str, Any]] = []
    wrong: list[str] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        stop = page.evaluate(_FOCUS)
        if stop is None or any(stop["stop"] == one["stop"] for one in stops):
            break
        stops.append(stop)
        if not stop["open"]:
            wrong.append(f"hidden while it has the focus: {stop['html']}")
    else:
        wrong.append("the focus does not leave the page")
    for stop in stops:
        if page.evaluate(_LOOK_UNFOCUSED, stop["stop"]) == stop["look"]:
            wrong.append(f"nothing shows the focus: {stop['html']}")
    return stops, wrong


def widen_text(page: Page) -> None:
    """Override the spacing, as a reader's own style sheet does. The page must bypass its policy."""
    page.add_style_tag(content=TEXT_SPACING)
