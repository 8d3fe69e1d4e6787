// The door: tickets as pictures, read by a camera, typed in, or opened as addresses.

import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { launch } from '../lib/chromium.mjs';
import { freePort, startInstance } from '../lib/instance.mjs';
import { look } from '../lib/looking.mjs';
import { person as somebody, publish, register, takePlace } from '../lib/people.mjs';

const { resolve } = createRequire(join(process.env.CITYEVENTS_NODE_MODULES, 'package.json'));
const jsQr = await readFile(resolve('jsqr/dist/jsQR.js'), 'utf8');

let browser, city;
const person = (options) => somebody(browser, options);

before(async () => {
  city = await startInstance(await freePort(), { LIMITS__ENABLED: 'false' });
  // A camera that shows a test picture, and nobody who has to be asked.
  browser = await launch(['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream']);
});

after(async () => {
  await browser?.close();
  await city?.stop();
});

/** What a camera reads from a page, by a library of strangers; on another page, since those of the
 * product run nothing that is brought along. */
async function read(page) {
  const other = await (await browser.newContext()).newPage();
  const picture = await page.locator('svg.qr').screenshot();
  await other.setContent(`<img src="data:image/png;base64,${picture.toString('base64')}">`);
  const text = await other.evaluate(async (library) => {
    const module = { exports: {} };
    new Function('module', 'exports', library)(module, module.exports);
    const image = document.querySelector('img');
    await image.decode();
    const canvas = document.createElement('canvas');
    Object.assign(canvas, { width: image.naturalWidth, height: image.naturalHeight });
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
    return module.exports(data, width, height)?.data;
  }, jsQr);
  await other.context().close();
  return text;
}

/** Somebody with a place, and the address that their ticket leads to. */
async function guest(event, name, options) {
  const page = await person(options);
  await register(page, city, name, `${name.toLowerCase()}-${event.slice(0, 8)}@example.org`);
  await takePlace(page, city, event);
  await page.getByText('You have a place').waitFor();
  await page.getByRole('link', { name: 'Show my ticket' }).click();
  await page.locator('svg.qr').waitFor();
  return { page, address: await read(page), code: await page.locator('code.typed').textContent() };
}

/** Whether the published keys vouch for a ticket, without asking the service about it. */
async function isSigned(address) {
  const bytes = Buffer.from(address.split('/').pop(), 'base64url');
  const { keys } = await (await fetch(`${city.url}/.well-known/jwks.json`)).json();
  const message = Buffer.concat([Buffer.from('cityevents ticket v1\n'), bytes.subarray(1, 33)]);
  const signature = bytes.subarray(33, 97);
  return keys.some((key) => verify(null, message, createPublicKey({ key, format: 'jwk' }), signature));
}

test('a ticket is read from its picture, lets in once, and tells the second time', async () => {
  const organiser = await person();
  await register(organiser, city, 'Ada', 'ada@example.org');
  const event = await publish(organiser, city, { capacity: '3' });
  const [ben, cleo] = [await guest(event, 'Ben'), await guest(event, 'Cleo')];
  await look(ben.page);
  assert.ok(ben.address.startsWith(`${city.url}/check-in/`), ben.address);
  assert.ok(await isSigned(ben.address), 'the published keys do not vouch for the ticket');
  const forged = ben.address.replace(/.(?=.{60}$)/, (letter) => (letter === 'A' ? 'B' : 'A'));
  assert.ok(!(await isSigned(forged)), 'the published keys vouch for anything');

  // As a camera of a telephone opens it: who it is, and one click.
  await organiser.goto(ben.address);
  await organiser.getByText('Ben', { exact: true }).waitFor();
  await look(organiser);
  await organiser.locator('#result').getByRole('button', { name: 'Let in' }).click();
  await organiser.getByText('Welcome, Ben. You are in.').waitFor();
  await organiser.locator('#at-door dd').first().getByText('1', { exact: true }).waitFor();
  await organiser.goto(ben.address);
  await organiser.locator('#result').getByText('Came through the door:').waitFor();
  assert.equal(await organiser.locator('#result').getByRole('button').count(), 0);

  // The same by typing, from one person to the next without another page.
  await organiser.fill('#code', ben.code);
  await organiser.locator('#scan button').click();
  await organiser.getByText('This person has come through the door before').waitFor();
  await organiser.locator('#result time').first().waitFor();
  await organiser.fill('#code', cleo.code);
  await organiser.locator('#scan button').click();
  await organiser.getByText('Welcome, Cleo. You are in.').waitFor();
  await look(organiser);

  // Their own ticket leads people to it, and nobody to the door who has none to keep.
  await ben.page.goto(ben.address);
  await ben.page.getByText('You have come through the door.').waitFor();
  await look(ben.page);
  await ben.page.goto(cleo.address);
  await ben.page.getByText('This is not yours to do').waitFor();
  for (const page of [organiser, ben.page, cleo.page]) {
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  }
});

test('what is no ticket for this event lets nobody in, and the door says why', async () => {
  const organiser = await person();
  await register(organiser, city, 'Dora', 'dora@example.org');
  const other = await publish(organiser, city, { title: 'Another night', capacity: '3' });
  const event = await publish(organiser, city, { capacity: '3' });
  const [emil, flo] = [await guest(event, 'Emil'), await guest(other, 'Flo')];
  const door = `${city.url}/events/${event}/door`;
  const forged = emil.address.replace(/.(?=.{20}$)/, (letter) => (letter === 'A' ? 'B' : 'A'));
  await organiser.goto(door);
  const said = organiser.locator('#result');
  for (const [shown, answer] of [
    [flo.address, 'This is a ticket for another event'],
    [forged, 'This is no code for this event'],
    ['made up', 'This is no code for this event'],
  ]) {
    await organiser.fill('#code', shown);
    await organiser.locator('#scan button').click();
    await said.getByText(answer).waitFor();
  }
  await organiser.goto(forged);
  await said.getByText('This is no code for this event').waitFor();
  await look(organiser);

  await emil.page.goto(`${city.url}/events/${event}`);
  await emil.page.getByRole('button', { name: 'Give my place back' }).click();
  await emil.page.getByText('You have given your place back.').waitFor();
  await organiser.goto(emil.address);
  await said.getByText('Given back').waitFor();
  assert.equal(await said.getByRole('button').count(), 0);
  await organiser.fill('#code', emil.code);
  await organiser.locator('#scan button').click();
  await said.getByText('There is no registration of this person').waitFor();
  await emil.page.goto(`${city.url}/events/${event}/ticket`);
  await emil.page.getByText('There is no registration of this person').waitFor();

  // Called off: there is no door any more.
  await organiser.goto(`${city.url}/events/${other}/manage`);
  await organiser.locator('summary', { hasText: 'Call off' }).click();
  await organiser.getByRole('button', { name: 'Call off' }).click();
  await organiser.getByText('Called off. Everybody').waitFor();
  await organiser.goto(`${city.url}/events/${other}/door`);
  await organiser.fill('#code', flo.code);
  await organiser.locator('#scan button').click();
  await said.getByText('This event was called off').waitFor();
  for (const page of [organiser, emil.page, flo.page]) {
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  }
});

test('the camera of the door reads one ticket after the other', async () => {
  const organiser = await person({ permissions: ['camera'] });
  await register(organiser, city, 'Gil', 'gil@example.org');
  const event = await publish(organiser, city, { capacity: '3' });
  const [hana, ivo] = [await guest(event, 'Hana'), await guest(event, 'Ivo')];
  // Where this is run no browser can read pictures by itself: this one sees what is held up.
  await organiser.addInitScript(() => {
    globalThis.heldUp = '';
    globalThis.BarcodeDetector = class {
      async detect(video) {
        if (!(video instanceof HTMLVideoElement) || video.readyState < 2) return [];
        return globalThis.heldUp ? [{ rawValue: globalThis.heldUp }] : [];
      }
    };
  });
  await organiser.goto(`${city.url}/events/${event}/door`);
  await organiser.getByRole('button', { name: 'Read tickets with the camera' }).click();
  await organiser.locator('video').waitFor();
  for (const [name, address] of [['Hana', hana.address], ['Ivo', ivo.address]]) {
    await organiser.evaluate((text) => { globalThis.heldUp = text; }, address);
    await organiser.getByText(`Welcome, ${name}. You are in.`).waitFor();
  }
  await look(organiser);
  await organiser.getByRole('button', { name: 'Read tickets with the camera' }).click();
  await organiser.locator('video').waitFor({ state: 'hidden' });
  for (const page of [organiser, hana.page, ivo.page]) {
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  }
});

test('the door works without scripts, and on paper', async () => {
  const [organiser, nina] = [await person({ javaScriptEnabled: false }), await person()];
  await register(organiser, city, 'Jo', 'jo@example.org');
  const event = await publish(organiser, city, { capacity: '2' });
  await register(nina, city, 'Nina Ångström', 'nina@example.org');
  await takePlace(nina, city, event);
  await nina.getByText('You have a place').waitFor();
  await organiser.goto(`${city.url}/events/${event}/door`);
  assert.equal(await organiser.locator('#camera').isVisible(), false);
  await organiser.fill('#q', 'ång');
  await organiser.getByRole('button', { name: 'Search' }).click();
  await organiser.locator('.found').getByRole('button', { name: 'Let in' }).click();
  await organiser.getByText('Welcome, Nina Ångström. You are in.').waitFor();

  const printing = await browser.newContext({
    storageState: await organiser.context().storageState(),
  });
  const paper = await printing.newPage();
  await paper.goto(`${city.url}/events/${event}/door/list`);
  await look(paper);
  await paper.emulateMedia({ media: 'print' });
  assert.equal(await paper.locator('header.top').isVisible(), false);
  await paper.locator('tr', { hasText: 'Nina Ångström' }).getByText('✓').waitFor();
  assert.ok((await paper.pdf()).length > 1_000);
  await paper.context().close();
  assert.deepEqual(organiser.complaints, []);
  await organiser.context().close();
  await nina.context().close();
});
