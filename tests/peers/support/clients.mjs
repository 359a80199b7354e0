// Socket.IO clients of every kind that the ring has to serve.

import { createRequire } from 'node:module';
import { io as io4 } from 'socket.io-client-4';
import { createWx, weapp } from './wx.mjs';

const require = createRequire(import.meta.url);
const io2 = require('socket.io-client-2');

const TRANSPORTS = {
  'by WebSocket only': ['websocket'],
  'by polling only': ['polling'],
  'by polling, then upgraded': ['polling', 'websocket'],
};

function kind(name, io, transports, eio) {
  return {
    name,
    eio,
    transports,
    /** The transport that a connection must have arrived at. */
    settles: transports.at(-1),
    connect(ring, url, { device, ...options } = {}) {
      const make = io ?? weapp(name.includes('2.1.0') ? 2 : 3, createWx(device));
      const client = make(url, {
        transports,
        forceNew: true,
        reconnection: false,
        timeout: 10_000,
        ...(device?.ca && { ca: device.ca }),
        ...(device?.agent && { agent: device.agent }),
        ...options,
      });
      ring.onEnd(() => client.close());
      return client;
    },
  };
}

/** A kind for each way to connect; `kind.connect(ring, url, options)` makes a client that the test closes at its end. */
export const V4 = Object.entries(TRANSPORTS).map(([how, list]) => kind(`a v4 client ${how}`, io4, list, '4'));
export const V2 = Object.entries(TRANSPORTS).map(([how, list]) => kind(`a v2 client ${how}`, io2, list, '3'));
export const WEAPP_2 = kind('weapp.socket.io 2.1.0', null, ['websocket'], '3');
export const WEAPP_3 = kind('weapp.socket.io 3.0.0', null, ['websocket'], '4');
