//! The upstream's end of polling sessions: what Engine.IO does, with numbers.
//!
//! A held GET is answered with the messages that there are; they are kept until the next GET says that they arrived.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio::time::timeout;

use crate::dice::Dice;
use crate::http::Head;
use crate::http::Http;
use crate::http::framed;
use crate::message::End;
use crate::message::Kind;
use crate::message::Side;
use crate::message::body;
use crate::upstream::Upstream;
use crate::upstream::report;

/// A session of which nothing is heard for so long is over.
const SILENT: Duration = Duration::from_secs(30);

/// All of this process, by their number.
pub(super) type Sessions = RefCell<HashMap<u64, Session>>;

#[derive(Debug)]
pub(super) struct Session {
    end: End,
    dice: Dice,
    /// What the client has not acknowledged, by number.
    waiting: VecDeque<(u64, Vec<u8>)>,
    ready: Rc<Notify>,
    heard: Instant,
    /// It has said its last.
    closed: bool,
}

impl Session {
    fn say(&mut self, kind: Kind, body: &[u8]) {
        if self.closed {
            return;
        }
        self.closed = kind == Kind::Close;
        let frame = self.end.frame(kind, body);
        self.waiting.push_back((self.end.account().sent, frame));
        // Also those whose client is gone, of which nothing is known here.
        self.ready.notify_waiters();
    }
}

/// Answers one request; false where the connection is to be reset instead.
pub(super) async fn answer(
    http: &mut Http<TcpStream>,
    head: &Head,
    upstream: &Rc<Upstream>,
) -> io::Result<bool> {
    let content = http.body(head).await?;
    let sid = head.parsed("sid").unwrap_or(0);
    let generation = upstream.generation;
    if head.parameter("open").is_some() {
        let session = Session {
            end: End::new(sid, Side::Upstream),
            dice: Dice::of(upstream.seed, sid),
            waiting: VecDeque::new(),
            ready: Rc::default(),
            heard: Instant::now(),
            closed: false,
        };
        upstream.sessions.borrow_mut().insert(sid, session);
        let text = format!(
            r#"0{{"sid":"{sid}","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"generation":{generation}}}"#
        );
        return say(http, 200, generation, &framed(text.as_bytes(), false)).await;
    }
    if !upstream.sessions.borrow().contains_key(&sid) {
        let text = br#"{"code":1,"message":"Session ID unknown"}"#;
        return say(http, 400, generation, &framed(text, false)).await;
    }
    if head.method() == "POST" {
        let wrong = receive(&mut upstream.sessions.borrow_mut(), sid, &content);
        if let Some(wrong) = wrong {
            end(upstream, sid, "wrong", &wrong);
        } else if head.parameter("bye").is_some() {
            end(upstream, sid, "fin", "-");
        }
        return say(http, 200, generation, &framed(b"ok", false)).await;
    }
    let (messages, chunked) = hold(upstream, sid, head.parsed("got").unwrap_or(0)).await;
    say(http, 200, generation, &framed(&messages, chunked)).await
}

/// Takes the messages of a POST; what is wrong with them.
fn receive(sessions: &mut HashMap<u64, Session>, sid: u64, content: &[u8]) -> Option<String> {
    let session = sessions.get_mut(&sid)?;
    session.heard = Instant::now();
    session.end.feed(content);
    loop {
        match session.end.next() {
            Ok(None) => return None,
            Err(wrong) => return Some(wrong.to_string()),
            Ok(Some(message)) if message.kind == Kind::Ask => {
                let number = session.end.account().got;
                let answer = [&number.to_be_bytes(), &*message.body].concat();
                session.say(Kind::Answer, &answer);
            }
            Ok(Some(message)) if message.kind == Kind::Close => session.say(Kind::Close, &[]),
            Ok(Some(_)) => {}
        }
    }
}

/// Holds a GET until there is something to say, or for as long as it pleases; the messages, and whether they go in chunks.
async fn hold(upstream: &Rc<Upstream>, sid: u64, got: u64) -> (Vec<u8>, bool) {
    let (ready, patience, chunked, push) = {
        let mut sessions = upstream.sessions.borrow_mut();
        let Some(session) = sessions.get_mut(&sid) else {
            return (Vec::new(), false);
        };
        session.heard = Instant::now();
        session.waiting.retain(|(number, _)| *number > got);
        let patience = Duration::from_millis(session.dice.between(500, 8000));
        (
            Rc::clone(&session.ready),
            patience,
            session.dice.percent(20),
            session.dice.percent(30),
        )
    };
    let messages = || -> Vec<u8> {
        let sessions = upstream.sessions.borrow();
        let waiting = sessions.get(&sid).map(|session| &session.waiting);
        waiting
            .into_iter()
            .flatten()
            .flat_map(|(_, frame)| frame.iter().copied())
            .collect()
    };
    let waited = timeout(patience, async {
        loop {
            let ready = ready.notified();
            if !messages().is_empty() {
                return;
            }
            ready.await;
        }
    });
    if waited.await.is_err()
        && push
        && let Some(session) = upstream.sessions.borrow_mut().get_mut(&sid)
    {
        let length = session.dice.size(0, 2000);
        let body = body(&mut session.dice, length);
        session.say(Kind::Push, body);
    }
    (messages(), chunked)
}

/// Ends a session, and says how.
fn end(upstream: &Upstream, sid: u64, how: &str, why: &str) {
    if let Some(session) = upstream.sessions.borrow_mut().remove(&sid) {
        report(sid, session.end.account(), how, why);
    }
}

/// Forgets sessions whose clients are gone.
pub(super) async fn forget(upstream: Rc<Upstream>) {
    loop {
        tokio::time::sleep(SILENT / 10).await;
        let silent: Vec<u64> = {
            let sessions = upstream.sessions.borrow();
            let silent = sessions
                .iter()
                .filter(|(_, session)| session.heard.elapsed() > SILENT);
            silent.map(|(sid, _)| *sid).collect()
        };
        for sid in silent {
            end(&upstream, sid, "broken", "silent");
        }
    }
}

async fn say(
    http: &mut Http<TcpStream>,
    status: u16,
    generation: u64,
    framed: &[u8],
) -> io::Result<bool> {
    let head = format!(
        "HTTP/1.1 {status} Of course\r\nX-Generation: {generation}\r\nContent-Type: application/octet-stream\r\n"
    );
    http.send(&[head.as_bytes(), framed].concat()).await?;
    Ok(true)
}
