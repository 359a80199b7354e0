//! The demonstration of the README: a Socket.IO server, a chat page and wsgate before both, in one process.
//!
//! `tests/chat` starts it; then open <http://127.0.0.1:8080> and <https://127.0.0.1:8443>.
//! The ports are those of the shipped `routes.yaml`, which is what this runs. The two servers stand in for what a
//! user has already; they live on a thread and a runtime of their own, and wsgate reaches them over TCP only.

mod chat;
mod pages;
mod serve;

use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::serve::Port;

/// Where `routes.yaml` sends `/`.
const PAGES: Port = Port {
    number: 5001,
    used_for: "the chat page",
};

/// Where `routes.yaml` sends `/socket.io`.
const CHAT: Port = Port {
    number: 5002,
    used_for: "the Socket.IO server",
};

fn main() -> ExitCode {
    if let Err(error) = start_servers() {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    eprintln!(
        "chat: open http://127.0.0.1:8080 in two tabs, or one of them at https://127.0.0.1:8443, and talk"
    );

    // Blocks until wsgate has drained.
    wsgate::cli::run(&shipped_routes(), wsgate::cli::LogFormat::Text)
}

/// The project's `routes.yaml`, by its short name where that is enough.
fn shipped_routes() -> PathBuf {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("routes.yaml");
    match std::env::current_dir() {
        Ok(here) => match shipped.strip_prefix(here) {
            Ok(short) => short.to_owned(),
            Err(_) => shipped,
        },
        Err(_) => shipped,
    }
}

/// Opens both ports, so that a taken one is known before anything runs, and serves them on a thread of its own.
fn start_servers() -> Result<(), serve::StartError> {
    let pages = serve::bind(PAGES)?;
    let chat = serve::bind(CHAT)?;
    serve::on_own_thread(async move {
        pages::start(pages);
        let io = chat::start(chat, CHAT);
        // Whoever leaves first spares the other the wait: with its clients gone, wsgate has nothing left to drain.
        serve::asked_to_stop().await;
        io.close().await;
    })
}
