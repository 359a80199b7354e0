//! Looks up the names of groups: those with `resolve` again and again, the others once, at a start and at each reload.
//!
//! The system's resolver does it, on threads that may block, so that its hosts file, its search list and its TCP are as everywhere else. It
//! tells nothing of how long an answer holds, and that would be no help: Kubernetes says 5 s, Docker 600. Each name has one look-up at a
//! time, however long the resolver is silent.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::sleep_until;

use crate::upstream::Group;

/// The most look-ups at a time: each holds a thread, for half a minute where a name server is silent.
const AT_ONCE: usize = 32;

/// A name that is to be looked up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct WantedName {
    /// The name.
    name: String,
    /// How often, or after which time a failure is repeated: the shortest `valid` of its groups.
    every: Duration,
    /// Whether it is followed. Otherwise one answer is enough.
    resolve: bool,
}

/// What came of a look-up.
#[derive(Debug)]
pub(super) struct LookedUp {
    /// The name.
    pub(super) name: String,
    /// Its addresses, at least one; or why there are none, which is told once until there are some again.
    pub(super) outcome: Result<Vec<IpAddr>, String>,
}

/// Finds the addresses of a name, and may block.
pub(super) type ResolveFn = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// The system's resolver.
pub(super) fn system() -> Arc<ResolveFn> {
    Arc::new(|name| {
        let found = (name, 0).to_socket_addrs()?;
        Ok(found.map(|address| address.ip()).collect())
    })
}

/// The names of these groups, each once.
pub(super) fn wanted(groups: &[Arc<Group>]) -> Vec<WantedName> {
    let mut wanted: BTreeMap<String, WantedName> = BTreeMap::new();
    for group in groups {
        let every = group.settings().valid;
        for of_entry in group.names() {
            let name = wanted
                .entry(of_entry.name.clone())
                .or_insert_with(|| WantedName {
                    name: of_entry.name,
                    every,
                    resolve: false,
                });
            name.every = name.every.min(every);
            name.resolve |= of_entry.resolve;
        }
    }
    wanted.into_values().collect()
}

/// Looks names up for as long as somebody says which, and tells what comes of it.
pub(super) async fn follow(
    resolver: Arc<ResolveFn>,
    mut wanted: mpsc::UnboundedReceiver<Vec<WantedName>>,
    told: mpsc::UnboundedSender<LookedUp>,
) {
    let mut names = FollowedNames {
        resolver,
        names: BTreeMap::new(),
        lookups: JoinSet::new(),
    };
    loop {
        let due = names.next_due();
        let due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => pending().await,
            }
        };
        let looked_up = tokio::select! {
            biased;
            names_now = wanted.recv() => match names_now {
                Some(names_now) => {
                    names.want(names_now, Instant::now());
                    None
                }
                None => return,
            },
            Some(done) = names.lookups.join_next() => match done {
                Ok(done) => names.heard(done, Instant::now()),
                // It ends the process, as a panic on this very thread would.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            () = due => {
                names.begin(Instant::now());
                None
            }
        };
        if let Some(looked_up) = looked_up {
            // When the process goes away nobody listens any more.
            let _ = told.send(looked_up);
        }
    }
}

/// All names, and what is under way.
struct FollowedNames {
    resolver: Arc<ResolveFn>,
    names: BTreeMap<String, FollowedName>,
    lookups: JoinSet<Done>,
}

/// One name.
struct FollowedName {
    wanted: WantedName,
    /// When it is looked up next; `None` if that is not needed.
    due: Option<Instant>,
    is_under_way: bool,
    /// Whether the last look-up failed, which has been told.
    is_failing: bool,
}

/// A look-up that is over.
struct Done {
    name: String,
    begun: Instant,
    found: io::Result<Vec<IpAddr>>,
}

impl FollowedNames {
    /// These names and no others, from now on. What is known of one stays; one that is not followed is looked up once more.
    fn want(&mut self, wanted: Vec<WantedName>, now: Instant) {
        let mut before = std::mem::take(&mut self.names);
        for wanted in wanted {
            let followed = match before.remove(&wanted.name) {
                Some(known) => {
                    let due = if wanted.resolve { known.due } else { None };
                    FollowedName {
                        due: Some(due.unwrap_or(now).min(now + wanted.every)),
                        wanted,
                        ..known
                    }
                }
                None => FollowedName {
                    wanted,
                    due: Some(now),
                    is_under_way: false,
                    is_failing: false,
                },
            };
            let name = followed.wanted.name.clone();
            self.names.insert(name, followed);
        }
    }

    /// When the next look-up can begin.
    fn next_due(&self) -> Option<Instant> {
        if self.lookups.len() >= AT_ONCE {
            return None;
        }
        let waiting = self.names.values().filter(|name| !name.is_under_way);
        waiting.filter_map(|name| name.due).min()
    }

    /// Begins those look-ups that are due, the one that has waited longest first.
    fn begin(&mut self, now: Instant) {
        let names = self.names.values_mut();
        let mut due: Vec<&mut FollowedName> = names
            .filter(|name| !name.is_under_way && name.due.is_some_and(|due| due <= now))
            .collect();
        due.sort_by_key(|name| name.due);
        for followed in due {
            if self.lookups.len() >= AT_ONCE {
                return;
            }
            followed.is_under_way = true;
            let (resolver, name) = (Arc::clone(&self.resolver), followed.wanted.name.clone());
            self.lookups.spawn_blocking(move || Done {
                found: resolver(&name),
                name,
                begun: now,
            });
        }
    }

    /// What is to be told of a look-up that is over.
    fn heard(&mut self, done: Done, now: Instant) -> Option<LookedUp> {
        let followed = self.names.get_mut(&done.name)?;
        followed.is_under_way = false;
        let next = (done.begun + followed.wanted.every).max(now);
        let outcome = match done.found {
            Ok(found) if !found.is_empty() => Ok(found),
            Ok(_) => Err("it has no address".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let goes_on = followed.wanted.resolve || outcome.is_err();
        followed.due = goes_on.then_some(next);
        let was_failing = std::mem::replace(&mut followed.is_failing, outcome.is_err());
        (outcome.is_ok() || !was_failing).then_some(LookedUp {
            name: done.name,
            outcome,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashMap;
    use std::io;
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::sync::Mutex;
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::runtime::LocalOptions;
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;
    use tokio::task::spawn_local;
    use tokio::time::timeout;

    use crate::server::names::AT_ONCE;
    use crate::server::names::LookedUp;
    use crate::server::names::WantedName;
    use crate::server::names::follow;
    use crate::server::test_support::DEADLINE;

    /// How often names are followed here.
    const EVERY: Duration = Duration::from_millis(2);

    /// The answers of a resolver, which are those of the moment, and what it was asked.
    #[derive(Default)]
    struct Answers {
        of: HashMap<String, Result<Vec<IpAddr>, &'static str>>,
        asked: Vec<String>,
        /// How many are being answered, by name, and the most that ever were.
        busy: HashMap<String, usize>,
        most: usize,
        are_silent: bool,
    }

    struct Fake {
        answers: Arc<Mutex<Answers>>,
        wants: mpsc::UnboundedSender<Vec<WantedName>>,
        told: mpsc::UnboundedReceiver<LookedUp>,
        task: JoinHandle<()>,
    }

    impl Fake {
        fn begin() -> Self {
            let answers: Arc<Mutex<Answers>> = Arc::default();
            let resolver = {
                let answers = Arc::clone(&answers);
                move |name: &str| {
                    {
                        let mut all = answers.lock().unwrap();
                        all.asked.push(name.to_owned());
                        *all.busy.entry(name.to_owned()).or_default() += 1;
                        assert_eq!(all.busy[name], 1, "one look-up of a name at a time");
                        all.most = all.most.max(all.busy.values().sum());
                    }
                    // A resolver that blocks: nothing but a thread of its own may wait with it.
                    while answers.lock().unwrap().are_silent {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    let mut all = answers.lock().unwrap();
                    *all.busy.get_mut(name).unwrap() -= 1;
                    match all.of.get(name) {
                        Some(Ok(found)) => Ok(found.clone()),
                        Some(Err(words)) => Err(io::Error::other(*words)),
                        None => Ok(Vec::new()),
                    }
                }
            };
            let (wants, wanted) = mpsc::unbounded_channel();
            let (tells, told) = mpsc::unbounded_channel();
            let task = spawn_local(follow(Arc::new(resolver), wanted, tells));
            Self {
                answers,
                wants,
                told,
                task,
            }
        }

        fn answer(&self, name: &str, answer: Result<&[&str], &'static str>) {
            let parsed = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
            let answer = answer.map(parsed);
            let mut answers = self.answers.lock().unwrap();
            answers.of.insert(name.to_owned(), answer);
        }

        fn want(&self, names: &[&str], resolve: bool) {
            let wanted = names.iter().map(|name| WantedName {
                name: (*name).to_owned(),
                every: EVERY,
                resolve,
            });
            self.wants.send(wanted.collect()).unwrap();
        }

        /// The next thing that is told which is not this.
        async fn next_but(&mut self, known: &str) -> String {
            loop {
                let told = timeout(DEADLINE, self.told.recv()).await;
                let told = told.expect("in time").expect("it goes on");
                let shown = match told.outcome {
                    Ok(found) => {
                        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                        format!("{}: {}", told.name, found.join(" "))
                    }
                    Err(reason) => format!("{}: error: {reason}", told.name),
                };
                if shown != known {
                    return shown;
                }
            }
        }

        fn asked(&self) -> usize {
            self.answers.lock().unwrap().asked.len()
        }

        async fn is_asked_more_often_than(&self, before: usize) {
            let asked = async {
                while self.asked() <= before {
                    tokio::time::sleep(EVERY).await;
                }
            };
            timeout(DEADLINE, asked).await.expect("it is asked");
        }
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default());
        runtime.unwrap().block_on(test);
    }

    #[test]
    fn a_name_is_followed_and_a_failure_is_told_once_until_it_is_over() {
        run(async {
            let mut fake = Fake::begin();
            fake.answer("chat.test", Err("NXDOMAIN"));
            fake.want(&["chat.test"], true);
            assert_eq!(fake.next_but("").await, "chat.test: error: NXDOMAIN");
            fake.is_asked_more_often_than(fake.asked() + 2).await;
            // Another failure is the same news: there are still no addresses.
            fake.answer("chat.test", Err("SERVFAIL"));
            fake.is_asked_more_often_than(fake.asked() + 2).await;
            fake.answer("chat.test", Ok(&["10.0.0.1", "2001:db8::1"]));
            let known = fake.next_but("").await;
            assert_eq!(known, "chat.test: 10.0.0.1 2001:db8::1");
            fake.answer("chat.test", Ok(&["10.0.0.2"]));
            let known = fake.next_but(&known).await;
            assert_eq!(known, "chat.test: 10.0.0.2");
            fake.answer("chat.test", Ok(&[]));
            let known = fake.next_but(&known).await;
            assert_eq!(known, "chat.test: error: it has no address");
            fake.answer("chat.test", Ok(&["10.0.0.2"]));
            assert_eq!(fake.next_but("").await, "chat.test: 10.0.0.2");
            fake.want(&[], true);
            drop(fake.wants);
            timeout(DEADLINE, fake.task).await.unwrap().unwrap();
        });
    }

    #[test]
    fn a_name_that_is_not_followed_is_asked_until_it_is_known_and_again_at_a_reload() {
        run(async {
            let mut fake = Fake::begin();
            fake.answer("app.test", Err("not yet"));
            fake.want(&["app.test"], false);
            assert_eq!(fake.next_but("").await, "app.test: error: not yet");
            fake.answer("app.test", Ok(&["10.0.0.1"]));
            assert_eq!(fake.next_but("").await, "app.test: 10.0.0.1");
            let asked = fake.asked();
            fake.answer("other.test", Ok(&["10.0.0.9"]));
            fake.want(&["other.test"], false);
            assert_eq!(fake.next_but("").await, "other.test: 10.0.0.9");
            assert_eq!(fake.asked(), asked + 1);
            fake.want(&["other.test", "app.test"], false);
            let mut both = [fake.next_but("").await, fake.next_but("").await];
            both.sort_unstable();
            assert_eq!(both, ["app.test: 10.0.0.1", "other.test: 10.0.0.9"]);
            assert_eq!(fake.asked(), asked + 3);
        });
    }

    #[test]
    fn a_silent_resolver_holds_few_threads_and_nobody_else() {
        run(async {
            let mut fake = Fake::begin();
            fake.answers.lock().unwrap().are_silent = true;
            let names: Vec<String> = (0..2 * AT_ONCE).map(|at| format!("{at}.test")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            fake.want(&names, true);
            let all_busy = async {
                while fake.asked() < AT_ONCE {
                    tokio::time::sleep(EVERY).await;
                }
            };
            timeout(DEADLINE, all_busy).await.expect("they are asked");
            // This thread goes on, and a name is not asked twice.
            fake.want(&names, true);
            for _ in 0..10 {
                tokio::time::sleep(EVERY).await;
            }
            assert_eq!(fake.asked(), AT_ONCE);
            fake.answers.lock().unwrap().are_silent = false;
            let mut told = Vec::new();
            while told.len() < names.len() {
                let next = fake.next_but("").await;
                assert!(!told.contains(&next), "{next}");
                told.push(next);
            }
            assert_eq!(fake.answers.lock().unwrap().most, AT_ONCE);
        });
    }
}
