// The web chat page. Without this file the page still works, as a plain form.
//
// Words of a message become text nodes, never markup. Every sentence that is shown stands in the
// page (data attributes of #page), not here.

"use strict";

(() => {
  const page = document.getElementById("page");
  if (!page || !window.EventSource || !window.fetch) return;
  const words = page.dataset;
  const frame = window.chatFrame; // only on another page of the force: see frame.js
  document.documentElement.classList.add("js");

  const $ = (id) => document.getElementById(id);
  const log = $("log");
  const newer = $("newer");
  const form = $("composer");
  const text = $("text");
  const limit = Number(words.limit);
  const shown = new Set();
  let known = words.known === "yes";
  let cursor = words.cursor;

  for (const one of log.querySelectorAll("[data-outbox]")) shown.add(Number(one.dataset.outbox));

  // ---- leaving -----------------------------------------------------------------------------

  function leave() {
    stopStream();
    document.body.replaceChildren();
    document.documentElement.classList.add("gone");
    window.location.replace(words.exit);
  }

  for (const link of document.querySelectorAll("#quick-exit")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      leave();
    });
  }

  let escapes = [];
  document.addEventListener("keydown", (event) => {
    if (frame) {
      if (event.key === "Escape" && !event.isComposing && !event.repeat) frame.escape();
      return;
    }
    if (event.key !== "Escape") {
      escapes = [];
      return;
    }
    if (event.isComposing || event.repeat) return;
    const now = Date.now();
    escapes = [...escapes.filter((at) => now - at < 2000), now];
    if (escapes.length >= 3) leave();
  });

  // A page that comes back with the Back button asks again, as after a reload.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) window.location.reload();
  });

  // ---- showing -----------------------------------------------------------------------------

  function make(tag, className, content) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (content !== undefined) element.textContent = content;
    return element;
  }

  function addParts(target, parts) {
    for (const part of parts) {
      if (!part.href || !/^(tel:|mailto:|https:\/\/)/.test(part.href)) {
        target.append(part.text);
        continue;
      }
      const link = make("a", "govuk-link", part.text);
      link.href = part.href;
      if (part.href.startsWith("https:")) {
        link.target = "_blank";
        link.rel = "noopener noreferrer";
        link.append(make("span", "govuk-visually-hidden", " " + words.newTab));
      }
      target.append(link);
    }
  }

  function clock(at) {
    const time = document.createElement("time");
    const date = at ? new Date(at) : new Date();
    time.dateTime = date.toISOString();
    time.textContent = date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
    return time;
  }

  const names = {
    person: words.you,
    assistant: words.assistant,
    safety: words.safety,
    notice: words.notice,
  };

  function build(line) {
    const article = make("article", "message message--" + line.side);
    const who = make("p", "message__who", (line.desk || names[line.side] || "") + " ");
    who.append(clock(line.at));
    const body = make("div", "message__text");
    body.dir = "auto";
    addParts(body, line.parts || [{ text: line.text }]);
    article.append(who, body);
    return article;
  }

  function answers(line) {
    const group = make("div", "answers");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", words.answers);
    for (const { title, token } of line.buttons) {
      const button = make("button", "govuk-button govuk-button--secondary answer", title);
      button.type = "button";
      button.addEventListener("click", () => {
        send({ button: token, title });
        group.remove();
        text.focus({ preventScroll: true });
      });
      group.append(button);
    }
    return group;
  }

  function isAtEnd() {
    const { scrollHeight, clientHeight } = document.documentElement;
    return scrollHeight - clientHeight - window.scrollY < 160;
  }

  function toEnd() {
    window.scrollTo(0, document.documentElement.scrollHeight);
    newer.hidden = true;
  }

  newer.addEventListener("click", () => {
    toEnd();
    text.focus({ preventScroll: true });
  });
  window.addEventListener("scroll", () => { if (isAtEnd()) newer.hidden = true; }, { passive: true });

  function show(line) {
    if (line.side !== "person") {
      if (shown.has(line.id)) return;
      shown.add(line.id);
    }
    const follow = isAtEnd() || line.side === "person";
    const article = build(line);
    log.append(article);
    if (line.buttons && line.buttons.length) log.append(answers(line));
    // A long answer is read from its first line, so its start stays in sight.
    if (!follow) newer.hidden = false;
    else if (article.offsetHeight > window.innerHeight / 2) article.scrollIntoView({ block: "start" });
    else toEnd();
    if (line.side !== "person") acknowledge(line.id);
    return article;
  }

  // ---- receipts ----------------------------------------------------------------------------

  let toAcknowledge = [];
  let acknowledging = 0;

  function acknowledge(id) {
    toAcknowledge.push(id);
    if (!acknowledging) acknowledging = window.setTimeout(sendSeen, 800);
  }

  async function sendSeen() {
    acknowledging = 0;
    const batch = toAcknowledge.splice(0, 100);
    if (!batch.length) return;
    try {
      const answer = await post("/chat/seen", { outbox: batch });
      if (answer.status >= 500) throw new Error("later");
    } catch {
      toAcknowledge.unshift(...batch);
      if (!acknowledging) acknowledging = window.setTimeout(sendSeen, 10000);
      return;
    }
    if (toAcknowledge.length) acknowledge(toAcknowledge.pop());
  }

  // ---- sending -----------------------------------------------------------------------------

  const waiting = [];
  let passing = false;
  let again = false;
  let timer = 0;
  let pause = 1000;

  function request(address, options = {}) {
    return fetch(address, {
      ...options,
      headers: { ...options.headers, ...(frame && frame.headers()) },
      credentials: frame ? "omit" : "same-origin",
    });
  }

  function post(address, body) {
    return request(address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout ? AbortSignal.timeout(20000) : undefined,
    });
  }

  function newId() {
    if (crypto.randomUUID) return crypto.randomUUID();
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function send({ text: written, button, title }) {
    dropQuestion();
    const article = show({ side: "person", text: written ?? title });
    const state = make("p", "message__state", words.sending);
    article.append(state);
    waiting.push({ id: newId(), text: written, button, article, state, told: new Set() });
    pass();
  }

  function setState(item, key, more) {
    const said = words[key] + (more ? " " + more : "");
    if (item.state.textContent === said) return;
    item.state.textContent = said;
    item.article.classList.toggle("is-late", key === "later" || key === "failed");
    if (key !== "sending" && !(key === "sent" && !item.wasLate)) $("heard").textContent = said;
    if (key === "later") item.wasLate = true;
  }

  // Every message is tried each time, so that the words for one in danger never wait behind
  // another that could not be stored.
  async function pass() {
    if (passing) {
      again = true;
      return;
    }
    passing = true;
    window.clearTimeout(timer);
    do {
      again = false;
      for (const item of [...waiting]) {
        const outcome = await attempt(item);
        if (outcome === "later") continue;
        waiting.splice(waiting.indexOf(item), 1);
      }
    } while (again);
    passing = false;
    if (waiting.length) {
      timer = window.setTimeout(pass, pause * (0.8 + 0.4 * Math.random()));
      pause = Math.min(pause * 2, 30000);
    } else {
      pause = 1000;
    }
  }

  async function attempt(item) {
    const start = form.elements.start ? form.elements.start.value : undefined;
    const body = { id: item.id, start, at: new Date().toISOString() };
    if (frame) body.page = frame.page;
    if (item.button) body.button = item.button;
    else body.text = item.text;
    let answer;
    try {
      answer = await post("/chat/messages", body);
    } catch {
      setState(item, "later");
      tellOnce(item, { side: "safety", text: words.storeDown });
      return "later";
    }
    let said = {};
    try {
      said = await answer.json();
    } catch {
      // An answer from something between us and the gateway; its status is enough.
    }
    if (answer.ok) {
      setState(item, "sent");
      known = true;
      if (frame) frame.started();
      openStream();
      return "sent";
    }
    if (answer.status >= 500 || answer.status === 429 || answer.status === 408) {
      setState(item, "later");
      tellOnce(item, { side: "safety", text: said.words || words.storeDown, parts: said.parts });
      return "later";
    }
    setState(item, "failed", said.error || "");
    return "failed";
  }

  // What the page says by itself, once for each message: it has no place in the record.
  function tellOnce(item, line) {
    if (item.told.has(line.text)) return;
    item.told.add(line.text);
    const article = build({ ...line, parts: line.parts || linked(line.text) });
    item.article.after(article);
    if (isAtEnd() || waiting[waiting.length - 1] === item) toEnd();
  }

  // The one number that must be a link even when the gateway cannot be reached.
  function linked(sentence) {
    return sentence
      .split(/(\b999\b)/)
      .filter(Boolean)
      .map((part) => (part === "999" ? { text: part, href: "tel:999" } : { text: part }));
  }

  // ---- composer ----------------------------------------------------------------------------

  function count() {
    return text.value.length > limit ? [...text.value].length : text.value.length;
  }

  function refuse(sentence) {
    const error = $("text-error");
    error.textContent = sentence;
    error.hidden = !sentence;
    text.classList.toggle("govuk-textarea--error", Boolean(sentence));
    if (sentence) text.setAttribute("aria-invalid", "true");
    else text.removeAttribute("aria-invalid");
    text.setAttribute("aria-describedby", sentence ? "text-error keys" : "keys");
  }

  function resize() {
    text.style.height = text.value ? "auto" : "";
    if (!text.value) return;
    text.style.height = Math.min(text.scrollHeight + 4, Math.max(80, window.innerHeight * 0.3)) + "px";
  }

  text.addEventListener("input", () => {
    const left = limit - count();
    if (left >= 0 && !$("text-error").hidden) refuse("");
    const near = left < 1000;
    $("count").textContent = !near
      ? ""
      : Math.abs(left).toLocaleString("en-GB") + " " + (left < 0 ? words.over : words.left);
    resize();
  });

  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    form.requestSubmit($("send"));
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter === $("person")) {
      send({ button: "person", title: words.personTitle });
      return;
    }
    const written = text.value;
    if (!written.trim()) {
      refuse(words.empty);
      text.focus();
      return;
    }
    if (count() > limit) {
      text.dispatchEvent(new Event("input"));
      refuse($("count").textContent);
      text.focus();
      return;
    }
    refuse("");
    text.value = "";
    text.dispatchEvent(new Event("input"));
    send({ text: written });
    text.focus({ preventScroll: true });
  });

  // ---- the earlier chat --------------------------------------------------------------------

  const question = $("earlier");

  function dropQuestion() {
    if (!question || !question.isConnected) return;
    question.remove();
    openStream();
  }

  if (question) {
    $("earlier-yes").addEventListener("click", async (event) => {
      event.preventDefault();
      try {
        const answer = await request("/chat/earlier");
        if (!answer.ok) throw new Error("not now");
        const earlier = await answer.json();
        // Old words are not news: the live region stays quiet while they are put in place.
        log.setAttribute("aria-live", "off");
        const last = earlier.lines.length - 1;
        earlier.lines.forEach((line, at) => show(at === last ? line : { ...line, buttons: [] }));
        cursor = earlier.cursor;
        window.setTimeout(() => log.setAttribute("aria-live", "polite"), 500);
      } catch {
        $("heard").textContent = words.earlierFailed;
        $("earlier-title").textContent = words.earlierFailed;
        return;
      }
      dropQuestion();
      text.focus({ preventScroll: true });
      toEnd();
    });
    $("earlier-no").addEventListener("click", (event) => {
      event.preventDefault();
      dropQuestion();
      text.focus({ preventScroll: true });
    });
    for (const link of question.querySelectorAll("[role=button]")) {
      link.addEventListener("keydown", (event) => {
        if (event.key !== " ") return;
        event.preventDefault();
        link.click();
      });
    }
  }

  // ---- the stream --------------------------------------------------------------------------

  let source = null;
  let lineTimer = 0;
  let lostTimer = 0;
  let hideTimer = 0;
  let lastBeat = 0;
  let linePause = 1000;

  function stopStream() {
    window.clearTimeout(lineTimer);
    if (source) source.close();
    source = null;
  }

  function setLost(lost) {
    window.clearTimeout(lostTimer);
    const banner = $("line-lost");
    if (!lost) {
      banner.replaceChildren();
      return;
    }
    if (!banner.childNodes.length) addParts(banner, linked(banner.dataset.words));
  }

  function openStream() {
    if (source || !known || (question && question.isConnected) || (frame && frame.isHidden)) return;
    window.clearTimeout(lineTimer);
    const address = "/chat/stream?after=" + encodeURIComponent(cursor);
    source = frame ? frame.source(address) : new EventSource(address);
    lastBeat = Date.now();
    const heard = (event) => {
      lastBeat = Date.now();
      if (event.lastEventId) cursor = event.lastEventId;
      setLost(false);
    };
    source.addEventListener("open", () => {
      heard({});
      linePause = 1000;
      if (waiting.length) pass();
    });
    source.addEventListener("beat", heard);
    source.addEventListener("message", (event) => {
      heard(event);
      show(JSON.parse(event.data));
    });
    source.addEventListener("status", (event) => {
      heard(event);
      const { state } = JSON.parse(event.data);
      const said = words["state" + state[0].toUpperCase() + state.slice(1)];
      if (!said) return;
      $("who").textContent = said;
      $("who").className = "who who--" + state;
      $("who").hidden = false;
    });
    source.addEventListener("error", () => retryStream());
  }

  function retryStream() {
    stopStream();
    window.clearTimeout(lostTimer);
    lostTimer = window.setTimeout(() => setLost(true), navigator.onLine === false ? 0 : 2500);
    lineTimer = window.setTimeout(openStream, linePause * (0.8 + 0.4 * Math.random()));
    linePause = Math.min(linePause * 2, 15000);
  }

  window.setInterval(() => {
    if (source && Date.now() - lastBeat > 40000) retryStream();
  }, 5000);

  window.addEventListener("offline", () => { if (known) setLost(true); });
  window.addEventListener("online", () => {
    setLost(false);
    linePause = 1000;
    pause = 1000;
    stopStream();
    openStream();
    if (waiting.length) pass();
  });

  // A tab that nobody looks at gives its line back after a minute, so that a browser holds one.
  document.addEventListener("visibilitychange", () => {
    window.clearTimeout(hideTimer);
    if (document.hidden) hideTimer = window.setTimeout(stopStream, 60000);
    else openStream();
  });

  if (frame) {
    window.addEventListener("chat-hide", stopStream);
    window.addEventListener("chat-show", openStream);
  }

  if (log.children.length) toEnd();
  openStream();
})();
