// The queue: what is ticked or unfolded stays so while the list is read anew.

(() => {
  if (!document.getElementById("take-next")) return;

  const within = "#rows input[name=chat]:checked, #rows details[open]";
  let kept = [];

  const count = () => {
    const chosen = document.querySelectorAll("#rows input[name=chat]:checked").length;
    document.getElementById("chosen").textContent = chosen ? `(${chosen} ticked)` : "";
  };
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target.id === "rows") kept = [...document.querySelectorAll(within)].map((one) => one.id);
  });
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.id !== "rows") return;
    for (const one of kept.map((id) => document.getElementById(id))) {
      if (one && one.type === "checkbox") one.checked = true;
      else if (one) one.open = true;
    }
    count();
  });
  document.body.addEventListener("change", (event) => { if (event.target.name === "chat") count(); });
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.target.id !== "hand-on" || !event.detail.successful) return;
    for (const one of document.querySelectorAll("#rows input[name=chat]:checked")) one.checked = false;
    document.getElementById("hand-on").reset();
    count();
  });
})();
