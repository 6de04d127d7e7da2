// One chat: times that are due, copying, and the fields that an outcome asks for.

// --- Due and late --------------------------------------------------------------------------------

function span(minutes) {
  if (minutes < 1) return "under 1 min";
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function dues() {
  for (const one of document.querySelectorAll("time[data-due]")) {
    const left = Date.parse(one.dataset.due) - Date.now();
    const words = `${left > 0 ? "due in" : "late by"} ${span(Math.floor(Math.abs(left) / 60000))}`;
    if (one.textContent !== words) one.textContent = words;
    if (left <= 0 && one.parentElement.classList.contains("desk-chip")) one.parentElement.classList.add("desk-chip--warn");
  }
}
setInterval(dues, 5000);

// --- Copying -------------------------------------------------------------------------------------

async function copy(text, field) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // A page that is not on HTTPS, or a browser that says no: the old way.
    if (!field) return false;
    field.focus();
    field.select();
    return document.execCommand("copy");
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const before = button.innerHTML;
  button.textContent = (await copy(button.dataset.copy)) ? "Copied" : "Select it by hand";
  setTimeout(() => { button.innerHTML = before; }, 2000);
});

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-copies]");
  if (!form) return;
  const field = document.getElementById(form.dataset.copies);
  const done = await copy(field.value, field);
  document.getElementById("copied").textContent = done ? "Copied." : "The browser did not allow it. Select the text and copy it by hand.";
});

// --- What an outcome asks for --------------------------------------------------------------------

function asks() {
  const outcome = document.getElementById("outcome");
  for (const one of document.querySelectorAll("[data-copy][hidden]")) one.hidden = false;
  if (!outcome) return;
  const chosen = outcome.value;
  for (const one of document.querySelectorAll("[data-for-outcome]")) one.hidden = !one.dataset.forOutcome.split(" ").includes(chosen);
  for (const one of document.querySelectorAll("[data-not-for-outcome]")) one.hidden = one.dataset.notForOutcome.split(" ").includes(chosen) && chosen !== "";
}
document.addEventListener("change", (event) => { if (event.target.id === "outcome") asks(); });
for (const name of ["htmx:afterSwap", "htmx:oobAfterSwap"]) document.body.addEventListener(name, () => { asks(); dues(); });
asks();
dues();
