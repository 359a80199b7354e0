//! What a proxy adds to the time of a message, at a fixed and moderate rate.
//!
//! Every client has its moments fixed beforehand. What is late, is late from its moment on, also when the client could
//! not send because the last answer was not there: nothing is left out because the proxy was slow.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use hdrhistogram::Histogram;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::StreamOwned;
use rustls_pki_types::ServerName;

use crate::bench::Bench;
use crate::client::upgrade_request;
use crate::contenders::Entrance;
use crate::figures::Better;
use crate::figures::Figure;
use crate::figures::Section;
use crate::figures::Target;

const CLIENTS: usize = 50;
const EACH_PER_SECOND: u32 = 40;
const MESSAGE: usize = 125;
const PERCENTILES: [(f64, &str); 3] = [(50.0, "p50"), (99.0, "p99"), (99.9, "p99.9")];

pub(crate) async fn measure(bench: &Bench) -> Section {
    let proxies = bench.proxies();
    let seconds = bench.plan.window * 4;
    let mut figures = Vec::new();
    for entrance in Entrance::BOTH {
        let mut added: [Vec<Vec<Option<f64>>>; 3] = Default::default();
        for round in 0..bench.plan.rounds {
            let direct = spread(bench.upstream(), None, seconds);
            let mut figures = [(); 3].map(|()| vec![None; proxies.len()]);
            for turn in 0..proxies.len() {
                let index = (round + turn) % proxies.len();
                let tls = (entrance != Entrance::Ws).then(|| Arc::clone(bench.clients.full()));
                let through = spread(proxies[index].address(entrance), tls, seconds);
                for (figures, (percentile, _)) in figures.iter_mut().zip(PERCENTILES) {
                    let of = |histogram: &Histogram<u64>| {
                        histogram.value_at_percentile(percentile) as f64 / 1e3
                    };
                    figures[index] = Some(of(&through) - of(&direct));
                }
            }
            for (added, figures) in added.iter_mut().zip(figures) {
                added.push(figures);
            }
        }
        for (rounds, (_, percentile)) in added.into_iter().zip(PERCENTILES) {
            figures.push(Figure {
                name: format!("{}, {percentile}", entrance.name()),
                unit: "µs",
                better: Better::Less,
                target: Target::None,
                rounds,
            });
        }
    }
    Section {
        title: "Added latency of a round trip".to_owned(),
        how: format!(
            "{CLIENTS} clients send {MESSAGE} bytes {EACH_PER_SECOND} times a second each and get them back; counted \
             from the moment that a message was due. The same without a proxy in the same round is taken off."
        ),
        figures,
    }
}

/// How long round trips took, in nanoseconds.
fn spread(to: SocketAddr, tls: Option<Arc<ClientConfig>>, during: Duration) -> Histogram<u64> {
    let every = Duration::from_secs(1) / EACH_PER_SECOND;
    // All are connected before the first moment.
    let begin = Instant::now() + Duration::from_millis(400);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let tls = tls.clone();
            let first = begin
                + every * u32::try_from(number).expect("few")
                    / u32::try_from(CLIENTS).expect("few");
            thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn(move || {
                    one(
                        to,
                        tls,
                        Moments {
                            first,
                            every,
                            during,
                        },
                    )
                })
                .expect("a thread")
        })
        .collect();
    let mut all = Histogram::new(3).expect("three digits");
    for client in clients {
        all += client.join().expect("no panic").expect("an echo");
    }
    all
}

/// When a client sends.
struct Moments {
    first: Instant,
    every: Duration,
    during: Duration,
}

trait Socket: Read + Write {}
impl<S: Read + Write> Socket for S {}

fn one(
    to: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    moments: Moments,
) -> io::Result<Histogram<u64>> {
    let tcp = TcpStream::connect(to)?;
    tcp.set_nodelay(true)?;
    let mut stream: Box<dyn Socket> = match tls {
        None => Box::new(tcp),
        Some(config) => {
            let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
            let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
            Box::new(StreamOwned::new(connection, tcp))
        }
    };
    stream.write_all(upgrade_request("/echo").as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let mut histogram = Histogram::new(3).map_err(io::Error::other)?;
    let mut back = [0; MESSAGE];
    let mut due = moments.first;
    assert!(Instant::now() < due, "too slow to connect");
    while due < moments.first + moments.during {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(&[b'm'; MESSAGE])?;
        stream.read_exact(&mut back)?;
        let took = u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX);
        histogram.record(took).map_err(io::Error::other)?;
        due += moments.every;
    }
    Ok(histogram)
}
