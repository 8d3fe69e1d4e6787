// The drop: everybody waits for the same second, connections break, answers take long.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { announced, call, enrolled } from '../lib/calls.mjs';
import { launch } from '../lib/chromium.mjs';
import { freePort, startInstance } from '../lib/instance.mjs';
import { look } from '../lib/looking.mjs';
import { person as somebody, publish, register } from '../lib/people.mjs';

/** From the publication to the opening, in milliseconds: as long as it takes to come to the page. */
const SOON = 6000;

let browser, city, organiser;
const person = (options) => somebody(browser, options);

before(async () => {
  city = await startInstance(await freePort(), { LIMITS__ENABLED: 'false' });
  browser = await launch();
  organiser = await enrolled(city, 'organiser');
});

after(async () => {
  await browser?.close();
  await city?.stop();
});

const opening = () => announced(city, organiser, { opens_at: new Date(Date.now() + SOON).toISOString() });
const page = (event) => `${city.url}/events/${event}`;
const free = (one, places) => one.locator('#standing').getByText(`${places} places free of`).waitFor();

test('a countdown goes by the clock of the server, and opens the button', async () => {
  const guest = await person();
  await register(guest, city, 'Ada', 'ada@example.org');
  // A reader's clock that is an hour slow.
  await guest.addInitScript(() => {
    const real = performance.timeOrigin;
    Object.defineProperty(performance, 'timeOrigin', { value: real - 3_600_000 });
    const now = Date.now;
    Date.now = () => now() - 3_600_000;
  });
  const event = await opening();
  await guest.goto(page(event));
  await guest.locator('.countdown', { hasText: /^in 00:0\d$/ }).waitFor();
  const button = guest.locator('#standing form button');
  assert.equal(await button.isDisabled(), true);
  await look(guest);
  await guest.locator('.countdown', { hasText: 'Open now' }).waitFor();
  await button.click();
  await guest.getByText('You have a place').waitFor();
  assert.deepEqual(guest.complaints, []);
  await guest.context().close();
});

test('without scripts the page comes again by itself when it opens', async () => {
  const guest = await person({ javaScriptEnabled: false });
  await register(guest, city, 'Ben', 'ben@example.org');
  const event = await opening();
  await guest.goto(page(event));
  assert.equal(await guest.locator('#standing form button').isDisabled(), true);
  await guest.locator('#standing form button:enabled').click();
  await guest.getByText('You have a place').waitFor();
  await guest.context().close();
});

test('who comes too early by a program is refused, and by the page told when', async () => {
  const event = await opening();
  const guest = await enrolled(city, 'early');
  await assert.rejects(call(city, 'POST', `/api/events/${event}/join`, { token: guest }), /not_open_yet/);
});

test('a line that breaks is explained, and the request goes out again without a click', async () => {
  const guest = await person();
  await register(guest, city, 'Cleo', 'cleo@example.org');
  const event = await announced(city, organiser);
  await guest.goto(page(event));
  let isBroken = true;
  await guest.route('**/join', (route) => (isBroken ? route.abort('connectionreset') : route.continue()));
  await guest.locator('#standing form button').click();
  await guest.getByText('Your request is sent again until there is an answer').waitFor();
  assert.equal(await guest.locator('#standing form button').isDisabled(), true);
  await look(guest);
  isBroken = false;
  await guest.getByText('You have a place').waitFor();
  await free(guest, 1);
  await guest.context().close();
});

for (const [how, options] of [['with scripts', {}], ['without', { javaScriptEnabled: false }]]) {
  test(`an answer that nobody waits for comes by itself, ${how}`, async () => {
    // As it is when many come: the service takes the request, and says where to ask.
    const busy = await startInstance(await freePort(), {
      LIMITS__ENABLED: 'false',
      INGEST__WAIT: '0s',
    });
    try {
      const guest = await person(options);
      await register(guest, busy, 'Dan', 'dan@example.org');
      const token = await enrolled(busy, 'organiser');
      // Whoever makes an event by a program waits for it.
      const event = await announced(busy, token, {}, 'wait=10');
      const asked = [];
      guest.on('request', (request) => asked.push(new URL(request.url()).pathname));
      await guest.goto(`${busy.url}/events/${event}`);
      await guest.locator('#standing form button').click();
      await guest.getByText('You have a place').waitFor();
      assert.ok(asked.some((path) => path.startsWith('/commands/')), asked.join('\n'));
      assert.deepEqual(guest.complaints, []);
      await guest.context().close();
    } finally {
      await busy.stop();
    }
  });
}

test('a page that waits for an answer asks until there is one, also over a broken line', async () => {
  const guest = await person();
  await register(guest, city, 'Dan', 'dan@example.org');
  const event = await announced(city, organiser);
  // What the service says of a request that is not decided yet.
  const frame = await (await fetch(`${city.url}/`)).text();
  const waiting = '<main id="main"><h1>One moment</h1><div data-pending role="status"></div></main>';
  const body = frame.replace(/<main[^]*<\/main>/, waiting);
  let asked = 0;
  const command = `${city.url}/commands/11111111-1111-4111-8111-111111111111`;
  await guest.route('**/commands/**', async (route) => {
    asked += 1;
    if (asked === 3) return route.abort('connectionreset');
    if (asked > 4) return route.fulfill({ status: 303, headers: { location: page(event) } });
    await route.fulfill({ contentType: 'text/html; charset=utf-8', body });
  });
  await guest.goto(command);
  await guest.waitForURL(page(event));
  assert.ok(asked > 4, 'nobody asked again');
  await guest.context().close();
});

test('two windows of one person take one place, and so do two clicks', async () => {
  const first = await person();
  await register(first, city, 'Eva', 'eva@example.org');
  const event = await announced(city, organiser, { capacity: 5 });
  const second = await first.context().newPage();
  await Promise.all([first.goto(page(event)), second.goto(page(event))]);
  // Neither is decided before both have asked: a window that knows of the place offers to leave it.
  let asked = 0;
  let haveBothAsked;
  const bothAsked = new Promise((done) => { haveBothAsked = done; });
  await first.context().route(`${page(event)}/join`, async (route) => {
    asked += 1;
    if (asked === 2) haveBothAsked();
    await bothAsked;
    await route.continue();
  });
  for (const one of [first, second]) {
    // Nothing is drawn in a window behind another.
    await one.bringToFront();
    await one.locator('#standing form button').dblclick();
  }
  for (const one of [first, second]) {
    await one.bringToFront();
    await one.getByText('You have a place').waitFor();
    await free(one, 4);
  }
  assert.equal((await call(city, 'GET', `/api/events/${event}`)).active_participants, 1);
  assert.equal(asked, 2, 'a second click of one window was a second request');
  await first.context().close();
});

test('an answer that is older than what the stream said does not bring old counts back', async () => {
  const guest = await person();
  await register(guest, city, 'Gil', 'gil@example.org');
  const event = await announced(city, organiser, { capacity: 5 });
  await guest.route(`${page(event)}/join`, async (route) => {
    const answer = await route.fetch();
    // The stream is first; then comes the page as it was before.
    await free(guest, 4);
    const old = (await answer.text()).replace(/data-live="free">\d/, 'data-live="free">5');
    await route.fulfill({ contentType: 'text/html; charset=utf-8', body: old });
  });
  await guest.goto(page(event));
  await free(guest, 5);
  await guest.locator('#standing form button').click();
  await guest.getByText('You have a place').waitFor();
  assert.equal(await guest.locator('[data-live="free"]').textContent(), '4');
  await guest.context().close();
});

test('the organiser watches figures and chart as people come and go', async () => {
  const room = await person();
  await register(room, city, 'Hal', 'hal@example.org');
  const event = await publish(room, city, { capacity: '5' });
  await room.goto(`${page(event)}/manage`);
  const figure = (name) => room.locator('#now dl div', { hasText: name }).locator('dd');
  assert.equal(await figure('With a place').textContent(), '0');
  const guest = await enrolled(city, 'guest');
  await call(city, 'POST', `/api/events/${event}/join`, { token: guest });
  await figure('With a place').getByText('1', { exact: true }).waitFor();
  await room.locator('#now').getByText('1 joined').waitFor();
  await room.locator('#now svg rect.joined').waitFor({ state: 'attached' });
  // The table stays open when the chart comes anew.
  await room.locator('#now details summary').click();
  await call(city, 'POST', `/api/events/${event}/cancel`, { token: guest });
  await room.locator('#now').getByText('1 left').waitFor();
  assert.ok(await room.locator('#now details[open]').count());
  assert.deepEqual(room.complaints, []);
  await room.context().close();
});

test('a page whose service went away says so, and goes on when it is back', async () => {
  const guest = await person();
  await register(guest, city, 'Fay', 'fay@example.org');
  const event = await announced(city, organiser, { capacity: 5 });
  await guest.goto(page(event));
  await free(guest, 5);
  await city.end();
  await guest.getByText('The connection is lost.').waitFor();
  await city.start();
  await guest.getByText('The connection is lost.').waitFor({ state: 'hidden' });
  const other = await enrolled(city, 'other');
  await call(city, 'POST', `/api/events/${event}/join`, { token: other });
  await free(guest, 4);
  await guest.context().close();
});
