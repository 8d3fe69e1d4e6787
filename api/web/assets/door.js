// The door with a script: tickets are read by the camera, where the browser can, and whoever shows
// one is let in without another page. Everything works without it.
const $ = (selector, from = document) => from.querySelector(selector);
const form = $("#scan");
const camera = $("#camera");
/** Before the same ticket is read again, in milliseconds: it stays in front of the camera. */
const AGAIN = 4000;
/** Between two looks at the picture. */
const LOOK = 200;
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

async function letIn(sent) {
  const result = $("#result");
  result.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(sent.action, {
      method: "POST",
      body: new URLSearchParams(new FormData(sent)),
      headers: { Accept: "text/html" },
      credentials: "same-origin",
    });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = $("#result", page);
    // A session that has run out, or a request that waits: on its own page.
    if (!fresh) return location.assign(answer.url);
    result.replaceWith(fresh);
    document.dispatchEvent(new CustomEvent("fresh", { detail: fresh }));
    $("#at-door").replaceWith($("#at-door", page));
    // A form acts once under its key; the next person needs another.
    form.elements.key.value = $("#scan", page).elements.key.value;
    form.elements.code.value = "";
  } catch {
    result.textContent = result.dataset.lost;
  } finally {
    result.removeAttribute("aria-busy");
  }
}

document.addEventListener("submit", async (submit) => {
  if (!submit.target.closest("[data-let-in]")) return;
  submit.preventDefault();
  if ($("#result").hasAttribute("aria-busy")) return;
  await letIn(submit.target);
  form.elements.code.focus();
});

if ("BarcodeDetector" in globalThis && navigator.mediaDevices) {
  const video = $("video");
  camera.hidden = false;
  let stream = null;
  const stop = () => {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
    video.hidden = true;
    camera.setAttribute("aria-pressed", "false");
  };
  const scan = async () => {
    const detector = new BarcodeDetector({ formats: ["qr_code"] });
    const shown = { text: "", until: 0 };
    while (stream) {
      const [found] = await detector.detect(video).catch(() => []);
      if (found && (found.rawValue !== shown.text || performance.now() > shown.until)) {
        form.elements.code.value = found.rawValue;
        await letIn(form);
        navigator.vibrate?.(80);
        shown.text = found.rawValue;
        shown.until = performance.now() + AGAIN;
      }
      await wait(LOOK);
    }
  };
  camera.addEventListener("click", async () => {
    if (stream) return stop();
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch {
      $("#result").textContent = camera.dataset.denied;
      return;
    }
    video.srcObject = stream;
    video.hidden = false;
    camera.setAttribute("aria-pressed", "true");
    await video.play();
    scan();
  });
  addEventListener("pagehide", stop);
}
