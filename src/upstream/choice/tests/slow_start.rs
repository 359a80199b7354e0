//! The return of a server that was down: it is given little at first, and neither nothing nor all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::upstream::Balance;
use crate::upstream::Group;
use crate::upstream::MemberSettings;
use crate::upstream::OpenGuard;
use crate::upstream::choice::tests::SLOW_START;
use crate::upstream::choice::tests::at;
use crate::upstream::choice::tests::group;
use crate::upstream::choice::tests::input;
use crate::upstream::choice::tests::open;
use crate::upstream::choice::tests::plain;
use crate::upstream::choice::tests::weighing;

/// How many clients come in a second.
const A_SECOND: u32 = 40;

/// How long each stays.
const STAY: Duration = Duration::from_secs(30);

/// Clients that come at regular intervals and stay for a while, in a time that passes as it is told.
struct Clients {
    group: Arc<Group>,
    now: Instant,
    tunnels: VecDeque<(Instant, Option<OpenGuard>)>,
}

impl Clients {
    fn new(balance: Balance, servers: &[MemberSettings]) -> Self {
        Self {
            group: group(balance, servers),
            now: Instant::now(),
            tunnels: VecDeque::new(),
        }
    }

    /// So many come. Returns which part of them is given to the first server.
    fn come(&mut self, count: u32) -> f64 {
        let mut to_first = 0;
        for _ in 0..count {
            while let Some((since, _)) = self.tunnels.front()
                && self.now - *since >= STAY
            {
                self.tunnels.pop_front();
            }
            let mut choice = self.group.choose(&input(self.now)).unwrap();
            to_first += u32::from(at(&choice) == 0);
            self.tunnels.push_back((self.now, choice.take_open()));
            self.now += Duration::from_secs(1) / A_SECOND;
        }
        f64::from(to_first) / f64::from(count)
    }

    /// The first server dies, with its tunnels, and is back when the others have all clients.
    fn lose_and_return(&mut self) {
        self.group.members()[0].state().set_down(self.now);
        // Those of the others stay, but all are gone before the end of this.
        assert_eq!(self.come(40 * A_SECOND), 0.0);
        self.group.members()[0].state().set_up(self.now);
    }

    /// How far what the servers have is from what they should have at most, as a part of it.
    fn unevenness(&self) -> f64 {
        let open = open(&self.group);
        let weights = self.group.members().iter();
        let weights: Vec<_> = weights
            .map(|one| f64::from(one.settings().weight))
            .collect();
        let a_share = f64::from(open.iter().sum::<u32>()) / weights.iter().sum::<f64>();
        let off = open.iter().zip(weights).map(|(open, weight)| {
            let due = weight * a_share;
            (f64::from(*open) - due).abs() / due
        });
        off.fold(0.0, f64::max)
    }
}

/// The return of the first of three servers of the same weight, which is to be the same whichever turn it begins with.
fn returns(clients: &mut Clients, balance: &str) {
    clients.lose_and_return();
    let first = clients.come(A_SECOND);
    assert!(first <= 0.05, "{balance}: {first} in the first second");
    let third = {
        clients.come(A_SECOND);
        clients.come(A_SECOND)
    };
    assert!(
        (0.025..=0.15).contains(&third),
        "{balance}: {third} in the third"
    );
    clients.come(6 * A_SECOND);
    let last = clients.come(A_SECOND);
    assert!(
        (0.25..=0.375).contains(&last),
        "{balance}: {last} in the last second"
    );
}

#[test]
fn with_least_conn_it_takes_its_time_and_is_then_level() {
    for turn in 0..60 {
        let mut clients = Clients::new(Balance::LeastConn, &[plain(), plain(), plain()]);
        for _ in 0..turn * 7 {
            clients.group.state().cursor().take();
        }
        clients.come(STAY.as_secs() as u32 * A_SECOND);
        // Each time anew.
        for _ in 0..2 {
            returns(&mut clients, "least_conn");
            clients.come(20 * A_SECOND);
            assert!(clients.unevenness() <= 0.05, "{:?}", open(&clients.group));
        }
    }
}

#[test]
fn in_turn_it_takes_its_time_and_then_has_its_turns() {
    for turn in 0..60 {
        let mut clients = Clients::new(Balance::RoundRobin, &[plain(), plain(), plain()]);
        for _ in 0..turn * 7 {
            clients.group.state().cursor().take();
        }
        for _ in 0..2 {
            returns(&mut clients, "round_robin");
            assert_eq!(clients.come(3 * A_SECOND), 1.0 / 3.0);
        }
    }
}

#[test]
fn one_of_many_takes_its_time_too() {
    // At 34, a Fibonacci number, every 34th multiple of the golden ratio is nearly where the one before was.
    for many in [20_u32, 34] {
        let servers = vec![plain(); many as usize];
        let mut clients = Clients::new(Balance::LeastConn, &servers);
        clients.lose_and_return();
        let shares = [(); 10].map(|()| clients.come(A_SECOND) * f64::from(many));
        let whole: f64 = shares.iter().sum();
        // Half of its share over all, and more of it later.
        assert!((3.0..=7.0).contains(&whole), "{many}: {shares:?}");
        let first: f64 = shares[..3].iter().sum();
        assert!(first <= 1.5, "{many}: {shares:?}");
        clients.come(60 * A_SECOND);
        assert!(clients.unevenness() <= 0.15, "{:?}", open(&clients.group));
    }
}

#[test]
fn its_weight_counts_while_it_recovers() {
    let mut clients = Clients::new(Balance::LeastConn, &[2, 1, 1].map(weighing));
    clients.lose_and_return();
    assert!(clients.come(A_SECOND) <= 0.05);
    clients.come(8 * A_SECOND);
    let last = clients.come(A_SECOND);
    assert!((0.4..=0.55).contains(&last), "{last}");
    clients.come(25 * A_SECOND);
    assert!(clients.unevenness() <= 0.05, "{:?}", open(&clients.group));
}

#[test]
fn servers_that_all_recover_share_what_comes() {
    for balance in [Balance::LeastConn, Balance::RoundRobin] {
        let mut clients = Clients::new(balance, &[plain(), plain(), plain()]);
        for member in clients.group.members() {
            member.state().set_down(clients.now);
            member.state().set_up(clients.now);
        }
        for _ in 0..3 {
            assert_eq!(clients.come(3 * A_SECOND), 1.0 / 3.0);
        }
        assert!(clients.unevenness() < 0.01);
    }
}

#[test]
fn a_server_is_chosen_while_it_recovers_if_there_is_no_other() {
    let mut clients = Clients::new(Balance::LeastConn, &[plain(), plain()]);
    let state = |at: usize| Arc::clone(clients.group.members()[at].state());
    let (first, second) = (state(0), state(1));
    first.set_down(clients.now);
    first.set_up(clients.now);
    second.set_down(clients.now);
    assert_eq!(clients.come(A_SECOND), 1.0);
    second.set_up(clients.now);
    assert!(SLOW_START > Duration::from_secs(1));
    assert!(clients.come(A_SECOND) < 1.0);
}
