// What this browser keeps of a person's own choices; of each person apart, since desks are shared.

const whose = document.body.dataset.staff || "nobody";
const place = (name) => `desk-${whose}-${name}`;

export function recall(name, otherwise) {
  try { return localStorage.getItem(place(name)) ?? otherwise; } catch { return otherwise; }
}

export function keep(name, value) {
  try { localStorage.setItem(place(name), value); } catch { /* nothing is lost but a preference */ }
}

// Another tab of the same person changed a choice.
export function onChange(name, then) {
  window.addEventListener("storage", (event) => { if (event.key === place(name)) then(); });
}
