//! A client that polls: one connection for the held GETs and one for the POSTs, as a browser has them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::timeout;

use crate::children::Origin;
use crate::dice::Dice;
use crate::doors::Entrance;
use crate::doors::Room;
use crate::http::Head;
use crate::http::Http;
use crate::http::framed;
use crate::http::reset;
use crate::ledger::Client;
use crate::ledger::How;
use crate::message::End;
use crate::message::Kind;
use crate::message::Side;
use crate::message::body;
use crate::wire::Wire;
use crate::world::Open;
use crate::world::World;

/// Longest wait for any answer: a poll is held for up to 8 seconds.
const PATIENCE: Duration = Duration::from_secs(45);

/// One session.
struct Session<'w> {
    world: &'w World,
    id: u64,
    place: usize,
    entrance: Entrance,
    state: RefCell<State>,
}

struct State {
    end: End,
    asked: HashMap<u64, Instant>,
    /// The upstream has said its last.
    closed: bool,
}

/// What ends a session before its time.
#[derive(Debug)]
enum Stop {
    /// The connection, or an answer that is none of the upstream's.
    Failed(#[allow(dead_code, reason = "for its Debug")] String),
    Wrong(#[allow(dead_code, reason = "for its Debug")] String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// One session from its handshake to its end; how long to wait before the next.
pub(super) async fn live(world: &World, id: u64, entrance: Entrance, mut dice: Dice) -> Duration {
    let place = dice.below(world.children.len() as u64) as usize;
    let child = &world.children[place];
    let session = Session {
        world,
        id,
        place,
        entrance,
        state: RefCell::new(State {
            end: End::new(id, Side::Client),
            asked: HashMap::new(),
            closed: false,
        }),
    };
    let begun = Instant::now();
    let opened = timeout(PATIENCE, session.open());
    let generation = match opened
        .await
        .unwrap_or_else(|_| Err(Stop::Failed("no answer".to_owned())))
    {
        Ok(generation) => generation,
        Err(stop) => {
            world.ledger.borrow_mut().abandon(id);
            match child.explains(begun) {
                true => world.count("sessions refused while their upstream was down"),
                false => world.find(format!("{id}: {entrance:?}: no session: {stop:?}")),
            }
            return dice.pause(Duration::from_secs(1));
        }
    };
    world.count(match entrance {
        Entrance::Tls => "polling sessions over https",
        Entrance::Plain | Entrance::Direct => "polling sessions over http",
    });
    let _open = Open::new(world);
    let how = match session.talk(&mut dice).await {
        Ok(how) => how,
        Err(Stop::Failed(_)) if child.is_gone(generation) => How::Killed,
        Err(stop) => {
            world.ledger.borrow_mut().lost += u64::from(matches!(stop, Stop::Wrong(_)));
            let account = session.state.borrow().end.account();
            world.find(format!(
                "{id}: {entrance:?}, a session: {stop:?}, {account:?}"
            ));
            world.ledger.borrow_mut().suspect(id);
            return dice.pause(Duration::from_secs(1));
        }
    };
    let state = session.state.into_inner();
    let client = Client {
        origin: Origin { place, generation },
        account: state.end.account(),
        unacknowledged: state.end.unacknowledged(),
        how,
    };
    world.ledger.borrow_mut().client(id, client);
    dice.pause(Duration::from_millis(500))
}

impl Session<'_> {
    async fn connect(&self) -> io::Result<Http<Wire>> {
        let child = &self.world.children[self.place];
        let wire = self
            .world
            .doors
            .connect(self.entrance, child.address, Room::Usual);
        Ok(Http::new(wire.await?))
    }

    fn head(&self, method: &str, parameters: &str) -> String {
        let (place, id) = (self.place, self.id);
        format!(
            "{method} /socket.io/{place}/?EIO=4&transport=polling&sid={id}{parameters} HTTP/1.1\r\nHost: localhost\r\n\
             Accept: */*\r\nOrigin: http://localhost\r\n"
        )
    }

    async fn open(&self) -> Result<u64, Stop> {
        let request = self.head("GET", "&open=1") + "\r\n";
        let (head, _) = self.connect().await?.ask(request.as_bytes()).await?;
        good(&head)?;
        head.number("x-generation")
            .ok_or(Stop::Failed("no generation".to_owned()))
    }

    async fn talk(&self, dice: &mut Dice) -> Result<How, Stop> {
        let mut polls = dice.clone();
        polls.next();
        let (mut get, mut post) = (self.connect().await?, self.connect().await?);
        {
            let mut polling = std::pin::pin!(self.poll(&mut get, &mut polls));
            tokio::select! {
                polled = &mut polling => {
                    polled?;
                    return Err(Stop::Wrong("the upstream said its last unasked".to_owned()));
                }
                posted = self.post(&mut post, dice) => posted?,
            }
            if dice.percent(80) {
                let close = self.frames(&[(Kind::Close, &[])]);
                let (closed, polled) =
                    tokio::join!(self.send(&mut post, "", &close, false), polling);
                closed?;
                polled?;
                self.send(&mut post, "&bye=1", &[], false).await?;
                return Ok(How::InOrder("the session was closed"));
            }
            let message = self.frames(&[(Kind::Ask, body(dice, 500))]);
            let mut request = self.head("POST", "").into_bytes();
            request.extend(framed(&message, false));
            request.truncate(request.len() - dice.size(0, 100));
            post.send(&request).await?;
        }
        reset(get.stream);
        reset(post.stream);
        Ok(How::Fault("the client of a session reset"))
    }

    /// Polls until the upstream has said its last.
    async fn poll(&self, get: &mut Http<Wire>, dice: &mut Dice) -> Result<(), Stop> {
        while !self.state.borrow().closed {
            let got = self.state.borrow().end.account().got;
            let request = self.head("GET", &format!("&got={got}")) + "\r\n";
            if dice.percent(3) {
                // What this poll might have brought comes with the next.
                let _ = timeout(
                    dice.pause(Duration::from_millis(300)),
                    get.ask(request.as_bytes()),
                )
                .await;
                let left = std::mem::replace(get, self.connect().await?);
                reset(left.stream);
                self.world.count("polls that their client reset");
                continue;
            }
            if dice.percent(2) {
                *get = self.connect().await?;
            }
            let answer = timeout(PATIENCE, get.ask(request.as_bytes())).await;
            let (head, content) =
                answer.map_err(|_| Stop::Failed("no answer to a poll".to_owned()))??;
            good(&head)?;
            self.world.count("polls");
            self.hear(&content)?;
        }
        Ok(())
    }

    fn hear(&self, content: &[u8]) -> Result<(), Stop> {
        let mut state = self.state.borrow_mut();
        let wrong = |wrong: String| Stop::Wrong(wrong);
        state.end.feed(content);
        while let Some(message) = state.end.next().map_err(|error| wrong(error.to_string()))? {
            if state.closed {
                return Err(wrong("a message behind the last".to_owned()));
            }
            state.closed = message.kind == Kind::Close;
            if message.kind == Kind::Answer {
                let number = message
                    .body
                    .first_chunk()
                    .map(|number| u64::from_be_bytes(*number));
                let asked = number.and_then(|number| state.asked.remove(&number));
                let asked = asked.ok_or_else(|| wrong(format!("an answer to {number:?}")))?;
                self.world.answered(self.entrance, asked);
            }
        }
        Ok(())
    }

    /// Some POSTs with a few messages each.
    async fn post(&self, post: &mut Http<Wire>, dice: &mut Dice) -> Result<(), Stop> {
        for _ in 0..dice.between(2, 25) {
            self.world.pause(dice.pause(Duration::from_secs(4))).await;
            if self.world.stopping.get() {
                break;
            }
            let kinds = dice.size(1, 4);
            let messages: Vec<(Kind, &[u8])> = (0..kinds)
                .map(|_| {
                    let kind = dice.weighted(&[(Kind::Ask, 3), (Kind::Push, 1)]);
                    let length = dice.size(0, 1500);
                    (kind, body(dice, length))
                })
                .collect();
            let frames = self.frames(&messages);
            self.send(post, "", &frames, dice.percent(20)).await?;
        }
        Ok(())
    }

    fn frames(&self, messages: &[(Kind, &[u8])]) -> Vec<u8> {
        let mut state = self.state.borrow_mut();
        let mut frames = Vec::new();
        for (kind, body) in messages {
            frames.extend(state.end.frame(*kind, body));
            if *kind == Kind::Ask {
                let number = state.end.account().sent;
                state.asked.insert(number, Instant::now());
            }
        }
        frames
    }

    async fn send(
        &self,
        post: &mut Http<Wire>,
        parameters: &str,
        frames: &[u8],
        chunked: bool,
    ) -> Result<(), Stop> {
        let mut request = self.head("POST", parameters).into_bytes();
        request.extend(framed(frames, chunked));
        let answer = timeout(PATIENCE, post.ask(&request)).await;
        let (head, content) =
            answer.map_err(|_| Stop::Failed("no answer to a POST".to_owned()))??;
        good(&head)?;
        self.world.count("posts");
        match &*content {
            b"ok" => Ok(()),
            _ => Err(Stop::Wrong(format!(
                "another answer to a POST: {content:?}"
            ))),
        }
    }
}

fn good(head: &Head) -> Result<(), Stop> {
    match head.status() {
        200 => Ok(()),
        _ => Err(Stop::Failed(head.first.clone())),
    }
}
