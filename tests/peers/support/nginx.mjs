// Real nginx with the snippet that wsgate replaces: the proof that a test asks nothing impossible.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { start } from './child.mjs';
import { Journal, within } from './wait.mjs';

export async function freePort() {
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
      proxy_pass http://${to.port ? `127.0.0.1:${to.port}` : to};
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

function servers(routes, port, tls, tlsPort) {
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
  client_max_body_size 0;
  server {
    listen 127.0.0.1:${port};${locations(routes)}
  }${secure.join('')}`;
}

/** A running nginx with the snippet before a group of servers, whose block has these lines. */
export async function startNginxGroup(lines) {
  const folder = await mkdtemp(join(tmpdir(), 'wsgate-peers-nginx-'));
  const port = await freePort();
  const upstream = `upstream chat {\n  ${lines.join('\n  ')}\n}\n`;
  const block = servers([['/', 'chat']], port);
  const nginx = await runNginx({ http: upstream + block, folder });
  const stop = () => nginx.stop().finally(() => rm(folder, { recursive: true, force: true }));
  return { http: `http://127.0.0.1:${port}`, port, text: nginx.text, stop };
}

/** A whole configuration around what stands in its `http` block; one process that keeps to its folder. */
function nginxConf(folder, http) {
  return `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr notice;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
${http}
}
`;
}

/** A running nginx, started behind `command`, with `http` in its block of that name; files are named from `folder`. */
export async function runNginx({ http, folder, command = [] }) {
  const conf = join(folder, 'nginx.conf');
  await writeFile(conf, nginxConf(folder, http));
  const [program, ...args] = [...command, 'nginx', '-p', folder, '-e', 'stderr', '-c', conf];
  const child = start(program, args);
  const log = new Journal('lines of nginx');
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', (line) => log.add(line));
  const text = () => log.filter((line) => !line.includes('[notice]')).join('\n');

  async function stop() {
    child.kill('SIGTERM');
    try {
      await within(5_000, child.exited, 'the end of nginx after SIGTERM');
    } finally {
      child.kill('SIGKILL');
    }
  }

  const ended = child.exited.then(() => {
    throw new Error(`nginx ended instead of listening:\n${log.entries.join('\n')}`);
  });
  ended.catch(() => {});
  // It is said after `listen`.
  await Promise.race([log.find((line) => line.includes('event method')), ended]);
  return { text, stop };
}

export async function startNginx({ routes, tls }) {
  const folder = await mkdtemp(join(tmpdir(), 'wsgate-peers-nginx-'));
  const [port, tlsPort] = [await freePort(), await freePort()];
  const remove = () => rm(folder, { recursive: true, force: true });
  let nginx;
  try {
    nginx = await runNginx({ http: servers(routes, port, tls, tlsPort), folder });
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    http: `http://127.0.0.1:${port}`,
    ws: `ws://127.0.0.1:${port}`,
    port,
    ...(tls && { https: `https://127.0.0.1:${tlsPort}`, wss: `wss://127.0.0.1:${tlsPort}`, tlsPort }),
    text: nginx.text,
    stop: () => nginx.stop().finally(remove),
  };
}
