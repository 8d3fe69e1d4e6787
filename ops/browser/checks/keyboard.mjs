// By keyboard alone: from the first page to a place, and from a draft to a full house.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launch } from '../lib/chromium.mjs';
import { freePort, startInstance } from '../lib/instance.mjs';
import { PASSWORD, person as somebody } from '../lib/people.mjs';

/** Presses of the key before something is said to be out of reach. */
const PRESSES_MAX = 120;

let browser, city;
const person = async () => {
  const page = await somebody(browser);
  // Whoever has no mouse cannot click by accident either.
  for (const name of ['click', 'dblclick', 'hover', 'move']) {
    if (page.mouse[name]) page.mouse[name] = () => assert.fail('there is no mouse');
  }
  return page;
};

before(async () => {
  city = await startInstance(await freePort(), { LIMITS__ENABLED: 'false' });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await city?.stop();
});

/** Goes on with the key until this has the focus, which has to be seen. */
async function reach(page, locator) {
  await locator.first().waitFor();
  for (let pressed = 0; pressed < PRESSES_MAX; pressed += 1) {
    await page.keyboard.press('Tab');
    const is = await locator.first().evaluate((element) => element === document.activeElement);
    if (!is) continue;
    const outline = await locator.first().evaluate((element) => {
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      return outlineStyle !== 'none' && parseFloat(outlineWidth) > 0;
    });
    assert.ok(outline, `the focus on ${locator} cannot be seen`);
    return;
  }
  assert.fail(`${locator} cannot be reached`);
}

async function press(page, locator, key = 'Enter') {
  await reach(page, locator);
  await page.keyboard.press(key);
}

async function write(page, label, text) {
  await reach(page, page.getByLabel(label, { exact: true }));
  await page.keyboard.press('Control+A');
  await page.keyboard.type(text);
}

/** A time, whatever order this browser asks for its parts in, and whether by halves of the day. */
async function writeTime(page, label, { year, month, day, hour, minute }) {
  const field = page.getByLabel(label, { exact: true });
  await reach(page, field);
  const wanted = `${year}-${month}-${day}T${hour}:${minute}`;
  for (const date of [month + day, day + month]) {
    for (let part = 0; part < 6; part += 1) await page.keyboard.press('ArrowLeft');
    await page.keyboard.type(`${date}00${year}${hour}${minute}A`);
    if ((await field.inputValue()) === wanted) return;
  }
  assert.fail(`${label} cannot be written as ${wanted}: ${await field.inputValue()}`);
}

async function enrol(page, name) {
  await page.goto(city.url);
  // The first stop leads past the head of the page.
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  await page.goto(city.url);
  await press(page, page.getByRole('link', { name: 'Make an account' }));
  await page.waitForURL('**/register**');
  await write(page, 'Name', name);
  await write(page, 'Email', `${name.toLowerCase()}@example.org`);
  await write(page, 'Password', PASSWORD);
  await page.keyboard.press('Enter');
  await page.locator('a[href="/account"]').waitFor();
}

test('an event and a place in it need no mouse', async () => {
  const [organiser, guest] = [await person(), await person()];
  await enrol(organiser, 'Ada');
  await press(organiser, organiser.getByRole('link', { name: 'New event' }));
  await organiser.waitForURL('**/new');
  await write(organiser, 'Title', 'Night without a mouse');
  await write(organiser, 'What happens?', 'All by keys.');
  await write(organiser, 'City', 'Porto');
  await write(organiser, 'Category', 'culture');
  const evening = { year: '2099', month: '06', day: '01', minute: '00' };
  await writeTime(organiser, 'Starts', { ...evening, hour: '08' });
  await writeTime(organiser, 'Ends', { ...evening, hour: '09' });
  await write(organiser, 'Number of places', '1');
  await press(organiser, organiser.getByRole('button', { name: 'Save as draft' }));
  await press(organiser, organiser.getByRole('button', { name: 'Publish', exact: true }));
  await organiser.getByText('Published. Everybody can see it now.').waitFor();

  await enrol(guest, 'Ben');
  await press(guest, guest.getByRole('link', { name: 'Events', exact: true }));
  await guest.waitForURL('**/events');
  await write(guest, 'Search', 'without a mouse');
  await guest.keyboard.press('Enter');
  await guest.waitForURL('**/events?**');
  await press(guest, guest.getByRole('link', { name: 'Night without a mouse' }));
  await press(guest, guest.getByRole('button', { name: 'Take a place' }), 'Space');
  await guest.getByText('You have a place').waitFor();
  await press(guest, guest.getByRole('link', { name: 'Show my ticket' }));
  const code = await guest.locator('code.typed').textContent();

  await organiser.reload();
  await press(organiser, organiser.getByRole('link', { name: 'Let people in' }));
  await organiser.waitForURL('**/door');
  await write(organiser, 'Code, or the address of the ticket', code);
  await organiser.keyboard.press('Enter');
  await organiser.getByText('Welcome, Ben. You are in.').waitFor();
  // The next code can be typed at once.
  await organiser.waitForFunction(() => document.activeElement.id === 'code');
  for (const page of [organiser, guest]) {
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  }
});
