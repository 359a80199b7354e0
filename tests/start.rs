//! A start: whom it lets in.

use std::fs;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Command;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;
use tempfile::TempDir;

use crate::support::DEADLINE;
use crate::support::TestServer;

/// How often a process is started. On an idle machine more than one start in five let somebody in too early when the trial of an address
/// listened.
const STARTS: usize = 30;

/// Knocks until somebody opens, and returns what that one answers. From another address, so that the system gives no client the port
/// that is knocked at.
fn knock(address: SocketAddr) -> String {
    let from = SocketAddr::from(([127, 0, 0, 2], 0));
    loop {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.bind(&from.into()).unwrap();
        match client.connect(&address.into()) {
            Ok(()) => return ask(client.into()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
        }
    }
}

fn ask(mut client: TcpStream) -> String {
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: chat.test\r\nConnection: close\r\n\r\n";
    client.write_all(request).expect("it is open");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("it is answered");
    answer
}

#[tokio::test]
async fn who_is_let_in_first_is_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for number in 0..STARTS {
        let first = std::thread::spawn(move || knock(address));
        let mut gate = TestServer::setup()
            .address(address)
            .raw_route("{ location: /, return: 200 open }")
            .start()
            .await;
        let answer = first.join().expect("who came first is answered");
        assert!(answer.ends_with("open"), "start {number}: {answer}");
        gate.signal("TERM");
        assert_eq!(gate.finished().await.status.code(), Some(0));
    }
}

/// Whoever connects to a socket that listens only to be closed again is let in and reset.
#[test]
fn a_start_that_comes_to_nothing_listens_nowhere() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let [taken_port, free_port] = [&taken, &free].map(|one| one.local_addr().unwrap().port());
    drop(free);
    let yaml = format!(
        "listen: [{{ address: '127.0.0.1:{free_port}' }}, {{ address: '127.0.0.1:{taken_port}' }}]\n\
         routes: [{{ location: /, return: 200 }}]\n"
    );
    fs::write(folder.path().join("routes.yaml"), yaml).unwrap();
    let calls = folder.path().join("calls");
    let done = Command::new("strace")
        .args(["-f", "-e", "trace=bind,listen", "-o"])
        .arg(&calls)
        .arg(env!("CARGO_BIN_EXE_wsgate"))
        .current_dir(folder.path())
        .output()
        .expect("strace, which tests/run installs");
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.contains("address already in use"), "{said}");
    assert_eq!(done.status.code(), Some(1));
    let calls = fs::read_to_string(calls).unwrap();
    assert_eq!(calls.matches("bind(").count(), 2, "{calls}");
    assert!(!calls.contains("listen("), "{calls}");
}
