// The pages, as people use them: an organiser, somebody with a place, somebody who waits, and staff.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { launch } from '../lib/chromium.mjs';
import { freePort, startInstance } from '../lib/instance.mjs';
import { look, unseen } from '../lib/looking.mjs';
import { link } from '../lib/mails.mjs';
import { PASSWORD, person as somebody, publish as announce, register as enrol, takePlace } from '../lib/people.mjs';

/** Acts if it is ever more than text. */
const PROBE = '"><script>window.probed=1</script><img src=x onerror="window.probed=1">\'';

let browser, city, mailFolder;

before(async () => {
  mailFolder = await mkdtemp(join(tmpdir(), 'cityevents-mails.'));
  city = await startInstance(await freePort(), {
    LIMITS__ENABLED: 'false',
    MAIL__FOLDER: mailFolder,
  });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await city?.stop();
  if (mailFolder) await rm(mailFolder, { recursive: true });
});

const person = (options) => somebody(browser, options);
const register = (page, ...rest) => enrol(page, city, ...rest);
const publish = (page, fields) => announce(page, city, fields);
const join_ = (page, event) => takePlace(page, city, event);

/** Raises the number of places, having seen how many that lets in. */
async function raise(page, event, capacity, letsIn) {
  await page.goto(`${city.url}/events/${event}/manage`);
  await page.fill('#capacity', String(capacity));
  await page.getByRole('button', { name: 'Look what happens' }).click();
  await page.getByText(letsIn).waitFor();
  await look(page);
  await page.getByRole('button', { name: `Set to ${capacity} places` }).click();
  await page.getByText('Saved.').waitFor();
}

async function callOff(page, event, reason) {
  await page.goto(`${city.url}/events/${event}/manage`);
  await page.locator('summary', { hasText: 'Call off' }).click();
  await page.fill('#cancel-reason', reason);
  await page.getByRole('button', { name: 'Call off' }).click();
  await page.getByText('Called off. Everybody').waitFor();
}

for (const [how, options] of [
  ['with scripts', {}],
  ['without scripts', { javaScriptEnabled: false }],
  ['on a phone, in the dark', { viewport: { width: 390, height: 844 }, colorScheme: 'dark' }],
]) {
  test(`from an account to a place in line, ${how}`, async () => {
    const tag = how.replaceAll(/\W+/g, '-');
    const live = options.javaScriptEnabled !== false;
    const [organiser, second, third] = [await person(options), await person(options), await person(options)];

    await register(organiser, 'Ada', `ada-${tag}@example.org`);
    await organiser.goto(await link(mailFolder, `ada-${tag}@example.org`, '/verify-email'));
    await organiser.getByRole('button', { name: 'Confirm my address' }).click();
    await organiser.getByText('Your address is confirmed.').waitFor();
    await organiser.getByRole('button', { name: 'Sign out' }).click();
    await organiser.getByText('You are signed out.').waitFor();
    await organiser.goto(`${city.url}/me/events`);
    await organiser.fill('#email', `ada-${tag}@example.org`);
    await organiser.fill('#password', PASSWORD);
    await organiser.getByRole('main').getByRole('button').click();
    // Back where the sign-in was asked for.
    await organiser.waitForURL(`${city.url}/me/events`);

    const event = await publish(organiser, { title: `Night ${tag}` });
    const page = `${city.url}/events/${event}`;

    // From the page of the event to an account and back.
    await second.goto(page);
    await second.locator('#standing a[href^="/register"]').click();
    await register(second, 'Ben', `ben-${tag}@example.org`, `/events/${event}`);
    await second.waitForURL(page);
    await join_(second, event);
    await second.getByText('You have a place').waitFor();

    await register(third, 'Cleo', `cleo-${tag}@example.org`);
    await join_(third, event);
    await third.locator('#standing .big', { hasText: /number\s+1\s+in line/ }).waitFor();
    if (live) await Promise.all([look(organiser), look(second), look(third)]);

    await raise(organiser, event, 2, 'This lets 1 person in.');
    if (!live) await third.goto(page);
    // With scripts the page is not loaded again: it is told.
    await third.getByText('You have a place').waitFor();

    await third.getByRole('button', { name: 'Give my place back' }).click();
    await third.getByText('You have given your place back.').waitFor();
    await third.locator('#standing form button').click();
    await third.getByText('You have a place').waitFor();

    await callOff(organiser, event, 'The hall is flooded.');
    for (const guest of [second, third]) {
      if (!live) await guest.goto(page);
      await guest.locator('#standing').getByText('Called off').waitFor();
      await guest.goto(`${city.url}/me`);
      await guest.locator('.card').getByText('Called off', { exact: true }).waitFor();
    }
    // By the link of a mail, as somebody who is not signed in.
    const stranger = await person(options);
    await stranger.goto(await link(mailFolder, `ben-${tag}@example.org`, '/unsubscribe'));
    if (live) await look(stranger);
    await stranger.getByRole('button', { name: 'No more of these mails' }).click();
    await stranger.getByText('You get no more mails of this kind.').waitFor();
    await second.goto(`${city.url}/account`);
    assert.equal(await second.locator('input[type=checkbox][value=on]:not(:checked)').count(), 1);
    await second.selectOption('#mail-language', 'de');
    await second.locator('section[aria-labelledby=mails]').getByRole('button', { name: 'Save' }).click();
    await second.getByText('Saved.').waitFor();
    assert.equal(await second.locator('#mail-language').inputValue(), 'de');
    await second.fill('#name', 'Benedikt');
    await second.locator('.name-form').getByRole('button', { name: 'Save' }).click();
    await second.getByRole('heading', { name: 'Benedikt' }).waitFor();
    assert.equal(await second.inputValue('#name'), 'Benedikt');

    for (const one of [organiser, second, third, stranger]) {
      assert.deepEqual(one.complaints, []);
      await one.context().close();
    }
  });
}

test('a button that is pressed twice, and a line that breaks, count once', async () => {
  const [organiser, guest] = [await person(), await person()];
  await register(organiser, 'Dora', 'dora@example.org');
  const event = await publish(organiser, { capacity: '5' });
  await register(guest, 'Emil', 'emil@example.org');
  await guest.goto(`${city.url}/events/${event}`);
  // The first request never comes; of the second the answer gets lost after the server has given it.
  let broken = 0;
  await guest.route('**/join', async (route) => {
    broken += 1;
    if (broken > 2) return route.continue();
    if (broken === 2) await route.fetch();
    await route.abort('connectionreset');
  });
  await guest.locator('#standing form button').dblclick();
  await guest.getByText('You have a place').waitFor();
  assert.ok(broken >= 2, 'the request was not sent again');
  await guest.reload();
  await guest.locator('#standing').getByText('4 places free of 5').waitFor();
  await organiser.context().close();
  await guest.context().close();
});

test('forms keep what was typed and say what is wrong beside it', async () => {
  const page = await person();
  await page.goto(`${city.url}/register`);
  // Browsers would refuse before the server does.
  await page.locator('form.form').evaluate((form) => { form.noValidate = true; });
  await page.fill('#name', 'Ada');
  await page.fill('#email', 'nowhere');
  await page.fill('#password', 'short');
  await page.getByRole('main').getByRole('button').click();
  await page.locator('#email-wrong').waitFor();
  await page.locator('#password-wrong').waitFor();
  assert.equal(await page.inputValue('#name'), 'Ada');
  assert.equal(await page.inputValue('#email'), 'nowhere');
  assert.equal(await page.inputValue('#password'), '');
  await page.context().close();
});

test('scripts that people write stay text, on every page', async () => {
  const [organiser, guest, staff] = [await person(), await person(), await person()];
  await register(organiser, PROBE, 'probe@example.org');
  await organiser.goto(`${city.url}/new`);
  for (const field of ['title', 'description', 'city', 'category', 'location']) {
    await organiser.fill(`#${field}`, field === 'city' || field === 'category' ? PROBE.slice(0, 80) : PROBE);
  }
  await organiser.fill('#start_time', '2099-06-01T20:00');
  await organiser.fill('#end_time', '2099-06-01T19:00');
  await organiser.fill('#capacity', '3');
  await look(organiser);
  await organiser.getByRole('button', { name: 'Save as draft' }).click();
  // It ends before it begins: the form again, with all that was typed.
  await organiser.locator('#end_time-wrong').waitFor();
  assert.equal(await organiser.inputValue('#title'), PROBE);
  await look(organiser);
  await organiser.fill('#end_time', '2099-06-01T23:00');
  await organiser.getByRole('button', { name: 'Save as draft' }).click();
  await organiser.getByRole('button', { name: 'Publish', exact: true }).click();
  const event = new URL(organiser.url()).pathname.split('/')[2];
  await organiser.getByText('Published. Everybody').waitFor();
  await look(organiser);

  await register(guest, PROBE, 'guest@example.org', `/events/${event}`);
  await join_(guest, event);
  await guest.getByText('You have a place').waitFor();
  const code = await guest.locator('.code code').textContent();
  await organiser.fill('#code', code);
  await organiser.locator('section[aria-labelledby=door] button').click();
  await organiser.getByText('Welcome: the person is in.').waitFor();
  await organiser.fill('#code', code);
  await organiser.locator('section[aria-labelledby=door] button').click();
  await organiser.getByText('has come through the door before').waitFor();
  await organiser.getByText('Came through the door:').waitFor();
  // The organiser knows people by their names, wherever they stand, and nobody else does.
  await organiser.goto(`${city.url}/events/${event}/door/list`);
  await organiser.locator('td', { hasText: PROBE }).waitFor();
  await look(organiser);
  await organiser.goto(`${city.url}/events/${event}/manage`);
  await organiser.fill('#subject', PROBE);
  await organiser.fill('#text', PROBE);
  await organiser.getByRole('button', { name: 'Send' }).click();
  await organiser.getByText('Your message is on its way.').waitFor();
  await organiser.goto(`${city.url}/events/${event}/edit`);
  assert.equal(await organiser.inputValue('#start_time'), '2099-06-01T20:00');
  await look(organiser);
  await organiser.goto(`${city.url}/events/${event}/manage`);
  await organiser.locator('td summary').click();
  await organiser.locator('td input[name=reason]').fill(PROBE);
  await organiser.getByRole('button', { name: 'Remove', exact: true }).click();
  await organiser.getByText('Removed.').waitFor();
  await guest.reload();
  await guest.getByText(`Reason: ${PROBE}`).waitFor();
  await look(guest);

  const made = spawnSync(process.env.CITYEVENTS_BINARY, [
    'account', 'create', '--email', 'root@example.org', '--role', 'admin',
    '--data', city.data, '--output', 'json',
  ]);
  const { password } = JSON.parse(String(made.stdout));
  await staff.goto(`${city.url}/login?return_to=/staff`);
  await staff.fill('#email', 'root@example.org');
  await staff.fill('#password', password);
  await staff.getByRole('main').getByRole('button').click();
  await staff.waitForURL(`${city.url}/staff`);
  await look(staff);
  const row = staff.locator('tr', { hasText: 'guest@example.org' });
  await row.locator('summary').click();
  await row.getByRole('button', { name: 'Lock' }).click();
  await staff.locator('tr', { hasText: 'guest@example.org' }).getByText('Locked').waitFor();
  await staff.goto(`${city.url}/staff/trail`);
  await staff.getByText('ban').first().waitFor();
  await look(staff);

  const visits = [
    '/', `/events?q=${encodeURIComponent(PROBE)}`, '/me', '/me/events', '/account',
    `/login?return_to=${encodeURIComponent(PROBE)}`, `/register?return_to=${encodeURIComponent(PROBE)}`,
    '/forgot', `/verify-email?token=${encodeURIComponent(PROBE)}`,
    `/unsubscribe?token=${encodeURIComponent(PROBE)}`,
    `/reset-password?token=${encodeURIComponent(PROBE)}`, `/no-such-page${encodeURIComponent(PROBE)}`,
    `/events/${event}`, `/events/${event}?done=${encodeURIComponent(PROBE)}`,
    `/events/${event}/ticket`, `/events/${event}/door?q=${encodeURIComponent(PROBE)}`,
    `/events/${event}/door?code=${encodeURIComponent(PROBE)}`, `/events/${event}/door/list`,
    `/events/${event}/manage?q=${encodeURIComponent(PROBE)}`, `/check-in/${encodeURIComponent(PROBE)}`,
    '/events?from=never', '/events?cursor=made-up', '/events/11111111-1111-4111-8111-111111111111',
    '/commands/11111111-1111-4111-8111-111111111111?then=//evil.org',
  ];
  for (const address of visits) {
    await organiser.goto(`${city.url}${address}`);
    await look(organiser);
    assert.equal(await organiser.evaluate(() => globalThis.probed), undefined, address);
  }
  for (const one of [organiser, guest, staff]) {
    assert.deepEqual(one.complaints, []);
    assert.equal(await one.evaluate(() => globalThis.probed), undefined);
    await one.context().close();
  }
});

test('a forgotten password is set again by the link of the mail', async () => {
  const page = await person();
  await register(page, 'Flo', 'flo@example.org');
  const other = await person();
  await other.goto(`${city.url}/forgot`);
  await other.fill('#email', 'flo@example.org');
  await other.getByRole('main').getByRole('button').click();
  await other.getByText('Look into your mail').waitFor();
  await other.goto(await link(mailFolder, 'flo@example.org', '/reset-password'));
  await look(other);
  await other.fill('#new_password', 'another horse battery');
  await other.getByRole('main').getByRole('button').click();
  await other.getByText('Your new password is set.').waitFor();
  // The other browser is signed out by it.
  await page.goto(`${city.url}/account`);
  await page.waitForURL(/\/login\?return_to=/);
  await page.context().close();
  await other.context().close();
});

test('pages speak the language that the browser or the reader chooses', async () => {
  const page = await person({ locale: 'de-DE' });
  await page.goto(`${city.url}/events`);
  assert.equal(await page.getAttribute('html', 'lang'), 'de');
  await look(page);
  await page.getByRole('button', { name: 'English' }).click();
  await page.waitForURL(`${city.url}/events`);
  assert.equal(await page.getAttribute('html', 'lang'), 'en');
  await page.context().close();
});

test('every page was looked at', () => {
  assert.deepEqual(unseen(), []);
});
