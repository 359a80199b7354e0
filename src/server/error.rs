//! Why a start or a reload does not work although the configuration is right.

use std::fmt;
use std::io;

use crate::listener::ListenError;
use crate::server::descriptors::is_about_descriptors;
use crate::stream::ListenAddr;
use crate::tls::self_signed::SelfSignedError;

/// What to do where there are too few descriptors.
const MORE_DESCRIPTORS: &str =
    "raise the limit of descriptors (`ulimit -n`, in systemd LimitNOFILE=)";

/// What the system refuses.
#[derive(Debug)]
pub enum StartError {
    /// An address cannot be listened on.
    Listen {
        /// Where it is written.
        place: String,
        /// Why.
        source: ListenError,
    },
    /// The permissions of a Unix socket's file cannot be changed.
    Mode {
        /// Where it is written.
        place: String,
        /// The socket.
        address: ListenAddr,
        /// Why.
        source: io::Error,
    },
    /// The files of `tls: self_signed` cannot be made.
    SelfSigned {
        /// Where its listener is written.
        place: String,
        /// Why.
        source: SelfSignedError,
    },
    /// No random bytes for ticket keys.
    Tickets(rustls::Error),
    /// There are not descriptors enough to begin.
    Descriptors(io::Error),
    /// No thread, or no runtime on it.
    Thread(io::Error),
    /// A thread ended by a panic.
    Died,
}

impl StartError {
    /// What to do about it, if there is something.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Listen { source, .. } => Some(source.help()),
            Self::Mode { .. } => Some("let the user that runs wsgate own the file".to_owned()),
            Self::SelfSigned { source, .. } => Some(source.help()),
            Self::Tickets(_) => None,
            Self::Descriptors(_) => Some(MORE_DESCRIPTORS.to_owned()),
            Self::Thread(source) if is_about_descriptors(source) => {
                Some(MORE_DESCRIPTORS.to_owned())
            }
            Self::Thread(_) => {
                Some("lower `threads`, or raise the limit on processes (`ulimit -u`)".to_owned())
            }
            Self::Died => {
                Some("this is a bug in wsgate; the line `panic` above says where".to_owned())
            }
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { place, source } => write!(f, "{place}: error: {source}"),
            Self::Mode {
                place,
                address,
                source,
            } => write!(
                f,
                "{place}: error: cannot change the mode of {address}: {source}"
            ),
            Self::SelfSigned { place, source } => write!(f, "{place}: error: {source}"),
            Self::Tickets(source) => {
                write!(f, "error: cannot make keys for session tickets: {source}")
            }
            Self::Descriptors(source) => {
                write!(f, "error: not descriptors enough to start: {source}")
            }
            Self::Thread(source) => write!(f, "error: cannot start a thread: {source}"),
            Self::Died => f.write_str(
                "error: a thread that serves has died, and all end rather than to serve in part",
            ),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } => Some(source),
            Self::Mode { source, .. } => Some(source),
            Self::SelfSigned { source, .. } => Some(source),
            Self::Tickets(source) => Some(source),
            Self::Descriptors(source) | Self::Thread(source) => Some(source),
            Self::Died => None,
        }
    }
}
