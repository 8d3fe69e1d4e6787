// Chromium without a window, and without a word to anybody outside this machine.

import { load } from './modules.mjs';

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const HERE = new Set(['127.0.0.1', 'localhost']);
/** For one step of a walk, in milliseconds. */
const PATIENCE = 30_000;

/** A browser, with more `flags`; whoever launches it closes it. */
export async function launch(flags = []) {
  const { chromium } = (await load('playwright-core')).default;
  const executablePath = process.env.CITYEVENTS_CHROMIUM;
  return chromium.launch({ executablePath, headless: true, args: [...FLAGS, ...flags] });
}

/** A window with cookies of its own, and with `options` of playwright. Pages get nothing from
 * elsewhere, fonts for example. */
export async function window(browser, options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE);
  const elsewhere = (url) => !HERE.has(url.hostname);
  await context.route(elsewhere, (route) => route.abort());
  return context;
}
