//! An upstream whose queue of connections is full, as when thousands of clients come back to a server at once.

use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::support::GET;
use crate::support::TestServer;
use crate::support::within;

/// After this long TCP sends its SYN again (RFC 6298 §2).
const SECOND_SYN: Duration = Duration::from_secs(1);

/// Listens with room for `queue` connections and one more.
fn listen(queue: i32) -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(queue).unwrap();
    TcpListener::from_std(socket.into()).unwrap()
}

#[tokio::test]
async fn a_client_does_not_wait_for_the_second_syn_of_tcp() {
    let upstream = listen(1);
    let address = upstream.local_addr().unwrap();
    let gate = TestServer::setup()
        .raw_route(&format!(
            "{{ location: /, proxy_pass: \"http://{address}\" }}"
        ))
        .start()
        .await;
    // What a start asks is over.
    gate.log().first("upstream answers").await;
    within("the asking", upstream.accept()).await.unwrap();
    let _first = TcpStream::connect(address).await.unwrap();
    let _second = TcpStream::connect(address).await.unwrap();

    let mut client = gate.connect().await;
    let asked = Instant::now();
    client.send(GET).await;
    // How long the queue is full is what this is about.
    tokio::time::sleep(Duration::from_millis(150)).await;
    let answering = async {
        loop {
            let (mut server, _) = upstream.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = [0; 1024];
                if let Ok(1..) = server.read(&mut head).await {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    server.write_all(answer).await.unwrap();
                }
            });
        }
    };
    let answer = async { client.answer().await.text().to_owned() };
    let text = tokio::select! {
        text = answer => text,
        () = answering => unreachable!("it accepts for ever"),
    };
    assert_eq!(text, "ok");
    let took = asked.elapsed();
    assert!(took < SECOND_SYN, "{took:?}");
}
