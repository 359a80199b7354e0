//! The configuration: `routes.yaml` read and checked, with all that is wrong in it found at once.
//!
//! A [`Config`] is proof: every certificate was read and fits its key, the certificate of every `https://` upstream can
//! be verified, and every location and address is valid and stands there once. Only the operating system can still
//! refuse something. What a key does is left to the module that obeys it; nothing on the path of a request imports this
//! module.

mod address;
mod check;
mod diagnostic;
mod environment;
mod extent;
mod file;
mod filled_values;
mod judged;
mod lookalike;
mod own_listener;
mod schema;
mod set_headers;
mod source;
mod unsupported;
mod values;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use time::OffsetDateTime;

use crate::access::Access;
use crate::access::Networks;
use crate::answer_fields::AnswerFields;
use crate::clients;
pub(crate) use crate::config::address::socket_path;
pub use crate::config::diagnostic::Diagnostic;
pub use crate::config::diagnostic::Errors;
pub use crate::config::diagnostic::Paint;
pub use crate::config::diagnostic::Severity;
pub use crate::config::diagnostic::Spot;
pub use crate::config::environment::Environment;
pub use crate::config::filled_values::FilledValues;
use crate::config::judged::Judged;
pub(crate) use crate::config::own_listener::leads_to;
pub(crate) use crate::config::set_headers::is_never_set;
pub(crate) use crate::config::source::SourceText;
pub(crate) use crate::config::values::LONGEST_DURATION;
pub(crate) use crate::config::values::MOST_THREADS;
use crate::headers::spelling::Spelling;
use crate::headers::spelling::WrittenName;
use crate::limits::PerAddress;
use crate::returns::Return;
use crate::routing::HostPattern;
use crate::routing::Location;
use crate::routing::Rewrite;
use crate::routing::When;
use crate::stream::ListenAddr;
use crate::template::Template;
use crate::tls::Certificate;
use crate::upstream::GroupUrl;
use crate::upstream::ProxyPass;
use crate::upstream::Upstream;

/// The smallest configuration, as messages show it.
const EXAMPLE: &str = "listen:
  - address: 8080
routes:
  - location: /socket.io
    proxy_pass: http://127.0.0.1:3000";

/// The JSON Schema (draft-07) of `routes.yaml`, with which editors complete, explain and underline.
///
/// Written by hand, since no derived struct reads the file. Tests hold its keys, defaults and examples against the
/// rules.
pub const JSON_SCHEMA: &str = include_str!("../../docs/routes.schema.json");

/// All that `routes.yaml` says, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The path of the file, as it was given.
    pub file: PathBuf,
    /// The entries of `listen`, at least one.
    pub listeners: Vec<Listener>,
    /// The entries of `routes`, at least one.
    pub routes: Vec<Route>,
    /// The networks of the proxies in front, whose word is taken for the client's address.
    pub trusted_proxies: Networks,
    /// Whether exchanges are written to the log.
    pub access_log: AccessLog,
    /// How many threads serve connections.
    pub threads: NonZeroUsize,
    /// Longest wait for connections under way after the signal to stop. It may be zero.
    pub drain_timeout: Duration,
    /// The most connections of clients at a time; `None` for as many as the limit of descriptors allows.
    pub max_connections: Option<NonZeroUsize>,
    /// The most connections and opening handshakes of one client address.
    pub per_ip: PerAddress,
    /// The time limits of clients, whichever route answers them.
    pub limits: Limits,
    /// The entries of `tests`. Whether they hold is not known here, but in `explain`.
    pub promises: Vec<Promise>,
    /// The values that the environment gave, so that what is shown has what is written.
    pub filled: FilledValues,
}

/// The result of reading the file once.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The configuration with its warnings or, if there are errors, all errors and warnings; both in file order.
    pub outcome: Result<(Config, Vec<Diagnostic>), Errors>,
    /// Every file that the outcome depends on: the configuration and each file that it names, existing or not.
    pub files: BTreeSet<PathBuf>,
}

/// One entry of `tests`: what is promised about a URL.
#[derive(Clone, Debug)]
pub struct Promise {
    /// The URL that a client is given.
    pub url: clients::Url,
    /// Which client is given the URL, and with which options of its own.
    pub options: clients::Options,
    /// What must become of every request that this client makes.
    pub expect: Expect,
    /// The place of `url` in the file, for an error if the entry does not hold.
    pub spot: Spot,
    /// The line of `url`, counted from 1.
    pub line: usize,
}

/// What an entry of `tests` expects to become of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Expect {
    /// The request goes to this server, or may go there, since it is one of a group.
    Upstream(ProxyPass),
    /// The request goes to one of this group.
    Group(GroupUrl),
    /// wsgate answers the request with this status.
    Status(u16),
}

/// One entry of `listen`.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The address to listen on; with port 0 the system chooses a port.
    pub address: ListenAddr,
    /// Who may connect to a Unix socket, as the permission bits of its file. Without meaning for a port.
    pub mode: u32,
    /// Whether a second process may listen on this address too: nginx's `reuseport`.
    pub reuseport: bool,
    /// Whether each connection begins with a PROXY header, which only a trusted proxy can send.
    pub proxy_protocol: bool,
    /// The certificates; `None` for a listener without TLS.
    pub tls: Option<Tls>,
    /// With `redirect: https` the listener to which clients are sent, as an index of [`Config::listeners`].
    pub redirect: Option<usize>,
    /// The line of `address`, counted from 1.
    pub line: usize,
}

/// The certificates of a listener.
#[derive(Clone, Debug)]
pub enum Tls {
    /// Certificates from files, at least one. The first is for clients that name no server or an unknown one.
    Pairs(Vec<Certificate>),
    /// A certificate for localhost, made at a start if there is none. Reading the configuration never touches its
    /// files.
    SelfSigned {
        /// The directory in which the certificate is kept.
        dir: PathBuf,
    },
}

/// One entry of `routes`.
#[derive(Clone, Debug)]
pub struct Route {
    /// What people call the route, and no other route.
    pub name: Option<String>,
    /// Which paths the route answers.
    pub location: Location,
    /// Which hosts the route answers for; empty for every host.
    pub hosts: Vec<HostPattern>,
    /// What else a request must have for this route.
    pub when: When,
    /// Which clients and pages may use the route.
    pub access: Access,
    /// What becomes of a request of this route.
    pub to: Action,
    /// The pairs of `rewrite`, of which the first that matches says what the upstream is asked for.
    pub rewrites: Vec<Rewrite>,
    /// Header fields for the upstream, which replace those of the client and of wsgate.
    pub set_headers: Vec<(WrittenName, Template)>,
    /// What is changed in the fields of answers to clients.
    pub answer_fields: AnswerFields,
    /// The time limits of a request of this route.
    pub timeouts: Timeouts,
    /// The line of `location`, counted from 1.
    pub line: usize,
}

impl Route {
    /// How the fields of [`set_headers`](Self::set_headers) are spelled.
    pub fn spelling(&self) -> Spelling {
        let names = self.set_headers.iter();
        names.map(|(name, _)| name.clone()).collect()
    }
}

/// What becomes of a request of a route.
#[derive(Clone, Debug)]
pub enum Action {
    /// The request is passed to an upstream.
    ProxyPass(Upstream),
    /// wsgate answers the request itself.
    Return(Return),
}

/// The time limits of a request, none of them zero.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// Longest wait until the upstream has accepted the connection.
    pub connect: Duration,
    /// Longest wait until the upstream has answered an upgrade request.
    pub handshake: Duration,
    /// Longest wait until the upstream has begun to answer any other request.
    pub response: Duration,
    /// Longest time without a byte either way in a tunnel.
    pub tunnel: Duration,
}

impl Timeouts {
    /// The key of each limit, and the limit: the one list by which the file sets them and a reload compares them.
    pub fn by_key(&mut self) -> impl Iterator<Item = (&'static str, &mut Duration)> {
        [
            ("connect_timeout", &mut self.connect),
            ("handshake_timeout", &mut self.handshake),
            ("response_timeout", &mut self.response),
            ("tunnel_timeout", &mut self.tunnel),
        ]
        .into_iter()
    }
}

impl Default for Timeouts {
    /// The limits of a route that sets none: 5 s to connect (nginx waits 60 s, which outlasts most users' patience), 10
    /// s for an upgrade, 120 s for an answer (twice nginx's, for long polls), 1 h for a tunnel (nginx's 60 s is what
    /// people look for when idle WebSockets are cut).
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            handshake: Duration::from_secs(10),
            response: Duration::from_secs(120),
            tunnel: Duration::from_secs(60 * 60),
        }
    }
}

/// The time limits of clients, none of them zero but `keepalive`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Longest wait until the whole head of a request is there.
    pub header: Duration,
    /// Longest time without a byte between two requests of a connection; zero if each answer is the last one of its connection.
    pub keepalive: Duration,
    /// Longest wait until the TLS handshake is over.
    pub tls_handshake: Duration,
    /// Longest time without a byte of a request's body for which the upstream waits.
    pub body: Duration,
    /// Longest time without a byte in a tunnel of which one end has sent its last byte.
    pub half_closed: Duration,
}

impl Limits {
    /// The key of each limit, and the limit: the one list by which the file sets them and a reload compares them.
    pub fn by_key(&mut self) -> impl Iterator<Item = (&'static str, &mut Duration)> {
        [
            ("header_timeout", &mut self.header),
            ("keepalive_timeout", &mut self.keepalive),
            ("tls_handshake_timeout", &mut self.tls_handshake),
            ("body_timeout", &mut self.body),
            ("half_closed_timeout", &mut self.half_closed),
        ]
        .into_iter()
    }
}

impl Default for Limits {
    /// The limits of a file that sets none: 30 s for a head, which a slow phone can meet, and half of nginx's
    /// `client_header_timeout`; 75 s between two requests, as nginx's `keepalive_timeout`: more than the 60 s for which load balancers keep
    /// a connection, so that it is they who end it; 10 s for a TLS handshake; 60 s for a body, as nginx's `client_body_timeout`; 60 s for a
    /// half-closed tunnel, as long as systems keep a closed socket whose other end says nothing
    /// (`net.ipv4.tcp_fin_timeout`).
    fn default() -> Self {
        Self {
            header: Duration::from_secs(30),
            keepalive: Duration::from_secs(75),
            tls_handshake: Duration::from_secs(10),
            body: Duration::from_secs(60),
            half_closed: Duration::from_secs(60),
        }
    }
}

/// Whether exchanges are logged, as nginx's `access_log` says; wsgate logs to stderr only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AccessLog {
    /// There is a line when an exchange ends, and one when a tunnel opens.
    On,
    /// Exchanges are not logged.
    Off,
}

impl Config {
    /// Reads and checks `file`, and writes nothing. Its values may name variables of `environment`. Certificates must be in
    /// date at `now`.
    ///
    /// Returns the configuration and its warnings, in file order.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no YAML, or breaks a rule. The error has everything that breaks one, and the
    /// warnings.
    pub fn read(
        file: &Path,
        environment: &Environment,
        now: OffsetDateTime,
    ) -> Result<(Self, Vec<Diagnostic>), Errors> {
        Self::look_at(file, environment, now).outcome
    }

    /// Reads and checks `file` as [`read`](Self::read) does, and tells which files the outcome depends on.
    pub fn look_at(file: &Path, environment: &Environment, now: OffsetDateTime) -> Reading {
        let name = file.display().to_string();
        let mut reading = match file::read(file) {
            Ok(text) => Self::check(file, &SourceText::new(name, text), environment, now),
            Err(error) => Reading {
                outcome: Err(Errors::new(vec![error.diagnostic(&name)])),
                files: BTreeSet::new(),
            },
        };
        reading.files.insert(file.to_owned());
        reading
    }

    /// A line of the file, as messages name it: `routes.yaml:8`.
    pub fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.file.display())
    }

    /// Checks the text of `file`.
    fn check(
        file: &Path,
        source: &SourceText,
        environment: &Environment,
        now: OffsetDateTime,
    ) -> Reading {
        let judge = |source: &SourceText| Judged::new(file, source, environment, now);
        let Judged {
            config,
            mut found,
            files,
        } = judge(source);
        check::lookalikes::of_rules(&mut found, source, |changed| judge(&changed).found);
        let found = Errors::new(found);
        let outcome = match config {
            Some(config) if found.iter().all(|one| one.severity() == Severity::Warning) => {
                Ok((config, found.iter().cloned().collect()))
            }
            _ => Err(found),
        };
        Reading { outcome, files }
    }
}

#[cfg(test)]
mod test_support;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;
    use time::OffsetDateTime;

    use crate::config::Action;
    use crate::config::Config;
    use crate::config::EXAMPLE;
    use crate::config::Environment;
    use crate::config::Errors;
    use crate::config::Timeouts;
    use crate::config::source::SourceText;
    use crate::upstream::Balance;
    use crate::upstream::Group;
    use crate::upstream::GroupSettings;
    use crate::upstream::HashKey;
    use crate::upstream::HealthCheck;
    use crate::upstream::MemberSettings;
    use crate::upstream::Sticky;
    use crate::upstream::StickyCookie;

    fn read(text: &str) -> Result<Config, Errors> {
        let source = SourceText::new("routes.yaml".to_owned(), text.to_owned());
        Config::check(
            Path::new("routes.yaml"),
            &source,
            &Environment::default(),
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

    /// The group that the route of this number asks.
    fn group_of(config: &Config, route: usize) -> &Arc<Group> {
        match &config.routes[route].to {
            Action::ProxyPass(upstream) => upstream.group().unwrap(),
            Action::Return(_) => panic!("route {route} asks no upstream"),
        }
    }

    #[test]
    fn routes_that_ask_a_group_in_one_way_share_it() {
        let config = read(
            "listen: [{ address: 8080 }]
upstreams:
  chat: { servers: [a:1, b:1] }
routes:
  - { location: /a, proxy_pass: http://chat }
  - { location: /b, proxy_pass: http://CHAT/x }
  - { location: /c, proxy_pass: [http://a:1, http://b:1] }
  - { location: /d, proxy_pass: [http://a:1, http://b:1], name: list }
  - { location: /c, when: { method: GET }, proxy_pass: [http://a:1, http://b:1] }
",
        )
        .unwrap();
        let groups: Vec<_> = (0..5).map(|route| group_of(&config, route)).collect();
        assert!(Arc::ptr_eq(groups[0], groups[1]));
        let names = groups.iter().map(|group| group.settings().name.as_str());
        let names: Vec<_> = names.collect();
        assert_eq!(names, ["chat", "chat", "/c", "list", "/c (2)"]);
        let written = groups[2].written().iter();
        let written: Vec<_> = written.map(|one| one.server.authority()).collect();
        assert_eq!(written, ["a:1", "b:1"]);
        assert_eq!(groups[3].written()[0].settings, MemberSettings::default());
    }

    #[test]
    fn the_examples_of_groups_are_right_as_they_stand() {
        let in_a_file = |example: &str| match example.contains("routes:") {
            true => format!("listen: [{{ address: 8080 }}]\n{example}"),
            false => format!("listen: [{{ address: 8080 }}]\nroutes:\n{example}"),
        };
        for (example, groups) in [
            (
                "upstreams:
  nodes: { balance: ip_hash, servers: [app01:3000, app02:3000] }
routes:
  - { location: /, proxy_pass: http://nodes }
",
                vec![2],
            ),
            (
                "  - location: /socket.io
    proxy_pass: [http://127.0.0.1:3001, http://127.0.0.1:3002]
",
                vec![2],
            ),
            (
                "upstreams:
  chat:
    servers: [{ server: \"chat.prod.svc.cluster.local:3000\", resolve: true }]
    health_check: engine_io
routes:
  - { location: /socket.io, proxy_pass: http://chat }
",
                vec![1],
            ),
            (
                "upstreams:
  chat:
    servers:
      - { server: \"10.0.0.1:3000\", drain: true }
      - server: 10.0.0.2:3000
routes:
  - { location: /socket.io, proxy_pass: http://chat }
",
                vec![2],
            ),
            (
                "upstreams:
  v2: { servers: [\"10.0.0.1:5002\", \"10.0.0.2:5002\"] }
  v4: { servers: [\"10.0.0.3:5004\", \"10.0.0.4:5004\"] }
routes:
  - { location: /socket.io, when: { query: { EIO: \"3\" } }, proxy_pass: http://v2 }
  - { location: /socket.io, proxy_pass: http://v4 }
",
                vec![2, 2],
            ),
            (
                "upstreams:
  chat:
    balance: { hash: $arg_room }
    sticky: [sid, { cookie: srv, expires: 1h, samesite: none, secure: true }]
    servers:
      - { server: \"10.0.0.1:3000\", weight: 2, max_conns: 20000 }
      - { server: \"10.0.0.9:3000\", backup: true }
routes:
  - { location: /socket.io, proxy_pass: http://chat }
",
                vec![2],
            ),
        ] {
            let config = read(&in_a_file(example)).unwrap();
            let servers = (0..groups.len()).map(|route| group_of(&config, route).written().len());
            assert_eq!(servers.collect::<Vec<_>>(), groups, "{example}");
        }
    }

    #[test]
    fn routes_that_verify_a_group_in_different_ways_have_each_their_own() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["one.pem", "two.pem"] {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
            std::fs::write(dir.path().join(name), made.cert.pem()).unwrap();
        }
        let file = dir.path().join("routes.yaml");
        let text = "listen: [{ address: 8080 }]
upstreams: { chat: { servers: [a.test:1, b.test:1] } }
routes:
  - { location: /a, proxy_pass: https://chat, ca: one.pem }
  - { location: /b, proxy_pass: https://chat/x, ca: one.pem }
  - { location: /c, proxy_pass: https://chat, ca: two.pem }
  - { location: /d, proxy_pass: https://chat, ca: one.pem, tls_name: c.test }
  - { location: /e, proxy_pass: https://chat, ca: one.pem, tls_name: C.test }
";
        std::fs::write(&file, text).unwrap();
        let now = OffsetDateTime::now_utc();
        let (config, _) = Config::read(&file, &Environment::default(), now).unwrap();
        let same = |one, other| Arc::ptr_eq(group_of(&config, one), group_of(&config, other));
        assert!(same(0, 1) && same(3, 4));
        assert!(!same(0, 2) && !same(0, 3) && !same(2, 3));
        let servers = |route| &group_of(&config, route).written()[0].server;
        assert_eq!(servers(0), servers(1));
        assert_ne!(servers(0), servers(2));
        assert_ne!(servers(0), servers(3));
    }

    #[test]
    fn what_a_group_says_is_read() {
        let config = read(
            "listen: [{ address: 8080 }]
upstreams:
  fleet:
    balance: { hash: $arg_room }
    sticky: [sid, { cookie: srv, expires: 90500ms, samesite: None, secure: true, domain: .a.test, httponly: on }]
    health_check: engine_io
    slow_start: 0s
    close_tunnels: true
    valid: 30s
    servers:
      - { server: \"10.0.0.1:3000\", weight: 2, max_conns: 20000, max_fails: 0, fail_timeout: 30s, drain: true }
      - { server: \"a.test:3000\", backup: true, down: yes, resolve: true }
      - \"[::1]:3000\"
routes:
  - { location: /, proxy_pass: http://fleet }
",
        )
        .unwrap();
        let group = group_of(&config, 0);
        assert_eq!(
            *group.settings(),
            GroupSettings {
                name: "fleet".to_owned(),
                balance: Balance::Hash(HashKey::read("$arg_room", &[]).unwrap()),
                sticky: Sticky {
                    sid: true,
                    cookie: Some(StickyCookie {
                        name: "srv".to_owned(),
                        attributes:
                            "; Path=/; Domain=a.test; Max-Age=91; Secure; HttpOnly; SameSite=None"
                                .to_owned(),
                    }),
                },
                health_check: Some(HealthCheck::EngineIo("/socket.io/".to_owned())),
                slow_start: Duration::ZERO,
                close_tunnels: true,
                valid: Duration::from_secs(30),
            }
        );
        let settings = group.written().iter().map(|one| one.settings.clone());
        let settings: Vec<MemberSettings> = settings.collect();
        assert_eq!(
            settings,
            [
                MemberSettings {
                    weight: 2,
                    max_fails: 0,
                    fail_timeout: Duration::from_secs(30),
                    max_conns: Some(20_000),
                    drain: true,
                    ..MemberSettings::default()
                },
                MemberSettings {
                    backup: true,
                    down: true,
                    resolve: true,
                    ..MemberSettings::default()
                },
                MemberSettings::default(),
            ]
        );
    }

    #[test]
    fn a_reading_knows_every_file_that_it_depends_on_though_none_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("routes.yaml");
        let files = || {
            let reading =
                Config::look_at(&file, &Environment::default(), OffsetDateTime::UNIX_EPOCH);
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
