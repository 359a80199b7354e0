//! Requests made at random, near enough to right ones that many pass.

use crate::nginx_locations::random::Random;

/// What one client sends over one connection.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) bytes: Vec<u8>,
    pub(super) requests: usize,
}

/// The most requests on one connection.
const MOST: usize = 8;

const METHODS: [&str; 12] = [
    "GET", "GET", "GET", "GET", "POST", "POST", "POST", "POST", "PUT", "DELETE", "OPTIONS", "get",
];

const TARGETS: [&str; 16] = [
    "",
    "",
    "",
    "",
    "",
    "?a=b",
    "/a/../b",
    "/%2e%2e/x",
    "#f",
    "//x",
    "?\r",
    "/%00",
    "/%0d%0aX:y",
    "/..;/",
    "?a b",
    "\\x",
];

/// Lines that have nothing to do with framing, and some that look as if they had.
const LINES: [&str; 40] = [
    "Accept: */*",
    "Cookie: a=b; c=d",
    "Origin: null",
    "User-Agent: x",
    "Accept: */*",
    "Cookie: a=b; c=d",
    "Origin: null",
    "X-Empty:",
    "X-Tab:\ta\t",
    "X-High: \u{e9}",
    "X: a\r\n b",
    "X: a\n b",
    "X: a\rb",
    "X: a\0b",
    "X : a",
    "X_Y: a",
    "X_Content_Length: 5",
    "Content_Length: 5",
    "Transfer_Encoding: chunked",
    "X: Content-Length: 5",
    "X: a\nContent-Length: 3",
    "X: a\nTransfer-Encoding: chunked",
    "Connection: Content-Length",
    "Connection: Transfer-Encoding, Host",
    "Connection: keep-alive",
    "Connection: X, Y",
    "Connection: upgrade",
    "Upgrade: h2c",
    "Upgrade: websocket",
    "TE: chunked",
    "Trailer: Content-Length",
    "Expect: 100-continue",
    "Keep-Alive: 5",
    "X-Forwarded-For: 9.9.9.9",
    "Forwarded: for=9.9.9.9",
    "Host: evil.test",
    "Content-Type: text/plain",
    "X: y, z",
    "Transfer-Encoding\u{b}: chunked",
    "Content-Length\u{a0}: 5",
];

/// Names and values by which framing may be spelled.
const LENGTH_NAMES: [&str; 8] = [
    "Content-Length: ",
    "content-length: ",
    "CONTENT-LENGTH:",
    "Content-Length:\t",
    "Content-Length : ",
    " Content-Length: ",
    "Content-Length\t: ",
    "Content-Length:\r\n ",
];
const CODINGS: [&str; 24] = [
    "Transfer-Encoding: chunked",
    "transfer-encoding: chunked",
    "Transfer-Encoding:chunked",
    "Transfer-Encoding: Chunked",
    "Transfer-Encoding:\tchunked\t",
    "Transfer-Encoding: , chunked",
    "Transfer-Encoding : chunked",
    " Transfer-Encoding: chunked",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunkedx",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\u{b}",
    "Transfer-Encoding: \0chunked",
    "X: y\nTransfer-Encoding: chunked",
    "Transfer-Encoding\0: chunked",
    "Transfer-Encoding:",
    "Transfer_Encoding: chunked",
];
const SIZES: [&str; 16] = [
    "", "", "", "", "", "0", "00", ";a", ";a=\"b\"", " ", "\t", ";a\n", "x", ";\r", "0x", "\u{b}",
];
const BODIES: [&str; 8] = [
    "hello",
    "",
    "0\r\n\r\n",
    "x",
    "5\r\nhello\r\n0\r\n\r\n",
    "GET /evil HTTP/1.1\r\nHost: chat.test\r\n\r\n",
    "POST /evil HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 9999\r\n\r\n",
    "\r\n\r\n",
];
const SPICES: [&[u8]; 14] = [
    b"\r\n",
    b"\r",
    b"\n",
    b" ",
    b"\t",
    b":",
    b",",
    b"\0",
    b"\xff",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b" HTTP/1.1",
];

/// The `number`th client of this seed; the target of each of its requests begins with a number of its own.
pub(super) fn client(seed: u64, number: usize) -> Sent {
    let mut random = Random::of(seed, number);
    let requests = 1 + random.below(MOST);
    let mut bytes = Vec::new();
    for which in 0..requests {
        let mut request = request(&mut random, number * MOST + which);
        if random.percent(3) {
            spoil(&mut request, &mut random);
        }
        bytes.extend(request);
    }
    Sent { bytes, requests }
}

fn request(random: &mut Random, number: usize) -> Vec<u8> {
    // Most requests are right but for one thing, or a stream would end at its first.
    let is_odd = random.percent(20);
    let mut text = Vec::new();
    let method = random.pick(&METHODS);
    let target = if is_odd { random.pick(&TARGETS) } else { "" };
    let origin = if random.percent(4) {
        "http://chat.test"
    } else {
        ""
    };
    let version = if is_odd && random.percent(5) {
        "HTTP/1.0"
    } else {
        "HTTP/1.1"
    };
    text.extend(format!("{method} {origin}/{number}{target} {version}").bytes());
    let mut lines = vec!["Host: chat.test".to_owned()];
    for _ in 0..random.below(4) {
        let from = if is_odd { LINES.len() } else { 7 };
        lines.push(random.pick(&LINES[..from]).to_owned());
    }
    let body = framed(
        random,
        is_odd,
        method == "GET" || method == "get",
        &mut lines,
    );
    let at = random.below(lines.len());
    lines.swap(0, at);
    for line in &lines {
        text.extend(end(random, is_odd));
        // Latin-1, so that one byte beyond ASCII is one.
        text.extend(line.chars().map(|one| one as u8));
    }
    text.extend(end(random, is_odd));
    text.extend(end(random, is_odd));
    text.extend(body);
    text
}

/// Adds lines that say where the body ends, and returns it.
fn framed(random: &mut Random, is_odd: bool, is_get: bool, lines: &mut Vec<String>) -> Vec<u8> {
    let content = random.pick(&BODIES);
    let kind = if is_get && !is_odd {
        0
    } else {
        random.below(10)
    };
    match kind {
        0..=1 => Vec::new(),
        2..=4 => {
            let mut length = content.len();
            if is_odd && random.percent(20) {
                length = (length + random.below(7)).saturating_sub(3);
            }
            let name = if is_odd {
                random.pick(&LENGTH_NAMES)
            } else {
                LENGTH_NAMES[0]
            };
            lines.push(format!("{name}{length}"));
            if is_odd && random.percent(25) {
                let other = length + random.below(2);
                lines.push(format!("{}{other}", random.pick(&LENGTH_NAMES)));
            }
            content.into()
        }
        _ => {
            let coding = if is_odd {
                random.pick(&CODINGS)
            } else {
                CODINGS[0]
            };
            lines.push(coding.to_owned());
            if is_odd && random.percent(20) {
                lines.push(format!("Content-Length: {}", random.below(60)));
            }
            chunks(random, is_odd, content)
        }
    }
}

fn chunks(random: &mut Random, is_odd: bool, content: &str) -> Vec<u8> {
    let mut text = Vec::new();
    if !content.is_empty() {
        let odd = if is_odd { random.pick(&SIZES) } else { "" };
        let before = if matches!(odd, "0" | "00" | "0x") {
            odd
        } else {
            ""
        };
        let behind = if before.is_empty() { odd } else { "" };
        let size = content.len();
        text.extend(format!("{before}{size:x}{behind}\r\n{content}\r\n").bytes());
    }
    text.extend(b"0\r\n");
    if is_odd && random.percent(20) {
        let line = random.pick(&LINES);
        text.extend(line.chars().map(|one| one as u8));
        text.extend(b"\r\n");
    }
    text.extend(b"\r\n");
    text
}

fn end(random: &mut Random, is_odd: bool) -> &'static [u8] {
    if is_odd && random.percent(3) {
        random.pick(&[&b"\n"[..], b"\r", b"\r\r\n", b"\n\r"])
    } else {
        b"\r\n"
    }
}

/// Changes some bytes, wherever they are.
fn spoil(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] = random.below(256) as u8,
            1 if bytes.len() > 1 => {
                bytes.remove(at);
            }
            2 => {
                let spice = random.pick(&SPICES);
                bytes.splice(at..at, spice.iter().copied());
            }
            _ => {
                let end = bytes.len().min(at + random.below(40));
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, copy);
            }
        }
    }
}
