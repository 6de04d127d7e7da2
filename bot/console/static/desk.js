// What the desk's pages do in the browser. Every page also works as plain forms.

import { ErrorSummary, PasswordInput, createAll } from "./build/govuk-frontend.min.js";

const body = document.body;
body.classList.add("js-enabled", "govuk-frontend-supported");
createAll(PasswordInput);
createAll(ErrorSummary);

const byId = (id) => document.getElementById(id);
const signedIn = "idleSeconds" in body.dataset;
const live = Boolean(body.dataset.stream);
const sheetTitle = document.title;

// --- Stored settings: this browser may forbid them ---------------------------------------------

function recall(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}
function keep(key, value) {
  try { localStorage.setItem(key, value); } catch { /* nothing is lost but a preference */ }
}

// --- The stream, shared by the tabs -------------------------------------------------------------

// Looks like an EventSource to htmx's extension, and is fed by the shared worker where there is one.
class Stream extends EventTarget {
  constructor() {
    super();
    this.readyState = 0;
    this.onopen = null;
    this.onerror = null;
    if (window.SharedWorker) {
      // A worker for each session: one person's stream never serves another's page.
      const worker = new SharedWorker("/desk/static/stream-worker.js", { name: "desk-" + body.dataset.stream });
      this.port = worker.port;
      this.port.onmessage = (message) => this.take(message.data.name, message.data.data);
      this.port.start();
      this.port.postMessage("hello");
      window.addEventListener("pagehide", () => this.port.postMessage("bye"));
    } else {
      this.direct();
    }
  }

  direct() {
    const source = new EventSource("/desk/stream");
    for (const name of ["change", "ready", "locked", "gone"]) {
      source.addEventListener(name, (event) => this.take(name, event.data ? JSON.parse(event.data) : {}));
    }
    source.onerror = () => {
      this.take("down");
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.direct(), 3000);
    };
  }

  take(name, data) {
    if (name === "locked") return leave("/desk/locked");
    if (name === "gone") return leave("/desk/sign-in");
    if (name === "change") {
      this.dispatchEvent(new MessageEvent("chat-" + data.chat));
      this.dispatchEvent(new MessageEvent("queue"));
      return;
    }
    if (name === "ready") this.readyState = 1;
    linkChanged(name === "ready");
    if (name === "ready") this.dispatchEvent(new MessageEvent("ready"));
  }

  close() {
    if (this.port) this.port.postMessage("bye");
  }
}

if (live) htmx.createEventSource = () => new Stream();

// --- Whether anybody may type -------------------------------------------------------------------

// After a reconnect the page reads everything anew first; only then may anybody type.
let linked = false;
let fresh = false;
let hadFocus = false;
let patient = true;

function linkChanged(up) {
  patient = false;
  linked = up;
  fresh = false;
  showLink();
}

function showLink() {
  const link = byId("link");
  if (link) {
    link.hidden = linked;
    if (!linked) link.textContent = "This page is not connected. New messages may be missing. It is trying again.";
  }
  allowTyping();
}

function allowTyping() {
  const fields = byId("composer-fields");
  if (!fields) return;
  const may = linked && fresh;
  if (!may && fields.contains(document.activeElement)) hadFocus = true;
  fields.disabled = !may;
  byId("composer-reason").textContent = may || (patient && !linked) ? "" : linked
    ? "Reading what was missed."
    : "You cannot type while this page is not connected. Your text is kept.";
  if (may && hadFocus) {
    hadFocus = false;
    const text = byId("text");
    if (text && document.activeElement === body) text.focus();
  }
}

if (live) {
  allowTyping();
  setTimeout(() => {
    patient = false;
    if (!linked) showLink();
  }, 3000);
  body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful && linked && event.target.hasAttribute && event.target.hasAttribute("data-ready")) {
      fresh = true;
      allowTyping();
    }
  });
  body.addEventListener("htmx:sendError", (event) => {
    if (event.target.id === "composer-form") say("This was not sent: the desk cannot be reached. Your text is kept.");
    else if (event.target.matches && event.target.matches("form[hx-post]")) say("This was not done: the desk cannot be reached. Try again.");
  });
  body.addEventListener("htmx:timeout", (event) => {
    if (event.target.matches && event.target.matches("form[hx-post]")) say("The desk did not answer. Look at the chat before you try again.");
  });
}

function say(sentence) {
  const problem = byId("problem");
  if (!problem) return;
  problem.innerHTML = '<div class="desk-problem" role="alert"><p class="desk-problem__text"><strong></strong></p></div>';
  problem.querySelector("strong").textContent = sentence;
}

// --- Text that is typed is never lost -----------------------------------------------------------

let typed = null;
let persons = null;

function draftOf() {
  const text = byId("text");
  return text ? text.value : null;
}

body.addEventListener("htmx:oobBeforeSwap", (event) => {
  if (event.detail.target && event.detail.target.id === "composer") typed = draftOf();
});
body.addEventListener("htmx:oobAfterSwap", (event) => {
  if (!event.detail.target || event.detail.target.id !== "composer") return;
  if (typed) {
    const text = byId("text");
    const kept = byId("kept");
    if (text && !text.value) text.value = typed;
    if (kept) {
      kept.hidden = false;
      byId("kept-text").value = typed;
    }
  }
  typed = null;
  allowTyping();
});
body.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id === "composer") allowTyping();
  if (event.target.id === "transcript") news();
  if (event.target.id === "alarms") ring();
  if (event.target.id === "rows") newcomers();
  tick();
});
body.addEventListener("htmx:beforeSwap", (event) => {
  const box = byId("transcript");
  if (box && event.detail.target === box) atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 60;
  // A reply that was taken: an earlier refusal no longer holds.
  if (event.detail.target.id === "composer" && event.detail.xhr.status < 300) byId("problem").replaceChildren();
});

function flush(use) {
  const text = byId("text");
  if (!text) return Promise.resolve();
  const form = new URLSearchParams({ csrf: body.dataset.csrf, text: text.value });
  const to = byId("composer-form").getAttribute("hx-post").replace(/reply$/, "draft");
  if (use === "beacon") return navigator.sendBeacon(to, form);
  return fetch(to, { method: "POST", body: form }).catch(() => undefined);
}
let leaving = false;
let dirty = false;
body.addEventListener("input", (event) => { if (event.target.id === "text") dirty = true; });
body.addEventListener("htmx:afterRequest", (event) => {
  if (event.target.id === "text" && event.detail.successful) dirty = false;
  if (event.target.id === "composer-form" && event.detail.successful) dirty = false;
});
window.addEventListener("pagehide", () => { if (dirty && !leaving) flush("beacon"); });
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// --- The transcript -----------------------------------------------------------------------------

let atEnd = true;

function news() {
  const box = byId("transcript");
  const lines = byId("lines");
  if (!box || !lines) return;
  const count = Number(lines.dataset.persons);
  if (persons !== null && count > persons) byId("news").textContent = count - persons === 1 ? "A new message from the person." : `${count - persons} new messages from the person.`;
  persons = count;
  if (atEnd) box.scrollTop = box.scrollHeight;
}
if (byId("transcript")) {
  news();
  byId("transcript").scrollTop = byId("transcript").scrollHeight;
}

// A P1 is called out by the alarm; whatever else comes is told when the reader has a moment.
let waitingBefore = null;

function newcomers() {
  const counts = byId("counts");
  if (!counts) return;
  const count = Number(counts.dataset.waiting);
  if (waitingBefore !== null && count > waitingBefore) byId("news").textContent = `A new chat is waiting. ${count} in the queue.`;
  waitingBefore = count;
}
newcomers();

// --- Waiting times ------------------------------------------------------------------------------

function tick() {
  for (const one of document.querySelectorAll("time[data-since]")) {
    const minutes = Math.floor(Math.max(0, Date.now() - Date.parse(one.dataset.since)) / 60000);
    const words = minutes < 1 ? "under 1 min" : minutes < 60 ? `${minutes} min`
      : minutes < 1440 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min`
      : `${Math.floor(minutes / 1440)} d ${Math.floor(minutes / 60) % 24} h`;
    if (one.textContent !== words) one.textContent = words;
  }
}
setInterval(tick, 5000);

// --- The P1 alarm: seen, heard, and in the title (never with what was said) ----------------------

let audio = null;
let ringing = false;

function ring() {
  const mark = byId("alarms-mark");
  const count = mark ? Number(mark.dataset.ring) : 0;
  ringing = count > 0;
  document.title = ringing ? `P1 ALARM (${count}) – ${sheetTitle}` : sheetTitle;
  beep();
}

function sounds() {
  if (!audio) audio = new AudioContext();
  return audio.state === "running";
}

function tone(at, pitch) {
  const wave = audio.createOscillator();
  const level = audio.createGain();
  wave.frequency.value = pitch;
  level.gain.setValueAtTime(0, at);
  level.gain.linearRampToValueAtTime(0.25, at + 0.02);
  level.gain.linearRampToValueAtTime(0, at + 0.22);
  wave.connect(level).connect(audio.destination);
  wave.start(at);
  wave.stop(at + 0.25);
}

async function beep() {
  const hint = byId("sound");
  if (!hint) return;
  if (!ringing) { hint.hidden = true; return; }
  const can = sounds();
  hint.hidden = can;
  if (!can) return;
  const play = () => { tone(audio.currentTime, 880); tone(audio.currentTime + 0.3, 660); body.dataset.beeps = Number(body.dataset.beeps || 0) + 1; };
  // Of many tabs one sounds: the first that can.
  if (!navigator.locks) return play();
  await navigator.locks.request("desk-sound", { ifAvailable: true }, async (lock) => {
    if (!lock) return;
    play();
    await new Promise((done) => setTimeout(done, 2500));
  });
}

if (live) {
  setInterval(() => { if (ringing) beep(); }, 3000);
  const wake = () => {
    if (!audio) audio = new AudioContext();
    if (audio.state !== "running") audio.resume().then(beep, () => undefined);
  };
  byId("sound-on").addEventListener("click", wake);
  for (const name of ["pointerdown", "keydown"]) document.addEventListener(name, wake, { once: true });
}

// --- The idle lock ------------------------------------------------------------------------------

const ACTIVE = "desk-active";
let moved = Date.now();
let told = Date.now();

function leave(to) {
  if (leaving) return;
  leaving = true;
  location.replace(to + "?next=" + encodeURIComponent(location.pathname));
}

async function lockNow(form) {
  if (leaving) return;
  await flush();
  leaving = true;
  form.submit();
}

if (signedIn) {
  const idle = Number(body.dataset.idleSeconds) * 1000;
  keep(ACTIVE, String(moved));
  for (const name of ["pointerdown", "keydown", "wheel", "touchstart", "input"]) {
    document.addEventListener(name, () => {
      moved = Date.now();
    }, { passive: true, capture: true });
  }
  const form = document.querySelector("form[data-lock]");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    lockNow(form);
  });
  setInterval(() => {
    const known = Number(recall(ACTIVE)) || 0;
    if (moved > known) keep(ACTIVE, String(moved));
    const newest = Math.max(moved, known);
    if (moved > told && Date.now() - told > Math.min(20000, idle / 4)) {
      told = Date.now();
      fetch("/desk/here", { method: "POST", headers: { "X-CSRF-Token": body.dataset.csrf } }).then((answer) => {
        if (answer.redirected || answer.status === 401) leave("/desk/locked");
      }, () => undefined);
    }
    if (Date.now() - newest > idle) {
      const why = document.createElement("input");
      Object.assign(why, { type: "hidden", name: "idle", value: "1" });
      form.append(why);
      lockNow(form);
    }
  }, Math.min(2000, idle / 4));
}

// --- Keys ---------------------------------------------------------------------------------------

const keys = byId("keys");
if (keys) {
  const use = byId("keys-use");
  use.checked = recall("desk-keys") !== "off";
  use.addEventListener("change", () => keep("desk-keys", use.checked ? "on" : "off"));
  byId("keys-open").hidden = false;
  byId("keys-open").addEventListener("click", () => keys.showModal());
  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && target.id === "text") {
      event.preventDefault();
      byId("send").click();
      return;
    }
    if (event.ctrlKey || event.altKey || event.metaKey || keys.open || !use.checked) return;
    if (target.matches("input, textarea, select, [contenteditable]")) return;
    if (event.key === "?") keys.showModal();
    else if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
    else if (event.key === "r" && byId("text")) { event.preventDefault(); byId("text").focus(); }
    else if (event.key === "c") take();
    else if (event.key === "/") {
      event.preventDefault();
      if (byId("find-words")) byId("find-words").focus();
      else location.assign("/desk/find");
    }
  });
}

function step(by) {
  const rows = [...document.querySelectorAll(".desk-row__link")];
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement);
  rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : (at + by + rows.length) % rows.length].focus();
}

function take() {
  const row = document.activeElement.closest(".desk-row");
  const button = row ? row.querySelector("button[id^=claim-]") : byId("claim");
  if (button) button.click();
}

// --- Approved answers ---------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-insert]");
  const text = byId("text");
  if (!button || !text) return;
  const words = byId(button.dataset.insert).textContent;
  text.value = text.value ? text.value.replace(/\s*$/, "\n\n") + words : words;
  text.dispatchEvent(new Event("input", { bubbles: true }));
  text.focus();
});
