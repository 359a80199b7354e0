//! A log line as bytes, exactly as tracing-subscriber's formatters write an event with the same fields.
//!
//! Rare lines go through `tracing`, and those of the access log do not, since that costs three times as much. All of them stand
//! in one log, so they must look alike: a test compares both for random values.

use std::fmt;
use std::fmt::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::time::SystemTime;

use tracing::Level;

use crate::observe::timestamp;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LineFormat {
    /// `2026-12-01T04:05:06.123456Z  INFO request status=200`
    Text,
    /// [`Text`](Self::Text) with the colours that a terminal understands.
    ColouredText,
    /// `{"timestamp":"2026-12-01T04:05:06.123456Z","level":"INFO","message":"request","status":200}`
    Json,
}

/// With what a line begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heading {
    pub(super) now: SystemTime,
    pub(super) level: Level,
    /// It has no character that would have to be escaped.
    pub(super) message: &'static str,
}

/// Appends one line to a buffer, field by field. Allocates nothing but room in the buffer.
#[derive(Debug)]
pub(super) struct LineEncoder<'a> {
    line: &'a mut Vec<u8>,
    format: LineFormat,
}

impl<'a> LineEncoder<'a> {
    /// A line that begins so.
    pub(super) fn begin(line: &'a mut Vec<u8>, format: LineFormat, heading: Heading) -> Self {
        let Heading {
            now,
            level,
            message,
        } = heading;
        match format {
            LineFormat::Text => {
                timestamp::push(line, now);
                line.push(b' ');
                line.extend_from_slice(padded(level).as_bytes());
                line.push(b' ');
                line.extend_from_slice(message.as_bytes());
            }
            LineFormat::ColouredText => {
                line.extend_from_slice(b"\x1b[2m");
                timestamp::push(line, now);
                line.extend_from_slice(b"\x1b[0m ");
                line.extend_from_slice(match level {
                    Level::ERROR => b"\x1b[31m",
                    Level::WARN => b"\x1b[33m",
                    _ => b"\x1b[32m",
                });
                line.extend_from_slice(padded(level).as_bytes());
                line.extend_from_slice(b"\x1b[0m ");
                line.extend_from_slice(message.as_bytes());
            }
            LineFormat::Json => {
                line.extend_from_slice(b"{\"timestamp\":\"");
                timestamp::push(line, now);
                line.extend_from_slice(b"\",\"level\":\"");
                line.extend_from_slice(padded(level).trim_start().as_bytes());
                line.extend_from_slice(b"\",\"message\":\"");
                line.extend_from_slice(message.as_bytes());
                line.push(b'"');
            }
        }
        Self { line, format }
    }

    /// Ends the line.
    pub(super) fn end(self) {
        if self.format == LineFormat::Json {
            self.line.push(b'}');
        }
        self.line.push(b'\n');
    }

    /// A field whose value is a number.
    pub(super) fn number(&mut self, name: FieldName, value: u64) {
        self.name(name);
        let mut digits = [0; 20];
        self.line.extend_from_slice(decimal(value, &mut digits));
    }

    /// A field whose value is text.
    pub(super) fn text(&mut self, name: FieldName, value: &str) {
        self.written(name, |to| to.write_str(value));
    }

    /// A field whose value is text that is written piece by piece.
    pub(super) fn written(
        &mut self,
        name: FieldName,
        write: impl FnOnce(&mut Escaped<'_>) -> fmt::Result,
    ) {
        self.name(name);
        self.line.push(b'"');
        let mut escaped = Escaped {
            line: &mut *self.line,
            format: self.format,
        };
        // Neither the buffer nor a value of the log refuses anything.
        let _ = write(&mut escaped);
        self.line.push(b'"');
    }

    /// A field whose value is an address without a port.
    pub(super) fn ip_addr(&mut self, name: FieldName, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.ipv4(name, ip, None),
            IpAddr::V6(ip) => self.written(name, |to| write!(to, "{ip}")),
        }
    }

    /// A field whose value is an address with a port.
    pub(super) fn socket_addr(&mut self, name: FieldName, address: SocketAddr) {
        match address {
            SocketAddr::V4(address) => self.ipv4(name, *address.ip(), Some(address.port())),
            SocketAddr::V6(address) => self.written(name, |to| write!(to, "{address}")),
        }
    }

    /// Writes an IPv4 address digit by digit: most addresses are such, and the standard library's way takes ten times as long.
    fn ipv4(&mut self, name: FieldName, ip: Ipv4Addr, port: Option<u16>) {
        self.name(name);
        let mut mark = b'"';
        for octet in ip.octets() {
            self.line.push(mark);
            if octet >= 100 {
                self.line.push(b'0' + octet / 100);
            }
            if octet >= 10 {
                self.line.push(b'0' + octet / 10 % 10);
            }
            self.line.push(b'0' + octet % 10);
            mark = b'.';
        }
        if let Some(port) = port {
            self.line.push(b':');
            let mut digits = [0; 20];
            let port = decimal(port.into(), &mut digits);
            self.line.extend_from_slice(port);
        }
        self.line.push(b'"');
    }

    fn name(&mut self, name: FieldName) {
        let name = match self.format {
            LineFormat::Text => name.text,
            LineFormat::ColouredText => name.coloured,
            LineFormat::Json => name.json,
        };
        self.line.extend_from_slice(name.as_bytes());
    }
}

/// What stands before a field's value in each format; [`field_name`] makes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldName {
    pub(super) text: &'static str,
    pub(super) coloured: &'static str,
    pub(super) json: &'static str,
}

/// The [`FieldName`] of a literal.
macro_rules! field_name {
    ($name:literal) => {
        $crate::observe::line_encoder::FieldName {
            text: concat!(" ", $name, "="),
            coloured: concat!(" \x1b[3m", $name, "\x1b[0m\x1b[2m=\x1b[0m"),
            json: concat!(",\"", $name, "\":"),
        }
    };
}

pub(super) use field_name;

/// The inside of a text value, where what is written is escaped.
#[derive(Debug)]
pub(super) struct Escaped<'a> {
    line: &'a mut Vec<u8>,
    format: LineFormat,
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().all(is_plain) {
            self.line.extend_from_slice(text.as_bytes());
        } else if self.format == LineFormat::Json {
            push_json(self.line, text);
        } else {
            push_debug(self.line, text);
        }
        Ok(())
    }
}

/// Whether no format escapes this byte.
fn is_plain(byte: u8) -> bool {
    const PLAIN: [bool; 256] = {
        let mut plain = [false; 256];
        let mut byte = 0x20;
        while byte < 0x7f {
            plain[byte] = byte != b'"' as usize && byte != b'\\' as usize;
            byte += 1;
        }
        plain
    };
    PLAIN[usize::from(byte)]
}

/// A level's name, padded to the width of the longest one.
fn padded(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => " WARN",
        Level::INFO => " INFO",
        Level::DEBUG => "DEBUG",
        _ => "TRACE",
    }
}

/// Appends text as serde_json writes the inside of a string (RFC 8259 §7).
fn push_json(line: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', byte]),
            0x08 => line.extend_from_slice(b"\\b"),
            0x09 => line.extend_from_slice(b"\\t"),
            0x0a => line.extend_from_slice(b"\\n"),
            0x0c => line.extend_from_slice(b"\\f"),
            0x0d => line.extend_from_slice(b"\\r"),
            0x00..=0x1f => {
                let hex = |digit: u8| b"0123456789abcdef"[usize::from(digit)];
                line.extend_from_slice(b"\\u00");
                line.extend_from_slice(&[hex(byte >> 4), hex(byte & 15)]);
            }
            _ => line.push(byte),
        }
    }
}

/// Appends text as the `Debug` of a string writes it between its quotes.
fn push_debug(line: &mut Vec<u8>, text: &str) {
    let mut push = |c: char| line.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    for c in text.chars() {
        match c {
            // `Debug` escapes it in a character only, whose end it could be.
            '\'' => push(c),
            _ => c.escape_debug().for_each(&mut push),
        }
    }
}

/// A number's digits, at the end of `room`.
fn decimal(mut number: u64, room: &mut [u8; 20]) -> &[u8] {
    let mut from = room.len();
    loop {
        from -= 1;
        room[from] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 || from == 0 {
            break;
        }
    }
    &room[from..]
}
