//! A row: one fault, and what the client, the upstream and the reader of the log see of it.

use std::future::Future;
use std::pin::Pin;

use crate::faults::words::THE_END;
use crate::faults::words::WITHOUT_CLOSE_NOTIFY;
use crate::faults::world::World;
use crate::support::Over;

/// Over what the client came, and over what the upstream is asked: `Wss` stands for `https://` there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Wires {
    pub(super) client: Over,
    pub(super) upstream: Over,
}

impl Wires {
    pub(super) const PLAIN: Self = Self::of(Over::Ws, Over::Ws);
    pub(super) const ONE: [Self; 1] = [Self::PLAIN];
    pub(super) const OF_WS: [Self; 2] = [Self::PLAIN, Self::of(Over::Ws, Over::Wss)];
    pub(super) const OF_WSS: [Self; 2] = [
        Self::of(Over::Wss, Over::Ws),
        Self::of(Over::Wss, Over::Wss),
    ];
    /// Those with an upstream of `https://`.
    pub(super) const TO_HTTPS: [Self; 2] = [Self::OF_WS[1], Self::OF_WSS[1]];
    pub(super) const TO_HTTP: [Self; 2] = [Self::OF_WS[0], Self::OF_WSS[0]];
    pub(super) const ALL: [Self; 4] = [
        Self::OF_WS[0],
        Self::OF_WS[1],
        Self::OF_WSS[0],
        Self::OF_WSS[1],
    ];

    const fn of(client: Over, upstream: Over) -> Self {
        Self { client, upstream }
    }
}

/// What is said of one who looks on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell {
    /// Whatever the wires.
    Always(&'static str),
    /// Over ws, and over wss.
    ByClient(&'static str, &'static str),
    /// With `http://`, and with `https://`.
    ByUpstream(&'static str, &'static str),
}

impl Cell {
    fn over(self, wires: Wires) -> &'static str {
        match self {
            Self::Always(text) => text,
            Self::ByClient(plain, tls) => of(wires.client, plain, tls),
            Self::ByUpstream(plain, tls) => of(wires.upstream, plain, tls),
        }
    }

    /// As the document has it. An abrupt end is one that under TLS has no close_notify.
    pub(super) fn shown(self) -> String {
        let (names, plain, tls) = match self {
            Self::Always(text) => return text.to_owned(),
            Self::ByClient(plain, tls) => (["ws", "wss"], plain, tls),
            Self::ByUpstream(plain, tls) => (["http", "https"], plain, tls),
        };
        if tls.replace(WITHOUT_CLOSE_NOTIFY, THE_END) == plain {
            return tls.replace(WITHOUT_CLOSE_NOTIFY, "an abrupt end");
        }
        format!("{}: {plain}; {}: {tls}", names[0], names[1])
    }
}

fn of(over: Over, plain: &'static str, tls: &'static str) -> &'static str {
    match over {
        Over::Ws => plain,
        Over::Wss => tls,
    }
}

/// What was seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Seen {
    pub(super) client: String,
    pub(super) upstream: String,
    pub(super) log: String,
}

/// A fault being acted out.
pub(super) type Acting<'a> = Pin<Box<dyn Future<Output = Seen> + 'a>>;

/// How it is.
pub(super) enum Act {
    /// In a world that it shares with others.
    InWorld(for<'a> fn(&'a mut World) -> Acting<'a>),
    /// With a wsgate of its own.
    Alone(fn(Wires) -> Acting<'static>),
}

/// See the module.
pub(super) struct Row {
    /// What goes wrong.
    pub(super) fault: &'static str,
    /// Over what it is acted out.
    pub(super) over: &'static [Wires],
    pub(super) client: Cell,
    pub(super) upstream: Cell,
    pub(super) log: Cell,
    pub(super) act: Act,
}

impl Row {
    /// The fault, and over what it is acted out, if not over everything.
    pub(super) fn name(&self) -> String {
        let only = [
            (&Wires::OF_WSS, " (wss)"),
            (&Wires::TO_HTTP, " (http)"),
            (&Wires::TO_HTTPS, " (https)"),
        ];
        let only = only.iter().find(|(wires, _)| self.over == &wires[..]);
        format!("{}{}", self.fault, only.map_or("", |(_, name)| name))
    }

    /// Where what was seen is not what it says.
    pub(super) fn differences(&self, wires: Wires, seen: &Seen) -> String {
        let cells = [
            ("the client", self.client, &seen.client),
            ("the upstream", self.upstream, &seen.upstream),
            ("the log", self.log, &seen.log),
        ];
        let different = cells
            .into_iter()
            .filter(|(_, cell, seen)| cell.over(wires) != seen.as_str());
        different
            .map(|(who, cell, seen)| {
                format!(
                    "{} ({wires:?}): {who}\n  should see {}\n  saw        {seen}\n",
                    self.fault,
                    cell.over(wires)
                )
            })
            .collect()
    }
}
