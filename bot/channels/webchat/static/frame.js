// The chat in a frame on another page of the force (widget.js there holds it). Comes before webchat.js.
//
// No cookie: a browser gives a frame of another site none, or not for long. The token is made here, is
// known to this frame alone, and goes along in a header. It outlives the page only if the person says so.

"use strict";

(() => {
  if (window.parent === window) {
    window.location.replace("/chat");
    return;
  }
  const KEY = "frontcounter_chat";
  const $ = (id) => document.getElementById(id);
  const page = $("page");
  const words = page.dataset;
  const log = $("log");
  const text = $("text");
  const keep = $("keep");
  const veil = $("veil");
  let port = null;
  let about = "";
  let isHidden = false;
  let isAsked = false;

  // ---- who it is -----------------------------------------------------------------------------

  // A browser may forbid a frame to keep anything; then it throws.
  function kept() {
    try {
      const found = window.sessionStorage.getItem(KEY);
      return /^[\w-]{43}$/.test(found || "") ? found : null;
    } catch {
      return null;
    }
  }

  function canKeep() {
    try {
      return Boolean(window.sessionStorage);
    } catch {
      return false;
    }
  }

  function keepToken() {
    try {
      window.sessionStorage.setItem(KEY, token);
    } catch {
      return false;
    }
    return kept() === token;
  }

  function forget() {
    try {
      window.sessionStorage.removeItem(KEY);
    } catch {
      // Then nothing was kept either.
    }
  }

  function newToken() {
    const bytes = String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32)));
    return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  }

  const held = kept();
  const token = held || newToken();
  const headers = () => ({ "X-Chat-Token": token });
  if (held) {
    isAsked = true;
    $("earlier").hidden = false;
    words.known = "yes";
    words.cursor = "now";
  } else {
    $("earlier").remove();
  }

  // ---- the stream: an EventSource can send no header --------------------------------------------

  class HeaderSource extends EventTarget {
    #stop = new AbortController();

    constructor(address) {
      super();
      this.#run(address);
    }

    close() {
      this.#stop.abort();
    }

    async #run(address) {
      const { signal } = this.#stop;
      try {
        const answer = await fetch(address, {
          headers: headers(), credentials: "omit", cache: "no-store", signal,
        });
        if (answer.status !== 200) throw new Error("no stream");
        this.dispatchEvent(new Event("open"));
        await this.#read(answer.body.getReader());
      } catch {
        // Whatever it was, the line is gone: the page opens another.
      }
      if (!signal.aborted) this.dispatchEvent(new Event("error"));
    }

    async #read(reader) {
      const decoder = new TextDecoder();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done || this.#stop.signal.aborted) return;
        const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) this.#tell(block);
      }
    }

    #tell(block) {
      const found = { event: "message", data: "", id: "" };
      for (const line of block.split("\n")) {
        const place = line.indexOf(": ");
        if (place > 0) found[line.slice(0, place)] = line.slice(place + 2);
      }
      if (!found.data) return;
      this.dispatchEvent(new MessageEvent(found.event, { data: found.data, lastEventId: found.id }));
    }
  }

  // ---- may it be kept? ---------------------------------------------------------------------------

  function say(sentence) {
    const said = document.createElement("p");
    said.textContent = sentence;
    keep.replaceChildren(said);
    keep.removeAttribute("aria-labelledby");
    $("heard").textContent = sentence;
  }

  function answerKeep(sentence) {
    say(sentence);
    text.focus({ preventScroll: true });
  }

  $("keep-yes").addEventListener("click", () => answerKeep(keepToken() ? words.kept : words.keepFailed));
  $("keep-no").addEventListener("click", () => answerKeep(words.notKept));

  function started() {
    if (isAsked) return;
    isAsked = true;
    // Where the browser keeps nothing for a frame there is nothing to ask.
    if (!canKeep()) say(words.keepFailed);
    keep.hidden = false;
  }

  // ---- closed and opened again ---------------------------------------------------------------------

  function setVeil(on) {
    veil.hidden = !on;
    $("view").hidden = on;
    $("composer-area").hidden = on;
  }

  function hide() {
    if (isHidden) return;
    isHidden = true;
    if (log.childElementCount || text.value) setVeil(true);
    window.dispatchEvent(new Event("chat-hide"));
  }

  function show() {
    if (veil.hidden) open();
  }

  function open() {
    setVeil(false);
    isHidden = false;
    window.dispatchEvent(new Event("chat-show"));
  }

  function focus() {
    const question = $("earlier");
    const first = !veil.hidden ? $("veil-yes") : question ? $("earlier-yes") : text;
    first.focus({ preventScroll: true });
  }

  $("veil-yes").addEventListener("click", () => {
    open();
    text.focus({ preventScroll: true });
    log.lastElementChild?.scrollIntoView({ block: "nearest" });
  });
  $("veil-no").addEventListener("click", () => {
    log.replaceChildren();
    text.value = "";
    text.dispatchEvent(new Event("input"));
    open();
    text.focus({ preventScroll: true });
  });

  // ---- the page around -----------------------------------------------------------------------------

  function leave() {
    forget();
    document.body.replaceChildren();
    port.postMessage({ say: "left" });
  }

  const deeds = { hide, show, focus, leave };

  window.addEventListener("message", ({ source, data, ports }) => {
    if (source !== window.parent || !data || data.frontCounter !== 1 || !ports[0]) return;
    about = String(data.page || "").slice(0, 1000);
    port = ports[0];
    port.onmessage = (event) => Object.hasOwn(deeds, event.data.do) && deeds[event.data.do]();
    port.postMessage({ say: "ready" });
  });

  window.chatFrame = {
    headers,
    started,
    source: (address) => new HeaderSource(address),
    escape: () => port && port.postMessage({ say: "escape" }),
    get page() {
      return about || undefined;
    },
    get isHidden() {
      return isHidden;
    },
  };
})();
