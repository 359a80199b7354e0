// `node real_ports_client.mjs JOURNEYS`: a real client for each `{ url, address, transport }` of that JSON list, with
// every name found at `address`. Prints what the server saw of each, as JSON.

import { X509Certificate } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { isIPv6 } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import { io } from 'socket.io-client-4';
import { DEADLINE, within } from './wait.mjs';

/** Node's own check of a certificate, but for IPv6 addresses: Debian's 18.20.4+dfsg-1~deb12u3 refuses them all. */
function isFor(host, certificate) {
  if (!isIPv6(host)) return checkServerIdentity(host, certificate);
  return new X509Certificate(certificate.raw).checkIP(host) ? undefined : new Error(`a certificate that is not for ${host}`);
}

async function go({ url, address, transport }) {
  const { Agent } = /^(wss|https):/.test(url) ? https : http;
  const found = { address, family: isIPv6(address) ? 6 : 4 };
  const agent = new Agent({
    checkServerIdentity: isFor,
    lookup: (_, { all }, done) => (all ? done(null, [found]) : done(null, found.address, found.family)),
  });
  const client = io(url, { transports: [transport], agent, forceNew: true, reconnection: false });
  const answer = new Promise((resolve, reject) => {
    client.on('connect_error', ({ message, description }) => {
      reject(new Error(`${transport} to ${url} at ${address}: ${message} (${description?.message ?? description})`));
    });
    client.emit('seen', resolve);
  });
  try {
    return await within(DEADLINE, answer, `an answer to ${transport} to ${url} at ${address}`);
  } finally {
    client.close();
  }
}

console.log(JSON.stringify(await Promise.all(JSON.parse(process.argv[2]).map(go))));
