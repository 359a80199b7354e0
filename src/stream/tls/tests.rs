//! The TLS stream against rustls' buffered interface, over streams in memory.

use std::future::poll_fn;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::Poll;

use proptest::prelude::*;
use rustls::AlertDescription;
use rustls::HandshakeKind;
use rustls::SupportedProtocolVersion;
use rustls::server::UnbufferedServerConnection;
use rustls::version::TLS12;
use rustls::version::TLS13;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::io::DuplexStream;
use tokio::io::duplex;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::stream::tls::PLAIN;
use crate::stream::tls::RECORD;
use crate::stream::tls::Tls;
use crate::stream::tls::test_support::Choppy;
use crate::stream::tls::test_support::bytes;
use crate::stream::tls::test_support::client;
use crate::stream::tls::test_support::name;
use crate::stream::tls::test_support::ours;
use crate::stream::tls::test_support::over;
use crate::stream::tls::test_support::pieces;
use crate::stream::tls::test_support::receive;
use crate::stream::tls::test_support::run;
use crate::stream::tls::test_support::send;
use crate::stream::tls::test_support::server;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// Room for everything that a test sends at once.
const ROOM: usize = 1024 * 1024;

/// Both ends of a TLS connection over a stream in memory with room for `room` bytes each way.
async fn ends(
    version: &'static SupportedProtocolVersion,
    room: usize,
) -> (Box<Tls<DuplexStream>>, TlsStream<DuplexStream>) {
    let (near, far) = duplex(room);
    over(version, near, far).await
}

impl<S> Tls<S> {
    /// How many bytes of the heap it owns, without those of rustls.
    fn owned(&self) -> usize {
        self.partial.capacity() + self.unread.owned() + self.owed.owned()
    }
}

/// Writes, and waits until the socket has taken it.
async fn say(mut to: impl AsyncWrite + Unpin, bytes: &[u8]) {
    to.write_all(bytes).await.unwrap();
    to.flush().await.unwrap();
}

/// One poll of a write: what it took, or `None` if it has to wait.
async fn try_write<S: AsyncRead + AsyncWrite + Unpin>(
    tls: &mut Tls<S>,
    bytes: &[u8],
) -> Option<usize> {
    poll_fn(|cx| match Pin::new(&mut *tls).poll_write(cx, bytes) {
        Poll::Ready(taken) => Poll::Ready(Some(taken.unwrap())),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[test]
fn every_byte_may_come_alone() {
    run(async {
        for version in VERSIONS {
            let (near, far) = duplex(ROOM);
            let near = Choppy::new(near, &[1], &[1]);
            let (mut tls, mut peer) = over(version, near, far).await;
            for message in [&b"hello"[..], &bytes(400)] {
                let mut read = vec![0; message.len()];
                let ((), ended) = tokio::join!(say(&mut peer, message), tls.read_exact(&mut read));
                ended.unwrap();
                assert_eq!(read, message);
                read.fill(0);
                let ((), ended) = tokio::join!(say(&mut *tls, message), peer.read_exact(&mut read));
                ended.unwrap();
                assert_eq!(read, message);
            }
            assert_eq!(tls.owned(), 0);
        }
    });
}

#[test]
fn a_record_may_be_split_anywhere() {
    run(async {
        for version in VERSIONS {
            let (near, far) = duplex(ROOM);
            let (mut tls, mut peer) = over(version, Choppy::new(near, &[ROOM], &[ROOM]), far).await;
            for cut in 1..90 {
                // Two records, of which the first piece has a part of one, or of both.
                peer.write_all(b"first").await.unwrap();
                peer.write_all(b"second").await.unwrap();
                tls.io.read_in(&[cut, 0, ROOM]);
                let mut read = [0; 11];
                tls.read_exact(&mut read).await.unwrap();
                assert_eq!(&read, b"firstsecond", "{cut}");
                assert_eq!(tls.owned(), 0);
            }
        }
    });
}

#[test]
fn many_records_that_came_together_are_read_together() {
    run(async {
        for version in VERSIONS {
            let (mut tls, mut peer) = ends(version, ROOM).await;
            for _ in 0..100 {
                peer.write_all(b"0123456789").await.unwrap();
            }
            let mut read = vec![0; PLAIN];
            assert_eq!(tls.read(&mut read).await.unwrap(), 1000);
            assert_eq!(read[..1000], b"0123456789".repeat(100));
            assert_eq!(tls.owned(), 0);
        }
    });
}

#[test]
fn a_reader_with_little_room_gets_every_byte_and_little_waits_for_it() {
    run(async {
        for version in VERSIONS {
            let (mut tls, mut peer) = ends(version, ROOM).await;
            let sent = bytes(300_000);
            peer.write_all(&sent).await.unwrap();
            let mut read = Vec::new();
            let mut piece = [0; 700];
            while read.len() < sent.len() {
                let length = tls.read(&mut piece).await.unwrap();
                assert_ne!(length, 0);
                read.extend_from_slice(&piece[..length]);
                assert!(tls.owned() <= 2 * RECORD, "{}", tls.owned());
            }
            assert_eq!(read, sent);
            assert_eq!(tls.owned(), 0);
        }
    });
}

#[test]
fn a_peer_that_does_not_read_is_owed_one_buffer_at_most() {
    run(async {
        for version in VERSIONS {
            let (mut tls, mut peer) = ends(version, 3000).await;
            let sent = bytes(200_000);
            let mut taken = 0;
            while let Some(more) = try_write(&mut tls, &sent[taken..]).await {
                taken += more;
                assert!(taken <= PLAIN);
            }
            assert_eq!(taken, PLAIN);
            assert!(tls.owned() <= PLAIN + RECORD, "{}", tls.owned());
            let mut read = vec![0; sent.len()];
            let ((), ended) =
                tokio::join!(say(&mut *tls, &sent[taken..]), peer.read_exact(&mut read));
            ended.unwrap();
            assert_eq!(read, sent);
            assert_eq!(tls.owned(), 0);
        }
    });
}

#[test]
fn either_half_may_end_before_the_other() {
    run(async {
        for version in VERSIONS {
            let (mut tls, mut peer) = ends(version, ROOM).await;
            peer.write_all(b"last words").await.unwrap();
            peer.shutdown().await.unwrap();
            let mut read = Vec::new();
            tls.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, b"last words");
            assert_eq!(tls.read(&mut [0; 9]).await.unwrap(), 0);
            tls.write_all(b"an answer").await.unwrap();
            tls.shutdown().await.unwrap();
            read.clear();
            peer.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, b"an answer");

            let (mut tls, mut peer) = ends(version, ROOM).await;
            tls.write_all(b"last words").await.unwrap();
            tls.shutdown().await.unwrap();
            let error = tls.write_all(b"more").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            read.clear();
            peer.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, b"last words");
            peer.write_all(b"an answer").await.unwrap();
            peer.shutdown().await.unwrap();
            read.clear();
            tls.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, b"an answer");
            assert_eq!(tls.owned(), 0);
        }
    });
}

#[test]
fn an_end_without_close_notify_is_told_from_an_orderly_one() {
    run(async {
        for version in VERSIONS {
            // After a whole record, and in the middle of one.
            for rest in [&b""[..], b"\x17\x03\x03\x00\x20half"] {
                let (mut tls, mut peer) = ends(version, ROOM).await;
                peer.write_all(b"last words").await.unwrap();
                peer.get_mut().0.write_all(rest).await.unwrap();
                drop(peer);
                let mut read = Vec::new();
                let error = tls.read_to_end(&mut read).await.unwrap_err();
                assert_eq!(read, b"last words");
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
                assert_eq!(
                    error.to_string(),
                    "the connection ended without a TLS close_notify"
                );
            }
        }
    });
}

#[test]
fn a_peer_that_leaves_in_the_tls_handshake_is_an_end_too() {
    run(async {
        for version in VERSIONS {
            let (near, mut far) = duplex(ROOM);
            far.write_all(b"\x16\x03\x01").await.unwrap();
            drop(far);
            let error = Tls::handshake(near, ours(version)).await.unwrap_err();
            let left = [io::ErrorKind::UnexpectedEof, io::ErrorKind::BrokenPipe];
            assert!(left.contains(&error.kind()), "{error:?}");
        }
    });
}

#[test]
fn what_came_before_nonsense_is_read_and_then_the_peer_is_told_by_an_alert() {
    run(async {
        for version in VERSIONS {
            let (mut tls, mut peer) = ends(version, ROOM).await;
            peer.write_all(b"sense").await.unwrap();
            let nonsense = [&b"\x17\x03\x03\x00\x40"[..], &[7; 0x40]].concat();
            peer.get_mut().0.write_all(&nonsense).await.unwrap();
            let mut read = [0; 100];
            assert_eq!(tls.read(&mut read).await.unwrap(), 5);
            for _ in 0..2 {
                let error = tls.read(&mut read).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                let error = error.downcast::<rustls::Error>().unwrap();
                assert_eq!(error, rustls::Error::DecryptError);
            }
            let error = tls.write(b"more").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            let error = peer.read(&mut read).await.unwrap_err();
            assert_eq!(
                error.downcast::<rustls::Error>().unwrap(),
                rustls::Error::AlertReceived(AlertDescription::BadRecordMac)
            );
            tls.shutdown().await.unwrap();
            assert_eq!(tls.owned(), 0);
        }
    });
}

#[test]
fn nothing_is_read_behind_a_close_notify() {
    run(async {
        for version in VERSIONS {
            let (mut tls, mut peer) = ends(version, ROOM).await;
            peer.get_mut().1.send_close_notify();
            peer.flush().await.unwrap();
            peer.get_mut().0.write_all(b"nonsense").await.unwrap();
            let mut read = Vec::new();
            tls.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, b"");
            assert_eq!(tls.owned(), 0);
        }
    });
}

#[test]
fn a_session_is_resumed() {
    run(async {
        for version in VERSIONS {
            // As the server.
            let (config, clients) = (server(version), client(version));
            for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
                let (near, far) = duplex(ROOM);
                let session = UnbufferedServerConnection::new(config.clone()).unwrap();
                let (tls, peer) = tokio::join!(
                    Tls::handshake(near, session),
                    TlsConnector::from(clients.clone()).connect(name(), far)
                );
                let (mut tls, mut peer) = (tls.unwrap(), peer.unwrap());
                assert_eq!(tls.session().handshake_kind(), Some(kind));
                // The tickets come before the first byte.
                tls.write_all(b"!").await.unwrap();
                assert_eq!(peer.read_u8().await.unwrap(), b'!');
                assert_eq!(tls.owned(), 0);
            }
        }
    });
}

#[test]
fn the_peer_may_change_its_keys_and_ask_for_ours() {
    run(async {
        let (mut tls, mut peer) = ends(&TLS13, ROOM).await;
        for round in 0..5 {
            peer.get_mut().1.refresh_traffic_keys().unwrap();
            peer.write_u8(round).await.unwrap();
            peer.flush().await.unwrap();
            assert_eq!(tls.read_u8().await.unwrap(), round);
            tls.write_u8(round).await.unwrap();
            assert_eq!(peer.read_u8().await.unwrap(), round);
            assert_eq!(tls.owned(), 0);
        }
    });
}

#[test]
fn slices_become_one_record() {
    run(async {
        for version in VERSIONS {
            let (mut tls, mut peer) = ends(version, ROOM).await;
            // What is on its way already, such as tickets.
            tls.write_all(b"!").await.unwrap();
            assert_eq!(peer.read_u8().await.unwrap(), b'!');
            let body = bytes(5000);
            let slices = [&b"head"[..], b"", &body].map(IoSlice::new);
            assert!(tls.is_write_vectored());
            assert_eq!(tls.write_vectored(&slices).await.unwrap(), 5004);
            let mut wire = vec![0; ROOM];
            let length = peer.get_mut().0.read(&mut wire).await.unwrap();
            let record = 5 + usize::from(u16::from_be_bytes([wire[3], wire[4]]));
            assert_eq!((wire[0], record), (0x17, length));

            let (mut tls, mut peer) = ends(version, ROOM).await;
            let long = bytes(50_000);
            let slices = [IoSlice::new(&long), IoSlice::new(&long)];
            assert_eq!(tls.write_vectored(&slices).await.unwrap(), PLAIN);
            let mut read = vec![0; PLAIN];
            peer.read_exact(&mut read).await.unwrap();
            assert_eq!(read, [&long[..], &long].concat()[..PLAIN]);
            assert_eq!(tls.write_vectored(&[]).await.unwrap(), 0);
            assert_eq!(tls.write(b"").await.unwrap(), 0);
        }
    });
}

#[test]
fn the_state_of_a_connection_is_small() {
    // It is 1280, with rustls 0.23.46, and what is allocated for it.
    assert!(size_of::<Tls<tokio::net::TcpStream>>() <= 1536);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_arrives_both_ways_however_they_are_cut(
        old in any::<bool>(),
        // Less than the tickets need, and the TLS handshake waits for a peer that has left it.
        room in 2_000..100_000usize,
        socket in [pieces(), pieces()],
        writes in [pieces(), pieces()],
        reads in [pieces(), pieces()],
        lengths in [0..150_000usize, 0..150_000usize],
    ) {
        run(async {
            let version = if old { &TLS12 } else { &TLS13 };
            let (near, far) = duplex(room);
            let near = Choppy::new(near, &socket[0], &socket[1]);
            let (mut tls, peer) = over(version, near, far).await;
            let sent = lengths.map(bytes);
            let (from, to) = tokio::io::split(&mut tls);
            let (peer_from, peer_to) = tokio::io::split(peer);
            let ((), (), received, answered) = tokio::join!(
                send(to, &sent[0], &writes[0]),
                send(peer_to, &sent[1], &writes[1]),
                receive(peer_from, &reads[0]),
                receive(from, &reads[1]),
            );
            assert_eq!(received, sent[0]);
            assert_eq!(answered, sent[1]);
            assert_eq!(tls.owned(), 0);
        });
    }
}
