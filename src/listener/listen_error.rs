//! Why an address cannot be listened on, and what to do about it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use crate::stream::ListenAddr;

/// An address cannot be listened on.
#[derive(Debug)]
pub struct ListenError {
    address: ListenAddr,
    fault: ListenFault,
}

/// What is in the way.
#[derive(Debug)]
pub(super) enum ListenFault {
    /// The system refuses.
    System(io::Error),
    /// At the path of a Unix socket stands a file of another kind.
    OtherFile,
    /// Somebody listens on the Unix socket.
    Live,
    /// There is a Unix socket, and whether somebody listens on it cannot be found out.
    Unknown(io::Error),
}

impl From<io::Error> for ListenFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::Live,
            _ => Self::System(error),
        }
    }
}

impl ListenError {
    pub(super) fn new(address: ListenAddr, fault: ListenFault) -> Self {
        Self { address, fault }
    }

    /// The system refuses an address and a port.
    pub(super) fn of_ip(address: SocketAddr, source: io::Error) -> Self {
        Self::new(ListenAddr::Ip(address), ListenFault::System(source))
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        match &self.address {
            ListenAddr::Ip(address) => self.help_for_port(address.port()),
            ListenAddr::Unix(path) => self.help_for_file(path),
        }
    }

    fn kind(&self) -> Option<io::ErrorKind> {
        match &self.fault {
            ListenFault::System(error) => Some(error.kind()),
            _ => None,
        }
    }

    fn help_for_port(&self, port: u16) -> String {
        match self.kind() {
            Some(io::ErrorKind::AddrInUse) => format!(
                "another process listens there: end it (`ss -ltnp 'sport = :{port}'` names it) or choose another port"
            ),
            Some(io::ErrorKind::PermissionDenied) => format!(
                "ports below 1024 need a permission: start as root, give the binary \
                 `setcap cap_net_bind_service=+ep`, in systemd `AmbientCapabilities=CAP_NET_BIND_SERVICE`, \
                 or choose a port such as {}",
                u32::from(port) + 8000
            ),
            Some(io::ErrorKind::AddrNotAvailable) => {
                "no interface of this machine has this address (`ip address` lists them); 0.0.0.0 stands for all".to_owned()
            }
            _ => "choose another address".to_owned(),
        }
    }

    fn help_for_file(&self, path: &Path) -> String {
        let folder = folder(path);
        match (&self.fault, self.kind()) {
            (ListenFault::OtherFile, _) => {
                "choose another path, or remove what is there; wsgate itself removes nothing but sockets".to_owned()
            }
            (ListenFault::Live, _) => "end the process that listens there (`ss -lxp` names it), choose another path, or \
                 relieve it with `reuseport: true`"
                .to_owned(),
            (ListenFault::Unknown(_), _) => {
                "remove the file if nobody listens there any more, or choose another path".to_owned()
            }
            (_, Some(io::ErrorKind::NotFound)) => format!(
                "make the folder {folder}; in systemd `RuntimeDirectory=wsgate` makes /run/wsgate at each start"
            ),
            (_, Some(io::ErrorKind::PermissionDenied)) => format!(
                "let the user that runs wsgate write in {folder}, or choose a folder of its own: in systemd \
                 `RuntimeDirectory=wsgate` makes /run/wsgate"
            ),
            _ => "choose another path".to_owned(),
        }
    }
}

/// The folder of a file.
fn folder(path: &Path) -> impl fmt::Display + '_ {
    path.parent().unwrap_or(path).display()
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: ", self.address)?;
        match (&self.fault, self.address.path()) {
            (ListenFault::OtherFile, _) => f.write_str("there is a file that is no socket"),
            (ListenFault::Live, _) => f.write_str("another process listens there"),
            (ListenFault::Unknown(error), _) => {
                write!(
                    f,
                    "there is a socket, and who listens on it cannot be asked: "
                )?;
                match error.kind() {
                    io::ErrorKind::PermissionDenied => f.write_str("permission denied"),
                    _ => write!(f, "{error}"),
                }
            }
            (ListenFault::System(error), path) => match (error.kind(), path) {
                (io::ErrorKind::AddrInUse, _) => f.write_str("address already in use"),
                (io::ErrorKind::PermissionDenied, _) => f.write_str("permission denied"),
                (io::ErrorKind::AddrNotAvailable, _) => f.write_str("address not available"),
                (io::ErrorKind::NotFound, Some(path)) => {
                    write!(f, "there is no folder {}", folder(path))
                }
                _ => write!(f, "{error}"),
            },
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            ListenFault::System(error) | ListenFault::Unknown(error) => Some(error),
            ListenFault::OtherFile | ListenFault::Live => None,
        }
    }
}
