//! How long hyper waits for the head of a request.

use std::time::Duration;

use crate::hyper_contracts::HEAD_TIMEOUT;
use crate::hyper_contracts::Server;
use crate::hyper_contracts::Words;
use crate::hyper_contracts::error;
use crate::hyper_contracts::ok;

const MOMENT: Duration = Duration::from_millis(1);
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// `src/listener/hyper_driver.rs` times the first head itself, because hyper does not know when the connection began.
#[test]
fn the_time_for_the_first_head_counts_from_the_first_poll() {
    let mut server = Server::start();
    server.clock.pass(HEAD_TIMEOUT);
    assert!(server.poll().is_pending());
    server.clock.pass(HEAD_TIMEOUT - MOMENT);
    assert!(server.poll().is_pending());
    server.clock.pass(MOMENT);
    assert!(error(server.poll()).is_timeout());
}

/// `src/listener/hyper_driver.rs` has hyper time a whole head, so that a byte now and then does not keep a connection.
#[test]
fn a_byte_of_a_head_does_not_begin_its_time_anew() {
    let mut server = Server::start();
    assert!(server.poll().is_pending());
    server.clock.pass(HEAD_TIMEOUT - MOMENT);
    server.wire.send("G");
    assert!(server.poll().is_pending());
    server.clock.pass(MOMENT);
    assert!(error(server.poll()).is_timeout());
}

/// `src/listener/hyper_driver.rs` closes behind a timeout itself, and sees by what was read whether a head had begun,
/// which decides whether the log gets a line.
#[test]
fn a_late_head_is_a_timeout_and_its_client_is_told_nothing() {
    for begun in ["GET / HT", ""] {
        let mut server = Server::start();
        server.wire.send(begun);
        assert!(server.poll().is_pending());
        server.clock.pass(HEAD_TIMEOUT);
        let error = error(server.poll());
        assert!(error.is_timeout() && !error.is_parse(), "{error}");
        assert_eq!(server.wire.did(), []);
        assert_eq!(server.unused(), begun);
    }
}

/// `src/listener/hyper_driver.rs` has hyper end idle connections by the same limit.
#[test]
fn the_time_for_the_next_head_counts_from_the_end_of_the_answer() {
    let mut server = Server::start();
    drop(server.request(GET));
    // Not while the answer is under way.
    server.clock.pass(2 * HEAD_TIMEOUT);
    let words = Words::open(None);
    assert!(server.answer(ok(words.clone())).is_pending());
    server.clock.pass(2 * HEAD_TIMEOUT);
    assert!(server.poll().is_pending());
    words.end();
    assert!(server.poll().is_pending());
    server.clock.pass(HEAD_TIMEOUT - MOMENT);
    assert!(server.poll().is_pending());
    server.clock.pass(MOMENT);
    assert!(error(server.poll()).is_timeout());
}
