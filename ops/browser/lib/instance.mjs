// `cityevents dev` on a folder and ports of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const READY = /cityevents is ready at http:\/\/\S+ \(operations at (http:\/\/[^)\s]+)\)/;

/** A port that is free now. */
export async function freePort() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** An instance at `port`. `settings`: environment variables without `CITYEVENTS__`. */
export async function startInstance(port, settings = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'cityevents-browser.'));
  const named = Object.entries(settings).map(([key, value]) => [`CITYEVENTS__${key}`, value]);
  const url = `http://127.0.0.1:${port}`;
  const listen = ['--listen', `127.0.0.1:${port}`, '--ops-listen', '127.0.0.1:0'];
  const child = spawn(
    process.env.CITYEVENTS_BINARY,
    ['dev', ...listen, '--data', join(folder, 'data')],
    {
      env: { ...process.env, CITYEVENTS__HTTP__PUBLIC_URL: url, ...Object.fromEntries(named) },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const ended = once(child, 'exit');
  const instance = {
    url,
    data: join(folder, 'data'),
    /** Where its operations listener is. */
    ops: '',
    log: '',
    async stop() {
      child.kill('SIGTERM');
      await ended;
      await rm(folder, { recursive: true });
    },
  };
  await new Promise((resolve, reject) => {
    const read = (part) => {
      instance.log += part;
      const ready = READY.exec(instance.log);
      if (!ready) return;
      instance.ops = ready[1];
      resolve();
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('error', reject);
    child.on('exit', () => reject(new Error(`the instance did not start:\n${instance.log}`)));
  });
  return instance;
}
