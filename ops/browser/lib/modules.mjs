// Modules of the cache, where check.py has put them: the repository has no node_modules of its own.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const folder = process.env.CITYEVENTS_NODE_MODULES;
if (!folder) throw new Error('run this by ops/browser/check.py');
const { resolve } = createRequire(join(folder, 'package.json'));

/** A module by its name. */
export const load = (name) => import(pathToFileURL(resolve(name)).href);
