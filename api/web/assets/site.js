// What pages do more with a script: the reader's own time zone, counts and positions as they change,
// a countdown by the server's clock, and requests that survive a lost connection. Everything works
// without it.
const language = document.documentElement.lang;
const $ = (selector, from = document) => from.querySelector(selector);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];

// Times in the reader's zone.
const forms = {
  long: { weekday: "long", day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" },
  short: { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short" },
  date: { day: "numeric", month: "long", year: "numeric" },
  day: { day: "numeric" },
  month: { month: "short" },
  time: { hour: "2-digit", minute: "2-digit" },
};
const locale = language === "en" ? "en-GB" : language;
function localTimes(from) {
  for (const time of all("time[data-time]", from)) {
    const at = new Date(time.dateTime);
    const form = forms[time.dataset.time];
    if (form && !Number.isNaN(at.valueOf())) {
      const text = new Intl.DateTimeFormat(locale, form).format(at);
      time.textContent = time.dataset.time === "day" ? String(at.getDate()) : text;
    }
  }
}
localTimes(document);
// Parts of a page that other scripts have asked for again.
document.addEventListener("fresh", ({ detail }) => localTimes(detail));

// Forms with times: written and sent in the reader's zone, for who has a script.
for (const input of all('input[type="datetime-local"]')) {
  const sent = document.createElement("input");
  sent.type = "hidden";
  sent.name = `${input.name}_at`;
  input.after(sent);
  const pad = (number) => String(number).padStart(2, "0");
  if (input.value) {
    const at = new Date(`${input.value}Z`);
    input.value = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}T${pad(at.getHours())}:${pad(at.getMinutes())}`;
  }
  input.form.addEventListener("submit", () => {
    sent.value = input.value ? new Date(input.value).toISOString() : "";
  });
}
for (const zone of all("[data-zone]")) {
  zone.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
}

// A picture before it is sent.
for (const input of all("[data-preview]")) {
  const preview = $(".preview", input.parentElement);
  input.addEventListener("change", () => {
    if (preview.src) URL.revokeObjectURL(preview.src);
    const [file] = input.files;
    preview.hidden = !file;
    if (file) preview.src = URL.createObjectURL(file);
    else preview.removeAttribute("src");
  });
}

// More of a list, in place.
document.addEventListener("click", async (click) => {
  const more = click.target.closest("#more");
  const list = $("#list");
  if (!more || !list || click.metaKey || click.ctrlKey || click.shiftKey) return;
  click.preventDefault();
  more.setAttribute("aria-busy", "true");
  try {
    const page = await fetched(more.href);
    const items = all("#list > li", page);
    localTimes(page);
    list.append(...items);
    const next = $("#more", page);
    if (next) more.replaceWith(next);
    else more.remove();
    const first = items[0] && $("a", items[0]);
    if (first) first.focus();
  } catch {
    location.href = more.href;
  }
});

async function fetched(address, options = {}) {
  const headers = { Accept: "text/html" };
  const answer = await fetch(address, { ...options, headers, credentials: "same-origin" });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  page.answer = answer;
  return page;
}

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

// A write that is not decided yet: ask until it is.
if ($("[data-pending]")) {
  (async () => {
    for (let ms = 500; ; ms = Math.min(ms * 1.5, 5000)) {
      await wait(ms);
      try {
        const page = await fetched(location.href);
        if (page.answer.redirected) return location.replace(page.answer.url);
        if (!$("[data-pending]", page)) return location.reload();
      } catch { /* The connection is lost: on with asking. */ }
    }
  })();
}

// The page of an event.
const event = $("[data-event]");
if (event) {
  const address = `/events/${event.dataset.event}`;
  const offset = Number(event.dataset.now) - performance.timeOrigin - responseStart();
  const number = new Intl.NumberFormat(locale);
  const say = (text) => {
    const line = $("#link");
    if (line) {
      line.textContent = text;
      line.hidden = !text;
    }
  };
  const word = (name) => $("#link")?.dataset[name] ?? "";
  const set = (name, value) => {
    for (const place of all(`[data-live="${name}"]`)) place.textContent = number.format(value);
  };

  function responseStart() {
    const [navigation] = performance.getEntriesByType("navigation");
    return navigation ? navigation.responseStart : performance.now();
  }

  // The second of two clicks goes to what has come under the pointer meanwhile, which nobody meant.
  document.addEventListener("click", (click) => {
    if (click.detail > 1 && click.target.closest("#standing")) {
      click.preventDefault();
      click.stopPropagation();
    }
  }, true);

  // What the stream said last. A page that was asked for before may come after it.
  const said = {};
  const own = (panel) => $("[data-own]", panel)?.dataset.own;
  const state = (panel) => $("[data-state]", panel)?.dataset.state;
  const fill = {
    counts(counts) {
      set("active", counts.active_participants);
      set("waiting", counts.waitlist_count);
      set("capacity", counts.capacity);
      if (counts.free_places !== null) set("free", counts.free_places);
      const bar = $("progress");
      if (bar && counts.capacity) {
        bar.max = counts.capacity;
        bar.value = Math.min(counts.active_participants, counts.capacity);
      }
    },
    participation({ position }) {
      if (position !== undefined) set("position", position);
    },
  };
  function isStale() {
    const { counts, participation } = said;
    const isFull = counts && (counts.free_places === 0 || counts.waitlist_count > 0);
    if (counts && state(document) !== `${counts.status} ${counts.ended} ${isFull}`) return true;
    return Boolean(participation) && own(document) !== participation.status;
  }

  // The panel as the server sees it now. What was just done stays said until something else happens.
  let version = 0;
  function show(page) {
    const fresh = $("#standing", page);
    if (!fresh) return location.reload();
    version += 1;
    if (!$("#told *", fresh) && own(fresh) === own(document)) {
      $("#told", fresh).replaceWith($("#told"));
    }
    localTimes(fresh);
    const focused = $("#standing").contains(document.activeElement) && document.activeElement;
    $("#standing").replaceChildren(...fresh.childNodes);
    if (focused) {
      const isTheSame = (other) => other.textContent === focused.textContent;
      all(`#standing ${focused.localName}`).find(isTheSame)?.focus();
    }
    for (const name in said) fill[name](said[name]);
    countDown();
  }
  // What was asked for before the panel changed is old: it is asked for again. While a request is
  // being sent its own answer shows the panel. One that says the same stays: somebody may be in it.
  let sending = false;
  async function look() {
    for (let asked; !sending && asked !== version;) {
      asked = version;
      const page = await fetched(address);
      if (!sending && asked === version) return saysTheSame(page) ? undefined : show(page);
    }
  }
  function saysTheSame(page) {
    return own(page) === own(document) && state(page) === state(document);
  }
  // The panel is asked for until it is as the stream says.
  let refreshing = false;
  async function refresh() {
    if (refreshing) return;
    refreshing = true;
    for (let ms = 250; isStale(); ms = Math.min(ms * 2, 4000)) {
      await look().catch(() => {});
      if (isStale()) await wait(ms);
    }
    refreshing = false;
  }

  // A request that is sent until there is an answer; its key makes it count once.
  document.addEventListener("submit", async (submit) => {
    const form = submit.target.closest("[data-act]");
    if (!form) return;
    submit.preventDefault();
    const button = $("button", form);
    if (button.disabled) return;
    button.disabled = true;
    sending = true;
    say(word("sending"));
    const body = new URLSearchParams(new FormData(form));
    for (let ms = 500; ; ms = Math.min(ms * 2, 8000)) {
      try {
        const page = await fetched(form.action, { method: "POST", body });
        const at = new URL(page.answer.url).pathname;
        if (page.answer.redirected && at !== address) return location.assign(page.answer.url);
        sending = false;
        return show(page);
      } catch {
        say(word("retry"));
        await wait(ms);
      }
    }
  });

  // Counts and the own position, as they change.
  function follow() {
    const live = new EventSource(`/api${address}/live`);
    for (const name of ["counts", "participation"]) {
      live.addEventListener(name, (message) => {
        say("");
        said[name] = JSON.parse(message.data);
        fill[name](said[name]);
        refresh();
      });
    }
    live.onopen = () => say("");
    live.onerror = async () => {
      say(word("lost"));
      for (const name in said) delete said[name];
      if (live.readyState !== EventSource.CLOSED) return;
      // Refused: the session may have run out, which the server renews if it can.
      await wait(2000 + Math.random() * 3000);
      await fetch("/session", { method: "POST" }).catch(() => {});
      follow();
    };
    addEventListener("pagehide", () => live.close(), { once: true });
  }
  addEventListener("pageshow", (shown) => { if (shown.persisted) { follow(); look().catch(() => {}); } });
  if ($("[data-live]")) follow();

  // The time until it opens, by the server's clock.
  let ticking = 0;
  function countDown() {
    clearInterval(ticking);
    const place = $("[data-opens]");
    if (!place) return;
    const opens = Date.parse(place.dataset.opens);
    const tick = () => {
      const now = performance.timeOrigin + performance.now() + offset;
      const left = Math.ceil((opens - now) / 1000);
      place.hidden = false;
      if (left > 0) {
        const hours = Math.floor(left / 3600);
        const pad = (part) => String(part).padStart(2, "0");
        const clock = `${pad(Math.floor(left / 60) % 60)}:${pad(left % 60)}`;
        const text = hours >= 48 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours ? `${hours}:` : ""}${clock}`;
        place.textContent = word("in").replace("{time}", text);
        return;
      }
      clearInterval(ticking);
      place.textContent = word("open");
      const button = $("#standing button.full");
      if (button) button.disabled = false;
    };
    tick();
    ticking = setInterval(tick, 250);
  }
  countDown();
}
