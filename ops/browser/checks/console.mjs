// The console, as somebody on call sees it: at a desk and on a phone, in the light and in the dark, with
// scripts and without.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { launch, window } from '../lib/chromium.mjs';
import { crowd } from '../lib/crowd.mjs';
import { freePort, startInstance } from '../lib/instance.mjs';
import { look } from '../lib/looking.mjs';

const DESK = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };

let browser, city, people;

before(async () => {
  browser = await launch();
  const settings = { LIMITS__ENABLED: 'false', LAG__EVERY: '500ms' };
  city = await startInstance(await freePort(), settings);
  people = crowd(city);
});

after(async () => {
  await browser?.close();
  await city?.stop();
});

async function onCall(options = {}) {
  const page = await (await window(browser, { locale: 'en-GB', viewport: DESK, ...options })).newPage();
  page.complaints = [];
  page.isWithoutScripts = options.javaScriptEnabled === false;
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) page.complaints.push(message.text());
  });
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('request', (request) => {
    if (!request.url().startsWith(city.ops)) page.complaints.push(`asks ${request.url()}`);
  });
  return page;
}

/** A picture for whoever wants to see it, in the folder that is named. */
async function picture(page, name) {
  const folder = process.env.CITYEVENTS_PICTURES;
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

/** The picture that this window shows. */
const drawn = (page) => page.locator('svg.picture:visible');
const topic = (page, name) => drawn(page).locator('g.node', { hasText: name }).first();

for (const colorScheme of ['light', 'dark']) {
  for (const [where, viewport] of [
    ['at a desk', DESK],
    ['on a phone', PHONE],
  ]) {
    test(`nothing is in anybody's way ${where}, ${colorScheme}`, async () => {
      const page = await onCall({ colorScheme, viewport });
      await page.goto(`${city.ops}/console`);
      await page.getByRole('heading', { level: 1 }).waitFor();
      assert.equal(await drawn(page).count(), 1);
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= viewport.width, `${width} wide`);
      await look(page);
      await picture(page, `console-${viewport.width}-${colorScheme}`);
      await drawn(page).getByRole('link', { name: 'mailer' }).click();
      await page.getByRole('heading', { name: 'Partitions of mailer' }).waitFor();
      await look(page);
      await page.goto(`${city.ops}/console/explain?id=${(await people.event()).id}`);
      await page.getByRole('heading', { name: /^Steps 1 to / }).waitFor();
      await look(page);
      await page.goto(`${city.ops}/console/explain?id=ada`);
      await page.getByText('“ada” is no id').waitFor();
      await look(page);
      // The status of that page is a complaint of the browser.
      const others = page.complaints.filter((text) => !/status of 400/.test(text));
      assert.deepEqual(others, []);
      await page.context().close();
    });
  }
}

test('what happens is seen without loading the page again', async () => {
  const event = await people.event();
  const page = await onCall();
  await page.goto(`${city.ops}/console`);
  const loads = [];
  page.on('framenavigated', () => loads.push(page.url()));
  const count = async () => {
    const text = await topic(page, 'event-commands').textContent();
    return Number(/([\d,]+) record/.exec(text)?.[1].replaceAll(',', '') ?? 0);
  };
  const before = await count();
  await people.join(event);
  await page.waitForFunction(
    (least) => {
      const node = [...document.querySelectorAll('svg.wide g.node')].find((one) =>
        one.textContent.startsWith('event-commands'),
      );
      return Number(/([\d,]+) record/.exec(node.textContent)?.[1].replaceAll(',', '')) >= least;
    },
    before + 1,
  );

  await page.locator('#groups-table').focus();
  await page.getByRole('button', { name: 'Pause' }).click();
  const pausedAt = await count();
  await people.join(event);
  const asked = page.waitForRequest(/console\/now/);
  await page.getByRole('button', { name: 'Go on' }).click();
  await asked;
  await page.waitForFunction(
    (least) => {
      const node = [...document.querySelectorAll('svg.wide g.node')].find((one) =>
        one.textContent.startsWith('event-commands'),
      );
      return Number(/([\d,]+) record/.exec(node.textContent)?.[1].replaceAll(',', '')) >= least;
    },
    pausedAt + 1,
  );
  assert.deepEqual(loads, []);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('a person who is told something finds out why by the id of their command', async () => {
  const event = await people.event();
  const { command } = await people.join(event);
  const page = await onCall();
  await page.goto(`${city.ops}/console`);
  await page.getByLabel('Event, event and person, or command').fill(command);
  await page.keyboard.press('Enter');
  await page.getByText('The command asks to join').waitFor();
  assert.ok((await page.locator('h1').textContent()).includes(event.id));
  await page.getByRole('link', { name: 'What became of it' }).click();
  assert.ok((await page.locator('#sought').textContent()).includes('accepted'));
  await look(page);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('without scripts the page is whole, and a link loads it anew', async () => {
  const page = await onCall({ javaScriptEnabled: false });
  await page.goto(`${city.ops}/console`);
  await page.getByRole('heading', { level: 1 }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Pause' }).count(), 0);
  const before = await topic(page, 'event-commands').textContent();
  await people.join(await people.event());
  // A look is good for a moment: who loads at once may get the same.
  for (let after = before; after === before; ) {
    await page.getByRole('link', { name: 'Load this page again' }).click();
    await page.waitForLoadState();
    after = await topic(page, 'event-commands').textContent();
  }
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('a page of a process that is gone says so', async () => {
  const other = await startInstance(await freePort(), { LAG__EVERY: '500ms' });
  const page = await (await window(browser)).newPage();
  await page.goto(`${other.ops}/console`);
  await other.stop();
  await page.getByText(/the process has not answered for \d+ s/).waitFor();
  await page.context().close();
});
