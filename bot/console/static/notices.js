// What comes while the reader looks elsewhere: told to a screen reader, shown in a strip, counted in the
// title and, for who chose it, sounded softly and shown by the browser outside the page. Never more than
// that something waits, and its grade: the server sends nothing else, and nothing of a sealed chat.

import { alone, sounds, tone, wake } from "./sound.js";
import { hush, speak } from "./speak.js";
import { keep, onChange, recall } from "./stored.js";

const GATHER = 400;
const byId = (id) => document.getElementById(id);
const live = Boolean(document.body.dataset.stream);
const URGENT = ["P1", "P2"];

// --- Alarms: once for each, whatever is read anew around them -------------------------------------

const PARTS = ["alarms", "own-part"];
const marked = (mark) => document.querySelectorAll(PARTS.map((id) => `#${id} [${mark}]`).join(", "));
let told = new Set();

function tellAlarms() {
  const before = told;
  told = new Set();
  for (const one of [...marked("data-tell-now"), ...marked("data-tell")]) {
    const now = one.dataset.tellNow !== undefined;
    const marks = (now ? one.dataset.tellNow : one.dataset.tell).split(" ").filter(Boolean);
    for (const mark of marks) told.add(mark);
    if (marks.some((mark) => !before.has(mark))) speak(now ? "told-now" : "told", one.textContent.replace(/\s+/g, " ").trim());
  }
  if (!marked("data-tell-now").length) hush("told-now");
}

// --- What came ------------------------------------------------------------------------------------

let coming = new Map();
const unseen = new Set();

function words(kind, items) {
  const grade = items.map((one) => one.grade).filter(Boolean).sort()[0];
  const one = items.length === 1;
  const high = grade ? `, ${one ? "grade" : "the highest grade"} ${grade}` : "";
  if (kind === "waits") return `${one ? "A new chat waits" : `${items.length} new chats wait`}${high}.`;
  if (kind === "danger") return `New danger in ${one ? "a chat" : `${items.length} chats`} that you have${high}.`;
  return `${one ? "A new message in a chat" : `New messages in ${items.length} chats`} that you have.`;
}

const sentences = (items) => ["danger", "waits", "wrote"]
  .map((kind) => [kind, items.filter((one) => one.tell === kind)])
  .filter(([, found]) => found.length)
  .map(([kind, found]) => words(kind, found)).join(" ");

// A P1 has its alarm, the queue shows who waits, a chat shows its own news.
function isShownHere(one) {
  if (one.tell !== "wrote" && one.grade === "P1") return true;
  if (one.tell === "waits") return Boolean(byId("counts"));
  return location.pathname === `/desk/c/${one.chat}`;
}

function came() {
  const items = [...coming.values()];
  coming = new Map();
  const here = items.filter((one) => !isShownHere(one));
  if (here.length) {
    speak("told", sentences(here));
    show(here);
  }
  const wanted = items.filter((one) => one.tell !== "waits" || recall("which", "all") === "all" || URGENT.includes(one.grade));
  if (isAway()) {
    for (const one of items) unseen.add(one.chat);
    count();
    outside(wanted);
  }
  if (recall("sound", "off") === "on" && wanted.some((one) => one.grade !== "P1" || one.tell === "wrote")) softly();
}

function softly() {
  if (!sounds()) return;
  alone("desk-soft", 1500, () => {
    tone(0, 520, 0.1);
    document.body.dataset.softly = Number(document.body.dataset.softly || 0) + 1;
  });
}

// --- On the page ----------------------------------------------------------------------------------

function show(items) {
  const strip = byId("strip");
  const one = items.length === 1 && items[0].tell !== "waits" ? items[0] : null;
  byId("strip-words").textContent = sentences(items);
  const link = byId("strip-link");
  link.href = one ? `/desk/c/${one.chat}` : "/desk/queue";
  link.textContent = one ? "Open the chat" : "Open the queue";
  strip.hidden = false;
}

const isAway = () => document.hidden || !document.hasFocus();

function count() {
  document.body.dataset.unseen = unseen.size;
  document.dispatchEvent(new CustomEvent("desk:unseen"));
}

// --- Outside the page -----------------------------------------------------------------------------

let leaveFront = null;
let shown = [];

// While one page of the desk is in front, no page shows a notice.
function front() {
  if (!isAway() && !leaveFront && navigator.locks) {
    leaveFront = () => undefined;
    navigator.locks.request("desk-front", { mode: "shared" }, () => new Promise((done) => {
      if (isAway()) done();
      else leaveFront = done;
    })).then(() => {
      leaveFront = null;
      front();
    });
  }
  if (isAway() && leaveFront) leaveFront();
  if (!isAway()) {
    for (const notice of shown) notice.close();
    shown = [];
    if (unseen.size) {
      unseen.clear();
      count();
    }
  }
}

const granted = () => "Notification" in window && Notification.permission === "granted";

async function outside(items) {
  if (!items.length || recall("notices", "off") !== "on" || !granted()) return;
  if (navigator.locks && (await navigator.locks.query()).held.some((lock) => lock.name === "desk-front")) return;
  alone(`desk-notice-${items[0].tell}-${items[0].chat}`, 3000, () => notify(sentences(items), items.some((one) => one.grade === "P1")));
}

function notify(text, stays) {
  const notice = new Notification(document.body.dataset.desk, { body: text, requireInteraction: stays });
  notice.onclick = () => { window.focus(); notice.close(); };
  notice.onclose = () => { shown = shown.filter((one) => one !== notice); };
  shown.push(notice);
}

// --- What each person chose -----------------------------------------------------------------------

function choices() {
  const state = byId("notices-state");
  if (!state) return;
  const can = "Notification" in window && window.isSecureContext;
  const on = can && granted() && recall("notices", "off") === "on";
  state.textContent = !can ? "This browser has no notices for the desk."
    : Notification.permission === "denied" ? "This browser blocks notices of the desk. Allow them in its own settings first."
    : on ? "Notices are on in this browser." : "Notices are off in this browser.";
  byId("notices-on").hidden = !can || on || Notification.permission === "denied";
  byId("notices-off").hidden = !on;
  byId("notices-sound").checked = recall("sound", "off") === "on";
  byId("notices-which").checked = recall("which", "all") === "urgent";
}

function choose(name, value) {
  keep(name, value);
  choices();
}

if (byId("notices-state")) {
  byId("notices").hidden = false;
  byId("notices-on").addEventListener("click", async () => {
    if ((await Notification.requestPermission()) === "granted") {
      choose("notices", "on");
      byId("notices-off").focus();
    }
    choices();
  });
  byId("notices-off").addEventListener("click", () => {
    choose("notices", "off");
    byId("notices-on").focus();
  });
  byId("notices-sound").addEventListener("change", (event) => {
    choose("sound", event.target.checked ? "on" : "off");
    if (event.target.checked) wake(softly);
    if (event.target.checked) softly();
  });
  byId("notices-which").addEventListener("change", (event) => choose("which", event.target.checked ? "urgent" : "all"));
  for (const name of ["notices", "sound", "which"]) onChange(name, choices);
  choices();
}

if (live) {
  document.addEventListener("desk:tell", (event) => {
    if (!coming.size) setTimeout(came, GATHER);
    coming.set(`${event.detail.tell}/${event.detail.chat}`, event.detail);
  });
  document.body.addEventListener("htmx:afterSwap", (event) => { if (PARTS.includes(event.target.id)) tellAlarms(); });
  byId("strip-hide").addEventListener("click", () => {
    byId("strip").hidden = true;
    byId("main-content").focus();
  });
  for (const name of ["focus", "blur", "pageshow"]) window.addEventListener(name, front);
  document.addEventListener("visibilitychange", front);
  front();
}
