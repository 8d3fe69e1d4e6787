// The mails that an instance puts into a folder.

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** For a mail to be there, in milliseconds. */
const PATIENCE = 30_000;

/** The link of a mail to an address that leads to `path`, once it is there. */
export async function link(folder, email, path) {
  for (const deadline = Date.now() + PATIENCE; Date.now() < deadline; ) {
    for (const name of await readdir(folder).catch(() => [])) {
      const text = await readFile(join(folder, name), 'utf8').catch(() => '');
      const plain = text.replaceAll('=\r\n', '').replaceAll('=3D', '=');
      const found = new RegExp(`http\\S*${path}\\?token=[\\w.-]+`).exec(plain);
      if (found && plain.includes(email)) return found[0];
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`no mail to ${email} with ${path}`);
}
