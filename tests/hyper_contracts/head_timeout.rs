//! How hyper asks for the time of a head, by which wsgate knows when it is between two requests.

use crate::hyper_contracts::Did;
use crate::hyper_contracts::Server;
use crate::hyper_contracts::Words;
use crate::hyper_contracts::next;
use crate::hyper_contracts::next_data;
use crate::hyper_contracts::ok;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// `src/listener/head_timer.rs` takes hyper to wait for a head for as long as the sleep exists that it has asked its timer for.
#[test]
fn a_sleep_exists_while_a_head_is_waited_for_and_at_no_other_time() {
    let mut server = Server::start();
    assert_eq!(server.clock.sleeps(), 0);
    assert!(server.poll().is_pending());
    assert_eq!(server.clock.sleeps(), 1);
    server.wire.send("G");
    assert!(server.poll().is_pending());
    assert_eq!(server.clock.sleeps(), 1);
    drop(server.request(&GET[1..]));
    assert_eq!(server.clock.sleeps(), 0);
    let words = Words::open(None);
    words.say("begun");
    assert!(server.answer(ok(words.clone())).is_pending());
    assert_eq!(server.clock.sleeps(), 0);
    words.end();
    assert!(server.poll().is_pending());
    assert_eq!(server.clock.sleeps(), 1);
}

/// `src/listener/head_timer.rs` takes hyper to have answered what it was asked only while it waits for a head: two requests that came
/// together are answered one after the other, without a pause between them.
#[test]
fn no_sleep_exists_while_a_whole_head_is_there() {
    let mut server = Server::start();
    drop(server.request(&format!("{GET}{GET}")));
    assert!(server.answer(ok(Words::none())).is_pending());
    assert_eq!(server.clock.sleeps(), 0);
    assert!(server.next_request().is_some());
    assert!(server.answer(ok(Words::none())).is_pending());
    assert_eq!(server.clock.sleeps(), 1);
}

/// `src/listener/hyper_driver.rs` takes hyper apart between two requests, and goes on with what it has read of the next one.
#[test]
fn a_part_of_the_next_head_is_found_in_hyper_that_waits_for_it() {
    for begun in ["GET / HT", ""] {
        let mut server = Server::start();
        drop(server.request(&format!("{GET}{begun}")));
        assert!(server.answer(ok(Words::none())).is_pending());
        assert_eq!(server.clock.sleeps(), 1);
        assert_eq!(server.unused(), begun);
    }
}

/// `src/listener/hyper_requests.rs` asks whether what was written last was flushed: a sleep alone does not say that the answer is out.
#[test]
fn a_head_may_be_waited_for_while_the_answer_is_not_out() {
    let mut server = waiting_with_an_answer_to_write();
    assert_eq!(server.clock.sleeps(), 1);
    assert_eq!(server.wire.did(), []);
    server.wire.set_room(usize::MAX);
    assert!(server.poll().is_pending());
    assert_eq!(server.wire.did().last(), Some(&Did::Flush));
    assert_eq!(server.clock.sleeps(), 1);
}

/// Hyper that waits for the next head, while the answer to the request before is not out: its body ended later than the answer.
pub(super) fn waiting_with_an_answer_to_write() -> Server {
    let mut server = Server::start();
    let request = server.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nh");
    let mut body = request.into_body();
    assert_eq!(next_data(&mut body), "h");
    assert!(next(&mut body).is_pending());
    server.wire.set_room(0);
    assert!(server.answer(ok(Words::whole("ok"))).is_pending());
    server.wire.send("i");
    assert!(server.poll().is_pending());
    server
}
