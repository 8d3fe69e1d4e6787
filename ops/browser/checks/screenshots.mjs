// The main pages as they look, held loosely against the pictures in ops/docs/pictures.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { announced, call, enrolled } from '../lib/calls.mjs';
import { launch } from '../lib/chromium.mjs';
import { freePort, startInstance } from '../lib/instance.mjs';
import { resembles } from '../lib/likeness.mjs';
import { PASSWORD, person as somebody } from '../lib/people.mjs';

const DESK = { viewport: { width: 1280, height: 880 }, colorScheme: 'light' };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, colorScheme: 'dark' };
const EVENTS = [
  ['Night of the museums', 'culture', 'Porto', 'Rua das Flores 12', '2099-06-01T18:00:00Z', 200],
  ['Concert on the roof', 'music', 'Lisboa', 'LX Factory', '2099-06-03T19:30:00Z', 60],
  ['Readings in the park', 'books', 'Porto', 'Jardins do Palácio', '2099-06-06T16:00:00Z', 0],
  ['Open studios', 'art', 'Braga', 'Rua do Souto 3', '2099-06-10T10:00:00Z', 35],
  ['Sunrise run', 'sport', 'Porto', 'Ribeira', '2099-06-12T05:30:00Z', 80],
];
const PEOPLE = ['Amelia Rocha', 'Bento Alves', 'Clara Dias', 'Duarte Faria', 'Elisa Gomes', 'Filipe Horta',
  'Gil Ivo', 'Helena Jordão', 'Inês Lopes', 'João Maia', 'Lara Neves', 'Mateus Pires'];

let browser, city, drop;

before(async () => {
  city = await startInstance(await freePort(), { LIMITS__ENABLED: 'false' });
  browser = await launch();
  const organiser = await enrolled(city, 'organiser');
  for (const [title, category, place, location, start, capacity] of EVENTS) {
    const ends = new Date(Date.parse(start) + 4 * 3_600_000).toISOString();
    const fields = { title, category, city: place, location, capacity, start_time: start, end_time: ends };
    await announced(city, organiser, fields);
  }
  drop = await announced(city, organiser, {
    title: 'Sunset sessions: the first night',
    description: 'Five bands, one roof, and the whole river below.\n\nDoors at eight, music until late. '
      + 'Bring something warm: it gets windy up there.',
    location: 'Terraço de Santa Catarina',
    capacity: 8,
    start_time: '2099-06-20T19:00:00Z',
    end_time: '2099-06-20T23:00:00Z',
  });
  const tokens = await Promise.all(PEOPLE.map((name, at) => enrolled(city, `guest-${at}`, name)));
  for (const token of tokens) await call(city, 'POST', `/api/events/${drop}/join`, { token });
});

after(async () => {
  await browser?.close();
  await city?.stop();
});

/** Somebody who is signed in, in a window of this kind. */
async function signedIn(name, options) {
  const page = await somebody(browser, { ...options, reducedMotion: 'reduce' });
  await page.goto(`${city.url}/login?return_to=/me`);
  await page.fill('#email', `${name}@example.org`);
  await page.fill('#password', PASSWORD);
  await page.getByRole('main').getByRole('button').click();
  await page.waitForURL(`${city.url}/me`);
  return page;
}

/** At rest: with the place in line that the stream says, and nothing marked. */
async function rest(page, text) {
  await page.getByText(text).first().waitFor();
  await page.mouse.move(0, 0);
  await page.evaluate(() => document.activeElement.blur());
}

test('the first page looks as it did', async (walk) => {
  const page = await somebody(browser, DESK);
  await page.goto(city.url);
  await rest(page, 'Night of the museums');
  walk.diagnostic(await resembles(page, 'start') ?? 'kept');
  await page.context().close();
});

test('the page of an event in a running drop looks as it did', async (walk) => {
  const page = await signedIn('guest-10', DESK);
  await page.goto(`${city.url}/events/${drop}`);
  await rest(page, 'You are number');
  walk.diagnostic(await resembles(page, 'event') ?? 'kept');
  await page.context().close();
});

test('the room of the organiser looks as it did', async (walk) => {
  const page = await signedIn('organiser', DESK);
  await page.goto(`${city.url}/events/${drop}/manage`);
  await rest(page, 'Amelia Rocha');
  walk.diagnostic(await resembles(page, 'room') ?? 'kept');
  await page.context().close();
});

test('a ticket on a phone looks as it did', async (walk) => {
  const page = await signedIn('guest-2', PHONE);
  await page.goto(`${city.url}/events/${drop}`);
  await rest(page, 'You have a place');
  walk.diagnostic(await resembles(page, 'phone') ?? 'kept');
  // Nothing is wider than the screen.
  const wider = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.equal(wider, false);
  await page.context().close();
});
