// `wx` as a mini program of WeChat sees it, over ws: connectSocket with its SocketTask, and the older global calls.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import WebSocket from 'ws';

const require = createRequire(import.meta.url);
const REFERER = 'https://servicewechat.com/wx0123456789abcdef/devtools/page-frame.html';

class SocketTask {
  #device;
  #socket;
  #heard = { open: [], message: [], error: [], close: [] };

  constructor({ url, header = {}, protocols = [], perMessageDeflate = false }, device) {
    this.#device = device;
    const { scriptErrors, ...trust } = device;
    const allowed = Object.entries(header).filter(([name]) => name.toLowerCase() !== 'referer');
    this.#socket = new WebSocket(url, protocols, {
      ...trust,
      perMessageDeflate,
      headers: { ...Object.fromEntries(allowed), Referer: REFERER },
    });
    this.#socket.binaryType = 'arraybuffer';
    let head = {};
    this.#socket
      .on('upgrade', (answer) => (head = answer.headers))
      .on('open', () => this.#tell('open', { header: head, errMsg: 'connectSocket:ok' }))
      .on('message', (data, binary) => this.#tell('message', { data: binary ? data : Buffer.from(data).toString() }))
      .on('error', (error) => this.#tell('error', { errMsg: error.message }))
      .on('close', (code, reason) => this.#tell('close', { code, reason: reason.toString() }));
  }

  #tell(what, result) {
    for (const callback of this.#heard[what]) {
      try {
        callback(result);
      } catch (error) {
        // WeChat reports what a callback throws and goes on. weapp.socket.io throws when a connection fails to open.
        this.#device.scriptErrors?.push(error);
      }
    }
  }

  onOpen(callback) {
    this.#heard.open.push(callback);
  }

  onMessage(callback) {
    this.#heard.message.push(callback);
  }

  onError(callback) {
    this.#heard.error.push(callback);
  }

  onClose(callback) {
    this.#heard.close.push(callback);
  }

  send({ data, success, fail, complete }) {
    if (typeof data !== 'string' && !(data instanceof ArrayBuffer)) {
      fail?.({ errMsg: 'sendSocketMessage:fail data is neither a string nor an ArrayBuffer' });
      complete?.({});
      return;
    }
    this.#socket.send(data, (error) => {
      if (error) fail?.({ errMsg: `sendSocketMessage:fail ${error.message}` });
      else success?.({ errMsg: 'sendSocketMessage:ok' });
      complete?.({});
    });
  }

  close({ code = 1000, reason = '', success, complete } = {}) {
    this.#socket.close(code, reason);
    success?.({ errMsg: 'closeSocket:ok' });
    complete?.({});
  }
}

/**
 * A `wx` on a device that trusts `ca` and finds names by `lookup`, as the options of ws say it; exceptions of callbacks
 * are put in its `scriptErrors`.
 */
export function createWx(device = {}) {
  let latest;
  return {
    connectSocket(options) {
      latest = new SocketTask(options, device);
      options.success?.({ errMsg: 'connectSocket:ok' });
      options.complete?.({ errMsg: 'connectSocket:ok' });
      return latest;
    },
    onSocketOpen: (callback) => latest.onOpen(callback),
    onSocketMessage: (callback) => latest.onMessage(callback),
    onSocketError: (callback) => latest.onError(callback),
    onSocketClose: (callback) => latest.onClose(callback),
    sendSocketMessage: (options) => latest.send(options),
    closeSocket: (options) => latest.close(options),
  };
}

/** weapp.socket.io of that major version, in a world without browser objects and with this `wx`. */
export function weapp(major, wx) {
  const source = readFileSync(require.resolve(`weapp.socket.io-${major}`), 'utf8');
  const module = { exports: {} };
  const absent = ['self', 'document', 'navigator', 'WebSocket', 'XMLHttpRequest', 'Blob', 'File', 'FileReader', 'process', 'require'];
  new Function('window', 'wx', 'module', 'exports', ...absent, source)({}, wx, module, module.exports);
  return module.exports;
}
