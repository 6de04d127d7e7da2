// What the desk sounds like. A browser stays silent until somebody has touched the page.

let audio = null;

export function sounds() {
  if (!audio) audio = new AudioContext();
  return audio.state === "running";
}

// `from` in seconds from now, `pitch` in hertz, `loud` from 0 to 1.
export function tone(from, pitch, loud = 0.25) {
  const at = audio.currentTime + from;
  const wave = audio.createOscillator();
  const level = audio.createGain();
  wave.frequency.value = pitch;
  level.gain.setValueAtTime(0, at);
  level.gain.linearRampToValueAtTime(loud, at + 0.02);
  level.gain.linearRampToValueAtTime(0, at + 0.22);
  wave.connect(level).connect(audio.destination);
  wave.start(at);
  wave.stop(at + 0.25);
}

export function wake(then) {
  if (!sounds()) audio.resume().then(then, () => undefined);
}

// Of many tabs one sounds: the first that can. `name` is what sounds, `hold` how long the others wait (ms).
export async function alone(name, hold, play) {
  if (!navigator.locks) return play();
  await navigator.locks.request(name, { ifAvailable: true }, async (lock) => {
    if (!lock) return;
    play();
    await new Promise((done) => setTimeout(done, hold));
  });
}
