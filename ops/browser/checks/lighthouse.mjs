// What Lighthouse says of the first page and of the page of an event. Speed is printed and held to
// nothing: a busy machine is slow, and that is not the fault of the pages.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { announced, enrolled } from '../lib/calls.mjs';
import { launch } from '../lib/chromium.mjs';
import { freePort, startInstance } from '../lib/instance.mjs';
import { load } from '../lib/modules.mjs';

/** Of one, in every category that does not depend on the machine. */
const SCORE_MIN = 0.95;
const HELD = ['accessibility', 'best-practices', 'seo'];

let browser, city, port, event;

before(async () => {
  city = await startInstance(await freePort(), { LIMITS__ENABLED: 'false' });
  port = await freePort();
  browser = await launch([`--remote-debugging-port=${port}`]);
  const organiser = await enrolled(city, 'organiser');
  const titles = ['Night of lights', 'Concert on the roof', 'Readings in the park', 'Open studios'];
  for (const title of titles) event = await announced(city, organiser, { title, capacity: 40 });
});

after(async () => {
  await browser?.close();
  await city?.stop();
});

async function scores(path) {
  const { default: lighthouse } = await load('lighthouse');
  const flags = { port, logLevel: 'error', output: 'json', onlyCategories: ['performance', ...HELD] };
  const { lhr } = await lighthouse(`${city.url}${path}`, flags);
  assert.equal(lhr.runtimeError, undefined, JSON.stringify(lhr.runtimeError));
  const found = Object.entries(lhr.categories).map(([name, { score }]) => [name, score]);
  const shift = lhr.audits['cumulative-layout-shift'].numericValue;
  const failed = Object.values(lhr.audits).filter(({ score }) => score !== null && score < 0.9);
  return { found: Object.fromEntries(found), shift, failed: failed.map(({ id, title }) => `${id}: ${title}`) };
}

for (const [name, path] of [
  ['the first page', () => '/'],
  ['the page of an event', () => `/events/${event}`],
]) {
  test(`${name} is well made`, async (walk) => {
    const { found, shift, failed } = await scores(path());
    walk.diagnostic(`${JSON.stringify(found)} layout shift ${shift}; below 0.9: ${failed.join(', ') || 'nothing'}`);
    for (const category of HELD) {
      assert.ok(found[category] >= SCORE_MIN, `${category}: ${found[category]}\n${failed.join('\n')}`);
    }
    // Nothing moves while a page comes, whatever the machine.
    assert.ok(shift < 0.01, `the layout shifts by ${shift}`);
  });
}
