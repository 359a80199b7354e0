//! Servers that are there, gone, silent or full of words, watched at a pace at which nobody has to wait.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::runtime::Builder;
use tokio::runtime::LocalOptions;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::task::spawn_local;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::observe::GroupEvent;
use crate::observe::Observer;
use crate::server::health::HealthNews;
use crate::server::health::HealthSink;
use crate::server::health::Pace;
use crate::server::health::WatchedGroup;
use crate::server::health::watch;
use crate::server::test_support::DEADLINE;
use crate::server::test_support::group_of;
use crate::server::test_support::group_with;
use crate::tunnel::TunnelOwner;
use crate::upstream::Group;
use crate::upstream::GroupSettings;
use crate::upstream::HealthCheck;
use crate::upstream::MemberSettings;

const PACE: Pace = Pace {
    look: Duration::from_millis(5),
    interval: Duration::from_millis(10),
    timeout: Duration::from_millis(500),
    drain: Duration::from_millis(20),
    ..Pace::USUAL
};

/// Writes down what it hears, in short.
#[derive(Debug, Default)]
struct Log(Mutex<Vec<String>>);

impl Observer for Log {
    fn group_changed(&self, upstream: &str, event: GroupEvent<'_>) {
        let short = match event {
            GroupEvent::Down {
                server,
                reason,
                open,
            } => format!("{server} down, {open} open: {reason}"),
            GroupEvent::Up { server, .. } => format!("{server} up"),
            GroupEvent::Drained { server } => format!("{server} drained"),
            GroupEvent::AllDown => format!("all of {upstream} down"),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(short);
    }
}

/// A watch under way.
struct Watching {
    log: Arc<Log>,
    watches: mpsc::UnboundedSender<Vec<WatchedGroup>>,
    news: mpsc::UnboundedReceiver<HealthNews>,
    task: JoinHandle<()>,
    /// A group of its own, of one server that is always well.
    clock: Arc<Group>,
    ticks: FakeServer,
}

impl Watching {
    async fn begin(group: &Arc<Group>) -> Self {
        Self::begin_at(PACE, group).await
    }

    async fn begin_at(pace: Pace, group: &Arc<Group>) -> Self {
        let (watches, watched) = mpsc::unbounded_channel();
        let (tells, news) = mpsc::unbounded_channel();
        let log = Arc::<Log>::default();
        let sink = HealthSink {
            observer: Arc::clone(&log) as Arc<dyn Observer>,
            news: tells,
        };
        let task = spawn_local(watch(pace, watched, sink));
        let ticks = FakeServer::saying("").await;
        let watching = Self {
            log,
            watches,
            news,
            task,
            clock: checked(&[ticks.address], HealthCheck::Tcp),
            ticks,
        };
        watching.follow(group);
        watching
    }

    fn follow(&self, group: &Arc<Group>) {
        let watched = [group, &self.clock].map(|group| WatchedGroup {
            group: Arc::clone(group),
            connect_timeout: Duration::from_secs(5),
        });
        self.watches.send(watched.into()).unwrap();
    }

    /// Waits until everything has been looked at so many times: from one check of a server to the next is longer than from look to look.
    async fn looks(&self, times: usize) {
        let before = self.ticks.accepted();
        until(|| self.ticks.accepted() > before + times).await;
    }

    fn has_said_nothing(&self) -> bool {
        self.log.0.lock().unwrap().is_empty()
    }

    /// Waits until so many lines were said, and takes them.
    async fn said(&self, lines: usize) -> Vec<String> {
        let said = || self.log.0.lock().unwrap().len();
        until(|| said() >= lines).await;
        std::mem::take(&mut *self.log.0.lock().unwrap())
    }
}

async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(DEADLINE, waiting).await.expect("it comes to this");
}

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default());
    runtime.unwrap().block_on(test);
}

/// A server that says this to every request; one that says nothing is silent. It counts what it accepts, and keeps the last head.
struct FakeServer {
    address: SocketAddr,
    says: Arc<Mutex<String>>,
    head: Arc<Mutex<String>>,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl FakeServer {
    async fn saying(says: &str) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), says).await
    }

    /// It listens at an address where another one may have been before.
    async fn at(address: SocketAddr, says: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener: TcpListener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        let says = Arc::new(Mutex::new(says.to_owned()));
        let (accepted, head) = (
            Arc::<AtomicUsize>::default(),
            Arc::<Mutex<String>>::default(),
        );
        let task = spawn_local({
            let (says, accepted, last) =
                (Arc::clone(&says), Arc::clone(&accepted), Arc::clone(&head));
            async move {
                while let Ok((mut tcp, _)) = listener.accept().await {
                    accepted.fetch_add(1, Ordering::Relaxed);
                    let (says, last) = (Arc::clone(&says), Arc::clone(&last));
                    spawn_local(async move {
                        let mut head = Vec::new();
                        while !head.ends_with(b"\r\n\r\n") {
                            let Ok(byte) = tcp.read_u8().await else {
                                return;
                            };
                            head.push(byte);
                        }
                        *last.lock().unwrap() = String::from_utf8(head).unwrap();
                        let says = says.lock().unwrap().clone();
                        if !says.is_empty() {
                            let _ = tcp.write_all(says.as_bytes()).await;
                        }
                        // What is said is read before the end comes.
                        let _ = tcp.read_u8().await;
                    });
                }
            }
        });
        Self {
            address,
            says,
            head,
            accepted,
            task,
        }
    }

    fn says(&self, says: &str) {
        *self.says.lock().unwrap() = says.to_owned();
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    async fn has_accepted_more_than(&self, before: usize) {
        until(|| self.accepted() > before).await;
    }

    /// Nobody listens there any more.
    async fn ends(self) -> SocketAddr {
        self.task.abort();
        let _ = self.task.await;
        self.address
    }
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn checked(servers: &[SocketAddr], check: HealthCheck) -> Arc<Group> {
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
    let plain = group_of(&servers, &MemberSettings::default());
    let settings = GroupSettings {
        health_check: Some(check),
        close_tunnels: true,
        ..plain.settings().clone()
    };
    Arc::new(group_with(settings, &servers, &MemberSettings::default()))
}

#[test]
fn a_server_that_requests_found_down_is_knocked_at_until_it_is_back() {
    run(async {
        let gone = FakeServer::saying("").await.ends().await;
        let other = FakeServer::saying("").await;
        let servers = [gone.to_string(), other.address.to_string()];
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        let group = Arc::new(group_of(&servers, &MemberSettings::default()));
        let state = Arc::clone(group.members()[0].state());
        let watching = Watching::begin(&group).await;
        let _open = state.raise();
        assert!(state.set_down(Instant::now()));
        assert_eq!(
            watching.said(1).await,
            [format!(
                "{gone} down, 1 open: cannot connect to upstream {gone}: connection refused"
            )]
        );
        let back = FakeServer::at(gone, "").await;
        assert_eq!(watching.said(1).await, [format!("{gone} up")]);
        assert!(!state.is_down() && state.recovered_at().is_some());
        // A server that is well is left alone.
        let accepted = (back.accepted(), other.accepted());
        watching.looks(4).await;
        assert_eq!((back.accepted(), other.accepted()), accepted);
        assert_eq!(other.accepted(), 0);
        // It goes down again, and is back before anybody knocks: both are said.
        state.set_down(Instant::now());
        let said = watching.said(2).await;
        assert_eq!(said[1], format!("{gone} up"));
        assert!(said[0].ends_with("requests could not connect to it (`max_fails`)"));
        drop(watching.watches);
        timeout(DEADLINE, watching.task).await.unwrap().unwrap();
    });
}

#[test]
fn three_failed_checks_take_a_server_out_and_its_tunnels_and_two_passes_bring_it_back() {
    run(async {
        let server = FakeServer::saying(&answer("204 No Content", "")).await;
        let other = FakeServer::saying(&answer("302 Found", "")).await;
        let check = HealthCheck::Http("/health".to_owned());
        let group = checked(&[server.address, other.address], check);
        let states = [0, 1].map(|at| Arc::clone(group.members()[at].state()));
        let mut watching = Watching::begin(&group).await;
        server.has_accepted_more_than(2).await;
        let head = server.head.lock().unwrap().clone();
        assert_eq!(
            head,
            format!(
                "GET /health HTTP/1.1\r\nHost: {}\r\nUser-Agent: wsgate health_check\r\nAccept: */*\r\n\r\n",
                server.address
            )
        );
        let open = states[0].raise();
        server.says(&answer("503 Service Unavailable", ""));
        let before = server.accepted();
        let said = watching.said(1).await;
        let reason = "it answered 503 to GET /health";
        assert_eq!(said, [format!("{} down, 1 open: {reason}", server.address)]);
        assert!(states[0].is_down() && !states[1].is_down());
        assert!(server.accepted() >= before + 2, "not at the first failure");
        let news = timeout(DEADLINE, watching.news.recv()).await.unwrap();
        assert!(matches!(news, Some(HealthNews::EndTunnels(_))), "{news:?}");
        drop(open);
        // A reload changes nothing about it.
        watching.follow(&group);
        server.has_accepted_more_than(server.accepted() + 1).await;
        server.says(&answer("200 OK", "ok"));
        assert_eq!(watching.said(1).await, [format!("{} up", server.address)]);
        assert!(!states[0].is_down());
        assert!(watching.news.is_empty(), "there are none any more");
        // All of them.
        server.says(&answer("404 Not Found", ""));
        other.says(&answer("500 Internal Server Error", ""));
        let mut said = watching.said(3).await;
        assert_eq!(said.pop(), Some("all of chat down".to_owned()));
        watching.looks(3).await;
        assert!(watching.has_said_nothing(), "it is said once");
    });
}

#[test]
fn a_check_that_passes_forgets_failures_and_a_server_that_went_down_must_pass_twice() {
    run(async {
        let server = FakeServer::saying("").await;
        let group = checked(&[server.address, server.address], HealthCheck::Tcp);
        let state = Arc::clone(group.members()[0].state());
        let mut watching = Watching::begin(&group).await;
        server.has_accepted_more_than(8).await;
        state.set_down(Instant::now());
        let before = server.accepted();
        let said = watching.said(2).await;
        assert!(said[0].contains("(`max_fails`)"), "{said:?}");
        assert_eq!(said[1], format!("{} up", server.address));
        assert!(server.accepted() >= before + 2);
        assert!(watching.news.try_recv().is_err(), "requests end no tunnel");
    });
}

#[test]
fn an_engine_io_server_is_asked_for_a_session_that_cannot_exist() {
    run(async {
        let unknown = r#"{"code":1,"message":"Session ID unknown"}"#;
        let mut passes = Vec::new();
        for (status, body, is_well) in [
            ("400 Bad Request", unknown, true),
            ("400 Bad Request", r#""Invalid session wsgate-check""#, true),
            (
                "400 Bad Request",
                r#"{"code":0,"message":"Transport unknown"}"#,
                true,
            ),
            ("404 Not Found", "", false),
            ("200 OK", "ok", false),
            ("502 Bad Gateway", unknown, false),
        ] {
            passes.push((FakeServer::saying(&answer(status, body)).await, is_well));
        }
        let servers: Vec<SocketAddr> = passes.iter().map(|(server, _)| server.address).collect();
        let group = checked(&servers, HealthCheck::EngineIo("/socket.io/".to_owned()));
        let watching = Watching::begin(&group).await;
        watching.said(3).await;
        for (server, _) in &passes {
            server.has_accepted_more_than(4).await;
            let head = server.head.lock().unwrap().clone();
            let line = head.lines().next().unwrap();
            assert_eq!(
                line,
                "GET /socket.io/?EIO=4&transport=polling&sid=wsgate-check HTTP/1.1"
            );
        }
        for ((_, is_well), member) in passes.iter().zip(group.members()) {
            assert_eq!(!member.state().is_down(), *is_well, "{:?}", member.server());
        }
    });
}

#[test]
fn a_silent_server_fails_its_check_and_holds_up_no_other() {
    run(async {
        let silent = FakeServer::saying("").await;
        let well = FakeServer::saying(&answer("200 OK", "")).await;
        let check = HealthCheck::Http("/".to_owned());
        let group = checked(&[silent.address, well.address], check);
        let watching = Watching::begin(&group).await;
        well.has_accepted_more_than(20).await;
        assert!(silent.accepted() <= 3, "it has 500 ms each time");
        let said = watching.said(1).await;
        let reason = "it did not answer within 500ms";
        assert_eq!(said, [format!("{} down, 0 open: {reason}", silent.address)]);
    });
}

#[test]
fn a_server_is_drained_once_when_nothing_of_it_is_left() {
    run(async {
        let server = FakeServer::saying("").await;
        let address = server.address.to_string();
        let drain = MemberSettings {
            drain: true,
            ..MemberSettings::default()
        };
        let group = Arc::new(group_of(&[&address], &drain));
        let open = group.members()[0].state().raise();
        let mut watching = Watching::begin(&group).await;
        watching.looks(8).await;
        assert!(watching.has_said_nothing());
        drop(open);
        assert_eq!(watching.said(1).await, [format!("{address} drained")]);
        let again = group.members()[0].state().raise();
        watching.looks(2).await;
        drop(again);
        watching.looks(8).await;
        assert!(watching.has_said_nothing(), "it is said once");
        assert!(watching.news.try_recv().is_err(), "it stays in the file");
        // Not drained any more, and then again.
        let mut settings = group.written().to_vec();
        settings[0].settings.drain = false;
        let back = Group::new(group.settings().clone(), settings.clone());
        let back = back.adopting(&[Arc::clone(&group)]);
        watching.follow(&back);
        watching.looks(2).await;
        watching.follow(&group);
        assert_eq!(watching.said(1).await, [format!("{address} drained")]);
    });
}

#[test]
fn a_server_is_not_drained_before_its_silent_sessions_can_have_come_back() {
    run(async {
        let drain = MemberSettings {
            drain: true,
            ..MemberSettings::default()
        };
        let slow = Pace {
            drain: Duration::from_millis(150),
            ..PACE
        };
        let begun = Instant::now();
        // It drains from the start, as after an update of wsgate, which knows of no session then.
        let group = Arc::new(group_of(&["10.0.0.1:1"], &drain));
        let watching = Watching::begin_at(slow, &group).await;
        assert_eq!(watching.said(1).await, ["10.0.0.1:1 drained"]);
        assert!(begun.elapsed() >= slow.drain);
        // It drains anew after it has not: what began meanwhile is to be heard of too. A reload in between does not begin the time anew.
        let mut settings = group.written().to_vec();
        settings[0].settings.drain = false;
        let back = Group::new(group.settings().clone(), settings);
        watching.follow(&back.adopting(&[Arc::clone(&group)]));
        watching.looks(2).await;
        let begun = Instant::now();
        watching.follow(&group);
        watching.looks(2).await;
        watching.follow(&group);
        assert_eq!(watching.said(1).await, ["10.0.0.1:1 drained"]);
        assert!(begun.elapsed() >= slow.drain);
    });
}

#[test]
fn an_address_that_has_vanished_leaves_when_it_is_drained() {
    run(async {
        let resolve = MemberSettings {
            resolve: true,
            ..MemberSettings::default()
        };
        let group = group_of(&["chat.test:3000"], &resolve);
        let ips = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().unwrap());
        let group = group.resolved(0, &ips).unwrap();
        let group = Arc::new(group.resolved(0, &ips[..1]).unwrap());
        let mut watching = Watching::begin(&group).await;
        assert_eq!(watching.said(1).await, ["10.0.0.2:3000 drained"]);
        let news = timeout(DEADLINE, watching.news.recv()).await.unwrap();
        assert_eq!(leaving(news), ["10.0.0.2:3000"]);
        // A request came in between, so that it stayed: it is named again, and nothing is said again.
        let news = timeout(DEADLINE, watching.news.recv()).await.unwrap();
        assert_eq!(leaving(news), ["10.0.0.2:3000"]);
        assert!(watching.has_said_nothing());
    });
}

#[test]
fn addresses_vanish_together_of_a_name_that_was_drained_before() {
    run(async {
        let resolve = MemberSettings {
            resolve: true,
            drain: true,
            ..MemberSettings::default()
        };
        let ips = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|ip| ip.parse().unwrap());
        let group = group_of(&["chat.test:3000"], &resolve);
        let all = Arc::new(group.resolved(0, &ips).unwrap());
        let mut watching = Watching::begin(&all).await;
        assert_eq!(watching.said(3).await.len(), 3);
        assert!(watching.news.is_empty(), "the name leads to all of them");
        watching.follow(&Arc::new(all.resolved(0, &ips[..1]).unwrap()));
        let news = timeout(DEADLINE, watching.news.recv()).await.unwrap();
        assert_eq!(leaving(news), ["10.0.0.2:3000", "10.0.0.3:3000"]);
        assert!(watching.has_said_nothing());
    });
}

fn leaving(news: Option<HealthNews>) -> Vec<String> {
    let Some(HealthNews::Leave(members)) = news else {
        panic!("{news:?}");
    };
    let members = members.iter();
    members.map(|member| member.server().authority()).collect()
}

#[test]
fn tunnels_stay_while_all_servers_are_down_and_later_ones_end_with_the_others() {
    run(async {
        let servers = [(); 2].map(|()| FakeServer::saying(""));
        let [one, other] = servers;
        let (one, other) = (one.await, other.await);
        let bad = answer("500 Internal Server Error", "");
        one.says(&bad);
        other.says(&bad);
        let check = HealthCheck::Http("/".to_owned());
        let group = checked(&[one.address, other.address], check);
        // Both have tunnels, but for the one that is found down first.
        let state = Arc::clone(group.members()[0].state());
        state.set_down(Instant::now());
        let open = group.members()[1].state().raise();
        let mut watching = Watching::begin(&group).await;
        until(|| group.is_all_down()).await;
        let tunnel = state.raise();
        watching.said(3).await;
        watching.looks(8).await;
        assert!(watching.news.is_empty(), "{:?}", watching.news.recv().await);
        // Now there is one to go to.
        drop(open);
        other.says(&answer("200 OK", ""));
        assert_eq!(watching.said(1).await, [format!("{} up", other.address)]);
        for _ in 0..2 {
            // Whatever begins there later ends too.
            let news = timeout(DEADLINE, watching.news.recv()).await.unwrap();
            let Some(HealthNews::EndTunnels(owner)) = news else {
                panic!("{news:?}");
            };
            assert_eq!(owner, TunnelOwner::new(state.number()));
        }
        drop(tunnel);
    });
}

#[test]
fn a_checked_server_that_is_down_is_checked_more_often() {
    run(async {
        let server = FakeServer::saying("").await;
        let group = checked(&[server.address, server.address], HealthCheck::Tcp);
        let slow = Pace {
            interval: Duration::from_secs(3600),
            ..PACE
        };
        let watching = Watching::begin_at(slow, &group).await;
        server.has_accepted_more_than(0).await;
        group.members()[0].state().set_down(Instant::now());
        assert_eq!(watching.said(2).await[1], format!("{} up", server.address));
        assert!(!group.members()[0].state().is_down());
    });
}

#[test]
fn what_is_answered_to_the_check_of_before_a_reload_counts_no_more() {
    run(async {
        let server = FakeServer::saying("").await;
        let group = checked(
            &[server.address, server.address],
            HealthCheck::Http("/".to_owned()),
        );
        let strict = Pace {
            fall: 1,
            timeout: Duration::from_millis(300),
            ..PACE
        };
        let watching = Watching::begin_at(strict, &group).await;
        server.has_accepted_more_than(1).await;
        let settings = GroupSettings {
            health_check: Some(HealthCheck::Tcp),
            ..group.settings().clone()
        };
        let after = Group::new(settings, group.written().to_vec());
        watching.follow(&after.adopting(&[group]));
        // The servers are asked anew when the silence of before is over.
        server.has_accepted_more_than(6).await;
        assert!(watching.has_said_nothing());
    });
}
