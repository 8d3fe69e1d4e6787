// Signing in at another provider, as a person does it.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { launch, window } from '../lib/chromium.mjs';
import { freePort, startInstance } from '../lib/instance.mjs';
import { look } from '../lib/looking.mjs';
import { link } from '../lib/mails.mjs';
import { CLIENT, startProvider } from '../lib/provider.mjs';

let browser, city, provider;

before(async () => {
  const [cityPort, providerPort] = [await freePort(), await freePort()];
  const callback = `http://127.0.0.1:${cityPort}/api/auth/oauth/city/callback`;
  provider = await startProvider(providerPort, callback);
  city = await startInstance(cityPort, {
    LIMITS__ENABLED: 'false',
    OAUTH__CITY__ISSUER: provider.issuer,
    OAUTH__CITY__CLIENT_ID: CLIENT.client_id,
    OAUTH__CITY__NAME: 'City hall',
    OAUTH__CITY__CLIENT_SECRET: CLIENT.client_secret,
  });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await city?.stop();
  await provider?.stop();
});

/** Goes to the provider and says who one is; what comes next is the consent. */
async function signInAtProvider(page, name) {
  await page.goto(`${city.url}/api/auth/oauth/city/start?return_to=/docs/`);
  assert.equal(new URL(page.url()).origin, provider.issuer);
  await page.fill('input[name=login]', name);
  await page.fill('input[name=password]', 'anything');
  await page.click('button[type=submit]');
  await page.getByRole('button', { name: 'Continue' }).waitFor();
}

async function allow(page) {
  await page.getByRole('button', { name: 'Continue' }).click();
}

/** Who the page is signed in as: a fresh access token by the cookie, and then the account. */
async function me(page) {
  return page.evaluate(async () => {
    const refreshed = await fetch('/api/auth/refresh', { method: 'POST' });
    if (!refreshed.ok) return null;
    const { data } = await refreshed.json();
    const headers = { authorization: `Bearer ${data.tokens.access_token}` };
    const answer = await fetch('/api/auth/me', { headers });
    return (await answer.json()).data;
  });
}

test('the first sign-in makes an account, and later ones find it', async () => {
  const first = await window(browser);
  const page = await first.newPage();
  await signInAtProvider(page, 'ada');
  await allow(page);
  await page.waitForURL(`${city.url}/docs/`);
  const ada = await me(page);
  assert.equal(ada.email, 'ada@example.org');
  assert.equal(ada.name, 'Ada');
  assert.equal(ada.email_verified, true);
  assert.equal(ada.has_password, false);
  const cookies = await first.cookies(city.url);
  assert.deepEqual(cookies.filter((cookie) => cookie.name === 'oauth_flow'), []);
  const refresh = cookies.find((cookie) => cookie.name === 'refresh_token');
  assert.equal(refresh.httpOnly && refresh.sameSite, 'Lax');
  // Signed in there and allowed: straight through.
  await page.goto(`${city.url}/api/auth/oauth/city/start?return_to=/docs/`);
  await page.waitForURL(`${city.url}/docs/`);
  assert.equal((await me(page)).id, ada.id);
  await first.close();
  const second = await window(browser);
  const other = await second.newPage();
  await signInAtProvider(other, 'ada');
  await allow(other);
  await other.waitForURL(`${city.url}/docs/`);
  assert.equal((await me(other)).id, ada.id);
  await second.close();
});

test('a way to sign in is taken away on the page, but never the last one', async () => {
  const context = await window(browser, { locale: 'en-GB' });
  const page = await context.newPage();
  await signInAtProvider(page, 'zoe');
  await allow(page);
  await page.waitForURL(`${city.url}/docs/`);
  await page.goto(`${city.url}/account`);
  await page.getByText('Your only way in').waitFor();
  await look(page);
  await page.getByRole('button', { name: 'Send me a link' }).click();
  await page.getByText('Look into your mail').waitFor();
  await page.goto(await link(join(city.data, 'mails'), 'zoe@example.org', '/reset-password'));
  await page.fill('#new_password', 'correct horse battery');
  await page.getByRole('main').getByRole('button').click();
  await page.fill('#email', 'zoe@example.org');
  await page.fill('#password', 'correct horse battery');
  await page.getByRole('main').getByRole('button').click();
  await page.waitForURL(`${city.url}/`);
  await page.goto(`${city.url}/account`);
  await page.getByRole('row', { name: 'City hall' }).getByRole('button').click();
  await page.getByText('You sign in there no more.').waitFor();
  assert.equal(await page.getByText('City hall').count(), 0);
  await look(page);
  await context.close();
});

test('who does not allow it is told so, and is not signed in', async () => {
  const context = await window(browser);
  const page = await context.newPage();
  await signInAtProvider(page, 'eve');
  await page.getByRole('link', { name: 'Cancel' }).click();
  await page.waitForURL(`${city.url}/login?error=oauth_denied`);
  await page.getByText('The sign-in was not allowed at the provider').waitFor();
  // And may think again.
  await page.getByRole('link', { name: 'Sign in with City hall' }).click();
  await page.waitForURL((url) => url.origin === provider.issuer);
  await page.goto(`${city.url}/login`);
  assert.equal(await me(page), null);
  await context.close();
});

test('an address that may be somebody else\'s makes no account', async () => {
  const context = await window(browser);
  const page = await context.newPage();
  await signInAtProvider(page, 'unsure-ada');
  await allow(page);
  await page.waitForURL(`${city.url}/login?error=email_not_verified`);
  assert.equal(await me(page), null);
  await context.close();
});

test('an answer is good once, and in the browser that asked', async () => {
  const context = await window(browser);
  const page = await context.newPage();
  let answer;
  page.on('request', (request) => {
    if (request.url().includes('/callback?')) answer = request.url();
  });
  await signInAtProvider(page, 'ben');
  await allow(page);
  await page.waitForURL(`${city.url}/docs/`);
  assert.ok(new URL(answer).searchParams.get('iss'), 'the provider names itself');
  await page.goto(answer);
  assert.equal(page.url(), `${city.url}/login?error=oauth_state_invalid`);
  const thief = await window(browser);
  const stolen = await thief.newPage();
  await stolen.goto(answer);
  assert.equal(stolen.url(), `${city.url}/login?error=oauth_state_invalid`);
  assert.equal(await me(stolen), null);
  await thief.close();
  await context.close();
});

test('nothing that tells of people or lets them in is in the log', () => {
  for (const word of ['ada@example.org', CLIENT.client_secret, 'code=', 'state=']) {
    assert.ok(!city.log.includes(word), `${word}\n${city.log}`);
  }
});
