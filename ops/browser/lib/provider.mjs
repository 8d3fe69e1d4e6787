// An OpenID provider that strangers wrote: oidc-provider, with its own pages to sign in and consent.
//
// Whoever gives a name is let in. Their address is NAME@example.org, verified unless the name begins
// with "unsure".

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';

import { load } from './modules.mjs';

export const CLIENT = { client_id: 'city', client_secret: randomBytes(24).toString('base64url') };

function claimsOf(name) {
  return {
    sub: name,
    name: `${name[0].toUpperCase()}${name.slice(1)}`,
    email: `${name}@example.org`,
    email_verified: !name.startsWith('unsure'),
  };
}

/** The provider at `port`, which sends people back to `redirectUri`. */
export async function startProvider(port, redirectUri) {
  const { default: Provider } = await load('oidc-provider');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256' };
  // Another site than the instance at 127.0.0.1, so that cookies are held to their rules.
  const issuer = `http://localhost:${port}`;
  const provider = new Provider(issuer, {
    clients: [{ ...CLIENT, redirect_uris: [redirectUri] }],
    claims: { email: ['email', 'email_verified'], profile: ['name'] },
    cookies: { keys: [randomBytes(24).toString('base64url')] },
    findAccount: (_context, name) => ({ accountId: name, claims: () => claimsOf(name) }),
    jwks: { keys: [key] },
    pkce: { required: () => true },
  });
  const server = provider.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    issuer,
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
