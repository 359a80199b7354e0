// Real nginx with the snippet that wsgate replaces: the proof that a test asks nothing impossible.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { start } from './child.mjs';
import { DEADLINE, within } from './wait.mjs';

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

function locations(routes) {
  return routes
    .map(
      ([location, to]) => `
    location ${location} {
      proxy_pass http://127.0.0.1:${to.port};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
      proxy_set_header Host $http_host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
    }`,
    )
    .join('');
}

function nginxConf(folder, routes, port, tls, tlsPort) {
  const secure = (tls ?? []).map(
    ({ cert, key, names }, i) => `
  server {
    listen 127.0.0.1:${tlsPort} ssl${i === 0 ? ' default_server' : ''};
    server_name ${names.join(' ')};
    ssl_certificate ${cert};
    ssl_certificate_key ${key};
    ssl_protocols TLSv1.2 TLSv1.3;${locations(routes)}
  }`,
  );
  return `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log warn;
events { worker_connections 4096; }
http {
  access_log off;
  client_max_body_size 0;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${port};${locations(routes)}
  }${secure.join('')}
}
`;
}

/** Once it answers a connection; nginx itself says nothing when it is ready. */
async function accepting(port, child) {
  for (const until = Date.now() + DEADLINE; ; ) {
    const socket = net.connect(port, '127.0.0.1');
    const open = await new Promise((resolve) => {
      socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    });
    socket.destroy();
    if (open) return;
    if (child.exitCode !== null || Date.now() > until) throw new Error('nginx does not listen');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export async function startNginx({ routes, tls }) {
  const folder = await mkdtemp(join(tmpdir(), 'wsgate-peers-nginx-'));
  const [port, tlsPort] = [await freePort(), await freePort()];
  const conf = join(folder, 'nginx.conf');
  await writeFile(conf, nginxConf(folder, routes, port, tls, tlsPort));
  const child = start('nginx', ['-p', folder, '-c', conf], { stdio: 'ignore' });
  const text = () => {
    try {
      return readFileSync(join(folder, 'error.log'), 'utf8');
    } catch {
      return '';
    }
  };

  async function stop() {
    child.kill('SIGTERM');
    try {
      await within(5_000, child.exited, 'the end of nginx after SIGTERM');
    } finally {
      child.kill('SIGKILL');
      stopped = await readFile(join(folder, 'error.log'), 'utf8').catch(() => '');
      await rm(folder, { recursive: true, force: true });
    }
  }
  let stopped;

  await accepting(port, child);
  return {
    http: `http://127.0.0.1:${port}`,
    ws: `ws://127.0.0.1:${port}`,
    port,
    ...(tls && { https: `https://127.0.0.1:${tlsPort}`, wss: `wss://127.0.0.1:${tlsPort}`, tlsPort }),
    text: () => stopped ?? text(),
    stop,
  };
}
