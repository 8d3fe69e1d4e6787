// Looking at pages: what an accessibility check finds, and which pages nobody has looked at yet.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const { resolve } = createRequire(join(process.env.CITYEVENTS_NODE_MODULES, 'package.json'));
const axe = await readFile(resolve('axe-core/axe.min.js'), 'utf8');
const list = new URL('../../../api/web/pages.json', import.meta.url);
const { pages } = JSON.parse(await readFile(list, 'utf8'));
/** WCAG 2.2 AA, and what axe holds for good practice. */
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

const patterns = pages.map((route) => {
  const source = route.replaceAll(/\{[a-z]+\}/g, '[0-9a-f-]{36}').replaceAll('.', '\\.');
  return { route, pattern: new RegExp(`^${source}$`) };
});
const seen = new Set();

/** Fails where the check finds something. */
export async function look(page) {
  // A click is over before what it leads to has its style sheet, and without one every target is small.
  await page.waitForLoadState('load');
  const path = new URL(page.url()).pathname;
  for (const { route, pattern } of patterns) if (pattern.test(path)) seen.add(route);
  // Nothing can be evaluated there.
  if (page.isWithoutScripts) return;
  // Evaluated, and not put into the page: the page allows no such scripts.
  const found = await page.evaluate(
    async ([source, rules]) => {
      if (!globalThis.axe) (0, eval)(source);
      const result = await globalThis.axe.run(document, { runOnly: rules });
      return result.violations.map(({ id, help, nodes }) => ({
        id,
        help,
        nodes: nodes.map(({ html, failureSummary }) => `${html}\n${failureSummary}`),
      }));
    },
    [axe, RULES],
  );
  assert.deepEqual(found, [], `${page.url()}: ${JSON.stringify(found, null, 2)}`);
}

/** Pages that nobody has looked at. */
export const unseen = () => pages.filter((route) => !seen.has(route));
