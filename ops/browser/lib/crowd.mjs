// People who call the interface, as a program would: with tokens that the instance's keys sign.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';

const DAY_MS = 86_400_000;
/** For a command to be decided, in milliseconds. */
const PATIENCE = 30_000;
/** Tokens that are signed at once. */
const TOKENS = 20;

/** People of an instance on a folder of this machine. */
export function crowd(city) {
  const tokens = [];
  // Tokens are for one address only.
  const env = { ...process.env, CITYEVENTS__HTTP__PUBLIC_URL: city.url };

  function token() {
    if (tokens.length === 0) {
      const words = ['token', '--data', city.data, '--ttl', '2h', '--count', String(TOKENS)];
      const said = execFileSync(process.env.CITYEVENTS_BINARY, words, { encoding: 'utf8', env });
      tokens.push(...said.trim().split('\n'));
    }
    return tokens.pop();
  }

  async function post(bearer, path, { body, headers = {}, status }) {
    const answer = await fetch(`${city.url}${path}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${bearer}`,
        ...(body ? { 'content-type': 'application/json' } : {}),
        ...headers,
      },
      body: body && JSON.stringify(body),
    });
    assert.ok(status.includes(answer.status), `${path}: ${answer.status} ${await answer.clone().text()}`);
    return answer;
  }

  return {
    /** A published event of somebody new. */
    async event(fields = {}) {
      const organiser = token();
      const start = Date.now() + 7 * DAY_MS;
      const body = {
        title: 'Lantern walk',
        description: 'Along the river.',
        city: 'Bern',
        category: 'walks',
        start_time: new Date(start).toISOString(),
        end_time: new Date(start + DAY_MS / 8).toISOString(),
        capacity: 100,
        ...fields,
      };
      const made = await post(organiser, '/api/events', { body, status: [201] });
      const event = await made.json();
      await post(organiser, `/api/events/${event.id}/publish`, { status: [200] });
      return event;
    },

    /** Somebody new joins, in the way that names the command; it is decided when this returns. */
    async join(event) {
      const bearer = token();
      const headers = { prefer: 'respond-async', 'idempotency-key': 'once' };
      const answer = await post(bearer, `/api/events/${event.id}/join`, { headers, status: [202] });
      const { id } = await answer.json();
      const place = new URL(answer.headers.get('location'), city.url);
      for (const deadline = Date.now() + PATIENCE; Date.now() < deadline; ) {
        const { status } = await fetch(place, { headers: { authorization: `Bearer ${bearer}` } });
        if (status === 200) return { command: id };
        await new Promise((done) => setTimeout(done, 50));
      }
      throw new Error(`command ${id} is not decided`);
    },
  };
}
