// Puts the newest state in the place of what is older, again and again. The page is whole without this.

/** Between two looks, in milliseconds. */
const EVERY = 1500;

const now = document.getElementById('now');
if (now) live(now);

function live(now) {
  const said = document.getElementById('said');
  const age = document.getElementById('age');
  const pause = document.getElementById('pause');
  let isPaused = false;
  let seenAt = Date.now();
  document.getElementById('live').hidden = false;
  age.textContent = 'follows by itself';

  pause.addEventListener('click', () => {
    isPaused = !isPaused;
    pause.textContent = isPaused ? 'Go on' : 'Pause';
    pause.setAttribute('aria-pressed', String(isPaused));
    age.textContent = isPaused ? 'paused' : 'follows by itself';
  });

  async function look() {
    if (!isPaused && !document.hidden) {
      try {
        const answer = await fetch(`/console/now${location.search}`, { cache: 'no-store' });
        if (!answer.ok) throw new Error(`status ${answer.status}`);
        const text = await answer.text();
        if (!isPaused) {
          show(text);
          seenAt = Date.now();
          age.className = '';
          age.textContent = 'follows by itself';
        }
      } catch {
        const seconds = Math.round((Date.now() - seenAt) / 1000);
        age.className = 'lost';
        age.textContent = `the process has not answered for ${seconds} s`;
      }
    }
    setTimeout(look, EVERY);
  }

  /** Replaces what is shown; whoever reads or types there stays where they are. */
  function show(text) {
    const next = new DOMParser().parseFromString(text, 'text/html').body;
    const scrolled = [...now.querySelectorAll('.scroll')].map(({ id, scrollLeft }) => [id, scrollLeft]);
    const focus = now.contains(document.activeElement) ? placeOf(document.activeElement) : -1;
    const before = headline();
    now.replaceChildren(...next.childNodes);
    for (const [id, left] of scrolled) {
      const table = document.getElementById(id);
      if (table) table.scrollLeft = left;
    }
    if (focus >= 0) focusable()[focus]?.focus({ preventScroll: true });
    if (headline() !== before) said.textContent = headline();
  }

  const headline = () => document.getElementById('state')?.textContent ?? '';
  const focusable = () => [...now.querySelectorAll('a, [tabindex]')];
  const placeOf = (element) => focusable().indexOf(element);

  setTimeout(look, EVERY);
}
