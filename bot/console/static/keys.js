// The keys of the desk. One table: what a key does, where it works, and the words of the list that `?` opens.
//
// An entry works on a page that has what `on` names, so the list shows just what works here. `native`
// is done by the browser itself and only listed. A single key is off while somebody types, and each person
// can turn them all off (WCAG 2.2, 2.1.4); keys with Ctrl and Escape stay.

import { keep, onChange, recall } from "./stored.js";

const list = document.getElementById("keys");
const TYPING = "textarea, select, input:not([type=checkbox], [type=radio], [type=button], [type=submit])";
const ROWS = ".desk-row__link";
const BOX = ".desk-row input[type=checkbox][name=chat]";
const find = (selector) => document.querySelector(selector);
const press = (found) => found.click();
const focus = (found) => found.focus();

// --- What they do ---------------------------------------------------------------------------------

function step(by) {
  const rows = [...document.querySelectorAll(ROWS)];
  const row = document.activeElement.closest(".desk-row");
  const at = rows.indexOf(row ? row.querySelector(ROWS) : null);
  rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : (at + by + rows.length) % rows.length].focus();
}

function ofRow(selector) {
  const row = document.activeElement.closest(".desk-row");
  const found = row && row.querySelector(selector);
  if (found) found.click();
}

function take() {
  const row = document.activeElement.closest(".desk-row");
  const button = row ? row.querySelector("button[id^=claim-]") : find("#claim");
  if (button) button.click();
}

function open(found) {
  const box = found.closest("details");
  box.open = true;
  const field = box.querySelector("input:not([type=hidden]), select, textarea");
  if (field) field.focus();
  else box.querySelector("summary").focus();
}

function lookFor() {
  const words = find("#find-words");
  if (words) words.focus();
  else location.assign("/desk/find");
}

function toMessages(found) {
  found.focus();
  found.scrollTop = found.scrollHeight;
}

function showList() {
  fill();
  list.showModal();
}

// --- The table ------------------------------------------------------------------------------------

const GROUPS = ["Every page", "A list of chats", "A chat"];
const action = (path) => `#actions form[action$="/${path}"]`;
const KEYS = [
  { group: 0, key: "?", words: "Show this list", on: "#keys", act: showList },
  { group: 0, key: "/", words: "Find a chat", on: "a[href='/desk/find']", act: lookFor },
  { group: 0, key: "a", words: "Go to the first alarm", on: ".desk-alarm a, .desk-alarm-quiet a", act: focus },
  { group: 0, key: "L", held: "Shift", words: "Lock the desk", on: "form[data-lock] button", act: press },
  { group: 1, key: "j", words: "Next chat", on: ROWS, act: () => step(1), again: true },
  { group: 1, key: "k", words: "The chat before", on: ROWS, act: () => step(-1), again: true },
  { group: 1, key: "Enter", words: "Open the chat", on: ROWS, native: true },
  { group: 1, key: "n", words: "Take the next chat", on: "#take-next", act: press },
  { group: 1, key: "c", words: "Take this chat", on: ".desk-row button[id^=claim-]", act: take },
  { group: 1, key: "x", words: "Tick this chat, to hand it on", on: BOX, act: () => ofRow(BOX) },
  { group: 1, key: "h", words: "Hand several on", on: "form#hand-on", act: open },
  { group: 1, key: "f", words: "Filter the list", on: ".desk-filter__form", act: open },
  { group: 2, key: "c", words: "Take this chat", on: "#claim", act: take },
  { group: 2, key: "r", words: "Go to the reply", on: "#text", act: focus },
  { group: 2, key: "Enter", held: "Ctrl", words: "Send the reply", on: "#send", typing: "text", act: press },
  { group: 2, key: "Escape", words: "Leave the reply, so that keys work", on: "#text", typing: "text", act: () => find("#transcript").focus() },
  { group: 2, key: "i", words: "Put in an approved answer", on: "#answers-box form", act: open },
  { group: 2, key: "m", words: "Go to the messages", on: "#transcript", act: toMessages },
  { group: 2, key: "p", words: "Add a private note", on: action("note"), act: open },
  { group: 2, key: "l", words: "Put a label on", on: action("label"), act: open },
  { group: 2, key: "t", words: "Pass to another team", on: action("transfer"), act: open },
  { group: 2, key: "g", words: "Change the grade", on: action("grade"), act: open },
  { group: 2, key: "z", words: "Snooze", on: action("snooze"), act: open },
  { group: 2, key: "e", words: "Close with an outcome", on: action("close"), act: open },
  { group: 2, key: "u", words: "Back to the queue", on: ".desk-back a", act: press },
  // The pages of the navigation, by their place in it.
  ...[...document.querySelectorAll(".desk-nav__link")].slice(0, 9).map((link, at) => (
    { group: 0, key: String(at + 1), words: `Go to: ${link.textContent.trim()}`, on: `.desk-nav__link[href="${link.getAttribute("href")}"]`, act: press }
  )),
];

const works = (one) => find(one.on) !== null;

// --- The list -------------------------------------------------------------------------------------

function fill() {
  const parts = GROUPS.map((title, group) => {
    const here = KEYS.filter((one) => one.group === group && works(one));
    if (!here.length) return [];
    const heading = document.createElement("h3");
    heading.className = "govuk-heading-s desk-keys__group";
    heading.textContent = title;
    const entries = document.createElement("dl");
    entries.className = "desk-keys__list";
    for (const one of here) {
      const [keys, words] = [document.createElement("dt"), document.createElement("dd")];
      for (const name of [one.held, one.key].filter(Boolean)) {
        const key = document.createElement("kbd");
        key.textContent = name;
        keys.append(key, " ");
      }
      words.textContent = one.words;
      entries.append(keys, words);
    }
    const part = document.createElement("div");
    part.className = "desk-keys__part";
    part.append(heading, entries);
    return [part];
  });
  document.getElementById("keys-list").replaceChildren(...parts.flat());
}

// --- The handler ----------------------------------------------------------------------------------

// A letter as Shift makes it, whatever Caps Lock says.
function keyOf(event) {
  if (!/^[a-z]$/i.test(event.key)) return event.key;
  return event.shiftKey ? event.key.toUpperCase() : event.key.toLowerCase();
}

function chosen(event) {
  const key = keyOf(event);
  const ctrl = event.ctrlKey || event.metaKey;
  const fits = (one) => !one.native && one.key === key && (one.held === "Ctrl") === ctrl && works(one);
  if (event.altKey || (event.repeat && !KEYS.some((one) => one.again && fits(one)))) return null;
  const target = event.target;
  if (target.isContentEditable || (target.matches && target.matches(TYPING))) {
    return KEYS.find((one) => one.typing === target.id && target.id && fits(one)) || null;
  }
  return inUse() ? KEYS.find((one) => !one.typing && fits(one)) || null : null;
}

const inUse = () => recall("keys", "on") !== "off";

if (list) {
  const boxes = [...document.querySelectorAll("[data-keys-use]")];
  const show = () => { for (const box of boxes) box.checked = inUse(); };
  for (const box of boxes) box.addEventListener("change", () => { keep("keys", box.checked ? "on" : "off"); show(); });
  onChange("keys", show);
  show();
  for (const button of document.querySelectorAll("[data-keys-open]")) {
    button.hidden = false;
    button.addEventListener("click", showList);
  }
  document.addEventListener("keydown", (event) => {
    if (find("dialog[open]") || event.defaultPrevented || event.isComposing) return;
    const one = chosen(event);
    if (!one) return;
    event.preventDefault();
    one.act(find(one.on));
  });
}
