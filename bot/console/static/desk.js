// What the desk's pages do in the browser. Every page also works as plain forms.

import { ErrorSummary, PasswordInput, createAll } from "./build/govuk-frontend.min.js";
import { flush, linkChanged } from "./composer.js";
import { alone, sounds, tone, wake } from "./sound.js";
import { speak } from "./speak.js";

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
    for (const name of ["change", "ready", "viewers", "locked", "gone"]) {
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
    if (name === "viewers") return document.dispatchEvent(new Event("desk:viewers"));
    if (name === "change") {
      if (data.tell) document.dispatchEvent(new CustomEvent("desk:tell", { detail: data }));
      this.dispatchEvent(new MessageEvent("chat-" + data.chat));
      // What cannot have changed is not fetched: a hundred desks hear of every message.
      for (const part of ["queue", "banner", "own"]) if (!(data.keeps || []).includes(part)) this.dispatchEvent(new MessageEvent(part));
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

// --- Parts of the page that come anew -----------------------------------------------------------

let persons = null;
let leaving = false;

body.addEventListener("htmx:afterSwap", (event) => {
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
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// A click counts only if what was pressed is still there as the finger goes up. On a busy desk the lists come anew
// many times a minute: one that is pressed on waits, but never for longer than anybody presses. It waits as well while
// what was pressed is under way: the answer has to find the form that asked. Alarms do not: a new one has to ring.
const LISTS = ["rows", "overview", "alarms", "own-part", "approval"];
const LONGEST_PRESS = 1500;
let pressed = null;
let missed = false;

function catchUp() {
  if (missed) htmx.trigger(body, "desk:refresh");
  missed = false;
}
function letGo() {
  pressed = null;
  catchUp();
}
const isAsking = (list) => list.id !== "alarms" && list.querySelector("form.htmx-request") !== null;
const isInUse = (list) => list.contains(pressed) || isAsking(list);
document.addEventListener("pointerdown", (event) => {
  pressed = event.target;
  setTimeout(letGo, LONGEST_PRESS);
}, true);
for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, () => setTimeout(letGo), true);
body.addEventListener("htmx:beforeSwap", (event) => {
  const { target, requestConfig, xhr } = event.detail;
  // What a broken answer would take the place of still holds: above all an alarm, which has to go on ringing.
  if (xhr.status >= 400 && LISTS.includes(target.id)) {
    event.detail.shouldSwap = false;
    return;
  }
  if (requestConfig.verb !== "get" || !LISTS.includes(target.id) || !isInUse(target)) return;
  event.detail.shouldSwap = false;
  missed = true;
});
body.addEventListener("htmx:afterRequest", (event) => { if (event.detail.requestConfig.verb !== "get") catchUp(); });

// --- The transcript -----------------------------------------------------------------------------

let atEnd = true;

function news() {
  const box = byId("transcript");
  const lines = byId("lines");
  if (!box || !lines) return;
  const count = Number(lines.dataset.persons);
  if (persons !== null && count > persons) speak("news", count - persons === 1 ? "A new message from the person." : `${count - persons} new messages from the person.`);
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
  if (waitingBefore !== null && count > waitingBefore) speak("news", `A new chat is waiting. ${count} in the queue.`);
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
  // How long something may still be done; rounded up, as the server writes it.
  for (const one of document.querySelectorAll("time[data-until]")) {
    const minutes = Math.ceil(Math.max(0, Date.parse(one.dataset.until) - Date.now()) / 60000);
    const words = minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
    if (one.textContent !== words) one.textContent = words;
  }
}
setInterval(tick, 5000);

// --- The P1 alarm: seen, heard, and in the title (never with what was said) ----------------------

let ringing = 0;

function ring() {
  const mark = byId("alarms-mark");
  ringing = mark ? Number(mark.dataset.ring) : 0;
  retitle();
  beep();
}

// What is new since the reader last looked at this page counts in front of its name.
function retitle() {
  const unseen = Number(body.dataset.unseen || 0);
  document.title = (ringing ? `P1 ALARM (${ringing}) – ` : unseen ? `(${unseen}) ` : "") + sheetTitle;
}
document.addEventListener("desk:unseen", retitle);

async function beep() {
  const hint = byId("sound");
  if (!hint) return;
  if (!ringing) { hint.hidden = true; return; }
  const can = sounds();
  hint.hidden = can;
  if (!can) return;
  await alone("desk-sound", 2500, () => { tone(0, 880); tone(0.3, 660); body.dataset.beeps = Number(body.dataset.beeps || 0) + 1; });
}

if (live) {
  setInterval(() => { if (ringing) beep(); }, 3000);
  byId("sound-on").addEventListener("click", () => wake(beep));
  for (const name of ["pointerdown", "keydown"]) document.addEventListener(name, () => wake(beep), { once: true });
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

// Before the desk locks by itself it says so: any key or touch keeps it open (WCAG 2.2, 2.2.1).
function warn(soon) {
  const line = byId("idle");
  if (line.hidden === soon) line.hidden = !soon;
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
  // Who signs out by hand is not led back here: what the stream says of the end comes too late to matter.
  document.addEventListener("submit", (event) => { if (event.target.matches("form[action$='/sign-out']")) leaving = true; });
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
    const left = idle - (Date.now() - newest);
    warn(left < Math.min(60000, idle / 3));
    if (left < 0) {
      const why = document.createElement("input");
      Object.assign(why, { type: "hidden", name: "idle", value: "1" });
      form.append(why);
      lockNow(form);
    }
  }, Math.min(2000, idle / 4));
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
