// The language server that VS Code, Neovim and Helix ask about YAML, spoken to as they do: JSON-RPC over its stdio.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { start } from './child.mjs';
import { DEADLINE, within } from './wait.mjs';

const PACKAGE = createRequire(import.meta.url).resolve('yaml-language-server/package.json');

/** What an editor would have set by hand; nothing that comes from a network, and no schema. */
const SETTINGS = {
  yaml: {
    validate: true,
    hover: true,
    completion: true,
    schemaStore: { enable: false, url: '' },
    kubernetesCRDStore: { enable: false },
  },
};

const CAPABILITIES = {
  workspace: { configuration: true },
  textDocument: {
    completion: { completionItem: { snippetSupport: true, documentationFormat: ['markdown', 'plaintext'] } },
    hover: { contentFormat: ['markdown', 'plaintext'] },
    publishDiagnostics: { relatedInformation: true },
  },
};

class Server {
  #child;
  #unread = Buffer.alloc(0);
  #questions = new Map();
  #watched = new Map();
  #number = 0;

  constructor(child) {
    this.#child = child;
    child.stdout.on('data', (bytes) => this.#hear(bytes));
    child.exited.then(({ code }) => {
      for (const { refuse } of this.#questions.values()) refuse(new Error(`the language server ended with ${code}`));
    });
  }

  #hear(bytes) {
    this.#unread = Buffer.concat([this.#unread, bytes]);
    for (;;) {
      const end = this.#unread.indexOf('\r\n\r\n');
      if (end < 0) return;
      const length = Number(/Content-Length: (\d+)/i.exec(this.#unread.subarray(0, end).toString())[1]);
      if (this.#unread.length < end + 4 + length) return;
      const message = JSON.parse(this.#unread.subarray(end + 4, end + 4 + length).toString());
      this.#unread = this.#unread.subarray(end + 4 + length);
      this.#take(message);
    }
  }

  #take({ id, method, params, result, error }) {
    if (method === 'textDocument/publishDiagnostics') {
      this.#watched.get(params.uri)?.(params.diagnostics);
    } else if (method === 'workspace/configuration') {
      this.#say({ id, result: params.items.map(({ section }) => SETTINGS[section] ?? null) });
    } else if (method && id !== undefined) {
      this.#say({ id, result: null });
    } else if (!method) {
      const { answer, refuse } = this.#questions.get(id);
      this.#questions.delete(id);
      if (error) refuse(new Error(error.message));
      else answer(result);
    }
  }

  #say(message) {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    this.#child.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  tell(method, params) {
    this.#say({ method, params });
  }

  ask(method, params) {
    const id = (this.#number += 1);
    const answer = new Promise((answer, refuse) => this.#questions.set(id, { answer, refuse }));
    this.#say({ id, method, params });
    return within(DEADLINE, answer, `the language server's answer to ${method}`);
  }

  /**
   * Opens a file with `text`, which is not on the disk, beside those of `folder`: its address, and what the server says
   * about it. Each has a name of its own, since the server remembers what it read and clears what it said.
   */
  async #open(folder, text) {
    const uri = pathToFileURL(join(folder, `routes-${(this.#number += 1)}.yaml`)).href;
    const said = new Promise((resolve) => this.#watched.set(uri, resolve));
    this.tell('textDocument/didOpen', { textDocument: { uri, languageId: 'yaml', version: 1, text } });
    const problems = await within(DEADLINE, said, `what the language server says about\n${text}`);
    this.#watched.delete(uri);
    return { uri, problems };
  }

  #close({ uri }) {
    this.tell('textDocument/didClose', { textDocument: { uri } });
  }

  /** What it finds wrong with `text`, as `line:column message`, both from 1. */
  async problems(folder, text) {
    const opened = await this.#open(folder, text);
    this.#close(opened);
    return opened.problems
      .map(({ range: { start }, message }) => ({ line: start.line + 1, column: start.character + 1, message }))
      .sort((one, other) => one.line - other.line || one.column - other.column)
      .map(({ line, column, message }) => `${line}:${column} ${message}`);
  }

  /** What it offers where `|` stands in `text`: items with a label, what is inserted, and documentation. */
  async offers(folder, text) {
    const { items } = await this.#at(folder, text, 'textDocument/completion');
    return items;
  }

  /** What it shows about the word at which `|` stands in `text`, in Markdown. */
  async hover(folder, text) {
    const shown = await this.#at(folder, text, 'textDocument/hover');
    return shown?.contents.value ?? '';
  }

  async #at(folder, text, method) {
    const { whole, position } = cursor(text);
    const opened = await this.#open(folder, whole);
    const answer = await this.ask(method, { textDocument: { uri: opened.uri }, position });
    this.#close(opened);
    return answer;
  }
}

/** `text` without its `|`, and where that stood. */
function cursor(text) {
  const [before, after] = text.split('|');
  const lines = before.split('\n');
  return { whole: before + after, position: { line: lines.length - 1, character: lines.at(-1).length } };
}

/** A language server that is open for files below `folder`, started behind `command`, if there is one. */
export async function languageServer(ring, folder, command = []) {
  const { bin } = JSON.parse(await readFile(PACKAGE, 'utf8'));
  const program = join(dirname(PACKAGE), bin['yaml-language-server']);
  const [first, ...rest] = [...command, process.execPath, program, '--stdio'];
  const child = start(first, rest, { stdio: ['pipe', 'pipe', 'pipe'] });
  let words = '';
  child.stderr.on('data', (data) => (words += data));
  // It may be gone while something is still said to it; what waits for an answer hears of that.
  child.stdin.on('error', () => {});
  ring.onFailure(async () => words);
  ring.onEnd(async () => {
    child.kill('SIGKILL');
    await child.exited;
  });
  const server = new Server(child);
  const rootUri = pathToFileURL(folder).href;
  await server.ask('initialize', { processId: process.pid, rootUri, capabilities: CAPABILITIES });
  server.tell('initialized', {});
  server.tell('workspace/didChangeConfiguration', { settings: SETTINGS });
  return server;
}
