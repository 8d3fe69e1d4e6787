// The organiser's room with a script: figures and chart as they change.
const $ = (selector, from = document) => from.querySelector(selector);
const now = () => $("#now");
/** Between two looks at the page, in milliseconds, however fast the figures change. */
const PAUSE = 1000;
let wanted = false;
let looking = false;

async function look() {
  wanted = true;
  if (looking) return;
  looking = true;
  while (wanted) {
    wanted = false;
    try {
      const answer = await fetch(location.pathname, { headers: { Accept: "text/html" }, credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = $("#now", page);
      if (fresh) {
        const open = $("details", now())?.open;
        now().replaceWith(fresh);
        if (open) $("details", fresh)?.setAttribute("open", "");
        document.dispatchEvent(new CustomEvent("fresh", { detail: fresh }));
      }
    } catch { /* The connection is lost: the next change looks again. */ }
    await new Promise((done) => setTimeout(done, PAUSE));
  }
  looking = false;
}

const live = new EventSource(`/api/events/${now().dataset.event}/live`);
let last = null;
live.addEventListener("counts", (message) => {
  if (last !== null && last !== message.data) look();
  last = message.data;
});
addEventListener("pagehide", () => live.close(), { once: true });
addEventListener("pageshow", (shown) => { if (shown.persisted) location.reload(); });
