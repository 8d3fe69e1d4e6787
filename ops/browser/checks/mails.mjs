// Every mail, as a phone and a desk show it, in the light and in the dark.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';

import { launch } from '../lib/chromium.mjs';

/** Of the WCAG, level AA, for texts of any size. */
const CONTRAST_MIN = 4.5;
const WIDTHS = [360, 1280];

let browser;

before(async () => {
  browser = await launch();
});

after(async () => {
  await browser?.close();
});

function preview(...words) {
  const environment = Object.entries(process.env).filter(([name]) => !/^CITYEVENTS__/.test(name));
  const env = { ...Object.fromEntries(environment), CITYEVENTS__HTTP__PUBLIC_URL: 'https://a.example' };
  return execFileSync(process.env.CITYEVENTS_BINARY, ['mail', 'preview', ...words], {
    encoding: 'utf8',
    env,
  });
}

/** Every form of every mail in every language: what was asked for, subject and page. */
function everyMail() {
  const rows = [...preview().matchAll(/([a-z_]+) +┆ (\d+) +┆/g)];
  assert.equal(rows.length, 10);
  const asked = rows.flatMap(([, name, variants]) =>
    Array.from({ length: Number(variants) }, (_, index) => [name, '--variant', String(index + 1)]),
  );
  const words = ['en', 'de'].flatMap((tag) => asked.map((form) => [...form, '--language', tag]));
  return words.map((form) => ({
    name: form.join(' '),
    subject: preview(...form).split('\n')[0].replace('Subject: ', ''),
    html: preview(...form, '--format', 'html'),
  }));
}

/** What a reader would stumble over; runs in the page. */
function faults(contrastMin) {
  const found = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push(`is ${root.scrollWidth} wide`);
  if (document.querySelectorAll('h1').length !== 1) found.push('has not one heading');
  if (!root.lang || !root.dir || !document.title) found.push('lacks language, direction or title');
  const numbers = (color) => color.match(/[\d.]+/g).map(Number);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const [red, green, blue, alpha = 1] = numbers(getComputedStyle(one).backgroundColor);
      if (alpha > 0) return [red, green, blue];
    }
    return [255, 255, 255];
  };
  const light = (color) => {
    const [red, green, blue] = color.slice(0, 3).map((part) => {
      const share = part / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.data.trim();
    const element = texts.currentNode.parentElement;
    if (!text || element.closest('style')) continue;
    const pair = [light(numbers(getComputedStyle(element).color)), light(behind(element))];
    const contrast = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (contrast < contrastMin) found.push(`"${text}" has a contrast of ${contrast.toFixed(1)}`);
  }
  return found;
}

test('every mail is readable wherever it is read, and loads nothing', async () => {
  const mails = everyMail();
  for (const colorScheme of ['light', 'dark']) {
    for (const width of WIDTHS) {
      const context = await browser.newContext({ colorScheme, viewport: { width, height: 800 } });
      const page = await context.newPage();
      const asked = [];
      page.on('request', (request) => asked.push(request.url()));
      for (const { name, subject, html } of mails) {
        const where = `${name}, ${width} wide, ${colorScheme}`;
        await page.setContent(html);
        assert.deepEqual(await page.evaluate(faults, CONTRAST_MIN), [], where);
        assert.equal(await page.title(), subject, where);
        assert.equal(await page.locator('h1').textContent(), subject, where);
      }
      assert.deepEqual(asked, []);
      await context.close();
    }
  }
});

test('long words and other scripts stay within the page', async () => {
  const context = await browser.newContext({ viewport: { width: 360, height: 800 } });
  const page = await context.newPage();
  const html = preview('place_confirmed', '--format', 'html');
  for (const title of ['x'.repeat(120), 'ליל אורות על הנהר '.repeat(6), '夜'.repeat(120)]) {
    await page.setContent(html.replaceAll('Night walk along the river', title));
    assert.deepEqual(await page.evaluate(faults, CONTRAST_MIN), [], title);
  }
  await context.close();
});
