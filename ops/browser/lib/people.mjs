// People with windows, and what all of them do: make an account, an event, take a place.

import { window } from './chromium.mjs';

export const PASSWORD = 'correct horse battery';

/** A person with a window; `complaints` is what their pages complain of, which no walk allows. */
export async function person(browser, options = {}) {
  const context = await window(browser, { locale: 'en-GB', timezoneId: 'Europe/Berlin', ...options });
  const page = await context.newPage();
  page.complaints = [];
  page.isWithoutScripts = options.javaScriptEnabled === false;
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('console', (message) => {
    const text = message.text();
    if (message.type() === 'error' && /Security Policy|Uncaught/.test(text)) {
      page.complaints.push(text);
    }
  });
  return page;
}

export async function register(page, city, name, email, returnTo = '') {
  await page.goto(`${city.url}/register?return_to=${encodeURIComponent(returnTo)}`);
  await page.fill('#name', name);
  await page.fill('#email', email);
  await page.fill('#password', PASSWORD);
  await page.getByRole('main').getByRole('button').last().click();
  await page.locator('a[href="/account"]').waitFor();
}

/** An event that is published; the page is in its room then. `opensAt`: a time of the reader's. */
export async function publish(page, city, fields = {}) {
  const { title = 'Night of the museums', capacity = '1', text = 'All night.', opensAt } = fields;
  await page.goto(`${city.url}/new`);
  await page.fill('#title', title);
  await page.fill('#description', text);
  await page.fill('#city', 'Porto');
  await page.fill('#category', 'culture');
  await page.fill('#location', 'Rua das Flores 12');
  await page.fill('#start_time', '2099-06-01T20:00');
  await page.fill('#end_time', '2099-06-01T23:00');
  await page.fill('#capacity', capacity);
  if (opensAt) await page.fill('#opens_at', opensAt);
  await page.getByRole('button', { name: 'Save as draft' }).click();
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.getByText('Published. Everybody can see it now.').waitFor();
  return new URL(page.url()).pathname.split('/')[2];
}

export async function takePlace(page, city, event) {
  await page.goto(`${city.url}/events/${event}`);
  await page.locator('#standing form button').click();
}
