//! The upstream's end of a tunnel.

use std::io;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio::time::sleep_until;

use crate::dice::Dice;
use crate::http::Http;
use crate::message::End;
use crate::message::Kind;
use crate::message::Message;
use crate::message::Side;
use crate::message::Wrong;
use crate::message::body;
use crate::upstream::report;

/// How often it says something unasked.
const PUSHES: Duration = Duration::from_secs(8);

/// Why a tunnel is over without its client's end.
enum Stop {
    Wrong(Wrong),
    Broken(io::Error),
    /// The client wanted it so.
    Reset,
}

impl From<Wrong> for Stop {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

struct Tunnel {
    stream: TcpStream,
    end: End,
    dice: Dice,
    /// It has said its last.
    closed: bool,
}

pub(super) async fn serve(http: Http<TcpStream>, id: u64, seed: u64) {
    let mut tunnel = Tunnel {
        stream: http.stream,
        end: End::new(id, Side::Upstream),
        dice: Dice::of(seed, id),
        closed: false,
    };
    let ended = tunnel.run(&http.read).await;
    let account = tunnel.end.account();
    match ended {
        Ok(()) => report(id, account, "fin", "-"),
        Err(Stop::Wrong(wrong)) => report(id, account, "wrong", wrong),
        Err(Stop::Broken(error)) => report(id, account, "broken", error),
        Err(Stop::Reset) => report(id, account, "reset", "-"),
    }
}

impl Tunnel {
    async fn run(&mut self, first: &[u8]) -> Result<(), Stop> {
        self.take(first).await?;
        let mut buffer = vec![0; 32 * 1024];
        let mut push = Instant::now() + self.dice.pause(PUSHES);
        loop {
            let read = tokio::select! {
                read = self.stream.read(&mut buffer) => read?,
                () = sleep_until(push), if !self.closed => {
                    push = Instant::now() + self.dice.pause(PUSHES);
                    let length = self.dice.size(0, 300);
                    self.say(Kind::Push, length).await?;
                    continue;
                }
            };
            if read == 0 {
                return Ok(self.close().await?);
            }
            self.take(&buffer[..read]).await?;
        }
    }

    async fn take(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.end.feed(bytes);
        while let Some(message) = self.end.next()? {
            if !self.closed {
                self.act(message).await?;
            }
        }
        Ok(())
    }

    async fn act(&mut self, Message { kind, body }: Message) -> Result<(), Stop> {
        match kind {
            Kind::Ask => {
                let number = self.end.account().got;
                let mut answer = number.to_be_bytes().to_vec();
                answer.extend(&body);
                let frame = self.end.frame(Kind::Answer, &answer);
                self.stream.write_all(&frame).await?;
            }
            Kind::Burst => {
                let field = |at: usize| {
                    body.get(at..at + 4)
                        .map(|bytes| bytes.try_into().map(u32::from_be_bytes))
                };
                let (Some(Ok(count)), Some(Ok(length))) = (field(0), field(4)) else {
                    return Err(io::Error::other("a burst of what?").into());
                };
                for _ in 0..count {
                    self.say(Kind::Push, length as usize).await?;
                }
            }
            Kind::YouFirst => {
                self.say(Kind::Push, 100).await?;
                self.close().await?;
            }
            Kind::Close => self.close().await?,
            Kind::Reset => {
                let zero = Some(Duration::ZERO);
                SockRef::from(&self.stream).set_linger(zero)?;
                return Err(Stop::Reset);
            }
            Kind::Push | Kind::Answer => {}
        }
        Ok(())
    }

    async fn say(&mut self, kind: Kind, length: usize) -> io::Result<()> {
        let frame = self.end.frame(kind, body(&mut self.dice, length));
        self.stream.write_all(&frame).await
    }

    /// Says its last, once.
    async fn close(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        self.closed = true;
        self.say(Kind::Close, 0).await?;
        self.stream.shutdown().await
    }
}
