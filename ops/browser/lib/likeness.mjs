// Pictures of pages, kept and compared loosely: fonts differ from machine to machine, and what is
// looked for is a page that fell apart.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';

const FOLDER = new URL('../../docs/pictures/', import.meta.url);
/** Squares that a side of a picture is divided into. */
const SQUARES = 24;
/** Of the way from black to white: how far squares may differ on average, and how many may by more
 * than twice as much, of one. */
const APART_MAX = 0.05;
const ODD_MAX = 0.15;

/** The average brightness of each square, and the size. */
async function squares(browser, picture) {
  const page = await (await browser.newContext()).newPage();
  try {
    await page.setContent(`<img src="data:image/png;base64,${picture.toString('base64')}">`);
    return await page.evaluate(async (count) => {
      const image = document.querySelector('img');
      await image.decode();
      const canvas = Object.assign(document.createElement('canvas'), { width: count, height: count });
      const context = canvas.getContext('2d');
      context.imageSmoothingQuality = 'high';
      context.drawImage(image, 0, 0, count, count);
      const { data } = context.getImageData(0, 0, count, count);
      const values = [];
      for (let at = 0; at < data.length; at += 4) {
        values.push((data[at] + data[at + 1] + data[at + 2]) / 765);
      }
      return { values, width: image.naturalWidth, height: image.naturalHeight };
    }, SQUARES);
  } finally {
    await page.context().close();
  }
}

/** Holds a page against the picture that is kept of it, or keeps it (`--keep-pictures`). */
export async function resembles(page, name) {
  const picture = await page.screenshot({ animations: 'disabled', caret: 'hide' });
  const file = new URL(`${name}.png`, FOLDER);
  if (process.env.CITYEVENTS_KEEP_PICTURES) return writeFile(file, picture);
  const browser = page.context().browser();
  const [now, kept] = [await squares(browser, picture), await squares(browser, await readFile(file))];
  assert.deepEqual([now.width, now.height], [kept.width, kept.height], `the size of ${name}`);
  const apart = now.values.map((value, at) => Math.abs(value - kept.values[at]));
  const average = apart.reduce((sum, value) => sum + value, 0) / apart.length;
  const odd = apart.filter((value) => value > 2 * APART_MAX).length / apart.length;
  const told = `${name}: ${average.toFixed(3)} apart, ${odd.toFixed(3)} of the squares far`;
  assert.ok(average <= APART_MAX && odd <= ODD_MAX, `${told}; look at it, and keep it if it is well`);
  return told;
}
