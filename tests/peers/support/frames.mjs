// WebSocket frames as they are on the wire (RFC 6455, section 5.2), for tests that count fragments and bytes.

/** The frames of `bytes` as `{ fin, rsv1, opcode, length }`; a frame that is not whole ends the list. */
export function frames(bytes) {
  const found = [];
  for (let at = 0; at + 2 <= bytes.length; ) {
    const masked = bytes[at + 1] & 0x80;
    let length = bytes[at + 1] & 0x7f;
    let head = 2;
    if (length === 126) [length, head] = [bytes.readUInt16BE(at + 2), 4];
    else if (length === 127) [length, head] = [Number(bytes.readBigUInt64BE(at + 2)), 10];
    if (masked) head += 4;
    if (at + head + length > bytes.length) break;
    found.push({ fin: bytes[at] >= 0x80, rsv1: (bytes[at] & 0x40) !== 0, opcode: bytes[at] & 0x0f, length });
    at += head + length;
  }
  return found;
}

/** A client's frame, with a mask that changes nothing: no byte on the wire is a matter of chance. */
export function frame(opcode, payload, { fin = true } = {}) {
  const data = Buffer.from(payload);
  const head = [(fin ? 0x80 : 0) | opcode];
  if (data.length < 126) head.push(0x80 | data.length);
  else head.push(0x80 | 126, data.length >> 8, data.length & 0xff);
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), data]);
}

export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
