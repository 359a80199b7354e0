//! A Unix socket to listen on, and its file: when it may be made in the place of another one, and when it is removed.
//!
//! A file that somebody listens on is never taken away from them, unless that is asked for; one that nobody listens on, which a
//! killed process leaves, is. No other file is touched. A file is removed before its socket is closed, so that whoever has
//! connected is still accepted, and only for as long as it is the one that was made here.

use std::fs;
use std::fs::Metadata;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use socket2::Domain;
use socket2::SockAddr;
use socket2::Socket;
use socket2::Type;

use crate::listener::listen_error::ListenFault;

/// What stands at a path before a socket is made there.
#[derive(Debug)]
pub(super) enum SocketFileState {
    /// Nothing.
    Nothing,
    /// A socket on which nobody listens.
    Stale,
    /// A socket on which somebody listens.
    Live,
}

impl SocketFileState {
    /// An error if somebody listens there.
    pub(super) fn free(&self) -> Result<(), ListenFault> {
        match self {
            Self::Nothing | Self::Stale => Ok(()),
            Self::Live => Err(ListenFault::Live),
        }
    }
}

/// Looks at what stands at `path`, and connects to it if it is a socket.
///
/// # Errors
/// It is a file of another kind, or it cannot be found out.
pub(super) fn found(path: &Path) -> Result<SocketFileState, ListenFault> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(SocketFileState::Nothing);
        }
        Err(error) => return Err(ListenFault::System(error)),
        Ok(data) if !data.file_type().is_socket() => return Err(ListenFault::OtherFile),
        Ok(_) => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A full queue, which only somebody who listens can have, would keep us waiting.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(SocketFileState::Live),
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Ok(SocketFileState::Stale),
            io::ErrorKind::NotFound => Ok(SocketFileState::Nothing),
            io::ErrorKind::WouldBlock => Ok(SocketFileState::Live),
            _ => Err(ListenFault::Unknown(error)),
        },
    }
}

/// A socket that has a file and does not listen yet: whoever connects is refused.
#[derive(Debug)]
pub struct BoundUnix {
    /// Where it is to be found.
    path: Arc<Path>,
    /// The file as it was made, at `path` or beside it.
    file: SocketFile,
    socket: Socket,
    /// How many threads accept.
    count: usize,
}

impl BoundUnix {
    /// Makes the socket of `path` with these permissions. One on which nobody listens is replaced. With `is_shared` one on which
    /// somebody listens stays until this one listens.
    ///
    /// # Errors
    /// Somebody listens there, there is a file of another kind, or the system refuses.
    pub(super) fn new(
        path: &Arc<Path>,
        mode: u32,
        is_shared: bool,
        count: usize,
    ) -> Result<Self, ListenFault> {
        let at = match found(path)? {
            SocketFileState::Nothing => path.to_path_buf(),
            SocketFileState::Stale => {
                fs::remove_file(path)?;
                path.to_path_buf()
            }
            SocketFileState::Live if is_shared => beside(path),
            SocketFileState::Live => return Err(ListenFault::Live),
        };
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(&at)?)?;
        let file = SocketFile::made(at)?;
        // Whatever the umask has left of it: nobody can connect before the socket listens.
        file.set_mode(mode)?;
        Ok(Self {
            path: Arc::clone(path),
            file,
            socket,
            count,
        })
    }

    /// Where it is to be found.
    pub(super) fn path(&self) -> Arc<Path> {
        Arc::clone(&self.path)
    }

    /// Begins to listen, and takes the place of the socket that stood there.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn listen(
        self,
        backlog: i32,
    ) -> Result<(Vec<UnixListener>, SocketFile), ListenFault> {
        self.socket.listen(backlog)?;
        let file = self.file.moved_to(&self.path)?;
        let first = UnixListener::from(self.socket);
        let others = (1..self.count).map(|_| first.try_clone());
        let mut sockets = others.collect::<io::Result<Vec<_>>>()?;
        sockets.push(first);
        Ok((sockets, file))
    }
}

/// A name beside `path`, at which nothing stands, for a socket that is to take its place; short, since there is little room in a
/// socket's address. Several sockets of one folder may wait for their turn, and a killed process of this number may have left one.
fn beside(path: &Path) -> PathBuf {
    let process = std::process::id();
    let mut at = path.with_file_name(format!(".{process}"));
    let mut number = 1;
    // Where the system does not say what stands there, it does not bind either, and says why.
    while fs::symlink_metadata(&at).is_ok() {
        at.set_file_name(format!(".{process}-{number}"));
        number += 1;
    }
    at
}

/// The file of a socket that listens here, which is removed when this is dropped.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    made: Made,
    is_gone: AtomicBool,
}

/// What tells the file that was made from another one at its path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Made {
    device: u64,
    inode: u64,
    /// A number of a file that is gone may be another's. When it was made, nobody changes.
    time: (i64, i64),
}

impl Made {
    fn of(data: &Metadata) -> Self {
        Self {
            device: data.dev(),
            inode: data.ino(),
            time: (data.mtime(), data.mtime_nsec()),
        }
    }
}

impl SocketFile {
    fn made(path: PathBuf) -> io::Result<Self> {
        let made = Made::of(&fs::symlink_metadata(&path)?);
        Ok(Self {
            path,
            made,
            is_gone: AtomicBool::new(false),
        })
    }

    /// Gives it another name. Whoever connects there from now on comes here.
    fn moved_to(self, path: &Path) -> io::Result<Self> {
        if self.path == path {
            return Ok(self);
        }
        fs::rename(&self.path, path)?;
        let made = self.made;
        self.is_gone.store(true, Ordering::Relaxed);
        Ok(Self {
            path: path.to_owned(),
            made,
            is_gone: AtomicBool::new(false),
        })
    }

    /// Whether there is no file at its path any more, so that nobody can connect.
    pub fn is_lost(&self) -> bool {
        let data = fs::symlink_metadata(&self.path);
        data.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Says who may connect, as the permission bits of the file.
    ///
    /// # Errors
    /// The system refuses.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        match self.is_ours() {
            true => fs::set_permissions(&self.path, Permissions::from_mode(mode)),
            false => Ok(()),
        }
    }

    /// Removes it, if it is still the one that was made here: nobody can connect any more.
    pub fn remove(&self) {
        if !self.is_gone.swap(true, Ordering::Relaxed) && self.is_ours() {
            // Where the system refuses, the next start finds that nobody listens there.
            let _ = fs::remove_file(&self.path);
        }
    }

    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|data| Made::of(&data) == self.made)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::sync::Arc;

    use tempfile::TempDir;

    use crate::listener::listen_error::ListenFault;
    use crate::listener::unix_socket::BoundUnix;
    use crate::listener::unix_socket::SocketFileState;
    use crate::listener::unix_socket::found;

    fn place() -> (TempDir, Arc<Path>) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("gate.sock").into();
        (folder, path)
    }

    #[test]
    fn nobody_can_connect_before_it_listens_and_the_mode_is_right_by_then() {
        let (_folder, path) = place();
        let bound = BoundUnix::new(&path, 0o620, false, 3).unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(), 0o620);
        assert!(UnixStream::connect(&path).is_err());
        let (sockets, file) = bound.listen(16).unwrap();
        assert_eq!(sockets.len(), 3);
        UnixStream::connect(&path).unwrap();
        file.set_mode(0o666).unwrap();
        assert_eq!(mode(), 0o666);
        drop(file);
        assert!(!path.exists());
        // What has connected before is still there.
        assert!(sockets[2].accept().is_ok());
    }

    #[test]
    fn one_that_never_listened_leaves_no_file() {
        let (_folder, path) = place();
        drop(BoundUnix::new(&path, 0o600, false, 1).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn what_nobody_listens_on_is_replaced_and_what_somebody_does_is_not() {
        let (_folder, path) = place();
        assert!(matches!(found(&path), Ok(SocketFileState::Nothing)));
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists() && matches!(found(&path), Ok(SocketFileState::Stale)));
        let bound = BoundUnix::new(&path, 0o600, false, 1).unwrap();
        let (_sockets, file) = bound.listen(16).unwrap();
        assert!(matches!(found(&path), Ok(SocketFileState::Live)));
        let refused = BoundUnix::new(&path, 0o600, false, 1);
        assert!(matches!(refused, Err(ListenFault::Live)));
        assert!(!file.is_lost() && path.exists());
    }

    #[test]
    fn one_that_is_relieved_leaves_the_file_of_the_other() {
        let (folder, path) = place();
        let (old_sockets, old) = BoundUnix::new(&path, 0o600, false, 1)
            .unwrap()
            .listen(16)
            .unwrap();
        let bound = BoundUnix::new(&path, 0o600, true, 1).unwrap();
        let before = UnixStream::connect(&path).unwrap();
        let (new_sockets, _new) = bound.listen(16).unwrap();
        let after = UnixStream::connect(&path).unwrap();
        drop(old);
        assert!(path.exists());
        assert!(old_sockets[0].accept().is_ok() && new_sockets[0].accept().is_ok());
        drop((before, after));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn several_of_one_folder_are_relieved_together() {
        let folder = TempDir::new().unwrap();
        let paths: [Arc<Path>; 3] = ["a", "b", "c"].map(|name| folder.path().join(name).into());
        let listen = |bound: BoundUnix| bound.listen(16).unwrap();
        let bind = |is_shared| {
            let bound = paths
                .iter()
                .map(|path| BoundUnix::new(path, 0o600, is_shared, 1));
            bound.collect::<Result<Vec<_>, _>>().unwrap()
        };
        let _old: Vec<_> = bind(false).into_iter().map(listen).collect();
        let new: Vec<_> = bind(true).into_iter().map(listen).collect();
        for (path, (sockets, _)) in paths.iter().zip(&new) {
            let _client = UnixStream::connect(path).unwrap();
            assert!(sockets[0].accept().is_ok());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn no_other_file_is_touched() {
        let (folder, path) = place();
        fs::write(&path, "mine").unwrap();
        for is_shared in [false, true] {
            let refused = BoundUnix::new(&path, 0o600, is_shared, 1);
            assert!(matches!(refused, Err(ListenFault::OtherFile)));
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");

        let path: Arc<Path> = folder.path().join("other.sock").into();
        let (_sockets, file) = BoundUnix::new(&path, 0o600, false, 1)
            .unwrap()
            .listen(16)
            .unwrap();
        fs::remove_file(&path).unwrap();
        assert!(file.is_lost());
        fs::write(&path, "another's").unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "another's");
    }
}
