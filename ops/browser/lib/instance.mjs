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
  const environment = { CITYEVENTS__HTTP__PUBLIC_URL: url, ...Object.fromEntries(named) };
  const command = ['dev', ...listen, '--data', join(folder, 'data')];
  const instance = {
    url,
    data: join(folder, 'data'),
    /** Where its operations listener is. */
    ops: '',
    log: '',
    /** Starts, or goes on after it was ended. */
    async start() {
      instance.process = await ready(command, environment, instance);
    },
    /** Ends the process, and leaves what it has stored. */
    async end() {
      const ended = once(instance.process, 'exit');
      instance.process.kill('SIGTERM');
      await ended;
    },
    async stop() {
      await instance.end();
      await rm(folder, { recursive: true });
    },
  };
  await instance.start();
  return instance;
}

/** A process that says that it is ready. */
async function ready(command, environment, instance) {
  const env = { ...process.env, ...environment };
  const child = spawn(process.env.CITYEVENTS_BINARY, command, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  await new Promise((resolve, reject) => {
    const read = (part) => {
      said += part;
      instance.log += part;
      const found = READY.exec(said);
      if (!found) return;
      instance.ops = found[1];
      resolve();
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('error', reject);
    child.on('exit', () => reject(new Error(`the instance did not start:\n${said}`)));
  });
  return child;
}
