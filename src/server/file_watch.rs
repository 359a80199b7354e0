//! Notices when a file may have changed, where the system tells.

#[cfg(target_os = "linux")]
mod inotify;
#[cfg(not(target_os = "linux"))]
mod none;

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

#[cfg(target_os = "linux")]
pub(super) use crate::server::file_watch::inotify::Watch;
#[cfg(not(target_os = "linux"))]
pub(super) use crate::server::file_watch::none::NoWatch as Watch;

/// Changes of some file will not be noticed.
#[derive(Debug)]
pub struct WatchError {
    /// What could not be watched, if it is one directory or file.
    path: Option<PathBuf>,
    errno: Errno,
}

impl WatchError {
    /// What to do about it.
    pub fn help(&self) -> String {
        let hangup = format!("`kill -HUP {}` reloads", std::process::id());
        let limit = match (self.errno, &self.path) {
            (Errno::NOSPC, _) => "fs.inotify.max_user_watches",
            (Errno::MFILE, None) => "fs.inotify.max_user_instances",
            _ => return hangup,
        };
        format!("{hangup}; raise `sysctl {limit}` to have a saved file noticed")
    }
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        match self.errno {
            Errno::NOSPC => f.write_str("this user may not watch more files"),
            Errno::NOSYS => f.write_str("a saved file is noticed on Linux only"),
            Errno::MFILE => f.write_str("this user may not have more inotify instances"),
            errno => write!(f, "{}", io::Error::from(errno).kind()),
        }
    }
}

impl std::error::Error for WatchError {}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rustix::io::Errno;

    use crate::server::file_watch::WatchError;

    #[test]
    fn what_cannot_be_watched_comes_with_a_remedy() {
        let path = Some(PathBuf::from("/etc/wsgate"));
        let pid = std::process::id();
        for (path, errno, text, help) in [
            (
                path.clone(),
                Errno::NOSPC,
                "/etc/wsgate: this user may not watch more files",
                "; raise `sysctl fs.inotify.max_user_watches` to have a saved file noticed",
            ),
            (path, Errno::NOMEM, "/etc/wsgate: out of memory", ""),
            (
                None,
                Errno::NOSYS,
                "a saved file is noticed on Linux only",
                "",
            ),
            (
                None,
                Errno::MFILE,
                "this user may not have more inotify instances",
                "; raise `sysctl fs.inotify.max_user_instances` to have a saved file noticed",
            ),
        ] {
            let error = WatchError { path, errno };
            assert_eq!(error.to_string(), text);
            assert_eq!(error.help(), format!("`kill -HUP {pid}` reloads{help}"));
        }
    }
}
