// The page on which a text is written. What is typed saves itself; what cannot be saved (the desk is locked, the
// network is away) stays on the page and in this tab, and is saved as soon as it can be. Without this script the
// page's buttons do the same.

import { speak } from "./speak.js";

const body = document.body;
const byId = (id) => document.getElementById(id);
const form = byId("draft-form");
const PAUSE = 800;
const AGAIN = 5000;
const BEAT = 10000;
const KEEPALIVE = 60000; // A browser takes no more letters than that along while the page goes.

const stashKey = (id) => `desk-${body.dataset.staff}-draft-${id}`;
function stashed(id) {
  try { return JSON.parse(sessionStorage.getItem(stashKey(id))); } catch { return null; }
}
function stash(id, value) {
  try {
    if (value) sessionStorage.setItem(stashKey(id), JSON.stringify(value));
    else sessionStorage.removeItem(stashKey(id));
  } catch { /* a browser that forbids it: the page itself still has the text */ }
}

// A page that shows what became of a draft: what this tab kept of it is in there.
for (const one of document.querySelectorAll("[data-draft-done]")) stash(one.dataset.draftDone, null);

if (form && form.querySelector("[name^='f-']")) write(form.dataset.draftId);

function write(id) {
  let stopped = false;
  let leaving = false;
  let under = null;
  let timer = null;
  let later = null;
  let fresh = false;
  let told = byId("check").querySelector("[data-told]")?.textContent;
  const version = form.querySelector("[name=version]");
  const isText = (name) => name.startsWith("f-");
  const values = () => [...new FormData(form)].filter(([name]) => isText(name));
  const text = () => new URLSearchParams(values()).toString();
  let saved = text();
  const dirty = () => text() !== saved;

  function keep() {
    const note = byId("note").value;
    stash(id, dirty() || note !== byId("note").defaultValue ? { version: version.value, values: values(), note } : null);
  }

  function say(words, href = "", link = "") {
    const box = document.createElement("div");
    box.className = "desk-problem";
    const line = document.createElement("p");
    line.className = "desk-problem__text";
    line.textContent = words;
    if (href) {
      const a = document.createElement("a");
      Object.assign(a, { href, textContent: link, className: "govuk-link" });
      if (href === "/desk/locked") a.target = "_blank";
      line.append(" ", a);
    }
    box.append(line);
    if (byId("saved").textContent !== box.textContent) speak("saved-news", box.textContent);
    byId("saved").replaceChildren(box);
  }

  // --- Saving ------------------------------------------------------------------------------------

  function take(number) {
    for (const one of document.querySelectorAll("[data-version-of]")) one.value = number;
  }

  function schedule(pause = PAUSE) {
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(save, pause);
  }

  function save() {
    clearTimeout(timer);
    if (under) return under.then(() => (dirty() && !stopped ? save() : undefined));
    if (stopped || !dirty()) return Promise.resolve();
    const sent = text();
    const data = new URLSearchParams(values());
    data.set("csrf", body.dataset.csrf);
    data.set("version", version.value);
    const length = data.toString().length;
    under = fetch(form.action, { method: "POST", body: data, keepalive: length < KEEPALIVE, headers: { "HX-Request": "true" } })
      .then((answer) => answered(answer, sent), () => failed("The desk did not answer. Your text stays on this page. It is tried again."))
      .then(() => { under = null; });
    return under;
  }

  async function answered(answer, sent) {
    const page = await answer.text();
    const said = new DOMParser().parseFromString(page, "text/html").body;
    const part = said.querySelector("[data-version]");
    if (answer.status === 200 && part) {
      take(part.dataset.version);
      saved = sent;
      fresh = false;
      keep();
      byId("saved").replaceChildren(part);
      if ("problems" in part.dataset) speak("saved-news", part.textContent);
      if (dirty()) schedule();
      return;
    }
    if (answer.status === 409 || answer.status === 422) {
      // The server has the text beside the other one, or says why it takes none any more. This page stops.
      stopped = true;
      if (part) saved = sent;
      byId("saved").replaceChildren(...said.children);
      speak("saved-news", byId("saved").textContent);
      keep();
      return;
    }
    if (answer.status === 401) return failed("The desk is locked. Your text stays on this page and is saved once it is open.", "/desk/locked", "Open it in a new tab");
    if (answer.status === 403 && !fresh) {
      // Unlocked in another tab: this page's token is an old one.
      fresh = true;
      await renew();
      return schedule(50);
    }
    failed("Your text is not saved. It stays on this page. It is tried again.");
  }

  function failed(words, href, link) {
    keep();
    say(words, href, link);
    schedule(AGAIN);
  }

  async function renew() {
    const page = await fetch(form.action.replace(/\/save$/, "")).then((answer) => answer.text(), () => "");
    const csrf = new DOMParser().parseFromString(page, "text/html").body.dataset.csrf;
    if (!csrf) return;
    body.dataset.csrf = csrf;
    body.setAttribute("hx-headers", JSON.stringify({ "X-CSRF-Token": csrf }));
    for (const one of document.querySelectorAll("input[name=csrf]")) one.value = csrf;
  }

  async function flush() {
    await Promise.race([save(), new Promise((done) => setTimeout(done, 1500))]);
  }

  form.addEventListener("input", () => {
    clearTimeout(later);
    later = setTimeout(keep, 150);
    schedule();
  });
  // Before the desk locks it asks for what is not saved yet.
  document.addEventListener("desk:flush", (event) => event.detail.push(flush()));
  window.addEventListener("pagehide", () => {
    keep();
    if (leaving || !dirty()) return;
    const data = new URLSearchParams(values());
    data.set("csrf", body.dataset.csrf);
    data.set("version", version.value);
    navigator.sendBeacon(form.action, data);
  });

  // --- Buttons --------------------------------------------------------------------------------------

  document.addEventListener("submit", async (event) => {
    const { target, submitter } = event;
    const ends = target.matches('form[action="/desk/sign-out"]') || target.matches("[data-after-save]");
    if (leaving || (target !== form && !ends)) return;
    event.preventDefault();
    if (target === form && submitter && submitter.dataset.putInto) return put(submitter.dataset.putInto);
    keep();
    await flush();
    if (target === form && !(submitter && submitter.id === "send")) {
      if (!stopped && !dirty()) speak("saved-news", byId("saved").querySelector("[data-problems]") ? "" : "Saved.");
      return;
    }
    if (stopped) return;
    // While this event is still under way a form takes no second submit.
    await new Promise((done) => setTimeout(done));
    leaving = true;
    target.requestSubmit(submitter);
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("#load-again")) stash(id, null);
  });

  function put(name) {
    const field = byId(name);
    const choice = byId(`contact-${name}`);
    if (!choice.value) {
      choice.focus();
      return speak("check-news", "Choose a contact first.");
    }
    field.setRangeText(choice.value, field.selectionStart, field.selectionEnd, "end");
    choice.value = "";
    field.focus();
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  // Some fields belong to one choice alone: the page comes anew with them.
  let was = form.querySelector("[name=f-mode]:checked")?.value;
  form.addEventListener("change", async (event) => {
    if (event.target.name !== "f-mode") return;
    const now = event.target.value;
    const other = (was === "E") !== (now === "E");
    was = now;
    if (!other) return;
    await flush();
    if (stopped || dirty()) return;
    location.hash = "f-mode";
    location.reload();
  });

  // --- What is to be mended: read out once it changes --------------------------------------------------

  body.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.id !== "check") return;
    const words = event.target.querySelector("[data-told]")?.textContent;
    if (words && words !== told) speak("check-news", words);
    told = words;
  });

  // --- Who else writes here ---------------------------------------------------------------------------

  const others = byId("others");
  async function beat() {
    if (document.visibilityState === "hidden") return;
    const data = new URLSearchParams({ csrf: body.dataset.csrf });
    const answer = await fetch(others.dataset.here, { method: "POST", body: data, headers: { "HX-Request": "true" } }).catch(() => null);
    if (!answer || answer.status !== 200) return;
    const part = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-version]");
    if (!part) return;
    if (part.textContent !== others.textContent.trim()) {
      if (part.textContent) speak("others-news", part.textContent);
      others.textContent = part.textContent;
    }
    if (!stopped && !under && Number(part.dataset.version) > Number(version.value)) {
      if (dirty()) return schedule(0);
      say("Somebody else changed this draft.", `${location.pathname}#load-again`, "See what it says now");
      const link = byId("saved").querySelector("a");
      link.id = "load-again";
      link.addEventListener("click", (click) => { click.preventDefault(); location.reload(); });
    }
  }
  setInterval(beat, BEAT);
  document.addEventListener("visibilitychange", beat);

  // --- What this tab kept, from before a lock or a reload -----------------------------------------------

  const kept = stashed(id);
  if (kept) {
    const have = new Map();
    for (const [name, value] of kept.values) have.set(name, [...(have.get(name) || []), value]);
    for (const field of form.elements) {
      if (!isText(field.name || "") || field.name.endsWith("-here")) continue;
      const wanted = have.get(field.name) || [];
      if (field.type === "checkbox" || field.type === "radio") field.checked = wanted.includes(field.value);
      else if (wanted.length) field.value = wanted[0];
    }
    if (kept.note) byId("note").value = kept.note;
    if (dirty()) {
      // Upon the text that it was typed on: if that is another by now, both are kept.
      version.value = kept.version;
      save();
    } else keep();
  }
}
