// The chat on another page of the force: a button, and a panel that holds the chat's own page in a frame.
//
// The route /chat/widget.js puts `const words = {…};` in front. Until somebody presses the button, this
// file asks for nothing, keeps nothing, and listens to nothing else. No style attribute and no markup is
// made from text, so that a host page may have the strictest policy.

const TAG = "front-counter-chat";
const HOME = new URL(import.meta.url).origin;
const PATIENCE_MS = 12000;
const EXIT_MS = 250; // what the frame may take to forget; the panel is gone at once
const ESCAPES = 3;
const ESCAPES_WITHIN_MS = 2000;
const NARROW = "(max-width: 40em), (max-height: 32em)";

// Important inside a shadow root wins over important outside it, so no rule of the host gets in.
const STYLES = `
:host { all: initial !important; display: block !important; unicode-bidi: isolate !important; }
:host([inline]) { display: inline-block !important; }
:host([hidden]) { display: none !important; }
section {
  --paper: #fff; --ink: #0b0c0c; --link: #1a4f8b; --warn: #a4161a; --edge: #5c666f;
  font: 1em/1.5 Arial, Helvetica, sans-serif; color: var(--ink);
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
button, .leave { margin: 0; font: inherit; font-weight: 700; cursor: pointer; }
:focus { outline: none; }
:focus-visible { outline: 3px solid #ffdd00; box-shadow: 0 0 0 6px #0b0c0c; }
.open {
  min-height: 2.75em; padding: .5em 1.25em; border: 2px solid #fff; border-radius: 1.5em;
  background: var(--colour); color: #fff; box-shadow: 0 0 0 1px #0b0c0c;
}
.open.floats { position: fixed; inset: auto 1em 1em auto; z-index: 2147483647; overflow: visible; }
.panel {
  position: fixed; inset: auto 1em 1em auto; margin: 0; padding: 0; overflow: hidden; z-index: 2147483647;
  width: min(27em, 100vw - 2em); height: min(44em, 100vh - 2em); max-width: none; max-height: none;
  border: 2px solid var(--edge); background: var(--paper); color: var(--ink);
}
@supports (height: 1dvh) { .panel { height: min(44em, 100dvh - 2em); } }
.panel.full { inset: 0; width: 100%; height: 100%; border: 0; }
.inside { display: flex; flex-direction: column; height: 100%; }
.head {
  flex: none; display: flex; flex-wrap: wrap; align-items: center; justify-content: flex-end;
  gap: .5em; padding: .5em .75em; background: var(--colour); color: #fff;
}
.title { flex: 1 1 auto; margin: 0; font-weight: 700; }
.leave, .close {
  display: inline-flex; align-items: center; min-height: 2.5em; padding: .25em .75em;
  border: 2px solid #fff; border-radius: 0; color: #fff; text-decoration: none;
}
.leave { background: #a4161a; }
.close { background: transparent; }
.meanwhile { flex: 1 1 auto; overflow: auto; padding: 1em; }
.meanwhile p { margin: 0 0 1em; }
.danger { padding-left: .75em; border-left: .375em solid var(--warn); font-size: 1.125em; font-weight: 700; }
.meanwhile a { color: var(--link); }
.danger a { color: var(--warn); }
.again {
  min-height: 2.75em; padding: .375em 1em; border: 2px solid var(--edge);
  background: transparent; color: var(--ink);
}
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
iframe { flex: 1 1 auto; width: 100%; min-height: 0; border: 0; background: var(--paper); }
iframe:focus-visible { outline: none; box-shadow: none; }
iframe.waiting { flex: none; height: 0; visibility: hidden; }
@media (max-width: 24em) {
  .head { padding: .375em .5em; }
  .title { flex: 0 0 auto; position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .leave, .close { padding: .25em .5em; }
}
@media (prefers-color-scheme: dark) {
  section { --paper: #14181c; --ink: #f1f3f5; --link: #8fc4f7; --warn: #ff9d94; --edge: #82909c; }
}
@media print { section { display: none; } }
`;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// The number that has to be a link whatever else is down.
function withNumber(sentence) {
  return sentence
    .split(/(\b999\b)/)
    .filter(Boolean)
    .map((part) => (part === "999" ? make("a", { href: "tel:999" }, part) : part));
}

class FrontCounterChat extends HTMLElement {
  #open;
  #panel;
  #close;
  #inside;
  #meanwhile;
  #state;
  #again;
  #frame = null;
  #port = null;
  #timer = 0;
  #isOpen = false;
  #isLeaving = false;
  #isListening = false;
  #escapes = [];

  connectedCallback() {
    if (!this.shadowRoot) this.#build();
    this.#showButton();
  }

  disconnectedCallback() {
    if (this.#isOpen) this.#shut();
    this.#drop();
  }

  #build() {
    const root = this.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLES);
    // The colour comes checked from the server; a rule of our own sheet needs no style attribute.
    sheet.insertRule(`section { --colour: ${words.colour}; }`, sheet.cssRules.length);
    root.adoptedStyleSheets = [sheet];

    this.#open = make("button", { type: "button", class: "open", "aria-haspopup": "dialog" }, words.open);
    this.#open.addEventListener("click", () => this.#show());

    const leave = make("a", { class: "leave", href: words.exit, rel: "nofollow noreferrer" }, words.leave);
    leave.addEventListener("click", (event) => {
      event.preventDefault();
      this.#leave();
    });
    this.#close = make("button", { type: "button", class: "close" }, words.close);
    this.#close.addEventListener("click", () => this.#hide());
    const head = make("div", { class: "head" }, make("p", { class: "title", id: "title" }, words.title));
    head.append(leave, this.#close);

    this.#state = make("p", { role: "status" });
    this.#again = make("button", { type: "button", class: "again" }, words.again);
    this.#again.addEventListener("click", () => {
      this.#close.focus();
      this.#load();
    });
    const own = make(
      "a",
      { href: `${HOME}/chat`, target: "_blank", rel: "noopener noreferrer" },
      words.ownPage,
      make("span", { class: "unseen" }, ` ${words.newTab}`),
    );
    this.#meanwhile = make(
      "div",
      { class: "meanwhile" },
      make("p", { class: "danger", id: "danger" }, ...withNumber(words.danger)),
      this.#state,
      make("p", {}, this.#again),
      make("p", {}, own),
    );
    this.#inside = make("div", { class: "inside" }, head, this.#meanwhile);
    this.#panel = make(
      "dialog",
      { class: "panel", "aria-labelledby": "title", "aria-describedby": "danger" },
      this.#inside,
    );
    // The Back key of a telephone asks a dialog to close, without any Escape.
    this.#panel.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.#hide();
    });
    const section = make("section", { lang: words.language, dir: "auto", "aria-label": words.title });
    section.append(this.#open, this.#panel);
    root.append(section);
  }

  // ---- the button ------------------------------------------------------------------------------

  // In the browser's top layer no rule of the host, no transform and no layer of its own can cover it.
  #showButton() {
    const floats = !this.hasAttribute("inline");
    this.#open.hidden = false;
    this.#open.classList.toggle("floats", floats);
    if (!floats || !this.#open.showPopover) return;
    this.#open.setAttribute("popover", "manual");
    if (this.isConnected && !this.#open.matches(":popover-open")) this.#open.showPopover();
  }

  #hideButton() {
    if (this.#open.matches(".floats[popover]") && this.#open.matches(":popover-open")) this.#open.hidePopover();
    this.#open.hidden = true;
  }

  // ---- the panel -------------------------------------------------------------------------------

  #show() {
    if (this.#isOpen || this.#isLeaving) return;
    this.#isOpen = true;
    this.#listen();
    const fills = window.matchMedia(NARROW).matches;
    this.#panel.classList.toggle("full", fills);
    this.#panel.removeAttribute("popover");
    if (fills) {
      this.#panel.showModal();
    } else if (this.#panel.showPopover) {
      this.#panel.setAttribute("popover", "manual");
      this.#panel.showPopover();
    } else {
      this.#panel.show();
    }
    this.#hideButton();
    if (this.#port) {
      this.#port.postMessage({ do: "show" });
      this.#focusFrame();
      return;
    }
    this.#close.focus();
    if (!this.#frame) this.#load();
  }

  #shut() {
    this.#isOpen = false;
    if (this.#panel.hasAttribute("popover")) {
      if (this.#panel.matches(":popover-open")) this.#panel.hidePopover();
    } else if (this.#panel.open) {
      this.#panel.close();
    }
  }

  #hide() {
    if (!this.#isOpen) return;
    if (this.#port) this.#port.postMessage({ do: "hide" });
    this.#shut();
    this.#showButton();
    this.#open.focus();
  }

  #listen() {
    if (this.#isListening) return;
    this.#isListening = true;
    document.addEventListener("keydown", (event) => this.#onKey(event), true);
    // No question of the host's may hold up whoever leaves in a hurry; here, before the host adds one.
    window.addEventListener("beforeunload", (event) => {
      if (this.#isLeaving) event.stopImmediatePropagation();
    });
    // A page that is kept for the Back button keeps no chat with it.
    window.addEventListener("pagehide", () => {
      if (this.#isOpen) this.#shut();
      this.#drop();
    });
    window.addEventListener("pageshow", (event) => {
      if (!event.persisted) return;
      if (this.#isLeaving) window.location.replace(words.exit);
      else if (this.isConnected) this.#showButton();
    });
  }

  #onKey(event) {
    if (event.key !== "Escape") this.#escapes = [];
    else if (!event.repeat && !event.isComposing) this.#escape();
  }

  // Once closes; three times in two seconds leaves the page, as on the chat's own page.
  #escape() {
    const now = Date.now();
    this.#escapes = [...this.#escapes.filter((at) => now - at < ESCAPES_WITHIN_MS), now];
    if (this.#escapes.length >= ESCAPES) this.#leave();
    else this.#hide();
  }

  // ---- the frame -------------------------------------------------------------------------------

  #load() {
    this.#drop();
    if (window.navigator.onLine === false) {
      this.#fail();
      return;
    }
    this.#say(words.opening, false);
    const frame = make("iframe", { class: "waiting", title: words.title, referrerpolicy: "origin" });
    frame.addEventListener("load", () => this.#meet(frame));
    frame.src = `${HOME}/chat/frame`;
    this.#frame = frame;
    this.#inside.append(frame);
    this.#timer = window.setTimeout(() => this.#fail(), PATIENCE_MS);
  }

  // A line of our own between the two, which no other script of the host page can hear.
  #meet(frame) {
    if (frame !== this.#frame) return;
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }) => this.#heard(data, port1, frame);
    const page = this.getAttribute("page") || "";
    frame.contentWindow.postMessage({ frontCounter: 1, page }, HOME, [port2]);
  }

  #heard(data, port, frame) {
    if (frame !== this.#frame || !data) return;
    if (data.say === "ready") this.#ready(port);
    else if (data.say === "escape") this.#escape();
    else if (data.say === "left") this.#go();
  }

  #ready(port) {
    window.clearTimeout(this.#timer);
    this.#port = port;
    this.#meanwhile.hidden = true;
    this.#frame.classList.remove("waiting");
    if (!this.#isOpen) port.postMessage({ do: "hide" });
    // Whoever has gone on to another field meanwhile is left there.
    else if (this.shadowRoot.activeElement) this.#focusFrame();
  }

  #focusFrame() {
    this.#frame.focus({ preventScroll: true });
    this.#port.postMessage({ do: "focus" });
  }

  #say(sentence, failed) {
    this.#meanwhile.hidden = false;
    this.#state.textContent = sentence;
    this.#again.hidden = !failed;
  }

  // A frame that is only slow goes on coming, and is shown when it has.
  #fail() {
    this.#say(words.failed, true);
  }

  #drop() {
    window.clearTimeout(this.#timer);
    if (this.#port) this.#port.close();
    if (this.#frame) this.#frame.remove();
    this.#port = null;
    this.#frame = null;
  }

  // ---- leaving ---------------------------------------------------------------------------------

  #leave() {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    document.documentElement.style.setProperty("display", "none", "important");
    if (this.#isOpen) this.#shut();
    window.onbeforeunload = null;
    if (!this.#port) {
      this.#go();
      return;
    }
    this.#timer = window.setTimeout(() => this.#go(), EXIT_MS);
    this.#port.postMessage({ do: "leave" });
  }

  // The frame stays until the other page has come: a slow one can still forget meanwhile.
  #go() {
    if (!this.#isLeaving) return;
    window.clearTimeout(this.#timer);
    window.location.replace(words.exit);
  }
}

// An old browser keeps what stands between the tags: the link to the chat's own page.
if (!window.customElements.get(TAG) && "adoptedStyleSheets" in Document.prototype) {
  window.customElements.define(TAG, FrontCounterChat);
}
