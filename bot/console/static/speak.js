// Telling a screen reader. The regions are in the page from its start, and hold nothing until then.

const PAUSE = 100;
const coming = new Map();

// Says it once. The region is emptied first, so that the same words said again are read again.
export function speak(id, words) {
  const region = document.getElementById(id);
  if (!region) return;
  if (coming.has(id)) {
    coming.get(id).push(words);
    return;
  }
  coming.set(id, [words]);
  region.textContent = "";
  setTimeout(() => {
    const said = [...new Set(coming.get(id))];
    coming.delete(id);
    region.textContent = said.join(" ");
  }, PAUSE);
}

export function hush(id) {
  const region = document.getElementById(id);
  if (region && !coming.has(id) && region.textContent) region.textContent = "";
}
