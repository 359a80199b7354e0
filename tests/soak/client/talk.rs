//! What is said through a client's end of a tunnel, and what is heard.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use tokio::time::sleep_until;

use crate::dice::Dice;
use crate::doors::Entrance;
use crate::message::Account;
use crate::message::End;
use crate::message::Kind;
use crate::message::Side;
use crate::message::Wrong;
use crate::message::body;
use crate::world::World;

/// A client's end of a tunnel, apart from its socket.
#[derive(Debug)]
pub(super) struct Talk<'w> {
    pub(super) world: &'w World,
    pub(super) entrance: Entrance,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    end: End,
    /// When what was asked that is not answered yet.
    asked: HashMap<u64, Instant>,
    /// Nothing is read before.
    reads_again: Instant,
    /// Answers until then wait behind many other bytes, so that their time says nothing.
    crowded: Instant,
}

/// How a tunnel ended, as it is heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// The upstream has said its last, and the end of the stream is behind it.
    Last,
    /// It ended otherwise.
    Cut(String),
    /// What must never be.
    Wrong(#[allow(dead_code, reason = "for its Debug")] String),
    /// No end came.
    Hung,
}

impl From<Wrong> for Heard {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong.to_string())
    }
}

/// What may be said in the middle of a talk.
#[derive(Clone, Copy)]
enum Step {
    Ask,
    AskMuch,
    Push,
    Burst,
    ReadSlowly,
    ReadMuchSlowly,
}

impl<'w> Talk<'w> {
    pub(super) fn new(world: &'w World, entrance: Entrance, id: u64) -> Self {
        let now = Instant::now();
        let state = State {
            end: End::new(id, Side::Client),
            asked: HashMap::new(),
            reads_again: now,
            crowded: now,
        };
        Self {
            world,
            entrance,
            state: state.into(),
        }
    }

    pub(super) fn account(&self) -> Account {
        self.state.borrow().end.account()
    }

    pub(super) fn unacknowledged(&self) -> u64 {
        self.state.borrow().end.unacknowledged()
    }

    /// Hears the upstream until its end.
    pub(super) async fn hear(
        &self,
        from: &mut (impl AsyncReadExt + Unpin),
        first: Vec<u8>,
    ) -> Heard {
        match self.listen(from, first).await {
            Ok(heard) | Err(heard) => heard,
        }
    }

    async fn listen(
        &self,
        from: &mut (impl AsyncReadExt + Unpin),
        first: Vec<u8>,
    ) -> Result<Heard, Heard> {
        let mut buffer = vec![0; 16 * 1024];
        let mut closed = false;
        self.state.borrow_mut().end.feed(&first);
        loop {
            while let Some(message) = { self.state.borrow_mut().end.next()? } {
                if closed {
                    return Err(Heard::Wrong("a message behind the last".to_owned()));
                }
                closed = message.kind == Kind::Close;
                if message.kind == Kind::Answer {
                    let number = message
                        .body
                        .first_chunk()
                        .map(|number| u64::from_be_bytes(*number));
                    let asked =
                        number.and_then(|number| self.state.borrow_mut().asked.remove(&number));
                    let Some(asked) = asked else {
                        return Err(Heard::Wrong(format!(
                            "an answer to {number:?}, which was not asked"
                        )));
                    };
                    if asked >= self.state.borrow().crowded {
                        self.world.answered(self.entrance, asked);
                    }
                }
            }
            let reads_again = self.state.borrow().reads_again;
            sleep_until(reads_again).await;
            match from.read(&mut buffer).await {
                Ok(0) if closed => return Ok(Heard::Last),
                Ok(0) => return Err(Heard::Cut("the end of the stream".to_owned())),
                Ok(read) => self.state.borrow_mut().end.feed(&buffer[..read]),
                Err(error) => return Err(Heard::Cut(format!("reading: {error}"))),
            }
        }
    }

    /// One thing to say in the middle of a talk.
    pub(super) async fn step(
        &self,
        to: &mut (impl AsyncWriteExt + Unpin),
        dice: &mut Dice,
    ) -> io::Result<()> {
        let step = dice.weighted(&[
            (Step::Ask, 800),
            (Step::AskMuch, 30),
            (Step::Push, 90),
            (Step::Burst, 70),
            (Step::ReadSlowly, 9),
            (Step::ReadMuchSlowly, 1),
        ]);
        let crowd = |lasts: Duration| {
            let mut state = self.state.borrow_mut();
            state.crowded = state.crowded.max(Instant::now() + lasts);
        };
        let (count, length): (u32, u32) = match step {
            Step::Ask => {
                let length = dice.size(0, 300);
                return self.say(to, Kind::Ask, body(dice, length)).await;
            }
            Step::AskMuch => {
                crowd(Duration::from_secs(1));
                let length = dice.size(300, 100_000);
                return self.say(to, Kind::Ask, body(dice, length)).await;
            }
            Step::Push => {
                let length = dice.size(0, 2000);
                return self.say(to, Kind::Push, body(dice, length)).await;
            }
            Step::Burst => (dice.between(2, 20) as u32, dice.between(0, 1000) as u32),
            Step::ReadSlowly => (8, 32 * 1024),
            Step::ReadMuchSlowly => (64, 128 * 1024),
        };
        crowd(Duration::from_secs(1));
        if matches!(step, Step::ReadSlowly | Step::ReadMuchSlowly) {
            let until = Instant::now() + dice.pause(Duration::from_secs(3));
            crowd(Duration::from_secs(20));
            self.state.borrow_mut().reads_again = until;
        }
        self.say(
            to,
            Kind::Burst,
            &[count.to_be_bytes(), length.to_be_bytes()].concat(),
        )
        .await
    }

    /// Says one message.
    pub(super) async fn say(
        &self,
        to: &mut (impl AsyncWriteExt + Unpin),
        kind: Kind,
        body: &[u8],
    ) -> io::Result<()> {
        let frame = {
            let mut state = self.state.borrow_mut();
            let frame = state.end.frame(kind, body);
            if kind == Kind::Ask {
                let number = state.end.account().sent;
                state.asked.insert(number, Instant::now());
            }
            frame
        };
        to.write_all(&frame).await?;
        to.flush().await
    }

    /// Says the beginning of a message.
    pub(super) async fn say_part(
        &self,
        to: &mut (impl AsyncWriteExt + Unpin),
        dice: &mut Dice,
    ) -> io::Result<()> {
        let part = self.state.borrow_mut().end.part(body(dice, 3000), dice);
        to.write_all(&part).await?;
        to.flush().await
    }
}
