// The organiser's room with a script: figures and chart as they change.
const $ = (selector, from = document) => from.querySelector(selector);
const now = () => $("#now");
/** Between two looks at the page, in milliseconds, however fast the figures change. */
const PAUSE = 1000;
/** What the stream said last. Another instance may answer, and be behind. */
let said = null;
let looking = false;

/** Asks for the page until it shows what the stream said. */
async function look() {
  if (looking) return;
  looking = true;
  while (said && said !== now().dataset.counts) {
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
    } catch { /* The connection is lost: again after the pause. */ }
    await new Promise((done) => setTimeout(done, PAUSE));
  }
  looking = false;
}

const live = new EventSource(`/api/events/${now().dataset.event}/live`);
live.addEventListener("counts", (message) => {
  const counts = JSON.parse(message.data);
  said = `${counts.active_participants} ${counts.waitlist_count} ${counts.capacity}`;
  look();
});
live.addEventListener("error", () => { said = null; });
addEventListener("pagehide", () => live.close(), { once: true });
addEventListener("pageshow", (shown) => { if (shown.persisted) location.reload(); });
