//! The addresses of a name, by the system's resolver on a thread that may block.
//!
//! Whoever asks for a name that is being looked up waits for that look-up and begins none of its own: the resolver holds a thread for
//! 10 s and more where a name server is silent, also when nobody waits for it any more, and these threads are what all names share. Each
//! thread that serves has its own table of what is under way, so that nobody takes a lock for it. What a look-up finds is for those who
//! wait for it, and for nobody later: neither an address nor a failure is kept.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio::time::timeout_at;

/// How long a look-up may be silent before another one is begun for the same name. A packet that was lost is asked for again only after
/// 5 s (resolv.conf(5), `timeout`), and would hold up everyone who waits with it.
const SILENT: Duration = Duration::from_secs(1);

/// How many look-ups of a name there are at a time, on one thread.
const AT_ONCE: usize = 2;

/// The addresses of a name, without a port, or why there are none. Those who wait share it.
type LookupResult = Result<Arc<[SocketAddr]>, Arc<io::Error>>;

thread_local! {
    static LOOKUPS: Lookups = Lookups::by(|name| Ok((name, 0).to_socket_addrs()?.collect()));
}

/// Looks a name up, for as long as the resolver takes. Its addresses get this port, and are in the resolver's order.
///
/// # Errors
/// The resolver knows none, or cannot be asked.
///
/// # Cancel safety
/// What is under way goes on, for others who wait for it or will.
pub(super) async fn look_up(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let lookups = LOOKUPS.with(Clone::clone);
    lookups.look_up(name, port).await
}

/// A function that finds the addresses of a name, and may block.
type ResolveFn = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// What one thread looks up. Clones share it.
#[derive(Clone)]
struct Lookups {
    resolver: Arc<ResolveFn>,
    /// Those of each name, the newest last. What is over stays until the next one begins.
    of_names: Rc<RefCell<HashMap<String, Vec<Lookup>>>>,
}

/// A look-up that may be under way.
#[derive(Clone)]
struct Lookup {
    answer: watch::Receiver<Option<LookupResult>>,
    /// From when on another one may be begun beside it.
    silent_from: Instant,
}

impl Lookups {
    fn by(resolver: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self {
            resolver: Arc::new(resolver),
            of_names: Rc::default(),
        }
    }

    async fn look_up(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let (newest, older) = self.join(name);
        let answer = match older {
            Some(older) => either(newest, older).await,
            None => match timeout_at(newest.silent_from, newest.clone().answered()).await {
                Ok(answer) => answer,
                Err(_) => {
                    let other = self.beside(name, &newest);
                    either(newest, other).await
                }
            },
        };
        match answer {
            Ok(found) => {
                let mut addresses = found.to_vec();
                addresses.iter_mut().for_each(|one| one.set_port(port));
                Ok(addresses)
            }
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }

    /// What is under way of this name, the newest first; something is, from now on.
    fn join(&self, name: &str) -> (Lookup, Option<Lookup>) {
        let mut under_way = self.under_way(name);
        let newest = under_way.pop().unwrap_or_else(|| self.begin(name));
        (newest, under_way.pop())
    }

    /// Another look-up of this name than `known`: one that is under way, or a new one.
    fn beside(&self, name: &str, known: &Lookup) -> Lookup {
        let under_way = self.under_way(name);
        let other = under_way.iter().find(|other| !other.is(known));
        match other {
            Some(other) => other.clone(),
            None if under_way.len() < AT_ONCE => self.begin(name),
            None => known.clone(),
        }
    }

    fn under_way(&self, name: &str) -> Vec<Lookup> {
        let of_names = self.of_names.borrow();
        let all = of_names.get(name).into_iter().flatten();
        all.filter(|one| one.is_under_way()).cloned().collect()
    }

    fn begin(&self, name: &str) -> Lookup {
        let (answered, answer) = watch::channel(None);
        let (resolver, owned) = (Arc::clone(&self.resolver), name.to_owned());
        spawn_blocking(move || {
            let found = resolver(&owned).map(Arc::from).map_err(Arc::new);
            // There may be nobody who waits any more.
            answered.send_replace(Some(found));
        });
        let begun = Lookup {
            answer,
            silent_from: Instant::now() + SILENT,
        };
        let mut of_names = self.of_names.borrow_mut();
        of_names.retain(|_, all| {
            all.retain(Lookup::is_under_way);
            !all.is_empty()
        });
        let all = of_names.entry(name.to_owned()).or_default();
        all.push(begun.clone());
        begun
    }
}

impl Lookup {
    fn is(&self, other: &Self) -> bool {
        self.answer.same_channel(&other.answer)
    }

    fn is_under_way(&self) -> bool {
        // Its thread may have gone without an answer, with the runtime that it was a part of.
        self.answer.has_changed().is_ok() && self.answer.borrow().is_none()
    }

    async fn answered(mut self) -> LookupResult {
        let answer = self.answer.wait_for(Option::is_some).await;
        let answer = answer.ok().and_then(|answer| answer.clone());
        answer.unwrap_or_else(|| Err(Arc::new(io::Error::other("the look-up broke off"))))
    }
}

/// The answer of the one that is over first.
async fn either(one: Lookup, other: Lookup) -> LookupResult {
    tokio::select! {
        biased;
        answer = one.answered() => answer,
        answer = other.answered() => answer,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::Mutex;
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::runtime::LocalOptions;
    use tokio::task::JoinSet;
    use tokio::task::spawn_local;
    use tokio::time::timeout;

    use crate::upstream::lookup::AT_ONCE;
    use crate::upstream::lookup::Lookups;
    use crate::upstream::lookup::SILENT;

    const DEADLINE: Duration = Duration::from_secs(30);

    /// A resolver to which `a.test` and `b.test` are known, `none.test` is not, and of which a name below `silent.test` has no answer
    /// before it is released.
    struct Fake {
        lookups: Lookups,
        asked: Arc<Mutex<Vec<String>>>,
        release: mpsc::Sender<()>,
    }

    impl Fake {
        fn new() -> Self {
            let asked = Arc::new(Mutex::new(Vec::new()));
            let (release, released) = mpsc::channel();
            let (log, released) = (Arc::clone(&asked), Mutex::new(released));
            let lookups = Lookups::by(move |name| {
                log.lock().unwrap().push(name.to_owned());
                match name {
                    "a.test" => Ok(vec![
                        SocketAddr::from(([192, 0, 2, 1], 0)),
                        SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 0)),
                    ]),
                    "b.test" => Ok(vec![SocketAddr::from(([192, 0, 2, 2], 0))]),
                    "silent.test" => {
                        // One at a time, each until it is released or the test is over.
                        let _ = released.lock().unwrap().recv();
                        Ok(vec![SocketAddr::from(([192, 0, 2, 3], 0))])
                    }
                    _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such name")),
                }
            });
            Self {
                lookups,
                asked,
                release,
            }
        }

        fn asked(&self, name: &str) -> usize {
            let asked = self.asked.lock().unwrap();
            asked.iter().filter(|asked| *asked == name).count()
        }

        async fn look_up(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
            let found = timeout(DEADLINE, self.lookups.look_up(name, 80));
            found.await.expect("in time")
        }

        /// Waits until so many look-ups of a name were begun.
        async fn is_asked(&self, name: &str, times: usize) {
            let asked = async {
                while self.asked(name) < times {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            timeout(DEADLINE, asked).await.expect("it is asked");
        }
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .unwrap();
        runtime.block_on(test);
    }

    #[test]
    fn addresses_of_both_families_get_the_port_and_keep_their_order() {
        run(async {
            let fake = Fake::new();
            let found = fake.lookups.look_up("a.test", 8080).await.unwrap();
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, ["192.0.2.1:8080", "[2001:db8::1]:8080"]);
        });
    }

    #[test]
    fn what_was_found_or_not_is_asked_for_anew() {
        run(async {
            let fake = Fake::new();
            for times in 1..=3 {
                fake.look_up("b.test").await.unwrap();
                let error = fake.look_up("none.test").await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::NotFound);
                assert_eq!(error.to_string(), "no such name");
                assert_eq!(
                    (fake.asked("b.test"), fake.asked("none.test")),
                    (times, times)
                );
            }
        });
    }

    #[test]
    fn a_silent_name_has_few_look_ups_however_many_wait_and_hurts_no_other() {
        run(async {
            let fake = Fake::new();
            let mut waiting = JoinSet::new();
            for at in 0..1500 {
                let lookups = fake.lookups.clone();
                // Each has a limit of its own.
                let limit = SILENT + Duration::from_millis(100 + at % 400);
                waiting.spawn_local(async move {
                    timeout(limit, lookups.look_up("silent.test", 80)).await
                });
            }
            fake.is_asked("silent.test", 1).await;
            for _ in 0..20 {
                fake.look_up("a.test").await.unwrap();
                assert_eq!(fake.asked("silent.test"), 1);
            }
            while let Some(waited) = waiting.join_next().await {
                assert!(waited.unwrap().is_err(), "it is silent");
            }
            assert_eq!(fake.asked("silent.test"), AT_ONCE);
            // Those who come later wait with what is under way, though nobody waited for it any more.
            let lookups = fake.lookups.clone();
            let late = spawn_local(async move { lookups.look_up("silent.test", 80).await });
            tokio::task::yield_now().await;
            fake.release.send(()).unwrap();
            let found = timeout(DEADLINE, late).await.unwrap().unwrap();
            assert_eq!(found.unwrap(), [SocketAddr::from(([192, 0, 2, 3], 80))]);
            assert_eq!(fake.asked("silent.test"), AT_ONCE);
            drop(fake);
        });
    }

    #[test]
    fn those_who_ask_together_are_answered_together() {
        run(async {
            let fake = Fake::new();
            let mut waiting = JoinSet::new();
            for port in 1..=100 {
                let lookups = fake.lookups.clone();
                waiting.spawn_local(async move {
                    let found = lookups.look_up("silent.test", port).await.unwrap();
                    assert_eq!(found, [SocketAddr::from(([192, 0, 2, 3], port))]);
                });
            }
            fake.is_asked("silent.test", 1).await;
            fake.release.send(()).unwrap();
            while let Some(waited) = timeout(DEADLINE, waiting.join_next()).await.unwrap() {
                waited.unwrap();
            }
            assert_eq!(fake.asked("silent.test"), 1);
        });
    }

    #[test]
    fn a_look_up_that_is_lost_is_made_up_for_by_another_one() {
        run(async {
            let fake = Fake::new();
            let lookups = fake.lookups.clone();
            let found = spawn_local(async move { lookups.look_up("silent.test", 80).await });
            fake.is_asked("silent.test", AT_ONCE).await;
            // One of the two is answered, and that is enough.
            fake.release.send(()).unwrap();
            timeout(DEADLINE, found).await.unwrap().unwrap().unwrap();
        });
    }
}
