//! A client that sends what it should not, and reads strictly what it is told.

use std::fmt;
use std::io;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::hostile::reader::shown;
use crate::support::TestServer;
use crate::support::Way;
use crate::support::Wire;

/// A connection of a client.
#[derive(Debug)]
pub(super) struct Client {
    wire: Wire,
    read: Vec<u8>,
    /// How the other side ended, once it has.
    end: Option<End>,
}

/// How the other side ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    InOrder,
    Abrupt,
}

/// What came in place of an answer, or an answer.
#[derive(Clone, Debug)]
pub(super) enum Heard {
    Whole(Answer),
    /// It broke off.
    Cut(Answer),
    /// The end of the connection.
    Nothing,
}

#[derive(Clone, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// In the order of the alphabet, without the status line.
    pub(super) lines: Vec<String>,
    pub(super) body: Vec<u8>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.lines, shown(&self.body))
    }
}

impl Client {
    /// On the short way nothing was said before; hyper has taken over behind a HEAD.
    pub(super) async fn connect(gate: &TestServer, way: Way) -> Self {
        let peer = match way {
            Way::Short => gate.connect().await,
            Way::Hyper => way.client(gate).await,
        };
        Self {
            wire: peer.into_wire(),
            read: Vec::new(),
            end: None,
        }
    }

    /// Sends, reading meanwhile: who does not read what it is told may be stuck with what it sends.
    pub(super) async fn send(&mut self, bytes: &[u8], at_a_time: usize) {
        let (mut reading, mut writing) = tokio::io::split(&mut self.wire);
        let write = async {
            for piece in bytes.chunks(at_a_time) {
                if writing.write_all(piece).await.is_err() || writing.flush().await.is_err() {
                    return;
                }
                if at_a_time == 1 {
                    tokio::task::yield_now().await;
                }
            }
        };
        tokio::pin!(write);
        loop {
            self.read.reserve(64 * 1024);
            tokio::select! {
                () = &mut write => return,
                read = reading.read_buf(&mut self.read), if self.end.is_none() => {
                    self.end = end(&read);
                }
            }
        }
    }

    /// Ends the own direction.
    pub(super) async fn leave(&mut self) {
        let _ = self.wire.shutdown().await;
    }

    /// The next answer. `Err` if it is none that is clear.
    pub(super) async fn answer(&mut self, to_head: bool) -> Result<Heard, String> {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|part| part == b"\r\n\r\n") {
                break at + 4;
            }
            if self.more().await.is_some() {
                if self.read.is_empty() {
                    return Ok(Heard::Nothing);
                }
                return Err(format!("half a head: {:?}", shown(&self.read)));
            }
        };
        let head: Vec<u8> = self.read.drain(..end).collect();
        let mut answer = read_head(&head)?;
        let framing = framing(&answer)?;
        let whole = match framing {
            _ if to_head || matches!(answer.status, 100..200 | 204 | 304) => true,
            Framing::Length(length) => {
                while self.read.len() < length && self.more().await.is_none() {}
                let there = self.read.len().min(length);
                answer.body = self.read.drain(..there).collect();
                there == length
            }
            Framing::Chunked => self.chunks(&mut answer.body).await?,
            Framing::Close => {
                let end = self.rest().await;
                answer.body = std::mem::take(&mut self.read);
                end == End::InOrder
            }
        };
        Ok(if whole {
            Heard::Whole(answer)
        } else {
            Heard::Cut(answer)
        })
    }

    /// Reads to the end, and says how that came.
    pub(super) async fn rest(&mut self) -> End {
        loop {
            if let Some(end) = self.more().await {
                return end;
            }
        }
    }

    /// What is read and belongs to no answer.
    pub(super) fn unread(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.read)
    }

    async fn more(&mut self) -> Option<End> {
        if self.end.is_none() {
            self.read.reserve(64 * 1024);
            let read = self.wire.read_buf(&mut self.read).await;
            self.end = end(&read);
        }
        self.end
    }

    /// Whether the last one came.
    async fn chunks(&mut self, body: &mut Vec<u8>) -> Result<bool, String> {
        loop {
            let Some(line) = self.line().await else {
                return Ok(false);
            };
            let size = str::from_utf8(&line)
                .ok()
                .and_then(|line| line.strip_suffix("\r\n"))
                .and_then(|line| usize::from_str_radix(line, 16).ok())
                .ok_or_else(|| format!("no chunk size: {:?}", shown(&line)))?;
            while self.read.len() < size + 2 && self.more().await.is_none() {}
            if self.read.len() < size + 2 {
                body.append(&mut self.read);
                return Ok(false);
            }
            body.extend(self.read.drain(..size));
            let behind: Vec<u8> = self.read.drain(..2).collect();
            if behind != b"\r\n" {
                return Err(format!("behind a chunk: {:?}", shown(&behind)));
            }
            if size == 0 {
                return Ok(true);
            }
        }
    }

    async fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.read.iter().position(|byte| *byte == b'\n') {
                return Some(self.read.drain(..=at).collect());
            }
            if self.more().await.is_some() {
                return None;
            }
        }
    }
}

fn end(read: &io::Result<usize>) -> Option<End> {
    match read {
        Ok(0) => Some(End::InOrder),
        Ok(_) => None,
        Err(_) => Some(End::Abrupt),
    }
}

fn read_head(head: &[u8]) -> Result<Answer, String> {
    let wrong = || format!("no clear head: {:?}", shown(head));
    // Latin-1, so that no byte is lost or merged.
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let mut lines: Vec<String> = text
        .strip_suffix("\r\n\r\n")
        .ok_or_else(wrong)?
        .split("\r\n")
        .map(str::to_owned)
        .collect();
    if lines.iter().any(|line| line.contains(['\r', '\n', '\0'])) {
        return Err(wrong());
    }
    let status = lines.remove(0);
    // To a request of HTTP/1.0 hyper answers in that.
    let version_is_old = status.starts_with("HTTP/1.0 ");
    let status = status
        .strip_prefix("HTTP/1.1 ")
        .or(status.strip_prefix("HTTP/1.0 "))
        .and_then(|rest| rest.get(..3))
        .and_then(|status| status.parse().ok())
        .ok_or_else(wrong)?;
    let names_are_clear = lines.iter().all(|line| {
        line.split_once(':')
            .is_some_and(|(name, _)| !name.is_empty() && !name.contains([' ', '\t']))
    });
    let is_coded = |line: &String| line.to_ascii_lowercase().starts_with("transfer-encoding:");
    if !names_are_clear || (version_is_old && lines.iter().any(is_coded)) {
        return Err(wrong());
    }
    lines.sort_unstable();
    Ok(Answer {
        status,
        lines,
        body: Vec::new(),
    })
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    Length(usize),
    Chunked,
    Close,
}

fn framing(answer: &Answer) -> Result<Framing, String> {
    let values = |name: &str| -> Vec<&str> {
        answer
            .lines
            .iter()
            .filter_map(|line| line.split_once(':'))
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    };
    match (
        values("content-length").as_slice(),
        values("transfer-encoding").as_slice(),
    ) {
        ([], []) => Ok(Framing::Close),
        ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => length
            .parse()
            .map(Framing::Length)
            .map_err(|_| format!("a length that is none: {length}")),
        ([], ["chunked"]) => Ok(Framing::Chunked),
        _ => Err(format!("framed in no clear way: {:?}", answer.lines)),
    }
}
