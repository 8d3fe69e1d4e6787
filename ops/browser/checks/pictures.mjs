// Pictures, as people bring them and see them: from this service, and from a second origin.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launch, window } from '../lib/chromium.mjs';
import { freePort, startInstance } from '../lib/instance.mjs';
import { look } from '../lib/looking.mjs';

const PASSWORD = 'correct horse battery';

let browser, picture;

before(async () => {
  browser = await launch();
  const page = await (await window(browser)).newPage();
  await page.setContent('<h1>A picture of a headline</h1>');
  picture = await page.screenshot({ type: 'jpeg' });
});

after(() => browser?.close());

async function person(options) {
  const page = await (await window(browser, { locale: 'en-GB', ...options })).newPage();
  page.complaints = [];
  page.isWithoutScripts = options.javaScriptEnabled === false;
  page.on('console', (message) => {
    if (/Security Policy|Uncaught/.test(message.text())) page.complaints.push(message.text());
  });
  page.on('requestfailed', (request) => {
    const { errorText } = request.failure();
    // Going on to the next page stops what is on its way.
    if (errorText !== 'net::ERR_ABORTED') page.complaints.push(`${request.url()}: ${errorText}`);
  });
  return page;
}

/** Brings bytes by the form of the page. */
async function bring(page, buffer, { name = 'a.jpg', mimeType = 'image/jpeg' } = {}) {
  await page.setInputFiles('#picture', { name, mimeType, buffer });
  await page.selectOption('#focus', 'top');
  await page.getByRole('button', { name: 'Use this picture' }).click();
}

/** Where a picture is, once it is decoded, and whether it has this width; of one that has several to
 * choose from, the browser tells another. */
async function shown(page, selector, width) {
  const image = page.locator(selector).first();
  await image.scrollIntoViewIfNeeded();
  const address = await image.getAttribute('src');
  if (page.isWithoutScripts) {
    const answer = await page.request.get(new URL(address, page.url()).href);
    assert.equal(answer.status(), 200);
    assert.equal(answer.headers()['content-type'], 'image/webp');
  } else {
    await image.evaluate((element) => element.decode());
    const found = await image.evaluate((element) => element.naturalWidth);
    if (width) assert.equal(found, width, address);
    else assert.ok(found > 0, address);
  }
  return address;
}

for (const [where, isElsewhere, options] of [
  ['from this service', false, {}],
  ['from this service, without scripts', false, { javaScriptEnabled: false }],
  ['from a second origin', true, {}],
]) {
  test(`an avatar and a cover ${where}`, async () => {
    const port = await freePort();
    // Another name of the same machine is another origin.
    const origin = isElsewhere ? `http://localhost:${port}` : `http://127.0.0.1:${port}`;
    const settings = { LIMITS__ENABLED: 'false' };
    if (isElsewhere) settings.MEDIA__ORIGIN = origin;
    const city = await startInstance(port, settings);
    try {
      const page = await person(options);
      await page.goto(`${city.url}/register`);
      await page.fill('#name', 'Ada');
      await page.fill('#email', 'ada@example.org');
      await page.fill('#password', PASSWORD);
      await page.getByRole('main').getByRole('button').last().click();
      await page.locator('a[href="/account"]').click();
      await page.waitForURL(`${city.url}/account`);
      await look(page);

      await bring(page, Buffer.from('<script>alert(1)</script>'), { mimeType: 'image/png' });
      await page.getByText('This is no picture in JPEG, PNG or WebP').waitFor();
      await look(page);
      await bring(page, picture.subarray(0, picture.length / 2));
      await page.getByText('This picture is damaged').waitFor();
      await bring(page, picture);
      await page.getByText('Saved.').waitFor();
      const avatar = await shown(page, 'img.avatar', 256);
      assert.ok(avatar.startsWith(`${origin}/media/`), avatar);
      await look(page);

      await page.goto(`${city.url}/new`);
      for (const [field, value] of [
        ['title', 'Night of the pictures'],
        ['description', 'Bring one.'],
        ['city', 'Porto'],
        ['category', 'art'],
        ['start_time', '2099-06-01T20:00'],
        ['end_time', '2099-06-01T23:00'],
      ]) {
        await page.fill(`#${field}`, value);
      }
      await page.getByRole('button', { name: 'Save as draft' }).click();
      await page.getByRole('heading', { name: 'Pictures of the event' }).waitFor();
      await bring(page, picture);
      await page.getByText('Saved.').waitFor();
      const cover = await shown(page, 'img.cover', 800);
      assert.ok(cover.startsWith(`${origin}/media/`), cover);
      await look(page);
      const room = page.url();
      const event = new URL(room).pathname.split('/')[2];
      await page.getByRole('button', { name: 'Publish', exact: true }).click();
      await page.getByText('Published. Everybody can see it now.').waitFor();

      await page.goto(`${city.url}/events/${event}`);
      await shown(page, '.event-head img.cover');
      await look(page);
      const card = await page.locator('meta[property="og:image"]').getAttribute('content');
      assert.equal(card, cover.replace('cover-800.webp', 'cover-1600.jpg'));
      await page.goto(`${city.url}/events`);
      assert.equal(await shown(page, '.card img.cover', 800), cover);
      await look(page);

      await page.goto(room);
      await page.locator('.cover-form').getByRole('button').click();
      await page.getByText('Saved.').waitFor();
      assert.equal(await page.locator('img.cover').count(), 0);
      await page.goto(`${city.url}/account`);
      await page.getByRole('button', { name: 'Remove the picture' }).click();
      await page.getByText('Saved.').waitFor();
      assert.equal(await page.locator('img.avatar').count(), 0);
      assert.deepEqual(page.complaints, []);
      await page.context().close();
    } finally {
      await city.stop();
    }
  });
}
