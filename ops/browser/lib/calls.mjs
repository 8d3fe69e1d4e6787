// What programs do over HTTP: for what a walk needs and does not show.

import assert from 'node:assert/strict';

import { PASSWORD } from './people.mjs';

/** A call, and what it answered. */
export async function call(city, method, path, { body, token, prefer } = {}) {
  const headers = { 'Idempotency-Key': `walk-${crypto.randomUUID()}` };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (prefer) headers.Prefer = prefer;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const sent = { method, headers, body: body && JSON.stringify(body) };
  const answer = await fetch(`${city.url}${path}`, sent);
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

/** Somebody without a window: a token. `name` is what comes before the `@`. */
export async function enrolled(city, name, called = name) {
  const body = { email: `${name}@example.org`, password: PASSWORD, name: called };
  const { data } = await call(city, 'POST', '/api/auth/register', { body });
  return data.tokens.access_token;
}

/** An event that is published, with fields of its own. */
export async function announced(city, token, fields = {}, prefer = undefined) {
  const body = {
    title: 'Concert on the roof',
    description: 'Bring a blanket.',
    city: 'Porto',
    category: 'music',
    start_time: '2099-06-01T20:00:00Z',
    end_time: '2099-06-01T23:00:00Z',
    capacity: 2,
    ...fields,
  };
  const { id } = await call(city, 'POST', '/api/events', { body, token, prefer });
  await call(city, 'POST', `/api/events/${id}/publish`, { token, prefer });
  return id;
}
