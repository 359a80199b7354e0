//! The Socket.IO server: one room, everyone in it.
//!
//! | event | from | with |
//! |---|---|---|
//! | `join` | client | a name; a second one renames |
//! | `message` | client | a text; the acknowledgement, if asked for, is the message's number |
//! | `typing` | client | nothing |
//! | `welcome` | server | `{you, server, seen: {host, proto, for}, recent}`: once, after the first `join` |
//! | `people` | server | `[{id, name, via}]`: everyone online, in order of arrival |
//! | `message` | server | `{number, from: {id, name, via}, text, at}`: to all, the sender too; `at` in ms since 1970 |
//! | `notice` | server | a line to show: who came, left or changed name |
//! | `typing` | server | a name: to all but the one who types |
//!
//! `via` is `ws` or `wss`: what the client spoke, as the proxy says in `X-Forwarded-Proto`, or `direct` without one.
//! What a client sends is only ever cut to size here; a page must show it as text.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use socketioxide::socket::Sid;

use crate::serve;
use crate::serve::Port;

/// Between two pings of the server; 25 s is usual, but here someone is watching.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// Longest packet taken from a client, in bytes; far above [`TEXT_CHARS`], far below the 1 MB of the default.
const MAX_PACKET: usize = 64 * 1024;

/// Longest name and longest message, in characters; the rest is cut off.
const NAME_CHARS: usize = 24;
const TEXT_CHARS: usize = 2000;

/// How many messages a newcomer is shown.
const RECENT: usize = 50;

/// The room, and the way to everyone in it.
#[derive(Clone)]
struct Chat {
    io: SocketIo,
    room: Arc<Mutex<Room>>,
    port: Port,
}

/// Who is online and what was said last.
#[derive(Default)]
struct Room {
    people: Vec<Person>,
    recent: VecDeque<Value>,
    messages: u64,
}

#[derive(Clone)]
struct Person {
    id: Sid,
    name: String,
    via: &'static str,
}

/// Answers `listener` under `/socket.io`, with 404 elsewhere, from a task of the present runtime. Returned is the
/// handle that sends everyone away.
pub(crate) fn start(listener: TcpListener, port: Port) -> SocketIo {
    let (service, io) = SocketIo::builder()
        .ping_interval(PING_INTERVAL)
        .max_payload(MAX_PACKET as u64)
        .ws_max_message_size(MAX_PACKET)
        .ws_max_frame_size(MAX_PACKET)
        .build_svc();
    let chat = Chat {
        io: io.clone(),
        room: Arc::default(),
        port,
    };
    io.ns("/", async move |socket: SocketRef| chat.take_in(&socket));
    tokio::spawn(serve::accept(listener, service));
    io
}

impl Chat {
    /// Says what happens with each event of a new client.
    fn take_in(&self, socket: &SocketRef) {
        let chat = self.clone();
        socket.on(
            "join",
            async move |socket: SocketRef, Data::<String>(name)| chat.join(&socket, &name).await,
        );
        let chat = self.clone();
        socket.on(
            "message",
            async move |socket: SocketRef, Data::<String>(text), ack: AckSender| {
                if let Some(number) = chat.say(&socket, &text).await {
                    let _ = ack.send(&number); // the sender may be gone
                }
            },
        );
        let chat = self.clone();
        socket.on("typing", async move |socket: SocketRef| {
            let name = chat.room().name_of(socket.id);
            if let Some(name) = name {
                let _ = socket.broadcast().emit("typing", &name).await;
            }
        });
        let chat = self.clone();
        socket.on_disconnect(async move |socket: SocketRef| {
            let left = chat.room().remove(socket.id);
            if let Some(person) = left {
                chat.tell_all("notice", &json!(format!("{} left", person.name)))
                    .await;
                chat.tell_people().await;
            }
        });
    }

    /// A newcomer is welcomed and announced; anyone else has a new name.
    async fn join(&self, socket: &SocketRef, name: &str) {
        let headers = &socket.req_parts().headers;
        let person = Person {
            id: socket.id,
            name: name_from(name),
            via: via(headers),
        };
        let before = self.room().enter(person.clone());
        let notice = match before {
            Some(old) if old == person.name => return,
            Some(old) => format!("{old} is now {}", person.name),
            None => {
                let recent = self.room().recent.clone();
                let seen = json!({
                    "host": text_of(headers, "host"),
                    "proto": text_of(headers, "x-forwarded-proto"),
                    "for": text_of(headers, "x-forwarded-for"),
                });
                let server = format!("127.0.0.1:{}", self.port.number);
                let welcome = json!({ "you": person.to_json(), "server": server, "seen": seen, "recent": recent });
                let _ = socket.emit("welcome", &welcome); // gone already: the disconnect handler tidies up
                format!("{} joined over {}", person.name, person.via)
            }
        };
        let _ = socket.broadcast().emit("notice", &notice).await;
        self.tell_people().await;
    }

    /// Sends a message to everyone and returns its number; `None` for an empty one or one from nobody.
    async fn say(&self, socket: &SocketRef, text: &str) -> Option<u64> {
        let text = cleaned(text, TEXT_CHARS);
        if text.is_empty() {
            return None;
        }
        let (number, message) = self.room().add(socket.id, &text)?;
        self.tell_all("message", &message).await;
        Some(number)
    }

    async fn tell_people(&self) {
        let people = self
            .room()
            .people
            .iter()
            .map(Person::to_json)
            .collect::<Vec<_>>();
        self.tell_all("people", &Value::from(people)).await;
    }

    async fn tell_all(&self, event: &str, what: &Value) {
        let _ = self.io.emit(event, what).await; // an error names clients that are leaving; they need no message
    }

    /// Held for a few lines at a time, never across an await. A panic elsewhere leaves the lists whole.
    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// Adds or renames, and returns the name until now.
    fn enter(&mut self, person: Person) -> Option<String> {
        match self.people.iter_mut().find(|known| known.id == person.id) {
            Some(known) => Some(std::mem::replace(&mut known.name, person.name)),
            None => {
                self.people.push(person);
                None
            }
        }
    }

    fn remove(&mut self, id: Sid) -> Option<Person> {
        let place = self.people.iter().position(|person| person.id == id)?;
        Some(self.people.remove(place))
    }

    fn name_of(&self, id: Sid) -> Option<String> {
        self.people
            .iter()
            .find(|person| person.id == id)
            .map(|person| person.name.clone())
    }

    fn add(&mut self, from: Sid, text: &str) -> Option<(u64, Value)> {
        let from = self
            .people
            .iter()
            .find(|person| person.id == from)?
            .to_json();
        self.messages += 1;
        let message =
            json!({ "number": self.messages, "from": from, "text": text, "at": now_ms() });
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(message.clone());
        Some((self.messages, message))
    }
}

impl Person {
    fn to_json(&self) -> Value {
        json!({ "id": self.id.as_str(), "name": self.name, "via": self.via })
    }
}

/// What the client spoke: only the proxy before us knows.
fn via(headers: &HeaderMap) -> &'static str {
    match text_of(headers, "x-forwarded-proto") {
        Some("https" | "wss") => "wss",
        Some(_) => "ws",
        None => "direct",
    }
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The first line of what was sent; a person without a name is someone still.
fn name_from(text: &str) -> String {
    let name = cleaned(text.trim().lines().next().unwrap_or_default(), NAME_CHARS);
    if name.is_empty() {
        "someone".to_owned()
    } else {
        name
    }
}

/// `text` without control characters (a line's end stays one) and white space around it, at most `limit` characters.
fn cleaned(text: &str, limit: usize) -> String {
    text.trim()
        .chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .take(limit)
        .collect()
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
