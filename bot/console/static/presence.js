// This page tells the server that it shows a chat, and that somebody types; it shows who else does.
// One beat every 20 s, one for typing every 5 s at most; the stream says when to look before that.

import { speak } from "./speak.js";

const box = document.getElementById("viewers");
const EVERY = 20000;
const TYPING_EVERY = 5000;
const SOON = 500;

let stamp = "";
let typedAt = 0;
let under = false;
let wanted = null;
let known = new Set();
let later = null;

function form(values) {
  return new URLSearchParams({ csrf: document.body.dataset.csrf, ...values });
}

async function beat(typing = "") {
  if (document.visibilityState === "hidden") return;
  if (under) {
    wanted = typing || wanted || "";
    return;
  }
  under = true;
  try {
    const answer = await fetch(box.dataset.viewing, { method: "POST", body: form({ typing }), headers: { "HX-Request": "true" } });
    if (answer.status === 200 && !answer.redirected) show(await answer.text());
  } catch { /* the page says already that it is not connected */ }
  under = false;
  if (wanted !== null) {
    const next = wanted;
    wanted = null;
    setTimeout(() => beat(next), SOON);
  }
}

function show(text) {
  box.innerHTML = text;
  const part = box.firstElementChild;
  if (!part) return;
  stamp = part.dataset.stamp;
  const names = JSON.parse(part.dataset.names);
  const come = names.filter((name) => !known.has(name));
  known = new Set(names);
  // Who comes is told quietly, who types is not: a reader would hear of little else.
  if (come.length) speak("viewers-news", `${come.join(", ")} ${come.length === 1 ? "has" : "have"} this chat open too.`);
  clearTimeout(later);
  const again = Number(part.dataset.again);
  if (again) later = setTimeout(() => beat(), again * 1000 + SOON);
}

function leave() {
  if (stamp) navigator.sendBeacon(box.dataset.viewing, form({ leave: stamp }));
  stamp = "";
}

if (box) {
  beat();
  setInterval(() => beat(), EVERY);
  document.addEventListener("desk:viewers", () => { setTimeout(() => beat(), 50); });
  document.addEventListener("input", (event) => {
    if (!event.target.dataset || !event.target.dataset.draft || Date.now() - typedAt < TYPING_EVERY) return;
    typedAt = Date.now();
    beat("yes");
  });
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.requestConfig.elt.id !== "composer-form" || !event.detail.successful) return;
    typedAt = 0;
    beat("no");
  });
  // A page that nobody looks at is not open to anybody.
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") leave(); else beat(); });
  window.addEventListener("pagehide", leave);
}
