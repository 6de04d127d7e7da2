// One stream of events for all tabs of a browser. Each tab is a port; when the last one leaves the
// stream ends, so that a closed desk is no sign of anybody being there.

const ports = new Set();
let source = null;
let last = "";
let up = false;
let waiting = null;
let delay = 1000;

function tell(message) {
  for (const port of ports) port.postMessage(message);
}

function open() {
  waiting = null;
  if (source || ports.size === 0) return;
  source = new EventSource("/desk/stream" + (last ? "?after=" + last : ""));
  const keep = (event) => {
    if (event.lastEventId) last = event.lastEventId;
    return event.data ? JSON.parse(event.data) : {};
  };
  source.addEventListener("change", (event) => tell({ name: "change", data: keep(event) }));
  source.addEventListener("viewers", () => tell({ name: "viewers" }));
  source.addEventListener("place", keep);
  source.addEventListener("ready", (event) => {
    keep(event);
    up = true;
    delay = 1000;
    tell({ name: "ready" });
  });
  for (const name of ["locked", "gone"]) {
    source.addEventListener(name, () => {
      shut();
      tell({ name });
    });
  }
  source.onerror = () => {
    shut();
    tell({ name: "down" });
    delay = Math.min(delay * 1.5, 10000);
    waiting = setTimeout(open, delay);
  };
}

function shut() {
  up = false;
  if (source) source.close();
  source = null;
}

self.onconnect = (event) => {
  const port = event.ports[0];
  port.onmessage = (message) => {
    if (message.data === "bye") {
      ports.delete(port);
      if (ports.size === 0) shut();
    } else if (message.data === "hello") {
      ports.add(port);
      if (up) port.postMessage({ name: "ready" });
      else if (!source && waiting === null) open();
    }
  };
  port.start();
};
