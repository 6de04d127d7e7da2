// The reply. It locks, with the reason in words, while the page may not show everything; what somebody typed is
// kept at the server and put back after every change of the page; a page that is behind sends nothing.

import { speak } from "./speak.js";

const body = document.body;
const byId = (id) => document.getElementById(id);
const live = Boolean(body.dataset.stream);

// --- Whether anybody may type -------------------------------------------------------------------

const LOST = "Connection lost. Your text is kept. You cannot type until the page is connected again.";
const READING = "Reading what was missed.";
const GONE = "You cannot read this chat any more. Your text stays here until you leave the page.";

let linked = false;
let failed = false;
let fresh = false;
let readable = true;
let patient = true;
let sending = false;
let missed = false;

// After a reconnect the page reads everything anew; what was asked before that does not count.
let round = 0;
const rounds = new WeakMap();

export function linkChanged(up) {
  patient = false;
  linked = up;
  fresh = false;
  if (up) round += 1;
  show();
}

const mayType = () => !live || (linked && fresh && readable);

function why() {
  if (mayType()) return "";
  if (!readable) return GONE;
  if (linked && !failed) return READING;
  return patient ? "" : LOST;
}

function show() {
  const link = byId("link");
  const up = linked && !failed;
  if (link && !(patient && !up)) {
    link.hidden = up;
    if (!up) link.textContent = "This page is not connected. New messages may be missing. It is trying again.";
  }
  // For whoever has to know from outside whether the page shows everything: an old page, or none, reads as "off".
  body.dataset.live = !up ? "off" : fresh || !document.querySelector("[data-ready]") ? "fresh" : "reading";
  lock();
}

function lock() {
  const fields = byId("composer-fields");
  if (!fields || !live) return;
  const may = mayType();
  // Not `disabled`: a locked text can still be read, marked and copied, and keeps the focus.
  if (may) fields.removeAttribute("aria-disabled");
  else fields.setAttribute("aria-disabled", "true");
  // Nor is anything typed into a text that is on its way: it would be lost with it.
  for (const one of fields.querySelectorAll("textarea, input:not([type=hidden])")) one.readOnly = !may || sending;
  // A button that waits for something else (a reply that a second person reads) stays as it is.
  for (const one of fields.querySelectorAll("button:not([data-waits])")) one.disabled = !may || sending;
  const reason = byId("composer-reason");
  if (reason.textContent !== why()) reason.textContent = why();
}

function again() {
  if (linked && !fresh && readable) htmx.trigger(body, "desk:refresh");
}

if (live) {
  lock();
  setTimeout(() => { patient = false; show(); }, 3000);
  setInterval(again, 2000);
  // What a browser says of its network may be wrong: it is a reason to ask, and the answer counts.
  window.addEventListener("offline", () => { patient = false; failed = true; fresh = false; round += 1; show(); again(); });
  window.addEventListener("online", again);
  const isReader = (one) => Boolean(one && one.hasAttribute && one.hasAttribute("data-ready"));
  body.addEventListener("htmx:beforeRequest", (event) => {
    if (isReader(event.detail.requestConfig.elt)) rounds.set(event.detail.xhr, round);
    if (event.detail.requestConfig.elt.id === "composer-form") {
      sending = true;
      lock();
    }
  });
  body.addEventListener("htmx:afterRequest", (event) => {
    // `elt`, not the target: what was asked for may have taken its place in the page already.
    const { xhr, successful } = event.detail;
    const { elt } = event.detail.requestConfig;
    if (isReader(elt)) answered(xhr, successful);
    if (elt.id === "composer-form") {
      sending = false;
      lock();
      if (missed && !successful && byId("shape")) {
        byId("shape").value = "";
        htmx.trigger(body, "desk:refresh");
      }
      missed = false;
    }
  });
  document.addEventListener("submit", (event) => {
    if (event.target.id === "composer-form" && !mayType()) {
      event.preventDefault();
      event.stopPropagation();
    }
  }, true);
  body.addEventListener("htmx:sendError", (event) => {
    if (event.target.id === "composer-form") say("This was not sent: the desk cannot be reached. Your text is kept.");
    else if (event.target.matches && event.target.matches("form[hx-post]")) say("This was not done: the desk cannot be reached. Try again.");
  });
  body.addEventListener("htmx:timeout", (event) => {
    if (event.target.matches && event.target.matches("form[hx-post]")) say("The desk did not answer. Look at the chat before you try again.");
  });
}

function answered(xhr, successful) {
  if (successful) {
    if (failed && byId("problem")) byId("problem").replaceChildren();
    failed = false;
    if (linked && rounds.get(xhr) === round) fresh = true;
  } else if (xhr.status === 403 || xhr.status === 404) hide();
  else if (xhr.status === 0 || xhr.status >= 500) {
    failed = true;
    fresh = false;
  }
  show();
}

function say(sentence) {
  const problem = byId("problem");
  if (!problem) return;
  problem.innerHTML = '<div class="desk-problem" role="alert"><p class="desk-problem__text"><strong></strong></p></div>';
  problem.querySelector("strong").textContent = sentence;
}

// Sealed meanwhile, or a reason that has run out: nothing of the chat stays on the page but the reader's own text.
function hide() {
  readable = false;
  for (const id of ["head", "why", "actions", "measures", "finder", "viewers", "approval"]) {
    const part = byId(id);
    if (part) part.replaceChildren();
  }
}

// --- Text that is typed is never lost -----------------------------------------------------------

// One entry for each kind of text: the reply, a note, a note for another team. The server has `saved`.
const PAUSE = 600;
const drafts = new Map();
const fieldOf = (kind) => document.querySelector(`[data-draft="${kind}"]`);

const atOf = (field) => (field ? Number(field.dataset.at || 0) : 0);

function entry(kind) {
  if (!drafts.has(kind)) {
    const field = fieldOf(kind);
    const value = field ? field.defaultValue : "";
    drafts.set(kind, { value, saved: value, at: atOf(field), dirty: false, held: false, timer: null, under: null, flying: null });
  }
  return drafts.get(kind);
}

function changed(kind) {
  const one = entry(kind);
  const field = fieldOf(kind);
  if (field) one.value = field.value;
  one.dirty = one.value !== one.saved;
  schedule(kind);
}

function schedule(kind) {
  const one = entry(kind);
  clearTimeout(one.timer);
  if (one.dirty) one.timer = setTimeout(() => save(kind), PAUSE);
}

// On its way as a reply or a note: not saved as a draft meanwhile.
function hold(kind) {
  const one = entry(kind);
  clearTimeout(one.timer);
  one.held = true;
}

function settle(kind, successful) {
  const one = entry(kind);
  one.held = false;
  if (successful) Object.assign(one, { value: "", saved: "", dirty: false });
  else changed(kind);
}

// One save of a kind at a time: an older text must not overtake a newer one.
function save(kind) {
  const one = entry(kind);
  const box = document.querySelector("[data-drafts]");
  if (!box || !one.dirty || one.held) return Promise.resolve();
  if (one.under) return one.under.then(() => save(kind));
  const text = one.value;
  const form = new URLSearchParams({ csrf: body.dataset.csrf, kind, text });
  one.flying = text;
  one.under = fetch(box.dataset.drafts, { method: "POST", body: form, keepalive: true, headers: { "HX-Request": "true" } }).then((answer) => {
    if (answer.status !== 204) return;
    one.saved = text;
    one.at = Math.max(one.at, Number(answer.headers.get("X-Kept")));
    one.dirty = one.value !== text;
  }, () => undefined).then(() => { one.under = null; });
  return one.under;
}

function saveAll() {
  return Promise.all([...drafts.keys()].map(save));
}

// What to show of what the server has and what is typed here. A part of the page may have been read before the
// last save: then it is old. Something newer is another's doing (a reply given back, another tab): it is kept too.
function merged(server, at, one) {
  const newer = at > one.at && server !== one.saved && server !== one.flying && server !== one.value;
  if (!newer) return one.value;
  if (!one.dirty || !one.value) return server;
  const end = `\n\n${one.saved}`;
  if (one.saved && server.endsWith(end)) return server.slice(0, server.length - one.saved.length) + one.value;
  return server ? `${server}\n\n${one.value}` : one.value;
}

// Into a field that came anew.
function putBack(kind, field) {
  const one = entry(kind);
  const [server, at] = [field.value, atOf(field)];
  const text = merged(server, at, one);
  Object.assign(one, { value: text, saved: at >= one.at ? server : one.saved, at: Math.max(at, one.at) });
  one.dirty = one.value !== one.saved;
  if (field.value !== text) field.value = text;
  if (one.dirty) schedule(kind);
}

export async function flush() {
  // Other pages on which somebody writes put in what they still save.
  const others = [];
  document.dispatchEvent(new CustomEvent("desk:flush", { detail: others }));
  await Promise.race([Promise.all([saveAll(), ...others]), new Promise((done) => setTimeout(done, 1500))]);
}

// The last letters may have been under way to the server while it made this page. So until somebody types or does
// something here, the page says how old its texts are, and is given newer ones.
let touched = false;
body.addEventListener("htmx:configRequest", (event) => {
  if (touched || event.detail.elt.id !== "transcript") return;
  event.detail.parameters.drafts = String(Math.max(0, ...[...drafts.values()].map((one) => one.at)));
});
body.addEventListener("input", (event) => {
  touched = true;
  const kind = event.target.dataset && event.target.dataset.draft;
  if (kind) changed(kind);
});
// What a form takes with it: the texts in it, and one that the server joins with another.
function kindsIn(form) {
  const kinds = [...form.querySelectorAll("[data-draft]")].map((field) => field.dataset.draft);
  return form.dataset.uses ? [...kinds, form.dataset.uses] : kinds;
}
document.addEventListener("submit", (event) => {
  touched = true;
  for (const kind of kindsIn(event.target)) hold(kind);
});
body.addEventListener("htmx:afterRequest", (event) => {
  const form = event.detail.requestConfig.elt;
  if (!form.matches("form[hx-post]")) return;
  for (const kind of kindsIn(form)) settle(kind, event.detail.successful);
  const field = form.id === "composer-form" ? fieldOf("reply") : null;
  // What the server put into the new, usually empty, composer.
  if (field && event.detail.successful) Object.assign(entry("reply"), { value: field.value, saved: field.value, at: Math.max(atOf(field), entry("reply").at) });
});
// Before a reload or a link asks for the next page, which shows what is saved; and once more as the page goes.
window.addEventListener("beforeunload", () => { saveAll(); });
window.addEventListener("pagehide", () => {
  for (const [kind, one] of drafts) {
    if (!one.dirty || one.held) continue;
    const box = document.querySelector("[data-drafts]");
    if (box) navigator.sendBeacon(box.dataset.drafts, new URLSearchParams({ csrf: body.dataset.csrf, kind, text: one.value }));
  }
});
// Signing out ends the session: what is typed has to be saved before.
for (const form of document.querySelectorAll('form[action="/desk/sign-out"]')) {
  form.addEventListener("submit", async (event) => {
    if (![...drafts.values()].some((one) => one.dirty || one.under)) return;
    event.preventDefault();
    await flush();
    form.submit();
  });
}
setInterval(() => { if (mayType()) saveAll(); }, 5000);

// --- Parts of the page that come anew -----------------------------------------------------------

let hadComposer = false;
let place = null;
let kept = null;

const detailsKey = (box) => {
  const form = box.querySelector("form");
  return form ? form.getAttribute("action") : "";
};

// What is half filled in, and what is folded open, in the actions.
function remember(part) {
  const values = new Map();
  for (const one of part.querySelectorAll("textarea[id], select[id], input[id]:not([type=hidden])")) {
    const before = one.tagName === "SELECT" ? [...one.options].findIndex((option) => option.defaultSelected) : one.defaultValue;
    const now = one.tagName === "SELECT" ? one.selectedIndex : one.value;
    if (!one.dataset.draft && now !== before && !(before === -1 && now === 0)) values.set(one.id, one.value);
  }
  return { values, open: new Set([...part.querySelectorAll("details[open]")].map(detailsKey)) };
}

function restore(part, was) {
  for (const [id, value] of was.values) {
    const one = byId(id);
    if (one && part.contains(one)) {
      one.value = value;
      one.dispatchEvent(new Event("change", { bubbles: true }));
    }
  }
  for (const box of part.querySelectorAll("details")) if (was.open.has(detailsKey(box))) box.open = true;
  for (const field of part.querySelectorAll("[data-draft]")) putBack(field.dataset.draft, field);
}

body.addEventListener("htmx:oobBeforeSwap", (event) => {
  const target = event.detail.target;
  if (!target) return;
  if (target.id === "composer" && sending) {
    // Its answer brings a new composer. A form that is gone would never hear of it, and stay locked.
    event.detail.shouldSwap = false;
    missed = true;
    return;
  }
  if (target.id === "composer") {
    const field = fieldOf("reply");
    hadComposer = Boolean(field);
    place = field && [field.selectionStart, field.selectionEnd];
  }
  if (target.id === "actions") kept = remember(target);
});
body.addEventListener("htmx:oobAfterSwap", (event) => {
  const target = event.detail.target;
  if (!target) return;
  if (target.id === "composer") composerCame(target);
  if (target.id === "actions" && kept) {
    const was = kept;
    kept = null;
    restore(target, was);
  }
  markSeen();
});
body.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id === "composer") lock();
  markSeen();
});

function composerCame(box) {
  const field = fieldOf("reply");
  const own = byId("kept-text");
  if (hadComposer && field) {
    putBack("reply", field);
    field.setSelectionRange(...place);
  } else if (hadComposer && own) {
    putBack("reply", own);
    byId("kept").hidden = !own.value;
    save("reply");
    const words = box.querySelector("[data-lost]");
    if (words) speak("news", words.textContent.trim());
  }
  hadComposer = false;
  lock();
}

// The newest message that this page shows: a send or a close says so, and is refused when there is a newer one.
function markSeen() {
  const lines = byId("lines");
  if (!lines) return;
  for (const one of document.querySelectorAll("input[data-seen]")) one.value = lines.dataset.seen;
}

// --- Copying, and throwing away -----------------------------------------------------------------

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy-from]");
  if (copy) {
    const field = byId(copy.dataset.copyFrom);
    let done = true;
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      // A page that is not on HTTPS, or a browser that says no: the old way.
      field.focus();
      field.select();
      done = document.execCommand("copy");
    }
    speak("news", done ? "Copied." : "Select the text and copy it by hand.");
    return;
  }
  const away = event.target.closest("[data-throw-away]");
  if (!away) return;
  Object.assign(entry("reply"), { value: "", dirty: true });
  await save("reply");
  if (!entry("reply").dirty) byId("kept").hidden = true;
});
for (const one of document.querySelectorAll("[data-draft]")) entry(one.dataset.draft);
