//! Ports of loopback and HTTP/1.1 on them, for both servers of the demonstration.
//!
//! What a real server would want beside this (limits, TLS, a drain) is left out: wsgate stands before it.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};

/// How long to wait after an accept that failed (no descriptor left, mostly) before the next.
const AFTER_A_FAILED_ACCEPT: Duration = Duration::from_millis(100);

/// A port of 127.0.0.1, and what a person should call what answers there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    pub(crate) used_for: &'static str,
}

/// Why the demonstration cannot start.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The port could not be opened.
    Bind { port: Port, source: io::Error },
    /// No thread or no runtime to be had.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { port, source } if source.kind() == io::ErrorKind::AddrInUse => {
                let number = port.number;
                writeln!(
                    out,
                    "chat: error: 127.0.0.1:{number} is taken, and {} needs it",
                    port.used_for
                )?;
                let who = if cfg!(target_os = "linux") {
                    format!("ss -ltnp 'sport = :{number}'")
                } else {
                    format!("lsof -nP -iTCP:{number} -sTCP:LISTEN")
                };
                write!(
                    out,
                    "  = help: see who has it with `{who}`, perhaps another `chat`, end that and start again"
                )
            }
            Self::Bind { port, source } => {
                write!(
                    out,
                    "chat: error: cannot open 127.0.0.1:{} for {}: {source}",
                    port.number, port.used_for
                )
            }
            Self::Thread(source) => {
                write!(out, "chat: error: no thread for the two servers: {source}")
            }
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Bind { source, .. } | Self::Thread(source) => Some(source),
        }
    }
}

/// Opens `port` on 127.0.0.1.
///
/// # Errors
/// [`StartError::Bind`] when the port is taken or may not be opened.
pub(crate) fn bind(port: Port) -> Result<TcpListener, StartError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port.number))
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|source| StartError::Bind { port, source })
}

/// Runs `work` to its end on a new thread with a runtime of its own, and returns at once.
///
/// # Errors
/// [`StartError::Thread`] when the system has no thread, or no descriptors for a runtime.
pub(crate) fn on_own_thread(
    work: impl Future<Output = ()> + Send + 'static,
) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Thread)?;
    thread::Builder::new()
        .name("demo servers".to_owned())
        .spawn(move || runtime.block_on(work))
        .map(drop)
        .map_err(StartError::Thread)
}

/// Answers every connection of `listener` with `service`, upgrades included, for ever.
pub(crate) async fn accept<S, B>(listener: TcpListener, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return eprintln!("chat: error: a port was lost: {error}"),
    };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(AFTER_A_FAILED_ACCEPT).await;
            continue;
        };
        let _ = stream.set_nodelay(true); // slower without, but no reason to refuse
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service.clone())
            .with_upgrades();
        tokio::spawn(async move {
            let _ = connection.await; // the client left in the middle of something; wsgate's log says so
        });
    }
}

/// Waits for the signal that also tells wsgate to drain: Ctrl-C, or SIGTERM where there is one.
pub(crate) async fn asked_to_stop() {
    #[cfg(unix)]
    if let Ok(mut term) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    {
        tokio::select! {
            _ = term.recv() => return,
            _ = tokio::signal::ctrl_c() => return,
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
