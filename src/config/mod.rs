//! The configuration: `routes.yaml` read and checked, with all that is wrong in it found at once.
//!
//! A [`Config`] is proof: every certificate was read and fits its key, somebody vouches for every `https://` upstream,
//! every location and address is one and is there
//! once. Only the operating system can still say no. What the keys do is left to the modules that obey them; nothing on
//! the path of a request knows this one.

mod address;
mod check;
mod diagnostic;
mod extent;
mod file;
mod own_listener;
mod schema;
mod set_headers;
mod source;
mod unsupported;
mod values;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use time::OffsetDateTime;

use crate::access::Access;
use crate::access::Networks;
use crate::clients;
use crate::config::check::Checker;
pub use crate::config::diagnostic::Diagnostic;
pub use crate::config::diagnostic::Errors;
pub use crate::config::diagnostic::Paint;
pub use crate::config::diagnostic::Severity;
pub use crate::config::diagnostic::Spot;
pub(crate) use crate::config::own_listener::leads_to;
pub(crate) use crate::config::set_headers::is_never_set;
pub(crate) use crate::config::source::SourceText;
pub(crate) use crate::config::unsupported::instead_of;
pub(crate) use crate::config::values::LONGEST_DURATION;
pub(crate) use crate::config::values::MOST_THREADS;
use crate::limits::PerAddress;
use crate::returns::Return;
use crate::routing::HostPattern;
use crate::routing::Location;
use crate::routing::When;
use crate::template::Template;
use crate::tls::Certificate;
use crate::upstream::ProxyPass;
use crate::upstream::Upstream;

/// The smallest configuration, for those who have none.
const EXAMPLE: &str = "listen:
  - address: 8080
routes:
  - location: /socket.io
    proxy_pass: http://127.0.0.1:3000";

/// The JSON Schema (draft-07) of `routes.yaml`, with which editors complete, explain and underline.
///
/// Written by hand, since the file is read by a visitor and no derived structs: what it says of keys, defaults and
/// examples is held against the rules by tests.
pub const JSON_SCHEMA: &str = include_str!("../../docs/routes.schema.json");

/// All that `routes.yaml` says, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Where to listen, at least one.
    pub listeners: Vec<Listener>,
    /// What leads where, at least one.
    pub routes: Vec<Route>,
    /// The proxies in front that are believed who their client is.
    pub trusted_proxies: Networks,
    /// Whether exchanges are logged.
    pub access_log: AccessLog,
    /// How many threads serve.
    pub threads: NonZeroUsize,
    /// Longest wait for what is under way after the signal to stop. May be zero.
    pub drain_timeout: Duration,
    /// How many connections of clients there may be; none: as many as there are descriptors for.
    pub max_connections: Option<NonZeroUsize>,
    /// What each address may have of them.
    pub per_ip: PerAddress,
    /// How long clients may take, whichever route answers them.
    pub limits: Limits,
    /// What the file says of itself under `tests`. Whether that is true is not known here.
    pub promises: Vec<Promise>,
}

/// What came of reading the file once.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The configuration with the warnings, in file order, or all that is wrong, warnings included.
    pub outcome: Result<(Config, Vec<Diagnostic>), Errors>,
    /// What was looked at: the file, and each file that it names, whether it is there or not.
    pub files: BTreeSet<PathBuf>,
}

/// One entry of `tests`.
#[derive(Clone, Debug)]
pub struct Promise {
    /// What a client is given.
    pub url: clients::Url,
    /// Which client, and its own options.
    pub options: clients::Options,
    /// What must become of all that it requests.
    pub expect: Expect,
    /// The place of its `url`.
    pub spot: Spot,
    /// The line of its `url`, from 1.
    pub line: usize,
}

/// What must become of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Expect {
    /// It goes to this upstream.
    Upstream(ProxyPass),
    /// wsgate answers it with this status.
    Status(u16),
}

/// One entry of `listen`.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Where; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Whether a second instance may listen there too: nginx's `reuseport`.
    pub reuseport: bool,
    /// Whether each connection begins with a PROXY header, which only a proxy that is trusted can send.
    pub proxy_protocol: bool,
    /// TLS, or none.
    pub tls: Option<Tls>,
    /// `redirect: https`: the listener in this list to which clients are sent.
    pub redirect: Option<usize>,
    /// The line of its `address`, from 1.
    pub line: usize,
}

/// The certificates of a listener.
#[derive(Clone, Debug)]
pub enum Tls {
    /// At least one; the first for clients that name no server or an unknown one.
    Pairs(Vec<Certificate>),
    /// One for localhost, made at the start if it is not there. Reading the configuration never touches it.
    SelfSigned {
        /// Where it is kept.
        dir: PathBuf,
    },
}

/// One entry of `routes`.
#[derive(Clone, Debug)]
pub struct Route {
    /// Which requests it answers.
    pub location: Location,
    /// Of which hosts; none: of every host.
    pub hosts: Vec<HostPattern>,
    /// Further conditions.
    pub when: When,
    /// Who may ask it.
    pub access: Access,
    /// What becomes of them.
    pub to: Action,
    /// Fields written over the client's and wsgate's own.
    pub set_headers: Vec<(HeaderName, Template)>,
    /// How long they may take.
    pub timeouts: Timeouts,
    /// The line of its `location`, from 1.
    pub line: usize,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Action {
    /// It goes to an upstream.
    ProxyPass(Upstream),
    /// It is answered here.
    Return(Return),
}

/// The time limits of a request, none of them zero.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// Until the upstream has accepted the connection.
    pub connect: Duration,
    /// Until the upstream has answered an upgrade request.
    pub handshake: Duration,
    /// Until the upstream has begun to answer another request.
    pub response: Duration,
    /// Without a byte either way in a tunnel.
    pub tunnel: Duration,
}

impl Timeouts {
    /// Each limit, by the key that sets it.
    pub fn by_key(&mut self) -> [(&'static str, &mut Duration); 4] {
        [
            ("connect_timeout", &mut self.connect),
            ("handshake_timeout", &mut self.handshake),
            ("response_timeout", &mut self.response),
            ("tunnel_timeout", &mut self.tunnel),
        ]
    }
}

impl Default for Timeouts {
    /// 5 s to connect (nginx waits 60 s, which outlasts most users' patience), 10 s for an upgrade, 120 s for an answer
    /// (twice nginx's, for long polls), 1 h for a tunnel (nginx's 60 s is what people look for when idle WebSockets are
    /// cut).
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            handshake: Duration::from_secs(10),
            response: Duration::from_secs(120),
            tunnel: Duration::from_secs(60 * 60),
        }
    }
}

/// The time limits of clients, none of them zero.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Until the whole head of a request is there.
    pub header: Duration,
    /// Until the TLS handshake is over.
    pub tls_handshake: Duration,
    /// Without a byte of a request's body that the upstream waits for.
    pub body: Duration,
    /// Without a byte in a tunnel of which one end is done.
    pub half_closed: Duration,
}

impl Limits {
    /// Each limit, by the key that sets it.
    pub fn by_key(&mut self) -> [(&'static str, &mut Duration); 4] {
        [
            ("header_timeout", &mut self.header),
            ("tls_handshake_timeout", &mut self.tls_handshake),
            ("body_timeout", &mut self.body),
            ("half_closed_timeout", &mut self.half_closed),
        ]
    }
}

impl Default for Limits {
    /// 30 s for a head, half of nginx's `client_header_timeout`, which a slow phone can do; 10 s for a TLS handshake; nginx's
    /// 60 s for a body (`client_body_timeout`) and for a tunnel that is half over, as long as systems keep a closed socket
    /// whose other end says nothing (`net.ipv4.tcp_fin_timeout`).
    fn default() -> Self {
        Self {
            header: Duration::from_secs(30),
            tls_handshake: Duration::from_secs(10),
            body: Duration::from_secs(60),
            half_closed: Duration::from_secs(60),
        }
    }
}

/// Whether exchanges are logged: nginx's `access_log`, which knows files too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AccessLog {
    /// A line when an exchange ends, and one when a tunnel opens.
    On,
    /// None.
    Off,
}

impl Config {
    /// Reads and checks `file`; `now` decides which certificates are in date. Writes nothing.
    ///
    /// Beside the configuration it returns the warnings, in file order.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no YAML, or breaks a rule: then with all that breaks one, warnings included.
    pub fn read(file: &Path, now: OffsetDateTime) -> Result<(Self, Vec<Diagnostic>), Errors> {
        Self::look_at(file, now).outcome
    }

    /// The same, and which files it depends on.
    pub fn look_at(file: &Path, now: OffsetDateTime) -> Reading {
        let name = file.display().to_string();
        let mut reading = match file::read(file) {
            Ok(text) => Self::check(file, &SourceText::new(name, text), now),
            Err(error) => Reading {
                outcome: Err(Errors::new(vec![error.diagnostic(&name)])),
                files: BTreeSet::new(),
            },
        };
        reading.files.insert(file.to_owned());
        reading
    }

    /// A configuration of these listeners and routes, and of nothing else that a test decides.
    #[cfg(test)]
    pub(crate) fn of(listeners: Vec<Listener>, routes: Vec<Route>) -> Self {
        Self {
            file: PathBuf::from("routes.yaml"),
            listeners,
            routes,
            trusted_proxies: Networks::default(),
            access_log: AccessLog::Off,
            threads: NonZeroUsize::MIN,
            drain_timeout: Duration::ZERO,
            max_connections: None,
            per_ip: PerAddress::default(),
            limits: Limits::default(),
            promises: Vec::new(),
        }
    }

    /// A line of the file, as messages name it: `routes.yaml:8`.
    pub fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.file.display())
    }

    fn check(file: &Path, source: &SourceText, now: OffsetDateTime) -> Reading {
        let root = match schema::read(source.text()) {
            Ok(root) => root,
            Err(refused) => {
                let diagnostic = check::not_yaml::diagnostic(&refused, source);
                return Reading {
                    outcome: Err(Errors::new(vec![diagnostic])),
                    files: BTreeSet::new(),
                };
            }
        };
        let mut checker = Checker {
            file,
            source,
            now,
            found: Vec::new(),
            files: BTreeSet::new(),
        };
        let checked = checker.check(&root);
        let found = Errors::new(checker.found);
        let outcome = match checked {
            Some(config) if found.iter().all(|one| one.severity() == Severity::Warning) => {
                Ok((config, found.iter().cloned().collect()))
            }
            _ => Err(found),
        };
        Reading {
            outcome,
            files: checker.files,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use time::OffsetDateTime;

    use crate::config::Config;
    use crate::config::EXAMPLE;
    use crate::config::Errors;
    use crate::config::Timeouts;
    use crate::config::source::SourceText;

    fn read(text: &str) -> Result<Config, Errors> {
        let source = SourceText::new("routes.yaml".to_owned(), text.to_owned());
        Config::check(
            Path::new("routes.yaml"),
            &source,
            OffsetDateTime::UNIX_EPOCH,
        )
        .outcome
        .map(|(config, _)| config)
    }

    #[test]
    fn the_example_that_helps_give_is_right() {
        let config = read(EXAMPLE).unwrap();
        assert_eq!(config.listeners[0].address.to_string(), "0.0.0.0:8080");
        assert_eq!(config.routes[0].timeouts, Timeouts::default());
        assert_eq!(config.place(config.routes[0].line), "routes.yaml:4");
        assert_eq!(config.listeners[0].line, 2);
    }

    #[test]
    fn a_route_keeps_the_time_limits_that_it_does_not_set() {
        let config = read(&format!(
            "tunnel_timeout: 2h\nconnect_timeout: 1s\n{EXAMPLE}\n    connect_timeout: 3s\n"
        ));
        let timeouts = config.unwrap().routes[0].timeouts;
        assert_eq!(
            (timeouts.tunnel.as_secs(), timeouts.connect.as_secs()),
            (7200, 3)
        );
        assert_eq!(timeouts.response, Timeouts::default().response);
    }

    #[test]
    fn a_reading_knows_every_file_that_it_depends_on_though_none_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("routes.yaml");
        let files = || {
            let reading = Config::look_at(&file, OffsetDateTime::UNIX_EPOCH);
            assert!(reading.outcome.is_err());
            let names = reading.files.into_iter();
            let names = names.map(|path| path.strip_prefix(dir.path()).unwrap().to_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(files(), [Path::new("routes.yaml")]);
        let text = "listen:
  - { address: 1, tls: { cert: a.pem, key: a.key } }
  - { address: 2, tls: [{ cert: b.pem, key: a.key }] }
routes:
  - { location: /, proxy_pass: https://a.test, ca: certs/ca.pem }
";
        std::fs::write(&file, text).unwrap();
        let named = ["a.key", "a.pem", "b.pem", "certs/ca.pem", "routes.yaml"];
        assert_eq!(files(), named.map(Path::new));
    }

    /// Pieces that real files are made of, in any order.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("listen:\n  - address: "),
            Just("routes:\n  - location: "),
            Just("    proxy_pass: "),
            Just("http://127.0.0.1:3000"),
            Just("    tls: "),
            Just("{ cert: a.pem, key: b.pem }"),
            Just("self_signed"),
            Just("8080"),
            Just("~ ^/é("),
            Just("= /x"),
            Just("tunnel_timeout: 1h"),
            Just("  "),
            Just("- "),
            Just("\n"),
            Just("\r\n"),
            Just("\t"),
            Just("["),
            Just("]"),
            Just("{"),
            Just("}"),
            Just(": "),
            Just("&a "),
            Just("*a"),
            Just("<<: "),
            Just("!x "),
            Just("\""),
            Just("'"),
            Just("|\n"),
            Just("# é\n"),
            Just("---\n"),
            Just("~"),
            Just("\u{feff}"),
            Just("\u{2028}"),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_with_something_to_print(text in "\\PC*|[ -~\n\t\r]{0,80}") {
            if let Err(errors) = read(&text) {
                prop_assert!(errors.to_string().starts_with("routes.yaml:"));
            }
        }

        #[test]
        fn any_pieces_of_a_file_are_read_or_refused_at_places_in_it(text in pieces()) {
            if let Err(errors) = read(&text) {
                let lines = text.split('\n').count();
                for error in errors.iter() {
                    let printed = error.to_string();
                    let line = printed.split(':').nth(1).and_then(|line| line.parse::<usize>().ok());
                    prop_assert!(line.is_none_or(|line| (1..=lines).contains(&line)), "{}", printed);
                }
            }
        }
    }
}
